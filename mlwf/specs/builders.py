"""The guide's builders: a `set_` method for every field of a search's spec, then `build`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

from mlwf.errors import nearest
from mlwf.specs.tuning import GridSearchSpec, ParamTuningSpec, RandomizedSearchSpec

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
