"""The scripts that are measured, each in a fresh process: `python -m benchmarks.sides NAME RESULT`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.measuring import ONE_THREAD, NotMeasuredError, Stopwatch, cores, cpu_of, cpu_seconds, keep_to
from benchmarks.speed_lines import BOOSTERS

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Side:
    """A script whose parts are measured."""

    function: str
    """`module:function` of this package."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What the function gets besides a Stopwatch, the number of the repeat, and whether it is to be quick."""
    repeats: int = 1
    is_alone: bool = False
    """Whether nothing else is measured at the same time: what takes seconds only is easily disturbed."""
    takes_all_cores: bool = False
    """Whether it has every core to itself; others have one core and one thread."""


def _both(name: str, function: str, **options: Any) -> dict[str, Side]:
    """Name a script for each of the two boosters; the fast one is measured twice, and alone."""
    is_fast = {"hgb": True, "gb": False}
    return {
        f"{name}, {short}": Side(
            function, {"algorithm": algorithm, **options}, repeats=1 + is_fast[short], is_alone=is_fast[short]
        )
        for short, algorithm in BOOSTERS.items()
    }


LOG_LOSS = "neg_log_loss"
OF_WORKERS = {"algorithm": "gradient_boosting", "n_rates": 2}

SIDES: dict[str, Side] = {
    **_both("plain chain", "plain:chain"),
    "fewest fits, hgb": Side("plain:fewest_fits", {"algorithm": "hist_gradient_boosting"}, repeats=2, is_alone=True),
    **_both("mlwf search", "ours:search"),
    **_both("mlwf chain", "ours:chain"),
    **_both("mlwf halving", "ours:inexact", strategy="halving"),
    **_both("mlwf optuna", "ours:inexact", strategy="optuna"),
    "plain search, lightgbm": Side("plain:search", {"algorithm": "lightgbm"}, repeats=2, is_alone=True),
    "mlwf search, lightgbm": Side("ours:search", {"algorithm": "lightgbm"}, repeats=2, is_alone=True),
    "plain search by log loss": Side("plain:search", {"algorithm": "lightgbm", "scoring": LOG_LOSS}, is_alone=True),
    **{
        f"mlwf {strategy} by log loss": Side(
            "ours:inexact", {"algorithm": "lightgbm", "strategy": strategy, "scoring": LOG_LOSS}, is_alone=True
        )
        for strategy in ("grid", "random", "halving", "optuna")
    },
    "mlwf portfolio": Side("ours:portfolio", is_alone=True),
    "baseline": Side("ours:baseline", repeats=3, is_alone=True),
    "many columns": Side("ours:leaks", repeats=3, is_alone=True),
    "same command twice": Side("commands:twice"),
    "plain adult": Side("plain:adult"),
    "dask-ml adult": Side("plain:adult_with_dask"),
    "mlwf adult": Side("ours:adult"),
    "plain nested": Side("plain:nested", {"algorithm": "hist_gradient_boosting"}),
    "mlwf nested": Side("ours:nested", {"algorithm": "hist_gradient_boosting"}),
    "one worker": Side("ours:search", OF_WORKERS, is_alone=True, takes_all_cores=True),
    "two workers": Side("ours:search", {**OF_WORKERS, "n_jobs": 2}, is_alone=True, takes_all_cores=True),
    "tracking off": Side("ours:tracked", {"tracking": False}, repeats=3, is_alone=True),
    "tracking on": Side("ours:tracked", {"tracking": True}, repeats=3, is_alone=True),
    "light commands": Side("commands:light", is_alone=True),
    "one run of adult": Side("commands:adult", is_alone=True),
    "quickstart": Side("commands:quickstart", is_alone=True),
}


def measure(
    name: str, *, repeat: int = 0, is_quick: bool = False, core: int = 0, python: str = sys.executable
) -> dict[str, Any]:
    """Run a side in a fresh process, in an empty folder, and give what it measured.

    A quick one, whose times mean nothing, runs in this process.

    Returns
    -------
    dict
        `parts`: CPU and wall seconds and fits of each; `values`: what each came to; `process_cpu`: CPU seconds of the
        whole process, imports included; `load`: the load average before; or `missing`: why it did not run.
    """
    load = os.getloadavg()[0]
    env = {**os.environ, "PYTHONPATH": str(ROOT), **({} if SIDES[name].takes_all_cores else ONE_THREAD)}
    with TemporaryDirectory() as folder:
        result, work = Path(folder, "result.json"), Path(folder, "work")
        work.mkdir()
        options = [name, str(result), "--repeat", str(repeat), "--core", str(core)]
        if is_quick:
            before = cpu_seconds()
            with chdir(work):
                main([*options, "--quick"])
            cpu = cpu_seconds() - before
        else:
            cpu = cpu_of([python, "-m", "benchmarks.sides", *options], cwd=work, env=env)
        return {**json.loads(result.read_text(encoding="utf-8")), "process_cpu": cpu, "load": load}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one side in this process."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sides", description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=SIDES)
    parser.add_argument("result", type=Path)
    parser.add_argument("--repeat", type=int, default=0)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    side = SIDES[options.name]
    if not (side.takes_all_cores or options.quick):
        # Before numpy and OpenMP are loaded: they look at the cores once.
        keep_to(cores()[options.core % len(cores())])
    module, _, function = side.function.partition(":")
    run = getattr(import_module(f"benchmarks.{module}"), function)
    watch = Stopwatch()
    try:
        run(watch, is_quick=options.quick, repeat=options.repeat, **side.options)
        measured: dict[str, Any] = {"parts": watch.parts, "values": watch.values}
    except NotMeasuredError as error:
        measured = {"missing": str(error)}
    options.result.write_text(json.dumps(measured), encoding="utf-8")


if __name__ == "__main__":
    main()
