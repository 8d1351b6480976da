"""New rows of a table as an evaluation needs them: predictions, labels and counts, and no columns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlwf.errors import DataError
from mlwf.evaluation.predictions import Predictions, codes_of, predict
from mlwf.modules.data import ColumnCounts, Dataset, prepare, select_features, slice_masks
from mlwf.orchestrator.batches import Batches, OnRows
from mlwf.orchestrator.champion import digest_rows
from mlwf.specs.data import DataSpec, TableSchema
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.slice_spec import SliceSpec
from mlwf.table_schema import UnknownValues


@dataclass(frozen=True, eq=False)
class NewRows:
    """A table that was read as that of the training, and predicted."""

    source: str
    n_rows: int
    unknown: tuple[UnknownValues, ...]
    predictions: Predictions
    """Of the rows that have a label; of all rows where the table has no labels."""
    counts: ColumnCounts
    """The values of these rows, in the bins of the training's profile."""
    labelled: LabelledRows | None
    """None where the table has no labels."""
    read: Mapping[str, Any]
    """How the table is read: fields of `ReadSpec`."""


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """What the rows of a table that have a label carry."""

    y: NDArray[Any]
    """Class labels, of shape (n_rows,)."""
    weight: NDArray[np.float64] | None
    groups: NDArray[np.intp] | None
    """Number of the group of each row, in order of appearance."""
    positions: NDArray[np.intp] | None
    """Where each row stands in the table, from 0 on; None when no row was left out."""
    slices: Mapping[str, NDArray[np.bool_]]
    """Which rows are in each slice, by its text."""
    is_known: NDArray[np.bool_]
    """Which rows the model was trained on; none where that is not known."""
    digest: str
    """Identifies features and labels of the rows, in order."""

    def __len__(self) -> int:
        return len(self.y)


class _Bits(Mapping[str, NDArray[np.bool_]]):
    """Booleans by name, eight in a byte until they are asked for."""

    def __init__(self, packed: Mapping[str, tuple[NDArray[np.uint8], int]]) -> None:
        self._packed = packed

    def __getitem__(self, name: str) -> NDArray[np.bool_]:
        bits, count = self._packed[name]
        return np.unpackbits(bits, count=count).astype(np.bool_)

    def __iter__(self) -> Iterator[str]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A model, and what is known of its training."""

    spec: ExperimentSpec
    schema: TableSchema
    model: Any
    profile: Mapping[str, Any]
    slices: Sequence[SliceSpec]
    rows: NDArray[np.uint64] | None
    """Hashes of the rows that it was trained on; None where they are not known."""


def read_new_rows(
    trained: TrainedModel,
    path: str,
    read: Mapping[str, Any],
    *,
    rows_at_once: int | None = None,
    on_rows: OnRows | None = None,
) -> NewRows:
    """Read a table as the training read its own, some rows at a time, and predict it.

    Raises DataError when it lacks a feature or cannot be read so.
    """
    spec, model = trained.spec, trained.model
    read_spec = trained.schema.read.model_copy(update=dict(read))
    schema = trained.schema.model_copy(update={"read": read_spec})
    batches = Batches(spec, schema, path, rows_at_once=rows_at_once, on_rows=on_rows)
    features: Any = spec.features
    if features == "auto":
        features = [str(name) for name in model.feature_names_in_]
    reference = Dataset(pd.DataFrame(), np.asarray(model.classes_), spec.data.path)

    def labelled(rows: pd.DataFrame, *, is_part: bool) -> Dataset:
        data, names = _as_tested(spec.data, batches.names), batches.names
        return prepare(rows, data, features=features, where=path, reference=reference, names=names, is_part=is_part)

    def unlabelled(rows: pd.DataFrame, *, is_part: bool) -> Dataset:
        X = select_features(rows, features, where=path, names=batches.names)
        return Dataset(X, np.empty(len(X)), path)

    found = _Collected(trained, has_labels=False)
    for batch in batches:
        target = batch.rows.get(spec.data.target)
        has_labels = target is not None and bool(target.notna().any())
        if has_labels and not found.has_labels:
            # Rows before have none: they are left out, as others without one.
            found = _Collected(trained, has_labels=True)
        if found.has_labels and not has_labels:
            continue
        try:
            part = (labelled if has_labels else unlabelled)(batch.rows, is_part=True)
        except DataError as error:
            if batches.uses_store:
                raise
            found.wrong.update(problem.key for problem in error.problems)
        else:
            found.add(part, batch.start)
    unknown = batches.unknown()
    if found.has_labels and found.all_weightless:
        found.wrong.add(str(spec.data.sample_weight))
    if found.wrong:
        names = [*found.wrong, *([spec.data.target] if found.has_labels else [])]
        (labelled if found.has_labels else unlabelled)(batches.whole(names), is_part=False)
        raise AssertionError(f"{path}: {', '.join(names)} cannot be read in parts alone")
    return found.done(path, batches.n_rows, unknown, read_spec.model_dump())


def _as_tested(data: DataSpec, names: Sequence[str]) -> DataSpec:
    """Give what is needed of the experiment's data: rows without a label are left out, and no row is split by time."""
    absent = {key: None for key in ("time", "groups") if getattr(data, key) not in names}
    return data.model_copy(update={"drop_missing_target": True, "fold": None, **absent})


class _Collected:
    """What the rows so far carry."""

    def __init__(self, trained: TrainedModel, *, has_labels: bool) -> None:
        self.has_labels = has_labels
        self.wrong: set[str] = set()
        """Columns that some row has something wrong in."""
        self._trained = trained
        self._known = None if trained.rows is None else np.sort(trained.rows)
        self._counts = ColumnCounts(trained.profile)
        self._parts: dict[str, list[NDArray[Any]]] = {}
        self._masks: dict[str, list[NDArray[np.bool_]]] = {str(each): [] for each in trained.slices}
        self._groups: dict[Any, int] = {}
        self._digest = hashlib.sha256()
        self._places: list[tuple[int, int, NDArray[np.intp] | None]] = []

    @property
    def all_weightless(self) -> bool:
        """Whether there are weights, and all of them are 0."""
        weights = self._parts.get("weight", [])
        return bool(weights) and not any(part.any() for part in weights)

    def add(self, rows: Dataset, start: int) -> None:
        """Predict some rows, and keep what is needed of them."""
        if self.wrong:  # it will be refused
            return
        self._counts.add(rows.X)
        predicted = predict(self._trained.model, rows.X)
        self._keep("labels", _coded(predicted.labels, predicted.classes))
        self._keep("proba", predicted.proba)
        self._keep("decision", predicted.decision)
        if not self.has_labels:
            return
        self._keep("y", _coded(rows.y, predicted.classes))
        self._keep("weight", rows.weight)
        if rows.groups is not None:
            codes, distinct = pd.factorize(rows.groups)
            numbers = [self._groups.setdefault(group, len(self._groups)) for group in distinct.tolist()]
            self._keep("groups", np.array(numbers, dtype=np.intp)[codes])
        self._places.append((start, len(rows.y), rows.positions))
        for name, mask in slice_masks(self._trained.slices, rows).items():
            self._masks[name].append(mask)
        hashes = digest_rows(rows.X, rows.y)
        self._digest.update(np.ascontiguousarray(hashes).data)
        if self._known is not None:
            places = np.minimum(np.searchsorted(self._known, hashes), max(0, len(self._known) - 1))
            self._keep("is_known", self._known[places] == hashes if len(self._known) else np.zeros(len(hashes), bool))

    def _keep(self, name: str, part: NDArray[Any] | None) -> None:
        if part is not None:
            self._parts.setdefault(name, []).append(part)

    def _joined(self, name: str) -> NDArray[Any] | None:
        parts = self._parts.pop(name, None)
        return None if parts is None else np.concatenate(parts)

    def done(self, path: str, n_rows: int, unknown: tuple[UnknownValues, ...], read: Mapping[str, Any]) -> NewRows:
        """Give what was kept of all rows."""
        classes = np.asarray(self._trained.model.classes_)
        labels, proba, decision = self._joined("labels"), self._joined("proba"), self._joined("decision")
        assert labels is not None
        predictions = Predictions(classes, _decoded(labels, classes), proba, decision)
        return NewRows(path, n_rows, unknown, predictions, self._counts, self._labelled(classes, n_rows), read)

    def _labelled(self, classes: NDArray[Any], n_rows: int) -> LabelledRows | None:
        codes, is_known = self._joined("y"), self._joined("is_known")
        if codes is None:
            return None
        packed = {name: (np.packbits(np.concatenate(parts)), len(codes)) for name, parts in self._masks.items()}
        return LabelledRows(
            y=_decoded(codes, classes),
            weight=self._joined("weight"),
            groups=self._joined("groups"),
            positions=None if len(codes) == n_rows else self._positions(),
            slices=_Bits(packed),
            is_known=np.zeros(len(codes), dtype=np.bool_) if is_known is None else is_known,
            digest=self._digest.hexdigest(),
        )

    def _positions(self) -> NDArray[np.intp]:
        return np.concatenate([start + (np.arange(count) if at is None else at) for start, count, at in self._places])


def _coded(labels: NDArray[Any], classes: NDArray[Any]) -> NDArray[Any]:
    """Give texts as the positions of their classes, in as few bytes as these need; other labels are small."""
    if classes.dtype.kind != "O":
        return labels
    return codes_of(labels, classes).astype(np.min_scalar_type(-len(classes)))


def _decoded(labels: NDArray[Any], classes: NDArray[Any]) -> NDArray[Any]:
    return classes[labels] if classes.dtype.kind == "O" else labels
