"""What is counted is what the engine makes."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from mlwf.engine.engine import Engine
from mlwf.engine.fit_cache import FitCache
from mlwf.engine.requests import FitRequest
from mlwf.engine.scheduling import DryRunFitter
from mlwf.splitting.rows import Rows, Table

X, Y = make_classification(90, 5, n_informative=3, n_classes=3, random_state=0)
TABLE = Table(X, Y)
TRAIN, TEST = Rows(np.arange(60)), Rows(np.arange(60, 90))


def pipeline(classifier):
    return Pipeline([("scaler", StandardScaler()), ("classifier", classifier)])


def requests_of(model, name, values, **options):
    return [FitRequest(model, {f"classifier__{name}": value}, TRAIN, (TEST,), **options) for value in values]


@pytest.mark.parametrize(
    "requests",
    [
        requests_of(pipeline(GradientBoostingClassifier(random_state=0)), "n_estimators", [2, 4, 4]),
        requests_of(pipeline(GradientBoostingClassifier(random_state=0)), "max_depth", [1, 2, 1]),
        requests_of(pipeline(GradientBoostingClassifier()), "max_depth", [1, 2, 1]),
        requests_of(pipeline(LogisticRegression()), "C", [1.0, 2.0], keep_model=True),
    ],
    ids=["stages", "candidates", "no seed", "models"],
)
def test_as_many_fits_are_counted_as_made(tmp_path, requests):
    counting = DryRunFitter(TABLE)
    with Engine(TABLE, fit_cache=FitCache(tmp_path)) as engine:
        for _ in range(2):
            counting(requests)
            engine(requests)
    assert counting.counts == engine.counts
    again = DryRunFitter(TABLE, fit_cache=FitCache(tmp_path))
    with Engine(TABLE, fit_cache=FitCache(tmp_path)) as second:
        again(requests)
        second(requests)
    assert again.counts == second.counts


@pytest.mark.parametrize("classifier", [LogisticRegression(), SVC(), GradientBoostingClassifier(random_state=0)])
def test_placeholders_have_the_shape_of_predictions(classifier):
    request = FitRequest(pipeline(classifier), {}, TRAIN, (TEST,))
    (placeholder,) = DryRunFitter(TABLE)([request])
    with Engine(TABLE) as engine:
        (result,) = engine([request])
    for name in ("classes", "labels", "proba", "decision"):
        one, other = getattr(placeholder.predictions[0], name), getattr(result.predictions[0], name)
        assert (one is None) == (other is None)
        assert one is None or (one.shape, one.dtype) == (other.shape, other.dtype)


def test_results_come_from_the_cache_where_it_has_them(tmp_path):
    request = FitRequest(pipeline(LogisticRegression()), {}, TRAIN, (TEST,))
    with Engine(TABLE, fit_cache=FitCache(tmp_path)) as engine:
        (result,) = engine([request])
    (found,) = DryRunFitter(TABLE, fit_cache=FitCache(tmp_path))([request])
    assert np.array_equal(found.predictions[0].proba, result.predictions[0].proba)
