"""Build the preprocessor of a model: the ColumnTransformer that turns raw columns into a dense matrix of floats.

It is made of scikit-learn's own objects, so that a saved model needs scikit-learn, pandas and numpy, and not mlwf.
Where they have no object for a step, a FunctionTransformer holds an importable function: skops writes its name into
the file, and `mlwf.engine.model_file` allow-lists exactly these:

- `numpy.asarray`, for every value as a Python object first, and for floats, texts and dates afterwards
- `functools.partial(numpy.remainder, "%s...")`, the `%` of Python on each element: any value as text
- `numpy.strings.replace`, to write equal categories equally
- `pandas.DataFrame`, for the one classifier that takes categories as texts
- `pandas.Series`, `pandas.to_datetime`, `operator.attrgetter("dt.year")`, `numpy.expand_dims`, for calendar parts

`operator.methodcaller` and `operator.call` would make each step shorter. They are left out on purpose: a model file
that may call methods may call any method.

Missing values come as None, NaN, pandas.NA and NaT, from Parquet, CSV, MLflow or a caller, and scikit-learn
distinguishes them. The first two steps of each `clean` make them one: SimpleImputer with `missing_values=pandas.NA`
matches whatever `pandas.isna` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)

from mlwf.errors import ConfigError, Problem
from mlwf.specs.catalogue import is_native
from mlwf.specs.features import (
    BooleanFeatureSpec,
    CategoricalFeatureSpec,
    DateFeatureSpec,
    FeatureSpec,
    NumericFeatureSpec,
    OrdinalFeatureSpec,
    TextFeatureSpec,
    category_text,
)

MISSING = "(missing)"
"""How a missing category is written inside the model; `get_feature_names_out` shows it."""

N_SEQUENCES = 2**15
"""Columns that sequences of characters are hashed to, which bounds the memory: 8 MB of components in a model."""

_END = "\x03"  # END OF TEXT: anchors a replacement to the end of a text, which has no such character itself

Steps = list[tuple[str, Any]]


@dataclass(frozen=True)
class _Options:
    """What the steps of a feature depend on besides its spec."""

    random_state: int
    cv_folds: int
    date_formats: Mapping[str, str]
    native: Literal["codes", "texts"]
    most_categories: int | None


def build_preprocessor(
    features: Sequence[FeatureSpec],
    *,
    random_state: int = 42,
    cv_folds: int = 5,
    by_position: bool = False,
    date_formats: Mapping[str, str] | None = None,
    native: Literal["codes", "texts"] = "codes",
    most_categories: int | None = None,
) -> ColumnTransformer:
    """Build the unfitted transformer of the columns in `features`; all other columns are dropped.

    Its output is a dense float array of shape (n_samples, n_features_out) of the same width whatever the rows are.
    Columns with `encoder: native` come first in it, the others in the order of `features`.
    A missing value of any kind is imputed, becomes a category, or is NaN, as its spec says; of a text it is the empty
    text. A category that was not there during the fit is all zeros (onehot), -1 (ordinal), the mean of the target
    (target), NaN (native), and missing where the categories are given. Texts become fewer than `n_components` columns
    if they are fitted on fewer rows. Numbers that are not numbers and dates that are not ISO 8601 raise ValueError.

    Parameters
    ----------
    features
        What to do with which columns. Names address a DataFrame; integers are positions in an array.
    random_state
        Seed of the folds of target encoding and of the rows that `scaler: quantile` samples.
    cv_folds
        Folds of target encoding.
    by_position
        X will be an array whose columns are those of `features`, in that order; positions already given are kept.
    date_formats
        Formats of the texts of date columns that are not ISO 8601, in the codes of strptime, by column.
    native
        What `encoder: native` gives: "codes" are floats from 0 on, "texts" make the output an array of objects.
    most_categories
        Most codes of a column with `encoder: native`; the rarest categories beyond that share one.

    Raises
    ------
    TypeError
        `features` is not a sequence of feature specs.
    ConfigError
        `features` is empty, names a column twice, or mixes names and positions.
    """
    _check(features)
    options = _Options(random_state, cv_folds, date_formats or {}, native, most_categories)
    transformers = []
    names: list[str] = []
    position = 0
    for spec in features:
        columns = list(spec.columns)
        if by_position and isinstance(columns[0], str):
            columns = list(range(position, position + len(columns)))
        position += len(columns)
        repeats = names.count(spec.type)
        names.append(spec.type)
        steps = _BUILDERS[type(spec)](spec, options)
        transformers.append((f"{spec.type}_{repeats + 1}" if repeats else spec.type, Pipeline(steps), columns))
    # A classifier is told of its categories by position, and these must not depend on the width of the others.
    natives = [each for each, spec in zip(transformers, features, strict=True) if is_native(spec)]
    transformers = [*natives, *(each for each in transformers if each not in natives)]
    return ColumnTransformer(transformers, remainder="drop", sparse_threshold=0, verbose_feature_names_out=False)


def FeatureSpecPipeline(
    feature_specs: Sequence[FeatureSpec], *, random_state: int = 42, cv_folds: int = 5, by_position: bool = False
) -> ColumnTransformer:
    """Build the preprocessor of `feature_specs`; another name of `build_preprocessor`."""
    return build_preprocessor(feature_specs, random_state=random_state, cv_folds=cv_folds, by_position=by_position)


def _check(features: Any) -> None:
    """Refuse what is no list of feature specs over distinct columns."""
    if not isinstance(features, (list, tuple)):
        raise TypeError(f"features is a {type(features).__name__}; accepted: a list of feature specs")
    if not features:
        raise ConfigError(Problem(where="", key="features", message="is empty; a model needs one column at least"))
    seen: dict[str | int, int] = {}
    for index, spec in enumerate(features):
        if type(spec) not in _BUILDERS:
            accepted = ", ".join(sorted(kind.__name__ for kind in _BUILDERS))
            raise TypeError(f"features[{index}] is a {type(spec).__name__}; accepted: {accepted}")
        for column in spec.columns:
            if column in seen:
                message = f"column {column!r} is listed in features[{seen[column]}] already"
                raise ConfigError(Problem(where="", key=f"features[{index}].columns", message=message))
            seen[column] = index
    if len({type(column) for column in seen}) > 1:
        message = "names and positions are mixed; accepted: names only, or positions only"
        raise ConfigError(Problem(where="", key="features", message=message))


def _numeric(spec: NumericFeatureSpec, options: _Options) -> Steps:
    imputer = KNNImputer(keep_empty_features=True) if spec.imputer == "knn" else _imputer(spec.imputer, spec.fill_value)
    return _present(clean=_numbers(), imputer=imputer, scaler=_scaler(spec.scaler, options.random_state))


def _boolean(spec: BooleanFeatureSpec, options: _Options) -> Steps:
    fill_value = None if spec.fill_value is None else float(spec.fill_value)
    return _present(clean=_numbers(), imputer=_imputer(spec.imputer, fill_value))


def _categorical(spec: CategoricalFeatureSpec, options: _Options) -> Steps:
    fill_value = None if spec.fill_value is None else category_text(spec.fill_value)
    most = options.most_categories
    folds = StratifiedKFold(options.cv_folds, shuffle=True, random_state=options.random_state)
    encoders: dict[str, Callable[[], Any]] = {
        "onehot": lambda: OneHotEncoder(handle_unknown="ignore", sparse_output=False),
        "ordinal": lambda: OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
        # Its own random_state is on the way out; scikit-learn recommends a splitter as `cv` instead.
        "target": lambda: TargetEncoder(cv=folds),
        "native": lambda: (
            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, max_categories=most)
            if options.native == "codes"
            else None
        ),
    }
    imputer = _imputer(spec.imputer, fill_value, missing_values=MISSING)
    return _present(clean=_texts(), imputer=imputer, encoder=encoders[spec.encoder]())


def _ordinal(spec: OrdinalFeatureSpec, options: _Options) -> Steps:
    texts = [category_text(category) for category in spec.categories]
    encoder = OrdinalEncoder(
        categories=[np.array(texts, dtype=object) for _ in spec.columns],
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
    )
    fill_value = None if spec.fill_value is None else float(texts.index(category_text(spec.fill_value)))
    # Encoded first: missing and unknown categories are NaN then, and the imputer takes care of both.
    return _present(clean=_texts(), encoder=encoder, imputer=_imputer(spec.imputer, fill_value))


def _date(spec: DateFeatureSpec, options: _Options) -> Steps:
    return _present(
        clean=_times([options.date_formats.get(str(column), "ISO8601") for column in spec.columns]),
        parts=_calendar_parts(len(spec.columns), spec.parts),
        imputer=_imputer(spec.imputer, None),
        scaler=_scaler(spec.scaler, options.random_state),
    )


def _text(spec: TextFeatureSpec, options: _Options) -> Steps:
    names = [str(column).replace("__", "_") for column in spec.columns]
    components = [
        (
            # A transformer must not be called like a parameter of its ColumnTransformer, or like another.
            name if names.count(name) == 1 and name not in ColumnTransformer([]).get_params() else f"{name}_{index}",
            Pipeline(
                [
                    # A vocabulary would have no bound, may be empty in a fold, and takes seconds to save and to load.
                    (
                        "counts",
                        HashingVectorizer(
                            analyzer="char_wb",
                            ngram_range=(3, 4),
                            n_features=N_SEQUENCES,
                            alternate_sign=False,
                            norm=None,
                        ),
                    ),
                    ("tfidf", TfidfTransformer()),
                    ("svd", TruncatedSVD(spec.n_components, random_state=options.random_state)),
                ]
            ),
            index,
        )
        for index, name in enumerate(names)
    ]
    return _present(clean=_texts(missing=""), components=ColumnTransformer(components))


_BUILDERS: dict[type[FeatureSpec], Callable[[Any, _Options], Steps]] = {
    NumericFeatureSpec: _numeric,
    BooleanFeatureSpec: _boolean,
    CategoricalFeatureSpec: _categorical,
    OrdinalFeatureSpec: _ordinal,
    DateFeatureSpec: _date,
    TextFeatureSpec: _text,
}


def _present(**steps: Any) -> Steps:
    """Give the enabled steps, in order."""
    return [(name, step) for name, step in steps.items() if step is not None]


def _function(function: Callable[..., Any], **kw_args: Any) -> FunctionTransformer:
    return FunctionTransformer(function, kw_args=kw_args or None, feature_names_out="one-to-one")


def _one_missing(fill_value: str) -> Steps:
    """Return the steps that make a missing value of any kind `fill_value`, and any column an object column."""
    # For numbers that is the text "nan": SimpleImputer loses the name of a column that it fills with NaN itself.
    return [
        ("objects", _function(np.asarray, dtype="object")),
        (
            "missing",
            SimpleImputer(missing_values=pd.NA, strategy="constant", fill_value=fill_value, keep_empty_features=True),
        ),
    ]


def _numbers() -> Pipeline:
    """Make floats of numbers, booleans, decimals and numbers written as text; missing is NaN."""
    return Pipeline([*_one_missing("nan"), ("floats", _function(np.asarray, dtype="float64"))])


def _texts(missing: str = MISSING) -> Pipeline:
    """Make texts of values of any type, as `category_text` writes them, and `missing` of missing ones."""
    return Pipeline(
        [
            *_one_missing(missing),
            ("texts", _function(partial(np.remainder, f"%s{_END}"))),
            # Texts of any length each: one long text would widen a fixed-width array for all rows.
            ("strings", _function(np.asarray, dtype="T")),
            ("midnights", _function(np.strings.replace, old=f" 00:00:00{_END}", new=_END)),
            ("whole_numbers", _function(np.strings.replace, old=f".0{_END}", new=_END)),
            ("ends", _function(np.strings.replace, old=_END, new="")),
            ("categories", _function(np.asarray, dtype="object")),
        ]
    )


def _times(formats: Sequence[str]) -> ColumnTransformer:
    """Make times in UTC of dates, times with and without a zone and texts in these formats; missing is NaT."""
    return ColumnTransformer(
        [
            (
                f"column_{index}",
                Pipeline(
                    [
                        ("times", _function(pd.to_datetime, utc=True, format=date_format)),
                        ("array", _function(np.asarray, dtype="datetime64[us]")),
                        ("column", _function(np.expand_dims, axis=1)),
                    ]
                ),
                index,
            )
            for index, date_format in enumerate(formats)
        ],
        verbose_feature_names_out=False,
    )


def _calendar_parts(n_columns: int, parts: Sequence[str]) -> ColumnTransformer:
    """Make of each column of times one column of floats for each calendar part, named by column and part."""
    one_column = [
        (
            part,
            Pipeline(
                [
                    ("series", _function(pd.Series)),
                    ("part", _function(attrgetter(f"dt.{part}"))),
                    ("floats", _function(np.asarray, dtype="float64")),
                    ("column", _function(np.expand_dims, axis=1)),
                ]
            ),
            0,
        )
        for part in parts
    ]
    return ColumnTransformer(
        [
            (
                f"column_{index}",
                ColumnTransformer(one_column, verbose_feature_names_out="{feature_name}_{transformer_name}"),
                [index],
            )
            for index in range(n_columns)
        ],
        verbose_feature_names_out=False,
    )


def _imputer(strategy: str | None, fill_value: Any, *, missing_values: Any = np.nan) -> SimpleImputer | None:
    if strategy is None:
        return None
    # A column that is all missing in one fold would vanish from it otherwise, and the folds differ in width.
    return SimpleImputer(
        missing_values=missing_values, strategy=strategy, fill_value=fill_value, keep_empty_features=True
    )


def _scaler(name: str | None, random_state: int) -> Any:
    scalers: dict[str | None, Callable[[], Any]] = {
        None: lambda: None,
        "standard": StandardScaler,
        "minmax": MinMaxScaler,
        "maxabs": MaxAbsScaler,
        "robust": RobustScaler,
        # scikit-learn's 1000 quantiles warn in every fold of less than a thousand rows.
        "quantile": lambda: QuantileTransformer(n_quantiles=100, random_state=random_state),
        "power": PowerTransformer,
    }
    return scalers[name]()
