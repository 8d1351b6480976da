"""How good a model is on rows that had no say in it, and how sure that is."""

from __future__ import annotations

from mlwf.modules.validation.estimate import BASELINE, baselines, cross_validate, default_metrics, judge
from mlwf.modules.validation.scores import Circumstances

__all__ = ["BASELINE", "Circumstances", "baselines", "cross_validate", "default_metrics", "judge"]
