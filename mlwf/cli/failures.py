"""What ended a command, as a message and an exit code; and as annotations of the files of a pull request."""

from __future__ import annotations

import errno
import os
import re
import sys
from pathlib import Path

from mlwf.cli.run_lookup import from_here
from mlwf.errors import MlwfError, Problem, problems_of
from mlwf.text import LONGEST_MESSAGE, cut_inside, format_place, printable, redact

FAILED, OUR_BUG = 1, 4
GATE_NOT_MET = 3
"""Exit code of a run that finished and does not meet a gate."""
SYSTEM_ERRNOS = {
    errno.EACCES, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ELOOP, errno.EMFILE, errno.ENAMETOOLONG, errno.ENFILE,
    errno.ENODEV, errno.ENOLCK, errno.ENOMEM, errno.ENOSPC, errno.ENXIO, errno.EPERM, errno.EROFS, errno.ESTALE,
}  # fmt: skip
"""Errors of the operating system that no change in mlwf would fix."""
PLACE = re.compile(r"(?P<file>.+):(?P<line>\d+):(?P<column>\d+)", re.DOTALL)
"""Where a problem of a file is."""


def describe_failure(error: Exception) -> tuple[str, int] | None:
    """Give the message and the exit code of an error; None for a bug of mlwf."""
    if isinstance(error, MlwfError):
        return _describe(error), error.exit_code
    if isinstance(error, MemoryError):
        return "mlwf: the memory of this machine does not suffice", FAILED
    if isinstance(error, OSError) and error.errno in SYSTEM_ERRNOS:
        where = f"{format_place(from_here(str(error.filename)))}: " if error.filename else ""
        return f"mlwf: {where}{error.strerror}", FAILED
    if isinstance(error, UnicodeEncodeError) and _is_of_file_names(error):
        name = format_place(str(error.object))
        return f"mlwf: {name}: file names are {error.encoding} here; PYTHONUTF8=1 makes them UTF-8", FAILED
    return None


def github_annotations(error: Exception) -> list[str]:
    """Write the problems that have a line and a column as annotations, where the command runs in GitHub Actions.

    https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
    """
    if os.environ.get("GITHUB_ACTIONS") != "true" or not isinstance(error, MlwfError):
        return []
    return [_annotation(place, problem) for problem in problems_of(error) if (place := PLACE.fullmatch(problem.where))]


def _annotation(place: re.Match[str], problem: Problem) -> str:
    file = Path(place["file"]).absolute()
    root = Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd())
    name = str(file.relative_to(root) if file.is_relative_to(root) else file)
    for character in "%\r\n:,":  # the first escapes the others
        name = name.replace(character, f"%{ord(character):02X}")
    message = printable(redact(str(Problem("", problem.key, problem.message, problem.hint)))).replace("%", "%25")
    return f"::error file={name},line={place['line']},col={place['column']}::{message}"


def _describe(error: MlwfError) -> str:
    """Write what went wrong, a line for each problem, with paths as seen from here."""
    problems = getattr(error, "problems", None)
    if problems is None:
        return cut_inside(from_here(str(error)), LONGEST_MESSAGE)
    return "\n".join(
        str(Problem(from_here(each.where), from_here(each.key), from_here(each.message), from_here(each.hint)))
        for each in problems
    )


def _is_of_file_names(error: UnicodeEncodeError) -> bool:
    """Tell whether a name could not be a file's, because the locale's encoding lacks a character."""
    ours = sys.getfilesystemencoding()
    return ours != "utf-8" and error.encoding == ours
