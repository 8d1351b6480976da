"""Phases 3 to 5 as functions of some rows: done once for the model that ships, and again in every fold that judges."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from sklearn.pipeline import Pipeline

from mlwf.engine.out_of_fold import OutOfFold, TrainedModel, TrainFn, recut, stack
from mlwf.engine.requests import FitRequest, Fitter, on_table
from mlwf.errors import FitError, SplitError
from mlwf.modules.calibration import calibrate, cross_fit, describe, request_fold_models
from mlwf.modules.inference import infer_features
from mlwf.modules.model import build_classifier
from mlwf.modules.preprocessing import build_preprocessor
from mlwf.modules.threshold import choose_threshold, with_threshold
from mlwf.modules.tuning import tune
from mlwf.orchestrator.context import RunContext
from mlwf.orchestrator.run_log import one_line
from mlwf.results import TuningResult
from mlwf.specs.classifier import ClassifierModelSpec
from mlwf.specs.features import FeatureSpec
from mlwf.splitting.rows import NO_ROWS, Rows, Split, Table


@dataclass(frozen=True, eq=False)
class PipelineConfig:
    """What is fitted, and what is done to it afterwards."""

    pipeline: Pipeline
    table: Table
    params: Mapping[str, Any] = field(default_factory=dict)
    is_tuned: bool = False
    """Whether a search chose the parameters."""
    is_calibrated: bool = False
    """Whether to calibrate, and to keep that if it is better."""
    has_threshold: bool = False
    """Whether to choose a threshold."""
    keep_model: bool = False
    out_of_fold: OutOfFold | None = None
    """What the search's fold models said about the rows that it was done on."""

    def searched(self, tuned: TuningResult) -> PipelineConfig:
        """Take the parameters that a search found, and what its fold models said."""
        return replace(self, params=dict(tuned.best_params), is_tuned=True, out_of_fold=tuned.out_of_fold)

    def for_judging(self) -> PipelineConfig:
        """Give what the folds of the validation repeat."""
        # A calibration that somebody adds later needs models of these folds; after a search there are such already.
        return replace(self, keep_model=not self.is_tuned and not self.is_calibrated)


TrainStep = Callable[[RunContext, PipelineConfig, Split, Fitter], TrainedModel]


def build_ml_pipeline(
    feature_specs: Sequence[FeatureSpec],
    model_spec: ClassifierModelSpec,
    *,
    random_state: int = 42,
    by_position: bool = False,
    date_formats: Mapping[str, str] | None = None,
) -> Pipeline:
    """Build the unfitted scikit-learn pipeline: a `preprocessor` and a `classifier`.

    With `by_position` X is an array whose columns are those of the specs, in the order of the specs. `date_formats`
    gives, by column, the formats of dates that are not ISO 8601.
    """
    preprocessor = build_preprocessor(
        feature_specs, random_state=random_state, by_position=by_position, date_formats=date_formats
    )
    classifier = build_classifier(model_spec, random_state=random_state)
    return Pipeline([("preprocessor", preprocessor), ("classifier", classifier)])


def make_train_fn(context: RunContext, recipe: PipelineConfig, train: TrainStep | None = None) -> TrainFn:
    """Make what repeats fit, calibration and threshold on any rows, with the parameters of the recipe."""
    # The search's rows are not those that the chain will be given.
    own = replace(recipe, out_of_fold=None)
    return lambda split, fit: (train or trained)(context, own, split, fit)


def make_nested_train_fn(context: RunContext, recipe: PipelineConfig, train: TrainStep | None = None) -> TrainFn:
    """Make what repeats everything on any rows: feature inference and the search too, where the recipe had them."""
    # What the run's own search found, it found on the rows that are judged here.
    as_written = replace(recipe, params={}, out_of_fold=None)

    def chain(split: Split, fit: Fitter) -> TrainedModel:
        own, features = _inferred(context, as_written, split)
        asking = on_table(fit, own.table)
        own = _searched(context, own, split, asking) if recipe.is_tuned else own
        return replace((train or trained)(context, own, split, asking), features=features)

    return chain


def search(context: RunContext, recipe: PipelineConfig, rows: Rows, fit: Fitter) -> TuningResult:
    """Search for the best parameters on some rows, as the experiment says; raises FitError."""
    spec = context.spec
    assert context.tuning is not None
    return tune(
        context.tuning,
        recipe.pipeline,
        recipe.table,
        rows,
        context.folds(spec.tuning_folds),
        fit,
        random_state=spec.random_state,
        positive_class=spec.data.positive_class,
    )


def fitted(recipe: PipelineConfig, split: Split, fit: Fitter) -> TrainedModel:
    """Fit the pipeline on `split.train` and predict `split.test`; raises FitError."""
    # A lazy classifier such as knn fails only when it predicts, so a model that ships predicts a row at least.
    judged = split.test if len(split.test) else Rows(split.train.index[:1])
    (fit_result,) = fit([FitRequest(recipe.pipeline, recipe.params, split.train, (judged,), recipe.keep_model)])
    if fit_result.error:
        raise FitError(f"the model could not be fitted: {fit_result.error}")
    return TrainedModel(fit_result.predictions[0] if len(split.test) else None, recipe.params, fit_result.model)


def calibrated(
    context: RunContext, recipe: PipelineConfig, split: Split, fit: Fitter, *, uncalibrated: TrainedModel | None = None
) -> TrainedModel:
    """Calibrate on `split.train`, and keep that if it is better; `uncalibrated` is what ships otherwise.

    The verdict is of predictions that the fold models have made already, calibrated by calibrators of other folds.
    """
    spec, table = context.calibration, recipe.table
    assert spec is not None
    trained = calibrate(
        spec,
        recipe.pipeline,
        recipe.params,
        table,
        split,
        context.calibration_splits,
        fit,
        keep_model=recipe.keep_model,
        random_state=context.spec.random_state,
    )
    judged = trained.out_of_fold
    assert judged is not None
    if spec.holdout is not None:
        # There may be too few rows for folds among those held out; then nothing is measured.
        with suppress(SplitError):
            judged = recut(judged, context.folds(context.spec.calibration_folds)(table, judged.rows))
    crossed = cross_fit(spec, judged, table, ordered=context.is_ordered)
    positive = context.spec.data.positive_class
    folds = context.spec.calibration_folds
    result = describe(spec, table, judged, crossed, cv_folds=folds, positive_class=positive)
    if result.kept:
        return replace(trained, calibration=result, out_of_fold=crossed)
    return replace(uncalibrated or fitted(recipe, split, fit), calibration=result, out_of_fold=judged)


def with_chosen_threshold(
    context: RunContext, recipe: PipelineConfig, trained: TrainedModel, split: Split, fit: Fitter
) -> TrainedModel:
    """Choose the threshold on out-of-fold predictions: those of the calibration or the search, or else new ones."""
    spec, table, positive = context.threshold, recipe.table, context.spec.data.positive_class
    assert spec is not None
    judged = trained.out_of_fold
    if judged is None and trained.calibration is not None:
        # Scores from before the calibration are on another scale, and those of its own rows know their labels.
        raise FitError("the calibration leaves no rows to choose it on")
    judged = judged or recipe.out_of_fold or predict_inner_folds(context, recipe, split, fit)
    threshold = choose_threshold(spec, judged, table, positive_class=positive, ordered=context.is_ordered)
    return with_threshold(trained, threshold, positive_class=positive)


def trained(context: RunContext, recipe: PipelineConfig, split: Split, fit: Fitter) -> TrainedModel:
    """Fit, calibrate and choose a threshold on `split.train`, as the recipe says; raises FitError."""
    done = calibrated(context, recipe, split, fit) if recipe.is_calibrated else fitted(recipe, split, fit)
    return with_chosen_threshold(context, recipe, done, split, fit) if recipe.has_threshold else done


def asked(context: RunContext, recipe: PipelineConfig, split: Split, fit: Fitter) -> TrainedModel:
    """Ask for the fits that `trained` asks for when it keeps the calibration, and compute nothing from the answers."""
    if recipe.is_calibrated:
        request_calibration_fits(context, recipe, split, fit)
        return TrainedModel(None, recipe.params)
    done = fitted(recipe, split, fit)
    if recipe.has_threshold and recipe.out_of_fold is None:
        predict_inner_folds(context, recipe, split, fit)
    return done


def request_calibration_fits(context: RunContext, recipe: PipelineConfig, split: Split, fit: Fitter) -> None:
    """Ask for the models that a calibration needs, and calibrate nothing; raises FitError."""
    assert context.calibration is not None
    request_fold_models(
        context.calibration,
        recipe.pipeline,
        recipe.params,
        recipe.table,
        split,
        context.calibration_splits,
        fit,
        keep_model=recipe.keep_model,
    )


def choices_of(context: RunContext, trained: TrainedModel) -> dict[str, Any]:
    """Say what a fold of a nested cross-validation chose; None for what it was not to choose."""
    inferred = None
    if trained.features is not None and list(trained.features) != list(context.run_data.features):
        inferred = [column for feature in trained.features for column in feature.columns]
    return {
        "params": dict(trained.params),
        "calibrated": trained.calibration and trained.calibration.kept,
        "threshold": trained.threshold and trained.threshold.value,
        "features": inferred,
    }


def predict_inner_folds(context: RunContext, recipe: PipelineConfig, split: Split, fit: Fitter) -> OutOfFold:
    """Judge rows by models of other folds, where no search or calibration has done so; raises FitError."""
    inner = context.folds(context.threshold_folds)(recipe.table, split.train)
    fit_results = fit([FitRequest(recipe.pipeline, recipe.params, part.train, (part.test,)) for part in inner])
    for fit_result in fit_results:
        if fit_result.error:
            raise FitError(fit_result.error)
    return stack(fit_results, inner, split.train)


def _inferred(
    context: RunContext, recipe: PipelineConfig, split: Split
) -> tuple[PipelineConfig, Sequence[FeatureSpec] | None]:
    """Infer the features from these rows alone, where the run infers them."""
    raw = context.run_data.raw
    if raw is None:
        return recipe, None
    features = infer_features(raw.X.iloc[split.train.index]).features
    if features == list(context.run_data.features):
        return recipe, features
    if not features:
        raise FitError("the rows of a fold of the nested validation suggest no feature; list the features")
    pipeline = build_ml_pipeline(
        features,
        context.spec.model,
        random_state=context.spec.random_state,
        date_formats=context.spec.data.date_formats,
    )
    return replace(recipe, pipeline=pipeline, table=context.table_with(features)), features


def _searched(context: RunContext, recipe: PipelineConfig, split: Split, fit: Fitter) -> PipelineConfig:
    """Search on the training rows of a fold; when that fails the fold goes on with what is written, and says so."""
    try:
        tuned = search(context, recipe, split.train, fit)
    except FitError as error:
        if context.spec.on_error == "fail":
            raise
        context.run_log.warn(f"a fold of the nested validation was not tuned: {one_line(error)}")
        return recipe
    if tuned.stopped:
        context.run_log.warn(f"tuning in the folds of the nested validation: {tuned.stopped}")
    return recipe.searched(tuned)


def whole(context: RunContext) -> Split:
    """Give all rows to learn from, the hold-out included, and none to judge."""
    return Split(context.table.all_rows, NO_ROWS)
