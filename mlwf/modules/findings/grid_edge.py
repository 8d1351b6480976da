"""Find best values on the edge of what a search tried, beyond which better ones may lie."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from mlwf.results import TuningResult
from mlwf.specs.catalogue import Severity
from mlwf.specs.catalogue.metadata import Constraint, meets, metadata
from mlwf.specs.tuning import ParamTuningSpec

FEWEST_VALUES = 3
"""Of two values one is always on the edge."""
MARGIN = 0.05
"""Share of a distribution at each of its ends that counts as its edge."""


def find_grid_edge(tuned: TuningResult, tuning: ParamTuningSpec, algorithm: str) -> Iterator[tuple[Severity, str]]:
    """Find numbers that are best at an end of what was tried, where scikit-learn would accept numbers beyond."""
    best = _equally_good(tuned)
    for name, tried in _space(tuning, tuned.best_params).items():
        span = _span(tried)
        if span is None:
            continue
        sides = {span.side(params.get(name)) for params in best}
        # One of them in the middle, and going further does not help.
        side = sides.pop() if len(sides) == 1 else None
        value = tuned.best_params[name]
        if side and side not in span.closed and _accepts_beyond(algorithm, name, value, span, side):
            yield "info", _sentence(name, value, span, side)


def _equally_good(tuned: TuningResult) -> list[Mapping[str, Any]]:
    results = tuned.cv_results
    ranks = results.get("rank_test_score", results.get(f"rank_test_{tuned.scoring}"))
    # Only the last rung of a halving search chose; before it candidates were tried on less.
    rungs = results.get("iter", [0] * len(ranks))
    chosen = (ranks[tuned.best_index], rungs[tuned.best_index])
    return [params for params, *place in zip(results["params"], ranks, rungs, strict=True) if tuple(place) == chosen]


def _space(tuning: ParamTuningSpec, best_params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the values or the distribution of each parameter, from the grid that the best candidate is of."""
    # A halving search sets its resource besides.
    return next((grid for grid in tuning.space if set(grid) <= set(best_params) and _contains(grid, best_params)), {})


def _contains(grid: Mapping[str, Any], params: Mapping[str, Any]) -> bool:
    return all(not isinstance(tried, list) or params[name] in tried for name, tried in grid.items())


@dataclass(frozen=True)
class _Span:
    low: float
    high: float
    distribution: str = ""
    scale: Callable[[float], float] = float
    margin: float = 0.0
    closed: Sequence[str] = ()
    """Sides on which something was tried that lies beyond all numbers."""

    def side(self, value: Any) -> str | None:
        """Give at which end a value is: `lower`, `upper` or neither."""
        if not _is_finite(value):
            return None
        low, high = self.scale(self.low), self.scale(self.high)
        share = (self.scale(value) - low) / (high - low)
        return "lower" if share <= self.margin else "upper" if share >= 1 - self.margin else None


def _span(tried: Any) -> _Span | None:
    if isinstance(tried, Mapping):
        ((kind, (low, high)),) = tried.items()
        return SPANS[kind](low, high) if kind in SPANS else None
    numbers = {value for value in tried if _is_finite(value)}
    if len(numbers) < FEWEST_VALUES:
        return None
    # No limit at all is what null means for depths and leaves.
    unlimited = any(value is None or value == math.inf for value in tried)
    return _Span(min(numbers), max(numbers), closed=["upper"] if unlimited else [])


def _is_finite(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value)


def _randint(low: int, high: int) -> _Span | None:
    if high - low < FEWEST_VALUES:
        return None
    return _Span(low, high - 1, f"randint [{low}, {high}]", margin=MARGIN)


SPANS: dict[str, Callable[[Any, Any], _Span | None]] = {
    "uniform": lambda low, high: _Span(low, high, f"uniform [{low}, {high}]", margin=MARGIN),
    "loguniform": lambda low, high: _Span(low, high, f"loguniform [{low}, {high}]", math.log, MARGIN),
    "randint": _randint,
}


def _accepts_beyond(algorithm: str, name: str, best: Any, span: _Span, side: str) -> bool:
    """Whether the classifier takes numbers beyond that end; of the preprocessor's nothing is known."""
    known = metadata()["algorithms"]
    step, _, hyperparameter = name.partition("__")
    if step != "classifier" or algorithm not in known or hyperparameter not in known[algorithm]["parameters"]:
        return False
    accepts = known[algorithm]["parameters"][hyperparameter]["accepts"]
    return any(_has_room(constraint, span, side) for constraint in accepts if meets(best, constraint))


def _has_room(constraint: Constraint, span: _Span, side: str) -> bool:
    if side == "upper":
        return span.high < min(constraint.get("max", math.inf), constraint.get("below", math.inf))
    return span.low > max(constraint.get("min", -math.inf), constraint.get("above", -math.inf))


def _sentence(name: str, best: Any, span: _Span, side: str) -> str:
    value = f"{name} = {best:.6g} was best"
    if span.distribution:
        ends = "upwards" if side == "upper" else "downwards"
        return f"{value}, near the {side} end of {span.distribution}: widen it {ends}"
    most, more = ("highest", "higher") if side == "upper" else ("lowest", "lower")
    return f"{value}, the {most} of the values tried: try {more} ones too"
