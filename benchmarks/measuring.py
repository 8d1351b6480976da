"""CPU time of the parts of a script, and of whole processes."""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from itertools import count
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

N_STARTS = 11
"""Starts of a command that fits nothing, of which the median counts."""
QUICKSTART_ROUNDS = 3
"""Rounds of the quickstart and its imports, of which the median counts."""
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class NotMeasuredError(Exception):
    """Says why a script cannot run here."""


class Stopwatch:
    """Measures what each part of a script takes, and keeps its values, to be compared."""

    def __init__(self) -> None:
        self.parts: dict[str, dict[str, float]] = {}
        self.values: dict[str, dict[str, Any]] = {}
        self._fits = count()
        self._n_fits = 0

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Measure what is done inside: `cpu` and `wall` in seconds, and the `fits` of counted classifiers.

        A part that comes in pieces is their sum.
        """
        cpu, wall, fits = cpu_seconds(), perf_counter(), self._n_fits
        yield
        piece = {"cpu": cpu_seconds() - cpu, "wall": perf_counter() - wall, "fits": self._n_fits - fits}
        self.parts[name] = {unit: self.parts.get(name, {}).get(unit, 0) + value for unit, value in piece.items()}

    def record(self, name: str, **values: Any) -> None:
        """Keep what a part came to; arrays become lists, which JSON keeps to the last bit."""
        self.values[name] = {
            key: value.tolist() if hasattr(value, "tolist") else value for key, value in values.items()
        }

    def count_fits(self, classifier: type[Any]) -> None:
        """Count every fit of a class from now on, whoever requests it."""
        fit = classifier.fit

        @wraps(fit)
        def counted(*arguments: Any, **keywords: Any) -> Any:
            # Drawing a number is one step of the interpreter: threads do not lose each other's.
            self._n_fits = next(self._fits) + 1
            return fit(*arguments, **keywords)

        classifier.fit = counted


def cpu_seconds() -> float:
    """Read the user and system time of this process and of its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return process_time() + children.ru_utime + children.ru_stime


def cpu_of(command: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None = None) -> float:
    """Run a command and give its user and system time in seconds, with those of its children that have ended.

    Raises RuntimeError with the end of what it wrote when it fails.
    """
    with tempfile.TemporaryFile() as written:
        process = subprocess.Popen(command, cwd=cwd, env=env, stdout=written, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            written.seek(0)
            lines = written.read().decode(errors="replace").strip()[-2000:]
            raise RuntimeError(f"{' '.join(command)}: exit code {process.returncode}\n{lines}")
    return usage.ru_utime + usage.ru_stime


def cores() -> list[int]:
    """List the cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def keep_to(core: int) -> None:
    """Let this process and its children use one core alone, where the system supports that."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
