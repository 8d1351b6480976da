"""Open the store of a tracking URI, create what is missing, and create or resume a run in it."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2s
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

from mlwf.errors import TrackingError
from mlwf.modules.tracking.connection import (
    LOCK_SECONDS,
    is_server,
    locked_database,
    mlflow_errors,
    reach,
    reason_of,
    uri_text,
)
from mlwf.text import describe_error

EMPTY_STORE = Path(__file__).with_name("empty_store.sql")
"""The schema and the rows of a new store; a test compares them with what the migrations make."""
REVISION = "dc11669786a5"
"""The last of the migrations that are in it."""


def write_empty_store(path: Path, artifacts: Path) -> bool:
    """Write a new store in milliseconds, where MLflow's sixty migrations take a second; False where it cannot be done.

    It can be done where the installed MLflow has no migration after those in `EMPTY_STORE`.
    """
    if not _is_last_migration(REVISION):
        return False
    now = int(time.time() * 1000)
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            connection.executescript(EMPTY_STORE.read_text(encoding="utf-8"))
            connection.execute(
                "UPDATE experiments SET artifact_location = ?, creation_time = ?, last_update_time = ?",
                (f"{artifacts.as_uri()}/0", now, now),
            )
            connection.commit()
    except (OSError, sqlite3.Error):  # MLflow says better what is wrong with the place
        path.unlink(missing_ok=True)
        return False
    return True


def _is_last_migration(revision: str) -> bool:
    """Look whether MLflow has a migration, and no other that names it as the one before."""
    mlflow = find_spec("mlflow")
    if mlflow is None or mlflow.origin is None:
        return False
    migrations = list(Path(mlflow.origin).parent.glob("store/db_migrations/versions/*.py"))
    others = [file for file in migrations if not file.name.startswith(f"{revision}_")]
    return len(others) < len(migrations) and not any(revision in file.read_text(encoding="utf-8") for file in others)


_LONGEST_FOLDER = 50

_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
"""Without it MLflow's pages show an experiment as one with language models."""


@dataclass(frozen=True, eq=False)
class Store:
    """An MLflow store that answers."""

    tracking_uri: str
    """As MLflow takes it: the path of a SQLite file is absolute."""
    client: Any = field(repr=False)
    artifacts: Path | None
    """Folder for the artifacts of a SQLite store; None where the server decides."""

    def experiment_id(self, name: str) -> str:
        """Give the id of the experiment of that name, and create it where there is none."""
        from mlflow.exceptions import MlflowException

        experiment = self.client.get_experiment_by_name(name)
        if experiment is None:
            try:
                return str(self.client.create_experiment(name, self._artifact_location(name), _EXPERIMENT_TAGS))
            except MlflowException:
                # Another process has created it, or the name is refused.
                experiment = self.client.get_experiment_by_name(name)
                if experiment is None:
                    raise
        if experiment.lifecycle_stage == "deleted":
            raise TrackingError(
                f"{uri_text(self.tracking_uri)}: experiment {name!r} was deleted there; restore it with "
                f"`mlflow experiments restore -x {experiment.experiment_id}`, or set another tracking.experiment_name"
            )
        return str(experiment.experiment_id)

    @cached_property
    def has_logged_models(self) -> bool:
        """Whether models can be logged beside their run; a server of MLflow 2 keeps them in it."""
        from mlflow.exceptions import MlflowException

        if not is_server(self.tracking_uri):
            return True
        try:
            self.client.search_logged_models(experiment_ids=["0"], max_results=1)
        except MlflowException as error:
            return error.error_code not in {"ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED"}
        return True

    def _artifact_location(self, name: str) -> str | None:
        if self.artifacts is None:
            return None
        return (self.artifacts / _folder_name(name)).as_uri()


def check_uri(tracking_uri: str) -> str:
    """Give the URI as MLflow takes it, or raise a TrackingError that says which ones are accepted."""
    scheme = urlsplit(tracking_uri).scheme
    if scheme.split("+")[0] == "sqlite":
        return f"sqlite:///{sqlite_path(tracking_uri)}"
    if scheme in {"", "file"} and tracking_uri not in {"databricks", "databricks-uc"}:
        raise TrackingError(
            f"{tracking_uri}: MLflow no longer keeps runs in plain folders; accepted: sqlite:///mlflow.db, or the "
            "address of a server (runs that lie in a folder move with `mlflow migrate-filestore`)"
        )
    return tracking_uri


def sqlite_path(tracking_uri: str) -> Path:
    """Give the file of a SQLite URI, absolute."""
    path = tracking_uri.partition("://")[2].partition("?")[0]
    if not path.startswith("/") or path in {"/", "/:memory:"}:
        raise TrackingError(f"{tracking_uri}: no file is named; accepted: sqlite:///FILE, sqlite:////ABSOLUTE/FILE")
    return Path(path[1:]).absolute()


def open_store(tracking_uri: str) -> Store:
    """Open a store, and create a SQLite file where there is none; raises TrackingError in seconds."""
    uri = check_uri(tracking_uri)
    with mlflow_errors(uri, "opening the tracking store"):
        reach(uri)
        artifacts = _prepare_sqlite(uri) if uri.startswith("sqlite:") else None
        from mlflow import MlflowClient

        try:
            with locked_database(uri):
                client = MlflowClient(tracking_uri=uri, registry_uri=uri)
                client.search_experiments(max_results=1)
        except Exception as error:
            # MLflow has no type and no code of its own for it.
            if "out-of-date database schema" in str(error):
                raise TrackingError(
                    f"{uri_text(uri)}: the store was written by another version of MLflow; if by an older one, make a "
                    f"copy of the store and run `mlflow db upgrade {uri_text(uri)}`, if by a newer one, install that"
                ) from error
            raise
        return Store(tracking_uri=uri, client=client, artifacts=artifacts)


def find_store(tracking_uri: str) -> Store | None:
    """Open a store only if it exists already."""
    uri = check_uri(tracking_uri)
    if uri.startswith("sqlite:") and not sqlite_path(uri).exists():
        return None
    return open_store(uri)


@contextmanager
def as_default(store: Store) -> Iterator[None]:
    """Make a store MLflow's global one for a moment: the registry of a database looks up models nowhere else."""
    import mlflow

    if is_server(store.tracking_uri):
        yield
        return
    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    variable = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(store.tracking_uri)
    try:
        yield
    finally:
        # Setting it writes the environment variable as well, which child processes inherit.
        mlflow.set_tracking_uri(None if before == variable else before)
        if variable is not None:
            os.environ["MLFLOW_TRACKING_URI"] = variable
        else:
            os.environ.pop("MLFLOW_TRACKING_URI", None)


def begin_run(
    store: Store, *, run_name: str | None, tags: Mapping[str, str], experiment: str | None, default_experiment: str
) -> Any:
    """Create a run, or resume the one that MLFLOW_RUN_ID names, as MLflow's own `start_run` does.

    The experiment is `experiment`, else that of MLflow's environment, else `default_experiment`.
    """
    # Taken out, so that the next run of this process is another one.
    resumed = os.environ.pop("MLFLOW_RUN_ID", None)
    if resumed:
        return _resume_run(store, resumed, tags=tags, experiment=experiment)
    name = experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME")
    experiment_id = os.environ.get("MLFLOW_EXPERIMENT_ID")
    if name is None and experiment_id:
        experiment_id = str(store.client.get_experiment(experiment_id).experiment_id)
    else:
        experiment_id = store.experiment_id(name or default_experiment)
    # With the experiment as an argument: MLflow's set_experiment may lose a race in silence, and the run would be of
    # another experiment.
    return store.client.create_run(experiment_id, run_name=run_name, tags=dict(tags))


def _resume_run(store: Store, run_id: str, *, tags: Mapping[str, str], experiment: str | None) -> Any:
    """Resume a run that another process has created, as `mlflow run` does: its name and its origin stay."""
    from mlflow.exceptions import MlflowException

    uri = uri_text(store.tracking_uri)
    try:
        run = store.client.get_run(run_id)
    except MlflowException as error:
        reason = reason_of(error)
        raise TrackingError(f"{uri}: MLFLOW_RUN_ID names a run that is not there: {reason}") from error
    if run.info.lifecycle_stage == "deleted":
        raise TrackingError(f"{uri}: MLFLOW_RUN_ID names run {run_id}, which was deleted")
    named = store.client.get_experiment(run.info.experiment_id).name
    if experiment is not None and experiment != named:
        raise TrackingError(
            f"MLFLOW_RUN_ID names run {run_id} of experiment {named!r}, and tracking.experiment_name is "
            f"{experiment!r}: leave one of the two out"
        )
    store.client.update_run(run_id, status="RUNNING")
    for key, text in tags.items():
        if key.startswith("mlwf."):
            store.client.set_tag(run_id, key, text)
    return run


def _folder_name(name: str) -> str:
    """Name a folder after an experiment; one that cannot be called so gets a digest, and is no other's."""
    folder = re.sub(r"[^\w.-]+", "-", name).strip("-.")[:_LONGEST_FOLDER]
    return folder if folder == name else f"{folder or 'experiment'}-{blake2s(name.encode(), digest_size=4).hexdigest()}"


def _prepare_sqlite(uri: str) -> Path:
    """Create the SQLite store unless it is there, and give the folder of its artifacts."""
    path = sqlite_path(uri)
    artifacts = path.parent / "mlartifacts"
    try:
        artifacts.mkdir(parents=True, exist_ok=True)
        if not _has_tables(path):
            with _locked(artifacts):
                if not _has_tables(path):
                    _create(path, artifacts)
    except OSError as error:
        raise TrackingError(f"{path}: the tracking store cannot be opened: {error.strerror or error}") from error
    return artifacts


def _has_tables(path: Path) -> bool:
    if not path.exists() or path.stat().st_size == 0:
        return False
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            return bool(connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()[0])
    except sqlite3.DatabaseError as error:
        raise TrackingError(
            f"{path}: this is not a SQLite file that MLflow could use: {describe_error(error)}"
        ) from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder; several processes that create one store at the same time make MLflow crash."""
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    deadline = time.monotonic() + LOCK_SECONDS
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TrackingError(
                        f"{folder.parent}: another process has been creating the tracking store for "
                        f"{LOCK_SECONDS:g} seconds; try again when it has ended"
                    ) from None
                time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def _create(path: Path, artifacts: Path) -> None:
    """Create a store beside its place and move it there, so that no process opens half of one."""
    # A name of its own each time: MLflow keeps what it has opened by that name, also where it failed.
    draft = path.with_name(f".{path.name}.{token_hex(4)}")
    try:
        if not write_empty_store(draft, artifacts):
            _migrate(draft, artifacts)
        _flush(draft)
        if path.exists() and path.stat().st_size == 0:
            path.unlink()
        _move(draft, path)
    finally:
        for left in (draft, draft.with_name(f"{draft.name}-journal")):
            left.unlink(missing_ok=True)


def _migrate(draft: Path, artifacts: Path) -> None:
    """Let MLflow create a store by its migrations."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def hasten(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    # Some sixty migrations wait for the disk after each statement otherwise: eight seconds instead of two.
    event.listen(Engine, "connect", hasten)
    try:
        SqlAlchemyStore(f"sqlite:///{draft}", artifacts.as_uri()).engine.dispose()
    finally:
        event.remove(Engine, "connect", hasten)


def _move(draft: Path, path: Path) -> None:
    """Give a file its name, and never replace what another process put there in the meantime."""
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        draft.rename(path)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
