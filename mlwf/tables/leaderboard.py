"""The models that a run compared, the best first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from mlwf.tables.blocks import (
    DOUBTFUL,
    NOT_AVAILABLE,
    NOTHING,
    Block,
    block_markdown,
    number,
    provenance_of,
    render_block,
    signed,
    span,
)
from mlwf.text import format_name, format_share, pluralize

DOUBT = "?"
"""Stands behind a difference that may be chance."""


def render_leaderboard(summary: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Show the models, with fewer columns where the terminal is narrow."""
    if selection := summary.get("selection"):
        yield from render_block(*(leaderboard_block(selection, columns) for columns in (COLUMNS, NARROW, NARROWEST)))


def leaderboard_markdown(summary: Mapping[str, Any]) -> Iterator[str]:
    """Write the models as lines of Markdown."""
    if selection := summary.get("selection"):
        yield from block_markdown(leaderboard_block(selection, COLUMNS))


def describe_selection(selection: Mapping[str, Any]) -> str:
    """Describe which model was chosen."""
    tried = sum(model["n_candidates"] for model in selection["models"])
    models, candidates = pluralize(len(selection["models"]), "model"), pluralize(tried, "candidate")
    ensemble = selection.get("ensemble")
    if ensemble and ensemble["kept"]:
        members = ", ".join(
            f"{format_name(member['name'])} {format_share(member['weight'], 1.0)}"
            for member in sorted(ensemble["members"], key=lambda each: -each["weight"])
        )
        size = pluralize(len(ensemble["members"]), "member")
        return f"an ensemble of {size}, from {candidates} of {models}; {ensemble['reason']}\n{members}"
    chosen = f"{format_name(selection['best'])} is the best by {selection['scoring']} of {models}, {candidates}"
    return f"{chosen}\nan ensemble was not kept: {ensemble['reason']}" if ensemble else chosen


def leaderboard_block(selection: Mapping[str, Any], columns: Mapping[str, Any] | None = None) -> Block:
    """Make the table of the models; with all columns unless some are named."""
    columns = COLUMNS if columns is None else columns
    provenance = provenance_of(selection)
    how = f" by {selection['scoring']}, {provenance.title if provenance else ''}".rstrip(", ")
    rows = [[write(model) for write in columns.values()] for model in selection["models"]]
    return Block("Leaderboard", how, list(columns), rows)


def _name(model: Mapping[str, Any]) -> Text:
    return Text(format_name(model["name"]), "bold" if model["weight"] else "")


def _score(model: Mapping[str, Any]) -> Text:
    return Text("failed" if model["error"] else number(model["score"]))


def _behind(model: Mapping[str, Any]) -> Text:
    difference = model["difference"]
    if not difference or not difference["value"]:
        return Text(NOTHING)
    text = signed(difference["value"])
    return Text(text) if difference["distinguishable"] else Text(f"{text} {DOUBT}", DOUBTFUL)


def _seconds(model: Mapping[str, Any], key: str) -> Text:
    seconds = model[key]
    return Text(NOT_AVAILABLE if seconds is None else f"{seconds:.3g} s")


COLUMNS = {
    "model": _name,
    "score": _score,
    "95 % interval": lambda model: Text(span(model["interval"])),
    "to the best": _behind,
    "candidates": lambda model: Text(f"{model['n_candidates']:,}"),
    "search": lambda model: _seconds(model, "search_seconds"),
    "a fit": lambda model: _seconds(model, "fit_seconds"),
    "1,000 rows": lambda model: _seconds(model, "predict_seconds"),
    "weight": lambda model: Text(f"{model['weight']:.2f}" if model["weight"] else NOTHING),
}
"""What is shown of each model: its score and how far it is behind, the seconds of its search, of one fit and of 1,000
predictions of its best candidate, and its share of what ships."""

NARROW = {name: COLUMNS[name] for name in ("model", "score", "to the best", "search", "a fit", "1,000 rows", "weight")}
NARROWEST = {name: COLUMNS[name] for name in ("model", "score", "to the best", "weight")}
