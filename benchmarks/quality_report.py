"""The measurements of the quality benchmark, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.quality_systems import SYSTEMS

BEGIN, END = "<!-- quality -->", "<!-- /quality -->"
"""Between them stands what the README quotes."""
CONFIDENCE = 0.95
OURS = "portfolio"
NONE = "–"
FORMATS = {"log_loss": ".4f", "roc_auc": ".4f", "accuracy": ".3f", "cpu": ".0f", "fit_seconds": ".0f"}
HEADS = {"log_loss": "log loss", "roc_auc": "ROC AUC", "accuracy": "accuracy", "cpu": "CPU s", "fit_seconds": "wall s"}

Measured = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""What was measured, by table, by system, by number of the split."""

INTRODUCTION = """\
# Is the model good?

Written by `{command}`; an edit would not last. Measured on {machine}.

Each table is split {splits} at random, stratified: 70 % of the rows to train on, 30 % to test on. A fit is a
process of its own with {cores} cores, and a system that takes a time limit got {seconds:g} seconds for it{clock}.
CPU is the user and system time of the process with all its children, from its start to its end, imports and predictions
included. Everything is measured on the test rows, which no fit has seen; the AUC of several classes is one against the
rest.{remarks}"""

CPU_CLOCK = """\
: of CPU time by cores for
FLAML and AutoGluon, which is more than they get of a wall clock, since others used the machine, and of wall time for
mlwf"""
RANKS = """\
The rank is that by log loss on each split, averaged over splits and then tables; a system that failed is last."""
DIFFERENCES = f"""\
The log loss of the portfolio minus that of the other, in percent of the other's: below zero the portfolio is better.
The intervals of {CONFIDENCE:.0%} are of the corrected resampled t-test (Nadeau and Bengio 2003), as the splits share
rows; with one split there are none."""


def write_report(
    measured: Measured, *, command: str, machine: str, seconds: float, n_cores: int, clock: str = "wall"
) -> str:
    """Write the mean ranks, the paired differences and a table for each data set."""
    complete = {name: {system: list(splits.values()) for system, splits in of.items()} for name, of in measured.items()}
    n_splits = max(len(splits) for of in complete.values() for splits in of.values())
    parts = [
        INTRODUCTION.format(
            command=command,
            machine=machine,
            splits="once" if n_splits == 1 else f"{n_splits} times",
            cores=n_cores,
            seconds=seconds,
            clock=CPU_CLOCK if clock == "cpu" else "",
            remarks=_remarks(complete),
        ),
        "## All tables",
        "\n".join([BEGIN, *_overall(complete), END]),
        RANKS,
        "## The portfolio beside each of the others",
        DIFFERENCES,
        "\n".join(_differences(complete)),
        *(part for name, of in complete.items() for part in (f"## {name}", "\n".join(_of_table(of)))),
    ]
    return "\n\n".join(parts) + "\n"


def mean_ranks(measured: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]) -> dict[str, float]:
    """Rank the systems by log loss on each split; give the means over splits and then tables, the best first."""
    by_system: dict[str, list[float]] = {}
    for of in measured.values():
        n_splits = min(len(splits) for splits in of.values())
        losses = [[splits[number].get("log_loss", np.inf) for splits in of.values()] for number in range(n_splits)]
        for system, rank in zip(of, stats.rankdata(losses, axis=1).mean(axis=0), strict=True):
            by_system.setdefault(system, []).append(float(rank))
    ranks = {system: float(np.mean(of_tables)) for system, of_tables in by_system.items()}
    return dict(sorted(ranks.items(), key=lambda item: item[1]))


def corrected_interval(differences: Sequence[float], *, test_share: float) -> tuple[float, float] | None:
    """Give the interval of the mean difference over random splits; None for fewer than two.

    The variance is that of Nadeau and Bengio (2003), "Inference for the generalization error": splits overlap, so
    that it falls more slowly than with independent samples. `test_share` is the test rows by the training rows.

    >>> low, high = corrected_interval([1.0, 2.0, 3.0], test_share=0.5)
    >>> round(low, 2), round(high, 2)
    (-1.93, 5.93)
    """
    n = len(differences)
    if n < 2:
        return None
    half = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * np.std(differences, ddof=1) * np.sqrt(1 / n + test_share)
    mean = float(np.mean(differences))
    return mean - float(half), mean + float(half)


def _remarks(measured: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]) -> str:
    failed = [
        f"{SYSTEMS[system].title} on {table}"
        for table, of in measured.items()
        for system, splits in of.items()
        if any("failed" in one for one in splits)
    ]
    return f" Failed: {', '.join(failed)}." if failed else ""


def _overall(measured: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]) -> list[str]:
    rows = []
    for system, rank in mean_ranks(measured).items():
        of = [[one for one in table[system] if "failed" not in one] for table in measured.values() if system in table]
        cpu = [float(np.mean([one["cpu"] for one in splits])) for splits in of if splits]
        predicting = [1e3 * one["predict_seconds"] for splits in of for one in splits]
        best = sum(_mean_loss(table, system) <= _best_loss(table) for table in measured.values())
        near = sum(_mean_loss(table, system) <= 1.01 * _best_loss(table) for table in measured.values())
        times = [f"{np.median(cpu):.0f}", f"{max(cpu):.0f}", f"{np.median(predicting):.0f}"] if cpu else [NONE] * 3
        rows.append([SYSTEMS[system].title, f"{rank:.2f}", str(best), str(near), *times])
    head = ["system", "mean rank", "best", "within 1 % of it", "CPU s, median", "CPU s, most", "ms for 1,000 rows"]
    return _markdown(head, rows)


def _mean_loss(table: Mapping[str, Sequence[Mapping[str, Any]]], system: str) -> float:
    return float(np.mean([one.get("log_loss", np.inf) for one in table[system]])) if system in table else np.inf


def _best_loss(table: Mapping[str, Sequence[Mapping[str, Any]]]) -> float:
    return min(_mean_loss(table, system) for system in table)


def _differences(measured: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]) -> list[str]:
    others = [system for system in mean_ranks(measured) if system != OURS]
    rows = []
    for name, of in measured.items():
        cells = [_difference(of[OURS], of[other]) if OURS in of and other in of else NONE for other in others]
        rows.append([name, *cells])
    return _markdown(["table", *(SYSTEMS[other].title for other in others)], rows)


def _difference(ours: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]) -> str:
    pairs = [(a, b) for a, b in zip(ours, others, strict=False) if "failed" not in a and "failed" not in b]
    if not pairs:
        return NONE
    scale = 100 / float(np.mean([other["log_loss"] for _, other in pairs]))
    differences = [scale * (one["log_loss"] - other["log_loss"]) for one, other in pairs]
    interval = corrected_interval(differences, test_share=pairs[0][0]["n_test"] / pairs[0][0]["n_train"])
    bounds = f" [{interval[0]:+.1f}, {interval[1]:+.1f}]" if interval else ""
    return f"{np.mean(differences):+.1f}{bounds}"


def _of_table(of: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    rows = []
    for system in sorted(of, key=lambda system: _mean_loss(of, system)):
        fitted = [one for one in of[system] if "failed" not in one]
        if not fitted:
            rows.append([SYSTEMS[system].title, *[NONE] * (len(FORMATS) + 1)])
            continue
        means = [format(float(np.mean([one[key] for one in fitted])), style) for key, style in FORMATS.items()]
        predicting = 1e3 * float(np.mean([one["predict_seconds"] for one in fitted]))
        rows.append([SYSTEMS[system].title, *means, f"{predicting:.0f}"])
    return _markdown(["system", *HEADS.values(), "ms for 1,000 rows"], rows)


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    line = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in [list(head), line, *map(list, rows)]]
