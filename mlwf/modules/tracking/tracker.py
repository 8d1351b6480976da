"""One MLflow run, from its start to its end."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from mlwf.addresses import redact
from mlwf.errors import TrackingError
from mlwf.modules.tracking.datasets import Context, TrackedDataset, dataset_input
from mlwf.modules.tracking.files import (
    TRAINING_ROWS,
    describe_model,
    to_json,
    write_candidates,
    write_training_rows,
)
from mlwf.modules.tracking.keys import Keys
from mlwf.modules.tracking.model import log_model
from mlwf.modules.tracking.plots import draw_plots
from mlwf.modules.tracking.registry import register_model
from mlwf.modules.tracking.store import Store, check_uri, open_store
from mlwf.modules.tracking.talking import one_line, shown, talking
from mlwf.modules.tracking.values import (
    batches,
    describe_scores,
    flat_texts,
    metrics_of,
    metrics_of_scores,
    origin_tags,
    params_of,
    start_tags,
    verdict_tags,
)
from mlwf.results import CalibrationResult, Finding, GateResult, Judgement
from mlwf.specs.model import ClassifierModelSpec
from mlwf.specs.tracking import MLflowSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RunStatus = Literal["FINISHED", "FAILED", "KILLED"]

_PARAMS_AT_ONCE, _TAGS_AT_ONCE, _METRICS_AT_ONCE = 100, 100, 500
_LONGEST_TAG = 5000


def create_mlflow_tracker(
    mlflow_spec: MLflowSpec,
    model_spec: ClassifierModelSpec,
    *,
    name: str = "experiment",
    run_id: str | None = None,
    process: Mapping[str, Any] | None = None,
) -> MLflowTracker:
    """Prepare the tracking of one run; the store is opened by `connect` or `start_run`.

    Parameters
    ----------
    mlflow_spec
        Where to keep the run.
    model_spec
        The model's spec; its `model_name` names the run when there is no `run_id`.
    name
        Name of the MLflow experiment unless the spec has one.
    run_id
        Our own id of the run: the MLflow run is named by it, and carries it as tag `mlwf.run_id`.
    process
        Host, pid and start of the process, so that a later command can tell that it died without a word.
    """
    return MLflowTracker(mlflow_spec, model_spec, name=name, run_id=run_id, process=process)


class MLflowTracker:
    """Writes one run to an MLflow store. Every method may raise TrackingError, and the run is none the worse for it."""

    def __init__(
        self,
        mlflow_spec: MLflowSpec,
        model_spec: ClassifierModelSpec,
        *,
        name: str = "experiment",
        run_id: str | None = None,
        process: Mapping[str, Any] | None = None,
    ) -> None:
        self.spec = mlflow_spec
        self.tracking_uri = check_uri(mlflow_spec.tracking_uri)
        self.experiment_name = mlflow_spec.experiment_name or name
        self.model_id: str | None = None
        """MLflow's id of the logged model."""
        self.registered_version: str | None = None
        """Version that the model was registered as."""
        self._run_name = run_id or model_spec.model_name
        self._tags = start_tags(run_id, process)
        self._store: Store | None = None
        self._run: Any = None
        self._params: dict[str, str] = {}
        self._metrics: list[Any] = []
        self._param_keys, self._metric_keys = Keys(), Keys()

    @property
    def run_id(self) -> str | None:
        """MLflow's id of the run; None before `start_run`."""
        return self._run and str(self._run.info.run_id)

    @property
    def experiment_id(self) -> str | None:
        """MLflow's id of the experiment; None before `start_run`."""
        return self._run and str(self._run.info.experiment_id)

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
        """Start the run in its experiment."""
        store = self.connect()
        if self._run is not None:
            raise TrackingError(f"MLflow run {self.run_id} was started already; create a new tracker for a new run")
        with talking(store.tracking_uri, "starting a run"):
            # The experiment is named in so many words: MLflow's set_experiment loses a race without saying so, and
            # the run lands in another experiment.
            self._run = store.client.create_run(
                store.experiment_id(self.experiment_name), run_name=self._run_name, tags=self._tags
            )

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters; nested ones are flattened, long ones cut, those already logged left out."""
        texts = flat_texts(params)
        keys = self._param_keys.of(texts)
        new = {keys[name]: text for name, text in texts.items() if self._params.get(keys[name]) != text}
        changed = sorted(new.keys() & self._params.keys())
        if changed:
            raise TrackingError(f"parameter {changed[0]} was logged already; MLflow keeps the first value of each")
        with self._talking("logging parameters") as store:
            from mlflow.entities import Param

            for some in batches([Param(name, text) for name, text in new.items()], _PARAMS_AT_ONCE):
                store.client.log_batch(self.run_id, params=some)
        self._params.update(new)

    def log_metrics(self, metrics: Mapping[str, float | None], *, step: int = 0) -> None:
        """Log metrics; those that could not be computed (None) are left out."""
        with self._talking("logging metrics") as store:
            from mlflow.entities import Metric

            now = int(time.time() * 1000)
            keys = self._metric_keys.of(metrics)
            new = [Metric(keys[name], float(value), now, step) for name, value in metrics.items() if value is not None]
            for some in batches(new, _METRICS_AT_ONCE):
                store.client.log_batch(self.run_id, metrics=some)
        self._metrics += new

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags of the run."""
        with self._talking("setting tags") as store:
            from mlflow.entities import RunTag

            texts = [RunTag(key, redact(str(value))[:_LONGEST_TAG]) for key, value in tags.items() if value is not None]
            for some in batches(texts, _TAGS_AT_ONCE):
                store.client.log_batch(self.run_id, tags=some)

    def log_workflow_results(
        self,
        results: Mapping[str, Any],
        X_sample: Any = None,
        register_model: bool = False,
        *,
        metrics: Mapping[str, float | None] | None = None,
        judgements: Sequence[Judgement] = (),
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
        """
        self.log_params(params_of(results))
        known = {metric.key: metric.value for metric in self._metrics}
        found = {**metrics_of(results), **metrics_of_scores(judgements), **(metrics or {})}
        keys = self._metric_keys.of(found)
        self.log_metrics({name: value for name, value in found.items() if known.get(keys[name]) != value})
        self._log_datasets(datasets)
        model = results["pipeline"]
        texts = {
            "config.yaml": config,
            "environment.txt": environment,
            "summary.json": None if summary is None else to_json(summary),
            "estimator.txt": describe_model(model),
        }
        with TemporaryDirectory(prefix="mlwf-") as name:
            folder = Path(name)
            if candidates is not None:
                write_candidates(candidates, folder / "candidates.csv")
            if training_rows is not None:
                write_training_rows(training_rows, folder / TRAINING_ROWS)
            draw_plots(folder / "plots", model, judgements, positive_class=positive_class, calibration=calibration)
            self._log_files(folder, texts)
        self._log_model(model, X_sample, datasets, register=register_model)
        tags: dict[str, str | None] = {
            "mlwf.status": "degraded" if degraded else "done",
            "mlflow.note.content": describe_scores(judgements, self._metric_keys.digests),
            **verdict_tags(judgements, gates, findings),
        }
        if degraded:
            tags["mlwf.degraded"] = "; ".join(f"{phase}: {reason}" for phase, reason in degraded.items())
        self.set_tags(tags)

    def log_summary(self, summary: Mapping[str, Any]) -> None:
        """Log the summary as `summary.json`; the last one stands."""
        with self._talking("logging the summary") as store:
            store.client.log_text(self.run_id, to_json(summary), "summary.json")

    def end_run(self, status: RunStatus = "FINISHED", *, error: str | None = None) -> None:
        """End the run; `error` says in one line why it did not finish."""
        if status != "FINISHED":
            self.set_tags({"mlwf.status": status.lower(), "mlwf.error": error and one_line(error)})
        with self._talking("ending the run") as store:
            store.client.set_terminated(self.run_id, status)

    @contextmanager
    def _talking(self, doing: str) -> Iterator[Store]:
        if self._store is None or self._run is None:
            raise TrackingError(f"{doing} failed: no MLflow run was started; call start_run() first")
        with talking(self._store.tracking_uri, doing):
            yield self._store

    def _log_datasets(self, datasets: Sequence[TrackedDataset]) -> None:
        if datasets:
            with self._talking("logging the datasets") as store:
                store.client.log_inputs(self.run_id, [dataset_input(dataset) for dataset in datasets])

    def _log_files(self, folder: Path, texts: Mapping[str, str | None]) -> None:
        """Log the files in a folder and some texts, all at once: a server takes each call as slowly as the next."""
        for file, text in texts.items():
            if text is not None:
                (folder / file).write_text(text, encoding="utf-8")
        with self._talking("logging files") as store:
            store.client.log_artifacts(self.run_id, str(folder))

    def _log_model(self, model: Any, X_sample: Any, datasets: Sequence[TrackedDataset], *, register: bool) -> None:
        tags = {key: value for key, value in self._tags.items() if key == "mlwf.run_id"}
        if not self.spec.log_model_signature:
            X_sample = None
        with self._talking("logging the model") as store:
            self.model_id = log_model(
                store, self._run, model, X_sample=X_sample, params=self._params, tags={**origin_tags(), **tags}
            )
            self._link_metrics(store, datasets)
        if register:
            with self._talking("registering the model") as store:
                name = self.spec.registered_model_name or self.experiment_name
                self.registered_version = register_model(
                    store, self._run, self.model_id, name, alias=self.spec.alias, tags=tags
                )

    def _link_metrics(self, store: Store, datasets: Sequence[TrackedDataset]) -> None:
        """Show the run's metrics on the page of its model too, with the rows they were computed on."""
        from mlflow.entities import Metric

        names = {dataset.context: (dataset.name, dataset.short_digest) for dataset in datasets}
        linked = []
        for metric in self._metrics:
            context: Context = "test" if metric.key.startswith("test_") else "training"
            name, digest = names.get(context, (None, None))
            linked.append(
                Metric(
                    metric.key,
                    metric.value,
                    metric.timestamp,
                    metric.step,
                    model_id=self.model_id,
                    dataset_name=name,
                    dataset_digest=digest,
                    run_id=self.run_id,
                )
            )
        for some in batches(linked, _METRICS_AT_ONCE):
            store.client.log_batch(self.run_id, metrics=some)
