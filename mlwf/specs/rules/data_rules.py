"""Rules on columns and features."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from mlwf.specs.catalogue import ALGORITHMS
from mlwf.specs.data import PARQUET_SUFFIXES, DateTypeSpec
from mlwf.specs.experiment import ExperimentSpec, ModelSection
from mlwf.specs.features import FeatureSpec
from mlwf.specs.problems import GOT, KeyPath, Rule, SpecProblem
from mlwf.text import format_value

OF_ROWS = ("sample_weight", "time", "groups", "fold")
"""Fields of `data` that name what else each row carries."""


def _encoding_is_known(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    try:
        codecs.lookup(spec.data.read.encoding)
    except (LookupError, ValueError):
        yield SpecProblem(
            ("data", "read", "encoding"), f"is {GOT}, which is no encoding", "accepted: utf-8, latin-1, ..."
        )


def _test_rows_are_others(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    if spec.data.test_path == spec.data.path:
        yield SpecProblem(("data", "test_path"), "is the same as path", "the test needs rows of its own")


def _columns_have_one_role(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    """Refuse a second role: a column is the target, carried by the rows, dropped, or a feature once."""
    roles: dict[str | int, str] = {spec.data.target: "the target"}
    for name in OF_ROWS:
        column = getattr(spec.data, name)
        if column in roles:
            yield SpecProblem(("data", name), f"is {GOT}, which is {roles[column]} already")
        elif column is not None:
            roles[column] = f"data.{name}"
    for index, column in enumerate(spec.data.drop):
        path = ("data", "drop", index)
        if column == spec.data.target:
            yield SpecProblem(path, f"is {GOT}, which is the target", "it is not a feature anyway: leave it out here")
        elif roles.get(column) == "dropped":
            yield SpecProblem(path, f"is {GOT}, which is listed twice")
        roles.setdefault(column, "dropped")
    yield from _features_have_no_other_role(spec, roles)


def _features_have_no_other_role(spec: ExperimentSpec, roles: dict[str | int, str]) -> Iterator[SpecProblem]:
    carried = {getattr(spec.data, name) for name in OF_ROWS}
    for number, feature in enumerate(() if spec.features == "auto" else spec.features):
        for index, column in enumerate(feature.columns):
            if column in roles:
                hint = "it has a meaning of its own: leave it out here" if column in carried else ""
                hint = "a feature cannot be what is predicted" if column == spec.data.target else hint
                message = f"is {GOT}, which is {roles[column]} already"
                yield SpecProblem(("features", number, "columns", index), message, hint)
            roles[column] = f"in features.{number}"


ACCEPTED_TYPES = {
    "numeric": ("number",),
    "boolean": ("boolean", "number"),
    "date": ("date",),
    "categorical": ("text", "boolean", "number", "date"),
    "ordinal": ("text", "boolean", "number"),
    "text": ("text",),
    "data.target": ("text", "boolean", "number"),
    "data.sample_weight": ("number",),
    "data.time": ("date", "number"),
    "data.groups": ("text", "boolean", "number", "date"),
    "data.fold": ("text", "boolean", "number", "date"),
}
"""Which types a column may be read as, by the type of its feature or by the key that names it."""


def _types_fit_their_use(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    """Refuse a type that contradicts what the column is used as: one of the two would have no effect."""
    features = () if spec.features == "auto" else spec.features
    roles = {
        column: f"data.{role}" for role in ("target", *OF_ROWS) if (column := getattr(spec.data, role)) is not None
    }
    uses = {str(column): feature.type for feature in features for column in feature.columns} | roles
    for column, declared in spec.data.types.items():
        kind = "date" if isinstance(declared, DateTypeSpec) else declared
        accepted = ACCEPTED_TYPES.get(uses.get(column, ""), (kind,))
        if kind not in accepted:
            use = roles.get(column) or f"a feature of type {uses[column]}"
            message = f"is {kind}, and the column is {use}"
            yield SpecProblem(("data", "types", column), message, f"accepted: {', '.join(accepted)}")


def _signs_differ(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    read = spec.data.read
    if read.thousands == read.decimal:
        yield SpecProblem(("data", "read", "thousands"), f"is {GOT}, as decimal is", "accepted: another sign")


def _some_column_is_a_feature(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    if spec.features == []:
        yield SpecProblem(("features",), f"is {GOT}: no column goes in", "accepted: auto, or a list of features")


def problems_of_streaming(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    """Yield what needs all rows of the table in memory at once."""
    if Path(spec.data.path).suffix.lower() not in ("", *PARQUET_SUFFIXES):
        yield SpecProblem(("data", "path"), f"is {GOT}, which is read as a whole", "data.stream is for Parquet")
    if spec.is_automatic:
        yield SpecProblem(("model", "algorithm"), f"is {GOT}, and most of its models need {ALL_ROWS}", _that_stream())
    for section in () if spec.is_automatic else spec.model_sections:
        yield from _model_problems(section)
        yield from _search_problems(section)
    for number, feature in enumerate(() if spec.features == "auto" else spec.features):
        yield from _preparation_problems(("features", number), feature)
    if spec.feature_store is not None and spec.feature_store.enabled:
        yield SpecProblem(("feature_store", "enabled"), f"is {GOT}, which joins rows in memory", f"{ACCEPTED} false")
    if spec.compute.backend != "local":
        yield SpecProblem(("compute", "backend"), f"is {GOT}, which sends rows to workers", f"{ACCEPTED} local")
    for number, gate in enumerate(spec.gates):
        if gate.beats not in (None, "baseline"):
            message = f"is {GOT}, a model that is to predict rows as its own training read them"
            yield SpecProblem(("gates", number, "beats"), message, f"{ACCEPTED} baseline")


def _model_problems(section: ModelSection) -> Iterator[SpecProblem]:
    info = ALGORITHMS.get(section.model.algorithm)
    if info is not None and info.streams is None:
        message = f"is {format_value(section.model.algorithm)}, which needs {ALL_ROWS}"
        yield SpecProblem((*section.path, "algorithm"), message, _that_stream())
    for name, accepted in (info.streams or {}).items() if info else ():
        if section.model.hyperparameters.get(name, accepted[0]) not in accepted:
            path = (*section.path, "hyperparameters", name)
            hint = f"{ACCEPTED} {', '.join(map(format_value, accepted))}"
            yield SpecProblem(path, f"is {GOT}, which needs {ALL_ROWS}", hint)


def _search_problems(section: ModelSection) -> Iterator[SpecProblem]:
    search, info = section.tuning, ALGORITHMS.get(section.model.algorithm)
    if search is None or not search.enabled:
        return
    for name in search.parameters:
        if name.startswith("preprocessor__") or name.removeprefix("classifier__") in ((info and info.streams) or ()):
            path = (*section.tuning_path, search.space_key, name)
            yield SpecProblem(path, f"may need {ALL_ROWS}", "leave it out, or data.stream: false", at_key=True)


def _preparation_problems(path: KeyPath, feature: FeatureSpec) -> Iterator[SpecProblem]:
    for name, accepted in STREAMED.items():
        value = getattr(feature, name, accepted[0])
        if value not in accepted:
            message = f"is {format_value(value)}, which needs {ALL_ROWS}"
            hint = f"{ACCEPTED} {', '.join('null' if each is None else each for each in accepted)}"
            yield SpecProblem((*path, name), message, hint)


def _that_stream() -> str:
    return f"{ACCEPTED} {', '.join(sorted(name for name, info in ALGORITHMS.items() if info.streams is not None))}"


ALL_ROWS = "all rows in memory at once"
ACCEPTED = "accepted with data.stream:"

STREAMED: dict[str, tuple[str | None, ...]] = {
    "type": ("numeric", "categorical", "boolean", "ordinal", "date"),
    "imputer": (None, "constant"),
    "scaler": (None,),
    "encoder": ("native", "onehot", "ordinal"),
}
"""Preparations of which a fit learns no more than which categories there are."""


def _all_of_it_streams(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    if spec.data.stream:
        yield from problems_of_streaming(spec)


_ROLES = ("data.target", "data.drop", "features.*.columns", *(f"data.{name}" for name in OF_ROWS))
_STREAMED_SECTIONS = ("model", "models", "tuning", "features", "feature_store", "compute", "gates")

DATA_RULES = (
    Rule(_encoding_is_known, ("data.read.encoding",)),
    Rule(_test_rows_are_others, ("data.path", "data.test_path")),
    Rule(_columns_have_one_role, _ROLES),
    Rule(_some_column_is_a_feature, ("features",)),
    Rule(_types_fit_their_use, (*_ROLES, "data.types.*", "features.*.type")),
    Rule(_all_of_it_streams, ("data.stream", "data.path", *_STREAMED_SECTIONS)),
    Rule(_signs_differ, ("data.read.thousands", "data.read.decimal")),
)
