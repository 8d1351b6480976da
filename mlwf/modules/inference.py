"""Infer from a table's columns alone, never from the target, which become features and how each is prepared."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from mlwf.specs.features import (
    BooleanFeatureSpec,
    CategoricalFeatureSpec,
    DateFeatureSpec,
    Feature,
    NumericFeatureSpec,
    TextFeatureSpec,
)
from mlwf.table_schema import ISO_DATE, date_formats, dates_of, read_dates
from mlwf.text import format_name, format_value

MOST_ONEHOT = 30
"""More categories than this are target encoded: one-hot would give each few rows and a column of its own."""
MOSTLY = 0.95
"""Share of distinct texts above which they identify the row, and share of numbers above which texts may be meant so."""
FEWEST_FOR_IDENTIFIER = 20
"""In fewer rows, values that all differ are no sign of an identifier."""
HALF = 0.5
FEW = 1000
"""Numbers of a column that are looked at first."""
FEW_WORDS = 3
"""So few words among numbers, as - or unknown, may mean a missing value from half of the numbers on."""
LONG_TEXT = 50
"""Mean length in characters from which texts that mostly differ are prose."""
SENTENCE = r"\S\s+\S+\s+\S"
"""Three words, which half of the texts have that are prose; hashes and addresses have none."""

# Also "paid": the name counts only where the values, too, look like a key.
KEY_NAME = re.compile(r"^id\b|^id_|id$|(?:^|[^a-z])(?:key|index|idx|pk)$|^unnamed: 0$", re.IGNORECASE)
# Exponents are short: pandas before 3 crashes on those that hexadecimal hashes seem to have.
NUMBER = r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?\s*"
NUMBERS_IN_DISGUISE = {
    r"[+-]?\d{1,3}(?:,\d{3})*(?:\.\d+)?": 'data.read.thousands: "," reads them as numbers',
    r"[+-]?(?:\d{1,3}(?:\.\d{3})+|\d+)(?:,\d+)?": 'data.read: {decimal: ",", thousands: "."} reads them as numbers',
    r"[+-]?\d[\d.,]*\s*%": "write them without the % to have them as numbers",
    r"[+-]?(?:[$\u20ac\u00a3\u00a5]\s*[+-]?\d[\d.,]*|\d[\d.,]*\s*[$\u20ac\u00a3\u00a5])": (
        "write them without the sign of the currency to have them as numbers"
    ),
}
"""Patterns of texts that are numbers to a person, and what makes them numbers here."""

NUMERIC = NumericFeatureSpec(columns=["x"])
BOOLEAN = BooleanFeatureSpec(columns=["x"])
ONEHOT = CategoricalFeatureSpec(columns=["x"], encoder="onehot")
TARGET = CategoricalFeatureSpec(columns=["x"], encoder="target")
DAYS = DateFeatureSpec(columns=["x"])
HOURS = DateFeatureSpec(columns=["x"], parts=[*DAYS.parts, "hour"])
PROSE = TextFeatureSpec(columns=["x"])

SCALARS = (str, bool, int, float, np.generic)


@dataclass(frozen=True)
class Identifier:
    """Why a column seems to identify the row."""

    why: str

    def __str__(self) -> str:
        return f"identifier: {self.why}"


Preparation = tuple[Feature | None, str | Identifier]
"""How a column is prepared with a note, or None with the reason."""


@dataclass(frozen=True)
class Inferred:
    """Features for a table, with notes on them."""

    features: list[Feature]
    """Features, each with the columns that are prepared alike, in the table's order."""
    left_out: dict[str, str]
    """Why a column is no feature, in one phrase, by column."""
    notes: dict[str, str] = field(default_factory=dict)
    """What may be meant otherwise, in one phrase, by column."""
    identifiers: dict[str, str] = field(default_factory=dict)
    """Why a column that is left out seems to identify the row, in one phrase, by column."""


def infer_features(X: Any, *, is_native: bool = False) -> Inferred:
    """Choose a type and a preparation for each column that can help a classifier.

    Booleans are boolean, numbers numeric, dates and ISO 8601 texts dates, other texts categorical: one-hot up to 30
    categories, target encoded above; texts of several words that mostly differ, of more than 50 characters on average,
    are prose. Left out are columns with one value or none, and those that seem to identify
    the row: texts of which more than 95 % differ, whole numbers that all differ and are sorted or named like a key.
    A measurement whose values all differ stays in.

    With `is_native` numbers stay as they are, the classifier splits categories itself, and gets missing values; prose
    is left out. `X` is a frame, in memory or stored.
    """
    groups: dict[str, tuple[Feature, list[str | int]]] = {}
    left_out: dict[str, str] = {}
    notes: dict[str, str] = {}
    identifiers: dict[str, str] = {}
    for name, column in X.items():
        prepared, remark = _infer_column(str(name), column)
        if prepared is not None and is_native:
            prepared, remark = _natively(prepared, remark)
            if prepared is None:
                notes[str(name)] = f"left out: {remark}"
        if prepared is None:
            left_out[str(name)] = str(remark)
            if isinstance(remark, Identifier):
                identifiers[str(name)] = remark.why
            continue
        groups.setdefault(repr(prepared), (prepared, []))[1].append(str(name))
        if remark:
            notes[str(name)] = str(remark)
    features = [prepared.model_copy(update={"columns": columns}) for prepared, columns in groups.values()]
    return Inferred(features, left_out, notes, identifiers)


def _natively(prepared: Feature, remark: str | Identifier) -> Preparation:
    """Leave missing values and categories to the classifier, so that nothing is learnt of all rows at once."""
    if prepared.type == "text":
        return None, "prose, whose components need all rows at once"
    if prepared.type == "categorical":
        return prepared.model_copy(update={"encoder": "native"}), remark
    return prepared.model_copy(update={name: None for name in ("imputer", "scaler") if hasattr(prepared, name)}), remark


def _infer_column(name: str, column: pd.Series[Any]) -> Preparation:
    present = _as_objects(column.dropna())
    if present.empty:
        return None, "empty: all values are missing"
    kind = pd.api.types.infer_dtype(present)
    if kind not in PREPARATIONS or (
        kind == "mixed" and not present.map(lambda value: isinstance(value, SCALARS)).all()
    ):
        return None, f"holds values of type {type(present.iloc[0]).__name__}, which no feature can be"
    if present.dtype.kind in "iuf" and not _is_constant(present):
        return _number(name, present)
    counts = present.value_counts(sort=False)
    # A missing text may be informative: missing is a category of its own.
    if len(counts) == 1 and not (kind == "string" and len(present) < len(column)):
        return None, f"constant: every value is {format_value(present.iloc[0])}"
    return PREPARATIONS[kind](name, present, counts)


def _as_objects(present: pd.Series[Any]) -> pd.Series[Any]:
    if isinstance(present.dtype, pd.CategoricalDtype):
        present = pd.Series(np.asarray(present))
    return present.astype(object) if isinstance(present.dtype, pd.StringDtype) else present


def _boolean(name: str, present: pd.Series[Any], counts: pd.Series[Any]) -> Preparation:
    return BOOLEAN, ""


def _is_constant(present: pd.Series[Any]) -> bool:
    return bool((present == present.iloc[0]).all())


def _number(name: str, present: pd.Series[Any], counts: pd.Series[Any] | None = None) -> Preparation:
    numbers = pd.to_numeric(present)
    # To count the values of a column of floats takes longer than all else here.
    if not all(np.equal(np.mod(part, 1), 0).all() for part in (numbers[:FEW], numbers)) or not numbers.is_unique:
        return NUMERIC, ""
    if KEY_NAME.search(name):
        return None, Identifier(f"all {len(numbers):,} values are different, and it is named like a key")
    is_sorted = numbers.is_monotonic_increasing or numbers.is_monotonic_decreasing
    if is_sorted and len(numbers) >= FEWEST_FOR_IDENTIFIER:
        return None, Identifier(f"all {len(numbers):,} values are different and sorted")
    return NUMERIC, ""


def _date(name: str, present: pd.Series[Any], counts: pd.Series[Any]) -> Preparation:
    return _of_dates(dates_of(pd.Series(counts.index)))


def _of_dates(times: pd.Series[Any]) -> Preparation:
    return (HOURS if times.dt.hour.nunique() > 1 else DAYS), ""


def _text(name: str, present: pd.Series[Any], counts: pd.Series[Any]) -> Preparation:
    texts = pd.Series(counts.index.astype(str))
    if texts.str.match(ISO_DATE).all() and (times := read_dates(texts)).notna().all():
        return _of_dates(times)
    share = len(counts) / len(present)
    numbers = pd.to_numeric(texts.where(texts.str.fullmatch(NUMBER)), errors="coerce")
    # Whole numbers in a column of texts are codes more often than quantities: postcodes, products, grades.
    if numbers.notna().all() and texts.str.contains(".", regex=False).any():
        return NUMERIC, "texts that all are numbers, taken for numbers"
    meant = _other_meaning(name, texts, numbers, counts)
    if len(present) >= FEWEST_FOR_IDENTIFIER:
        differ = f"{'all' if share == 1 else f'{len(counts):,} of'} {len(present):,} values are different"
        length = texts.str.len().mean()
        if share > MOSTLY / 2 and length > LONG_TEXT:
            is_prose = texts.str.contains(SENTENCE).mean() > HALF
            # Addresses and hashes that repeat are no categories either.
            return (PROSE, "") if is_prose else (None, Identifier(f"{differ}, of {length:.0f} characters on average"))
        if share > MOSTLY:
            return None, Identifier("; ".join(filter(None, [differ, meant])))
    return (ONEHOT if len(counts) <= MOST_ONEHOT else TARGET), meant


def _other_meaning(name: str, texts: pd.Series[Any], numbers: pd.Series[Any], counts: pd.Series[Any]) -> str:
    """Describe what texts may mean other than categories, and the option that reads them so; empty when nothing."""
    if numbers.notna().all():
        return "all its texts are whole numbers: list it as numeric if they count something"
    if formats := date_formats(texts):
        written = " or ".join(f'{{{format_name(name)}: {{date: "{form}"}}}}' for form in formats[:2])
        return f"its texts look like dates: data.types: {written} reads them as dates"
    for pattern, advice in NUMBERS_IN_DISGUISE.items():
        if texts.str.fullmatch(pattern).all():
            return f"its texts look like numbers: {advice}"
    is_number = numbers.notna().to_numpy()
    share = counts.to_numpy()[is_number].sum() / counts.sum()
    others = texts[~is_number]
    if share < (HALF if len(others) <= FEW_WORDS else MOSTLY):
        return ""
    other = ", ".join(map(format_value, others[:FEW_WORDS]))
    return f"{share:.1%} of its texts are numbers: if {other} means missing, add it to data.read.na_values"


PREPARATIONS: dict[str, Callable[[str, pd.Series[Any], pd.Series[Any]], Preparation]] = {
    "boolean": _boolean,
    "integer": _number,
    "floating": _number,
    "mixed-integer-float": _number,
    "decimal": _number,
    "date": _date,
    "datetime": _date,
    "datetime64": _date,
    "string": _text,
    "mixed-integer": _text,
    "mixed": _text,
}
