"""The phases of a run, top to bottom."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from mlwf.engine.engine import Engine
from mlwf.engine.fit_cache import FitCache
from mlwf.engine.process_pools import Pool
from mlwf.orchestrator.champion import load_champions
from mlwf.orchestrator.checks import check
from mlwf.orchestrator.context import RunContext
from mlwf.orchestrator.phases import (
    build_phase,
    calibrate_phase,
    findings_phase,
    gates_phase,
    refit_phase,
    test_phase,
    threshold_phase,
    tune_phase,
    validate_phase,
)
from mlwf.orchestrator.planning import plan_fits
from mlwf.orchestrator.run_data import Load
from mlwf.orchestrator.run_log import RunLog
from mlwf.orchestrator.run_provenance import list_choices
from mlwf.orchestrator.run_recorder import RunRecorder
from mlwf.orchestrator.training import fitted
from mlwf.orchestrator.weights import describe_weights
from mlwf.specs.experiment import ComputeSpec, ExperimentSpec
from mlwf.specs.loading import describe_unused


@contextmanager
def workers(compute: ComputeSpec) -> Iterator[Pool | None]:
    """Reach the workers of `compute`; None when the run makes its fits here.

    Raises MlwfError within seconds when no cluster answers.
    """
    if compute.backend == "local":
        yield None
        return
    from mlwf.engine.dask_pool import DaskPool

    pool = DaskPool(compute.address, compute.n_jobs)
    try:
        yield pool
    except BaseException:
        pool.close(wait=False)
        raise
    pool.close()


logger = logging.getLogger(__name__)


def run_workflow(
    spec: ExperimentSpec, load: Load, recorder: RunRecorder, run_log: RunLog, *, fits: FitCache | None = None
) -> dict[str, Any]:
    """Run all phases and give the guide's results.

    `fits` has what earlier runs fitted, and keeps what this one does.
    """
    with run_log.listening(), recorder.kept(), workers(spec.compute) as pool:
        # The data is read and checked before a tracking run begins, so that a mistake in it leaves none.
        with run_log.phase("initialise"):
            recorder.reach_tracking()
            context = RunContext(spec, load(spec), run_log)
            for note in context.run_data.notes():
                run_log.warn(note)
            check(context)
            for remark in (*describe_unused(spec, recorder.document), *describe_weights(context)):
                run_log.warn(remark)
            champions = load_champions(context)
            logger.info("Data shape: X=%s, y=%s", context.table.X.shape, context.table.y.shape)
            recorder.begin(context)
        with run_log.phase("build"):
            recipe = build_phase(context)
            recorder.built()
            run_log.plan = plan_fits(context, recipe, fits)
            logger.info("Built ML pipeline: %s", spec.model_name)
        told: dict[str, Any] = {"on_fit": run_log.on_fit, "on_warning": run_log.warn_of}
        with Engine(context.table, n_jobs=spec.compute.n_jobs, fit_cache=fits, pool=pool, **told) as fit:
            run_log.start_counting(fit.counts)
            with run_log.phase("tune") as outcome:
                tuned = tune_phase(context, recipe, fit, outcome)
                recorder.tuned(tuned)
                recipe = recipe.searched(tuned) if tuned else recipe
            with run_log.phase("fit"):
                logger.info("Fitting pipeline on training data")
                trained = fitted(recipe, context.split, fit)
            with run_log.phase("calibrate") as outcome:
                trained = calibrate_phase(context, recipe, trained, fit, outcome)
                recipe = replace(recipe, is_calibrated=trained.calibration is not None)
            with run_log.phase("threshold") as outcome:
                trained = threshold_phase(context, recipe, trained, fit, outcome)
                recipe = replace(recipe, has_threshold=trained.threshold is not None)
            recorder.trained(trained)
            with run_log.phase("validate") as outcome:
                chosen = list_choices(context, trained, tuned=recipe.is_tuned)
                validated = validate_phase(context, recipe, trained, fit, outcome, chosen)
                recorder.validated(validated)
                if context.is_refitted:
                    scored, trained = trained, refit_phase(context, recipe, fit)
                    recorder.refitted(scored, trained)
            with run_log.phase("test") as outcome:
                judged = test_phase(context, trained, fit, outcome, chosen)
                recorder.tested(judged)
            with run_log.phase("judge") as outcome:
                findings = findings_phase(context, trained, tuned, recorder.evaluations, fit, outcome)
                recorder.found(findings or ())
                recorder.gated(gates_phase(context, recorder.evaluations, findings, champions))
            if fit.fit_cache.trouble:
                run_log.warn(fit.fit_cache.trouble)
        with run_log.phase("log") as outcome:
            recorder.log(outcome)
        recorder.end()
        logger.info("ML workflow completed successfully")
    return recorder.results
