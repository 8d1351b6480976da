"""What a run with a time limit still has to do after its search, and whether the limit suffices for one model."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import ceil
from time import perf_counter
from typing import Any

from sklearn.base import clone

from mlwf.engine.costs import FAITHFUL_SECONDS, MARGIN
from mlwf.engine.fit_key import FitKey, FitKeyBuilder
from mlwf.engine.out_of_fold import OutOfFold, stack
from mlwf.engine.probing import probe
from mlwf.engine.requests import FitRequest, Fitter, last_step
from mlwf.engine.scheduling import DryRunFitter, Task, estimate_seconds
from mlwf.engine.work import BLAS, PreparedRows, openmp_threads
from mlwf.errors import ConfigError, MlwfError, Problem
from mlwf.orchestrator.context import RunContext
from mlwf.orchestrator.pipeline_config import PipelineConfig
from mlwf.orchestrator.run_log import RunLog
from mlwf.processes import muted
from mlwf.specs.base import format_seconds
from mlwf.splitting.rows import Rows, Split
from mlwf.splitting.stored_frame import in_memory
from mlwf.text import format_value

logger = logging.getLogger(__name__)

SECONDS_OF_A_COLUMN = 1e-3
"""How long the screen of a column takes, roughly."""

SECONDS_AT_THE_END = 1.0
"""What is no fit: scores, their intervals, files."""

SECONDS_OF_TRACKING = 3.0
"""What MLflow and its plots take besides."""

UNCERTAINTY = 10.0
"""By how much an estimate that nothing was measured for may be too small, on a machine that others use too."""

ROOM = 2.0
"""The limit that is named as the shortest is so many times what was measured: a busy machine measures otherwise."""

Candidate = tuple[Any, Mapping[str, Any]]
"""A pipeline, and its parameters."""

Plan = Callable[[RunContext, PipelineConfig, Fitter], PipelineConfig]


@dataclass(frozen=True)
class PhaseFits:
    """The fits of a phase, when one candidate ships."""

    rows: tuple[int, ...]
    """Rows that each fit of the candidate learns from."""
    other_seconds: float
    """What fits of other classifiers take, such as baselines."""


class TimeReserve:
    """Predicts the seconds on the clock of the phases after the search, for whichever candidate ships.

    Parameters
    ----------
    context
        The spec over its data.
    config
        The pipelines, before anything is chosen.
    plans
        What requests the fits of each phase from the search on, in their order, by the phase's name; `tune` first.
    candidates
        Those of the search, or the pipeline as it is written.
    slots
        Fits at the same time.
    """

    def __init__(
        self,
        context: RunContext,
        config: PipelineConfig,
        plans: Mapping[str, Plan],
        candidates: Sequence[Candidate],
        *,
        slots: int,
    ) -> None:
        # What each fold of a nested validation searches has a time of its own.
        validation = context.spec.validation.model_copy(update={"nested": False})
        spec = context.spec.model_copy(update={"validation": validation})
        self._context = replace(context, spec=spec, run_log=RunLog())
        self._is_nested = context.is_nested
        self._config = config
        self._plans = {name: plan for name, plan in plans.items() if name != "tune"}
        self._costs = context.time.costs
        self._candidates = candidates
        self._slots = slots
        self._key_builder = FitKeyBuilder()
        self._fits: dict[tuple[int, bool], dict[str, PhaseFits]] = {}

    @property
    def cheapest(self) -> Candidate:
        """The candidate whose fits are expected to take the least time."""
        return min(self._candidates, key=lambda candidate: self.of_search(*candidate))

    def __call__(self, pipeline: Any, params: Mapping[str, Any]) -> float:
        """Predict the seconds of all phases after the search."""
        return self.after("tune", pipeline, params)

    def least(self, pipeline: Any, params: Mapping[str, Any]) -> float:
        """Predict the seconds of the phases after the search, without those that a run can do without.

        That is the calibration, which the validation would repeat in each fold.
        """
        return self.after("tune", pipeline, params, calibrated=False)

    def after(self, phase: str, pipeline: Any, params: Mapping[str, Any], *, calibrated: bool | None = None) -> float:
        """Predict the seconds of the phases after one of them; `calibrated` False leaves the calibration out."""
        calibrated = self._context.calibration is not None if calibrated is None else calibrated
        fits = self._fits_of(pipeline, params, calibrated)
        names = list(fits)
        later = names[names.index(phase) + 1 :] if phase in names else names
        seconds = sum(self._seconds(fits[name], pipeline, params, is_alone=name == "fit") for name in later)
        if "calibrate" in later or "threshold" in later:
            seconds += self._seconds_of_saving(pipeline, params, calibrated)
        return seconds + self.seconds_at_the_end

    def of_search(self, pipeline: Any, params: Mapping[str, Any]) -> float:
        """Predict the seconds of the folds of one candidate."""
        rows = tuple(len(split.train) for split in self._search_splits)
        return self._seconds(PhaseFits(rows, 0.0), pipeline, params)

    @property
    def seconds_at_the_end(self) -> float:
        """What follows the last fit, and the search for leaks, takes roughly."""
        tracking = self._context.spec.tracking
        is_tracked = tracking is not None and tracking.enabled
        columns = sum(len(feature.columns) for feature in self._context.run_data.features)
        return SECONDS_AT_THE_END + SECONDS_OF_TRACKING * is_tracked + SECONDS_OF_A_COLUMN * columns

    @property
    def _search_splits(self) -> Sequence[Split]:
        context = self._context
        return context.folds(context.spec.tuning_folds)(self._config.table, context.split.train)

    def _fits_of(self, pipeline: Any, params: Mapping[str, Any], calibrated: bool) -> dict[str, PhaseFits]:
        """List the fits of each phase: but for what they take, those of all candidates of a pipeline are alike."""
        key = id(pipeline), calibrated
        if key not in self._fits:
            with muted():
                self._fits[key] = self._plan(pipeline, params, calibrated)
        return self._fits[key]

    def _plan(self, pipeline: Any, params: Mapping[str, Any], calibrated: bool) -> dict[str, PhaseFits]:
        context = self._context
        fitter = DryRunFitter(self._config.table, costs=self._costs)
        config = replace(
            self._config,
            pipeline=pipeline,
            params=params,
            is_calibrated=calibrated,
            has_threshold=context.threshold is not None,
        )
        if context.is_searched:
            config = replace(config, is_tuned=True, out_of_fold=self._search(fitter, pipeline, params))
        fits = {}
        for name, plan in self._plans.items():
            if name == "validate" and self._is_nested:
                # Each fold has another candidate, of which nothing has been fitted.
                fitter = DryRunFitter(self._config.table, costs=self._costs)
            n_before = len(fitter.tasks)
            if name != "calibrate" or calibrated:
                try:
                    config = plan(context, config, fitter)
                except MlwfError as error:  # the run will meet it too, and reports it
                    logger.debug("what follows the search is not known: %s", name, exc_info=error)
            fits[name] = self._phase_fits(fitter.tasks[n_before:], pipeline)
        return fits

    def _search(self, fitter: DryRunFitter, pipeline: Any, params: Mapping[str, Any]) -> OutOfFold | None:
        """Request the folds of the candidate: what the search has fitted need not be fitted again."""
        splits = self._search_splits
        requests = [FitRequest(pipeline, params, split.train, (split.test,), keep_model=True) for split in splits]
        results = fitter(requests)
        try:
            return stack(results, splits, self._context.split.train)
        except MlwfError:
            return None

    def _phase_fits(self, tasks: Sequence[Task], pipeline: Any) -> PhaseFits:
        own = [task for task in tasks if type(task.classifier) is type(last_step(pipeline)[1])]
        others = [task.predict_seconds(self._costs) for task in tasks if task not in own]
        return PhaseFits(tuple(len(task.request.train) for task in own), sum(others) / self._slots)

    def _seconds(self, fits: PhaseFits, pipeline: Any, params: Mapping[str, Any], *, is_alone: bool = False) -> float:
        """Predict the seconds of the fits of a phase, which run at the same time but for the one of the whole model."""
        by_rows = {n_rows: self._seconds_of_fit(n_rows, pipeline, params) for n_rows in set(fits.rows)}
        each = [by_rows[n_rows] for n_rows in fits.rows]
        slots = 1 if is_alone else self._slots
        return fits.other_seconds + max(sum(each) / slots, max(each, default=0.0))

    def _seconds_of_fit(self, n_rows: int, pipeline: Any, params: Mapping[str, Any]) -> float:
        table, key = self._config.table, self._key(pipeline, params)
        classifier = last_step(pipeline)[1] if key is None else key.parts.classifier
        learner = None if key is None else key.parts.learner(key.stage)
        n_columns = int(table.X.shape[1])
        estimated = estimate_seconds(classifier, n_rows, n_columns, len(table.classes))
        costs = self._costs
        return costs.predict(classifier, estimated, learner=learner) + costs.predict_preparing(n_rows * n_columns)

    def _seconds_of_saving(self, pipeline: Any, params: Mapping[str, Any], calibrated: bool) -> float:
        context, table = self._context, self._config.table
        key = self._key(pipeline, params)
        classifier = last_step(pipeline)[1] if key is None else key.parts.classifier
        n_rows, n_columns = len(context.split.train), int(table.X.shape[1])
        estimated = estimate_seconds(classifier, n_rows, n_columns, len(table.classes))
        is_ensemble = calibrated and context.calibration is not None and context.calibration.ensemble
        n_models = context.spec.calibration_folds if is_ensemble else 1
        times = 2 if context.is_refitted else 1
        return times * n_models * self._costs.predict_saving(classifier, estimated)

    def _key(self, pipeline: Any, params: Mapping[str, Any]) -> FitKey | None:
        request = FitRequest(pipeline, params, self._context.split.train)
        return self._key_builder.identify(request, self._config.table)


def check_time_limit(context: RunContext, config: PipelineConfig, reserve: TimeReserve, *, slots: int) -> None:
    """Refuse a time limit that is too short for even one model, by cheap fits where estimates do not tell.

    Raises
    ------
    ConfigError
        Its hint names the shortest limit that would do.
    """
    time, cheapest = context.time, reserve.cheapest
    if UNCERTAINTY * _needed(context, reserve, cheapest) > time.left:
        _measure(context, config, cheapest, slots=slots)
        needed = _needed(context, reserve, cheapest)
        # What is refused lies far below what is named, or the limit that is named may be refused in its turn.
        if needed > time.left:
            shortest = format_seconds(ceil(ROOM * (time.elapsed + MARGIN * needed)))
            message = f"is {format_value(context.spec.compute.time_limit)}, too short for even one model"
            raise ConfigError(Problem("", "compute.time_limit", message, f"the shortest that would do is {shortest}"))


def _needed(context: RunContext, reserve: TimeReserve, candidate: Candidate) -> float:
    """Give the seconds that a run takes which tries one candidate alone."""
    if not context.is_searched:
        return reserve.least(*candidate)
    times = 1 + (len(context.validation_splits) if context.is_nested else 0)
    return times * reserve.of_search(*candidate) + reserve.least(*candidate)


def _measure(context: RunContext, config: PipelineConfig, candidate: Candidate, *, slots: int) -> None:
    """Make cheap fits of a candidate, as many at the same time as the run will make."""
    pipeline, params = candidate
    table, rows = config.table, context.split.train
    fit_key = FitKeyBuilder().identify(FitRequest(pipeline, params, rows), table)
    if fit_key is None:
        return
    costs, n_columns = context.time.costs, int(table.X.shape[1])
    started = perf_counter()
    try:
        prepared = _prepare(fit_key, rows)
    except Exception as error:  # the run will meet it too, and reports it
        logger.debug("the rows could not be prepared", exc_info=error)
        return
    costs.record_preparing(len(rows) * n_columns, perf_counter() - started)

    def measure(number: int) -> None:
        with openmp_threads(1):
            probe(fit_key.parts.classifier, prepared, n_columns=n_columns, most_seconds=FAITHFUL_SECONDS, costs=costs)

    with BLAS.held(), muted(), ThreadPoolExecutor(slots) as threads:
        list(threads.map(measure, range(slots)))


def _prepare(fit_key: FitKey, rows: Rows) -> PreparedRows:
    table, preprocessor = fit_key.table, fit_key.parts.preparation.preprocessor
    X, y = in_memory(table.X_of(rows)), table.y_of(rows)
    X = X if preprocessor is None else clone(preprocessor).fit_transform(X, y)
    return PreparedRows(X, y, table.fit_weight_of(rows), {})
