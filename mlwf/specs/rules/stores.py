"""Rules on tracking and the feature store."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mlwf.addresses import is_redacted
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.mlflow_names import refused_alias, refused_experiment, refused_model, refused_run
from mlwf.specs.paths import address_keys, is_address
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
    if spec.tracking.registered_model_name is None:
        message = "has no model to name: registered_model_name is missing"
        yield SpecProblem(("tracking", "alias"), message, "an alias is given to a registered version", at_key=True)


def _names_are_mlflows(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    """Refuse names that a store would refuse, some of them only after the training."""
    tracking = spec.tracking
    if tracking is None:
        return
    experiment = ("name",) if tracking.experiment_name is None else ("tracking", "experiment_name")
    names = (
        (experiment, tracking.experiment_name or spec.name, refused_experiment),
        (("tracking", "registered_model_name"), tracking.registered_model_name, refused_model),
        (("tracking", "alias"), tracking.alias, refused_alias),
        (("model", "model_name"), spec.model.model_name, refused_run),
    )
    for path, name, refused in names:
        if name is not None and (refusal := refused(name)):
            yield SpecProblem(path, f"is {GOT}, which {refusal[0]}", refusal[1])


def _addresses_have_their_logins(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    """Refuse the addresses that a run has written without their logins."""
    data = spec.model_dump()
    for path in address_keys(data):
        address = data
        for part in path:
            address = address[part]
        if is_redacted(str(address)):
            hint = "write the login anew, or the address as ${env:NAME}, which a run writes as it is"
            yield SpecProblem(path, f"is {GOT}, whose login was left out when a run wrote this", hint)


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
    Rule(
        _addresses_have_their_logins,
        (
            "data.path",
            "data.test_path",
            "tracking.tracking_uri",
            "feature_store.repo_path",
            "feature_store.views.*.source",
            "compute.address",
        ),
    ),
    Rule(_tracking_uri_is_a_store, ("tracking.tracking_uri",)),
    Rule(_alias_has_a_model, ("tracking.alias", "tracking.registered_model_name")),
    Rule(
        _names_are_mlflows,
        ("name", "tracking.experiment_name", "tracking.registered_model_name", "tracking.alias", "model.model_name"),
    ),
    Rule(_one_way_to_name_features, ("feature_store.features", "feature_store.feature_service")),
    Rule(
        _views_are_declared, ("feature_store.views.*.name", "feature_store.initialize", "feature_store.force_recreate")
    ),
    Rule(_rows_have_one_time, ("feature_store.timestamp", "data.time")),
)
