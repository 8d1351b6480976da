"""What can go wrong, as a tree; each error knows the exit code of the command that meets it.

    MlwfError                 1  the run failed for a reason that the message explains
    ├── UsageError            2  the command line is wrong
    ├── ConfigError           2  the experiment file is wrong: every problem, in file order
    ├── DataError             2  the data cannot be used as the experiment file says
    │   └── DataUnreachableError  1  the object store that holds it does not answer
    ├── FitError              1  an estimator could not be fitted; the one error that a step may be left out for
    │   ├── SplitError        1  rows cannot be split as asked
    │   └── TimeUpError       1  there was no time left for a fit
    ├── MetricError           1  a metric is not defined for predictions like these
    ├── FeatureStoreError     1  the feature store is unreachable or does not hold what was asked
    ├── TrackingError         1  the tracking store is unreachable or refuses
    ├── SeveralErrors         1  several of these at once
    └── RunNotFoundError      2  no run of that name, here or on the tracking server

An error in the command line, the config or the data is also a ValueError, as a caller from Python expects.
Any other exception is a bug of mlwf, or what a library raised: `raise_if_bug` tells the two apart.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass

from mlwf.text import LONGEST_MESSAGE, cut_inside, format_name, format_place, printable, redact

LONGEST_KEY = 100
LONGEST_PROBLEM = 320
LONGEST_COMPARED = 1000
"""Of a name that is compared with others: to compare takes time that grows with the square."""


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
    at_key: bool = False
    """Whether the key is wrong rather than its value."""
    config_key: str = ""
    """Dotted key of the experiment file that is at fault, where `key` is a column."""
    message_at_config_key: str = ""
    """The message of a problem that is located at `config_key`, where it need not name that key."""

    def __str__(self) -> str:
        place = f"{format_place(self.where)}  " if self.where else ""
        subject = f"{format_name(self.key, LONGEST_KEY)}: " if self.key else ""
        # Before they are cut: what is left of an address must not hold its password.
        message, hint = printable(redact(self.message)), printable(redact(self.hint))
        line = f"{place}{subject}{cut_inside(message, LONGEST_PROBLEM)}"
        return f"{line}; {cut_inside(hint, LONGEST_MESSAGE)}" if self.hint else line


@dataclass(frozen=True)
class Refusal:
    """Why a key or a value is not accepted, wherever it is written."""

    message: str
    """What is wrong."""
    hint: str = ""
    """What is accepted instead; may be empty."""
    at_key: bool = False
    """Whether the key is wrong rather than its value."""
    suggests: bool = False
    """Whether the hint names what may have been meant, and so gives away what is written."""

    @classmethod
    def of_name(cls, message: str, name: str, accepted: Iterable[str], *, at_key: bool = False) -> Refusal:
        """Refuse a name that is none of the accepted ones, with the nearest of them or all as hint."""
        names = list(accepted)
        return cls(message, nearest(name, names), at_key, suggests=closest(name, names) is not None)


class InvalidValueError(ValueError):
    """A value that a section of an experiment does not accept: it becomes a problem of an experiment, or pydantic's."""

    def __init__(self, message: str, hint: str = "", *, key: str = "") -> None:
        text = f"{key}: {message}" if key else message
        super().__init__(f"{text}; {hint}" if hint else text)
        self.message = message
        self.hint = hint
        self.key = key
        """The field that is at fault, when the value is a whole section."""


class MlwfError(Exception):
    """Something a user can mend; its message never has the login of an address."""

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(redact(message))

    def __str__(self) -> str:
        return printable(super().__str__())


def problems_of(error: MlwfError) -> tuple[Problem, ...]:
    """Give what an error tells, problem by problem."""
    return error.problems if isinstance(error, _Problems) else (Problem("", "", str(error)),)


class UsageError(MlwfError, ValueError):
    """The command line is wrong."""

    exit_code = 2


class _Problems(MlwfError, ValueError):
    """Several problems, reported at once."""

    exit_code = 2

    def __init__(self, problems: Problem | str | Iterable[Problem]) -> None:
        if isinstance(problems, str):
            problems = Problem(where="", key="", message=problems)
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


class SeveralErrors(_Problems):
    """What ended several things, none of which was the experiment file's or the data's fault."""

    exit_code = 1


class ConfigError(_Problems):
    """The experiment file is wrong; `problems` holds all that was found, in file order."""


class DataError(_Problems):
    """The data cannot be used as the experiment file says; `problems` holds all that was found."""


class DataUnreachableError(DataError):
    """The object store of a path does not answer, or not as it should."""

    exit_code = 1


class FitError(MlwfError):
    """An estimator could not be fitted: with `on_error: degrade` a run goes on without the step that asked for it."""


class SplitError(FitError, ValueError):
    """Rows cannot be split as asked."""


class TimeUpError(FitError):
    """There was no time left for a fit."""


class MetricError(MlwfError, ValueError):
    """A metric is not defined for predictions like these."""


class FeatureStoreError(MlwfError):
    """The feature store is unreachable or does not hold what was asked of it."""


class TrackingError(MlwfError):
    """The tracking store is unreachable or refuses what was asked of it; `reason` says why, without its address."""

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = message if reason is None else reason


class RunNotFoundError(UsageError):
    """No run of that name, neither here nor on the tracking server."""


MISUSE = (AttributeError, NameError, TypeError)
"""Errors by which Python's own library refuses a wrong call; by others it refuses what a text or file holds."""


def raise_if_bug(error: Exception) -> None:
    """Raise `error` again when it is a bug of mlwf: a line of mlwf raised it, or a wrong call of Python's own library.

    Call it first in each handler for the errors of other libraries: what scikit-learn raises for a user's parameters
    or rows, or MLflow for a store, has no type in common. An MlwfError, a machine without memory or disk space, and a
    warning that the user made an error, are no bugs.
    """
    modules = []
    place = error.__traceback__
    while place is not None:
        modules.append(str(place.tb_frame.f_globals.get("__name__", "")))
        place = place.tb_next
    is_misuse = False
    while modules and _package(modules[-1]) in sys.stdlib_module_names:
        modules.pop()
        is_misuse = True
    is_ours = bool(modules) and _package(modules[-1]) == "mlwf"
    if is_misuse and not isinstance(error, MISUSE):
        return
    if is_ours and not isinstance(error, MlwfError | MemoryError | OSError | Warning):
        raise error


def _package(module: str) -> str:
    return module.partition(".")[0]


def nearest(name: str, accepted: Iterable[str]) -> str:
    """Say the accepted name nearest to `name`, or list what is accepted.

    >>> nearest("isotoni", ["sigmoid", "isotonic"])
    'did you mean isotonic?'
    >>> nearest("zzz", ["sigmoid", "isotonic"])
    'accepted: isotonic, sigmoid'
    """
    names = sorted(set(accepted))
    close = closest(name, names)
    return f"accepted: {', '.join(map(format_name, names))}" if close is None else f"did you mean {format_name(close)}?"


def closest(name: str, accepted: Iterable[str]) -> str | None:
    """Give the accepted name that `name` may stand for; None when it is like none of them."""
    from difflib import get_close_matches

    close = get_close_matches(name[:LONGEST_COMPARED], sorted(set(accepted)), n=1, cutoff=0.6)
    return close[0] if close else None
