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
