"""A real tracking server: everything arrives, and its death costs seconds."""

from __future__ import annotations

import time

import numpy as np
import pytest

from mlwf.engine.model_file import load_model
from mlwf.errors import TrackingError
from mlwf.modules.tracking import find_run, load_registered_model
from tests.mlflow_server import mlflow_server, stop

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path, tracking_uri):
    """Give the address of a server, and its process."""
    with mlflow_server(tmp_path, tracking_uri) as running:
        yield running


def test_server_gets_everything_and_its_death_costs_seconds(server, tracked, make_tracker):
    uri, process = server
    tracker = make_tracker(uri, registered_model_name="penguins", alias="challenger", run_id="2026-a")
    tracker.start_run()
    tracker.log_params({"depth": 3})
    tracker.log_workflow_results({"pipeline": tracked.model, "cv_score": 0.9}, tracked.X.head(20), register_model=True)
    tracker.log_summary({"cv_score": 0.9})
    tracker.end_run()
    run = tracker.connect().client.get_run(tracker.run_id)
    assert (run.info.status, run.data.metrics, run.data.params) == ("FINISHED", {"cv_score": 0.9}, {"depth": "3"})
    assert find_run(uri, "2026") == {"cv_score": 0.9}
    model = load_model(load_registered_model("models:/penguins@challenger", uri))
    assert np.array_equal(model.predict(tracked.X), tracked.model.predict(tracked.X))

    late = make_tracker(uri, run_id="2026-b")
    late.start_run()
    stop(process)
    started = time.monotonic()
    for call in (
        lambda: late.log_metrics({"cv_score": 0.9}),
        lambda: late.log_workflow_results({"pipeline": tracked.model}, tracked.X.head(20)),
        lambda: late.end_run(),
    ):
        with pytest.raises(TrackingError, match="Connection refused"):
            call()
    assert time.monotonic() - started < 15  # MLflow's client tries the first call three times
