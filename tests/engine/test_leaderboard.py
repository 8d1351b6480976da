"""The best candidate is scikit-learn's, in whatever order the results come, and only its models are kept."""

from __future__ import annotations

import gc
import itertools
import threading

import numpy as np
import pytest

from mlwf.engine.requests import LATE, CandidateFold, FitResult, Leaderboard
from mlwf.evaluation.predictions import Predictions

LABELS = np.array(["a", "b"])


def result_of(value):
    """Make a result whose score is `value`."""
    return FitResult((Predictions(LABELS, LABELS, np.array([[value, 0.0]])),))


def value_of(name, fold, predictions):
    value = float(predictions.proba[0, 0])
    if value < 0:
        raise ValueError("a negative value")
    return -value if name == "loss" else value


def make_leaderboard(n_folds=2, scorers=("value",)):
    return Leaderboard(value_of, scorers, scorers[0], n_folds)


def enter(leaderboard, candidate, fold, value):
    return leaderboard.enter(CandidateFold(leaderboard, candidate, fold), result_of(value), (candidate, fold))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_the_best_is_the_first_of_the_highest_means(order):
    leaderboard = make_leaderboard()
    for candidate, fold in itertools.product(order, range(2)):
        enter(leaderboard, candidate, fold, [[0.2, 0.3], [0.5, 0.7], [0.7, 0.5]][candidate][fold])
    assert leaderboard.best == 1
    assert sorted(leaderboard.kept) == [(1, 0), (1, 1)]


def test_the_mean_is_numpys_over_the_rows_of_cv_results():
    scores = np.random.default_rng(0).random((40, 10))
    leaderboard = make_leaderboard(n_folds=10)
    for (candidate, fold), value in np.ndenumerate(scores):
        enter(leaderboard, candidate, fold, value)
    means = [leaderboard.mean(candidate) for candidate in range(40)]
    assert np.array_equal(means, np.average(scores, axis=1))
    assert leaderboard.best == np.argmax(np.average(scores, axis=1))


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
def test_models_of_several_candidates_are_kept_until_they_are_released(order):
    leaderboard = make_leaderboard(n_folds=1)
    leaderboard.n_kept = 2
    for candidate in order:
        enter(leaderboard, candidate, 0, [0.3, 0.5, 0.1, 0.5][candidate])
    assert (leaderboard.best, leaderboard.kept) == (1, [(1, 0)])
    assert leaderboard.take_ranked_models() == [(3, 0), (1, 0)]
    assert (leaderboard.take_ranked_models(), leaderboard.kept) == ([(1, 0)], [(1, 0)])


def test_enter_returns_whether_the_best_changed():
    leaderboard = make_leaderboard(n_folds=1)
    assert [enter(leaderboard, candidate, 0, value) for candidate, value in enumerate([0.2, 0.1, 0.2, 0.3])] == [
        True,
        False,
        False,
        True,
    ]


def test_a_candidate_is_not_the_best_before_all_its_folds_have_come():
    leaderboard = make_leaderboard()
    enter(leaderboard, 0, 0, 0.9)
    assert (leaderboard.best, leaderboard.mean(0), leaderboard.kept) == (None, None, [])


def test_a_failed_fit_scores_nan_and_is_never_the_best():
    leaderboard = make_leaderboard(n_folds=1)
    leaderboard.enter(CandidateFold(leaderboard, 0, 0), FitResult(error="ValueError: no"))
    assert leaderboard.best is None
    assert np.isnan(leaderboard.cells[0, 0]["value"])
    enter(leaderboard, 1, 0, 0.1)
    assert leaderboard.best == 1


def test_a_scorer_that_fails_leaves_the_others_be():
    leaderboard = make_leaderboard(n_folds=1, scorers=("value", "loss"))
    leaderboard.score = lambda name, fold, predictions: 1.0 if name == "loss" else value_of(name, fold, predictions)
    enter(leaderboard, 3, 0, -1.0)
    assert np.isnan(leaderboard.cells[3, 0]["value"])
    assert leaderboard.cells[3, 0]["loss"] == 1.0
    assert leaderboard.failures == {(3, 0): ["value: ValueError: a negative value"]}


def test_a_candidate_with_a_late_fold_is_out():
    leaderboard = make_leaderboard()
    leaderboard.enter(CandidateFold(leaderboard, 0, 0), FitResult(error=LATE, is_late=True))
    enter(leaderboard, 0, 1, 0.9)
    assert (leaderboard.best, leaderboard.mean(0)) == (None, None)
    assert (0, 0) not in leaderboard.cells
    assert leaderboard._models == {}


def test_a_withdrawn_candidate_keeps_no_models():
    leaderboard = make_leaderboard()
    enter(leaderboard, 0, 0, 0.9)
    leaderboard.withdraw(0)
    enter(leaderboard, 0, 1, 0.9)
    assert leaderboard._models.get(0) is None


def test_the_same_predictions_are_scored_once_a_fold_and_not_kept():
    calls = []
    leaderboard = make_leaderboard(n_folds=2)
    leaderboard.score = lambda name, fold, predictions: calls.append((name, fold)) or 0.5
    placeholder = result_of(0.5)
    for candidate, fold in itertools.product(range(50), range(2)):
        leaderboard.enter(CandidateFold(leaderboard, candidate, fold), placeholder)
    assert calls == [("value", 0), ("value", 1)]
    assert leaderboard.best == 0
    assert len(leaderboard._scores) == 1
    del placeholder
    gc.collect()
    assert len(leaderboard._scores) == 0


def test_results_may_come_from_several_threads():
    leaderboard = make_leaderboard(n_folds=3)
    scores = np.random.default_rng(1).random((60, 3))

    def enter_every_fourth(first):
        for candidate, fold in itertools.product(range(first, 60, 4), range(3)):
            enter(leaderboard, candidate, fold, scores[candidate, fold])

    threads = [threading.Thread(target=enter_every_fourth, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    best = int(np.argmax(np.average(scores, axis=1)))
    assert leaderboard.best == best
    assert sorted(leaderboard.kept) == [(best, fold) for fold in range(3)]
    assert set(leaderboard._models) == {best}
