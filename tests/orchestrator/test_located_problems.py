"""What is wrong with the data is told at the line and column of the experiment file that it comes from."""

from __future__ import annotations

import pytest

from mlwf.errors import DataError
from mlwf.orchestrator.api import check_data
from mlwf.specs.loading import load_experiment

ROWS = "age,sex,city,y\n" + "".join(
    f"{20 + i}.5,{'mf'[i % 2]},c{i % 3},{'no' if i % 3 else 'yes'}\n" for i in range(60)
)


def problems(tmp_path, monkeypatch, text, overrides=()):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(ROWS)
    (tmp_path / "e.yaml").write_text(text)
    spec, document = load_experiment(tmp_path / "e.yaml", overrides)
    with pytest.raises((DataError, ValueError)) as raised:
        check_data(spec, document)
    return str(raised.value).replace(f"{tmp_path}/", "").splitlines()


CASES = {
    "absent columns, in file order": (
        (
            "data:\n  path: t.csv\n  target: yy\n  drop: [cty]\n"
            "features:\n  - {type: numeric, columns: [aeg]}\n  - {type: categorical, columns: [sexx]}\n"
        ),
        [
            "e.yaml:3:11  data.target: t.csv: yy: no such column; did you mean y?",
            "e.yaml:4:10  data.drop.0: t.csv: cty: no such column; did you mean city?",
            "e.yaml:6:31  features.0.columns.0: t.csv: aeg: no such column; did you mean age?",
            "e.yaml:7:35  features.1.columns.0: t.csv: sexx: no such column; did you mean sex?",
        ],
    ),
    "a class that does not occur": (
        "data: {path: t.csv, target: y, positive_class: maybe}\n",
        [
            (
                "e.yaml:1:48  data.positive_class: t.csv: y: data.positive_class is the text 'maybe', which does not "
                "occur; accepted: 'no', 'yes'"
            )
        ],
    ),
    "a class rarer than the folds": (
        "data: {path: t.csv, target: y}\nvalidation: {cv_folds: 30}\n",
        [
            (
                "e.yaml:1:29  data.target: t.csv: y: class 'yes' has 20 rows, fewer than validation.cv_folds (30); "
                "set validation.cv_folds: 20, or leave the rows of this class out of the data"
            )
        ],
    ),
    "a class too rare for folds inside of folds": (
        "data: {path: t.csv, target: y}\nvalidation: {cv_folds: 5}\ncalibration: {cv_folds: 20}\n",
        [
            (
                "e.yaml:1:29  data.target: t.csv: y: class 'yes' has 16 rows where a fold of the validation leaves it "
                "least, fewer than calibration.cv_folds (20); set calibration.cv_folds: 16"
            )
        ],
    ),
    "a parameter that the pipeline lacks": (
        (
            "data: {path: t.csv, target: y}\ntuning:\n  strategy: grid\n"
            "  param_grid: {preprocessor__numeric__scaler__with_meen: [true]}\n"
        ),
        [
            (
                "e.yaml:4:16  tuning.param_grid.preprocessor__numeric__scaler__with_meen: unknown parameter of the "
                "pipeline; did you mean preprocessor__numeric__scaler__with_mean?"
            )
        ],
    ),
    "a file that is not there": (
        "data:\n  path: tt.csv\n  target: y\n",
        ["e.yaml:2:9  data.path: tt.csv: no such file; did you mean t.csv?"],
    ),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_problems_of_the_data_name_the_line_that_they_come_from(tmp_path, monkeypatch, text, expected):
    assert problems(tmp_path, monkeypatch, text) == expected


def test_problems_of_the_data_name_the_option_that_they_come_from(tmp_path, monkeypatch):
    text = "data: {path: t.csv, target: y}\n"
    assert problems(tmp_path, monkeypatch, text, ["data.sample_weight=sex"]) == [
        "--set data.sample_weight  data.sample_weight: t.csv: sex: row 1 holds 'm', and a weight is a number"
    ]
