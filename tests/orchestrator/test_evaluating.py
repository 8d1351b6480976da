"""A shipped model on new rows: scores, gates and drift, by the table of next month alone."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import yaml

from mlwf.cli.boundary import run
from mlwf.errors import DataError, RunNotFoundError, UsageError
from mlwf.evaluation.predictions import predict
from mlwf.orchestrator.evaluating import evaluate_run, open_run


def people(n, *, shift=0.0, seed=0):
    draw = np.random.default_rng(seed)
    age = draw.normal(40 + shift, 10, n).round()
    city = draw.choice(["Bergen", "Lyon", "Turin"], n)
    bought = np.where(age + 10 * (city == "Lyon") + draw.normal(0, 5, n) > 44, "yes", "no")
    return pd.DataFrame({"age": age, "city": city, "weight": draw.integers(1, 4, n), "bought": bought})


@pytest.fixture(scope="module")
def folder(tmp_path_factory, empty_store):
    """Train a run that is tracked, and write tables."""
    folder = tmp_path_factory.mktemp("evaluate")
    people(400).to_csv(folder / "t.csv", index=False)
    (folder / "mlflow.db").write_bytes(empty_store.read_bytes())
    experiment = {
        "data": {"path": "t.csv", "target": "bought", "sample_weight": "weight"},
        "model": {"algorithm": "logistic_regression"},
        "validation": {"cv_folds": 3, "metrics": ["accuracy", "roc_auc"], "slices": ["city"]},
        "gates": [{"metric": "accuracy", "min": 0.75, "source": "cross_validation"}, {"finding": "leakage"}],
        "tracking": {"tracking_uri": f"sqlite:///{folder}/mlflow.db"},
    }
    (folder / "e.yaml").write_text(yaml.safe_dump(experiment))
    assert run(["train", str(folder / "e.yaml"), "-q", "--runs-dir", str(folder / "runs"), "--format", "json"]) == 0
    people(300, seed=1).to_csv(folder / "like.csv", index=False)
    people(300, shift=15, seed=1).to_csv(folder / "older.csv", index=False)
    people(300, seed=1).drop(columns="bought").to_csv(folder / "unlabelled.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def like(folder):
    return evaluate_run("latest", str(folder / "like.csv"), runs_dir=folder / "runs")


def score_of(found, metric, part=None):
    return next(
        each for each in [*found["scores"], *found["slices"]] if (each["metric"], each["slice"]) == (metric, part)
    )


def test_the_scores_are_those_of_the_model_on_the_table(folder, like):
    table = pd.read_csv(folder / "like.csv")
    predictions = predict(open_run("latest", folder / "runs").model, table[["age", "city"]])
    is_right = predictions.labels == table["bought"]
    accuracy = score_of(like, "accuracy")
    assert accuracy["value"] == pytest.approx(np.average(is_right, weights=table["weight"]))
    assert accuracy["interval"]["low"] < accuracy["value"] < accuracy["interval"]["high"]
    assert accuracy["difference"]["value"] > 0
    assert accuracy["note"] == "new table of 300 rows, read by the schema of the training; weighted by weight"
    lyon = (table["city"] == "Lyon").to_numpy()
    in_lyon = np.average(is_right[lyon], weights=table["weight"][lyon])
    assert score_of(like, "accuracy", "city = Lyon")["value"] == pytest.approx(in_lyon)


def test_gates_are_checked_on_the_table_whichever_rows_they_name(like):
    gate, other = like["gates"]
    assert (gate["passed"], gate["source"], gate["is_checked"]) == (True, "new_rows", True)
    assert (other["got"], other["passed"], other["is_checked"]) == ("leakage is looked for in a training", True, False)


def test_rows_like_those_of_the_training_are_no_finding(like):
    assert [each["column"] for each in like["drift"]["columns"]][:2] == ["(predictions)", "age"]
    assert like["findings"] == []


def test_an_evaluation_is_an_mlflow_run_below_that_of_the_training(folder, like):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    tracked = client.get_run(like["tracking"]["run_id"])
    assert tracked.data.tags["mlflow.parentRunId"] == like["tracking"]["parent_run_id"]
    assert tracked.data.tags["mlwf.gates"] == "met"
    assert tracked.data.metrics["new_accuracy"] == score_of(like, "accuracy")["value"]
    assert tracked.data.metrics["drift/age"] == like["drift"]["columns"][1]["distance"]
    assert [file.path for file in client.list_artifacts(tracked.info.run_id)] == ["evaluation.json"]
    assert tracked.info.status == "FINISHED"


def test_a_run_that_only_the_store_has_is_fetched_from_there(folder, like, tmp_path, capsys):
    summary = json.loads(next((folder / "runs").glob("*/summary.json")).read_text("utf-8"))
    run_id, store = summary["tracking"]["run_id"], summary["tracking"]["tracking_uri"]
    command = ["evaluate", run_id, str(folder / "like.csv"), "--runs-dir", str(tmp_path), "--tracking-uri", store]
    assert run([*command, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["run_id"] == summary["run_id"]
    assert [each["value"] for each in found["scores"]] == [each["value"] for each in like["scores"]]
    # Without the predictions of single rows, which stay in the folder of the run.
    assert [each["column"] for each in found["drift"]["columns"]] == ["age", "city"]
    assert run(["evaluate", "nowhere", *command[2:]]) == 2
    assert f"and {store} has no run 'nowhere'" in capsys.readouterr().err


def test_drift_is_a_finding_and_a_gate_that_is_not_met_is_exit_code_3(folder, capsys):
    command = ["evaluate", "latest", str(folder / "older.csv"), "--runs-dir", str(folder / "runs"), "--format", "json"]
    code = run(command)
    found = json.loads(capsys.readouterr().out)
    (finding,) = found["findings"]
    assert finding["code"] == "drift"
    assert "(predictions)" in finding["message"]
    assert "age" in finding["message"]
    assert code == (0 if found["gates"][0]["passed"] else 3)


def test_without_labels_there_are_shares_and_drift_and_no_scores(folder):
    found = evaluate_run("latest", str(folder / "unlabelled.csv"), runs_dir=folder / "runs")
    assert found["scores"] == []
    assert [(gate["got"], gate["is_checked"]) for gate in found["gates"]] == [
        ("the table has no labels", False),
        ("leakage is looked for in a training", False),
    ]
    assert sum(found["predictions"]["shares"].values()) == pytest.approx(1)
    assert 0.5 < found["predictions"]["expected_accuracy"] < 1
    assert len(found["drift"]["columns"]) == 3


def test_rows_without_a_label_are_left_out_and_counted(folder):
    table = people(300, seed=1)
    table.loc[:9, "bought"] = None
    table.to_csv(folder / "some.csv", index=False)
    found = evaluate_run("latest", str(folder / "some.csv"), runs_dir=folder / "runs")
    assert (found["data"]["rows"], found["data"]["labelled_rows"]) == (300, 290)
    assert "10 rows without a label left out" in found["warnings"]


def test_rows_that_the_model_was_trained_on_are_told_beyond_those_that_are_alike_by_chance(folder):
    people(400).sample(200, random_state=0).assign(extra=1).to_csv(folder / "known.csv", index=False)
    found = evaluate_run("latest", str(folder / "known.csv"), runs_dir=folder / "runs")
    (finding,) = [each for each in found["findings"] if each["code"] == "duplicates"]
    assert finding["severity"] == "warning"
    assert finding["message"].startswith(
        "200 of 200 new rows (100.0 %) are, in features and label, rows that the model was trained on"
    )


@pytest.fixture(scope="module")
def visits(tmp_path_factory):
    """Train a run with groups, weights, dates and slices by condition, and write a table with rows without a label."""
    folder = tmp_path_factory.mktemp("visits")

    def table(n, seed):
        draw = np.random.default_rng(seed)
        day = pd.Timestamp("2024-01-01") + pd.to_timedelta(draw.integers(0, 4, n), "D")
        return people(n, seed=seed).assign(person=draw.integers(0, n // 3, n), day=day.strftime("%Y-%m-%d"))

    table(240, 0).to_csv(folder / "t.csv", index=False)
    experiment = {
        "data": {"path": "t.csv", "target": "bought", "sample_weight": "weight", "groups": "person", "drop": ["city"]},
        "model": {"algorithm": "gradient_boosting", "hyperparameters": {"n_estimators": 9}},
        "validation": {
            "cv_folds": 2,
            "metrics": ["roc_auc", "ece"],
            "slices": ["city", "age > 40", "day < 2024-01-03"],
        },
    }
    (folder / "e.yaml").write_text(yaml.safe_dump(experiment))
    assert run(["train", str(folder / "e.yaml"), "-q", "--runs-dir", str(folder / "runs"), "--format", "json"]) == 0
    new = pd.concat([table(240, 0)[:30], table(130, 1)], ignore_index=True)
    new.loc[[*range(20), 44, 45, 90], "bought"] = None
    new.loc[60:70, "weight"] = 0
    new.loc[50:, "day"] = new.loc[50:, "day"] + "T06:00:00+02:00"
    new.to_csv(folder / "new.csv", index=False)
    new.drop(columns="bought").to_csv(folder / "unlabelled.csv", index=False)
    new = new.astype(object)
    new.loc[[100, 120], ["age", "weight", "bought"]] = [["inf", "heavy", "perhaps"], ["-inf", -1, "perhaps"]]
    new.to_csv(folder / "wrong.csv", index=False)
    new.assign(weight=0).loc[:99].to_csv(folder / "weightless.csv", index=False)
    return folder


@pytest.mark.parametrize("table", ["new.csv", "unlabelled.csv"])
def test_a_table_that_is_read_by_batches_is_evaluated_as_a_whole_one(visits, table):
    whole, by_seven = (
        evaluate_run("latest", str(visits / table), runs_dir=visits / "runs", rows_at_once=n) for n in (1000, 7)
    )
    assert by_seven == whole
    assert whole["data"]["labelled_rows"] == (137 if table == "new.csv" else 0)


@pytest.mark.parametrize("rows_at_once", [7, 1000])
@pytest.mark.parametrize("table", ["wrong.csv", "weightless.csv"])
def test_all_that_is_wrong_is_told_with_the_rows_of_the_table(visits, table, rows_at_once):
    with pytest.raises(DataError) as raised:
        evaluate_run("latest", str(visits / table), runs_dir=visits / "runs", rows_at_once=rows_at_once)
    told = [f"{problem.key}: {problem.message}" for problem in raised.value.problems]
    if table == "weightless.csv":
        assert told == ["weight: all weights are 0"]
    else:
        assert told == [
            "bought: class 'perhaps' (2 rows) does not occur in training",
            "weight: row 101 holds 'heavy', and a weight is a number",
            "weight: row 121 holds '-1', and a weight is at least 0",
            "age: 2 infinite values: row 101 holds inf",
        ]


def test_a_server_shows_the_gates_and_findings_as_tests(folder):
    page = folder / "junit.xml"
    run(["evaluate", "latest", str(folder / "older.csv"), "--runs-dir", str(folder / "runs"), "--junit", str(page)])
    cases = {case.get("name"): case for case in ElementTree.parse(page).iter("testcase")}
    assert cases["no finding leakage"].find("skipped").get("message").startswith("not checked: leakage is looked for")
    assert cases["drift"].find("skipped") is not None
    run(["evaluate", "latest", str(folder / "nowhere.csv"), "--runs-dir", str(folder / "runs"), "--junit", str(page)])
    (error,) = ElementTree.parse(page).iter("error")
    assert "nowhere.csv" in error.get("message")


@pytest.mark.parametrize("form", ["table", "markdown"])
def test_it_is_shown(folder, capsys, form):
    run(["evaluate", "latest", str(folder / "like.csv"), "--runs-dir", str(folder / "runs"), "--format", form])
    shown = capsys.readouterr().out
    for words in ("New table of 300 rows", "city = Lyon", "(predictions)", "alike", "gates met"):
        assert words in shown.replace("1 gate met", "gates met")


def test_a_page_shows_the_new_rows_beside_the_training(folder):
    page = folder / "page.html"
    for table in ("older.csv", "unlabelled.csv"):
        evaluate_run("latest", str(folder / table), runs_dir=folder / "runs", report=page)
        html = page.read_text("utf-8")
        assert ("New table of 300 rows" in html) is (table == "older.csv")
        for words in ("Drift", "(predictions)", "drifted" if table == "older.csv" else "alike"):
            assert words in html
        assert "new rows</li>" in html


def test_a_run_or_a_table_that_does_not_do_is_refused(folder):
    runs_dir = folder / "runs"
    with pytest.raises(UsageError, match="is a registered model; give the run that trained it"):
        evaluate_run("models:/x@y", str(folder / "t.csv"), runs_dir=runs_dir)
    with pytest.raises(RunNotFoundError, match="no run 'nothing'"):
        evaluate_run("nothing", str(folder / "t.csv"), runs_dir=runs_dir)
    people(30).drop(columns="age").to_csv(folder / "narrow.csv", index=False)
    with pytest.raises(DataError, match="no such column, which"):
        evaluate_run("latest", str(folder / "narrow.csv"), runs_dir=runs_dir)
    table = people(30)
    table.loc[0, "bought"] = "maybe"
    table.to_csv(folder / "other.csv", index=False)
    with pytest.raises(DataError, match=r"class 'maybe' .* does not occur in training"):
        evaluate_run("latest", str(folder / "other.csv"), runs_dir=runs_dir)


def test_a_run_of_an_older_version_has_no_profile(folder, tmp_path):
    import shutil

    shutil.copytree(folder / "runs", tmp_path / "runs", ignore=shutil.ignore_patterns(".fits"))
    (kept,) = [path for path in (tmp_path / "runs").iterdir() if not path.name.startswith(".")]
    Path(kept, "profile.json").unlink()
    Path(kept, "training_rows.npz").unlink()
    shutil.rmtree(kept / "predictions")
    found = evaluate_run(kept.name, str(folder / "like.csv"), runs_dir=tmp_path / "runs")
    assert found["drift"]["columns"] == []
    assert "the run keeps no profile of its training: no drift; one trained now does" in found["warnings"]
    assert "the run keeps no hashes of its training rows; one trained now does" in found["warnings"]
