"""Slices: parts of the rows, as a column or as a condition on one.

sex                       a column: one slice for each of its values
sex = Female              also ==, !=, <, <=, > and >=
age > 60                  values are what YAML makes of them: numbers, true, false, or text
date >= 2024-01-31        ISO dates are text, and have an order
"a < b" != "c > d"        quotes around what holds an operator
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime

from mlwf.config.parsing import scalar, tag_of
from mlwf.errors import InvalidValueError

OPERATORS = ("=", "!=", "<", "<=", ">", ">=")


@dataclass(frozen=True)
class SliceSpec:
    """A part of the rows; as text it is written in one way, whatever its spaces and quotes were.

    >>> str(parse_slice('sex=="Female"'))
    'sex = Female'
    """

    column: str
    operator: str | None = None
    """One of OPERATORS; None for a column alone, which is a slice for each of its values."""
    value: str | float | bool | None = None
    """What the column is compared with; None for a column alone."""

    def __str__(self) -> str:
        column = _quoted(self.column) if _needs_quotes(self.column) else self.column
        return column if self.operator is None else f"{column} {self.operator} {_written(self.value)}"


class SliceError(InvalidValueError):
    """A text that is no slice."""


def parse_slice(text: str) -> SliceSpec:
    """Read a slice, `COLUMN` or `COLUMN OPERATOR VALUE`.

    Raises
    ------
    SliceError
        With what is wrong, and what is accepted.

    Examples
    --------
    >>> parse_slice("age > 60").value
    60
    >>> parse_slice("age => 60")
    Traceback (most recent call last):
    ...
    mlwf.specs.slice_spec.SliceError: has the unknown operator =>; accepted: =, !=, <, <=, >, >=
    """
    if not text.strip():
        raise SliceError("is empty", _FORMS)
    column, sign, behind = _cut(text)
    if not column:
        raise SliceError("names no column", _FORMS)
    if not sign:
        return SliceSpec(column)
    operator = "=" if sign == "==" else sign
    if operator not in OPERATORS:
        raise SliceError(f"has the unknown operator {sign}", f"accepted: {', '.join(OPERATORS)}")
    value = _value(behind, sign)
    if operator[0] in "<>" and not _has_order(value):
        raise SliceError(f"has a value without order behind {sign}", "accepted: a number, or a date such as 2024-01-31")
    return SliceSpec(column, operator, value)


_FORMS = "accepted: a column, or COLUMN OPERATOR VALUE such as age > 60"

_SIGNS = re.compile(r"[=!<>]+")


def _cut(text: str) -> tuple[str, str, str]:
    """Cut a slice into its column, its operator and what stands behind; the last two are empty for a column alone."""
    text = text.strip()
    if text[0] in _QUOTES:
        column, rest = _unquote(text)
        if rest and not _SIGNS.match(rest):
            raise SliceError(*_TEXT_BEHIND)
    else:
        begin = found.start() if (found := _SIGNS.search(text)) else len(text)
        column, rest = text[:begin].strip(), text[begin:]
    sign = found.group() if (found := _SIGNS.match(rest)) else ""
    return column, sign, rest[len(sign) :].strip()


def _value(text: str, sign: str) -> str | float | bool:
    """Read what stands behind an operator."""
    if not text:
        raise SliceError(f"has no value behind {sign}", _FORMS)
    if text[0] in _QUOTES:
        value, rest = _unquote(text)
        if rest:
            raise SliceError(*_TEXT_BEHIND)
        return value
    if _SIGNS.search(text):
        raise SliceError("has two operators", "accepted: one, and quotes around a column or value that holds another")
    read: str | float | bool | None = scalar(text)
    if read is None or (isinstance(read, float) and not math.isfinite(read)):
        hint = "accepted: a finite number, true, false or text, in quotes if need be"
        raise SliceError(f"compares with {text}", hint)
    return read


_QUOTES = {
    '"': re.compile(r'"((?:[^"\\]|\\.)*)"'),
    "'": re.compile(r"'((?:[^']|'')*)'"),
}
"""As in YAML, double quotes within double ones stand behind a backslash, and single ones within single are doubled."""

_TEXT_BEHIND = ("has text behind a closing quote", "accepted: quotes around all of a column or value")


def _unquote(text: str) -> tuple[str, str]:
    """Read the quoted text that begins here; return it, and what stands behind it."""
    found = _QUOTES[text[0]].match(text)
    if found is None:
        raise SliceError("opens a quote and does not close it", "accepted: \"...\" or '...'")
    inner = found.group(1)
    read = inner.replace("''", "'") if text[0] == "'" else re.sub(r'\\(["\\])', r"\1", inner)
    return read, text[found.end() :].strip()


def _has_order(value: str | float | bool) -> bool:
    if not isinstance(value, str):
        return not isinstance(value, bool)
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    # Python reads 20240131 too, which is nobody's idea of a text.
    return value[4:5] == "-" and value[7:8] == "-"


def _written(value: str | float | bool | None) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value) if _needs_quotes(value) or tag_of(value) != "str" else value
    # 60.0 is 60; beyond this, a float does not know its last digits.
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    return str(value)


def _needs_quotes(text: str) -> bool:
    """Whether a text would be read as something else, or not at all, without quotes."""
    return text != text.strip() or not text or text[0] in _QUOTES or _SIGNS.search(text) is not None


def _quoted(text: str) -> str:
    escaped = re.sub(r'(["\\])', r"\\\1", text)
    return f'"{escaped}"'
