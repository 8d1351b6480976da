"""The screen of columns: whatever a probe scores 0.97 or more must pass it, and few others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from mlwf.modules.findings import list_columns, search_leaks
from mlwf.modules.findings.leakage import ALMOST_ALONE, WORTH_A_PROBE
from mlwf.modules.findings.screening import screen_columns
from mlwf.specs.features import (
    BooleanFeatureSpec,
    CategoricalFeatureSpec,
    DateFeatureSpec,
    FeatureSpec,
    NumericFeatureSpec,
    OrdinalFeatureSpec,
)
from mlwf.splitting.rows import Rows, Split, Table
from mlwf.splitting.splitters import fold_splitter
from tests.modules.test_findings import build_probe
from tests.reference_fitter import ReferenceFitter

NUMERIC, BOOLEAN, DATE = (kind(columns=["v"]) for kind in (NumericFeatureSpec, BooleanFeatureSpec, DateFeatureSpec))
CATEGORICAL = CategoricalFeatureSpec(columns=["v"])
ORDINAL = OrdinalFeatureSpec(columns=["v"], categories=["low", "middle", "high"])


def middle(y: Any, draw: Any) -> Any:
    """Give one class the middle, and the others both ends."""
    ends = draw.choice([-1, 1], len(y)) * (0.1 + draw.exponential(size=len(y)))
    return np.where(y == y.max(), draw.normal(size=len(y)) * 0.03, ends)


def bands(y: Any, draw: Any) -> Any:
    """Give the classes seven bands in turn, of widths that differ a lot."""
    n_classes = len(np.unique(y))
    band = y + n_classes * draw.integers(7 // n_classes, size=len(y))
    return (band + draw.random(len(y)) * 0.9) ** 3


def spikes(y: Any, draw: Any) -> Any:
    """Give one class two values among the numbers of the others."""
    return np.where(y == y.max(), draw.choice([0.123, 0.77], len(y)), draw.normal(size=len(y)))


def mostly_known(y: Any, draw: Any) -> Any:
    return np.where(draw.random(len(y)) < 0.4, np.nan, y)


def missing(y: Any, draw: Any) -> Any:
    return np.where(y == 0, np.nan, draw.normal(size=len(y)))


def texts(values: Any) -> Any:
    return np.array([f"c{value}" for value in values], dtype=object)


def many_codes(y: Any, draw: Any) -> Any:
    """Give each class codes of its own, four rows each."""
    return texts(draw.integers(len(y) // 8, size=len(y)) * 10 + y)


def unique_for_one(y: Any, draw: Any) -> Any:
    """Give the rows of one class a text of their own, those of others one of twenty."""
    return np.where(y == 0, texts(np.arange(len(y)) + 100), texts(draw.integers(20, size=len(y))))


def days(y: Any, draw: Any) -> Any:
    """Give one class the first half of each of a hundred months."""
    day = np.where(y == 0, draw.integers(0, 14, len(y)), draw.integers(14, 28, len(y)))
    return np.datetime64("2010-01", "M") + draw.integers(100, size=len(y)) + day.astype("timedelta64[D]")


SHAPES: dict[str, tuple[Any, FeatureSpec]] = {
    "copy": (lambda y, draw: y * 1.0, NUMERIC),
    "shift": (lambda y, draw: y + draw.normal(size=len(y)) / 8, NUMERIC),
    "middle": (middle, NUMERIC),
    "bands": (bands, NUMERIC),
    "spikes": (spikes, NUMERIC),
    "parity": (lambda y, draw: 2.0 * draw.integers(0, 2, len(y)) + y % 2, NUMERIC),
    "zero but for one class": (lambda y, draw: (y == y.max()) * draw.exponential(size=len(y)), NUMERIC),
    "missing": (missing, NUMERIC),
    "known for most": (mostly_known, NUMERIC),
    "many codes": (many_codes, CATEGORICAL),
    "unique for one class": (unique_for_one, CATEGORICAL),
    "a flag or nothing": (lambda y, draw: np.where(y == 0, None, True), BOOLEAN),
    "levels": (lambda y, draw: np.array(["low", "high", "middle"], dtype=object)[y % 3], ORDINAL),
    "days of the month": (days, DATE),
}
BALANCED = [0.5, 0.5]
SLOW = pytest.mark.slow
CLASSES = [
    pytest.param(600, BALANCED, id="balanced"),
    pytest.param(120, [0.6, 0.4], id="few rows", marks=SLOW),
    pytest.param(600, [0.9, 0.1], id="one in ten", marks=SLOW),
    pytest.param(600, [0.2, 0.5, 0.3], id="three classes", marks=SLOW),
    pytest.param(30_000, [0.99, 0.01], id="many rows, one in a hundred", marks=SLOW),
    pytest.param(8_000, [0.01, 0.99], id="most of the last class", marks=SLOW),
]


def make_table(leak: Any, n_rows: int, shares: Any, *, noise: float = 0.01) -> Table:
    """Make a table of which `v` knows the label of most rows."""
    draw = np.random.default_rng(0)
    y = draw.choice(len(shares), n_rows, p=shares)
    known = np.where(draw.random(n_rows) < noise, draw.choice(len(shares), n_rows, p=shares), y)
    return Table(pd.DataFrame({"v": leak(known, draw)}), y)


def screened(table: Table, features: Any, splits: Any = None) -> Any:
    splits = splits or fold_splitter("stratified_kfold")(table, table.all_rows)
    labels = np.searchsorted(table.classes, table.y)
    return screen_columns(list_columns(table, features), table, labels, splits, lambda *_: None)


def probed(table: Table, feature: FeatureSpec) -> Any:
    """Probe the one column, whatever the screen says of it."""
    splits = fold_splitter("stratified_kfold")(table, table.all_rows)
    with ReferenceFitter(table) as fit:
        return search_leaks(table, table.all_rows, splits, [feature], fit, build_probe=build_probe).leaks


@pytest.mark.parametrize(("n_rows", "shares"), CLASSES)
@pytest.mark.parametrize(("leak", "feature"), SHAPES.values(), ids=SHAPES)
def test_a_column_that_a_probe_finds_passes_the_screen(monkeypatch, leak, feature, n_rows, shares):
    table = make_table(leak, n_rows, shares)
    # A tree may combine the parts of a date: each is probed, whatever the screen says of its parts.
    strength = 1.0 if feature is DATE else screened(table, [feature])[0]
    if shares == BALANCED:
        assert strength > WORTH_A_PROBE + 0.1
        assert probed(table, feature)
    else:
        monkeypatch.setattr("mlwf.modules.findings.leakage.WORTH_A_PROBE", 0.0)
        assert strength > WORTH_A_PROBE + 0.05 or not probed(table, feature)


@pytest.mark.parametrize("leak", [spikes, SHAPES["parity"][0]], ids=["spikes", "parity"])
def test_a_few_rows_beside_a_frequent_value_have_a_bin_of_their_own(leak):
    table = make_table(leak, 4_000, [0.01, 0.99], noise=0.0)
    assert screened(table, [NUMERIC])[0] > 0.99


def test_noise_does_not_pass():
    draw = np.random.default_rng(0)
    y = np.arange(300) % 2
    numbers = pd.DataFrame(draw.normal(size=(300, 200)), columns=[f"x{k}" for k in range(200)])
    words = {f"w{k}": texts(draw.integers(150, size=300)) for k in range(20)}
    table = Table(numbers.assign(**words), y)
    features = [NumericFeatureSpec(columns=list(numbers)), CategoricalFeatureSpec(columns=list(words))]
    strengths = screened(table, features)
    assert strengths.shape == (220,)
    assert strengths.max() < 0.75


def test_strength_of_few_values_is_the_roc_auc_of_their_shares():
    draw = np.random.default_rng(0)
    X = pd.DataFrame({"v": draw.integers(4, size=400).astype(float)})
    y = (draw.random(400) < np.array([0.1, 0.6, 0.2, 0.9])[X["v"].astype(int)]).astype(int)
    split = Split(Rows(np.arange(300)), Rows(np.arange(300, 400)))
    shares = pd.Series(y[:300]).groupby(X["v"][:300]).mean()
    expected = roc_auc_score(y[300:], X["v"][300:].map(shares))
    assert screened(Table(X, y), [NUMERIC], [split])[0] == pytest.approx(expected, abs=1e-12)
    as_texts = Table(X.astype(str), y)
    assert screened(as_texts, [CATEGORICAL], [split])[0] == pytest.approx(expected, abs=1e-12)


def test_strength_of_three_classes_is_the_mean_of_each_against_the_others():
    draw = np.random.default_rng(0)
    y = draw.integers(3, size=500)
    X = pd.DataFrame({"v": np.where(draw.random(500) < 0.4, draw.integers(3, size=500), y).astype(float)})
    split = Split(Rows(np.arange(300)), Rows(np.arange(300, 500)))
    shares = pd.crosstab(X["v"][:300], y[:300], normalize="index")
    aucs = [roc_auc_score(y[300:] == k, X["v"][300:].map(shares[k])) for k in range(3)]
    assert screened(Table(X, y), [NUMERIC], [split])[0] == pytest.approx(np.mean(aucs), abs=1e-12)


def test_rows_of_no_weight_are_not_learnt_from():
    y = np.arange(400) % 2
    X = pd.DataFrame({"v": np.where(np.arange(400) < 200, y, 1 - y).astype(float)})
    split = Split(Rows(np.arange(300)), Rows(np.arange(300, 400)))
    last = (np.arange(400) >= 200).astype(float)
    table = Table(X, y)
    assert screened(table, [NUMERIC], [split])[0] <= 0.5
    assert screened(replace(table, weight=last), [NUMERIC], [split])[0] == 1.0


@pytest.mark.parametrize(
    ("values", "feature"),
    [
        pytest.param(np.array(["no number"] * 40, dtype=object), NUMERIC, id="no numbers"),
        pytest.param(np.array([["a"]] * 40 + [0], dtype=object)[:40], NUMERIC, id="lists of numbers"),
        pytest.param(np.array(["no date"] * 40, dtype=object), DATE, id="no dates"),
        pytest.param(np.array([["a"]] * 40 + [0], dtype=object)[:40], CATEGORICAL, id="lists"),
    ],
)
def test_what_cannot_be_read_has_no_strength_and_is_no_leak(values, feature):
    table = Table(pd.DataFrame({"v": values}), np.arange(40) % 2)
    (strength,) = screened(table, [feature])
    assert not strength >= ALMOST_ALONE
    assert probed(table, feature) == ()


def test_an_array_is_screened_by_position():
    y = np.arange(200) % 2
    table = Table(np.column_stack([np.random.default_rng(0).normal(size=200), y]), y)
    strengths = screened(table, [NumericFeatureSpec(columns=[1, 0])])
    assert strengths[0] == 1.0
    assert strengths[1] < 0.7
