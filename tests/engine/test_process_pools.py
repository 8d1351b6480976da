"""Threads and processes run tasks; a worker that is killed costs its task a second try, and the others nothing."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import pytest

from mlwf.engine import process_pools as shared_files
from mlwf.engine.process_pools import ProcessPool, ThreadPool, WorkerLostError
from mlwf.processes import _start, cores

# Tasks are made by functions: the workers cannot import this module, and get what was made here by value.


def killing(number=signal.SIGKILL):
    return lambda: os.kill(os.getpid(), number)


def killing_once(marker):
    def kill_once(value):
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return value

    return kill_once


def sleeping(folder, seconds):
    def sleep():
        (folder / str(os.getpid())).touch()
        time.sleep(seconds)

    return sleep


def pids_in(folder, count):
    deadline = time.monotonic() + 30
    while len(pids := [int(path.name) for path in folder.iterdir()]) < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return pids


def are_gone(pids, *, within):
    deadline = time.monotonic() + within
    while any(_start(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture(scope="module")
def pool():
    """Give a pool that goes on whatever a test does to its workers: starting one takes seconds."""
    pool = ProcessPool(2)
    yield pool
    pool.close(wait=False)


def test_thread_pool_runs_in_the_calling_thread():
    pool = ThreadPool(2)
    assert pool.run(threading.get_ident) == threading.get_ident()


def test_thread_pool_shares_the_value_itself():
    pool, value = ThreadPool(2), [1, 2]
    handle = pool.share(value)
    assert pool.run(lambda shared: shared is value, handle)
    pool.free(handle)


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize("kind", [ThreadPool, ProcessPool])
def test_closed_pool_takes_no_task(kind, wait):
    pool = kind(1)
    pool.close(wait=wait)
    with pytest.raises(CancelledError, match="the pool is closed"):
        pool.run(os.getpid)


def test_process_pool_runs_in_another_process_and_starts_no_more_than_it_needs():
    pool = ProcessPool(3)
    pids = {pool.run(os.getpid) for _ in range(4)}
    pool.close()
    assert len(pids) == 1
    assert os.getpid() not in pids


def test_process_pool_runs_as_many_tasks_at_once_as_it_has_slots(pool, tmp_path):
    def meet(number):
        (tmp_path / str(number)).touch()
        while not all((tmp_path / str(other)).exists() for other in range(2)):
            time.sleep(0.01)
        return number

    with ThreadPoolExecutor(2) as callers:
        assert list(callers.map(lambda number: pool.run(meet, number), range(2))) == [0, 1]


def test_process_pool_lets_callers_beyond_its_slots_wait(pool):
    with ThreadPoolExecutor(6) as callers:
        pids = set(callers.map(lambda _: pool.run(lambda: time.sleep(0.05) or os.getpid()), range(12)))
    assert len(pids) <= 2


def test_process_pool_raises_what_the_function_raises(pool):
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        pool.run(lambda: 1 / 0)
    assert pool.run(lambda: 3) == 3


def test_process_pool_maps_shared_arrays(pool):
    value = (np.arange(12.0).reshape(4, 3), {"y": np.array(["a", "b"], dtype=object)}, np.empty(0))
    handle = pool.share(value)

    def describe(shared):
        X, named, empty = shared
        return isinstance(X, np.memmap), X.flags.writeable, np.asarray(X), named["y"], empty.shape

    is_mapped, is_writeable, X, y, shape = pool.run(describe, handle)
    assert (is_mapped, is_writeable) == (True, False)
    assert np.array_equal(X, value[0])
    assert list(y) == ["a", "b"]
    assert shape == (0,)


def test_process_pool_opens_a_shared_value_once_in_a_worker(pool):
    handle = pool.share([np.arange(3)])

    def is_the_one_before(shared):
        held = sys.__dict__.setdefault("held", [])
        held.append(shared)
        return all(value is shared for value in held)

    assert [pool.run(is_the_one_before, handle) for _ in range(3)] == [True] * 3


def test_process_pool_lets_go_of_a_freed_value(pool):
    handle, other = pool.share([np.arange(3)]), pool.share([np.arange(4)])

    def is_mapped():
        return [Path(path).name in Path("/proc/self/maps").read_text() for path in (handle.path, other.path)]

    if not Path("/proc/self/maps").exists():
        pytest.skip("this system does not tell which files are mapped")
    pool.run(len, handle)
    pool.run(len, other)
    assert pool.run(is_mapped) == [True, True]
    pool.free(handle)
    assert pool.run(is_mapped) == [False, True]
    assert not Path(handle.path).exists()


def test_process_pool_shares_through_temporary_files_where_memory_has_no_room(monkeypatch, tmp_path):
    monkeypatch.setattr(shared_files.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(shared_files, "ROOM_BYTES", 10**18)
    pool = ProcessPool(1)
    assert Path(pool.share(np.arange(3)).path).is_relative_to(tmp_path)
    pool.close()


def test_process_pool_shares_through_temporary_files_when_memory_is_full(monkeypatch, tmp_path):
    memory, disk = tmp_path / "memory", tmp_path / "disk"
    memory.mkdir()
    disk.mkdir()
    dump = joblib.dump

    def dump_in_little_memory(value, path):
        dump(value, path)
        if path.is_relative_to(memory):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shared_files, "_places", lambda: [memory, disk])
    monkeypatch.setattr(shared_files.joblib, "dump", dump_in_little_memory)
    pool = ProcessPool(1)
    path = Path(pool.share(np.arange(3)).path)
    assert path.is_relative_to(disk)
    assert not list(memory.rglob("*.joblib"))
    assert joblib.load(path).tolist() == [0, 1, 2]
    pool.close()
    assert not [*memory.iterdir(), *disk.iterdir()]


def test_process_pool_tries_the_task_of_a_killed_worker_again(pool, tmp_path):
    assert pool.run(killing_once(tmp_path / "marker"), 7) == 7


@pytest.mark.parametrize(
    ("end", "how"),
    [
        (killing(), "killed by SIGKILL (out of memory?)"),
        (killing(signal.SIGTERM), "killed by SIGTERM"),
        (lambda: os._exit(3), "exit code 3"),
    ],
    ids=["killed", "terminated", "exited"],
)
def test_process_pool_reports_how_both_workers_of_a_task_ended(pool, end, how):
    with pytest.raises(WorkerLostError) as caught:
        pool.run(end)
    assert str(caught.value) == f"its worker process ended twice in the middle of it: {how}"
    assert pool.run(lambda: 3) == 3


def test_process_pool_loses_no_other_task_with_a_worker(pool, tmp_path):
    kill, runs = killing(), tmp_path / "runs"
    runs.mkdir()

    def count(number):
        (runs / f"{number} {os.getpid()} {time.monotonic_ns()}").touch()
        time.sleep(0.2)
        return number

    def run(number):
        try:
            return pool.run(kill) if number == 3 else pool.run(count, number)
        except WorkerLostError:
            return "lost"

    with ThreadPoolExecutor(2) as callers:
        assert list(callers.map(run, range(8))) == [0, 1, 2, "lost", 4, 5, 6, 7]
    # None of the others was even begun a second time.
    assert sorted(path.name[0] for path in runs.iterdir()) == list("0124567")


@pytest.mark.parametrize("exported", [None, "64"], ids=["unset", "exported"])
def test_process_pool_gives_its_workers_a_fair_share_of_the_cores(monkeypatch, exported):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if exported:
        monkeypatch.setenv("OMP_NUM_THREADS", exported)
    pool = ProcessPool(2)
    assert pool.run(lambda: os.environ["OMP_NUM_THREADS"]) == str(max(1, cores() // 2))
    pool.close()


def test_process_pool_ends_in_the_middle_of_tasks_within_a_second(tmp_path):
    pool = ProcessPool(2)
    sleep, folder = sleeping(tmp_path, 60), Path(pool.share(np.arange(3)).path).parent
    with ThreadPoolExecutor(2) as callers:
        call = [callers.submit(pool.run, sleep) for _ in range(2)]
        pids = pids_in(tmp_path, 2)
        started = time.monotonic()
        pool.close(wait=False)
        assert time.monotonic() - started < 1
        assert are_gone(pids, within=0)
        assert not folder.exists()
        assert [type(future.exception()) for future in call] == [CancelledError] * 2


def test_process_pool_waits_for_the_tasks_that_have_begun(tmp_path):
    pool = ProcessPool(1)

    def work():
        (tmp_path / str(os.getpid())).touch()
        time.sleep(0.5)
        return "done"

    with ThreadPoolExecutor(1) as callers:
        call = callers.submit(pool.run, work)
        pids = pids_in(tmp_path, 1)
        pool.close()
        assert call.result() == "done"
    assert are_gone(pids, within=0)


@pytest.fixture
def interrupts():
    """Let SIGINT interrupt this process, also where the tests run in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_process_pool_serves_after_an_interrupt(pool):
    pool.run(os.getpid)
    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        pool.run(time.sleep, 60)
    started = time.monotonic()
    pool.run(os.getpid)
    assert time.monotonic() - started < 30


def test_process_pool_keeps_ctrl_c_from_its_workers_alone(pool):
    assert signal.SIGINT in pool.run(signal.pthread_sigmask, signal.SIG_BLOCK, [])
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


SCRIPT = """
import os, sys, threading, time
from pathlib import Path
from loky.backend.queues import Queue
from mlwf.engine.process_pools import ProcessPool

feed = Queue._feed

def feed_and_linger(*args):
    feed(*args)
    time.sleep(0.1)

Queue._feed = staticmethod(feed_and_linger)

folder = Path(sys.argv[1])
pool = ProcessPool(2)
handle = pool.share([1, 2])
(folder.parent / "shared").write_text(str(handle.path))

def work(shared, folder):
    (folder / str(os.getpid())).touch()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        pass

def call_pool():
    try:
        pool.run(work, handle, folder)
    except BaseException:
        pass

for _ in range(2):
    threading.Thread(target=call_pool, daemon=True).start()
try:
    time.sleep(60)
except KeyboardInterrupt:
    pool.close(wait=False)
    os._exit(130)
"""


@pytest.fixture
def script(tmp_path):
    path, folder = tmp_path / "script.py", tmp_path / "pids"
    path.write_text(SCRIPT)
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, path, folder],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell without job control starts what runs in the background with Ctrl-C ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    yield process
    process.kill()
    process.communicate()


def test_process_pool_ends_quietly_with_ctrl_c(script, tmp_path):
    pids = pids_in(tmp_path / "pids", 2)
    os.killpg(script.pid, signal.SIGINT)
    assert script.wait(5) == 130
    assert script.stderr.read() == ""
    assert are_gone(pids, within=0.5)
    assert not Path((tmp_path / "shared").read_text()).parent.exists()


def test_process_pool_ends_soon_after_its_process_was_killed(script, tmp_path):
    pids = pids_in(tmp_path / "pids", 2)
    script.kill()
    assert are_gone(pids, within=10)
    assert not Path((tmp_path / "shared").read_text()).parent.exists()


@pytest.mark.slow
def test_process_pool_does_not_take_a_large_shared_value_for_a_leak(pool):
    handle = pool.share(np.ones(60_000_000))
    pids = {pool.run(os.getpid)}
    for _ in range(3):
        pids.add(pool.run(lambda shared: shared.sum() and os.getpid(), handle))
        time.sleep(1.2)
    assert len(pids) == 1


def test_pools_import_what_runs_them_only_when_it_runs():
    code = "import sys, mlwf.engine.process_pools, mlwf.engine.dask_pool\n"
    code += "print({'loky', 'distributed'} & {*sys.modules})"
    messages = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert messages.stdout == "set()\n"
