"""What mlwf uses of scikit-learn beside its documented names: it is there, in one file, and its absence is told."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, get_scorer

import mlwf
from mlwf.errors import MlwfError
from mlwf.sklearn_compat import (
    CALIBRATOR_TYPES,
    SPLITTER_TYPES,
    declared_constraints,
    drop_training_state,
    find_parameter_error,
    put_calibrators,
    take_scorer_apart,
    with_estimators,
)
from mlwf.specs.catalogue import ALGORITHMS

PACKAGE = Path(mlwf.__file__).parent
PRIVATE = re.compile(
    r"sklearn(\.\w+)*\._(?!_)\w+"
    r"|\w\._(response_method|sign|score_func|kwargs|parameter_constraints|predictors|raw_predict|scorer|validate_params)\b"
)
"""A private module of scikit-learn, or a private attribute of one of its objects."""
HOMES = {"sklearn_compat.py", "specs/catalogue/algorithms.py"}

X = np.arange(40.0).reshape(-1, 1)
Y = np.arange(40) % 4 > 1


def test_private_names_of_scikit_learn_are_in_one_file_and_the_catalogue() -> None:
    files = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if PRIVATE.search(path.read_text(encoding="utf-8"))
    }
    assert files == HOMES


def test_every_algorithm_of_scikit_learn_declares_its_constraints() -> None:
    for info in ALGORITHMS.values():
        declared = declared_constraints(info.load_class())
        assert (declared is not None) == (info.package == "sklearn")
        if declared is None:
            continue
        assert set(info.load_class()().get_params()) <= set(declared)


def test_a_class_of_another_library_declares_none() -> None:
    other = type("Other", (), {"__module__": "other.models"})
    assert declared_constraints(other) is None
    assert find_parameter_error(other(), "anything", -1) is None


def test_find_parameter_error_is_what_the_fit_would_raise() -> None:
    regression = LogisticRegression(C=-1.0)
    with pytest.raises(ValueError, match="C") as refused:
        regression.fit(X, Y)
    assert find_parameter_error(regression, "C", -1.0) == str(refused.value).rstrip(".")
    assert find_parameter_error(regression, "C", 1.0) is None


def test_a_scorer_is_taken_apart() -> None:
    parts = take_scorer_apart(get_scorer("f1_macro"))
    assert (parts.metric, parts.keywords) == (f1_score, {"pos_label": None, "average": "macro"})
    assert (parts.response_method, parts.greater_is_better) == ("predict", True)
    assert not take_scorer_apart(get_scorer("neg_log_loss")).greater_is_better


def test_calibrators_take_other_models() -> None:
    calibrated = CalibratedClassifierCV(LogisticRegression(), cv=2).fit(X, Y)
    flat = LogisticRegression(C=1e-9).fit(X, Y)
    other = with_estimators(calibrated, [flat, flat])
    assert np.ptp(other.predict_proba(X)[:, 0]) < 1e-6 < np.ptp(calibrated.predict_proba(X)[:, 0])


def test_calibrators_are_replaced() -> None:
    calibrated = CalibratedClassifierCV(LogisticRegression(), cv=2).fit(X, Y)
    first, second = calibrated.calibrated_classifiers_
    put_calibrators(first, second.calibrators)
    np.testing.assert_array_equal(
        first.predict_proba(X)[:, 1], second.calibrators[0].predict(first.estimator.decision_function(X))
    )


def test_early_stopping_by_a_scorer_leaves_what_is_dropped() -> None:
    booster = HistGradientBoostingClassifier(early_stopping=True, scoring="accuracy", max_iter=3).fit(X, Y)
    before, left = booster.predict_proba(X), {"_raw_predict", "_scorer"}
    assert left <= vars(booster).keys()
    drop_training_state(booster)
    assert {name for name in left if vars(booster).get(name) is not None} == set()
    np.testing.assert_array_equal(booster.predict_proba(X), before)


def test_rounds_of_a_histogram_booster_are_where_the_catalogue_says() -> None:
    booster = HistGradientBoostingClassifier(max_iter=3).fit(X, Y)
    for name in ALGORITHMS["hist_gradient_boosting"].stages.attributes:
        assert len(getattr(booster, name)) == 3


@pytest.mark.parametrize("name", [*SPLITTER_TYPES, *CALIBRATOR_TYPES])
def test_types_of_model_files_exist(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    assert hasattr(__import__(module, fromlist=[attribute]), attribute)


class _Scorer:
    _score_func, _kwargs, _sign = f1_score, {}, 1


@pytest.mark.parametrize(
    ("call", "name"),
    [
        pytest.param(lambda: take_scorer_apart(_Scorer()), "_Scorer._response_method", id="scorer"),
        pytest.param(
            lambda: declared_constraints(type("New", (), {"__module__": "sklearn.ensemble"})),
            "New._parameter_constraints",
            id="constraints",
        ),
        pytest.param(
            lambda: with_estimators(type("New", (), {"calibrated_classifiers_": [1]})(), [2]),
            "int.estimator",
            id="calibrators",
        ),
        pytest.param(
            lambda: put_calibrators(type("New", (), {})(), [1]), "New.calibrators", id="calibrators of a model"
        ),
    ],
)
def test_a_name_that_is_gone_is_told(call, name: str) -> None:
    with pytest.raises(MlwfError) as gone:
        call()
    assert re.fullmatch(
        rf"scikit-learn [\d.]+ has no {re.escape(name)}, which mlwf needs; tested with 1\.8 and 1\.9", str(gone.value)
    )


WITHOUT_INTERVAL = """
import sklearn.utils._param_validation as private
del private.Interval
from mlwf.errors import MlwfError
try:
    import mlwf.sklearn_compat
except MlwfError as error:
    print(error)
"""


def test_a_module_of_scikit_learn_without_a_name_is_told() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_INTERVAL], capture_output=True, text=True, check=True)
    assert re.match(r"scikit-learn [\d.]+ has no sklearn\.utils\._param_validation\.(Interval|\*), which", done.stdout)
