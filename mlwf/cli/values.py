"""Values of options and arguments, without pydantic where there is nothing to judge."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from enum import EnumType
from functools import partial
from pathlib import Path
from typing import Any, get_args, get_origin


def take_plainly(params: Iterable[Any]) -> None:
    """Let parameters take by themselves what typer would take as it is; the rest, and every message, stays typer's.

    Typer has each value converted by pydantic, and importing that takes longer than all else that `summary` does.
    """
    for param in params:
        if hasattr(param, "type_descriptor"):  # an older typer has none, and does without pydantic
            param.process_value = partial(_process_value, param, param.process_value)


def _process_value(param: Any, judged: Callable[[Any, Any], Any], ctx: Any, value: Any) -> Any:
    taken = _taken(value, param.type_descriptor.annotation)
    if taken is None and (param.required or value is not None):
        return judged(ctx, value)
    return param.callback(ctx, param, taken) if param.callback else taken


def _taken(value: Any, kind: Any) -> Any:
    """Convert a value; None where it is typer's to judge."""
    if not value:
        return None
    if get_origin(kind) is list:
        items = [_taken(item, *get_args(kind)) for item in value]
        return None if None in items else items
    if kind is str:
        return value
    if kind is Path:
        return Path(value) if os.access(value, os.R_OK) else None
    if isinstance(kind, EnumType):
        choices: list[Any] = [*kind]
        return next((choice for choice in choices if choice.value == value), None)
    return None
