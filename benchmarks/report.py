"""The results of many repetitions, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from benchmarks.estimates import HOLD_OUTS, METRICS, Estimate, Way
from benchmarks.scenarios import SCENARIOS

BEGIN, END = "<!-- honesty -->", "<!-- /honesty -->"
"""Between them stands what the README quotes."""

HEADER = ("scenario", "what", "reported", "true", "bias", "coverage", "label")
LEAST_COVERAGE = 0.9
MOST_ERRORS = 3
"""Monte-Carlo standard errors that a bias may come to by chance; of twenty rows one reaches two."""
NONE = "–"
TOO_NARROW = "  - Why: a hold-out of 12 persons or 20 rows is few to resample, and the percentiles then lie too close."
METRIC_NAMES = {"accuracy": "accuracy", "roc_auc": "ROC AUC"}


@dataclass(frozen=True)
class Line:
    """A way to estimate a score in a scenario, over all repetitions."""

    scenario: str
    way: Way
    metric: str
    reported: float
    true: float
    error: float
    """Monte-Carlo standard error of the bias."""
    coverage: float
    """Share of the intervals that hold the truth; one that there is not holds nothing."""
    without_interval: float
    labelled: float
    """Share of the scores that are labelled as tuned on the same rows."""
    found: float
    """Share of the runs that report the scenario's finding."""

    @property
    def bias(self) -> float:
        """Reported minus true."""
        return self.reported - self.true

    @property
    def is_promised(self) -> bool:
        """Whether mlwf promises that it is unbiased and that its intervals hold the truth."""
        requests = SCENARIOS[self.scenario].remedy is None or self.way.names_column
        return self.way.is_ours and self.way.is_nested_or_held_out and requests

    @property
    def is_to_be_labelled(self) -> bool:
        """Whether mlwf promises to label that the score was tuned on the same rows."""
        return self.way.is_ours and not self.way.is_nested_or_held_out


def summarise(estimates: Iterable[Estimate]) -> list[Line]:
    """Put the repetitions together: a line for each metric, scenario and way, in the order of their first estimates."""
    by_line: dict[tuple[str, str, str], list[Estimate]] = {}
    for estimate in estimates:
        by_line.setdefault((estimate.metric, estimate.scenario, estimate.way.title), []).append(estimate)
    return [_line(repetitions) for repetitions in by_line.values()]


INTRODUCTION = """\
# Is the number honest?

Written by `{command}`; an edit would not last. `benchmarks/scenarios.py` says how the data are drawn,
`benchmarks/estimates.py` what is compared. The numbers are means over {repetitions} repetitions, of `train_test`
{hold_outs}: a single hold-out varies more, and costs less.

- **true**: the score on fresh rows of the very models that were evaluated: the mean of the fold models, the scored
  model of `train_test`, the next block of a time series.
- **bias**: reported minus true, ± its Monte-Carlo standard error.
- **coverage**: the share of 95 % intervals that hold the truth; chance moves it by {chance:.0f} %, for `train_test` by
  {less_chance:.0f} %.
- **search, then cross-validation**: a search over all rows, then an unshuffled 5-fold cross-validation of what it
  chose. It prints no interval."""


def write_report(lines: Sequence[Line], *, repetitions: int, command: str) -> str:
    """Write the tables and whether the promises hold."""
    # The standard error of a share of 95 %.
    chance, less_chance = 100 * np.sqrt(0.95 * 0.05 / np.array([repetitions, repetitions * HOLD_OUTS]))
    accuracy, *others = [[line for line in lines if line.metric == metric] for metric in METRICS]
    parts = [
        INTRODUCTION.format(
            command=command,
            repetitions=repetitions,
            hold_outs=repetitions * HOLD_OUTS,
            chance=chance,
            less_chance=less_chance,
        ),
        "## Accuracy",
        "\n".join([BEGIN, *_table(accuracy), END]),
        *(part for other in others for part in (f"## {METRIC_NAMES[other[0].metric]}", "\n".join(_table(other)))),
        "## The promises",
        "\n".join(_promises(lines)),
    ]
    return "\n\n".join(parts) + "\n"


def _line(repetitions: Sequence[Estimate]) -> Line:
    first = repetitions[0]
    errors = np.array([one.reported - one.true for one in repetitions])
    held = [one.interval is not None and one.interval[0] <= one.true <= one.interval[1] for one in repetitions]
    return Line(
        scenario=first.scenario,
        way=first.way,
        metric=first.metric,
        reported=float(np.mean([one.reported for one in repetitions])),
        true=float(np.mean([one.true for one in repetitions])),
        error=float(errors.std(ddof=1) / np.sqrt(len(errors))),
        coverage=float(np.mean(held)),
        without_interval=float(np.mean([one.interval is None for one in repetitions])),
        labelled=float(np.mean([one.is_labelled for one in repetitions])),
        found=float(np.mean([one.has_finding for one in repetitions])),
    )


def _table(lines: Sequence[Line]) -> list[str]:
    rows = [HEADER, tuple("---:" if name in ("reported", "true", "bias", "coverage") else "---" for name in HEADER)]
    for scenario, group in groupby(lines, key=lambda line: line.scenario):
        for number, line in enumerate(group):
            rows.append(_cells(SCENARIOS[scenario].title if number == 0 else "", line))
    return [f"| {' | '.join(row)} |" for row in rows]


def _cells(title: str, line: Line) -> tuple[str, ...]:
    coverage = NONE
    if line.way.is_ours:
        coverage = f"{100 * line.coverage:.0f} %"
        if line.without_interval:
            coverage += f" ({100 * line.without_interval:.0f} % have none)"
    return (
        title,
        line.way.title,
        f"{line.reported:.3f}",
        f"{line.true:.3f}",
        f"{line.bias:+.3f} ± {line.error:.3f}",
        coverage,
        _label(line),
    )


def _label(line: Line) -> str:
    """Say what warns the reader of such a score."""
    if not line.way.is_ours:
        return NONE
    lines = {"tuned on the same rows": line.labelled, f"finding `{SCENARIOS[line.scenario].finding}`": line.found}
    shares = [name if share == 1 else f"{name} ({100 * share:.0f} %)" for name, share in lines.items() if share]
    return ", ".join(shares) or NONE


def _promises(lines: Sequence[Line]) -> list[str]:
    promised = [line for line in lines if line.is_promised]
    biased = [line for line in promised if abs(line.bias) > MOST_ERRORS * line.error]
    narrow = [line for line in promised if line.coverage < LEAST_COVERAGE]
    labelled = [line for line in lines if line.is_to_be_labelled]
    return [
        *_verdict(f"Nested and `train_test` are unbiased, within {MOST_ERRORS} standard errors", promised, biased),
        *_verdict(f"Their intervals cover at least {100 * LEAST_COVERAGE:.0f} %", promised, narrow),
        *([TOO_NARROW] if any("train_test" in line.way.title for line in narrow) else []),
        *_verdict(
            "What was tuned on the same rows is labelled so, each time",
            labelled,
            [line for line in labelled if line.labelled < 1],
        ),
    ]


def _verdict(promise: str, lines: Sequence[Line], failing: Sequence[Line]) -> list[str]:
    if not failing:
        return [f"- {promise}: **kept** in all {len(lines)} rows."]
    lines = [
        f"  - {SCENARIOS[line.scenario].title}, {line.way.title}, {METRIC_NAMES[line.metric]}: "
        f"bias {line.bias:+.3f} ± {line.error:.3f}, coverage {100 * line.coverage:.1f} %"
        for line in failing
    ]
    return [f"- {promise}: **broken** in {len(failing)} of {len(lines)} rows.", *lines]
