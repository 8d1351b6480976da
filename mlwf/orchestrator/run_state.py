"""What a phase gets and gives, and what a phase is."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from mlwf.engine.engine import Engine
from mlwf.engine.fit_cache import FitCache
from mlwf.engine.out_of_fold import TrainedModel
from mlwf.engine.requests import Fitter
from mlwf.errors import FitError
from mlwf.orchestrator.champion import ChampionsBySource
from mlwf.orchestrator.context import RunContext
from mlwf.orchestrator.run_data import LoadData
from mlwf.orchestrator.run_log import PhaseStatus, RunLog
from mlwf.orchestrator.run_recorder import RunRecorder
from mlwf.orchestrator.training_steps import PipelineConfig
from mlwf.run_result import RunResult, ShippedModel
from mlwf.specs.experiment import ExperimentSpec
from mlwf.text import first_line

logger = logging.getLogger(__name__)


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
    _context: RunContext | None = None
    _config: PipelineConfig | None = None
    _engine: Engine | None = None

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
    from mlwf.modules.tracking.importances import describe_importances

    return ShippedModel(
        trained.model,
        trained.params,
        trained.calibration,
        trained.threshold,
        importances=describe_importances(trained.model),
    )
