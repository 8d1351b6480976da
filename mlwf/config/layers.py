"""A file and all that it extends, with `--set KEY=VALUE` put in -> one map."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlwf.config.parsing import MAX_DEPTH, scalar
from mlwf.config.strict_yaml import Entry, KeyPath, NotYaml, Origin, ReadLog, Value, dotted, kind, read_yaml
from mlwf.errors import closest

AFTER_ALL_FILES = 1_000_000


def apply_overrides(root: Value, overrides: Sequence[str], folder: Path, read_log: ReadLog) -> None:
    """Put each `KEY=VALUE` into `root`, in order; a relative path in a value is relative to `folder`."""
    for number, override in enumerate(overrides):
        name, equals, text = override.partition("=")
        origin = Origin(f"--set {name}", (AFTER_ALL_FILES, number, 0), folder)
        keys = name.split(".")
        if not equals:
            read_log.report(origin, (), "has no value", "write --set KEY=VALUE")
        elif not all(keys):
            read_log.report(origin, (), "has an empty key", "write --set KEY=VALUE, such as model.algorithm=svc")
        elif len(keys) > MAX_DEPTH:
            read_log.report(origin, (), f"is nested deeper than {MAX_DEPTH} levels")
        elif keys[0] == "extends":
            read_log.report(origin, (), "what a file extends cannot be set")
        elif (value := _value(text, origin, read_log, tuple(keys))) is not None:
            _Override(origin, value, read_log).put(root, keys)


def _value(text: str, origin: Origin, read_log: ReadLog, keys: KeyPath) -> Value | None:
    """Read a value by the rules of the file."""
    mine = ReadLog(environment=read_log.environment)
    try:
        value = read_yaml(text, lambda line, column: origin, mine) or Value(None, origin, blank=True)
    except NotYaml:
        value = None
    for _, problem in mine.problems:
        # Inside the value paths begin at its own root.
        read_log.report(origin, (*keys, *filter(None, [problem.key])), problem.message, problem.hint)
    return value


class _Override:
    """One value on its way to its place."""

    def __init__(self, origin: Origin, value: Value, read_log: ReadLog) -> None:
        self._origin = origin
        self._value = value
        self._read_log = read_log

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
        if entry is None or (entry.value.content is None and not entry.value.unreadable):
            entry = holder.content[key] = Entry(self._origin, Value({}, self._origin))
        value: Value = entry.value
        return value

    def _place(self, holder: Value, key: str, path: KeyPath) -> tuple[Any] | None:
        """Find the key or the index that a word names; None when there is no such place."""
        if isinstance(holder.content, dict):
            named = [known for known in holder.content if dotted((known,)) == key]
            return (named[0] if named else scalar(key),)
        if holder.unreadable:
            return None
        if not isinstance(holder.content, list):
            self._read_log.report(self._origin, path, f"is {kind(holder.content)}, not a map")
            return None
        count = len(holder.content)
        if not key.isdecimal() or not key.isascii():
            self._read_log.report(self._origin, path, f"is a list, and {key} is no number", "items are counted from 0")
        elif int(key[:9]) >= count:
            accepted = "accepted: 0" + (f" to {count - 1}" if count > 1 else "") if count else "the list is empty"
            self._read_log.report(self._origin, path, f"has no item {key}", accepted)
        else:
            return (int(key),)
        return None


MAX_BYTES = 10_000_000
"""Of a file; a device such as /dev/zero has no end."""
MAX_FILES = 50
"""Each of which extends the next."""

KIND_KEYS = ("type", "strategy")
"""A map is another one when one of these changes: it replaces the map it extends, instead of merging with it."""


def read_file(path: Path, read_log: ReadLog) -> Value | None:
    """Read a file and all that it extends; None when nothing could be read, and `read_log` has the reason."""
    return _FileReader(read_log).read(path, Origin(str(path), (0, 0, 0), path.parent), ())


@dataclass(frozen=True)
class _Unreadable(Exception):
    message: str
    hint: str = ""


class _FileReader:
    """The files read so far, each extending the next."""

    def __init__(self, read_log: ReadLog) -> None:
        self._read_log = read_log
        self._paths: list[Path] = []

    def read(self, path: Path, asked: Origin, key: tuple[str, ...]) -> Value | None:
        """Read a file; `asked` is where it is named, and `key` the key that names it."""
        rank = len(self._paths)
        self._paths.append(path)
        try:
            text = _text(path)
        except _Unreadable as problem:
            named = f"{path} " if key else ""
            self._read_log.report(asked, key, named + problem.message, problem.hint)
            return None

        def at(line: int, column: int) -> Origin:
            return Origin(f"{path}:{line}:{column}", (rank, line, column), path.parent)

        try:
            root = read_yaml(text, at, self._read_log)
        except NotYaml:
            return None
        if root is None:
            self._read_log.report(Origin(str(path), (rank, 0, 0), path.parent), (), "the file is empty")
            return None
        if not isinstance(root.content, dict):
            if not root.unreadable:
                self._read_log.report(root.origin, (), f"expected a map of sections, got {kind(root.content)}")
            return None
        # A problem of the whole file stands on its first line, however far down the first key is.
        root.origin = at(1, 1)
        return self._extend(root, path)

    def _extend(self, root: Value, path: Path) -> Value | None:
        """Merge a file into the one that it extends."""
        extends: Entry | None = root.content.pop("extends", None)
        if extends is None:
            return root
        named = extends.value
        if named.env is not None:
            self._read_log.report(named.origin, ("extends",), "a file name from the environment is not supported")
            return root
        if named.unreadable:
            return root
        if not isinstance(named.content, str) or not named.content:
            got = kind(named.content)
            self._read_log.report(named.origin, ("extends",), f"expected the name of one file, got {got}")
            return root
        base_path = Path(os.path.normpath(path.parent / expanded(named.content)))
        known = [_resolved(other) for other in self._paths]
        if _resolved(base_path) in known:
            loop = [*self._paths[known.index(_resolved(base_path)) :], base_path]
            chain = " > ".join(map(str, loop))
            self._read_log.report(named.origin, ("extends",), f"the file extends itself: {chain}")
            return root
        if len(known) == MAX_FILES:
            self._read_log.report(named.origin, ("extends",), f"more than {MAX_FILES} files extend each other")
            return root
        base = self.read(base_path, named.origin, ("extends",))
        return base and merge(base, root)


def expanded(text: str) -> str:
    """Put the home folder in for a `~` at the beginning; one of a user who is not known here stays."""
    return os.path.expanduser(text)  # noqa: PTH111 - Path.expanduser raises where a user is not known


def _resolved(path: Path) -> str:
    try:
        return os.path.realpath(path)  # Path.resolve raises on links that go round in a circle
    except ValueError:  # no path: the reading reports what it lacks
        return str(path)


def merge(base: Value, over: Value) -> Value:
    """Lay a value over another: maps merge, all else replaces, `null` deletes."""
    if not isinstance(base.content, dict) or not isinstance(over.content, dict) or _is_another(base, over):
        return over
    merged: dict[object, Entry] = {}
    for key, entry in base.content.items():
        own = over.content.get(key)
        if own is None:
            merged[key] = entry
        elif own.value.content is not None or own.value.blank or own.value.unreadable:
            merged[key] = Entry(own.key_origin, merge(entry.value, own.value))
    merged |= {key: entry for key, entry in over.content.items() if key not in base.content}
    return Value(merged, over.origin)


def _is_another(base: Value, over: Value) -> bool:
    def content_of(value: Value, key: str) -> object:
        entry = value.content.get(key)
        return entry and entry.value.content

    return any(
        key in base.content and key in over.content and content_of(base, key) != content_of(over, key)
        for key in KIND_KEYS
    )


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _Unreadable("does not exist", _neighbour(path)) from None
    except IsADirectoryError:
        raise _Unreadable("is a folder, not a file") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _Unreadable(f"cannot be read: {reason}") from error
    if len(raw) > MAX_BYTES:
        raise _Unreadable(f"holds more than {MAX_BYTES // 1_000_000} MB, which is no experiment file")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _Unreadable(f"is not UTF-8 text (line {line})", "save it as UTF-8") from error


def _neighbour(path: Path) -> str:
    """Say the file beside it with the nearest name."""
    if not path.parent.is_dir():
        return f"there is no folder {path.parent}"
    # By stem: a shared .yaml would make all names alike.
    by_stem = {other.stem: other for other in path.parent.iterdir() if other.suffix in (".yaml", ".yml")}
    close = closest(path.stem, by_stem)
    return "" if close is None else f"did you mean {by_stem[close]}?"
