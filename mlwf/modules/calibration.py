"""Turn scores into probabilities, from predictions on rows that the model did not see, and measure the gain.

The methods, and how each is fitted, are in `mlwf/engine/calibrators.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import StratifiedShuffleSplit

from mlwf.engine.calibrators import fit_calibrators, with_models, with_predictions
from mlwf.engine.engine import Engine
from mlwf.engine.out_of_fold import OutOfFold, TrainedModel, stack
from mlwf.engine.requests import FitRequest, FitResult, Fitter, check_fitted
from mlwf.errors import FitError
from mlwf.evaluation.intervals import decide_kept, paired_difference
from mlwf.evaluation.metrics import build_metrics, reliability_bins
from mlwf.evaluation.predictions import Predictions, gather, row_losses
from mlwf.results import CalibrationError, CalibrationResult, Difference
from mlwf.specs.experiment import CalibrationSpec
from mlwf.splitting.rows import NO_ROWS, Split, Splitter, Table, distinct_rows
from mlwf.splitting.splitters import fold_splitter, holdout_splitter


def cross_fit(
    spec: CalibrationSpec, uncalibrated: OutOfFold, table: Table, *, ordered: bool = False
) -> OutOfFold | None:
    """Calibrate out-of-fold predictions by calibrators fitted on other folds alone, or with `ordered` on earlier ones.

    No model is fitted. None when no fold has others to learn from, or some others lack a class.
    """
    learnt_from = [uncalibrated.others(number, ordered=ordered) for number in range(len(uncalibrated.folds))]
    places = [fold for fold, others in zip(uncalibrated.folds, learnt_from, strict=True) if len(others)]
    if not places:
        return None
    try:
        calibrated = [
            with_predictions(_calibrators(spec, uncalibrated, others, table), [uncalibrated.predictions.take(fold)])
            for fold, others in zip(uncalibrated.folds, learnt_from, strict=True)
            if len(others)
        ]
        predictions = gather(calibrated, places)
    except FitError:
        return None
    order = np.argsort(np.concatenate(places), kind="stable")
    ends = np.cumsum([len(place) for place in places])[:-1]
    folds = tuple(np.split(np.argsort(order), ends))
    return OutOfFold(uncalibrated.rows.take(np.concatenate(places)[order]), predictions, folds)


def describe(
    spec: CalibrationSpec,
    table: Table,
    uncalibrated: OutOfFold,
    calibrated: OutOfFold | None,
    *,
    cv_folds: int,
    positive_class: Any = None,
) -> CalibrationResult:
    """Measure probabilities before and after calibration, and decide whether the calibrated ones are kept.

    With `keep: better` they are kept when their log loss is smaller beyond doubt: the interval of the paired
    difference, row by row or group by group, leaves out zero. A classifier without probabilities has nothing to compare
    with.
    """
    before, after, difference = None, None, None
    if calibrated is not None:
        after = error_of(calibrated, table, positive_class)
        if uncalibrated.predictions.proba is not None:
            same = uncalibrated.predictions.take(_positions(uncalibrated, calibrated))
            before = error_of(OutOfFold(calibrated.rows, same, calibrated.folds), table, positive_class)
            difference = _difference(same, calibrated, table)
    kept, reason = True, "the classifier has no probabilities of its own"
    if uncalibrated.predictions.proba is not None:
        losses = (before.log_loss, after.log_loss) if before and after else None
        kept, reason = decide_kept(spec.keep, losses, difference)
    return CalibrationResult(
        method=spec.method,
        ensemble=spec.ensemble and spec.holdout is None,
        cv_folds=None if spec.holdout is not None else cv_folds,
        holdout=spec.holdout,
        n_rows=len(distinct_rows(uncalibrated.rows.index)),
        kept=kept,
        reason=reason,
        before=before,
        after=after,
        difference=difference,
    )


def error_of(out_of_fold: OutOfFold, table: Table, positive_class: Any = None) -> CalibrationError:
    """Measure log loss, Brier score and expected calibration error of out-of-fold probabilities."""
    y, weight = table.y_of(out_of_fold.rows), table.weight_of(out_of_fold.rows)
    metrics = build_metrics(["log_loss", "brier_score", "ece"], classes=table.classes, positive_class=positive_class)
    values = {name: metric(out_of_fold.predictions, y, weight) for name, metric in metrics.items()}
    bins = reliability_bins(out_of_fold.predictions, y, positive_class=positive_class, weight=weight)
    return CalibrationError(**values, reliability=bins)


def _calibrators(spec: CalibrationSpec, out_of_fold: OutOfFold, positions: NDArray[np.intp], table: Table) -> Any:
    rows = out_of_fold.rows.take(positions)
    return fit_calibrators(
        out_of_fold.predictions.take(positions),
        table.y_of(rows),
        weight=table.weight_of(rows),
        folds=[np.arange(len(positions), dtype=np.intp)],
        method=spec.method,
        ensemble=True,
    )


def _positions(full: OutOfFold, some: OutOfFold) -> NDArray[np.intp]:
    """Find the positions of `some`, which leaves out the first folds of `full`."""
    dropped = len(full.folds) - len(some.folds)
    return np.sort(np.concatenate(full.folds[dropped:]))


def _difference(before: Predictions, after: OutOfFold, table: Table) -> Difference:
    y, weight = table.y_of(after.rows), table.weight_of(after.rows)
    gain = row_losses(before, y) - row_losses(after.predictions, y)
    units = after.rows.index if table.groups is None else table.groups[after.rows.index]
    return paired_difference(gain, units=units, weight=weight)


def calibrate(
    spec: CalibrationSpec,
    pipeline: Any,
    params: Mapping[str, Any],
    table: Table,
    split: Split,
    splitter: Splitter,
    fitter: Fitter,
    *,
    keep_model: bool = False,
    random_state: int = 42,
) -> TrainedModel:
    """Calibrate the pipeline with `params` on `split.train` and predict `split.test`.

    `splitter` cuts the training rows into folds, or holds one share of them out. The model equals
    `CalibratedClassifierCV(pipeline, method=..., cv=..., ensemble=...)` fitted on the same folds. The result's
    `out_of_fold` has the fold models' predictions before calibration. Raises FitError when a fit failed, or when the
    rows cannot be split.
    """
    inner, fold_results, shipped = request_fold_models(
        spec, pipeline, params, table, split, splitter, fitter, keep_model=keep_model
    )
    out_of_fold = stack(fold_results, inner, split.train)
    calibrated = fit_calibrators(
        out_of_fold.predictions,
        table.y_of(out_of_fold.rows),
        weight=table.weight_of(out_of_fold.rows),
        folds=out_of_fold.folds,
        method=spec.method,
        ensemble=_is_ensemble(spec),
    )
    model, predictions = None, None
    if keep_model:
        model = with_models(
            calibrated,
            [result.model for result in shipped],
            estimator=clone(pipeline).set_params(**params),
            cv=_described_cv(spec, len(inner), random_state),
        )
    if len(split.test):
        predictions = with_predictions(calibrated, [result.predictions[-1] for result in shipped])
    return TrainedModel(predictions, params, model, out_of_fold=out_of_fold)


def request_fold_models(
    spec: CalibrationSpec,
    pipeline: Any,
    params: Mapping[str, Any],
    table: Table,
    split: Split,
    splitter: Splitter,
    fitter: Fitter,
    *,
    keep_model: bool = False,
) -> tuple[Sequence[Split], Sequence[FitResult], Sequence[FitResult]]:
    """Make the fits that `calibrate` needs; give the folds, the results of the fold models, and of those that ship.

    In an ensemble the fold models are those that ship. Raises FitError when a fit failed, or when the rows cannot be
    split.
    """
    # A fold of the validation may have too few rows where all of them have enough.
    inner = splitter(table, split.train)
    outside = (split.test,) if len(split.test) else ()
    if _is_ensemble(spec):
        fit_results = _succeeded(
            fitter([FitRequest(pipeline, params, part.train, (part.test, *outside), keep_model) for part in inner])
        )
        return inner, fit_results, fit_results
    of_folds = [FitRequest(pipeline, params, part.train, (part.test,)) for part in inner]
    fit_results = _succeeded(fitter([*of_folds, FitRequest(pipeline, params, split.train, outside, keep_model)]))
    return inner, fit_results[:-1], fit_results[-1:]


class ClassifierCalibration:
    """A calibration: `fit`, then `calibrated_`."""

    def __init__(self, spec: CalibrationSpec, *, random_state: int = 42, n_jobs: int = 1) -> None:
        self.spec = spec
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, pipeline: Any, X: Any, y: Any) -> ClassifierCalibration:
        """Calibrate on X of shape (n_samples, n_features) and y of shape (n_samples,).

        The folds are those of scikit-learn's `cv=5`, stratified and not shuffled, or as many as the spec says.
        """
        table = Table(X, np.asarray(y))
        cv_folds = self.spec.cv_folds or 5
        folds = fold_splitter("stratified_kfold", n_splits=cv_folds, shuffle=False, random_state=self.random_state)
        with Engine(table, n_jobs=self.n_jobs) as fitter:
            trained = calibrate(
                self.spec,
                pipeline,
                {},
                table,
                Split(table.all_rows, NO_ROWS),
                folds
                if self.spec.holdout is None
                else holdout_splitter(test_size=self.spec.holdout, random_state=self.random_state),
                fitter,
                keep_model=True,
                random_state=self.random_state,
            )
        assert trained.out_of_fold is not None
        self.calibrated_ = trained.model
        crossed = cross_fit(self.spec, trained.out_of_fold, table)
        # This class has no other model to ship, so that `keep: better` does not apply.
        always = self.spec.model_copy(update={"keep": "always"})
        self.result_ = describe(always, table, trained.out_of_fold, crossed, cv_folds=cv_folds)
        return self

    def get_results_summary(self) -> dict[str, Any]:
        """Give how the probabilities were calibrated, and what it changed."""
        return self.result_.summary()


def create_calibration(spec: CalibrationSpec, *, random_state: int = 42, n_jobs: int = 1) -> ClassifierCalibration:
    """Make the calibration that `spec` describes."""
    return ClassifierCalibration(spec, random_state=random_state, n_jobs=n_jobs)


def _succeeded(fit_results: Sequence[FitResult]) -> Sequence[FitResult]:
    for result in fit_results:
        check_fitted(result)
    return fit_results


def _is_ensemble(spec: CalibrationSpec) -> bool:
    # One hold-out is one model with one calibrator, which is how an ensemble of one fold is made.
    return spec.ensemble or spec.holdout is not None


def _described_cv(spec: CalibrationSpec, n_folds: int, random_state: int) -> Any:
    """Give the shipped model's parameter `cv`; never index pairs, which would ship the rows' positions."""
    if spec.holdout is None:
        return n_folds
    return StratifiedShuffleSplit(n_splits=1, test_size=spec.holdout, random_state=random_state)
