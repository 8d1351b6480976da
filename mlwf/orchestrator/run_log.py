"""The log of a run: its phases, its warnings, its file."""

from __future__ import annotations

import logging
import math
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

from mlwf.config import Document
from mlwf.modules.runs import RunFolder
from mlwf.processes import SharedState, handling_warnings
from mlwf.results import FitCounts, LeakSearch, PhasePlan, PhaseResult, Status
from mlwf.run_result import RunLogEntries, TimeLimit
from mlwf.text import LineFormatter, first_line, redact

logger = logging.getLogger("mlwf")
LAYOUT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_current: ContextVar[RunFolder | None] = ContextVar("run", default=None)
"""The run that a line of the log belongs to."""


@dataclass(frozen=True)
class Progress:
    """How far a run has come."""

    phase: str
    """Its name in the table of phases."""
    description: str
    """What the phase does, in words."""
    has_work: bool
    """Whether the phase has anything to do in this run."""
    done: int
    """Fits done."""
    planned: int
    """Fits that the run will make."""
    seconds: float
    """Since the run began."""
    remaining_seconds: float | None
    """What the fits that are left will take, each by its size, at the pace so far; None before the first."""
    columns_done: int = 0
    """Columns that the search for leaks has screened."""
    columns_planned: int = 0
    """Columns that it will screen; 0 in other phases."""


OnProgress = Callable[[Progress], None]


class RunLog:
    """Collects what each phase did, and reports progress to a callback."""

    def __init__(self, on_progress: OnProgress | None = None) -> None:
        self.phases: list[PhaseResult] = []
        self.warnings: list[str] = []
        self.plan: Sequence[PhasePlan] = ()
        self.counts = FitCounts()
        self.leak_search: LeakSearch | None = None
        """What the search for leaks looked at; None before it, and where it was not asked for."""
        self.time_limit: TimeLimit | None = None
        """How long the run may take; None where that is not limited."""
        self._on_progress = on_progress
        self._lock = threading.Lock()
        self._started = monotonic()
        self._fits_started: float | None = None
        self._phase, self._description = "", ""
        self._done = 0
        self._size_done = 0.0
        self._columns_done = 0

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return monotonic() - self._started

    @property
    def started(self) -> float:
        """Reading of `time.monotonic` when the run began."""
        return self._started

    @property
    def degraded(self) -> dict[str, str]:
        """The phases that degraded, and why."""
        return self.entries.degraded

    @property
    def entries(self) -> RunLogEntries:
        """What the log has by now."""
        return RunLogEntries(
            tuple(self.phases),
            replace(self.counts),
            tuple(self.warnings),
            self.leak_search,
            self.seconds,
            self.time_limit,
        )

    @contextmanager
    def phase(self, name: str, description: str) -> Iterator[PhaseStatus]:
        """Time a phase and record what became of it, also when it raises."""
        self._phase, self._description = name, description
        status, started, done = PhaseStatus(), monotonic(), self._done
        self._report()
        try:
            yield status
        except BaseException as error:
            status.status, status.reason = "failed", first_line(error)
            raise
        finally:
            self.phases.append(
                PhaseResult(name, status.status, status.reason, monotonic() - started, self._done - done)
            )

    def on_fit(self, size: float) -> None:
        """Count a fit that is done, and how large it was; called from the fitter's threads."""
        with self._lock:
            self._done += 1
            self._size_done += size
            self._report()

    def on_columns(self, done: int, planned: int) -> None:
        """Report how many columns are screened for leaks, of how many."""
        with self._lock:
            size = sum(phase.seconds for phase in self.plan if phase.columns)
            self._size_done += size * (done - self._columns_done) / planned
            self._columns_done = done
            self._report()

    def start_counting(self, counts: FitCounts) -> None:
        """Start the clock of the remaining time; `counts` are those of the fitter."""
        self._fits_started = monotonic()
        self.counts = counts

    def cut(self) -> None:
        """Note that in the phase of now there was no time for something."""
        limit = self.time_limit
        if limit is not None and self._phase not in limit.cut:
            self.time_limit = replace(limit, cut=(*limit.cut, self._phase))

    def warn(self, message: str) -> None:
        """Keep a warning for the summary, once."""
        if message not in self.warnings:
            self.warnings.append(message)
            logger.warning("%s", message)

    def warn_of(self, category: str, message: str) -> None:
        """Keep a Python warning."""
        self.warn(f"{category}: {first_line(message)}")

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Keep the Python warnings of libraries, such as a fit that did not converge, for the summary."""
        with handling_warnings(self.warn_of, is_hidden=True):
            yield

    def _report(self) -> None:
        if self._on_progress is None:
            return
        planned = max(sum(phase.fits for phase in self.plan), self._done)
        remaining = None
        if self._fits_started is not None and self._size_done:
            left = sum(phase.seconds for phase in self.plan) - self._size_done
            remaining = (monotonic() - self._fits_started) / self._size_done * max(0.0, left)
        if self.time_limit is not None:
            remaining = min(
                math.inf if remaining is None else remaining, max(0.0, self.time_limit.seconds - self.seconds)
            )
        plan = next((phase for phase in self.plan if phase.name == self._phase), None)
        has_work = plan is None or plan.asked > 0 or plan.columns > 0
        columns = (self._columns_done, plan.columns if plan else 0)
        counts = (has_work, self._done, planned, self.seconds, remaining, *columns)
        self._on_progress(Progress(self._phase, self._description, *counts))


class PhaseStatus:
    """What became of a phase: done, unless it was skipped or degraded."""

    status: Status = "done"
    reason: str | None = None

    def skip(self, reason: str) -> None:
        """Mark the phase as one that had nothing to do."""
        self.status, self.reason = "skipped", reason

    def degrade(self, reason: str) -> None:
        """Mark the phase as failed, where the run continues without what it was to give."""
        self.status, self.reason = "degraded", reason


@contextmanager
def logging_to_folder(folder: RunFolder | None, document: Document | None) -> Iterator[LogFile | None]:
    """Write what is logged meanwhile to the folder of a run, without what came from the environment."""
    if folder is None:
        yield None
        return
    handler = LogFile(folder.log_file)
    handler.setFormatter(LineFormatter(LAYOUT, document.redact if document else redact))
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
        """Keep why a record could not be written; Python reports what is no fault of the disk."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif self.trouble is None:
            self.trouble = f"{self.baseFilename}: the log cannot be written: {error.strerror or error}"

    def close(self) -> None:
        """Close the file, whatever is left to be written."""
        with suppress(OSError):
            super().close()


@contextmanager
def _logging_enough() -> Iterator[None]:
    ours = logging.getLogger("mlwf")
    level = ours.level
    if level == logging.NOTSET:
        # No level is set, and Python's default drops what the run's own log is for.
        ours.setLevel(logging.INFO)
    try:
        yield
    finally:
        ours.setLevel(level)


_LEVEL = SharedState(_logging_enough)
