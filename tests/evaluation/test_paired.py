"""Differences in plain Python are those of numpy and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t

from mlwf.evaluation.intervals import bootstrap, corrected_t_difference
from mlwf.evaluation.metrics import build_metrics
from mlwf.evaluation.paired import fold_difference, resample_difference, t_quantile
from mlwf.evaluation.predictions import Predictions

FOLDS = [0.71, 0.74, 0.69, 0.8, 0.75], [0.7, 0.7, 0.72, 0.75, 0.74]


def test_t_quantile_is_that_of_scipy():
    degrees = [*range(1, 260), 1000, 48_841]
    assert [t_quantile(df) for df in degrees] == pytest.approx(t.ppf(0.975, degrees), rel=1e-8)


@pytest.mark.parametrize("greater_is_better", [True, False])
@pytest.mark.parametrize(
    "folds", [FOLDS, ([0.7, 0.8], [0.6, 0.65]), ([0.7, 0.8], [0.6, 0.7]), ([0.5], [0.4])],
    ids=["five folds", "two folds", "no spread", "one fold"],
)  # fmt: skip
def test_fold_difference_is_the_corrected_t(folds, greater_is_better):
    how = {"test_to_train": 0.25, "greater_is_better": greater_is_better}
    found, expected = fold_difference(*folds, **how), corrected_t_difference(*folds, **how)
    assert_equal(found, expected)


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss"])
@pytest.mark.parametrize("groups", [None, np.arange(60) // 4], ids=["rows", "groups"])
def test_resample_difference_is_that_of_one_bootstrap(metric, groups):
    draw = np.random.default_rng(0)
    y, classes = draw.integers(2, size=60), np.array([0, 1])
    shares = [np.clip(y * strength + draw.normal(0.4, 0.2, 60), 0.01, 0.99) for strength in (0.3, 0.2)]
    parts = [Predictions(classes, (share > 0.5).astype(int), np.column_stack([1 - share, share])) for share in shares]
    (found_metric,) = build_metrics([metric], classes=classes).values()
    values = [found_metric(part, y) for part in parts]
    both = bootstrap([found_metric], parts, y, groups=groups)
    # Each of two runs draws for itself, and beside a baseline.
    alone = [bootstrap([found_metric], [part, parts[0]], y, groups=groups) for part in parts]
    found = resample_difference(
        *(each.scored(0, 0).tolist() for each in alone),
        value=values[0],
        other_value=values[1],
        n_units=alone[0].n_units,
        method=alone[0].method,
        greater_is_better=found_metric.info.greater_is_better,
    )
    assert_equal(found, both.difference(0, 0, 1, *values))


def test_resample_difference_has_no_interval_where_half_is_undefined():
    values = [None, None, None, 0.5, 0.7]
    how = {"value": 0.6, "other_value": 0.5, "n_units": 9, "method": "", "greater_is_better": True}
    found = resample_difference(values, [0.1, 0.2, 0.3, 0.4, 0.5], **how)
    assert (found.value, found.interval, found.distinguishable) == (pytest.approx(0.1), None, None)


def assert_equal(found, expected):
    assert found.value == pytest.approx(expected.value)
    assert found.distinguishable == expected.distinguishable
    ends = [each.interval and (each.interval.low, each.interval.high) for each in (found, expected)]
    assert ends[0] == (ends[1] and pytest.approx(ends[1], rel=1e-7))
    assert (found.interval and found.interval.method) == (expected.interval and expected.interval.method)
