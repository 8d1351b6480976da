"""The `model` section: which classifier, with which hyperparameters."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

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
