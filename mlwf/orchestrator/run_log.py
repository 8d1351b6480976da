"""The log of a run in its folder: its own lines, whatever else goes on in this process."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from mlwf.addresses import redact
from mlwf.config import Document
from mlwf.modules.runs import RunFolder
from mlwf.shared_state import SharedState
from mlwf.text import LineFormatter

LAYOUT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

_current: ContextVar[RunFolder | None] = ContextVar("run", default=None)
"""The run that a line of the log is of."""


@contextmanager
def logging_to_folder(folder: RunFolder | None, document: Document | None) -> Iterator[LogFile | None]:
    """Write what is logged meanwhile to the folder of a run, without what came from the environment."""
    if folder is None:
        yield None
        return
    handler = LogFile(folder.log_file)
    handler.setFormatter(LineFormatter(LAYOUT, document.conceal if document else redact))
    handler.setLevel(logging.INFO)
    # Of runs at the same time each has its own log; a thread that a library has started belongs to nobody.
    handler.addFilter(lambda record: _current.get() in (None, folder))
    ours, token = logging.getLogger("mlwf"), _current.set(folder)
    with _LEVEL.held():
        ours.addHandler(handler)
        try:
            yield handler
        finally:
            ours.removeHandler(handler)
            handler.close()
            _current.reset(token)


@contextmanager
def _logging_enough() -> Iterator[None]:
    ours = logging.getLogger("mlwf")
    level = ours.level
    if level == logging.NOTSET:
        # Nobody has said how much to log, and Python's default drops what the run's own log is for.
        ours.setLevel(logging.INFO)
    try:
        yield
    finally:
        ours.setLevel(level)


_LEVEL = SharedState(_logging_enough)


class LogFile(logging.FileHandler):
    """The run's log; a disk that takes no more of it does not stop the run."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace", delay=True)
        self.trouble: str | None = None
        """Why the first line of those that could not be written was not."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            super().emit(record)
        except OSError:  # it is opened by the first record
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Keep why a record could not be written; what is no fault of the disk is Python's to tell."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif self.trouble is None:
            self.trouble = f"{self.baseFilename}: the log cannot be written: {error.strerror or error}"

    def close(self) -> None:
        """Close the file, whatever is left to be written."""
        with suppress(OSError):
            super().close()
