"""YAML text -> values that know where they are written, with the environment put in."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mlwf.config.parsing import MAX_DEPTH, TAG, ParseError, compose, construct, shown_tag, tag_of
from mlwf.errors import Problem

KeyPath = tuple[Any, ...]
Order = tuple[int, int, int]

MAX_ALIASED_VALUES = 10_000


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
    unreadable: bool = False
    """What is written could not be read; the log has the problem."""

    def plain(self) -> Any:
        """Return the content as plain Python."""
        if isinstance(self.content, dict):
            return {key: entry.value.plain() for key, entry in self.content.items()}
        if isinstance(self.content, list):
            return [item.plain() for item in self.content]
        return self.content


@dataclass
class Entry:
    """The value of a key, and where the key is written."""

    key_origin: Origin
    value: Value


@dataclass
class ReadLog:
    """Problems and environment variables that were met while a file and all that it extends was read."""

    problems: list[tuple[Order, Problem]] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    """Environment variables that were read, by name."""

    def report(self, origin: Origin, path: KeyPath, message: str, hint: str = "") -> None:
        """Note a problem and go on."""
        self.problems.append((origin.order, Problem(origin.where, dotted(path), message, hint)))


class NotYaml(Exception):
    """The text does not parse; the log has the problem."""


def dotted(path: KeyPath) -> str:
    """Write a path as `--set` takes it.

    >>> dotted(("features", 0, "imputer"))
    'features.0.imputer'
    """
    return ".".join("true" if part is True else "false" if part is False else str(part) for part in path)


def read_yaml(text: str, at: Callable[[int, int], Origin], read_log: ReadLog) -> Value | None:
    """Read one YAML document; None when it is empty.

    `at` makes the origin of a line and a column, both counted from 1.

    Raises
    ------
    NotYaml
        When the text does not parse. All other problems are noted in `read_log`, and their values are unreadable.
    """
    try:
        node = compose(text)
    except ParseError as error:
        read_log.report(at(error.line, error.column), (), error.message, error.hint)
        raise NotYaml from error
    return None if node is None else _Builder(at, read_log).build(node, ())


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


_ESCAPED = re.compile(r"\$\$\{env:")
"""Where a text is to hold `${env:` itself, such as the name of a column."""
_ENV = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)(?::([^}]*))?\}")


class _Builder:
    """Makes values of nodes, and notes what is wrong with them."""

    def __init__(self, at: Callable[[int, int], Origin], read_log: ReadLog) -> None:
        self._at = at
        self._read_log = read_log
        self._seen: set[int] = set()
        self._open: list[int] = []
        self._aliased = 0
        self._overgrown = False

    def build(self, node: yaml.Node, path: KeyPath) -> Value:
        origin = self._origin(node)
        if self._overgrown:
            return Value(None, origin, unreadable=True)
        if problem := self._growth(node):
            # Reported once, and for the section: what is cut off may be in a thousand places.
            self._overgrown = True
            return self._unreadable(origin, path[:1], problem)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, origin, path)
        if node.tag != TAG + ("map" if isinstance(node, yaml.MappingNode) else "seq"):
            return self._unreadable(origin, path, f"the tag {shown_tag(node.tag)} is not supported")
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

    def _unreadable(
        self, origin: Origin, path: KeyPath, message: str, hint: str = "", *, env: str | None = None
    ) -> Value:
        self._read_log.report(origin, path, message, hint)
        return Value(None, origin, env=env, unreadable=True)

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
                self._read_log.report(origin, path, f"a key is {_shape(key_node)}", "a key is a word or a number")
                continue
            if key_node.tag == TAG + "merge":
                self._read_log.report(origin, path, "merge keys (<<) are not supported", "use extends, or an alias")
                continue
            key = self._key(key_node, origin, path)
            if key in entries:
                first = entries[key].key_origin.where
                self._read_log.report(origin, (*path, key), "duplicate key", f"it is first written at {first}")
                continue
            entries[key] = Entry(origin, self.build(value_node, (*path, key)))
        return entries

    def _key(self, node: yaml.ScalarNode, origin: Origin, path: KeyPath) -> Any:
        try:
            return construct(node.tag.removeprefix(TAG), node.value)
        except ValueError:
            self._read_log.report(origin, path, f"the key {node.value[:40]} does not fit {shown_tag(node.tag)}")
            return node.value

    def _scalar(self, node: yaml.ScalarNode, origin: Origin, path: KeyPath) -> Value:
        tag, text, env = node.tag.removeprefix(TAG), node.value, None
        if "${env:" in _ESCAPED.sub("", text):
            env = text
            missing, text = self._expand(text)
            if missing:
                return self._unreadable(origin, path, *missing, env=env)
            if not node.style and tag == "str" and _ENV.fullmatch(env):
                tag = tag_of(text)
        try:
            content = construct(tag, text.replace("$${env:", "${env:") if env is None else text)
        except ValueError as error:
            return self._unreadable(origin, path, str(error), env=env)
        return Value(content, origin, env=env, blank=content is None and not node.value)

    def _expand(self, text: str) -> tuple[tuple[str, str] | None, str]:
        """Put in environment variables; return what is missing, and the text."""
        missing: list[str] = []

        def value_of(match: re.Match[str]) -> str:
            name, default = match.groups()
            if name in os.environ:
                self._read_log.environment[name] = os.environ[name]
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
