"""How much better one run is than another on the same rows, from what runs keep; without numpy, to start at once.

These are `corrected_t_difference` and `Resampled.difference` of `mlwf.evaluation.intervals`, in plain Python.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from mlwf.results import Difference, Interval

LEVEL = 0.95
NORMAL_QUANTILE = 1.959963984540054
"""Of the standard normal distribution, at the upper end of that level."""
MANY = 200
"""Degrees of freedom from which on the first terms of a series give the quantile of Student's t to eight digits."""


def fold_difference(
    better: Sequence[float], other: Sequence[float], *, test_to_train: float, greater_is_better: bool
) -> Difference:
    """Estimate how much better the first of two runs is on the same folds, by the corrected resampled t."""
    sign = 1 if greater_is_better else -1
    gains = [sign * (mine - its) for mine, its in zip(better, other, strict=True)]
    n_folds, mean = len(gains), math.fsum(gains) / len(gains)
    if _agree(gains):
        return _difference(mean, None)
    variance = math.fsum((gain - mean) ** 2 for gain in gains) / (n_folds - 1)
    half = t_quantile(n_folds - 1) * math.sqrt((1 / n_folds + test_to_train) * variance)
    return _difference(mean, Interval(mean - half, mean + half, LEVEL, "corrected resampled t"))


def resample_difference(
    better: Sequence[float | None],
    other: Sequence[float | None],
    *,
    value: float,
    other_value: float,
    n_units: int,
    method: str,
    greater_is_better: bool,
) -> Difference:
    """Estimate how much better the first of two runs is, from a metric of the same resamples of the same rows.

    Parameters
    ----------
    better, other
        The metric of each resample; None where it is not defined.
    value, other_value
        The metric of all rows.
    n_units
        Rows, or groups, that were drawn.
    """
    sign = 1 if greater_is_better else -1
    pairs = list(zip(better, other, strict=True))
    gains = sorted(sign * (mine - its) for mine, its in pairs if mine is not None and its is not None)
    interval = None
    if n_units > 1 and 2 * len(gains) >= len(pairs) and not _agree(gains):
        # The expanded percentiles of Hesterberg 2015.
        z = math.sqrt(n_units / (n_units - 1)) * t_quantile(n_units - 1)
        tail = math.erfc(z / math.sqrt(2)) / 2
        interval = Interval(_quantile(gains, tail), _quantile(gains, 1 - tail), LEVEL, method)
    return _difference(sign * (value - other_value), interval)


def t_quantile(df: int) -> float:
    """Give the quantile of Student's t at the upper end of a 95 % interval.

    >>> [round(t_quantile(df), 4) for df in (1, 2, 4, 1000)]
    [12.7062, 4.3027, 2.7764, 1.9623]
    """
    z = NORMAL_QUANTILE
    if df >= MANY:  # Abramowitz & Stegun 1964, 26.7.5
        second, third = 5 * z**5 + 16 * z**3 + 3 * z, 3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z
        return z + (z**3 + z) / (4 * df) + second / (96 * df**2) + third / (384 * df**3)
    low, high = 0.0, math.pi / 2
    while high - low > 1e-15 * high:
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if _within(middle, df) < LEVEL else (low, middle)
    return math.sqrt(df) * math.tan((low + high) / 2)


def _within(angle: float, df: int) -> float:
    """Give the share of Student's t between -t and t, where t = sqrt(df) tan(angle): A. & S. 1964, 26.7.3 and 4."""
    sine, cosine = math.sin(angle), math.cos(angle)
    term, total = (cosine, cosine) if df % 2 else (1.0, 1.0)
    for n in range(3 if df % 2 else 2, df - 1, 2):
        term *= (n - 1) / n * cosine**2
        total += term
    if df % 2 == 0:
        return sine * total
    return (angle + (sine * total if df > 1 else 0.0)) * 2 / math.pi


def _quantile(values: Sequence[float], share: float) -> float:
    """Give a quantile of sorted values, interpolated as numpy does it."""
    place = share * (len(values) - 1)
    below = min(int(place), len(values) - 2)
    return values[below] + (values[below + 1] - values[below]) * (place - below)


def _agree(values: Sequence[float]) -> bool:
    """Whether the values have no spread: there are fewer than two, or they differ by rounding alone."""
    return len(values) < 2 or all(abs(value - values[0]) <= 1e-12 + 1e-9 * abs(values[0]) for value in values)


def _difference(value: float, interval: Interval | None) -> Difference:
    # Zero has no sign here.
    return Difference(value + 0.0, interval, None if interval is None else not interval.low <= 0 <= interval.high)
