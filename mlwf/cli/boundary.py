"""The one error boundary: what goes wrong becomes one message and the exit code of the contract."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import typer

from mlwf.errors import MlwfError

OUR_BUG, INTERRUPTED, TERMINATED = 4, 130, 143


class Terminated(BaseException):
    """SIGTERM came; not an Exception, so that nothing on the way mistakes it for a failure."""

    def __str__(self) -> str:
        return "terminated"


def main() -> NoReturn:
    """Run the command that was typed, and exit."""
    signal.signal(signal.SIGTERM, _terminate)
    # A shell starts background jobs with SIGINT ignored; `kill -INT` must end those as well.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code = run(sys.argv[1:])
    if code in {INTERRUPTED, TERMINATED}:
        # Fits that still run in threads cannot be interrupted and would be waited for; all is written down already.
        _flush()
        os._exit(code)
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run a command and give its exit code; every message goes to stderr."""
    from mlwf.cli.commands import app

    try:
        # Typer gives what a command returns, and the code of typer.Exit.
        code = app(args=list(arguments), prog_name="mlwf", standalone_mode=False)
    except MlwfError as error:
        return _say(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _say("interrupted; the same command starts it again", INTERRUPTED)
    except Terminated:
        return _say("terminated; the same command starts it again", TERMINATED)
    except BrokenPipeError:
        # Whoever read the output has seen enough, as in `mlwf runs | head -1`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if isinstance(error, _CommandLineError):
            return _say(_usage(error), 2)
        return _say(_saved_traceback(error), OUR_BUG)
    return code if isinstance(code, int) else 0


# Typer's own errors have a private home and a public descendant.
_CommandLineError: Any = typer.BadParameter.__mro__[2]


def _terminate(signum: int, frame: Any) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Terminated


def _say(message: str, code: int) -> int:
    sys.stderr.write(f"{message}\n")
    return code


def _usage(error: Any) -> str:
    context = getattr(error, "ctx", None)
    hint = f"; `{context.command_path} --help` shows what is accepted" if context else ""
    return f"mlwf: {error.format_message().rstrip('.')}{hint}"


def _saved_traceback(error: Exception) -> str:
    text = "".join(traceback.format_exception(error))
    handle, path = tempfile.mkstemp(prefix="mlwf-traceback-", suffix=".txt")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(f"{sys.version}\n{sys.argv}\n\n{text}")
    summary = "".join(traceback.format_exception_only(error)).strip().splitlines()[0]
    return f"mlwf: this is a bug in mlwf, please report it with {Path(path)}\n{summary}"


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            pass
