"""Score the model of a run on new rows, and compare these with the rows that it was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlwf.engine.model_file import load_model
from mlwf.errors import RunNotFoundError, TrackingError, UsageError
from mlwf.evaluation.predictions import Predictions, codes_of
from mlwf.evaluation.scored_rows import FOLDER, read_scored_rows, scored_rows
from mlwf.modules.data import compare_columns, compare_predictions, correct_for_many, with_new_rows
from mlwf.modules.findings import FindingInputs, Recalled, find
from mlwf.modules.runs import (
    CONFIG,
    MODEL_FILE,
    MODEL_URI,
    PROFILE,
    SUMMARY,
    TRAINING_ROWS,
    RunFolder,
    find_run,
)
from mlwf.modules.validation import default_metrics, evaluate
from mlwf.orchestrator.batches import OnRows
from mlwf.orchestrator.evaluation_gates import Judged, check_on_new_rows
from mlwf.orchestrator.new_rows import LabelledRows, NewRows, TrainedModel, read_new_rows
from mlwf.processes import muted
from mlwf.provenance import Protocol, Provenance
from mlwf.report import RunRecord, render_report, write_page
from mlwf.results import ColumnDrift, Evaluation, Finding, GateResult
from mlwf.specs.data import SCHEMA_FILE, TableSchema
from mlwf.specs.experiment import ExperimentSpec, GateSpec
from mlwf.specs.loading import load_resolved, store_of_run
from mlwf.specs.slice_spec import parse_slice
from mlwf.splitting.rows import NO_ROWS, Table
from mlwf.table_schema import load_schema
from mlwf.text import first_line, pluralize, printable_in

LEVEL, LEAST_DISTANCE = 0.05, 0.1
"""From which p-value, corrected, and from which distance a column is said to have drifted."""
IN_TRAINING_ONLY = ("leakage", "identifier", "grid_edge", "degraded")
"""Findings of a training, which an evaluation does not look for."""
NO_LABELS = "the table has no labels"
NO_HASHES = "the run keeps no hashes of its training rows; one trained now does"


@dataclass(frozen=True, eq=False)
class ShippedRun:
    """A run with its model, as its folder keeps it."""

    folder: RunFolder
    spec: ExperimentSpec
    schema: TableSchema
    model: Any
    summary: Mapping[str, Any]

    @cached_property
    def trained(self) -> TrainedModel:
        """The model, and what new rows are compared with."""
        slices = dict.fromkeys(each["slice"] for each in self.summary.get("slices") or [])
        return TrainedModel(
            self.spec,
            self.schema,
            self.model,
            self.folder.read_json(PROFILE),
            [parse_slice(text) for text in slices],
            self.folder.read_array(TRAINING_ROWS, "rows"),
        )

    @property
    def classes(self) -> NDArray[Any]:
        """The class labels that the model knows."""
        return np.asarray(self.model.classes_)


def open_run(run: str, runs_dir: Path) -> ShippedRun:
    """Open a run that has a model and reads tables by names.

    Raises RunNotFoundError without such a run or model, UsageError for a run over an array, or a registered model.
    """
    if run.startswith(MODEL_URI):
        raise UsageError(f"{run}: is a registered model; give the run that trained it")
    folder = find_run(runs_dir, run)
    path = folder.file(MODEL_FILE)
    if not path.exists():
        raise RunNotFoundError(f"{folder.path}: the run ended before it had a model ({folder.status})")
    schema = load_schema(folder.file(SCHEMA_FILE))
    if schema is None:
        raise UsageError(
            f"{folder.path}: the run keeps no table schema: it was trained on an array, or by an older mlwf"
        )
    return ShippedRun(folder, load_resolved(folder.file(CONFIG)), schema, load_model(path), folder.read_json(SUMMARY))


def evaluate_run(
    run: str,
    path: str,
    *,
    runs_dir: Path,
    read: Mapping[str, Any] | None = None,
    report: Path | None = None,
    rows_at_once: int | None = None,
    on_rows: OnRows | None = None,
) -> dict[str, Any]:
    """Score the model of a run on a table, check its gates there, and compare the table with the training.

    Without labels there are no scores: what the predictions say of themselves, and the drift. The table is read and
    predicted `rows_at_once`, and of its rows only labels, predictions and the like are kept; `on_rows` is told how many
    are done. `report` is a file for the page of it.

    Returns
    -------
    dict
        As `summary.json`: `scores`, `slices`, `classes`, `findings`, `gates`; and `drift` with a map for each column.

    Raises
    ------
    RunNotFoundError, UsageError
        There is no such run, or it keeps too little.
    DataError
        The table cannot be read as that of the training, or lacks a feature.
    """
    shipped = open_run(run, runs_dir)
    new = read_new_rows(shipped.trained, path, read or {}, rows_at_once=rows_at_once, on_rows=on_rows)
    predictions = new.predictions
    with muted():  # what could not be computed is told by the evaluation
        evaluation = None if new.labelled is None else _score(shipped, new.labelled, predictions)
        drift = _drift(shipped, new, predictions)
        findings = _findings(shipped, new, evaluation, drift)
        gates = _gates(shipped, new, evaluation, findings)
    evaluations = [] if evaluation is None else [evaluation]
    found = {
        "run_id": shipped.folder.run_id,
        "name": shipped.spec.name,
        "data": {
            "source": path,
            "rows": new.n_rows,
            "labelled_rows": 0 if new.labelled is None else len(new.labelled),
            "digest": None if new.labelled is None else new.labelled.digest,
            "target": shipped.spec.data.target,
        },
        "scores": [score.to_dict() for each in evaluations for score in each.scores],
        "slices": [score.to_dict() for each in evaluations for score in each.slices],
        "classes": [_classes(each) for each in evaluations],
        "predictions": _describe_predictions(shipped, predictions),
        "drift": {
            "distance": "Jensen-Shannon",
            "test": "chi-squared, corrected after Holm",
            "least_distance": LEAST_DISTANCE,
            "level": LEVEL,
            "columns": [asdict(each) for each in drift],
        },
        "findings": [asdict(each) for each in findings],
        "gates": [asdict(each) for each in gates],
        "warnings": [*_warnings(shipped, new, evaluation, drift)],
    }
    if report is not None:
        write_page(report, render_report(_record(shipped, new, found, evaluations)))
    return {**found, "tracking": _track(shipped, found, evaluations)}


def _record(run: ShippedRun, new: NewRows, found: Mapping[str, Any], evaluations: Sequence[Evaluation]) -> RunRecord:
    """Give what the page of an evaluation shows: as that of a run, with the new rows where a run has its test set."""
    trained, profile = run.summary, run.folder.read_json(PROFILE)
    summary = {
        **found,
        "status": "done",
        "summary": trained.get("summary") or {},
        "data": {**(trained.get("data") or {}), "test_source": new.source, "test_rows": new.n_rows},
        "importances": trained.get("importances"),
        "versions": trained.get("versions") or {},
    }
    return RunRecord(
        summary,
        profile=printable_in(with_new_rows(profile, new.counts)) if profile else {},
        scored={each.source: scored_rows(each) for each in evaluations},
    )


def _score(run: ShippedRun, rows: LabelledRows, predictions: Predictions) -> Evaluation:
    spec, weight = run.spec, rows.weight
    metrics = spec.validation.metrics or default_metrics(run.classes, has_probabilities=predictions.proba is not None)
    return evaluate(
        predictions,
        rows.y,
        weight=weight,
        baseline=_baseline(run, len(rows)),
        metrics=metrics,
        positive_class=spec.data.positive_class,
        groups=rows.groups,
        slices=rows.slices,
        provenance=Provenance(
            "new_rows",
            len(rows),
            Protocol("new_rows"),
            ("new",),
            weighted_by=None if weight is None else spec.data.sample_weight,
            n_weightless=0 if weight is None else int((weight == 0).sum()),
        ),
    )


def _baseline(run: ShippedRun, n_rows: int) -> Predictions:
    """Predict the class shares of the training for each row."""
    counts = (run.summary.get("data") or {}).get("classes") or {}
    shares = np.array([float(counts.get(str(label), 0)) for label in run.classes.tolist()])
    shares = shares / shares.sum() if shares.sum() else np.full(len(shares), 1 / len(shares))
    labels = np.broadcast_to(run.classes[[shares.argmax()]], n_rows)
    return Predictions(run.classes, labels, np.broadcast_to(shares, (n_rows, len(shares))))


def _drift(run: ShippedRun, new: NewRows, predictions: Predictions) -> list[ColumnDrift]:
    profile = run.folder.read_json(PROFILE)
    importances = {
        name: each["value"]
        for each in (run.summary.get("importances") or {}).get("columns") or []
        for name in each["columns"]
    }
    unseen = {each.column: each.n_unknown for each in new.unknown if each.reason == "unseen"}
    columns = compare_columns(profile, new.counts, importances=importances, unseen=unseen) if profile else []
    reference = _reference(run)
    found = [] if reference is None else [compare_predictions(*_comparable(run, reference, predictions))]
    return correct_for_many([*found, *columns], level=LEVEL, least=LEAST_DISTANCE)


def _reference(run: ShippedRun) -> Any:
    """Give the predictions of rows that the run did not learn from: those that are most, else of the test set."""
    for source in ("cross_validation", "train_test", "test"):
        rows = read_scored_rows(run.folder.file(f"{FOLDER}/{source}.npz"))
        if rows is not None and len(rows):
            return rows
    return None


def _comparable(run: ShippedRun, reference: Any, new: Predictions) -> tuple[NDArray[Any], NDArray[Any]]:
    """Give the probabilities of the positive class of two, or the predicted classes."""
    classes = [str(label) for label in new.classes.tolist()]
    if len(classes) == 2 and reference.proba is not None and new.proba is not None:
        positive = _positive(run)
        return reference.proba[:, positive], new.proba[:, positive]
    return reference.predicted.astype(np.intp), codes_of(new.labels, new.classes)


def _positive(run: ShippedRun) -> int:
    written = run.spec.data.positive_class
    labels = run.classes.tolist()
    return labels.index(written) if written in labels else len(labels) - 1


def _describe_predictions(run: ShippedRun, predictions: Predictions) -> dict[str, Any]:
    """Give what the predictions say of themselves: the share of each class, and how sure they are."""
    reference = _reference(run)
    codes = codes_of(predictions.labels, predictions.classes)
    shares = np.bincount(codes, minlength=len(predictions.classes)) / max(1, len(codes))
    known = None
    if reference is not None:
        known = np.bincount(reference.predicted, minlength=len(predictions.classes)) / len(reference)
    names = [str(label) for label in predictions.classes.tolist()]
    return {
        "shares": dict(zip(names, shares.tolist(), strict=True)),
        "shares_in_training": None if known is None else dict(zip(names, known.tolist(), strict=True)),
        # What the accuracy is if the probabilities are right.
        "expected_accuracy": None if predictions.proba is None else float(predictions.proba.max(axis=1).mean()),
        "expected_accuracy_in_training": None
        if reference is None or reference.proba is None
        else float(reference.proba.max(axis=1).mean()),
    }


def _recalled(trained: NDArray[np.uint64] | None, rows: LabelledRows | None) -> Recalled | None:
    """Count the labelled rows that the model was trained on; None where that is not known."""
    if rows is None or trained is None:
        return None
    counts = np.unique(trained, return_counts=True)[1]
    share_of_twins = float(counts[counts > 1].sum() / max(1, len(trained)))
    return Recalled(int(rows.is_known.sum()), len(rows), share_of_twins)


def _findings(
    run: ShippedRun,
    new: NewRows,
    evaluation: Evaluation | None,
    drift: Sequence[ColumnDrift],
) -> tuple[Finding, ...]:
    ignore = {*run.spec.findings.ignore, *IN_TRAINING_ONLY}
    if run.summary.get("calibration"):
        ignore.add("uncalibrated")
    y = run.classes if new.labelled is None else new.labelled.y
    inputs = FindingInputs(
        table=Table(pd.DataFrame(index=range(len(y))), y),
        rows=NO_ROWS,
        splits=(),
        leaks=None,
        identifiers={},
        evaluations=() if evaluation is None else (evaluation,),
        tuned=None,
        tuning=None,
        algorithm="",
        calibration=None,
        digests=np.empty(0, dtype=np.uint64),
        test_digests=None,
        degraded={},
        drift=drift,
        recalled=_recalled(run.trained.rows, new.labelled),
    )
    return find(inputs, ignore=ignore)


def _gates(
    run: ShippedRun,
    new: NewRows,
    evaluation: Evaluation | None,
    findings: Sequence[Finding],
) -> tuple[GateResult, ...]:
    tracking, judged = run.summary.get("tracking") or {}, None
    if evaluation is not None and new.labelled is not None:
        name, version = tracking.get("registered_model"), tracking.get("version")
        judged = Judged(
            run.spec,
            f"{MODEL_URI}{name}/{version}" if name and version else None,
            store_of_run(run.folder.file(CONFIG)),
            run.folder.path.parent,
            new.source,
            new.read,
            evaluation,
            new.labelled,
        )

    def unchecked(gate: GateSpec) -> str:
        if gate.finding in IN_TRAINING_ONLY:
            return f"{gate.finding} is looked for in a training"
        if gate.finding == "duplicates" and new.labelled is None:
            return NO_LABELS
        return NO_LABELS if gate.metric is not None and evaluation is None else ""

    return check_on_new_rows(run.spec.gates, judged, findings, unchecked)


def _warnings(run: ShippedRun, new: NewRows, evaluation: Evaluation | None, drift: Sequence[ColumnDrift]) -> list[str]:
    warnings = [str(each) for each in new.unknown]
    if new.labelled is None:
        warnings.append(f"{NO_LABELS}: no scores")
    elif len(new.labelled) < new.n_rows:
        left_out = pluralize(new.n_rows - len(new.labelled), "row")
        warnings.append(f"{left_out} without a label left out")
    if new.labelled is not None and not run.folder.file(TRAINING_ROWS).exists():
        warnings.append(NO_HASHES)
    if not drift:
        warnings.append("the run keeps no profile of its training: no drift; one trained now does")
    return [*warnings, *(evaluation.problems.values() if evaluation else ())]


def _classes(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "source": evaluation.source,
        "note": evaluation.note,
        "tuned_on_same_rows": False,
        "provenance": evaluation.provenance.to_dict(),
        "report": [asdict(each) for each in evaluation.classes],
        "confusion": [list(row) for row in evaluation.confusion],
    }


def _track(run: ShippedRun, found: Mapping[str, Any], evaluations: Sequence[Evaluation]) -> dict[str, Any] | None:
    """Log the evaluation as a run of its own, below that of the training; None where that was not tracked."""
    parent = (run.summary.get("tracking") or {}).get("run_id")
    store = store_of_run(run.folder.file(CONFIG)) if parent else None
    if not parent or store is None:
        return None
    from mlwf.modules.tracking import log_evaluation

    try:
        run_id = log_evaluation(store, parent, found, evaluations)
    except TrackingError as error:
        return {"run_id": None, "parent_run_id": parent, "error": first_line(error)}
    return {"run_id": run_id, "parent_run_id": parent, "error": None}
