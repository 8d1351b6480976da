"""One column of a table: the kind of its values, and whether it can be a feature of its type."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from mlwf.errors import Problem, closest, nearest
from mlwf.specs.features import FeatureSpec, OrdinalFeatureSpec, category_text
from mlwf.splitting.stored_frame import Function, StoredFrame
from mlwf.table_schema import booleans_of, date_formats, dates_of
from mlwf.text import format_name, format_value, pluralize

if TYPE_CHECKING:
    from numpy import bool_, intp


FEW_NAMES = 20
LARGEST = 1e150
LONG_EXPONENT = r"[eE][+-]?\d{5}"

KINDS_OF_DTYPE = {"b": "booleans", "i": "numbers", "u": "numbers", "f": "numbers", "M": "dates", "m": "durations"}
KINDS_OF_OBJECTS = {
    "string": "texts",
    "empty": "nothing",
    "boolean": "booleans",
    "integer": "numbers",
    "floating": "numbers",
    "mixed-integer-float": "numbers",
    "decimal": "numbers",
    "date": "dates",
    "datetime": "dates",
    "datetime64": "dates",
    "timedelta": "durations",
    "time": "times of day",
    "bytes": "bytes",
}
PLAIN_TYPES = (str, bool, int, float, np.generic)
FEATURE_KINDS = ("numbers", "texts", "booleans", "dates", "mixed values")


@dataclass(frozen=True, eq=False)
class Column:
    """A column of plain type with the numbers of its rows in the file, counted from 1 after the header."""

    name: str
    values: pd.Series[Any]
    rows: NDArray[intp]
    where: str

    @property
    def kind(self) -> str:
        """What the column holds, in the plural."""
        return kind_of(self.values)

    def problem(self, message: str, hint: str = "", *, config_key: str = "") -> Problem:
        """Make a problem of this column."""
        return Problem(where=self.where, key=self.name, message=message, hint=hint, config_key=config_key)

    def first(self, mask: Any) -> str:
        """Name the first row of those in `mask`, and its value."""
        at = int(np.flatnonzero(mask)[0])
        return f"row {self.rows[at]} holds {cell_text(self.values.iloc[at])}"


def kind_of(values: pd.Series[Any]) -> str:
    """Name the kind of values in a column of plain type: one of `FEATURE_KINDS`, or another that no feature can be."""
    if values.dtype.kind != "O":
        return KINDS_OF_DTYPE.get(values.dtype.kind, f"{values.dtype} values")
    inferred = pd.api.types.infer_dtype(values, skipna=True)
    if inferred in KINDS_OF_OBJECTS:
        return KINDS_OF_OBJECTS[inferred]
    types = {type(value) for value in values[values.notna()]}
    if any(issubclass(kind, list | tuple | set | np.ndarray) for kind in types):
        return "lists"
    if dict in types:
        return "maps"
    strange = sorted(kind.__name__ for kind in types if not issubclass(kind, PLAIN_TYPES))
    return f"{strange[0]} objects" if strange else "mixed values"


def plain(frame: Any) -> Any:
    """Give every column a NumPy type; texts, and booleans of which some are missing, are objects with None.

    pandas' nullable, categorical and Arrow types become what a CSV file with the same values would have given.
    """
    if isinstance(frame, StoredFrame):
        return frame.map(dict.fromkeys(frame.columns, _as_numpy))
    columns = {name: _as_numpy(column) for name, column in frame.items()}
    return pd.DataFrame(columns, index=pd.RangeIndex(len(frame)), copy=False)


def _as_numpy(column: pd.Series[Any]) -> Any:
    dtype = column.dtype
    if isinstance(dtype, pd.DatetimeTZDtype):
        return column.array
    values: Any = column.array
    if isinstance(dtype, pd.ArrowDtype):
        values = pa.chunked_array(values.__arrow_array__()).to_pandas(date_as_object=False)
    elif hasattr(dtype, "numpy_dtype") and dtype.kind in "iuf" and column.hasnans:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    elif hasattr(dtype, "numpy_dtype") and not column.hasnans:
        values = column.to_numpy(dtype=dtype.numpy_dtype)
    values = np.asarray(values)
    if values.dtype.kind in "OUST":
        values = values.astype(object)
        missing = pd.isna(values)
        return np.where(missing, np.array(None, dtype=object), values) if missing.any() else values
    return values


def map_columns(frame: Any, functions: Mapping[str, Function]) -> Any:
    """Make other values of some columns of a frame, each by its function."""
    if isinstance(frame, StoredFrame):
        return frame.map(functions)
    return with_columns(frame, {name: function(frame[name]) for name, function in functions.items()})


def with_columns(frame: pd.DataFrame, columns: Mapping[str, Any]) -> pd.DataFrame:
    """Put other values into columns of a frame; `DataFrame.assign` takes no column that is called `self`."""
    changed = {name: columns.get(str(name), frame[name]) for name in frame.columns}
    return pd.DataFrame(changed, index=frame.index, copy=False)


def select_columns(frame: Any, names: Sequence[str]) -> Any:
    """Give some columns of a frame, in the order of the names, which share their memory with it."""
    if isinstance(frame, StoredFrame):
        return frame[list(names)]
    return pd.DataFrame({name: frame[name] for name in names}, index=frame.index, copy=False)


def numbers_of(values: pd.Series[Any]) -> pd.Series[Any]:
    """Read a column as numbers; what is none becomes missing.

    Booleans and texts such as "12" are numbers here: the experiment file lists the column as numeric.
    """
    if values.dtype.kind in "iuf":
        return values
    if values.dtype == object:
        # pandas before 3 crashes on them; as numbers they would be infinite, or nothing.
        values = values.mask(values.astype(str).str.contains(LONG_EXPONENT))
    return pd.to_numeric(values, errors="coerce").astype(np.float64)


def cell_text(value: Any) -> str:
    """Write a value for a message: a text in quotes, cut when long, anything else as the data has it.

    >>> cell_text("a"), cell_text(True), cell_text(float("inf"))
    ("'a'", 'true', 'inf')
    """
    return str(value) if isinstance(value, float) else format_value(value)


def absent(where: str, roles: Iterable[tuple[str, str]], names: Sequence[str]) -> list[Problem]:
    """List the columns that a table lacks, each with the key of the experiment file that names it."""
    problems = []
    known = set(names)
    for role, name in roles:
        if name not in known:
            few = len(names) <= FEW_NAMES or closest(name, names)
            hint = nearest(name, names) if few else f"the table has {pluralize(len(names), 'column')}"
            message = "no such column"
            problem = Problem(where, name, f"{message}, which {role} names", hint)
            problems.append(replace(problem, config_key=role, message_at_config_key=message))
    return problems


def infinite(column: Column) -> list[Problem]:
    """Refuse infinities in a column of numbers, and numbers whose squares are infinite: they cannot be scaled."""
    if column.values.dtype.kind != "f":
        return []
    values = np.abs(column.values.to_numpy(dtype=np.float64))
    mask: NDArray[bool_] = np.isinf(values)
    if mask.any():
        message = f"{pluralize(int(mask.sum()), 'infinite value')}: {column.first(mask)}"
        return [column.problem(message, "replace infinities, or leave the field empty")]
    mask = values > LARGEST
    if mask.any():
        message = f"{pluralize(int(mask.sum()), 'value')} beyond {LARGEST:g}: {column.first(mask)}"
        return [column.problem(message, "if it means a missing value, leave the field empty")]
    return []


FEW = 0.05


def check_any(column: Column) -> list[Problem]:
    """Check a column that has no type as a feature yet."""
    if column.kind in (*FEATURE_KINDS, "nothing"):
        return infinite(column)
    return [column.problem(f"holds {column.kind}, which no feature can be", "add it to data.drop")]


def check_feature(column: Column, spec: FeatureSpec, *, training: bool) -> list[Problem]:
    """Check a column that is listed as a feature; only in training do missing and unlisted values count."""
    if column.values.isna().all():
        message = "all values are missing"
        return [column.problem(message, "take it out of the features")] if training else []
    if column.kind not in FEATURE_KINDS:
        return [column.problem(f"holds {column.kind}, which no feature can be", "take it out of the features")]
    if spec.type == "ordinal" and not training:
        return []
    check = CHECKS.get(spec.type)
    return list(check(column, spec)) if check else []


def as_feature(values: pd.Series[Any], spec: FeatureSpec) -> pd.Series[Any]:
    """Give a checked column its type as a feature, so that a number is not read again from its text in every fit."""
    if spec.type == "numeric":
        return numbers_of(values)
    return dates_of(values) if spec.type == "date" and values.dtype == object else values


def readable(values: pd.Series[Any], spec: FeatureSpec) -> pd.Series[Any]:
    """Take out of a column what its type as a feature cannot read, as if it were missing."""
    if spec.type == "boolean":
        return values.where(booleans_of(values).notna())
    if spec.type == "date" and values.dtype.kind != "M":
        return values.where(dates_of(values).notna())
    return as_feature(values, spec)


def _check_numeric(column: Column, spec: FeatureSpec) -> Iterable[Problem]:
    if column.kind == "dates":
        yield column.problem("holds dates, and its type is numeric", "accepted for dates: type: date")
        return
    numbers = numbers_of(column.values)
    wrong = (numbers.isna() & column.values.notna()).to_numpy()
    if wrong.any():
        present = int(column.values.count())
        is_rare = wrong.sum() <= FEW * present
        missing = "if it means a missing value, add it to data.read.na_values"
        message = f"{column.first(wrong)}, which is no number ({wrong.sum():,} of {present:,} values are none)"
        yield column.problem(message, missing if is_rare else "accepted for texts: type: categorical")
    yield from infinite(Column(column.name, numbers, column.rows, column.where))


def _check_boolean(column: Column, spec: FeatureSpec) -> Iterable[Problem]:
    wrong = booleans_of(column.values).isna() & column.values.notna()
    if wrong.any():
        message = f"{column.first(wrong)}, which is neither true nor false"
        yield column.problem(message, "accepted: true and false, 1 and 0; type: categorical takes any two texts")
    elif column.kind == "texts":
        yield column.problem("holds texts, and its type is boolean", "accepted: true and false, 1 and 0")


def _check_ordinal(column: Column, spec: FeatureSpec) -> Iterable[Problem]:
    if not isinstance(spec, OrdinalFeatureSpec):
        raise TypeError(f"{spec.type} is not ordinal")
    listed = set(map(category_text, spec.categories))
    wrong = ~column.values.map(category_text).isin(listed) & column.values.notna()
    if wrong.any():
        message = (
            f"{column.first(wrong)}, which is not among the categories ({pluralize(int(wrong.sum()), 'such row')})"
        )
        yield column.problem(message, f"listed: {', '.join(map(cell_text, spec.categories))}")


def _check_date(column: Column, spec: FeatureSpec) -> Iterable[Problem]:
    if column.values.dtype.kind == "M":
        return
    if column.kind not in ("texts", "dates"):
        yield column.problem(f"holds {column.kind}, and its type is date", "accepted: dates such as 2024-03-31")
        return
    wrong = (dates_of(column.values).isna() & column.values.notna()).to_numpy()
    if wrong.any():
        present = int(column.values.count())
        message = f"{column.first(wrong)}, which is no date ({np.sum(wrong):,} of {present:,} values are none)"
        hint = "accepted: 2024-03-31 or 2024-03-31T12:30:00, with or without a time zone"
        if formats := date_formats(map(str, column.values.dropna().unique())):
            hint = f'data.types: {{{format_name(column.name)}: {{date: "{formats[0]}"}}}} reads such dates'
        yield column.problem(message, hint)


# Any value can be a category: the pipeline compares them as texts.
CHECKS: dict[str, Callable[[Column, FeatureSpec], Iterable[Problem]]] = {
    "numeric": _check_numeric,
    "boolean": _check_boolean,
    "ordinal": _check_ordinal,
    "date": _check_date,
}
