"""What a run has found: one frozen object that its phases add to, and that results and summary are made of."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from math import isfinite
from typing import Any, Protocol

from mlwf.results import (
    CalibrationResult,
    Evaluation,
    Finding,
    FitCounts,
    GateResult,
    Importances,
    LeakSearch,
    PhaseResult,
    Score,
    SelectionResult,
    ThresholdResult,
    TuningResult,
)
from mlwf.specs.catalogue import ALGORITHMS

SUMMARY_KEYS = (
    "model_name",
    "algorithm",
    "validation_strategy",
    "cv_score",
    "cv_std",
    "cv_folds",
    "val_score",
    "test_accuracy",
    "n_features",
    "tuning_enabled",
    "calibration_enabled",
    "threshold_enabled",
    "mlflow_enabled",
    "feature_store_enabled",
)
SEVERAL, ENSEMBLE = "several", "ensemble"
"""What stands for the algorithm before one of several models is chosen, and where an average of them ships."""

SCHEMA_VERSION = 1
"""Of `summary.json`: counted up when a key goes or changes its meaning, and not when one is added."""
DIGITS = 9
"""Decimals of a resample that are kept."""
DISTRIBUTIONS = ("mlwf", "scikit-learn", "numpy", "pandas")


class FittedClassifier(Protocol):
    """A fitted classifier as scikit-learn has it."""

    classes_: Any

    def predict(self, X: Any) -> Any:
        """Predict a class for each row."""


@dataclass(frozen=True, eq=False)
class ShippedModel:
    """The model of a run with all that is known of it: what is reported is always of the model that is saved."""

    estimator: FittedClassifier
    params: Mapping[str, Any] = field(default_factory=dict)
    """The parameters that it was fitted with, where they are not the pipeline's own."""
    calibration: CalibrationResult | None = None
    """How it was calibrated, and whether that was kept; None where it was not tried."""
    threshold: ThresholdResult | None = None
    """None for the classifier's own."""


@dataclass(frozen=True)
class Refit:
    """That the shipped model was fitted again on all rows, after another was scored."""

    n_rows: int
    scored_model: Mapping[str, Any]
    """Parameters, calibration and threshold of the model that was scored."""


@dataclass(frozen=True)
class RunInputs:
    """What a run works on, in plain values."""

    model_name: str | None
    n_features: int
    validation_strategy: str
    cv_folds: int
    tuning_enabled: bool
    calibration_enabled: bool
    threshold_enabled: bool
    feature_store_enabled: bool
    data: Mapping[str, Any] = field(default_factory=dict)
    features: Mapping[str, Any] = field(default_factory=dict)
    rows: Mapping[str, Any] = field(default_factory=dict)
    """Number and digest of the rows that scores and choices name."""
    feature_store: Mapping[str, Any] | None = None
    positive_class: Any = None


@dataclass(frozen=True)
class TrackingState:
    """Where a run is tracked, why there, and what is missing there."""

    tracking_uri: str
    tracking_uri_from: str
    run_id: str | None
    experiment_id: str | None
    registered_model: str | None
    version: str | None
    alias: str | None
    withheld: str | None
    """Why the model is not registered, where it was to be."""
    missing: Mapping[str, str]
    error: str | None


@dataclass(frozen=True)
class TimeLimit:
    """The time that a run had, and what it had to do without."""

    seconds: float
    cut: tuple[str, ...] = ()
    """Phases in which there was no time for something: their results depend on how fast the machine is."""


@dataclass(frozen=True)
class RunLogEntries:
    """What the log of a run has by now."""

    phases: tuple[PhaseResult, ...] = ()
    counts: FitCounts = field(default_factory=FitCounts)
    warnings: tuple[str, ...] = ()
    leak_search: LeakSearch | None = None
    seconds: float = 0.0
    time_limit: TimeLimit | None = None

    @property
    def degraded(self) -> dict[str, str]:
        """The phases that degraded, and why."""
        return {phase.name: phase.reason or "" for phase in self.phases if phase.status == "degraded"}


@dataclass(frozen=True, eq=False)
class RunResult:
    """What a run has found by now; each phase gives a new one with what it adds."""

    name: str
    started_at: datetime
    algorithms: tuple[str, ...] = ()
    """Those of the experiment's models."""
    run_id: str | None = None
    inputs: RunInputs | None = None
    tuning: TuningResult | None = None
    selection: SelectionResult | None = None
    """Which of several models was chosen; None where there is one."""
    searches: Mapping[str, TuningResult] = field(default_factory=dict)
    """The searches of several models, by their names."""
    model: ShippedModel | None = None
    validation: Evaluation | None = None
    refit: Refit | None = None
    test: Evaluation | None = None
    importances: Importances | None = None
    """How much each raw column matters."""
    partial_dependence: Mapping[str, Any] | None = None
    """The content of `partial_dependence.json`."""
    findings: tuple[Finding, ...] | None = None
    gates: tuple[GateResult, ...] | None = None
    log: RunLogEntries = field(default_factory=RunLogEntries)
    tracking: TrackingState | None = None
    status: str = "running"
    error: str | None = None
    files: Mapping[str, str] | None = None
    """Its folder, and the model there."""

    @property
    def algorithm(self) -> str:
        """The algorithm of the model that ships: of several models that of the best, or `ensemble`."""
        if self.selection is None:
            return self.algorithms[0] if len(self.algorithms) == 1 else SEVERAL if self.algorithms else ""
        best = next(model for model in self.selection.models if model.name == self.selection.best)
        return ENSEMBLE if self.selection.ships_ensemble else best.algorithm

    @property
    def evaluations(self) -> tuple[Evaluation, ...]:
        """Those that there are, of the validation and of the test."""
        return tuple(each for each in (self.validation, self.test) if each is not None)

    @property
    def scores(self) -> list[Score]:
        """The scores of all rows."""
        return [score for evaluation in self.evaluations for score in evaluation.scores]

    @property
    def slices(self) -> list[Score]:
        """The scores of the slices."""
        return [score for evaluation in self.evaluations for score in evaluation.slices]

    def to_dict(self) -> dict[str, Any]:
        """Give the results of `run_ml_workflow`; a key is there when the run has it."""
        found: dict[str, Any] = {"run_id": self.run_id} if self.inputs else {}
        found |= _of_inputs(self) | _of_model(self) | _of_evaluations(self)
        if self.tuning:
            found["tuning_summary"] = self.tuning.summary()
        if self.selection:
            found["leaderboard"] = self.selection.summary()
        if self.gates is not None:
            found |= {"findings": list(self.findings or ()), "gates": list(self.gates)}
        return {
            **found,
            "phases": list(self.log.phases),
            "scores": self.scores,
            "slices": self.slices,
            "warnings": list(self.log.warnings),
        }

    def to_summary(self) -> dict[str, Any]:
        """Give the content of `summary.json`, in plain values."""
        results, inputs, log = self.to_dict(), self.inputs, self.log
        return {
            "schema_version": SCHEMA_VERSION,
            "run_id": self.run_id,
            "name": self.name,
            "status": self.status,
            "error": self.error,
            "started_at": self.started_at.isoformat(),
            "seconds": round(log.seconds, 3),
            "summary": get_workflow_summary(results),
            "data": inputs and dict(inputs.data),
            "features": inputs and dict(inputs.features),
            "time_limit": log.time_limit and {**asdict(log.time_limit), "cut": list(log.time_limit.cut)},
            "phases": [asdict(phase) for phase in log.phases],
            "fits": asdict(log.counts),
            "rows": inputs and dict(inputs.rows),
            "scores": [score.to_dict() for score in self.scores],
            "slices": [score.to_dict() for score in self.slices],
            "classes": [_classes(evaluation) for evaluation in self.evaluations],
            "folds": _folds(self),
            "tuning": results.get("tuning_summary"),
            "selection": results.get("leaderboard"),
            "calibration": results.get("calibration_summary"),
            "threshold": results.get("threshold_summary"),
            "refit": results.get("refit_summary"),
            "importances": results.get("importances"),
            "findings": [asdict(finding) for finding in self.findings or ()],
            "leak_search": log.leak_search and asdict(log.leak_search),
            "gates": [asdict(gate) for gate in self.gates or ()],
            "feature_store": inputs and inputs.feature_store,
            "tracking": self.tracking and asdict(self.tracking),
            "warnings": list(log.warnings),
            "versions": _versions(self.algorithms),
            "files": self.files and dict(self.files),
        }

    def to_resamples(self) -> list[dict[str, Any]]:
        """Give the content of `resamples.json`: by these a later run is compared with this one on the same rows."""
        return [
            {
                "source": score.source,
                "metric": score.metric,
                "slice": score.slice,
                "n_units": score.resamples.n_units,
                "drawn": score.resamples.drawn,
                "values": [round(value, DIGITS) if isfinite(value) else None for value in score.resamples.values],
            }
            for score in (*self.scores, *self.slices)
            if score.resamples
        ]


def get_workflow_summary(results: Mapping[str, Any]) -> dict[str, Any]:
    """Extract what a person wants to know first from the results of `run_ml_workflow`.

    A key is there when the run has it: `cv_score` and `cv_std` after cross-validation, `val_score` after `train_test`,
    `test_accuracy` with a test set. `degraded` names the phases that the run had to do without, and why.
    """
    summary = {key: results[key] for key in SUMMARY_KEYS if key in results}
    degraded = RunLogEntries(phases=tuple(results.get("phases", ()))).degraded
    return {**summary, "degraded": degraded} if degraded else summary


@cache
def _versions(algorithms: tuple[str, ...]) -> dict[str, str]:
    # To look one up reads the distribution's whole description.
    found = {name: version(name) for name in DISTRIBUTIONS}
    for name in algorithms:
        with suppress(PackageNotFoundError, KeyError):  # then the run has failed because of it
            distribution = ALGORITHMS[name].distribution
            found |= {distribution: version(distribution)}
    return found


def _of_inputs(result: RunResult) -> dict[str, Any]:
    inputs, tracking = result.inputs, result.tracking
    if inputs is None:
        return {}
    found = {
        "model_name": inputs.model_name,
        "algorithm": result.algorithm,
        "n_features": inputs.n_features,
        "validation_strategy": inputs.validation_strategy,
        "tuning_enabled": inputs.tuning_enabled,
        "calibration_enabled": inputs.calibration_enabled,
        "threshold_enabled": inputs.threshold_enabled,
        "mlflow_enabled": tracking is not None,
        "feature_store_enabled": inputs.feature_store_enabled,
    }
    if tracking and tracking.run_id is not None:
        found |= {"mlflow_run_id": tracking.run_id, "mlflow_experiment_id": tracking.experiment_id}
    return found


def _of_model(result: RunResult) -> dict[str, Any]:
    model = result.model
    if model is None:
        return {}
    found: dict[str, Any] = {"pipeline": model.estimator}
    if result.importances:
        found["importances"] = result.importances.to_dict()
    if model.calibration:
        found["calibration_summary"] = model.calibration.summary()
    if model.threshold:
        found["threshold_summary"] = model.threshold.summary()
    if result.refit:
        found["refit_summary"] = asdict(result.refit)
    return found


def _of_evaluations(result: RunResult) -> dict[str, Any]:
    validation, test = result.validation, result.test
    found: dict[str, Any] = {}
    if validation and validation.source == "train_test":
        found["val_score"] = validation.value("accuracy")
    elif validation:
        found |= {"cv_score": validation.value("accuracy"), "cv_std": validation.std("accuracy")}
        found["cv_folds"] = result.inputs and result.inputs.cv_folds
    if test:
        found |= {"test_predictions": test.predictions.labels, "test_accuracy": test.value("accuracy")}
    return found


def _classes(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "source": evaluation.source,
        "note": evaluation.note,
        "rows": list(evaluation.rows),
        "chosen": dict(evaluation.chosen),
        "tuned_on_same_rows": evaluation.provenance.tuned_on_same_rows,
        "provenance": evaluation.provenance.to_dict(),
        "report": [asdict(each) for each in evaluation.classes],
        "confusion": [list(row) for row in evaluation.confusion],
    }


def _folds(result: RunResult) -> list[dict[str, Any]]:
    return [
        {"fold": number, **choice}
        for evaluation in result.evaluations
        for number, choice in enumerate(evaluation.choices, start=1)
    ]
