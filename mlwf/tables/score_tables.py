"""The scores of a run, each with its interval and beside its baseline; class by class and slice by slice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from mlwf.specs.catalogue import SOURCES
from mlwf.tables.blocks import (
    BAD,
    COMPARED_LABELS,
    DOUBT,
    DOUBTFUL,
    METHODS,
    NOT_AVAILABLE,
    QUIET,
    Block,
    block_markdown,
    labels_of,
    number,
    percent,
    provenance_of,
    render_block,
    signed,
    source_label,
    span,
    stacked,
    with_alarm,
)
from mlwf.text import LONGEST_NAME, cut, format_name, pluralize

MOST_CONFUSED = 6
"""With how many classes at most the confusion is shown."""
MOST_CLASSES = 20
WIDEST_LABEL = 20
WIDEST_HEADING = 12
LABELLED = (
    "the settings were chosen on rows that these scores are of, so the scores flatter; "
    "`validation.nested: true` removes that."
)
BASELINE_NOTE = "Baseline: the same metric of a model that knows only how frequent each class is."
TOO_SMALL = f"{NOT_AVAILABLE} in a slice: too few rows, or rows of a single class."
Cells = tuple[list[str], list[list[Text]]]
"""The columns and the rows of a table."""


def render_scores(summary: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Show all scores, those that were got in the same way below one heading."""
    groups = score_groups(summary)
    blocks = [_block(group) for group in groups]
    # One width for the names, so that the scores of all groups stand below each other.
    width = max((len(cells[0]) for block in blocks for cells in block.rows), default=0)
    for group, block in zip(groups, blocks, strict=True):
        aligned, interval = replace(block, first_width=width), interval_column(group.scores)
        # At the very last the names fold, so that no number has to.
        yield from render_block(aligned, _narrow(aligned, interval), _narrow(block, interval))


def scores_markdown(summary: Mapping[str, Any]) -> Iterator[str]:
    """Write all scores as lines of Markdown."""
    for group in score_groups(summary):
        yield from block_markdown(_block(group))


def render_details(summary: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Show the classes, then the slices."""
    if evaluation := _best_classes(summary):
        yield from render_block(*_classes(evaluation[0]))
    if slices := best_slices(summary):
        yield from render_block(*_slices(slices, scores_of_all_rows(summary, slices)))


def details_markdown(summary: Mapping[str, Any]) -> Iterator[str]:
    """Write the classes, then the slices, as lines of Markdown."""
    if evaluation := _best_classes(summary):
        yield from block_markdown(_classes(evaluation[0])[0])
    if slices := best_slices(summary):
        yield from block_markdown(_slices(slices, scores_of_all_rows(summary, slices))[0])


def best_slices(summary: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Give the scores of the slices that are shown: those of the best source."""
    return _best(summary.get("slices") or [])


def notes_of(summary: Mapping[str, Any], *, slices: Sequence[Mapping[str, Any]] = ()) -> list[Text]:
    """Explain what the tables of scores, and of the shown slices, take for granted; each note once."""
    scores = summary.get("scores") or []
    shown = [*scores, *slices]
    differences = [score["difference"] for score in scores if score.get("difference")]
    compared = [label for score in shown for label in _compared(score)]
    notes = [
        with_alarm(Text(f"{compared[0].capitalize()}: {LABELLED}")) if compared else None,
        _interval_note(scores, slices),
        BASELINE_NOTE if any(score.get("baseline") is not None for score in scores) else None,
        _difference_note(differences) if differences else None,
        TOO_SMALL if any(score.get("value") is None for score in slices) else None,
    ]
    return [note if isinstance(note, Text) else Text(note, QUIET) for note in notes if note is not None]


def _compared(score: Mapping[str, Any]) -> list[str]:
    """List the labels of what was chosen by comparing scores of the rows that a score is computed on."""
    return [label for label in labels_of(score) if label in COMPARED_LABELS]


def interval_column(scores: Iterable[Mapping[str, Any]]) -> str:
    """Give the heading of a column of intervals; empty where the scores are of a time that knew none."""
    intervals = [score["interval"] for score in scores if "interval" in score]
    levels = {percent(interval["level"]) for interval in intervals if interval}
    return " ".join([*levels, "interval"] if len(levels) == 1 else ["interval"]) if intervals else ""


@dataclass(frozen=True)
class ScoreGroup:
    """Scores that were got in the same way."""

    title: str
    how: str
    scores: Sequence[Mapping[str, Any]]


def score_groups(summary: Mapping[str, Any]) -> list[ScoreGroup]:
    """Give the scores, those that were got in the same way together."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for score in summary.get("scores") or []:
        groups.setdefault(_heading(score), []).append(score)
    return [ScoreGroup(title, how, scores) for (title, how), scores in groups.items()]


def _heading(score: Mapping[str, Any]) -> tuple[str, str]:
    """Say what rows a score is of, and the rest of how it was got."""
    if provenance := provenance_of(score):
        title = provenance.title
        return f"{title[0].upper()}{title[1:]}", "; ".join([provenance.details, *provenance.remarks])
    rows = pluralize(score.get("n_rows"), "row")
    note = "; ".join([str(score["note"])] if score.get("note") else labels_of(score))
    return source_label(score), (f" ({rows})" if rows else "") + (f": {note}" if note else "")


def _block(group: ScoreGroup) -> Block:
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
    text = signed(difference["value"])
    if not difference.get("distinguishable"):
        return Text(f"{text} {DOUBT}", DOUBTFUL)
    # Room for the mark of others, so that the numbers of a column stand below each other.
    return Text(f"{text}{' ' * len(f' {DOUBT}') if room else ''}", BAD if difference["value"] < 0 else "")


def _narrow(block: Block, interval: str) -> Block:
    """Put the column `interval` below the score, and the baseline below how much better it is."""
    at = {column: place for place, column in enumerate(block.columns)}
    pairs = [
        [at[column] for column in pair if column in at] for pair in (("score", interval), ("better by", "baseline"))
    ]
    return stacked(block, [0], *filter(None, pairs))


def _best_classes(summary: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return _best([evaluation for evaluation in summary.get("classes") or [] if evaluation.get("report")])


def _best(results: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    by_source = ([each for each in results if each["source"] == source] for source in SOURCES)
    return next(filter(None, by_source), [])


def _place(evaluation: Mapping[str, Any]) -> str:
    """Say which rows are looked at, and the labels of all that is computed on them."""
    return f" ({'; '.join([SOURCES[evaluation['source']].in_text, *labels_of(evaluation)])})"


def _classes(evaluation: Mapping[str, Any]) -> list[Block]:
    """Give the table of the classes with and without the confusion, or without alone."""
    report, confusion = evaluation["report"], evaluation.get("confusion") or []
    how = _place(evaluation)
    if len(report) > MOST_CLASSES:
        how += f": the {MOST_CLASSES} of {len(report):,} classes with the lowest f1"
        report = sorted(report, key=lambda each: (each["f1"] is not None, each["f1"] or 0.0))[:MOST_CLASSES]
    columns = ["class", "rows", "precision", "recall", "f1"]
    plain = Block("Classes", how, columns, [_class(each) for each in report])
    if not confusion or len(report) > MOST_CONFUSED:
        return [plain]
    predicted = [f"as {format_name(each['label'], WIDEST_HEADING)}" for each in report]
    rows = [
        [*cells, *(Text(f"{n:,}", "bold" if at == row else "" if n else QUIET) for at, n in enumerate(counts))]
        for row, (cells, counts) in enumerate(zip(plain.rows, confusion, strict=True))
    ]
    return [Block("Classes", how, [*columns, *predicted], rows), plain]


def _class(report: Mapping[str, Any]) -> list[Text]:
    label = format_name(report["label"], WIDEST_LABEL)
    shares = (report.get(name) for name in ("precision", "recall", "f1"))
    return [Text(label), Text(f"{report['n_rows']:,}"), *(Text(_value(share)) for share in shares)]


def scores_of_all_rows(summary: Mapping[str, Any], slices: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Give the scores that the slices are to be compared with."""
    return [
        {**score, "slice": "all rows"}
        for score in summary.get("scores") or []
        if score["source"] == slices[0]["source"] and score.get("value") is not None
    ]


def _slices(slices: Sequence[Mapping[str, Any]], all_rows: Sequence[Mapping[str, Any]]) -> list[Block]:
    """Give the table of the slices: a column for each metric, its interval beside or below it; or a part for each."""
    metrics = list(dict.fromkeys(score["metric"] for score in slices))
    scores = [*(score for score in all_rows if score["metric"] in metrics), *slices]
    tables = [*(_by_slice(scores, metrics, between) for between in (" ", "\n")), _by_metric(scores, metrics)]
    return [Block("Slices", _place(slices[0]), columns, rows) for columns, rows in tables]


def _by_slice(scores: Sequence[Mapping[str, Any]], metrics: Sequence[str], between: str) -> Cells:
    found = {(score["slice"], score["metric"]): score for score in scores}
    rows = []
    for name, n_rows in {score["slice"]: score["n_rows"] for score in scores}.items():
        values = (_score_with_interval(found.get((name, metric)), between) for metric in metrics)
        rows.append([Text(cut(name, LONGEST_NAME)), Text(f"{n_rows:,}"), *map(Text, values)])
    return ["slice", "rows", *metrics], rows


def _by_metric(scores: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> Cells:
    rows = []
    for metric in metrics:
        rows.append([Text(metric, "bold"), *(Text() for _ in range(3))])
        for score in (score for score in scores if score["metric"] == metric):
            numbers = (f"{score['n_rows']:,}", _value(score.get("value")), span(score.get("interval")))
            rows.append([Text(f"  {cut(score['slice'], LONGEST_NAME)}"), *map(Text, numbers)])
    return ["slice", "rows", "score", interval_column(scores) or "interval"], rows


def _score_with_interval(score: Mapping[str, Any] | None, between: str) -> str:
    if not score or score.get("value") is None:
        return NOT_AVAILABLE
    interval = score.get("interval")
    ends = f"[{number(interval['low'])}, {number(interval['high'])}]" if interval else f"[{NOT_AVAILABLE}]"
    return f"{number(score['value'])}{between}{ends}"


def _value(value: float | None) -> str:
    return NOT_AVAILABLE if value is None else number(value)


def _interval_note(scores: Sequence[Mapping[str, Any]], slices: Sequence[Mapping[str, Any]]) -> str | None:
    """Say by which method the intervals were got, and of which scores where there is more than one."""
    placed = [(source_label(score).lower(), score.get("interval")) for score in scores]
    placed += [("slices", score.get("interval")) for score in slices]
    methods: dict[str, list[str]] = {}
    for place, interval in placed:
        if interval and place not in methods.setdefault(interval["method"], []):
            methods[interval["method"]].append(place)
    if not methods:
        return None
    levels = sorted({percent(interval["level"]) for _, interval in placed if interval})
    described = [
        " ".join([METHODS.get(method, method), *([f"({', '.join(places)})"] if len(methods) > 1 else [])])
        for method, places in methods.items()
    ]
    return f"Interval: {', '.join([*levels, '; '.join(described)])}."


def _difference_note(differences: Sequence[Mapping[str, Any]]) -> str:
    clear = all(difference.get("distinguishable") for difference in differences)
    sure = "distinguishable from zero throughout" if clear else f"{DOUBT} where that is not distinguishable from zero"
    return f"Better by: how far ahead of the baseline, whichever way the metric points; {sure}."
