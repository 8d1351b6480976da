"""The phases of a run, top to bottom."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from mlwf.engine.engine import Engine
from mlwf.engine.fit_cache import FitRecord
from mlwf.engine.process_pools import Pool
from mlwf.orchestrator.champion import load_champions
from mlwf.orchestrator.checks import check
from mlwf.orchestrator.context import Setting
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
from mlwf.orchestrator.provenance import what_was_chosen
from mlwf.orchestrator.run_data import Load, describe_weights
from mlwf.orchestrator.run_log import Journal
from mlwf.orchestrator.run_recorder import Record
from mlwf.orchestrator.training import fitted
from mlwf.specs.compute import ComputeSpec
from mlwf.specs.experiment import ExperimentSpec
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
    spec: ExperimentSpec, load: Load, record: Record, journal: Journal, *, fits: FitRecord | None = None
) -> dict[str, Any]:
    """Run all phases and give the guide's results.

    `fits` has what earlier runs fitted, and keeps what this one does.
    """
    with journal.listening(), record.kept(), workers(spec.compute) as pool:
        # The data is read and checked before a tracking run begins, so that a mistake in it leaves none.
        with journal.phase("initialise"):
            record.reach_tracking()
            setting = Setting(spec, load(spec), journal)
            for note in setting.material.notes():
                journal.warn(note)
            check(setting)
            for remark in (*describe_unused(spec, record.document), *describe_weights(setting)):
                journal.warn(remark)
            champions = load_champions(setting)
            logger.info("Data shape: X=%s, y=%s", setting.table.X.shape, setting.table.y.shape)
            record.begin(setting)
        with journal.phase("build"):
            recipe = build_phase(setting)
            record.built()
            journal.plan = plan_fits(setting, recipe, fits)
            logger.info("Built ML pipeline: %s", spec.model_name)
        told: dict[str, Any] = {"on_fit": journal.on_fit, "on_warning": journal.warn_of}
        with Engine(setting.table, n_jobs=spec.compute.n_jobs, record=fits, pool=pool, **told) as fit:
            journal.start_counting(fit.tally)
            with journal.phase("tune") as outcome:
                tuned = tune_phase(setting, recipe, fit, outcome)
                record.tuned(tuned)
                recipe = recipe.searched(tuned) if tuned else recipe
            with journal.phase("fit"):
                logger.info("Fitting pipeline on training data")
                trained = fitted(recipe, setting.split, fit)
            with journal.phase("calibrate") as outcome:
                trained = calibrate_phase(setting, recipe, trained, fit, outcome)
                recipe = replace(recipe, is_calibrated=trained.calibration is not None)
            with journal.phase("threshold") as outcome:
                trained = threshold_phase(setting, recipe, trained, fit, outcome)
                recipe = replace(recipe, has_threshold=trained.threshold is not None)
            record.trained(trained)
            with journal.phase("validate") as outcome:
                chosen = what_was_chosen(setting, trained, tuned=recipe.is_tuned)
                validated = validate_phase(setting, recipe, trained, fit, outcome, chosen)
                record.validated(validated)
                if setting.is_refitted:
                    scored, trained = trained, refit_phase(setting, recipe, fit)
                    record.refitted(scored, trained)
            with journal.phase("test") as outcome:
                judged = test_phase(setting, trained, fit, outcome, chosen)
                record.tested(judged)
            with journal.phase("judge") as outcome:
                findings = findings_phase(setting, trained, tuned, record.judgements, fit, outcome)
                record.found(findings or ())
                record.gated(gates_phase(setting, record.judgements, findings, champions))
            if fit.record.trouble:
                journal.warn(fit.record.trouble)
        with journal.phase("log") as outcome:
            record.log(outcome)
        record.end()
        logger.info("ML workflow completed successfully")
    return record.results
