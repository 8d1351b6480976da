"""A search that is to end early ends with the best so far, and says so."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ParameterSampler
from sklearn.neighbors import KNeighborsClassifier

from mlwf.engine.requests import LATE, FitResult
from mlwf.errors import FitError
from mlwf.modules.tuning import list_candidates, tune
from mlwf.specs.tuning import GridSearchSpec, HalvingSearchSpec, OptunaSearchSpec, RandomizedSearchSpec
from mlwf.splitting.rows import Table
from mlwf.splitting.splitters import fold_splitter
from tests.reference_fitter import ReferenceFitter

GRID = {"classifier__C": [1e-4, 1e-2, 1.0, 10.0]}
ROUNDS = {"classifier__max_depth": [1, 2, 3], "classifier__learning_rate": [0.1, 0.3, 1.0]}
FOLDS = fold_splitter("stratified_kfold", n_splits=3, random_state=0)


class Clock:
    """Fits as the plain fitter does until so many fits have been begun; the later ones are late."""

    def __init__(self, table, n_in_time):
        self.left = n_in_time
        self.requests = []
        self.plain = ReferenceFitter(table)

    def __call__(self, requests):
        self.requests += requests
        results = []
        for request in requests:
            results += self.plain([request]) if self.left > 0 else [FitResult(error=LATE, is_late=True)]
            self.left -= 1
        return results


@pytest.fixture
def search(pipeline, data):
    """Give what searches with a time that ends after so many fits, and what it asked."""

    def run(spec, classifier, n_in_time=10**6):
        table = Table(*data())
        clock = Clock(table, n_in_time)
        with clock.plain:
            return tune(spec, pipeline(classifier), table, table.all_rows, FOLDS, clock, random_state=0), clock

    return run


def test_every_request_of_a_search_has_its_entry_and_the_deadline(search):
    spec = GridSearchSpec(param_grid=GRID, timeout_seconds=1000)
    _, clock = search(spec, LogisticRegression())
    assert [(request.candidate_fold.candidate, request.candidate_fold.fold) for request in clock.requests] == [
        (c, f) for c in range(4) for f in range(3)
    ]
    assert len({request.deadline for request in clock.requests}) == 1
    assert clock.requests[0].deadline is not None
    assert len({request.candidate_fold.leaderboard for request in clock.requests}) == 1


def test_without_a_timeout_there_is_no_deadline(search):
    _, clock = search(GridSearchSpec(param_grid=GRID), LogisticRegression())
    assert {request.deadline for request in clock.requests} == {None}


def test_when_the_time_ends_the_best_of_the_complete_candidates_is_named(search):
    spec = GridSearchSpec(param_grid=GRID, timeout_seconds=60)
    whole, _ = search(GridSearchSpec(param_grid=GRID), LogisticRegression())
    result, _ = search(spec, LogisticRegression(), n_in_time=7)
    assert result.n_candidates == 2
    assert result.cv_results["params"] == whole.cv_results["params"][:2]
    assert np.array_equal(result.cv_results["split2_test_score"], whole.cv_results["split2_test_score"][:2])
    assert result.best_params == max(
        zip(whole.cv_results["mean_test_score"][:2], whole.cv_results["params"][:2], strict=True),
        key=lambda scored: scored[0],
    )[1]  # fmt: skip
    assert result.n_failed == 0
    assert result.stopped == "stopped after 60 s: 2 of 4 candidates were tried; a faster machine tries more"
    assert result.summary()["stopped"] == result.stopped


def test_when_the_time_suffices_nothing_is_reported(search):
    result, _ = search(GridSearchSpec(param_grid=GRID, timeout_seconds=1000, max_candidates=4), LogisticRegression())
    assert (result.stopped, result.n_candidates) == ("", 4)
    assert "stopped" not in result.summary()


def test_when_no_candidate_is_complete_in_time_that_is_an_error(search):
    spec = GridSearchSpec(param_grid=GRID, timeout_seconds=0.5)
    message = r"^the time ended before any candidate was complete: tuning\.timeout_seconds is 0\.5$"
    with pytest.raises(FitError, match=message):
        search(spec, LogisticRegression(), n_in_time=2)


def test_a_real_deadline_stops_a_search(pipeline, data):
    table = Table(*data())
    spec = GridSearchSpec(param_grid=GRID, timeout_seconds=1e-9)
    with ReferenceFitter(table) as fit, pytest.raises(FitError, match=r"^the time ended before any"):
        tune(spec, pipeline(LogisticRegression()), table, table.all_rows, FOLDS, fit)


def test_candidates_that_failed_are_reported_when_the_others_are_late(search):
    spec = GridSearchSpec(param_grid={"classifier__n_neighbors": [500, 3]}, timeout_seconds=60)
    with pytest.raises(FitError, match=r"^none of the 1 candidates could be scored: ValueError: Expected n_neighbors"):
        search(spec, KNeighborsClassifier(), n_in_time=3)


def test_max_candidates_tries_the_first_of_a_grid(search):
    result, _ = search(GridSearchSpec(param_grid=GRID, max_candidates=2), LogisticRegression())
    assert [params["classifier__C"] for params in result.cv_results["params"]] == [1e-4, 1e-2]
    assert result.stopped == "the first 2 of 4 candidates, as tuning.max_candidates says"


def test_max_candidates_tries_the_first_that_are_drawn():
    spec = RandomizedSearchSpec(param_distributions=GRID | {"scaler__with_mean": [True, False]}, n_iter=6)
    drawn = list(ParameterSampler(spec.param_distributions, 6, random_state=7))
    limited = spec.model_copy(update={"max_candidates": 4})
    assert list_candidates(limited, random_state=7) == drawn[:4]


def test_both_limits_are_reported(search):
    spec = GridSearchSpec(param_grid=GRID, max_candidates=3, timeout_seconds=1.5)
    result, _ = search(spec, LogisticRegression(), n_in_time=3)
    assert result.stopped == (
        "the first 3 of 4 candidates, as tuning.max_candidates says; "
        "stopped after 1.5 s: 1 of 3 candidates were tried; a faster machine tries more"
    )


def test_a_halving_begins_with_the_first_candidates(search):
    spec = HalvingSearchSpec(param_grid=ROUNDS, max_resources=9, max_candidates=4)
    result, _ = search(spec, GradientBoostingClassifier(random_state=0))
    assert (result.n_candidates, result.cv_results["iter"].tolist()) == (4, [0, 0, 0, 0, 1, 1])
    assert result.stopped == "the first 4 of 9 candidates, as tuning.max_candidates says"


@pytest.mark.parametrize(
    ("n_in_time", "rungs", "progress"),
    [
        (10, [0, 0, 0], "3 of 9 candidates were tried"),
        (9 * 3 + 4, [0] * 9 + [1], "1 of 3 rungs were complete"),
        (12 * 3, [0] * 9 + [1] * 3, "2 of 3 rungs were complete"),
    ],
    ids=["on the first rung", "on the second", "before the third"],
)
def test_a_halving_names_the_best_of_the_highest_rung_that_it_reached(search, n_in_time, rungs, progress):
    spec = HalvingSearchSpec(param_grid=ROUNDS, max_resources=9, scoring="neg_log_loss", timeout_seconds=60)
    classifier = GradientBoostingClassifier(random_state=0)
    whole, _ = search(spec, classifier)
    result, _ = search(spec, classifier, n_in_time=n_in_time)
    assert result.cv_results["iter"].tolist() == rungs
    assert result.stopped == f"stopped after 60 s: {progress}; a faster machine tries more"
    reached = [index for index, rung in enumerate(rungs) if rung == rungs[-1]]
    assert result.best_index == max(reached, key=lambda index: result.cv_results["mean_test_score"][index])
    # The candidates that were best with less of the resource are tried first with more.
    if rungs[-1]:
        lower = [i for i, rung in enumerate(whole.cv_results["iter"]) if rung == rungs[-1] - 1]
        best = max(lower, key=lambda index: whole.cv_results["mean_test_score"][index])
        tried = [result.cv_results["params"][index]["classifier__max_depth"] for index in reached]
        assert whole.cv_results["params"][best]["classifier__max_depth"] in tried


def test_optuna_proposes_no_more_than_max_candidates(search):
    spec = OptunaSearchSpec(param_distributions={"classifier__C": {"loguniform": [1e-4, 10.0]}}, max_candidates=5)
    result, _ = search(spec, LogisticRegression())
    assert result.n_candidates == 5
    assert result.stopped == "the first 5 of 20 candidates, as tuning.max_candidates says"


def test_optuna_leaves_out_what_its_time_did_not_suffice_for(search):
    spec = OptunaSearchSpec(
        param_distributions={"classifier__C": {"loguniform": [1e-4, 10.0]}}, n_iter=8, timeout_seconds=60
    )
    # The fits of the first four, and the first two of the next four.
    result, clock = search(spec, LogisticRegression(), n_in_time=14)
    assert len(clock.requests) == 16
    assert result.n_candidates == 4
    assert not np.isnan(result.cv_results["mean_test_score"]).any()
    assert result.stopped == "stopped after 60 s: 4 of 8 candidates were tried; a faster machine tries more"
