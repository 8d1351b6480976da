"""Draft an experiment file for a table."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlwf.atomic import write_text
from mlwf.errors import DataError, Problem, UsageError, nearest
from mlwf.modules.data import prepare
from mlwf.modules.inference import infer_features
from mlwf.modules.table_files import read_raw
from mlwf.specs.data import ColumnType, DataSpec, DateTypeSpec, ReadSpec, TableSchema
from mlwf.specs.experiment import AUTO, ClassifierModelSpec, ComputeSpec, ExperimentSpec
from mlwf.specs.writing import draft_experiment_text
from mlwf.table_schema import RawTable, codes, missing_words, read_training, resolve_schema, uses_of
from mlwf.text import format_name, format_value, join_reasons, pluralize

BEST_TIME_LIMIT = "10m"
"""How long a run that compares many models may take, where its file was drafted."""


@dataclass(frozen=True)
class Draft:
    """An experiment file that was written."""

    path: Path
    lost: tuple[str, ...]
    """Remarks on rows that are left out."""


def draft_experiment(
    data: str,
    target: str,
    output: Path | None,
    *,
    read: ReadSpec | None = None,
    drop: Sequence[str] = (),
    best: bool = False,
) -> Draft:
    """Write a commented experiment file with the features resolved; with `best` one that compares many models.

    Columns that no feature can be, such as lists, are left out, as are those in `drop`. Raises DataError when the
    table cannot be trained on, UsageError when the file is there already.
    """
    output = output or Path(f"{Path(data).name.split('.')[0] or 'experiment'}.yaml")
    if output.exists():
        raise UsageError(f"{output}: is there already; -o FILE names another")
    if not output.parent.is_dir():
        raise UsageError(f"{output}: no such folder: {output.parent}")
    read = read or ReadSpec()
    table = read_raw(data, read)
    for name in drop:
        if name not in table.names:
            raise UsageError(f"--drop {name}: no such column in {data}; {nearest(name, table.names)}")
    relative = os.path.relpath(Path(data).absolute(), output.absolute().parent)
    spec = DataSpec(path=relative, target=target, drop=list(drop), read=read)
    schema = resolve_schema(table, read=read, uses=uses_of(spec, "auto"), where=data)
    unusable = {
        column.name: f"holds {table.columns.column(column.name).type} values, which no feature can be"
        for column in schema.columns
        if column.kind == "other" and column.name != target
    }
    frame = read_training(table, schema)
    missing = target in frame.columns and bool(frame[target].isna().any()) and not frame[target].isna().all()
    types: dict[str, ColumnType | DateTypeSpec] = dict.fromkeys(codes(table, schema), "text")
    spec = spec.model_copy(
        update={"drop_missing_target": missing, "types": types, "drop": [*dict.fromkeys([*drop, *unusable])]}
    )
    inferred = infer_features(prepare(frame, spec, where=data).X)
    if not inferred.features:
        raise DataError(
            Problem(data, "", "no column could help to predict the target", join_reasons(inferred.left_out))
        )
    experiment = ExperimentSpec(
        name=output.stem,
        data=spec.model_copy(update={"drop": [*spec.drop, *inferred.left_out]}),
        features=inferred.features,
    )
    if best:
        sections = {"model": ClassifierModelSpec(algorithm=AUTO), "compute": ComputeSpec(time_limit=BEST_TIME_LIMIT)}
        experiment = experiment.model_copy(update=sections).resolved
    lost = [*_without_target(frame[target], missing_words(table, schema, target=target).get(target, {}))]
    remarks = [
        *lost,
        *_remarks({**unusable, **inferred.left_out}, inferred.notes),
        *_words(table, schema, target),
    ]
    write_text(output, "".join(f"# {remark}\n" for remark in remarks) + draft_experiment_text(experiment))
    return Draft(output, tuple(lost))


def _without_target(values: Any, words: Mapping[str, int]) -> Iterator[str]:
    """Count the rows that are left out: the name of a class may be read as missing."""
    missing = int(values.isna().sum())
    if missing:
        rows = f"{missing:,} of {len(values):,} rows are left out"
        yield f"{rows}: their target is missing, as are empty, NA, null and None in CSV"
    for word, count in words.items():
        yield f"if {format_value(word)} is a class ({pluralize(count, 'row')}), set data.read.keep_default_na: false"


def _remarks(left_out: Mapping[str, str], notes: Mapping[str, str]) -> Iterator[str]:
    """List the columns that are left out, and those that may be read otherwise."""
    for column, reason in left_out.items():
        yield f"{format_name(column)} is left out: {reason}"
    for column, note in notes.items():
        yield f"{format_name(column)}: {note}"


def _words(table: RawTable, schema: TableSchema, target: str) -> Iterator[str]:
    """List the columns of texts with words that are read as missing."""
    for column, words in missing_words(table, schema).items():
        if column != target:
            counts = ", ".join(f"{format_value(word)} in {pluralize(count, 'row')}" for word, count in words.items())
            yield f"{format_name(column)}: {counts} read as missing; data.read.keep_default_na: false keeps such words"
