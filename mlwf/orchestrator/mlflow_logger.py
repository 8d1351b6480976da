"""What a run logs to MLflow; what a store does not take waits in the run's folder, to be pushed later."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from mlwf.config import Document
from mlwf.errors import TrackingError, UsageError
from mlwf.modules.data import Dataset
from mlwf.modules.runs import CONFIG, ENVIRONMENT, MODEL_FILE, PROFILE, STATE, SUMMARY, RunFolder, environment
from mlwf.orchestrator.champion import hash_training_rows
from mlwf.orchestrator.context import RunContext
from mlwf.orchestrator.run_inputs import needed_features
from mlwf.orchestrator.run_log import RunLog
from mlwf.processes import this_process
from mlwf.results import GateResult
from mlwf.run_result import RunResult, TrackingState
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.loading import load_resolved, store_of_run
from mlwf.specs.tracking import STORE_VARIABLE, MLflowSpec, StoreOrigin, store_origin, without_login
from mlwf.splitting.stored_frame import in_memory
from mlwf.text import first_line, join_reasons

if TYPE_CHECKING:
    from mlwf.modules.tracking import MLflowTracker, TrackedDataset, Unsent

logger = logging.getLogger(__name__)

SAMPLE_ROWS = 100
TRACKING = "tracking"
"""Folder of a run in which waits what its store does not have yet."""


class MLflowLogger:
    """Logs one run to MLflow; nothing where tracking is off."""

    def __init__(
        self, spec: ExperimentSpec, run_log: RunLog, *, folder: RunFolder | None, document: Document | None
    ) -> None:
        self._spec = spec
        self._run_log = run_log
        self._folder = folder
        self._is_written = None if document is None else "tracking_uri" in (document.data.get("tracking") or {})
        self._tracker: MLflowTracker | None = None
        self.withheld: str | None = None
        """Why the model is not registered, where it was to be."""

    @property
    def enabled(self) -> bool:
        """Whether tracking is on and the store has answered."""
        return self._tracker is not None

    @property
    def _tracking(self) -> MLflowSpec:
        assert self._spec.tracking is not None
        return self._spec.tracking

    def connect(self) -> None:
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
            self._run_log.warn(
                f"{self._tracker.shown_uri}: the server is older than MLflow 3, which keeps models by themselves: the "
                "model becomes an artifact of the run, and the metrics are not shown on its page"
            )

    def start(self) -> None:
        """Start the MLflow run; raises TrackingError."""
        assert self._tracker is not None
        self._tracker.start_run()

    @property
    def run_id(self) -> str | None:
        """MLflow's id of the run; None before `start`."""
        return None if self._tracker is None else self._tracker.run_id

    def log(self, call: Callable[[MLflowTracker], None]) -> None:
        """Call the tracker; what the store does not take waits, and the run continues."""
        if self._tracker is None:
            return
        try:
            call(self._tracker)
        except TrackingError as error:
            logger.warning("tracking: %s", first_line(error))

    @property
    def store(self) -> str:
        """The store's address, as it may be shown."""
        assert self._tracker is not None
        return self._tracker.shown_uri

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

    def log_results(self, result: RunResult, context: RunContext, *, config: str, redact: Callable[[Any], Any]) -> None:
        """Log all that the run found, the model and the plots among it; `redact` keeps secrets out of texts."""
        from mlwf.modules.tracking import TrackedRows

        run_data = context.run_data
        rows = TrackedRows(
            self._datasets(context, redact),
            hash_training_rows(context),
            run_data.schema,
            redact(needed_features(context)),
        )
        phases = tuple(replace(phase, reason=redact(phase.reason)) for phase in result.log.phases)
        result = replace(result, log=replace(result.log, phases=phases))
        texts = {CONFIG: config, ENVIRONMENT: environment()}
        if self._folder and self._folder.file(PROFILE).exists():
            texts[PROFILE] = self._folder.file(PROFILE).read_text(encoding="utf-8")
        self.log(
            lambda tracker: tracker.log_workflow_results(
                result,
                X_sample=in_memory(run_data.data.X[:SAMPLE_ROWS]) if self._tracking.log_model_signature else None,
                register_model=self._tracking.should_register_model() and not self.withheld,
                rows=rows,
                texts=texts,
                model_file=self._folder.file(MODEL_FILE) if self._folder else None,
            )
        )

    def _datasets(self, context: RunContext, redact: Callable[[Any], Any]) -> list[TrackedDataset]:
        from mlwf.modules.tracking import TrackedDataset

        run_data = context.run_data
        used: list[tuple[Literal["training", "test"], Dataset]] = [("training", run_data.data)]
        used += [("test", run_data.test)] if run_data.test else []
        return [
            TrackedDataset(
                data=data.X,
                y=data.y,
                target=self._spec.data.target,
                source=redact(data.source),
                name=usage,
                digest=data.digest,
                context=usage,
            )
            for usage, data in used
        ]

    def end(
        self,
        status: Literal["FINISHED", "FAILED", "KILLED"],
        summary: Mapping[str, Any],
        error: str | None,
        *,
        report: str | None = None,
    ) -> None:
        """Leave the summary, which knows the registered version by now, and the run's page, and end the run."""
        if self._tracker is None or self._tracker.run_id is None:
            return
        self.log(lambda tracker: tracker.log_summary(summary, report=report))
        self.log(lambda tracker: tracker.end_run(status=status, error=error))

    def without_secrets(self, spec: ExperimentSpec) -> ExperimentSpec:
        """Give the spec as it may be written down: a login in MLFLOW_TRACKING_URI stays there."""
        if spec.tracking is None or self._origin != STORE_VARIABLE:
            return spec
        uri = without_login(spec.tracking.tracking_uri)
        return spec.model_copy(update={"tracking": spec.tracking.model_copy(update={"tracking_uri": uri})})

    @property
    def _origin(self) -> StoreOrigin:
        return store_origin(self._tracking, is_written=self._is_written)

    @property
    def state(self) -> TrackingState | None:
        """Where the run is tracked, why there, and what is missing there."""
        tracker = self._tracker
        if tracker is None:
            return None
        return TrackingState(
            tracking_uri=tracker.shown_uri,
            tracking_uri_from=self._origin,
            run_id=tracker.run_id,
            experiment_id=tracker.experiment_id,
            registered_model=self._tracking.registered_model_name,
            version=tracker.registered_version,
            alias=self._tracking.alias,
            withheld=self.withheld,
            missing={str(part): reason for part, reason in tracker.missing.items()},
            error=self.error,
        )


def push_run(folder: RunFolder, *, tracking_uri: str | None = None) -> list[str]:
    """Send what a run's store does not have yet, and name the parts that were sent; none when it has everything.

    `tracking_uri` is for a store that has moved. Raises UsageError for a run that has nothing to do with a store,
    TrackingError when the store still refuses; what it took is not sent again.
    """
    from mlwf.modules.tracking import push_unsent

    unsent = load_unsent(folder)
    if folder.status == "running":
        raise UsageError(f"{folder.path}: the run is still running, and sends what it has at its end")
    if folder.status == "killed" and not {"ended", "end of run"} & {*unsent.known, *unsent.waiting}:
        # The process was killed outright, and the store does not know.
        unsent.add("end of run", {"status": "KILLED", "time": None})
    waiting: list[str] = list(unsent.waiting)
    if not waiting:
        return []
    try:
        push_unsent(unsent, tracking_uri or store_of(folder), lambda sent: _completed_tags(folder, sent))
    finally:
        summary = _completed(folder, unsent, unsent.missing)
        if summary:
            folder.write_json(SUMMARY, summary)
            folder.write_json(STATE, {**folder.read_json(STATE), "status": summary["status"]})
    return waiting


def load_unsent(folder: RunFolder) -> Unsent:
    """Read which parts of a run its store has, and which wait; raises UsageError for a run that was not tracked."""
    from mlwf.modules.tracking import Unsent

    unsent = Unsent.load(folder.file(TRACKING))
    if unsent is None:
        raise UsageError(f"{folder.path}: the run has no MLflow run: {_why_untracked(folder)}")
    return unsent


def store_of(folder: RunFolder) -> str:
    """Give the store of a run; raises UsageError where the variable that named it is gone."""
    store = store_of_run(folder.file(CONFIG))
    if store is None:
        raise UsageError(
            f"{folder.file(CONFIG)}: tracking.tracking_uri came from a variable that is not set now; set it, or "
            "name the store with --tracking-uri"
        )
    return store


def _why_untracked(folder: RunFolder) -> str:
    tracking = load_resolved(folder.file(CONFIG)).tracking if folder.file(CONFIG).exists() else None
    if tracking is None or not tracking.enabled:
        return "its experiment has no tracking section"
    return "it ended before one was begun"


def _completed_tags(folder: RunFolder, unsent: Any) -> tuple[dict[str, Any], dict[str, str | None]]:
    """Give the summary for the store, and the tags of how the run ended."""
    summary = _completed(folder, unsent, unsent.refused())
    if not summary:
        return {}, {"mlwf.status": folder.status}
    degraded = summary["summary"].get("degraded") or {}
    return summary, {"mlwf.status": str(summary["status"]), "mlwf.degraded": join_reasons(degraded) or None}


def _completed(folder: RunFolder, unsent: Any, missing: Mapping[Any, str]) -> dict[str, Any]:
    """Give the run's summary without what was missing on the store and is there now."""
    from mlwf.modules.tracking import describe_missing

    summary = folder.read_json(SUMMARY)
    if not summary.get("tracking"):
        return summary
    error = describe_missing(missing) or None
    tracking = {**summary["tracking"], "version": unsent.known.get("version"), "missing": dict(missing), "error": error}
    phases = [_phase(phase, error) for phase in summary["phases"]]
    degraded = {phase["name"]: phase["reason"] for phase in phases if phase["status"] == "degraded"}
    others = {key: value for key, value in summary["summary"].items() if key != "degraded"}
    status = summary["status"]
    if status == "degraded" and not degraded and not error:
        status = "done"
    return {
        **summary,
        "status": status,
        "tracking": tracking,
        "phases": phases,
        "summary": {**others, "degraded": degraded} if degraded else others,
    }


def _phase(phase: dict[str, Any], error: str | None) -> dict[str, Any]:
    """Give the phase that logs without what was missing, and every other as it is."""
    if phase["name"] != "log" or phase["status"] != "degraded":
        return phase
    return {**phase, "status": "degraded" if error else "done", "reason": error}
