"""Whether new rows are like those of the training, from counts alone."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency

from mlwf.modules.data import (
    ColumnCounts,
    Dataset,
    compare_columns,
    compare_predictions,
    correct_for_many,
    profile_columns,
)
from mlwf.results import ColumnDrift

DRAW = np.random.default_rng(0)


def rows(n=2000, shift=0.0):
    return pd.DataFrame(
        {
            "size": DRAW.normal(shift, 1, n),
            "count": DRAW.poisson(1 + shift, n).clip(0, 8),
            "city": DRAW.choice(["Bergen", "Lyon", "Turin"], n, p=[0.5, 0.3, 0.2] if not shift else [0.2, 0.3, 0.5]),
            "member": DRAW.random(n) < 0.5 + shift / 4,
            "since": pd.Timestamp("2024-01-01") + pd.to_timedelta(DRAW.integers(0, 700, n) + 700 * shift, unit="D"),
        }
    )


TRAINED = rows()


@pytest.fixture(scope="module")
def profile():
    data = Dataset(TRAINED, np.array(["a", "b"] * 1000, dtype=object), "")
    return json.loads(json.dumps(profile_columns(data, None)))


def drifts(profile, X, **more):
    options = {"importances": {}, "unseen": {}, **more}
    found = correct_for_many(compare_columns(profile, ColumnCounts(profile).add(X), **options), level=0.05, least=0.1)
    return {each.column: each for each in found}


def test_rows_like_those_of_the_training_have_not_drifted(profile):
    found = drifts(profile, rows(300))
    assert not any(each.has_drifted for each in found.values())
    assert all(each.distance < 0.1 for each in found.values())


def test_every_kind_of_column_is_found_to_have_drifted(profile):
    found = drifts(profile, rows(300, shift=1.0))
    assert [name for name, each in found.items() if each.has_drifted] == [*found]


def test_the_very_rows_of_the_training_are_at_no_distance(profile):
    found = drifts(profile, TRAINED)
    assert {each.distance for each in found.values()} == {0.0}
    assert {each.p_adjusted for each in found.values()} == {1.0}


def test_distance_and_test_are_those_of_scipy_for_many_rows(profile):
    new = rows(200_000, shift=1.0)
    counts = [frame["city"].value_counts().sort_index().to_numpy() for frame in (TRAINED, new)]
    city = drifts(profile, new)["city"]
    assert city.distance == pytest.approx(jensenshannon(*counts, base=2), abs=0.002)
    assert city.p_value == pytest.approx(chi2_contingency(np.array(counts), correction=False).pvalue, abs=1e-12)


def test_many_rows_alone_are_no_drift(profile):
    new = rows(50_000)
    new["city"] = DRAW.choice(["Bergen", "Lyon", "Turin"], 50_000, p=[0.45, 0.35, 0.2])
    city = drifts(profile, new)["city"]
    assert city.p_adjusted < 0.05
    assert not city.has_drifted


def test_missing_and_unseen_values_are_shares_of_the_rows_and_count_as_drift(profile):
    new = rows(400)
    new.loc[:199, "size"] = np.nan
    new.loc[:99, "city"] = "Oslo"
    found = drifts(profile, new, unseen={"city": 100})
    assert (found["size"].missing, found["size"].missing_in_training) == (0.5, 0.0)
    assert found["city"].unseen == 0.25
    assert found["size"].has_drifted
    assert found["city"].has_drifted


def test_whole_numbers_that_some_tables_write_as_floats_are_the_same(profile):
    new = TRAINED.astype({"count": float})
    assert drifts(profile, new)["count"].distance == 0.0


def test_what_matters_most_comes_first(profile):
    found = drifts(profile, rows(300), importances={"city": 0.2, "member": 0.1})
    assert [*found][:2] == ["city", "member"]
    assert found["city"].importance == 0.2


def test_the_p_values_are_corrected_after_holm():
    columns = [ColumnDrift(name, 0.5, p) for name, p in [("a", 0.01), ("b", 0.04), ("c", 0.03)]]
    corrected = correct_for_many(columns, level=0.05, least=0.1)
    assert [each.p_adjusted for each in corrected] == pytest.approx([0.03, 0.06, 0.06])
    assert [each.has_drifted for each in corrected] == [True, False, False]


def test_predictions_are_compared_by_probabilities_or_by_classes():
    low, high = DRAW.random(500) / 2, 0.5 + DRAW.random(500) / 2
    assert compare_predictions(low, high).distance == pytest.approx(1.0, abs=0.01)
    classes = DRAW.integers(0, 3, 500)
    assert compare_predictions(classes, classes).distance == 0.0
    assert compare_predictions(classes, np.full(500, 3)).distance > 0.9
