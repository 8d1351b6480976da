"""What a run will fit, told before it does: its phases are gone through with a fitter that fits nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from mlwf.engine.dry_run import CountingFitter
from mlwf.engine.fit_cache import FitRecord
from mlwf.engine.requests import Ask, Fitter
from mlwf.errors import MlwfError
from mlwf.modules.validation import BASELINE, baselines
from mlwf.orchestrator.context import Setting
from mlwf.orchestrator.finding_inputs import count_columns
from mlwf.orchestrator.run_log import Journal
from mlwf.orchestrator.training import (
    Recipe,
    ask_for_calibration,
    asked,
    fitted,
    judged_by_inner_folds,
    make_chain,
    make_nested_chain,
    search,
    whole,
)
from mlwf.process_state import muted
from mlwf.results import PhasePlan

logger = logging.getLogger(__name__)

SECONDS_OF_A_COLUMN = 1e-3
"""What the screen of a column takes, roughly."""


def plan_fits(setting: Setting, recipe: Recipe, record: FitRecord | None = None) -> tuple[PhasePlan, ...]:
    """Count the fits of each phase that makes any, those that the record has apart.

    What only the run can know is taken for granted: a calibration is kept, and no column is a suspect. The screen of
    the columns is no fit: they are counted apart.
    """
    # What the run tells and writes, the plan does not.
    walk = _Walk(replace(setting, journal=Journal()), recipe)
    count = CountingFitter(setting.table, record=record)
    plans = []
    # Placeholders are no predictions: what a scorer thinks of them is of no interest.
    with muted():
        for name, step in STEPS.items():
            before = replace(count.tally), count.seconds
            try:
                step(walk, count)
            except MlwfError as error:
                # The run itself will meet it, and says so better.
                logger.debug("the plan of %s is not complete", name, exc_info=error)
            tally, seconds = before
            columns = count_columns(setting) if name == "judge" else 0
            plans.append(
                PhasePlan(
                    name,
                    asked=count.tally.asked - tally.asked,
                    fits=count.tally.fitted - tally.fitted,
                    recorded=count.tally.recorded - tally.recorded,
                    seconds=count.seconds - seconds + columns * SECONDS_OF_A_COLUMN,
                    columns=columns,
                )
            )
    return tuple(plans)


@dataclass(eq=False)
class _Walk:
    """How far the plan has come."""

    setting: Setting
    recipe: Recipe


def _tune(walk: _Walk, fit: Fitter) -> None:
    setting = walk.setting
    if setting.tuning is not None:
        walk.recipe = replace(walk.recipe, is_tuned=True)
        walk.recipe = walk.recipe.searched(search(setting, walk.recipe, setting.split.train, fit))


def _fit(walk: _Walk, fit: Fitter) -> None:
    fitted(walk.recipe, walk.setting.split, fit)


def _calibrate(walk: _Walk, fit: Fitter) -> None:
    if walk.setting.calibration is not None:
        walk.recipe = replace(walk.recipe, is_calibrated=True)
        ask_for_calibration(walk.setting, walk.recipe, walk.setting.split, fit)


def _threshold(walk: _Walk, fit: Fitter) -> None:
    if walk.setting.threshold is not None:
        walk.recipe = replace(walk.recipe, has_threshold=True)
        if not walk.recipe.is_calibrated and walk.recipe.out_of_fold is None:
            judged_by_inner_folds(walk.setting, walk.recipe, walk.setting.split, fit)


def _validate(walk: _Walk, fit: Fitter) -> None:
    setting, validation = walk.setting, walk.setting.spec.validation
    if validation.strategy == "cross_validation":
        recipe = walk.recipe.for_judging()
        chain = make_nested_chain(setting, recipe, asked) if setting.is_nested else make_chain(setting, recipe, asked)
        for split in setting.outer:
            chain(split, fit)
        baselines(setting.table, setting.outer, fit)
    elif validation.strategy == "train_test":
        baselines(setting.table, [setting.split], fit)
        if validation.refit:
            make_chain(setting, walk.recipe, asked)(whole(setting), fit)


def _test(walk: _Walk, fit: Fitter) -> None:
    if walk.setting.material.test is not None:
        fit([Ask(BASELINE, {}, walk.setting.shipped_rows, keep_model=True, class_weighted=False)])


STEPS: Mapping[str, Callable[[_Walk, Fitter], None]] = {
    "tune": _tune,
    "fit": _fit,
    "calibrate": _calibrate,
    "threshold": _threshold,
    "validate": _validate,
    "test": _test,
    "judge": lambda walk, fit: None,
}
"""What each phase asks for."""
