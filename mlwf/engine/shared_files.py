"""Values that several processes of this machine share: written once, mapped into the memory of each."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib

SHARED_MEMORY = Path("/dev/shm")
"""A file system in memory, where the system has one."""

ROOM_BYTES = 2_000_000_000
"""With less room in shared memory, values go to the folder for temporary files; joblib draws the same line."""


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


_opened: dict[Path, Any] = {}
"""What this process has mapped."""


def opened(args: Sequence[Any]) -> list[Any]:
    """Put the values in the places of those that stand for them, and let go of what was removed since."""
    for path in [path for path in _opened if not path.exists()]:
        del _opened[path]
    return [_open(arg.path) if isinstance(arg, Shared) else arg for arg in args]


def _open(path: Path) -> Any:
    if path not in _opened:
        _opened[path] = joblib.load(path, mmap_mode="r")
    return _opened[path]
