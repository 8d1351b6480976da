"""Where the fits of a run are made, when not in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mlwf.engine.pools import Pool
from mlwf.specs.compute import ComputeSpec


@contextmanager
def workers(compute: ComputeSpec) -> Iterator[Pool | None]:
    """Reach the workers of `compute`; None when the run makes its fits here.

    Raises MlwfError within seconds when no cluster answers.
    """
    if compute.backend == "local":
        yield None
        return
    from mlwf.engine.dask_pool import DaskPool

    pool = DaskPool(compute.address, compute.n_jobs)
    try:
        yield pool
    except BaseException:
        pool.close(wait=False)
        raise
    pool.close()
