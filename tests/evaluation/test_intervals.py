"""Intervals cover as often as they promise on data whose truth is known."""

from __future__ import annotations

import tracemalloc
from functools import partial

import numpy as np
import pytest
from scipy.stats import t

from mlwf.evaluation import intervals
from mlwf.evaluation.intervals import bootstrap, corrected_t, corrected_t_difference, paired_difference
from mlwf.evaluation.metrics import build_metrics
from mlwf.evaluation.predictions import Predictions
from mlwf.results import Difference

CLASSES = np.array(["no", "yes"], dtype=object)


def simulated(n_rows: int, seed: int = 0) -> tuple[Predictions, np.ndarray]:
    """Give probabilities that are right, and outcomes; a quarter of the rows is positive."""
    random = np.random.default_rng(seed)
    p = random.beta(1, 3, size=n_rows)
    said = Predictions(CLASSES, CLASSES[(p > 0.5).astype(int)], np.column_stack([1 - p, p]))
    return said, CLASSES[(random.random(n_rows) < p).astype(int)]


def metrics(*names: str) -> list:
    return list(build_metrics(names, classes=CLASSES).values())


def test_corrected_t_is_nadeau_and_bengios() -> None:
    values = [0.80, 0.84, 0.79, 0.86, 0.81]
    half = t.ppf(0.975, 4) * np.sqrt((1 / 5 + 1 / 4) * np.var(values, ddof=1))
    got = corrected_t(values, test_to_train=1 / 4)
    assert got is not None
    assert (got.low, got.high) == pytest.approx((0.82 - half, 0.82 + half))
    assert (got.level, got.method) == (0.95, "corrected resampled t")


def test_corrected_t_does_not_leave_the_range_of_the_metric() -> None:
    got = corrected_t([0.99, 1.0, 0.95, 1.0, 1.0], test_to_train=1 / 4, within=(0, 1))
    assert got is not None
    assert got.high == 1.0
    assert 0.9 < got.low < 0.99
    without = corrected_t([0.99, 1.0, 0.95, 1.0, 1.0], test_to_train=1 / 4)
    assert without is not None
    assert without.low == got.low
    assert without.high > 1


@pytest.mark.parametrize(
    "values",
    [[], [0.8], [0.8] * 5, [0.1 + 0.2, 0.3, 0.3], [0.8, float("nan"), 0.9]],
    ids=["none", "one", "equal", "equal but for rounding", "undefined"],
)
def test_corrected_t_claims_nothing_without_spread(values: list[float]) -> None:
    assert corrected_t(values, test_to_train=0.25) is None


@pytest.mark.parametrize(("greater_is_better", "sign"), [(True, 1), (False, -1)], ids=["accuracy", "loss"])
def test_corrected_t_difference_is_greater_for_the_better(greater_is_better: bool, sign: int) -> None:
    better, other = [0.8, 0.84, 0.79, 0.86], [0.7, 0.73, 0.72, 0.75]
    got = corrected_t_difference(better, other, test_to_train=1 / 3, greater_is_better=greater_is_better)
    gains = [sign * (a - b) for a, b in zip(better, other, strict=True)]
    assert got == Difference(pytest.approx(sign * 0.0975), corrected_t(gains, test_to_train=1 / 3), True)


def test_corrected_t_difference_that_may_be_zero_is_not_distinguishable() -> None:
    got = corrected_t_difference([0.8, 0.7, 0.9], [0.7, 0.8, 0.85], test_to_train=0.5, greater_is_better=True)
    assert got.distinguishable is False


def test_corrected_t_difference_of_folds_that_agree_is_undecided() -> None:
    got = corrected_t_difference([0.9, 0.8], [0.8, 0.7], test_to_train=1, greater_is_better=True)
    assert got == Difference(pytest.approx(0.1), None, None)


def test_bootstrap_covers_the_truth() -> None:
    people, truth = simulated(100_000, seed=99)
    wanted = metrics("accuracy", "roc_auc", "log_loss")
    expected = [metric(people, truth) for metric in wanted]
    covered = np.zeros(len(wanted))
    for seed in range(150):
        sample = np.random.default_rng(seed).choice(len(truth), 200)
        drawn = bootstrap(wanted, [people.take(sample)], truth[sample], n_resamples=200)
        for number, value in enumerate(expected):
            got = drawn.interval(0, number)
            assert got is not None
            covered[number] += got.low <= value <= got.high
    assert ((covered >= 0.9 * 150) & (covered < 150)).all()


def test_bootstrap_names_its_method() -> None:
    said, y = simulated(100)
    drawn = bootstrap(metrics("accuracy"), [said], y)
    interval = drawn.interval(0, 0)
    assert drawn.values.shape == (1, 1, 1000)
    assert interval is not None
    assert (interval.level, interval.method) == (0.95, "bootstrap of rows")


def test_bootstrap_takes_the_class_shares_for_chance() -> None:
    _, y = simulated(60)
    # A model that is right about one class alone: its accuracy is the share of that class.
    said = Predictions(CLASSES, np.full(60, "yes", dtype=object))
    interval = bootstrap(metrics("accuracy"), [said], y).interval(0, 0)
    assert interval is not None
    assert interval.low < np.mean(y == "yes") < interval.high


def test_bootstrap_draws_whole_groups() -> None:
    said, y = simulated(60)
    groups = np.repeat(["a", "b", "c"], 20)
    drawn = bootstrap(metrics("accuracy"), [said], y, groups=groups)
    share = [np.mean((said.labels == y)[groups == name]) for name in "abc"]
    possible = {round(np.mean([share[i], share[j], share[k]]), 9) for i in range(3) for j in range(3) for k in range(3)}
    assert {round(value, 9) for value in drawn.values[0, 0]} == possible
    got = drawn.interval(0, 0)
    assert got is not None
    assert got.method == "bootstrap of groups"


def test_bootstrap_of_groups_that_are_alike_is_wider_than_that_of_rows() -> None:
    said, y = simulated(100)
    again = np.tile(np.arange(100), 8)
    copies = said.take(again)
    of_groups = bootstrap(metrics("log_loss"), [copies], y[again], groups=again).interval(0, 0)
    of_rows = bootstrap(metrics("log_loss"), [copies], y[again]).interval(0, 0)
    assert of_groups is not None
    assert of_rows is not None
    assert of_groups.high - of_groups.low > 2 * (of_rows.high - of_rows.low)


@pytest.mark.parametrize(("n_groups", "tail"), [(12, 0.0107566), (100, 0.0230644)], ids=["few", "many"])
def test_bootstrap_of_few_groups_goes_further_out(n_groups: int, tail: float) -> None:
    said, y = simulated(600)
    drawn = bootstrap(metrics("log_loss"), [said], y, groups=np.arange(600) % n_groups)
    got = drawn.interval(0, 0)
    assert got is not None
    assert (got.low, got.high) == pytest.approx(tuple(np.quantile(drawn.values[0, 0], [tail, 1 - tail])), rel=1e-4)


def test_bootstrap_takes_weights() -> None:
    said, y = simulated(100)
    heavy = np.where(said.labels == y, 1e6, 1.0)
    drawn = bootstrap(metrics("accuracy"), [said], y, weight=heavy)
    assert drawn.values.min() > 0.999


def test_bootstrap_is_the_same_for_the_same_seed() -> None:
    said, y = simulated(100)
    run = partial(bootstrap, metrics("roc_auc", "log_loss"), [said], y, n_resamples=50)
    np.testing.assert_array_equal(run().values, run(random_state=0).values)
    assert (run().values != run(random_state=1).values).any()


@pytest.mark.parametrize("groups", [None, np.arange(100) % 30], ids=["rows", "groups"])
def test_bootstrap_does_not_depend_on_how_many_resamples_are_in_memory(
    monkeypatch: pytest.MonkeyPatch, groups: np.ndarray | None
) -> None:
    said, y = simulated(100)
    run = partial(bootstrap, metrics("accuracy", "d2_log_loss_score"), [said], y, groups=groups, n_resamples=250)
    at_once = run().values
    monkeypatch.setattr(intervals, "CHUNK", 700)
    np.testing.assert_allclose(run().values, at_once, rtol=0, atol=1e-14)


def test_bootstrap_has_few_resamples_of_many_rows_in_memory() -> None:
    said, y = simulated(200_000)
    wanted = metrics("accuracy", "roc_auc")
    tracemalloc.start()
    bootstrap(wanted, [said], y, n_resamples=20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6


def test_metrics_that_are_slow_have_fewer_resamples() -> None:
    said, y = simulated(50)
    drawn = bootstrap(metrics("accuracy", "d2_log_loss_score"), [said], y)
    assert np.isfinite(drawn.values[0]).sum(axis=1).tolist() == [1000, 200]
    assert drawn.interval(0, 1) is not None


def test_bootstrap_gives_nothing_for_a_part_that_lacks_probabilities() -> None:
    said, y = simulated(100)
    without = Predictions(said.classes, said.labels)
    drawn = bootstrap(metrics("accuracy", "log_loss"), [without, said], y)
    assert drawn.interval(0, 0) is not None
    assert drawn.interval(0, 1) is None
    assert drawn.interval(1, 1) is not None
    assert drawn.difference(1, 1, 0, 0.4, 0.6) == Difference(pytest.approx(0.2), None, None)


def test_interval_needs_half_of_the_resamples() -> None:
    said, y = simulated(40)
    # One group of two holds all positives: without it, the area is not defined.
    order = np.argsort(y, kind="stable")
    said, y = said.take(order), y[order]
    rare = bootstrap(metrics("roc_auc"), [said], y, groups=np.where(y == "yes", np.arange(40), 0), n_resamples=100)
    half = bootstrap(metrics("roc_auc"), [said], y, groups=(y == "yes").astype(int), n_resamples=100)
    assert rare.interval(0, 0) is not None
    assert np.isnan(half.values).any()
    assert half.interval(0, 0) is None


@pytest.mark.parametrize("name", ["accuracy", "log_loss"])
def test_difference_is_paired_and_greater_for_the_better(name: str) -> None:
    said, y = simulated(400)
    worse_proba = 0.6 * said.proba + 0.4 * said.proba[:, ::-1]  # type: ignore[index]
    labels = np.where(np.arange(400) % 20 == 0, np.where(y == "yes", "no", "yes"), said.labels).astype(object)
    worse = Predictions(CLASSES, labels, worse_proba)
    (metric,) = metrics(name)
    drawn = bootstrap([metric], [said, worse], y)
    values = metric(said, y), metric(worse, y)
    got = drawn.difference(0, 0, 1, *values)
    assert got.value == pytest.approx(abs(values[0] - values[1]))
    assert got.interval is not None
    assert got.interval.low < got.value < got.interval.high
    back = drawn.difference(0, 1, 0, *values[::-1])
    assert back.interval is not None
    assert (back.value, back.interval.low) == pytest.approx((-got.value, -got.interval.high))
    # Of independent draws it would be wider than either.
    alone = drawn.interval(0, 0)
    assert alone is not None
    assert got.interval.high - got.interval.low < alone.high - alone.low


def test_difference_of_a_model_and_itself_is_undecided() -> None:
    said, y = simulated(100)
    drawn = bootstrap(metrics("roc_auc"), [said, said], y)
    assert drawn.difference(0, 0, 1, 0.7, 0.7) == Difference(0.0, None, None)


def test_paired_difference_covers_the_truth() -> None:
    covered = 0
    for seed in range(100):
        gain = np.random.default_rng(seed).normal(0.1, 1, size=200)
        got = paired_difference(gain, units=np.arange(200), n_resamples=200)
        assert got.interval is not None
        covered += got.interval.low <= 0.1 <= got.interval.high
        assert got.interval.method == "bootstrap of rows"
    assert 88 <= covered < 100


def test_paired_difference_draws_whole_units() -> None:
    gain = np.repeat([0.1, 0.2, 0.4], [1, 5, 2])
    got = paired_difference(gain, units=np.repeat(["a", "b", "c"], [1, 5, 2]))
    assert got.value == pytest.approx(gain.mean())
    assert got.interval is not None
    # Three times the same unit is drawn often enough to mark the ends.
    assert (got.interval.low, got.interval.high) == pytest.approx((0.1, 0.4))
    assert got.interval.method == "bootstrap of groups"


def test_paired_difference_takes_weights() -> None:
    gain, weight = np.array([1.0, -1.0] * 50), np.array([9.0, 1.0] * 50)
    got = paired_difference(gain, units=np.arange(100), weight=weight)
    assert got.value == pytest.approx(0.8)
    assert got.distinguishable is True


def test_paired_difference_of_rows_that_gain_nothing_is_undecided() -> None:
    assert paired_difference(np.zeros(50), units=np.arange(50)) == Difference(0.0, None, None)
