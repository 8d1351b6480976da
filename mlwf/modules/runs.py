"""Run folders: the files of a run, each complete or absent however the run ends."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile

from mlwf.atomic import writing
from mlwf.errors import MlwfError, RunNotFoundError, UsageError, closest, nearest
from mlwf.object_stores import address_of, check_writable, fetch_run, remove_run, runs_here, send_file
from mlwf.processes import is_running, this_process
from mlwf.text import json_text

STATE = "state.json"
SUMMARY = "summary.json"
CONFIG = "config.yaml"
"""The experiment as it was resolved."""
RESAMPLES = "resamples.json"
"""The scores of resamples of the rows that the run was judged on."""
CANDIDATES = "candidates.json"
"""The `cv_results_` of its search; of several models, by their names."""
ENVIRONMENT = "environment.txt"
MODEL_FILE = "model.skops"
PROFILE = "profile.json"
"""What the columns hold, as counts."""
PULL = "feature_pull"
"""Folder with what a feature store has joined, which a rerun reads."""
TRAINING_ROWS = "training_rows.npz"
"""A hash of each row that the model was trained on, by the features and the label."""
REPORT = "report.html"
PARTIAL_DEPENDENCE = "partial_dependence.json"
"""How probabilities depend on the columns that matter most."""
NO_RUN = "no run here; `mlwf train CONFIG` makes one"

MODEL_URI = "models:/"
"""What the URI of a registered model begins with, where a run can be named as well."""
NO_ROOM = {errno.EDQUOT, errno.EFBIG, errno.ENOSPC}


@dataclass(frozen=True)
class RunFolder:
    """The files of one run."""

    path: Path
    run_id: str

    @property
    def log_file(self) -> Path:
        """File of the run's log."""
        return self.path / "run.log"

    def file(self, name: str) -> Path:
        """Give the path of a file of the run, there or not; `name` may name folders, as in `plots/roc.png`."""
        return self.path / name

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Give a path to write to; it becomes the file when the block ends, and nothing when it raises."""
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with writing(target) as draft:
            yield draft
        send_file(self.path, name)

    def write_text(self, name: str, text: str) -> Path:
        """Write a text file."""
        with self.writing(name) as draft:
            draft.write_text(text, encoding="utf-8", errors="backslashreplace")
        return self.path / name

    def write_json(self, name: str, obj: Any) -> Path:
        """Write a JSON file, as `json_text` turns it to text."""
        return self.write_text(name, json_text(obj))

    def write_arrays(self, name: str, arrays: Mapping[str, Any]) -> Path:
        """Write named arrays, such as the rows of each split, as a compressed .npz file."""
        import numpy as np

        # numpy's own function compresses no better, and takes nine times as long.
        with (
            self.writing(name) as draft,
            ZipFile(draft, "w", compression=ZIP_DEFLATED, compresslevel=1) as archive,
        ):
            for key, value in arrays.items():
                with archive.open(f"{key}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, np.asarray(value), allow_pickle=False)
        return self.path / name

    def read_array(self, file: str, name: str) -> Any:
        """Read one array of a .npz file; None where it is absent or broken. No file can make it run anything."""
        import numpy as np

        try:
            with np.load(self.path / file, allow_pickle=False) as arrays:
                return arrays[name]
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return None

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON object; one that is absent or broken, as in a folder someone edited, reads as empty."""
        try:
            obj = json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return obj if isinstance(obj, dict) else {}

    def end(self, status: str, reason: str | None = None) -> None:
        """Record how the run ended: done, degraded, failed or killed."""
        ended_at = datetime.now(UTC).isoformat()
        self.write_json(STATE, {**self.read_json(STATE), "status": status, "reason": reason, "ended_at": ended_at})

    @property
    def status(self) -> str:
        """How the run ended, `running`, or `unfinished` when its process belongs to another machine or container.

        A run whose process is gone and wrote no end was killed.
        """
        status = self._written_status()
        if status != "running":
            return status
        running = is_running(self.read_json(STATE).get("process", {}))
        if running is False:
            # It may have ended, and its process after it, since its state was read.
            status = self._written_status()
            return "killed" if status == "running" else status
        return "running" if running else "unfinished"

    def _written_status(self) -> str:
        return str(self.read_json(SUMMARY).get("status") or self.read_json(STATE).get("status", "unfinished"))


@dataclass(frozen=True)
class Pruned:
    """What became of runs that were to be removed."""

    removed: tuple[str, ...]
    kept: Mapping[str, str]
    """Runs that were left, and why."""
    n_bytes: int
    """Of the removed files."""


def fit_cache_folder(runs_dir: Path) -> Path:
    """Give the folder of the fit cache that the runs of `runs_dir` share."""
    return runs_here(runs_dir) / ".fits"


def create_run(runs_dir: Path, name: str) -> RunFolder:
    """Make the folder of a new run; its id is its own even among processes that begin at the same time.

    Raises UsageError where no folder can be made, MlwfError where the disk has no room for it; for one on a store, what
    keeps it from being written.
    """
    if address := address_of(runs_dir):
        check_writable(f"{address}/{name}")
        runs_dir = runs_here(runs_dir)
    while True:
        now = datetime.now(UTC)
        run_id = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        # Made under another name and then renamed, so that no other command meets a run without its state.
        draft = runs_dir / f".{run_id}-{secrets.token_hex(4)}"
        state = {"run_id": run_id, "name": name, "status": "running", "started_at": now.isoformat()}
        try:
            draft.mkdir(parents=True)
            RunFolder(draft, run_id).write_json(STATE, {**state, "process": this_process()})
            draft.rename(runs_dir / run_id)
        except OSError as error:
            shutil.rmtree(draft, ignore_errors=True)
            # Renaming onto a folder that holds files fails: the id is taken, so another is drawn.
            if error.errno not in {errno.EEXIST, errno.ENOTEMPTY}:
                kind = MlwfError if error.errno in NO_ROOM else UsageError
                raise kind(f"{runs_dir}: cannot make a run folder here: {error.strerror}") from error
        else:
            return RunFolder(runs_dir / run_id, run_id)


def find_run(runs_dir: Path, text: str) -> RunFolder:
    """Find a run by its id, the id MLflow gave it, a unique beginning of either, its folder, or `latest`.

    With a folder before it, as in `elsewhere/runs/latest`, any of these is a run of that folder. Raises
    RunNotFoundError, with the nearest ids or with all that begin so.
    """
    if os.sep in text:
        path = Path(text)
        if (path / STATE).is_file():
            return RunFolder(path, path.resolve().name)
        if address_of(path.parent) or path.parent.is_dir():
            runs_dir, text = path.parent, path.name
    found = _find_run(runs_here(runs_dir), text)
    fetch_run(found.path)
    return found


def _find_run(runs_dir: Path, text: str) -> RunFolder:
    runs = {run.run_id: run for run in newest_first(runs_dir)}
    if not runs:
        raise RunNotFoundError(f"{runs_dir}: {NO_RUN}")
    if text == "latest":
        return next(iter(runs.values()))
    if text in runs:
        return runs[text]
    found = [run for run in runs.values() if run.run_id.startswith(text)]
    found = found or [run for run in runs.values() if _tracking_id(run).startswith(text)]
    if len(found) == 1:
        return found[0]
    if found:
        raise RunNotFoundError(f"{runs_dir}: {len(found)} runs begin with {text!r}: {_some(found)}")
    hint = nearest(text, runs) if closest(text, runs) else f"the newest: {_some(list(runs.values()))}"
    raise RunNotFoundError(f"{runs_dir}: no run {text!r}; {hint}")


def newest_first(runs_dir: Path) -> list[RunFolder]:
    """Give the folders of the runs, newest first; none where there is no such folder."""
    runs_dir = runs_here(runs_dir)
    folders = [path for path in runs_dir.iterdir() if not path.name.startswith(".")] if runs_dir.is_dir() else []
    runs = [RunFolder(path, path.name) for path in folders if (path / STATE).is_file()]
    return sorted(runs, key=lambda run: (_started_at(run), run.run_id), reverse=True)


def list_runs(
    runs_dir: Path,
    *,
    name: str | None = None,
    status: Collection[str] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    sort: str | None = None,
) -> list[dict[str, Any]]:
    """Describe the runs, newest first: a row for `tables.runs_table` each.

    Parameters
    ----------
    name
        Only runs whose name fits this pattern, such as `adult*`.
    status
        Only runs that ended so; empty for all.
    since, until
        Only runs that began from then on, or before then.
    sort
        A metric: the best run first, by its test set where it has one; runs without it last. Rows then show this
        metric, and otherwise the first of each run. Raises UsageError when no run has it.
    """
    found = [run for run in newest_first(runs_dir) if _began_between(run, since, until)]
    rows = [_row(run, sort) for run in found if not status or run.status in status]
    rows = [row for row in rows if name is None or fnmatchcase(row["name"], name)]
    return rows if sort is None else _best_first(rows, sort)


def prune_runs(runs_dir: Path, rows: Sequence[Mapping[str, Any]], *, unfinished: bool = False) -> Pruned:
    """Remove the folders of listed runs, except those that run, whose model is registered, or that have more to send.

    Runs that are `unfinished`, and may run on another machine, are kept unless told otherwise.
    """
    removed, kept, n_bytes = [], {}, 0
    runs_dir = runs_here(runs_dir)
    for row in rows:
        folder = RunFolder(runs_dir / row["run_id"], row["run_id"])
        if reason := _why_kept(folder, row, unfinished=unfinished):
            kept[folder.run_id] = reason
            continue
        remove_run(folder.path)
        n_bytes += sum(file.stat().st_size for file in folder.path.rglob("*") if file.is_file())
        # Under a hidden name first: one that is half gone, because this was interrupted, is no run.
        gone = folder.path.rename(runs_dir / f".{folder.run_id}-{secrets.token_hex(4)}")
        shutil.rmtree(gone, ignore_errors=True)
        removed.append(folder.run_id)
    return Pruned(tuple(removed), kept, n_bytes)


def environment() -> str:
    """List the installed distributions, as lines of `name==version` that pip understands."""
    import platform
    from importlib.metadata import distributions

    versions = dict(_name_and_version(dist) for dist in distributions())
    installed = "".join(f"{name}=={version}\n" for name, version in sorted(versions.items()))
    return f"# Python {platform.python_version()}, {platform.system()} {platform.machine()}\n{installed}"


def _tracking_id(run: RunFolder) -> str:
    return str((run.read_json(SUMMARY).get("tracking") or {}).get("run_id") or "")


def _some(runs: list[RunFolder], count: int = 5) -> str:
    ids = ", ".join(run.run_id for run in runs[:count])
    return f"{ids}, and {len(runs) - count} more" if len(runs) > count else ids


def _started_at(run: RunFolder) -> str:
    # Always written in UTC, so that the texts sort as the times do.
    return str(run.read_json(STATE).get("started_at", ""))


def _began_between(run: RunFolder, since: datetime | None, until: datetime | None) -> bool:
    if since is None and until is None:
        return True
    try:
        began = datetime.fromisoformat(_started_at(run))
    except ValueError:  # a state that somebody has edited
        return False
    return (since is None or began >= since) and (until is None or began < until)


def _best_first(rows: list[dict[str, Any]], metric: str) -> list[dict[str, Any]]:
    from mlwf.specs.catalogue import METRICS, metric_info

    if rows and not any(row["score"] or row["test"] for row in rows):
        raise UsageError(f"--sort {metric}: none of these runs has this metric; {nearest(metric, METRICS)}")
    sign = -1 if metric not in METRICS or metric_info(metric).greater_is_better else 1

    def rank(row: Mapping[str, Any]) -> tuple[bool, float]:
        value = (row["test"] or row["score"] or {}).get("value")
        return value is None, sign * (value or 0.0)

    return sorted(rows, key=rank)


def _why_kept(folder: RunFolder, row: Mapping[str, Any], *, unfinished: bool) -> str:
    if row["registered"]:
        return f"registered as {row['registered']}"
    if row["status"] == "running":
        return "running"
    if row["status"] == "unfinished" and not unfinished:
        return "it may run on another machine; --status unfinished removes it"
    missing = (folder.read_json(SUMMARY).get("tracking") or {}).get("missing")
    return "`mlwf push` can send more of it" if missing else ""


def _row(run: RunFolder, metric: str | None = None) -> dict[str, Any]:
    state, summary = run.read_json(STATE), run.read_json(SUMMARY)
    scores, gates = summary.get("scores") or [], summary.get("gates") or []
    scores = [score for score in scores if metric in (None, score.get("metric"))]
    tracking = summary.get("tracking") or {}
    return {
        "run_id": run.run_id,
        "name": summary.get("name") or state.get("name", ""),
        "status": run.status,
        "started_at": summary.get("started_at") or state.get("started_at"),
        "seconds": summary.get("seconds"),
        "algorithm": (summary.get("summary") or {}).get("algorithm"),
        "rows": (summary.get("data") or {}).get("rows"),
        "score": next((score for score in scores if score.get("source") != "test"), None),
        "test": next((score for score in scores if score.get("source") == "test"), None),
        "registered": f"{tracking['registered_model']} {tracking['version']}" if tracking.get("version") else None,
        "aliases": [name for name, each in (tracking.get("aliases") or {}).items() if not each.get("until")],
        "gates": ("met" if all(gate.get("passed") for gate in gates) else "not met") if gates else None,
    }


def _name_and_version(distribution: Any) -> tuple[str, str]:
    """Read the two of a distribution's headers; to parse its whole description as an e-mail takes ten times as long."""
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    headers = dict(re.findall(r"^(Name|Version):[ \t]*(\S+)", text.partition("\n\n")[0], re.MULTILINE))
    if len(headers) == 2:
        return headers["Name"].lower(), headers["Version"]
    return distribution.metadata["Name"].lower(), distribution.version
