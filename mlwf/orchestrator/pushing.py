"""Send to the tracking store what it did not take when the run was made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlwf.errors import UsageError
from mlwf.modules.runs import STATE, RunFolder
from mlwf.orchestrator.telling import TRACKING
from mlwf.specs.loading import load_resolved, store_of_run


def push_run(folder: RunFolder, *, tracking_uri: str | None = None) -> list[str]:
    """Send what a run's store does not have yet, and name the parts that were sent; none when it has everything.

    `tracking_uri` is for a store that has moved. Raises UsageError for a run that has nothing to do with a store,
    TrackingError when the store still refuses; what it took is not sent again.
    """
    from mlwf.modules.tracking import Unsent, push_unsent

    unsent = Unsent.load(folder.file(TRACKING))
    if unsent is None:
        raise UsageError(f"{folder.path}: the run has no MLflow run: {_why_untracked(folder)}")
    if folder.status == "running":
        raise UsageError(f"{folder.path}: the run is still running, and sends what it has at its end")
    if folder.status == "killed" and not {"ended", "end of run"} & {*unsent.known, *unsent.waiting}:
        # The process was killed outright, and nobody has told the store.
        unsent.add("end of run", {"status": "KILLED", "time": None})
    waiting: list[str] = list(unsent.waiting)
    if not waiting:
        return []
    try:
        push_unsent(unsent, tracking_uri or _store_of(folder), lambda sent: _told(folder, sent))
    finally:
        summary = _completed(folder, unsent, unsent.missing)
        if summary:
            folder.write_json("summary.json", summary)
            folder.write_json(STATE, {**folder.read_json(STATE), "status": summary["status"]})
    return waiting


def _store_of(folder: RunFolder) -> str:
    store = store_of_run(folder.file("config.yaml"))
    if store is None:
        raise UsageError(
            f"{folder.file('config.yaml')}: tracking.tracking_uri came from a variable that is not set now; set it, or "
            "name the store with --tracking-uri"
        )
    return store


def _why_untracked(folder: RunFolder) -> str:
    tracking = load_resolved(folder.file("config.yaml")).tracking if folder.file("config.yaml").exists() else None
    if tracking is None or not tracking.enabled:
        return "its experiment has no tracking section"
    return "it ended before one was begun"


def _told(folder: RunFolder, unsent: Any) -> tuple[dict[str, Any], dict[str, str | None]]:
    """Give the summary that the store gets, and the tags that say how the run ended."""
    summary = _completed(folder, unsent, unsent.refused())
    if not summary:
        return {}, {"mlwf.status": folder.status}
    degraded = summary["summary"].get("degraded") or {}
    reasons = "; ".join(f"{phase}: {reason}" for phase, reason in degraded.items())
    return summary, {"mlwf.status": str(summary["status"]), "mlwf.degraded": reasons or None}


def _completed(folder: RunFolder, unsent: Any, missing: Mapping[Any, str]) -> dict[str, Any]:
    """Give the run's summary without what was missing on the store and is there now."""
    from mlwf.modules.tracking import describe_missing

    summary = folder.read_json("summary.json")
    if not summary.get("tracking"):
        return summary
    error = describe_missing(missing) or None
    tracking = {**summary["tracking"], "version": unsent.known.get("version"), "missing": dict(missing), "error": error}
    phases = [_phase(phase, error) for phase in summary["phases"]]
    degraded = {phase["name"]: phase["reason"] for phase in phases if phase["status"] == "degraded"}
    told = {key: value for key, value in summary["summary"].items() if key != "degraded"}
    status = summary["status"]
    if status == "degraded" and not degraded and not error:
        status = "done"
    return {
        **summary,
        "status": status,
        "tracking": tracking,
        "phases": phases,
        "summary": {**told, "degraded": degraded} if degraded else told,
    }


def _phase(phase: dict[str, Any], error: str | None) -> dict[str, Any]:
    """Give the phase that logs without what was missing, and every other as it is."""
    if phase["name"] != "log" or phase["status"] != "degraded":
        return phase
    return {**phase, "status": "degraded" if error else "done", "reason": error}
