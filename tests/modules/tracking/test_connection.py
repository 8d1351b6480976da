"""Whether a server responds as MLflow does, to MLflow's own client and with its settings."""

from __future__ import annotations

import ssl
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from threading import Thread

import pytest
import requests

from mlwf.errors import TrackingError
from mlwf.modules.tracking.connection import mlflow_errors, reach, reason_of
from mlwf.modules.tracking.run_values import valid_key

LOGIN = "set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
IF_LOGIN = f"if it is a login: {LOGIN}"
JSON = ("application/json", b'{"experiments": []}')
SIGN_IN = ("text/html", b"<!doctype html>\n<html><head><title>Sign in</title></head><body>...</body></html>")


@contextmanager
def answering(answers, *, seconds=0.0, tls=None):
    """Serve on a free port: `answers` map the beginning of a path to status, kind and body, and more headers."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, dict(self.headers)))
            time.sleep(seconds)
            status, (kind, body), headers = next(
                answer for path, answer in answers.items() if self.path.startswith(path)
            )
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        (
            {"/": (200, SIGN_IN, {})},
            f"it answers with a web page, 'Sign in' (status 200 OK); {IF_LOGIN}",
        ),
        (
            {
                "/api": (302, ("text/html", b""), {"Location": "/login?next=%2Fapi&state=secret"}),
                "/login": (200, SIGN_IN, {}),
            },
            f"it answers with a web page, 'Sign in' (status 200 OK, after a redirect to /login); {IF_LOGIN}",
        ),
        (
            {"/": (200, ("text/plain", b"hello"), {})},
            f"it answers with no answer of MLflow (status 200 OK); {IF_LOGIN}",
        ),
        ({"/": (401, SIGN_IN, {})}, f"it answers 401 Unauthorized; {LOGIN}"),
        ({"/": (403, JSON, {})}, f"it answers 403 Forbidden; {LOGIN}"),
        ({"/": (404, SIGN_IN, {})}, "it answers 404 Not Found, so MLflow is not there"),
        ({"/": (503, SIGN_IN, {})}, "it answers 503 Service Unavailable"),
        (
            {"/api": (301, ("text/html", b""), {"Location": "/mlflow/api"}), "/mlflow": (200, JSON, {})},
            "it redirects to /mlflow/api; write that address",
        ),
    ],
    ids=["page", "login", "text", "401", "403", "404", "503", "moved"],
)
def test_reach_reports_in_a_sentence_what_answers_and_is_no_mlflow(answers, reason):
    with answering(answers) as (uri, _), pytest.raises(TrackingError) as caught:
        reach(uri)
    assert str(caught.value) == f"{uri}: the tracking server cannot be reached: {reason}"
    assert caught.value.reason == f"the tracking server cannot be reached: {reason}"


def test_reach_waits_for_a_server_that_answers_in_two_and_a_half_seconds():
    with answering({"/": (200, JSON, {})}, seconds=2.5) as (uri, _):
        reach(uri)


def test_reach_waits_no_longer_than_the_client_of_mlflow(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with answering({"/": (200, JSON, {})}, seconds=2) as (uri, _), pytest.raises(TrackingError) as caught:
        reach(uri)
    assert str(caught.value) == f"{uri}: the tracking server cannot be reached: no answer within 1 seconds"


@pytest.mark.parametrize(
    ("variables", "header"),
    [
        ({"MLFLOW_TRACKING_TOKEN": "t0ken"}, "Bearer t0ken"),
        ({"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "secret"}, "Basic bWU6c2VjcmV0"),
    ],
    ids=["token", "password"],
)
def test_reach_brings_the_login_of_mlflow(monkeypatch, variables, header):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with answering({"/": (200, JSON, {})}) as (uri, asked):
        reach(uri)
    assert [headers["Authorization"] for _, headers in asked] == [header]


def test_reach_goes_through_a_proxy(monkeypatch):
    with answering({"http://tracking.invalid/api": (200, JSON, {})}) as (uri, asked):
        monkeypatch.setenv("http_proxy", uri)
        reach("http://tracking.invalid")
    assert len(asked) == 1


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Make a certificate for 127.0.0.1 that nobody has signed, and its key, in one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


@pytest.fixture
def tls(certificate):
    """Give what a server with that certificate needs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_SERVER_CERT_PATH", "REQUESTS_CA_BUNDLE"])
def test_reach_trusts_the_certificates_that_mlflow_is_given(monkeypatch, certificate, tls, variable):
    monkeypatch.setenv(variable, str(certificate))
    with answering({"/": (200, JSON, {})}, tls=tls) as (uri, asked):
        reach(uri)
    assert len(asked) == 1


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_reach_trusts_any_certificate_where_mlflow_does(monkeypatch, tls):
    monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "true")
    with answering({"/": (200, JSON, {})}, tls=tls) as (uri, _):
        reach(uri)


def test_reach_trusts_no_other_certificate(tls):
    with answering({"/": (200, JSON, {})}, tls=tls) as (uri, _), pytest.raises(TrackingError) as caught:
        reach(uri)
    assert "CERTIFICATE_VERIFY_FAILED" in str(caught.value)


def test_reach_shows_the_certificate_of_the_client(monkeypatch, certificate, tls):
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_verify_locations(certificate)
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(certificate))
    monkeypatch.setenv("MLFLOW_TRACKING_CLIENT_CERT_PATH", str(certificate))
    with answering({"/": (200, JSON, {})}, tls=tls) as (uri, asked):
        reach(uri)
    assert len(asked) == 1


def test_the_reason_of_a_failed_call_is_no_web_page():
    from mlflow.exceptions import PERMISSION_DENIED, MlflowException

    page = f"API request failed with error code 403 != 200. Response body: '{SIGN_IN[1].decode()}'"
    error = MlflowException(page, error_code=PERMISSION_DENIED)
    assert reason_of(error) == "the server answered with a web page, 'Sign in' (status 403)"


def test_a_mistake_of_our_own_is_no_failure_of_the_store():
    with pytest.raises(TypeError), mlflow_errors("http://127.0.0.1:9", "logging metrics"):
        valid_key(None)


def test_a_mistake_of_a_library_is_reported_as_one_of_the_store():
    with pytest.raises(TrackingError, match="logging metrics failed: "), mlflow_errors("http://me", "logging metrics"):
        requests.Session().mount(None, None)
