"""The frozen hand-overs between phases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

Status = Literal["done", "skipped", "degraded", "failed"]
Source = Literal["cross_validation", "train_test", "test"]


@dataclass(frozen=True)
class PhaseResult:
    """What became of a phase."""

    name: str
    status: Status
    reason: str | None
    """Why it was skipped, or why it degraded or failed."""
    seconds: float
    fits: int


@dataclass(frozen=True)
class TuningResult:
    """What a search found."""

    strategy: str
    scoring: str
    """The scorer that chose."""
    best_params: Mapping[str, Any]
    best_score: float
    """Mean over the folds; in scikit-learn's sign, greater is better."""
    best_index: int
    n_candidates: int
    n_failed: int
    """Fits that failed; their scores are NaN."""
    cv_folds: int
    cv_results: Mapping[str, Any] = field(repr=False)
    """As scikit-learn's `cv_results_`."""
    failures: Sequence[str] = ()
    """What the failed fits said, each once."""

    def summary(self) -> dict[str, Any]:
        """Give the guide's `tuning_summary`."""
        return {
            "strategy": self.strategy,
            "scoring": self.scoring,
            "best_params": dict(self.best_params),
            "best_score": self.best_score,
            "n_candidates": self.n_candidates,
            "n_failed": self.n_failed,
            "cv_folds": self.cv_folds,
        }


@dataclass(frozen=True)
class CalibrationResult:
    """How probabilities were calibrated."""

    method: str
    ensemble: bool
    cv_folds: int | None
    """Folds, or None when a hold-out served."""
    holdout: float | None
    n_rows: int
    """Rows whose out-of-fold or held-out predictions fitted the calibrators."""

    def summary(self) -> dict[str, Any]:
        """Give the guide's `calibration_summary`."""
        return {
            "method": self.method,
            "ensemble": self.ensemble,
            "cv_folds": self.cv_folds,
            "holdout": self.holdout,
            "n_rows": self.n_rows,
        }


@dataclass(frozen=True)
class Score:
    """One number, and how it was got."""

    metric: str
    source: Source
    value: float | None
    """In natural sign; the mean over folds in cross-validation; None when it could not be computed."""
    std: float | None
    """Standard deviation over folds; None without folds."""
    folds: tuple[float, ...]
    baseline: float | None
    """The same metric of a model that always predicts the class shares of its training rows."""
    n_rows: int
    note: str
    """How it was got."""
    tuned_on_same_rows: bool
    """Whether hyperparameters were chosen on rows that the score is computed on."""


@dataclass(frozen=True)
class Judgement:
    """What a validation or a test says."""

    source: Source
    scores: tuple[Score, ...]
    predictions: Any = field(repr=False)
    """Predictions for the judged rows, in the order of the rows."""
    y: Any = field(repr=False)
    """Labels of the judged rows."""
    note: str
    """How the predictions were got."""
    problems: tuple[str, ...] = ()
    """Metrics that could not be computed, and why."""

    def value(self, metric: str) -> float | None:
        """Give the value of a metric, or None."""
        return next((score.value for score in self.scores if score.metric == metric), None)

    def std(self, metric: str) -> float | None:
        """Give the standard deviation of a metric over folds, or None."""
        return next((score.std for score in self.scores if score.metric == metric), None)
