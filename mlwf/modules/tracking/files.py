"""The files of a run that are no plots."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def to_json(summary: Mapping[str, Any]) -> str:
    """Write a summary as JSON; numpy's values become plain ones, and what JSON has no word for its text."""
    return json.dumps(summary, indent=2, ensure_ascii=False, default=_plain)


def describe_model(model: Any) -> str:
    """Write the parts of a model and their parameters, as scikit-learn shows them."""
    return f"{model.__repr__(N_CHAR_MAX=20_000)}\n" if hasattr(model, "get_params") else f"{model!r}\n"


def write_candidates(cv_results: Mapping[str, Any], path: Path) -> None:
    """Write a search's `cv_results_` as a table, best first: rank, score, parameters, times, the score in each fold."""
    import numpy as np
    import pandas as pd

    # scikit-learn masks a parameter that a candidate does not set.
    columns = {name: np.ma.asarray(values).tolist() for name, values in cv_results.items() if name != "params"}
    table = pd.DataFrame(columns)
    ranks = [name for name in table if name.startswith("rank_test_")]
    if ranks:
        table = table.sort_values(ranks[0], kind="stable")
    table[sorted(table, key=_importance)].to_csv(path, index_label="candidate", float_format="%.6g")


def _importance(column: str) -> int:
    """Say how far to the left a column belongs; columns alike keep their order."""
    order = ("rank_test_", "mean_test_", "std_test_", "param_", "mean_", "std_", "split")
    return next((place for place, prefix in enumerate(order) if column.startswith(prefix)), len(order))


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)
