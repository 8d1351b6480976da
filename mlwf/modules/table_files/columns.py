"""What the columns of a CSV and of a Parquet file have in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from mlwf.errors import Problem


def duplicated_columns(where: str, names: Sequence[str]) -> list[Problem]:
    """Say each name that several columns of one file have; a column without a name is no problem here."""
    problems = []
    for name in dict.fromkeys(names):
        at = [str(position) for position, other in enumerate(names, start=1) if other == name]
        if name and len(at) > 1:
            message = f"columns {', '.join(at[:-1])} and {at[-1]} have this same name"
            problems.append(Problem(where=where, key=name, message=message, hint="give each column its own name"))
    return problems


def different_columns(files: Sequence[Path], columns: Sequence[Sequence[str]]) -> list[Problem]:
    """Say for each file what it has not, and what it has more, than the first; the order does not matter."""
    problems = []
    expected = columns[0]
    for file, names in zip(files[1:], columns[1:], strict=True):
        missing = [f"lacks {', '.join(lacking)}"] if (lacking := [n for n in expected if n not in set(names)]) else []
        added = [f"adds {', '.join(adding)}"] if (adding := [n for n in names if n not in set(expected)]) else []
        if missing or added:
            message = f"has other columns than {files[0].name}: {' and '.join(missing + added)}"
            problems.append(Problem(where=str(file), key="", message=message))
    return problems


def plain_texts(frame: pd.DataFrame) -> pd.DataFrame:
    """Hold texts, and booleans of which some are missing, as objects in which a missing value is None."""
    for name, column in frame.items():
        if column.dtype.kind == "O":
            frame[name] = column.astype(object).where(column.notna(), None)
    return frame
