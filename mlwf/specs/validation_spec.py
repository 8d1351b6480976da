"""The `validation`, `gates` and `findings` sections: how a model is scored, what it must reach, what is reported."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field

from mlwf.specs.base import Spec
from mlwf.specs.catalogue import Source, SplitterName


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


BASELINE = "baseline"

REGISTERED_MODEL = re.compile(
    r"models:/(?P<name>(?!\s*[@/])[^/:]+)(@(?P<alias>(?!(?i:latest|v\d+)$)[A-Za-z0-9_\-]+)|/(?P<version>\d+))", re.ASCII
)
"""A version in MLflow's registry, by its alias or its number."""


DEMANDS = ("min", "max", "beats")
"""Keys of a gate on a metric, one of which says what is demanded of it."""


class GateSpec(Spec):
    """One demand: a metric within bounds, a metric better than another model's, or a finding that must not occur."""

    metric: str | None = Field(None, min_length=1)
    """One of the run's metrics."""
    min: float | None = Field(None, allow_inf_nan=False)
    """The metric is at least this."""
    max: float | None = Field(None, allow_inf_nan=False)
    """The metric is at most this."""
    beats: str | None = Field(None, min_length=1)
    """The metric is better than that of `baseline`, or of a registered model such as `models:/NAME@champion`."""
    by: float | None = Field(None, ge=0, allow_inf_nan=False)
    """How much better, whatever the sign of the metric; left out, at all."""
    bound: Literal["point", "lower", "upper"] = "point"
    """What is held against it: the number itself, or an end of its 95 % interval."""
    source: Source | None = None
    """Whose number; the default is the best that the run has: test set, hold-out, cross-validation."""
    slice: str | None = Field(None, min_length=1)
    """One of `validation.slices`, or a value of one that names a column: `sex = Female`."""
    finding: str | None = Field(None, min_length=1)
    """Code of a finding that must not occur; stands alone."""


class FindingsSpec(Spec):
    """Which findings to keep quiet about."""

    ignore: list[str] = Field(default_factory=list)
    """Codes of findings that are not told."""
