"""Slices are read whatever their spaces and quotes, and written in one way."""

from __future__ import annotations

import random

import pytest

from mlwf.specs.slice_spec import OPERATORS, SliceSpec, parse_slice


@pytest.mark.parametrize(
    ("text", "column", "operator", "value", "written"),
    [
        ("sex", "sex", None, None, "sex"),
        ("  native-country.code 2 ", "native-country.code 2", None, None, "native-country.code 2"),
        ("sex=Female", "sex", "=", "Female", "sex = Female"),
        ("sex == Female", "sex", "=", "Female", "sex = Female"),
        ('sex = "Female"', "sex", "=", "Female", "sex = Female"),
        ("'sex' != 'Female'", "sex", "!=", "Female", "sex != Female"),
        ('country != "New Zealand"', "country", "!=", "New Zealand", "country != New Zealand"),
        ("hours per week >= 40", "hours per week", ">=", 40, "hours per week >= 40"),
        ("age>60", "age", ">", 60, "age > 60"),
        ("age > 60.0", "age", ">", 60.0, "age > 60"),
        ("age < -1e-3", "age", "<", -0.001, "age < -0.001"),
        ("age <= 010", "age", "<=", 10, "age <= 10"),
        ("flag = true", "flag", "=", True, "flag = true"),
        ("flag != False", "flag", "!=", False, "flag != false"),
        ("flag = 'true'", "flag", "=", "true", 'flag = "true"'),
        ("code = '007'", "code", "=", "007", 'code = "007"'),
        ("code = 'null'", "code", "=", "null", 'code = "null"'),
        ("code = yes", "code", "=", "yes", "code = yes"),
        ("code = ''", "code", "=", "", 'code = ""'),
        ("name = O'Brien", "name", "=", "O'Brien", "name = O'Brien"),
        ("name = '''t Hooft'", "name", "=", "'t Hooft", 'name = "\'t Hooft"'),
        (r'name = "say \"a\" \\ b"', "name", "=", 'say "a" \\ b', r'name = say "a" \ b'),
        ("date >= 2024-01-01", "date", ">=", "2024-01-01", "date >= 2024-01-01"),
        ("date < 2024-01-01T10:30:00", "date", "<", "2024-01-01T10:30:00", "date < 2024-01-01T10:30:00"),
        ("'a < b' = '>50K'", "a < b", "=", ">50K", '"a < b" = ">50K"'),
        ('"age > 60"', "age > 60", None, None, '"age > 60"'),
    ],
)
def test_parse_slice_reads_and_str_writes(text, column, operator, value, written):
    part = parse_slice(text)
    assert part == SliceSpec(column, operator, value)
    assert type(part.value) is type(value)
    assert str(part) == written
    assert str(parse_slice(written)) == written


FORMS = "accepted: a column, or COLUMN OPERATOR VALUE such as age > 60"
ORDERED = "accepted: a number, or a date such as 2024-01-31"
SIGNS = "accepted: =, !=, <, <=, >, >="
COMPARED = "accepted: a finite number, true, false or text, in quotes if need be"
QUOTES = "accepted: \"...\" or '...'"
BEHIND = "has text behind a closing quote; accepted: quotes around all of a column or value"
TWO = "has two operators; accepted: one, and quotes around a column or value that holds another"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f"is empty; {FORMS}"),
        ("  ", f"is empty; {FORMS}"),
        ("= 3", f"names no column; {FORMS}"),
        ("'' = 3", f"names no column; {FORMS}"),
        ("age >", f"has no value behind >; {FORMS}"),
        ("age == ", f"has no value behind ==; {FORMS}"),
        ("age => 60", f"has the unknown operator =>; {SIGNS}"),
        ("age ! 60", f"has the unknown operator !; {SIGNS}"),
        ("age <> 60", f"has the unknown operator <>; {SIGNS}"),
        ("income=>50K", f"has the unknown operator =>; {SIGNS}"),
        ("income = >50K", TWO),
        ("20 < age < 60", TWO),
        ('"age > 60', f"opens a quote and does not close it; {QUOTES}"),
        ("sex = 'Female", f"opens a quote and does not close it; {QUOTES}"),
        ('"a" b > 3', BEHIND),
        ("sex = 'a' b", BEHIND),
        ("age > old", f"has a value without order behind >; {ORDERED}"),
        ("age <= '60'", f"has a value without order behind <=; {ORDERED}"),
        ("flag > true", f"has a value without order behind >; {ORDERED}"),
        ("date > '20240131'", f"has a value without order behind >; {ORDERED}"),
        ("date > 2024-13-01", f"has a value without order behind >; {ORDERED}"),
        ("sex = null", f"compares with null; {COMPARED}"),
        ("age < .inf", f"compares with .inf; {COMPARED}"),
        (f"age < {'9' * 301}", "the number has too many digits"),
    ],
)
def test_parse_slice_refuses(text, message):
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        parse_slice(text)
    assert str(raised.value) == message


def test_what_is_written_is_read_as_the_same_slice():
    chance = random.Random(3)
    letters = "ab 0.1-'\"\\=<>!#é:"
    values = ["true", "null", 0, -7, 2**60, 0.1, 1e22, True, False]
    for _ in range(2000):
        column = "".join(chance.choices(letters, k=chance.randint(1, 5)))
        text = "".join(chance.choices(letters, k=chance.randint(0, 5)))
        value = chance.choice([text, *values])
        operator = chance.choice([None, *OPERATORS[:2]])
        part = SliceSpec(column, operator, None if operator is None else value)
        assert parse_slice(str(part)) == part
