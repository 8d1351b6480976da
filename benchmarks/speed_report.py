"""What was measured, as a table: only when both sides came to the same."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.measuring import N_STARTS, QUICKSTART_ROUNDS
from benchmarks.speed_lines import CLOSE, LINES, UNITS, Line, Reading

BEGIN, END = "<!-- speed -->", "<!-- /speed -->"
"""Between them stands what the README quotes."""

HEADER = ("what", "against", "that", "mlwf", "got", "reach for", "reached", "runs")
NONE = "–"
OVER_FOLDS = ("mean_test_score", "std_test_score", "rank_test_score", "best_score")

Measured = Mapping[str, Sequence[Mapping[str, Any]]]
"""What `benchmarks.sides.measure` gave for each side, once for each repeat."""

INTRODUCTION = """\
# Is it fast?

Written by `{command}`; an edit would not last. `benchmarks/workloads.py` has the rows and grids, `benchmarks/plain.py`
the plain scikit-learn scripts, `benchmarks/ours.py` the same with mlwf, through what a user calls.

- Measured on {machine}.
- Everything was measured in one run{interrupted}, each script in a fresh process with one thread and one core, the two
  sides of a comparison in turns{at_once}. Several runs count with their median.
- **s CPU** is user and system time, of children too, without the imports of either side. Commands (`mlwf ...`) are
  whole processes, imports and all; those that fit nothing count with the median of {n_starts} starts. The
  quickstart and the imports beside it are whole processes too, in turns, with the median of {n_rounds} rounds.
- Before anything is reported, the results are compared: every score of every candidate and fold, the best candidate,
  the predictions of the refitted and the calibrated model, the validation's scores. They are **equal to the last bit**.
  Halving and Optuna are inexact: their goal is reached only if the best score is within {close} of the grid's, too.
  Halving's factors, 2 for gradient_boosting and 4 for hist_gradient_boosting, are the largest of 2 and 4 that come so
  close here.
- **fits** are calls of the classifier's `fit`, whoever makes them.
- Workers are compared by the clock{load}. Nothing else of the benchmark runs at that time.
- Tracking is compared in a process that has made a run already: MLflow is imported and the store's tables are there."""


class DifferentResultsError(Exception):
    """Two sides did not come to the same: how long they took means nothing."""


def write_report(
    measured: Measured, *, machine: str, command: str, at_once: int = 1, is_continued: bool = False
) -> str:
    """Write the table of those lines that were measured; raises DifferentResultsError."""
    check(measured)
    loads = [f"{one['load']:.1f}" for one in measured.get("two workers", ()) if "load" in one]
    introduction = INTRODUCTION.format(
        command=command,
        machine=machine,
        interrupted=" that was interrupted and continued" if is_continued else "",
        at_once=f", the long ones {at_once} at a time on cores of their own" if at_once > 1 else "",
        close=f"{CLOSE:.1%}".replace("%", " %"),
        load=f"; the load average before was {loads[0]}, the benchmark's own included" if loads else "",
        n_starts=N_STARTS,
        n_rounds=QUICKSTART_ROUNDS,
    )
    return "\n\n".join([introduction, "\n".join([BEGIN, *_table(measured), END])]) + "\n"


def check(measured: Measured) -> None:
    """Raise DifferentResultsError when two sides that were measured differ in what must be equal."""
    for line in _lines(measured):
        if line.must not in ("be equal", "have equal folds") or _missing(line, measured):
            continue
        for theirs in _values(line.theirs, measured):
            for ours in _values(line.ours, measured):
                different = _different(line, theirs, ours)
                if different:
                    raise DifferentResultsError(f"{line.what}: {line.ours.side} and {line.theirs.side}: {different}")


def _lines(measured: Measured) -> list[Line]:
    return [line for line in LINES if line.theirs.side in measured and line.ours.side in measured]


def _missing(line: Line, measured: Measured) -> str | None:
    """Say why a line could not be measured; None when it was."""
    both = [one for reading in (line.theirs, line.ours) for one in measured[reading.side]]
    return next((one["missing"] for one in both if "missing" in one), None)


def _values(reading: Reading, measured: Measured) -> Iterator[Mapping[str, Any]]:
    for one in measured[reading.side]:
        values = one["values"].get(reading.part)
        if not values:
            raise DifferentResultsError(f"{reading.side} has no values of {reading.part}")
        yield values


def _different(line: Line, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    names = sorted({*theirs, *ours})
    if line.must == "have equal folds":
        names = [name for name in names if name not in OVER_FOLDS]
    # JSON writes each float so that it is read back to the last bit.
    return ", ".join(name for name in names if json.dumps(theirs.get(name)) != json.dumps(ours.get(name)))


def _lost(line: Line, measured: Measured) -> float | None:
    """Say by what share of the grid's best score an inexact search missed it at most; None for an exact one."""
    if line.must != "be close":
        return None
    (best,) = {values["best_score"] for values in _values(line.theirs, measured)}
    return max((best - values["best_score"]) / abs(best) for values in _values(line.ours, measured))


def _table(measured: Measured) -> list[str]:
    numbers = ("that", "mlwf", "got", "runs")
    rows = [HEADER, tuple("---:" if name in numbers else "---" for name in HEADER)]
    rows += [_cells(line, measured) for line in _lines(measured)]
    return [f"| {' | '.join(row)} |" for row in rows]


def _cells(line: Line, measured: Measured) -> tuple[str, ...]:
    reason = _missing(line, measured)
    if reason:
        return (line.what, line.against, NONE, NONE, f"not measured: {reason}", line.goal.words, NONE, NONE)
    theirs, ours = (_median(reading, line.unit, measured) for reading in (line.theirs, line.ours))
    lost = _lost(line, measured)
    is_reached = line.goal.is_reached(theirs, ours) and (lost is None or lost <= CLOSE)
    runs = {len(measured[line.theirs.side]), len(measured[line.ours.side])}
    return (
        line.what,
        line.against,
        _shown(theirs, line),
        _shown(ours, line),
        line.goal.got(theirs, ours) + ("" if lost is None else f", score {0 - lost:+.2%}".replace("%", " %")),
        line.goal.words,
        "yes" if is_reached else "**no**",
        " and ".join(map(str, sorted(runs))),
    )


def _median(reading: Reading, unit: str, measured: Measured) -> float:
    return statistics.median(one["parts"][reading.part][unit] for one in measured[reading.side])


def _shown(value: float, line: Line) -> str:
    number = f"{value:,.0f}" if line.unit == "fits" else f"{value:.3g}" if value < 100 else f"{value:.0f}"
    return f"{number} {UNITS[line.unit]}"
