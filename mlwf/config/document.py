"""An experiment file as plain data, and the origin of every value and key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlwf.config.layers import apply_overrides, read_file
from mlwf.config.strict_yaml import Entry, KeyPath, Order, Origin, ReadLog, Value, dotted
from mlwf.errors import ConfigError, Problem
from mlwf.text import redact

SHORTEST_REPLACED = 3
"""Characters from which on a value of the environment is replaced where a text quotes it."""


class Document:
    """YAML text with all that it extends, and the overrides; made by `read`."""

    def __init__(self, path: Path, root: Value, read_log: ReadLog) -> None:
        self.path = path
        """The file, as the user typed it."""
        self.data: dict[str, Any] = root.plain()
        """The content as plain Python; what could not be read is None."""
        self.problems: tuple[tuple[Order, Problem], ...] = tuple(sorted(read_log.problems, key=lambda each: each[0]))
        """What is wrong with the text itself, in file order."""
        self._root = root
        self._environment = read_log.environment

    @classmethod
    def read(cls, path: Path, overrides: Sequence[str] = ()) -> Document:
        """Read a file, all that it extends, and the overrides.

        Parameters
        ----------
        path
            The experiment file; it is shown in messages as it is given here.
        overrides
            `KEY=VALUE` each: a dotted key, list items by number, and a value in YAML.

        Raises
        ------
        ConfigError
            When a file does not parse, with every problem in file order. Other problems are in `problems`.
        """
        read_log = ReadLog()
        root = read_file(path, read_log)
        if root is None:
            raise ConfigError(problem for _, problem in sorted(read_log.problems, key=lambda each: each[0]))
        apply_overrides(root, overrides, path.parent, read_log)
        return cls(path, root, read_log)

    def order(self, path: KeyPath, *, key: bool = False) -> Order:
        """Return what sorts a value (or its key) in file order."""
        return self._origin(path, key).order

    def folder(self, path: KeyPath) -> Path:
        """Return the folder that a relative path written here is relative to; with `--set`, the file's own."""
        return self._origin(path, False).folder

    def problem(
        self, path: KeyPath, message: str, hint: str = "", *, key: bool = False, about: KeyPath | None = None
    ) -> tuple[Order, Problem]:
        """Make a problem of the value (or key) at `path`; it speaks of `about`, which is `path` if left out."""
        origin = self._origin(path, key)
        return origin.order, Problem(origin.where, dotted(path if about is None else about), message, hint)

    def is_blank(self, path: KeyPath) -> bool:
        """Whether a key is written with nothing behind it."""
        value = self._value(path)
        return value is not None and value.blank

    @property
    def secrets(self) -> dict[KeyPath, str]:
        """The values that came from the environment, by path, each as the text that is written."""
        return {path: value.env for path, value in _walk(self._root, ()) if value.env is not None}

    @property
    def unreadable(self) -> frozenset[KeyPath]:
        """The values that could not be read; each is among `problems`."""
        return frozenset(path for path, value in _walk(self._root, ()) if value.unreadable)

    def redact(self, text: str) -> str:
        """Replace in a text every value that was read from the environment, and the logins of addresses.

        Values too short to be told from other words are left.
        """
        by_length = sorted(self._environment.items(), key=lambda item: -len(item[1]))
        for name, value in by_length:
            if len(value) >= SHORTEST_REPLACED:
                text = text.replace(value, f"${{env:{name}}}").replace(redact(value), f"${{env:{name}}}")
        return redact(text)

    def _value(self, path: KeyPath) -> Value | None:
        value: Value | None = self._root
        for part in path:
            inner = None if value is None else _inner(value, part)
            value = inner.value if isinstance(inner, Entry) else inner
        return value

    def _origin(self, path: KeyPath, key: bool) -> Origin:
        value, origin = self._root, self._root.origin
        key_origin = origin
        for part in path:
            inner = _inner(value, part)
            if inner is None:
                return key_origin
            if isinstance(inner, Entry):
                value, key_origin = inner.value, inner.key_origin
            else:
                value, key_origin = inner, inner.origin
            origin = value.origin
        return key_origin if key else origin


def value_at(data: Any, path: KeyPath) -> Any:
    """Give the value at a path of plain data; None when there is none."""
    for part in path:
        is_there = part in data if isinstance(data, dict) else isinstance(data, list) and part in range(len(data))
        data = data[part] if is_there else None
    return data


def _inner(value: Value, part: Any) -> Entry | Value | None:
    """Step into a map by key or a list by index."""
    if isinstance(value.content, dict):
        entry: Entry | None = value.content.get(part)
        return entry
    if isinstance(value.content, list) and isinstance(part, int) and 0 <= part < len(value.content):
        item: Value = value.content[part]
        return item
    return None


def _walk(value: Value, path: KeyPath) -> list[tuple[KeyPath, Value]]:
    found = [(path, value)]
    if isinstance(value.content, dict):
        for key, entry in value.content.items():
            found += _walk(entry.value, (*path, key))
    if isinstance(value.content, list):
        for index, item in enumerate(value.content):
            found += _walk(item, (*path, index))
    return found
