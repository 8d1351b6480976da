"""What a person should look at before trusting a run: `find` names it, from the `Evidence` that the run left."""

from __future__ import annotations

from mlwf.modules.findings.find import Evidence, find
from mlwf.modules.findings.leakage import list_columns, search_leaks

__all__ = ["Evidence", "find", "list_columns", "search_leaks"]
