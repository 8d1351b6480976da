"""What is drawn of each parameter, and the values that go with whatever is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from scipy import stats
from sklearn.model_selection import ParameterGrid, ParameterSampler

from mlwf.modules.tuning.trials import Params
from mlwf.processes import muted
from mlwf.specs.catalogue import EACH


@dataclass(frozen=True)
class LogRandint:
    """Integers from `low` to below `high` whose logarithms are spread evenly."""

    low: int
    high: int

    def rvs(self, random_state: Any = None) -> int:
        """Draw one, as scipy's frozen distributions do."""
        return min(int(stats.loguniform(self.low, self.high).rvs(random_state=random_state)), self.high - 1)


DISTRIBUTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "uniform": lambda low, high: stats.uniform(low, high - low),
    "loguniform": stats.loguniform,
    "lograndint": LogRandint,
    "randint": stats.randint,
}
"""By their names in an experiment, what makes a distribution of its ends."""

SPACE = "space"
"""Stands among what is drawn for the number of the map that it is drawn from; no parameter has that name."""


def split_each(space: Mapping[str, Any]) -> tuple[dict[str, Any], list[Params]]:
    """Split a map of distributions into what is drawn, and the combinations of what goes with each draw.

    >>> split_each({"a": [1, 2], "b": {"each": [3, 4]}})
    ({'a': [1, 2]}, [{'b': 3}, {'b': 4}])
    """
    each = {name: tried[EACH] for name, tried in space.items() if isinstance(tried, Mapping) and EACH in tried}
    return {name: tried for name, tried in space.items() if name not in each}, list(ParameterGrid(each))


def draw(spaces: Iterable[Mapping[str, Any]], n_iter: int, random_state: int) -> list[Params]:
    """Draw `n_iter` candidates as scikit-learn's ParameterSampler does, or all of smaller spaces.

    A candidate of a map with `{each: [...]}` is followed by its variants, before the next that is drawn.
    """
    parts = [split_each(space) for space in spaces]
    distributions = [{name: _distribution(tried) for name, tried in drawn.items()} for drawn, _ in parts]
    has_variants = any(variants != [{}] for _, variants in parts)
    if has_variants:
        # Drawn along, it would change what scikit-learn draws where there is nothing but that.
        distributions = [{**drawn, SPACE: [number]} for number, drawn in enumerate(distributions)]
    # scikit-learn warns of a space smaller than n_iter; to try all of it is what the file says.
    with muted():
        candidates: list[Params] = list(ParameterSampler(distributions, n_iter, random_state=random_state))
    if not has_variants:
        return candidates
    return [
        {**{name: value for name, value in params.items() if name != SPACE}, **variant}
        for params in candidates
        for variant in parts[params[SPACE]][1]
    ]


def _distribution(tried: Any) -> Any:
    if isinstance(tried, Mapping):
        ((kind, ends),) = tried.items()
        return DISTRIBUTIONS[kind](*ends)
    return tried
