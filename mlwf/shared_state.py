"""State of the whole process that a run changes for a time, such as filters of warnings: several runs may share it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
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
