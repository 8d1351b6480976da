"""The rows looked at more closely: class by class, and slice by slice, of the best source that a run has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from mlwf.tables.blocks import Block, shown, written
from mlwf.tables.scores import interval_column, is_tuned
from mlwf.tables.wording import LABEL, NOT_AVAILABLE, QUIET, SOURCES, labels_of, number, span
from mlwf.text import LONGEST_NAME, cut, format_name

MOST_CONFUSED = 6
"""With how many classes at most the confusion is shown."""
MOST_CLASSES = 20
WIDEST_LABEL = 20
WIDEST_HEADING = 12

Cells = tuple[list[str], list[list[Text]]]
"""The columns and the rows of a table."""


def judgement_shown(summary: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Show the classes, then the slices."""
    if judged := _best_classes(summary):
        yield from shown(*_classes(judged[0]))
    if slices := best_slices(summary):
        yield from shown(*_slices(slices, _all_rows(summary, slices)))


def judgement_written(summary: Mapping[str, Any]) -> Iterator[str]:
    """Write the classes, then the slices, as lines of Markdown."""
    if judged := _best_classes(summary):
        yield from written(_classes(judged[0])[0])
    if slices := best_slices(summary):
        yield from written(_slices(slices, _all_rows(summary, slices))[0])


def best_slices(summary: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Give the scores of the slices that are shown: those of the best source."""
    return _best(summary.get("slices") or [])


def _best_classes(summary: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return _best([judged for judged in summary.get("classes") or [] if judged.get("report")])


def _best(judged: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    by_source = ([each for each in judged if each["source"] == source] for source in SOURCES)
    return next(filter(None, by_source), [])


def _place(judged: Mapping[str, Any]) -> str:
    """Say which rows are looked at, and the labels of all that is computed on them."""
    labels = labels_of(str(judged.get("note") or ""))
    labels += [LABEL] if is_tuned(judged) and LABEL not in labels else []
    return f" ({'; '.join([SOURCES[judged['source']].lower(), *labels])})"


def _classes(judged: Mapping[str, Any]) -> list[Block]:
    """Give the table of the classes with and without the confusion, or without alone."""
    report, confusion = judged["report"], judged.get("confusion") or []
    how = _place(judged)
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


def _all_rows(summary: Mapping[str, Any], slices: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Give the scores that the slices are to be compared with."""
    return [
        {**score, "slice": "all rows"}
        for score in summary.get("scores") or []
        if score["source"] == slices[0]["source"] and score.get("value") is not None
    ]


def _slices(slices: Sequence[Mapping[str, Any]], whole: Sequence[Mapping[str, Any]]) -> list[Block]:
    """Give the table of the slices: a column for each metric, its interval beside or below it; or a part for each."""
    metrics = list(dict.fromkeys(score["metric"] for score in slices))
    scores = [*(score for score in whole if score["metric"] in metrics), *slices]
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
    told = f"[{number(interval['low'])}, {number(interval['high'])}]" if interval else f"[{NOT_AVAILABLE}]"
    return f"{number(score['value'])}{between}{told}"


def _value(value: float | None) -> str:
    return NOT_AVAILABLE if value is None else number(value)
