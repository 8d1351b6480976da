"""Turn scores into probabilities, and find out whether they are better for it."""

from __future__ import annotations

from mlwf.modules.calibration.calibrate import (
    ClassifierCalibration,
    ask_for_models,
    calibrate,
    create_calibration,
)
from mlwf.modules.calibration.measure import cross_fit, describe, error_of

__all__ = [
    "ClassifierCalibration",
    "ask_for_models",
    "calibrate",
    "create_calibration",
    "cross_fit",
    "describe",
    "error_of",
]
