"""Talk to MLflow: quietly, with an end in seconds, and with errors of our own."""

from __future__ import annotations

import logging
import os
import re
import socket
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from mlwf.errors import MlwfError, TrackingError
from mlwf.text import describe_error, redact

one_line = describe_error

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

_PACKAGE = Path(__file__).parents[2]

_BUGS = (AssertionError, AttributeError, IndexError, KeyError, NameError, TypeError)
"""What our own code raises when it is wrong."""


@contextmanager
def talking(tracking_uri: str, doing: str) -> Iterator[None]:
    """Turn whatever a store does wrong inside into a TrackingError, and keep MLflow's warnings and log lines to itself.

    A mistake of our own code stays what it is.
    """
    try:
        _prepare()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except MlwfError:
        raise
    except Exception as error:  # MLflow, SQLAlchemy, requests, clouds and the file system have no error in common
        if isinstance(error, _BUGS) and _raised_here(error):
            raise
        reason = redact(reason_of(error), tracking_uri)
        message = f"{shown(tracking_uri)}: {doing} failed: {reason}"
        raise TrackingError(message, reason=reason) from _told_whole(error, tracking_uri)


def reach(tracking_uri: str) -> None:
    """Raise a TrackingError within seconds when the address is a server's and MLflow does not answer there.

    The server is asked by MLflow's own client, with its certificates, proxies and logins; the bound is
    MLFLOW_HTTP_REQUEST_TIMEOUT, ten seconds unless it is set.
    """
    if is_server(tracking_uri):
        _reach_server(tracking_uri)
    elif tracking_uri.startswith("sqlite:"):
        return
    else:
        _reach_database(tracking_uri)


def is_server(tracking_uri: str) -> bool:
    """Tell whether a tracking URI is the address of a server."""
    return urlsplit(tracking_uri).scheme in {"http", "https"}


def shown(tracking_uri: str) -> str:
    """Write a tracking URI without the login that it may hold.

    >>> shown("http://me:secret@tracking.example:5000/mlflow")
    'http://***@tracking.example:5000/mlflow'
    """
    return redact(tracking_uri)


def reason_of(error: BaseException) -> str:
    """Say in one line why a call of MLflow failed: the cause beneath a failed request, and no web page."""
    from requests.exceptions import RequestException

    causes = list(_causes(error))
    if any(isinstance(cause, RequestException) for cause in causes):
        is_late = any(isinstance(cause, TimeoutError) for cause in causes)
        return f"no answer within {_seconds():g} seconds" if is_late else one_line(causes[-1])
    if re.search(r"<!doctype html|<html|<head|<body", str(error), re.IGNORECASE):
        status = getattr(error, "get_http_status_code", lambda: 500)()
        return f"the server answered with {_page(str(error))}" + (f" (status {status})" if status != 500 else "")
    # SQLAlchemy adds the statement and its values.
    return one_line(str(error).partition("\n[SQL: ")[0])


def _reach_server(tracking_uri: str) -> None:
    if not urlsplit(tracking_uri).hostname:
        raise _unreachable(tracking_uri, "no host given")
    _prepare()
    try:
        _load_plugins()
        response = _within(_seconds(), lambda: _ask(tracking_uri))
    except Exception as error:  # certificates that are not there, say: requests raises OSError
        raise _unreachable(tracking_uri, reason_of(error)) from _told_whole(error, tracking_uri)
    refusal = _refusal(response)
    if refusal:
        raise _unreachable(tracking_uri, refusal)


def _load_plugins() -> None:
    """Import what MLflow's client asks for headers: that may take longer than a server, and is not the server's."""
    from mlflow.tracking.request_header.registry import resolve_request_headers

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        resolve_request_headers()


def _ask(tracking_uri: str) -> Any:
    """Ask for an experiment, which every call of a run needs as well: a page beside MLflow's may need another login."""
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
    """Say how an answer is none of MLflow's; empty when it is one."""
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
    return "a web page" + (f", {one_line(title[1])[:80]!r}" if title and title[1].strip() else "")


def _place(location: str) -> str:
    """Write where a redirect leads, without what it carries."""
    parts = urlsplit(location)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _within(seconds: float, call: Callable[[], Any]) -> Any:
    """Give what a call gives, or raise TimeoutError: the client's own bound starts anew with each byte."""
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
    """Knock at the door of a database server; MLflow would knock for two minutes."""
    parts = urlsplit(tracking_uri)
    port = _DATABASE_PORTS.get(parts.scheme.partition("+")[0])
    if port is None or not parts.hostname:
        return
    _prepare()
    try:
        socket.create_connection((parts.hostname, parts.port or port), timeout=_seconds()).close()
    except OSError as error:
        raise _unreachable(tracking_uri, one_line(error)) from _told_whole(error, tracking_uri)


def _unreachable(tracking_uri: str, reason: str) -> TrackingError:
    reason = f"the tracking server cannot be reached: {redact(reason, tracking_uri)}"
    return TrackingError(f"{shown(tracking_uri)}: {reason}", reason=reason)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _told_whole(error: BaseException, tracking_uri: str) -> BaseException | None:
    """Give an error that may stand in a traceback; None for one that quotes a login, as one that it has caused may."""
    texts = [str(cause) for cause in _causes(error)]
    return error if [redact(text, tracking_uri) for text in texts] == texts else None


def _raised_here(error: BaseException) -> bool:
    """Tell whether an error was raised by a line of this package, or by what Python's own library made of one."""
    frames = error.__traceback__ and error.__traceback__.tb_next  # the first is that of `talking`
    files = []
    while frames is not None:
        files.append(Path(frames.tb_frame.f_code.co_filename))
        frames = frames.tb_next
    for file in reversed(files):
        if file.is_relative_to(_PACKAGE):
            return True
        if "site-packages" in file.parts:
            return False
    return False


def _prepare() -> None:
    """Set what MLflow reads at its import, unless the user has set it."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for name in _QUIET:
        if logging.getLogger(name).level < logging.ERROR:
            logging.getLogger(name).setLevel(logging.ERROR)
