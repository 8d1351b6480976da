"""Write a new SQLite store as MLflow's migrations leave it, without running them."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

EMPTY_STORE = Path(__file__).with_suffix(".sql")
"""The schema and the rows of a new store; a test compares them with what the migrations make."""
REVISION = "dc11669786a5"
"""The last of the migrations that are in it."""


def write_empty_store(path: Path, artifacts: Path) -> bool:
    """Write a new store in milliseconds, where MLflow's sixty migrations take a second; False where it cannot be done.

    It can be done where the installed MLflow has no migration after those in `EMPTY_STORE`.
    """
    if not _is_last_migration(REVISION):
        return False
    now = int(time.time() * 1000)
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            connection.executescript(EMPTY_STORE.read_text(encoding="utf-8"))
            connection.execute(
                "UPDATE experiments SET artifact_location = ?, creation_time = ?, last_update_time = ?",
                (f"{artifacts.as_uri()}/0", now, now),
            )
            connection.commit()
    except (OSError, sqlite3.Error):  # MLflow says better what is wrong with the place
        path.unlink(missing_ok=True)
        return False
    return True


def _is_last_migration(revision: str) -> bool:
    """Look whether MLflow has a migration, and no other that names it as the one before."""
    mlflow = find_spec("mlflow")
    if mlflow is None or mlflow.origin is None:
        return False
    migrations = list(Path(mlflow.origin).parent.glob("store/db_migrations/versions/*.py"))
    others = [file for file in migrations if not file.name.startswith(f"{revision}_")]
    return len(others) < len(migrations) and not any(revision in file.read_text(encoding="utf-8") for file in others)
