"""Fit, calibrate and choose a threshold on some rows: once for the model that ships, again in each fold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from mlwf.config.strict_yaml import dotted
from mlwf.engine.costs import SearchTime
from mlwf.engine.out_of_fold import OutOfFold, TrainedModel, TrainFn, at_once, recut, stack
from mlwf.engine.requests import FitRequest, Fitter, check_fitted, on_table
from mlwf.engine.votes import build_vote
from mlwf.errors import ConfigError, FitError, Problem, SplitError, TimeUpError
from mlwf.modules.calibration import calibrate, cross_fit, describe, request_fold_models
from mlwf.modules.inference import infer_features
from mlwf.modules.model import build_classifier
from mlwf.modules.model_selection import (
    Candidate,
    Ensemble,
    Search,
    list_candidates,
    name_of,
    rank_models,
    select_ensemble,
    with_ensemble,
)
from mlwf.modules.preprocessing import build_preprocessor
from mlwf.modules.threshold import choose_threshold, with_threshold
from mlwf.modules.tuning import tune
from mlwf.orchestrator.context import RunContext
from mlwf.results import SelectionResult, TuningResult
from mlwf.specs.catalogue import ALGORITHMS, check_native, count_columns, count_native
from mlwf.specs.experiment import ClassifierModelSpec
from mlwf.specs.features import FeatureSpec
from mlwf.specs.tuning import ParamTuningSpec
from mlwf.splitting.rows import NO_ROWS, Rows, Split, Table
from mlwf.text import first_line

NO_TIME_FOR_MEMBERS = "the time limit leaves no time to fit its members"


@dataclass(frozen=True, eq=False)
class ModelConfig:
    """One of several models to choose from."""

    name: str
    algorithm: str
    pipeline: Pipeline
    search: ParamTuningSpec


@dataclass(frozen=True, eq=False)
class PipelineConfig:
    """The pipeline that is fitted, and what is done to it afterwards."""

    pipeline: Any
    table: Table
    params: Mapping[str, Any] = field(default_factory=dict)
    models: tuple[ModelConfig, ...] = ()
    """The models to choose from, where there are several; the pipeline is then that of the chosen one."""
    is_tuned: bool = False
    """Whether a search chose the parameters."""
    is_selected: bool = False
    """Whether the model was chosen among several."""
    is_averaged: bool = False
    """Whether weights of an ensemble were chosen, and whether it ships."""
    fold_pipelines: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """For training rows of a fold, by their digest, the pipeline whose weights were chosen without the fold."""
    is_calibrated: bool = False
    """Whether to calibrate, and to keep that if it is better."""
    has_threshold: bool = False
    """Whether to choose a threshold."""
    keep_model: bool = False
    out_of_fold: OutOfFold | None = None
    """Out-of-fold predictions of the search's best candidate, on the rows that it was done on."""

    def with_search(self, tuned: TuningResult) -> PipelineConfig:
        """Take the parameters that a search found, and its out-of-fold predictions."""
        return replace(self, params=dict(tuned.best_params), is_tuned=True, out_of_fold=tuned.out_of_fold)

    @property
    def is_searched(self) -> bool:
        """Whether anything was compared on folds before the pipeline is fitted."""
        return self.is_tuned or bool(self.models)

    def for_validation(self) -> PipelineConfig:
        """Give what the folds of the validation repeat."""
        # A calibration that somebody adds later needs models of these folds; after a search there are such already.
        return replace(self, keep_model=not self.is_searched and not self.is_calibrated)

    def on_folds(self, fitter: Fitter) -> Fitter:
        """Make a fitter that fits each fold with the weights that were chosen without it."""
        return lambda requests: fitter([self._without_fold(request) for request in requests])

    def _without_fold(self, request: FitRequest) -> FitRequest:
        is_own = request.pipeline is self.pipeline and request.train.digest in self.fold_pipelines
        return replace(request, pipeline=self.fold_pipelines[request.train.digest]) if is_own else request


TrainStep = Callable[[RunContext, PipelineConfig, Split, Fitter], TrainedModel]
ChooseStep = Callable[[RunContext, PipelineConfig, Split, Fitter], PipelineConfig]


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
    gives, by column, the formats of dates that are not ISO 8601. Of columns with `encoder: native` the classifier is
    told that they are categories.

    Raises
    ------
    ConfigError
        As `build_classifier` and `build_preprocessor` do, and for `encoder: native` where the algorithm takes numbers
        alone.
    """
    classifier = build_classifier(model_spec, random_state=random_state)
    categories = ALGORITHMS[model_spec.algorithm].categories
    preprocessor = build_preprocessor(
        feature_specs,
        random_state=random_state,
        by_position=by_position,
        date_formats=date_formats,
        native="codes" if categories is None else categories.form,
        most_categories=None if categories is None else categories.most(classifier),
    )
    problems = check_native(model_spec.algorithm, feature_specs, model_spec.hyperparameters)
    if refused := [Problem("", dotted(path), each.message, each.hint, at_key=each.at_key) for path, each in problems]:
        raise ConfigError(refused)
    n_native = count_native(feature_specs)
    steps: list[tuple[str, Any]] = [("preprocessor", preprocessor)]
    if categories is not None and n_native:
        classifier.set_params(**{categories.parameter: categories.value(n_native, count_columns(feature_specs))})
        if categories.form == "texts":
            steps.append(("frame", FunctionTransformer(pd.DataFrame, feature_names_out="one-to-one")))
    return Pipeline([*steps, ("classifier", classifier)])


def search(
    context: RunContext, config: PipelineConfig, rows: Rows, fitter: Fitter, *, time: SearchTime | None = None
) -> TuningResult:
    """Search for the best parameters on some rows, as the experiment says and `time` allows; raises FitError."""
    spec = context.spec
    assert context.tuning is not None
    return tune(
        context.tuning,
        config.pipeline,
        config.table,
        rows,
        context.folds(spec.tuning_folds),
        fitter,
        random_state=spec.random_state,
        positive_class=spec.data.positive_class,
        time=time,
    )


@dataclass(frozen=True, eq=False)
class Selected:
    """The chosen model, and what it was compared with."""

    result: SelectionResult
    config: PipelineConfig
    tuning: TuningResult | None
    """The search of the chosen model; None where it had nothing to search, or an ensemble was chosen."""
    searches: Mapping[str, TuningResult]
    """By the names of the models; those that failed are missing."""


def select(
    context: RunContext, config: PipelineConfig, rows: Rows, fitter: Fitter, *, time: SearchTime | None = None
) -> Selected:
    """Choose one of several models, or their average, by out-of-fold predictions of some rows.

    A model whose fits fail is left out. Raises FitError when all fail.
    """
    spec = context.spec
    splits = context.folds(spec.tuning_folds)(config.table, rows)
    searches = dict(
        zip(
            [model.name for model in config.models],
            at_once(lambda model: _search_model(context, config.table, model, rows, fitter, time), config.models),
            strict=True,
        )
    )
    ratio = float(np.mean([len(split.test) / len(split.train) for split in splits]))
    result = rank_models(searches, scoring=spec.choice.scoring, cv_folds=len(splits), test_to_train=ratio)
    chosen = next(model for model in config.models if model.name == result.best)
    best = searches[chosen.name].result
    assert best is not None
    config = replace(
        config,
        pipeline=chosen.pipeline,
        params=dict(best.best_params),
        is_tuned=any(len(model.search.parameters) for model in config.models),
        is_selected=len(config.models) > 1,
        out_of_fold=best.out_of_fold,
    )
    if context.ensemble is not None:
        candidates = list_candidates(searches)
        if best.out_of_fold is not None and candidates:
            ensemble = select_ensemble(
                context.ensemble, candidates, best.out_of_fold, config.table, ordered=context.is_ordered
            )
            averaged = _with_ensemble(replace(config, is_averaged=True), candidates, ensemble, splits)
            if ensemble.result.kept and time is not None and not time.may_ship(averaged.pipeline, averaged.params):
                ensemble = replace(ensemble, result=replace(ensemble.result, kept=False, reason=NO_TIME_FOR_MEMBERS))
            config = _with_ensemble(replace(config, is_averaged=True), candidates, ensemble, splits)
            result = with_ensemble(result, ensemble.result)
    found = {name: search.result for name, search in searches.items() if search.result is not None}
    # The predictions of all candidates are much memory, and have served.
    found = {name: replace(tuned, predictions_of=None) for name, tuned in found.items()}
    has_own = chosen.search.parameters and not result.ships_ensemble
    return Selected(result, config, found[chosen.name] if has_own else None, found)


def _search_model(
    context: RunContext,
    table: Table,
    model: ModelConfig,
    rows: Rows,
    fitter: Fitter,
    time: SearchTime | None = None,
) -> Search:
    spec = context.spec
    try:
        tuned = tune(
            model.search,
            model.pipeline,
            table,
            rows,
            context.folds(spec.tuning_folds),
            fitter,
            random_state=spec.random_state,
            positive_class=spec.data.positive_class,
            time=time,
        )
    except TimeUpError as error:
        return Search(model.algorithm, None, first_line(error), is_timed_out=True)
    except FitError as error:
        return Search(model.algorithm, None, first_line(error))
    return Search(model.algorithm, tuned)


def _with_ensemble(
    config: PipelineConfig, candidates: Sequence[Candidate], ensemble: Ensemble, splits: Sequence[Split]
) -> PipelineConfig:
    """Take the average of candidates for the pipeline, where it is kept."""
    if not ensemble.result.kept:
        return config
    pipelines = {model.name: model.pipeline for model in config.models}

    def vote(weights: NDArray[np.intp]) -> Any:
        places = np.flatnonzero(weights).tolist()
        members = {
            name_of(candidates, place): clone(pipelines[candidates[place].model]).set_params(**candidates[place].params)
            for place in places
        }
        return build_vote(members, weights[places].tolist())

    folds = {
        split.train.digest: vote(weights)
        for split, weights in zip(splits, ensemble.fold_weights, strict=True)
        if weights.any()
    }
    return replace(
        config, pipeline=vote(ensemble.weights), params={}, fold_pipelines=folds, out_of_fold=ensemble.out_of_fold
    )


def request_selection_fits(context: RunContext, config: PipelineConfig, rows: Rows, fitter: Fitter) -> PipelineConfig:
    """Request the fits of all searches; give the config as if the first model, or an average of all, were chosen."""
    at_once(lambda model: _search_model(context, config.table, model, rows, fitter), config.models)
    config = replace(config, is_tuned=any(model.search.parameters for model in config.models), is_selected=True)
    if context.ensemble is None or len(config.models) < 2:
        return config
    members = {model.name: model.pipeline for model in config.models}
    return replace(config, pipeline=build_vote(members, [1] * len(members)), is_averaged=True)


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
        return replace(step(context, own, split, own_fitter), features=features)

    return train_fold


def describe_choices(context: RunContext, trained: TrainedModel) -> dict[str, Any]:
    """Give what was chosen for a model; None for what was not to be chosen."""
    inferred = None
    if trained.features is not None and list(trained.features) != list(context.run_data.features):
        inferred = [column for feature in trained.features for column in feature.columns]
    return {
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
    features = infer_features(raw.X.iloc[split.train.index]).features
    if features == list(context.run_data.features):
        return config, features
    if not features:
        raise FitError("the rows of a fold of the nested validation suggest no feature; list the features")
    return replace(configure(context, features), table=context.table_with(features), **_flags(config)), features


def _flags(config: PipelineConfig) -> dict[str, Any]:
    names = ("is_tuned", "is_selected", "is_averaged", "is_calibrated", "has_threshold", "keep_model")
    return {name: getattr(config, name) for name in names}


def configure(context: RunContext, features: Sequence[FeatureSpec]) -> PipelineConfig:
    """Build the pipeline of the experiment, or those of its models; raises ConfigError."""
    spec = context.spec
    models = [
        (
            section,
            build_ml_pipeline(
                features,
                section.model,
                random_state=spec.random_state,
                by_position=not hasattr(context.table.X, "columns"),
                date_formats=spec.data.date_formats,
            ),
        )
        for section in spec.model_sections
    ]
    _, pipeline = models[0]
    if spec.candidates is None:
        return PipelineConfig(pipeline, context.table)
    candidates = []
    for section, own in models:
        search = spec.search_of(section)
        assert search is not None
        candidates.append(ModelConfig(section.name, section.model.algorithm, own, search))
    return PipelineConfig(pipeline, context.table, models=tuple(candidates))


def request_choice_fits(context: RunContext, config: PipelineConfig, split: Split, fitter: Fitter) -> PipelineConfig:
    """Request the fits of the search on the training rows of a fold."""
    if config.models:
        return request_selection_fits(context, config, split.train, fitter)
    return choose_on(context, config, split, fitter)


def choose_on(
    context: RunContext, config: PipelineConfig, split: Split, fitter: Fitter, *, time: SearchTime | None = None
) -> PipelineConfig:
    """Search on the training rows of a split, or choose a model; what fails is left out, with a warning."""
    if config.models:
        selected = select(context, config, split.train, fitter, time=time)
        if any(tuned.is_timed_out for tuned in selected.searches.values()):
            context.run_log.cut()
        for name, reason in selected.result.failures.items():
            context.run_log.warn(f"a fold of the nested validation did without the model {name}: {reason}")
        return selected.config
    try:
        tuned = search(context, config, split.train, fitter, time=time)
    except FitError as error:
        # Without the time for a search there is none for the model as it is written.
        if context.spec.on_error == "fail" or isinstance(error, TimeUpError):
            raise
        context.run_log.warn(f"a fold of the nested validation was not tuned: {first_line(error)}")
        return config
    if tuned.is_timed_out:
        context.run_log.cut()
    if tuned.stopped:
        context.run_log.warn(f"tuning in the folds of the nested validation: {tuned.stopped}")
    return config.with_search(tuned)
