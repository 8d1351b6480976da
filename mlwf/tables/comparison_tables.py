"""Runs beside each other: what was asked for, how good each is, gates and findings, as tables and as Markdown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from mlwf.tables.blocks import (
    BAD,
    DOUBT,
    DOUBTFUL,
    GOOD,
    METHODS,
    NOT_AVAILABLE,
    NOTHING,
    QUIET,
    STATUS_STYLES,
    Block,
    block_markdown,
    duration,
    escaped,
    labels_of,
    marked,
    number,
    percent,
    provenance_of,
    render_block,
    sentence,
    signed,
    source_label,
    span,
    with_alarm,
)
from mlwf.text import cut, format_name, pluralize, printable, printable_in

LONGEST_CELL = 48
MOST_KEYS = 40
MOST_SLICES = 30
MANY_SLICES = 20
"""Scores from which on some are likely to differ by chance."""
MOST_TOGETHER = 4
"""Columns that are named in one line, where all changed alike."""
MOST_BESIDE = 4
"""Of runs that have a column each; a few keys of more runs have one."""
RUNS = "Runs"
NARROWER = ("asked for", "algorithm", "fits made", "time")
"""Columns that a narrow terminal does without, the first of them first."""
OUTCOMES = {"met": "gates met", "not met": "gate not met"}


def comparison_table(comparison: Mapping[str, Any]) -> RenderableType:
    """Show runs beside the first of them."""
    comparison = printable_in(comparison)
    parts: list[RenderableType] = []
    for block in _blocks(comparison):
        # A run id is of no use in two halves: where it has no room, columns of numbers go.
        narrower = [_without(block, NARROWER[:count]) for count in range(1, len(NARROWER) + 1)]
        parts += (
            render_block(block, *(narrower if block.title == RUNS else [])) if block.rows else _heading_alone(block)
        )
    notes = [with_alarm(Text(note, QUIET)) for note in _notes(comparison)]
    return Group(*parts[1:], *([Text(), *notes] if notes else []))


def comparison_markdown(comparison: Mapping[str, Any]) -> str:
    """Write runs beside the first of them as a comment of a pull request.

    Its first line is a mark that nobody sees, by which a bot finds the comment that it wrote before.
    """
    comparison = printable_in(comparison)
    *_, last = comparison["runs"]
    lines = [f"<!-- mlwf compare {re.sub('[^A-Za-z0-9_.]+', '-', str(last['name'] or ''))} -->"]
    lines += [f"## {escaped(last['name'] or '')}: {_verdict(comparison)}"]
    for block in _blocks(comparison):
        lines += block_markdown(block) if block.rows else ["", f"**{escaped(block.title)}**{escaped(block.how)}"]
    if notes := list(_notes(comparison)):
        lines += ["", *(f"- {marked(sentence(note))}" for note in notes)]
    return "\n".join(lines) + "\n"


def _heading_alone(block: Block) -> list[RenderableType]:
    return [Text(), Text.assemble((block.title, "bold"), block.how)]


def _without(block: Block, columns: Sequence[str]) -> Block:
    kept = [at for at, column in enumerate(block.columns) if column not in columns]
    n_words = sum(at < block.n_words for at in kept)
    rows = [[cells[at] for at in kept] for cells in block.rows]
    return replace(block, columns=[block.columns[at] for at in kept], rows=rows, n_words=n_words)


def _blocks(comparison: Mapping[str, Any]) -> Iterator[Block]:
    yield _runs(comparison["runs"])
    yield from _keys("Configuration", comparison, "configuration", "no key differs")
    yield from _keys("Also different", comparison, "others", "")
    for source in dict.fromkeys(score["source"] for score in comparison["scores"]):
        yield _scores(comparison, [score for score in comparison["scores"] if score["source"] == source])
    if clear := [score for score in _slices(comparison) if _is_clear(score)]:
        clearest = sorted(clear, key=_clearness, reverse=True)[:MOST_SLICES]
        shown = [score for score in clear if score in clearest]
        some = f", the {MOST_SLICES} clearest of {len(clear):,}" if len(clear) > MOST_SLICES else ""
        yield _scores(comparison, shown, title=f"Slices that changed ({source_label(clear[0]).lower()}{some})")
    yield from _gates(comparison)
    yield from _findings(comparison)


def _runs(runs: Sequence[Mapping[str, Any]]) -> Block:
    columns = ["", "run", "name", "outcome", "algorithm", "fits made", "asked for", "time"]
    return Block(RUNS, "", columns, [_run(run) for run in runs], n_words=5)


def _run(run: Mapping[str, Any]) -> list[Text]:
    outcome = ", ".join(filter(None, [str(run["status"] or ""), OUTCOMES.get(run["gates"] or "")]))
    style = BAD if run["gates"] == "not met" else STATUS_STYLES.get(str(run["status"]), "")
    fits = run["fits"]
    registered = f" ({format_name(run['registered'])} {run['version']})" if run["registered"] else ""
    return [
        Text(str(run["label"]), "bold"),
        Text(str(run["run_id"] or "")),
        Text(format_name(run["name"] or "") + registered),
        Text(outcome, style),
        Text(str(run["algorithm"] or NOTHING)),
        *(Text(f"{fits[key]:,}" if key in fits else NOTHING) for key in ("fitted", "asked")),
        Text(duration(run["seconds"])),
    ]


# Keys that differ


def _keys(title: str, comparison: Mapping[str, Any], kind: str, nothing: str) -> Iterator[Block]:
    labels = _labels(comparison)
    rows = [[Text(name), *(_written(values, label) for label in labels)] for name, values in _merged(comparison[kind])]
    if rows and len(labels) > MOST_BESIDE and len(rows) <= MOST_BESIDE:
        columns = ["", *(cells[0].plain for cells in rows)]
        turned = [[Text(label, "bold"), *(cells[at] for cells in rows)] for at, label in enumerate(labels, start=1)]
        yield Block(title, "", columns, turned, n_words=len(columns))
    elif rows:
        left = len(rows) - MOST_KEYS
        more = f" ({MOST_KEYS} of {len(rows):,} keys)" if left > 0 else ""
        yield Block(title, more, ["", *labels], rows[:MOST_KEYS], n_words=len(labels) + 1)
    elif nothing:
        yield Block(title, f": {nothing}", [], [])


def _merged(found: Sequence[Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    """Name each key once; columns whose features changed alike together."""
    together: dict[str, tuple[list[str], tuple[Any, ...], Mapping[str, Any]]] = {}
    for each in found:
        path, values = each["path"], each["values"]
        is_feature = len(path) > 1 and path[0] == "features"
        rest = tuple(path[2:]) if is_feature else tuple(path)
        same = json.dumps([is_feature, rest, values], default=str)
        together.setdefault(same, ([], rest, values))[0].extend([str(path[1])] if is_feature else [])
    return [(_key(columns, rest), values) for columns, rest, values in together.values()]


def _key(columns: Sequence[str], rest: Sequence[Any]) -> str:
    named = ", ".join(map(format_name, columns[:MOST_TOGETHER]))
    more = f" and {len(columns) - MOST_TOGETHER} more" if len(columns) > MOST_TOGETHER else ""
    ending = ".".join(str(part).removeprefix("classifier__") for part in rest)
    return ": ".join(filter(None, [f"features of {named}{more}" if columns else "", ending]))


def _written(values: Mapping[str, Any], label: str) -> Text:
    if label not in values:
        return Text(NOTHING, QUIET)
    value = values[label]
    text = number(value) if isinstance(value, float) and value != round(value, 4) else _json(value)
    return Text(cut(text, LONGEST_CELL))


def _json(value: Any) -> str:
    if isinstance(value, Mapping) and "type" in value:
        others = ", ".join(f"{key} {_json(each)}" for key, each in value.items() if key != "type")
        return f"{value['type']}: {others}" if others else str(value["type"])
    return value if isinstance(value, str) and value else printable(json.dumps(value, ensure_ascii=False, default=str))


# Scores


def _scores(comparison: Mapping[str, Any], scores: Sequence[Mapping[str, Any]], title: str = "") -> Block:
    labels = _labels(comparison)
    heading = title or _heading(scores)
    refusals = dict.fromkeys(each["message"] for score in scores for each in score["refused"].values())
    how = f": {'; '.join(refusals)}" if refusals else ""
    if len(labels) > 2:
        rows = [row for score in scores for row in _by_run(score, labels)]
        return Block(heading, how, ["", "", "score", "better by", _interval_column(scores)], rows, n_words=2)
    first, other = labels
    rows = [
        [Text(_named(score)), *(_score(score, label) for label in labels), *_difference(score, other)]
        for score in scores
    ]
    return Block(heading, how, ["", first, other, f"{other} better by", _interval_column(scores)], rows)


def _by_run(score: Mapping[str, Any], labels: Sequence[str]) -> Iterator[list[Text]]:
    for at, label in enumerate(labels):
        name = Text("" if at else _named(score))
        difference = _difference(score, label) if at else [Text(), Text()]
        yield [name, Text(label, "bold"), _score(score, label), *difference]


def _named(score: Mapping[str, Any]) -> str:
    return f"{score['slice']}: {score['metric']}" if score.get("slice") else str(score["metric"])


def _heading(scores: Sequence[Mapping[str, Any]]) -> str:
    """Name the rows; how many there are only where all were judged on as many."""
    values = [value for score in scores for value in score["values"].values()]
    found = [provenance_of(value) for value in values]
    titles = {provenance.title for provenance in found if provenance}
    title = titles.pop() if len(titles) == 1 and all(found) else source_label(scores[0])
    marks: dict[str, dict[str, None]] = {}
    for score in scores:
        for run, value in score["values"].items():
            for mark in labels_of({**value, "source": score["source"]}):
                marks.setdefault(mark, {})[run] = None
    runs = {run for score in scores for run in score["values"]}
    told = [mark if len(of) == len(runs) else f"{', '.join(of)} {mark}" for mark, of in marks.items()]
    return f"{title[0].upper()}{title[1:]}" + (f" ({'; '.join(told)})" if told else "")


def _score(score: Mapping[str, Any], label: str) -> Text:
    value = score["values"].get(label)
    return Text(NOTHING if value is None else NOT_AVAILABLE if value["value"] is None else number(value["value"]))


def _difference(score: Mapping[str, Any], label: str) -> list[Text]:
    difference = score["differences"].get(label)
    if difference is None:
        return [Text(NOTHING, QUIET), Text()]
    text = signed(difference["value"])
    if difference["value"] == 0 and difference["interval"] is None:
        return [Text(f"{text}  "), Text()]  # as of two runs that predict the same
    if not difference["distinguishable"]:
        return [Text(f"{text} {DOUBT}", DOUBTFUL), Text(span(difference["interval"]))]
    return [Text(f"{text}  ", GOOD if difference["value"] > 0 else BAD), Text(span(difference["interval"]))]


def _interval_column(scores: Sequence[Mapping[str, Any]]) -> str:
    intervals = [each["interval"] for score in scores for each in score["differences"].values() if each["interval"]]
    levels = {percent(interval["level"]) for interval in intervals}
    return f"{levels.pop()} interval" if len(levels) == 1 else ""


def _slices(comparison: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Give the scores of slices of the best source."""
    slices = comparison["slices"]
    return [score for score in slices if score["source"] == slices[0]["source"]]


def _is_clear(score: Mapping[str, Any]) -> bool:
    return any(each["distinguishable"] for each in score["differences"].values())


def _clearness(score: Mapping[str, Any]) -> float:
    """Give the greatest difference, as a share of the width of its interval."""
    found = [each for each in score["differences"].values() if each["distinguishable"]]
    return max(float(abs(each["value"]) / (each["interval"]["high"] - each["interval"]["low"])) for each in found)


# Gates and findings


def _gates(comparison: Mapping[str, Any]) -> Iterator[Block]:
    labels = _labels(comparison)
    rows = []
    for gate in comparison["gates"]:
        where = f" ({source_label(gate).lower()})" if gate["source"] else ""
        rows.append([Text(f"{gate['asked']}{where}"), *(_verdict_of(gate["verdicts"].get(label)) for label in labels)])
    if rows:
        yield Block("Gates that are not met, or not asked of all", "", ["", *labels], rows, n_words=len(labels) + 1)


def _verdict_of(verdict: Mapping[str, Any] | None) -> Text:
    if verdict is None:
        return Text(NOTHING, QUIET)
    return Text(f"{'met' if verdict['passed'] else 'not met'}: {verdict['got']}", GOOD if verdict["passed"] else BAD)


def _findings(comparison: Mapping[str, Any]) -> Iterator[Block]:
    rows = [
        [Text(f"only {' and '.join(each['runs'])}"), Text(each["severity"]), Text(f"{each['code']}: {each['message']}")]
        for each in comparison["findings"]
    ]
    if rows:
        yield Block("Findings that differ", "", ["", "", ""], rows, n_words=3)


# Words


def _labels(comparison: Mapping[str, Any]) -> list[str]:
    return [str(run["label"]) for run in comparison["runs"]]


def _verdict(comparison: Mapping[str, Any]) -> str:
    """Sum up in how many metrics the last run is better or worse than the first, on the best rows that they have."""
    last = _labels(comparison)[-1]
    scores = comparison["scores"]
    best = next((score["source"] for score in scores if last in score["differences"]), None)
    found = [score["differences"].get(last) for score in scores if score["source"] == best]
    found = [each for each in found if each]
    if not found:
        return "no metric could be compared"
    worse = sum(bool(each["distinguishable"] and each["value"] < 0) for each in found)
    better = sum(bool(each["distinguishable"] and each["value"] > 0) for each in found)
    counted = [f"{better} better" if better else "", f"{worse} worse" if worse else ""]
    told = ", ".join(filter(None, counted)) or "none better or worse beyond chance"
    return f"of {pluralize(len(found), 'metric')} {told}"


def _notes(comparison: Mapping[str, Any]) -> Iterator[str]:
    shown = [*comparison["scores"], *filter(_is_clear, _slices(comparison))]
    differences = [each for score in shown for each in score["differences"].values()]
    if not differences:
        return
    first = _labels(comparison)[0]
    is_doubtful = any(each["interval"] and not each["distinguishable"] for each in differences)
    doubt = f"; {DOUBT} where that may be chance" if is_doubtful else ""
    yield f"Better by: how far ahead of {first} on the same rows, whichever way the metric points{doubt}."
    methods = dict.fromkeys(each["interval"]["method"] for each in differences if each["interval"])
    if methods:
        yield f"Interval of the paired difference: {'; '.join(METHODS.get(method, method) for method in methods)}."
    slices = _slices(comparison)
    unclear = sum(not _is_clear(score) for score in slices)
    if slices and unclear:
        yield f"Slices: {unclear:,} of {pluralize(len(slices), 'score')} not shown, whose differences may be chance."
    if len(slices) >= MANY_SLICES:
        yield f"Of {len(slices):,} scores of slices about one in twenty differs by chance alone."
