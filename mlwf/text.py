"""Names, values, messages and addresses as people read them, on one line and without logins; results as JSON."""

from __future__ import annotations

import json
import logging
import math
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

HIDDEN = "***"
"""Stands for what is not shown."""

SHORTEST_SECRET = 6
"""Characters from which on a password is replaced wherever it stands; shorter ones may be words like others."""

LONGEST_VALUE = 40
LONGEST_NAME = 60
LONGEST_PLACE = 160
"""Of a path with a line and a column behind it."""
LONGEST_MESSAGE = 640
LONGEST_FIRST_LINE = 2000
"""Of what a run keeps of a message; whoever shows it cuts it shorter."""

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

_LINE_BREAKS = {"Zl", "Zp"}
_CUT_ESCAPE = re.compile(r"\\(x[0-9a-f]?|u[0-9a-f]{0,3}|U[0-9a-f]{0,7})?$")


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


def redact_in(content: Any, redact: Callable[[str], str] = redact) -> Any:
    """Redact every text of nested maps and lists, by another function where there is one."""
    if isinstance(content, str):
        return redact(content)
    if isinstance(content, Mapping):
        return {key: redact_in(value, redact) for key, value in content.items()}
    if type(content) in {list, tuple}:
        return type(content)(redact_in(value, redact) for value in content)
    return content


def is_redacted(address: str) -> bool:
    """Tell whether an address is one that `redact` wrote, without the login that it takes."""
    return f"/{HIDDEN}@" in address or f"={HIDDEN}" in address


def printable(text: str) -> str:
    r"""Escape what is no character to be seen: controls, line breaks, bidirectional marks, lone surrogates.

    >>> printable("a\tb\x1b[31m\u202ec")
    'a\\tb\\x1b[31m\\u202ec'
    """
    if text.isprintable():
        return text
    return "".join(_escaped(character) if is_hidden(character) else character for character in text)


def one_line(text: object, longest: int = LONGEST_MESSAGE) -> str:
    r"""Write a text on one line, cut at its end.

    >>> one_line("no\nsuch\tfile", 8)
    'no\\nsuc…'
    """
    return cut(printable(redact(str(text))), longest)


def describe_error(error: object, longest: int = 300) -> str:
    r"""Say on one line what a library says in several.

    >>> describe_error(ValueError("no such\n   column")), describe_error(KeyError())
    ('no such column', 'KeyError')
    """
    # SQLAlchemy puts the statement behind what the database says, and MLflow takes over both.
    causes = (error, getattr(error, "__cause__", None), getattr(error, "__context__", None))
    cause = next(filter(None, (getattr(each, "orig", None) for each in causes)), error)
    return one_line(" ".join(str(cause).split()) or type(cause).__name__, longest)


def first_line(message: object) -> str:
    r"""Fold a message, such as an error, to its first line; a line that ends with a colon takes the next one along.

    >>> first_line(ValueError("the fit failed:\nno rows\nTraceback"))
    'the fit failed: no rows'
    """
    if isinstance(message, KeyboardInterrupt):
        return "interrupted"
    first, *others = str(message).strip().splitlines() or [type(message).__name__]
    line = f"{first.strip()} {others[0].strip()}" if first.rstrip().endswith(":") and others else first.strip()
    return cut(printable(line), LONGEST_FIRST_LINE)


def cut(text: str, longest: int) -> str:
    """Cut a text that is too long.

    >>> [cut(text, 6) for text in ("short", "longer than that")]
    ['short', 'longe…']
    """
    return text if len(text) <= longest else f"{_CUT_ESCAPE.sub('', text[: longest - 1])}…"


def cut_inside(text: str, longest: int) -> str:
    """Cut a text that is too long, and keep both its ends: paths begin and end tellingly.

    >>> cut_inside("/a/long/way/to/data.csv:3:1", 20)
    '/a/long/w…ta.csv:3:1'
    """
    half = longest // 2
    return text if len(text) <= longest else f"{text[: longest - half - 1]}…{text[-half:]}"


def format_name(name: object, longest: int = LONGEST_NAME) -> str:
    """Write the name of a column or a class: as it is, or quoted where its ends could not be seen; cut when long.

    >>> [format_name(name) for name in ("age", " age", "", 7)]
    ['age', "' age'", "''", '7']
    """
    text = str(name)
    if text and text == text.strip():
        return one_line(text, longest)
    return _quoted(text, longest)


def format_place(where: str) -> str:
    """Write a path, with a line and a column where it has them; cut inside when long."""
    return cut_inside(printable(redact(where)), LONGEST_PLACE)


def format_value(value: Any, longest: int = LONGEST_VALUE) -> str:
    """Write a value as YAML would: a text in quotes, cut when long.

    >>> format_value([None, True, 1.0, "a", float("inf")])
    "[null, true, 1.0, 'a', .inf]"
    >>> format_value("a" * 100)
    "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...'"
    """
    if isinstance(value, str):
        return _quoted(redact(value), longest)
    text = printable(redact(_written(value)))
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def is_hidden(character: str) -> bool:
    """Tell whether a character is none to be seen: of Unicode's category C, or a line break."""
    category = unicodedata.category(character)
    return category[0] == "C" or category in _LINE_BREAKS


def printable_in(content: Any) -> Any:
    """Make every text in nested maps and lists printable and cut it; keys that become alike stay apart."""
    if isinstance(content, str):
        return one_line(content)
    if isinstance(content, Mapping):
        readable: dict[Any, Any] = {}
        for key, value in content.items():
            shown = printable(key) if isinstance(key, str) else key
            readable[repr(key) if shown in readable else shown] = printable_in(value)
        return readable
    return [*map(printable_in, content)] if isinstance(content, list | tuple) else content


def free_name(name: str, taken: Collection[str]) -> str:
    """Give the name, with as many underscores behind it as make it one that is not taken.

    >>> free_name("time", ["time", "time_"])
    'time__'
    """
    while name in taken:
        name = f"{name}_"
    return name


def join_reasons(reasons: Mapping[str, str]) -> str:
    """Say why, name by name.

    >>> join_reasons({"calibrate": "too few rows", "tune": "no time"})
    'calibrate: too few rows; tune: no time'
    """
    return "; ".join(f"{name}: {reason}" for name, reason in reasons.items())


def pluralize(count: int | None, noun: str) -> str:
    """Say a count with its noun; nothing when it is unknown.

    >>> [pluralize(count, "row") for count in (1, 39073, None)]
    ['1 row', '39,073 rows', '']
    """
    return "" if count is None else f"{count:,} {noun}{'' if count == 1 else 's'}"


def format_share(part: float, whole: float = 1) -> str:
    """Write a share in percent; one that is neither nothing nor all is never shown as such.

    >>> [format_share(part, 2010) for part in (0, 10, 1, 1005, 2000, 2009.5, 2010)]
    ['0%', '0.5%', '<0.1%', '50%', '99.5%', '>99.9%', '100%']
    """
    ratio = part / whole
    if ratio in (0, 1) or 0.005 < ratio < 0.995:
        return f"{ratio:.0%}"
    if ratio < 0.5:
        return f"{ratio:.1%}" if ratio >= 0.0005 else "<0.1%"
    return f"{ratio:.1%}" if ratio < 0.9995 else ">99.9%"


def json_text(obj: Any, *, ascii_only: bool = False) -> str:
    """Turn a result into JSON text that every reader accepts: arrays become lists, NaN and infinities null.

    Invisible characters are escaped, and with `ascii_only` all others that are not ASCII.
    """
    text = json.dumps(_json_values(obj), allow_nan=False, ensure_ascii=ascii_only, indent=2)
    return "\n".join(line if line.isprintable() else _as_json(line) for line in text.split("\n")) + "\n"


def compact_json(obj: Any) -> str:
    """Turn plain values into JSON text without blanks, for files that only programs read."""
    return json.dumps(obj, allow_nan=False, ensure_ascii=True, separators=(",", ":")) + "\n"


class LineFormatter(logging.Formatter):
    """Writes a record of the log on one line, and its traceback below; `redact` takes secrets out of both."""

    def __init__(self, layout: str, redact: Callable[[str], str] | None = None) -> None:
        super().__init__(layout)
        self._redact = redact or str

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Write the line."""
        return printable(self._redact(super().formatMessage(record)))

    def formatException(self, ei: Any) -> str:
        """Write the traceback."""
        return "\n".join(map(printable, self._redact(super().formatException(ei)).split("\n")))


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


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _quoted(text: str, longest: int) -> str:
    quoted = repr(text[:longest])
    if len(quoted) <= longest and len(text) <= longest:
        return quoted
    return f"{_CUT_ESCAPE.sub('', quoted[: longest - 4])}...{quoted[0]}"


def _written(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_written(key)}: {_written(item)}' for key, item in value.items())}}}"
    if type(value).__name__ in {"bool", "bool_"}:  # numpy's, which is not imported here
        return str(value).lower()
    return repr(value) if isinstance(value, str) else str(value)


def _json_values(obj: Any) -> Any:
    if obj is None or isinstance(obj, str | bool | int):
        return obj
    if isinstance(obj, float):
        return obj if abs(obj) < float("inf") else None
    if isinstance(obj, Mapping):
        return {str(key): _json_values(value) for key, value in obj.items()}
    if isinstance(obj, list | tuple | set | frozenset):
        return [_json_values(value) for value in obj]
    if hasattr(obj, "tolist"):  # numpy's arrays and scalars, pandas' columns, without importing either
        return _json_values(obj.tolist())
    if type(obj).__name__ in {"NAType", "NaTType"}:
        return None
    return obj.isoformat() if hasattr(obj, "isoformat") else str(obj)


def _as_json(line: str) -> str:
    # json itself leaves C1 controls, bidirectional marks and lone surrogates as they are.
    return "".join(json.dumps(each)[1:-1] if is_hidden(each) else each for each in line)
