"""Phases 7 to 9, validate, test and findings: what each does, and beside it what it will fit."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier

from mlwf.engine.costs import SearchTime
from mlwf.engine.out_of_fold import TrainedModel
from mlwf.engine.requests import FitRequest, FitResult, Fitter
from mlwf.errors import FitError, TimeUpError
from mlwf.evaluation.predictions import predict
from mlwf.modules.data import slice_masks
from mlwf.modules.findings import FindingInputs, find, list_columns, search_leaks
from mlwf.modules.gates import check_gates
from mlwf.modules.inference import infer_features
from mlwf.modules.preprocessing import build_preprocessor
from mlwf.modules.validation import BASELINE, baselines, cross_validate, default_metrics, evaluate
from mlwf.orchestrator.champion import make_compare
from mlwf.orchestrator.choosing import request_choice_fits
from mlwf.orchestrator.context import RunContext
from mlwf.orchestrator.pipeline_config import PipelineConfig
from mlwf.orchestrator.run_importances import add_importances
from mlwf.orchestrator.run_log import PhaseStatus
from mlwf.orchestrator.run_provenance import (
    add_refit_provenance,
    fold_rows,
    list_choices,
    of_cross_validation,
    of_holdout,
    of_test,
)
from mlwf.orchestrator.training_phases import NOT_ASKED_FOR, Run
from mlwf.orchestrator.training_steps import (
    describe_choices,
    make_nested_train_fn,
    make_train_fn,
    request_fits,
    split_all_rows,
)
from mlwf.results import CalibrationResult, Evaluation, Finding, LeakSearch, SelectionResult
from mlwf.run_result import Refit, RunResult
from mlwf.specs.experiment import ExperimentSpec, ModelSection
from mlwf.specs.features import FeatureSpec
from mlwf.splitting.rows import Split

logger = logging.getLogger(__name__)
BARE: dict[str, dict[str, Any]] = {
    "numeric": {"imputer": None, "fill_value": None, "scaler": None},
    "categorical": {"imputer": None, "fill_value": None, "encoder": "target"},
    "boolean": {"imputer": None, "fill_value": None},
    "ordinal": {"imputer": None, "fill_value": None},
    "date": {"imputer": None, "scaler": None},
    "text": {},
}
"""How a feature is prepared when it is looked at alone: what is missing stays so, since that may predict the target."""


def run_validate(run: Run, status: PhaseStatus) -> Run:
    """Estimate the scores of the model on rows that it did not see, and fit it again on all rows where asked for."""
    strategy = run.spec.validation.strategy
    if strategy == "none":
        status.skip(NOT_ASKED_FOR)
        logger.info("Skipping validation")
        return run
    if strategy == "cross_validation":
        try:
            validation, fold_models = _cross_validate(run)
        except TimeUpError as error:
            return run.degrade(status, error, failed="The validation failed", instead="Proceeding without a score.")
        run = replace(run, fold_models=fold_models)
        accuracy, std = _format(validation.value("accuracy")), _format(validation.std("accuracy"))
        logger.info("CV Accuracy: %s ± %s", accuracy, std)
    else:
        validation = _evaluate_holdout(run)
        logger.info("Hold-out accuracy: %s", _format(validation.value("accuracy")))
    _warn_of(run, validation)
    if validation.provenance.n_folds_left_out:
        run.run_log.cut()
    run = run.add(validation=validation)
    return _refit(run) if run.context.is_refitted else run


def plan_validate(context: RunContext, config: PipelineConfig, fitter: Fitter) -> PipelineConfig:
    """Request the fits of the folds and of a refit, and those of the baselines."""
    strategy = context.spec.validation.strategy
    if strategy == "cross_validation":
        own = config.for_validation()
        request = (
            make_nested_train_fn(context, own, request_fits, choose=request_choice_fits)
            if context.is_nested
            else make_train_fn(context, own, request_fits)
        )
        for split in context.validation_splits:
            request(split, fitter)
        baselines(context.table, context.validation_splits, fitter)
    elif strategy == "train_test":
        baselines(context.table, [context.split], fitter)
        if context.is_refitted:
            make_train_fn(context, config, request_fits)(split_all_rows(context), fitter)
    return config


def run_test(run: Run, status: PhaseStatus) -> Run:
    """Score the shipped model on the test set."""
    context, test = run.context, run.context.run_data.test
    if test is None:
        status.skip("no test set")
        return run
    (baseline,) = _fit_baseline(context, run.engine)
    evaluation = evaluate(
        predict(run.trained.model, test.X),
        test.y,
        weight=test.weight,
        baseline=predict(baseline.model, test.X),
        metrics=_metrics(run),
        positive_class=context.spec.data.positive_class,
        groups=test.groups,
        slices=slice_masks(context.slices, test),
        provenance=of_test(context, list_choices(context, run.config)),
    )
    logger.info("Test Accuracy: %s", _format(evaluation.value("accuracy")))
    _warn_of(run, evaluation)
    return run.add(test=evaluation)


def plan_test(context: RunContext, config: PipelineConfig, fitter: Fitter) -> PipelineConfig:
    """Request the fit of the baseline."""
    if context.run_data.test is not None:
        _fit_baseline(context, fitter)
    return config


def run_findings(run: Run, status: PhaseStatus) -> Run:
    """Find what a person should look at, measure what matters, and check the gates; without findings when fits fail."""
    run = add_importances(run)
    context, result = run.context, run.result
    try:
        findings = look_for_findings(context, result, run.trained.calibration, run.engine_in_time)
        run = run.add(findings=findings)
    except FitError as error:
        run = run.degrade(status, error, failed="Looking for findings failed", instead="Proceeding without.")
    compare = make_compare(run.champions, context, result.evaluations)
    gates = check_gates(run.spec.gates, evaluations=result.evaluations, findings=run.result.findings, compare=compare)
    return run.add(gates=gates)


def plan_findings(context: RunContext, config: PipelineConfig, fitter: Fitter) -> PipelineConfig:
    """Request nothing: which columns are probed is known when all are screened."""
    return config


def count_columns(context: RunContext) -> int:
    """Count the columns that the search for leaks screens."""
    is_ignored = "leakage" in context.spec.findings.ignore
    return 0 if is_ignored else len(list_columns(context.table, context.run_data.features))


def _cross_validate(run: Run) -> tuple[Evaluation, tuple[tuple[Split, Any], ...]]:
    """Give the evaluation, and the models of the folds where they are kept and have the features of the run."""
    context, config, engine = run.context, run.config.for_validation(), run.engine_in_time
    train_fn = (
        make_nested_train_fn(context, config, time=_fold_search_time(run))
        if context.is_nested
        else make_train_fn(context, config)
    )
    kept: dict[str, tuple[Split, Any]] = {}

    def train_fold(split: Split, fitter: Fitter) -> TrainedModel:
        trained = train_fn(split, engine)
        if trained.model is not None and trained.features in (None, context.run_data.features):
            kept[split.train.digest] = split, trained.model
        return trained

    evaluation = cross_validate(
        train_fold,
        context.table,
        context.split.train,
        context.folds(context.spec.validation.cv_folds),
        run.engine,
        metrics=_metrics(run),
        positive_class=context.spec.data.positive_class,
        slices=slice_masks(context.slices, context.run_data.data),
        choices=(lambda part: describe_choices(context, part)) if context.is_nested else None,
        provenance=of_cross_validation(context, list_choices(context, config)),
    )
    splits = [split.train.digest for split in context.validation_splits]
    return evaluation, tuple(kept[digest] for digest in splits if digest in kept)


def _fold_search_time(run: Run) -> SearchTime | None:
    """Give the time of the searches of all folds of a nested validation."""
    reserve = run.reserve
    if reserve is None:
        return None
    return SearchTime(run.context.time, reserve=lambda pipeline, params: reserve.after("threshold", pipeline, params))


def _evaluate_holdout(run: Run) -> Evaluation:
    context, rows = run.context, run.context.split.test
    assert run.trained.predictions is not None
    (baseline,) = baselines(context.table, [context.split], run.engine)
    masks = slice_masks(context.slices, context.run_data.data)
    return evaluate(
        run.trained.predictions,
        context.table.y_of(rows),
        weight=context.table.weight_of(rows),
        baseline=baseline,
        metrics=_metrics(run),
        positive_class=context.spec.data.positive_class,
        groups=context.table.groups_of(rows),
        index=rows.index,
        slices={name: mask[rows.index] for name, mask in masks.items()},
        provenance=of_holdout(context, list_choices(context, run.config), run.trained),
    )


def _refit(run: Run) -> Run:
    """Train the scored model's pipeline again on all rows, the hold-out included; that is the one that ships."""
    logger.info("Fitting again on all rows")
    context, config = run.context, run.config
    refitted = make_train_fn(context, config)(split_all_rows(context), run.engine_at_last)
    refitted = add_refit_provenance(context, config, refitted)
    run.run_log.warn("validation.refit: the shipped model was fitted again on all rows; the score is of the one before")
    refit = Refit(len(context.shipped_rows), scored_model=describe_choices(context, run.trained))
    return replace(run, scored_model=run.trained.model).with_trained(refitted).ship(refit=refit)


def _fit_baseline(context: RunContext, fitter: Fitter) -> Sequence[FitResult]:
    return fitter([FitRequest(BASELINE, {}, context.shipped_rows, keep_model=True, class_weighted=False)])


def _metrics(run: Run) -> list[str]:
    has_probabilities = hasattr(run.trained.model, "predict_proba")
    written = run.spec.validation.metrics
    return written or default_metrics(run.context.table.classes, has_probabilities=has_probabilities)


def _warn_of(run: Run, evaluation: Evaluation) -> None:
    for problem in evaluation.problems.values():
        run.run_log.warn(problem)


def _format(score: float | None) -> str:
    return "n/a" if score is None else f"{score:.4f}"


def look_for_findings(
    context: RunContext, result: RunResult, calibration: CalibrationResult | None, fitter: Fitter
) -> tuple[Finding, ...]:
    """Find what a person should look at before trusting the run."""
    run_data, spec = context.run_data, context.spec
    shipped = _shipped_section(spec, result.selection)
    inputs = FindingInputs(
        table=context.table,
        rows=context.shipped_rows,
        splits=_scored_splits(context, result),
        leaks=_search_leaks(context, fitter),
        identifiers=_identifiers(context),
        evaluations=result.evaluations,
        tuned=result.tuning if shipped else None,
        tuning=spec.search_of(shipped) if shipped else None,
        algorithm=shipped.model.algorithm if shipped else result.algorithm,
        calibration=calibration,
        digests=run_data.data.row_digests,
        test_digests=None if run_data.test is None else run_data.test.row_digests,
        degraded=context.run_log.degraded,
    )
    return find(inputs, ignore=spec.findings.ignore)


def _scored_splits(context: RunContext, result: RunResult) -> Sequence[Split]:
    """Give the folds of the validation that there was time for, or the hold-out."""
    splits, validation = _splits(context), result.validation
    if validation is None or not validation.provenance.n_folds_left_out:
        return splits
    return [split for number, split in enumerate(splits) if fold_rows(number, "test") in validation.rows]


def _shipped_section(spec: ExperimentSpec, selection: SelectionResult | None) -> ModelSection | None:
    """Give the model that ships, as it is written; None for an ensemble."""
    if selection is None:
        return spec.model_sections[0]
    if selection.ships_ensemble:
        return None
    return next(section for section in spec.model_sections if section.name == selection.best)


def _splits(context: RunContext) -> Sequence[Split]:
    return context.validation_splits or ((context.split,) if len(context.split.test) else ())


def _search_leaks(context: RunContext, fit: Fitter) -> LeakSearch | None:
    if "leakage" in context.spec.findings.ignore:
        return None
    search = search_leaks(
        context.table,
        context.shipped_rows,
        _splits(context),
        context.run_data.features,
        fit,
        build_probe=_build_probe,
        on_columns=context.run_log.on_columns,
    )
    context.run_log.leak_search = search
    if search.not_probed:
        context.run_log.warn(
            f"the search for leaks looked closely at {search.probed} of {search.suspects:,} columns that may be leaks, "
            "the most suspicious ones"
        )
    return search


def _build_probe(column: str | int, feature: FeatureSpec) -> Pipeline:
    """Build the small tree that is trained on one column alone."""
    alone = feature.model_copy(update={"columns": [column], **BARE[feature.type]})
    tree = DecisionTreeClassifier(max_leaf_nodes=8, min_samples_leaf=5, random_state=0)
    return Pipeline([("preprocessor", build_preprocessor([alone], cv_folds=2)), ("classifier", tree)])


def _identifiers(context: RunContext) -> dict[str, str]:
    """Give the features that would not be inferred, because they seem to identify the row."""
    X: Any = context.run_data.data.X
    # Features that were inferred have passed this already.
    if context.run_data.inferred is not None or not hasattr(X, "columns"):
        return {}
    return infer_features(X.iloc[context.split.train.index]).identifiers
