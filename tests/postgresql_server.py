"""A real PostgreSQL server for the tests that need one."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


def binaries_of_postgresql() -> Path | None:
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((place for place in reversed(places) if (place / "initdb").exists()), None)


def has_user(name: str) -> bool:
    with suppress(KeyError):
        return bool(pwd.getpwnam(name))
    return False


@contextmanager
def postgresql_server() -> Iterator[str]:
    """Run a PostgreSQL server of its own, behind a socket in a folder of its own, with an empty database."""
    binaries = binaries_of_postgresql()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed")
    if os.geteuid() == 0 and not (has_user("postgres") and shutil.which("runuser")):
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    # The path of a socket has at most some hundred characters.
    folder = tempfile.mkdtemp(prefix="mlwf-", dir="/tmp")
    as_postgres = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if as_postgres:
        shutil.chown(folder, "postgres")

    def run(name: str, *arguments: str) -> None:
        subprocess.run([*as_postgres, str(binaries / name), *arguments], check=True, capture_output=True, cwd="/")

    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    try:
        run("initdb", "-D", f"{folder}/data", "-U", "mlwf", "-A", "trust", "-N")
        # Its server would keep our pipes open.
        run("pg_ctl", "-D", f"{folder}/data", "-o", options, "-w", "-l", f"{folder}/log", "start")
        yield f"postgresql+psycopg://mlwf@/postgres?host={folder}"
    finally:
        with suppress(subprocess.CalledProcessError):
            run("pg_ctl", "-D", f"{folder}/data", "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder, ignore_errors=True)
