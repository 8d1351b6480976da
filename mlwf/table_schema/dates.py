"""Dates and times that are written as texts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd

ISO_DATE = r"\d{4}-\d\d-\d\d(?:$|[T ]\d\d:\d\d)"
"""What a text begins with that looks like a date and is no code."""
MONTH = re.compile(r"\d{4}-\d\d")

FORMATS = ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%Y/%m/%d", "%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%d/%m/%y")
"""Formats by which texts are recognised as dates that are not ISO 8601."""


def read_date(value: Any, date_format: str | None = None) -> datetime | None:
    """Read a text as a date or time, of any year from 1 to 9999; None when it is none.

    Without a format it is ISO 8601: a day or a month, with or without a time and a time zone. A date that is no text
    is taken as it is.
    """
    if isinstance(value, date):
        return value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)  # noqa: DTZ001
    if not isinstance(value, str):
        return None
    text = value.strip()
    try:
        if date_format:
            return datetime.strptime(text, date_format)  # noqa: DTZ007
        return datetime.fromisoformat(f"{text}-01" if MONTH.fullmatch(text) else text)
    except ValueError:
        return None


def read_dates(values: Iterable[Any], date_format: str | None = None) -> pd.Series[Any]:
    """Read texts as dates: `datetime64[us]`, in UTC as soon as one of them has a time zone; NaT for what is none."""
    codes, distinct = pd.factorize(np.fromiter(values, dtype=object))
    moments = [None if pd.isna(value) else read_date(value, date_format) for value in distinct]
    has_zone = any(moment is not None and moment.tzinfo is not None for moment in moments)
    # The code of a missing value is -1: the last of these.
    plain = np.array([*map(_in_utc, moments), None], dtype="datetime64[us]")
    series = pd.Series(plain[codes])
    return series.dt.tz_localize("UTC") if has_zone else series


def dates_of(values: pd.Series[Any]) -> pd.Series[Any]:
    """Read a column as dates, unless it holds dates already; what is none becomes NaT."""
    return values if values.dtype.kind == "M" else read_dates(values).set_axis(values.index)


def date_formats(texts: Iterable[str]) -> list[str]:
    """Name the formats by which all of some texts are dates."""
    texts = list(texts)
    return [form for form in FORMATS if texts and all(read_date(text, form) is not None for text in texts)]


def _in_utc(moment: datetime | None) -> datetime | None:
    if moment is None or moment.tzinfo is None:
        return moment
    try:
        return moment.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:  # the first or last hours of the calendar
        return None
