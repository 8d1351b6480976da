"""Predict a table with the model of a run, or with a registered one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import yaml

from mlwf.engine.model_file import load_model
from mlwf.errors import DataError, InvalidValueError, RunNotFoundError, UsageError
from mlwf.evaluation.predictions import Predictions, predict
from mlwf.modules.data import select_features
from mlwf.modules.runs import CONFIG, MODEL_FILE, MODEL_URI, find_run
from mlwf.modules.table_files import check_table_path, read_raw, write_table
from mlwf.orchestrator.batches import Batch, Batches, OnRows
from mlwf.orchestrator.run_data import read_by_schema, refuse_unknown
from mlwf.specs.data import SCHEMA_FILE, DataSpec, ReadSpec, TableSchema
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.feature_store import FeatureStoreSpec, ServingSpec, parse_time
from mlwf.specs.loading import load_resolved
from mlwf.table_schema import RawTable, UnknownValues, load_schema, resolve_schema, uses_of
from mlwf.text import free_name

if TYPE_CHECKING:
    from mlwf.modules.feature_store import Materialized


@dataclass(frozen=True)
class Predicted:
    """What `predict_table` wrote."""

    n_rows: int
    unknown: tuple[UnknownValues, ...]
    """Values of the table that were not in the training."""
    renamed: Mapping[str, str]
    """Columns of the table whose names the output needs itself, and the names that they were written under."""


def predict_table(
    run: str,
    data: str,
    output: Path,
    *,
    runs_dir: Path,
    tracking_uri: str,
    read: Mapping[str, Any] | None = None,
    fail_on_unseen: bool = False,
    online: bool = False,
    rows_at_once: int | None = None,
    on_rows: OnRows | None = None,
) -> Predicted:
    """Write labels and probabilities for the rows of a table, in its order.

    It is read, predicted and written some rows at a time, and may be larger than memory; the output is there when all
    rows are in it. The table is read as the run's training was. The output holds the table's columns that are no
    features (keys, and the target if it is there) as they are written, `prediction`, and `probability_CLASS` for each
    class where the model has probabilities.

    Parameters
    ----------
    run
        A run, or `models:/NAME@ALIAS`.
    data
        The table: a file, a folder or a glob.
    output
        Where to write, CSV or Parquet by the suffix.
    read
        Fields of `ReadSpec` that differ from those of the training, such as another separator.
    fail_on_unseen
        Raise a DataError, and write nothing, when the table holds values that the training never saw.
    online
        Take the features of a feature store from its online store, as they are now.
    rows_at_once
        How many rows; the default is as many as hold some millions of values. Which batch a row is in does not change
        how it is read; a model that multiplies matrices may give it another last bit, as on other machines.
    on_rows
        Is told how many rows are done.

    Raises
    ------
    DataError
        When the table cannot be read so, lacks a feature, or holds hardly any value that the training saw.
    """
    check_table_path(str(output))
    places: dict[str, Any] = {"runs_dir": runs_dir, "tracking_uri": tracking_uri, "read": read, "online": online}
    given = open_for_model(run, data, rows_at_once=rows_at_once, on_rows=on_rows, **places)
    renamed: dict[str, str] = {}

    def written() -> Iterator[pa.Table]:
        for batch, X in given.rows():
            predictions = predict(given.model, X, decision=False)
            table, found = _output(batch.table, predictions, [*map(str, X.columns)])
            renamed.update(found)
            yield table
        if fail_on_unseen:
            refuse_unknown(given.batches.unknown(), data)

    write_table(written(), str(output))
    return Predicted(given.batches.n_rows, given.batches.unknown(), renamed)


@dataclass(frozen=True, eq=False)
class ModelBatches:
    """A model, and a table that is read for it some rows at a time."""

    model: Any
    batches: Batches
    _features: Any

    def rows(self) -> Iterator[tuple[Batch, Any]]:
        """Give some rows of the table, and their features as the model takes them.

        Raises DataError at the end when most values of a column are unknown to the model, or some cannot be features.
        """
        batches, wrong = self.batches, set[str]()
        for batch in batches:
            try:
                X = select_features(batch.rows, self._features, where=batches.where, names=batches.names)
            except DataError as error:
                if batches.uses_store:
                    raise
                wrong.update(problem.key for problem in error.problems)
            if not wrong:
                yield batch, X
        batches.unknown()
        if wrong:
            select_features(batches.whole([*wrong]), self._features, where=batches.where, names=batches.names)


def open_for_model(
    run: str,
    data: str,
    *,
    runs_dir: Path,
    tracking_uri: str,
    read: Mapping[str, Any] | None = None,
    online: bool = False,
    rows_at_once: int | None = None,
    on_rows: OnRows | None = None,
) -> ModelBatches:
    """Load the model of a run, or a registered one, and open a table to read it as its training was."""
    spec, schema, model = _model_of(run, runs_dir=runs_dir, tracking_uri=tracking_uri)
    spec = served_online(spec, run) if online else spec
    read_spec = (schema.read if schema else spec.data.read).model_copy(update=dict(read or {}))
    schema = schema or _schema_by_content(read_raw(data, read_spec), spec, model, read_spec)
    schema = schema.model_copy(update={"read": read_spec})
    features = _features_of(spec, model)
    names = [str(name) for each in features for name in getattr(each, "columns", [each])]
    batches = Batches(spec, schema, data, rows_at_once=rows_at_once, needed=names, on_rows=on_rows)
    batches.check_columns(names)
    return ModelBatches(model, batches, features)


@dataclass(frozen=True, eq=False)
class ModelRows:
    """A model, and a table that was read for it."""

    spec: ExperimentSpec
    model: Any
    table: RawTable
    X: Any
    """The features, as the model takes them."""
    unknown: tuple[UnknownValues, ...]


def read_for_model(
    run: str,
    data: str,
    *,
    runs_dir: Path,
    tracking_uri: str,
    read: Mapping[str, Any] | None = None,
) -> ModelRows:
    """Load the model of a run, or a registered one, and read a table as its training was."""
    spec, schema, model = _model_of(run, runs_dir=runs_dir, tracking_uri=tracking_uri)
    read_spec = (schema.read if schema else spec.data.read).model_copy(update=dict(read or {}))
    table = read_raw(data, read_spec)
    schema = schema or _schema_by_content(table, spec, model, read_spec)
    rows, unknown = read_by_schema(spec, table, schema.model_copy(update={"read": read_spec}), data)
    X = select_features(rows, _features_of(spec, model), where=data, names=[*table.names, *rows.columns])
    return ModelRows(spec, model, table, X, unknown)


def served_online(spec: ExperimentSpec, run: str) -> ExperimentSpec:
    """Give the experiment with its features from the online store; raises UsageError where it has no feature store."""
    if spec.feature_store is None or not spec.feature_store.enabled:
        raise UsageError(f"{run}: takes no features from a feature store, so none are online; leave out --online")
    return spec.model_copy(update={"feature_store": ServingSpec(**dict(spec.feature_store))})


def materialize_run(run: str, *, runs_dir: Path, until: str | None = None) -> Materialized:
    """Bring the newest values of the features of a run into the online store of its repo."""
    from mlwf.modules.feature_store import materialize

    spec = load_resolved(find_run(runs_dir, run).file(CONFIG)).feature_store
    if spec is None or not spec.enabled:
        raise UsageError(f"{run}: takes no features from a feature store, so there is nothing to materialize")
    try:
        moment = None if until is None else parse_time(until)
    except InvalidValueError as error:
        raise UsageError(f"--until {error}") from error
    return materialize(spec, moment)


def _features_of(spec: ExperimentSpec, model: Any) -> Any:
    return [str(name) for name in model.feature_names_in_] if spec.features == "auto" else spec.features


def _output(table: RawTable, predictions: Predictions, features: Sequence[str]) -> tuple[pa.Table, dict[str, str]]:
    """Add the predictions to the columns that are no features; a column of the same name is renamed."""
    columns: dict[str, Any] = {"prediction": pa.array(predictions.labels)}
    if predictions.proba is not None:
        columns |= {
            f"probability_{label}": pa.array(predictions.proba[:, position])
            for position, label in enumerate(predictions.classes)
        }
    kept = table.columns.select([name for name in table.columns.column_names if name not in features])
    taken = {*columns, *kept.column_names}
    renamed = {name: free_name(f"input_{name}", taken) for name in kept.column_names if name in columns}
    kept = kept.rename_columns([renamed.get(name, name) for name in kept.column_names])
    for name, values in columns.items():
        kept = kept.append_column(name, values)
    return kept, renamed


def _model_of(run: str, *, runs_dir: Path, tracking_uri: str) -> tuple[ExperimentSpec, TableSchema | None, Any]:
    return _registered(run, tracking_uri) if run.startswith(MODEL_URI) else _local(run, runs_dir)


def _local(run: str, runs_dir: Path) -> tuple[ExperimentSpec, TableSchema | None, Any]:
    folder = find_run(runs_dir, run)
    path = folder.file(MODEL_FILE)
    if not path.exists():
        raise RunNotFoundError(f"{folder.path}: the run ended before it had a model ({folder.status})")
    spec = load_resolved(folder.file(CONFIG))
    return spec, load_schema(folder.file(SCHEMA_FILE)), load_model(path)


def _registered(uri: str, tracking_uri: str) -> tuple[ExperimentSpec, TableSchema | None, Any]:
    from mlwf.modules.tracking import load_registered_model

    file = load_registered_model(uri, tracking_uri)
    # Of the experiment a registered model has only what it reads.
    spec = ExperimentSpec(data=DataSpec(path="-", target="-"))
    needed = (yaml.safe_load(file.with_name("MLmodel").read_text("utf-8")).get("metadata") or {}).get("feature_store")
    if needed:
        store = FeatureStoreSpec(**{name: needed.get(name) for name in FeatureStoreSpec.model_fields if name in needed})
        data = DataSpec(path="-", target="-", time=needed.get("time"))
        spec = ExperimentSpec(data=data, feature_store=store)
    return spec, load_schema(file.with_name(SCHEMA_FILE)), load_model(file)


def _schema_by_content(table: RawTable, spec: ExperimentSpec, model: Any, read: ReadSpec) -> TableSchema:
    """Resolve the schema from the table itself, for a model without the schema of its training."""
    names = {str(name) for name in getattr(model, "feature_names_in_", ())}
    schema = resolve_schema(table, read=read, uses=uses_of(spec.data, spec.features))
    columns = [column.model_copy(update={"is_feature": column.name in names}) for column in schema.columns]
    return schema.model_copy(update={"columns": columns})
