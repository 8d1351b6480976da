"""The reference fitter answers in order, whatever becomes of a fit."""

from __future__ import annotations

import threading
import time
import warnings

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from mlwf.engine.requests import LATE, FitRequest
from mlwf.evaluation.predictions import predict
from mlwf.processes import cores, count_workers
from mlwf.splitting.rows import Rows, Table
from tests.reference_fitter import ReferenceFitter

X, Y = make_classification(120, 5, random_state=0)
TABLE = Table(X, Y)
TRAIN, TEST = Rows(np.arange(80)), Rows(np.arange(80, 120))
PIPELINE = Pipeline([("scaler", StandardScaler()), ("classifier", LogisticRegression())])


@pytest.mark.parametrize("n_jobs", [1, 2, 5])
def test_reference_fitter_gives_results_in_the_order_of_the_requests(n_jobs):
    requests = [FitRequest(PIPELINE, {"classifier__C": c}, TRAIN, (TEST,)) for c in (0.001, 1.0, 1000.0)]
    with ReferenceFitter(TABLE, n_jobs=n_jobs) as fit:
        results = fit(requests)
    for result, c in zip(results, (0.001, 1.0, 1000.0), strict=True):
        model = Pipeline([("scaler", StandardScaler()), ("classifier", LogisticRegression(C=c))]).fit(X[:80], Y[:80])
        assert np.array_equal(result.predictions[0].proba, model.predict_proba(X[80:]))
        assert np.array_equal(result.predictions[0].decision, model.decision_function(X[80:]))
        assert np.array_equal(result.predictions[0].labels, model.predict(X[80:]))


def test_reference_fitter_answers_a_failed_fit_with_its_reason():
    requests = [FitRequest(KNeighborsClassifier(), {"n_neighbors": k}, TRAIN, (TEST,)) for k in (5, 500)]
    with ReferenceFitter(TABLE) as fit:
        good, bad = fit(requests)
    assert good.error is None
    assert bad.error is not None
    assert bad.error.startswith("ValueError: Expected n_neighbors <= n_samples_fit")


def test_reference_fitter_leaves_the_requested_pipeline_unfitted():
    with ReferenceFitter(TABLE) as fit:
        fit([FitRequest(PIPELINE, {}, TRAIN)])
    assert not hasattr(PIPELINE[-1], "coef_")


def test_reference_fitter_passes_weights_to_the_last_step():
    weighted = Table(X, Y, weight=np.where(Y == 1, 5.0, 1.0))
    with ReferenceFitter(weighted) as fit:
        (result,) = fit([FitRequest(PIPELINE, {}, TRAIN, (TEST,))])
    reference = Pipeline([("scaler", StandardScaler()), ("classifier", LogisticRegression())])
    reference.fit(X[:80], Y[:80], classifier__sample_weight=weighted.weight[:80])
    assert np.array_equal(result.predictions[0].proba, reference.predict_proba(X[80:]))


def test_reference_fitter_gives_the_same_bits_with_any_number_of_workers():
    requests = [
        FitRequest(HistGradientBoostingClassifier(max_iter=9, random_state=i), {}, TRAIN, (TEST,)) for i in range(4)
    ]
    with ReferenceFitter(TABLE, n_jobs=1) as one, ReferenceFitter(TABLE, n_jobs=4) as four:
        pairs = list(zip(one(requests), four(requests), strict=True))
    assert all(np.array_equal(a.predictions[0].proba, b.predictions[0].proba) for a, b in pairs)


def test_reference_fitter_never_runs_more_fits_at_once_than_asked():
    running, most, lock = 0, 0, threading.Lock()

    class Watching(LogisticRegression):
        def fit(self, X, y):
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            super().fit(X, y)
            with lock:
                running -= 1
            return self

    with ReferenceFitter(TABLE, n_jobs=2) as fit:
        callers = [threading.Thread(target=fit, args=([FitRequest(Watching(), {}, TRAIN)] * 5,)) for _ in range(4)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    assert most <= 2


def test_reference_fitter_counts_fits():
    count = []
    with ReferenceFitter(TABLE, n_jobs=2, on_fit=lambda: count.append(1)) as fit:
        fit([FitRequest(PIPELINE, {}, TRAIN)] * 7)
    assert len(count) == 7


def test_predict_transforms_as_the_pipeline_does():
    model = PIPELINE.set_params().__sklearn_clone__().fit(X, Y)
    said = predict(model, X)
    assert np.array_equal(said.proba, model.predict_proba(X))


@pytest.mark.parametrize(("n_jobs", "workers"), [(1, 1), (3, 3), (-1, cores()), (-100, 1)])
def test_count_workers_reads_n_jobs_as_scikit_learn_does(n_jobs, workers):
    assert count_workers(n_jobs) == workers


def test_reference_fitter_leaves_the_warning_filters_as_they_were():
    inside, both, left = threading.Event(), threading.Event(), threading.Event()

    class First(LogisticRegression):
        def fit(self, X, y):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                inside.set()
                both.wait(9)
            left.set()
            return super().fit(X, y)

    class Second(LogisticRegression):
        def fit(self, X, y):
            inside.wait(9)
            with warnings.catch_warnings():
                both.set()
                left.wait(9)
            return super().fit(X, y)

    before = list(warnings.filters)
    with ReferenceFitter(TABLE, n_jobs=2) as fit:
        results = fit([FitRequest(First(), {}, TRAIN), FitRequest(Second(), {}, TRAIN)])
        assert warnings.filters[0][0] == "ignore"
    assert not any(result.error for result in results)
    assert warnings.filters == before


@pytest.mark.parametrize("seconds_left", [-1.0, 1000.0], ids=["late", "in time"])
def test_a_fit_is_not_begun_after_its_deadline(seconds_left):
    deadline = time.monotonic() + seconds_left
    with ReferenceFitter(TABLE) as fit:
        (result,) = fit([FitRequest(PIPELINE, {}, TRAIN, (TEST,), deadline=deadline)])
    late = seconds_left < 0
    assert (result.is_late, result.error, len(result.predictions)) == ((True, LATE, 0) if late else (False, None, 1))
