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
class Cut:
    """A way in which a run cuts rows, before it does."""

    key: str
    """The option that says into how many parts."""
    where: str
    """Which rows are cut, where it is not all that are trained on."""
    splits: tuple[Split, ...]
    calibrates: bool = False
    """Whether a calibrator learns from the judged rows of each part."""


def check_weights(context: RunContext, cuts: Iterable[Cut]) -> list[Problem]:
    """Refuse weights that leave a class nothing to be learnt from, or a part nothing to be judged by.

    All classes without weight are told, else the first part that fails.
    """
    weight = context.table.weight
    if weight is None or (weight > 0).all():
        return []
    counts = weight > 0
    messages = list(_classes_without_weight(context, counts))
    if not messages:
        messages = [message for cut in cuts for message in _parts_without_weight(context, cut, counts)][:1]
    data = context.spec.data
    return [Problem(data.path, data.sample_weight or "sample_weight", message, LEFT_OUT) for message in messages]


def describe_weights(context: RunContext) -> Iterator[str]:
    """Say of weights that can be used what a reader of the scores must know."""
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


def _parts_without_weight(context: RunContext, cut: Cut, counts: NDArray[np.bool_]) -> Iterator[str]:
    for number, split in enumerate(cut.splits, start=1):
        # A hold-out is one split, and its where says which.
        part = f"fold {number} of {cut.key} ({len(cut.splits)})" if len(cut.splits) > 1 else cut.key
        for label in _lacking(context, split.train, counts):
            yield f"{part}{cut.where} leaves class {format_value(label)} no row with a weight to learn from"
        if not counts[split.test.index].any():
            yield f"{part}{cut.where} has no row with a weight to judge by"
        for label in _lacking(context, split.test, counts) if cut.calibrates else ():
            yield f"{part}{cut.where} has no row of class {format_value(label)} with a weight to calibrate by"


def _lacking(context: RunContext, rows: Rows, counts: NDArray[np.bool_]) -> list[object]:
    present = context.table.y_of(rows)[counts[rows.index]]
    lacking: list[object] = np.setdiff1d(context.table.classes, present).tolist()
    return lacking
