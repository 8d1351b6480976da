"""What fits take is predicted from what like fits took; a search begins only what can be finished."""

from __future__ import annotations

from time import monotonic, perf_counter

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from mlwf.engine.costs import MARGIN, OVERHEAD_SECONDS, FitCosts, RunTime, SearchTime
from mlwf.engine.engine import Engine
from mlwf.engine.requests import FitRequest
from mlwf.engine.scheduling import DryRunFitter, estimate_seconds
from mlwf.splitting.rows import Rows, Table

BOOSTER, REGRESSION = GradientBoostingClassifier(), LogisticRegression()
X, Y = make_classification(600, 8, n_informative=6, n_classes=4, n_clusters_per_class=1, random_state=0)
TRAIN, TEST = Rows(np.arange(400)), Rows(np.arange(400, 600))


def test_what_was_not_measured_takes_what_is_estimated():
    assert FitCosts().predict(BOOSTER, 3.0) == OVERHEAD_SECONDS + 3.0


def test_a_fit_takes_as_many_times_its_estimate_as_others_of_its_algorithm_took():
    costs = FitCosts()
    costs.record(BOOSTER, 1.0, OVERHEAD_SECONDS + 2.0)
    assert costs.predict(BOOSTER, 3.0) == pytest.approx(OVERHEAD_SECONDS + 6.0)
    assert costs.predict(REGRESSION, 3.0) == OVERHEAD_SECONDS + 3.0


def test_the_same_classifier_is_measured_by_itself():
    costs = FitCosts()
    costs.record(BOOSTER, 1.0, OVERHEAD_SECONDS + 2.0, learner="deep")
    costs.record(BOOSTER, 1.0, OVERHEAD_SECONDS + 0.5, learner="flat")
    assert costs.predict(BOOSTER, 4.0, learner="deep") == pytest.approx(OVERHEAD_SECONDS + 8.0)
    assert costs.predict(BOOSTER, 4.0, learner="flat") == pytest.approx(OVERHEAD_SECONDS + 2.0)


def test_one_fit_that_met_a_busy_machine_changes_no_prediction():
    costs = FitCosts()
    for seconds in (1.0, 1.1, 60.0, 0.9, 1.0):
        costs.record(BOOSTER, 1.0, OVERHEAD_SECONDS + seconds)
    assert costs.predict(BOOSTER, 1.0) == pytest.approx(OVERHEAD_SECONDS + 1.0)


def test_large_fits_outweigh_small_ones_of_which_the_overhead_is_most():
    costs = FitCosts()
    for _ in range(20):
        costs.record(BOOSTER, 0.001, 0.1)
    costs.record(BOOSTER, 1.0, OVERHEAD_SECONDS + 1.5)
    assert costs.predict(BOOSTER, 2.0) == pytest.approx(OVERHEAD_SECONDS + 3.0)


def test_what_a_fit_takes_whatever_its_rounds_is_taken_once():
    costs = FitCosts()
    costs.record(BOOSTER, 0.1, 0.5)
    costs.record_overhead(BOOSTER, 0.4)
    assert costs.predict(BOOSTER, 4.0) == pytest.approx(0.4 + 4.0)
    assert costs.predict(REGRESSION, 4.0) == OVERHEAD_SECONDS + 4.0


def test_a_short_fit_is_no_measure_of_a_far_longer_one():
    costs = FitCosts()
    costs.record(BOOSTER, 0.01, 0.1)
    assert [costs.is_measured(BOOSTER, estimated) for estimated in (0.01, 0.08, 0.2)] == [True, True, False]
    costs.record(BOOSTER, 0.1, 0.3)
    assert costs.is_measured(BOOSTER, 20.0)
    assert not costs.is_measured(REGRESSION, 0.01)


@pytest.mark.parametrize("kind", [HistGradientBoostingClassifier, GradientBoostingClassifier])
def test_few_rounds_predict_many(kind):
    name = "max_iter" if kind is HistGradientBoostingClassifier else "n_estimators"
    costs, took = FitCosts(), 0.0
    for rounds in (8, 80):
        classifier = kind(random_state=0, **{name: rounds})
        estimated = estimate_seconds(classifier, 400, 8, 4)
        predicted = costs.predict(classifier, estimated)
        started = perf_counter()
        classifier.fit(X[:400], Y[:400])
        took = perf_counter() - started
        costs.record(clone(classifier), estimated, took)
    assert predicted / 4 < took < predicted * 4


def test_the_engine_records_what_its_fits_took_and_a_plan_predicts_by_it():
    table = Table(X, Y)
    pipeline = Pipeline([("classifier", GradientBoostingClassifier(n_estimators=40, random_state=0))])
    costs = FitCosts()
    with Engine(table, run_time=RunTime(costs=costs)) as engine:
        (result,) = engine([FitRequest(pipeline, {}, TRAIN, (TEST,))])
    more = FitRequest(pipeline, {"classifier__n_estimators": 80}, TRAIN, (TEST,))
    predicted, estimated = DryRunFitter(table, costs=costs), DryRunFitter(table)
    predicted([more])
    estimated([more])
    took = result.fit_seconds + result.predict_seconds
    assert predicted.seconds == pytest.approx(2 * took, rel=0.5)
    assert predicted.seconds != estimated.seconds


def test_a_candidate_may_begin_while_it_and_what_follows_fit_into_the_time():
    time = SearchTime(RunTime(100.0), reserve=lambda pipeline, params: params["reserve"])
    assert time.may_begin(40.0, None, {"reserve": 40.0})
    assert not time.may_begin(60.0, None, {"reserve": 40.0})
    assert not time.may_begin(1.0, None, {"reserve": 100.0})


def test_what_is_reserved_for_one_candidate_is_not_given_to_a_later_one():
    time = SearchTime(RunTime(100.0), reserve=lambda pipeline, params: params["reserve"])
    assert time.may_begin(1.0, None, {"reserve": 50.0})
    assert not time.may_begin(60.0, None, {"reserve": 0.0})
    assert time.ends == pytest.approx(time.run_time.ends - MARGIN * 50.0)


def test_of_candidates_that_ship_together_what_follows_is_reserved_for_each():
    time = SearchTime(RunTime(100.0), reserve=lambda pipeline, params: params["reserve"], n_shipped=2)
    assert all(time.may_begin(1.0, None, {"reserve": reserve}) for reserve in (10.0, 30.0, 20.0))
    assert time.ends == pytest.approx(time.run_time.ends - MARGIN * 50.0)


def test_what_ships_together_is_fitted_at_the_same_time_and_ends_once():
    time = SearchTime(
        RunTime(100.0), reserve=lambda pipeline, params: params["reserve"], n_shipped=3, slots=2, at_the_end=5.0
    )
    assert all(time.may_begin(1.0, None, {"reserve": 5.0 + own}) for own in (10.0, 20.0, 4.0))
    assert time.ends == pytest.approx(time.run_time.ends - MARGIN * (5.0 + 20.0))


def test_a_search_takes_no_more_than_its_share_of_the_time():
    time = SearchTime(RunTime(100.0), reserve=lambda pipeline, params: 20.0, share=0.5)
    assert not time.may_begin(45.0, None, {})
    assert time.may_begin(30.0, None, {})


def test_a_run_without_a_limit_may_do_anything():
    run_time = RunTime()
    assert not run_time.is_limited
    assert run_time.may_take(1e9)
    assert SearchTime(run_time, share=0.5).may_begin(1e9, None, {})


def test_the_time_that_has_passed_is_gone():
    run_time = RunTime(100.0, started=monotonic() - 90.0)
    assert run_time.left == pytest.approx(10.0, abs=1.0)
    assert run_time.may_take(5.0)
    assert not run_time.may_take(5.0, reserve=5.0)
