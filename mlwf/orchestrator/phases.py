"""The phases of a run that do something: each is a function of what the phases before it made."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from mlwf.engine.engine import Engine
from mlwf.engine.out_of_fold import TrainedModel
from mlwf.engine.requests import FitRequest, Fitter
from mlwf.errors import ConfigError, FitError, Problem, nearest
from mlwf.evaluation.predictions import predict
from mlwf.modules.data import slice_masks
from mlwf.modules.gates import check_gates
from mlwf.modules.tuning import check_installed
from mlwf.modules.validation import BASELINE, baselines, cross_validate, default_metrics, evaluate
from mlwf.orchestrator.champion import Champions, comparing
from mlwf.orchestrator.context import RunContext
from mlwf.orchestrator.finding_inputs import look_for_findings
from mlwf.orchestrator.run_log import PhaseStatus, one_line
from mlwf.orchestrator.run_provenance import (
    add_calibration_provenance,
    add_refit_provenance,
    add_threshold_provenance,
    add_tuning_provenance,
    of_cross_validation,
    of_holdout,
    of_test,
)
from mlwf.orchestrator.training import (
    PipelineConfig,
    build_ml_pipeline,
    calibrated,
    choices_of,
    make_nested_train_fn,
    make_train_fn,
    search,
    whole,
    with_chosen_threshold,
)
from mlwf.provenance import Choice
from mlwf.results import Evaluation, Finding, GateResult, TuningResult

logger = logging.getLogger(__name__)


def build_phase(context: RunContext) -> PipelineConfig:
    """Build the pipeline; raises ConfigError for a search over parameters that it does not have."""
    spec = context.spec
    by_position = not hasattr(context.table.X, "columns")
    pipeline = build_ml_pipeline(
        context.run_data.features,
        spec.model,
        random_state=spec.random_state,
        by_position=by_position,
        date_formats=spec.data.date_formats,
    )
    if context.tuning:
        check_installed(context.tuning)
        accepted = set(pipeline.get_params())
        unknown = sorted(set(context.tuning.parameters) - accepted)
        if unknown:
            key = f"tuning.{context.tuning.space_key}"
            raise ConfigError(
                Problem("", f"{key}.{name}", "unknown parameter of the pipeline", nearest(name, accepted), at_key=True)
                for name in unknown
            )
    return PipelineConfig(pipeline, context.table, keep_model=True)


def tune_phase(context: RunContext, recipe: PipelineConfig, fit: Engine, outcome: PhaseStatus) -> TuningResult | None:
    """Search for the best parameters; when that fails the run goes on with those written, and says so."""
    tuning = context.tuning
    if tuning is None:
        outcome.skip("not asked for")
        return None
    logger.info("Running parameter tuning: %s", tuning.tuning_name)
    own = nullcontext(fit) if tuning.n_jobs is None else fit.with_jobs(tuning.n_jobs)
    try:
        with own as searching:
            tuned = search(context, recipe, context.split.train, searching)
    except FitError as error:
        _degrade(context, "Tuning failed (%s). Proceeding without tuning.", error, outcome)
        return None
    tuned = add_tuning_provenance(context, tuned)
    logger.info("Tuning completed: best score=%.4f", tuned.best_score)
    if tuned.stopped:
        context.run_log.warn(f"tuning: {tuned.stopped}")
    if tuned.failures:
        context.run_log.warn(f"tuning: {tuned.n_failed} fits failed and score NaN; {one_line(tuned.failures[0])}")
    return tuned


def calibrate_phase(
    context: RunContext, recipe: PipelineConfig, trained: TrainedModel, fit: Fitter, outcome: PhaseStatus
) -> TrainedModel:
    """Calibrate the probabilities and keep that if it is better; when it fails the run goes on without, and says so."""
    calibration = context.calibration
    if calibration is None:
        outcome.skip("not asked for")
        return trained
    logger.info("Running calibration: %s", calibration.calibration_name)
    try:
        settled = calibrated(context, recipe, context.split, fit, uncalibrated=trained)
    except FitError as error:
        _degrade(context, "Calibration failed (%s). Proceeding without.", error, outcome)
        return trained
    assert settled.calibration is not None
    result = add_calibration_provenance(context, settled.calibration, tuned=recipe.is_tuned)
    logger.info("Calibration completed: %s", result.reason)
    return replace(settled, calibration=result)


def threshold_phase(
    context: RunContext, recipe: PipelineConfig, trained: TrainedModel, fit: Fitter, outcome: PhaseStatus
) -> TrainedModel:
    """Choose the threshold; when that fails the run goes on with the classifier's own, and says so."""
    if context.threshold is None:
        outcome.skip("not asked for")
        return trained
    try:
        settled = with_chosen_threshold(context, recipe, trained, context.split, fit)
    except FitError as error:
        _degrade(context, "The choice of a threshold failed (%s). Proceeding without.", error, outcome)
        return trained
    result = add_threshold_provenance(context, settled, tuned=recipe.is_tuned)
    logger.info("Threshold chosen: %.4f", result.value)
    return replace(settled, threshold=result)


def validate_phase(
    context: RunContext,
    recipe: PipelineConfig,
    trained: TrainedModel,
    fit: Fitter,
    outcome: PhaseStatus,
    chosen: tuple[Choice, ...],
) -> Evaluation | None:
    """Estimate the scores of the trained model on rows that it did not see."""
    spec, data = context.spec, context.run_data.data
    if spec.validation.strategy == "none":
        outcome.skip("not asked for")
        logger.info("Skipping validation")
        return None
    common: dict[str, Any] = {
        "metrics": _metrics(context, trained.model),
        "positive_class": spec.data.positive_class,
    }
    masks = slice_masks(context.slices, data)
    if spec.validation.strategy == "cross_validation":
        recipe = recipe.for_judging()
        validated = cross_validate(
            make_nested_train_fn(context, recipe) if context.is_nested else make_train_fn(context, recipe),
            context.table,
            context.split.train,
            context.folds(spec.validation.cv_folds),
            fit,
            slices=masks,
            choices=(lambda part: choices_of(context, part)) if context.is_nested else None,
            provenance=of_cross_validation(context, chosen),
            **common,
        )
        logger.info("CV Accuracy: %s ± %s", _told(validated.value("accuracy")), _told(validated.std("accuracy")))
    else:
        assert trained.predictions is not None
        rows = context.split.test
        (baseline,) = baselines(context.table, [context.split], fit)
        validated = evaluate(
            trained.predictions,
            context.table.y_of(rows),
            weight=context.table.weight_of(rows),
            baseline=baseline,
            groups=context.table.groups_of(rows),
            slices={name: mask[rows.index] for name, mask in masks.items()},
            provenance=of_holdout(context, chosen, trained),
            **common,
        )
        logger.info("Hold-out accuracy: %s", _told(validated.value("accuracy")))
    for problem in validated.problems.values():
        context.run_log.warn(problem)
    return validated


def refit_phase(context: RunContext, recipe: PipelineConfig, fit: Fitter) -> TrainedModel:
    """Train the scored model's recipe again on all rows, the hold-out included, with its calibration and threshold."""
    logger.info("Fitting again on all rows")
    refitted = add_refit_provenance(context, make_train_fn(context, recipe)(whole(context), fit), tuned=recipe.is_tuned)
    context.run_log.warn(
        "validation.refit: the shipped model was fitted again on all rows; the score is of the one before"
    )
    return refitted


def test_phase(
    context: RunContext, trained: TrainedModel, fit: Fitter, outcome: PhaseStatus, chosen: tuple[Choice, ...]
) -> Evaluation | None:
    """Score the shipped model on the test set."""
    test = context.run_data.test
    if test is None:
        outcome.skip("no test set")
        return None
    (baseline,) = fit([FitRequest(BASELINE, {}, context.shipped_rows, keep_model=True, class_weighted=False)])
    judged = evaluate(
        predict(trained.model, test.X),
        test.y,
        weight=test.weight,
        baseline=predict(baseline.model, test.X),
        metrics=_metrics(context, trained.model),
        positive_class=context.spec.data.positive_class,
        groups=test.groups,
        slices=slice_masks(context.slices, test),
        provenance=of_test(context, chosen),
    )
    logger.info("Test Accuracy: %s", _told(judged.value("accuracy")))
    for problem in judged.problems.values():
        context.run_log.warn(problem)
    return judged


def findings_phase(
    context: RunContext,
    trained: TrainedModel,
    tuned: TuningResult | None,
    evaluations: Sequence[Evaluation],
    fit: Fitter,
    outcome: PhaseStatus,
) -> tuple[Finding, ...] | None:
    """Find what a person should look at; None when that fails, since a run that is done is not lost for it."""
    try:
        return look_for_findings(context, trained, tuned, evaluations, fit)
    except FitError as error:
        _degrade(context, "Looking for findings failed (%s). Proceeding without.", error, outcome)
        return None


def gates_phase(
    context: RunContext, evaluations: Sequence[Evaluation], findings: Sequence[Finding] | None, champions: Champions
) -> tuple[GateResult, ...]:
    """Hold the run against its gates."""
    compare = comparing(champions, context, evaluations)
    return check_gates(context.spec.gates, evaluations=evaluations, findings=findings, compare=compare)


def _told(score: float | None) -> str:
    return "n/a" if score is None else f"{score:.4f}"


def _metrics(context: RunContext, model: Any) -> list[str]:
    has_probabilities = hasattr(model, "predict_proba")
    return context.spec.validation.metrics or default_metrics(
        context.table.classes, has_probabilities=has_probabilities
    )


def _degrade(context: RunContext, words: str, error: FitError, outcome: PhaseStatus) -> None:
    """Go on without a phase whose fits failed, visibly; or stop, when the experiment says so.

    Nothing but a FitError comes here: what else goes wrong is no reason to finish as if it were one of the user's.
    """
    if context.spec.on_error == "fail":
        raise FitError(f"{words.split(' (')[0]}: {one_line(error)} (on_error: fail)") from error
    logger.warning(words, one_line(error))
    logger.debug("details", exc_info=error)
    outcome.degrade(one_line(error))
