"""The `tuning` section: which hyperparameters to try, and by which score to choose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import Field, field_validator

from mlwf.errors import nearest
from mlwf.specs.base import Spec, refuse_no_jobs

SPACE_KEYS = ("param_grid", "param_distributions")
"""The keys that hold a search space: lists of values only, or distributions too."""

N_SAMPLES = "n_samples"
"""The resource of a halving that is not a parameter."""


class ParamTuningSpec(Spec):
    """A search over parameters, by cross-validation; `GridSearchSpec` or one of its siblings.

    Each strategy has its spec here, named in `TuningSection`, and its entry in `mlwf.modules.tuning.tune.STRATEGIES`.
    """

    # Optional package that the strategy needs; mlwf's extra has the same name.
    needs_package: ClassVar[str] = ""

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
    timeout_seconds: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Begin no fit of a search after that time, and choose among the candidates that are complete: the result then
    depends on how fast the machine is. In a nested validation each fold's search has that time."""
    max_candidates: int | None = Field(None, ge=1)
    """Try only that many candidates, the first in scikit-learn's order."""

    @field_validator("n_jobs")
    @classmethod
    def _is_a_count(cls, n_jobs: int | None) -> int | None:
        return None if n_jobs is None else refuse_no_jobs(n_jobs)

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

    @property
    def space_key(self) -> str:
        """Key that holds the search space: `param_grid` or `param_distributions`."""
        return next(key for key in SPACE_KEYS if key in type(self).model_fields)

    @property
    def space(self) -> list[dict[str, Any]]:
        """The search space as a list of maps from parameter to what is tried of it."""
        space: dict[str, Any] | list[dict[str, Any]] | None = getattr(self, self.space_key)
        return space if isinstance(space, list) else [space or {}]

    @property
    def names_parameters(self) -> bool:
        """Whether the search says what it tries, and does not leave that to the catalogue."""
        return getattr(self, self.space_key) is not None

    @property
    def parameters(self) -> list[str]:
        """Names of the parameters that the search sets, each once, in the order they are written in."""
        return list(dict.fromkeys(name for each in self.space for name in each))


class GridSearchSpec(ParamTuningSpec):
    """Try every combination of the listed values."""

    strategy: Literal["grid"] = "grid"
    """How candidates are made."""
    param_grid: dict[str, list[Any]] | list[dict[str, list[Any]]] | None = None
    """Values to try for each parameter, `classifier__NAME` or `preprocessor__NAME`; or a list of such maps. Left out,
    the search space of the algorithm, which the run writes out."""


class RandomizedSearchSpec(ParamTuningSpec):
    """Draw `n_iter` candidates from distributions."""

    strategy: Literal["random"] = "random"
    """How candidates are made."""
    param_distributions: dict[str, Any] | list[dict[str, Any]] | None = None
    """For each parameter a list of values, or one of `{uniform: [low, high]}`, `{loguniform: [low, high]}`,
    `{randint: [low, high]}` and `{lograndint: [low, high]}` (low included, high not). Of `{each: [50, 100]}` all
    values are tried with whatever is drawn, which is cheap for rounds of boosting: one fit gives them all. Left out,
    the search space of the algorithm, which the run writes out."""
    n_iter: int = Field(10, ge=1)
    """Candidates to draw."""


class HalvingSearchSpec(ParamTuningSpec):
    """Try every combination with little of a resource, then the better ones with more; inexact, and fast."""

    strategy: Literal["halving"] = "halving"
    """How candidates are made."""
    param_grid: dict[str, list[Any]] | list[dict[str, list[Any]]] | None = None
    """Values to try for each parameter, `classifier__NAME` or `preprocessor__NAME`; or a list of such maps. Left out,
    the search space of the algorithm, which the run writes out."""
    factor: int = Field(3, ge=2)
    """Each rung keeps one in `factor` candidates, and gives them `factor` times the resource."""
    resource: str | None = None
    """What candidates get more and more of: `n_samples` (rows), or the parameter for boosting rounds or trees, such as
    `classifier__max_iter`; the default is that parameter where the algorithm has one, because few rounds rank
    candidates better than few rows do."""
    max_resources: int | None = Field(None, ge=1)
    """Most of the resource; the default is all rows, or as many rounds as the model section says."""


class OptunaSearchSpec(ParamTuningSpec):
    """Let Optuna propose candidates by what was scored before, and give poor ones up early; inexact."""

    needs_package: ClassVar[str] = "optuna"

    strategy: Literal["optuna"] = "optuna"
    """How candidates are made."""
    param_distributions: dict[str, Any] | None = None
    """For each parameter a list of values, or one of `{uniform: [low, high]}`, `{loguniform: [low, high]}`,
    `{randint: [low, high]}` and `{lograndint: [low, high]}` (low included, high not). Of `{each: [50, 100]}` all
    values are tried with whatever is drawn, which is cheap for rounds of boosting: one fit gives them all. Left out,
    the search space of the algorithm, which the run writes out."""
    n_iter: int = Field(20, ge=1)
    """Candidates to try."""


TuningSection = Annotated[
    GridSearchSpec | RandomizedSearchSpec | HalvingSearchSpec | OptunaSearchSpec, Field(discriminator="strategy")
]


S = TypeVar("S", bound=ParamTuningSpec)


class _Builder(Generic[S]):
    """Collects the fields of a spec by `set_FIELD(value)`, each of which returns the builder."""

    spec_class: ClassVar[type[ParamTuningSpec]]

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Callable[[Any], Any]:
        setters = self._setters()
        if name not in setters:
            raise AttributeError(f"{type(self).__name__} has no {name!r}; {nearest(name, [*setters, 'build'])}")

        def set_field(value: Any) -> _Builder[S]:
            self._values[setters[name]] = value
            return self

        return set_field

    def __dir__(self) -> list[str]:
        return sorted([*super().__dir__(), *self._setters()])

    def build(self) -> S:
        """Make the spec; raises pydantic's ValidationError, a ValueError, when a field is missing or wrong."""
        return self.spec_class(**self._values)  # type: ignore[return-value]

    @classmethod
    def _setters(cls) -> dict[str, str]:
        # A search's strategy is what its builder is named after.
        return {f"set_{field}": field for field in cls.spec_class.model_fields if field != "strategy"}


class GridSearchSpecBuilder(_Builder[GridSearchSpec]):
    """Builds a GridSearchSpec.

    >>> spec = GridSearchSpecBuilder().set_param_grid({"classifier__max_depth": [3, 5]}).set_cv_folds(5).build()
    >>> spec.cv_folds
    5
    >>> GridSearchSpecBuilder().set_param_grids
    Traceback (most recent call last):
    ...
    AttributeError: GridSearchSpecBuilder has no 'set_param_grids'; did you mean set_param_grid?
    """

    spec_class = GridSearchSpec


class RandomizedSearchSpecBuilder(_Builder[RandomizedSearchSpec]):
    """Builds a RandomizedSearchSpec."""

    spec_class = RandomizedSearchSpec
