"""How sure a number is: one method for cross-validation, one for rows that are predicted once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm, t

from mlwf.evaluation.metrics import Metric
from mlwf.evaluation.predictions import Predictions
from mlwf.evaluation.resampling import Weight
from mlwf.results import Difference, Interval

LEVEL = 0.95
"""Confidence of every interval."""

SLOW_RESAMPLES = 200
"""Resamples of a metric that is scored one resample at a time."""

CHUNK = 2**20
"""Counts in memory at once, as far as one resample allows; 8 MB, of which the metrics make a few copies."""


def corrected_t(
    values: Sequence[float], *, test_to_train: float, within: tuple[float, float] | None = None
) -> Interval | None:
    """Give the interval of the mean over folds, whose models share most of their training rows.

    The corrected resampled t of Nadeau & Bengio 2003, and of Bouckaert & Frank 2004 for repeated folds:
    mean ± t_{J-1} sqrt((1/J + n_test/n_train) s^2) over all J values.

    Parameters
    ----------
    values : sequence of float
        One for each fold.
    test_to_train : float
        Rows of a fold's test side, for each row of its training side: 1 / (cv_folds - 1) in k-fold.
    within : (float, float), optional
        Range of the metric; the ends of the interval do not leave it.

    Returns
    -------
    Interval or None
        None for fewer than two values, and where all agree: no width at all would claim certainty.
    """
    folds = np.asarray(values, dtype=np.float64)
    if not np.isfinite(folds).all() or _agree(folds):
        return None
    n_folds = len(folds)
    scale = np.sqrt((1 / n_folds + test_to_train) * folds.var(ddof=1))
    half = t.ppf((1 + LEVEL) / 2, n_folds - 1) * scale
    low, high = np.clip([folds.mean() - half, folds.mean() + half], *(within or (None, None)))
    return Interval(float(low), float(high), LEVEL, "corrected resampled t")


def corrected_t_difference(
    better: Sequence[float], other: Sequence[float], *, test_to_train: float, greater_is_better: bool
) -> Difference:
    """Estimate how much better the first of two models is on the same folds, by the corrected resampled t."""
    sign = 1 if greater_is_better else -1
    gains = sign * (np.asarray(better, dtype=np.float64) - np.asarray(other, dtype=np.float64))
    return _difference(float(gains.mean()), corrected_t(gains.tolist(), test_to_train=test_to_train))


@dataclass(frozen=True, eq=False)
class Resampled:
    """Metrics of several predictions of the same rows, over the same resamples of these rows."""

    metrics: tuple[Metric, ...]
    values: NDArray[np.float64]
    """Of shape (n_parts, n_metrics, n_resamples); NaN where undefined, or not scored because that is slow."""
    method: str
    n_units: int
    """What was drawn: rows, or groups."""
    drawn: str
    """Identifies the resamples: another version of numpy may draw others."""

    def interval(self, part: int, metric: int) -> Interval | None:
        """Give the percentile interval; None where fewer than half of the resamples are defined, or all agree."""
        return _percentiles(self.scored(part, metric), self.method, self.n_units)

    def difference(self, metric: int, part: int, other: int, value: float, other_value: float) -> Difference:
        """Estimate how much better a part is than another, given the values of both on all rows."""
        sign = 1 if self.metrics[metric].info.greater_is_better else -1
        gains = sign * (self.scored(part, metric) - self.scored(other, metric))
        return _difference(sign * (value - other_value), _percentiles(gains, self.method, self.n_units))

    def scored(self, part: int, metric: int) -> NDArray[np.float64]:
        """Give the values of a metric, of shape (n_resamples,)."""
        return self.values[part, metric, : _n_scored(self.metrics[metric], self.values.shape[-1])]


def bootstrap(
    metrics: Sequence[Metric],
    parts: Sequence[Predictions],
    y: NDArray[Any],
    *,
    weight: Weight = None,
    groups: NDArray[Any] | None = None,
    random_state: int = 0,
    n_resamples: int = 1000,
) -> Resampled:
    """Compute metrics of resamples of the evaluated rows, the same resamples for every metric and part.

    Rows are drawn with replacement, or whole groups when there are groups: rows of one group are worth less than as
    many rows of their own. They are not drawn within each class: the class shares of the rows came about by chance, and
    intervals that take them for given contain the true accuracy, log loss or Brier score 77 to 84 times of 100. A drawn
    row keeps its weight. What cannot be computed is NaN. Metrics that are scored one resample at a time have the first
    200 resamples only.

    Parameters
    ----------
    parts : sequence of Predictions
        Of the same rows, such as those of a model and of its baseline.
    y : array of shape (n_rows,)
        Labels of the rows.
    weight, groups : arrays of shape (n_rows,), optional
    random_state : int
        The same for the same draws.

    Returns
    -------
    Resampled
    """
    values = np.full((len(parts), len(metrics), n_resamples), np.nan)
    resampled_metrics = [[metric.resampler(part, y, weight) for metric in metrics] for part in parts]
    scored = [_n_scored(metric, n_resamples) for metric in metrics]
    units = _Units.of_rows(len(y)) if groups is None else _Units.of(groups)
    start, drawn = 0, ""
    for counts in _chunks(units, weight, n_resamples, np.random.default_rng(random_state)):
        drawn = drawn or hashlib.sha256(counts[0].tobytes()).hexdigest()[:16]
        for part, of_part in enumerate(resampled_metrics):
            for metric, resampled in enumerate(of_part):
                wanted = counts[: max(scored[metric] - start, 0)]
                values[part, metric, start : start + len(wanted)] = resampled(wanted)
        start += len(counts)
    return Resampled(tuple(metrics), values, units.method, units.count, drawn)


def resample_rows(
    units: NDArray[Any], *, weight: Weight = None, random_state: int = 0, n_resamples: int = 200
) -> Iterator[NDArray[np.float64]]:
    """Draw resamples of rows, or of whole units, a chunk at a time: how much each row counts, (n_in_chunk, n_rows)."""
    return _chunks(_Units.of(units), weight, n_resamples, np.random.default_rng(random_state))


def paired_difference(
    gain: NDArray[np.float64],
    *,
    units: NDArray[Any],
    weight: Weight = None,
    random_state: int = 0,
    n_resamples: int = 1000,
) -> Difference:
    """Estimate how much is gained on average, given what each row gains, by a bootstrap of whole units.

    Parameters
    ----------
    gain : array of shape (n_rows,)
        Loss of one model minus that of another.
    units : array of shape (n_rows,)
        Which rows are drawn together: those of one group, or the same row predicted several times.
    weight : array of shape (n_rows,), optional
    """
    drawn = _Units.of(units)
    chunks = _chunks(drawn, weight, n_resamples, np.random.default_rng(random_state))
    values = np.concatenate([counts @ gain / counts.sum(axis=1) for counts in chunks])
    return _difference(float(np.average(gain, weights=weight)), _percentiles(values, drawn.method, drawn.count))


def mean_intervals(
    values: NDArray[np.float64],
    *,
    units: NDArray[Any] | None = None,
    weight: Weight = None,
    random_state: int = 0,
    n_resamples: int = 1000,
) -> list[Interval | None]:
    """Give the intervals of means of the same rows, by one bootstrap of the rows or of whole units.

    Parameters
    ----------
    values : array of shape (n_means, n_rows)
    units, weight : arrays of shape (n_rows,), optional
        Which rows are drawn together, and how much each counts.
    """
    drawn = _Units.of_rows(values.shape[1]) if units is None else _Units.of(units)
    chunks = _chunks(drawn, weight, n_resamples, np.random.default_rng(random_state))
    means = np.concatenate([counts @ values.T / counts.sum(axis=1, keepdims=True) for counts in chunks])
    return [_percentiles(of_one, drawn.method, drawn.count) for of_one in means.T]


def decide_kept(
    keep: Literal["better", "always"], log_losses: tuple[float, float] | None, difference: Difference | None
) -> tuple[bool, str]:
    """Decide whether a change of a model is kept, and say why: with `better`, if the log loss falls beyond doubt.

    Parameters
    ----------
    keep
        What the experiment asks for.
    log_losses : (float, float), optional
        Out-of-fold, without the change and with it; None where they could not be measured.
    difference
        How much smaller it is with the change, row by row.
    """
    always = keep == "always"
    if log_losses is None or difference is None:
        return always, "as `keep: always` asks" if always else "it could not be measured on other folds"
    change = f"out-of-fold log loss {log_losses[0]:.4f} -> {log_losses[1]:.4f}"
    if difference.interval is not None:
        ends = (difference.interval.low, difference.interval.high)
        better = difference.value >= 0
        low, high = ends if better else (-ends[1], -ends[0])
        change += f", {'better' if better else 'worse'} by {abs(difference.value):.4f} [{low:.4f}, {high:.4f}]"
    if always:
        return True, f"as `keep: always` asks; {change}"
    if difference.distinguishable and difference.value > 0:
        return True, change
    return False, change if difference.distinguishable else f"{change}, which may be chance"


@dataclass(frozen=True, eq=False)
class _Units:
    """What a bootstrap draws: rows, or groups of them."""

    n_rows: int
    count: int
    codes: NDArray[np.intp] | None
    """Number of the unit of each row, of shape (n_rows,); None where each row is one, in this order."""

    @classmethod
    def of_rows(cls, n_rows: int) -> _Units:
        """Draw single rows."""
        return cls(n_rows, n_rows, None)

    @classmethod
    def of(cls, labels: NDArray[Any]) -> _Units:
        """Draw rows of one label together."""
        # In order of appearance: groups need not be comparable.
        codes, distinct = pd.factorize(labels, use_na_sentinel=False)
        return cls(len(labels), len(distinct), None if len(distinct) == len(labels) else codes)

    @property
    def method(self) -> str:
        """Name the bootstrap."""
        return "bootstrap of rows" if self.count == self.n_rows else "bootstrap of groups"

    def draw(self, random: np.random.Generator) -> NDArray[np.intp]:
        """Draw one resample: how often each row occurs, of shape (n_rows,)."""
        counts: NDArray[np.intp] = np.bincount(random.integers(self.count, size=self.count), minlength=self.count)
        return counts if self.codes is None else counts[self.codes]


def _chunks(
    units: _Units, weight: Weight, n_resamples: int, random: np.random.Generator
) -> Iterator[NDArray[np.float64]]:
    """Draw resamples, a chunk at a time: times the weights, of shape (n_in_chunk, n_rows)."""
    size = max(1, CHUNK // max(1, units.n_rows))
    for start in range(0, n_resamples, size):
        counts = np.array([units.draw(random) for _ in range(min(size, n_resamples - start))], dtype=np.float64)
        yield counts if weight is None else counts * weight


def _n_scored(metric: Metric, n_resamples: int) -> int:
    return n_resamples if metric.prepare else min(n_resamples, SLOW_RESAMPLES)


def _percentiles(values: NDArray[np.float64], method: str, n_units: int) -> Interval | None:
    """Take the expanded percentiles of Hesterberg 2015: those of few units lie too close to each other."""
    defined = values[np.isfinite(values)]
    if n_units < 2 or 2 * len(defined) < len(values) or _agree(defined):
        return None
    tail = norm.cdf(-np.sqrt(n_units / (n_units - 1)) * t.ppf((1 + LEVEL) / 2, n_units - 1))
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(float(low), float(high), LEVEL, method)


def _difference(value: float, interval: Interval | None) -> Difference:
    return Difference(value, interval, None if interval is None else not interval.low <= 0 <= interval.high)


def _agree(values: NDArray[np.float64]) -> bool:
    """Whether the values have no spread: there are fewer than two, or they differ by rounding alone."""
    return len(values) < 2 or bool(np.allclose(values, values[0], rtol=1e-9, atol=1e-12))
