"""The scores of a run, each with its interval and beside its baseline, and what must be known to read them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from mlwf.tables.blocks import Block, shown, stacked, with_alarm, written
from mlwf.tables.wording import (
    BAD,
    DOUBTFUL,
    LABEL,
    NOT_AVAILABLE,
    QUIET,
    SOURCES,
    counted,
    number,
    percent,
    signed,
    span,
)

LABELLED = (
    f"{LABEL.capitalize()}: the settings were chosen on rows that these scores are of, so the scores flatter; "
    "`validation.nested: true` removes that."
)
BASELINE = "Baseline: the same metric of a model that knows only how frequent each class is."
TOO_SMALL = f"{NOT_AVAILABLE} in a slice: too few rows, or rows of a single class."
DOUBT = "?"
"""Stands behind a difference that may be none."""
METHODS = {
    "corrected resampled t": "corrected resampled t over the folds",
    "bootstrap of rows": "bootstrap of the rows",
    "bootstrap of groups": "bootstrap of whole groups of rows",
}
"""By which method intervals are got, in words."""


def scores_shown(summary: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Show all scores, those that were got in the same way below one heading."""
    blocks = [_block(group) for group in _groups(summary)]
    # One width for the names, so that the scores of all groups stand below each other.
    width = max((len(cells[0]) for block in blocks for cells in block.rows), default=0)
    for block in blocks:
        aligned = replace(block, first_width=width)
        # At the very last the names fold, so that no number has to.
        yield from shown(aligned, _narrow(aligned), _narrow(block))


def scores_written(summary: Mapping[str, Any]) -> Iterator[str]:
    """Write all scores as lines of Markdown."""
    for group in _groups(summary):
        yield from written(_block(group))


def notes_of(summary: Mapping[str, Any], *, slices: Sequence[Mapping[str, Any]] = ()) -> list[Text]:
    """Explain what the tables of scores, and of the shown slices, take for granted; each note once."""
    scores = summary.get("scores") or []
    told = [*scores, *slices]
    differences = [score["difference"] for score in scores if score.get("difference")]
    notes = [
        with_alarm(Text(LABELLED)) if any(is_tuned(score) for score in told) else None,
        _interval_note(scores, slices),
        BASELINE if any(score.get("baseline") is not None for score in scores) else None,
        _difference_note(differences) if differences else None,
        TOO_SMALL if any(score.get("value") is None for score in slices) else None,
    ]
    return [note if isinstance(note, Text) else Text(note, QUIET) for note in notes if note is not None]


def is_tuned(score: Mapping[str, Any]) -> bool:
    """Tell whether something was chosen on the rows that a score is computed on."""
    return bool(score.get("tuned_on_same_rows")) or LABEL in str(score.get("note") or "")


def interval_column(scores: Iterable[Mapping[str, Any]]) -> str:
    """Give the heading of a column of intervals; empty where the scores are of a time that knew none."""
    intervals = [score["interval"] for score in scores if "interval" in score]
    levels = {percent(interval["level"]) for interval in intervals if interval}
    return " ".join([*levels, "interval"] if len(levels) == 1 else ["interval"]) if intervals else ""


@dataclass(frozen=True)
class _Group:
    """Scores that were got in the same way."""

    title: str
    how: str
    scores: Sequence[Mapping[str, Any]]


def _groups(summary: Mapping[str, Any]) -> list[_Group]:
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for score in summary.get("scores") or []:
        groups.setdefault(_heading(score), []).append(score)
    return [_Group(title, how, scores) for (title, how), scores in groups.items()]


def _heading(score: Mapping[str, Any]) -> tuple[str, str]:
    """Say what rows a score is of, and the rest of how it was got."""
    source = SOURCES.get(score["source"], str(score["source"]))
    note, n_rows = str(score.get("note") or ""), score.get("n_rows")
    if is_tuned(score) and LABEL not in note:
        note = "; ".join(filter(None, [note, LABEL]))
    if (match := re.match(r"(.*?[\d,]+ rows\b)(.*)", note)) and source.lower() in match[1].lower():
        return f"{match[1][0].upper()}{match[1][1:]}", match[2]
    told = n_rows is None or f"{n_rows} rows" in note or f"{n_rows:,} rows" in note
    return source, ("" if told else f" ({counted(n_rows, 'row')})") + (f": {note}" if note else "")


def _block(group: _Group) -> Block:
    interval = interval_column(group.scores)
    differences = [score["difference"] for score in group.scores if score.get("difference")]
    is_doubtful = not all(difference.get("distinguishable") for difference in differences)
    cells = [
        {
            "metric": Text(str(score["metric"])),
            "score": Text(NOT_AVAILABLE if score.get("value") is None else number(score["value"])),
            interval: Text(span(score.get("interval"))),
            "baseline": Text("" if score.get("baseline") is None else number(score["baseline"])),
            "better by": _better_by(score.get("difference"), room=is_doubtful),
        }
        for score in group.scores
    ]
    columns = [column for column in cells[0] if column and any(row[column] for row in cells)]
    rows = [[row[column] for column in columns] for row in cells]
    return Block(group.title, group.how, columns, rows)


def _better_by(difference: Mapping[str, Any] | None, *, room: bool) -> Text:
    if not difference:
        return Text()
    told = signed(difference["value"])
    if not difference.get("distinguishable"):
        return Text(f"{told} {DOUBT}", DOUBTFUL)
    # Room for the mark of others, so that the numbers of a column stand below each other.
    return Text(f"{told}{' ' * len(f' {DOUBT}') if room else ''}", BAD if difference["value"] < 0 else "")


def _narrow(block: Block) -> Block:
    """Put the interval below the score, and the baseline below how much better it is."""
    at = {column: place for place, column in enumerate(block.columns)}
    interval = [place for column, place in at.items() if column.endswith("interval")]
    beside = [[at[column] for column in ("better by", "baseline") if column in at]]
    return stacked(block, [0], [at["score"], *interval], *filter(None, beside))


def _interval_note(scores: Sequence[Mapping[str, Any]], slices: Sequence[Mapping[str, Any]]) -> str | None:
    """Say by which method the intervals were got, and of which scores where there is more than one."""
    placed = [(SOURCES.get(score["source"], score["source"]).lower(), score.get("interval")) for score in scores]
    placed += [("slices", score.get("interval")) for score in slices]
    methods: dict[str, list[str]] = {}
    for place, interval in placed:
        if interval and place not in methods.setdefault(interval["method"], []):
            methods[interval["method"]].append(place)
    if not methods:
        return None
    levels = sorted({percent(interval["level"]) for _, interval in placed if interval})
    told = [
        " ".join([METHODS.get(method, method), *([f"({', '.join(places)})"] if len(methods) > 1 else [])])
        for method, places in methods.items()
    ]
    return f"Interval: {', '.join([*levels, '; '.join(told)])}."


def _difference_note(differences: Sequence[Mapping[str, Any]]) -> str:
    clear = all(difference.get("distinguishable") for difference in differences)
    told = "distinguishable from zero throughout" if clear else f"{DOUBT} where that is not distinguishable from zero"
    return f"Better by: how far ahead of the baseline, whichever way the metric points; {told}."
