"""What a column is read as fits what it is used as, and the signs of numbers differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlwf.specs.loading import load_experiment

DATA = "data: {path: d.csv, target: y, types: {TYPES}}\n"
LISTED = "features: [{type: numeric, columns: [n]}, {type: date, columns: [d]}, {type: categorical, columns: [c]}]\n"


def experiment(types, more=LISTED):
    return DATA.replace("{TYPES}", types) + more


def load(text):
    Path("x.yaml").write_text(text)
    return load_experiment(Path("x.yaml"))


@pytest.mark.parametrize(
    ("types", "problem"),
    [
        ("{n: text}", "data.types.n: is text, and the column is a feature of type numeric; accepted: number"),
        ("{d: number}", "data.types.d: is number, and the column is a feature of type date; accepted: date"),
        ("{y: date}", "data.types.y: is date, and the column is data.target; accepted: text, boolean, number"),
        (
            '{n: {date: "%Y"}}',
            "data.types.n: is date, and the column is a feature of type numeric; accepted: number",
        ),
    ],
    ids=["a number", "a date", "the target", "a format"],
)
def test_a_type_that_contradicts_the_use_of_its_column_is_refused(told, types, problem):
    (line,) = told(experiment(types))
    assert line.partition("  ")[2] == problem


@pytest.mark.parametrize(
    "types",
    ["{n: number}", '{d: {date: "%d/%m/%Y"}}', "{c: text}", "{c: boolean}", "{y: text}", "{other: date}"],
)
def test_a_type_that_fits_is_taken(types):
    load(experiment(types))


@pytest.mark.parametrize(
    ("types", "problem"),
    [
        ("{c: texts}", "data.types.c: expected text, number, boolean, date or a map, got 'texts'"),
        ("{c: {date: abc}}", "data.types.c.date: date is 'abc', which has no code; accepted: codes such as %d/%m/%Y"),
        ("{c: [text]}", "data.types.c: expected text, number, boolean, date or a map, got a list"),
    ],
    ids=["a word", "no code", "a list"],
)
def test_a_type_that_is_none_is_located(told, types, problem):
    (line,) = told(experiment(types))
    assert line.partition("  ")[2] == problem


def test_a_key_of_a_type_that_is_unknown_says_what_is_accepted(told):
    lines = [line.partition("  ")[2] for line in told(experiment('{c: {dat: "%Y"}}'))]
    assert "data.types.c.dat: unknown key; did you mean date?" in lines


@pytest.mark.parametrize(
    ("read", "problem"),
    [
        ("thousands: ., decimal: .", "data.read.thousands: is '.', as decimal is; accepted: another sign"),
        (
            "sep: ¦",
            'data.read.sep: sep is \'¦\'; accepted: one ASCII character, such as ";", "|" or "\\t", and no quote',
        ),
    ],
    ids=["thousands", "a separator of several bytes"],
)
def test_signs_that_cannot_be_told_apart_are_refused(told, read, problem):
    (line,) = told(f"data: {{path: d.csv, target: y, read: {{{read}}}}}\n")
    assert line.partition("  ")[2] == problem


def test_thousands_and_separator_may_be_one_sign_where_numbers_stand_in_quotes():
    load('data: {path: d.csv, target: y, read: {sep: ",", thousands: ","}}\n')
