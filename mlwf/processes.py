"""Processes of this host, told apart although their ids are used again."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def this_process() -> dict[str, Any]:
    """Describe this process, so that `is_running` can tell later whether it still runs."""
    return {"host": platform.node(), "pid": os.getpid(), "start": _start(os.getpid())}


def is_running(process: Mapping[str, Any]) -> bool | None:
    """Tell whether a process described by `this_process` still runs; None when another host would know."""
    if process.get("host") != platform.node():
        return None
    return process.get("start") is not None and _start(int(process["pid"])) == process["start"]


def _start(pid: int) -> str | None:
    """Say when a process started, in words of the system; None when there is none, or only its remains."""
    if not Path("/proc/self/stat").exists():
        return _start_by_ps(pid)
    try:
        # The name of the program stands in parentheses and may hold spaces: the fields begin after it.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    state, ticks_since_boot = fields[0], fields[19]
    return None if state in "ZX" else f"{boot} {ticks_since_boot}"


def _start_by_ps(pid: int) -> str | None:
    import subprocess

    # Locale and zone are fixed: the text must be the same whoever asks.
    asked = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)],
        env={"PATH": "/bin:/usr/bin", "LC_ALL": "C", "TZ": "UTC"},
        capture_output=True,
        text=True,
        check=False,
    )
    state, _, started = asked.stdout.strip().partition(" ")
    return None if not started or state.startswith("Z") else started.strip()
