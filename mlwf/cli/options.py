"""What the commands add to typer's: help in our words, plain values of options, and how a table is read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from enum import EnumType
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

from typer.core import TyperCommand, TyperGroup

from mlwf.errors import UsageError, nearest
from mlwf.specs.field_docs import field_docs

if TYPE_CHECKING:
    from datetime import datetime

AGO = {"h": "hours", "d": "days", "w": "weeks"}
"""What stands behind a number of them."""


class Group(TyperGroup):
    """The `mlwf` command group."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line up to the command."""
        skip_pydantic(self.get_params(ctx))
        return super().parse_args(ctx, args)


class Command(TyperCommand):
    """A command whose help names its arguments as its usage does, without braces and Python's types."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line."""
        skip_pydantic(self.get_params(ctx))
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """List the words of the usage line."""
        return [piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then the options."""
        parameters: list[Any] = [*self.get_params(ctx)]
        arguments = [(param.metavar, param.help) for param in parameters if param.param_type_name == "argument"]
        options = [param.get_help_record(ctx) for param in parameters if param.param_type_name == "option"]
        for title, records in {"Arguments": arguments, "Options": options}.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """List the sections of an experiment file, for a command that takes one, in the words of its spec."""
        parameters: list[Any] = [*self.get_params(ctx)]
        if any(param.metavar in {"CONFIG", "CONFIG..."} for param in parameters):
            # From its source: the help need not wait for pydantic.
            sections = field_docs("mlwf.specs.experiment", "ExperimentSpec")
            with formatter.section("The sections of CONFIG, of which only data is required"):
                formatter.write_dl([*sections.items()])


def skip_pydantic(params: Iterable[Any]) -> None:
    """Convert plain values ourselves, and leave the rest, and every message, to typer.

    Typer has each value converted by pydantic, and importing that takes longer than all else that `summary` does.
    """
    for param in params:
        if hasattr(param, "type_descriptor"):  # an older typer has none, and does without pydantic
            param.process_value = partial(_process_value, param, param.process_value)


def _process_value(param: Any, convert: Callable[[Any, Any], Any], ctx: Any, value: Any) -> Any:
    taken = _taken(value, param.type_descriptor.annotation)
    if taken is None and (param.required or value is not None):
        return convert(ctx, value)
    return param.callback(ctx, param, taken) if param.callback else taken


def _taken(value: Any, kind: Any) -> Any:
    """Convert a value; None where typer must convert it."""
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


def read_moment(option: str, text: str) -> datetime:
    """Read a moment: a date, a date and time of here or with a zone, or how long ago it is, as in `30d`.

    Raises UsageError for another text.
    """
    from datetime import UTC, datetime, timedelta

    count, unit = text[:-1], AGO.get(text[-1:])
    try:
        if count.isdecimal() and unit:
            return datetime.now(UTC) - timedelta(**{unit: int(count)})
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        accepted = "accepted: 2026-11-28, 2026-11-28T06:50, or 12h, 30d, 8w for so long ago"
        raise UsageError(f"{option} {text}: is no moment; {accepted}") from None


def read_options(options: Sequence[str]) -> dict[str, Any]:
    """Read `KEY=VALUE` each, as behind `--read`, into fields of a ReadSpec; `na_values` may be repeated.

    Raises
    ------
    UsageError
        When a key is none of ReadSpec's, or its value is not accepted.
    """
    from pydantic import ValidationError

    from mlwf.config.parsing import scalar
    from mlwf.specs.data import ReadSpec

    fields: dict[str, Any] = {}
    for option in options:
        key, equals, text = option.partition("=")
        if key not in ReadSpec.model_fields:
            raise UsageError(f"--read {key}: unknown key; {nearest(key, ReadSpec.model_fields)}")
        if not equals:
            raise UsageError(f"--read {key}: has no value; write --read {key}=VALUE")
        if key == "na_values":
            fields.setdefault(key, []).append(text)
        else:
            fields[key] = scalar(text) if key == "keep_default_na" else text.replace("\\t", "\t")
        try:
            ReadSpec(**fields)
        except ValidationError as error:
            found = error.errors(include_url=False)[0]
            # What a validator of ours raised, or what pydantic says.
            reason = str(found.get("ctx", {}).get("error") or found["msg"])
            raise UsageError(f"--read {key}: {reason[:1].lower()}{reason[1:]}") from None
    return fields
