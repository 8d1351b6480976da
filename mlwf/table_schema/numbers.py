"""Numbers that are written as texts."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mlwf.specs.data import ReadSpec

DIGITS = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
NUMBER = rf"^[+-]?(?:{DIGITS}|(?i:inf|infinity))$"
WHOLE = r"^[+-]?[0-9]+$"
PLAIN_WHOLE = r"^(?:0|-?[1-9][0-9]{0,17})$"
"""A whole number as it is written back: no sign of plus, no leading zero, and it fits 64 bits."""
LEADING_ZERO = r"^\s*[+-]?0[0-9]"
LARGEST_EXACT = 2**53
"""Beyond it not every whole number has a float of its own."""


def plain_numbers(texts: Any, read: ReadSpec) -> Any:
    """Write an Arrow column of texts as plain numbers, with a dot and no thousands; what is no number becomes null."""
    trimmed = pc.utf8_trim_whitespace(texts)
    if read.decimal != "." or read.thousands:
        trimmed = pc.if_else(pc.match_substring_regex(trimmed, _grouped(read)), trimmed, pa.scalar(None, trimmed.type))
        if read.thousands:
            trimmed = pc.replace_substring(trimmed, read.thousands, "")
        trimmed = pc.replace_substring(trimmed, read.decimal, ".") if read.decimal != "." else trimmed
    return pc.if_else(pc.match_substring_regex(trimmed, NUMBER), trimmed, pa.scalar(None, trimmed.type))


def to_floats(texts: Any, read: ReadSpec) -> Any:
    """Read an Arrow column of texts as floats, each the nearest to what is written; what is no number becomes null."""
    if read.decimal == "." and not read.thousands:
        try:
            floats = pc.cast(texts, pa.float64())
        except pa.ArrowInvalid:
            pass
        else:
            # Arrow reads "nan", which is a text unless it means a missing value.
            return pc.if_else(pc.is_nan(floats), pa.scalar(None, pa.float64()), floats)
    return pc.cast(plain_numbers(texts, read), pa.float64())


def to_integers(texts: Any, read: ReadSpec) -> Any | None:
    """Read an Arrow column of texts as whole numbers of 64 bits; None unless each of them is one."""
    plain = plain_numbers(texts, read)
    if not pc.all(pc.match_substring_regex(plain, WHOLE)).as_py():
        return None
    try:
        return pc.cast(pc.replace_substring_regex(plain, r"^\+", ""), pa.int64())
    except pa.ArrowInvalid:  # more digits than 64 bits hold
        return None


def number_of(text: str, read: ReadSpec) -> float | None:
    """Read one text as a number; None when it is none."""
    value: float | None = to_floats(pa.array([text]), read)[0].as_py()
    return value


def has_leading_zeros(texts: Any) -> bool:
    """Say whether one of the texts is a number with a leading zero, which only codes have."""
    return bool(pc.any(pc.match_substring_regex(texts, LEADING_ZERO)).as_py())


def _grouped(read: ReadSpec) -> str:
    """Match numbers with these signs: in groups of three digits, or without groups."""
    thousands, decimal = re.escape(read.thousands or ""), re.escape(read.decimal)
    groups = rf"[0-9]{{1,3}}(?:{thousands}[0-9]{{3}})+|" if read.thousands else ""
    digits = rf"(?:(?:{groups}[0-9]+)(?:{decimal}[0-9]*)?|{decimal}[0-9]+)(?:[eE][+-]?[0-9]+)?"
    return rf"^[+-]?(?:{digits}|(?i:inf|infinity))$"
