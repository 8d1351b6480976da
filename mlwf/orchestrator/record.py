"""What a run leaves behind: the guide's results, its folder, and its MLflow run; kept however the run ends."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal

from mlwf.engine.model_file import save_model
from mlwf.errors import ConfigError, DataError, TrackingError
from mlwf.modules.data import Dataset
from mlwf.modules.runs import RunFolder, environment
from mlwf.orchestrator.journal import Journal, Outcome, one_line
from mlwf.orchestrator.setting import Setting
from mlwf.orchestrator.summary import summarise
from mlwf.processes import this_process
from mlwf.results import CalibrationResult, Judgement, TuningResult
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.writing import dump_experiment

logger = logging.getLogger(__name__)

SAMPLE_ROWS = 100

WriteConfig = Callable[[ExperimentSpec], str]


class Record:
    """Collects the guide's results and writes them down as the run goes."""

    def __init__(
        self,
        spec: ExperimentSpec,
        journal: Journal,
        *,
        folder: RunFolder | None = None,
        write_config: WriteConfig | None = None,
    ) -> None:
        self.spec = spec
        self.journal = journal
        self.folder = folder
        self.results: dict[str, Any] = {}
        self.summary: dict[str, Any] = {}
        self._write_config = write_config
        self._started_at = datetime.now(UTC)
        self._setting: Setting | None = None
        self._tracker: Any = None
        self._tracking_error: str | None = None
        self._tuned: TuningResult | None = None
        self._judgements: list[Judgement] = []

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Write down how the run ends, whatever ends it."""
        with self._logging_to_folder():
            try:
                yield
            except BaseException as error:
                self._fail(error)
                raise

    def reach_tracking(self) -> None:
        """Open the tracking store, so that one that does not answer is known at once; raises TrackingError."""
        tracking = self.spec.tracking
        if tracking is None or not tracking.enabled:
            return
        from mlwf.modules.tracking import create_mlflow_tracker, mark_stale_runs

        self._tracker = create_mlflow_tracker(
            tracking,
            self.spec.model,
            name=self.spec.name,
            run_id=self.folder.run_id if self.folder else None,
            process=this_process(),
        )
        mark_stale_runs(self._tracker.connect())

    def begin(self, setting: Setting) -> None:
        """Write down what the run works on; the MLflow run starts here."""
        spec, data = self.spec, setting.material.data
        self._setting = setting
        self.results |= {
            "run_id": self.folder and self.folder.run_id,
            "model_name": spec.model_name,
            "algorithm": spec.model.algorithm,
            "n_features": setting.n_features,
            "validation_strategy": spec.validation.strategy,
            "tuning_enabled": setting.tuning is not None,
            "calibration_enabled": setting.calibration is not None,
            "mlflow_enabled": self._tracker is not None,
            "feature_store_enabled": setting.material.joined is not None,
        }
        if self.folder:
            self.folder.write_text("config.yaml", self._config())
            self.folder.write_text("environment.txt", environment())
            test = setting.material.test
            fingerprints = {"training": _fingerprint(data), "test": _fingerprint(test) if test else None}
            self.folder.write_json("data.json", fingerprints)
            self.folder.write_arrays("splits.npz", _splits(setting))
        if self._tracker:
            self._tracker.start_run()
            logger.info("Started MLflow run: %s", self._tracker.run_id)
            self.results |= {
                "mlflow_run_id": self._tracker.run_id,
                "mlflow_experiment_id": self._tracker.experiment_id,
            }
        if setting.material.joined is not None:
            logger.info("Retrieved features from feature store")

    def built(self) -> None:
        """Log what is known before the first fit."""
        assert self._setting is not None
        params = {
            "model_name": self.spec.model_name,
            "algorithm": self.spec.model.algorithm,
            **self.spec.model.hyperparameters,
            "n_features": self._setting.n_features,
            "n_samples": len(self._setting.split.train),
        }
        self._track(lambda tracker: tracker.log_params(params))

    def tuned(self, tuned: TuningResult | None) -> None:
        """Keep what the search found."""
        if tuned is None:
            return
        self._tuned = tuned
        self.results["tuning_summary"] = tuned.summary()
        if self.folder:
            self.folder.write_json("candidates.json", tuned.cv_results)
        self._track(lambda tracker: tracker.log_params(tuned.best_params))
        self._track(lambda tracker: tracker.log_metrics({"tuning_best_score": tuned.best_score}))

    def trained(self, model: Any, calibrated: CalibrationResult | None) -> None:
        """Keep the model as soon as there is one."""
        self.results["pipeline"] = model
        if calibrated:
            self.results["calibration_summary"] = calibrated.summary()
        self._save(model)

    def validated(self, judgement: Judgement | None, model: Any) -> None:
        """Keep the validation's scores, and the model that ships."""
        if model is not self.results["pipeline"]:
            self.results["pipeline"] = model
            self._save(model)
        if judgement is None:
            return
        self._judgements.append(judgement)
        if judgement.source == "train_test":
            self.results["val_score"] = judgement.value("accuracy")
        else:
            self.results["cv_score"] = judgement.value("accuracy")
            self.results["cv_std"] = judgement.std("accuracy")
            self.results["cv_folds"] = self.spec.validation.cv_folds

    def tested(self, judgement: Judgement | None) -> None:
        """Keep the test's scores and predictions."""
        if judgement is None:
            return
        self._judgements.append(judgement)
        self.results["test_predictions"] = judgement.predictions.labels
        self.results["test_accuracy"] = judgement.value("accuracy")

    def log(self, outcome: Outcome) -> None:
        """Write everything to the tracking store; when that fails the run is kept in its folder, and says so."""
        if self._tracker is None:
            outcome.skip(
                "tracking was not asked for" if self.folder is None else "no tracking: kept in the run's folder"
            )
            return
        self._track(self._log_to_mlflow)
        if self._tracking_error:
            outcome.degrade(self._tracking_error)

    def end(self) -> None:
        """Write the summary, and end the MLflow run; raises TrackingError when that failed and `on_error` says fail."""
        self.results["phases"] = list(self.journal.phases)
        self.results["scores"] = [score for judgement in self._judgements for score in judgement.scores]
        self.results["warnings"] = list(self.journal.warnings)
        self._track(lambda tracker: tracker.end_run(status="FINISHED"))
        self._write_summary("degraded" if self.journal.degraded or self._tracking_error else "done")
        if self._tracker and not self._tracking_error:
            logger.info("MLflow tracking completed successfully")
        if self._tracking_error and self.spec.on_error == "fail":
            raise TrackingError(f"{self._tracking_error} (on_error: fail)")

    def _log_to_mlflow(self, tracker: Any) -> None:
        from mlwf.modules.tracking import TrackedDataset

        assert self._setting is not None
        tracking, material = self.spec.tracking, self._setting.material
        assert tracking is not None
        used: list[tuple[Literal["training", "test"], Dataset]] = [("training", material.data)]
        if material.test:
            used.append(("test", material.test))
        # The summary is of the whole run, and this phase is its last.
        self.results["phases"] = list(self.journal.phases)
        tracker.log_workflow_results(
            results=self.results,
            X_sample=material.data.X[:SAMPLE_ROWS] if tracking.log_model_signature else None,
            register_model=tracking.should_register_model(),
            judgements=self._judgements,
            positive_class=self.spec.data.positive_class,
            datasets=[
                TrackedDataset(data=data.X, y=data.y, target=self.spec.data.target, source=data.source, name=context,
                               digest=data.digest, context=context)
                for context, data in used
            ],
            candidates=self._tuned and self._tuned.cv_results,
            config=self._config(),
            summary=self._summary("degraded" if self.journal.degraded else "done"),
            environment=environment(),
            degraded=self.journal.degraded,
        )  # fmt: skip

    def _track(self, call: Callable[[Any], None]) -> None:
        """Tell the tracking store, until it fails once: the run goes on without it, and says so."""
        if self._tracker is None or self._tracking_error:
            return
        try:
            call(self._tracker)
        except TrackingError as error:
            self._tracking_error = one_line(error)
            self.journal.warn(f"tracking failed, the run goes on in its folder: {self._tracking_error}")

    def _fail(self, error: BaseException) -> None:
        nothing_begun = self._setting is None and isinstance(error, ConfigError | DataError)
        if self.folder and nothing_begun:
            # A mistake found before the first fit leaves nothing worth a folder.
            shutil.rmtree(self.folder.path, ignore_errors=True)
            return
        status = "failed" if isinstance(error, Exception) else "killed"
        logger.error("run %s: %s", status, one_line(error))
        if self._tracker and self._tracker.run_id:
            ended, reason = {"failed": "FAILED", "killed": "KILLED"}[status], one_line(error)
            self._track(lambda tracker: tracker.end_run(status=ended, error=reason))
        self._write_summary(status, one_line(error))

    def _write_summary(self, status: str, error: str | None = None) -> None:
        self.summary = self._summary(status, error)
        if self.folder:
            self.folder.write_json("summary.json", self.summary)
            self.folder.end(status, error)

    def _summary(self, status: str, error: str | None = None) -> dict[str, Any]:
        return summarise(
            self.spec,
            self.results,
            status=status,
            error=error,
            started_at=self._started_at,
            journal=self.journal,
            setting=self._setting,
            judgements=self._judgements,
            tracking=self._tracking(),
            folder=self.folder,
        )

    def _tracking(self) -> dict[str, Any] | None:
        if self._tracker is None or self.spec.tracking is None:
            return None
        from mlwf.modules.tracking.talking import shown

        return {
            "tracking_uri": shown(self._tracker.tracking_uri),
            "run_id": self._tracker.run_id,
            "experiment_id": self._tracker.experiment_id,
            "registered_model": self.spec.tracking.registered_model_name,
            "version": self._tracker.registered_version,
            "alias": self.spec.tracking.alias,
            "error": self._tracking_error,
        }

    def _config(self) -> str:
        resolved = self._setting.resolved if self._setting else self.spec
        if self._write_config:
            return self._write_config(resolved)
        return dump_experiment(resolved)

    def _save(self, model: Any) -> None:
        if self.folder:
            save_model(model, self.folder.file("model.skops"))

    @contextmanager
    def _logging_to_folder(self) -> Iterator[None]:
        if self.folder is None:
            yield
            return
        ours = logging.getLogger("mlwf")
        handler = logging.FileHandler(self.folder.log_file, encoding="utf-8", delay=True)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        handler.setLevel(logging.INFO)
        ours.addHandler(handler)
        level = ours.level
        if level == logging.NOTSET:
            # Nobody has said how much to log, and Python's default drops what the run's own log is for.
            ours.setLevel(logging.INFO)
        try:
            yield
        finally:
            ours.setLevel(level)
            ours.removeHandler(handler)
            handler.close()


def _fingerprint(data: Any) -> Mapping[str, Any]:
    return {
        "source": data.source,
        "digest": data.digest,
        "rows": len(data),
        "columns": [str(name) for name in data.X.columns] if hasattr(data.X, "columns") else data.X.shape[1],
    }


def _splits(setting: Setting) -> dict[str, Any]:
    """Name the rows of each split, by position among the rows that have a target."""
    splits = {"train": setting.split.train.index, "holdout": setting.split.test.index}
    if setting.spec.validation.strategy == "cross_validation":
        folds = setting.folds(setting.spec.validation.cv_folds)(setting.table, setting.split.train)
        splits |= {f"fold_{number}_test": fold.test.index for number, fold in enumerate(folds)}
    return splits
