"""Why a row of a table is predicted as it is, for any model that ships."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import yaml

from mlwf.cli.boundary import run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Train a calibrated model with a threshold, and one that has labels alone."""
    folder = tmp_path_factory.mktemp("explain")
    table = pd.DataFrame({"x": range(120), "noise": [at * 7 % 11 for at in range(120)]})
    table["y"] = ["yes" if x > 60 + noise else "no" for x, noise in zip(table["x"], table["noise"], strict=True)]
    table.to_csv(folder / "t.csv", index=False)
    for name, sections in {
        "calibrated": {
            "model": {"algorithm": "gaussian_nb"},
            "calibration": {"method": "sigmoid", "keep": "always"},
            "threshold": {"scoring": "f1"},
        },
        "labels": {"model": {"algorithm": "svc"}},
    }.items():
        experiment = {
            "data": {"path": "t.csv", "target": "y"},
            "features": [{"type": "numeric", "columns": ["x", "noise"]}],
            "validation": {"strategy": "none"},
            **sections,
        }
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(experiment))
        assert run(["train", str(folder / f"{name}.yaml"), "-q", "--runs-dir", str(folder / name)]) == 0
    return folder


@pytest.fixture
def explain(folder, capsys):
    """Give a function that explains a row; it gives the exit code and what was written."""
    capsys.readouterr()

    def explain(*options, model="calibrated", table="t.csv"):
        code = run(["explain", "latest", str(folder / table), "--runs-dir", str(folder / model), *options])
        return code, capsys.readouterr()

    return explain


@pytest.mark.parametrize("model", ["calibrated", "labels"])
def test_the_column_that_decides_comes_first(explain, model):
    code, wrote = explain("--row", "119", "--format", "json", model=model)
    found = json.loads(wrote.out)
    first, second = found["columns"]
    assert (code, found["class"], found["prediction"], found["n_background"]) == (0, "yes", "yes", 119)
    assert (first["column"], first["value"]) == ("x", 118)
    assert first["contribution"] > 10 * abs(second["contribution"])
    assert found["has_probabilities"] is (model == "calibrated")
    assert found["average"] + first["contribution"] + second["contribution"] == pytest.approx(found["probability"])


@pytest.mark.parametrize("form", ["table", "markdown"])
def test_it_is_shown(explain, form):
    code, wrote = explain("--row", "1", "--format", form)
    assert code == 0
    for words in ("row 1: predicted no", "is the average", "Strumbelj and Kononenko 2014", "±"):
        assert words in wrote.out


@pytest.mark.parametrize("row", ["0", "121"])
def test_a_row_that_is_not_there_is_refused(explain, folder, row):
    code, wrote = explain("--row", row)
    assert (code, wrote.err) == (2, f"--row {row}: {folder}/t.csv has 120 rows; accepted: 1 to 120\n")


def test_a_row_alone_has_nothing_to_be_compared_with(explain, folder):
    (folder / "one.csv").write_text("x,noise\n3,1\n")
    code, wrote = explain("--row", "1", table="one.csv")
    assert code == 2
    assert "has one row, and others are needed" in wrote.err
