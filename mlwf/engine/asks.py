"""Questions and answers about fits: modules ask, a Fitter answers, in the order asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mlwf.engine.contest import Entry
from mlwf.engine.predictions import Predictions
from mlwf.engine.rows import Rows, Table


@dataclass(frozen=True, eq=False)
class Ask:
    """This pipeline with these parameters, trained on these rows: its predictions on those rows?"""

    pipeline: Any
    params: Mapping[str, Any]
    train: Rows
    predict: tuple[Rows, ...] = ()
    keep_model: bool = False
    class_weighted: bool = True
    """Whether the fit weighs the classes as the table says."""
    table: Table | None = None
    """The same rows with other columns, where they are not those of the fitter's own table."""
    entry: Entry | None = None
    """Its place in a search, of which only the best candidate's models are worth keeping."""
    deadline: float | None = None
    """Reading of `time.monotonic` from which on it is not begun any more."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What came of an Ask; a fit that failed is an answer too."""

    predictions: tuple[Predictions, ...] = ()
    model: Any = field(default=None, repr=False)
    fit_seconds: float = 0.0
    """What the fit took; asks that share one fit share its time."""
    predict_seconds: float = 0.0
    reused: bool = False
    """Whether no fit was made for it: a record of fits had it."""
    error: str | None = None
    """Why the fit failed, or None."""
    is_late: bool = False
    """Whether it was not begun because its deadline had passed; `error` says so too."""


LATE = "not begun: the time was up"

Fitter = Callable[[Sequence[Ask]], Sequence[Answer]]


def on_table(fit: Fitter, table: Table) -> Fitter:
    """Ask a fitter about the same rows with other columns."""
    return lambda asks: fit([replace(ask, table=table) for ask in asks])
