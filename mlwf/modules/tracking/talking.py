"""Talk to MLflow: quietly, with an end in seconds, and with errors of our own."""

from __future__ import annotations

import logging
import os
import socket
import ssl
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import Request, urlopen

from mlwf.addresses import redact
from mlwf.errors import MlwfError, TrackingError

REACH_SECONDS = 2.0
"""How long a server may take to say that it is there."""

_DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # MLflow's own are 7 retries and 120 seconds: a dead server would hang a run for four minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


@contextmanager
def talking(tracking_uri: str, doing: str) -> Iterator[None]:
    """Turn whatever goes wrong inside into a TrackingError, and keep MLflow's warnings and log lines to itself.

    A server is asked first whether it is still there: MLflow would go on trying for half a minute.
    """
    try:
        reach(tracking_uri)
        _prepare()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except MlwfError:
        raise
    except Exception as error:  # MLflow, SQLAlchemy, requests and the file system have no error in common
        reason = redact(str(error) or type(error).__name__, tracking_uri)
        # The traceback of an error that quotes a password would show it.
        cause = None if reason != str(error) else error
        raise TrackingError(f"{shown(tracking_uri)}: {doing} failed: {one_line(reason)}") from cause


def reach(tracking_uri: str) -> None:
    """Raise a TrackingError within seconds when the address is a server's and nobody answers there."""
    if not is_server(tracking_uri):
        _reach_database(tracking_uri)
        return
    try:
        request = Request(_without_login(tracking_uri).rstrip("/") + "/health", headers={"User-Agent": "mlwf"})
        with urlopen(request, timeout=REACH_SECONDS, context=_tls()) as response:
            response.read(1)
    except HTTPError as error:
        # Somebody is there; a server behind a login may answer 401, another path prefix 404. MLflow's calls will tell.
        if error.code in {502, 503, 504}:
            raise _unreachable(tracking_uri, f"it answers {error.code} {error.reason}") from error
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, TimeoutError):
            reason = f"no answer within {REACH_SECONDS:g} seconds"
        raise _unreachable(tracking_uri, one_line(reason)) from error


def is_server(tracking_uri: str) -> bool:
    """Tell whether a tracking URI is the address of a server."""
    return urlsplit(tracking_uri).scheme in {"http", "https"}


def shown(tracking_uri: str) -> str:
    """Write a tracking URI without the login that it may hold.

    >>> shown("http://me:secret@tracking.example:5000/mlflow")
    'http://***@tracking.example:5000/mlflow'
    """
    return redact(tracking_uri)


def one_line(error: object) -> str:
    """Say an error in one line of bearable length, without the logins of addresses."""
    text = " ".join(redact(str(error)).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:299] + "…"


def _reach_database(tracking_uri: str) -> None:
    """Knock at the door of a database server; MLflow would knock for two minutes."""
    parts = urlsplit(tracking_uri)
    port = _DATABASE_PORTS.get(parts.scheme.partition("+")[0])
    if port is None or not parts.hostname:
        return
    try:
        socket.create_connection((parts.hostname, parts.port or port), timeout=REACH_SECONDS).close()
    except OSError as error:
        raise _unreachable(tracking_uri, one_line(error)) from error


def _unreachable(tracking_uri: str, reason: str) -> TrackingError:
    return TrackingError(f"{shown(tracking_uri)}: the tracking server cannot be reached: {reason}")


def _without_login(tracking_uri: str) -> str:
    # urllib takes a login for a part of the host's name; whether it is right MLflow's own calls will tell.
    parts = urlsplit(tracking_uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _tls() -> ssl.SSLContext | None:
    """Trust servers as MLflow has been told to."""
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() not in {"true", "1"}:
        return None
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _prepare() -> None:
    """Set what MLflow reads at its import, unless the user has set it."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for name in ("mlflow", "alembic", "psycopg"):
        if logging.getLogger(name).level < logging.ERROR:
            logging.getLogger(name).setLevel(logging.ERROR)
