"""Rows of weight zero: a class, a fold or a group that has no others counts as having no rows at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlwf.errors import Problem
from mlwf.orchestrator.context import RunContext
from mlwf.splitting.rows import Rows, Split
from mlwf.text import format_value

LEFT_OUT = "leave the rows of weight 0 out of the data"


FEW_EFFECTIVE = 0.1
"""Share of the rows that the effective number of rows falls below when a few of them decide alone."""


@dataclass(frozen=True)
class RowSplits:
    """A way in which a run will split rows."""

    key: str
    """The option that sets the number of parts."""
    where: str
    """Which rows are split, where it is not all that are trained on."""
    splits: tuple[Split, ...]
    calibrates: bool = False
    """Whether a calibrator is fitted on the held-out rows of each part."""


def check_weights(context: RunContext, row_splits: Iterable[RowSplits]) -> list[Problem]:
    """Refuse weights that leave a class nothing to be learnt from, or a part nothing to be scored on.

    Gives a problem for each class without weight, else for the first part that fails.
    """
    weight = context.table.weight
    if weight is None or (weight > 0).all():
        return []
    counts = weight > 0
    messages = list(_classes_without_weight(context, counts))
    if not messages:
        messages = [message for each in row_splits for message in _parts_without_weight(context, each, counts)][:1]
    data = context.spec.data
    return [Problem(data.path, data.sample_weight or "sample_weight", message, LEFT_OUT) for message in messages]


def describe_weights(context: RunContext) -> Iterator[str]:
    """Describe what a reader of the scores must know of weights that can be used."""
    weight = context.table.weight
    if weight is None:
        return
    total, name = float(weight.sum()), context.spec.data.sample_weight or "sample_weight"
    if total < 1:
        yield (
            f"{name}: the weights sum to {total:.3g}: to a classifier that is penalised or grows leaves by weight "
            "that is less than one row"
        )
    # Scaled, since the squares of small weights vanish.
    scaled = weight[weight > 0] / weight.max()
    effective = float(scaled.sum() ** 2 / (scaled**2).sum())
    if effective < FEW_EFFECTIVE * len(scaled):
        yield f"{name}: a few rows have nearly all weight: {len(scaled):,} rows count as {effective:,.1f} alike"


def _classes_without_weight(context: RunContext, counts: NDArray[np.bool_]) -> Iterator[str]:
    y = context.table.y
    for label in context.table.classes.tolist():
        rows = int((y == label).sum())
        if not counts[y == label].any():
            yield f"class {format_value(label)} has no row with a weight ({rows:,} of weight 0): nothing would learn it"


def _parts_without_weight(context: RunContext, rows: RowSplits, counts: NDArray[np.bool_]) -> Iterator[str]:
    for number, split in enumerate(rows.splits, start=1):
        # A hold-out is one split, and `where` names it.
        part = f"fold {number} of {rows.key} ({len(rows.splits)})" if len(rows.splits) > 1 else rows.key
        for label in _lacking(context, split.train, counts):
            yield f"{part}{rows.where} leaves class {format_value(label)} no row with a weight to learn from"
        if not counts[split.test.index].any():
            yield f"{part}{rows.where} has no row with a weight to judge by"
        for label in _lacking(context, split.test, counts) if rows.calibrates else ():
            yield f"{part}{rows.where} has no row of class {format_value(label)} with a weight to calibrate by"


def _lacking(context: RunContext, rows: Rows, counts: NDArray[np.bool_]) -> list[object]:
    present = context.table.y_of(rows)[counts[rows.index]]
    lacking: list[object] = np.setdiff1d(context.table.classes, present).tolist()
    return lacking
