"""The expected calibration error and its bins: right for what is known to be right or wrong."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from mlwf.evaluation.calibration_error import ece_of_draws
from mlwf.evaluation.metrics import build_metric, reliability_bins
from mlwf.evaluation.predictions import Predictions

CLASSES = np.array(["no", "yes"], dtype=object)


def binary(p: np.ndarray, outcome: np.ndarray) -> tuple[Predictions, np.ndarray]:
    return Predictions(CLASSES, CLASSES[(p > 0.5).astype(int)], np.column_stack([1 - p, p])), CLASSES[
        outcome.astype(int)
    ]


def simulated(n_rows: int, *, shift: float = 0.0, seed: int = 0) -> tuple[Predictions, np.ndarray]:
    """Give probabilities that are `shift` too high, and outcomes."""
    random = np.random.default_rng(seed)
    true = random.uniform(0.1, 0.9 - shift, size=n_rows)
    return binary(true + shift, random.random(n_rows) < true)


def error(said: Predictions, y: np.ndarray, weight: np.ndarray | None = None) -> float:
    return build_metric("ece", classes=said.classes)(said, y, weight)


def plug_in(said: Predictions, y: np.ndarray) -> float:
    bins = reliability_bins(said, y)
    return sum(bin_.n_rows * abs(bin_.predicted - bin_.observed) for bin_ in bins) / len(y)


def test_ece_of_perfect_probabilities_is_much_nearer_to_zero_than_the_plug_in() -> None:
    samples = [simulated(2000, seed=seed) for seed in range(40)]
    naive = np.mean([plug_in(*sample) for sample in samples])
    debiased = np.mean([error(*sample) for sample in samples])
    assert naive > 0.025
    assert debiased < 0.65 * naive
    assert error(*simulated(200_000)) < 0.003


@pytest.mark.parametrize("shift", [0.05, 0.2])
def test_ece_is_right_for_probabilities_that_are_off_by_a_known_amount(shift: float) -> None:
    values = [error(*simulated(2000, shift=shift, seed=seed)) for seed in range(40)]
    assert np.mean(values) == pytest.approx(shift, abs=0.005)


def test_ece_looks_at_the_top_label_of_several_classes() -> None:
    random = np.random.default_rng(0)
    classes = np.array([2, 4, 6])
    top = random.integers(3, size=3000)
    proba = np.full((3000, 3), 0.15)
    proba[np.arange(3000), top] = 0.7
    right = random.random(3000) < 0.5
    y = classes[np.where(right, top, (top + 1) % 3)]
    said = Predictions(classes, classes[top], proba)
    assert error(said, y) == pytest.approx(0.7 - right.mean(), abs=1e-3)
    (only,) = reliability_bins(said, y)
    assert (only.predicted, only.observed, only.n_rows) == pytest.approx((0.7, right.mean(), 3000))


@pytest.mark.parametrize("positive", ["no", "yes"])
def test_reliability_bins_are_those_of_the_positive_class(positive: str) -> None:
    said, y = simulated(1000, shift=0.1)
    bins = reliability_bins(said, y, positive_class=positive)
    column = said.proba[:, list(CLASSES).index(positive)]  # type: ignore[index]
    assert np.average([b.predicted for b in bins], weights=[b.n_rows for b in bins]) == pytest.approx(column.mean())
    assert sum(b.observed * b.n_rows for b in bins) == pytest.approx((y == positive).sum())


@pytest.mark.parametrize(
    ("n_rows", "expected"),
    [(10, [10]), (39, [39]), (60, [20] * 3), (305, [20, 20, 21] * 5), (3000, [200] * 15)],
    ids=["few", "not enough for two", "three", "uneven", "most"],
)
def test_reliability_bins_have_equally_many_rows(n_rows: int, expected: list[int]) -> None:
    said, y = simulated(n_rows)
    assert [b.n_rows for b in reliability_bins(said, y)] == expected


def test_reliability_bins_never_split_ties() -> None:
    p = np.repeat([0.1, 0.2, 0.3, 0.9], [150, 3, 97, 50])
    bins = reliability_bins(*binary(p, np.arange(300) % 2))
    assert [b.n_rows for b in bins] == [153, 97, 50]
    assert [b.predicted for b in bins] == pytest.approx([(150 * 0.1 + 3 * 0.2) / 153, 0.3, 0.9])


def test_reliability_intervals_are_wilsons() -> None:
    said, y = simulated(200)
    for b in reliability_bins(said, y):
        expected = binomtest(round(b.observed * b.n_rows), b.n_rows).proportion_ci(0.95, method="wilson")
        assert (b.low, b.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize(("outcome", "low", "high"), [(0, 0.0, 0.161), (1, 0.839, 1.0)])
def test_reliability_intervals_of_what_never_or_always_came_true(outcome: int, low: float, high: float) -> None:
    (only,) = reliability_bins(*binary(np.full(20, 0.6), np.full(20, outcome)))
    assert (only.low, only.high) == pytest.approx((low, high), abs=1e-3)


def test_weights_count_as_much_as_rows_but_do_not_make_the_interval_narrower() -> None:
    said, y = simulated(400, shift=0.1)
    plain, doubled = reliability_bins(said, y), reliability_bins(said, y, weight=np.full(400, 2.0))
    assert [b.low for b in doubled] == pytest.approx([b.low for b in plain])
    assert [b.high for b in doubled] == pytest.approx([b.high for b in plain])
    assert error(said, y, np.full(400, 2.0)) == pytest.approx(error(said, y))


def test_rows_without_weight_change_nothing() -> None:
    said, y = simulated(400)
    weight = (said.proba[:, 1] > 0.5).astype(float)  # type: ignore[index]
    bins = reliability_bins(said, y, weight=weight)
    assert all(b.predicted > 0.5 for b in bins)
    assert np.isfinite(error(said, y, weight))


def test_resampled_ece_keeps_the_bins_of_all_rows() -> None:
    said, y = simulated(500, shift=0.1)
    counts = np.random.default_rng(1).poisson(1, size=(5, 500)).astype(float)
    metric = build_metric("ece", classes=CLASSES)
    np.testing.assert_allclose(metric.resampled(said, y, counts), [metric(said, y, row) for row in counts], atol=1e-12)


def test_ece_is_never_below_zero() -> None:
    p = np.full(100, 0.5)
    assert error(*binary(p, np.arange(100) % 2)) == 0.0


def test_reliability_bins_need_probabilities() -> None:
    with pytest.raises(ValueError, match=r"^the classifier gives no probabilities$"):
        reliability_bins(Predictions(CLASSES, CLASSES), CLASSES)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_ece_of_drawn_labels_is_that_of_the_metric_to_the_bit(n_classes: int) -> None:
    random = np.random.default_rng(0)
    classes = np.array(["no", "perhaps", "yes"], dtype=object)[-n_classes:]
    said = Predictions(classes, classes[:1].repeat(300), random.dirichlet(np.ones(n_classes), size=300))
    of_draw = ece_of_draws(said, classes[-1])
    draws = random.integers(n_classes, size=(5, 300))
    assert [of_draw(codes) for codes in draws] == [error(said, classes[codes]) for codes in draws]
