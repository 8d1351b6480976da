"""The fits that are being made, so that nobody who asks meanwhile makes them again."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from mlwf.engine.identity import Fit


class UnderWay:
    """Knows which fits are claimed, and lets others wait for them."""

    def __init__(self) -> None:
        self._claims: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    @contextmanager
    def claimed(self, fits: Mapping[int, Fit | None]) -> Iterator[list[int]]:
        """Claim what nobody else does, and give its places; afterwards wait for the claims of others on the rest.

        Whoever claims does its own part before it waits, so that no two wait for each other.
        """
        done = threading.Event()
        keys = {fit.key for fit in fits.values() if fit is not None}
        with self._lock:
            others = {key: self._claims[key] for key in keys if key in self._claims}
            own = keys - others.keys()
            self._claims |= dict.fromkeys(own, done)
        try:
            yield [place for place, fit in fits.items() if fit is None or fit.key in own]
        finally:
            with self._lock:
                for key in own:
                    del self._claims[key]
            done.set()
        for event in others.values():
            event.wait()
