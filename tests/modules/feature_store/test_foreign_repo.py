"""A repo that somebody else wrote and applied with Feast's own command line."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlwf.errors import DataError
from mlwf.modules.feature_store import join_features, prepare_repo, retrieval
from mlwf.modules.feature_store.repo import opened, quiet_feast
from mlwf.modules.feature_store.retrieval import Retrieved, retrieve, retrieve_by_feast
from mlwf.modules.feature_store.selection import select
from mlwf.specs.feature_store import FeatureStoreSpec

CONFIG = """\
project: theirs
provider: local
registry: data/registry.db
online_store: {type: sqlite, path: data/online.db}
entity_key_serialization_version: 3
"""

DEFINITIONS = """\
from datetime import timedelta

import pandas as pd
from feast import Entity, FeatureService, FeatureView, Field, FileSource, RequestSource, ValueType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64, String

customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.INT64)
place = Entity(name="place", join_keys=["place_id"], value_type=ValueType.STRING)

orders = FeatureView(
    name="orders",
    entities=[customer],
    ttl=timedelta(hours=6),
    schema=[Field(name="amount", dtype=Float64), Field(name="n_items", dtype=Int64)],
    source=FileSource(
        path="orders.parquet", timestamp_field="at", created_timestamp_column="written", field_mapping={"amt": "amount"}
    ),
)
weather = FeatureView(
    name="weather",
    entities=[place],
    ttl=timedelta(0),
    schema=[Field(name="sky", dtype=String), Field(name="degrees", dtype=Float64)],
    source=FileSource(path="weather.parquet", timestamp_field="at"),
)
prices = FeatureView(
    name="prices",
    entities=[],
    ttl=timedelta(days=1),
    schema=[Field(name="price", dtype=Float64)],
    source=FileSource(path="prices.parquet", timestamp_field="at"),
)
asked = RequestSource(name="asked", schema=[Field(name="discount", dtype=Float64)])


@on_demand_feature_view(
    sources=[orders, prices, asked], schema=[Field(name="worth", dtype=Float64)], mode="pandas"
)
def worth(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"worth": rows["n_items"] * rows["price"] - rows["discount"]})


trips = FeatureService(
    name="trips",
    features=[
        orders[["amount"]],
        weather[["sky"]].with_name("start").with_join_key_map({"place_id": "start_id"}),
        weather[["sky"]].with_name("end").with_join_key_map({"place_id": "end_id"}),
    ],
)
"""


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repo = tmp_path_factory.mktemp("theirs")
    rng = np.random.default_rng(0)
    n = 400
    # Coarse times, so that some labels fall on a feature's moment; unique ones, because Feast breaks ties by chance.
    slots = rng.permutation(6 * n)[:n]
    at = pd.Timestamp("2020-01-01") + pd.to_timedelta(slots % 480 * 15, unit="min")
    orders = pd.DataFrame({"customer_id": slots // 480, "at": at, "amt": rng.random(n)})
    orders["written"] = at + pd.to_timedelta(rng.random(n), unit="h")
    orders["n_items"] = rng.integers(1, 9, n)
    orders.to_parquet(repo / "orders.parquet")
    weather = pd.DataFrame({"place_id": rng.choice(list("abc"), n), "at": at.tz_localize("Europe/Paris"),
                            "sky": rng.choice(["clear", "grey", None], n), "degrees": rng.random(n)})  # fmt: skip
    weather.drop_duplicates(["place_id", "at"]).to_parquet(repo / "weather.parquet")
    prices = pd.DataFrame({"at": pd.date_range("2020-01-02", periods=50, freq="2h", tz="UTC"), "price": rng.random(50)})
    prices.to_parquet(repo / "prices.parquet")
    (repo / "feature_store.yaml").write_text(CONFIG)
    (repo / "definitions.py").write_text(DEFINITIONS)
    feast = [sys.executable, "-W", "ignore", "-m", "feast.cli.cli", "apply"]
    subprocess.run(feast, cwd=repo, check=True, capture_output=True)
    return repo


@pytest.fixture
def labels() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    n = 300
    moments = pd.Timestamp("2020-01-01", tz="UTC") + pd.to_timedelta(rng.integers(-40, 560, n) * 15, unit="min")
    return pd.DataFrame(
        {
            "customer_id": rng.integers(0, 7, n),
            "place_id": rng.choice(list("abcz"), n),
            "start_id": rng.choice(list("abc"), n),
            "end_id": rng.choice(list("abc"), n),
            "discount": rng.random(n),
            "when": moments,
        },
        index=rng.permutation(n),
    )


def contents(repo: Path) -> dict[Path, tuple[bytes, int]]:
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in repo.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_it_is_used_and_left_untouched(repo: Path, labels: pd.DataFrame) -> None:
    before = contents(repo)
    spec = FeatureStoreSpec(repo_path=str(repo), initialize=True)
    prepare_repo(spec)
    joined = join_features(spec, labels, time="when")
    assert joined.features == ("amount", "n_items", "price", "sky", "degrees")
    assert joined.keys == ("customer_id", "place_id")
    pd.testing.assert_frame_equal(joined.rows[list(labels.columns)], labels)
    assert contents(repo) == before


@pytest.mark.parametrize("view", [pytest.param("orders", marks=pytest.mark.slow), "weather", "prices"])
def test_the_join_equals_feasts_own(repo: Path, labels: pd.DataFrame, view: str) -> None:
    labels.iloc[5, labels.columns.get_loc("when")] = pd.NaT
    spec = FeatureStoreSpec(repo_path=str(repo), features=[view])
    with opened(repo) as store:
        selection = select(store, spec)
        arguments = (store, selection.views[view], selection.features, labels, labels["when"])
        own, feasts = retrieve(*arguments), retrieve_by_feast(*arguments)
    pd.testing.assert_frame_equal(own.columns, feasts.columns, check_dtype=False)
    assert own.unmatched > 0
    assert own.columns.notna().any(axis=1).sum() > 100


def test_ties_are_broken_by_creation_as_feast_does(repo: Path, tmp_path: Path) -> None:
    moment = pd.Timestamp("2020-01-01 12:00")
    written = [moment + pd.Timedelta(hours=hours) for hours in (1, 3, 2)]
    orders = pd.DataFrame({"customer_id": 1, "at": moment, "written": written, "amt": [1.0, 3.0, 2.0], "n_items": 1})
    labels = pd.DataFrame({"customer_id": [1], "when": [moment.tz_localize("UTC")]})
    copy = shutil.copytree(repo, tmp_path / "copy")
    orders.to_parquet(copy / "orders.parquet")
    with opened(copy) as store:
        selection = select(store, FeatureStoreSpec(repo_path=str(copy), features=["orders:amount"]))
        view = selection.views["orders"]
        arguments = (store, view, selection.features, labels, labels["when"])
        assert (
            retrieve(*arguments).columns["amount"].tolist()
            == retrieve_by_feast(*arguments).columns["amount"].tolist()
            == [3]
        )


def test_a_feature_service_renames_views_and_keys(repo: Path, labels: pd.DataFrame) -> None:
    before = contents(repo)
    prepare_repo(FeatureStoreSpec(repo_path=str(repo), feature_service="trips", initialize=True))
    joined = join_features(FeatureStoreSpec(repo_path=str(repo), feature_service="trips"), labels, time="when")
    assert joined.features == ("amount", "start__sky", "end__sky")
    assert joined.keys == ("customer_id", "start_id", "end_id")
    for name in ("start", "end"):
        alone = labels.assign(place_id=labels[f"{name}_id"])
        expected = join_features(FeatureStoreSpec(repo_path=str(repo), features=["weather:sky"]), alone, time="when")
        assert joined.rows[f"{name}__sky"].equals(expected.rows["sky"])
    assert contents(repo) == before


def test_on_demand_views_are_computed_as_feast_does(repo: Path, labels: pd.DataFrame) -> None:
    spec = FeatureStoreSpec(repo_path=str(repo), features=["worth", "orders:amount"])
    joined = join_features(spec, labels, time="when")
    assert joined.features == ("worth", "amount")
    assert list(joined.rows.columns) == [*labels.columns, "worth", "amount"]
    rows = labels.rename(columns={"when": "event_timestamp"}).assign(row=range(len(labels)))
    with opened(repo) as store, quiet_feast():
        feasts = store.get_historical_features(rows, ["worth:worth", "orders:amount"]).to_df().set_index("row")
    known = feasts["worth"].dropna()
    assert len(known) > 20
    pd.testing.assert_series_equal(joined.rows["worth"].reset_index(drop=True)[known.index], known, check_names=False)


def test_a_column_that_an_on_demand_view_lacks_is_reported(repo: Path, labels: pd.DataFrame) -> None:
    with pytest.raises(DataError) as caught:
        join_features(
            FeatureStoreSpec(repo_path=str(repo), features=["worth"]), labels.drop(columns="discount"), time="when"
        )
    assert str(caught.value) == (
        "discount: no such column in the label rows; the on-demand view worth computes from it"
    )


def test_rows_that_feasts_store_drops_are_kept(repo: Path, labels: pd.DataFrame) -> None:
    labels["when"] = pd.Timestamp("2019-01-01", tz="UTC")
    spec = FeatureStoreSpec(repo_path=str(repo), features=["orders"])
    with opened(repo) as store:
        selection = select(store, spec)
        arguments: Any = (store, selection.views["orders"], selection.features, labels, labels["when"])
        for found in (retrieve(*arguments), retrieve_by_feast(*arguments)):
            assert found.columns.index.equals(labels.index)
            assert found.unmatched == len(labels)


@pytest.mark.parametrize("scanned", [1, 4], ids=["few rows", "more rows"])
def test_a_file_read_by_slices_of_time_gives_the_same_features(
    repo: Path, labels: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, scanned: int
) -> None:
    labels = pd.concat([labels, labels[:9]])  # repeated, with nulls, and not in order of time
    labels.iloc[3, labels.columns.get_loc("when")] = pd.NaT
    labels.iloc[4, labels.columns.get_loc("place_id")] = None
    with opened(repo) as store:
        selection = select(store, FeatureStoreSpec(repo_path=str(repo), features=["orders", "weather", "prices"]))

        def joined() -> list[Retrieved]:
            return [
                retrieve(store, view, selection.features_of(name), labels, labels["when"])
                for name, view in selection.views.items()
            ]

        whole = joined()
        monkeypatch.setattr(retrieval, "ROWS_AT_ONCE", 20)
        monkeypatch.setattr(retrieval, "SCANNED", scanned)
        monkeypatch.setattr(retrieval, "SAMPLED", 3)
        for one, other in zip(whole, joined(), strict=True):
            pd.testing.assert_frame_equal(one.columns, other.columns)
            assert one.unmatched == other.unmatched > 0
