"""Fits in other processes are the same to the bit, and one that is killed costs itself alone."""

from __future__ import annotations

import threading
import time

import numpy as np
import psutil
import pytest
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from mlwf.engine import engine as engine_module
from mlwf.engine.engine import Engine
from mlwf.engine.process_pools import ProcessPool, ThreadPool, WorkerLostError
from mlwf.engine.requests import FitRequest
from mlwf.splitting.rows import Table
from mlwf.splitting.splitters import fold_splitter
from tests.reference_fitter import ReferenceFitter

X, Y = make_classification(400, 8, random_state=0)
TABLE = Table(X, np.array(["no", "yes"], dtype=object)[Y])
FOLDS = fold_splitter("stratified_kfold", n_splits=3)(TABLE, TABLE.all_rows)
MODEL = Pipeline([("scaler", StandardScaler()), ("classifier", GradientBoostingClassifier(random_state=0))])
REQUESTS = [
    FitRequest(MODEL, {"classifier__max_depth": depth, "classifier__n_estimators": n}, fold.train, (fold.test,))
    for fold in FOLDS
    for depth in (2, 4)
    for n in (60, 300)
]
"""They take long enough for a worker to be met in the middle."""
SHORT_REQUESTS = [
    FitRequest(MODEL, {"classifier__max_depth": depth, "classifier__n_estimators": n}, fold.train, (fold.test,))
    for fold in FOLDS
    for depth in (2, 4)
    for n in (6, 30)
]


def check(results, requests):
    with ReferenceFitter(TABLE) as plain:
        for one, other in zip(results, plain(requests), strict=True):
            assert one.error is None
            assert np.array_equal(one.predictions[0].proba, other.predictions[0].proba)
            assert np.array_equal(one.predictions[0].labels, other.predictions[0].labels)


def workers():
    return [child for child in psutil.Process().children(recursive=True) if "loky" in " ".join(child.cmdline())]


def kill_in_the_middle(n_kills):
    """Kill a worker that has been at work for a moment."""
    killed = []

    def kill():
        while len(killed) < n_kills:
            for child in workers():
                try:
                    at_work = child.cpu_times().user > 1.0 and child.pid not in killed
                    if at_work and len(killed) < n_kills:
                        child.kill()
                        killed.append(child.pid)
                except psutil.NoSuchProcess:
                    pass
            time.sleep(0.02)

    threading.Thread(target=kill, daemon=True).start()
    return killed


@pytest.fixture
def pool():
    pool = ProcessPool(2)
    yield pool
    pool.close()


def test_processes_give_the_results_of_the_reference_fitter(pool):
    with Engine(TABLE, pool=pool) as engine:
        results = engine(SHORT_REQUESTS)
        assert workers()
    check(results, SHORT_REQUESTS)
    assert engine.counts.fitted == len(FOLDS) * 2


@pytest.mark.slow
def test_a_worker_that_is_killed_in_the_middle_of_a_search_loses_nothing(pool):
    killed = kill_in_the_middle(1)
    with Engine(TABLE, pool=pool) as engine:
        results = engine(REQUESTS)
    assert len(killed) == 1
    check(results, REQUESTS)


@pytest.mark.slow
def test_fits_that_keep_the_lock_of_python_go_to_processes_when_they_are_worth_it(monkeypatch):
    monkeypatch.setattr(engine_module, "SECONDS_WORTH_PROCESSES", 0.0)
    monkeypatch.setattr(engine_module, "releases_gil", lambda classifier: False)
    seen = []
    with Engine(TABLE, n_jobs=2) as engine:
        results = engine(REQUESTS)
        seen = workers()
    assert len(seen) >= 2
    check(results, REQUESTS)


def test_small_fits_are_not_sent_to_another_process(pool):
    small = Pipeline([("scaler", StandardScaler()), ("classifier", LogisticRegression())])
    before = workers()
    with Engine(TABLE, pool=pool) as engine:
        engine([FitRequest(small, {"classifier__C": c}, FOLDS[0].train, (FOLDS[0].test,)) for c in (0.1, 1.0)])
        assert workers() == before


class Sharing(ThreadPool):
    """Counts what is shared, and given up again."""

    def __init__(self):
        super().__init__(2)
        self.shared, self.freed = [], []

    def share(self, value):
        self.shared.append(value)
        return value

    def free(self, handle):
        self.freed.append(handle)


def test_rows_reach_the_workers_once_though_they_are_requested_again():
    pool = Sharing()
    with Engine(TABLE, pool=pool) as engine:
        for request in REQUESTS:
            engine([request])
        assert (len(pool.shared), pool.freed) == (len(FOLDS), [])
    assert len(pool.freed) == len(FOLDS)


class Deadly(ThreadPool):
    """Loses the worker of each fit of depth 4."""

    def run(self, function, /, *args):
        if args[0].classifier.max_depth == 4:
            raise WorkerLostError("its worker process was killed twice")
        return super().run(function, *args)


def test_a_fit_that_costs_its_worker_twice_has_failed_and_the_others_have_not():
    with Engine(TABLE, pool=Deadly(1)) as engine:
        results = engine(REQUESTS)
    assert {
        request.params["classifier__max_depth"]: result.error for request, result in zip(REQUESTS, results, strict=True)
    } == {
        2: None,
        4: "its worker process was killed twice",
    }
