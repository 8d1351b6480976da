"""YAML text -> values that know where they are written.

What is a boolean or a number is as in YAML 1.2: only `true` and `false` are booleans (PyYAML's `on` and `yes` would
turn keys and classes into booleans), `010` is ten, `1:30` and `2024-01-31` are text, `1e-3` is a number.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mlwf.errors import Problem

KeyPath = tuple[Any, ...]
Order = tuple[int, int, int]

MAX_ALIASED_VALUES = 10_000
MAX_DEPTH = 64
MAX_DIGITS = 300
"""Of an integer: more would be no float any longer, and every comparison with one an OverflowError."""


@dataclass(frozen=True)
class Origin:
    """Where something is written."""

    where: str
    """`file:line:column`, or `--set KEY`."""
    order: Order
    """Sorts origins in file order: the file itself, then what it extends, then `--set`."""
    folder: Path
    """What a relative path written here is relative to."""


@dataclass
class Value:
    """A scalar, a map of `Entry`, or a list of `Value`."""

    content: Any
    origin: Origin
    env: str | None = None
    """The text as it is written, when it takes something from the environment."""
    blank: bool = False
    """Nothing is written; the content is None."""
    hole: bool = False
    """What is written could not be read, and that is a problem already told."""

    def plain(self, *, redacted: bool = False) -> Any:
        """Return the content as plain Python; `redacted` keeps the text `${env:...}`."""
        if isinstance(self.content, dict):
            return {key: entry.value.plain(redacted=redacted) for key, entry in self.content.items()}
        if isinstance(self.content, list):
            return [item.plain(redacted=redacted) for item in self.content]
        return self.env if redacted and self.env is not None else self.content


@dataclass
class Entry:
    """The value of a key, and where the key is written."""

    key_origin: Origin
    value: Value


@dataclass
class Reading:
    """What has come to light while an experiment file and all that it extends was read."""

    problems: list[tuple[Order, Problem]] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    """Environment variables that were read, by name."""

    def report(self, origin: Origin, path: KeyPath, message: str, hint: str = "") -> None:
        """Note a problem and go on."""
        self.problems.append((origin.order, Problem(origin.where, dotted(path), message, hint)))


class NotYaml(Exception):
    """The text does not parse; the problem is in the reading."""


def dotted(path: KeyPath) -> str:
    """Write a path as `--set` takes it.

    >>> dotted(("features", 0, "imputer"))
    'features.0.imputer'
    """
    return ".".join("true" if part is True else "false" if part is False else str(part) for part in path)


def read_yaml(text: str, at: Callable[[int, int], Origin], reading: Reading) -> Value | None:
    """Read one YAML document; None when it is empty.

    `at` makes the origin of a line and a column, both counted from 1.

    Raises
    ------
    NotYaml
        When the text does not parse. All other problems are noted in `reading`, and their values become holes.
    """
    try:
        node = _compose(text)
    except _At as error:
        reading.report(at(error.line, error.column), (), error.message, error.hint)
        raise NotYaml from error
    return None if node is None else _Builder(at, reading).build(node, ())


def scalar(text: str) -> Any:
    """Read a text as an unquoted YAML scalar."""
    return _construct(_tag(text), text)


def kind(content: Any) -> str:
    """Say what a value is, in YAML's words."""
    if content is None:
        return "null"
    if isinstance(content, bool):
        return "true" if content else "false"
    if isinstance(content, int | float):
        return "a number"
    if isinstance(content, dict):
        return "a map"
    return "a list" if isinstance(content, list) else "text"


_NULL = re.compile(r"~|null|Null|NULL|", re.ASCII)
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+", re.ASCII)
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII
)
_TAG = "tag:yaml.org,2002:"
_ENV = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)(?::([^}]*))?\}")


def _resolvers() -> dict[Any, list[tuple[str, re.Pattern[str]]]]:
    kinds = {"null": _NULL, "bool": _BOOL, "int": _INT, "float": _FLOAT, "merge": re.compile("<<")}
    # PyYAML matches from the start only; None means "whatever the first character is".
    return {None: [(_TAG + name, re.compile(f"(?:{rule.pattern})$", rule.flags)) for name, rule in kinds.items()]}


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """PyYAML's loader with the scalars of YAML 1.2; the C one where PyYAML has it, six times faster."""

    yaml_implicit_resolvers = _resolvers()


class _At(Exception):
    """A parse error: line and column from 1."""

    def __init__(self, line: int, column: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.line, self.column, self.message, self.hint = line, column, message, hint


def _compose(text: str) -> yaml.Node | None:
    """Parse the text to nodes."""
    if control := yaml.reader.Reader.NON_PRINTABLE.search(text):
        before = text[: control.start()]
        line, column = before.count("\n") + 1, control.start() - before.rfind("\n")
        raise _At(line, column, f"a control character ({control.group()!r}) cannot stand in YAML")
    try:
        _bound_depth(text)
        node: yaml.Node | None = Loader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        raise _in_our_words(error, text) from None
    return node


def _bound_depth(text: str) -> None:
    """Refuse deep nesting before nodes are made: PyYAML's C loader makes them recursively, and crashes the process."""
    depth = 0
    for event in yaml.parse(text, Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            mark = event.start_mark
            raise _At(mark.line + 1, mark.column + 1, f"is nested deeper than {MAX_DEPTH} levels")


def _in_our_words(error: yaml.MarkedYAMLError, text: str) -> _At:
    """Say what PyYAML says, and what usually is behind it."""
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    lines = text.splitlines()
    written = lines[line - 1] if line <= len(lines) else ""
    here = written[column - 1 : column]
    problem = error.problem or "unreadable"
    if here == "\t":
        return _At(line, column, "a tab cannot indent YAML", "indent with spaces")
    if "another document" in problem:
        return _At(line, column, "a second YAML document begins", "an experiment file is one document, without ---")
    if "undefined alias" in problem:
        return _At(line, column, f"the alias {here}{_word(written[column:])} has no anchor")
    if problem == "second occurrence":
        return _At(line, column, f"the anchor {here}{_word(written[column:])} occurs twice")
    message = f"does not parse as YAML: {problem}"
    if error.context and error.context_mark and error.context_mark.line + 1 != line:
        message += f", {error.context} that begins on line {error.context_mark.line + 1}"
    if "${env:" in written and "did not find expected ','" in problem:
        return _At(line, column, message, "inside { } and [ ] write it in quotes: '${env:NAME}'")
    if "mapping values are not allowed" in problem:
        return _At(line, column, message, "a text that holds ': ' needs quotes, and keys of one map the same indent")
    if "cannot start any token" in problem:
        return _At(line, column, message, f"a text that begins with {here} needs quotes")
    return _At(line, column, message)


def _word(text: str) -> str:
    return re.split(r"[\s,\[\]{}]", text, maxsplit=1)[0]


def _tag(text: str) -> str:
    for tag, rule in Loader.yaml_implicit_resolvers[None]:
        if rule.match(text):
            return tag.removeprefix(_TAG)
    return "str"


def _construct(tag: str, text: str) -> Any:
    """Make a scalar; raises ValueError when the text is not of the tag."""
    if tag == "str" or tag == "merge":
        return text
    if tag == "null" and _NULL.fullmatch(text):
        return None
    if tag == "bool" and _BOOL.fullmatch(text):
        return text.lower() == "true"
    if tag == "int" and _INT.fullmatch(text) and len(text) <= MAX_DIGITS:
        return int(text)
    if tag == "float" and (_FLOAT.fullmatch(text) or _INT.fullmatch(text)):
        return float(re.sub(r"\.(inf|nan)$", r"\1", text.lower()))
    raise ValueError(text)


class _Builder:
    """Makes values of nodes, and notes what is wrong with them."""

    def __init__(self, at: Callable[[int, int], Origin], reading: Reading) -> None:
        self._at = at
        self._reading = reading
        self._seen: set[int] = set()
        self._open: list[int] = []
        self._aliased = 0
        self._overgrown = False

    def build(self, node: yaml.Node, path: KeyPath) -> Value:
        origin = self._origin(node)
        if self._overgrown:
            return Value(None, origin, hole=True)
        if problem := self._growth(node):
            # Told once, and of the section: what is cut off may be in a thousand places.
            self._overgrown = True
            return self._hole(origin, path[:1], problem)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, origin, path)
        if node.tag != _TAG + ("map" if isinstance(node, yaml.MappingNode) else "seq"):
            return self._hole(origin, path, f"the tag {_shown_tag(node.tag)} is not supported")
        self._open.append(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return Value([self.build(item, (*path, index)) for index, item in enumerate(node.value)], origin)
            assert isinstance(node, yaml.MappingNode)
            return Value(self._entries(node, path), origin)
        finally:
            self._open.pop()

    def _origin(self, node: yaml.Node) -> Origin:
        return self._at(node.start_mark.line + 1, node.start_mark.column + 1)

    def _hole(self, origin: Origin, path: KeyPath, message: str, hint: str = "", *, env: str | None = None) -> Value:
        self._reading.report(origin, path, message, hint)
        return Value(None, origin, env=env, hole=True)

    def _growth(self, node: yaml.Node) -> str | None:
        """Bound what aliases can grow to."""
        if id(node) in self._open:
            return "the alias stands inside its own anchor"
        if id(node) not in self._seen:
            self._seen.add(id(node))
        elif isinstance(node, yaml.CollectionNode) and len(self._open) >= MAX_DEPTH:
            return f"aliases nest deeper than {MAX_DEPTH} levels"
        else:
            self._aliased += 1
            if self._aliased > MAX_ALIASED_VALUES:
                return f"aliases stand for more than {MAX_ALIASED_VALUES} values"
        return None

    def _entries(self, node: yaml.MappingNode, path: KeyPath) -> dict[Any, Entry]:
        entries: dict[Any, Entry] = {}
        for key_node, value_node in node.value:
            origin = self._origin(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                self._reading.report(origin, path, f"a key is {_shape(key_node)}", "a key is a word or a number")
                continue
            if key_node.tag == _TAG + "merge":
                self._reading.report(origin, path, "merge keys (<<) are not supported", "use extends, or an alias")
                continue
            key = self._key(key_node, origin, path)
            if key in entries:
                first = entries[key].key_origin.where
                self._reading.report(origin, (*path, key), "duplicate key", f"it is first written at {first}")
                continue
            entries[key] = Entry(origin, self.build(value_node, (*path, key)))
        return entries

    def _key(self, node: yaml.ScalarNode, origin: Origin, path: KeyPath) -> Any:
        try:
            return _construct(node.tag.removeprefix(_TAG), node.value)
        except ValueError:
            self._reading.report(origin, path, f"the key {node.value[:40]} does not fit {_shown_tag(node.tag)}")
            return node.value

    def _scalar(self, node: yaml.ScalarNode, origin: Origin, path: KeyPath) -> Value:
        tag, text, env = node.tag.removeprefix(_TAG), node.value, None
        if "${env:" in text:
            env = text
            missing, text = self._expand(text)
            if missing:
                return self._hole(origin, path, *missing, env=env)
            if not node.style and tag == "str" and _ENV.fullmatch(env):
                tag = _tag(text)
        try:
            content = _construct(tag, text)
        except ValueError:
            known = tag in ("str", "null", "bool", "int", "float")
            problem = f"the text does not fit the tag {_shown_tag(node.tag)}" if known else None
            if tag == "int" and _INT.fullmatch(text):
                problem = "the number has too many digits"
            return self._hole(origin, path, problem or f"the tag {_shown_tag(node.tag)} is not supported", env=env)
        return Value(content, origin, env=env, blank=content is None and not node.value)

    def _expand(self, text: str) -> tuple[tuple[str, str] | None, str]:
        """Put in environment variables; return what is missing, and the text."""
        missing: list[str] = []

        def value_of(match: re.Match[str]) -> str:
            name, default = match.groups()
            if name in os.environ:
                self._reading.environment[name] = os.environ[name]
                return os.environ[name]
            if default is None:
                missing.append(name)
            return default or ""

        expanded = _ENV.sub(value_of, text)
        if "${env:" in _ENV.sub("", text):
            return ("${env: is not closed or names no variable", "write ${env:NAME} or ${env:NAME:default}"), text
        if missing:
            hint = f"set it, or write ${{env:{missing[0]}:default}}"
            return (f"the environment variable {missing[0]} is not set", hint), text
        return None, expanded


def _shape(node: yaml.Node) -> str:
    return "a map" if isinstance(node, yaml.MappingNode) else "a list"


def _shown_tag(tag: str) -> str:
    return tag.replace(_TAG, "!!")[:40]
