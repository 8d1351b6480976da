"""Find runs again in a store, and end those whose process is gone."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlwf.errors import RunNotFoundError, TrackingError
from mlwf.modules.tracking.store import Store, find_store
from mlwf.modules.tracking.talking import shown, talking
from mlwf.modules.tracking.values import PROCESS_TAGS
from mlwf.processes import is_running

logger = logging.getLogger(__name__)

SUMMARY = "summary.json"


def find_run(tracking_uri: str, text: str) -> dict[str, Any] | None:
    """Give the summary of the run that `text` names: our id or a unique prefix of it, or MLflow's id.

    None when the store does not exist or holds no such run. Raises RunNotFoundError when several runs begin so, or the
    run ended without a summary; TrackingError when the store does not answer.
    """
    store = find_store(tracking_uri)
    if store is None or not re.fullmatch(r"[\w.-]+", text):
        return None
    with talking(store.tracking_uri, f"looking for run {text}"):
        run = _named(store, text)
        if run is None:
            return None
        with TemporaryDirectory(prefix="mlwf-") as folder:
            if not any(file.path == SUMMARY for file in store.client.list_artifacts(run.info.run_id)):
                raise RunNotFoundError(
                    f"run {text} is on {shown(tracking_uri)} without a summary: its status is {run.info.status}"
                )
            path = store.client.download_artifacts(run.info.run_id, SUMMARY, folder)
            summary: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return summary


def mark_stale_runs(store: Store) -> list[str]:
    """Set runs KILLED that say they are running while their process surely does not, and give their MLflow ids.

    Nobody is left to do it when a process was killed outright. Runs of other machines and containers are left alone.
    What fails, as a run of another user that may not be written does, is said in the log.
    """
    try:
        with talking(store.tracking_uri, "looking for runs that were killed"):
            # Only runs of ours say which process writes them.
            found = _search(store, "attributes.status = 'RUNNING' and tags.`mlwf.pid_namespace` LIKE '%'")
    except TrackingError as error:
        logger.warning("%s", error)
        return []
    gone = [run.info.run_id for run in found if is_running(_process_of(run)) is False]
    return [run_id for run_id in gone if _mark_killed(store, run_id)]


def _process_of(run: Any) -> dict[str, Any]:
    return {key: run.data.tags.get(f"mlwf.{tag}") for key, tag in PROCESS_TAGS.items()}


def _mark_killed(store: Store, run_id: str) -> bool:
    """Set a run KILLED whose process is gone, unless it has ended after all, and tell whether it was done."""
    try:
        with talking(store.tracking_uri, f"marking run {run_id} as killed"):
            # It may have ended, and its process after it, since it was looked for.
            if store.client.get_run(run_id).info.status != "RUNNING":
                return False
            store.client.set_tag(run_id, "mlwf.status", "killed")
            store.client.set_terminated(run_id, "KILLED")
    except TrackingError as error:
        logger.warning("%s", error)
        return False
    return True


def _named(store: Store, text: str) -> Any:
    begin = _search(store, f"tags.`mlwf.run_id` LIKE '{text}%'")
    runs = [run for run in begin if run.data.tags["mlwf.run_id"].startswith(text)]  # `_` means any letter to LIKE
    exact = [run for run in runs if run.data.tags["mlwf.run_id"] == text]
    # A run that was logged to this store twice: the later one tells more.
    if exact:
        return max(exact, key=lambda run: run.info.start_time)
    ids = sorted({run.data.tags["mlwf.run_id"] for run in runs})
    if len(ids) > 1:
        raise RunNotFoundError(f"several runs begin with {text}: {', '.join(ids[:5])}{', …' if len(ids) > 5 else ''}")
    if runs:
        return runs[0]
    found = _search(store, f"attributes.run_id = '{text}'")
    return found[0] if found else None


def _search(store: Store, filter_string: str) -> list[Any]:
    """Search all experiments that are not deleted."""
    experiments, token = [], None
    while True:
        page = store.client.search_experiments(page_token=token)
        experiments += [experiment.experiment_id for experiment in page]
        token = page.token
        if not token:
            break
    return list(store.client.search_runs(experiments, filter_string=filter_string, max_results=1000))
