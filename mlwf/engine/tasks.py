"""Sort asks into the fewest fits that answer them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sklearn.base import clone

from mlwf.engine.asks import Ask
from mlwf.engine.identity import Fit
from mlwf.engine.rows import Rows, Table
from mlwf.engine.sizes import estimate_seconds


@dataclass(eq=False)
class Task:
    """One fit, and the asks that it answers."""

    asks: dict[int, Ask]
    """By their place among those that were asked together."""
    fits: dict[int, Fit]
    """What identifies each; empty for a plain fit."""
    seconds: float
    """What it takes, roughly."""
    rows: dict[str, Rows] = field(default_factory=dict)
    """All rows to predict, by their digest."""

    @property
    def fit(self) -> Fit:
        """What its asks have in common: everything but the stage."""
        return next(iter(self.fits.values()))

    @property
    def ask(self) -> Ask:
        """One of its asks."""
        return next(iter(self.asks.values()))

    @property
    def stages(self) -> tuple[int, ...]:
        """The stages that are wanted, ascending; none where there is no stage parameter."""
        return tuple(sorted({fit.stage[1] for fit in self.fits.values() if fit.stage}))

    @property
    def turn(self) -> tuple[float, float]:
        """When it is done among those asked together, the lowest first: the longest, so that none is left at the end.

        Where the time may run out candidates come one after another, so that those begun are complete.
        """
        if self.deadline is None:
            return (0, -self.seconds)
        return (min((ask.entry.candidate for ask in self.asks.values() if ask.entry), default=0), -self.seconds)

    @property
    def deadline(self) -> float | None:
        """When it need not be begun any more; None while any of its asks can wait."""
        deadlines = [ask.deadline for ask in self.asks.values() if ask.deadline is not None]
        return max(deadlines) if len(deadlines) == len(self.asks) else None


def sort_tasks(asks: Mapping[int, Ask], fits: Mapping[int, Fit | None], table: Table) -> list[Task]:
    """Group asks that one fit answers: those that differ only in the stage, or not at all."""
    groups: dict[str | int, list[int]] = {}
    for place in asks:
        fit = fits[place]
        groups.setdefault(place if fit is None else fit.group, []).append(place)
    return [_task({place: asks[place] for place in places}, fits, table) for places in groups.values()]


def _task(asks: dict[int, Ask], fits: Mapping[int, Fit | None], table: Table) -> Task:
    known = {place: fit for place in asks if (fit := fits[place]) is not None}
    rows = {rows.digest: rows for ask in asks.values() for rows in ask.predict}
    task = Task(asks, known, 0.0, rows)
    if known:
        classifier = task.fit.parts.classifier
        if task.fit.stage is not None:
            classifier = clone(classifier).set_params(**{task.fit.stage[0]: task.stages[-1]})
        table = task.fit.table
    else:
        classifier = _last(task.ask)
    task.seconds = _seconds(classifier, table, task.ask)
    return task


def _seconds(classifier: Any, table: Table, ask: Ask) -> float:
    try:
        return estimate_seconds(classifier, len(ask.train), _n_columns(table), len(table.classes))
    except (TypeError, ValueError, ArithmeticError):  # values that only the fit will refuse
        return estimate_seconds(None, 0, 0, 0)


def _n_columns(table: Table) -> int:
    shape: Sequence[int] = table.X.shape
    return int(shape[1])


def _last(ask: Ask) -> Any:
    steps: Sequence[tuple[str, Any]] | None = getattr(ask.pipeline, "steps", None)
    return ask.pipeline if steps is None else steps[-1][1]
