"""Rules on tracking and the feature store."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.paths import is_address
from mlwf.specs.problems import GOT, SpecProblem
from mlwf.specs.rules.rule import Rule


def _tracking_uri_is_a_store(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    uri = spec.tracking.tracking_uri if spec.tracking else ""
    is_store = re.match(r"(sqlite|https?|postgresql|mysql|mssql)(\+\w+)?://|databricks($|:)", uri)
    if spec.tracking and not (is_store and is_address(uri)):
        hint = "accepted: sqlite:///FILE, http://HOST:PORT"
        yield SpecProblem(("tracking", "tracking_uri"), f"is {GOT}, which is no store of MLflow", hint)


def _alias_has_a_model(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    alias = spec.tracking.alias if spec.tracking else None
    if spec.tracking is None or alias is None:
        return
    path = ("tracking", "alias")
    if re.fullmatch(r"latest|v\d+", alias, re.IGNORECASE):
        yield SpecProblem(path, f"is {GOT}, which MLflow keeps for itself", "accepted: all but latest, v1, v2, ...")
    if spec.tracking.registered_model_name is None:
        message = "has no model to name: registered_model_name is missing"
        yield SpecProblem(path, message, "an alias is given to a registered version", at_key=True)


def _one_way_to_name_features(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    store = spec.feature_store
    if store and store.features is not None and store.feature_service is not None:
        message = "contradicts features: both say what to join"
        yield SpecProblem(("feature_store", "feature_service"), message, "leave one of the two out", at_key=True)


def _views_are_declared(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    store = spec.feature_store
    if store is None:
        return
    if store.views and not store.should_initialize():
        hint = "add initialize: true, or leave them out"
        yield SpecProblem(("feature_store", "views"), "are declared, and nothing creates them", hint, at_key=True)
    if store.should_initialize() and not store.views:
        name = "initialize" if store.initialize else "force_recreate"
        yield SpecProblem(("feature_store", name), "has nothing to create: views is missing", at_key=True)
    names: set[str] = set()
    for index, view in enumerate(store.views):
        if view.name in names:
            yield SpecProblem(("feature_store", "views", index, "name"), f"is {GOT}, which names another view already")
        names.add(view.name)


def _rows_have_one_time(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    if spec.feature_store and spec.feature_store.timestamp is not None and spec.data.time is not None:
        message = "contradicts data.time, which gives each row its own time"
        yield SpecProblem(("feature_store", "timestamp"), message, "leave one of the two out", at_key=True)


STORE_RULES = (
    Rule(_tracking_uri_is_a_store, ("tracking.tracking_uri",)),
    Rule(_alias_has_a_model, ("tracking.alias", "tracking.registered_model_name")),
    Rule(_one_way_to_name_features, ("feature_store.features", "feature_store.feature_service")),
    Rule(
        _views_are_declared, ("feature_store.views.*.name", "feature_store.initialize", "feature_store.force_recreate")
    ),
    Rule(_rows_have_one_time, ("feature_store.timestamp", "data.time")),
)
