"""Draft an experiment file for a table."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mlwf.atomic import write_text
from mlwf.errors import DataError, Problem, UsageError
from mlwf.modules.data import prepare
from mlwf.modules.inference import Inferred, infer_features
from mlwf.modules.table_files import read_table
from mlwf.specs.data import DataSpec, ReadSpec
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.writing import draft_experiment_text
from mlwf.text import format_name, printable


def draft_experiment(data: str, target: str, output: Path | None) -> Path:
    """Write a commented experiment file with the features resolved, and give its path.

    Raises DataError when the table cannot be trained on, UsageError when the file is there already.
    """
    output = output or Path(f"{Path(data).name.split('.')[0] or 'experiment'}.yaml")
    if output.exists():
        raise UsageError(f"{output}: is there already; -o FILE names another")
    if not output.parent.is_dir():
        raise UsageError(f"{output}: no such folder: {output.parent}")
    frame = read_table(data, ReadSpec())
    missing = target in frame.columns and bool(frame[target].isna().any()) and not frame[target].isna().all()
    relative = os.path.relpath(Path(data).absolute(), output.absolute().parent)
    spec = DataSpec(path=relative, target=target, drop_missing_target=missing)
    dataset = prepare(frame, spec, where=data)
    inferred = infer_features(dataset.X)
    if not inferred.features:
        raise DataError(Problem(data, "", "no column could help to predict the target", _reasons(inferred)))
    drop = list(inferred.left_out)
    experiment = ExperimentSpec(
        name=output.stem,
        data=spec.model_copy(update={"drop": drop}),
        features=inferred.features,
    )
    text = draft_experiment_text(experiment)
    write_text(output, _without_target(frame[target]) + _remarks(inferred) + text)
    return output


def _without_target(values: Any) -> str:
    """Say, as a comment, how many rows are left out: a class may have a name that CSV files give to nothing."""
    missing = int(values.isna().sum())
    rows = f"{missing:,} of {len(values):,} rows are left out"
    return f"# {rows}: their target is missing, as are empty, NA, null and None in CSV\n" if missing else ""


def _remarks(inferred: Inferred) -> str:
    """Say, as comments, which columns were left out and what may be meant otherwise."""
    lines = [
        f"# {format_name(column)} is left out: {printable(reason)}" for column, reason in inferred.left_out.items()
    ]
    lines += [f"# {format_name(column)}: {printable(note)}" for column, note in inferred.notes.items()]
    return "".join(f"{line}\n" for line in lines)


def _reasons(inferred: Inferred) -> str:
    return "; ".join(f"{format_name(column)}: {reason}" for column, reason in inferred.left_out.items())
