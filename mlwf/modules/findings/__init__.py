"""What a person should look at before trusting a run: `find` names it, from the `FindingInputs` that the run left."""

from __future__ import annotations

from mlwf.modules.findings.find import find
from mlwf.modules.findings.inputs import FindingInputs
from mlwf.modules.findings.leakage import list_columns, search_leaks

__all__ = ["FindingInputs", "find", "list_columns", "search_leaks"]
