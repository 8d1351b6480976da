"""Rules on the machines that a run uses."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.problems import GOT, SpecProblem
from mlwf.specs.rules.rule import Rule

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
