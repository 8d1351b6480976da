"""What can go wrong, as a tree; each error knows the exit code of the command that meets it.

    MlwfError                 1  the run failed for a reason that the message explains
    ├── UsageError            2  the command line is wrong
    ├── ConfigError           2  the experiment file is wrong: every problem, in file order
    ├── DataError             2  the data cannot be used as the experiment file says
    ├── FitError              1  an estimator could not be fitted
    ├── FeatureStoreError     1  the feature store is unreachable or does not hold what was asked
    ├── TrackingError         1  the tracking store is unreachable or refuses
    └── RunNotFoundError      2  no run of that name, here or on the tracking server

An error in the command line, the config or the data is also a ValueError, as a caller from Python expects.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mlwf.addresses import redact


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where it is written, what it concerns, what is accepted instead."""

    where: str
    """`file:line:column`, the option (`--set model.algorithm`), or the data file."""
    key: str
    """Dotted key or column the problem concerns; may be empty."""
    message: str
    """What is wrong, with what was got."""
    hint: str = ""
    """What is accepted, or the nearest name: one line, may be empty."""

    def __str__(self) -> str:
        subject = f"{self.key}: " if self.key else ""
        line = f"{self.where}  {subject}{self.message}" if self.where else f"{subject}{self.message}"
        return redact(f"{line}; {self.hint}" if self.hint else line)


class MlwfError(Exception):
    """Something a person can mend; the message says what, and never the login of an address."""

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(redact(message))


class UsageError(MlwfError, ValueError):
    """The command line is wrong."""

    exit_code = 2


class _Problems(MlwfError, ValueError):
    """Several problems that are told at once."""

    exit_code = 2

    def __init__(self, problems: Problem | str | Iterable[Problem]) -> None:
        if isinstance(problems, str):
            problems = Problem(where="", key="", message=problems)
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class ConfigError(_Problems):
    """The experiment file is wrong; `problems` holds all that was found, in file order."""


class DataError(_Problems):
    """The data cannot be used as the experiment file says; `problems` holds all that was found."""


class FitError(MlwfError):
    """An estimator could not be fitted."""


class FeatureStoreError(MlwfError):
    """The feature store is unreachable or does not hold what was asked of it."""


class TrackingError(MlwfError):
    """The tracking store is unreachable or refuses what was asked of it."""


class RunNotFoundError(UsageError):
    """No run of that name, neither here nor on the tracking server."""


def nearest(name: str, accepted: Iterable[str]) -> str:
    """Say the accepted name nearest to `name`, or list what is accepted.

    >>> nearest("isotoni", ["sigmoid", "isotonic"])
    'did you mean isotonic?'
    >>> nearest("zzz", ["sigmoid", "isotonic"])
    'accepted: isotonic, sigmoid'
    """
    from difflib import get_close_matches

    names = sorted(set(accepted))
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"accepted: {', '.join(names)}"
