"""Hears what fits warn of, each fit apart, so that it is told again when the fit is not made again."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

FOR_DEVELOPERS = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
"""Warnings that Python hides unless it is told otherwise."""

Warned = tuple[str, str]
"""The category of a warning, and its message."""


class Ear:
    """Knows what each thread was warned of while it made a fit."""

    def __init__(self) -> None:
        self._heard = threading.local()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear all warnings of this process, and pass them on."""
        shown = warnings.showwarning

        def hear(message: Warning | str, category: type[Warning], *args: Any, **options: Any) -> None:
            heard: list[Warned] | None = getattr(self._heard, "warnings", None)
            if heard is not None and not issubclass(category, FOR_DEVELOPERS):
                heard.append((category.__name__, str(message)))
            shown(message, category, *args, **options)

        warnings.showwarning = hear
        try:
            yield
        finally:
            warnings.showwarning = shown

    @contextmanager
    def of_this_thread(self) -> Iterator[list[Warned]]:
        """Give what this thread is warned of meanwhile."""
        heard: list[Warned] = []
        self._heard.warnings = heard
        try:
            yield heard
        finally:
            self._heard.warnings = None
