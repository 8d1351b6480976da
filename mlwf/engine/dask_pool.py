"""Where fits run on more machines than one: a Dask cluster, spoken to through distributed's public interface."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from mlwf.engine.dask_cluster import joined, name_of
from mlwf.engine.pools import WorkerLostError
from mlwf.errors import MlwfError

RETURN_SECONDS = 60
"""How long a cluster may be without any worker in the middle of the work; Dask starts killed ones again."""

CLOSE_SECONDS = 0.8
"""How long leaving a cluster may take that is not waited for."""

LOST = "its worker process ended in the middle of it, each time that it was tried"


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

    Raises
    ------
    MlwfError
        When distributed is not installed, no scheduler answers within seconds, it has no worker, or a worker has
        another version of mlwf, scikit-learn or numpy: results would not be the same.
    """

    def __init__(self, address: str | None, n_jobs: int = -1) -> None:
        self._scheduler = name_of(address)
        self._is_closed = False
        self._second_tries = threading.Lock()
        self._placing = threading.Lock()
        self._n_at: Counter[str | None] = Counter()
        self._n_running = 0
        self._less_running = threading.Condition()
        with ExitStack() as stack:
            self._client, self._cluster = stack.enter_context(joined(address, n_jobs))
            self.slots = max(1, sum(self._client.nthreads().values()))
            self._held = stack.pop_all()

    def share(self, value: Any) -> _Sent:
        """Keep a value that goes to every worker once, when a task first needs it."""
        return _Sent(value)

    def free(self, handle: _Sent) -> None:
        """Let the workers forget a value."""
        handle.future = None

    def run(self, function: Callable[..., Any], /, *args: Any) -> Any:
        """Call a function in a worker; when that is lost, or what was shared with it, once more."""
        from distributed import KilledWorker

        with self._begun():
            # Dask itself gives the task to another worker, as often as the scheduler allows.
            with suppress(KilledWorker, CancelledError):
                return self._try(function, args)
            # One at a time, for the sake of those that were lost with the worker of another.
            with self._second_tries:
                try:
                    return self._try(function, args)
                except KilledWorker as error:
                    where = f"the last time at {error.last_worker.address}"
                    raise WorkerLostError(f"{LOST}, {where} (out of memory?)") from error
                except CancelledError as error:
                    self._check_open()
                    raise WorkerLostError(f"{LOST} (out of memory?)") from error

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
        # A scheduler that hangs must not hold up an interrupt.
        leaver = threading.Thread(target=self._leave, daemon=True)
        leaver.start()
        leaver.join(CLOSE_SECONDS)

    @contextmanager
    def _begun(self) -> Iterator[None]:
        with self._less_running:
            self._n_running += 1
        try:
            yield
        finally:
            with self._less_running:
                self._n_running -= 1
                self._less_running.notify_all()

    @contextmanager
    def _placed(self) -> Iterator[dict[str, Any]]:
        # Dask itself would rather let tasks wait where a large value is than send that to a worker with nothing to do.
        with self._placing:
            threads = self._client.nthreads()
            place = min(threads, key=lambda worker: self._n_at[worker] / threads[worker], default=None)
            self._n_at[place] += 1
        try:
            yield {} if place is None else {"workers": [place], "allow_other_workers": True}
        finally:
            with self._placing:
                self._n_at[place] -= 1

    def _try(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        from distributed import KilledWorker
        from distributed.comm import CommClosedError

        self._check_open()
        sent = list(args)
        try:
            sent = [arg.sent_by(self._client) if isinstance(arg, _Sent) else arg for arg in args]
            # A future of Client.get_executor never ends when the worker is killed between the task and its result.
            with self._placed() as where:
                future = self._client.submit(function, *sent, pure=False, **where)
                return self._result_of(future)
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
    """Stands for a value that the workers hold."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.future: Any = None
        self._lock = threading.Lock()

    def sent_by(self, client: Any) -> Any:
        import cloudpickle

        with self._lock:
            if self.future is None:
                # Not by scatter: what it sends is lost with its worker, and every task that needs it with that; and
                # it can wait for a dead worker without end. The result of a task Dask makes again by itself.
                self.future = client.submit(pickle.loads, cloudpickle.dumps(self.value), pure=False)
            return self.future

    def give_up(self, future: Any) -> None:
        with self._lock:
            if self.future is future:
                self.future = None
