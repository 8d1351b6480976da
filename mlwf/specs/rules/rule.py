"""What a rule is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.problems import SpecProblem


@dataclass(frozen=True)
class Rule:
    """A rule, and what it reads: dotted paths, where `*` is any item."""

    check: Callable[[ExperimentSpec], Iterator[SpecProblem]]
    reads: tuple[str, ...]
