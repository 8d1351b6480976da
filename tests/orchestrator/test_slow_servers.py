"""A real MLflow server behind a proxy that delays, forbids or does not know what it is told to."""

from __future__ import annotations

import json
import re
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pandas as pd
import pytest
import yaml

from mlwf.engine.model_file import load_model
from mlwf.modules.runs import find_run
from mlwf.modules.tracking import load_registered_model
from mlwf.orchestrator.api import run_experiment
from mlwf.orchestrator.mlflow_logger import push_run
from mlwf.specs.loading import load_experiment
from tests.mlflow_server import mlflow_server

pytestmark = pytest.mark.slow

PAGE = b"<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n" + b"<p>sorry</p>" * 50
FORBIDDEN = json.dumps({"error_code": "PERMISSION_DENIED", "message": "no right to register"}).encode()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Give the address of a server."""
    with mlflow_server(tmp_path_factory.mktemp("server")) as (uri, _):
        yield uri


@contextmanager
def proxy(server, rules):
    """Give the address of a proxy; `rules` map a pattern of METHOD and path to seconds, or to a status and a body."""

    class Handler(BaseHTTPRequestHandler):
        def result(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            for pattern, rule in rules.items():
                if re.search(pattern, f"{self.command} {self.path}"):
                    if isinstance(rule, tuple):
                        self.reply(*rule)
                        return
                    time.sleep(rule)
            headers = {key: value for key, value in self.headers.items() if key.lower() not in {"host", "connection"}}
            request = Request(server + self.path, body or None, headers, method=self.command)
            try:
                with urlopen(request, timeout=60) as response:
                    self.reply(response.status, response.read(), response.headers.get("Content-Type"))
            except HTTPError as error:
                self.reply(error.code, error.read(), error.headers.get("Content-Type"))

        def reply(self, status, body, kind="application/json"):
            self.send_response(status)
            self.send_header("Content-Type", kind or "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.result)
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    Thread(target=listening.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}"
    finally:
        listening.shutdown()
        listening.server_close()


@pytest.fixture
def train(tmp_path, mixed):
    """Train on a server, with a model of its own name, and give the run's folder and what it is named."""
    X, y = mixed
    X.assign(size=y).to_csv(tmp_path / "people.csv", index=False)

    def train(uri):
        name = f"model-{tmp_path.name}"
        written = {
            "data": {"path": "people.csv", "target": "size"},
            "features": [{"type": "numeric", "columns": ["height", "weight"]}],
            "model": {"algorithm": "gaussian_nb"},
            "validation": {"cv_folds": 2},
            "tracking": {"tracking_uri": uri, "registered_model_name": name, "alias": "champion"},
        }
        (tmp_path / "experiment.yaml").write_text(yaml.safe_dump(written), "utf-8")
        spec, document = load_experiment(tmp_path / "experiment.yaml")
        run_experiment(spec, document, runs_dir=tmp_path / "runs")
        return find_run(tmp_path / "runs", "latest"), name

    return train


def tracking_of(folder):
    return json.loads(folder.file("summary.json").read_text("utf-8"))["tracking"]


def run_on(server, folder):
    from mlflow import MlflowClient

    client = MlflowClient(server, registry_uri=server)
    return client, client.get_run(tracking_of(folder)["run_id"])


CASES = {
    "register": ({"POST .*/registered-models/create": (403, FORBIDDEN)}, {"registration"}),
    "model page": ({"POST .*/api/2.0/mlflow/logged-models": (502, PAGE)}, {"model", "model metrics", "registration"}),
    "artifacts": (
        {"PUT .*/mlflow-artifacts/": (403, FORBIDDEN)},
        {"files", "plots", "summary", "model", "model metrics", "registration"},
    ),
    "datasets": ({"POST .*/runs/log-inputs": (404, PAGE)}, {"datasets"}),
    "tags": ({"POST .*/runs/log-batch": (403, FORBIDDEN)}, {"parameters", "metrics", "tags", "model metrics"}),
    "end": ({"POST .*/runs/update": (500, PAGE)}, {"end of run"}),
}


@pytest.mark.parametrize(("rules", "missing"), CASES.values(), ids=CASES)
def test_a_part_that_is_refused_leaves_the_others_and_push_sends_it(server, train, rules, missing):
    with proxy(server, rules) as uri:
        folder, name = train(uri)
        client, run = run_on(server, folder)
        assert tracking_of(folder)["missing"].keys() == missing
        assert run.info.status == ("RUNNING" if "end of run" in missing else "FINISHED")
        if not missing & {"tags", "end of run"}:
            assert run.data.tags["mlwf.status"] == "degraded"
            assert all(part in run.data.tags["mlwf.missing"] for part in missing - {"summary"})
        assert all("<" not in reason and len(reason) < 200 for reason in tracking_of(folder)["missing"].values())
        assert folder.status == "degraded"
        rules.clear()
        assert {*push_run(folder)} >= missing
        client, run = run_on(server, folder)
    assert (run.info.status, run.data.tags["mlwf.status"]) == ("FINISHED", "done")
    assert "mlwf.missing" not in run.data.tags
    assert folder.status == "done"
    assert run.data.metrics["cv_accuracy"] > 0
    version = client.get_model_version_by_alias(name, "champion")
    assert (version.run_id, version.version, tracking_of(folder)["version"]) == (run.info.run_id, "1", "1")


@pytest.mark.parametrize(
    "pattern", ["POST .*/logged-models$", "POST .*/runs/log-batch", "."], ids=["one", "batch", "all"]
)
def test_a_slow_answer_is_waited_for(server, train, pattern):
    with proxy(server, {pattern: 0.5 if pattern == "." else 3}) as uri:
        folder, _ = train(uri)
    assert tracking_of(folder)["missing"] == {}
    assert run_on(server, folder)[1].info.status == "FINISHED"


def test_a_server_of_mlflow_2_gets_the_model_as_an_artifact_of_its_run(server, train):
    with proxy(server, {"/logged-models": (404, PAGE), "/runs/outputs": (404, PAGE)}) as uri:
        folder, name = train(uri)
        tracking = tracking_of(folder)
        client, run = run_on(server, folder)
        assert (tracking["missing"], tracking["version"], run.info.status) == ({}, "1", "FINISHED")
        assert "MLmodel" in {Path(file.path).name for file in client.list_artifacts(run.info.run_id, "model")}
        fetched = load_model(load_registered_model(f"models:/{name}@champion", uri))
    X = pd.read_csv(folder.path.parents[1] / "people.csv")[["height", "weight"]]
    assert (fetched.predict(X) == load_model(folder.file("model.skops")).predict(X)).all()
    (warning,) = json.loads(folder.file("summary.json").read_text("utf-8"))["warnings"]
    assert "the server is older than MLflow 3" in warning
