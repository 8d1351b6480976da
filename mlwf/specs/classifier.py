"""The `model`, `calibration` and `threshold` sections: which classifier, its probabilities, its decisions."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from mlwf.specs import catalogue
from mlwf.specs.base import Spec
from mlwf.specs.data import ClassLabel


class ClassifierModelSpec(Spec):
    """The classifier."""

    model_name: str | None = Field(None, min_length=1)
    """Name shown in tables and tracking; the default is the experiment's name."""
    algorithm: str = "gradient_boosting"
    """Which classifier, by its name in the catalogue."""
    hyperparameters: dict[str, Any] = Field(default_factory=dict)
    """scikit-learn's parameters of the classifier; what is left out keeps scikit-learn's default."""
    class_weight: Literal["balanced"] | dict[ClassLabel, float] | None = None
    """Weight of each class during fits: `balanced`, or a map from class to weight."""


class CalibrationSpec(Spec):
    """Calibration of the probabilities, from predictions on rows that the fitted model did not see."""

    enabled: bool = True
    """Whether to calibrate at all."""
    method: Literal["sigmoid", "isotonic", "temperature"] = "sigmoid"
    """`sigmoid` (Platt) for few rows, `isotonic` for a thousand and more, `temperature` keeps the order of classes."""
    ensemble: bool = True
    """Ship the average of the calibrated fold models; false ships one model with one calibrator."""
    keep: Literal["better", "always"] = "better"
    """Ship the calibrated model only if its out-of-fold log loss is better beyond doubt, or always."""
    cv_folds: int | None = Field(None, ge=2)
    """Folds of the calibration; the default is `validation.cv_folds`."""
    holdout: float | None = Field(None, gt=0, lt=1)
    """Calibrate on this share of the training rows instead of folds; the model is fitted on the others."""

    @property
    def calibration_name(self) -> str:
        """Name of the calibration in logs."""
        return f"{self.method} calibration"


class ThresholdSpec(Spec):
    """The threshold of a model of two classes, chosen on out-of-fold predictions; it travels with the model."""

    enabled: bool = True
    """Whether to choose one at all; the classifier's own is a probability of one half."""
    scoring: str = "balanced_accuracy"
    """scikit-learn scorer of labels that the threshold shall make best, such as f1."""


def threshold_scorers() -> list[str]:
    """List the scorers that can choose a threshold, sorted: those of labels, for two classes."""
    infos = ((name, catalogue.metric_info(name)) for name in catalogue.scorer_names())
    return [name for name, info in infos if info.needs_labels and info.binary and not info.is_one_sided]
