"""Runs whose features come from a Feast repo: their frozen pull, and what serves them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from mlwf.cli.display import Format, show_skew
from mlwf.errors import DataError, UsageError
from mlwf.modules.feature_store.pull import INDEX
from mlwf.modules.runs import CONFIG, PULL
from mlwf.modules.tracking import load_registered_model
from mlwf.orchestrator.api import run_experiment
from mlwf.orchestrator.feature_skew import measure_skew
from mlwf.orchestrator.prediction import materialize_run, predict_table
from mlwf.specs.loading import load_experiment

NOW = pd.Timestamp.now("UTC").floor("s").as_unit("us")
"""The online store has what holds now."""

CONFIG_TEXT = """\
data: {path: labels.parquet, test_path: labels_test.parquet, target: late, time: at}
feature_store:
  repo_path: repo
  initialize: true
  views:
    - {name: orders, source: orders.parquet, entity: customer, timestamp: at, ttl: 10d}
    - {name: customers, source: customers.parquet, entity: customer}
features:
  - {type: numeric, columns: [amount, items]}
  - {type: categorical, columns: [city]}
model: {algorithm: logistic_regression}
validation: {strategy: cross_validation, cv_folds: 2, splitter: stratified_kfold, metrics: [log_loss]}
tracking: {enabled: false}
"""


def write_tables(folder: Path) -> None:
    rng = np.random.default_rng(0)
    n, customers = 240, [f"c{number}" for number in range(30)]
    start = NOW - pd.Timedelta(days=60)
    orders = pd.DataFrame(
        {
            "customer": rng.choice(customers, n),
            "at": start + pd.to_timedelta(np.sort(rng.integers(0, 60 * 24, n)), unit="h"),
            "amount": rng.random(n).round(3),
            "items": pd.array(rng.integers(1, 9, n), "Int64"),
        }
    ).drop_duplicates(["customer", "at"])
    orders.loc[::9, "items"] = None
    orders.to_parquet(folder / "orders.parquet")
    cities = rng.choice(["Rome", "Oslo"], len(customers))
    pd.DataFrame({"customer": customers, "city": cities}).to_parquet(folder / "customers.parquet")
    labels = pd.DataFrame(
        {
            "customer": rng.choice([*customers, "unknown"], 120),
            "at": start + pd.to_timedelta(rng.integers(0, 70 * 24, 120), unit="h"),
            "late": rng.choice(["no", "yes"], 120),
        }
    )
    labels[:90].to_parquet(folder / "labels.parquet")
    labels[90:].to_parquet(folder / "labels_test.parquet")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with tables, a repo, and a run of them in `runs/one`."""
    folder = tmp_path_factory.mktemp("project")
    write_tables(folder)
    (folder / "late.yaml").write_text(CONFIG_TEXT)
    summary = run_experiment(*load_experiment(folder / "late.yaml"), runs_dir=folder / "runs")
    (folder / "runs" / summary["run_id"]).rename(folder / "runs" / "one")
    return folder


def summary_of(run: Path) -> dict:
    return json.loads((run / "summary.json").read_text())


def test_a_rerun_reads_the_frozen_pull_and_needs_no_store(project: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(project, tmp_path / "copy")
    config = copy / "runs" / "one" / CONFIG
    assert f"pull: {PULL}" in config.read_text()
    # The run's paths are those of the project; only the label rows are there still.
    moved = config.read_text().replace(str(project), str(copy))
    config.write_text(moved)
    shutil.rmtree(copy / "repo")
    (copy / "orders.parquet").unlink()
    run = run_experiment(*load_experiment(config), runs_dir=copy / "again")["run_id"]
    first, again = summary_of(project / "runs" / "one"), summary_of(copy / "again" / run)
    assert again["scores"] == first["scores"]
    assert {**again["feature_store"], "repo_path": ""} == {**first["feature_store"], "repo_path": ""}
    data = [json.loads((folder / "data.json").read_text()) for folder in (config.parent, copy / "again" / run)]
    assert data[0][PULL] == data[1][PULL]
    assert data[0]["training"]["digest"] == data[1]["training"]["digest"]
    assert {*data[0][PULL]} == {"training", "test"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("file", "training.parquet has changed since it was frozen"),
        ("none", "feature_pull has no frozen pull of the training rows"),
        ("labels", "feature_pull was joined to other label rows: 90 rows with other customer, at"),
        ("asked", "feature_pull was joined from other features, or as of another time"),
    ],
)
def test_a_pull_that_does_not_fit_is_refused(project: Path, tmp_path: Path, change: str, message: str) -> None:
    run = shutil.copytree(project / "runs" / "one", tmp_path / "run")
    pull, overrides = run / PULL, []
    if change == "file":
        file = pull / "training.parquet"
        file.write_bytes(file.read_bytes()[:-1] + b"x")
    elif change == "none":
        (pull / INDEX).unlink()
    elif change == "labels":
        labels = pd.read_parquet(project / "labels.parquet")
        labels.assign(customer="c1").to_parquet(tmp_path / "labels.parquet")
        overrides = [f"data.path={tmp_path / 'labels.parquet'}"]
    else:
        overrides = ["feature_store.features=[orders]"]
    with pytest.raises(DataError) as refused:
        run_experiment(*load_experiment(run / CONFIG, overrides), runs_dir=tmp_path / "runs")
    assert f"{message}; feature_store.pull: null joins from the store anew" in str(refused.value)


def predict(project: Path, keys: Path, **options: Any) -> pd.DataFrame:
    output = keys.with_name("predictions.parquet")
    predict_table("one", str(keys), output, runs_dir=project / "runs", tracking_uri="", **options)
    return pd.read_parquet(output)


@pytest.fixture(scope="module")
def served(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the same project, with the features of its run in the online store."""
    copy = shutil.copytree(project, tmp_path_factory.mktemp("served") / "project")
    config = copy / "runs" / "one" / CONFIG
    config.write_text(config.read_text().replace(str(project), str(copy)))
    done = materialize_run("one", runs_dir=copy / "runs")
    assert done.views == ("orders", "customers")
    assert done.until >= NOW
    return copy


def test_online_features_give_the_predictions_of_the_offline_ones_of_that_time(served: Path, tmp_path: Path) -> None:
    keys = pd.DataFrame({"customer": [*(f"c{number}" for number in range(29, -1, -1)), "unknown", None, "c3"]})
    keys.to_csv(tmp_path / "keys.csv", index=False)
    keys.assign(at=pd.Timestamp.now("UTC")).to_parquet(tmp_path / "now.parquet")
    online = predict(served, tmp_path / "keys.csv", online=True)
    offline = predict(served, tmp_path / "now.parquet")
    pd.testing.assert_frame_equal(online.drop(columns="customer"), offline[online.columns[1:]])
    orders = pd.read_parquet(served / "orders.parquet").groupby("customer")["at"].max()
    assert (orders < NOW - pd.Timedelta(days=10)).any()
    assert online["probability_yes"].nunique() > 20


def test_an_online_store_that_was_never_filled_is_reported(project: Path, tmp_path: Path, caplog: Any) -> None:
    pd.DataFrame({"customer": ["c1"]}).to_csv(tmp_path / "keys.csv", index=False)
    predict(project, tmp_path / "keys.csv", online=True)
    assert (
        "the online store has nothing from the view orders for any of these rows; `mlwf materialize RUN` fills it"
        in (caplog.messages)
    )


def test_a_run_without_a_feature_store_has_nothing_online(project: Path, tmp_path: Path) -> None:
    run = shutil.copytree(project / "runs" / "one", tmp_path / "runs" / "one")
    config = yaml.safe_load((run / CONFIG).read_text())
    del config["feature_store"]
    (run / CONFIG).write_text(yaml.safe_dump(config))
    with pytest.raises(UsageError) as refused:
        materialize_run("one", runs_dir=tmp_path / "runs")
    assert str(refused.value) == ("one: takes no features from a feature store, so there is nothing to materialize")
    with pytest.raises(UsageError) as refused:
        predict_table("one", "-", tmp_path / "p.csv", runs_dir=tmp_path / "runs", tracking_uri="", online=True)
    assert str(refused.value) == ("one: takes no features from a feature store, so none are online; leave out --online")


def test_a_registered_model_says_which_features_it_needs_and_takes_them(
    served: Path, empty_store: Path, tmp_path: Path
) -> None:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    changes = ["tracking.enabled=true", f"tracking.tracking_uri={uri}", "tracking.registered_model_name=late"]
    run_experiment(*load_experiment(served / "late.yaml", changes), runs_dir=tmp_path / "runs")
    file = load_registered_model("models:/late/1", uri)
    needed = yaml.safe_load(file.with_name("MLmodel").read_text())["metadata"]["feature_store"]
    assert needed == {
        "repo_path": str(served / "repo"),
        "feature_service": None,
        "features": None,
        "n_features": None,
        "keys": ["customer"],
        "time": "at",
        "columns": ["amount", "items", "city"],
    }
    keys = pd.DataFrame({"customer": [f"c{number}" for number in range(9)]})
    keys.to_parquet(tmp_path / "keys.parquet")
    output = tmp_path / "predictions.parquet"
    predict_table(
        "models:/late/1", str(tmp_path / "keys.parquet"), output, runs_dir=tmp_path, tracking_uri=uri, online=True
    )
    pd.testing.assert_frame_equal(pd.read_parquet(output), predict(served, tmp_path / "keys.parquet", online=True))


def differing(found: dict[str, Any]) -> dict[str, int]:
    return {each["feature"]: each["differ"] for each in found["features"]}


def test_online_features_that_are_older_than_the_offline_ones_are_skew(
    served: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(served, tmp_path / "project")
    config = copy / "runs" / "one" / CONFIG
    config.write_text(config.read_text().replace(str(served), str(copy)))
    pd.DataFrame({"customer": ["c1", "c2", "unknown"]}).to_csv(tmp_path / "keys.csv", index=False)
    same = measure_skew("one", str(tmp_path / "keys.csv"), runs_dir=copy / "runs")
    assert (same["rows"], same["served"]) == (3, "the online store")
    assert differing(same) == {"amount": 0, "items": 0, "city": 0}
    orders = pd.read_parquet(copy / "orders.parquet")
    later = pd.DataFrame({"customer": ["c1"], "at": [pd.Timestamp.now("UTC")], "amount": [7.5], "items": [None]})
    pd.concat([orders, later.astype({"items": "Int64"})]).to_parquet(copy / "orders.parquet")
    skew = measure_skew("one", str(tmp_path / "keys.csv"), runs_dir=copy / "runs")
    assert differing(skew) == {"amount": 1, "items": 1, "city": 0}
    assert skew["features"][0]["largest"] > 6
    assert skew["features"][1]["only_offline_missing"] == 1
    assert show_skew(skew, Format.table) is None
    shown = " ".join(capsys.readouterr().out.split())
    assert "3 rows: the online store beside the offline features as of" in shown
    assert "amount" in shown
    assert "33" in shown


def test_a_log_of_what_was_served_is_compared_with_the_features_of_its_time(served: Path, tmp_path: Path) -> None:
    joined = pd.read_parquet(served / "runs" / "one" / PULL / "training.parquet")
    joined.assign(city=["Paris", *joined["city"][1:]]).to_parquet(tmp_path / "log.parquet")
    skew = measure_skew("one", str(tmp_path / "log.parquet"), runs_dir=served / "runs")
    assert (skew["rows"], skew["served"], skew["as_of"]) == (90, "3 columns of the table", None)
    assert differing(skew) == {"amount": 0, "items": 0, "city": 1}
    joined.drop(columns="at").to_parquet(tmp_path / "log.parquet")
    with pytest.raises(DataError) as refused:
        measure_skew("one", str(tmp_path / "log.parquet"), runs_dir=served / "runs")
    assert str(refused.value) == (
        f"{tmp_path}/log.parquet  at: no such column, and a log of what was served needs the time of each row"
    )
