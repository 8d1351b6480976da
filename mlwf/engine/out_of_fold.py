"""Out-of-fold predictions, and what phases 3 to 6 make of some rows, which validation repeats on others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mlwf.engine.requests import FitResult, Fitter
from mlwf.evaluation.predictions import Predictions, gather
from mlwf.results import CalibrationResult, ThresholdResult
from mlwf.splitting.rows import Rows, Split


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Predictions of fold models for rows that they were not fitted on."""

    rows: Rows
    """The predicted rows, in the order of those that were split; a row that was predicted twice stands twice."""
    predictions: Predictions
    """One for each of `rows`."""
    folds: tuple[NDArray[np.intp], ...]
    """Positions among `rows` that are evaluated apart when something is chosen on the others: those of each model, or
    parts of what one model predicted."""

    def others(self, number: int, *, ordered: bool = False) -> NDArray[np.intp]:
        """Give the positions of which no row is in that fold; with `ordered` only those of the folds before it."""
        candidates = self.folds[:number] if ordered else self.folds
        positions = np.sort(np.concatenate(candidates)) if candidates else np.empty(0, dtype=np.intp)
        # A repeated splitter has a row of this fold in others too: its label must not come back that way.
        evaluated = self.rows.index[self.folds[number]]
        return positions[~np.isin(self.rows.index[positions], evaluated)]


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """What phases 3 to 6 made of the rows they were given."""

    predictions: Predictions | None
    """Its predictions for the rows of `Split.test`; None where there are none."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """The parameters it was trained with."""
    model: Any = field(default=None, repr=False)
    """The fitted model, where it was requested."""
    out_of_fold: OutOfFold | None = None
    """Predictions for training rows by models of the same kind that were not fitted on them, where there are any."""
    calibration: CalibrationResult | None = None
    """How it was calibrated, and whether that was kept; None where it was not tried."""
    threshold: ThresholdResult | None = None
    """The threshold that it chose; None for the classifier's own."""
    features: Sequence[Any] | None = None
    """The features that it inferred; None where they were given."""
    model_weights: Mapping[str, float] | None = None
    """The share of each model that was chosen among several, by its name; None where there was no choice."""


TrainFn = Callable[[Split, Fitter], TrainedModel]
"""Trains on `Split.train` and predicts `Split.test`; uses no other row. Raises FitError when a fit fails."""


def stack(fit_results: Sequence[FitResult], splits: Sequence[Split], rows: Rows) -> OutOfFold:
    """Put together the first predictions of the model of each split of `rows`: those for the rows of its test side.

    Raises FitError when the models know different classes.
    """
    positions = [rows.positions_of(split.test) for split in splits]
    order = np.argsort(np.concatenate(positions), kind="stable")
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    ends = np.cumsum([len(part) for part in positions])[:-1]
    return OutOfFold(
        rows=rows.take(np.concatenate(positions)[order]),
        predictions=gather([result.predictions[0] for result in fit_results], positions),
        folds=tuple(np.split(places, ends)),
    )


def recut(predicted: OutOfFold, splits: Sequence[Split]) -> OutOfFold:
    """Cut what one model predicted into parts: something can be chosen on some and evaluated on the others."""
    return replace(predicted, folds=tuple(predicted.rows.positions_of(split.test) for split in splits))


Item = TypeVar("Item")
Result = TypeVar("Result")


def at_once(call: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Call for every item at the same time, so that the fitter gets all of their requests; results in order."""
    if len(items) < 2:
        return [call(item) for item in items]
    pool = ThreadPoolExecutor(len(items), thread_name_prefix="mlwf-train")
    try:
        contexts = [copy_context() for _ in items]
        return list(pool.map(lambda context, item: context.run(call, item), contexts, items))
    finally:
        # Nothing is waited for: after an interrupt the fitter drops the requests of these calls, and they end.
        pool.shutdown(wait=False, cancel_futures=True)
