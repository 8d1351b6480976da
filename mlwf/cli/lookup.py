"""Find a run's summary: in the folder of runs, else on the tracking store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlwf.errors import RunNotFoundError, UsageError
from mlwf.modules.runs import RunFolder, find_run

DEFAULT_STORE = Path("mlflow.db")


def find_summary(run: str, *, runs_dir: Path, tracking_uri: str | None) -> dict[str, Any]:
    """Give the summary of a run; raises RunNotFoundError when it is neither here nor there."""
    try:
        return _local(find_run(runs_dir, run))
    except RunNotFoundError as missing:
        store = find_store(tracking_uri)
        if store is None or run == "latest":
            raise  # the store is everybody's: its latest run may be anyone's
        from mlwf.modules.tracking import find_run as find_tracked

        tracked = find_tracked(store, run)
        if tracked is None:
            raise RunNotFoundError(f"{missing}; and {store} has no run {run!r}") from missing
        return tracked


def find_store(tracking_uri: str | None) -> str | None:
    """Give the store that was named, else the one in the current folder; asking for one that is not there makes it."""
    if tracking_uri is None and DEFAULT_STORE.exists():
        return f"sqlite:///{DEFAULT_STORE}"
    if tracking_uri is None:
        return None
    from mlwf.specs.paths import is_address

    if not is_address(tracking_uri):
        raise UsageError(f"--tracking-uri {tracking_uri}: is no address; accepted: sqlite:///FILE, http://HOST:PORT")
    return tracking_uri


def find_model_store(run: str, *, runs_dir: Path, tracking_uri: str | None) -> str:
    """Give the store for `models:/NAME@ALIAS`; raises UsageError at once when it, or the run, is not there."""
    store = find_store(tracking_uri)
    if not run.startswith("models:/"):
        find_run(runs_dir, run)
    elif store is None:
        raise UsageError(f"{DEFAULT_STORE}: there is no tracking store here; --tracking-uri names another")
    return store or f"sqlite:///{DEFAULT_STORE}"


def _local(folder: RunFolder) -> dict[str, Any]:
    """Read the summary, or what is known of a run that has none: it runs, or it was killed outright."""
    state = folder.read_json("state.json")
    known: dict[str, Any] = {key: state[key] for key in ("run_id", "name", "started_at") if key in state}
    return {**known, **folder.read_json("summary.json"), "status": folder.status}
