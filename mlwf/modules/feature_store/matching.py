"""Which feature row held for a key at a time, found by keys and times alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from mlwf.errors import DataError, Problem

NO_MATCH = -1

_LARGEST = 2**63


def find_matches(
    label_keys: pd.DataFrame,
    label_times: pd.Series[Any],
    source_keys: pd.DataFrame,
    source_times: pd.Series[Any],
    *,
    created: pd.Series[Any] | None = None,
    lifetime: timedelta | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find for each label row the feature row that held at its time.

    A feature row holds from its own time on, that moment included, until the next row of its key or, with `lifetime`,
    until its age exceeds it. Of rows with one key and one time the one created last holds, else the last in the file.

    Returns
    -------
    matches : array of int64, (n_labels,)
        Position of the feature row, or `NO_MATCH`; rows with a null key or a null time match nothing.
    newest : array of int64, (n_keys,)
        Positions of the feature rows that hold last, of each key one, in rising order.
    """
    label_codes, source_codes = _shared_codes(label_keys, source_keys)
    label_times, source_times = _same_unit(label_times, source_times)
    asked = np.flatnonzero((label_codes >= 0) & label_times.notna().to_numpy())
    moments, source_moments = _numbers(label_times)[asked], _numbers(source_times)
    order = np.flatnonzero((source_codes >= 0) & source_times.notna().to_numpy())
    matches = np.full(len(label_codes), NO_MATCH, dtype="int64")
    if not len(order):
        return matches, order
    if created is not None:
        order = order[np.argsort(_numbers(created)[order], kind="stable")]  # a null is the smallest number
    if (np.diff(source_moments[order]) < 0).any():
        order = order[np.argsort(source_moments[order], kind="stable")]
    order = order[_order_of(source_codes[order])]
    sorted_codes = source_codes[order]
    newest = np.sort(order[np.append(sorted_codes[1:] != sorted_codes[:-1], True)])
    # By key, since each search then begins where the one before has left the processor's cache.
    by_key = _order_of(label_codes[asked])
    asked, moments = asked[by_key], moments[by_key]
    if not len(asked):
        return matches, newest
    codes = label_codes[asked]
    places, source_places = _places(codes, moments, sorted_codes, source_moments[order])
    at = np.searchsorted(source_places, places, side="right") - 1
    holds = (at >= 0) & (sorted_codes[at] == codes)
    found = order[at]
    if lifetime is not None:
        ticks = lifetime // timedelta(microseconds=1) * (1000 if label_times.dt.unit == "ns" else 1)
        holds &= moments - source_moments[found] <= min(ticks, _LARGEST - 1)
    matches[asked[holds]] = found[holds]
    return matches, newest


def utc_times(values: pd.Series[Any], where: str) -> pd.Series[Any]:
    """Read times as UTC: those without a zone are taken as UTC, text is read as ISO 8601.

    Raises
    ------
    DataError
        When the column holds numbers, or text that is no time; `where` names the column.
    """
    kind = pd.api.types.infer_dtype(values, skipna=True)
    if kind == "empty":
        return pd.Series(pd.NaT, index=values.index, dtype="datetime64[us, UTC]")
    if kind not in ("datetime64", "datetime", "date", "string"):
        raise DataError(
            Problem("", where, f"holds {_kind_name(kind)}, no times", "accepted: timestamps, dates, ISO 8601 text")
        )
    try:
        return pd.to_datetime(values, utc=True, format="ISO8601" if kind == "string" else None)
    except ValueError as error:
        parsed = pd.to_datetime(values, utc=True, format="ISO8601", errors="coerce")
        wrong = values[values.notna() & parsed.isna()]
        example = repr(wrong.iloc[0]) if len(wrong) else str(error)
        raise DataError(
            Problem("", where, f"{example} is no time", "accepted: ISO 8601, such as 2013-06-01T12:00:00Z")
        ) from error


def check_key(label_key: pd.Series[Any], source_key: pd.Series[Any], view: str) -> None:
    """Refuse to compare keys of two kinds, which would match nothing.

    Raises
    ------
    DataError
        When one side holds text and the other numbers, say.
    """
    label_kind, source_kind = _kind(label_key), _kind(source_key)
    if "nothing" not in (label_kind, source_kind) and label_kind != source_kind:
        message = f"key holds {label_kind} in the label rows, {source_kind} in the feature view {view}"
        raise DataError(Problem("", str(label_key.name), message, "save both as the same type"))


def _order_of(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the stable order of codes, by 16 bits at a time: such numbers numpy sorts in one pass."""
    order, left = np.argsort(codes.astype("uint16"), kind="stable"), int(codes.max(initial=0)) >> 16
    shift = 16
    while left:
        order = order[np.argsort((codes[order] >> shift).astype("uint16"), kind="stable")]
        left, shift = left >> 16, shift + 16
    return order


def _places(
    codes: NDArray[np.int64],
    moments: NDArray[np.int64],
    source_codes: NDArray[np.int64],
    source_moments: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Make one number of key and time for each row of both sides: sorted by it, rows are sorted by key, then time."""
    low = min(int(moments.min()), int(source_moments.min()))
    span = max(int(moments.max()), int(source_moments.max())) - low + 1
    if span * (int(max(codes.max(), source_codes.max())) + 1) >= _LARGEST:
        # The position among the times of the source says as much.
        known = np.unique(source_moments)
        moments = np.searchsorted(known, moments, side="right")
        source_moments = np.searchsorted(known, source_moments, side="right")
        low, span = 0, len(known) + 1
    return codes * span + (moments - low), source_codes * span + (source_moments - low)


def _numbers(times: pd.Series[Any]) -> NDArray[np.int64]:
    """Give times as whole numbers of their unit."""
    numbers: NDArray[np.int64] = times.dt.tz_convert(None).to_numpy().view("int64")
    return numbers


def _shared_codes(labels: pd.DataFrame, source: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give both sides' keys the same numbers; a key with a null is -1, and without key columns all rows are 0."""
    n_labels = len(labels)
    codes, size = np.zeros(n_labels + len(source), dtype="int64"), 1
    for position in range(len(labels.columns)):
        more, count = _codes(labels.iloc[:, position], source.iloc[:, position])
        is_null = (codes < 0) | (more < 0)
        codes, size = codes * count + more, size * count
        codes[is_null] = NO_MATCH
        if size > len(codes):
            codes, known = pd.factorize(codes)
            # The number of the nulls is no key.
            codes[is_null] = NO_MATCH
            size = len(known)
    return codes[:n_labels], codes[n_labels:]


def _codes(label: pd.Series[Any], source: pd.Series[Any]) -> tuple[NDArray[np.int64], int]:
    """Give the values of one key on both sides numbers, and say how many numbers there are; a null is -1."""
    filled = [key for key in (label, source) if len(key)]
    if filled and all(isinstance(key.dtype, np.dtype) and key.dtype.kind in "iu" for key in filled):
        low, high = min(int(key.min()) for key in filled), max(int(key.max()) for key in filled)
        # Numbers that are close to each other need no other ones.
        if high < _LARGEST and high - low < 4 * (len(label) + len(source)) + 1000:
            return np.concatenate([label.to_numpy("int64"), source.to_numpy("int64")]) - low, high - low + 1
    if _kind(label) == _kind(source) == "text":
        both = pa.chunked_array([*_texts(label), *_texts(source)], pa.large_string())
        encoded = both.combine_chunks().dictionary_encode()
        indices = encoded.indices.fill_null(NO_MATCH).to_numpy().astype("int64")
        return indices, len(encoded.dictionary)
    codes, known = pd.factorize(pd.concat([_comparable_key(label), _comparable_key(source)], ignore_index=True))
    return codes.astype("int64"), len(known)


def _texts(key: pd.Series[Any]) -> list[pa.Array]:
    values = pa.array(key, from_pandas=True)
    values = values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([values])
    return list(values.cast(pa.large_string()).chunks)


def _comparable_key(key: Any) -> Any:
    if isinstance(key.dtype, pd.CategoricalDtype):
        key = key.astype(key.cat.categories.dtype)
    if _kind(key) == "numbers":
        try:
            return key.astype("Int64")
        except (TypeError, ValueError, OverflowError):
            return pd.to_numeric(key)
    if _kind(key) == "times":
        return utc_times(key, str(key.name)).dt.as_unit("us")
    return key.astype(object)


def _kind(key: pd.Series[Any]) -> str:
    if isinstance(key.dtype, pd.ArrowDtype):  # as texts of a source are read
        return "text" if key.notna().any() else "nothing"
    if isinstance(key.dtype, pd.CategoricalDtype):
        key = key.astype(key.cat.categories.dtype)
    return _kind_name(pd.api.types.infer_dtype(key, skipna=True))


def _kind_name(kind: str) -> str:
    if kind in ("integer", "floating", "mixed-integer-float", "decimal", "integer-na"):
        return "numbers"
    if kind in ("datetime64", "datetime", "date"):
        return "times"
    return {"string": "text", "boolean": "booleans", "empty": "nothing"}.get(kind, f"{kind} values")


def _same_unit(one: pd.Series[Any], other: pd.Series[Any]) -> tuple[pd.Series[Any], pd.Series[Any]]:
    """Bring both to the finer unit, so that no time is rounded to before another."""
    unit = "ns" if "ns" in (one.dt.unit, other.dt.unit) else "us"
    try:
        return one.dt.as_unit(unit), other.dt.as_unit(unit)
    except ValueError as error:
        message = "times outside the years 1678 to 2261 cannot be compared with times in nanoseconds"
        raise DataError(Problem("", str(one.name or other.name), message, "save all times in microseconds")) from error
