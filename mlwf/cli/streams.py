"""Standard output and error: whatever their encoding and whoever closed them, what can be printed is printed."""

from __future__ import annotations

import codecs
import io
import os
import sys
from pathlib import Path

from mlwf.text import cut_inside, printable

REPLACED = "mlwf.replaced"
"""Name of the error handler for characters that an encoding lacks."""
ALIKE = {"–": "-", "—": "-", "×": "x", "±": "+-", "…": "...", "✅": "", "❌": ""}
"""Characters of our own, and what stands for them; others are escaped."""
STDOUT = "standard output"
LONGEST_LINE = 1300
"""Of a message; the parts of which it is made are cut shorter."""


def prepare_streams() -> None:
    """Open the streams that the caller has closed, and let none raise for a character that its encoding lacks."""
    codecs.register_error(REPLACED, _replaced)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # as in `mlwf runs 2>&-`
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=REPLACED)


def can_encode(text: str) -> bool:
    """Tell whether stdout has all characters of a text."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def encoded(text: str) -> str:
    """Write a text in the characters that stdout has."""
    encoding = sys.stdout.encoding or "ascii"
    return text.encode(encoding, REPLACED).decode(encoding)


def write(text: str) -> None:
    """Write text to stdout as it is."""
    try:
        sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has seen enough, as in `mlwf runs | head -1`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        error.filename = error.filename or STDOUT
        raise


def write_line(line: str) -> None:
    """Write one line, in which names and paths stand, to stdout."""
    write(cut_inside(printable(line), LONGEST_LINE))


def say(message: str) -> None:
    """Write a message of one or more lines to stderr."""
    lines = [cut_inside(printable(line), LONGEST_LINE) for line in message.split("\n")]
    try:
        sys.stderr.write("\n".join(lines) + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        pass  # nobody listens; the exit code still tells


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(ALIKE.get(each, each.encode("unicode_escape").decode("ascii")) for each in lacking), error.end
