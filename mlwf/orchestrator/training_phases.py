"""The state of a run between phases, and phases 3 to 6: what each does, and beside it what it will fit."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from mlwf.engine.costs import SearchTime
from mlwf.engine.engine import Engine
from mlwf.engine.fit_cache import FitCache
from mlwf.engine.out_of_fold import TrainedModel
from mlwf.engine.requests import Fitter
from mlwf.errors import FitError, TimeUpError
from mlwf.orchestrator.champion import ChampionsBySource
from mlwf.orchestrator.choosing import request_selection_fits, search, select
from mlwf.orchestrator.context import RunContext
from mlwf.orchestrator.pipeline_config import PipelineConfig
from mlwf.orchestrator.run_data import LoadData
from mlwf.orchestrator.run_log import PhaseStatus, RunLog
from mlwf.orchestrator.run_provenance import (
    add_calibration_provenance,
    add_threshold_provenance,
    of_search,
)
from mlwf.orchestrator.run_recorder import RunRecorder
from mlwf.orchestrator.time_reserve import TimeReserve
from mlwf.orchestrator.training_steps import (
    add_threshold,
    calibrate_pipeline,
    fit_pipeline,
    request_calibration_fits,
    request_threshold_fits,
)
from mlwf.results import TuningResult
from mlwf.run_result import RunResult, ShippedModel
from mlwf.specs.experiment import ExperimentSpec
from mlwf.splitting.rows import Split
from mlwf.text import first_line, format_value

logger = logging.getLogger(__name__)

MOST_MEMBERS = 5
"""Members of an ensemble for which what follows the search is reserved; more may ship if there is time."""

SHARE_BEYOND, SECONDS_BEYOND = 0.1, 3.0
"""Of the time limit, and in seconds, how much longer the fit of the model may take that ships."""


@dataclass(frozen=True, eq=False)
class Run:
    """A run between two phases; each phase returns it with what it adds."""

    spec: ExperimentSpec
    load: LoadData
    recorder: RunRecorder
    run_log: RunLog
    result: RunResult
    fit_cache: FitCache | None = None
    champions: ChampionsBySource = field(default_factory=dict)
    trained: TrainedModel = field(default_factory=lambda: TrainedModel(None))
    """The model by now; what ships is in the result."""
    scored_model: Any = None
    """The model that was scored on the hold-out, where another ships."""
    fold_models: tuple[tuple[Split, Any], ...] = ()
    """The models of the folds of the validation, where they were kept."""
    _context: RunContext | None = None
    _config: PipelineConfig | None = None
    _engine: Engine | None = None
    reserve: TimeReserve | None = None
    """What must still be done after the search; None where the time of the run is not limited."""

    @property
    def context(self) -> RunContext:
        """The spec over its data, from the first phase on."""
        assert self._context is not None
        return self._context

    @property
    def config(self) -> PipelineConfig:
        """The pipeline and what has been chosen for it, from the second phase on."""
        assert self._config is not None
        return self._config

    @property
    def engine(self) -> Engine:
        """Makes the fits, from the third phase on."""
        assert self._engine is not None
        return self._engine

    @property
    def engine_in_time(self) -> Engine:
        """Makes the fits that must have ended when the time limit leaves no more than what is no fit."""
        if self.reserve is None:
            return self.engine
        return self.engine.until(self.context.time.ends - self.reserve.seconds_at_the_end)

    @property
    def engine_at_last(self) -> Engine:
        """Makes the fits without which there is no model: they may take a little longer."""
        time = self.context.time
        return self.engine.until(time.ends + SHARE_BEYOND * time.seconds + SECONDS_BEYOND)

    def add(self, **found: Any) -> Run:
        """Add to the result what a phase has found, and write it down."""
        result = replace(self.result, **found)
        self.recorder.record(result)
        return replace(self, result=result)

    def with_context(self, context: RunContext, champions: ChampionsBySource) -> Run:
        """Take the data of the run, and the models that it is compared with."""
        return replace(self, _context=context, champions=champions)

    def with_config(self, config: PipelineConfig) -> Run:
        """Take what has been chosen for the pipeline."""
        return replace(self, _config=config)

    def with_engine(self, engine: Engine) -> Run:
        """Take what makes the fits."""
        return replace(self, _engine=engine)

    def with_trained(self, trained: TrainedModel) -> Run:
        """Take the model as a phase has made it."""
        return replace(self, trained=trained)

    def ship(self, **found: Any) -> Run:
        """Make the model the one that ships, with its calibration and threshold."""
        return self.add(model=_shipped(self.trained), **found)

    def degrade(self, status: PhaseStatus, error: FitError, *, failed: str, instead: str) -> Run:
        """Continue without a phase whose fits failed, with a warning; or stop, where the experiment says so.

        Only a FitError gets here: whatever else goes wrong is a bug, and ends the run.
        """
        if self.spec.on_error == "fail":
            raise FitError(f"{failed}: {first_line(error)} (on_error: fail)") from error
        logger.warning("%s (%s). %s", failed, first_line(error), instead)
        logger.debug("details", exc_info=error)
        if isinstance(error, TimeUpError):
            self.run_log.cut()
        status.degrade(first_line(error))
        return self


@dataclass(frozen=True)
class Phase:
    """A phase of a run, and what it will fit."""

    name: str
    description: str
    """What it does, in words."""
    run: Callable[[Run, PhaseStatus], Run]
    plan: Callable[[RunContext, PipelineConfig, Fitter], PipelineConfig] | None = None
    """Requests the fits that `run` makes, and gives the config as `run` leaves it; None for a phase without fits."""
    count_columns: Callable[[RunContext], int] = lambda context: 0
    """Counts the columns that it will screen for leaks, without a fit."""


def _shipped(trained: TrainedModel) -> ShippedModel:
    return ShippedModel(trained.model, trained.params, trained.calibration, trained.threshold)


NOT_ASKED_FOR = "not asked for"


def run_tune(run: Run, status: PhaseStatus) -> Run:
    """Search for the best parameters, or for the best of several models.

    If the search of the one model fails, the parameters of the model section stay; of several models those that fail
    are left out.
    """
    context, tuning = run.context, run.context.tuning
    if run.config.models:
        return _select(run, status)
    if tuning is None:
        status.skip(NOT_ASKED_FOR)
        return run
    logger.info("Running parameter tuning: %s", tuning.tuning_name)
    engine, time = run.engine, _search_time(run)
    try:
        with nullcontext(engine) if tuning.n_jobs is None else engine.with_jobs(tuning.n_jobs) as fitter:
            tuned = search(context, run.config, context.split.train, fitter, time=time)
    except FitError as error:
        run = run.degrade(status, error, failed="Tuning failed", instead="Proceeding without tuning.")
        return _with_cheapest(run) if isinstance(error, TimeUpError) else run
    config = run.config.with_search(tuned)
    tuned = replace(tuned, predictions_of=None, provenance=of_search(context, config, tuned.cv_folds))
    logger.info("Tuning completed: best score=%.4f", tuned.best_score)
    _warn_of_tuning(run, tuned)
    return run.add(tuning=tuned).with_config(config)


def _select(run: Run, status: PhaseStatus) -> Run:
    """Choose one of several models; raises FitError when all of them fail, or when one does and on_error is fail."""
    context = run.context
    logger.info("Comparing %d models by %s", len(run.config.models), run.spec.choice.scoring)
    selected = select(context, run.config, context.split.train, run.engine, time=_search_time(run))
    config, result = selected.config, selected.result
    provenance = of_search(context, config, result.cv_folds)
    result = replace(result, provenance=provenance)
    logger.info("Model chosen: %s", "the ensemble" if result.ships_ensemble else result.best)
    for name, tuned in selected.searches.items():
        _warn_of_tuning(run, tuned, of=name)
    for model in result.models:
        if model.stopped and model.name not in selected.searches:
            run.run_log.cut()
            run.run_log.warn(f"{model.name}: {model.stopped}")
    tuning = selected.tuning and replace(selected.tuning, provenance=provenance)
    run = run.add(selection=result, tuning=tuning, searches=selected.searches).with_config(config)
    if result.failures:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in result.failures.items())
        error = FitError(f"{reasons}")
        return run.degrade(status, error, failed="Models failed", instead="Proceeding without them.")
    return run


def _with_cheapest(run: Run) -> Run:
    """Take the parameters that cost least, where there was no time for any candidate: there may be none for others."""
    if run.reserve is None:
        return run
    _, params = run.reserve.cheapest
    if params:
        listed = ", ".join(f"{name}: {format_value(value)}" for name, value in params.items())
        run.run_log.warn(f"there was no time for a search: the cheapest of its candidates was taken ({listed})")
    return run.with_config(replace(run.config, params=dict(params)))


def _search_time(run: Run) -> SearchTime | None:
    """Give the time of the search: what the phases after it leave, and the searches in the folds of the validation."""
    if run.reserve is None:
        return None
    context = run.context
    n_searches = 1 + (len(context.validation_splits) if context.is_nested else 0)
    n_shipped = 1 if context.ensemble is None else min(context.ensemble.size, MOST_MEMBERS)
    slots = 1 if context.ensemble is None else run.engine.slots
    shares: dict[str, Any] = {"n_shipped": n_shipped, "slots": slots, "share": 1 / n_searches}
    shares["at_the_end"] = run.reserve.seconds_at_the_end
    return SearchTime(context.time, reserve=run.reserve, least=run.reserve.least, **shares)


def plan_tune(context: RunContext, config: PipelineConfig, fitter: Fitter) -> PipelineConfig:
    """Request the fits of the search, or of the searches of several models."""
    if config.models:
        return request_selection_fits(context, config, context.split.train, fitter)
    if context.tuning is None:
        return config
    return config.with_search(search(context, config, context.split.train, fitter))


def run_fit(run: Run, status: PhaseStatus) -> Run:
    """Fit the pipeline on the training rows."""
    logger.info("Fitting pipeline on training data")
    return run.with_trained(fit_pipeline(run.config, run.context.split, run.engine_at_last))


def plan_fit(context: RunContext, config: PipelineConfig, fitter: Fitter) -> PipelineConfig:
    """Request the fit on the training rows."""
    fit_pipeline(config, context.split, fitter)
    return config


def run_calibrate(run: Run, status: PhaseStatus) -> Run:
    """Calibrate the probabilities, and keep that if it is better; if it fails, the model stays as it is."""
    context, calibration = run.context, run.context.calibration
    if calibration is None:
        status.skip(NOT_ASKED_FOR)
        return run
    logger.info("Running calibration: %s", calibration.calibration_name)
    try:
        _check_time_to_calibrate(run)
        trained = calibrate_pipeline(context, run.config, context.split, run.engine_in_time, uncalibrated=run.trained)
    except FitError as error:
        return run.degrade(status, error, failed="Calibration failed", instead="Proceeding without.")
    assert trained.calibration is not None
    result = add_calibration_provenance(context, run.config, trained.calibration)
    logger.info("Calibration completed: %s", result.reason)
    return run.with_trained(replace(trained, calibration=result)).with_config(replace(run.config, is_calibrated=True))


def _check_time_to_calibrate(run: Run) -> None:
    """Raise a TimeUpError where the calibration, and its validation, cannot be finished, and the rest can without."""
    if run.reserve is None:
        return
    config, left = run.config, run.context.time.left
    needed = run.reserve.after("fit", config.pipeline, config.params)
    without = run.reserve.after("fit", config.pipeline, config.params, calibrated=False)
    if needed > left and without < needed:
        raise TimeUpError(
            f"there is no time: with it the rest takes {needed:.0f} s, and {max(0.0, left):.0f} s are left"
        )


def plan_calibrate(context: RunContext, config: PipelineConfig, fitter: Fitter) -> PipelineConfig:
    """Request the fits of the calibration, as when it is kept."""
    if context.calibration is not None:
        request_calibration_fits(context, config, context.split, fitter)
    return config


def run_threshold(run: Run, status: PhaseStatus) -> Run:
    """Choose the threshold; if that fails, the classifier's own stays."""
    context = run.context
    if context.threshold is None:
        status.skip(NOT_ASKED_FOR)
        return run
    try:
        trained = add_threshold(context, run.config, run.trained, context.split, run.engine_in_time)
    except FitError as error:
        failed = "The choice of a threshold failed"
        return run.degrade(status, error, failed=failed, instead="Proceeding without.")
    result = add_threshold_provenance(context, run.config, trained)
    logger.info("Threshold chosen: %.4f", result.value)
    return run.with_trained(replace(trained, threshold=result)).with_config(replace(run.config, has_threshold=True))


def plan_threshold(context: RunContext, config: PipelineConfig, fitter: Fitter) -> PipelineConfig:
    """Request the fits of the threshold, where the phases before it make none that it can use."""
    if context.threshold is not None:
        request_threshold_fits(context, config, context.split, fitter)
    return config


def _warn_of_tuning(run: Run, tuned: TuningResult, *, of: str = "tuning") -> None:
    if tuned.is_timed_out:
        run.run_log.cut()
    if tuned.stopped:
        run.run_log.warn(f"{of}: {tuned.stopped}")
    if tuned.failures:
        run.run_log.warn(f"{of}: {tuned.n_failed} fits failed and score NaN; {first_line(tuned.failures[0])}")
