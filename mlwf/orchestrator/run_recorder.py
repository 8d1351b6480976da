"""Writes down what a run finds, in its folder and its MLflow run, as it goes and however it ends."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from mlwf.config import Document
from mlwf.engine.model_file import save_model
from mlwf.errors import ConfigError, DataError, TrackingError, raise_if_bug
from mlwf.evaluation.scored_rows import FOLDER, scored_rows, to_arrays
from mlwf.modules.data import Dataset, profile_columns
from mlwf.modules.runs import (
    CANDIDATES,
    CONFIG,
    ENVIRONMENT,
    MODEL_FILE,
    PARTIAL_DEPENDENCE,
    PROFILE,
    PULL,
    RESAMPLES,
    SUMMARY,
    TRAINING_ROWS,
    RunFolder,
    environment,
)
from mlwf.object_stores import send_run
from mlwf.orchestrator.champion import hash_training_rows
from mlwf.orchestrator.context import RunContext
from mlwf.orchestrator.mlflow_logger import MLflowLogger
from mlwf.orchestrator.run_data import RunData
from mlwf.orchestrator.run_inputs import name_rows
from mlwf.orchestrator.run_log import LogFile, PhaseStatus, RunLog, logging_to_folder
from mlwf.report import read_run, render_report
from mlwf.results import Importances, TuningResult
from mlwf.run_result import RunResult, ShippedModel
from mlwf.specs.data import SCHEMA_FILE
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.writing import dump_experiment
from mlwf.text import compact_json, first_line, redact_in

logger = logging.getLogger(__name__)


class RunRecorder:
    """Has the result of a run, and writes it down; without a folder to MLflow alone."""

    def __init__(
        self,
        spec: ExperimentSpec,
        run_log: RunLog,
        *,
        folder: RunFolder | None = None,
        document: Document | None = None,
    ) -> None:
        self.spec = spec
        self.run_log = run_log
        self.folder = folder
        self.document = document
        """The experiment file, where the run has one."""
        run_id = folder.run_id if folder else None
        algorithms = tuple(dict.fromkeys(section.model.algorithm for section in spec.model_sections))
        self.result = RunResult(spec.name, datetime.now(UTC), algorithms, run_id)
        self.summary: dict[str, Any] = {}
        """The content of `summary.json`, as it was written last."""
        self._context: RunContext | None = None
        self._mlflow = MLflowLogger(spec, run_log, folder=folder, document=document)
        self._log_file: LogFile | None = None

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Write down how the run ends, whatever ends it."""
        try:
            with logging_to_folder(self.folder, self.document) as self._log_file:
                try:
                    yield
                except BaseException as error:
                    self._fail(error)
                    raise
        except BaseException:
            with suppress(DataError):
                self._send()
            raise
        self._send()

    def _send(self) -> None:
        if self.folder and self.folder.path.is_dir():
            send_run(self.folder.path)

    def connect_tracking(self) -> None:
        """Open the tracking store, so that one that does not answer is known at once; raises TrackingError."""
        self._mlflow.connect()

    def start(self, context: RunContext) -> None:
        """Write down what the run works on, and start its MLflow run; raises TrackingError."""
        self._context = context
        if self.folder:
            self._write_inputs(self.folder, context)
        if self._mlflow.enabled:
            self._mlflow.start()
            logger.info("Started MLflow run: %s", self._mlflow.run_id)
        if context.run_data.joined is not None:
            logger.info("Retrieved features from feature store")

    def log_params(self) -> None:
        """Log what is known before the first fit."""
        assert self._context is not None
        params = {
            "model_name": self.spec.model_name,
            "algorithm": self.result.algorithm,
            **(self.spec.model.hyperparameters if self.spec.candidates is None else {}),
            "n_features": self._context.n_features,
            "n_samples": len(self._context.split.train),
        }
        self._mlflow.log(lambda tracker: tracker.log_params(self._redact(params)))

    def record(self, result: RunResult) -> None:
        """Take what the run has found by now, and write down what is new: the search, the model, the predictions."""
        before, self.result = self.result, result
        if result.tuning is not None and result.tuning is not before.tuning:
            self._record_tuning(result.tuning)
        if result.selection is not None and result.selection is not before.selection and self.folder:
            self.folder.write_json(CANDIDATES, {name: each.cv_results for name, each in result.searches.items()})
        if result.model is not None and result.model is not before.model:
            self._record_model(result.model)
        for evaluation in result.evaluations:
            if self.folder and all(evaluation is not each for each in before.evaluations):
                name = f"{FOLDER}/{evaluation.source}.npz"
                self.folder.write_arrays(name, to_arrays(scored_rows(evaluation)))
        if result.importances is not None and result.importances is not before.importances:
            self._record_importances(result, result.importances)
        if result.gates is not None and result.gates is not before.gates:
            self._mlflow.withhold(result.gates)

    def log_results(self, status: PhaseStatus) -> None:
        """Write everything to the tracking store; what it does not take is kept in the folder, and degrades the run."""
        if not self._mlflow.enabled:
            status.skip("tracking was not asked for")
            return
        assert self._context is not None
        # This phase is the last: what it logs knows all others.
        self.result = replace(self.result, log=self.run_log.entries, tracking=self._mlflow.state)
        self._mlflow.log_results(self.result, self._context, config=self._config(), redact=self._redact)
        if self._mlflow.error:
            status.degrade(self._mlflow.error)

    def finish(self) -> None:
        """Write the summary, and end the MLflow run; raises TrackingError when that failed and `on_error` says fail."""
        if self.folder and (resamples := self.result.to_resamples()):
            self.folder.write_text(RESAMPLES, compact_json(resamples))
        # The folder first, and again with what the store answers: what has no room here is not finished there.
        self._write_summary()
        self._mlflow.end("FINISHED", self.summary, None, report=self._report())
        if self._log_file and self._log_file.trouble:
            self.run_log.warn(self._log_file.trouble)
        self._write_summary()
        if self._mlflow.enabled and not self._mlflow.error:
            logger.info("MLflow tracking completed successfully")
        if self._mlflow.error and self.spec.on_error == "fail":
            raise TrackingError(f"{self._mlflow.store}: not sent: {self._mlflow.error} (on_error: fail)")

    def _report(self) -> str | None:
        """Make the page of the run for the tracking store; None where there is no folder to make it of."""
        if self.folder is None or not self._mlflow.enabled:
            return None
        try:
            return render_report(read_run(self.folder))
        except Exception as error:
            raise_if_bug(error)
            logger.warning("The report could not be made (%s). Proceeding without.", error)
            return None

    def _write_inputs(self, folder: RunFolder, context: RunContext) -> None:
        run_data = context.run_data
        test = run_data.test
        fingerprints: dict[str, Any] = {
            "training": _fingerprint(run_data.data),
            "test": _fingerprint(test) if test else None,
            **_frozen_pull(self.spec, run_data, folder),
        }
        folder.write_text(CONFIG, self._config(pull=PULL))
        folder.write_text(ENVIRONMENT, environment())
        folder.write_json("data.json", self._redact(fingerprints))
        # Thousands of numbers, which need no line of their own each.
        folder.write_text(PROFILE, compact_json(self._redact(profile_columns(run_data.data, test))))
        if run_data.schema is not None:
            folder.write_json(SCHEMA_FILE, run_data.schema.model_dump(mode="json"))
        # By their content, so that a later evaluation knows them again.
        folder.write_arrays(TRAINING_ROWS, {"rows": hash_training_rows(context)})
        # By position among the rows that have a target.
        folder.write_arrays("splits.npz", {name: rows.index for name, rows in name_rows(context).items()})

    def _record_tuning(self, tuned: TuningResult) -> None:
        if self.folder:
            self.folder.write_json(CANDIDATES, tuned.cv_results)
        self._mlflow.log(lambda tracker: tracker.log_params(self._redact(dict(tuned.best_params))))
        self._mlflow.log(lambda tracker: tracker.log_metrics({"tuning_best_score": tuned.best_score}))

    def _record_model(self, model: ShippedModel) -> None:
        if self.folder:
            save_model(model.estimator, self.folder.file(MODEL_FILE))

    def _record_importances(self, result: RunResult, importances: Importances) -> None:
        if self.folder and result.partial_dependence is not None:
            self.folder.write_text(PARTIAL_DEPENDENCE, compact_json(result.partial_dependence))
        if importances.reason is not None:
            # The reason is logged, since there is no plot to show it.
            reason = self._redact(importances.reason)
            logger.info("Importances: none: %s", reason)
            self._mlflow.log(lambda tracker: tracker.set_tags({"mlwf.importances": f"none: {reason}"}))

    def _fail(self, error: BaseException) -> None:
        is_mistake = self._context is None and isinstance(error, ConfigError | DataError)
        if self.folder and is_mistake:
            # A mistake found before the first fit leaves nothing worth a folder.
            shutil.rmtree(self.folder.path, ignore_errors=True)
            return
        status = "failed" if isinstance(error, Exception) else "killed"
        reason = self._redact(first_line(error))
        logger.error("run %s: %s", status, reason)
        try:
            self._complete(status, reason)
        except Exception:
            # A bug in what a summary is made of: that the run failed, and of what, is written all the same.
            logger.exception("the summary could not be made")
            self.summary = self._least_summary(status, reason)
        self._mlflow.end("FAILED" if status == "failed" else "KILLED", self.summary, reason)
        # Where there is no room for that, a later command finds the process gone, and the run not ended.
        with suppress(OSError):
            self._keep_summary(status, reason)

    def _write_summary(self) -> None:
        status = "degraded" if self.run_log.degraded or self._mlflow.error else "done"
        self._complete(status, None)
        self._keep_summary(status, None)

    def _complete(self, status: str, error: str | None) -> None:
        """Add to the result how the run stands, and make its summary."""
        self.result = replace(
            self.result,
            log=self.run_log.entries,
            tracking=self._mlflow.state,
            status=status,
            error=error,
            files=_files(self.folder) if self.folder else None,
        )
        self.summary = self._redact(self.result.to_summary())

    def _keep_summary(self, status: str, error: str | None) -> None:
        if self.folder is None:
            return
        try:
            self.folder.write_json(SUMMARY, self.summary)
            self.folder.end(status, error)
        except OSError:
            # One of the two alone, such as the summary of an earlier moment, would show a wrong end of the run.
            with suppress(OSError):
                self.folder.file(SUMMARY).unlink(missing_ok=True)
            with suppress(OSError):
                self.folder.end("failed", error or "its summary could not be written")
            raise

    def _least_summary(self, status: str, error: str) -> dict[str, Any]:
        known = {"run_id": self.result.run_id, "name": self.spec.name, "status": status, "error": error}
        times = {"started_at": self.result.started_at.isoformat(), "seconds": round(self.run_log.seconds, 3)}
        least: dict[str, Any] = self._redact({**known, **times})
        return least

    def _config(self, *, pull: str | None = None) -> str:
        """Write the experiment as it was resolved; with the folder of its pull, beside it, where it has one."""
        resolved = self._context.resolved if self._context else self.spec
        if resolved.feature_store is not None and self._context and self._context.run_data.joined is not None:
            store = resolved.feature_store.model_copy(update={"pull": pull})
            resolved = resolved.model_copy(update={"feature_store": store})
        return dump_experiment(self._mlflow.without_secrets(resolved), document=self.document)

    def _redact(self, content: Any) -> Any:
        """Keep what came from the environment, and the logins of addresses, out of all that is written."""
        return redact_in(content, self.document.redact) if self.document else redact_in(content)


def _files(folder: RunFolder) -> dict[str, str]:
    model = folder.file(MODEL_FILE)
    # A run that was cut off may have none.
    return {"folder": str(folder.path), **({"model": str(model)} if model.exists() else {})}


def _frozen_pull(spec: ExperimentSpec, run_data: RunData, folder: RunFolder) -> dict[str, Any]:
    """Keep in the folder what the feature store has joined, and give the digests of the files."""
    if run_data.joined is None or spec.feature_store is None:
        return {}
    from mlwf.modules.feature_store import freeze_pull

    parts: tuple[tuple[Any, Any], ...] = (("training", run_data.joined), ("test", run_data.joined_test))
    return {
        PULL: {
            part: freeze_pull(spec.feature_store, joined, folder.file(PULL), part)
            for part, joined in parts
            if joined is not None
        }
    }


def _fingerprint(data: Dataset) -> dict[str, Any]:
    return {
        "source": data.source,
        "digest": data.digest,
        "rows": len(data),
        "columns": [str(name) for name in data.X.columns] if hasattr(data.X, "columns") else data.X.shape[1],
    }
