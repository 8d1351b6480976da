"""A repo whose sources, registry and online store are in PostgreSQL, joined there by Feast's own retrieval."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pandas as pd
import pytest

from mlwf.modules.feature_store import join_features, materialize
from mlwf.modules.feature_store.repo import quiet_feast
from mlwf.specs.feature_store import FeatureStoreSpec, ServingSpec
from tests.postgresql_server import postgresql_server

# Feast leaves its connections for the garbage collector to close.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]

CONFIG = """\
project: theirs
provider: local
registry: {{registry_type: sql, path: '{uri}'}}
offline_store: {{type: postgres, host: {host}, database: postgres, user: mlwf, password: none, sslmode: disable}}
online_store: {{type: postgres, host: {host}, database: postgres, user: mlwf, password: none, sslmode: disable}}
entity_key_serialization_version: 3
"""

N, NOW = 400, pd.Timestamp.now("UTC").floor("s").as_unit("us")


def orders() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    slots = rng.permutation(6 * N)[:N]
    at = NOW - pd.Timedelta(days=5) + pd.to_timedelta(slots % 480 * 15, unit="min")
    written = at + pd.to_timedelta(rng.permutation(N), unit="s")
    frame = pd.DataFrame({"customer_id": slots // 480, "at": at, "written": written, "amount": rng.random(N)})
    frame["n_items"] = pd.array(rng.integers(1, 9, N), "Int64")
    frame.loc[::7, "n_items"] = None
    frame["city"] = rng.choice(["Rome", "Oslo", None], N)
    # Of one key and one time twice: the one created last holds.
    return pd.concat([frame, frame[:40].assign(amount=2.0, written=written[:40] + pd.Timedelta(days=1))])


@pytest.fixture(autouse=True)
def _without_open_connections() -> Iterator[None]:
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    psycopg = pytest.importorskip("psycopg")
    pytest.importorskip("psycopg_pool")
    with postgresql_server() as uri:
        host = parse_qs(urlsplit(uri).query)["host"][0]
        with psycopg.connect(host=host, user="mlwf", dbname="postgres") as connection, connection.cursor() as cursor:
            cursor.execute(
                "CREATE TABLE orders (customer_id bigint, at timestamptz, written timestamptz, "
                "amount double precision, n_items bigint, city text)"
            )
            rows = orders().astype(object)
            with cursor.copy("COPY orders FROM STDIN") as copy:
                for row in rows.where(rows.notna(), None).itertuples(index=False):
                    copy.write_row(row)
        folder = tmp_path_factory.mktemp("theirs")
        (folder / "feature_store.yaml").write_text(CONFIG.format(uri=uri, host=host))
        with quiet_feast():
            from feast import Entity, FeatureStore, FeatureView, Field, ValueType
            from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
            from feast.types import Float64, Int64, String

            customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.INT64)
            source = PostgreSQLSource(
                name="orders", table="orders", timestamp_field="at", created_timestamp_column="written"
            )
            types = {"amount": Float64, "n_items": Int64, "city": String}
            schema = [Field(name=name, dtype=kind) for name, kind in types.items()]
            view = FeatureView(
                name="orders", entities=[customer], ttl=timedelta(hours=30), schema=schema, source=source
            )
            FeatureStore(repo_path=str(folder)).apply([customer, source, view])
        yield folder


@pytest.fixture
def labels() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    when = NOW - pd.Timedelta(days=6) + pd.to_timedelta(rng.integers(0, 7 * 96, 300) * 15, unit="min")
    frame = pd.DataFrame({"customer_id": rng.integers(0, 7, 300).astype(float), "when": when})
    frame.loc[3, "customer_id"] = None
    frame.loc[4, "when"] = pd.NaT
    return pd.concat([frame, frame[:5]])


def test_the_join_in_the_database_equals_that_of_the_same_rows_as_parquet(
    repo: Path, labels: pd.DataFrame, repo_of: Any, tmp_path: Path
) -> None:
    there = join_features(FeatureStoreSpec(repo_path=str(repo)), labels, time="when")
    # A declared view names no column of creation: in the file the one created last stands last.
    orders().sort_values("written").drop(columns="written").to_parquet(tmp_path / "orders.parquet", index=False)
    view = {"name": "orders", "source": str(tmp_path / "orders.parquet"), "entity": "customer_id", "timestamp": "at"}
    here = join_features(repo_of({**view, "ttl": "30h"}), labels, time="when")
    assert there.features == here.features == ("amount", "n_items", "city")
    pd.testing.assert_frame_equal(there.rows, here.rows, check_dtype=False)
    assert there.unmatched == here.unmatched
    assert (there.rows["amount"] == 2.0).any()


def test_what_is_materialized_there_equals_the_offline_features_of_that_time(repo: Path) -> None:
    spec = FeatureStoreSpec(repo_path=str(repo))
    done = materialize(spec)
    keys = pd.DataFrame({"customer_id": [5, 0, 99, 1, 2, 3, 4]})
    online = join_features(ServingSpec(**dict(spec)), keys, time=None)
    moment = {"timestamp": done.until.isoformat()}
    offline = join_features(spec.model_copy(update=moment), keys, time=None)
    pd.testing.assert_frame_equal(online.rows, offline.rows, check_dtype=False)
    assert 0 < online.unmatched["orders"] < len(keys)
