"""How far predicted probabilities are from what comes true: the expected calibration error, and its bins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf, ndtri

from mlwf.errors import MetricError
from mlwf.evaluation.predictions import Predictions
from mlwf.evaluation.resampling import ResampledMetric, Values, Weight, sums_by
from mlwf.results import ReliabilityBin


def ece(predictions: Predictions, y: NDArray[Any], weight: Weight, positive: Any) -> float:
    """Compute the expected calibration error as `resampled_ece` does."""
    return float(resampled_ece(predictions, y, positive)(_as_counts(weight, len(y)))[0])


def resampled_ece(predictions: Predictions, y: NDArray[Any], positive: Any) -> ResampledMetric:
    """Prepare the expected calibration error, debiased: Kumar, Liang & Ma 2019, Verified Uncertainty Calibration.

    Binomial noise alone pulls what is observed in a bin away from what was predicted. They resample normal noise to
    learn how far and take that off; its mean is that of the folded normal distribution, in closed form. The bins are
    those of all rows. What is taken off is nearly all that noise adds where probabilities are wrong, but about two
    fifths of it where they are perfect: there the error shrinks with the number of rows, and is not zero.
    Raises MetricError when there are no probabilities.
    """
    predicted, came_true = _outcomes(predictions, y, positive)
    return _ece_in_bins(predicted, came_true, _equal_mass_bins(predicted))


def ece_of_draws(predictions: Predictions, positive: Any) -> Callable[[NDArray[np.intp]], float]:
    """Prepare the expected calibration error of labels that are drawn again and again, as positions of their class."""
    predicted, column = _column(predictions, positive)
    bins = _equal_mass_bins(predicted)
    mass = np.bincount(bins).astype(np.float64)
    expected = np.bincount(bins, weights=predicted) / mass

    def error(codes: NDArray[np.intp]) -> float:
        observed = np.bincount(bins, weights=codes == column) / mass
        return float(_error(_BinSums(*(part.reshape(1, -1) for part in (mass, expected, observed, mass))))[0])

    return error


def _ece_in_bins(
    predicted: NDArray[np.float64], came_true: NDArray[np.float64], bins: NDArray[np.intp]
) -> ResampledMetric:
    bin_sums = _bin_sums(predicted, came_true, bins)

    return lambda counts: _error(bin_sums(counts))


def _error(sums: _BinSums) -> Values:
    """Give the debiased error of each resample."""
    gap = np.abs(sums.predicted - sums.observed)
    noise = np.sqrt(np.clip(sums.observed * (1 - sums.observed), 0, None) / sums.n_effective)
    excess = _folded_normal_mean(gap, noise) - gap
    error = np.where(sums.mass > 0, sums.mass * (gap - excess), 0).sum(axis=1) / sums.mass.sum(axis=1)
    return np.asarray(np.clip(error, 0, 1))


def reliability_bins(
    predictions: Predictions, y: NDArray[Any], *, positive_class: Any = None, weight: Weight = None
) -> tuple[ReliabilityBin, ...]:
    """Compare predicted probabilities with what came true, in the bins of the ECE.

    With two classes the probabilities are those of the positive class (by default the last), with more those of the
    top label. The 95 % intervals are Wilson's (1927); with weights, means are weighted and the number of rows in an
    interval is the effective one, (sum of weights)^2 / sum of squared weights.

    Raises
    ------
    MetricError
        When there are no probabilities.
    """
    positive = predictions.classes[-1] if positive_class is None else positive_class
    predicted, came_true = _outcomes(predictions, y, positive)
    bins = _equal_mass_bins(predicted)
    sums = _bin_sums(predicted, came_true, bins)(_as_counts(weight, len(y)))
    low, high = wilson(sums.observed[0], sums.n_effective[0])
    columns = (sums.predicted[0], sums.observed[0], low, high, np.bincount(bins))
    return tuple(
        ReliabilityBin(float(predicted), float(observed), float(low), float(high), int(n_rows))
        for mass, predicted, observed, low, high, n_rows in zip(sums.mass[0], *columns, strict=True)
        if mass > 0
    )


def class_reliability(
    chance: NDArray[np.float64], is_class: NDArray[np.bool_], weight: Weight = None
) -> tuple[ReliabilityBin, ...]:
    """Compare the probabilities of one class against the rest with what came true, as `reliability_bins` does."""
    predictions = Predictions(np.array([False, True]), chance >= 0.5, np.column_stack([1 - chance, chance]))
    return reliability_bins(predictions, is_class, positive_class=True, weight=weight)


def _outcomes(
    predictions: Predictions, y: NDArray[Any], positive: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the probability that is compared in each row, and whether it came true: 1 or 0."""
    predicted, column = _column(predictions, positive)
    return predicted, np.asarray(y == predictions.classes[column], dtype=np.float64)


def _column(predictions: Predictions, positive: Any) -> tuple[NDArray[np.float64], Any]:
    """Give the probability that is compared in each row, and the position of its class, one or one a row."""
    classes, proba = predictions.classes, predictions.proba
    if proba is None:
        raise MetricError("the classifier gives no probabilities")
    if len(classes) == 2:
        if positive not in classes.tolist():
            raise MetricError(f"the classifier does not know the class {positive!r}")
        column = classes.tolist().index(positive)
        return proba[:, column].astype(np.float64), column
    return proba.max(axis=1).astype(np.float64), proba.argmax(axis=1)


def _equal_mass_bins(predicted: NDArray[np.float64]) -> NDArray[np.intp]:
    """Give the bin of each row: at most 15, of 20 rows or more, as equal as ties allow, which are never split."""
    n_bins = min(15, max(1, len(predicted) // 20))
    starts = np.sort(predicted)[np.arange(1, n_bins) * len(predicted) // n_bins]
    bins = np.searchsorted(np.unique(starts), predicted, side="right")
    # Where ties reach over a whole bin, no row is left for it.
    return np.asarray(np.unique(bins, return_inverse=True)[1], dtype=np.intp)


@dataclass(frozen=True)
class _BinSums:
    """Sums of resamples in each bin, of shape (n_resamples, n_bins)."""

    mass: Values
    predicted: Values
    observed: Values
    n_effective: Values


def _bin_sums(
    predicted: NDArray[np.float64], came_true: NDArray[np.float64], bins: NDArray[np.intp]
) -> Callable[[NDArray[np.float64]], _BinSums]:
    n_bins = int(bins.max()) + 1
    mass, expected, seen = (sums_by(bins, n_bins, values) for values in (None, predicted, came_true))

    def sums(counts: NDArray[np.float64]) -> _BinSums:
        with np.errstate(divide="ignore", invalid="ignore"):
            total = mass(counts)
            return _BinSums(total, expected(counts) / total, seen(counts) / total, total**2 / mass(counts**2))

    return sums


def _as_counts(weight: Weight, n_rows: int) -> NDArray[np.float64]:
    return (np.ones(n_rows) if weight is None else np.asarray(weight, dtype=np.float64)).reshape(1, -1)


def _folded_normal_mean(mean: Values, scale: Values) -> Values:
    """Give the mean of |N(mean, scale^2)|."""
    ratio = np.divide(mean, scale, out=np.full_like(mean, np.inf), where=scale > 0)
    return np.asarray(scale * np.sqrt(2 / np.pi) * np.exp(-(ratio**2) / 2) + mean * erf(ratio / np.sqrt(2)))


def wilson(share: Values, n: Values) -> tuple[Values, Values]:
    """Give the 95 % interval of a share of `n` rows: Wilson 1927."""
    z = ndtri(0.975)
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)
