"""Processes, told apart although their ids are used again, in every container anew."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PROC = Path("/proc/self/stat")


def this_process() -> dict[str, Any]:
    """Describe this process, so that `is_running` can tell later whether it still runs.

    `namespace` is where its `pid` counts: the machine since its last start, and on it the PID namespace. Containers
    share the machine, and may share the host's name, and each numbers its processes from 1.
    """
    pid = os.getpid()
    return {"host": platform.node(), "pid": pid, "start": _start(pid), "namespace": _namespace()}


def is_running(process: Mapping[str, Any]) -> bool | None:
    """Tell whether a process described by `this_process` still runs.

    None when that cannot be known here: it was of another machine or container, or of this machine before its last
    start, which is not to be told from another machine of the same name.
    """
    started, namespace = process.get("start"), process.get("namespace")
    pid = str(process.get("pid"))
    if not (started and namespace and pid.isdecimal()) or namespace != _namespace():
        return None
    found = _start(int(pid))
    # /proc may hide the processes of other users.
    return found == started if found is not None or _is_gone(int(pid)) else None


def _namespace() -> str | None:
    """Name where the ids of this process count; None when the system does not say."""
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
        # The name of the program stands in parentheses and may hold spaces: the fields begin after it.
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

    # Locale and zone are fixed: the text must be the same whoever asks.
    environment = {"PATH": "/bin:/usr/bin:/sbin:/usr/sbin", "LC_ALL": "C", "TZ": "UTC"}
    try:
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""
