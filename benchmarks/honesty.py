"""Compare reported scores with true ones over many repetitions: `python -m benchmarks.honesty`.

Writes `benchmarks/honesty.md`: the same for the same number of repetitions, whatever the machine.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import perf_counter

from joblib import Parallel, delayed, parallel_config

from benchmarks.estimates import HOLD_OUTS, simulate
from benchmarks.report import summarise, write_report
from benchmarks.scenarios import SCENARIOS

REPORT = Path(__file__).parent / "honesty.md"
REPETITIONS = 60
FEW_REPETITIONS = 2


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.honesty", description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=REPETITIONS, help="of each scenario (default: %(default)s)")
    parser.add_argument(
        "--quick", action="store_true", help=f"{FEW_REPETITIONS} of 2 candidates: only to see that it runs"
    )
    parser.add_argument("--output", type=Path, default=REPORT, help="Markdown file to write (default: %(default)s)")
    parser.add_argument("--n-jobs", type=int, default=2, help="processes at the same time (default: %(default)s)")
    options = parser.parse_args(arguments)
    repetitions = FEW_REPETITIONS if options.quick else options.repetitions
    started = perf_counter()
    report = run(repetitions, n_jobs=options.n_jobs, is_quick=options.quick)
    options.output.write_text(report, encoding="utf-8")
    print(report)
    print(f"{options.output} written after {perf_counter() - started:.0f} seconds")


def run(repetitions: int, *, n_jobs: int, is_quick: bool = False) -> str:
    """Simulate every scenario and write what came of it."""
    tasks = [(name, repetition) for name in SCENARIOS for repetition in range(repetitions * HOLD_OUTS)]
    # Each process keeps to one core: such small matrices are slower with more.
    with parallel_config("loky", n_jobs=n_jobs, inner_max_num_threads=1):
        one = partial(simulate, repetitions=repetitions, is_quick=is_quick)
        parts = Parallel()(delayed(one)(name, number) for name, number in tasks)
    lines = summarise(estimate for part in parts for estimate in part)
    return write_report(lines, repetitions=repetitions, command="python -m benchmarks.honesty")


if __name__ == "__main__":
    main()
