"""What every section of an experiment file has in common, and which of its values are paths."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler

from mlwf.config import KeyPath, expanded
from mlwf.errors import InvalidValueError
from mlwf.specs.field_docs import field_docs
from mlwf.text import format_value

SQLITE = "sqlite:///"

DEFAULT_STORE = f"{SQLITE}mlflow.db"
"""Tracking store of an experiment that names none, beside its file."""


def path_keys(data: Mapping[str, Any]) -> Iterator[KeyPath]:
    """Find the values that are paths, and the tracking URI, which is one in most cases, even if left out."""
    for section, key in (
        ("data", "path"),
        ("data", "test_path"),
        ("feature_store", "repo_path"),
        ("feature_store", "pull"),
    ):
        if isinstance(data.get(section), dict) and isinstance(data[section].get(key), str):
            yield section, key
    if isinstance(data.get("tracking"), dict) and isinstance(data["tracking"].get("tracking_uri", ""), str):
        yield "tracking", "tracking_uri"
    store = data.get("feature_store")
    views = store.get("views") if isinstance(store, dict) else None
    for index, view in enumerate(views if isinstance(views, list) else ()):
        if isinstance(view, dict) and isinstance(view.get("source"), str):
            yield "feature_store", "views", index, "source"


def address_keys(data: Mapping[str, Any]) -> Iterator[KeyPath]:
    """Find the values that are addresses, or may be."""
    yield from path_keys(data)
    if isinstance(data.get("compute"), dict) and isinstance(data["compute"].get("address"), str):
        yield "compute", "address"


def absolute(text: str, folder: Path) -> str:
    """Make a path, a glob or the file of a SQLite address absolute; other addresses stay as they are."""
    # Not resolved, as Path.resolve would: a link keeps the name that it was given.
    return _placed(text, lambda file: os.path.abspath(folder / expanded(file)))  # noqa: PTH100


def is_address(uri: str) -> bool:
    """Tell whether a URI can be taken apart; `http://[::1` cannot, nor can a port that is no number."""
    try:
        urlsplit(uri).port  # noqa: B018 - it is read to see whether it raises
    except ValueError:
        return False
    return True


def sqlite_file(uri: str) -> Path:
    """Give the file of a SQLite address, as it is written."""
    return Path(uri.removeprefix(SQLITE))


def beside(text: str, folder: Path) -> str:
    """Put a folder in front of a path that holds `${env:...}`, as it is written; see `absolute`."""
    return _placed(text, lambda file: f"{folder.absolute()}/{file}")


def _placed(text: str, place: Callable[[str], str]) -> str:
    prefix = SQLITE if text.startswith(SQLITE) else ""
    file = text.removeprefix(prefix)
    # An empty text is reported as such; ":memory:" is SQLite's own word.
    is_file = prefix or not ("://" in text or text.startswith("databricks"))
    return prefix + place(file) if is_file and file and not file.startswith(":memory:") else text


class Spec(BaseModel):
    """A frozen section: unknown keys are refused, a boolean is no integer, each field's sentence is its help."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        protected_namespaces=(),
        validate_default=True,
    )

    @classmethod
    def sentences(cls) -> dict[str, str]:
        """Give each field the sentence beneath it."""
        # Not pydantic's use_attribute_docstrings: to parse all sources is a quarter of what `mlwf validate` takes.
        classes = [each for each in reversed(cls.__mro__) if issubclass(each, Spec)]
        return {
            field: sentence
            for each in classes
            for field, sentence in field_docs(each.__module__, each.__name__).items()
        }

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler(core_schema)
        fields = handler.resolve_ref_schema(schema).get("properties", {})
        for field, sentence in cls.sentences().items():
            # A field that has this description already keeps it.
            if handler.resolve_ref_schema(fields[field]).get("description") != sentence:
                fields[field]["description"] = sentence
        return schema


def refuse_no_jobs(n_jobs: int) -> int:
    """Raise an InvalidValueError for 0, which scikit-learn and joblib give no meaning."""
    if n_jobs == 0:
        raise InvalidValueError("0 fits at the same time is none", "accepted: -1 (one for each core), 1, 2, ...")
    return n_jobs


_DURATION = re.compile(
    r"(?=.*\d)(?:(?P<h>\d+(?:\.\d+)?)\s*h)?\s*(?:(?P<m>\d+(?:\.\d+)?)\s*m)?\s*(?:(?P<s>\d+(?:\.\d+)?)\s*s?)?", re.ASCII
)


def parse_seconds(duration: float | str) -> float:
    """Read seconds, or a text such as 90s, 10m or 1h30m, into seconds; raises an InvalidValueError.

    >>> [parse_seconds(duration) for duration in (90, "90s", "10m", "1h30m", "1.5 h")]
    [90.0, 90.0, 600.0, 5400.0, 5400.0]
    """
    if isinstance(duration, str):
        found = _DURATION.fullmatch(duration.strip())
        parts = (found["h"], found["m"], found["s"]) if found else ()
        seconds = sum(float(part or 0) * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))
    else:
        seconds = float(duration)
    if not (math.isfinite(seconds) and seconds > 0):
        hint = "accepted: seconds above 0, or a text such as 90s, 10m or 1h30m"
        raise InvalidValueError(f"is {format_value(duration)}", hint)
    return seconds


def format_seconds(seconds: float) -> str:
    """Write a duration as `parse_seconds` reads it, rounded up.

    >>> [format_seconds(seconds) for seconds in (0.5, 75, 121, 600, 3661)]
    ['1s', '75s', '2m10s', '10m', '1h2m']
    """
    if seconds < 100:
        return f"{math.ceil(seconds)}s"
    # The longer it is, the less a little more of it matters.
    step = 10 if seconds < 600 else 60
    minutes, left = divmod(math.ceil(seconds / step) * step, 60)
    hours, minutes = divmod(minutes, 60)
    return "".join(f"{count}{unit}" for count, unit in ((hours, "h"), (minutes, "m"), (left, "s")) if count)
