"""What a person reads about runs, done or planned, as rich tables and as Markdown."""

from __future__ import annotations

from mlwf.tables.evaluation_tables import (
    evaluation_markdown,
    evaluation_table,
    explanation_markdown,
    explanation_table,
    skew_markdown,
    skew_table,
)
from mlwf.tables.run_tables import plan_markdown, plan_table, runs_markdown, runs_table, summary_markdown, summary_table

__all__ = [
    "evaluation_markdown",
    "evaluation_table",
    "explanation_markdown",
    "explanation_table",
    "plan_markdown",
    "plan_table",
    "runs_markdown",
    "runs_table",
    "skew_markdown",
    "skew_table",
    "summary_markdown",
    "summary_table",
]
