"""Runs and models are found again; runs of dead processes are ended."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

from mlwf.engine.model_file import load_model
from mlwf.errors import RunNotFoundError, TrackingError
from mlwf.modules.tracking import (
    RegisteredModelError,
    TrackedRows,
    find_run,
    load_registered_model,
    mark_stale_runs,
    pin_model_uri,
    training_rows,
)
from mlwf.modules.tracking.logged_model import register_model
from mlwf.processes import this_process


@pytest.mark.parametrize("text", ["20260101-120000-abcd", "2026", "mlflow's"])
def test_find_run_takes_our_id_a_prefix_or_mlflows_id(tracked, text):
    text = tracked.tracker.run_id if text == "mlflow's" else text
    summary = find_run(tracked.tracker.tracking_uri, text)
    classes = ["Adelie", "Chinstrap", "Gentoo"]
    assert summary == {"run_id": "20260101-120000-abcd", "cv_score": 0.97, "spread": None, "classes": classes}


@pytest.mark.parametrize("text", ["nope", "20260101_120000", "' OR 1=1", ""])
def test_find_run_gives_none_for_another(tracked, text):
    assert find_run(tracked.tracker.tracking_uri, text) is None


def test_find_run_creates_no_store(tmp_path):
    assert find_run(f"sqlite:///{tmp_path}/mlflow.db", "2026") is None
    assert not list(tmp_path.iterdir())


def test_find_run_refuses_a_prefix_of_several(tracking_uri, make_tracker):
    for run_id in ("2026-a", "2026-b"):
        make_tracker(tracking_uri, run_id=run_id).start_run()
    with pytest.raises(RunNotFoundError, match=r"^several runs begin with 2026: 2026-a, 2026-b$"):
        find_run(tracking_uri, "2026")


def test_find_run_reports_that_a_run_ended_without_a_summary(tracking_uri, make_tracker):
    tracker = make_tracker(tracking_uri, run_id="2026-a")
    tracker.start_run()
    tracker.end_run(status="KILLED")
    with pytest.raises(RunNotFoundError) as caught:
        find_run(tracking_uri, "2026-a")
    assert str(caught.value) == f"run 2026-a is on {tracking_uri} without a summary: its status is KILLED"


def test_mark_stale_runs_ends_those_whose_process_is_gone(tracking_uri, make_tracker):
    here = this_process()
    processes = {
        "alive": here,
        "gone": here | {"start": "before this process"},
        "renamed": here | {"host": "another-host"},
        "elsewhere": here | {"namespace": "another machine, or a container of this one", "start": "?"},
        "strange": here | {"pid": "?"},
        "unknown": None,
    }
    trackers = {name: make_tracker(tracking_uri, run_id=name, process=process) for name, process in processes.items()}
    for tracker in trackers.values():
        tracker.start_run()
    store = trackers["alive"].connect()
    assert mark_stale_runs(store) == [trackers["gone"].run_id]
    runs = {name: store.client.get_run(tracker.run_id) for name, tracker in trackers.items()}
    assert {name for name, run in runs.items() if run.info.status == "KILLED"} == {"gone"}
    assert {run.info.status for name, run in runs.items() if name != "gone"} == {"RUNNING"}
    assert runs["gone"].data.tags["mlwf.status"] == "killed"
    assert runs["gone"].info.end_time


def test_mark_stale_runs_leaves_a_run_that_ended_meanwhile(tracking_uri, make_tracker, monkeypatch):
    tracker = make_tracker(tracking_uri, run_id="2026-a")
    tracker.start_run()

    def ends_meanwhile(process):
        tracker.end_run()
        return False

    monkeypatch.setattr("mlwf.modules.tracking.store_lookup.is_running", ends_meanwhile)
    assert mark_stale_runs(tracker.connect()) == []
    assert tracker.connect().client.get_run(tracker.run_id).info.status == "FINISHED"


def test_mark_stale_runs_logs_what_it_may_not_mark(tracking_uri, make_tracker, monkeypatch, caplog):
    gone = this_process() | {"start": "before this process"}
    trackers = [make_tracker(tracking_uri, run_id=name, process=gone) for name in ("theirs", "ours")]
    for tracker in trackers:
        tracker.start_run()
    theirs, ours = trackers
    client = ours.connect().client
    set_tag = client.set_tag

    def refuses_theirs(run_id, *args):
        if run_id == theirs.run_id:
            raise MlflowException("Permission denied", PERMISSION_DENIED)
        set_tag(run_id, *args)

    monkeypatch.setattr(client, "set_tag", refuses_theirs)
    assert mark_stale_runs(ours.connect()) == [ours.run_id]
    message = f"{tracking_uri}: marking run {theirs.run_id} as killed failed: Permission denied"
    assert caplog.messages == [message]
    assert client.get_run(theirs.run_id).info.status == "RUNNING"


def test_mark_stale_runs_logs_that_it_may_not_look(tracking_uri, make_tracker, monkeypatch, caplog):
    store = make_tracker(tracking_uri).connect()

    def refuses(*args, **kwargs):
        raise MlflowException("Permission denied", PERMISSION_DENIED)

    monkeypatch.setattr(store.client, "search_runs", refuses)
    assert mark_stale_runs(store) == []
    assert caplog.messages == [f"{tracking_uri}: looking for runs that were killed failed: Permission denied"]


@pytest.mark.parametrize("uri", ["models:/penguins@challenger", "models:/penguins/1", "models:/penguins/latest", "id"])
def test_load_registered_model_gives_the_file_of_the_run_s_model(tracked, uri):
    uri = f"models:/{tracked.tracker.model_id}" if uri == "id" else uri
    model = load_model(load_registered_model(uri, tracked.tracker.tracking_uri))
    assert np.array_equal(model.predict_proba(tracked.X), tracked.model.predict_proba(tracked.X))


@pytest.mark.parametrize("name", ["a@b", "it's", "what? 100 %", "a.b", "é $"])
def test_a_model_is_found_by_every_name_that_mlflow_takes(tracked, name):
    uri = tracked.tracker.tracking_uri
    register_model(tracked.tracker.connect(), tracked.run, tracked.tracker.model_id, name, alias="best")
    for text in (f"models:/{name}@best", f"models:/{name}/1", f"models:/{name}/latest"):
        assert pin_model_uri(text, uri) == f"models:/{name}/1"
    assert load_registered_model(f"models:/{name}@best", uri).suffix == ".skops"


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        (
            "models:/nope@challenger",
            "fetching models:/nope@challenger failed: Registered Model with name=nope not found",
        ),
        ("models:/penguins@nope", "fetching models:/penguins@nope failed: Registered model alias nope not found."),
        ("models:/nope/latest", "no model 'nope' is registered there"),
    ],
)
def test_load_registered_model_reports_what_is_not_there(tracked, uri, message):
    with pytest.raises(RegisteredModelError) as caught:
        load_registered_model(uri, tracked.tracker.tracking_uri)
    assert str(caught.value) == f"{tracked.tracker.tracking_uri}: {message}"


def test_load_registered_model_makes_no_store(tmp_path):
    uri = f"sqlite:///{tmp_path}/absent.db"
    with pytest.raises(RegisteredModelError) as caught:
        load_registered_model("models:/penguins/1", uri)
    assert str(caught.value) == f"{uri}: there is no tracking store, and so no models:/penguins/1"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("uri", "pinned"),
    [
        ("models:/penguins@challenger", "models:/penguins/1"),
        ("models:/penguins/latest", "models:/penguins/1"),
        ("models:/penguins/1", "models:/penguins/1"),
        ("models:/m-1", None),
    ],
)
def test_pin_model_uri_gives_the_version_that_is_meant_now(tracked, uri, pinned):
    uri = f"models:/{tracked.tracker.model_id}" if pinned is None else uri
    assert pin_model_uri(uri, tracked.tracker.tracking_uri) == (pinned or uri)


@pytest.mark.parametrize("uri", ["models:/penguins@challenger", "id"])
def test_training_rows_are_found_by_any_name_of_the_model(tracked, uri):
    uri = f"models:/{tracked.tracker.model_id}" if uri == "id" else uri
    assert training_rows(uri, tracked.tracker.tracking_uri).shape == (len(tracked.X),)


def test_training_rows_are_none_where_the_run_does_not_report(tracking_uri, make_tracker, tracked):
    tracker = make_tracker(tracking_uri)
    tracker.start_run()
    tracker.log_workflow_results({"pipeline": tracked.model})
    assert training_rows(f"models:/{tracker.model_id}", tracking_uri) is None


def test_training_rows_are_none_where_the_run_is_gone(tracking_uri, make_tracker, tracked):
    tracker = make_tracker(tracking_uri, registered_model_name="orphan")
    tracker.start_run()
    tracker.log_workflow_results(
        {"pipeline": tracked.model}, register_model=True, rows=TrackedRows(hashes=np.ones(3, dtype=np.uint64))
    )
    with closing(sqlite3.connect(tracking_uri.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("DELETE FROM runs")
    assert training_rows("models:/orphan/1", tracking_uri) is None


def test_load_registered_model_refuses_what_is_no_model_uri(tracked):
    with pytest.raises(TrackingError) as caught:
        load_registered_model("runs:/1/model", tracked.tracker.tracking_uri)
    assert str(caught.value) == "runs:/1/model is no model; accepted: models:/name@alias, models:/name/version"


def test_load_registered_model_refuses_other_formats(tracking_uri, make_tracker, tracked, tmp_path):
    tracker = make_tracker(tracking_uri)
    tracker.start_run()
    tracker.log_workflow_results({"pipeline": tracked.model})
    model_uri = f"models:/{tracker.model_id}"
    described: Path = load_registered_model(model_uri, tracking_uri).with_name("MLmodel")
    described.write_text(described.read_text().replace("serialization_format: skops", "serialization_format: pickle"))
    with pytest.raises(TrackingError, match="is no scikit-learn model in skops format, as mlwf logs them"):
        load_registered_model(model_uri, tracking_uri)
    shutil.copy(described, tmp_path / "stolen")
    described.write_text(
        described.read_text()
        .replace("serialization_format: pickle", "serialization_format: skops")
        .replace("pickled_model: model.skops", f"pickled_model: {tmp_path / 'stolen'}")
    )
    with pytest.raises(TrackingError, match="lacks its model file"):
        load_registered_model(model_uri, tracking_uri)
