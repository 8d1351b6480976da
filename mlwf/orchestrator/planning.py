"""What a run will fit, told before it does: its phases are gone through with a fitter that fits nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from mlwf.engine.dry_run import DryRunFitter
from mlwf.engine.fit_cache import FitCache
from mlwf.engine.requests import FitRequest, Fitter
from mlwf.errors import MlwfError
from mlwf.modules.validation import BASELINE, baselines
from mlwf.orchestrator.context import RunContext
from mlwf.orchestrator.finding_inputs import count_columns
from mlwf.orchestrator.run_log import RunLog
from mlwf.orchestrator.training import (
    PipelineConfig,
    asked,
    fitted,
    make_nested_train_fn,
    make_train_fn,
    predict_inner_folds,
    request_calibration_fits,
    search,
    whole,
)
from mlwf.process_state import muted
from mlwf.results import PhasePlan

logger = logging.getLogger(__name__)

SECONDS_OF_A_COLUMN = 1e-3
"""What the screen of a column takes, roughly."""


def plan_fits(context: RunContext, recipe: PipelineConfig, fit_cache: FitCache | None = None) -> tuple[PhasePlan, ...]:
    """Count the fits of each phase that makes any, those that the record has apart.

    What only the run can know is taken for granted: a calibration is kept, and no column is a suspect. The screen of
    the columns is no fit: they are counted apart.
    """
    # What the run tells and writes, the plan does not.
    walk = _Walk(replace(context, run_log=RunLog()), recipe)
    count = DryRunFitter(context.table, fit_cache=fit_cache)
    plans = []
    # Placeholders are no predictions: what a scorer thinks of them is of no interest.
    with muted():
        for name, step in STEPS.items():
            before = replace(count.counts), count.seconds
            try:
                step(walk, count)
            except MlwfError as error:
                # The run itself will meet it, and says so better.
                logger.debug("the plan of %s is not complete", name, exc_info=error)
            counts, seconds = before
            columns = count_columns(context) if name == "judge" else 0
            plans.append(
                PhasePlan(
                    name,
                    asked=count.counts.asked - counts.asked,
                    fits=count.counts.fitted - counts.fitted,
                    recorded=count.counts.recorded - counts.recorded,
                    seconds=count.seconds - seconds + columns * SECONDS_OF_A_COLUMN,
                    columns=columns,
                )
            )
    return tuple(plans)


@dataclass(eq=False)
class _Walk:
    """How far the plan has come."""

    context: RunContext
    recipe: PipelineConfig


def _tune(walk: _Walk, fit: Fitter) -> None:
    context = walk.context
    if context.tuning is not None:
        walk.recipe = replace(walk.recipe, is_tuned=True)
        walk.recipe = walk.recipe.searched(search(context, walk.recipe, context.split.train, fit))


def _fit(walk: _Walk, fit: Fitter) -> None:
    fitted(walk.recipe, walk.context.split, fit)


def _calibrate(walk: _Walk, fit: Fitter) -> None:
    if walk.context.calibration is not None:
        walk.recipe = replace(walk.recipe, is_calibrated=True)
        request_calibration_fits(walk.context, walk.recipe, walk.context.split, fit)


def _threshold(walk: _Walk, fit: Fitter) -> None:
    if walk.context.threshold is not None:
        walk.recipe = replace(walk.recipe, has_threshold=True)
        if not walk.recipe.is_calibrated and walk.recipe.out_of_fold is None:
            predict_inner_folds(walk.context, walk.recipe, walk.context.split, fit)


def _validate(walk: _Walk, fit: Fitter) -> None:
    context, validation = walk.context, walk.context.spec.validation
    if validation.strategy == "cross_validation":
        recipe = walk.recipe.for_judging()
        chain = (
            make_nested_train_fn(context, recipe, asked) if context.is_nested else make_train_fn(context, recipe, asked)
        )
        for split in context.outer:
            chain(split, fit)
        baselines(context.table, context.outer, fit)
    elif validation.strategy == "train_test":
        baselines(context.table, [context.split], fit)
        if validation.refit:
            make_train_fn(context, walk.recipe, asked)(whole(context), fit)


def _test(walk: _Walk, fit: Fitter) -> None:
    if walk.context.run_data.test is not None:
        fit([FitRequest(BASELINE, {}, walk.context.shipped_rows, keep_model=True, class_weighted=False)])


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
