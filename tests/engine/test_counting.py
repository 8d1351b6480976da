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

from mlwf.engine.dry_run import CountingFitter
from mlwf.engine.engine import Engine
from mlwf.engine.fit_cache import FitRecord
from mlwf.engine.requests import Ask
from mlwf.splitting.rows import Rows, Table

X, Y = make_classification(90, 5, n_informative=3, n_classes=3, random_state=0)
TABLE = Table(X, Y)
TRAIN, TEST = Rows(np.arange(60)), Rows(np.arange(60, 90))


def pipeline(classifier):
    return Pipeline([("scaler", StandardScaler()), ("classifier", classifier)])


def asks_of(model, name, values, **options):
    return [Ask(model, {f"classifier__{name}": value}, TRAIN, (TEST,), **options) for value in values]


@pytest.mark.parametrize(
    "asks",
    [
        asks_of(pipeline(GradientBoostingClassifier(random_state=0)), "n_estimators", [2, 4, 4]),
        asks_of(pipeline(GradientBoostingClassifier(random_state=0)), "max_depth", [1, 2, 1]),
        asks_of(pipeline(GradientBoostingClassifier()), "max_depth", [1, 2, 1]),
        asks_of(pipeline(LogisticRegression()), "C", [1.0, 2.0], keep_model=True),
    ],
    ids=["stages", "candidates", "no seed", "models"],
)
def test_as_many_fits_are_counted_as_made(tmp_path, asks):
    counting = CountingFitter(TABLE)
    with Engine(TABLE, record=FitRecord(tmp_path)) as engine:
        for _ in range(2):
            counting(asks)
            engine(asks)
    assert counting.tally == engine.tally
    again = CountingFitter(TABLE, record=FitRecord(tmp_path))
    with Engine(TABLE, record=FitRecord(tmp_path)) as second:
        again(asks)
        second(asks)
    assert again.tally == second.tally


@pytest.mark.parametrize("classifier", [LogisticRegression(), SVC(), GradientBoostingClassifier(random_state=0)])
def test_placeholders_have_the_shape_of_predictions(classifier):
    ask = Ask(pipeline(classifier), {}, TRAIN, (TEST,))
    (placeholder,) = CountingFitter(TABLE)([ask])
    with Engine(TABLE) as engine:
        (answer,) = engine([ask])
    for name in ("classes", "labels", "proba", "decision"):
        one, other = getattr(placeholder.predictions[0], name), getattr(answer.predictions[0], name)
        assert (one is None) == (other is None)
        assert one is None or (one.shape, one.dtype) == (other.shape, other.dtype)


def test_what_the_record_has_is_answered_and_not_made_up(tmp_path):
    ask = Ask(pipeline(LogisticRegression()), {}, TRAIN, (TEST,))
    with Engine(TABLE, record=FitRecord(tmp_path)) as engine:
        (answer,) = engine([ask])
    (found,) = CountingFitter(TABLE, record=FitRecord(tmp_path))([ask])
    assert np.array_equal(found.predictions[0].proba, answer.predictions[0].proba)
