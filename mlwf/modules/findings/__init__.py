"""Findings: what to look at before trusting a run."""

from __future__ import annotations

from mlwf.modules.findings.find import FindingInputs, Recalled, find
from mlwf.modules.findings.leakage import list_columns, search_leaks

__all__ = ["FindingInputs", "Recalled", "find", "list_columns", "search_leaks"]
