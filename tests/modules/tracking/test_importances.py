"""Whether a model says itself what its inputs weigh, and that nobody waits for a plot that cannot come."""

from __future__ import annotations

import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from mlwf import ClassifierModelSpec, NumericFeatureSpec, TextFeatureSpec
from mlwf.engine.label_codes import with_label_codes
from mlwf.modules.model import build_classifier
from mlwf.modules.preprocessing import build_preprocessor
from mlwf.modules.tracking.importances import describe_importances, read_importances
from mlwf.specs.catalogue import algorithm_names

IRIS = load_iris(as_frame=True)
HAVE_SOME = {
    *("catboost", "decision_tree", "extra_trees", "gradient_boosting", "lightgbm", "logistic_regression"),
    *("random_forest", "xgboost"),
}
HAVE_NONE = {
    "gaussian_nb": "GaussianNB",
    "gaussian_process": "GaussianProcessClassifier",
    "hist_gradient_boosting": "HistGradientBoostingClassifier",
    "knn": "KNeighborsClassifier",
    "mlp": "MLPClassifier",
    "svc": "SVC",
}
QUICK = {"hist_gradient_boosting": {"max_iter": 2}, "logistic_regression": {"max_iter": 500}, "mlp": {"max_iter": 2000}}
QUICK |= {"catboost": {"iterations": 2}, "lightgbm": {"n_estimators": 2}, "xgboost": {"n_estimators": 2}}


def fitted(algorithm):
    spec = ClassifierModelSpec(algorithm=algorithm, hyperparameters=QUICK.get(algorithm, {}))
    pipeline = Pipeline([("preprocessor", StandardScaler()), ("classifier", build_classifier(spec, random_state=0))])
    return with_label_codes(pipeline).fit(IRIS.data, IRIS.target)


@pytest.mark.parametrize("algorithm", algorithm_names())
def test_each_algorithm_has_importances_or_reports_that_it_has_none(algorithm):
    described = describe_importances(fitted(algorithm))
    assert described["available"] is (algorithm in HAVE_SOME)
    if algorithm not in HAVE_SOME:
        assert described["note"] == f"{HAVE_NONE[algorithm]} has none of its own, so there is no plot of them"


def test_a_calibrated_model_has_the_importances_of_its_classifier():
    model = CalibratedClassifierCV(fitted("gaussian_nb"), cv=2).fit(IRIS.data, IRIS.target)
    assert describe_importances(model)["note"].startswith("GaussianNB has none of its own")


def test_the_components_of_a_text_are_called_like_its_column():
    features = [TextFeatureSpec(columns=["note"], n_components=2), NumericFeatureSpec(columns=["age"])]
    pipeline = Pipeline([("preprocessor", build_preprocessor(features)), ("classifier", DecisionTreeClassifier())])

    pipeline.fit(pd.DataFrame({"note": [f"text {row}" for row in range(9)], "age": range(9)}), [0, 1, 1] * 3)

    assert read_importances(pipeline).names == ["note_0", "note_1", "age"]
