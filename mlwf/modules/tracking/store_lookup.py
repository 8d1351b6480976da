"""Find runs and registered models in a store, and end runs whose process is gone."""

from __future__ import annotations

import atexit
import json
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from mlwf.errors import RunNotFoundError, TrackingError
from mlwf.modules.tracking.aliases import NOT_THERE
from mlwf.modules.tracking.artifacts import TRAINING_ROWS, read_training_rows
from mlwf.modules.tracking.connection import mlflow_errors, uri_text
from mlwf.modules.tracking.mlflow_store import Store, find_store
from mlwf.modules.tracking.run_values import PROCESS_TAGS
from mlwf.modules.tracking.unsent import SUMMARY
from mlwf.processes import is_running
from mlwf.text import describe_error

logger = logging.getLogger(__name__)


class RegisteredModelError(TrackingError):
    """The store has no such model, or one of another kind than mlwf writes."""


def find_run(tracking_uri: str, text: str) -> dict[str, Any] | None:
    """Give the summary of the run that `text` names: our id or a unique prefix of it, or MLflow's id.

    None when the store does not exist or holds no such run. Raises RunNotFoundError when several runs begin so, or the
    run ended without a summary; TrackingError when the store does not answer.
    """
    texts = fetch_run_files(tracking_uri, text, [SUMMARY])
    summary: dict[str, Any] | None = None if texts is None else json.loads(texts[SUMMARY])
    return summary


def fetch_run_files(tracking_uri: str, text: str, names: Sequence[str]) -> dict[str, str] | None:
    """Fetch files of text of the run that `text` names, those that it has of `names`; raises as `find_run` does."""
    store = find_store(tracking_uri)
    if store is None or not re.fullmatch(r"[\w.-]+", text):
        return None
    with mlflow_errors(store.tracking_uri, f"looking for run {text}"):
        run = _named(store, text)
        if run is None:
            return None
        there = {file.path for file in store.client.list_artifacts(run.info.run_id)}
        if SUMMARY not in there:
            raise RunNotFoundError(
                f"run {text} is on {uri_text(tracking_uri)} without a summary: its status is {run.info.status}"
            )
        with TemporaryDirectory(prefix="mlwf-") as folder:
            paths = {
                name: store.client.download_artifacts(run.info.run_id, name, folder) for name in names if name in there
            }
            return {name: Path(path).read_text(encoding="utf-8") for name, path in paths.items()}


def run_of_model(model_uri: str, tracking_uri: str) -> str | None:
    """Give MLflow's id of the run that a registered model comes from; raises as `load_registered_model` does."""
    store = _store_of(model_uri, tracking_uri)
    with mlflow_errors(store.tracking_uri, f"looking for {model_uri}"):
        return _run_of(store, model_uri)


def model_of_run(tracking_uri: str, text: str) -> str | None:
    """Give the URI of the model that a run has logged, as `models:/m-1234`; raises as `find_run` does."""
    store = find_store(tracking_uri)
    if store is None:
        return None
    with mlflow_errors(store.tracking_uri, f"looking for the model of run {text}"):
        run = _named(store, text)
        logged = run.outputs.model_outputs if run is not None and run.outputs is not None else []
        return f"models:/{logged[0].model_id}" if logged else None


def mark_stale_runs(store: Store) -> list[str]:
    """Set runs KILLED that are marked as running while their process is surely gone, and give their MLflow ids.

    A process that was killed outright could not do it itself. Runs of other machines and containers are left alone.
    What fails, such as a run of another user that may not be written, is a warning in the log.
    """
    try:
        with mlflow_errors(store.tracking_uri, "looking for runs that were killed"):
            # Only runs of mlwf have the tags of their process.
            found = _search(store, "attributes.status = 'RUNNING' and tags.`mlwf.pid_namespace` LIKE '%'")
    except TrackingError as error:
        logger.warning("%s", error)
        return []
    gone = [run.info.run_id for run in found if is_running(_process_of(run)) is False]
    return [run_id for run_id in gone if _mark_killed(store, run_id)]


def _process_of(run: Any) -> dict[str, Any]:
    return {key: run.data.tags.get(f"mlwf.{tag}") for key, tag in PROCESS_TAGS.items()}


def _mark_killed(store: Store, run_id: str) -> bool:
    """Set a run KILLED whose process is gone, unless it has ended after all; give whether it was done."""
    try:
        with mlflow_errors(store.tracking_uri, f"marking run {run_id} as killed"):
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
    # A run that was logged to this store twice: the later one is taken.
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


def pin_model_uri(model_uri: str, tracking_uri: str) -> str:
    """Give the version that an alias or `latest` names now, as `models:/name/3`: they may move on at any time.

    Raises as `load_registered_model` does.
    """
    store = _store_of(model_uri, tracking_uri)
    with mlflow_errors(store.tracking_uri, f"looking for {model_uri}"):
        version = _version(store, model_uri)
    return model_uri if isinstance(version, str) else f"models:/{version.name}/{version.version}"


def load_registered_model(model_uri: str, tracking_uri: str) -> Path:
    """Fetch a model such as `models:/name@alias` or `models:/name/3`, and give the path of its skops file.

    Load the file with `mlwf.engine.model_file.load_model`, before this process ends: MLflow's own loaders trust the
    allow-list that a model brings along. Raises RegisteredModelError when there is no such model, or it is of another
    kind than mlwf writes; TrackingError when the store does not answer.
    """
    store = _store_of(model_uri, tracking_uri)
    with mlflow_errors(store.tracking_uri, f"fetching {model_uri}"):
        from mlflow.artifacts import download_artifacts
        from mlflow.models import Model

        location = _location(store, model_uri)
        fetched = None
        if urlsplit(location).scheme not in {"", "file"}:
            fetched = mkdtemp(prefix="mlwf-")
            atexit.register(rmtree, fetched, ignore_errors=True)
        folder = Path(download_artifacts(artifact_uri=location, tracking_uri=store.tracking_uri, dst_path=fetched))
        flavor = Model.load(str(folder)).flavors.get("sklearn", {})
        if flavor.get("serialization_format") != "skops":
            raise RegisteredModelError(
                f"{uri_text(tracking_uri)}: {model_uri} is no scikit-learn model in skops format, as mlwf logs them; "
                "models in other formats may run any code when they are loaded"
            )
        file = (folder / str(flavor["pickled_model"])).resolve()
        if not file.is_relative_to(folder.resolve()) or not file.is_file():
            raise RegisteredModelError(
                f"{uri_text(tracking_uri)}: {model_uri} lacks its model file {flavor['pickled_model']!r}"
            )
        return file


def training_rows(model_uri: str, tracking_uri: str) -> NDArray[np.uint64] | None:
    """Fetch the hashes of the rows that a registered model was trained on, one for each row.

    None when its run has no such file: it is gone, or mlwf did not write it. Raises as `load_registered_model` does.
    """
    store = _store_of(model_uri, tracking_uri)
    with mlflow_errors(store.tracking_uri, f"fetching the training rows of {model_uri}"):
        run_id = _run_of(store, model_uri)
        if run_id is None or not any(file.path == TRAINING_ROWS for file in _files_of(store, run_id)):
            return None
        with TemporaryDirectory(prefix="mlwf-") as folder:
            return read_training_rows(Path(store.client.download_artifacts(run_id, TRAINING_ROWS, folder)))


def _store_of(model_uri: str, tracking_uri: str) -> Store:
    store = find_store(tracking_uri)
    if store is None:
        raise RegisteredModelError(f"{uri_text(tracking_uri)}: there is no tracking store, and so no {model_uri}")
    return store


def _location(store: Store, model_uri: str) -> str:
    version = _version(store, model_uri)
    if isinstance(version, str):
        return str(store.client.get_logged_model(version).artifact_location)
    return str(store.client.get_model_version_download_uri(version.name, str(version.version)))


def _run_of(store: Store, model_uri: str) -> str | None:
    """Give the id of the run that a model comes from."""
    version = _version(store, model_uri)
    if isinstance(version, str):
        return store.client.get_logged_model(version).source_run_id or None
    return version.run_id or None


def _files_of(store: Store, run_id: str) -> list[Any]:
    from mlflow.exceptions import MlflowException

    try:
        return list(store.client.list_artifacts(run_id))
    except MlflowException as error:
        if error.error_code in NOT_THERE:  # the run was deleted for good; its model was not
            return []
        raise


def _version(store: Store, model_uri: str) -> Any:
    """Find what a URI names: a version of a registered model, or the id of a logged one."""
    from mlflow.exceptions import MlflowException

    kind, _, reference = model_uri.partition(":/")
    # A name holds no /, and may hold an @.
    is_alias = "@" in reference and "/" not in reference
    name, _, chosen = reference.rpartition("@") if is_alias else reference.partition("/")
    if kind != "models" or not name:
        raise RegisteredModelError(f"{model_uri} is no model; accepted: models:/name@alias, models:/name/version")
    try:
        if not chosen:
            return str(store.client.get_logged_model(name).model_id)
        if is_alias:
            return store.client.get_model_version_by_alias(name, chosen)
        return _latest(store, name) if chosen == "latest" else store.client.get_model_version(name, chosen)
    except MlflowException as error:
        if error.error_code not in NOT_THERE:
            raise
        message = f"{uri_text(store.tracking_uri)}: fetching {model_uri} failed: {describe_error(error)}"
        raise RegisteredModelError(message) from error


def _latest(store: Store, name: str) -> Any:
    quote = '"' if "'" in name else "'"
    filter_string = f"name = {quote}{name}{quote}"
    versions = store.client.search_model_versions(filter_string, order_by=["version_number DESC"], max_results=1)
    if not versions:
        raise RegisteredModelError(f"{uri_text(store.tracking_uri)}: no model {name!r} is registered there")
    return versions[0]
