"""Where fits run on more machines than one: a Dask cluster, joined or started, and the pool of its workers."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import secrets
import signal
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import monotonic
from typing import Any

from mlwf.engine.process_pools import CallInterruptedError, WorkerLostError, interrupts_blocked
from mlwf.errors import MlwfError
from mlwf.processes import SharedState, count_workers
from mlwf.specs.catalogue import ALGORITHMS

CONNECT_SECONDS = 6
WORKER_SECONDS = 3
"""How long a cluster that has just been reached may take to show a worker."""

RETURN_SECONDS = 60
"""How long a cluster may be without any worker in the middle of the work; Dask starts killed ones again."""
WORKERS_KNOWN_SECONDS = 1
"""How long tasks are placed by what the scheduler said of its workers; what goes to one that is gone, another takes."""
CLOSE_SECONDS = 0.8
"""How long leaving a cluster may take that is not waited for."""
LOST = "its worker process ended in the middle of it, each time that it was tried"
LOGGERS = ("distributed", "distributed.client", "distributed.gc", "tornado.application")
"""Those to which distributed gives a level: they log each lost worker with a traceback, which the run reports too."""


class DaskPool:
    """Runs tasks on the workers of a Dask cluster: that of a scheduler, or one that is started on this machine.

    A cluster of this machine has one process for each task, started as Python's `spawn` does: a script that uses it
    needs `if __name__ == "__main__":`.

    Parameters
    ----------
    address
        Such as tcp://host:8786; None starts a cluster on this machine.
    n_jobs
        Workers of a cluster on this machine, as scikit-learn counts them.
    algorithms
        What the workers will fit; they need the same versions of its packages.
    folder
        Where shared values are put if all workers see it too, as on storage that they share; else they are sent.

    Raises
    ------
    MlwfError
        When distributed is not installed, no scheduler answers within seconds, it has no worker, or a worker has
        another version of mlwf, numpy or a library of the algorithms: results would not be the same.
    """

    def __init__(
        self, address: str | None, n_jobs: int = -1, algorithms: Sequence[str] = (), folder: Path | None = None
    ) -> None:
        self._scheduler = name_of(address)
        self._is_closed = False
        self._second_tries = threading.Lock()
        self._placing = threading.Lock()
        self._calls: dict[int, Any] = {}
        """The future that each thread waits for; None once it is to wait no more."""
        self._n_at: Counter[str | None] = Counter()
        self._workers: dict[str, int] = {}
        """The threads of each worker, as they were when the scheduler was asked."""
        self._asked = 0.0
        self._n_running = 0
        self._less_running = threading.Condition()
        with ExitStack() as stack:
            self._client, self._cluster = stack.enter_context(joined(address, n_jobs, algorithms))
            self.slots = max(1, sum(self._client.nthreads().values()))
            # Of this machine alone: a mapped file that another one removes ends the process that reads it.
            mmap_mode = None if self._cluster is None else "r"
            self._storage = stack.enter_context(_storage(self._client, folder, mmap_mode))
            self._held = stack.pop_all()

    def share(self, value: Any) -> _Sent:
        """Keep a value that goes to every worker once, when a task first needs it."""
        return _Sent(value, self._storage)

    def free(self, handle: _Sent) -> None:
        """Let the workers forget a value."""
        handle.forget()

    def run(self, function: Callable[..., Any], /, *args: Any) -> Any:
        """Call a function in a worker; when that is lost, or what was shared with it, once more."""
        from distributed import KilledWorker

        with self._running():
            self._calls.pop(threading.get_ident(), None)
            # Dask itself gives the task to another worker, as often as the scheduler allows.
            with suppress(KilledWorker, CancelledError):
                return self._try(function, args)
            self._check_not_interrupted()
            # One at a time, for the sake of those that were lost with the worker of another.
            with self._second_tries:
                try:
                    return self._try(function, args)
                except KilledWorker as error:
                    where = f"the last time at {error.last_worker.address}"
                    raise WorkerLostError(f"{LOST}, {where} (out of memory?)") from error
                except CancelledError as error:
                    self._check_open()
                    self._check_not_interrupted()
                    raise WorkerLostError(f"{LOST} (out of memory?)") from error

    def interrupt(self, thread: int) -> None:
        """Let a thread wait no more for what it has called, which Dask's worker finishes all the same."""
        future = self._calls.get(thread)
        if future is not None:
            self._calls[thread] = None
            future.cancel()

    def close(self, *, wait: bool = True) -> None:
        """Leave the cluster, or end that of this machine; what was shared is forgotten."""
        if self._is_closed:
            return
        self._is_closed = True
        if wait:
            with self._less_running:
                self._less_running.wait_for(lambda: not self._n_running)
            self._held.close()
            return
        # A scheduler that hangs must not delay an interrupt.
        leaver = threading.Thread(target=self._leave, daemon=True)
        leaver.start()
        leaver.join(CLOSE_SECONDS)

    @contextmanager
    def _running(self) -> Iterator[None]:
        with self._less_running:
            self._n_running += 1
        try:
            yield
        finally:
            with self._less_running:
                self._n_running -= 1
                self._less_running.notify_all()

    @contextmanager
    def _placed(self, args: tuple[Any, ...]) -> Iterator[str | None]:
        # Dask itself would rather let tasks wait where a large value is than send that to a worker with nothing to do.
        # What needs no such value it may place: a restricted task that waits for a worker takes none that comes.
        needs_value = any(isinstance(arg, _Sent) for arg in args)
        with self._placing:
            threads = self._threads() if needs_value else {}
            place = min(threads, key=lambda worker: self._n_at[worker] / threads[worker], default=None)
            self._n_at[place] += 1
        try:
            yield place
        finally:
            with self._placing:
                self._n_at[place] -= 1

    def _threads(self) -> dict[str, int]:
        # To ask the scheduler takes milliseconds, for which hundreds of tasks that begin together would queue.
        if not self._workers or monotonic() - self._asked > WORKERS_KNOWN_SECONDS:
            self._workers, self._asked = self._client.nthreads(), monotonic()
        return self._workers

    def _try(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        from distributed import KilledWorker
        from distributed.comm import CommClosedError

        self._check_open()
        sent = list(args)
        try:
            with self._placed(args) as place:
                sent = [arg.sent_by(self._client, place) if isinstance(arg, _Sent) else arg for arg in args]
                # A future of Client.get_executor never ends when the worker is killed between the task and its result.
                future = self._client.submit(_call, function, *sent, pure=False, **_at(place))
                thread = threading.get_ident()
                self._calls[thread] = future
                try:
                    return self._result_of(future)
                finally:
                    # A future that is kept keeps what was sent; the mark of an interrupted call stays.
                    if self._calls.get(thread) is not None:
                        del self._calls[thread]
        except Exception as error:
            # Without its scheduler a Client fails in many ways, some of them before it knows.
            self._check_open(is_lost=isinstance(error, CommClosedError))
            if isinstance(error, CancelledError | KilledWorker):
                # A shared value that was on its way to the lost worker has failed as the task has.
                for arg, old in zip(args, sent, strict=True):
                    if isinstance(arg, _Sent):
                        arg.give_up(old)
            raise

    def _result_of(self, future: Any) -> Any:
        # Not by `wait`: that takes the client from Dask's settings, which threads leave to each other.
        while True:
            try:
                return future.result(timeout=RETURN_SECONDS)
            except TimeoutError as error:
                if future.done():
                    return future.result()
                if not self._client.nthreads():
                    raise MlwfError(f"{self._scheduler} has had no worker for {RETURN_SECONDS} seconds") from error

    def _check_not_interrupted(self) -> None:
        if self._calls.get(threading.get_ident(), False) is None:
            raise CallInterruptedError

    def _check_open(self, *, is_lost: bool = False) -> None:
        if self._is_closed:
            raise CancelledError("the pool is closed")
        if is_lost or self._client.status != "running":
            raise MlwfError(f"{self._scheduler} does not answer any more")

    def _leave(self) -> None:
        if self._cluster is not None:
            for nanny in self._cluster.workers.values():
                with suppress(ProcessLookupError, TypeError):
                    os.kill(nanny.pid, signal.SIGKILL)
        self._held.close()


class _Sent:
    """Stands for a value in the memory of the workers."""

    def __init__(self, value: Any, storage: _Storage) -> None:
        self.value = value
        self._storage = storage
        self._file: Path | None = None
        self._path: Any = None
        self._future: Any = None
        self._held: dict[str | None, Any] = {}
        """The future of each worker that has been sent the value."""
        self._lock = threading.Lock()

    def sent_by(self, client: Any, place: str | None) -> Any:
        import cloudpickle

        with self._lock:
            if place not in self._held and place in self._storage.workers and self._is_stored():
                # As below, a restricted task is not to be the first.
                self._path = self._path or client.submit(str, str(self._file), pure=False)
                self._held[place] = client.submit(_read, self._path, self._storage.mmap_mode, pure=False, **_at(place))
            if place in self._held:
                return self._held[place]
            if self._future is None:
                # Not by scatter: what it sends is lost with its worker, and every task that needs it with that; and
                # it can wait for a dead worker without end. The result of a task Dask makes again by itself; where all
                # workers are gone, on the next that comes only if the task is not restricted.
                self._future = client.submit(pickle.loads, cloudpickle.dumps(self.value), pure=False)
            # A scheduler drops copies of a result that no task needs at the moment, which would be sent again for the
            # next one. What each worker holds by a key of its own has no copies.
            self._held[place] = client.submit(_Held, self._future, pure=False, **_at(place))
            return self._held[place]

    def give_up(self, future: Any) -> None:
        """Send the value again to the next that needs it, unless another has given up this one before."""
        with self._lock:
            if any(held is future for held in self._held.values()):
                self._forget()

    def forget(self) -> None:
        """Let the workers forget the value."""
        with self._lock:
            self._forget()
            if self._file is not None:
                self._file.unlink(missing_ok=True)
                self._file = None

    def _is_stored(self) -> bool:
        import joblib

        if self._file is None:
            file = Path(self._storage.folder, f"{secrets.token_hex(8)}.joblib")
            try:
                joblib.dump(self.value, file)
            except (OSError, pickle.PicklingError):  # without room, or what only cloudpickle takes
                file.unlink(missing_ok=True)
                self._storage.workers.clear()
                return False
            self._file = file
        return True

    def _forget(self) -> None:
        self._path, self._future, self._held = None, None, {}


@dataclass(frozen=True)
class _Storage:
    """A folder for shared values."""

    folder: str
    workers: set[str]
    """Those that see it, if all do; one that comes later is sent what it needs."""
    mmap_mode: str | None


@contextmanager
def _storage(client: Any, folder: Path | None, mmap_mode: str | None) -> Iterator[_Storage]:
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # the fit cache, whose folder it is, reports that
        folder = None
    with tempfile.TemporaryDirectory(prefix=".shared-", dir=folder, ignore_cleanup_errors=True) as shared:
        token = secrets.token_hex(8)
        Path(shared, "token").write_text(token, encoding="utf-8")
        found = client.run(_read_token, shared, on_error="return")
        # What one of them cannot do another takes over, and must see it as well.
        is_seen = all(there == token for there in found.values())
        yield _Storage(shared, set(found) if is_seen else set(), mmap_mode)


def _read_token(folder: str) -> str:
    return Path(folder, "token").read_text(encoding="utf-8")


def _read(file: str, mmap_mode: str | None) -> _Held:
    import joblib

    return _Held(joblib.load(file, mmap_mode=mmap_mode))


@dataclass(frozen=True, slots=True)
class _Held:
    """A value in the memory of a worker, which Dask counts where it is the result of another task."""

    value: Any


def _call(function: Callable[..., Any], *args: Any) -> Any:
    return function(*[arg.value if isinstance(arg, _Held) else arg for arg in args])


def _at(place: str | None) -> dict[str, Any]:
    # Others take it where that worker is gone, or has more to do than it has threads, which only tasks of others do.
    return {} if place is None else {"workers": [place], "allow_other_workers": True}


@contextmanager
def joined(address: str | None, n_jobs: int, algorithms: Sequence[str] = ()) -> Iterator[tuple[Any, Any]]:
    """Give the client of a cluster, and the cluster where it was started here; leave it, or end it, afterwards.

    Parameters and errors are those of `DaskPool`.
    """
    _import_distributed()
    with _QUIET.held(), _SETTINGS.held(), ExitStack() as stack:
        cluster = stack.enter_context(_start_cluster(n_jobs)) if address is None else None
        client = stack.enter_context(_connect(address, cluster))
        _check_versions(client, algorithms)
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
            # Tasks are placed here, one for each thread: there is nothing to move.
            "distributed.scheduler.work-stealing": False,
            # After this time it looks whether a killed worker is back, and gives it up when it was killed again.
            "distributed.deploy.lost-worker-timeout": "1 day",
        }
    )


_QUIET, _SETTINGS = SharedState(_quiet), SharedState(_settings)
"""Dask's loggers and settings are global to the process."""


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
        reason = str(error).splitlines()[0]
        raise MlwfError(f"compute.backend: {name_of(None)} could not be started ({reason}); {hint}") from error


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
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise MlwfError(f"compute.address: what answers at {address} is no Dask scheduler ({reason})") from error


async def _identify(address: str) -> None:
    from distributed import Security, rpc

    async with asyncio.timeout(CONNECT_SECONDS):
        arguments = Security().get_connection_args("client")
        async with rpc(address, timeout=CONNECT_SECONDS, connection_args=arguments) as scheduler:
            await scheduler.identity()


def _check_versions(client: Any, algorithms: Sequence[str]) -> None:
    here, problems = _versions(algorithms), []
    for worker, there in client.run(_versions, algorithms, on_error="return").items():
        if isinstance(there, Exception):
            problems.append(f"{worker} cannot import mlwf ({there})")
        else:
            problems += [
                f"{worker} has {name} {there[name]}, here is {here[name]}" for name in here if here[name] != there[name]
            ]
    if problems:
        hint = "install the same versions there, or results would differ"
        raise MlwfError(f"compute.address: the worker at {'; the one at '.join(problems)}; {hint}")


def _versions(algorithms: Sequence[str]) -> dict[str, str]:
    import numpy
    import sklearn

    # One package may be of several names for pip, such as xgboost and xgboost-cpu.
    infos = [ALGORITHMS[name] for name in algorithms if name in ALGORITHMS]
    others = {info.package: _installed(info.distribution) for info in infos if info.package != "sklearn"}
    return {"mlwf": _installed("mlwf"), **others, "scikit-learn": sklearn.__version__, "numpy": numpy.__version__}


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"
