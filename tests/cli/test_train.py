"""The exit code of a run tells whether its gates are met, and a GitHub job's page is told of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from mlwf.cli.boundary import run
from mlwf.cli.run_lookup import all_from_here
from mlwf.tables import summary_markdown

MET = {"metric": "accuracy", "min": 0.5}
NOT_MET = {"metric": "accuracy", "min": 1}


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Give a function that trains with these gates, and gives the exit code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    draw = np.random.default_rng(0)
    x = draw.normal(size=90)
    pd.DataFrame({"x": x, "y": np.where(x + draw.normal(0, 0.5, 90) > 0, "yes", "no")}).to_csv("t.csv", index=False)

    def train(*gates, **sections):
        written = {
            "data": {"path": "t.csv", "target": "y"},
            "model": {"algorithm": "gaussian_nb"},
            "validation": {"cv_folds": 3},
            "gates": list(gates),
            **sections,
        }
        (tmp_path / "e.yaml").write_text(yaml.safe_dump(written), "utf-8")
        return run(["train", "e.yaml", "--quiet", "--format", "json"])

    return train


def test_train_tells_what_was_searched_for_leaks(train, capsys):
    assert train() == 0
    searched = json.loads(capsys.readouterr().out)["leak_search"]
    assert searched["leaks"] == []
    # What the noise leaves of x reaches more than 0.85, and less than 0.97.
    told = [searched[key] for key in ("columns", "screened", "suspects", "probed", "rows", "rows_judged")]
    assert told == [1, 1, 1, 1, 90, 90]


@pytest.mark.parametrize(
    ("gates", "code"),
    [
        ([], 0),
        ([NOT_MET], 3),
        ([MET, NOT_MET, MET], 3),
        ([{"finding": "no_better_than_baseline"}, {"metric": "accuracy", "beats": "baseline", "by": 0.9}], 3),
    ],
    ids=["none", "not met", "one of three", "the baseline"],
)
def test_train_says_with_its_exit_code_whether_the_gates_are_met(train, capsys, gates, code):
    assert train(*gates) == code
    told = capsys.readouterr()
    assert told.err == ""
    summary = json.loads(told.out)
    assert (summary["status"], len(summary["gates"])) == ("done", len(gates))
    assert all(gate["passed"] for gate in summary["gates"]) is (code == 0)


def test_a_gate_on_what_is_not_computed_is_told_before_the_run(train, capsys):
    assert train({"metric": "recall", "min": 0.5}) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.endswith(
        "gates.0.metric: is 'recall', which the run does not compute; add it to validation.metrics\n"
    )


def test_a_run_that_fails_is_not_a_gate_that_is_not_met(train, capsys):
    broken = {"algorithm": "logistic_regression", "hyperparameters": {"l1_ratio": 1.0}}
    assert train(NOT_MET, model=broken) == 1
    assert capsys.readouterr().err.startswith("the model could not be fitted: ")


@pytest.mark.parametrize("gate", [MET, NOT_MET], ids=["met", "not met"])
def test_the_page_of_a_github_job_is_appended_to_once(train, capsys, monkeypatch, tmp_path, gate):
    page = tmp_path / "page.md"
    page.write_text("# Before\n", "utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    train(gate)
    told = capsys.readouterr()
    assert told.err == ""
    assert page.read_text("utf-8") == f"# Before\n{summary_markdown(all_from_here(json.loads(told.out)))}"


def test_a_page_that_is_not_there_yet_is_made(train, monkeypatch, tmp_path):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "page.md"))
    train(MET)
    assert "accuracy at least 0.5" in (tmp_path / "page.md").read_text("utf-8")


@pytest.mark.parametrize("value", [None, ""], ids=["unset", "empty"])
def test_without_a_page_nothing_is_written_but_the_run(train, monkeypatch, tmp_path, value):
    if value is not None:
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", value)
    assert train(MET) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.yaml", "runs", "t.csv"]


@pytest.mark.parametrize(
    ("page", "why", "gate", "code"),
    [("nowhere/page.md", "No such file or directory", MET, 0), (".", "Is a directory", NOT_MET, 3)],
    ids=["no folder", "a folder"],
)
def test_a_page_that_cannot_be_written_is_said_and_changes_nothing(train, capsys, monkeypatch, page, why, gate, code):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", page)
    assert train(gate) == code
    told = capsys.readouterr()
    assert told.err == f"GITHUB_STEP_SUMMARY: {page}: {why}\n"
    assert json.loads(told.out)["status"] == "done"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["train", "e.yaml", "-q", "-v"], "mlwf train: --verbose has no effect with --quiet; leave one of the two out"),
        (
            ["predict", "20260101", "t.csv", "-o", "p.csv", "--tracking-uri", "sqlite:///mlflow.db"],
            "mlwf predict: --tracking-uri has no effect with the id of a run; leave it out",
        ),
    ],
    ids=["quiet and verbose", "a run on a store"],
)
def test_an_option_of_the_command_line_without_effect_is_refused(train, capsys, arguments, told):
    assert run(arguments) == 2
    assert capsys.readouterr().err == f"{told}\n"


def test_a_store_that_the_environment_names_is_no_option_of_predict(train, capsys, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    assert run(["predict", "latest", "t.csv", "-o", "p.csv"]) == 2
    assert "no run here" in capsys.readouterr().err


def test_an_option_of_the_file_without_effect_is_told_by_train_and_validate(train, capsys):
    remark = "e.yaml:8:3  validation.cv_folds: has no effect: nothing in this experiment is cut into that many folds"
    assert train(validation={"strategy": "train_test", "cv_folds": 3}) == 0
    (told,) = json.loads(capsys.readouterr().out)["warnings"]
    assert told == f"{remark}; leave it out"
    assert run(["validate", "e.yaml"]) == 0
    assert capsys.readouterr().err == f"{told}\n"


def test_importances_are_of_the_columns_of_the_table_whatever_the_algorithm(train, capsys):
    assert train(model={"algorithm": "hist_gradient_boosting", "hyperparameters": {"max_iter": 2}}) == 0
    summary = json.loads(capsys.readouterr().out)
    importances = summary["importances"]
    assert importances["available"]
    names = [name for column in importances["columns"] for name in column["columns"]]
    assert sorted(names) == sorted(name for group in summary["features"]["used"] for name in group["columns"])
    assert f"| **Importances** | {names[0]} " in summary_markdown(summary)
    dependence = json.loads(Path("runs", summary["run_id"], "partial_dependence.json").read_text())
    assert {column["column"] for column in dependence["columns"]} <= set(names)


def test_without_rows_to_measure_them_on_there_are_no_importances_and_a_reason(train, capsys):
    assert train(validation={"strategy": "none"}) == 0
    summary = json.loads(capsys.readouterr().out)
    note = "there are no rows that the model did not learn from: neither a validation nor a test set"
    assert summary["importances"] == {"available": False, "note": note}
    assert f"| **Importances** | none: {note} |" in summary_markdown(summary)
