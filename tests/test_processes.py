from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlwf import processes
from mlwf.processes import is_running, this_process


def test_this_process_runs():
    assert is_running(this_process()) is True


def test_a_process_that_is_gone_does_not_run():
    code = "import json; from mlwf.processes import this_process; print(json.dumps(this_process()))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
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


def test_another_host_cannot_be_asked():
    assert is_running({**this_process(), "host": "elsewhere"}) is None
    assert is_running({}) is None


@pytest.mark.skipif(not Path("/bin/ps").exists(), reason="this system has no ps")
def test_ps_tells_the_start_where_there_is_no_proc():
    started = processes._start_by_ps(os.getpid())
    assert started
    assert processes._start_by_ps(os.getpid()) == started
    assert processes._start_by_ps(2**22 + 1) is None
