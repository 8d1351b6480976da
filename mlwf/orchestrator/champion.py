"""Compare the run's model with registered ones, on held-out rows that these were not trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlwf.engine.model_file import load_model
from mlwf.errors import ConfigError, DataError, MlwfError, Problem, TrackingError, raise_if_bug
from mlwf.evaluation.intervals import bootstrap
from mlwf.evaluation.metrics import build_metric
from mlwf.evaluation.predictions import Predictions, predict
from mlwf.modules.data import Dataset, row_digests
from mlwf.modules.gates import Compare, Comparison, compares_with_registered_model, source_of
from mlwf.orchestrator.context import RunContext
from mlwf.results import Evaluation
from mlwf.specs.catalogue import Source, metric_info
from mlwf.specs.data import SCHEMA_FILE, TableSchema
from mlwf.specs.experiment import ExperimentSpec, GateSpec
from mlwf.table_schema import RawTable, load_schema, raw_of_frame, read_rows
from mlwf.text import first_line

FEWEST_ROWS = 30
"""Rows that a comparison needs at least."""


@dataclass(frozen=True, eq=False)
class Champion:
    """A registered model, and its predictions of the rows that the run is evaluated on."""

    version: str
    """Which version its URI named when the run began, such as `models:/adult-income/3`."""
    predictions: Predictions
    is_new: NDArray[np.bool_] | None
    """Which of the held-out rows it was not trained on; None where its run has no list of them."""


ChampionsBySource = Mapping[tuple[str, Source], Champion]
"""By the URI, and where the held-out rows come from."""


def load_champions(context: RunContext) -> ChampionsBySource:
    """Fetch the models that gates compare with, and predict with them; nothing is fitted yet.

    Raises
    ------
    ConfigError
        With every gate whose model is not there, is none of ours, or cannot predict these rows.
    TrackingError
        The store does not answer.
    """
    champions: dict[tuple[str, Source], Champion] = {}
    problems: list[Problem] = []
    for number, gate, source in _wanted(context):
        key = f"gates.{number}.beats"
        if (uri := gate.beats or "", source) not in champions:
            try:
                champions[uri, source] = _load(uri, context, source)
            except _Unfit as error:
                problems.append(Problem("", key, f"is {uri!r}, and {error}"))
                continue
        lacking = what_is_lacking(gate.metric or "", champions[uri, source].predictions)
        if lacking:
            problems.append(Problem("", key, f"is {uri!r}, which gives no {lacking}, and {gate.metric} needs them"))
    if problems:
        raise ConfigError(problems)
    return champions


def make_compare(champions: ChampionsBySource, context: RunContext, evaluations: Sequence[Evaluation]) -> Compare:
    """Make what compares the scored model with the champions, for `check_gates`."""
    by_source = {evaluation.source: evaluation for evaluation in evaluations}
    return lambda uri, metric, source: _compare(champions[uri, source], metric, context, by_source[source])


def hash_training_rows(context: RunContext) -> NDArray[np.uint64]:
    """Hash the rows that the shipped model is trained on, as it sees them: a later run compares with it on others."""
    data = context.run_data.data
    # Without other columns these are the digests of the complete rows, which there are.
    has_others = bool(len(data.other.columns))
    digests = digest_rows(data.X, data.y) if has_others else data.row_digests
    return digests[context.shipped_rows.index]


class _Unfit(Exception):
    """Why a registered model cannot be compared with."""


def _wanted(context: RunContext) -> Iterator[tuple[int, GateSpec, Source]]:
    strategy = context.spec.validation.strategy
    sources: list[Source] = [] if strategy == "none" else [strategy]
    if context.run_data.test is not None:
        sources.append("test")
    for number, gate in enumerate(context.spec.gates):
        source = source_of(gate, sources)
        # A gate without a source is refused by its own check.
        if compares_with_registered_model(gate) and source is not None:
            yield number, gate, source


def _load(uri: str, context: RunContext, source: Source) -> Champion:
    from mlwf.modules.tracking import RegisteredModelError, load_registered_model, pin_model_uri, training_rows

    assert context.spec.tracking is not None
    store = context.spec.tracking.tracking_uri
    try:
        version = pin_model_uri(uri, store)
        file = load_registered_model(version, store)
        model, schema = load_model(file), load_schema(file.with_name(SCHEMA_FILE))
        trained = training_rows(version, store)
    except RegisteredModelError as error:
        raise _Unfit(f"it cannot be fetched: {first_line(error)}") from error
    except TrackingError:
        raise
    except MlwfError as error:  # a file that is none of ours
        raise _Unfit(f"it cannot be loaded: {first_line(error)}") from error
    data, index = _held_out_rows(context, source)
    X, y = _rows_for(model, data, index), data.y[index]
    if schema is not None and isinstance(X, pd.DataFrame):
        X = _read_as_trained(schema, context, data, index, X)
    _check_classes(model, context)
    try:
        predictions = predict(model, X)
    except Exception as error:  # its steps may raise anything over values that they were not trained on
        raise_if_bug(error)
        raise _Unfit(f"it cannot predict these rows: {first_line(error)}") from error
    return Champion(version, predictions, None if trained is None else ~np.isin(digest_rows(X, y), trained))


def _held_out_rows(context: RunContext, source: Source) -> tuple[Dataset, NDArray[np.intp]]:
    """Give the rows that a source holds out, as positions in a dataset."""
    if source == "test":
        assert context.run_data.test is not None
        return context.run_data.test, np.arange(len(context.run_data.test), dtype=np.intp)
    data, raw = context.run_data.data, context.run_data.raw
    # Where features are inferred, those that were left out are only there.
    return data if raw is None or not hasattr(raw.X, "columns") else raw, context.split.test.index


def _rows_for(model: Any, data: Dataset, index: NDArray[np.intp]) -> Any:
    """Give the rows with the columns that a model was trained on, whatever this run makes of them."""
    names = getattr(model, "feature_names_in_", None)
    if not hasattr(data.X, "columns"):
        width = getattr(model, "n_features_in_", None)
        if names is not None or width != data.X.shape[1]:
            raise _Unfit(f"it was not trained on an array of {data.X.shape[1]} columns, as X is")
        return data.X[index]
    if names is None:
        raise _Unfit("it does not say which columns it was trained on")
    frames = [frame for frame in (data.X, data.other) if len(frame.columns)]
    columns = {str(name): column for frame in reversed(frames) for name, column in frame.items()}
    lacking = [str(name) for name in names if name not in columns]
    if lacking:
        raise _Unfit(f"it needs {', '.join(lacking[:5])}{', …' if lacking[5:] else ''}, which these rows lack")
    return pd.DataFrame({name: columns[name] for name in names}).iloc[index].reset_index(drop=True)


def _read_as_trained(
    schema: TableSchema, context: RunContext, data: Dataset, index: NDArray[np.intp], X: pd.DataFrame
) -> pd.DataFrame:
    """Read the rows as the champion's own training read its table, whatever this run takes their texts for."""
    table = context.run_data.tables.get(data.source)
    if table is None:
        table = raw_of_frame(X)
    else:
        positions = index if data.positions is None else data.positions[index]
        table = RawTable(table.columns.select([*X.columns]).take(positions), table.untyped)
    try:
        rows = read_rows(table, schema, where=data.source).rows
    except DataError as error:
        raise _Unfit(f"it reads these rows otherwise: {first_line(error)}") from error
    return rows[[*X.columns]]


def _check_classes(model: Any, context: RunContext) -> None:
    classes = getattr(model, "classes_", None)
    if classes is None:
        raise _Unfit("it is no classifier")
    if classes.tolist() != context.table.classes.tolist():
        known, here = (", ".join(map(str, labels)) for labels in (classes, context.table.classes))
        raise _Unfit(f"its classes are {known}, and those of {context.spec.data.target} are {here}")


def digest_rows(X: Any, y: NDArray[Any]) -> NDArray[np.uint64]:
    """Hash rows by the features and the label alone, as `hash_training_rows` does."""
    return row_digests(Dataset(X, y, ""))


def what_is_lacking(metric: str, predictions: Predictions) -> str:
    """Name what a metric needs and the predictions lack; empty when they have it."""
    if predictions.proba is not None or metric_info(metric).needs_labels:
        return ""
    if metric_info(metric).needs_probabilities:
        return "probabilities"
    return "probabilities and no decision values" if predictions.decision is None else ""


def _compare(champion: Champion, metric_name: str, context: RunContext, evaluation: Evaluation) -> Comparison:
    is_before_refit = context.is_refitted and evaluation.source == "train_test"
    note = _note(champion, len(evaluation.y), is_before_refit=is_before_refit)
    data, index = _held_out_rows(context, evaluation.source)
    assert np.array_equal(evaluation.y, data.y[index])
    weight, groups = (None if each is None else each[index] for each in (data.weight, data.groups))
    return compare_with(champion, metric_name, evaluation, context.spec, note=note, weight=weight, groups=groups)


def compare_with(
    champion: Champion,
    metric_name: str,
    evaluation: Evaluation,
    spec: ExperimentSpec,
    *,
    note: str,
    weight: NDArray[np.float64] | None,
    groups: NDArray[Any] | None,
) -> Comparison:
    """Measure how much better the evaluated model is than a champion, on the same resamples of the same rows.

    `weight` and `groups` are those of the evaluated rows. Too few rows that are new to the champion are a refusal.
    """
    y, rows = evaluation.y, _comparable(champion, len(evaluation.y))
    refused = _refusal(y, rows)
    if refused:
        return Comparison(None, note, refused, champion.version)
    weight, groups = (None if each is None else each[rows] for each in (weight, groups))
    classes = evaluation.predictions.classes
    metric = build_metric(metric_name, classes=classes, positive_class=spec.data.positive_class)
    parts = [evaluation.predictions.take(rows), champion.predictions.take(rows)]
    try:
        values = [metric(part, y[rows], weight) for part in parts]
    except Exception as error:  # what scikit-learn raises for rows that a metric is not defined for
        raise_if_bug(error)
        return Comparison(None, note, f"{metric_name} could not be computed: {first_line(error)}", champion.version)
    if not np.isfinite(values).all():
        return Comparison(None, note, f"{metric_name} is not defined for rows like these", champion.version)
    resampled = bootstrap([metric], parts, y[rows], weight=weight, groups=groups, random_state=spec.random_state)
    difference = resampled.difference(0, 0, 1, value=values[0], other_value=values[1])
    return Comparison(difference, note, opponent=champion.version)


def _comparable(champion: Champion, n_rows: int) -> NDArray[np.intp]:
    return np.arange(n_rows) if champion.is_new is None else np.flatnonzero(champion.is_new)


def _note(champion: Champion, n_rows: int, *, is_before_refit: bool) -> str:
    rows = len(_comparable(champion, n_rows))
    if champion.is_new is None:
        how = f"compared on {rows:,} rows: its run does not say which rows it was trained on"
    elif rows < n_rows:
        # A row is known by its content: one that equals a training row is no new one to the champion either.
        others = "the champion was trained on the others, or on rows equal to them"
        how = f"compared on {rows:,} of {n_rows:,} rows: {others}"
    else:
        how = f"compared on {rows:,} rows that the champion was not trained on"
    which = "; the run's is the model before the refit" if is_before_refit else ""
    return f"{champion.version} {how}{which}"


def _refusal(y: NDArray[Any], rows: NDArray[np.intp]) -> str:
    """Give the reason why too few rows are left; empty when there are enough."""
    left = "are left that the champion was not trained on" if len(rows) < len(y) else "are there"
    if len(rows) < FEWEST_ROWS:
        return f"{len(rows)} rows {left}, fewer than {FEWEST_ROWS}"
    gone = np.setdiff1d(y, y[rows])
    return f"no row of class {gone.tolist()[0]} is left that the champion was not trained on" if len(gone) else ""
