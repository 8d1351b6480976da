"""The registry: give a logged model a name, and fetch a registered one with what its run says of it."""

from __future__ import annotations

import atexit
import json
from collections.abc import Mapping
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from mlwf.errors import TrackingError
from mlwf.modules.tracking.database import locked_database
from mlwf.modules.tracking.files import TRAINING_ROWS, read_training_rows
from mlwf.modules.tracking.model import artifact_uri
from mlwf.modules.tracking.store import Store, as_default, find_store
from mlwf.modules.tracking.talking import one_line, shown, talking

_NOT_THERE = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
"""Error codes of MLflow for a name, an alias or a version that a registry does not have."""


class RegisteredModelError(TrackingError):
    """The store answers, and has no such model, or one of another kind than mlwf writes."""


def register_model(
    store: Store,
    run: Any,
    model_id: str | None,
    name: str,
    *,
    alias: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> str:
    """Register a run's model under a name, give the version the alias, and return the version.

    `model_id` is None where the model is an artifact of the run. A version that the run has already is taken again.
    """
    # Two versions of one model at the same moment are one too many for MLflow.
    with locked_database(store.tracking_uri):
        return _register(store, run, model_id, name, alias, tags or {})


def _register(
    store: Store, run: Any, model_id: str | None, name: str, alias: str | None, tags: Mapping[str, str]
) -> str:
    from mlflow.exceptions import MlflowException

    try:
        store.client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code not in {"RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"} and not _is_there(store, name):
            raise
    source = artifact_uri(run) if model_id is None else f"models:/{model_id}"
    version = _version_of(store, run, name, source)
    if version is None:
        more = {} if model_id is None else {"model_id": model_id}
        with as_default(store):
            registered = store.client.create_model_version(
                name, source, run_id=run.info.run_id, tags=dict(tags), **more
            )
        version = str(registered.version)
    if alias:
        store.client.set_registered_model_alias(name, alias, version)
    if model_id is not None:
        # The link from the logged model to its version, as MLflow's own log_model leaves it.
        link = json.dumps([{"name": name, "version": int(version)}])
        store.client.set_logged_model_tags(model_id, {"mlflow.modelVersions": link})
    return version


def _is_there(store: Store, name: str) -> bool:
    """Tell whether a registered model is there, for a login that may add versions to it and create none."""
    from mlflow.exceptions import MlflowException

    try:
        store.client.get_registered_model(name)
    except MlflowException:
        return False
    return True


def _version_of(store: Store, run: Any, name: str, source: str) -> str | None:
    """Find the version that this run has registered already: its answer may have been lost."""
    found = store.client.search_model_versions(f"run_id = '{run.info.run_id}'")
    versions = [str(version.version) for version in found if (version.name, version.source) == (name, source)]
    return versions[0] if versions else None


def pin_model_uri(model_uri: str, tracking_uri: str) -> str:
    """Give the version that an alias or `latest` names now, as `models:/name/3`: they may move on at any time.

    Raises as `load_registered_model` does.
    """
    store = _store_of(model_uri, tracking_uri)
    with talking(store.tracking_uri, f"looking for {model_uri}"):
        version = _version(store, model_uri)
    return model_uri if isinstance(version, str) else f"models:/{version.name}/{version.version}"


def load_registered_model(model_uri: str, tracking_uri: str) -> Path:
    """Fetch a model such as `models:/name@alias` or `models:/name/3`, and give the path of its skops file.

    Load the file with `mlwf.engine.model_file.load_model`, before this process ends: MLflow's own loaders trust the
    allow-list that a model brings along. Raises RegisteredModelError when there is no such model, or it is of another
    kind than mlwf writes; TrackingError when the store does not answer.
    """
    store = _store_of(model_uri, tracking_uri)
    with talking(store.tracking_uri, f"fetching {model_uri}"):
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
                f"{shown(tracking_uri)}: {model_uri} is no scikit-learn model in skops format, as mlwf logs them; "
                "models in other formats may run any code when they are loaded"
            )
        file = (folder / str(flavor["pickled_model"])).resolve()
        if not file.is_relative_to(folder.resolve()) or not file.is_file():
            raise RegisteredModelError(
                f"{shown(tracking_uri)}: {model_uri} lacks its model file {flavor['pickled_model']!r}"
            )
        return file


def training_rows(model_uri: str, tracking_uri: str) -> NDArray[np.uint64] | None:
    """Fetch the hashes of the rows that a registered model was trained on, one for each row.

    None when its run does not say: it is gone, or not one of ours. Raises as `load_registered_model` does.
    """
    store = _store_of(model_uri, tracking_uri)
    with talking(store.tracking_uri, f"fetching the training rows of {model_uri}"):
        run_id = _run_of(store, model_uri)
        if run_id is None or not any(file.path == TRAINING_ROWS for file in _files_of(store, run_id)):
            return None
        with TemporaryDirectory(prefix="mlwf-") as folder:
            return read_training_rows(Path(store.client.download_artifacts(run_id, TRAINING_ROWS, folder)))


def _store_of(model_uri: str, tracking_uri: str) -> Store:
    store = find_store(tracking_uri)
    if store is None:
        raise RegisteredModelError(f"{shown(tracking_uri)}: there is no tracking store, and so no {model_uri}")
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
        if error.error_code in _NOT_THERE:  # the run was deleted for good; its model was not
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
        if error.error_code not in _NOT_THERE:
            raise
        message = f"{shown(store.tracking_uri)}: fetching {model_uri} failed: {one_line(error)}"
        raise RegisteredModelError(message) from error


def _latest(store: Store, name: str) -> Any:
    quote = '"' if "'" in name else "'"
    filter_string = f"name = {quote}{name}{quote}"
    versions = store.client.search_model_versions(filter_string, order_by=["version_number DESC"], max_results=1)
    if not versions:
        raise RegisteredModelError(f"{shown(store.tracking_uri)}: no model {name!r} is registered there")
    return versions[0]
