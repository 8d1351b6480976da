"""Curves are scikit-learn's, and their bands hold what other samples of the same rows would give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score, roc_curve

from mlwf.evaluation.curves import class_curves, rated
from mlwf.evaluation.scored_rows import ScoredRows
from mlwf.modules.threshold import rate_cells


def make_rows(n_rows: int = 600, *, n_distinct: int | None = None) -> ScoredRows:
    """Make rows whose probabilities are right."""
    draw = np.random.default_rng(1)
    chance = draw.beta(0.7, 1.2, n_rows)
    chance = chance if n_distinct is None else np.round(chance * n_distinct) / n_distinct
    y = (draw.random(n_rows) < chance).astype(int)
    proba = np.column_stack([1 - chance, chance])
    return ScoredRows(np.array(["no", "yes"]), y, (chance >= 0.5).astype(int), proba)


@pytest.mark.parametrize("is_weighted", [False, True], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("positive", [0, 1])
@pytest.mark.parametrize(("n_rows", "n_distinct"), [(60, None), (5000, None), (600, 7)], ids=["few", "many", "ties"])
def test_areas_are_scikit_learns(n_rows, n_distinct, positive, is_weighted):
    rows = make_rows(n_rows, n_distinct=n_distinct)
    weight = np.random.default_rng(2).random(n_rows) if is_weighted else None
    (curves,) = class_curves(replace(rows, weight=weight), positive=positive)
    is_class, scores = rows.y == positive, rows.proba[:, positive]
    options = {"sample_weight": weight}
    assert curves.roc_auc.value == pytest.approx(roc_auc_score(is_class, scores, **options))
    assert curves.average_precision.value == pytest.approx(average_precision_score(is_class, scores, **options))
    assert curves.roc_auc.low < curves.roc_auc.value < curves.roc_auc.high
    points = np.column_stack(roc_curve(is_class, scores, drop_intermediate=False, **options)[:2])
    ours = np.column_stack([curves.roc.x, curves.roc.y])
    assert np.abs(ours[:, None] - points).sum(axis=2).min(axis=1).max() < 1e-9


def test_bands_hold_the_curve_and_are_wider_for_fewer_rows():
    widths = []
    for n_rows in (200, 3000):
        (curves,) = class_curves(make_rows(n_rows))
        for band in (curves.roc, curves.precision_recall):
            assert ((band.low <= band.y) & (band.y <= band.high)).all()
        widths.append((curves.roc.high - curves.roc.low).max())
    assert widths[0] > 2 * widths[1]


def test_rows_that_belong_together_are_drawn_together():
    rows = make_rows(400)
    fourfold = np.repeat(np.arange(len(rows)), 4)
    repeated = ScoredRows(rows.classes, rows.y[fourfold], rows.predicted[fourfold], rows.proba[fourfold])
    (alone,), (apart,) = class_curves(rows), class_curves(repeated)
    (together,) = class_curves(replace(repeated, units=fourfold))
    widths = [each.roc_auc.high - each.roc_auc.low for each in (alone, apart, together)]
    assert widths[2] == pytest.approx(widths[0], rel=0.25)
    assert widths[1] == pytest.approx(widths[0] / 2, rel=0.25)


def test_a_rate_by_threshold_is_that_of_the_rows_called_so():
    rows = make_rows()
    (curves,) = class_curves(rows)
    band = rated(curves, rate_cells("f1"))
    at = len(band.x) // 3
    expected = f1_score(rows.y, rows.proba[:, 1] >= band.x[at])
    assert band.y[at] == pytest.approx(expected)
    assert band.low[at] < expected < band.high[at]


def test_there_is_no_curve_without_scores_or_without_both_kinds_of_rows():
    rows = make_rows(50)
    assert class_curves(replace(rows, proba=None)) == []
    assert class_curves(replace(rows, y=np.zeros(50, dtype=int))) == []
    assert class_curves(replace(rows, proba=None, decision=rows.proba[:, 1]))[0].label == "yes"


def test_of_many_classes_the_most_frequent_ones_have_curves():
    draw = np.random.default_rng(0)
    y = draw.choice(12, 400, p=np.arange(1, 13) / 78)
    proba = draw.dirichlet(np.ones(12), 400)
    rows = ScoredRows(np.array([f"c{at}" for at in range(12)]), y, proba.argmax(axis=1), proba)
    assert [each.label for each in class_curves(rows)] == [f"c{at}" for at in range(4, 12)]
