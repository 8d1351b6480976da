"""Quick preparing gives what scikit-learn itself gives, to the bit, and leaves the same fitted objects behind."""

from __future__ import annotations

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from mlwf import BooleanFeatureSpec, CategoricalFeatureSpec, NumericFeatureSpec, TextFeatureSpec
from mlwf.evaluation.preparing import fit_transform, transform
from mlwf.modules.preprocessing import build_preprocessor

N_ROWS = 121
NUMBERS = ["float", "gaps", "empty", "integer", "single", "flag"]
TEXTS = ["city", "gap", "few"]


def table(seed=0):
    draw = np.random.default_rng(seed)
    cities = np.array(["Ulm", "Rom", "Bonn.0", "17.0", "2024-01-01 00:00:00"], dtype=object)
    gaps = draw.normal(size=N_ROWS)
    gaps[::3] = np.nan
    gap = cities[draw.integers(5, size=N_ROWS)]
    gap[::4] = None
    return pd.DataFrame(
        {
            "float": draw.normal(size=N_ROWS) * 1e6,
            "gaps": gaps,
            "city": cities[draw.integers(5, size=N_ROWS)],
            "empty": np.full(N_ROWS, np.nan),
            "integer": draw.integers(2**60, size=N_ROWS),
            "single": draw.normal(size=N_ROWS).astype(np.float32),
            "gap": gap,
            "flag": draw.random(N_ROWS) > 0.5,
            "mixed": np.array([1, True, 1.0, "1", None] * 24 + ["x"], dtype=object),
            "few": cities[draw.integers(2, size=N_ROWS)],
        }
    )


CASES = {
    "median": [NumericFeatureSpec(columns=NUMBERS)],
    "plain": [NumericFeatureSpec(columns=NUMBERS, imputer=None, scaler=None)],
    "mean": [NumericFeatureSpec(columns=NUMBERS, imputer="mean", scaler="robust")],
    "flags": [BooleanFeatureSpec(columns=["flag"]), NumericFeatureSpec(columns=["gaps"], scaler="quantile")],
    "texts": [CategoricalFeatureSpec(columns=[*TEXTS], imputer="most_frequent"), NumericFeatureSpec(columns=["float"])],
    "target": [CategoricalFeatureSpec(columns=["gap", "mixed"], encoder="target")],
    "native": [CategoricalFeatureSpec(columns=TEXTS, encoder="native"), NumericFeatureSpec(columns=NUMBERS)],
    "prose": [TextFeatureSpec(columns=["gap"], n_components=2)],
}


@pytest.mark.parametrize("features", CASES.values(), ids=CASES)
def test_quick_preparing_is_that_of_scikit_learn(features):
    X, later, y = table(), table(seed=1), np.arange(N_ROWS) % 2
    unfitted = Pipeline([("preprocessor", build_preprocessor(features))])
    plain = clone(unfitted)
    expected, expected_later = plain.fit_transform(X, y), plain.transform(later)
    fitted, prepared = fit_transform(unfitted, X, y)
    for made, wanted in ((prepared, expected), (transform(fitted, later), expected_later)):
        np.testing.assert_array_equal(made, wanted)
        assert (made.dtype, made.flags.f_contiguous) == (wanted.dtype, wanted.flags.f_contiguous)
    assert joblib.hash(fitted) == joblib.hash(plain)
    assert joblib.hash(unfitted) == joblib.hash(clone(unfitted))
    pd.testing.assert_frame_equal(X, table())
    pd.testing.assert_frame_equal(later, table(seed=1))


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
def test_quick_preparing_of_an_array_is_that_of_scikit_learn(dtype):
    X = (np.random.default_rng(0).normal(size=(N_ROWS, 3)) * 1000).astype(dtype)
    before, y = X.copy(), np.arange(N_ROWS) % 2
    unfitted = Pipeline([("preprocessor", build_preprocessor([NumericFeatureSpec(columns=[2, 0])]))])
    plain = clone(unfitted)
    expected = plain.fit_transform(X, y)
    fitted, prepared = fit_transform(unfitted, X, y)
    assert prepared.tobytes("A") == expected.tobytes("A")
    assert transform(fitted, X).tobytes("A") == plain.transform(X).tobytes("A")
    assert joblib.hash(fitted) == joblib.hash(plain)
    np.testing.assert_array_equal(X, before)


def test_some_rows_of_a_table_are_prepared_as_a_table_of_these_rows():
    X, y, index = table(), np.arange(N_ROWS) % 2, np.random.default_rng(2).permutation(N_ROWS)[:50]
    unfitted = Pipeline([("preprocessor", build_preprocessor([NumericFeatureSpec(columns=NUMBERS)]))])
    plain = clone(unfitted)
    expected = plain.fit_transform(X.iloc[index], y[index])
    fitted, prepared = fit_transform(unfitted, X, y[index], index)
    np.testing.assert_array_equal(prepared, expected)
    np.testing.assert_array_equal(transform(fitted, X, index), expected)
    assert joblib.hash(fitted) == joblib.hash(plain)
    pd.testing.assert_frame_equal(X, table())


def test_columns_are_found_by_name_in_a_later_table_of_another_order():
    X, places = table(), [table().columns.get_loc(name) for name in NUMBERS]
    unfitted = Pipeline([("preprocessor", build_preprocessor([NumericFeatureSpec(columns=places)]))])
    fitted, prepared = fit_transform(unfitted, X, None)
    np.testing.assert_array_equal(transform(fitted, X[X.columns[::-1]]), prepared)


def test_numbers_are_not_made_objects(monkeypatch):
    unfitted = Pipeline([("preprocessor", build_preprocessor([NumericFeatureSpec(columns=NUMBERS)]))])
    fitted, _ = fit_transform(unfitted, table(), None)
    objects = fitted[0].named_transformers_["numeric"]["clean"]["objects"]
    monkeypatch.setattr(objects, "func", None)
    assert transform(fitted, table(seed=1)).shape == (N_ROWS, len(NUMBERS))


def test_later_texts_among_numbers_are_read_as_numbers():
    fitted, _ = fit_transform(
        Pipeline([("preprocessor", build_preprocessor([NumericFeatureSpec(columns=["float"])]))]), table(), None
    )
    later = table(seed=1)
    np.testing.assert_array_equal(
        transform(fitted, later.assign(float=later["float"].map(repr))), transform(fitted, later)
    )
