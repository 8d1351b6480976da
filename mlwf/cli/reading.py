"""The options by which a command is told how a table is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from mlwf.config.scalars import scalar
from mlwf.errors import UsageError, nearest
from mlwf.specs.data import ReadSpec


def read_options(options: Sequence[str]) -> dict[str, Any]:
    """Read `KEY=VALUE` each, as behind `--read`, into fields of a ReadSpec; `na_values` may be repeated.

    Raises
    ------
    UsageError
        When a key is none of ReadSpec's, or its value is not accepted.
    """
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
            reason = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
            raise UsageError(f"--read {key}: {reason[:1].lower()}{reason[1:]}") from None
    return fields
