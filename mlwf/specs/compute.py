"""The `compute` section: how much of the machine to use, or which machines."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from mlwf.errors import InvalidValueError
from mlwf.specs.base import Spec


def refuse_no_jobs(n_jobs: int) -> int:
    """Raise an InvalidValueError for 0, which scikit-learn and joblib give no meaning."""
    if n_jobs == 0:
        raise InvalidValueError("0 fits at the same time is none", "accepted: -1 (one for each core), 1, 2, ...")
    return n_jobs


class ComputeSpec(Spec):
    """How much of the machine to use, or which machines."""

    n_jobs: int = -1
    """Fits at the same time; -1 is one for each core. It never changes a result."""
    backend: Literal["local", "dask"] = "local"
    """Where fits run: on this machine, or on a Dask cluster (extra `dask`). It never changes a result."""
    address: str | None = None
    """Address of a Dask scheduler, such as tcp://host:8786; without it a cluster is started on this machine."""

    @field_validator("n_jobs")
    @classmethod
    def _is_a_count(cls, n_jobs: int) -> int:
        return refuse_no_jobs(n_jobs)
