"""Turn scores into probabilities, from predictions on rows that the predicting model did not see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import StratifiedShuffleSplit

from mlwf.engine.asks import Answer, Ask, Fitter
from mlwf.engine.calibrators import fit_calibrators, with_models, with_predictions
from mlwf.engine.chain import Trained, stack
from mlwf.engine.engine import Engine
from mlwf.engine.rows import NO_ROWS, Split, Splitter, Table
from mlwf.engine.splitters import fold_splitter, holdout_splitter
from mlwf.errors import FitError
from mlwf.modules.calibration.measure import cross_fit, describe
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
    `CalibratedClassifierCV(pipeline, method=..., cv=..., ensemble=...)` fitted on the same folds. What the fold
    models said before calibration is the result's `out_of_fold`. Raises FitError when a fit failed, or when the rows
    cannot be split.
    """
    inner, judged, shipped = ask_for_models(spec, pipeline, params, table, split, splitter, fit, keep_model=keep_model)
    seen = stack(judged, inner, split.train)
    calibrated = fit_calibrators(
        seen.predictions,
        table.y_of(seen.rows),
        weight=table.weight_of(seen.rows),
        folds=seen.folds,
        method=spec.method,
        ensemble=_is_ensemble(spec),
    )
    model, said = None, None
    if keep_model:
        model = with_models(
            calibrated,
            [answer.model for answer in shipped],
            estimator=clone(pipeline).set_params(**params),
            cv=_described_cv(spec, len(inner), random_state),
        )
    if len(split.test):
        said = with_predictions(calibrated, [answer.predictions[-1] for answer in shipped])
    return Trained(said, params, model, out_of_fold=seen)


def ask_for_models(
    spec: CalibrationSpec,
    pipeline: Any,
    params: Mapping[str, Any],
    table: Table,
    split: Split,
    splitter: Splitter,
    fit: Fitter,
    *,
    keep_model: bool = False,
) -> tuple[Sequence[Split], Sequence[Answer], Sequence[Answer]]:
    """Ask for all that `calibrate` needs: the folds, the answers of the models that judge, and of those that ship.

    In an ensemble they are the same. Raises FitError when a fit failed, or when the rows cannot be split.
    """
    # A fold of the validation may have too few rows where all of them have enough.
    inner = splitter(table, split.train)
    outside = (split.test,) if len(split.test) else ()
    if _is_ensemble(spec):
        answers = _succeeded(
            fit([Ask(pipeline, params, part.train, (part.test, *outside), keep_model) for part in inner])
        )
        return inner, answers, answers
    judging = [Ask(pipeline, params, part.train, (part.test,)) for part in inner]
    answers = _succeeded(fit([*judging, Ask(pipeline, params, split.train, outside, keep_model)]))
    return inner, answers[:-1], answers[-1:]


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
        with Engine(table, n_jobs=self.n_jobs) as fit:
            trained = calibrate(
                self.spec,
                pipeline,
                {},
                table,
                Split(table.all_rows, NO_ROWS),
                folds
                if self.spec.holdout is None
                else holdout_splitter(test_size=self.spec.holdout, random_state=self.random_state),
                fit,
                keep_model=True,
                random_state=self.random_state,
            )
        assert trained.out_of_fold is not None
        self.calibrated_ = trained.model
        crossed = cross_fit(self.spec, trained.out_of_fold, table)
        # Whoever asks for the calibrated model gets it: `better` is for those who can ship another.
        always = self.spec.model_copy(update={"keep": "always"})
        self.result_ = describe(always, table, trained.out_of_fold, crossed, cv_folds=cv_folds)
        return self

    def get_results_summary(self) -> dict[str, Any]:
        """Say how the probabilities were calibrated."""
        return self.result_.summary()


def create_calibration(spec: CalibrationSpec, *, random_state: int = 42, n_jobs: int = 1) -> ClassifierCalibration:
    """Make the calibration that `spec` describes."""
    return ClassifierCalibration(spec, random_state=random_state, n_jobs=n_jobs)


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
