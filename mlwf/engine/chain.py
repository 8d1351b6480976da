"""Phases 3 to 5 as one question: what they make of some rows, so that validation can repeat them on others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from mlwf.engine.asks import Fitter, Predictions
from mlwf.engine.rows import Split


@dataclass(frozen=True, eq=False)
class Trained:
    """What the chain made of the rows it was trained on."""

    predictions: Predictions | None
    """What it says about the rows of `Split.test`; None where there are none."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """The parameters it was trained with."""
    model: Any = field(default=None, repr=False)
    """The fitted model, where it was asked for."""


Chain = Callable[[Split, Fitter], Trained]
"""Trains on `Split.train` and predicts `Split.test`; no other row has a say. Raises FitError when a fit fails."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def at_once(call: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Call for every item at the same time, so that the fitter gets the asks of all; results in order."""
    if len(items) < 2:
        return [call(item) for item in items]
    pool = ThreadPoolExecutor(len(items), thread_name_prefix="mlwf-chain")
    try:
        return list(pool.map(call, items))
    finally:
        # Nothing is waited for: after an interrupt the fitter drops what these calls asked, and they end.
        pool.shutdown(wait=False, cancel_futures=True)
