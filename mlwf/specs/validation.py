"""The `validation` section: how the score that is reported is estimated."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mlwf.specs.base import Spec


class ValidationSpec(Spec):
    """How the reported score is estimated."""

    strategy: Literal["cross_validation", "train_test", "none"] = "cross_validation"
    """`cross_validation` for most data, `train_test` for a single hold-out split off before anything is fitted, or
    `none`."""
    splitter: Literal["stratified_kfold", "kfold"] = "stratified_kfold"
    """How folds are drawn; stratified keeps each class's share in every fold."""
    cv_folds: int = Field(5, ge=2)
    """Number of folds, of tuning and calibration too unless they say otherwise."""
    shuffle: bool = True
    """Shuffle the rows before they are cut into folds."""
    test_size: float = Field(0.2, gt=0, lt=1)
    """Share of the rows held out by `train_test`."""
    refit: bool = False
    """After `train_test`, fit the shipped model again on all rows; it is then not the very model that was scored."""
    metrics: list[str] | None = Field(None, min_length=1)
    """Metrics to report, by scikit-learn's names; the default is accuracy, balanced accuracy, ROC AUC and log loss
    where the model serves them."""
