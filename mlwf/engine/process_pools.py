"""Where fits run: in threads of this process, or in processes of this machine that share their tables in memory."""

from __future__ import annotations

import ctypes
import errno
import os
import queue
import re
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, Protocol

import joblib

SHARED_MEMORY = Path("/dev/shm")
"""A file system in memory, where the system has one."""
ROOM_BYTES = 2_000_000_000
"""With less room in shared memory, values go to the folder for temporary files; joblib draws the same line."""

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""Variables that set how many threads a numerical library starts with."""

FEEDER = "QueueFeederThread"
"""What multiprocessing and loky name the thread that feeds the workers of an executor."""
FEEDER_SECONDS = 0.2
"""How long to wait for such a thread: one that feeds somebody else's executor does not end."""

_opened: dict[Path, Any] = {}
"""What this process has mapped."""


class WorkerLostError(Exception):
    """A worker ended in the middle of a task, and again when the task was tried alone; the message has why."""


class CallInterruptedError(Exception):
    """The pool was asked to end a call before it was done."""


class Pool(Protocol):
    """Runs tasks, several at the same time."""

    slots: int
    """Tasks at the same time."""

    def share(self, value: Any) -> Any:
        """Make a value reach each worker at most once; gives the handle that stands for it among a task's arguments."""

    def free(self, handle: Any) -> None:
        """Give up a shared value that no task needs any more."""

    def run(self, function: Callable[..., Any], /, *args: Any) -> Any:
        """Call a function in a worker and wait for what it returns; handles reach it as their values.

        It may be called from `slots` threads at the same time. What is sent may be sent again: a task whose worker is
        lost is tried once more.

        Raises
        ------
        Exception
            Whatever the function raises.
        WorkerLostError
            When two workers ended in the middle of it.
        CallInterruptedError
            When another thread has called `interrupt`.
        CancelledError
            When the pool is closed.
        """

    def interrupt(self, thread: int) -> None:
        """End what the thread with that identifier has called, if anything; where that is not possible it goes on."""

    def close(self, *, wait: bool = True) -> None:
        """End the workers; without `wait` within a second, even in the middle of tasks."""


class _Interrupted(BaseException):
    """Raised in a thread by another one; not an Exception, so that no library takes it for a failure."""


class ThreadPool:
    """Runs each task in the calling thread: nothing is started, copied or lost."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._is_closed = False
        self._calls: dict[int, bool] = {}
        """Whether the call of each thread is interrupted."""
        self._lock = threading.Lock()

    def share(self, value: Any) -> Any:
        """Give the value itself: threads see it anyway."""
        return value

    def free(self, handle: Any) -> None:
        """Do nothing."""

    def run(self, function: Callable[..., Any], /, *args: Any) -> Any:
        """Call a function here and now."""
        if self._is_closed:
            raise CancelledError("the pool is closed")
        thread, is_raised = threading.get_ident(), False
        try:
            try:
                with self._lock:
                    self._calls[thread] = False
                return function(*args)
            except _Interrupted:
                is_raised = True
                raise
            finally:
                with self._lock:
                    is_interrupted = self._calls.pop(thread, False)
                # What was raised here must be caught here, and not later in something else.
                for _ in range(RAISING_STEPS if is_interrupted and not is_raised else 0):
                    time.sleep(0.001)
        except _Interrupted:
            self._calls.pop(thread, None)
            raise CallInterruptedError from None

    def interrupt(self, thread: int) -> None:
        """Raise an error in what a thread has called.

        Compiled code does not notice before it returns: most fits call it for a tree, a round or an iteration, some for
        the whole of the fit.
        """
        with self._lock:
            if self._calls.get(thread) is False:
                self._calls[thread] = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(_Interrupted))

    def close(self, *, wait: bool = True) -> None:
        """Take no further task; threads cannot be ended."""
        self._is_closed = True


RAISING_STEPS = 100
"""After how many steps of Python at most an error that was raised in a thread has been raised there."""


class ProcessPool:
    """Runs tasks in processes of this machine, each started when a task first needs it.

    Each process has an executor of its own. loky breaks an executor when one of its processes is killed, and
    so no task is lost but the one that the process was at.
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._is_closed = False
        self._lock = threading.Lock()
        self._second_tries = threading.Lock()
        self._files = SharedFiles()
        self._executors: set[Executor] = set()
        self._calls: dict[int, Executor] = {}
        """Where the call of each thread runs."""
        self._interrupted: set[int] = set()
        # Those that are started lie on top: a new process is started only when all are at work.
        self._idle: queue.LifoQueue[Executor | None] = queue.LifoQueue()
        for _ in range(slots):
            self._idle.put(None)

    def share(self, value: Any) -> Shared:
        """Write a value that can be pickled to a file, whose arrays the workers map into their memory read-only."""
        return self._files.put(value)

    def free(self, handle: Shared) -> None:
        """Remove the file of a shared value; each worker lets go of it when it begins its next task."""
        handle.path.unlink(missing_ok=True)

    def run(self, function: Callable[..., Any], /, *args: Any) -> Any:
        """Call a function in a worker; when that is killed, once more in a new one."""
        from loky.process_executor import TerminatedWorkerError

        with self._lock:
            self._interrupted.discard(threading.get_ident())
        try:
            return self._try(function, args)
        except TerminatedWorkerError as error:
            first = _how_it_ended(error)
        # One at a time: when memory ran out, it was because several such tasks ran at once.
        with self._second_tries:
            try:
                return self._try(function, args)
            except TerminatedWorkerError as error:
                how = " and ".join(dict.fromkeys([first, _how_it_ended(error)]))
                raise WorkerLostError(f"its worker process ended twice in the middle of it: {how}") from error

    def interrupt(self, thread: int) -> None:
        """Kill the worker that does what a thread has called."""
        with self._lock:
            executor = self._calls.get(thread)
            if executor is not None:
                self._interrupted.add(thread)
        if executor is not None:
            _end(executor, kill=True)

    def close(self, *, wait: bool = True) -> None:
        """End the workers and remove what was shared."""
        with self._lock:
            self._is_closed = True
            executors = list(self._executors)
        if executors:
            with ThreadPoolExecutor(len(executors)) as closers:
                list(closers.map(lambda executor: _end(executor, kill=not wait), executors))
        self._files.clear()

    def _try(self, function: Callable[..., Any], args: Sequence[Any]) -> Any:
        from loky.process_executor import ShutdownExecutorError, TerminatedWorkerError

        thread, executor, future = threading.get_ident(), self._idle.get(), None
        try:
            executor = executor or self._start()
            with self._lock:
                self._calls[thread] = executor
            with interrupts_blocked():
                future = executor.submit(_call, function, args)
            return future.result()
        except (ShutdownExecutorError, TerminatedWorkerError) as error:
            if self._is_closed:
                raise CancelledError("the pool is closed") from error
            if thread in self._interrupted:
                future = None
                raise CallInterruptedError from None
            raise
        finally:
            with self._lock:
                self._calls.pop(thread, None)
            self._idle.put(self._kept(executor, future))

    def _start(self) -> Executor:
        from loky import ProcessPoolExecutor

        # Not above: a worker that starts would wait for scikit-learn before it can take anything.
        from mlwf.processes import cores

        threads = str(max(1, cores() // self.slots))
        environment = dict.fromkeys(THREADS, threads)
        # loky takes pages of mapped files for leaked memory, and would replace a worker that opens a large one.
        environment["LOKY_MAX_MEMORY_LEAK_SIZE"] = "1e18"
        executor: Executor = ProcessPoolExecutor(
            1, env=environment, initializer=_end_with, initargs=(os.getpid(), self._files.folders)
        )
        with self._lock:
            if self._is_closed:
                raise CancelledError("the pool is closed")
            self._executors.add(executor)
        return executor

    def _kept(self, executor: Executor | None, future: Any) -> Executor | None:
        from loky import BrokenProcessPool

        # An interrupt ends the wait for a task and not the task.
        is_broken = future is None or not future.done() or isinstance(future.exception(), BrokenProcessPool)
        if executor is None or not is_broken:
            return executor
        _end(executor, kill=True)
        with self._lock:
            self._executors.discard(executor)
        return None


@dataclass(frozen=True)
class Shared:
    """Stands for a value that lies in a file."""

    path: Path


class SharedFiles:
    """Files of shared values, in memory where there is room."""

    def __init__(self) -> None:
        self._folders = [
            tempfile.TemporaryDirectory(prefix="mlwf-", dir=place, ignore_cleanup_errors=True) for place in _places()
        ]
        self._count = 0
        self._lock = threading.Lock()

    @property
    def folders(self) -> list[str]:
        """Where they lie, the better place first."""
        return [folder.name for folder in self._folders]

    def put(self, value: Any) -> Shared:
        """Write a value that can be pickled; raises OSError where there is no room for it."""
        with self._lock:
            self._count += 1
            name = f"{self._count}.joblib"
        *better, last = [Path(folder, name) for folder in self.folders]
        for path in better:
            try:
                joblib.dump(value, path)
                return Shared(path)
            except OSError as error:
                path.unlink(missing_ok=True)
                if error.errno != errno.ENOSPC:
                    raise
        try:
            joblib.dump(value, last)
        except OSError as error:
            error.filename = error.filename or str(last)
            raise
        return Shared(last)

    def clear(self) -> None:
        """Remove them all."""
        for folder in self._folders:
            folder.cleanup()


def _places() -> list[Path]:
    places = [Path(tempfile.gettempdir())]
    with suppress(OSError):
        if shutil.disk_usage(SHARED_MEMORY).free >= ROOM_BYTES and os.access(SHARED_MEMORY, os.W_OK):
            places.insert(0, SHARED_MEMORY)
    return places


def opened(args: Sequence[Any]) -> list[Any]:
    """Put the values in the places of those that stand for them, and let go of what was removed since."""
    for path in [path for path in _opened if not path.exists()]:
        del _opened[path]
    return [_open(arg.path) if isinstance(arg, Shared) else arg for arg in args]


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Keep Ctrl-C, which reaches all processes of a terminal, from those that are started meanwhile, for good.

    This process ends them itself; what it receives meanwhile, it notices afterwards.
    """
    # It starts with the first process otherwise, and lets interrupts in again when it does.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _open(path: Path) -> Any:
    if path not in _opened:
        _opened[path] = joblib.load(path, mmap_mode="r")
    return _opened[path]


def _end(executor: Any, *, kill: bool) -> None:
    executor.shutdown(wait=True, kill_workers=kill)
    # shutdown tells the thread that feeds the workers to end but does not wait for it. It holds semaphores, which would
    # be reported as leaked, on the terminal, if this process ended first.
    for thread in threading.enumerate():
        if thread.name == FEEDER:
            thread.join(FEEDER_SECONDS)


def _how_it_ended(error: BaseException) -> str:
    # loky has it in the text alone: The exit codes of the workers are {SIGKILL(-9)}.
    found = re.search(r"\{(\w+)\((-?\d+)\)", str(error))
    if found is None:
        return "unknown why"
    name, code = found.groups()
    if name == "SIGKILL":
        return "killed by SIGKILL (out of memory?)"
    return f"killed by {name}" if code.startswith("-") else f"exit code {code}"


# What follows runs in a worker.


def _call(function: Callable[..., Any], args: Sequence[Any]) -> Any:
    return function(*opened(args))


def _end_with(parent: int, folders: Sequence[str]) -> None:
    """End this worker soon after its parent was killed, and remove what that shared."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=watch, name="mlwf-parent", daemon=True).start()
