"""Let one process at a time open a database or register in it: MLflow fails when two do so at the same moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from mlwf.errors import TrackingError
from mlwf.modules.tracking.talking import shown

LOCK_SECONDS = 60
"""How long to wait for another process that holds the lock."""

_NUMBER = 0x6D6C7766
"""The lock's number in a PostgreSQL database: mlwf, in ASCII."""


@contextmanager
def locked_database(tracking_uri: str) -> Iterator[None]:
    """Hold the lock that mlwf's processes share in a database, where it is one that has such locks."""
    lock = _LOCKS.get(urlsplit(tracking_uri).scheme.partition("+")[0])
    if lock is None:
        yield
        return
    # Imported before the lock is taken, so that nobody waits for it.
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    engine = create_engine(tracking_uri, poolclass=NullPool)
    # The lock is gone with the transaction or the connection, whatever becomes of this process.
    with engine.begin() as connection:
        if not lock(connection):
            raise TrackingError(
                f"{shown(tracking_uri)}: another process has held the lock of the tracking store for {LOCK_SECONDS} "
                "seconds; try again when it has ended"
            )
        yield


def _lock_postgresql(connection: Any) -> bool:
    """Take the lock for a transaction, as poolers such as PgBouncer need it."""
    from sqlalchemy import text
    from sqlalchemy.exc import OperationalError

    connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
    try:
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _NUMBER})
    except OperationalError as error:
        # psycopg and psycopg2 name it differently.
        codes = {getattr(error.orig, name, None) for name in ("sqlstate", "pgcode")}
        if _LOCK_NOT_AVAILABLE in codes:
            return False
        raise
    return True


def _lock_mysql(connection: Any) -> bool:
    """Take the lock for a connection."""
    from sqlalchemy import text

    # Locks are the server's, and their names have at most 64 characters.
    asked = text("SELECT GET_LOCK(CONCAT('mlwf ', MD5(DATABASE())), :seconds)")
    return bool(connection.execute(asked, {"seconds": LOCK_SECONDS}).scalar())


_LOCK_NOT_AVAILABLE = "55P03"

_LOCKS = {"postgresql": _lock_postgresql, "mysql": _lock_mysql}
