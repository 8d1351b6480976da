"""A run predicts tables: columns by name, keys kept, clear words for what is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlwf.engine.model_file import load_model
from mlwf.errors import DataError, UsageError
from mlwf.orchestrator.api import run_experiment
from mlwf.orchestrator.drafting import draft_experiment
from mlwf.orchestrator.prediction import predict_table
from mlwf.specs.loading import load_experiment

STORE = "sqlite:///absent.db"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train on a small table with a key; give its folder and rows."""
    folder = tmp_path_factory.mktemp("trained")
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "customer_id": [f"c{i:04}" for i in range(120)],
            "age": rng.normal(40, 9, 120).round(1),
            "plan": rng.choice(["basic", "gold"], 120),
            "churned": rng.choice(["no", "yes"], 120),
        }
    )
    rows.to_csv(folder / "rows.csv", index=False)
    (folder / "e.yaml").write_text(
        "data: {path: rows.csv, target: churned}\n"
        "model: {algorithm: gradient_boosting, hyperparameters: {n_estimators: 5}}\n"
        "validation: {strategy: none}\n"
    )
    spec, document = load_experiment(folder / "e.yaml")
    run_experiment(spec, document, runs_dir=folder / "runs")
    return folder, rows


def predicted(folder, table, suffix=".csv"):
    path = folder / f"table{suffix}"
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)
    out = folder / f"out{suffix}"
    predict_table("latest", str(path), out, runs_dir=folder / "runs", tracking_uri=STORE)
    return pd.read_csv(out) if suffix == ".csv" else pd.read_parquet(out)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_predict_keeps_keys_and_gives_labels_and_probabilities(trained, suffix):
    folder, rows = trained
    out = predicted(folder, rows.drop(columns="churned"), suffix)
    assert list(out.columns) == ["customer_id", "prediction", "probability_no", "probability_yes"]
    assert out["customer_id"].tolist() == rows["customer_id"].tolist()
    (run,) = (folder / "runs").glob("2*")
    proba = load_model(run / "model.skops").predict_proba(rows[["age", "plan"]])
    np.testing.assert_allclose(out[["probability_no", "probability_yes"]], proba, rtol=1e-12)


def test_predict_addresses_columns_by_name(trained):
    folder, rows = trained
    turned = rows[rows.columns[::-1]].assign(extra=1)
    assert predicted(folder, turned)["probability_yes"].equals(predicted(folder, rows)["probability_yes"])


def test_predict_takes_one_row_with_nothing_in_it(trained):
    folder, _ = trained
    out = predicted(folder, pd.DataFrame({"customer_id": ["x"], "age": [None], "plan": [None]}))
    assert out["prediction"].isin(["no", "yes"]).all()


def test_predict_says_which_columns_are_missing(trained):
    folder, rows = trained
    with pytest.raises(DataError) as raised:
        predicted(folder, rows.drop(columns=["plan"]).rename(columns={"age": "agee"}))
    assert str(raised.value).replace(f"{folder}/", "").splitlines() == [
        "table.csv  age: no such column, which the model names; did you mean agee?",
        "table.csv  plan: no such column, which the model names; accepted: agee, churned, customer_id",
    ]


def test_predict_refuses_a_suffix_before_it_reads(trained):
    folder, _ = trained
    with pytest.raises(UsageError, match=r"out\.xlsx"):
        predict_table("latest", "nowhere.csv", folder / "out.xlsx", runs_dir=folder / "runs", tracking_uri=STORE)


def test_draft_says_how_many_rows_have_no_target(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [f"{age},{kind}\n" for age, kind in enumerate(["a", "null", "b", "b"] * 5)]
    Path("rows.csv").write_text("age,kind\n" + "0.5,a\n" + "".join(rows), encoding="utf-8")
    path = draft_experiment("rows.csv", "kind", None).path
    assert path.read_text().startswith(
        "# 5 of 21 rows are left out: their target is missing, as are empty, NA, null and None in CSV\n"
    )
    assert load_experiment(path)[0].data.drop_missing_target


def test_draft_is_ready_to_train_and_says_what_it_left_out(trained, monkeypatch):
    folder, _ = trained
    monkeypatch.chdir(folder)
    path = draft_experiment("rows.csv", "churned", None).path
    assert path.read_text().startswith("# customer_id is left out: identifier: all 120 values are different\n")
    spec, _ = load_experiment(path)
    assert [(feature.type, feature.columns) for feature in spec.features] == [
        ("numeric", ["age"]),
        ("categorical", ["plan"]),
    ]
    assert spec.data.drop == ["customer_id"]
    with pytest.raises(UsageError, match=r"rows\.yaml: is there already"):
        draft_experiment("rows.csv", "churned", None)
