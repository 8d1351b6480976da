"""Hears what fits warn of: each run its own, and each fit apart, so that it is told again when it is not made again.

Python shows warnings by one function for the whole process. Several runs may be under way in it, so there is one of
ours in its place while any is, which passes each warning to those who listen where it was raised: a context variable
knows them, and goes along to the threads that work for a run.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from mlwf.shared_state import SharedState

FOR_DEVELOPERS = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
"""Warnings that Python hides unless it is told otherwise."""

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
    heard: list[Warned] = []
    with listening(lambda category, message: heard.append((category, message)), is_kept=False):
        yield heard
