"""Turn scores into probabilities, from predictions on rows that the predicting model did not see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import StratifiedShuffleSplit

from mlwf.engine.asks import Answer, Ask, Fitter, gather
from mlwf.engine.calibrators import fit_calibrators, with_models, with_predictions
from mlwf.engine.chain import Trained
from mlwf.engine.plain import PlainFitter
from mlwf.engine.rows import NO_ROWS, Split, Splitter, Table, fold_splitter, holdout_splitter
from mlwf.errors import FitError
from mlwf.results import CalibrationResult
from mlwf.specs.calibration import CalibrationSpec


def calibrate(
    spec: CalibrationSpec,
    pipeline: Any,
    params: Mapping[str, Any],
    table: Table,
    split: Split,
    splitter: Splitter,
    fit: Fitter,
    *,
    keep_model: bool = False,
    random_state: int = 42,
) -> Trained:
    """Calibrate the pipeline with `params` on `split.train` and predict `split.test`.

    `splitter` cuts the training rows into folds, or holds one share of them out. The model equals
    `CalibratedClassifierCV(pipeline, method=..., cv=..., ensemble=...)` fitted on the same folds.
    Raises FitError when a fit failed.
    """
    inner = splitter(table, split.train)
    judged, shipped = _ask(spec, pipeline, params, inner, split, fit, keep_model=keep_model)
    folds = [split.train.positions_of(part.test) for part in inner]
    seen = np.sort(np.concatenate(folds))
    rows = split.train.take(seen)
    folds = [np.searchsorted(seen, fold) for fold in folds]
    calibrated = fit_calibrators(
        gather([answer.predictions[0] for answer in judged], folds),
        table.y_of(rows),
        weight=table.weight_of(rows),
        folds=folds,
        method=spec.method,
        ensemble=_is_ensemble(spec),
    )
    trained = Trained(predictions=None, params=params)
    if keep_model:
        estimator = clone(pipeline).set_params(**params)
        model = with_models(
            calibrated,
            [answer.model for answer in shipped],
            estimator=estimator,
            cv=_described_cv(spec, len(inner), random_state),
        )
        trained = Trained(predictions=None, params=params, model=model)
    if not len(split.test):
        return trained
    said = with_predictions(calibrated, [answer.predictions[-1] for answer in shipped])
    return Trained(predictions=said, params=params, model=trained.model)


def calibration_splitter(spec: CalibrationSpec, folds: Splitter, *, random_state: int) -> Splitter:
    """Choose what judges: the folds, or one share of the rows held out."""
    if spec.holdout is None:
        return folds
    return holdout_splitter(test_size=spec.holdout, random_state=random_state)


def count_calibration_fits(spec: CalibrationSpec, *, cv_folds: int) -> int:
    """Count the fits that one calibration asks for."""
    if spec.holdout is not None:
        return 1
    return cv_folds if spec.ensemble else cv_folds + 1


def describe(spec: CalibrationSpec, *, cv_folds: int, n_rows: int) -> CalibrationResult:
    """Say how a calibration on `n_rows` training rows was done."""
    return CalibrationResult(
        method=spec.method,
        ensemble=_is_ensemble(spec) and spec.holdout is None,
        cv_folds=None if spec.holdout is not None else cv_folds,
        holdout=spec.holdout,
        n_rows=n_rows,
    )


class ClassifierCalibration:
    """The guide's calibration: `fit`, then `calibrated_`."""

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
        with PlainFitter(table, n_jobs=self.n_jobs) as fit:
            trained = calibrate(
                self.spec,
                pipeline,
                {},
                table,
                Split(table.all_rows, NO_ROWS),
                calibration_splitter(self.spec, folds, random_state=self.random_state),
                fit,
                keep_model=True,
                random_state=self.random_state,
            )
        self.calibrated_ = trained.model
        self.result_ = describe(self.spec, cv_folds=cv_folds, n_rows=len(table))
        return self

    def get_results_summary(self) -> dict[str, Any]:
        """Say how the probabilities were calibrated."""
        return self.result_.summary()


def create_calibration(spec: CalibrationSpec, *, random_state: int = 42, n_jobs: int = 1) -> ClassifierCalibration:
    """Make the calibration that `spec` describes."""
    return ClassifierCalibration(spec, random_state=random_state, n_jobs=n_jobs)


def _ask(
    spec: CalibrationSpec,
    pipeline: Any,
    params: Mapping[str, Any],
    inner: Sequence[Split],
    split: Split,
    fit: Fitter,
    *,
    keep_model: bool,
) -> tuple[Sequence[Answer], Sequence[Answer]]:
    """Ask for the models that judge rows, and for those that ship; in an ensemble they are the same."""
    outside = (split.test,) if len(split.test) else ()
    if _is_ensemble(spec):
        answers = _succeeded(
            fit([Ask(pipeline, params, part.train, (part.test, *outside), keep_model) for part in inner])
        )
        return answers, answers
    judging = [Ask(pipeline, params, part.train, (part.test,)) for part in inner]
    answers = _succeeded(fit([*judging, Ask(pipeline, params, split.train, outside, keep_model)]))
    return answers[:-1], answers[-1:]


def _succeeded(answers: Sequence[Answer]) -> Sequence[Answer]:
    for answer in answers:
        if answer.error:
            raise FitError(answer.error)
    return answers


def _is_ensemble(spec: CalibrationSpec) -> bool:
    # One hold-out is one model with one calibrator, which is how an ensemble of one fold is made.
    return spec.ensemble or spec.holdout is not None


def _described_cv(spec: CalibrationSpec, n_folds: int, random_state: int) -> Any:
    """Give what the shipped model says of its folds; never index pairs, which would ship the rows' positions."""
    if spec.holdout is None:
        return n_folds
    return StratifiedShuffleSplit(n_splits=1, test_size=spec.holdout, random_state=random_state)
