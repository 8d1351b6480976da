"""What a run leaves behind: the guide's results, its folder, and its MLflow run; kept however the run ends."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from mlwf.config import Document
from mlwf.engine.model_file import save_model
from mlwf.engine.out_of_fold import TrainedModel
from mlwf.errors import ConfigError, DataError, TrackingError
from mlwf.modules.runs import RunFolder, environment
from mlwf.orchestrator.context import RunContext
from mlwf.orchestrator.mlflow_logger import MLflowLogger
from mlwf.orchestrator.run_log import LogFile, PhaseStatus, RunLog, logging_to_folder, one_line
from mlwf.orchestrator.run_provenance import ALL, fold_rows
from mlwf.orchestrator.summary import summarise
from mlwf.orchestrator.training import choices_of
from mlwf.results import Evaluation, Finding, GateResult, TuningResult
from mlwf.specs.data import SCHEMA_FILE
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.writing import dump_experiment
from mlwf.text import redact_in

logger = logging.getLogger(__name__)


class RunRecorder:
    """Collects the guide's results and writes them down as the run goes."""

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
        self.results: dict[str, Any] = {}
        self.summary: dict[str, Any] = {}
        self._document = document
        self._started_at = datetime.now(UTC)
        self._context: RunContext | None = None
        self._mlflow = MLflowLogger(spec, run_log, folder=folder, document=document)
        self._tuned: TuningResult | None = None
        self._log_file: LogFile | None = None
        self._trained: TrainedModel | None = None
        self.evaluations: list[Evaluation] = []

    @property
    def document(self) -> Document | None:
        """The experiment file, where the run has one."""
        return self._document

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Write down how the run ends, whatever ends it."""
        with logging_to_folder(self.folder, self._document) as self._log_file:
            try:
                yield
            except BaseException as error:
                self._fail(error)
                raise

    def reach_tracking(self) -> None:
        """Open the tracking store, so that one that does not answer is known at once; raises TrackingError."""
        self._mlflow.reach()

    def begin(self, context: RunContext) -> None:
        """Write down what the run works on; the MLflow run starts here."""
        spec, data = self.spec, context.run_data.data
        self._context = context
        self.results |= {
            "run_id": self.folder and self.folder.run_id,
            "model_name": spec.model_name,
            "algorithm": spec.model.algorithm,
            "n_features": context.n_features,
            "validation_strategy": spec.validation.strategy,
            "tuning_enabled": context.tuning is not None,
            "calibration_enabled": context.calibration is not None,
            "threshold_enabled": context.threshold is not None,
            "mlflow_enabled": self._mlflow.enabled,
            "feature_store_enabled": context.run_data.joined is not None,
        }
        if self.folder:
            self.folder.write_text("config.yaml", self._config())
            self.folder.write_text("environment.txt", environment())
            test = context.run_data.test
            fingerprints = {"training": _fingerprint(data), "test": _fingerprint(test) if test else None}
            self.folder.write_json("data.json", self._concealed(fingerprints))
            if context.run_data.schema is not None:
                self.folder.write_json(SCHEMA_FILE, context.run_data.schema.model_dump(mode="json"))
            self.folder.write_arrays("splits.npz", _splits(context))
        if self._mlflow.enabled:
            self.results |= self._mlflow.start()
            logger.info("Started MLflow run: %s", self.results["mlflow_run_id"])
        if context.run_data.joined is not None:
            logger.info("Retrieved features from feature store")

    def built(self) -> None:
        """Log what is known before the first fit."""
        assert self._context is not None
        params = {
            "model_name": self.spec.model_name,
            "algorithm": self.spec.model.algorithm,
            **self.spec.model.hyperparameters,
            "n_features": self._context.n_features,
            "n_samples": len(self._context.split.train),
        }
        self._mlflow.say(lambda tracker: tracker.log_params(self._concealed(params)))

    def tuned(self, tuned: TuningResult | None) -> None:
        """Keep what the search found."""
        if tuned is None:
            return
        self._tuned = tuned
        self.results["tuning_summary"] = tuned.summary()
        if self.folder:
            self.folder.write_json("candidates.json", tuned.cv_results)
        self._mlflow.say(lambda tracker: tracker.log_params(self._concealed(dict(tuned.best_params))))
        self._mlflow.say(lambda tracker: tracker.log_metrics({"tuning_best_score": tuned.best_score}))

    def trained(self, trained: TrainedModel) -> None:
        """Keep the model as soon as there is one, and what is told of it: both always of the one that ships."""
        self._trained = trained
        self.results["pipeline"] = trained.model
        if trained.calibration:
            self.results["calibration_summary"] = trained.calibration.summary()
        if trained.threshold:
            self.results["threshold_summary"] = trained.threshold.summary()
        self._save(trained.model)
        self._tell_importances(trained.model)

    def refitted(self, scored: TrainedModel, trained: TrainedModel) -> None:
        """Keep the model that was fitted again, and what the one before it was, whose score is told."""
        assert self._context is not None
        self.trained(trained)
        self.results["refit_summary"] = {
            "n_rows": len(self._context.shipped_rows),
            "scored_model": choices_of(self._context, scored),
        }

    def validated(self, evaluation: Evaluation | None) -> None:
        """Keep the validation's scores."""
        if evaluation is None:
            return
        self.evaluations.append(evaluation)
        if evaluation.source == "train_test":
            self.results["val_score"] = evaluation.value("accuracy")
        else:
            self.results["cv_score"] = evaluation.value("accuracy")
            self.results["cv_std"] = evaluation.std("accuracy")
            self.results["cv_folds"] = self.spec.validation.cv_folds

    def tested(self, evaluation: Evaluation | None) -> None:
        """Keep the test's scores and predictions."""
        if evaluation is None:
            return
        self.evaluations.append(evaluation)
        self.results["test_predictions"] = evaluation.predictions.labels
        self.results["test_accuracy"] = evaluation.value("accuracy")

    def found(self, findings: Sequence[Finding]) -> None:
        """Keep what a person should look at."""
        self.results["findings"] = list(findings)

    def gated(self, gates: Sequence[GateResult]) -> None:
        """Keep the verdict of the gates; the model of a run that does not meet one is not registered."""
        self.results["gates"] = list(gates)
        self._mlflow.withhold(gates)

    def log(self, outcome: PhaseStatus) -> None:
        """Write everything to the tracking store; when that fails the run is kept in its folder, and says so."""
        if not self._mlflow.enabled:
            outcome.skip("tracking was not asked for")
            return
        assert self._context is not None
        # This phase is the last: what it logs knows all others.
        self.results["phases"] = list(self.run_log.phases)
        self._mlflow.log_results(
            self.results,
            self._context,
            evaluations=self.evaluations,
            tuned=self._tuned,
            calibration=self._trained.calibration if self._trained else None,
            config=self._config(),
            redact=self._concealed,
        )
        if self._mlflow.error:
            outcome.degrade(self._mlflow.error)

    def end(self) -> None:
        """Write the summary, and end the MLflow run; raises TrackingError when that failed and `on_error` says fail."""
        self.results["phases"] = list(self.run_log.phases)
        self.results["scores"] = [score for evaluation in self.evaluations for score in evaluation.scores]
        self.results["slices"] = [score for evaluation in self.evaluations for score in evaluation.slices]
        # The folder first, and again with what the store answers: what has no room here is not finished there.
        self._write_summary(self._status())
        self._mlflow.end("FINISHED", self._summary(self._status()), None)
        if self._log_file and self._log_file.trouble:
            self.run_log.warn(self._log_file.trouble)
        self.results["warnings"] = list(self.run_log.warnings)
        self._write_summary(self._status())
        if self._mlflow.enabled and not self._mlflow.error:
            logger.info("MLflow tracking completed successfully")
        if self._mlflow.error and self.spec.on_error == "fail":
            raise TrackingError(f"{self._mlflow.store}: not sent: {self._mlflow.error} (on_error: fail)")

    def _tell_importances(self, model: Any) -> None:
        """Say whether there are importances; a plot that is not there says nothing."""
        from mlwf.modules.tracking.importances import describe_importances

        told = self.results["importances"] = describe_importances(model)
        if not told["available"]:
            logger.info("Importances: %s", told["note"])
            self._mlflow.say(lambda tracker: tracker.set_tags({"mlwf.importances": f"none: {told['note']}"}))

    def _status(self) -> str:
        return "degraded" if self.run_log.degraded or self._mlflow.error else "done"

    def _fail(self, error: BaseException) -> None:
        nothing_begun = self._context is None and isinstance(error, ConfigError | DataError)
        if self.folder and nothing_begun:
            # A mistake found before the first fit leaves nothing worth a folder.
            shutil.rmtree(self.folder.path, ignore_errors=True)
            return
        status = "failed" if isinstance(error, Exception) else "killed"
        reason = self._concealed(one_line(error))
        logger.error("run %s: %s", status, reason)
        try:
            self.summary = self._summary(status, reason)
        except Exception:
            # A bug in what a summary is made of: that the run failed, and of what, is kept all the same.
            logger.exception("the summary could not be made")
            self.summary = self._least_summary(status, reason)
        self._mlflow.end("FAILED" if status == "failed" else "KILLED", self.summary, reason)
        # Where there is no room for that, the process that is gone tells that the run did not end well.
        with suppress(OSError):
            self._keep_summary(status, reason)

    def _write_summary(self, status: str, error: str | None = None) -> None:
        self.summary = self._summary(status, error)
        self._keep_summary(status, error)

    def _keep_summary(self, status: str, error: str | None) -> None:
        if self.folder is None:
            return
        try:
            self.folder.write_json("summary.json", self.summary)
            self.folder.end(status, error)
        except OSError:
            # One of the two alone, such as the summary of an earlier moment, would say how the run ended, and wrongly.
            with suppress(OSError):
                self.folder.file("summary.json").unlink(missing_ok=True)
            with suppress(OSError):
                self.folder.end("failed", error or "its summary could not be written")
            raise

    def _least_summary(self, status: str, error: str) -> dict[str, Any]:
        known = {"run_id": self.folder and self.folder.run_id, "name": self.spec.name, "status": status, "error": error}
        least: dict[str, Any] = self._concealed(
            {**known, "started_at": self._started_at.isoformat(), "seconds": round(self.run_log.seconds, 3)}
        )
        return least

    def _summary(self, status: str, error: str | None = None) -> dict[str, Any]:
        summary: dict[str, Any] = self._concealed(self._plain_summary(status, error))
        return summary

    def _plain_summary(self, status: str, error: str | None) -> dict[str, Any]:
        return summarise(
            self.spec,
            self.results,
            status=status,
            error=error,
            started_at=self._started_at,
            run_log=self.run_log,
            context=self._context,
            evaluations=self.evaluations,
            tracking=self._mlflow.summary(),
            folder=self.folder,
        )

    def _config(self) -> str:
        resolved = self._context.resolved if self._context else self.spec
        return dump_experiment(self._mlflow.as_written(resolved), document=self._document)

    def _concealed(self, content: Any) -> Any:
        """Keep what came from the environment, and the logins of addresses, out of all that is written."""
        return self._document.redact_in(content) if self._document else redact_in(content)

    def _save(self, model: Any) -> None:
        if self.folder:
            save_model(model, self.folder.file("model.skops"))


def _fingerprint(data: Any) -> Mapping[str, Any]:
    return {
        "source": data.source,
        "digest": data.digest,
        "rows": len(data),
        "columns": [str(name) for name in data.X.columns] if hasattr(data.X, "columns") else data.X.shape[1],
    }


def _splits(context: RunContext) -> dict[str, Any]:
    """Name the rows of each split, by position among the rows that have a target."""
    splits = {"train": context.split.train.index, "holdout": context.split.test.index}
    if context.is_refitted:
        splits[ALL] = context.shipped_rows.index
    for number, fold in enumerate(context.outer):
        splits |= {fold_rows(number, "train"): fold.train.index, fold_rows(number, "test"): fold.test.index}
    return splits
