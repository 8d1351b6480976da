"""What is said of an experiment once its rows are counted: what a search will try, and what a faster model is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlwf.config import dotted
from mlwf.orchestrator.context import RunContext
from mlwf.specs.catalogue import ALGORITHMS
from mlwf.specs.default_search import PREFIX
from mlwf.specs.experiment import ExperimentSpec
from mlwf.text import format_value

MANY_ROWS = 10_000
"""Rows from which on a faster algorithm is named."""
SHORT = 80
"""Most characters of what is tried of one parameter."""


def describe_default_spaces(context: RunContext, written: ExperimentSpec) -> Iterator[str]:
    """Say what searches that name no parameters try, and where that is from; `written` is the spec before."""
    for before, after in zip(written.model_sections, context.spec.model_sections, strict=True):
        info = ALGORITHMS.get(after.model.algorithm)
        if after.tuning is before.tuning or after.tuning is None or info is None or info.search_space is None:
            continue
        tried = ", ".join(_tried(name, values) for name, values in after.tuning.space[0].items())
        yield f"{dotted(after.tuning_path)}: tries {tried}; after {info.search_space.source}"


def _tried(name: str, values: Any) -> str:
    """Write what is tried of a parameter: `learning_rate loguniform [0.01, 0.3]`."""
    kind, ends = next(iter(values.items())) if isinstance(values, Mapping) else ("", values)
    return " ".join(filter(None, [name.removeprefix(PREFIX), kind, format_value(ends, SHORT)]))


def describe_faster_algorithms(context: RunContext) -> Iterator[str]:
    """Name algorithms that do the same in a fraction of the time, where there are many rows."""
    n_rows = len(context.split.train)
    for section in context.spec.model_sections if n_rows >= MANY_ROWS else ():
        info = ALGORITHMS.get(section.model.algorithm)
        if info is not None and info.faster is not None:
            message = f"on {n_rows:,} rows {section.model.algorithm} takes several times as long as {info.faster}"
            yield f"{dotted((*section.path, 'algorithm'))}: {message}"
