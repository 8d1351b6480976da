"""Several experiments are trained in turn, whatever becomes of each, and compared in the end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlwf.cli.boundary import run
from mlwf.cli.experiments import Job, list_jobs, train_each
from mlwf.errors import ConfigError, FitError, Problem, UsageError

A, B = Path("a.yaml"), Path("b.yaml")


def test_list_jobs_makes_the_product_of_files_and_values():
    jobs = list_jobs([A, B], ["name=x"], ["model.algorithm=svc,knn", "tuning.param_grid.C=[1, 2],'3,4'"])
    assert len(jobs) == 8
    assert jobs[1] == Job(
        A,
        ("name=x", "model.algorithm=svc", "tuning.param_grid.C='3,4'"),
        ("model.algorithm=svc", "tuning.param_grid.C='3,4'"),
    )
    assert jobs[-1].title == "b.yaml model.algorithm=knn tuning.param_grid.C='3,4'"


@pytest.mark.parametrize(
    ("overrides", "sweeps", "message"),
    [
        ([], ["a"], "--sweep a: names no values; write --sweep KEY=VALUE,VALUE"),
        ([], ["a="], "--sweep a: names no values; write --sweep KEY=VALUE,VALUE"),
        ([], ["a=1,,2"], "--sweep a: names no values; write --sweep KEY=VALUE,VALUE"),
        ([], ["a=1", "a=2"], "--sweep a: this key is set or swept already; name all of its values once"),
        (["a=3"], ["a=1,2"], "--sweep a: this key is set or swept already; name all of its values once"),
    ],
    ids=["no values", "empty", "one is empty", "twice", "set"],
)
def test_list_jobs_refuses_other_sweeps(overrides, sweeps, message):
    with pytest.raises(UsageError) as caught:
        list_jobs([A], overrides, sweeps)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("results", "code"),
    [
        pytest.param([True, True], 0, id="done"),
        pytest.param([True, False], 3, id="a gate"),
        pytest.param([False, ConfigError("wrong")], 2, id="a file"),
        pytest.param([FitError("no"), ConfigError("wrong")], 1, id="a fit"),
        pytest.param([ZeroDivisionError(), FitError("no")], 4, id="a bug"),
    ],
)
def test_train_each_has_the_exit_code_of_the_worst(results, code):
    left = list(results)

    def train(job):
        result = left.pop(0)
        if isinstance(result, Exception):
            raise result
        return {"gates": [{"passed": result}]}

    done = train_each([Job(A, ()), Job(B, ())], train, quiet=True)
    assert not left
    assert done.code == code
    assert len(done.summaries) == sum(isinstance(result, bool) for result in results)
    assert isinstance(done.bug, ZeroDivisionError) is (code == 4)


@pytest.fixture
def train(tmp_path, monkeypatch, capsys):
    """Give what trains with these arguments, beside two experiments, and gives the code and what was written."""
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=60)
    pd.DataFrame({"x": x, "y": np.where(x > 0, "yes", "no")}).to_csv("t.csv", index=False)
    A.write_text("data: {path: t.csv, target: y}\nmodel: {algorithm: gaussian_nb}\nvalidation: {cv_folds: 3}\n")
    B.write_text("extends: a.yaml\nmodel: {algorithm: knn}\n")

    def train(*arguments):
        code = run(["train", *arguments, "--quiet", "--format", "json"])
        written = capsys.readouterr()
        return code, json.loads(written.out) if written.out else None, written.err

    return train


def test_one_that_fails_does_not_stop_the_others(train):
    code, found, err = train("a.yaml", "missing.yaml", "b.yaml", "--set", "gates=[{metric: accuracy, min: 0.1}]")
    assert code == 2
    assert [run["algorithm"] for run in found["runs"]] == ["gaussian_nb", "knn"]
    assert all(score["differences"] for score in found["scores"])
    assert err == "2 of 3: missing.yaml\nmissing.yaml  does not exist\n"


def test_a_sweep_shares_its_fits_even_afresh(train):
    code, found, err = train("a.yaml", "--fresh", "--sweep", "validation.metrics=[accuracy],[log_loss]")
    assert (code, err) == (0, "")
    assert [each["key"] for each in found["configuration"]] == ["validation.metrics"]
    first, second = (run["fits"] for run in found["runs"])
    assert (first["fitted"] > 0, second["fitted"]) == (True, 0)


def test_the_page_of_a_github_job_has_each_run_and_the_comparison(train, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "page.md"))
    train("a.yaml", "b.yaml")
    headings = [line for line in (tmp_path / "page.md").read_text().splitlines() if line.startswith("## ")]
    assert [heading.split()[1] for heading in headings] == ["a", "b", "b:"]


def test_one_that_is_left_is_shown_alone(train):
    code, found, _ = train("a.yaml", "missing.yaml")
    assert (code, found["summary"]["algorithm"]) == (2, "gaussian_nb")


def test_the_page_of_a_run_is_that_of_one(train):
    expected = "mlwf train: --report is the page of one run; `mlwf report --all` makes those of several\n"
    assert train("a.yaml", "b.yaml", "--report", "x.html") == (2, None, expected)


# Annotations


@pytest.fixture
def validate(tmp_path, monkeypatch, capsys):
    """Give what validates an experiment in a job of GitHub's, and gives what was written to stderr."""
    folder = tmp_path / "configs"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))

    def validate(name, text):
        Path(name).write_text(text)
        assert run(["validate", name]) == 2
        return capsys.readouterr().err.splitlines()

    return validate


def test_what_is_wrong_in_a_file_is_annotated_for_github(validate):
    assert validate("e.yaml", "data: {path: t.csv, target: y}\non_error: '100%'\n") == [
        "::error file=configs/e.yaml,line=2,col=11::on_error: is '100%25'; accepted: degrade, fail",
        "e.yaml:2:11  on_error: is '100%'; accepted: degrade, fail",
    ]


def test_names_of_files_are_escaped_for_github(validate):
    annotation, _ = validate("a,b.yaml", "data: {path: t.csv, target: y}\nx: 1\n")
    assert annotation.startswith("::error file=configs/a%2Cb.yaml,line=2,col=1::x: unknown key")


def test_elsewhere_nothing_is_annotated(validate, monkeypatch):
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert len(validate("e.yaml", "data: {path: t.csv, target: y}\nx: 1\n")) == 1


def test_train_each_annotates_what_is_wrong(monkeypatch, capsys):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)

    def train(job):
        raise ConfigError(Problem("a.yaml:1:2", "x", "unknown key"))

    train_each([Job(A, ())], train, quiet=True)
    assert capsys.readouterr().err.splitlines()[0] == "::error file=a.yaml,line=1,col=2::x: unknown key"
