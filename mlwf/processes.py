"""Processes told apart, and the state of this one that a run changes for a time, such as filters of warnings."""

from __future__ import annotations

import os
import platform
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from weakref import WeakSet

_PROC = Path("/proc/self/stat")


def this_process() -> dict[str, Any]:
    """Describe this process, so that `is_running` can find out later whether it still runs.

    `namespace` is where its `pid` counts: the machine since its last start, and on it the PID namespace. Containers
    share the machine, and may share the host's name, and each numbers its processes from 1.
    """
    pid = os.getpid()
    return {"host": platform.node(), "pid": pid, "start": _start(pid), "namespace": _namespace()}


def is_running(process: Mapping[str, Any]) -> bool | None:
    """Tell whether a process described by `this_process` still runs.

    None when that cannot be known here: it was of another machine or container, or of this machine before its last
    start, which cannot be distinguished from another machine of the same name.
    """
    started, namespace = process.get("start"), process.get("namespace")
    pid = str(process.get("pid"))
    if not (started and namespace and pid.isdecimal()) or namespace != _namespace():
        return None
    found = _start(int(pid))
    # /proc may hide the processes of other users.
    return found == started if found is not None or _is_gone(int(pid)) else None


def _namespace() -> str | None:
    """Name where the ids of this process count; None when the system does not report it."""
    if not _PROC.exists():
        return _asked("sysctl", "-n", "kern.bootsessionuuid") or None
    try:
        # Seen through the /proc of another namespace, as `unshare --pid` leaves it, all ids are those of others.
        if Path("/proc/self").readlink().name != str(os.getpid()):
            return None
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return None


def _start(pid: int) -> str | None:
    """Say when a process started, in words of the system; nothing of its remains, None of one that is not seen."""
    if not _PROC.exists():
        return _start_by_ps(pid)
    try:
        # The name of the program stands in parentheses and may contain spaces: the fields begin after it.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    state, ticks_since_boot = fields[0], fields[19]
    return "" if state in "ZX" else ticks_since_boot


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


def _start_by_ps(pid: int) -> str | None:
    state, _, started = _asked("ps", "-o", "stat=,lstart=", "-p", str(pid)).partition(" ")
    return None if not started else "" if state.startswith("Z") else started.strip()


def _asked(*command: str) -> str:
    """Give what a command of the system prints; nothing where there is no such command."""
    import subprocess

    # Locale and zone are fixed: the text must be the same for every caller.
    environment = {"PATH": "/bin:/usr/bin:/sbin:/usr/sbin", "LC_ALL": "C", "TZ": "UTC"}
    try:
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


STRAGGLERS: WeakSet[threading.Thread] = WeakSet()
"""Threads that nobody waits for any more, in the middle of what cannot be ended."""


def cores() -> int:
    """Count the cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def memory_bytes(root: Path = Path("/")) -> int:
    """Give the memory that this process may use: that of the machine, or what its control groups allow of it.

    `root` is where /proc and /sys are.
    """
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for file in _memory_limits(root):
        with suppress(OSError, ValueError):  # no such file, or `max`
            limits.append(int(file.read_text()))
    return min(limits)


def _memory_limits(root: Path) -> Iterator[Path]:
    """List the files that may hold a limit: of each control group that this process is in, in either version."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    mounted = root / "sys/fs/cgroup"
    for line in lines:
        _, kinds, group = line.split(":", 2)
        if kinds and "memory" not in kinds.split(","):
            continue
        name = "memory.limit_in_bytes" if kinds else "memory.max"
        # In a container a group may be called as on the host, and be mounted as the first.
        for folder in [Path(group), *Path(group).parents]:
            yield from (each / folder.relative_to("/") / name for each in (mounted, mounted / "memory"))


def count_workers(n_jobs: int) -> int:
    """Turn scikit-learn's n_jobs into a number of workers: -1 is one for each core, -2 all but one.

    Raises ValueError for 0, which has no meaning.
    """
    if n_jobs == 0:
        raise ValueError("n_jobs is 0; accepted: -1 (one for each core), 1, 2, ...")
    return max(1, n_jobs if n_jobs > 0 else cores() + 1 + n_jobs)


class SharedState:
    """Changes that the first who needs them makes, and the last takes back.

    Two threads that each saved such a state, changed it and restored what they saved would leave the first one's
    changes behind for ever: the second has saved them.

    >>> from contextlib import redirect_stdout
    >>> from io import StringIO
    >>> silent = SharedState(lambda: redirect_stdout(StringIO()))
    >>> with silent.held():
    ...     with silent.held():
    ...         print("nobody reads this")
    ...     print("nor this")
    >>> print("but this")
    but this
    """

    def __init__(self, change: Callable[[], AbstractContextManager[Any]]) -> None:
        self._change = change
        self._lock = threading.Lock()
        self._n_holders = 0
        self._changed: AbstractContextManager[Any] | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the process changed meanwhile."""
        with self._lock:
            if not self._n_holders:
                self._changed = self._change()
                self._changed.__enter__()
            self._n_holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._n_holders -= 1
                changed = None if self._n_holders else self._changed
                if changed is not None:
                    self._changed = None
                    changed.__exit__(None, None, None)


FOR_DEVELOPERS = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
"""Warnings that Python hides by default."""

OF_THREADS = "`sklearn.utils.parallel.delayed` should be used with"
"""What scikit-learn warns of where fits that run at the same time leave it without its own filters."""

Warned = tuple[str, str]
"""The category of a warning, and its message."""

OnWarning = Callable[[str, str], None]
"""Called with the category of a warning, and its message."""

_of_context: ContextVar[tuple[tuple[OnWarning, bool], ...]] = ContextVar("on_warning", default=())
"""What is called for the warnings of this context, and whether Python's own display then leaves them out."""
_of_process: list[tuple[OnWarning, bool]] = []
"""What is called for warnings in threads that a library has started: nobody knows for which context."""
_display: Callable[..., None] = warnings.showwarning


def _show(message: Warning | str, category: type[Warning], *args: Any, **options: Any) -> None:
    """Stand in for `warnings.showwarning`."""
    handlers = _of_context.get() or tuple(_of_process)
    # Fits that run at the same time lose Python's own filters, so what those hide comes here as well.
    if str(message).startswith(OF_THREADS):
        return
    for on_warning, _ in () if issubclass(category, FOR_DEVELOPERS) else handlers:
        on_warning(category.__name__, str(message))
    if not any(is_hidden for _, is_hidden in handlers):
        _display(message, category, *args, **options)


@contextmanager
def _shown_by_us() -> Iterator[None]:
    global _display
    # scikit-learn sets the filters for a moment in each fit. They are global: fits that run at the same time leave each
    # other's behind, or none. What was there before the first run is there again after the last.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=OF_THREADS)
        if warnings.showwarning is not _show:
            _display = warnings.showwarning
        warnings.showwarning = _show
        yield
    if warnings.showwarning is _show:
        # A fit that an interrupt has left to itself may have put it back.
        warnings.showwarning = _display


DISPLAY = SharedState(_shown_by_us)
"""Python's filters and display of warnings, while fits are made."""


@contextmanager
def handling_warnings(on_warning: OnWarning, *, is_hidden: bool) -> Iterator[None]:
    """Call `on_warning` for the warnings of this context; with `is_hidden` Python does not display them."""
    entry = (on_warning, is_hidden)
    token = _of_context.set((*_of_context.get(), entry))
    with DISPLAY.held():
        _of_process.append(entry)
        try:
            yield
        finally:
            _of_process.remove(entry)
            _of_context.reset(token)


@contextmanager
def recorded_warnings() -> Iterator[list[Warned]]:
    """Give the list of the warnings of this context, as they come."""
    caught: list[Warned] = []
    with handling_warnings(lambda category, message: caught.append((category, message)), is_hidden=False):
        yield caught


@contextmanager
def muted() -> Iterator[None]:
    """Hide the warnings of this context, and not those of other threads, which a filter would hide too."""
    token = _of_context.set((_IGNORE,))
    # Only where the user makes errors of warnings must a filter keep them from being raised.
    with DISPLAY.held(), warnings.catch_warnings(action="ignore") if _are_raised() else nullcontext():
        try:
            yield
        finally:
            _of_context.reset(token)


def _are_raised() -> bool:
    """Tell whether some warnings are errors, by the filters before the first that is for all of them."""
    for action, message, category, module, line in warnings.filters:
        if action == "error" or (category is Warning and not (message or module or line)):
            return action == "error"
    return False


_IGNORE: tuple[OnWarning, bool] = (lambda category, message: None, True)
