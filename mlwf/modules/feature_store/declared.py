"""Views declared in the spec, as Feast's definitions: the schema comes from the Parquet file itself."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from mlwf.atomic import writing
from mlwf.errors import DataError, Problem, nearest
from mlwf.specs.feature_store import FeatureViewSpec
from mlwf.text import free_name

HOLDS_AT_ANY_TIME = "mlwf_holds_at_any_time"
"""Tag of a view whose rows have no time of their own."""

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Declared:
    """A declared view, checked against its source."""

    spec: FeatureViewSpec
    fields: tuple[tuple[str, str], ...] = ()
    """Name and Feast type of every column but the timestamp."""
    timestamp: str = ""
    """Column with the event time, in the source or in its copy."""
    source: str = ""
    """File that Feast reads, relative to the repo."""
    original: str = ""
    """File that the spec names, relative to the repo."""
    copy: str | None = None
    """The source again with an event time that Feast can use, relative to the repo; None when it needs none."""
    source_state: dict[str, Any] | None = None
    """What the copied file looked like when it was read."""
    problems: tuple[Problem, ...] = ()

    @property
    def identity(self) -> Any:
        """Everything that makes a new apply necessary when it changes."""
        spec = self.spec.model_dump(exclude={"source"})
        return [spec, self.fields, self.timestamp, self.source, self.original, self.source_state]

    @staticmethod
    def all_or_every_problem(views: Sequence[Declared]) -> list[Declared]:
        """Return the views, or raise all that is wrong with them at once."""
        problems: list[Problem] = []
        first_use: dict[str, tuple[str, str]] = {}
        names: set[str] = set()
        for position, view in enumerate(views):
            problems += view.problems
            if view.spec.name in names:
                message = f"{view.spec.name} names another view already"
                problems.append(Problem("", f"feature_store.views.{position}.name", message))
            names.add(view.spec.name)
            for key, kind in view.fields:
                if key not in view.spec.keys:
                    continue
                other, expected = first_use.setdefault(key, (view.spec.name, kind))
                if kind != expected:
                    message = f"key {key} is of type {kind} here and {expected} in the view {other}"
                    where = f"feature_store.views.{position}.source"
                    problems.append(Problem("", where, message, "save both as the same type"))
        if problems:
            raise DataError(problems)
        return list(views)


def declare(position: int, view: FeatureViewSpec, repo: Path) -> Declared:
    """Check a declared view against its source; what is wrong is in `problems`."""
    where = f"feature_store.views.{position}"
    try:
        schema = open_dataset(view.source).schema
    except FileNotFoundError:
        return Declared(view, problems=(Problem("", f"{where}.source", f"{view.source}: no such file"),))
    except (OSError, pa.ArrowInvalid) as error:
        message = f"{view.source} cannot be read as Parquet: {str(error).splitlines()[0][:200]}"
        return Declared(view, problems=(Problem("", f"{where}.source", message),))
    problems = _missing_columns(where, view, schema)
    fields, refused = _fields(where, view, schema)
    original = _relative(view.source, repo)
    declared = Declared(
        spec=view, fields=fields, timestamp=view.timestamp or "", source=original, original=original,
        problems=(*problems, *refused),
    )  # fmt: skip
    needs_copy = view.timestamp is None or (not problems and pa.types.is_date(schema.field(view.timestamp).type))
    if not needs_copy or declared.problems:
        return declared
    copy = f"sources/{view.name}.parquet"
    timestamp = view.timestamp or free_name("event_timestamp", schema.names)
    return replace(declared, timestamp=timestamp, source=copy, copy=copy, source_state=_state(view.source, original))


def prepare_copy(view: Declared, repo: Path) -> None:
    """Write the copy of a source that has no event time which Feast could use.

    Raises
    ------
    DataError
        When rows that hold at any time repeat a key, so that none of them could be chosen.
    """
    if view.copy is None:
        return
    table = open_dataset(view.spec.source).to_table()
    stamps = pa.timestamp("us", "UTC")
    if view.spec.timestamp is None:
        counts = table.group_by(view.spec.keys).aggregate([([], "count_all")])["count_all"]
        repeated = pc.sum(pc.greater(counts, 1)).as_py() or 0
        if repeated:
            message = f"{repeated} of {len(counts)} keys occur more than once, and without a timestamp none is newer"
            hint = "name the timestamp column, or keep one row per key"
            raise DataError(Problem(view.spec.source, ", ".join(view.spec.keys), message, hint))
        table = table.append_column(view.timestamp, pa.repeat(pa.scalar(_BEGINNING, stamps), len(table)))
    else:
        days = table[view.timestamp].cast(pa.timestamp("us")).cast(stamps)
        table = table.set_column(table.schema.get_field_index(view.timestamp), view.timestamp, days)
    target = repo / view.copy
    target.parent.mkdir(exist_ok=True)
    with writing(target) as draft:
        pq.write_table(table, draft)


def build_definitions(views: Sequence[Declared]) -> list[Any]:
    """Build Feast's entities, sources and feature views."""
    from feast import Entity, FeatureView, Field, FileSource, ValueType
    from feast import types as feast_types

    entities: dict[str, Any] = {}
    definitions: list[Any] = []
    for view in views:
        types = dict(view.fields)
        for key in view.spec.keys:
            value_type = getattr(feast_types, types[key]).to_value_type()
            entities.setdefault(key, Entity(name=key, join_keys=[key], value_type=ValueType(value_type)))
        source = FileSource(name=f"{view.spec.name}_source", path=view.source, timestamp_field=view.timestamp)
        tags = {HOLDS_AT_ANY_TIME: "true"} if view.spec.timestamp is None else {}
        feature_view = FeatureView(
            name=view.spec.name,
            entities=[entities[key] for key in view.spec.keys],
            # Feast takes zero for a row that holds until the next one.
            ttl=view.spec.lifetime or timedelta(0),
            schema=[Field(name=name, dtype=getattr(feast_types, kind)) for name, kind in view.fields],
            source=source,
            tags=tags,
        )
        definitions += [source, feature_view]
    return [*entities.values(), *definitions]


def open_dataset(path: str | Path) -> Any:
    """Open a Parquet file or folder."""
    return ds.dataset(str(path), format="parquet", partitioning="hive")


def _missing_columns(where: str, view: FeatureViewSpec, schema: pa.Schema) -> list[Problem]:
    named = [("entity", key) for key in view.keys]
    if view.timestamp is not None:
        named.append(("timestamp", view.timestamp))
    problems = [
        Problem("", f"{where}.{key}", f"no column {column} in {view.source}", nearest(column, schema.names))
        for key, column in named
        if column not in schema.names
    ]
    if view.timestamp in schema.names:
        kind = schema.field(view.timestamp).type
        if not pa.types.is_timestamp(kind) and not pa.types.is_date(kind):
            message = f"column {view.timestamp} of {view.source} is of type {kind}"
            problems.append(Problem("", f"{where}.timestamp", message, "accepted: a timestamp or a date"))
    return problems


def _fields(where: str, view: FeatureViewSpec, schema: pa.Schema) -> tuple[tuple[tuple[str, str], ...], list[Problem]]:
    fields, problems = [], []
    for field in schema:
        if field.name == view.timestamp:
            continue
        kind = _feast_type(field.type)
        if kind is None:
            message = f"column {field.name} of {view.source} is of type {field.type}"
            hint = "accepted: text, integers, floats, booleans, dates and timestamps"
            problems.append(Problem("", f"{where}.source", message, hint))
        else:
            fields.append((field.name, kind))
    if not problems and not {name for name, _ in fields} - set(view.keys):
        problems.append(Problem("", f"{where}.source", f"{view.source} has no column besides key and timestamp"))
    return tuple(fields), problems


def _feast_type(kind: pa.DataType) -> str | None:
    """Return Feast's name of an Arrow type, or None when a feature cannot be of it."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    for is_kind, name in _FEAST_TYPES:
        if is_kind(kind):
            return name
    return None


# A column without any value has no type; as text it can at least be stored.
_FEAST_TYPES: tuple[tuple[Any, str], ...] = (
    (lambda kind: kind in (pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16()), "Int32"),
    (pa.types.is_integer, "Int64"),
    (pa.types.is_float64, "Float64"),
    (pa.types.is_floating, "Float32"),
    (pa.types.is_boolean, "Bool"),
    (pa.types.is_string, "String"),
    (pa.types.is_large_string, "String"),
    (pa.types.is_string_view, "String"),
    (pa.types.is_null, "String"),
    (pa.types.is_date, "UnixTimestamp"),
    (pa.types.is_timestamp, "UnixTimestamp"),
)


def _state(source: str, relative: str) -> dict[str, Any]:
    stat = Path(source).stat()
    return {"path": relative, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def _relative(path: str, repo: Path) -> str:
    # Relative to the repo, so that a project can be moved; Feast resolves it against the repo's folder.
    return Path(os.path.relpath(Path(path).resolve(), repo.resolve())).as_posix()
