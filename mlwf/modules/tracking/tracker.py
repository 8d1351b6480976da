"""One MLflow run, from its start to its end."""

from __future__ import annotations

import os
import re
import shutil
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, Literal

from mlwf.errors import TrackingError
from mlwf.modules.tracking.datasets import Context, TrackedDataset, describe_dataset
from mlwf.modules.tracking.files import (
    TRAINING_ROWS,
    describe_model,
    to_json,
    write_candidates,
    write_training_rows,
)
from mlwf.modules.tracking.keys import Keys
from mlwf.modules.tracking.model import save_model
from mlwf.modules.tracking.plots import draw_plots
from mlwf.modules.tracking.sending import Sender
from mlwf.modules.tracking.store import Store, check_uri, open_store
from mlwf.modules.tracking.talking import one_line, reason_of, shown, talking
from mlwf.modules.tracking.unsent import SUMMARY, Part, Unsent, describe_missing
from mlwf.modules.tracking.values import (
    describe_scores,
    flat_texts,
    metrics_of,
    metrics_of_scores,
    origin_tags,
    params_of,
    start_tags,
    verdict_tags,
)
from mlwf.results import CalibrationResult, Evaluation, Finding, GateResult
from mlwf.specs.classifier import ClassifierModelSpec
from mlwf.specs.data import TableSchema
from mlwf.specs.tracking import MLflowSpec, with_environment
from mlwf.text import redact

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RunStatus = Literal["FINISHED", "FAILED", "KILLED"]

_LONGEST_TAG = 5000


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
        Host, pid and start of the process, so that a later command can tell that it died without a word.
    folder
        Where to keep what the store does not take, for `mlwf push`; left out, it is lost.
    """
    spec = with_environment(mlflow_spec)
    return MLflowTracker(spec, model_spec, name=name, run_id=run_id, process=process, folder=folder)


class MLflowTracker:
    """Writes one run to an MLflow store.

    Every method may raise TrackingError, and the run is none the worse for it: what the store did not take goes on
    waiting, and is sent with the next call or by `mlwf push`.
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
        self._params: dict[str, str] = {}
        self._given: frozenset[str] = frozenset()
        self._metrics: list[list[Any]] = []
        self._param_keys, self._metric_keys = Keys(), Keys()

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
        return shown(self.tracking_uri)

    def connect(self) -> Store:
        """Open the store, and create one where a new SQLite file is named; raises TrackingError within seconds."""
        registered = self.spec.registered_model_name or ""
        if re.search("[/:]", registered):
            raise TrackingError(f"tracking.registered_model_name {registered!r} holds a / or a :, which MLflow refuses")
        if self._store is None:
            self._store = open_store(self.tracking_uri)
        return self._store

    def start_run(self) -> None:
        """Start the run in its experiment, or go on with the one that MLFLOW_RUN_ID names."""
        store = self.connect()
        if self._sender is not None:
            raise TrackingError(f"MLflow run {self.run_id} was started already; create a new tracker for a new run")
        with talking(store.tracking_uri, "starting a run"):
            # As MLflow's own start_run does: the next run of this process is another one.
            given = os.environ.pop("MLFLOW_RUN_ID", None)
            run = self._resumed(store, given) if given else self._created(store)
        self._params = dict(run.data.params)
        self._given = frozenset(self._params)
        known = {"run_id": str(run.info.run_id), "experiment_id": str(run.info.experiment_id)}
        self._sender = Sender(store, Unsent(self._place(), known))
        self._sender.unsent.write()

    def _created(self, store: Store) -> Any:
        # The experiment is named in so many words: MLflow's set_experiment loses a race without saying so, and
        # the run lands in another experiment.
        return store.client.create_run(self._experiment(store), run_name=self._run_name, tags=self._tags)

    def _experiment(self, store: Store) -> str:
        """Give the id of the experiment: that of the spec, else that of MLflow's environment, else our own."""
        name = self.spec.experiment_name or os.environ.get("MLFLOW_EXPERIMENT_NAME")
        given = os.environ.get("MLFLOW_EXPERIMENT_ID")
        if name is None and given:
            return str(store.client.get_experiment(given).experiment_id)
        return store.experiment_id(name or self.experiment_name)

    def _resumed(self, store: Store, run_id: str) -> Any:
        """Go on with a run that somebody else has begun, as `mlflow run` does: its name and its origin stay."""
        from mlflow.exceptions import MlflowException

        try:
            run = store.client.get_run(run_id)
        except MlflowException as error:
            reason = reason_of(error)
            raise TrackingError(f"{self.shown_uri}: MLFLOW_RUN_ID names a run that is not there: {reason}") from error
        if run.info.lifecycle_stage == "deleted":
            raise TrackingError(f"{self.shown_uri}: MLFLOW_RUN_ID names run {run_id}, which was deleted")
        experiment = store.client.get_experiment(run.info.experiment_id)
        name = self.spec.experiment_name
        if name is not None and name != experiment.name:
            raise TrackingError(
                f"MLFLOW_RUN_ID names run {run_id} of experiment {experiment.name!r}, and tracking.experiment_name is "
                f"{name!r}: leave one of the two out"
            )
        store.client.update_run(run_id, status="RUNNING")
        for key, text in self._tags.items():
            if key.startswith("mlwf."):
                store.client.set_tag(run_id, key, text)
        return run

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters; nested ones are flattened, long ones cut, those already logged left out.

        A run that `mlflow run` began keeps the parameters that it has.
        """
        texts = self._param_texts(params)
        new = {key: text for key, text in texts.items() if key not in self._given and self._params.get(key) != text}
        changed = sorted(new.keys() & self._params.keys())
        if changed:
            raise TrackingError(f"parameter {changed[0]} was logged already; MLflow keeps the first value of each")
        sender = self._started("logging parameters")
        sender.unsent.add("parameters", new)
        self._params.update(new)
        sender.send("parameters")

    def log_metrics(self, metrics: Mapping[str, float | None], *, step: int = 0) -> None:
        """Log metrics; those that could not be computed (None) are left out."""
        sender = self._started("logging metrics")
        now = int(time.time() * 1000)
        keys = self._metric_keys.of(metrics)
        new = [[keys[name], float(value), now, step] for name, value in metrics.items() if value is not None]
        sender.unsent.add("metrics", new)
        self._metrics += new
        sender.send("metrics")

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags of the run."""
        sender = self._started("setting tags")
        sender.unsent.add("tags", _tag_texts(tags))
        sender.send("tags")

    def log_workflow_results(
        self,
        results: Mapping[str, Any],
        X_sample: Any = None,
        register_model: bool = False,
        *,
        metrics: Mapping[str, float | None] | None = None,
        evaluations: Sequence[Evaluation] = (),
        positive_class: Any = None,
        datasets: Sequence[TrackedDataset] = (),
        candidates: Mapping[str, Any] | None = None,
        config: str | None = None,
        summary: Mapping[str, Any] | None = None,
        environment: str | None = None,
        degraded: Mapping[str, str] | None = None,
        gates: Sequence[GateResult] = (),
        findings: Sequence[Finding] = (),
        calibration: CalibrationResult | None = None,
        training_rows: NDArray[np.uint64] | None = None,
        table_schema: TableSchema | None = None,
        model_file: Path | None = None,
    ) -> None:
        """Log all that a workflow gave: parameters, metrics, datasets, files, plots and the model.

        Parameters
        ----------
        results
            The guide's results; `pipeline` is the fitted model.
        X_sample
            Some raw rows; they give the model its signature and the example of its input.
        register_model
            Register the model under the spec's name, with the spec's alias.
        metrics
            More metrics, by name.
        judgements
            What validation and test said: their scores become metrics such as `cv_roc_auc`, their predictions plots.
        positive_class
            Class that binary plots speak of; the default is the last.
        datasets
            The rows that were used, as inputs of the run.
        candidates
            The search's `cv_results_`; becomes the table `candidates.csv`, best first.
        config, summary, environment
            Become `config.yaml`, `summary.json` and `environment.txt`.
        degraded
            Phases that degraded and why; becomes the tags `mlwf.status` and `mlwf.degraded`.
        gates, findings
            Become the tags `mlwf.gates`, `mlwf.gate.N` and `mlwf.finding.CODE`.
        calibration
            Its reliability before and after becomes a plot.
        training_rows
            Hash of each row that the model was trained on; becomes `training_rows.npz`, by which a later run knows
            which rows it may compare this model on.
        table_schema
            How tables are read for the model; becomes a file beside it.
        model_file
            The skops file in which the model was saved already.
        """
        sender = self._started("logging the results")
        self._queue_values(results, metrics or {}, evaluations)
        if datasets:
            with talking(self.tracking_uri, "describing the datasets"):
                sender.unsent.add("datasets", [describe_dataset(dataset) for dataset in datasets])
        texts = {
            "config.yaml": config,
            "environment.txt": environment,
            "summary.json": None if summary is None else to_json(summary),
            "estimator.txt": describe_model(results["pipeline"]),
        }
        self._queue_files(texts, candidates, training_rows)
        draw_plots(
            sender.unsent.place("plots"),
            results["pipeline"],
            evaluations,
            positive_class=positive_class,
            calibration=calibration,
        )
        sender.unsent.add("plots")
        self._queue_model(
            results["pipeline"], X_sample, table_schema, datasets, register=register_model, model_file=model_file
        )
        tags: dict[str, str | None] = {
            "mlwf.status": "degraded" if degraded else "done",
            "mlflow.note.content": describe_scores(evaluations, self._metric_keys.digests),
            **verdict_tags(evaluations, gates, findings),
        }
        if degraded:
            tags["mlwf.degraded"] = "; ".join(f"{phase}: {reason}" for phase, reason in degraded.items())
        sender.unsent.add("tags", _tag_texts(tags))
        sender.send_all()
        self._raise_for_missing()

    def log_summary(self, summary: Mapping[str, Any]) -> None:
        """Log the summary as `summary.json`; the last one stands."""
        sender = self._started("logging the summary")
        (sender.unsent.place("summary") / SUMMARY).write_text(to_json(summary), encoding="utf-8")
        sender.unsent.add("summary")
        sender.send("summary")

    def end_run(self, status: RunStatus = "FINISHED", *, error: str | None = None) -> None:
        """Send what waits, and end the run; `error` says in one line why it did not finish.

        What the store does not take is no reason not to end it: it stands in the tag `mlwf.missing`.
        """
        sender = self._started("ending the run")
        sender.unsent.add("end of run", {"status": status, "time": int(time.time() * 1000)})
        sender.send_all(part for part in list(sender.unsent.waiting) if part not in {*sender.unsent.missing, *_LAST})
        tags = _tag_texts(self._last_tags(status, error))
        if tags:
            sender.unsent.add("tags", tags)
        sender.send_all(_LAST)
        self._raise_for_missing()

    def _last_tags(self, status: RunStatus, error: str | None) -> dict[str, str | None]:
        tags = {} if status == "FINISHED" else {"mlwf.status": status.lower(), "mlwf.error": error and one_line(error)}
        if self.missing:
            tags = {"mlwf.status": "degraded", **tags, "mlwf.missing": describe_missing(self.missing)}
        return tags

    def _queue_values(
        self, results: Mapping[str, Any], metrics: Mapping[str, float | None], evaluations: Sequence[Evaluation]
    ) -> None:
        """Let parameters and metrics wait that were not logged before."""
        sender = self._started("logging the results")
        texts = self._param_texts(params_of(results))
        params = {key: text for key, text in texts.items() if key not in self._params}
        if params:
            sender.unsent.add("parameters", params)
            self._params.update(params)
        known = {key: value for key, value, *_ in self._metrics}
        found = {**metrics_of(results), **metrics_of_scores(evaluations), **metrics}
        keys, now = self._metric_keys.of(found), int(time.time() * 1000)
        new = [
            [keys[name], float(value), now, 0]
            for name, value in found.items()
            if value is not None and known.get(keys[name]) != value
        ]
        if new:
            sender.unsent.add("metrics", new)
            self._metrics += new

    def _queue_files(
        self,
        texts: Mapping[str, str | None],
        candidates: Mapping[str, Any] | None,
        training_rows: NDArray[np.uint64] | None,
    ) -> None:
        unsent = self._started("logging files").unsent
        folder = unsent.place("files")
        if candidates is not None:
            write_candidates(candidates, folder / "candidates.csv")
        if training_rows is not None:
            write_training_rows(training_rows, folder / TRAINING_ROWS)
        for file, text in texts.items():
            if text is not None:
                (folder / file).write_text(text, encoding="utf-8")
        unsent.add("files")

    def _queue_model(
        self,
        model: Any,
        X_sample: Any,
        table_schema: TableSchema | None,
        datasets: Sequence[TrackedDataset],
        *,
        register: bool,
        model_file: Path | None,
    ) -> None:
        """Save the model, so that it can be sent at any time without what it was trained on."""
        unsent = self._started("logging the model").unsent
        tags = {key: value for key, value in self._tags.items() if key == "mlwf.run_id"}
        with talking(self.tracking_uri, "saving the model"):
            folder = unsent.place("model")
            shutil.rmtree(folder)
            X_sample = X_sample if self.spec.log_model_signature else None
            save_model(model, folder, X_sample, table_schema, model_file=model_file)
        unsent.add("model", {"params": self._params, "tags": {**origin_tags(), **tags}})
        names = {dataset.context: (dataset.name, dataset.short_digest) for dataset in datasets}
        contexts: list[Context] = ["test" if key.startswith("test_") else "training" for key, *_ in self._metrics]
        linked = [
            [*metric, *names.get(context, (None, None))]
            for metric, context in zip(self._metrics, contexts, strict=True)
        ]
        unsent.add("model metrics", linked)
        if register:
            name = self.spec.registered_model_name or self.experiment_name
            unsent.add("registration", {"name": name, "alias": self.spec.alias, "tags": tags})

    def _param_texts(self, params: Mapping[str, Any]) -> dict[str, str]:
        texts = flat_texts(params)
        keys = self._param_keys.of(texts)
        return {keys[name]: text for name, text in texts.items()}

    def _started(self, doing: str) -> Sender:
        if self._sender is None:
            raise TrackingError(f"{doing} failed: no MLflow run was started; call start_run() first")
        return self._sender

    def _raise_for_missing(self) -> None:
        if self.missing:
            reason = describe_missing(self.missing)
            raise TrackingError(f"{self.shown_uri}: not sent: {reason}", reason=reason)

    def _known(self, name: str) -> str | None:
        known: str | None = None if self._sender is None else self._sender.unsent.known.get(name)
        return known

    def _place(self) -> Path:
        """Give the folder in which parts wait: the run's own, or one that goes with this tracker."""
        if self._folder is None:
            self._folder = Path(mkdtemp(prefix="mlwf-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder


_LAST: tuple[Part, ...] = ("tags", "end of run")
"""What is sent last, when it is known what is missing."""


def _tag_texts(tags: Mapping[str, Any]) -> dict[str, str]:
    return {key: redact(str(value))[:_LONGEST_TAG] for key, value in tags.items() if value is not None}
