"""Whether calibrated probabilities are better, on rows that had no say in them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlwf.engine.calibrators import fit_calibrators, with_predictions
from mlwf.engine.chain import OutOfFold
from mlwf.engine.intervals import paired_difference
from mlwf.engine.metrics import build_metrics, reliability_bins
from mlwf.engine.predictions import Predictions, gather
from mlwf.engine.rows import Table
from mlwf.errors import FitError
from mlwf.results import CalibrationError, CalibrationResult, Difference
from mlwf.specs.calibration import CalibrationSpec


def cross_fit(spec: CalibrationSpec, judged: OutOfFold, table: Table, *, ordered: bool = False) -> OutOfFold | None:
    """Calibrate out-of-fold predictions by calibrators that saw other folds alone, or with `ordered` earlier ones.

    No model is fitted. None when no fold has others to learn from, or some others lack a class.
    """
    learnt_from = [judged.others(number, ordered=ordered) for number in range(len(judged.folds))]
    places = [fold for fold, others in zip(judged.folds, learnt_from, strict=True) if len(others)]
    if not places:
        return None
    try:
        said = [
            with_predictions(_calibrators(spec, judged, others, table), [judged.predictions.take(fold)])
            for fold, others in zip(judged.folds, learnt_from, strict=True)
            if len(others)
        ]
        predictions = gather(said, places)
    except FitError:
        return None
    order = np.argsort(np.concatenate(places), kind="stable")
    ends = np.cumsum([len(place) for place in places])[:-1]
    folds = tuple(np.split(np.argsort(order), ends))
    return OutOfFold(judged.rows.take(np.concatenate(places)[order]), predictions, folds)


def describe(
    spec: CalibrationSpec,
    table: Table,
    judged: OutOfFold,
    calibrated: OutOfFold | None,
    *,
    cv_folds: int,
    positive_class: Any = None,
) -> CalibrationResult:
    """Measure probabilities before and after, and say whether the calibrated ones are to be kept, and why.

    With `keep: better` they are kept when their log loss is smaller beyond doubt: the interval of the paired
    difference, row by row or group by group, leaves out zero. A classifier without probabilities has nothing to compare
    with.
    """
    before, after, difference = None, None, None
    if calibrated is not None:
        after = error_of(calibrated, table, positive_class)
        if judged.predictions.proba is not None:
            same = judged.predictions.take(_positions(judged, calibrated))
            before = error_of(OutOfFold(calibrated.rows, same, calibrated.folds), table, positive_class)
            difference = _difference(same, calibrated, table)
    kept, reason = True, "the classifier has no probabilities of its own"
    if judged.predictions.proba is not None:
        kept, reason = _verdict(spec, before, after, difference)
    return CalibrationResult(
        method=spec.method,
        ensemble=spec.ensemble and spec.holdout is None,
        cv_folds=None if spec.holdout is not None else cv_folds,
        holdout=spec.holdout,
        n_rows=len(np.unique(judged.rows.index)),
        kept=kept,
        reason=reason,
        before=before,
        after=after,
        difference=difference,
    )


def error_of(judged: OutOfFold, table: Table, positive_class: Any = None) -> CalibrationError:
    """Measure how good probabilities are."""
    y, weight = table.y_of(judged.rows), table.weight_of(judged.rows)
    metrics = build_metrics(["log_loss", "brier_score", "ece"], classes=table.classes, positive_class=positive_class)
    values = {name: metric(judged.predictions, y, weight) for name, metric in metrics.items()}
    bins = reliability_bins(judged.predictions, y, positive_class=positive_class, weight=weight)
    return CalibrationError(**values, reliability=bins)


def _calibrators(spec: CalibrationSpec, judged: OutOfFold, positions: NDArray[np.intp], table: Table) -> Any:
    rows = judged.rows.take(positions)
    return fit_calibrators(
        judged.predictions.take(positions),
        table.y_of(rows),
        weight=table.weight_of(rows),
        folds=[np.arange(len(positions), dtype=np.intp)],
        method=spec.method,
        ensemble=True,
    )


def _positions(judged: OutOfFold, some: OutOfFold) -> NDArray[np.intp]:
    """Find the positions of `some`, which leaves out whole folds of `judged`."""
    dropped = len(judged.folds) - len(some.folds)
    return np.sort(np.concatenate(judged.folds[dropped:]))


def _difference(before: Predictions, after: OutOfFold, table: Table) -> Difference:
    y, weight = table.y_of(after.rows), table.weight_of(after.rows)
    gain = _losses(before, y) - _losses(after.predictions, y)
    units = after.rows.index if table.groups is None else table.groups[after.rows.index]
    return paired_difference(gain, units=units, weight=weight)


def _losses(predictions: Predictions, y: NDArray[Any]) -> NDArray[np.float64]:
    """Give the log loss of each row, clipped as scikit-learn clips it."""
    assert predictions.proba is not None
    proba = np.clip(predictions.proba, np.finfo(np.float64).eps, 1 - np.finfo(np.float64).eps)
    true = np.searchsorted(predictions.classes, y)
    losses: NDArray[np.float64] = -np.log(proba[np.arange(len(y)), true] / proba.sum(axis=1))
    return losses


def _verdict(
    spec: CalibrationSpec,
    before: CalibrationError | None,
    after: CalibrationError | None,
    difference: Difference | None,
) -> tuple[bool, str]:
    always = spec.keep == "always"
    if before is None or after is None or difference is None:
        return always, "as `keep: always` asks" if always else "it could not be measured on other folds"
    change = f"out-of-fold log loss {before.log_loss:.4f} -> {after.log_loss:.4f}"
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
