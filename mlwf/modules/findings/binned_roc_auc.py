"""Score columns by the ROC AUC of what was learnt in bins, from counts alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FEWEST_OF_CLASS = 10
"""Judged rows of a class, and of the others, below which nothing is said of it."""
MOSTLY_KNOWN = 0.5
"""Share of rows that must have a value, for a column to be judged by those rows alone."""

Floats = NDArray[np.float64]
Counts = Floats
"""Rows of each class in each bin, of shape (n_columns, n_bins, n_classes); the last bin is of missing values."""


def roc_aucs(parts: Sequence[tuple[Floats, Counts]]) -> Floats:
    """Score columns by the scores of their bins and the rows judged in them, on all rows or those with a value."""
    judged = sum(test.sum(axis=(1, 2)) for _, test in parts)
    known = sum(test[:, :-1].sum(axis=(1, 2)) for _, test in parts)
    share = known / np.maximum(judged, 1)
    everywhere = _macro(parts)
    of_known = _macro([(scores[:, :-1], test[:, :-1]) for scores, test in parts])
    return np.where((share >= MOSTLY_KNOWN) & (share < 1), np.fmax(everywhere, of_known), everywhere)


def _macro(parts: Sequence[tuple[Floats, Counts]]) -> Floats:
    """Average over the splits, then over the classes of which there are rows enough."""
    if parts[0][1].shape[2] == 2:
        # Of two classes one tells all; as its own scores do, whatever the other's.
        parts = [(scores[:, :, 1:], test) for scores, test in parts]
    of_class = [_of_class(test, scores.shape[2]) for scores, test in parts]
    positive = sum(positive.sum(axis=1) for positive, _ in of_class)
    negative = sum(negative.sum(axis=1) for _, negative in of_class)
    is_enough = (positive >= FEWEST_OF_CLASS) & (negative >= FEWEST_OF_CLASS)
    aucs = [_roc_auc(scores, *counts) for (scores, _), counts in zip(parts, of_class, strict=True)]
    weights = [(~np.isnan(auc)) * test.sum(axis=(1, 2))[:, None] for auc, (_, test) in zip(aucs, parts, strict=True)]
    weight = sum(weights)
    total = sum(np.nan_to_num(auc) * each for auc, each in zip(aucs, weights, strict=True))
    averaged = total / np.where(weight > 0, weight, np.nan)
    if np.isnan(averaged).any():
        # Where each group is of one class, no split has both.
        together = (
            np.concatenate([scores for scores, _ in parts], axis=1),
            *(np.concatenate([counts[side] for counts in of_class], axis=1) for side in (0, 1)),
        )
        averaged = np.where(np.isnan(averaged), _roc_auc(*together), averaged)
    n_enough = is_enough.sum(axis=1)
    macro: Floats = np.where(is_enough, np.nan_to_num(averaged), 0).sum(axis=1) / np.where(n_enough, n_enough, np.nan)
    return macro


def _of_class(counts: Counts, n_asked: int) -> tuple[Floats, Floats]:
    """Count the rows of each class that is asked for, and all others, in each bin."""
    positive = counts[:, :, -n_asked:]
    return positive, counts.sum(axis=2, keepdims=True) - positive


def _roc_auc(scores: Floats, positive: Floats, negative: Floats) -> Floats:
    """Compute the ROC AUC of each column and class from the scores of bins; NaN without rows on both sides.

    All are of shape (n_columns, n_bins, n_classes); bins with equal scores are ties.
    """
    order = np.argsort(scores, axis=1)
    scores, positive, negative = (np.take_along_axis(each, order, axis=1) for each in (scores, positive, negative))
    until = np.cumsum(negative, axis=1)
    differs = scores[:, 1:] != scores[:, :-1]
    edge = np.ones_like(scores[:, :1], dtype=bool)
    before = np.maximum.accumulate(np.where(np.concatenate([edge, differs], axis=1), until - negative, 0), axis=1)
    last = np.concatenate([differs, edge], axis=1)
    through = np.minimum.accumulate(np.where(last, until, np.inf)[:, ::-1], axis=1)[:, ::-1]
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    won = (positive * (before + through)).sum(axis=1) / 2
    roc_auc: Floats = won / np.where(pairs > 0, pairs, np.nan)
    return roc_auc
