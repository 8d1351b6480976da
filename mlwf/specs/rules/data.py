"""Rules on columns and features."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.problems import GOT, SpecProblem
from mlwf.specs.rules.rule import Rule

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
    for number, feature in enumerate(() if spec.features == "auto" else spec.features):
        for index, column in enumerate(feature.columns):
            if column in roles:
                role = roles[column]
                hint = "it has a meaning of its own: leave it out here" if role.startswith("data.") else ""
                hint = {"the target": "a feature cannot be what is predicted"}.get(role, hint)
                yield SpecProblem(("features", number, "columns", index), f"is {GOT}, which is {role} already", hint)
            roles[column] = f"in features.{number}"


def _some_column_is_a_feature(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    if spec.features == []:
        yield SpecProblem(("features",), f"is {GOT}: no column goes in", "accepted: auto, or a list of features")


_ROLES = ("data.target", "data.drop", "features.*.columns", *(f"data.{name}" for name in OF_ROWS))

DATA_RULES = (
    Rule(_encoding_is_known, ("data.read.encoding",)),
    Rule(_test_rows_are_others, ("data.path", "data.test_path")),
    Rule(_columns_have_one_role, _ROLES),
    Rule(_some_column_is_a_feature, ("features",)),
)
