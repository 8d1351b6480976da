"""Stores that open, and the ones that say in seconds why they do not."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import socket
import sqlite3
import time
from contextlib import closing
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from mlwf.errors import TrackingError
from mlwf.modules.tracking import mlflow_store
from mlwf.modules.tracking.mlflow_store import find_store, open_store

FOLDER = (
    "MLflow no longer keeps runs in plain folders; accepted: sqlite:///mlflow.db, or the address of a server "
    "(runs that lie in a folder move with `mlflow migrate-filestore`)"
)
NO_FILE = "no file is named; accepted: sqlite:///FILE, sqlite:////ABSOLUTE/FILE"


@pytest.fixture
def closed_port():
    """Give a port of this machine that nobody listens to."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return server.getsockname()[1]


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("mlruns", f"mlruns: {FOLDER}"),
        ("file:///data/mlruns", f"file:///data/mlruns: {FOLDER}"),
        ("sqlite://", f"sqlite://: {NO_FILE}"),
        ("sqlite:///:memory:", f"sqlite:///:memory:: {NO_FILE}"),
        ("http://", "http://: the tracking server cannot be reached: no host given"),
    ],
)
def test_open_store_refuses_what_keeps_no_runs(uri, message):
    with pytest.raises(TrackingError) as caught:
        open_store(uri)
    assert str(caught.value) == message


def test_open_store_makes_relative_paths_absolute(store_at, tmp_path, monkeypatch):
    uri = store_at(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert open_store("sqlite:///mlflow.db").tracking_uri == uri


@pytest.mark.parametrize("login", ["", "me:secret@"], ids=["plain", "with a password"])
@pytest.mark.parametrize("scheme", ["http", "postgresql"])
def test_open_store_gives_up_at_once_when_nobody_listens(scheme, login, closed_port):
    from mlflow.tracking.request_header.registry import resolve_request_headers

    resolve_request_headers()  # imports all plugins of MLflow, which takes its seconds once
    started = time.monotonic()
    with pytest.raises(TrackingError) as caught:
        open_store(f"{scheme}://{login}127.0.0.1:{closed_port}")
    assert time.monotonic() - started < 2
    login = login and "***@"
    assert str(caught.value).startswith(
        f"{scheme}://{login}127.0.0.1:{closed_port}: the tracking server cannot be reached: "
    )
    assert str(caught.value).endswith("Connection refused")


def test_open_store_gives_up_soon_when_the_server_never_answers(monkeypatch):
    import mlflow  # noqa: F401

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        uri = f"http://127.0.0.1:{server.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(TrackingError) as caught:
            open_store(uri)
    assert time.monotonic() - started < 3
    assert str(caught.value) == f"{uri}: the tracking server cannot be reached: no answer within 1 seconds"


def test_open_store_refuses_a_file_that_is_no_database(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("These are notes, and long enough to have been a database header.\n" * 20)
    with pytest.raises(TrackingError) as caught:
        open_store(f"sqlite:///{path}")
    assert str(caught.value) == f"{path}: this is not a SQLite file that MLflow could use: file is not a database"


def test_open_store_reports_that_a_folder_cannot_be_made(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(TrackingError) as caught:
        open_store(f"sqlite:///{tmp_path}/taken/mlflow.db")
    assert str(caught.value) == f"{tmp_path}/taken/mlflow.db: the tracking store cannot be opened: Not a directory"


def test_open_store_reports_that_another_process_does_not_end_to_create_it(tmp_path, monkeypatch):
    monkeypatch.setattr(mlflow_store, "LOCK_SECONDS", 0.2)
    artifacts = tmp_path / "mlartifacts"
    artifacts.mkdir()
    other = os.open(artifacts, os.O_RDONLY)
    try:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(TrackingError) as caught:
            open_store(f"sqlite:///{tmp_path}/mlflow.db")
    finally:
        os.close(other)
    assert str(caught.value) == (
        f"{tmp_path}: another process has been creating the tracking store for 0.2 seconds; try again when it has ended"
    )
    assert open_store(f"sqlite:///{tmp_path}/mlflow.db").experiment_id("a")


def test_open_store_reports_how_to_upgrade(tracking_uri):
    with closing(sqlite3.connect(tracking_uri.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    with pytest.raises(TrackingError) as caught:
        open_store(tracking_uri)
    assert str(caught.value) == (
        f"{tracking_uri}: the store was written by another version of MLflow; if by an older one, make a copy of the "
        f"store and run `mlflow db upgrade {tracking_uri}`, if by a newer one, install that"
    )


def test_experiment_id_is_the_same_for_the_same_name(tracking_uri):
    store = open_store(tracking_uri)
    assert store.experiment_id("churn") == store.experiment_id("churn") != store.experiment_id("fraud")


def test_experiment_id_of_a_deleted_experiment_reports_how_to_restore_it(tracking_uri):
    store = open_store(tracking_uri)
    store.client.delete_experiment(store.experiment_id("churn"))
    with pytest.raises(TrackingError) as caught:
        store.experiment_id("churn")
    assert str(caught.value) == (
        f"{tracking_uri}: experiment 'churn' was deleted there; restore it with `mlflow experiments restore -x 1`, "
        "or set another tracking.experiment_name"
    )


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("adult-income", "adult-income"),
        ("what / if: 100 %?", "what-if-100-????????"),
        ("€" * 256, "experiment-????????"),
    ],
    ids=["plain", "signs", "nothing left"],
)
def test_experiments_keep_their_artifacts_beside_the_database(tracking_uri, tmp_path, name, folder):
    store = open_store(tracking_uri)
    location = store.client.get_experiment(store.experiment_id(name)).artifact_location
    assert fnmatch(location, (tmp_path / "mlartifacts").as_uri() + f"/{folder}")
    another = store.client.get_experiment(store.experiment_id(name[:-1] + "!")).artifact_location
    assert another != location


def test_find_store_creates_nothing(tmp_path):
    assert find_store(f"sqlite:///{tmp_path}/deep/mlflow.db") is None
    assert not list(tmp_path.iterdir())


def test_open_store_fills_an_empty_file(store_at, tmp_path):
    (tmp_path / "mlflow.db").touch()
    store = open_store(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert store.client.get_experiment("0").artifact_location == (tmp_path / "mlartifacts/0").as_uri()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlartifacts", "mlflow.db"]


def test_new_store_is_what_the_migrations_of_mlflow_make(tmp_path, monkeypatch):
    """After a new MLflow: `UPDATE_STORE=1 python -m pytest` with this file writes the other, and `REVISION` is set."""
    written = _content(tmp_path / "wörk dir")
    monkeypatch.setattr(mlflow_store, "REVISION", "0123456789ab")
    shutil.rmtree(tmp_path / "wörk dir")
    migrated = _content(tmp_path / "wörk dir")
    if os.environ.get("UPDATE_STORE"):
        with closing(sqlite3.connect(tmp_path / "wörk dir" / "mlflow.db")) as store:
            store.execute("UPDATE experiments SET artifact_location = '', creation_time = 0, last_update_time = 0")
            mlflow_store.EMPTY_STORE.write_text("\n".join([*store.iterdump(), ""]), encoding="utf-8")
    assert written == migrated


def test_no_migration_runs_for_a_new_store_and_one_that_cannot_be_written_is_migrated(tmp_path, monkeypatch):
    migrated = []
    migrate = mlflow_store._migrate
    monkeypatch.setattr(mlflow_store, "_migrate", lambda *places: migrated.append(places) or migrate(*places))
    _content(tmp_path / "written")
    assert not migrated
    broken = tmp_path / "broken.sql"
    broken.write_text("CREATE TABLE experiments (name); SELECT;")
    monkeypatch.setattr(mlflow_store, "EMPTY_STORE", broken)
    assert len(_content(tmp_path / "migrated")) > 100
    assert migrated


def _content(folder: Path) -> list[Any]:
    """Make a new store, and give its schema and all rows but for their times."""
    folder.mkdir()
    opened = open_store(f"sqlite:///{folder}/mlflow.db")
    assert opened.client.get_experiment("0").creation_time == pytest.approx(time.time() * 1000, abs=60_000)
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        connection.execute("UPDATE experiments SET creation_time = 0, last_update_time = 0")
        schema = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY 1, 2").fetchall()
        # The migrations write the constraints of a table in another order each time.
        parts = [(*names, sorted(re.split(r",\s*", sql or ""))) for *names, sql in schema]
        return [*parts, *(line for line in connection.iterdump() if line.startswith("INSERT"))]
