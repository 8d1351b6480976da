"""The page of a run, made of its folder alone, and an index page over many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mlwf.atomic import writing
from mlwf.errors import MlwfError
from mlwf.evaluation.scored_rows import FOLDER, read_scored_rows
from mlwf.modules.runs import CANDIDATES, CONFIG, PARTIAL_DEPENDENCE, PROFILE, SUMMARY, RunFolder
from mlwf.report.charts import table, text
from mlwf.report.figures import (
    calibration_section,
    classes_section,
    curves_section,
    data_section,
    dependence_section,
    search_section,
)
from mlwf.report.sections import (
    RunRecord,
    Section,
    drift_section,
    findings_section,
    importances_section,
    leaderboard_section,
    model_section,
    render_verdict,
    run_section,
    scores_section,
    slices_section,
    status_pill,
)
from mlwf.tables.run_tables import RIGHT, RUN_COLUMNS, run_cells
from mlwf.text import format_name, printable_in

SECTIONS = (
    scores_section, findings_section, model_section, leaderboard_section, search_section, curves_section,
    classes_section, slices_section, drift_section, importances_section, dependence_section, data_section,
    calibration_section, run_section,
)  # fmt: skip
"""What stands on the page, in its order: functions that yield a section, or nothing where the run lacks what it shows.

Every name goes through `text`, a colour is a class of `report.css`, and what a chart shows stands in numbers too.
"""

# Nothing is loaded and nothing runs, whatever a name in the data may try.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
INDEX = "index.html"


def read_run(folder: RunFolder) -> RunRecord:
    """Read what the folder of a run holds; what is missing there is left out of its page."""
    summary = folder.read_json(SUMMARY) or {"run_id": folder.run_id, "status": folder.status}
    sources = dict.fromkeys(str(score.get("source")) for score in summary.get("scores") or [])
    scored = {source: read_scored_rows(folder.file(f"{FOLDER}/{source}.npz")) for source in sources}
    try:
        config = folder.file(CONFIG).read_text("utf-8")
    except (OSError, ValueError):
        config = ""
    return RunRecord(
        {**summary, "status": folder.status},
        candidates=folder.read_json(CANDIDATES),
        profile=printable_in(folder.read_json(PROFILE)),
        dependence=printable_in(folder.read_json(PARTIAL_DEPENDENCE)),
        scored={source: rows for source, rows in scored.items() if rows is not None},
        config=config,
    )


def render_report(run: RunRecord) -> str:
    """Give the page of a run: HTML that needs neither network nor script."""
    run = replace(run, summary=printable_in(run.summary))
    sections = [section for make in SECTIONS for section in make(run)]
    summary = run.summary
    name = format_name(summary.get("name") or "run")
    overview = summary.get("summary") or {}
    facts = [str(overview.get("algorithm") or ""), _target(summary), f"run {summary.get('run_id')}"]
    head = f'<h1>{text(name)}</h1><p class="soft">{text(", ".join(filter(None, facts)))}</p>'
    links = "".join(f'<li><a href="#{each.name}">{text(each.title)}</a></li>' for each in sections)
    body = "".join(map(_section, sections))
    header = f"<header>{head}{render_verdict(run)}</header>"
    content = f'<nav aria-label="Contents"><ul>{links}</ul></nav><main id="main">{body}</main>'
    made = f"Made by <code>mlwf report {text(summary.get('run_id') or '')}</code> from the folder of the run."
    return _page(f"{name}: mlwf report", f'{header}<div class="body">{content}</div><footer>{made}</footer>')


def write_report(folder: RunFolder, path: Path) -> None:
    """Write the page of a run to a file; raises MlwfError when it cannot be written."""
    write_page(path, render_report(read_run(folder)))


def write_site(folders: Sequence[RunFolder], rows: Sequence[Mapping[str, Any]], site: Path) -> Path:
    """Write the page of each run into a folder, and an index of them, which is given; `rows` describe the runs."""
    for folder in folders:
        write_report(folder, site / f"{folder.run_id}.html")
    write_page(site / INDEX, render_index(rows))
    return site / INDEX


def render_index(rows: Sequence[Mapping[str, Any]]) -> str:
    """Give the page that lists runs, each with a link to its own."""
    lines, columns = [], [column for column in RUN_COLUMNS if column != "Name"]
    for row in printable_in(rows):
        cells = run_cells(row)
        status = str(row.get("status") or "")
        missed = row.get("gates") == "not met"
        shown = {name: text(cell) for name, cell in cells.items()}
        name = text(format_name(cells["Name"] or "run"))
        shown["Run"] = (
            f'<a href="{text(quote(cells["Run"]))}.html">{name}</a><br><small class="soft">{shown["Run"]}</small>'
        )
        shown["Status"] = status_pill("failed" if missed else status, cells["Status"])
        lines.append([shown[column] for column in columns])
    numbers = [at for at, column in enumerate(columns) if column in RIGHT]
    body = table(
        [column.lower() for column in columns], lines, numbers=numbers, css="stack", label="Runs, the newest first"
    )
    return _page("Runs: mlwf report", f'<header><h1>Runs</h1></header><main id="main">{body}</main>')


def _section(section: Section) -> str:
    return (
        f'<section id="{section.name}" aria-labelledby="{section.name}-title">'
        f'<h2 id="{section.name}-title">{text(section.title)}</h2>{section.html}</section>'
    )


def _target(summary: Mapping[str, Any]) -> str:
    target = (summary.get("data") or {}).get("target")
    return f"predicts {format_name(target)}" if target else ""


def _page(title: str, body: str) -> str:
    style = files("mlwf.report").joinpath("report.css").read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{text(title)}</title><style>{style}</style></head>'
        f'<body><a class="skip" href="#main">To the content</a><div class="page">{body}</div></body></html>\n'
    )


def write_page(path: Path, html: str) -> None:
    """Write a page to a file, whole or not at all; raises MlwfError when it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with writing(path) as draft:
            draft.write_text(html, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise MlwfError(f"{path}: the report cannot be written: {error.strerror or error}") from error
