"""The gates of a run, checked on new rows; those against registered models by what these predict for the same rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlwf.errors import FitError, MlwfError, UsageError, raise_if_bug
from mlwf.evaluation.predictions import predict
from mlwf.modules.data import Dataset
from mlwf.modules.gates import Comparison, check_gates, compares_with_registered_model
from mlwf.orchestrator.champion import Champion, compare_with, digest_rows, what_is_lacking
from mlwf.orchestrator.prediction import read_for_model
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
    rows: Dataset
    """The rows that have labels."""
    is_known: NDArray[np.bool_]
    """Which of them the model was trained on."""


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
    given = read_for_model(version, judged.path, runs_dir=judged.runs_dir, tracking_uri=judged.store, read=judged.read)
    positions = judged.rows.positions
    X = given.X if positions is None else given.X.iloc[positions].reset_index(drop=True)
    trained = training_rows(version, judged.store)
    is_new = None if trained is None else ~np.isin(digest_rows(X, judged.rows.y), trained) & ~judged.is_known
    return Champion(version, predict(given.model, X), is_new)


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
