"""Starts `mlwf` commands of a test as forks of a process that has imported the libraries already.

A recorded session is tens of commands, each of which would import pandas, scikit-learn and MLflow anew. The fork is a
process with the caller's arguments, folder, environment and file descriptors; it imports mlwf itself, and ends as a
command does. What it cannot stand for is started as always: a command in another environment.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from textwrap import dedent
from typing import Any

LIBRARIES = (
    "mlflow.sklearn", "numpy", "pandas", "pyarrow.parquet", "scipy.stats", "skops.io", "sklearn.calibration",
    "sklearn.compose", "sklearn.ensemble", "sklearn.linear_model", "sklearn.model_selection", "sklearn.neural_network",
    "sklearn.pipeline", "sklearn.preprocessing", "sqlalchemy.orm", "typer",
)  # fmt: skip
REAL = Path(sys.executable).with_name("mlwf")
UNIMPORTANT = ("HOME", "PWD", "OLDPWD", "SHLVL", "_", "PATH")
"""Variables that importing the libraries does not depend on."""

COMMAND = """\
    #!{python} -IS
    import json, os, signal, socket, sys

    environment = {{name: value for name, value in os.environ.items() if name not in {unimportant}}}
    if environment != {environment}:
        os.execv({real!r}, [{real!r}, *sys.argv[1:]])
    request = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    with socket.socket(socket.AF_UNIX) as link:
        link.connect({address!r})
        socket.send_fds(link, [len(request).to_bytes(8, "big")], [0, 1, 2])
        link.sendall(request)
        answers = link.makefile()
        pid = int(answers.readline())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: os.kill(pid, number))
        code = int(answers.readline())
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)
    """


@contextmanager
def warm_mlwf(environment: Mapping[str, str]) -> Iterator[Path]:
    """Give a folder for the front of `PATH`, whose `mlwf` starts at once in this environment."""
    with tempfile.TemporaryDirectory() as folder:
        address, command = str(Path(folder, "socket")), Path(folder, "bin", "mlwf")
        expected = {name: value for name, value in environment.items() if name not in UNIMPORTANT}
        text = dedent(COMMAND).format(
            python=sys.executable, unimportant=UNIMPORTANT, environment=expected, real=str(REAL), address=address
        )
        command.parent.mkdir()
        command.write_text(text, encoding="utf-8")
        command.chmod(0o755)
        server = subprocess.Popen([sys.executable, __file__, address], env=environment, stdin=subprocess.DEVNULL)
        try:
            while not Path(address).exists():
                assert server.poll() is None
                time.sleep(0.02)
            yield command.parent
        finally:
            server.kill()
            server.wait()


def serve(address: str) -> None:
    """Fork for each command that is asked for, until killed; returns in the fork."""
    for name in LIBRARIES:
        import_module(name)
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{address}.new")
    listener.listen(8)
    Path(f"{address}.new").rename(address)
    # Nobody waits for the keepers.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        link, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            keep(link)
            return
        link.close()


def keep(link: socket.socket) -> None:
    """Fork once more, tell the pid and the exit code to the one who asked; returns in the fork."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    header, descriptors, _, _ = socket.recv_fds(link, 8, 3)
    with link.makefile("rb") as request:
        arguments, folder, environment = json.loads(request.read(int.from_bytes(header, "big")))
    pid = os.fork()
    if pid == 0:
        link.close()
        become(arguments, folder, environment, descriptors)
        return
    for descriptor in descriptors:
        os.close(descriptor)
    link.sendall(f"{pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    link.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def become(arguments: list[str], folder: str, environment: dict[str, str], descriptors: list[int]) -> None:
    """Take the place of the one who asked."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    # As Python opens them when it starts.
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", 1 if os.isatty(1) else -1, "utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", 1, "utf-8", "backslashreplace", closefd=False)  # noqa: SIM115
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [str(REAL), *arguments]
    sys.path[0] = str(REAL.parent)


def main() -> Any:
    """Wait for commands, and be each of them in a fork."""
    serve(sys.argv[1])
    from mlwf.cli import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
