"""Rows of weight zero: a class or a part that has no others counts as having no rows, before the first fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlwf import CategoricalFeatureSpec, ClassifierModelSpec, NumericFeatureSpec, run_ml_workflow
from mlwf.errors import DataError
from mlwf.orchestrator.checks import check
from mlwf.orchestrator.context import RunContext
from mlwf.orchestrator.run_data import load_arrays
from mlwf.orchestrator.run_inputs import describe_weights
from mlwf.orchestrator.run_log import RunLog
from mlwf.specs.data import IN_MEMORY, DataSpec
from mlwf.specs.experiment import ExperimentSpec

N = 60
X = pd.DataFrame({"age": np.arange(N) % 17 + 0.5, "sex": ["m", "f"] * (N // 2)})
FEATURES = [{"type": "numeric", "columns": ["age"]}]
Y = np.where(np.arange(N) % 2 == 0, "yes", "no").astype(object)
TUNING = {"strategy": "grid", "param_grid": {"classifier__max_depth": [1, 2]}}
BLOCKS = np.arange(N) // 20
HINT = "; leave the rows of weight 0 out of the data"


def context(weight, carried=None, **sections):
    """Set an experiment up on rows of these weights."""
    carried = {"sample_weight": np.asarray(weight, dtype=float)} | (carried or {})
    data = DataSpec(path=IN_MEMORY, target="y").model_copy(update={name: name for name in carried})
    spec = ExperimentSpec(data=data, features=FEATURES, **sections)
    return RunContext(spec, load_arrays(X, Y, **carried)(spec), RunLog())


def only(rows):
    """Give one to these rows and zero to the others."""
    weight = np.zeros(N)
    weight[rows] = 1
    return weight


CV = {"validation": {"cv_folds": 3, "shuffle": False}}
HOLD_OUT = {"validation": {"strategy": "train_test", "splitter": "time_series_split", "test_size": 0.25}}
REFUSED = {
    "a class": (only(Y == "yes"), {}, "class 'no' has no row with a weight (30 of weight 0): nothing would learn it"),
    "a class, balanced": (
        only(Y == "yes"),
        {"model": {"class_weight": "balanced"}},
        "class 'no' has no row with a weight (30 of weight 0): nothing would learn it",
    ),
    "a fold to judge by": (
        only(range(40)),
        CV,
        "fold 3 of validation.cv_folds (3) has no row with a weight to score",
    ),
    "a fold to learn from": (
        only([*range(0, 20, 2), *range(20, 60)][:10] + list(range(21, 60, 2))),
        {"validation": {"splitter": "time_series_split", "cv_folds": 2}, "time": True},
        "fold 1 of validation.cv_folds (2) leaves class 'no' no row with a weight to learn from",
    ),
    "a group": (
        only(range(40)),
        {"validation": {"splitter": "leave_one_group_out"}, "groups": True},
        "fold 3 of validation.splitter (3) has no row with a weight to score",
    ),
    "a named fold": (
        only(range(40)),
        {"fold": True},
        "fold 3 of validation.splitter (3) has no row with a weight to score",
    ),
    "the hold-out": (
        only(range(30)),
        {**HOLD_OUT, "time": True},
        "validation.test_size has no row with a weight to score",
    ),
    "the rest of the hold-out": (
        only([*range(0, 45, 2), *range(45, 60)]),
        {**HOLD_OUT, "time": True},
        "validation.test_size leaves class 'no' no row with a weight to learn from",
    ),
    "the search": (
        only(range(40)),
        {"tuning": {**TUNING, "cv_folds": 3}, "validation": {"strategy": "none", "shuffle": False}},
        "fold 3 of tuning.cv_folds (3) has no row with a weight to score",
    ),
    "the calibration": (
        only([*range(41), *range(42, 60, 2)]),
        {"calibration": {"cv_folds": 3}, "validation": {"strategy": "none", "shuffle": False}},
        "fold 3 of calibration.cv_folds (3) has no row of class 'no' with a weight to calibrate by",
    ),
    "the calibration's hold-out": (
        only([0, 1]),
        {"calibration": {"holdout": 0.3}, "validation": {"strategy": "none"}},
        "calibration.holdout has no row with a weight to score",
    ),
    "the threshold": (
        only(range(40)),
        {"threshold": {}, "validation": {"strategy": "none", "cv_folds": 3, "shuffle": False}},
        "fold 3 of validation.cv_folds (3) has no row with a weight to score",
    ),
    "folds inside of a fold": (
        only([0, 1, 20, 21, 40, 41, 58, 59]),
        {**CV, "calibration": {"cv_folds": 4}},
        "fold 2 of calibration.cv_folds (4) inside fold 1 of the validation has no row with a weight to score",
    ),
}


@pytest.mark.parametrize(("weight", "sections", "message"), REFUSED.values(), ids=REFUSED)
def test_what_has_no_weight_counts_as_having_no_rows(weight, sections, message):
    carried = {"time": np.arange(N)} if sections.get("time") else {}
    carried |= {name: BLOCKS for name in ("groups", "fold") if sections.get(name)}
    sections = {name: section for name, section in sections.items() if section is not True}
    with pytest.raises(DataError) as refused:
        check(context(weight, carried, **sections))
    assert str(refused.value) == f"(in memory)  sample_weight: {message}{HINT}"


@pytest.mark.parametrize("weight", [np.arange(N) % 3 > 0, np.ones(N), np.full(N, 1e-300)], ids=["some", "none", "tiny"])
def test_weights_that_leave_every_part_some_are_taken(weight):
    check(context(weight, calibration={}, threshold={}, tuning=TUNING))


@pytest.mark.parametrize(
    ("weight", "told"),
    [
        (np.where(np.arange(N) == 5, 1e12, 1), ["60 rows count as 1.0 alike"]),
        (np.full(N, 1e-300), ["the weights sum to 6e-299"]),
        (np.arange(N) % 3, []),
    ],
    ids=["huge", "tiny", "some zeros"],
)
def test_weights_that_decide_alone_or_vanish_are_told(weight, told):
    remarks = list(describe_weights(context(weight)))
    assert len(remarks) == len(told)
    assert all(words in remark for words, remark in zip(told, remarks, strict=True))


def test_rows_of_weight_zero_count_nothing_in_scores_classes_and_slices():
    weight = np.where((X["sex"] == "f") & (np.arange(N) >= 4), 0.0, 1.0) + (np.arange(N) % 4 == 1)
    in_slice = np.asarray(X["sex"] == "f")
    results = run_ml_workflow(
        [NumericFeatureSpec(columns=["age"]), CategoricalFeatureSpec(columns=["sex"])],
        ClassifierModelSpec(algorithm="gaussian_nb"),
        X,
        np.where(np.arange(N) % 3 == 0, "yes", "no"),
        sample_weight=weight,
        validation_params={"slices": ["sex"], "cv_folds": 2},
    )
    counted = int((weight > 0).sum())
    score = results["scores"][0]
    assert score.n_rows == counted < N
    assert score.note.endswith(f", {N - counted} rows of weight 0 left out")
    (of_slice, *_) = (each for each in results["slices"] if each.slice == "sex = f")
    assert of_slice.n_rows == int((in_slice & (weight > 0)).sum())
    assert of_slice.value is None
