"""The gates of a run, checked on new rows; those against registered models by what these predict for the same rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlwf.errors import FitError, MlwfError, UsageError, raise_if_bug
from mlwf.evaluation.predictions import Predictions, predict, stacked
from mlwf.modules.gates import Comparison, check_gates, compares_with_registered_model
from mlwf.orchestrator.champion import Champion, compare_with, digest_rows, what_is_lacking
from mlwf.orchestrator.new_rows import LabelledRows
from mlwf.orchestrator.prediction import open_for_model
from mlwf.results import Evaluation, Finding, GateResult
from mlwf.specs.experiment import ExperimentSpec, GateSpec
from mlwf.text import first_line

ITSELF = "it is that version"


@dataclass(frozen=True, eq=False)
class Judged:
    """A model that was scored on new rows, and what a registered one needs to be scored on the same."""

    spec: ExperimentSpec
    version: str | None
    """Its own registered version, such as `models:/census/3`."""
    store: str | None
    """Where registered models are; None where the run was not tracked."""
    runs_dir: Path
    path: str
    """The table."""
    read: Mapping[str, Any]
    """How the table is read: fields of `ReadSpec`."""
    evaluation: Evaluation
    rows: LabelledRows


def check_on_new_rows(
    gates: Sequence[GateSpec],
    judged: Judged | None,
    findings: Sequence[Finding],
    unchecked: Callable[[GateSpec], str],
) -> tuple[GateResult, ...]:
    """Check the gates on new rows, whichever rows they name.

    `unchecked` says why a gate cannot be checked on these rows, or nothing. A registered model that cannot be compared
    with is a gate that is not met, as in a training.
    """
    champions: dict[str, Champion | str | MlwfError] = {}

    def compare(uri: str, metric: str, source: str) -> Comparison:
        assert judged is not None
        if uri not in champions:
            champions[uri] = _load(uri, judged)
        return _compare(champions[uri], metric, judged)

    results = check_gates(
        [gate.model_copy(update={"source": None}) for gate in gates],
        evaluations=[] if judged is None else [judged.evaluation],
        findings=findings,
        compare=compare,
    )
    return tuple(_as_checked(gate, result, unchecked(gate)) for gate, result in zip(gates, results, strict=True))


def _as_checked(gate: GateSpec, result: GateResult, why_not: str) -> GateResult:
    if why_not:
        return replace(result, got=why_not, passed=True, source=None, note="", is_checked=False)
    if compares_with_registered_model(gate) and result.note == ITSELF:
        return replace(result, got=ITSELF, passed=True, note="")
    return result


def _load(uri: str, judged: Judged) -> Champion | str | MlwfError:
    """Give a registered model's predictions of the rows that have labels.

    Where it is the judged model that is its version, and else what keeps it from predicting these rows.
    """
    try:
        return _predict(uri, judged)
    except MlwfError as error:  # no such version, no answer, or a column that it needs and the table lacks
        return error
    except Exception as error:  # its steps may raise anything over values that they were not trained on
        raise_if_bug(error)
        return FitError(f"it cannot predict these rows: {first_line(error)}")


def _predict(uri: str, judged: Judged) -> Champion | str:
    from mlwf.modules.tracking import pin_model_uri, training_rows

    if judged.store is None:
        raise UsageError("the run was not tracked, and its registered models are not known")
    version = pin_model_uri(uri, judged.store)
    if version == judged.version:
        return version
    trained, rows = training_rows(version, judged.store), judged.rows
    given = open_for_model(version, judged.path, runs_dir=judged.runs_dir, tracking_uri=judged.store, read=judged.read)
    parts: list[Predictions] = []
    is_new: list[NDArray[np.bool_]] = []
    for batch, X in given.rows():
        if rows.positions is None:
            at = np.arange(len(X))
        else:
            first, last = np.searchsorted(rows.positions, [batch.start, batch.start + len(X)])
            at = rows.positions[first:last] - batch.start
        X = X.iloc[at].reset_index(drop=True)
        if trained is not None:
            begun = sum(map(len, parts))
            is_new.append(~np.isin(digest_rows(X, rows.y[begun : begun + len(X)]), trained))
        if len(X):
            parts.append(predict(given.model, X))
    return Champion(version, stacked(parts), ~rows.is_known & np.concatenate(is_new) if is_new else None)


def _compare(champion: Champion | str | MlwfError, metric: str, judged: Judged) -> Comparison:
    if isinstance(champion, MlwfError):
        return Comparison(None, "", first_line(champion))
    if isinstance(champion, str):
        return Comparison(None, ITSELF, ITSELF, champion)
    rows, evaluation = judged.rows, judged.evaluation
    known, own = champion.predictions.classes.tolist(), evaluation.predictions.classes.tolist()
    refused = ""
    if known != own:
        refused = f"its classes are {', '.join(map(str, known))}, and those of the run {', '.join(map(str, own))}"
    elif lacking := what_is_lacking(metric, champion.predictions):
        refused = f"it gives no {lacking}, and {metric} needs them"
    if refused:
        return Comparison(None, "", refused, champion.version)
    return compare_with(
        champion,
        metric,
        evaluation,
        judged.spec,
        note=_note(champion, len(rows)),
        weight=rows.weight,
        groups=rows.groups,
    )


def _note(champion: Champion, n_rows: int) -> str:
    if champion.is_new is None:
        return f"{champion.version} compared on {n_rows:,} rows: its run does not say which rows it was trained on"
    n_new = int(champion.is_new.sum())
    if n_new == n_rows:
        return f"{champion.version} compared on {n_rows:,} rows that neither was trained on"
    others = "one of the two was trained on the others, or on rows equal to them"
    return f"{champion.version} compared on {n_new:,} of {n_rows:,} rows: {others}"
