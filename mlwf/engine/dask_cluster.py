"""Joining a Dask cluster: that of a scheduler, or one that is started on this machine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

from mlwf.engine.plain import count_workers
from mlwf.engine.pools import interrupts_blocked
from mlwf.errors import MlwfError
from mlwf.shared_state import SharedState

CONNECT_SECONDS = 6
WORKER_SECONDS = 3
"""How long a cluster that has just been reached may take to show a worker."""

LOGGERS = ("distributed", "distributed.client", "distributed.gc", "tornado.application")
"""Those to which distributed gives a level: they tell of each lost worker, with a traceback, what the run says too."""


@contextmanager
def joined(address: str | None, n_jobs: int) -> Iterator[tuple[Any, Any]]:
    """Give the client of a cluster, and the cluster where it was started here; leave it, or end it, afterwards.

    Parameters and errors are those of `DaskPool`.
    """
    _import_distributed()
    with _QUIET.held(), _SETTINGS.held(), ExitStack() as stack:
        cluster = stack.enter_context(_start_cluster(n_jobs)) if address is None else None
        client = stack.enter_context(_connect(address, cluster))
        _check_versions(client)
        yield client, cluster


def name_of(address: str | None) -> str:
    """Name the cluster in a message."""
    return f"compute.address: the Dask scheduler at {address}" if address else "the Dask cluster on this machine"


def _import_distributed() -> None:
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise MlwfError("compute.backend: dask needs the extra: pip install 'mlwf[dask]'") from error


@contextmanager
def _quiet() -> Iterator[None]:
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _settings() -> Any:
    import dask

    return dask.config.set(
        {
            # It warns that a shared value is large, and advises to scatter it.
            "distributed.admin.large-graph-warning-threshold": "1 PB",
            # What follows is for a cluster of this machine. A task is tried twice, and the second time alone.
            "distributed.scheduler.allowed-failures": 0,
            # It takes shared values from workers that do not need them at the moment.
            "distributed.scheduler.active-memory-manager.start": False,
            # After this time it looks whether a killed worker is back, and gives it up when it was killed again.
            "distributed.deploy.lost-worker-timeout": "1 day",
        }
    )


_QUIET, _SETTINGS = SharedState(_quiet), SharedState(_settings)
"""Dask's loggers and settings are those of the whole process."""


def _start_cluster(n_jobs: int) -> Any:
    from distributed import LocalCluster

    try:
        with interrupts_blocked():
            return LocalCluster(
                n_workers=count_workers(n_jobs),
                threads_per_worker=1,
                processes=True,
                # None would still serve pages, and warn where port 8787 is taken.
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
            )
    except RuntimeError as error:
        hint = 'a script that starts one needs `if __name__ == "__main__":`'
        said = str(error).splitlines()[0]
        raise MlwfError(f"compute.backend: {name_of(None)} could not be started ({said}); {hint}") from error


def _connect(address: str | None, cluster: Any) -> Any:
    from distributed import Client

    if address is not None:
        _check_answers(address)
    client = Client(cluster or address, timeout=CONNECT_SECONDS, set_as_default=False)
    try:
        client.wait_for_workers(1, timeout=WORKER_SECONDS)
    except TimeoutError as error:
        client.close()
        raise MlwfError(f"{name_of(address)} has no worker, and got none within {WORKER_SECONDS} seconds") from error
    return client


def _check_answers(address: str) -> None:
    # A Client that finds no scheduler retries, and waits without end where something else listens.
    try:
        with ThreadPoolExecutor(1) as apart:
            apart.submit(asyncio.run, _identify(address)).result()
    except ValueError as error:
        hint = "accepted: tcp://HOST:PORT"
        raise MlwfError(f"compute.address: {address!r} is no address of a Dask scheduler ({error}); {hint}") from error
    except OSError as error:
        raise MlwfError(
            f"compute.address: no Dask scheduler answers at {address} within {CONNECT_SECONDS} seconds"
        ) from error
    except Exception as error:
        said = f"{type(error).__name__}: {error}".splitlines()[0]
        raise MlwfError(f"compute.address: what answers at {address} is no Dask scheduler ({said})") from error


async def _identify(address: str) -> None:
    from distributed import Security, rpc

    async with asyncio.timeout(CONNECT_SECONDS):
        arguments = Security().get_connection_args("client")
        async with rpc(address, timeout=CONNECT_SECONDS, connection_args=arguments) as scheduler:
            await scheduler.identity()


def _check_versions(client: Any) -> None:
    here, problems = _versions(), []
    for worker, there in client.run(_versions, on_error="return").items():
        if isinstance(there, Exception):
            problems.append(f"{worker} cannot import mlwf ({there})")
        else:
            problems += [
                f"{worker} has {name} {there[name]}, here is {here[name]}" for name in here if here[name] != there[name]
            ]
    if problems:
        hint = "install the same versions there, or results would differ"
        raise MlwfError(f"compute.address: the worker at {'; the one at '.join(problems)}; {hint}")


def _versions() -> dict[str, str]:
    import numpy
    import sklearn

    import mlwf

    return {"mlwf": mlwf.__version__, "scikit-learn": sklearn.__version__, "numpy": numpy.__version__}
