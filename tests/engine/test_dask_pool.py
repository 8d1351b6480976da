"""Tasks run on a real Dask cluster; a worker that is killed costs only its tasks."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager

import dask
import numpy as np
import pytest
import sklearn
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier

from mlwf.engine import dask_pool as module
from mlwf.engine.dask_pool import DaskPool
from mlwf.engine.process_pools import WorkerLostError
from mlwf.errors import MlwfError

distributed = pytest.importorskip("distributed")

# Tasks are made by functions: the workers cannot import this module, and get what was made here by value.


def killing():
    return lambda *_: os.kill(os.getpid(), signal.SIGKILL)


def killing_once(marker):
    def kill_once(shared, number):
        if number == 3 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.2)
        return number + len(shared)

    return kill_once


def counting_unpickling(folder):
    class Counted:
        def __init__(self):
            self.array = np.arange(3)

        def __setstate__(self, state):
            self.__dict__ = state
            (folder / f"{os.getpid()} {time.monotonic_ns()}").touch()

    return Counted()


def run_all(pool, function, calls):
    def run(args):
        try:
            return pool.run(function, *args)
        except WorkerLostError:
            return "lost"

    with ThreadPoolExecutor(pool.slots) as callers:
        return list(callers.map(run, calls))


def wait_for(path):
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def running(*arguments, **environment):
    process = subprocess.Popen(
        [sys.executable, "-m", *map(str, arguments)],
        env={**os.environ, **environment},
        # Python looks for modules there first.
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


@contextmanager
def running_scheduler():
    port = free_port()
    options = ["--host", "127.0.0.1", "--port", port, "--dashboard-address", "127.0.0.1:0"]
    with running("distributed.cli.dask_scheduler", *options) as process:
        deadline = time.monotonic() + 60
        while True:
            with socket.socket() as probe:
                if not probe.connect_ex(("127.0.0.1", port)):
                    break
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield process, f"tcp://127.0.0.1:{port}"


@contextmanager
def running_worker(address, *options, **environment):
    arguments = [address, "--nthreads", 1, "--host", "127.0.0.1", "--no-dashboard", *options]
    with running("distributed.cli.dask_worker", *arguments, **environment) as process:
        yield process


def wait_for_workers(address, count):
    with distributed.Client(address, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=60)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Start a scheduler and two workers, each of which is started again when it is killed."""
    folder = str(tmp_path_factory.mktemp("workers"))
    options = ["--local-directory", folder]
    with (
        running_scheduler() as (_, address),
        running_worker(address, *options),
        running_worker(address, *options),
    ):
        yield address


@pytest.fixture
def pool(cluster, monkeypatch):
    """Join the cluster as one that shares no storage with this process."""
    monkeypatch.setattr(module, "_read_token", lambda folder: None)
    wait_for_workers(cluster, 2)
    pool = DaskPool(cluster)
    yield pool
    pool.close()


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("tcp://", "missing port number in address ''"),
        ("head-node", "missing port number in address 'head-node'"),
        ("tcp://127.0.0.1:port", "invalid literal for int() with base 10: 'port'"),
    ],
    ids=["no host", "no port", "port is no number"],
)
def test_dask_pool_refuses_what_is_no_address(address, reason):
    with pytest.raises(MlwfError) as caught:
        DaskPool(address)
    assert str(caught.value) == (
        f"compute.address: {address!r} is no address of a Dask scheduler ({reason}); accepted: tcp://HOST:PORT"
    )


@pytest.mark.slow
def test_dask_pool_fails_within_ten_seconds_where_nothing_listens():
    address, started = f"tcp://127.0.0.1:{free_port()}", time.monotonic()
    with pytest.raises(MlwfError) as caught:
        DaskPool(address)
    assert time.monotonic() - started < 10
    assert str(caught.value) == f"compute.address: no Dask scheduler answers at {address} within 6 seconds"


def test_dask_pool_does_not_wait_for_a_listener_that_sends_nothing(monkeypatch):
    monkeypatch.setattr(module, "CONNECT_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(MlwfError) as caught:
            DaskPool(address)
    assert str(caught.value) == f"compute.address: no Dask scheduler answers at {address} within 1 seconds"


def test_dask_pool_refuses_what_is_no_scheduler():
    def answer():
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9)
            connection.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as server:
        other = threading.Thread(target=answer)
        other.start()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(MlwfError) as caught:
            DaskPool(address)
        other.join()
    said = str(caught.value)
    assert said.startswith(f"compute.address: what answers at {address} is no Dask scheduler (")
    assert "\n" not in said


def test_dask_pool_names_the_missing_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MlwfError) as caught:
        DaskPool(None)
    assert str(caught.value) == "compute.backend: dask needs the extra: pip install 'mlwf[dask]'"


@pytest.mark.slow
def test_dask_pool_refuses_a_scheduler_without_workers():
    with running_scheduler() as (_, address), pytest.raises(MlwfError) as caught:
        DaskPool(address)
    assert str(caught.value) == (
        f"compute.address: the Dask scheduler at {address} has no worker, and got none within 3 seconds"
    )


@pytest.mark.slow
def test_dask_pool_runs_in_as_many_processes_as_the_cluster_has(pool):
    def meet():
        time.sleep(0.3)
        return os.getpid()

    assert pool.slots == 2
    pids = run_all(pool, meet, [()] * 4)
    assert len({*pids}) == 2
    assert os.getpid() not in pids


@pytest.mark.slow
def test_dask_pool_raises_what_the_function_raises(pool):
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        pool.run(lambda: 1 / 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "value", [(1, 2), [1, 2], {"a": 1}, {1, 2}, np.arange(3)], ids=lambda value: type(value).__name__
)
def test_dask_pool_shares_a_value_as_it_is(pool, value):
    kind, text = pool.run(lambda shared: (type(shared), repr(shared)), pool.share(value))
    assert (kind, text) == (type(value), repr(value))


@pytest.mark.slow
def test_dask_pool_sends_a_shared_value_to_each_worker_once(pool, cluster, tmp_path):
    handle = pool.share(counting_unpickling(tmp_path))
    assert list(tmp_path.iterdir()) == []

    def use(shared, number):
        time.sleep(0.1)
        return os.getpid()

    pids = {*run_all(pool, use, [(handle, number) for number in range(6)])}
    with distributed.Client(cluster, set_as_default=False) as client:
        # It drops copies that no task needs at the moment, every two seconds.
        client.amm.run_once()
    pids |= {*run_all(pool, use, [(handle, number) for number in range(6)])}
    assert sorted(path.name.split()[0] for path in tmp_path.iterdir()) == sorted(str(pid) for pid in pids)
    assert len(pids) == 2


@pytest.mark.slow
def test_dask_pool_sends_nothing_to_workers_that_see_its_folder(cluster, tmp_path):
    wait_for_workers(cluster, 2)
    pool = DaskPool(cluster, folder=tmp_path)
    handle = pool.share(np.arange(1_000_000))
    results = run_all(pool, lambda shared, number: int(shared.sum()) + number, [(handle, 0), (handle, 1)])
    with distributed.Client(cluster, set_as_default=False) as client:
        keys = {key.split("-")[0] for key in client.who_has()}
    (shared,) = tmp_path.iterdir()
    before = {file.suffix for file in shared.iterdir()}
    pool.free(handle)
    after = {file.suffix for file in shared.iterdir()}
    pool.close()
    assert results == [499_999_500_000, 499_999_500_001]
    assert "loads" not in keys
    assert (before, after, list(tmp_path.iterdir())) == ({"", ".joblib"}, {""}, [])


@pytest.mark.slow
def test_dask_pool_frees_a_freed_value_on_the_workers(pool, cluster):
    handle = pool.share(np.arange(3))
    pool.run(len, handle)
    with distributed.Client(cluster, set_as_default=False) as client:

        def holders():
            return sorted(key.split("-")[0] for key in client.who_has() if not key.startswith("_call-"))

        before = holders()
        pool.free(handle)
        deadline = time.monotonic() + 10
        while holders() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert (before, holders()) == (["_Held", "loads"], [])


@pytest.mark.slow
def test_dask_pool_gives_the_bits_of_a_local_fit(pool):
    X, y = make_classification(300, 5, random_state=0)

    def fit(shared, seed):
        model = HistGradientBoostingClassifier(max_iter=5, max_features=0.5, random_state=seed)
        return model.fit(*shared).predict_proba(shared[0])

    handle = pool.share((X, y))
    there = run_all(pool, fit, [(handle, seed) for seed in range(4)])
    assert all(np.array_equal(there[seed], fit((X, y), seed)) for seed in range(4))


@pytest.mark.slow
def test_dask_pool_loses_no_task_with_a_killed_worker(pool, tmp_path):
    handle = pool.share([0])
    calls = [(handle, number) for number in range(12)]
    assert run_all(pool, killing_once(tmp_path / "marker"), calls) == [number + 1 for number in range(12)]
    assert (tmp_path / "marker").exists()


@pytest.mark.slow
def test_dask_pool_shares_again_what_was_lost_with_every_worker(pool, tmp_path):
    handle = pool.share(counting_unpickling(tmp_path))

    def sum_there(shared):
        time.sleep(0.2)
        return os.getpid(), int(shared.array.sum())

    before = {pid for pid, _ in run_all(pool, sum_there, [(handle,)] * 4)}
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    after = run_all(pool, sum_there, [(handle,)] * 4)
    assert len(before) == 2
    assert {total for _, total in after} == {3}
    assert not before & {pid for pid, _ in after}


@pytest.mark.slow
def test_dask_pool_gives_up_a_task_that_kills_its_workers_and_no_other():
    pool, kill = DaskPool(None, 2), killing()
    handle = pool.share(np.arange(3))

    def work(shared, number):
        if number == 2:
            kill()
        time.sleep(0.2)
        return number + len(shared)

    results = run_all(pool, work, [(handle, number) for number in range(8)])
    with pytest.raises(WorkerLostError) as caught:
        pool.run(kill)
    pool.close()
    assert results == [3, 4, "lost", 6, 7, 8, 9, 10]
    assert str(caught.value).startswith("its worker process ended in the middle of it, each time that it was tried")
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_closed_dask_pool_takes_no_task_and_leaves_the_cluster_alone(cluster, tmp_path):
    pool = DaskPool(cluster)

    def sleep():
        (tmp_path / "begun").touch()
        time.sleep(3)

    with ThreadPoolExecutor(1) as callers:
        call = callers.submit(pool.run, sleep)
        wait_for(tmp_path / "begun")
        started = time.monotonic()
        pool.close(wait=False)
        assert time.monotonic() - started < 1
        assert isinstance(call.exception(), CancelledError)
    with pytest.raises(CancelledError, match="the pool is closed"):
        pool.run(os.getpid)
    again = DaskPool(cluster)
    assert again.run(lambda: 3) == 3
    again.close()


@pytest.mark.slow
def test_dask_pool_waits_for_the_tasks_that_have_begun(cluster, tmp_path):
    pool = DaskPool(cluster)

    def work():
        (tmp_path / "begun").touch()
        time.sleep(0.5)
        return "done"

    with ThreadPoolExecutor(1) as callers:
        call = callers.submit(pool.run, work)
        wait_for(tmp_path / "begun")
        pool.close()
        assert call.result() == "done"


@pytest.mark.slow
def test_dask_pool_leaves_logging_as_it_was(cluster):
    def levels():
        return [logging.getLogger(name).level for name in module.LOGGERS]

    before = levels()
    pool = DaskPool(cluster)
    during = levels()
    pool.close()
    assert min(during) > logging.CRITICAL
    assert levels() == before


@pytest.mark.slow
def test_dask_pool_refuses_workers_with_other_versions(tmp_path):
    (tmp_path / "older.py").write_text("import sklearn\nsklearn.__version__ = '1.0'\n")
    with running_scheduler() as (_, address), running_worker(address, "--preload", tmp_path / "older.py"):
        wait_for_workers(address, 1)
        with pytest.raises(MlwfError) as caught:
            DaskPool(address)
    start, _, rest = str(caught.value).partition(" has ")
    assert start.startswith("compute.address: the worker at tcp://127.0.0.1:")
    assert rest == (
        f"scikit-learn 1.0, here is {sklearn.__version__}; install the same versions there, or results would differ"
    )


@pytest.mark.slow
def test_dask_pool_refuses_workers_without_mlwf(tmp_path):
    (tmp_path / "mlwf.py").write_text("")
    with running_scheduler() as (_, address), running_worker(address, PYTHONPATH=str(tmp_path)):
        wait_for_workers(address, 1)
        with pytest.raises(MlwfError) as caught:
            DaskPool(address)
    start, _, rest = str(caught.value).partition(" cannot ")
    assert start.startswith("compute.address: the worker at tcp://127.0.0.1:")
    assert rest == (
        """import mlwf (ModuleNotFoundError("No module named 'mlwf.engine'; 'mlwf' is not a package")); """
        "install the same versions there, or results would differ"
    )


@pytest.mark.slow
def test_dask_pool_reports_that_its_scheduler_is_gone(tmp_path):
    with running_scheduler() as (scheduler, address), running_worker(address, "--no-nanny") as worker:
        wait_for_workers(address, 1)
        pool = DaskPool(address)

        def sleep():
            (tmp_path / "begun").touch()
            time.sleep(60)

        with ThreadPoolExecutor(1) as callers:
            call = callers.submit(pool.run, sleep)
            wait_for(tmp_path / "begun")
            scheduler.kill()
            error = call.exception(timeout=20)
        pool.close()
        worker.kill()
    assert isinstance(error, MlwfError)
    assert str(error) == f"compute.address: the Dask scheduler at {address} does not answer any more"


SCRIPT = """
import os, signal, sys, threading, time
from mlwf.engine.dask_pool import DaskPool

def work(path):
    open(path, "w").close()
    time.sleep(60)

def call_pool():
    try:
        pool.run(work, sys.argv[1])
    except BaseException:
        pass

if __name__ == "__main__":
    pool = DaskPool(None, 1)
    threading.Thread(target=call_pool, daemon=True).start()
    try:
        time.sleep(90)
    except KeyboardInterrupt:
        started = time.monotonic()
        pid = next(iter(pool._cluster.workers.values())).pid
        pool.close(wait=False)
        print(pid, time.monotonic() - started, flush=True)
        os._exit(130)
"""


@pytest.mark.slow
def test_dask_cluster_of_this_machine_ends_quietly_with_ctrl_c(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    script = subprocess.Popen(
        [sys.executable, "script.py", tmp_path / "begun"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell without job control starts what runs in the background with Ctrl-C ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        wait_for(tmp_path / "begun")
        os.killpg(script.pid, signal.SIGINT)
        messages, noise = script.communicate(timeout=10)
    finally:
        script.kill()
        script.communicate()
    pid, seconds = messages.split()
    assert script.returncode == 130
    assert noise == ""
    assert float(seconds) < 1
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


@pytest.mark.slow
def test_dask_cluster_of_this_machine_reports_what_a_script_needs(tmp_path):
    script = """
        from mlwf.engine.dask_pool import DaskPool
        from mlwf.errors import MlwfError
        try:
            DaskPool(None, 1)
        except MlwfError as error:
            print(error)
    """
    (tmp_path / "script.py").write_text(textwrap.dedent(script))
    messages = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=90, check=True
    )
    assert messages.stdout.splitlines()[-1] == (
        "compute.backend: the Dask cluster on this machine could not be started (Nanny failed to start.); "
        'a script that starts one needs `if __name__ == "__main__":`'
    )


@pytest.mark.slow
def test_dask_pool_leaves_dask_to_others_as_it_was(pool):
    handle = pool.share([1, 2, 3])
    assert run_all(pool, sum, [(handle,)] * 20) == [6] * 20
    assert dask.config.get("scheduler", None) is None
