"""Machines: an address is that of a Dask scheduler, and serves nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlwf.specs.loading import load_experiment

DATA = "data: {path: d.csv, target: y}\n"
ACCEPTED = "which is no address of a Dask scheduler; accepted: tcp://HOST:PORT, tls://HOST:PORT"


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (
            "compute: {address: 'tcp://host:8786'}",
            ["x.yaml:2:11  compute.address: has no effect with backend local; write backend: dask, or leave it out"],
        ),
        (
            "compute: {backend: dask, address: host}",
            [f"x.yaml:2:35  compute.address: is 'host', {ACCEPTED}"],
        ),
        (
            "compute: {backend: dask, address: 'host:8786'}",
            [f"x.yaml:2:35  compute.address: is 'host:8786', {ACCEPTED}"],
        ),
        (
            "compute: {backend: dask, address: 'tcp://host'}",
            [f"x.yaml:2:35  compute.address: is 'tcp://host', {ACCEPTED}"],
        ),
        (
            "compute: {backend: dask, address: 'http://host:8787'}",
            [f"x.yaml:2:35  compute.address: is 'http://host:8787', {ACCEPTED}"],
        ),
        (
            "compute: {backend: spark}",
            ["x.yaml:2:20  compute.backend: is 'spark'; accepted: dask, local"],
        ),
        (
            "compute: {backend: dask, address: 8786}",
            ["x.yaml:2:35  compute.address: expected text, got 8786; quote it to make it text"],
        ),
    ],
    ids=["no cluster", "a name", "no protocol", "no port", "the dashboard", "another backend", "a number"],
)
def test_machines_that_cannot_be_used_are_told_whole(told, text, problems):
    assert told(DATA + text) == problems


@pytest.mark.parametrize(
    "address",
    [
        "tcp://host:8786",
        "tls://scheduler.example.org:8786",
        "ucx://10.0.0.7:13337",
        "tcp://[::1]:8786",
        "ws://host:80",
    ],
)
def test_the_address_of_a_scheduler_is_accepted(address):
    Path("x.yaml").write_text(f"{DATA}compute: {{backend: dask, address: '{address}'}}")
    assert load_experiment(Path("x.yaml"))[0].compute.address == address


def test_a_cluster_needs_no_address():
    Path("x.yaml").write_text(f"{DATA}compute: {{backend: dask}}")
    compute = load_experiment(Path("x.yaml"))[0].compute
    assert (compute.backend, compute.address) == ("dask", None)


def test_without_a_word_this_machine_is_used():
    Path("x.yaml").write_text(DATA)
    assert load_experiment(Path("x.yaml"))[0].compute.backend == "local"
