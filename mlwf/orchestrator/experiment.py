"""An experiment file's run: its folder, its record, its summary."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from mlwf.config import Document
from mlwf.engine.fit_record import FitRecord
from mlwf.modules.runs import create_run, fits_of
from mlwf.orchestrator.champion import load_champions
from mlwf.orchestrator.checks import check
from mlwf.orchestrator.journal import Journal, OnProgress
from mlwf.orchestrator.locating import located
from mlwf.orchestrator.material import load_tables
from mlwf.orchestrator.phases import build_phase
from mlwf.orchestrator.planning import plan_fits
from mlwf.orchestrator.record import Record
from mlwf.orchestrator.setting import Setting
from mlwf.orchestrator.workflow import run_workflow
from mlwf.results import PhasePlan
from mlwf.specs.experiment import ExperimentSpec


def run_experiment(
    spec: ExperimentSpec,
    document: Document,
    *,
    runs_dir: Path,
    fresh: bool = False,
    fail_on_unseen: bool = False,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Run all phases of an experiment file and give the content of its `summary.json`.

    Fits that earlier runs in `runs_dir` made are not made again, unless `fresh`. With `fail_on_unseen` a test set that
    holds values that the training never saw is a DataError before the first fit.
    """
    journal = Journal(on_progress)
    folder = create_run(runs_dir, spec.name)
    record = Record(spec, journal, folder=folder, document=document)
    with located(document):
        load = partial(load_tables, fail_on_unseen=fail_on_unseen)
        run_workflow(spec, load, record, journal, fits=FitRecord(fits_of(runs_dir), fresh=fresh))
    return record.summary


def plan_experiment(spec: ExperimentSpec, document: Document, *, runs_dir: Path) -> tuple[PhasePlan, ...]:
    """Count what `run_experiment` would fit, and fit nothing; raises what would stop it before the first fit."""
    with located(document):
        setting = Setting(spec, load_tables(spec), Journal())
        check(setting)
        return plan_fits(setting, build_phase(setting), FitRecord(fits_of(runs_dir)))


def check_data(spec: ExperimentSpec, document: Document) -> list[str]:
    """Read the data of an experiment and raise everything that would stop its run before the first fit.

    Gives what a person should know of how the tables were read.
    """
    with located(document):
        setting = Setting(spec, load_tables(spec), Journal())
        check(setting)
        load_champions(setting)
        build_phase(setting)
        return list(setting.material.notes())
