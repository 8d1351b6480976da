"""A real tracking server: everything arrives, and its death costs seconds."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import pytest

from mlwf.engine.model_file import load_model
from mlwf.errors import TrackingError
from mlwf.modules.tracking import find_run, load_registered_model

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path, tracking_uri):
    """Run `mlflow server` on a free port of this machine, in a group of processes of its own."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    arguments = [
        *("--backend-store-uri", tracking_uri, "--artifacts-destination", str(tmp_path / "artifacts")),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
    ]
    log = (tmp_path / "server.log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", *arguments],
        stdout=log,
        stderr=log,
        start_new_session=True,
        cwd=tmp_path,
    )
    try:
        yield wait_for(f"http://127.0.0.1:{port}"), process
    finally:
        stop(process)
        log.close()


def wait_for(uri: str) -> str:
    for _ in range(300):
        try:
            with urlopen(f"{uri}/health", timeout=2):
                return uri
        except (URLError, OSError):
            time.sleep(0.2)
    raise AssertionError("the server did not start")


def stop(process: subprocess.Popen) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=30)


def test_server_gets_everything_and_its_death_costs_seconds(server, tracked, make_tracker):
    uri, process = server
    tracker = make_tracker(uri, registered_model_name="penguins", alias="challenger", run_id="2026-a")
    tracker.start_run()
    tracker.log_params({"depth": 3})
    tracker.log_workflow_results(
        {"pipeline": tracked.model, "cv_score": 0.9}, tracked.X.head(20), register_model=True, summary={"cv_score": 0.9}
    )
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
