"""Addresses of stores, files and schedulers, shown and stored without the logins that they may hold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

HIDDEN = "***"
"""Stands for what is not shown."""

SHORTEST_SECRET = 6
"""Characters from which on a password is replaced wherever it stands; shorter ones may be words like others."""

# Each part is bounded, lest the time to redact a long text grow with its square.
_LOGIN = re.compile(
    r"""
    (?P<scheme> (?<![a-z0-9+.-]) [a-z][a-z0-9+.-]{0,30} :/{1,2})       # a path that was an address has one / left
    (?P<login>
        [^\s/?\#"<>]{0,2000}                               # up to the last @ before the path
        |
        [^\s/?\#"<>@:]{0,500} : (?! \d{1,9} (?:[/?\#\s]|$)) [^\s"<>@]{0,2000}  # a / in a password; no port
    )@
    """,
    re.VERBOSE | re.IGNORECASE,
)

_PARAMETER = re.compile(
    r"""
    (?P<name> [?&;\#]
        (?: [^\s=&;?\#"']{0,50} (?:password|passwd|pwd|secret|token|credential|signature|api[-_]?key|access[-_]?key)
            [^\s=&;?\#"']{0,50}
            | key | sig | odbc_connect )
    =)
    (?P<secret> [^\s&;\#"'<>]+)
    """,
    re.VERBOSE | re.IGNORECASE,
)


def redact(text: str, *addresses: str) -> str:
    """Write a text without the logins and secret parameters of the addresses in it.

    What `addresses` hold in the way of secrets is replaced wherever the text quotes it: libraries may quote a part of
    an address, or decode it. A user's name alone is shown, but in the address of a web server, where it may be a token.

    >>> redact("https://me:secret@tracking.example:5000/mlflow: refused")
    'https://***@tracking.example:5000/mlflow: refused'
    >>> redact("postgresql://mlflow@db/runs?sslmode=require&password=secret")
    'postgresql://mlflow@db/runs?sslmode=require&password=***'
    """
    if "@" not in text and "=" not in text and not addresses:
        return text
    text = _PARAMETER.sub(rf"\g<name>{HIDDEN}", _LOGIN.sub(_without_login, text))
    for address in addresses:
        for secret in _secrets(address):
            text = text.replace(secret, HIDDEN)
    return text


def redact_in(content: Any) -> Any:
    """Redact every text of nested maps and lists."""
    if isinstance(content, str):
        return redact(content)
    if isinstance(content, Mapping):
        return {key: redact_in(value) for key, value in content.items()}
    if type(content) in {list, tuple}:
        return type(content)(map(redact_in, content))
    return content


def is_redacted(address: str) -> bool:
    """Tell whether an address is one that `redact` wrote, without the login that it takes."""
    return f"/{HIDDEN}@" in address or f"={HIDDEN}" in address


def _without_login(found: re.Match[str]) -> str:
    scheme, login = found["scheme"], found["login"]
    is_secret = ":" in login or scheme.lower().startswith("http")
    return f"{scheme}{HIDDEN}@" if is_secret and login else found[0]


def _secrets(address: str) -> Iterator[str]:
    """Find the passwords of an address, as they are written and as they are meant."""
    written = [found["login"].partition(":")[2] for found in _LOGIN.finditer(address)]
    written += [found["secret"] for found in _PARAMETER.finditer(address)]
    for secret in written:
        for text in {secret, unquote(secret)}:
            if len(text) >= SHORTEST_SECRET:
                yield text
