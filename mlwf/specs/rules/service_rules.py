"""Rules on the machines, the tracking store and the feature store."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mlwf.specs.base import address_keys, is_address
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.problems import GOT, Rule, SpecProblem
from mlwf.specs.tracking import refused_alias, refused_experiment, refused_model, refused_run
from mlwf.text import is_redacted

ADDRESS = r"(tcp|tls|ucx|ws|wss)://([^\s/:\[\]]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}"
"""Where a Dask scheduler listens: a protocol, a name or an IP address, a port."""


def _address_is_used(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    if spec.compute.address is not None and spec.compute.backend != "dask":
        message = f"has no effect with backend {spec.compute.backend}"
        hint = "write backend: dask, or leave it out"
        yield SpecProblem(("compute", "address"), message, hint, at_key=True)


def _address_is_one(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    address = spec.compute.address
    if address is not None and not re.fullmatch(ADDRESS, address):
        message = f"is {GOT}, which is no address of a Dask scheduler"
        yield SpecProblem(("compute", "address"), message, "accepted: tcp://HOST:PORT, tls://HOST:PORT")


def _workers_are_counted_once(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    """Refuse a number of fits where a cluster has as many workers as it has; -1 asks for no other number."""
    compute, tuning = spec.compute, spec.tuning
    if compute.backend != "dask":
        return
    if compute.address is not None and compute.n_jobs != -1:
        message = "has no effect with address: there are as many fits at the same time as the cluster has workers"
        yield SpecProblem(("compute", "n_jobs"), message, "leave it out", at_key=True)
    if tuning is not None and tuning.n_jobs not in (None, -1):
        message = "has no effect with backend dask: the search has all of its workers"
        yield SpecProblem(("tuning", "n_jobs"), message, "leave it out", at_key=True)


COMPUTE_RULES = (
    Rule(_workers_are_counted_once, ("compute.backend", "compute.address", "compute.n_jobs", "tuning.n_jobs")),
    Rule(_address_is_used, ("compute.backend", "compute.address")),
    Rule(_address_is_one, ("compute.address",)),
)


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
            yield SpecProblem(path, f"is {GOT}, which {refusal.message}", refusal.hint)


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
            "feature_store.pull",
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
