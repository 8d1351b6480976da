"""A search fits what there is time for, the cheapest first; what takes too long is ended, or left to itself."""

from __future__ import annotations

import threading
import time
from time import monotonic

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from mlwf.engine.costs import MARGIN, FitCosts, RunTime, SearchTime
from mlwf.engine.engine import Engine
from mlwf.engine.fit_cache import FitCache
from mlwf.engine.probing import probe
from mlwf.engine.process_pools import CallInterruptedError, ProcessPool, ThreadPool
from mlwf.engine.requests import CandidateFold, FitRequest, Leaderboard
from mlwf.engine.scheduling import estimate_seconds
from mlwf.engine.work import PreparedRows
from mlwf.processes import STRAGGLERS
from mlwf.splitting.rows import Table
from mlwf.splitting.splitters import fold_splitter

X, Y = make_classification(900, 10, n_informative=8, n_classes=6, n_clusters_per_class=1, random_state=0)
TABLE = Table(X, Y)
FOLDS = fold_splitter("stratified_kfold", n_splits=3)(TABLE, TABLE.all_rows)


class Sleeper(ClassifierMixin, BaseEstimator):
    """Sleeps through its fit: in short steps, which an interrupt ends, or in one."""

    def __init__(self, seconds=30.0, in_steps=True):
        self.seconds = seconds
        self.in_steps = in_steps

    def fit(self, X, y):
        """Sleep."""
        self.classes_ = np.unique(y)
        for _ in range(int(self.seconds * 100) if self.in_steps else 1):
            time.sleep(0.01 if self.in_steps else self.seconds)
        return self

    def predict_proba(self, X):
        """Predict the same for all."""
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))

    def predict(self, X):
        """Predict the first class."""
        return np.full(len(X), self.classes_[0])


def pipeline(classifier):
    return Pipeline([("scaler", StandardScaler()), ("classifier", classifier)])


def search(engine, classifier, candidates, search_time):
    """Request all folds of some candidates, and tell which of them were late."""
    leaderboard = Leaderboard(lambda name, fold, predictions: 0.5, ("accuracy",), "accuracy", len(FOLDS))
    model = pipeline(classifier)
    requests = [
        FitRequest(
            model,
            {f"classifier__{name}": value for name, value in params.items()},
            fold.train,
            (fold.test,),
            candidate_fold=CandidateFold(leaderboard, number, at),
            search_time=search_time,
        )
        for number, params in enumerate(candidates)
        for at, fold in enumerate(FOLDS)
    ]
    results = engine(requests)
    return [any(result.is_late for result in results[at : at + 3]) for at in range(0, len(results), 3)]


def measured(classifier, ratio):
    """Give costs by which a classifier takes so many times its estimate."""
    costs = FitCosts()
    costs.record(classifier, 10.0, ratio * 10.0)
    return costs


def seconds_of(classifier, factor=1.0):
    return factor * estimate_seconds(classifier, 600, 10, 6)


def test_an_interrupted_thread_ends_its_call_and_can_be_used_again():
    pool, ended = ThreadPool(1), []

    def call():
        with pytest.raises(CallInterruptedError):
            pool.run(Sleeper().fit, X, Y)
        ended.append(pool.run(sum, [1, 2]))

    thread = threading.Thread(target=call)
    thread.start()
    time.sleep(0.2)
    started = monotonic()
    pool.interrupt(thread.ident)
    thread.join(9)
    assert ended == [3]
    assert monotonic() - started < 5


def test_a_thread_without_a_call_is_not_interrupted():
    pool = ThreadPool(1)
    pool.interrupt(threading.get_ident())
    assert pool.run(sum, [1, 2]) == 3
    pool.interrupt(threading.get_ident())
    time.sleep(0.01)


def test_interrupts_at_any_moment_are_raised_in_the_call_or_not_at_all():
    pool, go_on, outcomes = ThreadPool(1), threading.Event(), []

    def work():
        while not go_on.is_set():
            try:
                outcomes.append(pool.run(sum, range(200)))
            except CallInterruptedError:
                outcomes.append("interrupted")

    thread = threading.Thread(target=work)
    thread.start()
    ends = monotonic() + 1
    while monotonic() < ends:
        pool.interrupt(thread.ident)
        time.sleep(0.0005)
    go_on.set()
    thread.join(9)
    assert not thread.is_alive()
    assert set(outcomes) == {"interrupted", sum(range(200))}


@pytest.mark.slow
def test_an_interrupted_process_is_killed_and_another_does_the_next_call():
    pool, ended = ProcessPool(1), []

    def call():
        with pytest.raises(CallInterruptedError):
            pool.run(time.sleep, 60)
        ended.append(pool.run(sum, [1, 2]))

    thread = threading.Thread(target=call)
    thread.start()
    time.sleep(4)
    pool.interrupt(thread.ident)
    thread.join(40)
    pool.close()
    assert ended == [3]


@pytest.mark.parametrize("in_steps", [True, False], ids=["ended", "left to its thread"])
def test_what_is_not_done_in_time_is_late_and_other_fits_go_on(in_steps):
    with Engine(TABLE) as engine:
        started = monotonic()
        requests = [FitRequest(pipeline(Sleeper(seconds=5.0, in_steps=in_steps)), {}, FOLDS[0].train, (FOLDS[0].test,))]
        (late,) = engine.until(monotonic() + 0.5)(requests)
        (other,) = engine([FitRequest(pipeline(LogisticRegression()), {}, FOLDS[0].train, (FOLDS[0].test,))])
    assert monotonic() - started < 4.5
    assert (late.is_late, late.error) == (True, "not finished: the time was up")
    assert other.error is None
    stuck = [thread for thread in STRAGGLERS if thread.is_alive()]
    assert bool(stuck) != in_steps
    for thread in stuck:
        thread.join(20)


def test_a_booster_ends_between_its_rounds():
    booster = HistGradientBoostingClassifier(max_iter=100_000, early_stopping=False, random_state=0)
    with Engine(TABLE) as engine:
        started = monotonic()
        (late,) = engine.until(monotonic() + 0.5)([FitRequest(pipeline(booster), {}, FOLDS[0].train, (FOLDS[0].test,))])
    assert late.is_late
    assert monotonic() - started < 5


def test_candidates_that_cannot_be_finished_are_left_out_the_cheapest_are_tried():
    booster = GradientBoostingClassifier(n_estimators=4, random_state=0)
    depths = [6, 2, 4]
    # By these costs six levels take longer than there is time for, four just not.
    limit = 3 * (seconds_of(GradientBoostingClassifier(n_estimators=4, max_depth=2), 1000)) * 2
    run_time = RunTime(limit, costs=measured(booster, 1000.0))
    with Engine(TABLE, run_time=run_time) as engine:
        late = search(engine, booster, [{"max_depth": depth} for depth in depths], SearchTime(run_time))
    assert late == [True, False, True]


def test_of_candidates_that_share_a_fit_those_with_few_rounds_are_tried():
    booster = GradientBoostingClassifier(random_state=0)
    limit = 3 * seconds_of(GradientBoostingClassifier(n_estimators=8), 1000) * 2
    run_time = RunTime(limit, costs=measured(booster, 1000.0))
    with Engine(TABLE, run_time=run_time) as engine:
        rounds = [{"n_estimators": n} for n in (2, 64, 8, 32)]
        late = search(engine, booster, rounds, SearchTime(run_time))
    assert late == [False, True, False, True]
    assert engine.counts.fitted == len(FOLDS)


def test_the_folds_of_a_candidate_are_tried_together_or_not_at_all():
    flat, deep = (GradientBoostingClassifier(n_estimators=4, max_depth=depth, random_state=0) for depth in (1, 8))
    limit = MARGIN * (3 * seconds_of(flat, 1000) + 2.5 * seconds_of(deep, 1000))
    run_time = RunTime(limit, costs=measured(flat, 1000.0))
    with Engine(TABLE, run_time=run_time) as engine:
        assert search(engine, flat, [{"max_depth": 8}, {"max_depth": 1}], SearchTime(run_time)) == [True, False]
    assert engine.counts.fitted == len(FOLDS)


def test_a_costly_fit_is_measured_by_a_cheap_one_before_it_begins():
    booster = HistGradientBoostingClassifier(max_iter=1, early_stopping=False, random_state=0)
    run_time = RunTime(20.0)
    with Engine(TABLE, run_time=run_time) as engine:
        started = monotonic()
        candidates = [{"max_leaf_nodes": 3}, {"max_leaf_nodes": 31, "max_iter": 100_000}]
        assert search(engine, booster, candidates, SearchTime(run_time)) == [False, True]
    assert monotonic() - started < 15
    assert engine.counts.fitted == len(FOLDS)


def test_one_candidate_is_tried_in_any_case_and_no_other():
    booster = HistGradientBoostingClassifier(max_iter=100_000, early_stopping=False, random_state=0)
    run_time = RunTime(2.0, costs=measured(booster, 10.0))
    with Engine(TABLE, run_time=run_time) as engine:
        started = monotonic()
        assert search(engine, booster, [{}, {"max_leaf_nodes": 30}], SearchTime(run_time)) == [True, True]
    assert 1.5 < monotonic() - started < 8


@pytest.mark.parametrize(
    "classifier",
    [HistGradientBoostingClassifier(max_iter=400), LogisticRegression(max_iter=10_000, tol=1e-9)],
    ids=["few rounds", "few rows"],
)
def test_a_probe_tells_what_a_fit_takes(classifier):
    costs = FitCosts()
    probe(classifier, PreparedRows(X, Y, None, {}), n_columns=10, most_seconds=0.1, costs=costs)
    estimated = estimate_seconds(classifier, 900, 10, 6)
    assert costs.is_measured(classifier, estimated / 100)
    assert costs.predict(classifier, estimated) != pytest.approx(estimated)


def test_a_probe_of_a_fit_that_fails_says_nothing():
    costs = FitCosts()
    wrong = LogisticRegression(C=-1.0)
    probe(wrong, PreparedRows(X, Y, None, {}), n_columns=10, most_seconds=0.1, costs=costs)
    assert not costs.is_measured(wrong, 1e-9)


def test_a_model_that_takes_long_to_write_is_kept_in_memory(tmp_path):
    booster = GradientBoostingClassifier(n_estimators=3, random_state=0)
    costs = FitCosts()
    costs.record_saving(booster, 1e-6, 60.0)
    fit_cache = FitCache(tmp_path)
    request = FitRequest(pipeline(booster), {}, FOLDS[0].train, (FOLDS[0].test,), keep_model=True)
    with Engine(TABLE, fit_cache=fit_cache, run_time=RunTime(1000.0, costs=costs)) as engine:
        (first,) = engine([request])
        (again,) = engine([request])
    assert again.reused
    assert again.model is first.model
    assert fit_cache.size().n_models == 0
