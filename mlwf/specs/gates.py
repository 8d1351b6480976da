"""The `gates` and `findings` sections: what a run must reach, and what it need not be told."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field

from mlwf.specs.base import Spec
from mlwf.specs.catalogue import Source

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
