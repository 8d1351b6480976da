"""What only the data can tell to be impossible is told before the first fit, in full."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlwf.errors import DataError
from mlwf.orchestrator.checks import check
from mlwf.orchestrator.context import RunContext
from mlwf.orchestrator.run_data import load_arrays, with_test
from mlwf.orchestrator.run_log import RunLog
from mlwf.specs.data import IN_MEMORY, DataSpec
from mlwf.specs.experiment import ExperimentSpec

N = 60
X = pd.DataFrame({"age": np.arange(N) + 0.5, "sex": ["m", "f"] * (N // 2), "city": [f"c{at % 30}" for at in range(N)]})
FEATURES = [{"type": "numeric", "columns": ["age"]}, {"type": "categorical", "columns": ["sex", "city"]}]
RARE = np.where(np.arange(N) % 6 == 0, "yes", "no").astype(object)
LATE = np.where(np.arange(N) >= 50, "yes", "no").astype(object)
THREE = np.array(["a", "b", "c"] * 20, dtype=object)
TUNING = {"strategy": "grid", "param_grid": {"classifier__max_depth": [1, 2]}}
OUT = "leave the rows of this class out of the data"


def checked(y, *, test=False, carried=None, **sections):
    """Check an experiment on rows that are in memory."""
    carried = carried or {}
    data = DataSpec(path=IN_MEMORY, target="y").model_copy(update={name: name for name in carried})
    spec = ExperimentSpec(data=data, features=FEATURES, **sections)
    load = load_arrays(X, y, **carried)
    check(RunContext(spec, (with_test(load, X, y) if test else load)(spec), RunLog()))


def problems(y, **options):
    with pytest.raises(DataError) as refused:
        checked(y, **options)
    return str(refused.value).splitlines()


# Classes and folds


COUNTS = {
    "the validation": (
        {"validation": {"cv_folds": 11}},
        "class 'yes' has 10 rows, fewer than validation.cv_folds (11); set validation.cv_folds: 10, or " + OUT,
    ),
    "the search": (
        {"tuning": {**TUNING, "cv_folds": 12}},
        "class 'yes' has 10 rows, fewer than tuning.cv_folds (12); set tuning.cv_folds: 10, or " + OUT,
    ),
    "the calibration": (
        {"calibration": {"cv_folds": 12}},
        "class 'yes' has 10 rows, fewer than calibration.cv_folds (12); set calibration.cv_folds: 10, or " + OUT,
    ),
    "a threshold without a validation": (
        {"threshold": {}, "validation": {"strategy": "none", "cv_folds": 11}},
        "class 'yes' has 10 rows, fewer than validation.cv_folds (11); set validation.cv_folds: 10, or " + OUT,
    ),
    "the calibration inside a fold": (
        {"calibration": {"cv_folds": 9}},
        (
            "class 'yes' has 8 rows where a fold of the validation leaves it least, fewer than "
            "calibration.cv_folds (9); set calibration.cv_folds: 8"
        ),
    ),
    "the search inside a fold": (
        {"tuning": {**TUNING, "cv_folds": 9}, "validation": {"nested": True}},
        (
            "class 'yes' has 8 rows where a fold of the validation leaves it least, fewer than tuning.cv_folds (9); "
            "set tuning.cv_folds: 8"
        ),
    ),
    "the threshold's models inside a fold": (
        {"threshold": {}, "validation": {"cv_folds": 10}},
        (
            "class 'yes' has 9 rows where a fold of the validation leaves it least, fewer than "
            "validation.cv_folds (10); set validation.cv_folds: 9"
        ),
    ),
    "the threshold's models of a search inside a fold": (
        {"threshold": {}, "tuning": {**TUNING, "cv_folds": 9}},
        (
            "class 'yes' has 8 rows where a fold of the validation leaves it least, fewer than tuning.cv_folds (9); "
            "set tuning.cv_folds: 8"
        ),
    ),
}


@pytest.mark.parametrize(("sections", "message"), COUNTS.values(), ids=COUNTS)
def test_a_class_too_rare_for_folds_is_refused(sections, message):
    assert problems(RARE, **sections) == [f"(in memory)  y: {message}"]


ENOUGH = {
    "the search is not repeated": {"tuning": {**TUNING, "cv_folds": 10}},
    "nothing is repeated": {"calibration": {"cv_folds": 10}, "validation": {"strategy": "none"}},
    "a calibration on a hold-out": {"calibration": {"holdout": 0.3}, "threshold": {}, "validation": {"cv_folds": 10}},
    "what is not enabled": {"calibration": {"cv_folds": 12, "enabled": False}},
}


@pytest.mark.parametrize("sections", ENOUGH.values(), ids=ENOUGH)
def test_a_class_with_rows_enough_is_accepted(sections):
    checked(RARE, **sections)


CLASSES = {
    "booleans": ([False, True], "false", "true"),
    "numbers": ([0, 1], "0", "1"),
    "texts": (["no", "yes"], "'no'", "'yes'"),
}


@pytest.mark.parametrize(("labels", "often", "once"), CLASSES.values(), ids=CLASSES)
def test_a_class_is_written_as_in_the_file(labels, often, once):
    y = np.where(np.arange(N) < 2, labels[1], labels[0])
    assert problems(y, validation={"cv_folds": 2}, calibration={"cv_folds": 2}) == [
        (
            f"(in memory)  y: class {once} has 1 row where a fold of the validation leaves it least, "
            f"fewer than calibration.cv_folds (2); {OUT}"
        )
    ]
    assert problems(y, validation={"strategy": "none"}, model={"class_weight": {"maybe": 2}}) == [
        f"model.class_weight.maybe: is no class of y; accepted: {often}, {once}"
    ]


BLOCKS = np.arange(N) // 10
"""Six groups, or folds; the last has all rows of class yes in LATE."""

UNLEARNT = {
    "kfold": (
        {"validation": {"splitter": "kfold", "shuffle": False, "cv_folds": 6}},
        None,
        "kfold leaves class 'yes' no row to learn from in 1 of 6 folds; stratified_kfold keeps each class in all",
    ),
    "time": (
        {"validation": {"cv_folds": 3}},
        "time",
        "time_series_split leaves class 'yes' no row to learn from in 3 of 3 folds; " + OUT,
    ),
    "groups": (
        {"validation": {"cv_folds": 3}},
        "groups",
        "stratified_group_kfold leaves class 'yes' no row to learn from in 1 of 3 folds; " + OUT,
    ),
    "one group out": (
        {"validation": {"splitter": "leave_one_group_out"}},
        "groups",
        "leave_one_group_out leaves class 'yes' no row to learn from in 1 of 6 folds; " + OUT,
    ),
    "given folds": (
        {},
        "fold",
        "predefined_split leaves class 'yes' no row to learn from in 1 of 6 folds; " + OUT,
    ),
    "the search alone": (
        {"tuning": TUNING, "validation": {"strategy": "none"}},
        "fold",
        "predefined_split leaves class 'yes' no row to learn from in 1 of 6 folds; " + OUT,
    ),
}


@pytest.mark.parametrize(("sections", "carried", "message"), UNLEARNT.values(), ids=UNLEARNT)
def test_folds_that_leave_a_class_unlearnt_are_refused(sections, carried, message):
    told = problems(LATE, carried={carried: BLOCKS} if carried else None, **sections)
    assert told == [f"validation.splitter: {message}"]


@pytest.mark.parametrize(
    ("first", "kind", "sections", "told"),
    [
        (13, "time", {}, "in 1 of 5 folds; set validation.cv_folds: 3"),
        (25, "time", {}, "in 2 of 5 folds; write validation.strategy: train_test"),
        (50, "time", {}, "in 5 of 5 folds; " + OUT),
        (
            13,
            "time",
            {"tuning": {**TUNING, "cv_folds": 4}, "validation": {"strategy": "none"}},
            "in 1 of 4 folds; set tuning.cv_folds: 3",
        ),
    ],
    ids=["fewer folds", "a hold-out", "nothing", "of the search"],
)
def test_what_helps_against_unlearnt_classes_has_been_tried(first, kind, sections, told):
    y = np.where(np.arange(N) >= first, np.where(np.arange(N) % 2, "yes", "no"), "no").astype(object)
    message = f"validation.splitter: time_series_split leaves class 'yes' no row to learn from {told}"
    assert problems(y, carried={kind: np.arange(N)}, **sections) == [message]


def test_folds_inside_of_folds_that_leave_a_class_unlearnt_are_refused():
    # Two groups have the class: leaving one out leaves one, and leaving that out none.
    two_groups = np.where(np.isin(BLOCKS, [0, 5]), "yes", "no").astype(object)
    sections = {"validation": {"splitter": "leave_one_group_out"}, "carried": {"groups": BLOCKS}}
    assert problems(two_groups, calibration={}, **sections) == [
        (
            "validation.splitter: leave_one_group_out leaves class 'yes' no row to learn from in 1 of 5 folds "
            f"inside fold 1 of the validation; {OUT}"
        )
    ]
    checked(two_groups, **sections)
    # Un-nested, a search is not repeated inside the folds.
    checked(two_groups, tuning=TUNING, **sections)
    nested = {**sections["validation"], "nested": True}
    assert len(problems(two_groups, tuning=TUNING, **{**sections, "validation": nested})) == 1


UNCUT = {
    "rows": (
        {"validation": {"splitter": "kfold", "cv_folds": 61}},
        None,
        (
            "validation.cv_folds: Cannot have number of splits n_splits=61 greater than the number of samples: "
            "n_samples=60"
        ),
    ),
    "groups": (
        {"validation": {"cv_folds": 7}},
        BLOCKS,
        "validation.cv_folds: Cannot have number of splits n_splits=7 greater than the number of groups: 6",
    ),
    "groups inside of a fold": (
        {"validation": {"cv_folds": 6}, "calibration": {"cv_folds": 6}},
        BLOCKS,
        (
            "calibration.cv_folds: Cannot have number of splits n_splits=6 greater than the number of groups: 5 inside "
            "fold 1 of the validation"
        ),
    ),
    "one group": (
        {"validation": {"splitter": "leave_one_group_out"}},
        np.zeros(N),
        "validation.splitter: leave_one_group_out needs two groups or more, and these 60 rows have one",
    ),
}


@pytest.mark.parametrize(("sections", "groups", "message"), UNCUT.values(), ids=UNCUT)
def test_rows_that_cannot_be_cut_are_refused(sections, groups, message):
    y = np.array(["no", "yes"] * (N // 2), dtype=object)
    assert problems(y, carried=None if groups is None else {"groups": groups}, **sections) == [message]


@pytest.mark.parametrize("carried", ["time", "groups"])
def test_a_hold_out_that_takes_a_whole_class_is_refused(carried):
    held_out = BLOCKS if carried == "time" else np.where(LATE == "yes", 0, 1 + np.arange(N) % 2)
    test_size = 0.2 if carried == "time" else 0.34
    told = problems(
        LATE, carried={carried: held_out}, validation={"strategy": "train_test", "test_size": test_size}, random_state=3
    )
    assert told == [
        (
            "(in memory)  y: class 'yes' has no row to learn from: all of them are held out; "
            f"set a smaller validation.test_size, or {OUT}"
        )
    ]


# Scorers, gates and slices


def test_what_serves_two_classes_is_refused_for_three():
    told = problems(
        THREE, tuning={**TUNING, "scoring": "f1"}, threshold={}, validation={"metrics": ["precision", "accuracy"]}
    )
    assert told == [
        (
            "validation.metrics: precision serves two classes, and the target has 3; "
            "accepted: precision_macro, precision_micro, precision_weighted"
        ),
        "tuning.scoring: f1 serves two classes, and the target has 3; accepted: f1_macro, f1_micro, f1_weighted",
        "threshold.scoring: a threshold serves two classes, and the target has 3; leave it out",
    ]


GATES = {
    "a default metric of two classes": (
        THREE,
        {"metric": "roc_auc", "min": 0.5},
        {},
        "gates.0.metric: is 'roc_auc', which the run does not compute; did you mean roc_auc_ovr?",
    ),
    "probabilities": (
        RARE,
        {"metric": "log_loss", "max": 0.5},
        {"model": {"algorithm": "svc"}},
        "gates.0.metric: is 'log_loss', which the run does not compute; accepted: accuracy, balanced_accuracy, roc_auc",
    ),
    "a metric that is not listed": (
        RARE,
        {"metric": "recall", "min": 0.5},
        {"validation": {"metrics": ["precision"]}},
        "gates.0.metric: is 'recall', which the run does not compute; accepted: accuracy, precision",
    ),
    "a test set": (
        RARE,
        {"metric": "accuracy", "min": 0.5, "source": "test"},
        {},
        "gates.0.source: is 'test', and the run has no test set; accepted: cross_validation",
    ),
    "no rows": (
        RARE,
        {"metric": "accuracy", "min": 0.5},
        {"validation": {"strategy": "none"}},
        (
            "gates.0.metric: has no rows to be computed on: there is neither a validation nor a test set; "
            "set validation.strategy, or give test rows"
        ),
    ),
    "a value that does not occur": (
        RARE,
        {"metric": "accuracy", "min": 0.5, "slice": "sex = male"},
        {"validation": {"slices": ["sex"]}},
        "gates.0.slice: is 'sex = male', which is no slice of these rows; did you mean sex = m?",
    ),
}


@pytest.mark.parametrize(("y", "gate", "sections", "message"), GATES.values(), ids=GATES)
def test_a_gate_on_what_is_not_computed_is_refused(y, gate, sections, message):
    assert problems(y, gates=[gate], **sections) == [message]


MET = {
    "accuracy is always there": ({"metric": "accuracy", "min": 0.5}, {"validation": {"metrics": ["f1"]}}, False),
    "calibrated probabilities": (
        {"metric": "log_loss", "max": 0.5},
        {"model": {"algorithm": "svc"}, "calibration": {}},
        False,
    ),
    "a test set": ({"metric": "accuracy", "min": 0.5, "source": "test"}, {"validation": {"strategy": "none"}}, True),
    "a value of a column": (
        {"metric": "accuracy", "min": 0.5, "slice": "sex = m"},
        {"validation": {"slices": ["sex"]}},
        False,
    ),
}


@pytest.mark.parametrize(("gate", "sections", "test"), MET.values(), ids=MET)
def test_a_gate_on_what_is_computed_is_accepted(gate, sections, test):
    checked(RARE, gates=[gate], test=test, **sections)


SLICES = {
    "an unknown column": ("sexx = m", "sexx: no such column; did you mean sex?"),
    "too many values": ("city", "city has 30 values; write a condition such as city = c0"),
    "no order": ("city > 3", "city holds 'c0', which > cannot compare"),
}


@pytest.mark.parametrize(("written", "message"), SLICES.values(), ids=SLICES)
def test_a_slice_that_is_none_is_refused(written, message):
    told = problems(RARE, validation={"slices": ["sex", written]})
    assert told == [f"(in memory)  validation.slices.1: {message}"]


def test_all_problems_are_told_at_once():
    told = problems(
        THREE,
        model={"class_weight": {"d": 2.0}},
        threshold={},
        validation={"slices": ["sexx"], "cv_folds": 21},
        gates=[{"metric": "accuracy", "min": 0.5}],
    )
    assert [line.split("; ")[0] for line in told] == [
        "model.class_weight.d: is no class of y",
        "threshold.scoring: a threshold serves two classes, and the target has 3",
        "(in memory)  validation.slices.0: sexx: no such column",
        *(f"(in memory)  y: class '{label}' has 20 rows, fewer than validation.cv_folds (21)" for label in "abc"),
    ]


def test_named_folds_that_take_a_group_apart_are_refused():
    fold, person = np.arange(N) % 3, np.arange(N) // 2
    together = {"fold": person % 3, "groups": person}
    y = np.arange(N) % 2
    checked(y, carried=together)
    assert problems(y, carried={"fold": fold, "groups": person}) == [
        "data.fold: takes 30 of 30 groups apart, such as 0; rows of one group belong into one fold"
    ]
