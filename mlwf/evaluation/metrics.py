"""Metrics in their natural sign, of some rows and of many resamples of them; one of them, the ECE, is ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlwf.errors import raise_if_bug
from mlwf.evaluation.calibration_error import ece, resampled_ece
from mlwf.evaluation.calibration_error import reliability_bins as reliability_bins
from mlwf.evaluation.predictions import Predictions, build_scorer, score
from mlwf.evaluation.resampling import Prepare, ResampledMetric, Values, Weight, resampled_metric_of
from mlwf.processes import muted
from mlwf.specs.catalogue import MetricInfo, metric_info, metric_scorer


@dataclass(frozen=True, eq=False)
class Metric:
    """A metric in natural sign: `log_loss` is scikit-learn's neg_log_loss turned round."""

    name: str
    info: MetricInfo
    """Its entry in the catalogue."""
    point: Callable[[Predictions, NDArray[Any], Weight], float]
    """What a call computes."""
    prepare: Callable[[Predictions, NDArray[Any]], ResampledMetric] | None
    """Prepares many resamples at once; without it they are scored one by one, which is slow."""

    def __call__(self, predictions: Predictions, y: NDArray[Any], weight: Weight = None) -> float:
        """Compute the metric, bit for bit as scikit-learn does; raises what scikit-learn raises."""
        return self.point(predictions, y, weight)

    def resampled(self, predictions: Predictions, y: NDArray[Any], counts: NDArray[np.float64]) -> Values:
        """Compute the metric of resamples, each as scikit-learn does with its counts as weights.

        Parameters
        ----------
        counts : array of shape (n_resamples, n_rows)
            How often, times its weight, each row occurs.

        Returns
        -------
        array of shape (n_resamples,)
            NaN where the metric is undefined.
        """
        return self.resampler(predictions, y)(counts)

    def resampler(self, predictions: Predictions, y: NDArray[Any], weight: Weight = None) -> ResampledMetric:
        """Prepare `resampled` for counts that come in chunks; they must include the weights already."""
        try:
            with muted():
                self(predictions, y, weight)
            resampled = self.prepare(predictions, y) if self.prepare else self._one_by_one(predictions, y, weight)
        except Exception as error:  # what is undefined on the rows is undefined on a part of them
            raise_if_bug(error)
            return lambda counts: np.full(len(counts), np.nan)

        def quiet(counts: NDArray[np.float64]) -> Values:
            with np.errstate(divide="ignore", invalid="ignore"):
                return resampled(np.asarray(counts, dtype=np.float64))

        return quiet

    def _one_by_one(self, predictions: Predictions, y: NDArray[Any], weight: Weight) -> ResampledMetric:
        def value(counts: NDArray[np.float64]) -> float:
            times = counts.astype(np.intp)
            # Repeated rows also serve the metrics that take no weights.
            repeats = weight is None and np.array_equal(times, counts)
            rows = np.repeat(np.arange(len(y)), times) if repeats else np.flatnonzero(counts)
            try:
                return self(predictions.take(rows), y[rows], None if repeats else counts[rows])
            except Exception as error:
                raise_if_bug(error)
                return np.nan

        def resampled(counts: NDArray[np.float64]) -> Values:
            with muted():
                return np.array([value(row) for row in counts])

        return resampled


def build_metrics(names: Sequence[str], *, classes: NDArray[Any], positive_class: Any = None) -> dict[str, Metric]:
    """Give metrics by name."""
    return {name: build_metric(name, classes=classes, positive_class=positive_class) for name in names}


def build_metric(name: str, *, classes: NDArray[Any], positive_class: Any = None) -> Metric:
    """Give a metric for these classes, with that positive one: by default the last of two."""
    positive = classes[-1] if positive_class is None else positive_class
    if name in OWN_METRICS:
        return _build_own(name, OWN_METRICS[name], positive)
    scorer_name = metric_scorer(name) or name
    scorer = build_scorer(scorer_name, classes=classes, positive_class=positive_class)
    sign = 1 if scorer_name == name else -1
    natural_name = name.removeprefix("neg_")
    prepare = resampled_metric_of(natural_name, n_classes=len(classes))

    def prepare_natural(predictions: Predictions, y: NDArray[Any]) -> ResampledMetric:
        assert prepare is not None
        prepared = prepare(predictions, y, positive)
        return prepared if name == natural_name else lambda counts: -prepared(counts)

    return Metric(
        name,
        metric_info(name),
        point=lambda predictions, y, weight: sign * score(scorer, predictions, y, weight=weight),
        prepare=prepare_natural if prepare else None,
    )


def _build_own(name: str, own: OwnMetric, positive: Any) -> Metric:
    prepare = own.prepare
    return Metric(
        name,
        metric_info(name),
        point=lambda predictions, y, weight: own.point(predictions, y, weight, positive),
        prepare=None if prepare is None else lambda predictions, y: prepare(predictions, y, positive),
    )


@dataclass(frozen=True)
class OwnMetric:
    """How a metric that scikit-learn does not have is computed."""

    point: Callable[[Predictions, NDArray[Any], Weight, Any], float]
    """Computes it; the last argument is the positive class."""
    prepare: Prepare | None = None
    """Prepares many resamples at once; without it they are scored one by one, which is slow."""


OWN_METRICS = {"ece": OwnMetric(ece, resampled_ece)}
"""Metrics that scikit-learn does not have."""
