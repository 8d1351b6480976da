"""What the columns of the files of one table must have in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from mlwf.errors import Problem


def duplicated_columns(where: str, names: Sequence[str]) -> list[Problem]:
    """List each name that several columns of one file have; a column without a name is no problem here."""
    problems = []
    for name in dict.fromkeys(names):
        at = [str(position) for position, other in enumerate(names, start=1) if other == name]
        if name and len(at) > 1:
            message = f"columns {', '.join(at[:-1])} and {at[-1]} have this same name"
            problems.append(Problem(where=where, key=name, message=message, hint="give each column its own name"))
    return problems


def different_columns(files: Sequence[Path], columns: Sequence[Sequence[str]]) -> list[Problem]:
    """List for each file the columns that it lacks or adds, compared with the first; the order does not matter."""
    problems = []
    expected = columns[0]
    for file, names in zip(files[1:], columns[1:], strict=True):
        missing = [f"lacks {', '.join(lacking)}"] if (lacking := [n for n in expected if n not in set(names)]) else []
        added = [f"adds {', '.join(adding)}"] if (adding := [n for n in names if n not in set(expected)]) else []
        if missing or added:
            message = f"has other columns than {files[0].name}: {' and '.join(missing + added)}"
            problems.append(Problem(where=str(file), key="", message=message))
    return problems


def different_types(files: Sequence[Path], tables: Sequence[Any]) -> list[Problem]:
    """List for each file the columns whose types cannot be stacked below those of the first."""
    problems = []
    for name in tables[0].column_names:
        first = tables[0].schema.field(name)
        for file, table in zip(files, tables, strict=True):
            field = table.schema.field(name)
            try:
                pa.unify_schemas([pa.schema([first]), pa.schema([field])], promote_options="permissive")
            except pa.ArrowException:
                message = f"is {field.type} here and {first.type} in {files[0].name}"
                problems.append(Problem(where=str(file), key=name, message=message))
    return problems
