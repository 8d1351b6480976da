"""Find a run's summary: in the folder of runs, else on the tracking store; and paths as a person would write them."""

from __future__ import annotations

import atexit
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile, rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from mlwf.errors import MlwfError, RunNotFoundError, UsageError, nearest
from mlwf.modules.runs import (
    CONFIG,
    MODEL_FILE,
    MODEL_URI,
    PROFILE,
    REPORT,
    RESAMPLES,
    STATE,
    SUMMARY,
    TRAINING_ROWS,
    RunFolder,
    find_run,
    newest_first,
)

if TYPE_CHECKING:
    from mlwf.modules.comparison import RunFiles

KEPT = (SUMMARY, CONFIG, RESAMPLES)
"""Files of a run that others are compared with."""


def from_here(text: str) -> str:
    """Write every absolute path below the current folder relative to it; also in `sqlite:////here/mlflow.db`."""
    folder = str(Path.cwd()).rstrip(os.sep)
    # What stands before must not belong to the path: /backup/home/me is not /home/me.
    return re.sub(rf"(?<![\w.-]){re.escape(folder + os.sep)}", "", text) if folder else text


def all_from_here(content: Any, keep: Callable[[str], str] = str) -> Any:
    """Do the same for every text in a summary; `keep` writes all of them, and the keys, as they can be shown."""
    if isinstance(content, str):
        return keep(from_here(content))
    if isinstance(content, Mapping):
        return {
            keep(key) if isinstance(key, str) else key: all_from_here(value, keep) for key, value in content.items()
        }
    if isinstance(content, list | tuple):
        return [all_from_here(value, keep) for value in content]
    return content


def find_summary(run: str, *, runs_dir: Path, tracking_uri: str | None) -> dict[str, Any]:
    """Give the summary of a run; raises RunNotFoundError when it is neither here nor there."""
    run, tracking_uri = find_training(run, runs_dir=runs_dir, tracking_uri=tracking_uri)
    try:
        return _local(find_run(runs_dir, run))
    except RunNotFoundError as missing:
        store = find_store(tracking_uri, runs_dir=runs_dir)
        if store is None or run == "latest":
            raise  # the store is everybody's: its latest run may be anyone's
        from mlwf.modules.tracking import find_run as find_tracked

        tracked = find_tracked(store, run)
        if tracked is None:
            raise RunNotFoundError(f"{missing}; and {store} has no run {run!r}") from missing
        return tracked


NAMED_BY: dict[str, tuple[str, ...]] = {
    "scores": ("metric", "source"),
    "slices": ("slice", "metric", "source"),
    "classes": ("source",),
    "report": ("label",),
    "phases": ("name",),
    "models": ("name",),
    "findings": ("code",),
    "gates": ("asked",),
    "leaks": ("column",),
}
"""The lists of a summary whose items go by a name, and the keys of these that name them one after the other."""


def find_value(summary: Mapping[str, Any], path: str) -> Any:
    """Give the value at a dotted path, such as `data.rows`, `scores.roc_auc.test.value` or `gates.0.passed`.

    Raises UsageError, with the nearest name, where there is none.
    """
    found: Any = summary
    before, rest = "", path
    while rest or not before:
        choices = _choices(found, before.rpartition(".")[2])
        # The longest name first: one such as `age > 60.5` has a dot itself.
        fitting = [name for name in choices if f"{rest}.".startswith(f"{name}.")]
        if not fitting:
            place = before or "the summary"
            has = nearest(rest.partition(".")[0], choices) if choices else "it is a single value"
            raise UsageError(f"--get {path}: {place} has no {rest.partition('.')[0] or 'empty name'}; {has}")
        name = max(fitting, key=len)
        found, rest = choices[name], rest[len(name) + 1 :]
        before = f"{before}.{name}" if before else name
    return found.plain() if isinstance(found, _Several) else found


@dataclass(frozen=True)
class _Several:
    """Items of a list that share the names before, and the keys that tell them apart."""

    items: Sequence[Mapping[str, Any]]
    keys: tuple[str, ...]

    def choices(self) -> dict[str, Any]:
        if not self.keys:
            return dict(self.items[0]) if len(self.items) == 1 else {}
        named: dict[str, list[Mapping[str, Any]]] = {}
        for item in self.items:
            named.setdefault(str(item.get(self.keys[0])), []).append(item)
        by_name = {name: _Several(items, self.keys[1:]) for name, items in named.items()}
        # What is the only one needs no further name.
        return {**(dict(self.items[0]) if len(self.items) == 1 else {}), **by_name}

    def plain(self) -> Any:
        return self.items[0] if len(self.items) == 1 else self.items


def _choices(value: Any, key: str) -> dict[str, Any]:
    """Give what can be stepped into, by its name; `key` is that of the value itself."""
    if isinstance(value, _Several):
        return value.choices()
    if isinstance(value, Mapping):
        return {str(name): each for name, each in value.items()}
    if not isinstance(value, list):
        return {}
    by_place = {str(at): each for at, each in enumerate(value)}
    names = NAMED_BY.get(key)
    return by_place | _Several(value, names).choices() if names and value else by_place


def find_run_files(run: str, *, runs_dir: Path, tracking_uri: str | None) -> RunFiles:
    """Give what a run keeps for a comparison: of a run here, of a folder from elsewhere, of a registered model.

    Raises RunNotFoundError when it is nowhere, and UsageError when it has not ended or keeps no experiment.
    """
    try:
        if run.startswith(MODEL_URI):
            return _registered(run, runs_dir=runs_dir, tracking_uri=tracking_uri)
        return _files_of(find_run(runs_dir, run))
    except RunNotFoundError as missing:
        store = find_store(tracking_uri, runs_dir=runs_dir)
        if store is None or run == "latest" or os.sep in run:
            raise
        from mlwf.modules.tracking import fetch_run_files

        texts = fetch_run_files(store, run, KEPT)
        if texts is None:
            raise RunNotFoundError(f"{missing}; and {store} has no run {run!r}") from missing
        return _parsed(run, texts)


def fetch_page(run: str, missing: RunNotFoundError, *, runs_dir: Path, tracking_uri: str | None) -> str:
    """Give the page of a run that is not here but on the tracking store; raises `missing` where there is none to ask.

    An older run has a summary there and no page: then its page is made of that alone.
    """
    store = find_store(tracking_uri, runs_dir=runs_dir)
    if store is None or run == "latest" or os.sep in run:
        raise missing
    from mlwf.modules.tracking import fetch_run_files

    texts = fetch_run_files(store, run, (SUMMARY, REPORT))
    if texts is None:
        raise RunNotFoundError(f"{missing}; and {store} has no run {run!r}") from missing
    if REPORT in texts:
        return texts[REPORT]
    from mlwf.report import RunRecord, render_report

    return render_report(RunRecord(json.loads(texts[SUMMARY])))


def _registered(uri: str, *, runs_dir: Path, tracking_uri: str | None) -> RunFiles:
    store = find_model_store(uri, runs_dir=runs_dir, tracking_uri=tracking_uri)
    from mlwf.modules.tracking import RegisteredModelError, fetch_run_files, run_of_model

    run_id = run_of_model(uri, store)
    texts = run_id and fetch_run_files(store, run_id, KEPT)
    if not texts:
        raise RegisteredModelError(f"{store}: the run of {uri} is gone, and what it kept with it")
    return _parsed(uri, texts)


def _files_of(folder: RunFolder) -> RunFiles:
    texts = {name: folder.file(name).read_text(encoding="utf-8") for name in KEPT if folder.file(name).is_file()}
    return _parsed(folder.run_id, {**texts, SUMMARY: json.dumps(_local(folder))})


def _parsed(run: str, texts: Mapping[str, str]) -> RunFiles:
    from mlwf.config.parsing import ParseError, read_as_written
    from mlwf.modules.comparison import RunFiles

    summary = json.loads(texts[SUMMARY])
    if "summary" not in summary:
        raise UsageError(f"{run}: is {summary.get('status', 'unknown')}, and has no results to compare")
    try:
        config = read_as_written(texts.get(CONFIG, ""))
        resamples = json.loads(texts.get(RESAMPLES, "[]"))
    except (ParseError, ValueError) as error:
        raise UsageError(f"{run}: its {CONFIG} or {RESAMPLES} cannot be read: {error}") from error
    return RunFiles(summary, config if isinstance(config, dict) else {}, resamples)


def find_store(tracking_uri: str | None, *, runs_dir: Path, model: str | None = None) -> str | None:
    """Give the store that was named; else that of the newest run here that registered `model`; else `mlflow.db` here.

    Without any of them, that of the newest run that was tracked; None where there is none. Asking for a store that is
    not there makes it.
    """
    from mlwf.specs.base import DEFAULT_STORE, is_address, sqlite_file

    if tracking_uri is not None:
        if not is_address(tracking_uri):
            accepted = "accepted: sqlite:///FILE, http://HOST:PORT"
            raise UsageError(f"--tracking-uri {tracking_uri}: is no address; {accepted}")
        return tracking_uri
    registered = next((store for store, name in _tracked(runs_dir) if name == model), None) if model else None
    if registered is None and sqlite_file(DEFAULT_STORE).exists():
        return DEFAULT_STORE
    return registered or next((store for store, _ in _tracked(runs_dir)), None)


def find_trained_run(run: str, *, runs_dir: Path, tracking_uri: str | None) -> str:
    """Give a run with its model: one here, that which trained a registered model, or one that only the store has.

    Of the last what is needed is fetched into a folder that is gone when this process ends, whose path is given.
    """
    model = run if run.startswith(MODEL_URI) else None
    run, tracking_uri = find_training(run, runs_dir=runs_dir, tracking_uri=tracking_uri)
    try:
        find_run(runs_dir, run)
    except RunNotFoundError as missing:
        store = find_store(tracking_uri, runs_dir=runs_dir)
        if store is None or run == "latest" or os.sep in run:
            raise
        return _fetch_run(run, model, store, missing)
    return run


def find_training(run: str, *, runs_dir: Path, tracking_uri: str | None) -> tuple[str, str | None]:
    """Give the run that trained a registered model, and its store; any other run, and the store, as they are named."""
    if not run.startswith(MODEL_URI):
        return run, tracking_uri
    store = find_model_store(run, runs_dir=runs_dir, tracking_uri=tracking_uri)
    from mlwf.modules.tracking import RegisteredModelError, run_of_model

    found = run_of_model(run, store)
    if found is None:
        raise RegisteredModelError(f"{store}: the run of {run} is gone, and what it kept with it")
    return found, store


def _fetch_run(run: str, model: str | None, store: str, missing: RunNotFoundError) -> str:
    """Fetch the files of a run, and its model, that an evaluation needs, and give the path of their folder."""
    from mlwf.modules.tracking import fetch_run_files, load_registered_model, model_of_run, training_rows
    from mlwf.specs.data import SCHEMA_FILE

    texts = fetch_run_files(store, run, (SUMMARY, CONFIG, PROFILE))
    if texts is None:
        raise RunNotFoundError(f"{missing}; and {store} has no run {run!r}") from missing
    uri = model or model_of_run(store, run)
    if uri is None:
        raise RunNotFoundError(f"{store}: run {run} has logged no model")
    file = load_registered_model(uri, store)
    parent = Path(mkdtemp(prefix="mlwf-"))
    atexit.register(rmtree, parent, ignore_errors=True)
    run_id = str(json.loads(texts[SUMMARY]).get("run_id") or run)
    folder = RunFolder(parent / Path(run_id).name, run_id)
    folder.path.mkdir()
    for name, text in texts.items():
        folder.write_text(name, text)
    folder.write_json(STATE, {"run_id": run_id, "status": json.loads(texts[SUMMARY]).get("status")})
    for source, name in {file: MODEL_FILE, file.with_name(SCHEMA_FILE): SCHEMA_FILE}.items():
        if source.exists():
            copyfile(source, folder.file(name))
    rows = training_rows(uri, store)
    if rows is not None:
        folder.write_arrays(TRAINING_ROWS, {"rows": rows})
    return str(folder.path)


def find_model_store(run: str, *, runs_dir: Path, tracking_uri: str | None) -> str:
    """Give the store for `models:/NAME@ALIAS`; raises UsageError at once when it, or the run, is not there."""
    from mlwf.specs.base import DEFAULT_STORE, sqlite_file

    if not run.startswith(MODEL_URI):
        find_run(runs_dir, run)
        return DEFAULT_STORE
    model = re.split("[@/]", run.removeprefix(MODEL_URI))[0]
    store = find_store(tracking_uri, runs_dir=runs_dir, model=model)
    if store is None:
        raise UsageError(f"{sqlite_file(DEFAULT_STORE)}: there is no tracking store here; --tracking-uri names another")
    return store


def _tracked(runs_dir: Path) -> Iterator[tuple[str, str | None]]:
    """Give the stores of the runs here, newest first, each with the model that is registered there."""
    from mlwf.specs.loading import store_of_run

    for folder in newest_first(runs_dir):
        tracking = folder.read_json(SUMMARY).get("tracking") or {}
        config = folder.file(CONFIG)
        try:
            store = store_of_run(config) if tracking.get("run_id") and config.exists() else None
        except MlwfError:  # a file that somebody has edited
            continue
        if store is not None:
            yield store, tracking.get("registered_model") if tracking.get("version") else None


def _local(folder: RunFolder) -> dict[str, Any]:
    """Read the summary, or what is known of a run that has none: it runs, or it was killed outright."""
    state = folder.read_json(STATE)
    known: dict[str, Any] = {key: state[key] for key in ("run_id", "name", "started_at") if key in state}
    return {**known, **folder.read_json(SUMMARY), "status": folder.status}
