"""YAML 1.2's scalars, and every way in which a text is not the YAML we take."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml

from mlwf.config import dotted, kind, parsing
from mlwf.config.strict_yaml import NotYaml, Origin, ReadLog, read_yaml


def at(line, column):
    return Origin(f"x.yaml:{line}:{column}", (0, line, column), Path())


def read(text):
    reading = ReadLog()
    try:
        value = read_yaml(text, at, reading)
    except NotYaml:
        value = None
    return value and value.plain(), [str(problem) for _, problem in reading.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("on", "on"),
        ("yes", "yes"),
        ("No", "No"),
        ("off", "off"),
        ("y", "y"),
        ("null", None),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-3", -3),
        ("+7", 7),
        ("010", 10),
        ("0o10", "0o10"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("1e-3", 0.001),
        ("1E5", 100000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-1.5e+2", -150.0),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("1e", "1e"),
        (".", "."),
        ("٣", "٣"),
        ("2024-01-31", "2024-01-31"),
        ("2024-01-31T10:00:00Z", "2024-01-31T10:00:00Z"),
        ("=", "="),
        ("'12'", "12"),
        ('"true"', "true"),
        ("!!str 12", "12"),
        ("!!int '12'", 12),
        ("!!float 1", 1.0),
        ("[a, [1, {b: c}]]", ["a", [1, {"b": "c"}]]),
        ("{0: x, true: y, 1.5: z, a: w}", {0: "x", True: "y", 1.5: "z", "a": "w"}),
        ('"<<"', "<<"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    read_value, problems = read(f"key: {text}")
    assert problems == []
    assert read_value == {"key": value}
    assert type(read_value["key"]) is type(value)


def test_nan_is_a_number():
    assert math.isnan(read("key: .nan")[0]["key"])


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("a: 1\nb:\n\tc: 1", ["x.yaml:3:1  a tab cannot indent YAML; indent with spaces"]),
        (
            "a: b: c",
            [
                (
                    "x.yaml:1:5  does not parse as YAML: mapping values are not allowed in this context; "
                    "a text that holds ': ' needs quotes, and keys of one map the same indent"
                )
            ],
        ),
        (
            "a: @home",
            [
                (
                    "x.yaml:1:4  does not parse as YAML: found character that cannot start any token; "
                    "a text that begins with @ needs quotes"
                )
            ],
        ),
        (
            "a: [1,\n  2\nb: 3\n",
            [
                (
                    "x.yaml:3:2  does not parse as YAML: did not find expected ',' or ']', "
                    "while parsing a flow sequence that begins on line 1"
                )
            ],
        ),
        (
            "a: {path: ${env:HOME}}",
            [
                (
                    "x.yaml:1:12  does not parse as YAML: did not find expected ',' or '}'; "
                    "inside { } and [ ] write it in quotes: '${env:NAME}'"
                )
            ],
        ),
        ("a: *base", ["x.yaml:1:4  the alias *base has no anchor"]),
        ("a: &x 1\nb: &x 2", ["x.yaml:2:4  the anchor &x occurs twice"]),
        (
            "a: 1\n---\nb: 2",
            ["x.yaml:2:1  a second YAML document begins; an experiment file is one document, without ---"],
        ),
        ("a: x\x00y", ["x.yaml:1:5  a control character ('\\x00') cannot stand in YAML"]),
        ("a: 'x", ["x.yaml:1:6  does not parse as YAML: found unexpected end of stream"]),
        ("a: 1\nb: 2\na: 3", ["x.yaml:3:1  a: duplicate key; it is first written at x.yaml:1:1"]),
        (
            "m:\n  1: x\n  0: y\n  1: z",
            ["x.yaml:4:3  m.1: duplicate key; it is first written at x.yaml:2:3"],
        ),
        (
            "base: &base {a: 1}\nm:\n  <<: *base",
            ["x.yaml:3:3  m: merge keys (<<) are not supported; use extends, or an alias"],
        ),
        ("? [a]\n: 1", ["x.yaml:1:3  a key is a list; a key is a word or a number"]),
        ("? {a: 1}\n: 1", ["x.yaml:1:3  a key is a map; a key is a word or a number"]),
        ("a: !secret x", ["x.yaml:1:4  a: the tag !secret is not supported"]),
        ("a: !!binary aGk=", ["x.yaml:1:4  a: the tag !!binary is not supported"]),
        ("a: !!set {x, y}", ["x.yaml:1:4  a: the tag !!set is not supported"]),
        ("a: !!int abc", ["x.yaml:1:4  a: the text does not fit the tag !!int"]),
        ("!!int abc: 1", ["x.yaml:1:1  the key abc does not fit !!int"]),
        ("a: &a [*a]", ["x.yaml:1:4  a: the alias stands inside its own anchor"]),
        (f"a: {'9' * 301}", ["x.yaml:1:4  a: the number has too many digits"]),
    ],
    ids=[
        "a tab",
        "a colon in a text",
        "an at sign",
        "an open bracket",
        "env in a flow map",
        "no anchor",
        "an anchor twice",
        "two documents",
        "a control character",
        "an open quote",
        "a duplicate key",
        "a duplicate number as key",
        "a merge key",
        "a list as key",
        "a map as key",
        "a tag of someone's",
        "a tag of YAML's",
        "a tag of a map",
        "a tag that does not fit",
        "a tag on a key that does not fit",
        "an alias of itself",
        "a long number",
    ],
)
def test_problems_of_the_text_are_told_whole(text, problems):
    assert read(text)[1] == problems


def test_every_problem_of_the_text_is_told():
    assert read("a: 1\na: 2\nb: !x 1\nc: ${env:MLWF_TEST_UNSET}")[1] == [
        "x.yaml:2:1  a: duplicate key; it is first written at x.yaml:1:1",
        "x.yaml:3:4  b: the tag !x is not supported",
        (
            "x.yaml:4:4  c: the environment variable MLWF_TEST_UNSET is not set; "
            "set it, or write ${env:MLWF_TEST_UNSET:default}"
        ),
    ]


def test_aliases_stand_for_whole_values():
    assert read("a: &x {b: [1, 2]}\nc: *x") == ({"a": {"b": [1, 2]}, "c": {"b": [1, 2]}}, [])


def test_aliases_are_bounded():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    _, problems = read("\n".join(lines))
    assert problems == ["x.yaml:1:13  a3: aliases stand for more than 10000 values"]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a: " + "[" * 200 + "]" * 200, "x.yaml:1:67"),
        ("a: " + "[" * 30_000, "x.yaml:1:67"),
        ("- " * 20_000 + "a", "x.yaml:1:129"),
    ],
    ids=["closed", "open", "dashes"],
)
def test_nesting_is_bounded(text, where):
    assert read(text) == (None, [f"{where}  is nested deeper than 64 levels"])


def test_nesting_by_aliases_is_bounded():
    lines = ["a0: &a0 [x]", *(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 100))]
    _, problems = read("\n".join(lines))
    assert problems == ["x.yaml:1:5  a63: aliases nest deeper than 64 levels"]


def test_pure_loader_reads_the_same(monkeypatch):
    class Pure(yaml.SafeLoader):
        yaml_implicit_resolvers = parsing.Loader.yaml_implicit_resolvers

    monkeypatch.setattr(parsing, "Loader", Pure)
    assert read("a: [1e-3, yes, 010, 2024-01-31]\nb: {x: ~}\na: 2") == (
        {"a": [0.001, "yes", 10, "2024-01-31"], "b": {"x": None}},
        ["x.yaml:3:1  a: duplicate key; it is first written at x.yaml:1:1"],
    )
    assert read("a: " + "[" * 3000) == (None, ["x.yaml:1:67  is nested deeper than 64 levels"])


@pytest.mark.parametrize(
    "text", ["", "\n\n", "# only a comment\n", "---\n"], ids=["nothing", "lines", "comment", "---"]
)
def test_an_empty_text_is_told_from_a_value(text):
    value, problems = read(text)
    assert not value
    assert problems == []


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (3, "a number"),
        (0.5, "a number"),
        ("x", "text"),
        ({}, "a map"),
        ([], "a list"),
    ],
    ids=str,
)
def test_kind_names_values_in_yaml_words(value, word):
    assert kind(value) == word


def test_dotted_writes_keys_as_yaml_does():
    assert dotted(("model", "class_weight", True)) == "model.class_weight.true"
