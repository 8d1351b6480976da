"""Simulate clusters of 1 to 512 workers: `python -m benchmarks.cluster` writes `benchmarks/cluster.md`.

The run, its engine, its fit cache, its scheduling and a Dask cluster on this machine are real. A fit sleeps as long as
it is estimated to take, and predicts the shares of the classes: that takes no core, so that a worker process can have
hundreds of threads, each of which is a worker to the pool.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, sleep
from typing import Any
from unittest.mock import patch

from distributed import LocalCluster
from sklearn.base import clone
from sklearn.dummy import DummyClassifier

from benchmarks.workloads import CV_FOLDS, SCORING, Workload, grid_of_64
from mlwf import GridSearchSpec, run_ml_workflow
from mlwf.engine.dask_pool import DaskPool
from mlwf.engine.scheduling import estimate_seconds
from mlwf.engine.work import Job, JobResult, PreparedRows
from mlwf.evaluation.predictions import predict
from mlwf.specs.experiment import ComputeSpec

REPORT = Path(__file__).parent / "cluster.md"
BEGIN, END = "<!-- cluster -->", "<!-- /cluster -->"
ALGORITHM = "gradient_boosting"
WORKERS = (1, 8, 64, 512)
PROCESSES = 2
"""Between which the workers are divided, as threads."""
SEARCHES = {"64 candidates, 5 folds": False, "nested, 5 x 5 folds, 64 candidates": True}
"""Whether a search is evaluated by repeating it in five outer folds."""


@dataclass(frozen=True)
class Simulated:
    """What the fits of one simulated run took."""

    search: str
    workers: int
    fits: int
    total: float
    """Seconds of all fits together."""
    chain: float
    """Least seconds of fits that wait for each other: the longest of a search and the shortest refit, per level."""
    seconds: float
    """From the begin of the first fit to the end of the last."""

    @property
    def ideal(self) -> float:
        """Seconds that no scheduling can do without."""
        return max(self.total / self.workers, self.chain)

    def row(self) -> str:
        """Write it as a row of the table."""
        share = f"{self.ideal / self.seconds:.2f} | {self.total / self.workers / self.seconds:.2f}"
        return f"| {self.search} | {self.workers} | {self.fits} | {self.ideal:.1f} s | {self.seconds:.1f} s | {share} |"


@dataclass
class SleepingPool:
    """A pool in whose workers fits sleep."""

    pool: Any
    n_rows: int
    fits: list[tuple[float, float, float]] = field(default_factory=list)
    """Begin, end and length of each."""

    def __post_init__(self) -> None:
        self.slots = self.pool.slots
        self.share, self.free, self.interrupt = self.pool.share, self.pool.free, self.pool.interrupt

    def run(self, function: Callable[..., Any], /, job: Job, prepared: Any) -> JobResult:
        """Sleep in a worker as long as the job is estimated to take."""
        stage = {job.stage_name: job.stages[-1]} if job.stage_name else {}
        seconds = estimate_seconds(clone(job.classifier).set_params(**stage), self.n_rows, 20, 2)
        begun = perf_counter()
        done: JobResult = self.pool.run(sleep_instead, seconds, job, prepared)
        self.fits.append((begun, perf_counter(), seconds))
        return done


def sleep_instead(seconds: float, job: Job, prepared: PreparedRows) -> JobResult:
    """Take the time of a fit, and predict the shares of the classes."""
    sleep(seconds)
    model = DummyClassifier(strategy="prior").fit(prepared.X, prepared.y)
    by_rows = {digest: predict(model, prepared.parts[digest]) for digest in job.rows}
    return JobResult(tuple(by_rows for _ in job.stages or (None,)), model, fit_seconds=seconds)


def simulate(search: str, workers: int) -> Simulated:
    """Run one search on a cluster of so many workers."""
    load = grid_of_64(ALGORITHM, is_quick=False)
    with cluster_of(workers) as address:
        pool = SleepingPool(DaskPool(address), len(load.X))
        try:
            _run(load, pool, nested=SEARCHES[search])
        finally:
            pool.pool.close()
    lengths = [seconds for _, _, seconds in pool.fits]
    chain = (max(lengths) + min(lengths)) * (2 if SEARCHES[search] else 1)
    took = max(end for _, end, _ in pool.fits) - min(begun for begun, _, _ in pool.fits)
    return Simulated(search, workers, len(lengths), sum(lengths), chain, took)


@contextmanager
def cluster_of(workers: int) -> Iterator[str]:
    """Start a Dask cluster with so many threads, and give its address."""
    processes = min(PROCESSES, workers)
    with LocalCluster(
        n_workers=processes,
        threads_per_worker=workers // processes,
        processes=True,
        dashboard_address="127.0.0.1:0",
        memory_limit=None,
    ) as cluster:
        yield cluster.scheduler_address


def _run(load: Workload, pool: SleepingPool, *, nested: bool) -> None:
    @contextmanager
    def open_pool(*_: Any) -> Iterator[Any]:
        yield pool

    with (
        patch("mlwf.orchestrator.workflow.open_pool", open_pool),
        # What sleeps has no rounds to cut.
        patch("mlwf.engine.engine.truncated", lambda model, stage: model),
    ):
        run_ml_workflow(
            load.features,
            load.model,
            load.X,
            load.y,
            validation_strategy="cross_validation" if nested else "none",
            validation_params={"cv_folds": CV_FOLDS, "nested": True, "metrics": [SCORING]} if nested else None,
            tuning_spec=GridSearchSpec(param_grid=dict(load.grid), scoring=SCORING, cv_folds=CV_FOLDS),
            compute_spec=ComputeSpec(backend="dask", n_jobs=1),
            on_error="fail",
        )


def write_report(rows: Sequence[Simulated]) -> str:
    """Write the report; what stands between its marks is quoted in the README."""
    table = [
        BEGIN,
        "| search | workers | fits | ideal | took | share of the ideal | share of all workers busy |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(each.row() for each in rows),
        END,
    ]
    return "\n".join(
        [
            "# Simulated clusters",
            "",
            f"The search of {ALGORITHM} in `benchmarks/workloads.py`, on 2,000 rows: 64 candidates, of which those",
            "that differ in the number of rounds share a fit. Fits sleep for as long as they are estimated to take, 4",
            f"seconds on average, in threads of {PROCESSES} real Dask workers; the rest is what a run does, on two",
            "cores. Ideal is the longer of two: all fits divided by the workers, and the longest fit with the refit",
            "that waits for it (twice where the search is repeated). Made by `python -m benchmarks.cluster`.",
            "",
            *table,
            "",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=WORKERS, help="sizes of the cluster")
    parser.add_argument("--output", type=Path, default=REPORT, help="where to write the report")
    options = parser.parse_args(arguments)
    rows = []
    for search, is_nested in SEARCHES.items():
        # On one worker the nested search would sleep for half an hour.
        for workers in (each for each in options.workers if each > 1 or not is_nested):
            rows.append(simulate(search, workers))
            print(rows[-1].row(), flush=True)
    options.output.write_text(write_report(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
