"""`--set KEY=VALUE` put into the map of an experiment file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlwf.config.parsing import MAX_DEPTH
from mlwf.config.scalars import scalar
from mlwf.config.strict_yaml import Entry, KeyPath, NotYaml, Origin, Reading, Value, dotted, kind, read_yaml

AFTER_ALL_FILES = 1_000_000


def apply_overrides(root: Value, overrides: Sequence[str], folder: Path, reading: Reading) -> None:
    """Put each `KEY=VALUE` into `root`, in order; a relative path in a value is relative to `folder`."""
    for number, override in enumerate(overrides):
        name, equals, text = override.partition("=")
        origin = Origin(f"--set {name}", (AFTER_ALL_FILES, number, 0), folder)
        keys = name.split(".")
        if not equals:
            reading.report(origin, (), "has no value", "write --set KEY=VALUE")
        elif not all(keys):
            reading.report(origin, (), "has an empty key", "write --set KEY=VALUE, such as model.algorithm=svc")
        elif len(keys) > MAX_DEPTH:
            reading.report(origin, (), f"is nested deeper than {MAX_DEPTH} levels")
        elif keys[0] == "extends":
            reading.report(origin, (), "what a file extends cannot be set")
        elif (value := _value(text, origin, reading, tuple(keys))) is not None:
            _Override(origin, value, reading).put(root, keys)


def _value(text: str, origin: Origin, reading: Reading, keys: KeyPath) -> Value | None:
    """Read a value by the rules of the file."""
    mine = Reading(environment=reading.environment)
    try:
        value = read_yaml(text, lambda line, column: origin, mine) or Value(None, origin, blank=True)
    except NotYaml:
        value = None
    for _, problem in mine.problems:
        # Inside the value paths begin at its own root.
        reading.report(origin, (*keys, *filter(None, [problem.key])), problem.message, problem.hint)
    return value


class _Override:
    """One value on its way to its place."""

    def __init__(self, origin: Origin, value: Value, reading: Reading) -> None:
        self._origin = origin
        self._value = value
        self._reading = reading

    def put(self, root: Value, keys: Sequence[str]) -> None:
        holder = root
        for depth in range(len(keys)):
            place = self._place(holder, keys[depth], tuple(keys[:depth]))
            if place is None:
                return
            is_last = depth == len(keys) - 1
            if isinstance(holder.content, list):
                if is_last:
                    holder.content[place[0]] = self._value
                else:
                    holder = holder.content[place[0]]
            elif is_last:
                holder.content[place[0]] = Entry(self._origin, self._value)
            else:
                holder = self._map_at(holder, place[0])

    def _map_at(self, holder: Value, key: Any) -> Value:
        """Step into a map, which is made where there is none yet."""
        entry = holder.content.get(key)
        if entry is None or (entry.value.content is None and not entry.value.hole):
            entry = holder.content[key] = Entry(self._origin, Value({}, self._origin))
        value: Value = entry.value
        return value

    def _place(self, holder: Value, key: str, path: KeyPath) -> tuple[Any] | None:
        """Find the key or the index that a word names; None when there is no such place."""
        if isinstance(holder.content, dict):
            named = [known for known in holder.content if dotted((known,)) == key]
            return (named[0] if named else scalar(key),)
        if holder.hole:
            return None
        if not isinstance(holder.content, list):
            self._reading.report(self._origin, path, f"is {kind(holder.content)}, not a map")
            return None
        count = len(holder.content)
        if not key.isdecimal() or not key.isascii():
            self._reading.report(self._origin, path, f"is a list, and {key} is no number", "items are counted from 0")
        elif int(key[:9]) >= count:
            accepted = "accepted: 0" + (f" to {count - 1}" if count > 1 else "") if count else "the list is empty"
            self._reading.report(self._origin, path, f"has no item {key}", accepted)
        else:
            return (int(key),)
        return None
