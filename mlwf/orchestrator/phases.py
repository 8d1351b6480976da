"""The phases of a run that do something: each is a function of what the phases before it made."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from mlwf.engine.engine import Engine
from mlwf.engine.requests import Ask, Fitter
from mlwf.engine.training import Trained
from mlwf.errors import ConfigError, FitError, Problem, nearest
from mlwf.evaluation.predictions import predict
from mlwf.modules.data import slice_masks
from mlwf.modules.gates import check_gates
from mlwf.modules.tuning import check_installed, list_parameters
from mlwf.modules.validation import BASELINE, baselines, cross_validate, default_metrics, judge
from mlwf.orchestrator.champion import Champions, comparing
from mlwf.orchestrator.context import Setting
from mlwf.orchestrator.finding_inputs import find_findings
from mlwf.orchestrator.provenance import (
    cross_validated,
    held_out,
    tested,
    told_of_calibration,
    told_of_refit,
    told_of_threshold,
    told_of_tuning,
)
from mlwf.orchestrator.run_log import Outcome, one_line
from mlwf.orchestrator.training import (
    Recipe,
    build_ml_pipeline,
    calibrated,
    choices_of,
    make_chain,
    make_nested_chain,
    search,
    thresholded,
    whole,
)
from mlwf.results import Finding, GateResult, Judgement, TuningResult

logger = logging.getLogger(__name__)


def build_phase(setting: Setting) -> Recipe:
    """Build the pipeline; raises ConfigError for a search over parameters that it does not have."""
    spec = setting.spec
    by_position = not hasattr(setting.table.X, "columns")
    pipeline = build_ml_pipeline(
        setting.material.features,
        spec.model,
        random_state=spec.random_state,
        by_position=by_position,
        date_formats=spec.data.date_formats,
    )
    if setting.tuning:
        check_installed(setting.tuning)
        accepted = set(pipeline.get_params())
        unknown = sorted(set(list_parameters(setting.tuning)) - accepted)
        if unknown:
            is_grid = hasattr(setting.tuning, "param_grid")
            section = "tuning.param_grid" if is_grid else "tuning.param_distributions"
            raise ConfigError(
                Problem("", f"{section}.{name}", "unknown parameter of the pipeline", nearest(name, accepted))
                for name in unknown
            )
    return Recipe(pipeline, setting.table, keep_model=True)


def tune_phase(setting: Setting, recipe: Recipe, fit: Engine, outcome: Outcome) -> TuningResult | None:
    """Search for the best parameters; when that fails the run goes on with those written, and says so."""
    tuning = setting.tuning
    if tuning is None:
        outcome.skip("not asked for")
        return None
    logger.info("Running parameter tuning: %s", tuning.tuning_name)
    own = nullcontext(fit) if tuning.n_jobs is None else fit.with_jobs(tuning.n_jobs)
    try:
        with own as searching:
            tuned = search(setting, recipe, setting.split.train, searching)
    except FitError as error:
        _degrade(setting, "Tuning failed (%s). Proceeding without tuning.", error, outcome)
        return None
    tuned = told_of_tuning(setting, tuned)
    logger.info("Tuning completed: best score=%.4f", tuned.best_score)
    if tuned.stopped:
        setting.journal.warn(f"tuning: {tuned.stopped}")
    if tuned.failures:
        setting.journal.warn(f"tuning: {tuned.n_failed} fits failed and score NaN; {one_line(tuned.failures[0])}")
    return tuned


def calibrate_phase(setting: Setting, recipe: Recipe, trained: Trained, fit: Fitter, outcome: Outcome) -> Trained:
    """Calibrate the probabilities and keep that if it is better; when it fails the run goes on without, and says so."""
    calibration = setting.calibration
    if calibration is None:
        outcome.skip("not asked for")
        return trained
    logger.info("Running calibration: %s", calibration.calibration_name)
    try:
        settled = calibrated(setting, recipe, setting.split, fit, uncalibrated=trained)
    except FitError as error:
        _degrade(setting, "Calibration failed (%s). Proceeding without.", error, outcome)
        return trained
    assert settled.calibration is not None
    result = told_of_calibration(setting, settled.calibration, tuned=recipe.is_tuned)
    logger.info("Calibration completed: %s", result.reason)
    return replace(settled, calibration=result)


def threshold_phase(setting: Setting, recipe: Recipe, trained: Trained, fit: Fitter, outcome: Outcome) -> Trained:
    """Choose the threshold; when that fails the run goes on with the classifier's own, and says so."""
    if setting.threshold is None:
        outcome.skip("not asked for")
        return trained
    try:
        settled = thresholded(setting, recipe, trained, setting.split, fit)
    except FitError as error:
        _degrade(setting, "The choice of a threshold failed (%s). Proceeding without.", error, outcome)
        return trained
    result = told_of_threshold(setting, settled, tuned=recipe.is_tuned)
    logger.info("Threshold chosen: %.4f", result.value)
    return replace(settled, threshold=result)


def validate_phase(
    setting: Setting, recipe: Recipe, trained: Trained, fit: Fitter, outcome: Outcome, chosen: tuple[str, ...]
) -> Judgement | None:
    """Estimate the scores of the trained model on rows that it did not see."""
    spec, data = setting.spec, setting.material.data
    if spec.validation.strategy == "none":
        outcome.skip("not asked for")
        logger.info("Skipping validation")
        return None
    common: dict[str, Any] = {
        "metrics": _metrics(setting, trained.model),
        "positive_class": spec.data.positive_class,
    }
    masks = slice_masks(setting.slices, data)
    if spec.validation.strategy == "cross_validation":
        recipe = recipe.for_judging()
        validated = cross_validate(
            make_nested_chain(setting, recipe) if setting.is_nested else make_chain(setting, recipe),
            setting.table,
            setting.split.train,
            setting.folds(spec.validation.cv_folds),
            fit,
            slices=masks,
            choices=(lambda part: choices_of(setting, part)) if setting.is_nested else None,
            circumstances=cross_validated(setting, chosen),
            **common,
        )
        logger.info("CV Accuracy: %s ± %s", _told(validated.value("accuracy")), _told(validated.std("accuracy")))
    else:
        assert trained.predictions is not None
        rows = setting.split.test
        (baseline,) = baselines(setting.table, [setting.split], fit)
        validated = judge(
            trained.predictions,
            setting.table.y_of(rows),
            weight=setting.table.weight_of(rows),
            baseline=baseline,
            groups=setting.table.groups_of(rows),
            slices={name: mask[rows.index] for name, mask in masks.items()},
            circumstances=held_out(setting, chosen, trained),
            **common,
        )
        logger.info("Hold-out accuracy: %s", _told(validated.value("accuracy")))
    for problem in validated.problems:
        setting.journal.warn(problem)
    return validated


def refit_phase(setting: Setting, recipe: Recipe, fit: Fitter) -> Trained:
    """Train the scored model's recipe again on all rows, the hold-out included, with its calibration and threshold."""
    logger.info("Fitting again on all rows")
    refitted = told_of_refit(setting, make_chain(setting, recipe)(whole(setting), fit), tuned=recipe.is_tuned)
    setting.journal.warn(
        "validation.refit: the shipped model was fitted again on all rows; the score is of the one before"
    )
    return refitted


def test_phase(
    setting: Setting, trained: Trained, fit: Fitter, outcome: Outcome, chosen: tuple[str, ...]
) -> Judgement | None:
    """Score the shipped model on the test set."""
    test = setting.material.test
    if test is None:
        outcome.skip("no test set")
        return None
    (baseline,) = fit([Ask(BASELINE, {}, setting.shipped_rows, keep_model=True, class_weighted=False)])
    judged = judge(
        predict(trained.model, test.X),
        test.y,
        weight=test.weight,
        baseline=predict(baseline.model, test.X),
        metrics=_metrics(setting, trained.model),
        positive_class=setting.spec.data.positive_class,
        groups=test.groups,
        slices=slice_masks(setting.slices, test),
        circumstances=tested(setting, chosen),
    )
    logger.info("Test Accuracy: %s", _told(judged.value("accuracy")))
    for problem in judged.problems:
        setting.journal.warn(problem)
    return judged


def findings_phase(
    setting: Setting,
    trained: Trained,
    tuned: TuningResult | None,
    judgements: Sequence[Judgement],
    fit: Fitter,
    outcome: Outcome,
) -> tuple[Finding, ...] | None:
    """Find what a person should look at; None when that fails, since a run that is done is not lost for it."""
    try:
        return find_findings(setting, trained, tuned, judgements, fit)
    except FitError as error:
        _degrade(setting, "Looking for findings failed (%s). Proceeding without.", error, outcome)
        return None


def gates_phase(
    setting: Setting, judgements: Sequence[Judgement], findings: Sequence[Finding] | None, champions: Champions
) -> tuple[GateResult, ...]:
    """Hold the run against its gates."""
    compare = comparing(champions, setting, judgements)
    return check_gates(setting.spec.gates, judgements=judgements, findings=findings, compare=compare)


def _told(score: float | None) -> str:
    return "n/a" if score is None else f"{score:.4f}"


def _metrics(setting: Setting, model: Any) -> list[str]:
    has_probabilities = hasattr(model, "predict_proba")
    return setting.spec.validation.metrics or default_metrics(
        setting.table.classes, has_probabilities=has_probabilities
    )


def _degrade(setting: Setting, words: str, error: FitError, outcome: Outcome) -> None:
    """Go on without a phase whose fits failed, visibly; or stop, when the experiment says so.

    Nothing but a FitError comes here: what else goes wrong is no reason to finish as if it were one of the user's.
    """
    if setting.spec.on_error == "fail":
        raise FitError(f"{words.split(' (')[0]}: {one_line(error)} (on_error: fail)") from error
    logger.warning(words, one_line(error))
    logger.debug("details", exc_info=error)
    outcome.degrade(one_line(error))
