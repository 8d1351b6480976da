"""Phases 3 to 5 as functions of some rows: done once for the model that ships, and again in every fold that judges."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from sklearn.pipeline import Pipeline

from mlwf.engine.requests import Ask, Fitter, on_table
from mlwf.engine.training import Chain, OutOfFold, Trained, recut, stack
from mlwf.errors import FitError, SplitError
from mlwf.modules.calibration import ask_for_models, calibrate, cross_fit, describe
from mlwf.modules.inference import infer_features
from mlwf.modules.model import build_classifier
from mlwf.modules.preprocessing import build_preprocessor
from mlwf.modules.threshold import choose_threshold, with_threshold
from mlwf.modules.tuning import tune
from mlwf.orchestrator.context import Setting
from mlwf.orchestrator.run_log import one_line
from mlwf.results import TuningResult
from mlwf.specs.classifier import ClassifierModelSpec
from mlwf.specs.features import FeatureSpec
from mlwf.splitting.rows import NO_ROWS, Rows, Split, Table


@dataclass(frozen=True, eq=False)
class Recipe:
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

    def searched(self, tuned: TuningResult) -> Recipe:
        """Take the parameters that a search found, and what its fold models said."""
        return replace(self, params=dict(tuned.best_params), is_tuned=True, out_of_fold=tuned.out_of_fold)

    def for_judging(self) -> Recipe:
        """Give what the folds of the validation repeat."""
        # A calibration that somebody adds later needs models of these folds; after a search there are such already.
        return replace(self, keep_model=not self.is_tuned and not self.is_calibrated)


Train = Callable[[Setting, Recipe, Split, Fitter], Trained]


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


def make_chain(setting: Setting, recipe: Recipe, train: Train | None = None) -> Chain:
    """Make what repeats fit, calibration and threshold on any rows, with the parameters of the recipe."""
    # The search's rows are not those that the chain will be given.
    own = replace(recipe, out_of_fold=None)
    return lambda split, fit: (train or trained)(setting, own, split, fit)


def make_nested_chain(setting: Setting, recipe: Recipe, train: Train | None = None) -> Chain:
    """Make what repeats everything on any rows: feature inference and the search too, where the recipe had them."""
    # What the run's own search found, it found on the rows that are judged here.
    as_written = replace(recipe, params={}, out_of_fold=None)

    def chain(split: Split, fit: Fitter) -> Trained:
        own, features = _inferred(setting, as_written, split)
        asking = on_table(fit, own.table)
        own = _searched(setting, own, split, asking) if recipe.is_tuned else own
        return replace((train or trained)(setting, own, split, asking), features=features)

    return chain


def search(setting: Setting, recipe: Recipe, rows: Rows, fit: Fitter) -> TuningResult:
    """Search for the best parameters on some rows, as the experiment says; raises FitError."""
    spec = setting.spec
    assert setting.tuning is not None
    return tune(
        setting.tuning,
        recipe.pipeline,
        recipe.table,
        rows,
        setting.folds(spec.tuning_folds),
        fit,
        random_state=spec.random_state,
        positive_class=spec.data.positive_class,
    )


def fitted(recipe: Recipe, split: Split, fit: Fitter) -> Trained:
    """Fit the pipeline on `split.train` and predict `split.test`; raises FitError."""
    # A lazy classifier such as knn fails only when it predicts, so a model that ships predicts a row at least.
    judged = split.test if len(split.test) else Rows(split.train.index[:1])
    (answer,) = fit([Ask(recipe.pipeline, recipe.params, split.train, (judged,), recipe.keep_model)])
    if answer.error:
        raise FitError(f"the model could not be fitted: {answer.error}")
    return Trained(answer.predictions[0] if len(split.test) else None, recipe.params, answer.model)


def calibrated(
    setting: Setting, recipe: Recipe, split: Split, fit: Fitter, *, uncalibrated: Trained | None = None
) -> Trained:
    """Calibrate on `split.train`, and keep that if it is better; `uncalibrated` is what ships otherwise.

    The verdict is of predictions that the fold models have made already, calibrated by calibrators of other folds.
    """
    spec, table = setting.calibration, recipe.table
    assert spec is not None
    trained = calibrate(
        spec,
        recipe.pipeline,
        recipe.params,
        table,
        split,
        setting.calibration_splits,
        fit,
        keep_model=recipe.keep_model,
        random_state=setting.spec.random_state,
    )
    judged = trained.out_of_fold
    assert judged is not None
    if spec.holdout is not None:
        # There may be too few rows for folds among those held out; then nothing is measured.
        with suppress(SplitError):
            judged = recut(judged, setting.folds(setting.spec.calibration_folds)(table, judged.rows))
    crossed = cross_fit(spec, judged, table, ordered=setting.is_ordered)
    positive = setting.spec.data.positive_class
    folds = setting.spec.calibration_folds
    result = describe(spec, table, judged, crossed, cv_folds=folds, positive_class=positive)
    if result.kept:
        return replace(trained, calibration=result, out_of_fold=crossed)
    return replace(uncalibrated or fitted(recipe, split, fit), calibration=result, out_of_fold=judged)


def thresholded(setting: Setting, recipe: Recipe, trained: Trained, split: Split, fit: Fitter) -> Trained:
    """Choose the threshold on out-of-fold predictions: those of the calibration or the search, or else new ones."""
    spec, table, positive = setting.threshold, recipe.table, setting.spec.data.positive_class
    assert spec is not None
    judged = trained.out_of_fold
    if judged is None and trained.calibration is not None:
        # Scores from before the calibration are on another scale, and those of its own rows know their labels.
        raise FitError("the calibration leaves no rows to choose it on")
    judged = judged or recipe.out_of_fold or judged_by_inner_folds(setting, recipe, split, fit)
    threshold = choose_threshold(spec, judged, table, positive_class=positive, ordered=setting.is_ordered)
    return with_threshold(trained, threshold, positive_class=positive)


def trained(setting: Setting, recipe: Recipe, split: Split, fit: Fitter) -> Trained:
    """Fit, calibrate and choose a threshold on `split.train`, as the recipe says; raises FitError."""
    done = calibrated(setting, recipe, split, fit) if recipe.is_calibrated else fitted(recipe, split, fit)
    return thresholded(setting, recipe, done, split, fit) if recipe.has_threshold else done


def asked(setting: Setting, recipe: Recipe, split: Split, fit: Fitter) -> Trained:
    """Ask for the fits that `trained` asks for when it keeps the calibration, and compute nothing from the answers."""
    if recipe.is_calibrated:
        ask_for_calibration(setting, recipe, split, fit)
        return Trained(None, recipe.params)
    done = fitted(recipe, split, fit)
    if recipe.has_threshold and recipe.out_of_fold is None:
        judged_by_inner_folds(setting, recipe, split, fit)
    return done


def ask_for_calibration(setting: Setting, recipe: Recipe, split: Split, fit: Fitter) -> None:
    """Ask for the models that a calibration needs, and calibrate nothing; raises FitError."""
    assert setting.calibration is not None
    ask_for_models(
        setting.calibration,
        recipe.pipeline,
        recipe.params,
        recipe.table,
        split,
        setting.calibration_splits,
        fit,
        keep_model=recipe.keep_model,
    )


def choices_of(setting: Setting, trained: Trained) -> dict[str, Any]:
    """Say what a fold of a nested cross-validation chose; None for what it was not to choose."""
    inferred = None
    if trained.features is not None and list(trained.features) != list(setting.material.features):
        inferred = [column for feature in trained.features for column in feature.columns]
    return {
        "params": dict(trained.params),
        "calibrated": trained.calibration and trained.calibration.kept,
        "threshold": trained.threshold and trained.threshold.value,
        "features": inferred,
    }


def judged_by_inner_folds(setting: Setting, recipe: Recipe, split: Split, fit: Fitter) -> OutOfFold:
    """Judge rows by models of other folds, where no search or calibration has done so; raises FitError."""
    inner = setting.folds(setting.threshold_folds)(recipe.table, split.train)
    answers = fit([Ask(recipe.pipeline, recipe.params, part.train, (part.test,)) for part in inner])
    for answer in answers:
        if answer.error:
            raise FitError(answer.error)
    return stack(answers, inner, split.train)


def _inferred(setting: Setting, recipe: Recipe, split: Split) -> tuple[Recipe, Sequence[FeatureSpec] | None]:
    """Infer the features from these rows alone, where the run infers them."""
    raw = setting.material.raw
    if raw is None:
        return recipe, None
    features = infer_features(raw.X.iloc[split.train.index]).features
    if features == list(setting.material.features):
        return recipe, features
    if not features:
        raise FitError("the rows of a fold of the nested validation suggest no feature; list the features")
    pipeline = build_ml_pipeline(
        features,
        setting.spec.model,
        random_state=setting.spec.random_state,
        date_formats=setting.spec.data.date_formats,
    )
    return replace(recipe, pipeline=pipeline, table=setting.table_with(features)), features


def _searched(setting: Setting, recipe: Recipe, split: Split, fit: Fitter) -> Recipe:
    """Search on the training rows of a fold; when that fails the fold goes on with what is written, and says so."""
    try:
        tuned = search(setting, recipe, split.train, fit)
    except FitError as error:
        if setting.spec.on_error == "fail":
            raise
        setting.journal.warn(f"a fold of the nested validation was not tuned: {one_line(error)}")
        return recipe
    if tuned.stopped:
        setting.journal.warn(f"tuning in the folds of the nested validation: {tuned.stopped}")
    return recipe.searched(tuned)


def whole(setting: Setting) -> Split:
    """Give all rows to learn from, the hold-out included, and none to judge."""
    return Split(setting.table.all_rows, NO_ROWS)
