"""The preprocessor: every option against every kind of missing value, and every way a column can arrive."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from mlwf.errors import ConfigError
from mlwf.modules.preprocessing import MISSING, FeatureSpecPipeline, build_preprocessor
from mlwf.specs.features import (
    BooleanFeatureSpec,
    CategoricalFeatureSpec,
    DateFeatureSpec,
    FeatureSpec,
    NumericFeatureSpec,
    OrdinalFeatureSpec,
    TextFeatureSpec,
)

N = 120
MISSING_KINDS = {"None": None, "NaN": np.nan, "NA": pd.NA, "NaT": pd.NaT}
RNG = np.random.default_rng(0)
HOLES = RNG.random(N) < 0.2
BINARY = np.array(["no", "yes"] * (N // 2))
THREE = np.array(["a", "b", "c"] * (N // 3))
VALUES: dict[str, Any] = {
    "numeric": RNG.normal(size=N).round(2).tolist(),
    "categorical": RNG.choice(["red", "green", "blue"], N).tolist(),
    "boolean": RNG.choice([True, False], N).tolist(),
    "ordinal": RNG.choice(["small", "medium", "large"], N).tolist(),
    "date": pd.date_range("2019-01-01", periods=N, freq="31h").tolist(),
}


def _options() -> list[Any]:
    """Every imputer x scaler x encoder of every type."""
    specs: list[FeatureSpec] = []
    fill: Any
    scalers = ("standard", "minmax", "maxabs", "robust", None)
    for imputer, scaler in product(
        ("mean", "median", "most_frequent", "constant", "knn", None), (*scalers, "quantile", "power")
    ):
        fill = 1.5 if imputer == "constant" else None
        specs.append(NumericFeatureSpec(columns=["c"], imputer=imputer, scaler=scaler, fill_value=fill))
    for imputer, encoder in product(("most_frequent", "constant", None), ("onehot", "ordinal", "target")):
        fill = "red" if imputer == "constant" else None
        specs.append(CategoricalFeatureSpec(columns=["c"], imputer=imputer, encoder=encoder, fill_value=fill))
    sizes = ["small", "medium", "large"]
    for imputer in ("most_frequent", "constant", None):
        fill = True if imputer == "constant" else None
        specs.append(BooleanFeatureSpec(columns=["c"], imputer=imputer, fill_value=fill))
        fill = "medium" if imputer == "constant" else None
        specs.append(OrdinalFeatureSpec(columns=["c"], categories=sizes, imputer=imputer, fill_value=fill))
    for imputer, scaler in product(("mean", "median", "most_frequent", None), scalers):
        specs.append(DateFeatureSpec(columns=["c"], imputer=imputer, scaler=scaler))
    return [
        pytest.param(spec, id="-".join(str(getattr(spec, key, "")) for key in ("type", "imputer", "scaler", "encoder")))
        for spec in specs
    ]


def _objects(spec: FeatureSpec, *kinds: Any) -> pd.DataFrame:
    """Return values of the type of `spec` as objects, with the missing kinds taking turns in the holes."""
    turns = iter(kinds * N)
    return pd.DataFrame(
        {"c": pd.Series([next(turns) if h else v for v, h in zip(VALUES[spec.type], HOLES, strict=True)], dtype=object)}
    )


def _column(values: Any) -> pd.DataFrame:
    return pd.DataFrame({"c": values})


@pytest.mark.parametrize("spec", _options())
def test_every_kind_of_missing_value_is_the_same(spec: FeatureSpec) -> None:
    plain, mixed = build_preprocessor([spec]), build_preprocessor([spec])
    expected = plain.fit_transform(_objects(spec, None), THREE)

    actual = mixed.fit_transform(_objects(spec, *MISSING_KINDS.values()), THREE)

    assert expected.dtype == np.float64
    np.testing.assert_array_equal(actual, expected)
    whole = plain.transform(_objects(spec, None))
    assert len(plain.get_feature_names_out()) == whole.shape[1]
    for kind in MISSING_KINDS.values():
        np.testing.assert_array_equal(mixed.transform(_column([kind])), whole[HOLES][:1])


@pytest.mark.parametrize("spec", [option for option in _options() if option.values[0].imputer is not None])
def test_an_imputer_leaves_nothing_missing_in_a_column_without_values(spec: FeatureSpec) -> None:
    preprocessor = build_preprocessor([spec])

    fitted = preprocessor.fit_transform(_column(pd.Series([None] * N, dtype=object)), BINARY)
    transformed = preprocessor.transform(_objects(spec, None))

    assert np.isfinite(fitted).all()
    assert np.isfinite(transformed).all()
    assert fitted.shape[1] == transformed.shape[1] >= 1


def test_numbers_may_arrive_in_any_type() -> None:
    preprocessor = build_preprocessor([NumericFeatureSpec(columns=["c"], imputer=None, scaler=None)])
    preprocessor.fit(_column([1.0, 2.0]))
    arrivals = {
        "int64": pd.Series([1, 0]),
        "int8": pd.Series([1, 0], dtype="int8"),
        "float32": pd.Series([1, 0], dtype="float32"),
        "Int64": pd.Series([1, 0], dtype="Int64"),
        "Float64": pd.Series([1, 0], dtype="Float64"),
        "arrow": pd.Series([1, 0], dtype="int64[pyarrow]"),
        "bool": pd.Series([True, False]),
        "boolean": pd.Series([True, False], dtype="boolean"),
        "category": pd.Series([1, 0], dtype="category"),
        "objects": pd.Series([1, 0.0], dtype=object),
        "decimals": pd.Series([Decimal("1.0"), Decimal(0)], dtype=object),
        "text": pd.Series(["1.0", "0"]),
        "string": pd.Series(["1", "0"], dtype="string[python]"),
        "booleans as objects": pd.Series([True, False], dtype=object),
    }

    actual = {name: preprocessor.transform(_column(values)).ravel().tolist() for name, values in arrivals.items()}

    assert actual == {name: [1.0, 0.0] for name in arrivals}


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([1, pd.NA, 3], dtype="Int64"),
        pd.Series([1.0, pd.NA, 3.0], dtype="Float64"),
        pd.Series([1, None, 3], dtype="int64[pyarrow]"),
        pd.Series([1, None, 3], dtype="category"),
        pd.Series(["1", None, "3"], dtype="string[pyarrow]"),
        pd.Series(["1", None, "3"], dtype="string[python]"),
    ],
    ids=lambda values: str(values.dtype),
)
def test_a_missing_number_is_nan_in_every_nullable_type(values: pd.Series) -> None:
    preprocessor = build_preprocessor([NumericFeatureSpec(columns=["c"], imputer=None, scaler=None)])

    actual = preprocessor.fit_transform(_column(values))

    np.testing.assert_array_equal(actual, [[1.0], [np.nan], [3.0]])


def test_a_frame_of_missing_times_is_no_number() -> None:
    preprocessor = build_preprocessor([NumericFeatureSpec(columns=["c"], imputer="mean", scaler=None)])
    preprocessor.fit(_column([1.0, 2.0]))

    assert preprocessor.transform(pd.DataFrame({"c": [pd.NaT]})).tolist() == [[1.5]]


def test_text_that_is_no_number_raises() -> None:
    preprocessor = build_preprocessor([NumericFeatureSpec(columns=["c"])])

    with pytest.raises(ValueError, match="could not convert string to float: 'many'"):
        preprocessor.fit(_column(["1", "many"]))


@pytest.mark.parametrize("encoder", ["onehot", "ordinal", "target"])
@pytest.mark.parametrize(
    ("first", "others"),
    [
        pytest.param(
            pd.Series([1, 2, 3] * 10),
            [
                pd.Series([1.0, 2.0, 3.0] * 10),
                pd.Series(["1", "2", "3"] * 10),
                pd.Series(["1.0", "2.0", "3.0"] * 10),
                pd.Series([1, 2, 3] * 10, dtype="Int64"),
                pd.Series([1, 2.0, "3"] * 10, dtype=object),
                pd.Series([1, 2, 3] * 10, dtype="category"),
            ],
            id="whole numbers",
        ),
        pytest.param(
            pd.Series(["a", "b", "c"] * 10),
            [
                pd.Series(["a", "b", "c"] * 10, dtype=dtype)
                for dtype in ("string[python]", "string[pyarrow]", "category", object)
            ],
            id="text",
        ),
        pytest.param(
            pd.Series([True, False] * 15),
            [
                pd.Series([True, False] * 15, dtype="boolean"),
                pd.Series([True, False] * 15, dtype=object),
                pd.Series(["True", "False"] * 15),
            ],
            id="booleans",
        ),
        pytest.param(
            pd.Series([dt.date(2020, 1, 1), dt.date(2021, 2, 3)] * 15, dtype=object),
            [
                pd.Series(pd.to_datetime(["2020-01-01", "2021-02-03"] * 15)),
                pd.Series(pd.to_datetime(["2020-01-01", "2021-02-03"] * 15)).astype("datetime64[us]"),
                pd.Series(["2020-01-01", "2021-02-03"] * 15),
            ],
            id="dates",
        ),
        pytest.param(
            pd.Series([1.5, -2.0, 1e-7] * 10), [pd.Series(["1.5", "-2", "1e-07"] * 10)], id="numbers with a fraction"
        ),
    ],
)
def test_equal_categories_are_one_however_they_arrive(encoder: Any, first: pd.Series, others: list[pd.Series]) -> None:
    preprocessor = build_preprocessor([CategoricalFeatureSpec(columns=["c"], encoder=encoder)])
    row = np.arange(30)
    preprocessor.fit(_column(first), row % 3 * 10 > row)  # another share of True for each category
    expected = preprocessor.transform(_column(first))

    assert len(np.unique(expected, axis=0)) == first.nunique()
    for other in others:
        np.testing.assert_array_equal(preprocessor.transform(_column(other)), expected)


def test_texts_that_only_look_alike_stay_apart() -> None:
    preprocessor = build_preprocessor([CategoricalFeatureSpec(columns=["c"])])
    texts = ["007", "7", "7.00", "7.05", ".0x", "100", "10", "1", "nan", "None", "<NA>", " 1", "%s", "A", "a"]

    preprocessor.fit(_column(texts))

    assert sorted(preprocessor.get_feature_names_out()) == sorted(f"c_{text}" for text in texts)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param(CategoricalFeatureSpec(columns=["c"]), [[0.0, 0.0, 0.0]], id="onehot: nothing"),
        pytest.param(CategoricalFeatureSpec(columns=["c"], encoder="ordinal"), [[-1.0]], id="ordinal: its own"),
        pytest.param(CategoricalFeatureSpec(columns=["c"], encoder="target"), [[0.5]], id="target: the mean"),
        pytest.param(
            OrdinalFeatureSpec(columns=["c"], categories=["red", "green", "blue"], imputer=None),
            [[np.nan]],
            id="given categories: missing",
        ),
        pytest.param(
            OrdinalFeatureSpec(
                columns=["c"], categories=["red", "green", "blue"], imputer="constant", fill_value="blue"
            ),
            [[2.0]],
            id="given categories: imputed",
        ),
    ],
)
def test_a_category_that_the_fit_did_not_see(spec: FeatureSpec, expected: list[list[float]]) -> None:
    preprocessor = build_preprocessor([spec]).fit(_column(VALUES["categorical"]), BINARY)

    np.testing.assert_array_equal(preprocessor.transform(_column(["violet"])), expected)


def test_missing_is_a_category_of_its_own_without_an_imputer() -> None:
    preprocessor = build_preprocessor([CategoricalFeatureSpec(columns=["c"])]).fit(_column(["a", None, "b"]))

    assert preprocessor.get_feature_names_out().tolist() == [f"c_{MISSING}", "c_a", "c_b"]


def test_a_constant_may_be_a_number_among_categories() -> None:
    spec = CategoricalFeatureSpec(columns=["c"], imputer="constant", fill_value=2)

    actual = build_preprocessor([spec]).fit_transform(_column([1.0, 2.0, None]))

    assert actual.tolist() == [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]


@pytest.mark.parametrize("categories", [[10, 9, 8], [10.0, 9.0, 8.0], ["10", "9", "8"]], ids=["int", "float", "text"])
def test_ordinal_keeps_the_given_order(categories: list[Any]) -> None:
    spec = OrdinalFeatureSpec(columns=["c"], categories=categories)
    preprocessor = build_preprocessor([spec])

    assert preprocessor.fit_transform(_column([8, 9, 10])).ravel().tolist() == [2.0, 1.0, 0.0]
    assert preprocessor.transform(_column([8.0, np.nan])).ravel().tolist() == [2.0, 0.0]


ARRIVING_DATES = {
    "ns": pd.Series(pd.to_datetime(["2020-02-29", None])),
    "us": pd.Series(pd.to_datetime(["2020-02-29", None])).astype("datetime64[us]"),
    "zone": pd.Series(pd.to_datetime(["2020-02-29 01:00", None])).dt.tz_localize("Europe/Paris"),
    "dates": pd.Series([dt.date(2020, 2, 29), None], dtype=object),
    "datetimes": pd.Series([dt.datetime(2020, 2, 29, tzinfo=dt.UTC), None], dtype=object),
    "text": pd.Series(["2020-02-29", None]),
    "text with time": pd.Series(["2020-02-29T00:00:00Z", pd.NaT], dtype=object),
    "string": pd.Series(["2020-02-29", None], dtype="string[python]"),
    "arrow": pd.Series([dt.date(2020, 2, 29), None], dtype="date32[pyarrow]"),
    "category": pd.Series(["2020-02-29", None], dtype="category"),
}


@pytest.mark.parametrize("values", ARRIVING_DATES.values(), ids=ARRIVING_DATES)
def test_dates_may_arrive_in_any_type(values: pd.Series) -> None:
    parts = ["year", "quarter", "month", "day", "dayofweek", "dayofyear", "hour", "minute"]
    spec = DateFeatureSpec(columns=["c"], parts=parts, imputer=None, scaler=None)
    preprocessor = build_preprocessor([spec]).fit(_column(pd.to_datetime(["2000-01-01"])))

    actual = preprocessor.transform(_column(values))

    np.testing.assert_array_equal(actual, [[2020, 1, 2, 29, 5, 60, 0, 0], [np.nan] * 8])


@pytest.mark.parametrize("text", ["01/02/2020", "soon"])
def test_text_that_is_no_iso_date_raises(text: str) -> None:
    with pytest.raises(ValueError, match=f"{text} is not ISO8601 format"):
        build_preprocessor([DateFeatureSpec(columns=["c"])]).fit(_column([text]))


SPECS = [
    NumericFeatureSpec(columns=["age"]),
    CategoricalFeatureSpec(columns=["sex"], imputer="most_frequent"),
    BooleanFeatureSpec(columns=["member"]),
    OrdinalFeatureSpec(columns=["size"], categories=["small", "medium", "large"]),
    DateFeatureSpec(columns=["joined", "left__on"], parts=["year", "month"]),
    CategoricalFeatureSpec(columns=["city"], encoder="target"),
    NumericFeatureSpec(columns=["income"], imputer="knn", scaler="quantile"),
]
NAMES = ["age", "sex", "member", "size", "joined", "left__on", "city", "income"]


def _people() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "age": _objects(SPECS[0], None)["c"],
            "sex": ["male", "female"] * (N // 2),
            "member": _objects(SPECS[2], None)["c"],
            "size": VALUES["ordinal"],
            "joined": VALUES["date"],
            "left__on": [str(day.date()) for day in VALUES["date"]],
            "city": VALUES["categorical"],
            "income": VALUES["numeric"],
        }
    )


def test_feature_names_are_readable() -> None:
    preprocessor = build_preprocessor(SPECS).fit(_people(), BINARY)

    assert preprocessor.get_feature_names_out().tolist() == [
        *["age", "sex_female", "sex_male", "member", "size", "joined_year", "joined_month"],
        *["left__on_year", "left__on_month", "city", "income"],
    ]


def test_target_encoding_of_three_classes_names_each() -> None:
    spec = CategoricalFeatureSpec(columns=["city"], encoder="target")
    preprocessor = build_preprocessor([spec]).fit(_people(), THREE)

    assert preprocessor.get_feature_names_out().tolist() == ["city_a", "city_b", "city_c"]


def test_target_encoding_is_cross_fitted_and_repeatable() -> None:
    specs = [CategoricalFeatureSpec(columns=["city"], encoder="target")]
    city = _people()[["city"]]
    preprocessor = build_preprocessor(specs, random_state=7, cv_folds=3)

    first = preprocessor.fit_transform(city, BINARY)

    np.testing.assert_array_equal(clone(preprocessor).fit_transform(city, BINARY), first)
    assert not np.array_equal(preprocessor.transform(city), first)
    assert not np.array_equal(build_preprocessor(specs, random_state=8, cv_folds=3).fit_transform(city, BINARY), first)
    assert preprocessor.named_transformers_["categorical"]["encoder"].cv.n_splits == 3


def test_transformers_and_steps_have_stable_names() -> None:
    preprocessor = build_preprocessor(SPECS)

    assert {name: list(pipeline.named_steps) for name, pipeline, _ in preprocessor.transformers} == {
        "numeric": ["clean", "imputer", "scaler"],
        "categorical": ["clean", "imputer", "encoder"],
        "boolean": ["clean", "imputer"],
        "ordinal": ["clean", "encoder", "imputer"],
        "date": ["clean", "parts", "imputer", "scaler"],
        "categorical_2": ["clean", "encoder"],
        "numeric_2": ["clean", "imputer", "scaler"],
    }
    preprocessor.set_params(numeric__imputer__strategy="mean")


def test_rows_alone_reordered_or_with_more_columns_come_out_alike() -> None:
    people = _people()
    preprocessor = build_preprocessor(SPECS).fit(people, BINARY)
    expected = preprocessor.transform(people)

    np.testing.assert_array_equal(preprocessor.transform(people[NAMES[::-1]].assign(more="x")), expected)
    np.testing.assert_array_equal(
        np.vstack([preprocessor.transform(people.iloc[[row]]) for row in range(10)]), expected[:10]
    )


def test_other_columns_are_dropped() -> None:
    people = _people().assign(more="x")

    assert build_preprocessor(SPECS[:1]).fit_transform(people).shape == (N, 1)


@pytest.mark.parametrize("is_public", [False, True], ids=["build_preprocessor", "FeatureSpecPipeline"])
def test_an_array_is_addressed_in_the_order_of_the_specs(is_public: bool) -> None:
    build = FeatureSpecPipeline if is_public else build_preprocessor
    people = _people()
    expected = build(SPECS).fit_transform(people, BINARY)
    by_position = build(SPECS, by_position=True)

    np.testing.assert_array_equal(by_position.fit_transform(people.to_numpy(dtype=object), BINARY), expected)
    assert by_position.get_feature_names_out().tolist()[-6:] == [
        *["x4_year", "x4_month", "x5_year", "x5_month", "x6", "x7"],
    ]


@pytest.mark.parametrize("by_position", [False, True])
def test_integer_columns_are_positions(by_position: bool) -> None:
    specs = [NumericFeatureSpec(columns=[2], scaler=None), NumericFeatureSpec(columns=[0], scaler=None)]

    actual = build_preprocessor(specs, by_position=by_position).fit_transform(np.array([[1.0, 2.0, 3.0]]))

    assert actual.tolist() == [[3.0, 1.0]]


NATIVE = CategoricalFeatureSpec(columns=["city"], encoder="native")


def test_native_categories_are_codes_and_come_first() -> None:
    preprocessor = build_preprocessor([SPECS[0], NATIVE])

    fitted = preprocessor.fit_transform(pd.DataFrame({"age": [1.0, 2.0, 3.0], "city": ["b", None, "a"]}))

    assert list(preprocessor.get_feature_names_out()) == ["city", "age"]
    assert fitted[:, 0].tolist() == [2, 0, 1]
    unseen = preprocessor.transform(pd.DataFrame({"age": [1.0, 2.0], "city": ["c", pd.NA]}))
    np.testing.assert_array_equal(unseen[:, 0], [np.nan, 0])


def test_the_rarest_native_categories_share_a_code() -> None:
    cities = pd.DataFrame({"city": ["a", "a", "b", "b", "c", "d"]})

    codes = build_preprocessor([NATIVE], most_categories=3).fit_transform(cities)

    assert codes.ravel().tolist() == [0, 0, 1, 1, 2, 2]


def test_native_categories_may_stay_texts() -> None:
    preprocessor = build_preprocessor([SPECS[0], NATIVE], native="texts")

    fitted = preprocessor.fit_transform(pd.DataFrame({"age": [1.0, 3.0], "city": ["b", None]}))

    assert fitted.tolist() == [["b", -1.0], [MISSING, 1.0]]


TEXTS = [f"{'a fine and lovely' if row % 2 else 'an awful'} day, number {row} of many" for row in range(N)]


def test_texts_that_are_alike_have_components_that_are_alike() -> None:
    texts = build_preprocessor([TextFeatureSpec(columns=["c"], n_components=5)])

    fitted = texts.fit_transform(_column(TEXTS))

    assert fitted.shape == (N, 5)
    distances = np.linalg.norm(fitted - fitted[0], axis=1)
    assert distances[2::2].max() < distances[1::2].min()
    np.testing.assert_allclose(np.vstack([texts.transform(_column([text])) for text in TEXTS[:4]]), fitted[:4])


def test_a_missing_text_is_an_empty_one_and_a_number_is_its_digits() -> None:
    texts = build_preprocessor([TextFeatureSpec(columns=["c"])]).fit(_column([*TEXTS, None, 12345]))

    missing = texts.transform(_column([*MISSING_KINDS.values(), ""]))

    assert not missing.any()
    np.testing.assert_array_equal(*texts.transform(_column([12345, "12345"])))


@pytest.mark.parametrize(
    "values", [["", None] * 5, ["the same"] * 10, ["ab", "cd"] * 5, ["one text"]], ids=["empty", "same", "tiny", "one"]
)
@pytest.mark.filterwarnings("ignore:invalid value encountered in divide:RuntimeWarning")
def test_texts_may_say_nothing(values: list[str | None]) -> None:
    texts = build_preprocessor([TextFeatureSpec(columns=["c"])])

    assert np.isfinite(texts.fit_transform(_column(values))).all()
    assert np.isfinite(texts.transform(_column(["what else there is"]))).all()


@pytest.mark.parametrize("names", [["n_jobs", "transformers"], ["a__b", "a_b"], ["", " "]], ids=str)
def test_texts_may_have_any_name(names: list[str]) -> None:
    spec = TextFeatureSpec.model_construct(columns=names, n_components=2)

    assert build_preprocessor([spec]).fit_transform(pd.DataFrame(dict.fromkeys(names, TEXTS))).shape == (N, 4)


KINDS = (
    "BooleanFeatureSpec, CategoricalFeatureSpec, DateFeatureSpec, NumericFeatureSpec, OrdinalFeatureSpec, "
    "TextFeatureSpec"
)


@pytest.mark.parametrize(
    ("features", "error", "message"),
    [
        (SPECS[0], TypeError, "features is a NumericFeatureSpec; accepted: a list of feature specs"),
        (
            ["age"],
            TypeError,
            f"features[0] is a str; accepted: {KINDS}",
        ),
        (
            [FeatureSpec(type="numeric", columns=["age"])],
            TypeError,
            f"features[0] is a FeatureSpec; accepted: {KINDS}",
        ),
        ([], ConfigError, "features: is empty; a model needs one column at least"),
        (
            [SPECS[0], NumericFeatureSpec(columns=["x", "age"])],
            ConfigError,
            "features[1].columns: column 'age' is listed in features[0] already",
        ),
        (
            [SPECS[0], NumericFeatureSpec(columns=[1])],
            ConfigError,
            "features: names and positions are mixed; accepted: names only, or positions only",
        ),
    ],
    ids=["no list", "no spec", "base class", "empty", "twice", "mixed"],
)
def test_features_that_make_no_preprocessor(features: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        FeatureSpecPipeline(features)

    assert str(caught.value) == message
