"""Processes, distinguished although their ids are used again, in every container anew; and how many cores there are."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PROC = Path("/proc/self/stat")


def this_process() -> dict[str, Any]:
    """Describe this process, so that `is_running` can find out later whether it still runs.

    `namespace` is where its `pid` counts: the machine since its last start, and on it the PID namespace. Containers
    share the machine, and may share the host's name, and each numbers its processes from 1.
    """
    pid = os.getpid()
    return {"host": platform.node(), "pid": pid, "start": _start(pid), "namespace": _namespace()}


def is_running(process: Mapping[str, Any]) -> bool | None:
    """Tell whether a process described by `this_process` still runs.

    None when that cannot be known here: it was of another machine or container, or of this machine before its last
    start, which cannot be distinguished from another machine of the same name.
    """
    started, namespace = process.get("start"), process.get("namespace")
    pid = str(process.get("pid"))
    if not (started and namespace and pid.isdecimal()) or namespace != _namespace():
        return None
    found = _start(int(pid))
    # /proc may hide the processes of other users.
    return found == started if found is not None or _is_gone(int(pid)) else None


def _namespace() -> str | None:
    """Name where the ids of this process count; None when the system does not report it."""
    if not _PROC.exists():
        return _asked("sysctl", "-n", "kern.bootsessionuuid") or None
    try:
        # Seen through the /proc of another namespace, as `unshare --pid` leaves it, all ids are those of others.
        if Path("/proc/self").readlink().name != str(os.getpid()):
            return None
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return None


def _start(pid: int) -> str | None:
    """Say when a process started, in words of the system; nothing of its remains, None of one that is not seen."""
    if not _PROC.exists():
        return _start_by_ps(pid)
    try:
        # The name of the program stands in parentheses and may contain spaces: the fields begin after it.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    state, ticks_since_boot = fields[0], fields[19]
    return "" if state in "ZX" else ticks_since_boot


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


def _start_by_ps(pid: int) -> str | None:
    state, _, started = _asked("ps", "-o", "stat=,lstart=", "-p", str(pid)).partition(" ")
    return None if not started else "" if state.startswith("Z") else started.strip()


def _asked(*command: str) -> str:
    """Give what a command of the system prints; nothing where there is no such command."""
    import subprocess

    # Locale and zone are fixed: the text must be the same for every caller.
    environment = {"PATH": "/bin:/usr/bin:/sbin:/usr/sbin", "LC_ALL": "C", "TZ": "UTC"}
    try:
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def cores() -> int:
    """Count the cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def count_workers(n_jobs: int) -> int:
    """Turn scikit-learn's n_jobs into a number of workers: -1 is one for each core, -2 all but one.

    Raises ValueError for 0, which has no meaning.
    """
    if n_jobs == 0:
        raise ValueError("n_jobs is 0; accepted: -1 (one for each core), 1, 2, ...")
    return max(1, n_jobs if n_jobs > 0 else cores() + 1 + n_jobs)
