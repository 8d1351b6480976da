"""Compare what models predict beside FLAML and AutoGluon: `python -m benchmarks.quality`.

Writes `benchmarks/quality.md`. By default each table is split once, which takes about 20 minutes on two cores;
`--splits 5` goes on from there, and takes five times as long. What was measured is kept, and FLAML and AutoGluon, which
are the slow part, need not run again when mlwf has changed: `--again` measures what is ours anew.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.measuring import NotMeasuredError
from benchmarks.quality_report import write_report
from benchmarks.quality_systems import SYSTEMS, install, measure_fit
from benchmarks.quality_tables import Table, shipped_tables, tables_of
from benchmarks.speed import describe_machine

REPORT = Path(__file__).parent / "quality.md"
WORK = Path("runs") / "quality"
"""Where measurements and the environments of other systems are kept."""
N_CORES = 2
CLOCKS = ("wall", "cpu")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    options = _parser().parse_args(arguments)
    started = perf_counter()
    loaders = _chosen({**shipped_tables(), **(tables_of(options.data) if options.data else {})}, options.tables)
    kept = KeptFits(options.work / "fits.json", seconds=options.seconds, clock=options.clock, is_again=options.again)
    pythons = _install(options.systems, options.work / "environments")
    for split in range(options.splits):
        for name, load in loaders.items():
            _measure_table(name, load, split, pythons, kept, seconds=options.seconds, clock=options.clock)
    measured = kept.of(loaders, options.systems, options.splits)
    report = write_report(
        measured,
        command=_command(options),
        machine=describe_machine(),
        seconds=options.seconds,
        clock=options.clock,
        n_cores=N_CORES,
    )
    options.output.write_text(report, encoding="utf-8")
    print(report)
    print(f"{options.output} written after {perf_counter() - started:.0f} seconds")


def _measure_table(
    name: str,
    load: Callable[[], Table],
    split: int,
    pythons: Mapping[str, str],
    kept: KeptFits,
    *,
    seconds: float,
    clock: str,
) -> None:
    """Fit those systems to one split of a table that have not been."""
    missing = [system for system in pythons if (name, system, split) not in kept]
    if not missing:
        return
    table = load()
    for system in missing:
        found = measure_fit(system, table, split, python=pythons[system], seconds=seconds, n_cores=N_CORES, clock=clock)
        kept.add(name, system, split, found)
        shown = found.get("failed") or f"log loss {found['log_loss']:.4f}, {found['cpu']:.0f} s of CPU"
        print(f"{name}, split {split}, {system}: {shown}", file=sys.stderr, flush=True)


class KeptFits:
    """What was measured so far, in a file: an interrupted benchmark goes on from there, on the same machine."""

    def __init__(self, path: Path, *, seconds: float, clock: str = "wall", is_again: bool = False) -> None:
        self._path = path
        self._where = {"machine": describe_machine(), "seconds": seconds, "clock": clock}
        self._all: dict[str, dict[str, dict[str, dict[str, Any]]]] = {}
        self._again = {name for name, system in SYSTEMS.items() if system.is_ours} if is_again else set()
        self._new: set[tuple[str, str, int]] = set()
        if path.exists():
            written = json.loads(path.read_text(encoding="utf-8"))
            if written["where"] != self._where:
                raise SystemExit(f"{path} was measured otherwise: {written['where']}; name another folder by --work")
            self._all = written["measured"]

    def __contains__(self, fit: tuple[str, str, int]) -> bool:
        table, system, split = fit
        is_there = str(split) in self._all.get(table, {}).get(system, {})
        return is_there and (system not in self._again or fit in self._new)

    def add(self, table: str, system: str, split: int, found: dict[str, Any]) -> None:
        """Keep what one fit came to."""
        self._all.setdefault(table, {}).setdefault(system, {})[str(split)] = found
        self._new.add((table, system, split))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps({"where": self._where, "measured": self._all}), encoding="utf-8")
        new.replace(self._path)

    def of(
        self, tables: Sequence[str] | Mapping[str, Any], systems: Sequence[str], n_splits: int
    ) -> dict[str, dict[str, dict[str, Any]]]:
        """Give what was measured of some tables, systems and splits: by table, system, and number of the split."""
        numbers = [str(number) for number in range(n_splits)]
        return {
            table: {
                system: {number: splits[number] for number in numbers if number in splits}
                for system in systems
                if (splits := self._all[table].get(system))
            }
            for table in tables
            if table in self._all
        }


def _install(systems: Sequence[str], environments: Path) -> dict[str, str]:
    """Give the Python of each system that can be installed; the others are reported and left out."""
    pythons = {}
    for name in systems:
        try:
            pythons[name] = install(name, environments)
        except NotMeasuredError as error:
            print(f"{name} is left out: {error}", file=sys.stderr, flush=True)
    return pythons


def _chosen(loaders: dict[str, Callable[[], Table]], names: Sequence[str] | None) -> dict[str, Callable[[], Table]]:
    if names is None:
        return loaders
    unknown = [name for name in names if name not in loaders]
    if unknown:
        raise SystemExit(f"no table {', '.join(unknown)}; there are: {', '.join(loaders)}")
    return {name: loaders[name] for name in names}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=int, default=1, help="random splits of each table (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=60, help="time limit of a fit, where it takes one (default: %(default)g)"
    )
    parser.add_argument(
        "--clock",
        choices=CLOCKS,
        default="wall",
        help="what the limits of FLAML and AutoGluon count: wall time, or, on a machine that others use too, CPU time "
        "by cores, which is generous to them (default: %(default)s)",
    )
    parser.add_argument("--tables", type=_names, help="some of the tables, such as titanic,digits (default: all)")
    parser.add_argument("--data", type=Path, help="a folder with more tables, whose last column is the target")
    parser.add_argument(
        "--systems", type=_systems, default=list(SYSTEMS), help=f"some of: {','.join(SYSTEMS)} (default: all)"
    )
    parser.add_argument("--again", action="store_true", help="measure what is ours anew, and nothing else that is kept")
    parser.add_argument("--work", type=Path, default=WORK, help="folder of what is kept (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=REPORT, help="Markdown file to write (default: %(default)s)")
    return parser


def _names(text: str) -> list[str]:
    return text.split(",")


def _systems(text: str) -> list[str]:
    names = _names(text)
    if not set(names) <= set(SYSTEMS):
        raise argparse.ArgumentTypeError(f"is {text}; accepted: {','.join(SYSTEMS)}")
    return names


def _command(options: argparse.Namespace) -> str:
    """Write the command again, as far as it chooses what was measured."""
    parts = ["python -m benchmarks.quality", f"--splits {options.splits}"]
    if options.seconds != 60:
        parts.append(f"--seconds {options.seconds:g}")
    if options.clock != "wall":
        parts.append(f"--clock {options.clock}")
    if options.tables:
        parts.append(f"--tables {','.join(options.tables)}")
    if options.systems != list(SYSTEMS):
        parts.append(f"--systems {','.join(options.systems)}")
    if options.data:
        parts.append("--data FOLDER")
    return " ".join(parts)


if __name__ == "__main__":
    main()
