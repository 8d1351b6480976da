"""The one error boundary: what goes wrong becomes one message and the exit code of the contract."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import typer

from mlwf.cli.display import STDOUT, prepare_streams, write_annotation, write_error
from mlwf.cli.failures import FAILED, OUR_BUG, describe_failure, github_annotations
from mlwf.errors import closest
from mlwf.object_stores import remove_copies
from mlwf.processes import STRAGGLERS
from mlwf.text import LONGEST_MESSAGE, cut_inside, one_line, redact

WRONG_USAGE, INTERRUPTED, TERMINATED = 2, 130, 143
CONTINUED = (["train"], ["push"])
"""Commands that do not begin anew where they were interrupted."""


class Terminated(BaseException):
    """SIGTERM came; not an Exception, so that nothing on the way mistakes it for a failure."""

    def __str__(self) -> str:
        return "terminated"


def main() -> NoReturn:
    """Run the command that was typed, and exit."""
    signal.signal(signal.SIGTERM, _terminate)
    # A shell starts background jobs with SIGINT ignored; `kill -INT` must end those as well.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    prepare_streams()
    # What is imported stays: to look through it for garbage every 700 objects takes a tenth of a small run.
    gc.set_threshold(10_000, 10, 10)
    # pydantic would look through everything that is installed for plugins; a command's start cannot wait for that.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
    code = run(sys.argv[1:])
    if code in {INTERRUPTED, TERMINATED} or any(thread.is_alive() for thread in STRAGGLERS):
        # Fits that still run in threads cannot be interrupted and would be waited for; all is written down already.
        remove_copies()
        os._exit(code)
    # The interpreter looks through all that was imported for garbage twice before it ends: a tenth of a small run.
    gc.freeze()
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run a command and give its exit code; every message goes to stderr."""
    code = _run(arguments)
    try:
        # Here and not at the interpreter's end, where a full disk would be met without a handler.
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code or _fail(f"mlwf: {STDOUT}: {error.strerror}", FAILED)
    return code


def _run(arguments: Sequence[str]) -> int:
    from mlwf.cli.commands import app

    try:
        # Typer gives what a command returns, and the code of typer.Exit.
        code = app(args=list(arguments), prog_name="mlwf", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Terminated:
        return _fail(_ended("terminated", arguments), TERMINATED)
    except Exception as error:
        if isinstance(error, _CommandLineError):
            usage = _usage(error)
            return _fail(usage if usage.startswith("Usage:") else cut_inside(usage, LONGEST_MESSAGE), WRONG_USAGE)
        if failure := describe_failure(error):
            for annotation in github_annotations(error):
                write_annotation(annotation)
            return _fail(*failure)
        return _fail(_saved_traceback(error), OUR_BUG)
    if code == INTERRUPTED:  # typer catches the interrupt first
        return _fail(_ended("interrupted", arguments), INTERRUPTED)
    return code if isinstance(code, int) else 0


# Typer exports BadParameter, and not its base class.
_CommandLineError: Any = typer.BadParameter.__mro__[2]


def _terminate(signum: int, frame: Any) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Terminated


def _ended(how: str, arguments: Sequence[str]) -> str:
    return f"{how}; the same command continues it" if arguments[:1] in CONTINUED else how


def _fail(message: str, code: int) -> int:
    write_error(redact(message))
    return code


def _usage(error: Any) -> str:
    """Describe what is wrong with the command line: typer's words, in our form."""
    message: str = error.format_message().removesuffix(".")
    if message.startswith("Usage:"):
        return f"{message}."
    message = f"{message[0].lower()}{message[1:]}".replace("Value error, ", "")
    message, _, meant = message.partition(". Did you mean ")
    if possible := getattr(error, "possibilities", None):
        message = message.partition(" (Possible")[0]
        meant = f"{closest(error.option_name, possible) or possible[0]}?"
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "mlwf"
    hint = f"did you mean {meant}" if meant else f"`{command} --help` shows what is accepted"
    return f"{command}: {message}; {hint}"


def _saved_traceback(error: Exception) -> str:
    import tempfile
    import traceback

    summary = "".join(traceback.format_exception_only(error)).strip().splitlines()[0]
    text = redact(f"{sys.version}\n{sys.argv}\n\n{''.join(traceback.format_exception(error))}")
    bug = f"mlwf: {one_line(redact(summary))}\nThis is a bug in mlwf; please report it with the traceback"
    try:
        handle, path = tempfile.mkstemp(prefix="mlwf-traceback-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError:  # no room for a file: it must be seen here
        return f"{bug}:\n{text}"
    return f"{bug} in {path}"
