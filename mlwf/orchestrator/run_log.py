"""The log of a run in its folder: its own lines, whatever else goes on in this process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from mlwf.config import Document
from mlwf.modules.runs import RunFolder
from mlwf.shared_state import SharedState

_current: ContextVar[RunFolder | None] = ContextVar("run", default=None)
"""The run that a line of the log is of."""


@contextmanager
def logging_to_folder(folder: RunFolder | None, document: Document | None) -> Iterator[None]:
    """Write what is logged meanwhile to the folder of a run, without what came from the environment."""
    if folder is None:
        yield
        return
    handler = logging.FileHandler(folder.log_file, encoding="utf-8", delay=True)
    handler.setFormatter(_Formatter(document))
    handler.setLevel(logging.INFO)
    # Of runs at the same time each has its own log; a thread that a library has started belongs to nobody.
    handler.addFilter(lambda record: _current.get() in (None, folder))
    ours, token = logging.getLogger("mlwf"), _current.set(folder)
    with _LEVEL.held():
        ours.addHandler(handler)
        try:
            yield
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


class _Formatter(logging.Formatter):
    """Writes the run's log, without what came from the environment."""

    def __init__(self, document: Document | None) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._document = document

    def format(self, record: logging.LogRecord) -> str:
        """Write a line."""
        line = super().format(record)
        return self._document.conceal(line) if self._document else line
