"""Fit requests and their results, and the leaderboard of a search while its fits come in any order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from mlwf.engine.costs import SearchTime
from mlwf.errors import FitError, TimeUpError, raise_if_bug
from mlwf.evaluation.predictions import Predictions
from mlwf.splitting.rows import Rows, Table

Score = Callable[[str, int, Predictions], float]
"""Scores the first predictions of a fit, by the name of a scorer and the number of the fold; raises what scorers do."""


@dataclass(frozen=True, eq=False)
class CandidateFold:
    """One fold of one candidate."""

    leaderboard: Leaderboard
    candidate: int
    fold: int


@dataclass(eq=False)
class Leaderboard:
    """Scores the fits of a search as they come, and keeps the fold models of the best candidates alone.

    The best candidate has the highest mean over all of its folds; of equals it is the one with the lowest number, as
    in scikit-learn. A fit or a scorer that fails scores NaN, and such a candidate is never the best. A candidate with
    a fold that was not begun in time is withdrawn.
    """

    score: Score
    scorers: tuple[str, ...]
    chosen_by: str
    n_folds: int
    n_kept: int = 1
    """Of how many candidates the models are kept: the best, and those that are to be resumed."""
    n_groups: int = 0
    """How many groups of candidates the scheduler has numbered, where the time is limited."""
    cells: dict[tuple[int, int], Mapping[str, float]] = field(default_factory=dict)
    """Scores of each candidate and fold, by scorer."""
    failures: dict[tuple[int, int], list[str]] = field(default_factory=dict)
    """Errors of the scorers that failed, by candidate and fold."""
    best: int | None = None
    """The best candidate of those that are complete."""
    _models: dict[int, list[Any]] = field(default_factory=dict, repr=False)
    _ranks: list[tuple[float, int]] = field(default_factory=list, repr=False)
    """Mean and negative number of the complete candidates whose models are kept, the best first."""
    _withdrawn: set[int] = field(default_factory=set, repr=False)
    _scores: WeakKeyDictionary[Predictions, dict[int, _Scored]] = field(default_factory=WeakKeyDictionary, repr=False)
    _lock: Any = field(default_factory=threading.Lock, repr=False)

    def enter(self, candidate_fold: CandidateFold, result: FitResult, kept: Any = None) -> bool:
        """Score the result of a fold, and keep its model while its candidate may be best.

        `kept` stands for the model: a CachedModel in a run, its key in a plan. Returns whether the best changed.
        """
        if result.is_late:
            self.withdraw(candidate_fold.candidate)
            return False
        cell, failures = self._scored(candidate_fold.fold, result)
        with self._lock:
            self.cells[candidate_fold.candidate, candidate_fold.fold] = cell
            if failures:
                self.failures[candidate_fold.candidate, candidate_fold.fold] = failures
            if kept is not None and candidate_fold.candidate not in self._withdrawn:
                self._models.setdefault(candidate_fold.candidate, []).append(kept)
            mean = self.mean(candidate_fold.candidate)
            return mean is not None and self._is_new_best(candidate_fold.candidate, mean)

    def mean(self, candidate: int, scorer: str | None = None) -> float | None:
        """Average a candidate's scores over the folds; None until all of them have come."""
        cells = [self.cells.get((candidate, fold)) for fold in range(self.n_folds)]
        present = [cell[scorer or self.chosen_by] for cell in cells if cell is not None]
        return float(np.average(present)) if len(present) == self.n_folds else None

    def withdraw(self, candidate: int) -> None:
        """Drop a candidate before the results of all of its folds have come."""
        with self._lock:
            self._withdrawn.add(candidate)
            self._models.pop(candidate, None)

    @property
    def kept(self) -> list[Any]:
        """The models of the best candidate, in any order."""
        with self._lock:
            return [] if self.best is None else list(self._models.get(self.best, ()))

    def take_ranked_models(self) -> list[Any]:
        """Give the models of all complete candidates, the best last; from now on those of the best alone are kept."""
        with self._lock:
            places = [-negative for _, negative in reversed(self._ranks)]
            given = [kept for place in places for kept in self._models.get(place, ())]
            for place in places[:-1]:
                self._models.pop(place, None)
            return given

    def _is_new_best(self, candidate: int, mean: float) -> bool:
        if np.isnan(mean):
            self._models.pop(candidate, None)
            return False
        self._ranks = sorted({*self._ranks, (mean, -candidate)}, reverse=True)
        for _, negative in self._ranks[self.n_kept :]:
            self._models.pop(-negative, None)
        del self._ranks[self.n_kept :]
        before, self.best = self.best, -self._ranks[0][1]
        return self.best != before

    def _scored(self, fold: int, result: FitResult) -> _Scored:
        if result.error:
            return dict.fromkeys(self.scorers, np.nan), []
        # A dry run gives the same predictions each time: to score them anew would take longer than the fits do.
        predictions = result.predictions[0]
        with self._lock:
            known = self._scores.setdefault(predictions, {})
        if fold not in known:
            known[fold] = self._score_fold(fold, predictions)
        return known[fold]

    def _score_fold(self, fold: int, predictions: Predictions) -> _Scored:
        """Score with every scorer; NaN for one that fails, as scikit-learn's error_score."""
        cell: dict[str, float] = {}
        failures: list[str] = []
        for name in self.scorers:
            try:
                cell[name] = self.score(name, fold, predictions)
            except Exception as error:
                raise_if_bug(error)
                cell[name] = np.nan
                failures.append(f"{name}: {type(error).__name__}: {error}")
        return cell, failures


_Scored = tuple[Mapping[str, float], list[str]]


@dataclass(frozen=True, eq=False)
class FitRequest:
    """Asks for a fit: this pipeline with these parameters, trained on these rows, predicts those rows."""

    pipeline: Any
    params: Mapping[str, Any]
    train: Rows
    predict: tuple[Rows, ...] = ()
    keep_model: bool = False
    class_weighted: bool = True
    """Whether the fit weighs the classes as the table does."""
    table: Table | None = None
    """The same rows with other columns, where they are not those of the fitter's own table."""
    candidate_fold: CandidateFold | None = None
    """Its place in a search, of which only the best candidate's models are worth keeping."""
    deadline: float | None = None
    """Reading of `time.monotonic` from which on it is not begun any more."""
    search_time: SearchTime | None = None
    """The time of the search that it belongs to; None where that is not limited."""


@dataclass(frozen=True, eq=False)
class FitResult:
    """The result of one request; a fit that failed has one too."""

    predictions: tuple[Predictions, ...] = ()
    model: Any = field(default=None, repr=False)
    fit_seconds: float = 0.0
    """What the fit took; requests that share one fit share its time."""
    predict_seconds: float = 0.0
    reused: bool = False
    """Whether no fit was made for it: its predictions or its model were stored."""
    error: str | None = None
    """Why the fit failed, or None."""
    is_late: bool = False
    """Whether it was not begun, or not finished, because the time was up; `error` is LATE then."""


LATE = "not finished: the time was up"

LATE_RESULT = FitResult(error=LATE, is_late=True)


def check_fitted(result: FitResult, failed: str = "") -> None:
    """Raise the error of a fit that failed, after `failed`: a FitError, or a TimeUpError where it was late."""
    if result.error:
        message = f"{failed}: {result.error}" if failed else result.error
        raise TimeUpError(message) if result.is_late else FitError(message)


Fitter = Callable[[Sequence[FitRequest]], Sequence[FitResult]]
"""Makes the fits of some requests; the results are in their order. `Engine` in a run, `DryRunFitter` in a plan."""


def last_step(pipeline: Any) -> tuple[str, Any]:
    """Give the last step and its name, which is empty for a classifier that is in no pipeline."""
    name, classifier = getattr(pipeline, "steps", [("", pipeline)])[-1]
    return name, classifier


def on_table(fitter: Fitter, table: Table) -> Fitter:
    """Make a fitter of the same rows with other columns."""
    return lambda requests: fitter([replace(request, table=table) for request in requests])
