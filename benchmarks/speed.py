"""Measure how fast mlwf is beside plain scikit-learn: `python -m benchmarks.speed`.

Writes `benchmarks/speed.md`. The results of both sides are compared first; unless they are the same, it
reports that and writes nothing.
"""

from __future__ import annotations

import argparse
import compileall
import json
import platform
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from queue import SimpleQueue
from time import perf_counter
from typing import Any

from benchmarks.measuring import cores
from benchmarks.sides import SIDES, measure
from benchmarks.speed_lines import LINES, ROWS
from benchmarks.speed_report import check, write_report

REPORT = Path(__file__).parent / "speed.md"
PACKAGE = Path(__file__).parent.parent / "mlwf"
DISTRIBUTIONS = ("scikit-learn", "numpy", "scipy", "pandas")

Task = tuple[str, int]
"""A side, and which of its repeats."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    options = _parser().parse_args(arguments)
    started = perf_counter()
    # As pip does with what it installs: otherwise every process that is measured might compile the package anew.
    compileall.compile_dir(PACKAGE, quiet=1)
    kept = KeptMeasurements(options.keep, is_quick=options.quick)
    is_continued = bool(kept.measured)
    tasks = [task for task in list_tasks(options.rows, is_quick=options.quick) if task not in kept]
    for alone in (False, True):
        some = [task for task in tasks if SIDES[task[0]].is_alone is alone]
        at_once = 1 if alone or options.quick else options.at_once
        run(some, kept, is_quick=options.quick, at_once=at_once, dask_python=options.dask_python)
    report = write_report(
        kept.measured,
        machine=describe_machine(),
        command=_command(options),
        at_once=options.at_once,
        is_continued=is_continued,
    )
    options.output.write_text(report, encoding="utf-8")
    print(report)
    print(f"{options.output} written after {perf_counter() - started:.0f} seconds")


def list_tasks(rows: Sequence[int], *, is_quick: bool) -> list[Task]:
    """List what some rows of the table need: round after round, each side once a round, until it has its repeats."""
    names = dict.fromkeys(side for line in LINES if line.row in rows for side in (line.theirs.side, line.ours.side))
    repeats = {name: 1 if is_quick else SIDES[name].repeats for name in names}
    return [(name, number) for number in range(max(repeats.values())) for name in names if number < repeats[name]]


def run(tasks: Sequence[Task], kept: KeptMeasurements, *, is_quick: bool, at_once: int, dask_python: str) -> None:
    """Measure in order, so many at the same time, each on a core of its own."""
    free: SimpleQueue[int] = SimpleQueue()
    for core in range(at_once):
        free.put(core)

    def one(task: Task) -> dict[str, Any]:
        (name, repeat), core = task, free.get()
        try:
            python = dask_python if name.startswith("dask") else sys.executable
            return measure(name, repeat=repeat, is_quick=is_quick, core=core, python=python)
        finally:
            free.put(core)

    with ThreadPoolExecutor(at_once) as pool:
        for task, measured in zip(tasks, pool.map(one, tasks), strict=True):
            kept.add(task, measured)
            check(kept.measured)
            print(task[0], measured.get("parts", measured.get("missing")), file=sys.stderr, flush=True)


class KeptMeasurements:
    """What was measured so far; with a file an interrupted benchmark goes on from there, on the same machine."""

    def __init__(self, path: Path | None, *, is_quick: bool) -> None:
        self._path = path
        self._where = {"machine": describe_machine(), "is_quick": is_quick}
        self._all: dict[str, dict[str, Any]] = {}
        if path is not None and path.exists():
            written = json.loads(path.read_text(encoding="utf-8"))
            if written["where"] != self._where:
                raise SystemExit(f"{path} was measured otherwise: {written['where']}; name another file")
            self._all = written["measured"]

    def __contains__(self, task: Task) -> bool:
        return str(task[1]) in self._all.get(task[0], {})

    def add(self, task: Task, measured: dict[str, Any]) -> None:
        """Keep what a side measured."""
        name, repeat = task
        self._all.setdefault(name, {})[str(repeat)] = measured
        if self._path is not None:
            new = self._path.with_suffix(".new")
            new.write_text(json.dumps({"where": self._where, "measured": self._all}), encoding="utf-8")
            new.replace(self._path)

    @property
    def measured(self) -> dict[str, list[dict[str, Any]]]:
        """What was measured, by side."""
        return {name: list(repeats.values()) for name, repeats in self._all.items()}


def describe_machine() -> str:
    """Say on what is measured, without the name of the host."""
    versions = ", ".join(f"{name} {version(name)}" for name in DISTRIBUTIONS)
    return f"{_processor()}, {len(cores())} cores, {platform.system()}, Python {platform.python_version()}, {versions}"


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return " ".join(value.split())
    return platform.processor() or platform.machine()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=_rows, default=ROWS, help="some of the rows, such as 1,2,5 (default: all)")
    parser.add_argument("--quick", action="store_true", help="tiny data: only to see that it runs")
    parser.add_argument("--output", type=Path, default=REPORT, help="Markdown file to write (default: %(default)s)")
    parser.add_argument("--keep", type=Path, help="file that keeps the measurements; what it has is not measured again")
    parser.add_argument(
        "--at-once", type=int, default=1, help="scripts at the same time, each on a core (default: %(default)s)"
    )
    parser.add_argument(
        "--dask-python", default=sys.executable, help="a Python that has dask-ml besides what mlwf needs"
    )
    return parser


def _rows(text: str) -> tuple[int, ...]:
    rows = tuple(int(part) for part in text.split(","))
    if not set(rows) <= set(ROWS):
        raise argparse.ArgumentTypeError(f"is {text}; accepted: {','.join(map(str, ROWS))}")
    return rows


def _command(options: argparse.Namespace) -> str:
    """Write the command again, as far as it chooses what was measured."""
    rows = f" --rows {','.join(map(str, options.rows))}" if options.rows != ROWS else ""
    return f"python -m benchmarks.speed{rows}{' --quick' if options.quick else ''}"


if __name__ == "__main__":
    main()
