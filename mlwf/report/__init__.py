"""The HTML page of a run, made of its folder alone: no network, no script."""

from __future__ import annotations

from mlwf.report.site import read_run, render_report, write_report, write_site

__all__ = ["read_run", "render_report", "write_report", "write_site"]
