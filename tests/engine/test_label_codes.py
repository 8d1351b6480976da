"""A classifier that is fitted on numbers is the one that is fitted on the labels themselves, to the bit."""

from __future__ import annotations

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.tree import DecisionTreeClassifier

from mlwf.engine.label_codes import fit_on_codes, with_label_codes
from mlwf.specs.catalogue import ALGORITHMS

FEW = {"max_iter": 3, "n_estimators": 3, "iterations": 3}
CODED = [name for name, info in ALGORITHMS.items() if info.label_holders]


def rows(n_classes):
    draw = np.random.default_rng(0)
    labels = np.array(["yes", "no", "so so"], dtype=object)
    return draw.normal(size=(80, 3)), labels[draw.integers(n_classes, size=80)]


def classifier_of(name):
    model = DummyClassifier(strategy="prior") if name == "dummy" else ALGORITHMS[name].load_class()()
    few = {key: value for key, value in (FEW | {"random_state": 0}).items() if key in model.get_params()}
    return with_label_codes(model.set_params(**few))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", [*CODED, "dummy", "xgboost"])
def test_a_fit_on_numbers_leaves_what_a_fit_on_labels_leaves(name, n_classes):
    if name == "xgboost":
        pytest.importorskip("xgboost")
    X, y = rows(n_classes)
    assert joblib.hash(fit_on_codes(classifier_of(name), X, y)) == joblib.hash(classifier_of(name).fit(X, y))


@pytest.mark.parametrize(
    "model",
    [
        DecisionTreeClassifier(max_depth=2, random_state=0, class_weight={"yes": 3, "no": 1}),
        HistGradientBoostingClassifier(max_iter=2, random_state=0, early_stopping=True, scoring="accuracy"),
    ],
    ids=["weights", "scorer"],
)
def test_labels_that_parameters_name_are_handed_to_the_fit(model):
    X, y = rows(2)
    expected = clone(model).fit(X, y)
    np.testing.assert_array_equal(fit_on_codes(clone(model), X, y).predict_proba(X), expected.predict_proba(X))


def test_the_classifiers_of_large_tables_are_fitted_on_numbers():
    assert {"hist_gradient_boosting", "random_forest", "logistic_regression"} <= {*CODED}
