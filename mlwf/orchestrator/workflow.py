"""The ten phases of a run, in their order; a run goes through them, a plan counts what they will fit."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlwf.engine.costs import RunTime
from mlwf.engine.engine import Engine
from mlwf.engine.fit_cache import FitCache
from mlwf.engine.process_pools import Pool
from mlwf.engine.scheduling import DryRunFitter
from mlwf.errors import ConfigError, MlwfError, Problem, nearest
from mlwf.modules.tuning import check_installed, list_cheap_candidates
from mlwf.orchestrator.champion import load_champions
from mlwf.orchestrator.checks import check
from mlwf.orchestrator.context import RunContext
from mlwf.orchestrator.evaluation_phases import (
    count_columns,
    plan_findings,
    plan_test,
    plan_validate,
    run_findings,
    run_test,
    run_validate,
)
from mlwf.orchestrator.pipeline_config import PipelineConfig, configure
from mlwf.orchestrator.run_advice import describe_default_spaces, describe_faster_algorithms
from mlwf.orchestrator.run_data import LoadData
from mlwf.orchestrator.run_inputs import describe_inputs, describe_weights
from mlwf.orchestrator.run_log import PhaseStatus, RunLog
from mlwf.orchestrator.run_recorder import RunRecorder
from mlwf.orchestrator.time_reserve import SECONDS_OF_A_COLUMN, TimeReserve, check_time_limit
from mlwf.orchestrator.training_phases import (
    Phase,
    Run,
    plan_calibrate,
    plan_fit,
    plan_threshold,
    plan_tune,
    run_calibrate,
    run_fit,
    run_threshold,
    run_tune,
)
from mlwf.processes import count_workers, muted
from mlwf.results import PhasePlan
from mlwf.run_result import TimeLimit
from mlwf.specs.catalogue import ALGORITHMS
from mlwf.specs.experiment import ComputeSpec, ExperimentSpec, ModelSection
from mlwf.specs.loading import describe_unused
from mlwf.specs.tuning import ParamTuningSpec

logger = logging.getLogger(__name__)


def run_workflow(
    spec: ExperimentSpec, load: LoadData, recorder: RunRecorder, run_log: RunLog, *, fit_cache: FitCache | None = None
) -> dict[str, Any]:
    """Run all phases and give the results of `run_ml_workflow`.

    `fit_cache` has what earlier runs fitted, and keeps what this one does.
    """
    folder, algorithms = (fit_cache.folder if fit_cache else None), recorder.result.algorithms
    with run_log.listening(), recorder.recording(), open_pool(spec.compute, algorithms, folder) as pool:
        run = Run(spec, load, recorder, run_log, recorder.result, fit_cache)
        run = _run_phases(run, PREPARATION)
        callbacks: dict[str, Any] = {"on_fit": run_log.on_fit, "on_warning": run_log.warn_of}
        table, n_jobs = run.context.table, spec.compute.n_jobs
        callbacks["run_time"] = run.context.time
        with Engine(table, n_jobs=n_jobs, fit_cache=fit_cache, pool=pool, **callbacks) as engine:
            run_log.start_counting(engine.counts)
            run = _run_phases(run.with_engine(engine), TRAINING).ship()
            run = _run_phases(run, EVALUATION)
            if engine.fit_cache.trouble:
                run_log.warn(engine.fit_cache.trouble)
        _run_phases(run, LOGGING)
        recorder.finish()
        logger.info("ML workflow completed successfully")
    return recorder.result.to_dict()


def plan_fits(context: RunContext, config: PipelineConfig, fit_cache: FitCache | None = None) -> tuple[PhasePlan, ...]:
    """Count the fits of each phase that makes any, those that are in the cache apart.

    Their seconds are estimates, but for fits like those that the run has measured already. What only the run can know
    is assumed: a calibration is kept, and no column is probed for leaks. The screen of the columns is no fit: they are
    counted apart.
    """
    # A plan warns of nothing and logs nothing.
    context = replace(context, run_log=RunLog())
    config = replace(
        config,
        is_tuned=context.tuning is not None,
        is_calibrated=context.calibration is not None,
        has_threshold=context.threshold is not None,
    )
    fitter = DryRunFitter(context.table, fit_cache=fit_cache, costs=context.time.costs)
    plans = []
    # Placeholders are no predictions: warnings of scorers about them are of no interest.
    with muted():
        for phase in PHASES:
            if phase.plan is not None:
                before = replace(fitter.counts), fitter.seconds
                try:
                    config = phase.plan(context, config, fitter)
                except MlwfError as error:
                    # The run will meet it too, and reports it with its place.
                    logger.debug("the plan of %s is not complete", phase.name, exc_info=error)
                plans.append(_plan_of(phase, context, fitter, *before))
    return tuple(plans)


def limit_time(spec: ExperimentSpec, run_log: RunLog) -> RunTime:
    """Give the time that a run has since its log began."""
    seconds = spec.compute.time_limit_seconds
    if seconds is None:
        return RunTime(started=run_log.started)
    run_log.time_limit = TimeLimit(seconds)
    return RunTime(seconds, run_log.started)


def reserve_time(context: RunContext, fit_cache: FitCache | None) -> TimeReserve | None:
    """Make what predicts the time that follows the search; None where the time of the run is not limited.

    Raises ConfigError when the limit is too short for even one model, unless the cache has nearly all fits of the run.
    """
    if not context.time.is_limited:
        return None
    config, slots = build_pipeline(context), count_workers(context.spec.compute.n_jobs)
    plans = {phase.name: phase.plan for phase in PHASES if phase.plan is not None}
    reserve = TimeReserve(context, config, plans, _candidates(context, config), slots=slots)
    try:
        check_time_limit(context, config, reserve, slots=slots)
    except ConfigError:
        if sum(phase.seconds for phase in plan_fits(context, config, fit_cache)) > context.time.left:
            raise
    return reserve


def _candidates(context: RunContext, config: PipelineConfig) -> list[tuple[Any, Mapping[str, Any]]]:
    """List candidates of the searches, or the pipeline as it is written."""
    searches: list[tuple[Any, ParamTuningSpec | None]] = [(model.pipeline, model.search) for model in config.models]
    searches = searches or [(config.pipeline, context.tuning)]
    seed = context.spec.random_state
    return [
        (pipeline, params)
        for pipeline, spec in searches
        for params in ([{}] if spec is None else list_cheap_candidates(spec, pipeline, random_state=seed))
    ]


@contextmanager
def open_pool(
    compute: ComputeSpec, algorithms: Sequence[str] = (), folder: Path | None = None
) -> Iterator[Pool | None]:
    """Connect to the workers of `compute`, which fit these algorithms; None when the run fits in this process.

    They read the rows from `folder`, where they see it.

    Raises MlwfError within seconds when no cluster answers.
    """
    if compute.backend == "local":
        yield None
        return
    from mlwf.engine.dask_pool import DaskPool

    pool = DaskPool(compute.address, compute.n_jobs, algorithms, folder)
    try:
        yield pool
    except BaseException:
        pool.close(wait=False)
        raise
    pool.close()


def build_pipeline(context: RunContext) -> PipelineConfig:
    """Build the pipelines; raises ConfigError for searches over parameters that they do not have."""
    config = configure(context, context.run_data.features)
    problems = [
        problem
        for section, pipeline in zip(context.spec.model_sections, _pipelines(config), strict=True)
        for problem in _unknown_parameters(context.spec, section, pipeline)
    ]
    if problems:
        raise ConfigError(problems)
    return replace(config, keep_model=True)


def _pipelines(config: PipelineConfig) -> list[Any]:
    return [model.pipeline for model in config.models] or [config.pipeline]


def _unknown_parameters(spec: ExperimentSpec, section: ModelSection, pipeline: Any) -> Iterator[Problem]:
    tuning = spec.search_of(section)
    if tuning is None:
        return
    check_installed(tuning, key=".".join(section.tuning_path))
    info = ALGORITHMS.get(section.model.algorithm)
    # What a library is passed on stands in no `get_params` before it is set.
    accepted = {*pipeline.get_params(), *(f"classifier__{name}" for name in (info.more if info else ()))}
    for name in sorted(set(tuning.parameters) - accepted):
        key = ".".join([*section.tuning_path, tuning.space_key, name])
        yield Problem("", key, "unknown parameter of the pipeline", nearest(name, accepted), at_key=True)


def _initialise(run: Run, status: PhaseStatus) -> Run:
    """Read the data and check it; the MLflow run starts after that, so that a mistake leaves none."""
    spec, run_log = run.spec, run.run_log
    run.recorder.connect_tracking()
    context = RunContext(spec, run.load(spec), run_log, limit_time(spec, run_log))
    for note in context.run_data.notes():
        run_log.warn(note)
    check(context)
    unused = describe_unused(spec, run.recorder.document)
    for remark in (*unused, *describe_weights(context), *describe_faster_algorithms(context)):
        run_log.warn(remark)
    for remark in describe_default_spaces(context, spec):
        logger.info(remark)
    champions = load_champions(context)
    run = replace(run, reserve=reserve_time(context, run.fit_cache))
    logger.info("Data shape: X=%s, y=%s", context.table.X.shape, context.table.y.shape)
    run = run.with_context(context, champions).add(inputs=describe_inputs(context))
    run.recorder.start(context)
    return run


def _build(run: Run, status: PhaseStatus) -> Run:
    """Build the pipeline, and plan its fits."""
    run = run.with_config(build_pipeline(run.context))
    run.recorder.log_params()
    run.run_log.plan = plan_fits(run.context, run.config, run.fit_cache)
    logger.info("Built ML pipeline: %s", run.spec.model_name)
    return run


def _log(run: Run, status: PhaseStatus) -> Run:
    """Send the results to the tracking store, and register the model."""
    run.recorder.log_results(status)
    return run


PHASES = (
    Phase("initialise", "reading the data", _initialise),
    Phase("build", "building the pipeline", _build),
    Phase("tune", "searching parameters", run_tune, plan_tune),
    Phase("fit", "fitting the model", run_fit, plan_fit),
    Phase("calibrate", "calibrating probabilities", run_calibrate, plan_calibrate),
    Phase("threshold", "choosing the threshold", run_threshold, plan_threshold),
    Phase("validate", "estimating the score", run_validate, plan_validate),
    Phase("test", "scoring the test set", run_test, plan_test),
    Phase("findings", "looking for findings", run_findings, plan_findings, count_columns),
    Phase("log", "writing results", _log),
)
"""The phases of a run, 1 to 10; `validate` refits, and `findings` measures importances and checks the gates."""

PREPARATION, TRAINING, EVALUATION, LOGGING = PHASES[:2], PHASES[2:6], PHASES[6:9], PHASES[9:]


def _run_phases(run: Run, phases: Sequence[Phase]) -> Run:
    for phase in phases:
        with run.run_log.phase(phase.name, phase.description) as status:
            run = phase.run(run, status)
    return run


def _plan_of(phase: Phase, context: RunContext, fitter: DryRunFitter, *before: Any) -> PhasePlan:
    """Give what the fitter has counted since `before`: its counts and seconds then."""
    counts, seconds = before
    columns = phase.count_columns(context)
    return PhasePlan(
        phase.name,
        asked=fitter.counts.asked - counts.asked,
        fits=fitter.counts.fitted - counts.fitted,
        recorded=fitter.counts.recorded - counts.recorded,
        seconds=fitter.seconds - seconds + columns * SECONDS_OF_A_COLUMN,
        columns=columns,
    )
