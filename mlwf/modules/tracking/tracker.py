"""One MLflow run, from its start to its end."""

from __future__ import annotations

import re
import shutil
import time
import weakref
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Literal

from mlwf.errors import TrackingError
from mlwf.modules.tracking.artifacts import write_texts
from mlwf.modules.tracking.connection import mlflow_errors, uri_text
from mlwf.modules.tracking.mlflow_store import Store, begin_run, check_uri, open_store
from mlwf.modules.tracking.plots import draw_plots
from mlwf.modules.tracking.run_values import TrackedRows, describe_scores, outcome_tags, start_tags, time_limit_tags
from mlwf.modules.tracking.sending import Sender
from mlwf.modules.tracking.unsent import REPORT, SUMMARY, Part, RunContent, Unsent, describe_missing
from mlwf.run_result import RunResult
from mlwf.specs.experiment import ClassifierModelSpec
from mlwf.specs.tracking import MLflowSpec, with_environment
from mlwf.text import describe_error, join_reasons, json_text

RunStatus = Literal["FINISHED", "FAILED", "KILLED"]


def create_mlflow_tracker(
    mlflow_spec: MLflowSpec,
    model_spec: ClassifierModelSpec,
    *,
    name: str = "experiment",
    run_id: str | None = None,
    process: Mapping[str, Any] | None = None,
    folder: Path | None = None,
) -> MLflowTracker:
    """Prepare the tracking of one run; the store is opened by `connect` or `start_run`.

    Parameters
    ----------
    mlflow_spec
        Where to keep the run; what it leaves out is MLflow's environment's, MLFLOW_TRACKING_URI and
        MLFLOW_EXPERIMENT_NAME.
    model_spec
        The model's spec; its `model_name` names the run when there is no `run_id`.
    name
        Name of the MLflow experiment unless the spec or the environment has one.
    run_id
        Our own id of the run: the MLflow run is named by it, and carries it as tag `mlwf.run_id`.
    process
        Host, pid and start of the process, by which a later command knows that it was killed.
    folder
        Where to keep what the store does not take, for `mlwf push`; left out, it is lost.
    """
    spec = with_environment(mlflow_spec)
    return MLflowTracker(spec, model_spec, name=name, run_id=run_id, process=process, folder=folder)


class MLflowTracker:
    """Writes one run to an MLflow store.

    Every method may raise TrackingError without harm to the run: what the store did not take waits, and is sent with
    the next call or by `mlwf push`.
    """

    def __init__(
        self,
        mlflow_spec: MLflowSpec,
        model_spec: ClassifierModelSpec,
        *,
        name: str = "experiment",
        run_id: str | None = None,
        process: Mapping[str, Any] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.spec = mlflow_spec
        self.tracking_uri = check_uri(mlflow_spec.tracking_uri)
        self.experiment_name = mlflow_spec.experiment_name or name
        self._run_name = run_id or model_spec.model_name
        self._tags = start_tags(run_id, process)
        self._folder = folder
        self._store: Store | None = None
        self._sender: Sender | None = None
        self._content: RunContent | None = None

    @property
    def run_id(self) -> str | None:
        """MLflow's id of the run; None before `start_run`."""
        return self._known("run_id")

    @property
    def experiment_id(self) -> str | None:
        """MLflow's id of the experiment; None before `start_run`."""
        return self._known("experiment_id")

    @property
    def model_id(self) -> str | None:
        """MLflow's id of the logged model."""
        return self._known("model_id")

    @property
    def registered_version(self) -> str | None:
        """Version that the model was registered as."""
        return self._known("version")

    @property
    def missing(self) -> Mapping[Part, str]:
        """The parts that the store did not take, and why."""
        return {} if self._sender is None else dict(self._sender.unsent.missing)

    @property
    def shown_uri(self) -> str:
        """The tracking URI, without the login that it may hold."""
        return uri_text(self.tracking_uri)

    def connect(self) -> Store:
        """Open the store, and create one where a new SQLite file is named; raises TrackingError within seconds."""
        registered = self.spec.registered_model_name or ""
        if re.search("[/:]", registered):
            raise TrackingError(f"tracking.registered_model_name {registered!r} holds a / or a :, which MLflow refuses")
        if self._store is None:
            self._store = open_store(self.tracking_uri)
        return self._store

    def start_run(self) -> None:
        """Start the run in its experiment, or resume the one that MLFLOW_RUN_ID names."""
        store = self.connect()
        if self._sender is not None:
            raise TrackingError(f"MLflow run {self.run_id} was started already; create a new tracker for a new run")
        with mlflow_errors(store.tracking_uri, "starting a run"):
            run = begin_run(
                store,
                run_name=self._run_name,
                tags=self._tags,
                experiment=self.spec.experiment_name,
                default_experiment=self.experiment_name,
            )
        known = {"run_id": str(run.info.run_id), "experiment_id": str(run.info.experiment_id)}
        unsent = Unsent(self._place(), known)
        self._sender = Sender(store, unsent)
        self._content = RunContent(unsent, self.tracking_uri, params=run.data.params, tags=self._tags)
        unsent.write()

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters; nested ones are flattened, long ones cut, those already logged left out.

        A run that `mlflow run` began keeps the parameters that it has.
        """
        sender, content = self._started("logging parameters")
        content.add_params(params)
        sender.send("parameters")

    def log_metrics(self, metrics: Mapping[str, float | None], *, step: int = 0) -> None:
        """Log metrics; those that could not be computed (None) are left out."""
        sender, content = self._started("logging metrics")
        content.add_metrics(metrics, step=step)
        sender.send("metrics")

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags of the run."""
        sender, content = self._started("setting tags")
        content.add_tags(tags)
        sender.send("tags")

    def log_workflow_results(
        self,
        results: Mapping[str, Any] | RunResult,
        X_sample: Any = None,
        register_model: bool = False,
        *,
        rows: TrackedRows | None = None,
        texts: Mapping[str, str] | None = None,
        model_file: Path | None = None,
    ) -> None:
        """Log all that a workflow gave: parameters, metrics, datasets, files, plots and the model.

        Parameters
        ----------
        results
            The run with its scores, plots, candidates, gates and findings; or the results of `run_ml_workflow`, of
            which `pipeline` is the fitted model.
        X_sample
            Some raw rows; they give the model its signature and the example of its input.
        register_model
            Register the model under the spec's name, with the spec's alias.
        rows
            The rows that were used.
        texts
            Files of the run, by their names.
        model_file
            The skops file in which the model was saved already.
        """
        sender, content = self._started("logging the results")
        if isinstance(results, RunResult):
            run, values = results, results.to_dict()
        else:
            run, values = RunResult(self.experiment_name, datetime.now(UTC)), dict(results)
        model, rows = values["pipeline"], rows or TrackedRows()
        content.add_results(values, run.evaluations)
        content.add_datasets(rows.datasets)
        candidates = run.tuning.cv_results if run.tuning else None
        content.add_files({**(texts or {}), **write_texts(run, model)}, candidates, rows.hashes)
        _draw_plots(sender.unsent, run)
        X_sample = X_sample if self.spec.log_model_signature else None
        content.add_model(model, X_sample, rows, model_file=model_file)
        if register_model:
            content.add_registration(self.spec.registered_model_name or self.experiment_name, self.spec.alias)
        note = describe_scores(run.evaluations, content.slice_digests)
        tags = outcome_tags(run.evaluations, run.gates or (), run.findings or ())
        tags |= time_limit_tags(run.log.time_limit)
        content.add_tags({**_status_tags(run.log.degraded), "mlflow.note.content": note, **tags})
        sender.send_all()
        self._raise_for_missing()

    def log_summary(self, summary: Mapping[str, Any], *, report: str | None = None) -> None:
        """Log the summary as `summary.json`, and the page of the run as `report.html`; the last ones stand."""
        sender, _ = self._started("logging the summary")
        if report is not None:
            (sender.unsent.place("summary") / REPORT).write_text(report, "utf-8", "backslashreplace")
        (sender.unsent.place("summary") / SUMMARY).write_text(json_text(summary), encoding="utf-8")
        sender.unsent.add("summary")
        sender.send("summary")

    def end_run(self, status: RunStatus = "FINISHED", *, error: str | None = None) -> None:
        """Send what waits, and end the run; `error` says in one line why it did not finish.

        The run is ended also when the store does not take all of it: the tag `mlwf.missing` names what it lacks.
        """
        sender, content = self._started("ending the run")
        sender.unsent.add("end of run", {"status": status, "time": int(time.time() * 1000)})
        sender.send_all(part for part in list(sender.unsent.waiting) if part not in {*sender.unsent.missing, *_LAST})
        tags = self._last_tags(status, error)
        if tags:
            content.add_tags(tags)
        sender.send_all(_LAST)
        self._raise_for_missing()

    def _last_tags(self, status: RunStatus, error: str | None) -> dict[str, str | None]:
        tags = (
            {}
            if status == "FINISHED"
            else {"mlwf.status": status.lower(), "mlwf.error": error and describe_error(error)}
        )
        if self.missing:
            tags = {"mlwf.status": "degraded", **tags, "mlwf.missing": describe_missing(self.missing)}
        return tags

    def _started(self, doing: str) -> tuple[Sender, RunContent]:
        if self._sender is None or self._content is None:
            raise TrackingError(f"{doing} failed: no MLflow run was started; call start_run() first")
        return self._sender, self._content

    def _raise_for_missing(self) -> None:
        if self.missing:
            reason = describe_missing(self.missing)
            raise TrackingError(f"{self.shown_uri}: not sent: {reason}", reason=reason)

    def _known(self, name: str) -> str | None:
        known: str | None = None if self._sender is None else self._sender.unsent.known.get(name)
        return known

    def _place(self) -> Path:
        """Give the folder in which parts wait: the run's own, or one that is deleted with this tracker."""
        if self._folder is None:
            self._folder = Path(mkdtemp(prefix="mlwf-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder


_LAST: tuple[Part, ...] = ("tags", "end of run")
"""The parts that are sent last, when it is known what is missing."""


def _draw_plots(unsent: Unsent, run: RunResult) -> None:
    draw_plots(
        unsent.place("plots"),
        run.evaluations,
        importances=run.importances,
        positive_class=run.inputs and run.inputs.positive_class,
        calibration=run.model.calibration if run.model else None,
    )
    unsent.add("plots")


def _status_tags(degraded: Mapping[str, str]) -> dict[str, str]:
    if not degraded:
        return {"mlwf.status": "done"}
    return {"mlwf.status": "degraded", "mlwf.degraded": join_reasons(degraded)}
