from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlwf import processes
from mlwf.processes import is_running, memory_bytes, this_process


def test_this_process_runs():
    assert is_running(this_process()) is True


DESCRIBE = "import json; from mlwf.processes import this_process; print(json.dumps(this_process()), flush=True)"
WAIT = f"{DESCRIBE}; input()"
"""Describe the process, then live on until a line comes."""


def has_namespaces() -> bool:
    command = ["unshare", "--pid", "--fork", "--mount-proc", "true"]
    return bool(shutil.which("unshare")) and subprocess.run(command, capture_output=True, check=False).returncode == 0


namespaces = pytest.mark.skipif(not has_namespaces(), reason="a PID namespace cannot be made here")


def test_a_process_that_is_gone_does_not_run():
    other = subprocess.run([sys.executable, "-c", DESCRIBE], capture_output=True, text=True, check=True)
    assert is_running(json.loads(other.stdout)) is False


def test_a_dead_process_that_nobody_has_waited_for_does_not_run():
    other = subprocess.Popen(["sleep", "60"])
    described = {**this_process(), "pid": other.pid, "start": processes._start(other.pid)}
    assert is_running(described) is True
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert is_running(described) is False
    other.wait()


def test_a_process_id_used_again_is_another_process():
    assert is_running({**this_process(), "start": "an earlier time"}) is False


def test_the_name_of_the_host_may_change_while_a_process_runs():
    assert is_running({**this_process(), "host": "elsewhere"}) is True


@pytest.mark.parametrize(
    "changed",
    [
        {"namespace": "another machine, or this one before it was started again"},
        {"namespace": None},
        {"start": None},
        {"pid": None},
        {"pid": "-1"},
        {"pid": "many"},
    ],
    ids=lambda changed: str(changed),
)
def test_is_running_is_none_for_what_is_not_known_here(changed):
    assert is_running({**this_process(), **changed}) is None
    assert is_running({}) is None


def test_is_running_is_none_for_a_hidden_process(monkeypatch):
    monkeypatch.setattr(processes, "_start", lambda pid: None)  # as /proc does with hidepid=2
    assert is_running({**this_process(), "start": "1"}) is None
    assert is_running({**this_process(), "pid": 2**22 + 1, "start": "1"}) is False


@pytest.fixture
def first_of_a_container():
    """Run a process with the id 1, in a PID namespace of its own and under the same name of the host."""
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", WAIT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.stdin.close()


@namespaces
def test_is_running_is_none_for_a_process_of_another_container(first_of_a_container):
    there = json.loads(first_of_a_container.stdout.readline())
    assert (there["pid"], there["host"]) == (1, this_process()["host"])
    assert is_running(there) is None
    code = f"from mlwf.processes import is_running; print(is_running({there!r}), is_running({this_process()!r}))"
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "None None\n"


@namespaces
def test_is_running_is_none_through_the_proc_of_another_namespace():
    code = "from mlwf.processes import is_running, this_process; print(is_running(this_process()))"
    command = ["unshare", "--pid", "--fork", sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "None\n"


@pytest.mark.skipif(not Path("/bin/ps").exists(), reason="this system has no ps")
def test_ps_gives_the_start_where_there_is_no_proc():
    started = processes._start_by_ps(os.getpid())
    assert started
    assert processes._start_by_ps(os.getpid()) == started
    assert processes._start_by_ps(2**22 + 1) is None


@pytest.mark.parametrize(
    ("groups", "limits", "expected"),
    [
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": "3000\n"}, 3000),
        ("0::/job\n", {"memory.max": "2000\n"}, 2000),
        ("4:cpu,memory:/a\n0::/\n", {"memory/a/memory.limit_in_bytes": "1000\n"}, 1000),
        ("4:memory:/host/name\n", {"memory/memory.limit_in_bytes": "4000\n"}, 4000),
        ("4:memory:/a\n", {"memory/a/memory.limit_in_bytes": str(2**63 - 4096)}, None),
        ("3:cpu:/a\n", {"a/memory.max": "1000\n"}, None),
        (None, {}, None),
    ],
    ids=["version 2", "a container", "version 1", "a container of version 1", "no limit", "of cores", "no groups"],
)
def test_memory_is_what_the_control_groups_allow(tmp_path, groups, limits, expected):
    if groups is not None:
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(groups)
    for name, limit in limits.items():
        file = tmp_path / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(limit)
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert memory_bytes(tmp_path) == (machine if expected is None else expected)
