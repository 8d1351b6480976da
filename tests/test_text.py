"""What is shown of names, values and messages: on one line, of bounded length, nothing that a terminal obeys."""

from __future__ import annotations

import json
import logging
import unicodedata

import pytest

from mlwf.errors import ConfigError, MlwfError, Problem, UsageError, nearest
from mlwf.text import (
    LineFormatter,
    cut,
    cut_inside,
    format_name,
    format_value,
    is_hidden,
    json_text,
    one_line,
    printable,
    printable_in,
)

HIDDEN = {
    "escape": "\x1b[31m",
    "c1": "\x9b31m",
    "nul": "\0",
    "newline": "\n",
    "tab": "\t",
    "return": "\r",
    "next line": "\x85",
    "line separator": "\u2028",
    "bidirectional": "\u202e",
    "isolate": "\u2066",
    "joiner": "\u200d",
    "byte order": "\ufeff",
    "surrogate": "\udc80",
    "private": "\ue000",
    "delete": "\x7f",
}


@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN)
@pytest.mark.parametrize(
    "show",
    [
        printable,
        one_line,
        format_name,
        format_value,
        lambda text: str(MlwfError(text)),
        lambda text: str(UsageError(text)),
        lambda text: str(ConfigError(text)),
        lambda text: str(Problem(text, text, text, text)),
        lambda text: nearest("zzz", [text]),
        lambda text: json_text({text: [text]}).replace("\n", ""),
        lambda text: str(printable_in({text: [text]})),
        lambda text: LineFormatter("%(message)s").format(logging.makeLogRecord({"msg": text})),
    ],
    ids=[
        "printable",
        "one_line",
        "name",
        "value",
        "error",
        "usage",
        "config",
        "problem",
        "nearest",
        "json",
        "tables",
        "log",
    ],
)
def test_hidden_characters_are_escaped(show, hidden):
    told = show(f"a{hidden}b")
    assert not [character for character in told if is_hidden(character)]
    assert "a\\" in told


def test_what_can_be_seen_stays():
    seen = "Größe 5 € – ½ 💥 東京 שלום\xa0é"
    assert printable(seen) == format_name(seen) == str(MlwfError(seen)) == seen


def test_every_character_of_category_c_is_hidden():
    wrong = [code for code in range(0x110000) if (unicodedata.category(chr(code))[0] == "C") > is_hidden(chr(code))]
    assert wrong == []


@pytest.mark.parametrize("length", [10, 39, 40, 41, 1_000, 100_000])
@pytest.mark.parametrize("filling", ["x", "\x1b", "\u202e", "'", "💥", "\U000e0001", " "], ids=ascii)
def test_values_and_names_have_a_bound(filling, length):
    assert len(format_value(filling * length)) <= 40
    assert len(format_value([filling * length] * 9)) <= 40
    assert len(format_name(filling * length)) <= 60
    assert len(one_line(filling * length)) <= 640
    assert len(str(Problem(*[filling * length] * 4))) <= 1300


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("age", "age"),
        (" age", "' age'"),
        ("age ", "'age '"),
        ("a b", "a b"),
        ("", "''"),
        (" ", "' '"),
        ("\xa0a", r"'\xa0a'"),
    ],
)
def test_names_with_blanks_at_their_ends_are_quoted(name, shown):
    assert format_name(name) == shown
    assert str(Problem("f", name, "no")) == (f"f  {shown}: no" if name else "f  no")


def test_a_cut_keeps_no_half_of_an_escape():
    assert cut(printable("ab\x1b[1m"), 6) == "ab…"
    assert format_value("x" * 34 + "\x1b" * 9) == f"'{'x' * 34}...'"


def test_both_ends_of_a_path_stay():
    assert cut_inside("../" * 100 + "data.csv:3:1", 30) == "../../../../..…../data.csv:3:1"


def test_keys_that_look_alike_stay_apart():
    assert printable_in({"a\n": 1, "a\\n": 2}) == {"a\\n": 1, "'a\\\\n'": 2}


def test_json_of_what_cannot_be_seen_reads_back():
    content = {"\x9b": "\u202e", "💥": "\U000e0001", "half": "\ud83d"}
    assert json.loads(json_text(content)) == content
    assert json.loads(json_text(content, ascii_only=True)) == content
    assert json_text(content, ascii_only=True).isascii()
