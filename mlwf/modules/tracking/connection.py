"""Call MLflow: without its log lines, with an end in seconds, with errors of our own, one process at a time."""

from __future__ import annotations

import logging
import os
import re
import socket
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from mlwf.errors import MlwfError, TrackingError, raise_if_bug
from mlwf.text import describe_error, redact

_DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # MLflow's own are 7 retries and 120 seconds: a dead server would hang a run for four minutes.
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}

_QUIET = ("mlflow", "alembic", "psycopg", "urllib3.connectionpool")

_LOGIN = "set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"


LOCK_SECONDS = 60
"""How long to wait for another process that holds the lock."""

_NUMBER = 0x6D6C7766
"""The lock's number in a PostgreSQL database: mlwf, in ASCII."""


@contextmanager
def mlflow_errors(tracking_uri: str, doing: str) -> Iterator[None]:
    """Turn what MLflow raises inside into a TrackingError, and keep its warnings and log lines from the user.

    `doing` names the step in the message. A bug of mlwf is raised as it is.
    """
    try:
        _prepare()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except MlwfError:
        raise
    except Exception as error:  # MLflow, SQLAlchemy, requests, clouds and the file system have no error in common
        raise_if_bug(error)
        reason = redact(reason_of(error), tracking_uri)
        message = f"{uri_text(tracking_uri)}: {doing} failed: {reason}"
        raise TrackingError(message, reason=reason) from _without_login(error, tracking_uri)


def reach(tracking_uri: str) -> None:
    """Raise a TrackingError within seconds when the address is a server's and MLflow does not answer there.

    MLflow's own client sends the request, with its certificates, proxies and logins; the bound is
    MLFLOW_HTTP_REQUEST_TIMEOUT, ten seconds unless it is set.
    """
    if is_server(tracking_uri):
        _reach_server(tracking_uri)
    elif tracking_uri.startswith("sqlite:"):
        return
    else:
        _reach_database(tracking_uri)


def is_server(tracking_uri: str) -> bool:
    """Whether a tracking URI is the address of a server."""
    return urlsplit(tracking_uri).scheme in {"http", "https"}


def uri_text(tracking_uri: str) -> str:
    """Write a tracking URI without the login that it may hold.

    >>> uri_text("http://me:secret@tracking.example:5000/mlflow")
    'http://***@tracking.example:5000/mlflow'
    """
    return redact(tracking_uri)


def reason_of(error: BaseException) -> str:
    """Give in one line why a call of MLflow failed: the cause beneath a failed request, and no web page."""
    from requests.exceptions import RequestException

    causes = list(_causes(error))
    if any(isinstance(cause, RequestException) for cause in causes):
        is_late = any(isinstance(cause, TimeoutError) for cause in causes)
        return f"no answer within {_seconds():g} seconds" if is_late else describe_error(causes[-1])
    if re.search(r"<!doctype html|<html|<head|<body", str(error), re.IGNORECASE):
        status = getattr(error, "get_http_status_code", lambda: 500)()
        return f"the server answered with {_page(str(error))}" + (f" (status {status})" if status != 500 else "")
    # SQLAlchemy adds the statement and its values.
    return describe_error(str(error).partition("\n[SQL: ")[0])


def _reach_server(tracking_uri: str) -> None:
    if not urlsplit(tracking_uri).hostname:
        raise _unreachable(tracking_uri, "no host given")
    _prepare()
    try:
        _load_plugins()
        response = _within(_seconds(), lambda: _request(tracking_uri))
    except Exception as error:  # certificates that are not there, say: requests raises OSError
        raise _unreachable(tracking_uri, reason_of(error)) from _without_login(error, tracking_uri)
    refusal = _refusal(response)
    if refusal:
        raise _unreachable(tracking_uri, refusal)


def _load_plugins() -> None:
    """Import the plugins that give MLflow's client its headers: that may take longer than the server's answer."""
    from mlflow.tracking.request_header.registry import resolve_request_headers

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        resolve_request_headers()


def _request(tracking_uri: str) -> Any:
    """Request an experiment, as every run does: a page beside MLflow's API may need another login."""
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return http_request(
            get_default_host_creds(tracking_uri),
            "/api/2.0/mlflow/experiments/search",
            "GET",
            params={"max_results": 1},
            max_retries=0,
            timeout=_seconds(),
            raise_on_status=False,
        )


def _refusal(response: Any) -> str:
    """Give why a response is not MLflow's; empty when it is."""
    status = f"{response.status_code} {response.reason or ''}".strip()
    moved = [step.headers.get("Location", "") for step in (*response.history, response) if step.is_redirect]
    if response.status_code in {401, 403}:
        return f"it answers {status}; {_LOGIN}"
    if response.status_code >= 400:
        return f"it answers {status}" + (", so MLflow is not there" if response.status_code == 404 else "")
    to = f"after a redirect to {_place(moved[-1])}" if moved else ""
    if not response.text.lstrip().startswith("{"):
        answer = _page(response.text) if response.text.lstrip().startswith("<") else "no answer of MLflow"
        how = ", ".join(filter(None, (f"status {status}", to)))
        return f"it answers with {answer} ({how}); if it is a login: {_LOGIN}"
    # What is posted to an address that redirects arrives nowhere.
    return f"it redirects to {_place(moved[-1])}; write that address" if moved else ""


def _page(text: str) -> str:
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    return "a web page" + (f", {describe_error(title[1])[:80]!r}" if title and title[1].strip() else "")


def _place(location: str) -> str:
    """Write where a redirect leads, without what it carries."""
    parts = urlsplit(location)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _within(seconds: float, call: Callable[[], Any]) -> Any:
    """Give the result of a call, or raise TimeoutError: the client's own bound starts anew with each byte."""
    given: list[Any] = []

    def run() -> None:
        try:
            given.extend((call(), None))
        except Exception as error:
            given.extend((None, error))

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds + 0.5)
    if not given:
        raise TimeoutError(f"no answer within {seconds:g} seconds")
    if given[1] is not None:
        raise given[1]
    return given[0]


def _seconds() -> float:
    from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_TIMEOUT

    return float(MLFLOW_HTTP_REQUEST_TIMEOUT.get())


def _reach_database(tracking_uri: str) -> None:
    """Connect to the port of a database server; MLflow would try for two minutes."""
    parts = urlsplit(tracking_uri)
    port = _DATABASE_PORTS.get(parts.scheme.partition("+")[0])
    if port is None or not parts.hostname:
        return
    _prepare()
    try:
        socket.create_connection((parts.hostname, parts.port or port), timeout=_seconds()).close()
    except OSError as error:
        raise _unreachable(tracking_uri, describe_error(error)) from _without_login(error, tracking_uri)


def _unreachable(tracking_uri: str, reason: str) -> TrackingError:
    reason = f"the tracking server cannot be reached: {redact(reason, tracking_uri)}"
    return TrackingError(f"{uri_text(tracking_uri)}: {reason}", reason=reason)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _without_login(error: BaseException, tracking_uri: str) -> BaseException | None:
    """Give an error that may stand in a traceback; None for one that quotes a login, itself or in its causes."""
    texts = [str(cause) for cause in _causes(error)]
    return error if [redact(text, tracking_uri) for text in texts] == texts else None


def _prepare() -> None:
    """Set the environment that MLflow reads at its import, unless the user has set it."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for name in _QUIET:
        if logging.getLogger(name).level < logging.ERROR:
            logging.getLogger(name).setLevel(logging.ERROR)


@contextmanager
def locked_database(tracking_uri: str) -> Iterator[None]:
    """Hold the lock that mlwf's processes share in a database: MLflow fails when two open or register at once.

    A database without such locks is used without one.
    """
    lock = _LOCKS.get(urlsplit(tracking_uri).scheme.partition("+")[0])
    if lock is None:
        yield
        return
    # Imported before the lock is taken, so that no process waits for it.
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    engine = create_engine(tracking_uri, poolclass=NullPool)
    # The lock is gone with the transaction or the connection, whatever becomes of this process.
    with engine.begin() as connection:
        if not lock(connection):
            raise TrackingError(
                f"{uri_text(tracking_uri)}: another process has held the lock of the tracking store for {LOCK_SECONDS} "
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
    query = text("SELECT GET_LOCK(CONCAT('mlwf ', MD5(DATABASE())), :seconds)")
    return bool(connection.execute(query, {"seconds": LOCK_SECONDS}).scalar())


_LOCK_NOT_AVAILABLE = "55P03"

_LOCKS = {"postgresql": _lock_postgresql, "mysql": _lock_mysql}
