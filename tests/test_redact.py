"""No login of an address is shown, whatever the scheme and wherever it stands; nothing else is changed."""

from __future__ import annotations

import pytest

from mlwf.text import is_redacted, redact, redact_in

LOGINS = {
    "https://me:s3cret@host:5000/mlflow": "https://***@host:5000/mlflow",
    "http://me:s3cret@host": "http://***@host",
    "HTTPS://me:s3cret@host": "HTTPS://***@host",
    "https://gh_s3cret@host/repo": "https://***@host/repo",
    "https://me:@host": "https://***@host",
    "https://:s3cret@host": "https://***@host",
    "https://me:p@s3cret@host/": "https://***@host/",
    "https://me:s3%40cret@[::1]:5000/a": "https://***@[::1]:5000/a",
    "postgresql://me:s3cret@host:5432/db": "postgresql://***@host:5432/db",
    "postgresql+psycopg://me:s3cret@/db?host=/tmp": "postgresql+psycopg://***@/db?host=/tmp",
    "postgresql://me:s3/cret?a#b@host/db": "postgresql://***@host/db",
    "mysql+pymysql://me:s3cret@host/db?charset=utf8": "mysql+pymysql://***@host/db?charset=utf8",
    "mssql+pyodbc://me:s3cret@dsn": "mssql+pyodbc://***@dsn",
    "mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BPWD%3Ds3cret": "mssql+pyodbc:///?odbc_connect=***",
    "s3://KEY:s3cret@bucket/folder": "s3://***@bucket/folder",
    "tcp://me:s3cret@scheduler:8786": "tcp://***@scheduler:8786",
    "https:/me:s3cret@host": "https:/***@host",
    "redis://:s3cret@host:6379/0": "redis://***@host:6379/0",
    "file://me:s3cret@host/folder": "file://***@host/folder",
    "postgresql://host/db?user=me&password=s3cret": "postgresql://host/db?user=me&password=***",
    "https://host/d.csv?token=s3cret&x=1": "https://host/d.csv?token=***&x=1",
    "https://host/d.csv?sv=2024&sig=s3cret": "https://host/d.csv?sv=2024&sig=***",
    "https://host/d.csv?X-Amz-Credential=s3cret&X-Amz-Signature=s3cret": (
        "https://host/d.csv?X-Amz-Credential=***&X-Amz-Signature=***"
    ),
    "https://host/d.csv#access_token=s3cret": "https://host/d.csv#access_token=***",
    "jdbc:postgresql://host/db?sslpassword=s3cret": "jdbc:postgresql://host/db?sslpassword=***",
}

PLAIN = [
    "sqlite:///mlflow.db",
    "sqlite:////home/me/a:b@c/mlflow.db",
    "http://host:5000/models@v1",
    "http://host:5000?x=me@example.org",
    "postgresql://mlflow@host/db",
    "abfss://container@account.dfs.core.windows.net/folder",
    "ssh://git@host/repo",
    "models:/census@champion",
    "sqlite:///a:b@c.db",
    "mail me@example.org: a ratio of 1:2@3",
    "https://host/d.csv?keyword=a&monkey=b",
    "C://host",
    "https://host and me:you@there",
]


@pytest.mark.parametrize(("address", "shown"), LOGINS.items(), ids=list(LOGINS))
def test_a_login_is_not_shown(address, shown):
    assert redact(address) == shown
    assert redact(f"is '{address}', which \"{address}\" is\n{address}; no.") == (
        f"is '{shown}', which \"{shown}\" is\n{shown}; no."
    )
    assert redact(shown) == shown
    assert is_redacted(shown)
    assert not is_redacted(address)


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_login_is_shown_as_it_is(text):
    assert redact(text) == text
    assert not is_redacted(text)


def test_what_a_library_quotes_of_an_address_is_not_shown_either():
    address = "mysql://me:s3%40cret@host/db?ssl_token=a%2Fb%2Fc%2Fd"
    text = redact("no host 's3@cret@host' for s3%40cret, a/b/c/d", address)
    assert text == "no host '***@host' for ***, ***"


def test_a_short_password_is_not_sought_in_other_words():
    assert redact("no database runs", "mysql://me:runs@host/db") == "no database runs"


def test_every_text_of_a_summary_is_redacted():
    address = "https://me:s3cret@host"
    content = {"a": [address, 1, None], "b": {"c": (address,)}}
    assert redact_in(content) == {"a": ["https://***@host", 1, None], "b": {"c": ("https://***@host",)}}
