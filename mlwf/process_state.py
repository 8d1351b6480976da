"""State of the process that a run changes for a time, and warnings: shared by runs, taken back by the last of them."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any


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

Listener = Callable[[str, str], None]
"""Told the category of a warning, and its message."""

_here: ContextVar[tuple[tuple[Listener, bool], ...]] = ContextVar("listeners", default=())
"""Who listens in this context, and whether the warning is then kept from Python's own display."""
_everywhere: list[tuple[Listener, bool]] = []
"""All who listen, for threads that a library has started: nobody knows for whom."""
_display: Callable[..., None] = warnings.showwarning


def _show(message: Warning | str, category: type[Warning], *args: Any, **options: Any) -> None:
    """Stand in for `warnings.showwarning`."""
    listeners = _here.get() or tuple(_everywhere)
    # Fits that run at the same time lose Python's own filters, so what those hide comes here as well.
    if str(message).startswith(OF_THREADS):
        return
    for listen, _ in () if issubclass(category, FOR_DEVELOPERS) else listeners:
        listen(category.__name__, str(message))
    if not any(is_kept for _, is_kept in listeners):
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
def listening(listen: Listener, *, is_kept: bool) -> Iterator[None]:
    """Tell `listen` of the warnings of this context; with `is_kept` Python does not display them."""
    entry = (listen, is_kept)
    token = _here.set((*_here.get(), entry))
    with DISPLAY.held():
        _everywhere.append(entry)
        try:
            yield
        finally:
            _everywhere.remove(entry)
            _here.reset(token)


@contextmanager
def recorded() -> Iterator[list[Warned]]:
    """Give what this context is warned of meanwhile."""
    caught: list[Warned] = []
    with listening(lambda category, message: caught.append((category, message)), is_kept=False):
        yield caught


@contextmanager
def muted() -> Iterator[None]:
    """Keep the warnings of this context from everybody, and leave those of others alone, as a filter would not."""
    token = _here.set((_NOBODY,))
    # Only where the user makes errors of warnings must a filter keep them from being raised.
    with DISPLAY.held(), warnings.catch_warnings(action="ignore") if _are_raised() else nullcontext():
        try:
            yield
        finally:
            _here.reset(token)


def _are_raised() -> bool:
    """Tell whether some warnings are errors, by the filters before the first that is for all of them."""
    for action, message, category, module, line in warnings.filters:
        if action == "error" or (category is Warning and not (message or module or line)):
            return action == "error"
    return False


_NOBODY: tuple[Listener, bool] = (lambda category, message: None, True)
