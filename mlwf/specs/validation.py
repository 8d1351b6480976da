"""The `validation` section: how the score that is reported is estimated."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mlwf.specs.base import Spec
from mlwf.specs.catalogue.splitters import SplitterName


class ValidationSpec(Spec):
    """How the reported score is estimated."""

    strategy: Literal["cross_validation", "train_test", "none"] = "cross_validation"
    """`cross_validation` for most data, `train_test` for a single hold-out split off before anything is fitted, or
    `none`."""
    splitter: SplitterName | None = None
    """How folds are drawn; the default follows from `data.fold`, `data.groups` and `data.time`, and is
    stratified_kfold without them. A hold-out follows the groups and the time too."""
    cv_folds: int = Field(5, ge=2)
    """Number of folds, of tuning and calibration too unless they say otherwise."""
    shuffle: bool = True
    """Shuffle the rows before they are cut into folds; a time and given folds leave nothing to shuffle."""
    n_repeats: int = Field(3, ge=2)
    """How often the repeated splitters cut the rows anew."""
    gap: int = Field(0, ge=0)
    """Rows left out between those that are learnt from and the later ones that are judged, where time splits them."""
    max_train_size: int | None = Field(None, ge=1)
    """Learn from the latest rows only, a window that slides; left out, from all earlier rows."""
    nested: bool = False
    """Repeat everything in every fold: feature inference, search, calibration, threshold. The score is then free of
    what was chosen, and costs as many searches as there are folds."""
    test_size: float = Field(0.2, gt=0, lt=1)
    """Share of the rows held out by `train_test`."""
    refit: bool = False
    """After `train_test`, fit the shipped model again on all rows; it is then not the very model that was scored."""
    metrics: list[str] | None = Field(None, min_length=1)
    """Metrics to report, by scikit-learn's names; the default is accuracy, balanced accuracy, ROC AUC and log loss
    where the model serves them."""
    slices: list[str] = Field(default_factory=list)
    """Parts of the rows to report apart: a column for each of its values, or a condition such as `age > 60` or
    `sex = Female` (also ==, !=, <, <=, >=)."""
