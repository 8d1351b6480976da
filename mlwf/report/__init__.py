"""The HTML page of a run, made of its folder alone: no network, no script."""

from __future__ import annotations

from mlwf.report.sections import RunRecord
from mlwf.report.site import read_run, render_report, write_page, write_report, write_site

__all__ = ["RunRecord", "read_run", "render_report", "write_page", "write_report", "write_site"]
