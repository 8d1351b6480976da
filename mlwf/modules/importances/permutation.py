"""Permutation importance of raw columns, on rows that the models did not learn from.

A column matters by how much worse the predictions get when its values are shuffled among the rows (Breiman 2001;
Fisher, Rudin and Dominici 2019). Columns that go together are shuffled together: of two that say the same each alone
would seem to matter little (Strobl et al. 2008).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlwf.evaluation.intervals import mean_intervals
from mlwf.evaluation.predictions import codes_of
from mlwf.modules.importances.column_groups import ColumnGroup
from mlwf.provenance import Provenance
from mlwf.results import ColumnImportance, Importances
from mlwf.splitting.stored_frame import in_memory

MOST_ROWS = 2000
"""Rows that are predicted again with shuffled columns: of more these are drawn."""
FEWEST_ROWS = 100
"""Rows that the time may not take away."""
MOST_PREDICTED = 20_000
"""Rows times columns times repeats, each predicted anew."""
MOST_CELLS = 10_000_000
"""The same times columns: wide tables have fewer rows."""
MOST_REPEATS = 5
FIRST_BLOCKS, ROUNDS, SPLIT_AT_ONCE = 20, 6, 3
"""Into how many parts a wide table is cut, and how often how many of those that matter most are halved."""
MOST_PARTS = 60
"""Columns, or groups of them, that are shuffled apart; of more, those that matter are searched for by halves."""
SECONDS = 3.0
"""What all of it may take of the processor; a model that predicts slowly is asked for fewer rows."""
WIDE_MODELS = 2
"""Models of folds that predict the rows of a wide table."""
CELLS_AT_ONCE = 2**21


@dataclass(frozen=True, eq=False)
class Predict:
    """Gives probabilities of shape (n_rows, n_classes) for raw rows; 0 and 1 of a model that has labels alone."""

    call: Callable[[Any], Any]
    has_probabilities: bool = True

    def __call__(self, X: Any) -> NDArray[np.float64]:
        """Predict."""
        return np.asarray(self.call(X), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class HeldOutRows:
    """Rows, and a model that did not learn from them."""

    predict: Predict
    X: Any
    """Raw rows: a DataFrame, a StoredFrame, or an array."""
    codes: NDArray[np.intp]
    """Position of each row's label among the classes."""
    weight: NDArray[np.float64] | None = None
    units: NDArray[Any] | None = None
    """Which rows the bootstrap draws together; None for single rows."""

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, at: NDArray[np.intp]) -> HeldOutRows:
        """Pick rows by position."""
        X = self.X.iloc[at] if hasattr(self.X, "iloc") else self.X[at]
        weight, units = (None if each is None else each[at] for each in (self.weight, self.units))
        return HeldOutRows(self.predict, X, self.codes[at], weight, units)


def as_predict(model: Any, classes: NDArray[Any]) -> Predict:
    """Give what predicts probabilities by a fitted model, or 0 and 1 where it has labels alone."""
    if hasattr(model, "predict_proba"):
        return Predict(model.predict_proba)

    def predict_labels(X: Any) -> NDArray[np.float64]:
        labels = np.asarray(model.predict(X)).astype(classes.dtype)
        return np.eye(len(classes))[codes_of(labels, classes)]

    return Predict(predict_labels, has_probabilities=False)


def measure_importances(
    parts: Sequence[HeldOutRows],
    groups: Sequence[ColumnGroup],
    *,
    random_state: int,
    seconds: float = SECONDS,
    provenance: Provenance | None = None,
) -> Importances:
    """Shuffle each group of columns, and measure how much worse each row is predicted.

    The loss of a row is its squared error (its part of the Brier score), or without probabilities whether its label is
    wrong. The intervals are of a bootstrap of the rows, or of their units.

    Parameters
    ----------
    parts
        Rows with the models that predict them: those of each fold, or all of them with one model.
    random_state
        Draws the rows and shuffles them.
    seconds
        What it may take of the processor, however busy that is. Where it is too little fewer rows or columns are used,
        which depends on the machine: `is_cut` says so.
    """
    deadline = process_time() + 2 * seconds
    # Each fold prepares its rows anew, which of a wide table takes long.
    used = parts if len(groups) <= MOST_PARTS else parts[:WIDE_MODELS]
    has_probabilities = all(part.predict.has_probabilities for part in parts)
    n_parts, width = min(len(groups), MOST_PARTS), _width(groups)
    drawn = _draw(used, min(MOST_ROWS, max(FEWEST_ROWS, _most_predicted(width) // n_parts)), random_state)
    sample, base = _predict_base(drawn, has_probabilities, n_parts=n_parts, seconds=seconds)
    n_drawn, n_rows = (sum(map(len, each)) for each in (drawn, sample))
    is_cut = n_rows < n_drawn
    repeats = 1 if is_cut else min(MOST_REPEATS, max(1, _most_predicted(width) // (n_rows * n_parts)))
    found = _measure(_Shuffled(sample, base, has_probabilities, repeats, random_state), groups, deadline)
    gains = np.array([gain for _, gain in found]).reshape(len(found), n_rows)
    weight, units = _joined([part.weight for part in sample]), _joined([part.units for part in sample])
    intervals = mean_intervals(gains, units=units, weight=weight, random_state=random_state)
    columns = [
        ColumnImportance(group.columns, _mean(gain, weight), interval, group.association)
        for (group, gain), interval in zip(found, intervals, strict=True)
    ]
    mean = _mean(np.concatenate(base), weight)
    return Importances(
        columns=tuple(sorted(columns, key=lambda column: -column.value)),
        metric="brier_score" if has_probabilities else "accuracy",
        score=mean if has_probabilities else 1 - mean,
        n_rows=n_rows,
        n_held_out=sum(map(len, parts)),
        n_repeats=repeats,
        n_models=len(used),
        is_cut=is_cut or sum(len(group.columns) for group, _ in found) < width,
        provenance=provenance,
    )


def _width(groups: Sequence[ColumnGroup]) -> int:
    return sum(len(group.columns) for group in groups)


def _most_predicted(width: int) -> int:
    return min(MOST_PREDICTED, MOST_CELLS // width)


def _draw(parts: Sequence[HeldOutRows], most: int, random_state: int) -> list[HeldOutRows]:
    """Draw rows, of each part its share; rows of weight 0 are left out."""
    counted = [part if part.weight is None else part.take(np.flatnonzero(part.weight > 0)) for part in parts]
    total, drawn = sum(map(len, counted)), []
    for number, part in enumerate(counted):
        n_rows = len(part) if total <= most else max(1, round(most * len(part) / total))
        random = np.random.default_rng([random_state, number])
        drawn.append(part if n_rows >= len(part) else part.take(np.sort(random.permutation(len(part))[:n_rows])))
    return [replace(part, X=in_memory(part.X)) for part in drawn if len(part)]


def _predict_base(
    sample: list[HeldOutRows], has_probabilities: bool, *, n_parts: int, seconds: float
) -> tuple[list[HeldOutRows], list[NDArray[np.float64]]]:
    """Give the losses without shuffling; of fewer rows where to predict all of them as often takes too long."""
    started = process_time()
    base = [_losses(part.predict(part.X), part.codes, has_probabilities) for part in sample]
    taken = (process_time() - started) * n_parts
    while taken > seconds and sum(map(len, sample)) >= 2 * FEWEST_ROWS:
        kept = [np.arange(0, len(part), 2) for part in sample]
        sample = [part.take(at) for part, at in zip(sample, kept, strict=True)]
        base = [losses[at] for losses, at in zip(base, kept, strict=True)]
        taken /= 2
    return sample, base


def _losses(proba: NDArray[np.float64], codes: NDArray[np.intp], has_probabilities: bool) -> NDArray[np.float64]:
    if not has_probabilities:
        wrong: NDArray[np.float64] = (proba.argmax(axis=1) != codes).astype(np.float64)
        return wrong
    if proba.shape[1] == 2:  # as scikit-learn's, which counts one class of two
        binary: NDArray[np.float64] = (proba[:, 1] - codes) ** 2
        return binary
    squares: NDArray[np.float64] = ((proba - np.eye(proba.shape[1])[codes]) ** 2).sum(axis=1)
    return squares


def _mean(values: NDArray[np.float64], weight: NDArray[np.float64] | None) -> float:
    # What is 0 on paper differs from it by rounding.
    return round(float(np.average(values, weights=weight)), 12) + 0.0


def _joined(parts: Sequence[NDArray[Any] | None]) -> NDArray[Any] | None:
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if known else None


@dataclass(frozen=True, eq=False)
class _Shuffled:
    """Predicts the drawn rows with some columns shuffled."""

    sample: Sequence[HeldOutRows]
    base: Sequence[NDArray[np.float64]]
    has_probabilities: bool
    repeats: int
    random_state: int

    def gains(self, groups: Sequence[ColumnGroup]) -> Iterator[NDArray[np.float64]]:
        """Give for each group how much the loss of each row rises, a mean over the repeats."""
        n_columns = int(self.sample[0].X.shape[1])
        n_rows = max(map(len, self.sample))
        at_once = max(1, CELLS_AT_ONCE // (n_columns * n_rows * self.repeats))
        for start in range(0, len(groups), at_once):
            chunk = groups[start : start + at_once]
            found = [self._gains_of(number, part, chunk) for number, part in enumerate(self.sample)]
            yield from np.concatenate(found, axis=1)

    def _gains_of(self, number: int, part: HeldOutRows, groups: Sequence[ColumnGroup]) -> NDArray[np.float64]:
        n_rows, places = len(part), []
        for group in groups:
            random = np.random.default_rng([self.random_state, number, *group.places[:1], len(group.places)])
            places += [(group.places, random.permutation(n_rows)) for _ in range(self.repeats)]
        proba = part.predict(shuffled_copies(part.X, places))
        losses = _losses(proba, np.tile(part.codes, len(places)), self.has_probabilities)
        rises = losses.reshape(len(groups), self.repeats, n_rows).mean(axis=1) - self.base[number]
        gains: NDArray[np.float64] = rises
        return gains


def shuffled_copies(X: Any, shuffles: Sequence[tuple[Sequence[int], NDArray[np.intp]]]) -> Any:
    """Stack copies of some rows, of each of which some columns (by position) are taken from other rows."""
    n_rows = len(X)
    same = np.tile(np.arange(n_rows, dtype=np.intp), len(shuffles))
    if not hasattr(X, "iloc") or (len(set(X.dtypes)) == 1 and X.dtypes.iloc[0].kind in "iuf"):
        values = np.asarray(X)
        stacked = values[same]
        for copy, (places, order) in enumerate(shuffles):
            changed = np.asarray(places, dtype=np.intp)
            stacked[copy * n_rows : (copy + 1) * n_rows, changed] = values[np.ix_(order, changed)]
        return pd.DataFrame(stacked, columns=X.columns) if hasattr(X, "iloc") else stacked
    taken: dict[int, NDArray[np.intp]] = {}
    for copy, (places, order) in enumerate(shuffles):
        for place in places:
            taken.setdefault(place, same.copy())[copy * n_rows : (copy + 1) * n_rows] = order
    columns = {name: X.iloc[:, place].array.take(taken.get(place, same)) for place, name in enumerate(X.columns)}
    return pd.DataFrame(columns, index=pd.RangeIndex(len(same)))


def _measure(
    shuffled: _Shuffled, groups: Sequence[ColumnGroup], deadline: float
) -> list[tuple[ColumnGroup, NDArray[np.float64]]]:
    """Measure each group; of too many only those that matter, found by shuffling halves of what matters most."""
    if len(groups) <= MOST_PARTS:
        found = []
        for group, gain in zip(groups, shuffled.gains(groups), strict=False):
            found.append((group, gain))
            if process_time() > deadline:
                break
        return found
    blocks = [list(part) for part in np.array_split(np.arange(len(groups)), FIRST_BLOCKS)]
    parts = list(zip(blocks, shuffled.gains([_merge([groups[at] for at in part]) for part in blocks]), strict=True))
    for _ in range(ROUNDS):
        # Several at once: each call predicts, and one of many columns takes long to begin.
        parts.sort(key=lambda part: (len(part[0]) > 1, part[1].mean()), reverse=True)
        split = [part for part, _ in parts[:SPLIT_AT_ONCE] if len(part) > 1]
        if not split or process_time() > deadline:
            break
        halves = [half for part in split for half in (part[: len(part) // 2], part[len(part) // 2 :])]
        gains = shuffled.gains([_merge([groups[at] for at in half]) for half in halves])
        parts = [*parts[len(split) :], *zip(halves, gains, strict=True)]
    return [(_merge([groups[at] for at in part]), gain) for part, gain in parts]


def _merge(groups: Sequence[ColumnGroup]) -> ColumnGroup:
    if len(groups) == 1:
        return groups[0]
    columns = tuple(name for group in groups for name in group.columns)
    return ColumnGroup(columns, tuple(place for group in groups for place in group.places), is_group=False)
