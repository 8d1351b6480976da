"""Fit, calibrate and choose a threshold on some rows: once for the model that ships, again in each fold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from mlwf.engine.costs import SearchTime
from mlwf.engine.out_of_fold import OutOfFold, TrainedModel, TrainFn, recut, stack
from mlwf.engine.requests import FitRequest, Fitter, check_fitted, on_table
from mlwf.errors import FitError, SplitError
from mlwf.modules.calibration import calibrate, cross_fit, describe, request_fold_models
from mlwf.modules.inference import infer_features
from mlwf.modules.threshold import choose_threshold, with_threshold
from mlwf.orchestrator.choosing import choose_on
from mlwf.orchestrator.context import RunContext
from mlwf.orchestrator.pipeline_config import PipelineConfig, configure
from mlwf.specs.features import FeatureSpec
from mlwf.splitting.rows import NO_ROWS, Rows, Split

TrainStep = Callable[[RunContext, PipelineConfig, Split, Fitter], TrainedModel]
ChooseStep = Callable[[RunContext, PipelineConfig, Split, Fitter], PipelineConfig]


def fit_pipeline(config: PipelineConfig, split: Split, fitter: Fitter) -> TrainedModel:
    """Fit the pipeline on `split.train` and predict `split.test`; raises FitError."""
    # A lazy classifier such as knn fails only when it predicts, so a model that ships predicts a row at least.
    predicted = split.test if len(split.test) else Rows(split.train.index[:1])
    (result,) = fitter([FitRequest(config.pipeline, config.params, split.train, (predicted,), config.keep_model)])
    check_fitted(result, "the model could not be fitted")
    return TrainedModel(result.predictions[0] if len(split.test) else None, config.params, result.model)


def calibrate_pipeline(
    context: RunContext,
    config: PipelineConfig,
    split: Split,
    fitter: Fitter,
    *,
    uncalibrated: TrainedModel | None = None,
) -> TrainedModel:
    """Calibrate on `split.train`, and keep that if it is better; otherwise `uncalibrated` ships, or is fitted.

    Whether it is better is measured on the predictions that the fold models have made already, calibrated by
    calibrators of other folds.
    """
    spec, table = context.calibration, config.table
    assert spec is not None
    trained = calibrate(
        spec,
        config.pipeline,
        config.params,
        table,
        split,
        context.calibration_splitter,
        config.on_folds(fitter),
        keep_model=config.keep_model,
        random_state=context.spec.random_state,
    )
    before = trained.out_of_fold
    assert before is not None
    if spec.holdout is not None:
        # There may be too few rows for folds among those held out; then nothing is measured.
        with suppress(SplitError):
            before = recut(before, context.folds(context.spec.calibration_folds)(table, before.rows))
    after = cross_fit(spec, before, table, ordered=context.is_ordered)
    positive = context.spec.data.positive_class
    folds = context.spec.calibration_folds
    result = describe(spec, table, before, after, cv_folds=folds, positive_class=positive)
    if result.kept:
        return replace(trained, calibration=result, out_of_fold=after)
    return replace(uncalibrated or fit_pipeline(config, split, fitter), calibration=result, out_of_fold=before)


def request_calibration_fits(context: RunContext, config: PipelineConfig, split: Split, fitter: Fitter) -> None:
    """Request the fits of a calibration, and calibrate nothing; raises FitError."""
    assert context.calibration is not None
    request_fold_models(
        context.calibration,
        config.pipeline,
        config.params,
        config.table,
        split,
        context.calibration_splitter,
        fitter,
        keep_model=config.keep_model,
    )


def add_threshold(
    context: RunContext, config: PipelineConfig, trained: TrainedModel, split: Split, fitter: Fitter
) -> TrainedModel:
    """Choose the threshold on out-of-fold predictions: those of the calibration or the search, or else new ones."""
    spec, table, positive = context.threshold, config.table, context.spec.data.positive_class
    assert spec is not None
    out_of_fold = trained.out_of_fold
    if out_of_fold is None and trained.calibration is not None:
        # Scores from before the calibration are on another scale, and those of its own rows know their labels.
        raise FitError("the calibration leaves no rows to choose it on")
    out_of_fold = out_of_fold or config.out_of_fold or predict_inner_folds(context, config, split, fitter)
    threshold = choose_threshold(spec, out_of_fold, table, positive_class=positive, ordered=context.is_ordered)
    return with_threshold(trained, threshold, positive_class=positive)


def request_threshold_fits(context: RunContext, config: PipelineConfig, split: Split, fitter: Fitter) -> None:
    """Request the fits of a threshold, where neither the calibration nor the search makes them; raises FitError."""
    if not config.is_calibrated and config.out_of_fold is None:
        predict_inner_folds(context, config, split, fitter)


def predict_inner_folds(context: RunContext, config: PipelineConfig, split: Split, fitter: Fitter) -> OutOfFold:
    """Predict each row of `split.train` by a model of the other folds; raises FitError."""
    inner = context.folds(context.threshold_folds)(config.table, split.train)
    results = fitter([FitRequest(config.pipeline, config.params, part.train, (part.test,)) for part in inner])
    for result in results:
        check_fitted(result)
    return stack(results, inner, split.train)


def train(context: RunContext, config: PipelineConfig, split: Split, fitter: Fitter) -> TrainedModel:
    """Fit, calibrate and choose a threshold on `split.train`, as the config says; raises FitError."""
    if config.is_calibrated:
        trained = calibrate_pipeline(context, config, split, fitter)
    else:
        trained = fit_pipeline(config, split, fitter)
    return add_threshold(context, config, trained, split, fitter) if config.has_threshold else trained


def request_fits(context: RunContext, config: PipelineConfig, split: Split, fitter: Fitter) -> TrainedModel:
    """Request the fits of `train`, as when it keeps the calibration, and compute nothing from them."""
    if config.is_calibrated:
        request_calibration_fits(context, config, split, fitter)
        return TrainedModel(None, config.params)
    fitted = fit_pipeline(config, split, fitter)
    if config.has_threshold:
        request_threshold_fits(context, config, split, fitter)
    return fitted


def make_train_fn(context: RunContext, config: PipelineConfig, step: TrainStep = train) -> TrainFn:
    """Make what repeats fit, calibration and threshold on any rows, with the parameters of the config."""
    # The search's rows are not those that the function will be given.
    own = replace(config, out_of_fold=None, fold_pipelines={})
    return lambda split, fitter: step(context, own, split, fitter)


def make_nested_train_fn(
    context: RunContext,
    config: PipelineConfig,
    step: TrainStep = train,
    *,
    choose: ChooseStep | None = None,
    time: SearchTime | None = None,
) -> TrainFn:
    """Make what repeats everything on any rows: feature inference and the search too, where the run has them.

    `time` is that of the searches of all folds together.
    """
    choose = choose or partial(choose_on, time=time)
    # What the run's own search found, it found on rows that are held out here.
    as_written = replace(config, params={}, out_of_fold=None, fold_pipelines={})

    def train_fold(split: Split, fitter: Fitter) -> TrainedModel:
        own, features = _infer(context, as_written, split)
        own_fitter = on_table(fitter, own.table)
        own = choose(context, own, split, own_fitter) if config.is_searched else own
        return replace(step(context, own, split, own_fitter), features=features, model_weights=own.model_weights)

    return train_fold


def describe_choices(context: RunContext, trained: TrainedModel) -> dict[str, Any]:
    """Give what was chosen for a model; None for what was not to be chosen."""
    inferred = None
    if trained.features is not None and list(trained.features) != list(context.run_data.features):
        inferred = [column for feature in trained.features for column in feature.columns]
    return {
        "models": trained.model_weights and dict(trained.model_weights),
        "params": dict(trained.params),
        "calibrated": trained.calibration and trained.calibration.kept,
        "threshold": trained.threshold and trained.threshold.value,
        "features": inferred,
    }


def split_all_rows(context: RunContext) -> Split:
    """Give all rows to learn from, the hold-out included, and none to predict."""
    return Split(context.table.all_rows, NO_ROWS)


def _infer(
    context: RunContext, config: PipelineConfig, split: Split
) -> tuple[PipelineConfig, Sequence[FeatureSpec] | None]:
    """Infer the features from these rows alone, where the run infers them."""
    raw = context.run_data.raw
    if raw is None:
        return config, None
    features = infer_features(raw.X.iloc[split.train.index], is_native=context.run_data.is_streamed).features
    if features == list(context.run_data.features):
        return config, features
    if not features:
        raise FitError("the rows of a fold of the nested validation suggest no feature; list the features")
    own = configure(context, features)
    table = context.table_with(features)
    return replace(config, pipeline=own.pipeline, models=own.models, table=table), features
