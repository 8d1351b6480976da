"""The engine gives the results of the reference fitter, to the last bit, from fewer fits."""

from __future__ import annotations

import threading
import time
import warnings
from time import monotonic

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler, TargetEncoder
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from mlwf.engine import engine as module
from mlwf.engine import prepared_folds as folds
from mlwf.engine.engine import Engine
from mlwf.engine.fit_cache import FitCache
from mlwf.engine.requests import LATE, CandidateFold, FitRequest, Leaderboard
from mlwf.engine.work import run_job
from mlwf.splitting.rows import Rows, Table
from mlwf.splitting.splitters import fold_splitter
from tests.reference_fitter import ReferenceFitter

NUMBERS, Y = make_classification(160, 6, n_informative=4, n_classes=3, random_state=0)
X = pd.DataFrame(NUMBERS, columns=list("abcdef")).assign(city=np.array(list("PQRS"))[np.arange(160) % 4])
CITIES = np.array(["north", "south", "west"], dtype=object)[Y]
TABLE = Table(X, CITIES, weight=np.linspace(0.5, 2.0, 160), class_weight="balanced")
FOLDS = fold_splitter("stratified_kfold", n_splits=3)(TABLE, TABLE.all_rows)


def pipeline(classifier):
    cross_fitting = StratifiedKFold(3, shuffle=True, random_state=0)
    preprocessor = ColumnTransformer(
        [
            ("numeric", StandardScaler(), list("abcdef")),
            ("onehot", OneHotEncoder(sparse_output=False), ["city"]),
            ("target", TargetEncoder(cv=cross_fitting), ["city"]),
        ]
    )
    return Pipeline([("preprocessor", preprocessor), ("classifier", classifier)])


def same(one, other):
    """Compare results to the bit."""
    assert (one.error is None) == (other.error is None), (one.error, other.error)
    assert one.error == other.error
    for a, b in zip(one.predictions, other.predictions, strict=True):
        for name in ("classes", "labels", "proba", "decision"):
            left, right = getattr(a, name), getattr(b, name)
            assert (left is None) == (right is None)
            if left is not None:
                assert left.dtype == right.dtype
                assert np.array_equal(left, right)


def both(requests, **options):
    with ReferenceFitter(TABLE) as plain, Engine(TABLE, **options) as engine:
        expected, given = plain(requests), engine(requests)
    for one, other in zip(given, expected, strict=True):
        same(one, other)
    return engine.counts


GRIDS = {
    "gradient_boosting": (
        GradientBoostingClassifier(random_state=0, subsample=0.7),
        [{"classifier__n_estimators": n, "classifier__max_depth": d} for d in (1, 3) for n in (2, 5, 9)],
        2,
    ),
    "hist_gradient_boosting": (
        HistGradientBoostingClassifier(random_state=0),
        [{"classifier__max_iter": n, "classifier__max_leaf_nodes": d} for n in (9, 5) for d in (3, 7)],
        2,
    ),
    "early_stopping": (
        HistGradientBoostingClassifier(random_state=0, early_stopping=True, n_iter_no_change=2),
        [{"classifier__max_iter": n} for n in (2, 5, 60)],
        1,
    ),
    "random_forest": (RandomForestClassifier(random_state=0), [{"classifier__n_estimators": n} for n in (3, 7)], 1),
    "extra_trees": (ExtraTreesClassifier(random_state=0), [{"classifier__n_estimators": n} for n in (3, 7)], 1),
    "logistic_regression": (LogisticRegression(), [{"classifier__C": c} for c in (0.1, 1.0)], 2),
    "decision_tree": (DecisionTreeClassifier(random_state=1), [{"classifier__max_depth": d} for d in (1, None)], 2),
    "gaussian_nb": (GaussianNB(), [{}], 1),
    "svc": (SVC(), [{"classifier__C": c} for c in (0.1, 1.0)], 2),
    "preprocessing": (
        LogisticRegression(),
        [{"preprocessor__numeric__with_mean": flag, "classifier__C": c} for flag in (True, False) for c in (1.0, 2.0)],
        4,
    ),
    "another_step": (LogisticRegression(), [{"classifier": GaussianNB()}, {"classifier__C": 0.5}], 2),
    "twice": (LogisticRegression(), [{"classifier__C": 1.0}, {}, {"classifier__C": 1.0}], 1),
}


@pytest.mark.parametrize("kind", GRIDS)
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_engine_gives_the_results_of_the_reference_fitter_with_fewer_fits(kind, n_jobs):
    classifier, candidates, fits = GRIDS[kind]
    requests = [
        FitRequest(pipeline(classifier), params, fold.train, (fold.test,)) for fold in FOLDS for params in candidates
    ]
    shared = pipeline(classifier)
    requests = [FitRequest(shared, request.params, request.train, request.predict) for request in requests]
    counts = both(requests, n_jobs=n_jobs)
    assert counts.asked == len(requests)
    assert counts.fitted == fits * len(FOLDS)


@pytest.mark.parametrize(
    ("classifier", "params"),
    [
        (KNeighborsClassifier(), {"classifier__n_neighbors": 500}),
        (LogisticRegression(), {"classifier__C": -1.0}),
        (LogisticRegression(), {"classifier__no_such": 1}),
        (MLPClassifier(), {"preprocessor__numeric": "no estimator"}),
    ],
    ids=["knn", "value", "name", "step"],
)
def test_engine_gives_the_error_of_the_reference_fitter(classifier, params):
    fold = FOLDS[0]
    both([FitRequest(pipeline(classifier), params, fold.train, (fold.test,), class_weighted=False)])


def test_engine_fits_the_other_stages_when_one_fails():
    model, fold = pipeline(RandomForestClassifier(random_state=0)), FOLDS[0]
    both([FitRequest(model, {"classifier__n_estimators": n}, fold.train, (fold.test,)) for n in (4, 0, 2)])


def test_engine_prepares_the_rows_of_a_fold_once(monkeypatch):
    calls, original = [], StandardScaler.fit

    def fit(self, X, y=None, sample_weight=None):
        calls.append(len(X))
        return original(self, X, y, sample_weight)

    monkeypatch.setattr(StandardScaler, "fit", fit)
    model, fold = pipeline(LogisticRegression()), FOLDS[0]
    with Engine(TABLE, n_jobs=2) as engine:
        engine([FitRequest(model, {"classifier__C": c}, fold.train, (fold.test,)) for c in (0.1, 0.2, 0.3, 0.4)])
    assert calls == [len(fold.train)]


@pytest.mark.parametrize(("most_bytes", "n_fits"), [(folds.MOST_IDLE_BYTES, 1), (10_000, 3)])
def test_engine_keeps_the_prepared_rows_of_a_fold_for_the_next_call_while_there_is_room(
    monkeypatch, most_bytes, n_fits
):
    calls, original = [], StandardScaler.fit
    monkeypatch.setattr(StandardScaler, "fit", lambda self, *given: calls.append(1) or original(self, *given))
    monkeypatch.setattr(folds, "MOST_IDLE_BYTES", most_bytes)
    model, fold = pipeline(LogisticRegression()), FOLDS[0]
    requests = [FitRequest(model, {"classifier__C": c}, fold.train, (fold.test,)) for c in (0.1, 0.2, 0.3)]
    with ReferenceFitter(TABLE) as plain:
        expected = plain(requests)
    calls.clear()
    with Engine(TABLE) as engine:
        for request, result in zip(requests, expected, strict=True):
            same(*engine([request]), result)
    assert len(calls) == n_fits


def test_engine_frees_rows_that_no_task_needs_before_it_prepares_others(monkeypatch):
    events, prepare, close = [], folds.PreparedFold._fit, folds.PreparedFold.close
    monkeypatch.setattr(folds.PreparedFold, "_fit", lambda self: events.append("prepare") or prepare(self))
    monkeypatch.setattr(folds.PreparedFold, "close", lambda self: events.append("close") or close(self))
    n_bytes = 8 * len(TABLE) * TABLE.X.shape[1]
    monkeypatch.setattr(folds, "MOST_IDLE_BYTES", 1.5 * n_bytes)
    with Engine(TABLE) as engine:
        for fold in FOLDS[:2]:
            engine([FitRequest(pipeline(LogisticRegression()), {}, fold.train, (fold.test,))])
    assert events == ["prepare", "close", "prepare", "close"]


@pytest.mark.parametrize(("n_bytes", "most"), [(1, 1), (2**40, 2)], ids=["little", "much"])
def test_engine_makes_no_more_fits_at_once_than_have_room_in_memory(monkeypatch, n_bytes, most):
    running, seen, fit = [], [], LogisticRegression.fit

    def watched(self, *arguments, **keywords):
        running.append(1)
        seen.append(len(running))
        time.sleep(0.05)
        fitted = fit(self, *arguments, **keywords)
        running.pop()
        return fitted

    monkeypatch.setattr(LogisticRegression, "fit", watched)
    monkeypatch.setattr(folds, "memory_bytes", lambda: n_bytes)
    requests = [FitRequest(pipeline(LogisticRegression()), {}, fold.train, (fold.test,)) for fold in FOLDS]
    with Engine(TABLE, n_jobs=2) as engine:
        assert not any(result.error for result in engine(requests))
    assert max(seen) == most


def test_engine_prepares_rows_that_were_not_predicted_before():
    model = pipeline(SVC())
    with ReferenceFitter(TABLE) as plain, Engine(TABLE) as engine:
        for rows in (FOLDS[0].test, FOLDS[1].train, FOLDS[0].test):
            for weighted in (True, False):
                request = FitRequest(model, {"classifier__C": 3.0}, FOLDS[0].train, (rows,), class_weighted=weighted)
                same(*engine([request]), *plain([request]))


@pytest.mark.parametrize("classifier", [GradientBoostingClassifier(n_estimators=4, random_state=0), SVC()])
def test_engine_keeps_a_model_that_equals_the_plain_fitters(classifier):
    fold = FOLDS[0]
    request = FitRequest(pipeline(classifier), {}, fold.train, (fold.test,), keep_model=True)
    with ReferenceFitter(TABLE) as plain, Engine(TABLE) as engine:
        (expected,), (given,) = plain([request]), engine([request])
    assert isinstance(given.model, Pipeline)
    assert [name for name, _ in given.model.steps] == ["preprocessor", "classifier"]
    assert np.array_equal(given.model.predict(X), expected.model.predict(X))
    assert np.array_equal(given.model.decision_function(X), expected.model.decision_function(X))
    assert list(given.model.feature_names_in_) == list(expected.model.feature_names_in_)


def test_engine_does_not_fit_what_the_cache_has(tmp_path):
    requests = [
        FitRequest(pipeline(LogisticRegression()), {"classifier__C": c}, fold.train, (fold.test,), keep_model=c == 1.0)
        for fold in FOLDS
        for c in (0.1, 1.0)
    ]
    with Engine(TABLE, fit_cache=FitCache(tmp_path)) as first:
        expected = first(requests)
    with Engine(TABLE, fit_cache=FitCache(tmp_path)) as second:
        given = second(requests)
    assert (second.counts.fitted, second.counts.recorded) == (0, len(requests))
    for one, other in zip(given, expected, strict=True):
        same(one, other)
        assert one.reused
        assert (one.model is None) == (other.model is None)
    assert np.array_equal(given[1].model.predict_proba(X), expected[1].model.predict_proba(X))


def test_engine_repeats_the_warnings_of_a_cached_fit(tmp_path):
    fold, messages = FOLDS[0], []
    requests = [
        FitRequest(pipeline(LogisticRegression(max_iter=n)), {}, fold.train, (fold.test,), class_weighted=False)
        for n in (1, 500)
    ]
    with warnings.catch_warnings(record=True) as warned, Engine(TABLE, fit_cache=FitCache(tmp_path)) as first:
        warnings.simplefilter("always")
        first(requests)
    assert [each.category for each in warned] == [ConvergenceWarning]
    with Engine(TABLE, fit_cache=FitCache(tmp_path), on_warning=lambda *warned: messages.append(warned)) as second:
        second(requests)
    assert [category for category, _ in messages] == ["ConvergenceWarning"]
    assert messages[0][1].startswith("lbfgs failed to converge after 1 iteration")


def test_engine_fits_anew_what_another_table_weight_or_version_would_make_different(tmp_path, monkeypatch):
    fold = FOLDS[0]
    request = FitRequest(pipeline(LogisticRegression()), {}, fold.train, (fold.test,))
    others = [
        Table(X, CITIES, weight=None, class_weight="balanced"),
        Table(X, CITIES, weight=TABLE.weight, class_weight=None),
        Table(X.assign(a=X["a"] + 1), CITIES, weight=TABLE.weight, class_weight="balanced"),
        Table(X, CITIES[::-1], weight=TABLE.weight, class_weight="balanced"),
    ]
    for table in (TABLE, *others):
        with Engine(table, fit_cache=FitCache(tmp_path)) as engine:
            engine([request])
        assert engine.counts.fitted == 1
    monkeypatch.setattr("mlwf.engine.fit_key.VERSIONS", "another scikit-learn")
    with Engine(TABLE, fit_cache=FitCache(tmp_path)) as engine:
        engine([request])
    assert engine.counts.fitted == 1


def test_engine_never_shares_what_differs_each_time():
    model = pipeline(DecisionTreeClassifier(random_state=np.random.RandomState(0), max_features=1))
    fold = FOLDS[0]
    with Engine(TABLE) as engine:
        engine([FitRequest(model, {}, fold.train, (fold.test,))] * 3)
        engine([FitRequest(model, {}, fold.train, (fold.test,))])
    assert engine.counts.fitted == 4


def test_engine_makes_a_fit_once_for_simultaneous_requests():
    model, fold = pipeline(GradientBoostingClassifier(n_estimators=40, random_state=0)), FOLDS[0]
    barrier, given = threading.Barrier(4), []

    def call():
        barrier.wait()
        given.extend(engine([FitRequest(model, {}, fold.train, (fold.test,))]))

    with Engine(TABLE, n_jobs=2) as engine:
        callers = [threading.Thread(target=call) for _ in range(4)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    assert (len(given), engine.counts.fitted) == (4, 1)
    for result in given:
        same(result, given[0])


def entered(score=None, *, keep=(2, 5)):
    """Give the requests of two candidates that one fit serves, over all folds."""
    labels = [TABLE.y_of(fold.test) for fold in FOLDS]
    leaderboard = Leaderboard(
        score or (lambda name, fold, said: float(np.mean(said.labels == labels[fold]))),
        ("accuracy",),
        "accuracy",
        len(FOLDS),
    )
    model = pipeline(GradientBoostingClassifier(random_state=0))
    requests = [
        FitRequest(
            model,
            {"classifier__n_estimators": n},
            fold.train,
            (fold.test,),
            candidate_fold=CandidateFold(leaderboard, candidate, number),
        )
        for candidate, n in enumerate(keep)
        for number, fold in enumerate(FOLDS)
    ]
    return leaderboard, model, requests


def test_engine_reads_further_rows_off_the_models_of_the_best_candidate():
    leaderboard, model, requests = entered()
    everything = Rows(np.arange(160))
    with Engine(TABLE) as engine, ReferenceFitter(TABLE) as plain:
        engine(requests)
        done = engine.counts.fitted
        best = {"classifier__n_estimators": (2, 5)[leaderboard.best]}
        further = [FitRequest(model, best, fold.train, (fold.test, everything), keep_model=True) for fold in FOLDS]
        for one, other in zip(engine(further), plain(further), strict=True):
            same(one, other)
            assert np.array_equal(one.model.predict_proba(X), other.model.predict_proba(X))
        assert engine.counts.fitted == done == len(FOLDS)


@pytest.mark.parametrize("best", [0, 1])
def test_engine_continues_a_booster_that_ended_where_it_is_continued(best, monkeypatch):
    resumed_from = []
    monkeypatch.setattr(
        module, "run_job", lambda job, prepared: resumed_from.append(job.resumable) or run_job(job, prepared)
    )
    leaderboard, model, requests = entered(lambda name, fold, said: float(np.var(said.proba)) * (2 * best - 1))
    model.set_params(classifier__subsample=0.5)
    more = [FitRequest(model, {"classifier__n_estimators": 9}, fold.train, (fold.test,)) for fold in FOLDS]
    with Engine(TABLE) as engine, ReferenceFitter(TABLE) as plain:
        engine(requests)
        for one, other in zip(engine(more), plain(more), strict=True):
            same(one, other)
    assert leaderboard.best == best
    # The model of the smaller candidate is cut out of a fit that went on, and cannot be continued from there.
    assert [getattr(each, "n_estimators", None) for each in resumed_from] == [None] * 3 + [[None, 5][best]] * 3


def test_engine_keeps_the_models_of_the_best_candidate_alone():
    leaderboard, _, requests = entered(lambda name, fold, said: -float(np.var(said.proba)))
    with Engine(TABLE) as engine:
        engine(requests)
    assert leaderboard.best == 0
    assert sorted(len(kept.fit_key.key) for kept in leaderboard.kept) == [64] * len(FOLDS)
    assert {kept.model[-1].n_estimators for kept in leaderboard.kept} == {2}
    assert list(leaderboard._models) == [0]


def test_engine_writes_the_models_of_the_best_candidate_down(tmp_path):
    leaderboard, model, requests = entered()
    with Engine(TABLE, fit_cache=FitCache(tmp_path)) as engine:
        engine(requests)
    best = {"classifier__n_estimators": (2, 5)[leaderboard.best]}
    with Engine(TABLE, fit_cache=FitCache(tmp_path)) as again:
        again([FitRequest(model, best, fold.train, (fold.test, fold.train), keep_model=True) for fold in FOLDS])
    assert again.counts.fitted == 0


def test_engine_does_not_begin_what_is_late():
    fold = FOLDS[0]
    model = pipeline(LogisticRegression())
    requests = [
        FitRequest(model, {"classifier__C": 1.0}, fold.train, (fold.test,), deadline=monotonic() - 1),
        FitRequest(model, {"classifier__C": 2.0}, fold.train, (fold.test,), deadline=monotonic() + 100),
    ]
    with Engine(TABLE) as engine:
        late, in_time = engine(requests)
    assert (late.error, late.is_late) == (LATE, True)
    assert in_time.error is None
    assert engine.counts.fitted == 1


def test_engine_shares_all_but_the_workers_with_another_number_of_jobs():
    fold = FOLDS[0]
    request = FitRequest(pipeline(LogisticRegression()), {}, fold.train, (fold.test,))
    with Engine(TABLE) as engine:
        with engine.with_jobs(2) as other:
            other([request])
        assert engine([request])[0].reused
    assert engine.counts.fitted == 1


def test_engine_may_be_called_from_several_threads():
    model = pipeline(LogisticRegression())
    given = {}

    def call(number):
        fold = FOLDS[number]
        given[number] = engine([FitRequest(model, {"classifier__C": c}, fold.train, (fold.test,)) for c in (0.1, 1.0)])

    with Engine(TABLE, n_jobs=2) as engine:
        callers = [threading.Thread(target=call, args=(number,)) for number in range(3)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    with ReferenceFitter(TABLE) as plain:
        for number, fold in enumerate(FOLDS):
            expected = plain([FitRequest(model, {"classifier__C": c}, fold.train, (fold.test,)) for c in (0.1, 1.0)])
            for one, other in zip(given[number], expected, strict=True):
                same(one, other)


def test_engine_calls_back_after_each_fit_with_its_size():
    messages = []
    fold = FOLDS[0]
    model = pipeline(GradientBoostingClassifier(random_state=0))
    requests = [FitRequest(model, {"classifier__n_estimators": n}, fold.train, (fold.test,)) for n in (1, 30)]
    requests.append(
        FitRequest(model, {"classifier__max_depth": 1, "classifier__n_estimators": 2}, fold.train, (fold.test,))
    )
    with Engine(TABLE, on_fit=messages.append) as engine:
        engine(requests)
    assert len(messages) == 2
    assert messages[0] > messages[1]
