"""Choose among several models by what their searches found, and average the best candidates of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlwf.engine.out_of_fold import OutOfFold
from mlwf.engine.votes import average
from mlwf.errors import FitError, TimeUpError
from mlwf.evaluation.intervals import corrected_t, corrected_t_difference, decide_kept, paired_difference
from mlwf.evaluation.predictions import Predictions, gather, row_losses
from mlwf.results import Difference, EnsembleMember, EnsembleResult, ModelScore, SelectionResult, TuningResult
from mlwf.specs.catalogue import metric_info
from mlwf.specs.experiment import EnsembleSpec
from mlwf.splitting.rows import Table

MOST_CANDIDATES = 100
"""Candidates that an ensemble is selected from: the best by themselves, on the rows that its weights are chosen on."""


@dataclass(frozen=True, eq=False)
class Search:
    """The search of one model, or why it failed."""

    algorithm: str
    result: TuningResult | None
    error: str | None = None
    is_timed_out: bool = False
    """Whether there was no time for any of its candidates."""


def rank_models(
    searches: Mapping[str, Search], *, scoring: str, cv_folds: int, test_to_train: float
) -> SelectionResult:
    """Rank models by the score of their best candidates, which were all scored on the same folds.

    Parameters
    ----------
    searches
        By the names of the models.
    scoring
        The scorer that chooses.
    cv_folds
        Number of folds.
    test_to_train
        Rows of a fold's test side, for each row of its training side.

    Raises
    ------
    FitError
        When no model could be scored.
    """
    found = {name: search.result for name, search in searches.items() if search.result is not None}
    if not found:
        reasons = "; ".join(f"{name}: {search.error}" for name, search in searches.items())
        kind = TimeUpError if all(search.is_timed_out for search in searches.values()) else FitError
        raise kind(f"none of the models could be scored: {reasons}")
    # Of equals the first one written is the best: `max` keeps it.
    chosen = max(found, key=lambda name: found[name].best_score)
    best = _fold_scores(found[chosen], found[chosen].best_index)
    within = metric_info(scoring).range
    scores = [_score(name, search, best, test_to_train, within) for name, search in searches.items()]
    ranked = sorted(scores, key=lambda score: (score.score is None, -(score.score or 0.0), score.name != chosen))
    shares = (replace(score, weight=float(score.name == chosen)) for score in ranked)
    return SelectionResult(scoring=scoring, cv_folds=cv_folds, best=chosen, models=tuple(shares))


def _score(
    name: str, search: Search, best: NDArray[np.float64], test_to_train: float, within: tuple[float, float]
) -> ModelScore:
    result = search.result
    if result is None and search.is_timed_out:
        return ModelScore(name, search.algorithm, stopped=search.error or "")
    if result is None:
        return ModelScore(name, search.algorithm, error=search.error)
    scores = _fold_scores(result, result.best_index)
    fit_time, score_time = (float(result.cv_results[f"mean_{key}_time"][result.best_index]) for key in ("fit", "score"))
    n_predicted = len(result.out_of_fold.rows) / result.cv_folds if result.out_of_fold else None
    return ModelScore(
        name,
        search.algorithm,
        score=result.best_score,
        interval=corrected_t(scores.tolist(), test_to_train=test_to_train, within=within),
        difference=corrected_t_difference(
            scores.tolist(), best.tolist(), test_to_train=test_to_train, greater_is_better=True
        ),
        params=result.best_params,
        n_candidates=result.n_candidates,
        n_failed=result.n_failed,
        search_seconds=result.cpu_seconds,
        fit_seconds=fit_time,
        predict_seconds=score_time / n_predicted * 1000 if n_predicted else None,
        stopped=result.stopped,
    )


def _fold_scores(result: TuningResult, place: int) -> NDArray[np.float64]:
    name = next(key.removeprefix("mean_test_") for key in result.cv_results if key.startswith("mean_test_"))
    folds = [result.cv_results[f"split{fold}_test_{name}"][place] for fold in range(result.cv_folds)]
    return np.asarray(folds, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A candidate of a search, with its out-of-fold predictions."""

    model: str
    params: Mapping[str, Any]
    out_of_fold: OutOfFold


def list_candidates(searches: Mapping[str, Search]) -> list[Candidate]:
    """List the candidates of all searches that predicted every row, the best of each model and then the best of all."""
    found: list[tuple[bool, float, Candidate]] = []
    for name, search in searches.items():
        result = search.result
        if result is None or result.predictions_of is None:
            continue
        means = next(values for key, values in result.cv_results.items() if key.startswith("mean_test_"))
        for place, params in enumerate(result.cv_results["params"]):
            out_of_fold = None if np.isnan(means[place]) else result.predictions_of(place)
            if out_of_fold is not None and out_of_fold.predictions.proba is not None:
                found.append((place != result.best_index, -float(means[place]), Candidate(name, params, out_of_fold)))
    return [candidate for _, _, candidate in sorted(found, key=lambda each: each[:2])]


@dataclass(frozen=True, eq=False)
class Ensemble:
    """An average of candidates, and those whose weights leave one fold out."""

    result: EnsembleResult
    weights: NDArray[np.intp]
    """How often each candidate was drawn, of shape (n_candidates,)."""
    fold_weights: tuple[NDArray[np.intp], ...]
    """The same for each fold, chosen on the other folds; zeros for a fold that has no others."""
    out_of_fold: OutOfFold | None
    """Predictions of the rows, each fold averaged by its own weights; None where no fold has others."""


def select_ensemble(
    spec: EnsembleSpec, candidates: Sequence[Candidate], best: OutOfFold, table: Table, *, ordered: bool = False
) -> Ensemble:
    """Select the average of candidates that predicts best, and decide whether it is kept.

    Greedy selection with replacement by log loss, from an empty ensemble (Caruana et al. 2004, Ensemble selection from
    libraries of models). What is reported, and what decides, is cross-fitted: each fold is averaged by weights that are
    chosen on the other folds, or with `ordered` on the earlier ones.

    Parameters
    ----------
    spec
        How many are drawn, and when the average is kept.
    candidates
        Candidates of any models, with predictions for the same rows by models of the same folds.
    best
        Out-of-fold predictions of the best single candidate, for the same rows.
    """
    rows, folds = best.rows, best.folds
    weight = table.weight_of(rows)
    losses = np.stack([row_losses(each.out_of_fold.predictions, table.y_of(rows)) for each in candidates])
    likelihoods = np.exp(-losses).astype(np.float32)
    everywhere = np.arange(len(rows))
    fold_weights = tuple(
        _draw(likelihoods, others, weight, spec.size)
        if len(others := best.others(number, ordered=ordered))
        else np.zeros(len(candidates), dtype=np.intp)
        for number in range(len(folds))
    )
    weights = _draw(likelihoods, everywhere, weight, spec.size)
    crossed = _average_folds(candidates, best, fold_weights)
    before_and_after, difference = None, None
    if crossed is not None:
        single = best.predictions.take(np.sort(np.concatenate(_learnt(best, fold_weights))))
        before_and_after, difference = _compare(single, crossed, table)
    kept, reason = decide_kept(spec.keep, before_and_after, difference)
    result = EnsembleResult(
        members=tuple(
            EnsembleMember(
                name_of(candidates, place),
                candidates[place].model,
                candidates[place].params,
                float(weights[place] / weights.sum()),
            )
            for place in np.flatnonzero(weights).tolist()
        ),
        n_candidates=len(candidates),
        log_loss=before_and_after and before_and_after[1],
        best_log_loss=before_and_after and before_and_after[0],
        difference=difference,
        kept=kept,
        reason=reason,
    )
    return Ensemble(result, weights, fold_weights, crossed)


def name_of(candidates: Sequence[Candidate], place: int) -> str:
    """Name a candidate by its model, and by its number among the candidates of that model where it has several."""
    model = candidates[place].model
    alike = [at for at, candidate in enumerate(candidates) if candidate.model == model]
    return model if len(alike) == 1 else f"{model}_{alike.index(place) + 1}"


def with_ensemble(selection: SelectionResult, ensemble: EnsembleResult) -> SelectionResult:
    """Add an ensemble, and the share that each model has in it if it is kept."""
    if not ensemble.kept:
        return replace(selection, ensemble=ensemble)
    shares = {
        model.name: sum(member.weight for member in ensemble.members if member.model == model.name)
        for model in selection.models
    }
    models = tuple(replace(model, weight=shares[model.name]) for model in selection.models)
    return replace(selection, ensemble=ensemble, models=models)


def _draw(
    likelihoods: NDArray[np.float32], positions: NDArray[np.intp], weight: NDArray[np.float64] | None, size: int
) -> NDArray[np.intp]:
    """Draw candidates one after another, each the one that lowers the log loss most; give how often each was drawn.

    The log loss of an average depends on the probabilities of the true classes alone: `likelihoods`, of shape
    (n_candidates, n_rows). Of all sizes up to `size` the one with the lowest loss is taken.
    """
    row_weights = np.ones(len(positions)) if weight is None else weight[positions]
    part = likelihoods[:, positions]
    # Sorted, since the first of equals is drawn.
    places = np.sort(np.argsort(-(np.log(part) @ row_weights), kind="stable")[:MOST_CANDIDATES])
    part = part[places]
    counts = np.zeros(len(likelihoods), dtype=np.intp)
    best, best_loss, total = counts.copy(), np.inf, np.zeros(part.shape[1], dtype=np.float32)
    for drawn in range(1, size + 1):
        gains = np.log((part + total) / drawn) @ row_weights
        place = int(np.argmax(gains))
        counts[places[place]] += 1
        total += part[place]
        if -gains[place] < best_loss:
            best, best_loss = counts.copy(), -gains[place]
    return best


def _learnt(best: OutOfFold, fold_weights: Sequence[NDArray[np.intp]]) -> list[NDArray[np.intp]]:
    """List the folds that have weights."""
    return [fold for fold, weights in zip(best.folds, fold_weights, strict=True) if weights.any()]


def _average_folds(
    candidates: Sequence[Candidate], best: OutOfFold, fold_weights: Sequence[NDArray[np.intp]]
) -> OutOfFold | None:
    places = _learnt(best, fold_weights)
    if not places:
        return None
    parts = []
    for fold, weights in zip(best.folds, fold_weights, strict=True):
        if weights.any():
            used = np.flatnonzero(weights)
            members = [candidates[place].out_of_fold.predictions.take(fold) for place in used.tolist()]
            parts.append(average(members, weights[used].tolist()))
    order = np.argsort(np.concatenate(places), kind="stable")
    ends = np.cumsum([len(place) for place in places])[:-1]
    folds = tuple(np.split(np.argsort(order), ends))
    return OutOfFold(best.rows.take(np.concatenate(places)[order]), gather(parts, places), folds)


def _compare(single: Predictions, crossed: OutOfFold, table: Table) -> tuple[tuple[float, float], Difference]:
    """Measure the log loss of the best candidate and of the average on the same rows, and their difference."""
    y, weight = table.y_of(crossed.rows), table.weight_of(crossed.rows)
    before, after = row_losses(single, y), row_losses(crossed.predictions, y)
    units = crossed.rows.index if table.groups is None else table.groups[crossed.rows.index]
    losses = (float(np.average(before, weights=weight)), float(np.average(after, weights=weight)))
    return losses, paired_difference(before - after, units=units, weight=weight)
