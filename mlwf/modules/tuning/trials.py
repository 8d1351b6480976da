"""Fit and score candidates, and make scikit-learn's `cv_results_` of their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mlwf.engine.costs import SearchTime
from mlwf.engine.requests import CandidateFold, FitRequest, FitResult, Fitter, Leaderboard
from mlwf.evaluation.predictions import Predictions, score
from mlwf.splitting.rows import Rows, Split, Table


def make_cv_results(rows: Sequence[tuple[Trials, int]], names: Mapping[str, str]) -> dict[str, Any]:
    """Make the columns, of one entry for each candidate.

    Parameters
    ----------
    rows : sequence of (Trials, int)
        The candidates, by their number among those of the same trials.
    names : mapping of str to str
        What each scorer is called in the names of the columns.

    Returns
    -------
    dict
        NaN stands for the folds of a fit or a scorer that failed, or of a candidate that was pruned before.
    """
    candidates = [trials.candidates[candidate] for trials, candidate in rows]
    results: dict[str, Any] = {
        name: np.asarray([trials.columns[name] for trials, _ in rows]) for name in rows[0][0].columns
    }
    results |= _times(rows)
    results |= _param_columns(candidates)
    results["params"] = candidates
    for scorer, name in names.items():
        array = np.array([_scores(trials, candidate, scorer) for trials, candidate in rows], dtype=np.float64)
        results |= {f"split{i}_test_{name}": array[:, i] for i in range(array.shape[1])}
        results[f"mean_test_{name}"] = means = np.average(array, axis=1)
        results[f"std_test_{name}"] = np.sqrt(np.average((array - means[:, np.newaxis]) ** 2, axis=1))
        results[f"rank_test_{name}"] = _rank(means)
    return results


def _times(rows: Sequence[tuple[Trials, int]]) -> dict[str, Any]:
    fit_results = [trials.of(candidate) for trials, candidate in rows]
    columns: dict[str, Any] = {}
    for name, attribute in (("fit_time", "fit_seconds"), ("score_time", "predict_seconds")):
        times = np.array(
            [[getattr(result, attribute, np.nan) for result in row] for row in fit_results], dtype=np.float64
        )
        columns[f"mean_{name}"], columns[f"std_{name}"] = times.mean(axis=1), times.std(axis=1)
    return columns


def _scores(trials: Trials, candidate: int, scorer: str) -> list[float]:
    cells = [trials.leaderboard.cells.get((candidate, fold)) for fold in range(len(trials.splits))]
    return [np.nan if cell is None else cell[scorer] for cell in cells]


def _rank(means: NDArray[np.float64]) -> NDArray[np.int32]:
    """Rank with 1 for the best; ties share the best rank, and what could not be scored comes last."""
    if np.isnan(means).all():
        return np.ones_like(means, dtype=np.int32)
    filled = np.nan_to_num(means, nan=np.nanmin(means) - 1)
    ranks: NDArray[np.int32] = stats.rankdata(-filled, method="min").astype(np.int32)
    return ranks


def _param_columns(candidates: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Make scikit-learn's `param_*` columns: masked where a candidate does not set the parameter."""
    columns: dict[str, Any] = {}
    for name in dict.fromkeys(name for params in candidates for name in params):
        present = [(i, params[name]) for i, params in enumerate(candidates) if name in params]
        empty = np.empty(len(candidates), dtype=_dtype([value for _, value in present]))
        column = np.ma.MaskedArray(empty, mask=True)
        for i, value in present:
            column[i] = value
        columns[f"param_{name}"] = column
    return columns


def _dtype(values: Sequence[Any]) -> Any:
    try:
        array = np.array(values)
    except ValueError:  # lists of different lengths
        return object
    return array.dtype if array.dtype.kind != "U" and array.ndim == 1 else object


Params = dict[str, Any]
"""The parameters of one candidate."""


@dataclass(frozen=True, eq=False)
class Search:
    """What all candidates of a search have in common."""

    pipeline: Any
    table: Table
    rows: Rows
    splits: Sequence[Split]
    scorers: Mapping[str, Any]
    chosen_by: str
    """The scorer that chooses."""
    fitter: Fitter
    deadline: float | None = None
    """Reading of `time.monotonic` from which on no fit is begun."""
    time: SearchTime | None = None
    """Which candidates there is time for; None where the run has no time limit."""


@dataclass(eq=False)
class Trials:
    """Candidates that are tried on the same splits, and what came of them."""

    search: Search
    splits: Sequence[Split]
    candidates: list[dict[str, Any]]
    columns: Mapping[str, int] = field(default_factory=dict)
    """Further columns of `cv_results_`, with the same value for each of these candidates."""
    pruned: set[int] = field(default_factory=set)
    """Candidates that were not fitted on all splits, because of their scores on the first."""
    fit_results: dict[tuple[int, int], FitResult] = field(default_factory=dict)
    """Results of the fits, by candidate and split."""
    leaderboard: Leaderboard = field(init=False)

    def __post_init__(self) -> None:
        self.leaderboard = Leaderboard(
            self._score, tuple(self.search.scorers), self.search.chosen_by, n_folds=len(self.splits)
        )

    def request(self, cells: Sequence[tuple[int, int]]) -> None:
        """Fit and score these candidates on these splits, in this order."""
        requests = [
            FitRequest(
                self.search.pipeline,
                self.candidates[candidate],
                self.splits[fold].train,
                (self.splits[fold].test,),
                candidate_fold=CandidateFold(self.leaderboard, candidate, fold),
                deadline=self.search.deadline,
                search_time=self.search.time,
            )
            for candidate, fold in cells
        ]
        for request, cell, result in zip(requests, cells, self.search.fitter(requests), strict=True):
            self.fit_results[cell] = result
            # A fitter that keeps the models of the best candidate has entered the result already.
            if cell not in self.leaderboard.cells and request.candidate_fold is not None:
                self.leaderboard.enter(request.candidate_fold, result)

    def prune(self, candidate: int) -> None:
        """Fit a candidate on no further split."""
        self.pruned.add(candidate)
        self.leaderboard.withdraw(candidate)

    def of(self, candidate: int) -> list[FitResult | None]:
        """Give the fit results of a candidate, one for each split; None where it was pruned before."""
        return [self.fit_results.get((candidate, fold)) for fold in range(len(self.splits))]

    @property
    def tried(self) -> list[int]:
        """The candidates that were fitted on all splits or pruned; for the others there was no time."""
        return [candidate for candidate in range(len(self.candidates)) if self._is_tried(candidate)]

    @property
    def is_late(self) -> bool:
        """Whether there was no time for all requested fits."""
        return any(result.is_late for result in self.fit_results.values())

    def is_candidate_late(self, candidate: int) -> bool:
        """Whether there was no time for all fits of a candidate."""
        return any(result is not None and result.is_late for result in self.of(candidate))

    def _is_tried(self, candidate: int) -> bool:
        if self.is_candidate_late(candidate):
            return False
        return candidate in self.pruned or None not in self.of(candidate)

    def _score(self, name: str, fold: int, predictions: Predictions) -> float:
        return score(self.search.scorers[name], predictions, self.search.table.y_of(self.splits[fold].test))


@dataclass(frozen=True, eq=False)
class SearchOutcome:
    """The trials of a search, and how complete they are."""

    trials: Sequence[Trials]
    """In order; the best candidate is the best of the last of them that has one."""
    progress: str
    """How far the search got, for when its time ended."""
    inexact: str = ""
    """What the strategy did not compare in full; empty where it did."""
