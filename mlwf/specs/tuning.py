"""The `tuning` section: which hyperparameters to try, and by which score to choose."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from mlwf.specs.base import Spec


class ParamTuningSpec(Spec):
    """A search over parameters, by cross-validation; `GridSearchSpec` or `RandomizedSearchSpec`."""

    enabled: bool = True
    """Whether to search at all."""
    strategy: str
    """How candidates are made."""
    scoring: str | list[str] = "accuracy"
    """scikit-learn scorer that chooses the best candidate, or several, with `refit` naming the one."""
    refit: str | None = None
    """Scorer that chooses when `scoring` names several."""
    cv_folds: int | None = Field(None, ge=2)
    """Folds of the search; the default is `validation.cv_folds`."""
    n_jobs: int | None = None
    """Fits at the same time during the search; the default is `compute.n_jobs`."""

    @property
    def tuning_name(self) -> str:
        """Name of the search in logs."""
        return f"{self.strategy} search"

    @property
    def scorers(self) -> list[str]:
        """Names of all scorers, the choosing one among them."""
        return [self.scoring] if isinstance(self.scoring, str) else list(self.scoring)

    @property
    def choosing_scorer(self) -> str:
        """Name of the scorer that chooses the best candidate."""
        return self.refit or self.scorers[0]


class GridSearchSpec(ParamTuningSpec):
    """Try every combination of the listed values."""

    strategy: Literal["grid"] = "grid"
    """How candidates are made."""
    param_grid: dict[str, list[Any]] | list[dict[str, list[Any]]]
    """Values to try for each parameter, `classifier__NAME` or `preprocessor__NAME`; or a list of such maps."""


class RandomizedSearchSpec(ParamTuningSpec):
    """Draw `n_iter` candidates from distributions."""

    strategy: Literal["random"] = "random"
    """How candidates are made."""
    param_distributions: dict[str, Any] | list[dict[str, Any]]
    """For each parameter a list of values, or one of `{uniform: [low, high]}`, `{loguniform: [low, high]}`,
    `{randint: [low, high]}` (low included, high not)."""
    n_iter: int = Field(10, ge=1)
    """Candidates to draw."""


TuningSection = Annotated[GridSearchSpec | RandomizedSearchSpec, Field(discriminator="strategy")]
