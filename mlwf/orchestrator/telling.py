"""What a run tells MLflow; what a store does not take waits in the run's folder, and the run goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from mlwf.config import Document
from mlwf.errors import TrackingError
from mlwf.modules.data import Dataset
from mlwf.modules.runs import RunFolder, environment
from mlwf.orchestrator.champion import trained_rows
from mlwf.orchestrator.journal import Journal, one_line
from mlwf.orchestrator.setting import Setting
from mlwf.processes import this_process
from mlwf.results import CalibrationResult, GateResult, Judgement, TuningResult
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.tracking import STORE_VARIABLE, MLflowSpec, StoreOrigin, store_origin, without_login

logger = logging.getLogger(__name__)

SAMPLE_ROWS = 100

TRACKING = "tracking"
"""Folder of a run in which waits what its store does not have yet."""


class Telling:
    """One run's words to MLflow; nothing where tracking is not asked for."""

    def __init__(
        self, spec: ExperimentSpec, journal: Journal, *, folder: RunFolder | None, document: Document | None
    ) -> None:
        self._spec = spec
        self._journal = journal
        self._folder = folder
        self._is_written = None if document is None else "tracking_uri" in (document.data.get("tracking") or {})
        self._tracker: Any = None
        self.withheld: str | None = None
        """Why the model is not registered, where it was to be."""

    @property
    def enabled(self) -> bool:
        """Whether a store was asked for and has answered."""
        return self._tracker is not None

    @property
    def _tracking(self) -> MLflowSpec:
        assert self._spec.tracking is not None
        return self._spec.tracking

    def reach(self) -> None:
        """Open the store, so that one that does not answer is known at once; raises TrackingError."""
        if self._spec.tracking is None or not self._spec.tracking.enabled:
            return
        from mlwf.modules.tracking import create_mlflow_tracker, mark_stale_runs

        self._tracker = create_mlflow_tracker(
            self._tracking,
            self._spec.model,
            name=self._spec.name,
            run_id=self._folder.run_id if self._folder else None,
            process=this_process(),
            folder=self._folder.file(TRACKING) if self._folder else None,
        )
        store = self._tracker.connect()
        mark_stale_runs(store)
        if not store.has_logged_models:
            self._journal.warn(
                f"{self._tracker.shown_uri}: the server is older than MLflow 3, which keeps models by themselves: the "
                "model becomes an artifact of the run, and the metrics are not shown on its page"
            )

    def start(self) -> dict[str, str]:
        """Start the MLflow run and give the guide's keys of it; raises TrackingError."""
        self._tracker.start_run()
        return {"mlflow_run_id": self._tracker.run_id, "mlflow_experiment_id": self._tracker.experiment_id}

    def say(self, call: Callable[[Any], None]) -> None:
        """Tell the store something; what it does not take waits, and the run goes on."""
        if self._tracker is None:
            return
        try:
            call(self._tracker)
        except TrackingError as error:
            logger.warning("tracking: %s", one_line(error))

    @property
    def store(self) -> str:
        """The store's address, as it may be shown."""
        return str(self._tracker.shown_uri)

    @property
    def error(self) -> str | None:
        """What the store did not take, and why; None when it has everything."""
        if self._tracker is None or not self._tracker.missing:
            return None
        from mlwf.modules.tracking import describe_missing

        return describe_missing(self._tracker.missing)

    def withhold(self, gates: Sequence[GateResult]) -> None:
        """Keep the model from being registered when a gate is not met, unless the experiment says otherwise."""
        if self.enabled and self._tracking.should_register_model() and not self._tracking.register_anyway:
            missed = sum(not gate.passed for gate in gates)
            self.withheld = f"{missed} of {len(gates)} gates not met" if missed else None

    def log_results(
        self,
        results: Mapping[str, Any],
        setting: Setting,
        *,
        judgements: Sequence[Judgement],
        tuned: TuningResult | None,
        calibration: CalibrationResult | None,
        config: str,
        conceal: Callable[[Any], Any],
    ) -> None:
        """Log all that the workflow gave, the model and the plots among it; `conceal` keeps secrets out of texts."""
        from mlwf.modules.tracking import TrackedDataset

        material = setting.material
        used: list[tuple[Literal["training", "test"], Dataset]] = [("training", material.data)]
        if material.test:
            used.append(("test", material.test))
        datasets = [
            TrackedDataset(
                data=data.X,
                y=data.y,
                target=self._spec.data.target,
                source=conceal(data.source),
                name=context,
                digest=data.digest,
                context=context,
            )
            for context, data in used
        ]
        self.say(
            lambda tracker: tracker.log_workflow_results(
                results=results,
                X_sample=material.data.X[:SAMPLE_ROWS] if self._tracking.log_model_signature else None,
                register_model=self._tracking.should_register_model() and not self.withheld,
                judgements=judgements,
                positive_class=self._spec.data.positive_class,
                datasets=datasets,
                candidates=tuned.cv_results if tuned else None,
                config=config,
                environment=environment(),
                degraded=conceal(self._journal.degraded),
                gates=results.get("gates", ()),
                findings=results.get("findings", ()),
                calibration=calibration,
                training_rows=trained_rows(setting),
                table_schema=material.schema,
            )
        )

    def end(
        self, status: Literal["FINISHED", "FAILED", "KILLED"], summary: Mapping[str, Any], error: str | None
    ) -> None:
        """Leave the summary, which knows the registered version by now, and end the run."""
        if self._tracker is None or self._tracker.run_id is None:
            return
        self.say(lambda tracker: tracker.log_summary(summary))
        self.say(lambda tracker: tracker.end_run(status=status, error=error))

    def as_written(self, spec: ExperimentSpec) -> ExperimentSpec:
        """Give the spec as it may be written down: a login in MLFLOW_TRACKING_URI stays there."""
        if spec.tracking is None or self._origin != STORE_VARIABLE:
            return spec
        uri = without_login(spec.tracking.tracking_uri)
        return spec.model_copy(update={"tracking": spec.tracking.model_copy(update={"tracking_uri": uri})})

    @property
    def _origin(self) -> StoreOrigin:
        return store_origin(self._tracking, is_written=self._is_written)

    def summary(self) -> dict[str, Any] | None:
        """Say where the run is tracked, why there, and what is missing there."""
        if self._tracker is None:
            return None
        return {
            "tracking_uri": self._tracker.shown_uri,
            "tracking_uri_from": self._origin,
            "run_id": self._tracker.run_id,
            "experiment_id": self._tracker.experiment_id,
            "registered_model": self._tracking.registered_model_name,
            "version": self._tracker.registered_version,
            "alias": self._tracking.alias,
            "withheld": self.withheld,
            "missing": dict(self._tracker.missing),
            "error": self.error,
        }
