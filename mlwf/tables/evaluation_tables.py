"""A run's model on new rows: its scores, its gates, and how far the rows have drifted, as tables and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mlwf.tables.blocks import (
    BAD,
    DOUBTFUL,
    GOOD,
    NOTHING,
    STATUS_STYLES,
    Block,
    block_markdown,
    escaped,
    marked,
    number,
    percent,
    render_block,
    sentence,
    signed,
)
from mlwf.tables.descriptions import findings_markdown, gates_markdown, gates_outcome, render_findings, render_gates
from mlwf.tables.score_tables import (
    best_slices,
    details_markdown,
    notes_of,
    render_details,
    render_scores,
    scores_markdown,
)
from mlwf.text import LONGEST_NAME, cut, format_name, format_share, format_value, pluralize, printable_in

MOST_COLUMNS = 20
DRIFT_NOTE = (
    "Distance: Jensen-Shannon, from 0 to 1, of the shares in the bins of the training, less what chance alone gives. "
    "Chance: the p-value of a chi-squared test, corrected for the number of columns after Holm."
)


def evaluation_table(found: Mapping[str, Any]) -> RenderableType:
    """Show an evaluation, from what `evaluate_run` gives."""
    found = printable_in(found)
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, text in _fields(found):
        grid.add_row(label, text)
    parts: list[RenderableType] = [_head(found), Text(), grid, *render_scores(found), *render_details(found)]
    if drift := _drift(found):
        parts += [*render_block(drift, _narrow(drift)), Text(), Text(DRIFT_NOTE, "dim")]
    if notes := notes_of(found, slices=best_slices(found)):
        parts += [Text(), *notes]
    parts += render_findings(found)
    if found["warnings"]:
        parts += [
            Text(),
            Text("Warnings", STATUS_STYLES["degraded"]),
            *(Text(f"- {each}") for each in found["warnings"]),
        ]
    return Group(*parts, *render_gates(found))


def evaluation_markdown(found: Mapping[str, Any]) -> str:
    """Write an evaluation as Markdown; the gates come first."""
    found = printable_in(found)
    outcome = gates_outcome(found).plain
    lines = [f"## {escaped(found['name'])} on new rows{f': {outcome}' if outcome else ''}", *gates_markdown(found), ""]
    lines += [f"- **{label}**: {escaped(text)}" for label, text in _fields(found)]
    lines += [*scores_markdown(found), *details_markdown(found)]
    if drift := _drift(found):
        lines += [*block_markdown(drift), "", DRIFT_NOTE]
    if notes := notes_of(found, slices=best_slices(found)):
        lines += ["", *(f"- {marked(sentence(note.plain))}" for note in notes)]
    lines += findings_markdown(found)
    if found["warnings"]:
        lines += ["", "### Warnings", "", *(f"- {sentence(warning)}" for warning in found["warnings"])]
    return "\n".join(lines) + "\n"


def _head(found: Mapping[str, Any]) -> Text:
    outcome = gates_outcome(found)
    name, run_id = str(found["name"]), str(found["run_id"])
    ending = Text.assemble("evaluated on new rows", ", " if outcome else "", outcome)
    return Text.assemble((name, "bold"), " ", ending, "  ", (run_id, "dim"))


def _fields(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    data, predictions = found["data"], found["predictions"]
    labels = "" if data["labelled_rows"] == data["rows"] else f", {data['labelled_rows']:,} with a label"
    yield "Data", f"{data['source']}: {pluralize(data['rows'], 'row')}{labels}"
    before = predictions.get("shares_in_training") or {}
    yield (
        "Predicted",
        ", ".join(
            f"{format_name(label)} {format_share(share, 1)}"
            + (f" (was {format_share(before[label], 1)})" if label in before else "")
            for label, share in predictions["shares"].items()
        ),
    )
    if predictions["expected_accuracy"] is not None and not found["scores"]:
        was = predictions["expected_accuracy_in_training"]
        yield (
            "Expected",
            f"accuracy {number(predictions['expected_accuracy'])} if the probabilities are right"
            + ("" if was is None else f" (was {number(was)})"),
        )
    tracking = found.get("tracking")
    if tracking:
        yield "Tracking", f"not sent: {tracking['error']}" if tracking["error"] else f"run {tracking['run_id']}"


def _drift(found: Mapping[str, Any]) -> Block | None:
    columns = found["drift"]["columns"]
    if not columns:
        return None
    n_drifted = sum(each["has_drifted"] for each in columns)
    # What the run lacks, as importances or missing values, is left out.
    has_unseen, has_missing = (any(each[key] for each in columns) for key in ("unseen", "missing"))
    has_missing = has_missing or any(each["missing_in_training"] for each in columns)
    headings = ["column", "importance", "distance", "chance", "", "missing", "unseen"]
    rows = []
    for each in columns[:MOST_COLUMNS]:
        is_missing = each["missing"] or each["missing_in_training"]
        rows.append(
            [
                Text(cut(each["column"], LONGEST_NAME)),
                Text(NOTHING if each["importance"] is None else number(each["importance"])),
                Text(number(each["distance"])),
                Text(_chance(each["p_adjusted"])),
                Text("drifted", BAD) if each["has_drifted"] else Text("alike", GOOD),
                Text(
                    f"{percent_of(each['missing_in_training'])} -> {percent_of(each['missing'])}" if is_missing else ""
                ),
                Text(percent_of(each["unseen"]) if each["unseen"] else "", DOUBTFUL),
            ]
        )
    kept = [at for at in range(len(headings)) if (has_missing or at != 5) and (has_unseen or at != 6)]
    how = f" ({n_drifted} of {len(columns)} differ from the training"
    how += f"; the first {MOST_COLUMNS})" if len(columns) > MOST_COLUMNS else ")"
    return Block("Drift", how, [headings[at] for at in kept], [[cells[at] for at in kept] for cells in rows])


def _narrow(block: Block) -> Block:
    kept = [0, 2, 3, 4]
    return Block(
        block.title, block.how, [block.columns[at] for at in kept], [[row[at] for at in kept] for row in block.rows]
    )


def _chance(p_value: float) -> str:
    return "under 0.0001" if p_value < 0.0001 else number(p_value)


def percent_of(share: float) -> str:
    """Write a share of the rows."""
    return percent(round(share, 3)) if share >= 0.001 or not share else "under 0.1 %"


def explanation_table(found: Mapping[str, Any]) -> RenderableType:
    """Show why a row has its probability, from what `explain_prediction` gives."""
    found = printable_in(found)
    return Group(
        Text.assemble((_title(found), "bold")), *render_block(_contributions(found)), Text(), Text(_how(found), "dim")
    )


def explanation_markdown(found: Mapping[str, Any]) -> str:
    """Write why a row has its probability as Markdown."""
    found = printable_in(found)
    return "\n".join([f"## {escaped(_title(found))}", *block_markdown(_contributions(found)), "", _how(found)]) + "\n"


def skew_table(found: Mapping[str, Any]) -> RenderableType:
    """Show how the features that are served differ from the offline ones, from what `measure_skew` gives."""
    return Group(*render_block(_skew(printable_in(found))))


def skew_markdown(found: Mapping[str, Any]) -> str:
    """Write how the features that are served differ from the offline ones as Markdown."""
    return "\n".join(block_markdown(_skew(printable_in(found)))) + "\n"


def _skew(found: Mapping[str, Any]) -> Block:
    when = "of each row's time" if found["as_of"] is None else f"as of {found['as_of']}"
    rows = [
        [
            Text(cut(each["feature"], LONGEST_NAME)),
            Text(f"{each['differ']:,}"),
            Text(percent(each["share"])),
            Text(f"{each['only_served_missing']:,}"),
            Text(f"{each['only_offline_missing']:,}"),
            Text(number(each["largest"])),
        ]
        for each in sorted(found["features"], key=lambda each: -int(each["differ"]))
    ]
    title = f"{found['source']}, {found['rows']:,} rows"
    how = f": {found['served']} beside the offline features {when}"
    columns = ["feature", "rows that differ", "share", "missing as served", "missing offline", "largest difference"]
    return Block(title, how, columns, rows, n_words=1)


def _title(found: Mapping[str, Any]) -> str:
    return f"{found['source']}, row {found['row']:,}: predicted {format_name(found['prediction'])}"


def _contributions(found: Mapping[str, Any]) -> Block:
    what = "probability" if found["has_probabilities"] else "vote"
    how = f": {number(found['probability'])}, where {number(found['average'])} is the average"
    rows = [
        [
            Text(cut(each["column"], LONGEST_NAME)),
            Text(_value(each["value"])),
            Text(signed(each["contribution"])),
            Text(f"± {number(each['error'])}"),
        ]
        for each in found["columns"][:MOST_COLUMNS]
    ]
    if len(found["columns"]) > MOST_COLUMNS:
        left = found["columns"][MOST_COLUMNS:]
        together = sum(each["contribution"] for each in left)
        rows.append([Text(f"{len(left):,} others"), Text(), Text(signed(together)), Text()])
    title = f"{what.capitalize()} of {format_name(found['class'])}"
    return Block(title, how, ["column", "value", "moves it by", ""], rows, n_words=2)


def _value(value: Any) -> str:
    if value is None:
        return "(missing)"
    if isinstance(value, str):
        return format_name(value)
    return f"{value:.6g}" if isinstance(value, float) else format_value(value)


def _how(found: Mapping[str, Any]) -> str:
    cut_short = ", and the time was up" if found["is_cut"] else ""
    rows = f"{found['n_background']:,} other rows of the table"
    return f"{found['method']}: {found['n_orders']:,} orders of the columns{cut_short}; compared with {rows}."
