"""What a run tells MLflow; a store that fails is told nothing more, and the run goes on in its folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from mlwf.errors import TrackingError
from mlwf.modules.data import Dataset
from mlwf.modules.runs import environment
from mlwf.orchestrator.champion import trained_rows
from mlwf.orchestrator.journal import Journal, one_line
from mlwf.orchestrator.setting import Setting
from mlwf.processes import this_process
from mlwf.results import CalibrationResult, GateResult, Judgement, TuningResult
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.tracking import MLflowSpec

SAMPLE_ROWS = 100


class Telling:
    """One run's words to MLflow; nothing where tracking is not asked for."""

    def __init__(self, spec: ExperimentSpec, journal: Journal, *, run_id: str | None) -> None:
        self._spec = spec
        self._journal = journal
        self._run_id = run_id
        self._tracker: Any = None
        self.error: str | None = None
        """Why the store is told nothing more."""
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
            self._tracking, self._spec.model, name=self._spec.name, run_id=self._run_id, process=this_process()
        )
        mark_stale_runs(self._tracker.connect())

    def start(self) -> dict[str, str]:
        """Start the MLflow run and give the guide's keys of it; raises TrackingError."""
        self._tracker.start_run()
        return {"mlflow_run_id": self._tracker.run_id, "mlflow_experiment_id": self._tracker.experiment_id}

    def say(self, call: Callable[[Any], None]) -> None:
        """Tell the store something, unless it has failed before; when it fails now, keep the reason."""
        if self._tracker is None or self.error:
            return
        try:
            call(self._tracker)
        except TrackingError as error:
            self.error = one_line(error)
            self._journal.warn(f"tracking failed, the run goes on in its folder: {self.error}")

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

    def summary(self) -> dict[str, Any] | None:
        """Say where the run is tracked."""
        if self._tracker is None:
            return None
        return {
            "tracking_uri": self._tracker.shown_uri,
            "run_id": self._tracker.run_id,
            "experiment_id": self._tracker.experiment_id,
            "registered_model": self._tracking.registered_model_name,
            "version": self._tracker.registered_version,
            "alias": self._tracking.alias,
            "withheld": self.withheld,
            "error": self.error,
        }
