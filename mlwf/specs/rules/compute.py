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


COMPUTE_RULES = (
    Rule(_address_is_used, ("compute.backend", "compute.address")),
    Rule(_address_is_one, ("compute.address",)),
)
