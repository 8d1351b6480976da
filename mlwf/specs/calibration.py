"""The `calibration` section: how scores become probabilities."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mlwf.specs.base import Spec


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
