"""Send the parts of a run to its store, each by itself: one that fails leaves the others as they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from mlwf.errors import TrackingError
from mlwf.modules.tracking.connection import is_server, mlflow_errors, reach, uri_text
from mlwf.modules.tracking.logged_model import log_saved_model, register_model
from mlwf.modules.tracking.mlflow_store import Store, open_store, sqlite_path
from mlwf.modules.tracking.run_values import batches
from mlwf.modules.tracking.unsent import CLOSING, PARTS, SUMMARY, Part, Unsent, describe_missing
from mlwf.text import json_text

RETRY_SECONDS = 1.0
"""How long to wait before a call is tried once more."""

_TRIES = 3

_SHARED = frozenset({"datasets", "registration"})
"""Parts that several runs may have in common: MLflow looks whether they are there, writes them, and fails where another
process has written them in between."""

_PARAMS_AT_ONCE, _TAGS_AT_ONCE, _METRICS_AT_ONCE = 100, 100, 500

_ALWAYS_TRIED: Part = "end of run"


class Sender:
    """Sends the waiting parts to a store, and notices when that has stopped answering."""

    def __init__(self, store: Store, unsent: Unsent) -> None:
        self.store = store
        self.unsent = unsent
        self._is_doubtful = False
        self._gone: str | None = None

    def send(self, part: Part) -> None:
        """Send one part, if it waits; raises TrackingError, and the part still waits."""
        if part not in self.unsent.waiting:
            return
        try:
            self._check_still_there()
            with mlflow_errors(self.store.tracking_uri, _DOING[part]):
                _retried(self.store, part, lambda: _SEND[part](self.store, self.unsent, self.unsent.waiting[part]))
        except TrackingError as error:
            self._is_doubtful = True
            self.unsent.failed(part, error.reason)
            raise
        self._is_doubtful = False
        self.unsent.done(part)

    def send_all(self, parts: Iterable[Part] = PARTS) -> None:
        """Try each part that waits; why one was not sent stands in `unsent.missing`."""
        gone: str | None = None
        for part in [part for part in parts if part in self.unsent.waiting]:
            if gone is None or part == _ALWAYS_TRIED:
                gone = self._try(part)
            if gone is not None and part in self.unsent.waiting:
                self.unsent.failed(part, gone)

    def _try(self, part: Part) -> str | None:
        """Try to send a part, and give why the store does not answer any more; None when it does."""
        self._gone = None
        try:
            self.send(part)
        except TrackingError:
            if self._gone is None:
                with suppress(TrackingError):
                    self._check_still_there()
        return self._gone

    def _check_still_there(self) -> None:
        """Check that a store that has failed is there: MLflow's client would try for half a minute."""
        if not self._is_doubtful:
            return
        try:
            self._reach()
        except TrackingError as error:
            self._gone = error.reason
            raise

    def _reach(self) -> None:
        uri = self.store.tracking_uri
        if uri.startswith("sqlite:"):
            path = sqlite_path(uri)
            if not path.exists() or not path.stat().st_size:
                raise TrackingError(f"{uri_text(uri)}: the file is gone", reason="the file of the store is gone")
        reach(uri)


def push_unsent(
    unsent: Unsent, tracking_uri: str, complete: Callable[[Unsent], tuple[dict[str, Any], Mapping[str, str | None]]]
) -> None:
    """Send what an earlier run could not, then the summary and the tags that `complete` makes of what was sent.

    Raises TrackingError when the store does not answer, does not have the run, or refuses a part again.
    """
    store = open_store(tracking_uri)
    run_id, sender = unsent.known["run_id"], Sender(store, unsent)
    with mlflow_errors(store.tracking_uri, f"looking for run {run_id}"):
        run = store.client.get_run(run_id)
    if run.info.lifecycle_stage == "deleted":
        raise TrackingError(f"{uri_text(store.tracking_uri)}: run {run_id} was deleted there")
    sender.send_all(part for part in PARTS if part not in CLOSING)
    summary, tags = complete(unsent)
    if summary:
        (unsent.place("summary") / SUMMARY).write_text(json_text(summary), encoding="utf-8")
        unsent.add("summary")
    unsent.add("tags", {**tags, "mlwf.missing": describe_missing(unsent.refused()) or None})
    sender.send_all(CLOSING)
    if unsent.missing:
        reason = describe_missing(unsent.missing)
        raise TrackingError(f"{uri_text(store.tracking_uri)}: not sent: {reason}", reason=reason)


def _retried(store: Store, part: Part, call: Callable[[], None]) -> None:
    """Call, and call again where a database was busy, or another run wrote the same at the same moment."""
    from mlflow.exceptions import MlflowException

    # MLflow's client itself repeats calls that a busy server refused.
    passing = set() if is_server(store.tracking_uri) else {"TEMPORARILY_UNAVAILABLE"}
    if part in _SHARED:
        passing.add("BAD_REQUEST")
    for left in reversed(range(_TRIES)):
        try:
            call()
        except MlflowException as error:
            if not left or error.error_code not in passing:
                raise
            time.sleep(RETRY_SECONDS)
        else:
            return


def _send_parameters(store: Store, unsent: Unsent, params: dict[str, str]) -> None:
    from mlflow.entities import Param

    for some in batches([Param(*pair) for pair in params.items()], _PARAMS_AT_ONCE):
        store.client.log_batch(unsent.known["run_id"], params=some)


def _send_metrics(store: Store, unsent: Unsent, metrics: Sequence[Sequence[Any]]) -> None:
    from mlflow.entities import Metric

    for some in batches([Metric(*each) for each in metrics], _METRICS_AT_ONCE):
        store.client.log_batch(unsent.known["run_id"], metrics=some)


def _send_tags(store: Store, unsent: Unsent, tags: dict[str, str | None]) -> None:
    """Set tags; one that is None is deleted."""
    from mlflow.entities import RunTag

    run_id = unsent.known["run_id"]
    texts = [RunTag(key, text) for key, text in tags.items() if text is not None]
    for some in batches(texts, _TAGS_AT_ONCE):
        store.client.log_batch(run_id, tags=some)
    gone = [key for key, text in tags.items() if text is None]
    there = store.client.get_run(run_id).data.tags if gone else {}
    for key in gone:
        if key in there:
            store.client.delete_tag(run_id, key)


def _send_datasets(store: Store, unsent: Unsent, datasets: Sequence[dict[str, Any]]) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = [
        DatasetInput(Dataset(**each["dataset"]), [InputTag("mlflow.data.context", each["context"])])
        for each in datasets
    ]
    store.client.log_inputs(unsent.known["run_id"], inputs)


def _send_files(store: Store, unsent: Unsent, _: Any) -> None:
    # All at once: a server takes each call as slowly as the next.
    store.client.log_artifacts(unsent.known["run_id"], str(unsent.place("files")))


def _send_plots(store: Store, unsent: Unsent, _: Any) -> None:
    store.client.log_artifacts(unsent.known["run_id"], str(unsent.place("plots")), "plots")


def _send_summary(store: Store, unsent: Unsent, _: Any) -> None:
    store.client.log_artifacts(unsent.known["run_id"], str(unsent.place("summary")))


def _send_model(store: Store, unsent: Unsent, model: dict[str, Any]) -> None:
    run = store.client.get_run(unsent.known["run_id"])
    model_id = log_saved_model(store, run, unsent.place("model"), params=model["params"], tags=model["tags"])
    unsent.known["model_id"] = model_id
    if model_id is None:
        unsent.done("model metrics")


def _send_model_metrics(store: Store, unsent: Unsent, metrics: Sequence[Sequence[Any]]) -> None:
    """Show the run's metrics on the page of its model too, with the rows they were computed on."""
    from mlflow.entities import Metric

    run_id, model_id = unsent.known["run_id"], _model_of(unsent)
    linked = [
        Metric(*metric, model_id=model_id, dataset_name=name, dataset_digest=digest, run_id=run_id)
        for *metric, name, digest in metrics
    ]
    for some in batches(linked, _METRICS_AT_ONCE):
        store.client.log_batch(run_id, metrics=some)


def _send_registration(store: Store, unsent: Unsent, model: dict[str, Any]) -> None:
    model_id = _model_of(unsent)
    run = store.client.get_run(unsent.known["run_id"])
    unsent.known["version"] = register_model(
        store, run, model_id, model["name"], alias=model["alias"], tags=model["tags"]
    )


def _send_end(store: Store, unsent: Unsent, end: dict[str, Any]) -> None:
    store.client.set_terminated(unsent.known["run_id"], end["status"], end_time=end["time"])
    unsent.known["ended"] = end["status"]


def _model_of(unsent: Unsent) -> str | None:
    """Give the id of the logged model; None where it is an artifact of the run."""
    if "model_id" not in unsent.known:
        raise TrackingError("the model is not there", reason="the model is not there")
    model_id: str | None = unsent.known["model_id"]
    return model_id


_SEND: dict[Part, Callable[[Store, Unsent, Any], None]] = {
    "parameters": _send_parameters,
    "metrics": _send_metrics,
    "tags": _send_tags,
    "datasets": _send_datasets,
    "files": _send_files,
    "plots": _send_plots,
    "model": _send_model,
    "model metrics": _send_model_metrics,
    "registration": _send_registration,
    "summary": _send_summary,
    "end of run": _send_end,
}

_DOING: dict[Part, str] = {
    "parameters": "logging parameters",
    "metrics": "logging metrics",
    "tags": "setting tags",
    "datasets": "logging the datasets",
    "files": "logging files",
    "plots": "logging plots",
    "model": "logging the model",
    "model metrics": "logging the model's metrics",
    "registration": "registering the model",
    "summary": "logging the summary",
    "end of run": "ending the run",
}
"""What sending each part does, in the words of messages."""
