"""The `compute` section: how much of the machine to use."""

from __future__ import annotations

from pydantic import field_validator

from mlwf.specs.base import Spec


class ComputeSpec(Spec):
    """How much of the machine to use."""

    n_jobs: int = -1
    """Fits at the same time; -1 is one for each core. It never changes a result."""

    @field_validator("n_jobs")
    @classmethod
    def _is_a_count(cls, n_jobs: int) -> int:
        if n_jobs == 0:
            raise ValueError("0 fits at the same time is none; accepted: -1 (one for each core), 1, 2, ...")
        return n_jobs
