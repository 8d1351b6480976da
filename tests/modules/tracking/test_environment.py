"""What MLflow's environment names and the spec does not: the experiment, the run that goes on."""

from __future__ import annotations

import os

import pytest

from mlwf.errors import TrackingError
from mlwf.modules.tracking import create_mlflow_tracker
from mlwf.modules.tracking.mlflow_store import open_store
from mlwf.specs.experiment import ClassifierModelSpec
from mlwf.specs.tracking import MLflowSpec


@pytest.fixture
def client(tracking_uri):
    """Give a client of a store with nothing in it."""
    return open_store(tracking_uri).client


def experiment_of(client, tracker):
    return client.get_experiment(tracker.experiment_id).name


@pytest.mark.parametrize(
    ("written", "variables", "name"),
    [
        ({}, {}, "penguins"),
        ({}, {"MLFLOW_EXPERIMENT_NAME": "theirs"}, "theirs"),
        ({}, {"MLFLOW_EXPERIMENT_ID": "1"}, "first"),
        ({"experiment_name": "ours"}, {"MLFLOW_EXPERIMENT_NAME": "theirs", "MLFLOW_EXPERIMENT_ID": "1"}, "ours"),
    ],
    ids=["none", "name", "id", "the file first"],
)
def test_start_run_takes_the_experiment_of_the_environment(
    client, tracking_uri, make_tracker, monkeypatch, written, variables, name
):
    assert client.create_experiment("first") == "1"
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    tracker = make_tracker(tracking_uri, **written)
    tracker.start_run()
    assert experiment_of(client, tracker) == name


def test_the_store_is_that_of_the_environment_where_the_spec_names_none(tracking_uri, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri)
    model = ClassifierModelSpec()
    assert create_mlflow_tracker(MLflowSpec(), model).tracking_uri == tracking_uri
    named = MLflowSpec(tracking_uri="sqlite:////named.db")
    assert create_mlflow_tracker(named, model).tracking_uri == "sqlite:////named.db"


@pytest.fixture
def begun(client, monkeypatch):
    """Begin a run as `mlflow run` does."""
    run = client.create_run(client.create_experiment("project"), run_name="capable-shrimp")
    client.log_param(run.info.run_id, "algorithm", "any")
    client.set_tag(run.info.run_id, "mlflow.source.type", "PROJECT")
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", run.info.experiment_id)
    return run


def test_start_run_goes_on_with_the_run_of_the_environment(client, begun, tracking_uri, make_tracker):
    tracker = make_tracker(tracking_uri)
    tracker.start_run()
    tracker.log_params({"algorithm": "gaussian_nb", "n_samples": 3})
    tracker.log_metrics({"cv_score": 0.9})
    tracker.end_run()
    (run,) = client.search_runs([begun.info.experiment_id])
    assert (run.info.run_id, run.info.run_name, run.info.status) == (tracker.run_id, "capable-shrimp", "FINISHED")
    assert run.data.params == {"algorithm": "any", "n_samples": "3"}
    assert run.data.metrics == {"cv_score": 0.9}
    assert run.data.tags["mlflow.source.type"] == "PROJECT"
    assert run.data.tags["mlwf.run_id"]
    assert "MLFLOW_RUN_ID" not in os.environ


def test_start_run_refuses_another_experiment_than_that_of_the_run(begun, tracking_uri, make_tracker):
    with pytest.raises(TrackingError) as caught:
        make_tracker(tracking_uri, experiment_name="ours").start_run()
    assert str(caught.value) == (
        f"MLFLOW_RUN_ID names run {begun.info.run_id} of experiment 'project', and tracking.experiment_name is 'ours': "
        "leave one of the two out"
    )


@pytest.mark.parametrize("was_there", [True, False], ids=["deleted", "unknown"])
def test_start_run_reports_that_the_run_of_the_environment_is_not_there(
    client, begun, tracking_uri, make_tracker, monkeypatch, was_there
):
    if was_there:
        client.delete_run(begun.info.run_id)
        reason = f"MLFLOW_RUN_ID names run {begun.info.run_id}, which was deleted"
    else:
        monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
        reason = f"MLFLOW_RUN_ID names a run that is not there: Run with id={'0' * 32} not found"
    with pytest.raises(TrackingError) as caught:
        make_tracker(tracking_uri).start_run()
    assert str(caught.value) == f"{tracking_uri}: {reason}"
