"""Models are ranked by their best candidates; an average of candidates is chosen, and judged, on other folds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mlwf.engine.out_of_fold import OutOfFold
from mlwf.errors import FitError
from mlwf.evaluation.predictions import Predictions
from mlwf.modules.model_selection import (
    MOST_CANDIDATES,
    Candidate,
    Search,
    list_candidates,
    rank_models,
    select_ensemble,
)
from mlwf.results import TuningResult
from mlwf.specs.experiment import EnsembleSpec
from mlwf.splitting.rows import Rows, Table

CLASSES = np.array(["no", "yes"], dtype=object)


def found(*folds: tuple[float, ...], seconds: float = 1.0) -> TuningResult:
    """Give the result of a search from the scores of its candidates in each fold."""
    scores = np.array(folds)
    results = {f"split{fold}_test_score": scores[:, fold] for fold in range(scores.shape[1])}
    results |= {"mean_test_score": scores.mean(axis=1), "params": [{"p": number} for number in range(len(folds))]}
    results |= {"mean_fit_time": np.full(len(folds), 0.5), "mean_score_time": np.full(len(folds), 0.1)}
    best = int(np.argmax(scores.mean(axis=1)))
    return TuningResult(
        strategy="grid", scoring="neg_log_loss", best_params={"p": best}, best_score=float(scores.mean(axis=1)[best]),
        best_index=best, n_candidates=len(folds), n_failed=0, cv_folds=scores.shape[1], cv_results=results,
        cpu_seconds=seconds,
    )  # fmt: skip


def rank(**results: TuningResult | str):
    searches = {
        name: Search("knn", None, result) if isinstance(result, str) else Search("knn", result)
        for name, result in results.items()
    }
    return rank_models(searches, scoring="neg_log_loss", cv_folds=3, test_to_train=0.5)


def test_the_best_model_stands_first_and_failed_ones_last():
    ranking = rank(a=found((-0.5, -0.6, -0.4)), broken="ValueError: no", b=found((-0.9, -1, -1), (-0.2, -0.3, -0.1)))
    assert [model.name for model in ranking.models] == ["b", "a", "broken"]
    assert ranking.best == "b"
    assert ranking.models[0].params == {"p": 1}
    assert ranking.failures == {"broken": "ValueError: no"}


def test_of_equal_models_the_first_one_written_is_the_best():
    assert rank(a=found((-0.5, -0.6, -0.4)), b=found((-0.5, -0.6, -0.4))).best == "a"


def test_a_difference_that_may_be_chance_is_marked():
    ranking = rank(a=found((-0.50, -0.60, -0.40)), near=found((-0.40, -0.80, -0.35)), far=found((-2.0, -2.11, -1.89)))
    marks = {model.name: model.difference and model.difference.distinguishable for model in ranking.models}
    assert marks == {"a": None, "near": False, "far": True}
    assert ranking.models[-1].difference.value == pytest.approx(-1.5)


def test_no_interval_leaves_the_range_of_the_scorer():
    assert rank(a=found((-0.001, -0.4, -0.002))).models[0].interval.high == 0


def test_models_that_all_fail_are_one_error_with_each_reason():
    with pytest.raises(FitError, match="none of the models could be scored: a: no; b: never"):
        rank(a="no", b="never")


N_ROWS = 90
FOLDS = tuple(np.arange(start, start + 30) for start in (0, 30, 60))


def candidate(name: str, likelihoods: np.ndarray, y: np.ndarray) -> Candidate:
    """Make a candidate that gives the true class of each row this probability."""
    yes = np.where(y == "yes", likelihoods, 1 - likelihoods)
    proba = np.column_stack([1 - yes, yes])
    predictions = Predictions(CLASSES, CLASSES[(yes > 0.5).astype(int)], proba)
    return Candidate(name, {}, OutOfFold(Rows(np.arange(N_ROWS)), predictions, FOLDS))


@pytest.fixture
def table():
    y = CLASSES[np.random.default_rng(0).integers(0, 2, N_ROWS)]
    return Table(np.zeros((N_ROWS, 1)), y)


def test_two_models_that_err_elsewhere_are_averaged(table):
    odd = np.arange(N_ROWS) % 2 == 0
    candidates = [
        candidate("a", np.where(odd, 0.99, 0.2), table.y),
        candidate("b", np.where(odd, 0.2, 0.99), table.y),
    ]
    ensemble = select_ensemble(EnsembleSpec(size=10), candidates, candidates[0].out_of_fold, table)
    assert ensemble.result.kept
    assert [member.weight for member in ensemble.result.members] == [0.5, 0.5]
    assert ensemble.result.log_loss == pytest.approx(-np.log(0.595))
    assert np.allclose(ensemble.out_of_fold.predictions.proba.max(axis=1), 0.595)


def test_an_average_that_may_be_chance_is_not_kept_unless_asked_for(table):
    draw = np.random.default_rng(1)
    candidates = [candidate(str(number), draw.uniform(0.2, 0.8, N_ROWS), table.y) for number in range(8)]
    best = candidates[0].out_of_fold
    assert not select_ensemble(EnsembleSpec(), candidates[:1] * 2, best, table).result.kept
    always = select_ensemble(EnsembleSpec(keep="always"), candidates[:1] * 2, best, table).result
    assert always.kept
    assert always.reason.startswith("as `keep: always` asks")


def test_the_weights_of_a_fold_do_not_know_its_labels(table):
    draw = np.random.default_rng(2)
    candidates = [candidate(str(number), draw.uniform(0.3, 0.9, N_ROWS), table.y) for number in range(6)]
    spoilt = [
        candidate(each.model, np.where(np.arange(N_ROWS) < 30, draw.uniform(0.1, 0.9, N_ROWS), likelihoods), table.y)
        for each in candidates
        for likelihoods in [np.where(table.y == "yes", *each.out_of_fold.predictions.proba.T[::-1])]
    ]
    before = select_ensemble(EnsembleSpec(), candidates, candidates[0].out_of_fold, table)
    after = select_ensemble(EnsembleSpec(), spoilt, spoilt[0].out_of_fold, table)
    assert np.array_equal(before.fold_weights[0], after.fold_weights[0])
    assert not np.array_equal(before.fold_weights[1], after.fold_weights[1])


def test_with_an_order_the_first_fold_is_averaged_by_nothing(table):
    candidates = [candidate("a", np.full(N_ROWS, 0.7), table.y), candidate("b", np.full(N_ROWS, 0.6), table.y)]
    ensemble = select_ensemble(EnsembleSpec(), candidates, candidates[0].out_of_fold, table, ordered=True)
    assert ensemble.fold_weights[0].tolist() == [0, 0]
    assert ensemble.out_of_fold.rows.index.tolist() == list(range(30, 90))
    assert len(ensemble.out_of_fold.folds) == 2


def test_rows_weigh_as_the_table_says(table):
    weights = np.where(np.arange(N_ROWS) % 2 == 0, 10.0, 0.1)
    odd = np.arange(N_ROWS) % 2 == 0
    candidates = [
        candidate("even", np.where(odd, 0.9, 0.5), table.y),
        candidate("odd", np.where(odd, 0.5, 0.99), table.y),
    ]
    weighted = Table(table.X, table.y, weights)
    shares = select_ensemble(EnsembleSpec(), candidates, candidates[0].out_of_fold, weighted).weights
    assert shares[0] > 4 * shares[1]


def test_of_very_many_candidates_none_is_left_out_for_its_loss_in_the_fold_itself(table):
    # One is the best by far in all folds but the first, where it is so wrong that all others are better on average.
    right = np.where(np.arange(N_ROWS) < 30, 1e-9, 0.99)
    others = [np.full(N_ROWS, 0.6 + number / 10_000) for number in range(MOST_CANDIDATES)]
    candidates = [candidate("near", each, table.y) for each in [right, *others]]
    scores = found(*[tuple(np.log(each).reshape(3, 30).mean(axis=1)) for each in [right, *others]])
    tuned = replace(scores, predictions_of=lambda place: candidates[place].out_of_fold)
    listed = list_candidates({"near": Search("knn", tuned)})
    selected = select_ensemble(EnsembleSpec(), listed, tuned.predictions_of(tuned.best_index), table)
    place = next(at for at, each in enumerate(listed) if each.params == {"p": 0})
    assert [bool(weights[place]) for weights in selected.fold_weights] == [True, False, False]
