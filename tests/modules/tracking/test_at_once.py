"""Trainings that begin at once on a store that is not there yet all get it: SQLite, a server, PostgreSQL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from sqlalchemy import create_engine, text

from mlwf.errors import TrackingError
from mlwf.modules.tracking import connection as mlflow_connection
from mlwf.modules.tracking import sending
from mlwf.modules.tracking.logged_model import register_model
from mlwf.modules.tracking.mlflow_store import open_store
from mlwf.modules.tracking.unsent import Unsent
from tests.mlflow_server import mlflow_server
from tests.postgresql_server import postgresql_server

pytestmark = pytest.mark.slow

EXPERIMENT = """\
name: race
data: {path: DATA, target: species}
features: [{type: numeric, columns: [bill_length_mm, body_mass_g]}]
model: {algorithm: decision_tree}
validation: {cv_folds: 2, metrics: [accuracy]}
tracking: {tracking_uri: "${env:STORE}", registered_model_name: race, alias: best}
"""

DATASET = {
    "name": "training",
    "digest": "0a1b",
    "source_type": "local",
    "source": "{}",
    "schema": None,
    "profile": None,
}


@contextmanager
def server(tmp_path: Path) -> Iterator[str]:
    with mlflow_server(tmp_path) as (uri, _):
        yield uri


@contextmanager
def postgresql(tmp_path: Path) -> Iterator[str]:
    with postgresql_server() as uri:
        yield uri


@contextmanager
def sqlite(tmp_path: Path) -> Iterator[str]:
    yield f"sqlite:///{tmp_path}/new/mlflow.db"


@pytest.mark.parametrize("kind", [sqlite, server, postgresql], ids=["sqlite", "server", "postgresql"])
def test_four_trainings_at_once_are_all_tracked(tmp_path, kind: Callable):
    data = Path(__file__).parents[3] / "configs/data/penguins.csv"
    (tmp_path / "race.yaml").write_text(EXPERIMENT.replace("DATA", str(data)))
    command = [sys.executable, "-m", "mlwf", "train", "race.yaml", "--quiet"]
    pipe = subprocess.PIPE
    with kind(tmp_path) as uri:
        trainings = [
            subprocess.Popen(
                command, stdout=pipe, stderr=pipe, text=True, cwd=tmp_path, env={**os.environ, "STORE": uri}
            )
            for _ in range(4)
        ]
        errors = [training.communicate(timeout=400)[1] for training in trainings]
        assert ([training.returncode for training in trainings], errors) == ([0] * 4, [""] * 4)
        client = open_store(uri).client
        runs = client.search_runs([client.get_experiment_by_name("race").experiment_id])
        assert [run.info.status for run in runs] == ["FINISHED"] * 4
        outcome = ("mlwf.status", "mlwf.degraded", "mlwf.missing")
        tags = [tuple(run.data.tags.get(tag) for tag in outcome) for run in runs]
        assert tags == [("done", None, None)] * 4
        versions = client.search_model_versions("name = 'race'")
        assert sorted(int(version.version) for version in versions) == [1, 2, 3, 4]
        assert {version.run_id for version in versions} == {run.info.run_id for run in runs}
        assert int(client.get_model_version_by_alias("race", "best").version) in {1, 2, 3, 4}


def test_who_waits_for_a_database_too_long_reports_so(tmp_path, monkeypatch):
    monkeypatch.setattr(mlflow_connection, "LOCK_SECONDS", 1)
    with postgresql(tmp_path) as uri, create_engine(uri).begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": mlflow_connection._NUMBER})
        with pytest.raises(TrackingError) as caught:
            open_store(uri)
    assert str(caught.value) == (
        f"{uri}: another process has held the lock of the tracking store for 1 seconds; try again when it has ended"
    )


def test_one_run_registers_at_a_time(tmp_path, monkeypatch):
    """Two at once set the alias of one model at the same moment, and MLflow refuses one of them."""
    monkeypatch.setattr(mlflow_connection, "LOCK_SECONDS", 1)
    with postgresql(tmp_path) as uri:
        store = open_store(uri)
        run = store.client.create_run(store.experiment_id("race"))
        with create_engine(uri).begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": mlflow_connection._NUMBER})
            with pytest.raises(TrackingError, match="another process has held the lock"):
                register_model(store, run, None, "race", alias="best")
        assert register_model(store, run, None, "race", alias="best") == "1"


@pytest.mark.parametrize(
    ("part", "content", "call"),
    [
        ("registration", {"name": "race", "alias": "best", "tags": {}}, "set_registered_model_alias"),
        ("datasets", [{"dataset": DATASET, "context": "training"}], "log_inputs"),
    ],
)
def test_what_another_run_wrote_at_the_same_moment_is_tried_again(tmp_path, monkeypatch, part, content, call):
    refusals = [MlflowException("two at once", error_code=BAD_REQUEST)]
    store = open_store(f"sqlite:///{tmp_path}/mlflow.db")
    run = store.client.create_run(store.experiment_id("race"))
    unsent = Unsent(tmp_path / "unsent", {"run_id": run.info.run_id, "model_id": None})
    unsent.add(part, content)
    write = getattr(store.client, call)

    def refuse_once(*arguments: object) -> None:
        if refusals:
            raise refusals.pop()
        write(*arguments)

    monkeypatch.setattr(store.client, call, refuse_once)
    monkeypatch.setattr(sending, "RETRY_SECONDS", 0)
    sending.Sender(store, unsent).send(part)
    assert (refusals, unsent.waiting, unsent.missing) == ([], {}, {})


def test_a_database_is_free_again_when_who_opens_it_is_killed(tmp_path):
    code = "import sys, time; from mlwf.modules.tracking.connection import locked_database\n"
    code += "with locked_database(sys.argv[1]): print('held', flush=True); time.sleep(60)"
    with (
        postgresql(tmp_path) as uri,
        subprocess.Popen([sys.executable, "-c", code, uri], stdout=subprocess.PIPE, text=True) as holder,
    ):
        assert holder.stdout.readline() == "held\n"
        threading.Timer(0.5, holder.kill).start()
        assert open_store(uri).experiment_id("race")
        assert holder.wait(timeout=10) == -signal.SIGKILL
