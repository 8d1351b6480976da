"""The contributions of columns to one prediction, beside those that can be computed by hand."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from mlwf.modules.importances import explain_row

DRAW = np.random.default_rng(0)
OTHERS = pd.DataFrame(
    {"a": DRAW.random(60), "b": DRAW.random(60), "c": DRAW.choice(["Lyon", None], 60), "d": DRAW.random(60)}
)
ROW = pd.DataFrame({"a": [0.9], "b": [0.1], "c": ["Lyon"], "d": [0.5]})


def linear(rows):
    return (0.4 * rows["a"] - 0.2 * rows["b"] + 0.1 * (rows["c"] == "Lyon")).to_numpy() + 0.3


def interacting(rows):
    return (rows["a"] * rows["b"] + 0.2 * (rows["c"] == "Lyon") * rows["a"]).to_numpy()


def exact(probability):
    """Average over all orders and all rows."""
    values = dict.fromkeys(ROW, 0.0)
    orders = list(permutations(ROW))
    for order in orders:
        mixed = OTHERS.copy()
        before = probability(mixed).mean()
        for name in order:
            mixed[name] = ROW[name].iloc[0]
            after = probability(mixed).mean()
            values[name] += (after - before) / len(orders)
            before = after
    return values


@pytest.mark.parametrize("probability", [linear, interacting])
def test_the_contributions_are_shapley_values_within_their_errors(probability):
    found = explain_row(probability, ROW, OTHERS)
    expected = exact(probability)
    for each in found.contributions:
        assert abs(each.contribution - expected[each.column]) <= 4 * each.error + 1e-12


def test_the_contributions_sum_up_to_the_distance_from_the_average():
    found = explain_row(interacting, ROW, OTHERS)
    assert found.average + sum(each.contribution for each in found.contributions) == pytest.approx(found.probability)
    assert found.average == pytest.approx(interacting(OTHERS).mean(), abs=0.03)
    assert found.n_background == 60


def test_a_column_that_does_not_count_has_none_and_the_greatest_comes_first():
    found = explain_row(linear, ROW, OTHERS)
    assert (found.contributions[-1].column, found.contributions[-1].contribution) == ("d", 0.0)
    assert found.contributions[0].column == "a"
    assert [each.value for each in found.contributions if each.column == "c"] == ["Lyon"]


def test_the_same_seed_draws_the_same():
    first, again, other = (explain_row(interacting, ROW, OTHERS, random_state=seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_it_ends_when_the_errors_are_small_or_the_time_is_up():
    small = explain_row(lambda rows: np.full(len(rows), 0.5), ROW, OTHERS)
    assert (small.n_orders, small.is_cut) == (200, False)
    cut = explain_row(interacting, ROW, OTHERS, seconds=0)
    assert (cut.n_orders, cut.is_cut) == (200, True)


def test_a_missing_value_is_one_as_any_other():
    found = explain_row(linear, ROW.assign(c=[None]), OTHERS)
    (missing,) = [each for each in found.contributions if each.column == "c"]
    assert missing.value is None
    assert missing.contribution < 0
