"""Phases 3 to 6, tune, fit, calibrate and threshold: what each does, and beside it what it will fit."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from dataclasses import replace

from mlwf.engine.requests import Fitter
from mlwf.errors import FitError
from mlwf.orchestrator.context import RunContext
from mlwf.orchestrator.run_log import PhaseStatus
from mlwf.orchestrator.run_provenance import (
    add_calibration_provenance,
    add_threshold_provenance,
    add_tuning_provenance,
)
from mlwf.orchestrator.run_state import Run
from mlwf.orchestrator.training_steps import (
    PipelineConfig,
    add_threshold,
    calibrate_pipeline,
    fit_pipeline,
    request_calibration_fits,
    request_threshold_fits,
    search,
)
from mlwf.results import TuningResult
from mlwf.text import first_line

logger = logging.getLogger(__name__)

NOT_ASKED_FOR = "not asked for"


def run_tune(run: Run, status: PhaseStatus) -> Run:
    """Search for the best parameters; without those written when that fails."""
    context, tuning = run.context, run.context.tuning
    if tuning is None:
        status.skip(NOT_ASKED_FOR)
        return run
    logger.info("Running parameter tuning: %s", tuning.tuning_name)
    engine = run.engine
    try:
        with nullcontext(engine) if tuning.n_jobs is None else engine.with_jobs(tuning.n_jobs) as fitter:
            tuned = search(context, run.config, context.split.train, fitter)
    except FitError as error:
        return run.degrade(status, error, failed="Tuning failed", instead="Proceeding without tuning.")
    tuned = add_tuning_provenance(context, tuned)
    logger.info("Tuning completed: best score=%.4f", tuned.best_score)
    _warn_of_tuning(run, tuned)
    return run.add(tuning=tuned).with_config(run.config.with_search(tuned))


def plan_tune(context: RunContext, config: PipelineConfig, fitter: Fitter) -> PipelineConfig:
    """Request the fits of the search."""
    if context.tuning is None:
        return config
    return config.with_search(search(context, config, context.split.train, fitter))


def run_fit(run: Run, status: PhaseStatus) -> Run:
    """Fit the pipeline on the training rows."""
    logger.info("Fitting pipeline on training data")
    return run.with_trained(fit_pipeline(run.config, run.context.split, run.engine))


def plan_fit(context: RunContext, config: PipelineConfig, fitter: Fitter) -> PipelineConfig:
    """Request the fit on the training rows."""
    fit_pipeline(config, context.split, fitter)
    return config


def run_calibrate(run: Run, status: PhaseStatus) -> Run:
    """Calibrate the probabilities and keep that if it is better; without when it fails."""
    context, calibration = run.context, run.context.calibration
    if calibration is None:
        status.skip(NOT_ASKED_FOR)
        return run
    logger.info("Running calibration: %s", calibration.calibration_name)
    try:
        trained = calibrate_pipeline(context, run.config, context.split, run.engine, uncalibrated=run.trained)
    except FitError as error:
        return run.degrade(status, error, failed="Calibration failed", instead="Proceeding without.")
    assert trained.calibration is not None
    result = add_calibration_provenance(context, trained.calibration, tuned=run.config.is_tuned)
    logger.info("Calibration completed: %s", result.reason)
    return run.with_trained(replace(trained, calibration=result)).with_config(replace(run.config, is_calibrated=True))


def plan_calibrate(context: RunContext, config: PipelineConfig, fitter: Fitter) -> PipelineConfig:
    """Request the fits of the calibration, as when it is kept."""
    if context.calibration is not None:
        request_calibration_fits(context, config, context.split, fitter)
    return config


def run_threshold(run: Run, status: PhaseStatus) -> Run:
    """Choose the threshold; the classifier's own when that fails."""
    context = run.context
    if context.threshold is None:
        status.skip(NOT_ASKED_FOR)
        return run
    try:
        trained = add_threshold(context, run.config, run.trained, context.split, run.engine)
    except FitError as error:
        failed = "The choice of a threshold failed"
        return run.degrade(status, error, failed=failed, instead="Proceeding without.")
    result = add_threshold_provenance(context, trained, tuned=run.config.is_tuned)
    logger.info("Threshold chosen: %.4f", result.value)
    return run.with_trained(replace(trained, threshold=result)).with_config(replace(run.config, has_threshold=True))


def plan_threshold(context: RunContext, config: PipelineConfig, fitter: Fitter) -> PipelineConfig:
    """Request the fits of the threshold, where the phases before it make none that it can use."""
    if context.threshold is not None:
        request_threshold_fits(context, config, context.split, fitter)
    return config


def _warn_of_tuning(run: Run, tuned: TuningResult) -> None:
    if tuned.stopped:
        run.run_log.warn(f"tuning: {tuned.stopped}")
    if tuned.failures:
        run.run_log.warn(f"tuning: {tuned.n_failed} fits failed and score NaN; {first_line(tuned.failures[0])}")
