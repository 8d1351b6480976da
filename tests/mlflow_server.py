"""A real `mlflow server`, for tests of what only a server does."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.request import urlopen


@contextmanager
def mlflow_server(folder: Path, store: str | None = None) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run `mlflow server` on a free port of this machine, in a group of processes of its own; give address and process.

    Its artifacts are in the folder `artifacts`, and its store in `server.db` unless `store` is the URI of another.
    """
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store or f"sqlite:///{folder}/server.db"),
        *("--artifacts-destination", str(folder / "artifacts"), "--host", "127.0.0.1", "--port", str(port)),
        *("--workers", "1"),
    ]
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, cwd=folder)
        try:
            _wait_for(f"http://127.0.0.1:{port}", process, folder / "server.log")
            yield f"http://127.0.0.1:{port}", process
        finally:
            stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Kill a server and its workers, unless it is gone already."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=30)


def _wait_for(uri: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 120
    while not _answers(uri):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < until, "the server did not start"
        time.sleep(0.2)


def _answers(uri: str) -> bool:
    try:
        with urlopen(f"{uri}/health", timeout=2):
            return True
    except OSError:
        return False
