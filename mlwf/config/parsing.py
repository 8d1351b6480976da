"""YAML text -> PyYAML's nodes, within bounds, with values as in YAML 1.2 and parse errors in our words."""

from __future__ import annotations

import re
from typing import Any

import yaml

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
    """Make a scalar; raises ValueError, which does not quote the text, when it is not of the tag."""
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


MAX_DEPTH = 64


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """PyYAML's loader with the scalars of YAML 1.2; the C one where PyYAML has it, six times faster."""

    yaml_implicit_resolvers = RESOLVERS


class ParseError(Exception):
    """The text does not parse; line and column count from 1."""

    def __init__(self, line: int, column: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.line, self.column, self.message, self.hint = line, column, message, hint


def compose(text: str) -> yaml.Node | None:
    """Parse a text to nodes; None when it is empty. Raises ParseError."""
    if control := yaml.reader.Reader.NON_PRINTABLE.search(text):
        before = text[: control.start()]
        line, column = before.count("\n") + 1, control.start() - before.rfind("\n")
        raise ParseError(line, column, f"a control character ({control.group()!r}) cannot stand in YAML")
    try:
        _bound_depth(text)
        node: yaml.Node | None = Loader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        raise _in_our_words(error, text) from None
    return node


def read_as_written(text: str) -> Any:
    """Read a text to plain Python, `${env:...}` as it is written; raises ParseError, or ValueError for a value."""
    node = compose(text)
    return None if node is None else _as_written(node)


def _as_written(node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return {_as_written(key): _as_written(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_as_written(item) for item in node.value]
    return construct(node.tag.removeprefix(TAG), node.value)


def _bound_depth(text: str) -> None:
    """Refuse deep nesting before nodes are made: PyYAML's C loader makes them recursively, and crashes the process."""
    depth = 0
    for event in yaml.parse(text, Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            line, column = (event.start_mark.line, event.start_mark.column) if event.start_mark else (0, 0)
            raise ParseError(line + 1, column + 1, f"is nested deeper than {MAX_DEPTH} levels")


def _in_our_words(error: yaml.MarkedYAMLError, text: str) -> ParseError:
    """Say what PyYAML says, and what usually is behind it."""
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    lines = text.splitlines()
    written = lines[line - 1] if line <= len(lines) else ""
    here = written[column - 1 : column]
    problem = error.problem or "unreadable"
    if here == "\t":
        return ParseError(line, column, "a tab cannot indent YAML", "indent with spaces")
    if "another document" in problem:
        hint = "an experiment file is one document, without ---"
        return ParseError(line, column, "a second YAML document begins", hint)
    if "undefined alias" in problem:
        return ParseError(line, column, f"the alias {here}{_word(written[column:])} has no anchor")
    if problem == "second occurrence":
        return ParseError(line, column, f"the anchor {here}{_word(written[column:])} occurs twice")
    message = f"does not parse as YAML: {problem}"
    if error.context and error.context_mark and error.context_mark.line + 1 != line:
        message += f", {error.context} that begins on line {error.context_mark.line + 1}"
    if "${env:" in written and "did not find expected ','" in problem:
        return ParseError(line, column, message, "inside { } and [ ] write it in quotes: '${env:NAME}'")
    if "mapping values are not allowed" in problem:
        hint = "a text that holds ': ' needs quotes, and keys of one map the same indent"
        return ParseError(line, column, message, hint)
    if "cannot start any token" in problem:
        return ParseError(line, column, message, f"a text that begins with {here} needs quotes")
    return ParseError(line, column, message)


def _word(text: str) -> str:
    return re.split(r"[\s,\[\]{}]", text, maxsplit=1)[0]
