"""What is a boolean, a number or a text, as in YAML 1.2.

Only `true` and `false` are booleans (PyYAML's `on` and `yes` would turn keys and classes into booleans), `010` is ten,
`1:30` and `2024-01-31` are text, `1e-3` is a number.
"""

from __future__ import annotations

import re
from typing import Any

TAG = "tag:yaml.org,2002:"

MAX_DIGITS = 300
"""Of an integer: more would be no float any longer, and every comparison with one an OverflowError."""


def scalar(text: str) -> Any:
    """Read a text as an unquoted YAML scalar."""
    return construct(tag_of(text), text)


def tag_of(text: str) -> str:
    """Say what an unquoted scalar is."""
    return next((name for name, rule in _KINDS.items() if rule.fullmatch(text)), "str")


def construct(tag: str, text: str) -> Any:
    """Make a scalar; raises ValueError, that does not tell the text, when it is not of the tag."""
    if tag in ("str", "merge"):
        return text
    if tag == "null" and _NULL.fullmatch(text):
        return None
    if tag == "bool" and _BOOL.fullmatch(text):
        return text.lower() == "true"
    if tag == "int" and _INT.fullmatch(text):
        if len(text) > MAX_DIGITS:
            raise ValueError("the number has too many digits")
        return int(text)
    if tag == "float" and (_FLOAT.fullmatch(text) or _INT.fullmatch(text)):
        return float(re.sub(r"\.(inf|nan)$", r"\1", text.lower()))
    if tag in _KINDS:
        raise ValueError(f"the text does not fit the tag {shown_tag(tag)}")
    raise ValueError(f"the tag {shown_tag(tag)} is not supported")


def shown_tag(tag: str) -> str:
    """Write a tag as a file has it, with or without YAML's own prefix."""
    own = tag.removeprefix(TAG)
    return (own if own.startswith("!") else f"!!{own}")[:40]


_NULL = re.compile(r"~|null|Null|NULL|", re.ASCII)
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+", re.ASCII)
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII
)


_KINDS = {"null": _NULL, "bool": _BOOL, "int": _INT, "float": _FLOAT, "merge": re.compile("<<")}

RESOLVERS: dict[Any, list[tuple[str, re.Pattern[str]]]] = {
    # PyYAML matches from the start only; None means "whatever the first character is".
    None: [(TAG + name, re.compile(f"(?:{rule.pattern})$", rule.flags)) for name, rule in _KINDS.items()]
}
"""The same for PyYAML."""
