"""Turn scores into probabilities, and find out whether they are better for it."""

from __future__ import annotations

from mlwf.modules.calibration.calibrate import (
    ClassifierCalibration,
    calibrate,
    create_calibration,
)
from mlwf.modules.calibration.measure import cross_fit, describe, error_of

__all__ = [
    "ClassifierCalibration",
    "calibrate",
    "create_calibration",
    "cross_fit",
    "describe",
    "error_of",
]
