"""What a person reads about runs: the content of summary.json as rich tables, and as Markdown."""

from __future__ import annotations

from mlwf.tables.runs import runs_markdown, runs_table
from mlwf.tables.summary import summary_markdown, summary_table

__all__ = ["runs_markdown", "runs_table", "summary_markdown", "summary_table"]
