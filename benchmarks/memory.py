"""Measure what training a large table takes beside plain scikit-learn: `python -m benchmarks.memory`.

Writes `benchmarks/memory.md`: CPU and peak memory of whole processes, and the memory as a multiple of the table.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

REPORT = Path(__file__).parent / "memory.md"
ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- memory -->", "<!-- /memory -->"
HEADER = ("table", "bytes", "side", "CPU", "peak", "above the libraries", "times the table")
FEW_ROWS = 1_000
"""Rows of the table whose peak is that of the libraries."""
SIDES = {
    "the plain script": ("-m", "benchmarks.memory_sides", "plain"),
    "`mlwf train`": ("-m", "mlwf", "train", "--quiet"),
}
SHIPPED_SIDES = {
    "`mlwf predict`": ("predict", "latest", "{table}", "-o", "out.parquet"),
    "`mlwf evaluate`": ("evaluate", "latest", "{table}"),
}
"""What is done with the model that was trained on the whole table."""
INTRODUCTION = """\
# How much memory does it take?

Written by `{command}`; an edit would not last. `benchmarks/memory_sides.py` has the tables and the plain script.

- A hist_gradient_boosting of {rounds} rounds, in {folds} folds and of all rows, by accuracy, ROC AUC and log loss. The
  plain script is pandas' `read_parquet` and scikit-learn's `cross_validate` and `fit` with the same pipeline, as mlwf
  infers it (numbers imputed and scaled, texts one-hot). Every library has one thread; `mlwf train` does all that it
  does, with up to two fits at the same time.
- `mlwf predict` and `mlwf evaluate` read the table with the model that `mlwf train` made of it.
- **CPU** is user and system time of the whole process, **peak** the most memory that it ever held, imports and all.
- **bytes** are those of the table as numbers of double precision, a text counted as one.
- **above the libraries** is the peak less that of the same process with {few:,} rows of the table."""


@dataclass(frozen=True)
class Size:
    """A table to measure with."""

    n_rows: int
    n_numbers: int
    n_texts: int

    @property
    def n_bytes(self) -> int:
        """Bytes of as many numbers of double precision."""
        return 8 * self.n_rows * (self.n_numbers + self.n_texts)

    def __str__(self) -> str:
        texts = f", {self.n_texts} of them texts" if self.n_texts else ""
        return f"{self.n_rows:,} x {self.n_numbers + self.n_texts}{texts}"

    @classmethod
    def parse(cls, text: str) -> Size:
        """Read ROWSxNUMBERS or ROWSxNUMBERS+TEXTS, such as 300000x30+12."""
        rows, _, columns = text.partition("x")
        numbers, _, texts = columns.partition("+")
        try:
            return cls(int(rows), int(numbers), int(texts or 0))
        except ValueError:
            raise argparse.ArgumentTypeError(f"is {text}; accepted: such as 2000000x20 or 300000x30+12") from None


SIZES = (Size(1_000_000, 20, 0), Size(2_000_000, 20, 0), Size(300_000, 30, 12))
ROUNDS, FOLDS = 30, 3


@dataclass(frozen=True)
class Usage:
    """What a process took."""

    cpu: float
    """User and system time in seconds."""
    peak: int
    """Most bytes that it ever held."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=Size.parse, action="append", help="ROWSxNUMBERS+TEXTS; may be repeated")
    parser.add_argument("--output", type=Path, default=REPORT, help="Markdown file to write (default: %(default)s)")
    options = parser.parse_args(arguments)
    sizes = options.size or SIZES
    rows = [row for size in sizes for row in measure(size)]
    command = "".join(f" --size {size.n_rows}x{size.n_numbers}+{size.n_texts}" for size in options.size or ())
    report = write_report(rows, command=f"python -m benchmarks.memory{command}")
    options.output.write_text(report, encoding="utf-8")
    print(report)


def measure(size: Size) -> list[tuple[str, ...]]:
    """Measure each side on a table, and give the rows of the report."""
    rows = []
    with TemporaryDirectory() as folder:
        work = Path(folder)
        for n_rows, name in ((size.n_rows, "all"), (min(FEW_ROWS, size.n_rows), "few")):
            made = (str(n_rows), str(size.n_numbers), str(size.n_texts), name)
            run([sys.executable, "-m", "benchmarks.memory_sides", "make", *made], work)
        commands = {side: (*command, "{experiment}") for side, command in SIDES.items()}
        commands |= {side: ("-m", "mlwf", *command) for side, command in SHIPPED_SIDES.items()}
        for side, command in commands.items():
            few, all_rows = (
                run([sys.executable, *(part.format(**_files(name)) for part in command)], work)
                for name in ("few", "all")
            )
            above = all_rows.peak - few.peak
            cells = (_mb(size.n_bytes), side, f"{all_rows.cpu:.1f} s", _mb(all_rows.peak), _mb(above))
            rows.append((str(size), *cells, f"{above / size.n_bytes:.1f}"))
            print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    return rows


def _files(name: str) -> dict[str, str]:
    return {"experiment": f"{name}.yaml", "table": f"{name}.parquet"}


def run(command: Sequence[str], cwd: Path) -> Usage:
    """Run a command with one thread a library; raises RuntimeError with what it wrote when it fails.

    This process has to stay small: a child's peak is at least the memory of the process that started it.
    """
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    env = {**os.environ, **one_thread, "PYTHONPATH": str(ROOT)}
    with (cwd / "written.txt").open("w+b") as written:
        process = subprocess.Popen(command, cwd=cwd, env=env, stdout=written, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            written.seek(0)
            text = written.read().decode(errors="replace")[-2000:]
            raise RuntimeError(f"{' '.join(command)}: exit code {process.returncode}\n{text}")
    # macOS counts bytes, Linux kilobytes.
    return Usage(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))


def write_report(rows: Sequence[tuple[str, ...]], *, command: str) -> str:
    """Write the table of what was measured."""
    introduction = INTRODUCTION.format(command=command, rounds=ROUNDS, folds=FOLDS, few=FEW_ROWS)
    lines = [HEADER, ("---", "---:", "---", *("---:" for _ in HEADER[3:])), *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{introduction}\n\n{BEGIN}\n{table}\n{END}\n"


def _mb(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.0f} MB"


if __name__ == "__main__":
    main()
