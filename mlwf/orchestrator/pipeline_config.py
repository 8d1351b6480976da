"""The pipelines of an experiment, and what has been chosen for the one that is fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from mlwf.config.strict_yaml import dotted
from mlwf.engine.out_of_fold import OutOfFold
from mlwf.engine.requests import FitRequest, Fitter
from mlwf.errors import ConfigError, Problem
from mlwf.modules.model import build_classifier
from mlwf.modules.preprocessing import build_preprocessor
from mlwf.orchestrator.context import RunContext
from mlwf.results import TuningResult
from mlwf.specs.catalogue import ALGORITHMS, check_native, count_columns, count_native
from mlwf.specs.experiment import ClassifierModelSpec
from mlwf.specs.features import FeatureSpec
from mlwf.specs.tuning import ParamTuningSpec
from mlwf.splitting.rows import Table


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
    model_weights: Mapping[str, float] | None = None
    """The share of each model that was chosen among several, by its name; None where there is one."""
    fold_pipelines: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """For training rows of a fold, by their digest, the pipeline whose weights were chosen without the fold."""
    stand_ins: Mapping[str, tuple[Pipeline, Mapping[str, Any]]] = field(default_factory=dict, repr=False)
    """For each member of an ensemble, by its name, the pipeline and the best parameters of the same model."""
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
