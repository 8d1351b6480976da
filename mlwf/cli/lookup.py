"""Find a run's summary: in the folder of runs, else on the tracking store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlwf.errors import RunNotFoundError
from mlwf.modules.runs import RunFolder, find_run

DEFAULT_STORE = Path("mlflow.db")


def find_summary(run: str, *, runs_dir: Path, tracking_uri: str | None) -> dict[str, Any]:
    """Give the summary of a run; raises RunNotFoundError when it is neither here nor there."""
    try:
        return _local(find_run(runs_dir, run))
    except RunNotFoundError as missing:
        if tracking_uri is None and DEFAULT_STORE.exists():
            tracking_uri = f"sqlite:///{DEFAULT_STORE}"
        if tracking_uri is None:
            raise
        from mlwf.modules.tracking import find_run as find_tracked

        tracked = find_tracked(tracking_uri, run)
        if tracked is None:
            raise RunNotFoundError(f"{missing}; nor at {tracking_uri}") from missing
        return tracked


def _local(folder: RunFolder) -> dict[str, Any]:
    """Read the summary, or what is known of a run that has none: it runs, or it was killed outright."""
    state = folder.read_json("state.json")
    known: dict[str, Any] = {key: state[key] for key in ("run_id", "name", "started_at") if key in state}
    return {**known, **folder.read_json("summary.json"), "status": folder.status}
