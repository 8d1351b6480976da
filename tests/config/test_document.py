"""Files, `extends`, `${env:...}` and `--set`: what they make together, and where each value is from."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlwf.config import Document
from mlwf.errors import ConfigError


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(name, text):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(path, overrides=()):
    """Read a file in which nothing may be wrong."""
    document = Document.read(path, overrides)
    assert document.problems == ()
    return document


def load(text, *overrides):
    return read(write("x.yaml", text), overrides)


def told(path, *overrides):
    try:
        problems = [problem for _, problem in Document.read(Path(path), overrides).problems]
    except ConfigError as error:
        problems = error.problems
    assert problems
    return [str(problem) for problem in problems]


def origin(document, path, *, key=False):
    _, problem = document.problem(path, "", key=key)
    return problem.where


TWO_FILES = {
    "configs/x.yaml": "extends: ../base.yaml\ndata:\n  target: y\nmodel: {hyperparameters: {max_depth: 3}}\n",
    "base.yaml": "data:\n  path: d.csv\n  drop: [a, b]\nmodel:\n  hyperparameters: {max_iter: 5}\n",
}


def write_two():
    for name, text in TWO_FILES.items():
        write(name, text)
    return Path("configs/x.yaml")


# Files


@pytest.mark.parametrize(
    ("name", "content", "problems"),
    [
        ("x.yaml", "", ["x.yaml  the file is empty"]),
        ("x.yaml", "# nothing yet\n", ["x.yaml  the file is empty"]),
        ("x.yaml", "- a\n- b\n", ["x.yaml:1:1  expected a map of sections, got a list"]),
        ("x.yaml", "\nsome words\n", ["x.yaml:2:1  expected a map of sections, got text"]),
        ("x.yaml", b"a: 1\nb: \xff\xfe\n", ["x.yaml  is not UTF-8 text (line 2); save it as UTF-8"]),
        ("x.yaml", "a: 1".encode("utf-16"), ["x.yaml  is not UTF-8 text (line 1); save it as UTF-8"]),
        ("chrun.yaml", None, ["chrun.yaml  does not exist; did you mean churn.yaml?"]),
        ("other.yaml", None, ["other.yaml  does not exist"]),
        ("conf/x.yaml", None, ["conf/x.yaml  does not exist; there is no folder conf"]),
        ("configs", None, ["configs  is a folder, not a file"]),
        ("a\0b", None, [r"a\x00b  cannot be read: embedded null byte"]),
        ("churn.yaml/x", None, ["churn.yaml/x  cannot be read: Not a directory"]),
    ],
    ids=[
        "empty",
        "a comment only",
        "a list",
        "text",
        "latin-1",
        "utf-16",
        "nearly a name",
        "no such file",
        "no such folder",
        "a folder",
        "a null byte",
        "a file as folder",
    ],
)
def test_unreadable_files_are_told_whole(name, content, problems):
    write("churn.yaml", "a: 1")
    Path("configs").mkdir()
    if content is not None:
        write(name, content)
    assert told(name) == problems


def test_a_file_may_begin_with_a_byte_order_mark():
    document = load(b"\xef\xbb\xbfa: 1\n")
    assert document.data == {"a": 1}
    assert origin(document, ("a",), key=True) == "x.yaml:1:1"


def test_windows_line_ends_are_line_ends():
    document = load("a: 1\r\nb: 2\r\n")
    assert document.data == {"a": 1, "b": 2}
    assert origin(document, ("b",)) == "x.yaml:2:4"


# Origins


@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        ((), "configs/x.yaml:1:1", "configs/x.yaml:1:1"),
        (("data",), "configs/x.yaml:3:3", "configs/x.yaml:2:1"),
        (("data", "target"), "configs/x.yaml:3:11", "configs/x.yaml:3:3"),
        (("data", "path"), "base.yaml:2:9", "base.yaml:2:3"),
        (("data", "drop", 1), "base.yaml:3:13", "base.yaml:3:13"),
        (("data", "missing"), "configs/x.yaml:2:1", "configs/x.yaml:2:1"),
        (("data", "drop", 7), "base.yaml:3:3", "base.yaml:3:3"),
        (("missing", "deeper"), "configs/x.yaml:1:1", "configs/x.yaml:1:1"),
        (("model", "hyperparameters", "max_depth"), "configs/x.yaml:4:38", "configs/x.yaml:4:27"),
        (("model", "hyperparameters", "max_iter"), "base.yaml:5:31", "base.yaml:5:21"),
        (("model", "algorithm"), "--set model.algorithm", "--set model.algorithm"),
    ],
    ids=lambda value: ".".join(map(str, value)) or "the file" if isinstance(value, tuple) else "",
)
def test_every_value_and_key_knows_where_it_is_written(path, value, key):
    document = read(write_two(), ["model.algorithm=svc"])
    assert origin(document, path) == value
    assert origin(document, path, key=True) == key


def test_origins_sort_the_file_first_then_what_it_extends_then_overrides():
    document = read(write_two(), ["b.c=1", "a=2"])
    paths = [("a",), ("b", "c"), ("data", "drop"), ("data", "path"), ("model",), ("data", "target")]
    assert sorted(paths, key=document.order) == list(reversed(paths))


def test_paths_are_relative_to_the_file_they_are_written_in():
    document = read(write_two(), ["data.test_path=t.csv"])
    folders = [document.folder(("data", key)) for key in ("path", "target", "test_path")]
    assert folders == [Path(), Path("configs"), Path("configs")]


def test_a_value_behind_an_alias_is_written_at_its_anchor():
    assert origin(load("a: &x 1\nb: *x\n"), ("b",)) == "x.yaml:1:4"


def test_a_key_with_nothing_behind_it_is_blank():
    document = load("a:\nb: null\nc: {}\n", "d=")
    assert [document.is_blank((key,)) for key in "abcde"] == [True, False, False, True, False]


# extends


@pytest.mark.parametrize(
    ("base", "over", "merged"),
    [
        ("{a: {b: 1, c: 2}}", "a: {c: 3, d: 4}", {"a": {"b": 1, "c": 3, "d": 4}}),
        ("{a: [1, 2]}", "a: [3]", {"a": [3]}),
        ("{a: {b: 1}}", "a: 2", {"a": 2}),
        ("{a: 2}", "a: {b: 1}", {"a": {"b": 1}}),
        ("{a: {b: 1}, c: 2}", "a: null", {"c": 2}),
        ("{a: {b: 1, c: 2}}", "a: {b: ~}", {"a": {"c": 2}}),
        ("{a: 1}", "b: null", {"a": 1, "b": None}),
        ("{a: 1}", "a:", {"a": None}),
        (
            "{t: {strategy: grid, param_grid: {}, cv_folds: 3}}",
            "t: {strategy: random, n_iter: 5}",
            {"t": {"strategy": "random", "n_iter": 5}},
        ),
        (
            "{t: {strategy: grid, cv_folds: 3}}",
            "t: {strategy: grid, n_jobs: 1}",
            {"t": {"strategy": "grid", "cv_folds": 3, "n_jobs": 1}},
        ),
        ("{t: {cv_folds: 3}}", "t: {strategy: grid}", {"t": {"cv_folds": 3, "strategy": "grid"}}),
        ("{f: {type: numeric, scaler: x}}", "f: {type: date}", {"f": {"type": "date"}}),
    ],
    ids=[
        "maps merge",
        "lists replace",
        "a scalar replaces a map",
        "a map replaces a scalar",
        "null deletes a section",
        "null deletes a key",
        "null stays where nothing is to delete",
        "nothing written deletes nothing",
        "another strategy replaces",
        "the same strategy merges",
        "a first strategy merges",
        "another type replaces",
    ],
)
def test_extends_merges(base, over, merged):
    write("base.yaml", base)
    assert load(f"extends: base.yaml\n{over}\n").data == merged


def test_extends_goes_on_from_file_to_file():
    write("a.yaml", "x: {a: 1, b: 1, c: 1}")
    write("sub/b.yaml", "extends: ../a.yaml\nx: {b: 2, c: 2}")
    assert load("extends: sub/b.yaml\nx: {c: 3}").data == {"x": {"a": 1, "b": 2, "c": 3}}


@pytest.mark.parametrize(
    ("files", "problems"),
    [
        (
            {"x.yaml": "extends: bse.yaml", "base.yaml": "a: 1"},
            ["x.yaml:1:10  extends: bse.yaml does not exist; did you mean base.yaml?"],
        ),
        (
            {"x.yaml": "extends: sub/b.yaml", "sub/b.yaml": "extends: ../x.yaml"},
            ["sub/b.yaml:1:10  extends: the file extends itself: x.yaml > sub/b.yaml > x.yaml"],
        ),
        ({"x.yaml": "extends: x.yaml"}, ["x.yaml:1:10  extends: the file extends itself: x.yaml > x.yaml"]),
        ({"x.yaml": "extends: [a.yaml]"}, ["x.yaml:1:10  extends: expected the name of one file, got a list"]),
        ({"x.yaml": "extends:\na: 1"}, ["x.yaml:1:9  extends: expected the name of one file, got null"]),
        ({"x.yaml": "extends: ''"}, ["x.yaml:1:10  extends: expected the name of one file, got text"]),
        (
            {"x.yaml": "extends: ${env:HOME}/base.yaml"},
            ["x.yaml:1:10  extends: a file name from the environment is not supported"],
        ),
        ({"x.yaml": "extends: base.yaml", "base.yaml": ""}, ["base.yaml  the file is empty"]),
        (
            {"x.yaml": "extends: base.yaml\na: 1\na: 2", "base.yaml": "a: [1"},
            [
                "x.yaml:3:1  a: duplicate key; it is first written at x.yaml:2:1",
                (
                    "base.yaml:2:1  does not parse as YAML: did not find expected ',' or ']', "
                    "while parsing a flow sequence that begins on line 1"
                ),
            ],
        ),
    ],
    ids=[
        "no such file",
        "a circle",
        "itself",
        "a list",
        "nothing",
        "an empty name",
        "the environment",
        "an empty file",
        "problems of both files",
    ],
)
def test_problems_of_extends_are_told_whole(files, problems):
    for name, text in files.items():
        write(name, text)
    assert told("x.yaml") == problems


# The environment


@pytest.fixture
def _secrets(monkeypatch):
    monkeypatch.setenv("PASSWORD", "hunter2")
    monkeypatch.setenv("PORT", "8080")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.delenv("UNSET", raising=False)


@pytest.mark.usefixtures("_secrets")
@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("${env:PASSWORD}", "hunter2"),
        ("http://me:${env:PASSWORD}@host:${env:PORT}/", "http://me:hunter2@host:8080/"),
        ("${env:PORT}", 8080),
        ("'${env:PORT}'", "8080"),
        ("!!int '${env:PORT}'", 8080),
        ("p${env:PORT}", "p8080"),
        ("${env:UNSET:5}", 5),
        ("${env:UNSET:true}", True),
        ("${env:UNSET:0.5}", 0.5),
        ("${env:UNSET:a b}", "a b"),
        ("${env:UNSET:http://a:1/b}", "http://a:1/b"),
        ("'${env:UNSET:}'", ""),
        ("${env:UNSET:null}", None),
        ("'${env:EMPTY:x}'", ""),
        ("${HOME} $env:X", "${HOME} $env:X"),
    ],
    ids=lambda value: str(value),
)
def test_the_environment_is_put_in(written, value):
    document = load(f"a: {written}\n")
    assert document.data == {"a": value}
    assert type(document.data["a"]) is type(value)


@pytest.mark.usefixtures("_secrets")
@pytest.mark.parametrize(
    ("written", "problem"),
    [
        (
            "${env:UNSET}",
            "the environment variable UNSET is not set; set it, or write ${env:UNSET:default}",
        ),
        ("${env:PASSWORD", "${env: is not closed or names no variable; write ${env:NAME} or ${env:NAME:default}"),
        ("${env:}", "${env: is not closed or names no variable; write ${env:NAME} or ${env:NAME:default}"),
        ("!!int '${env:PASSWORD}'", "the text does not fit the tag !!int"),
    ],
    ids=["not set", "not closed", "no name", "a value that does not fit its tag"],
)
def test_problems_of_the_environment_are_told_whole(written, problem):
    write("x.yaml", f"a: {written}\n")
    assert told("x.yaml") == [f"x.yaml:1:4  a: {problem}"]


@pytest.mark.usefixtures("_secrets")
def test_what_came_from_the_environment_is_known_by_its_name():
    document = load("a: {b: ['${env:PASSWORD}', x]}\nc: at ${env:UNSET:home}\n", "d=${env:PORT}")
    assert document.data == {"a": {"b": ["hunter2", "x"]}, "c": "at home", "d": 8080}
    assert document.secrets == {
        ("a", "b", 0): "${env:PASSWORD}",
        ("c",): "at ${env:UNSET:home}",
        ("d",): "${env:PORT}",
    }


@pytest.mark.usefixtures("_secrets")
def test_conceal_hides_what_was_read_from_the_environment():
    document = load("a: ${env:PASSWORD}\nb: ${env:PORT}\nc: '${env:EMPTY}'\n")
    assert document.redact("hunter2@host:8080 refused") == "${env:PASSWORD}@host:${env:PORT} refused"


def test_conceal_leaves_alone_what_no_file_read(monkeypatch):
    monkeypatch.setenv("OTHER", "elsewhere")
    assert load("a: 1").redact("elsewhere") == "elsewhere"


@pytest.mark.usefixtures("_secrets")
def test_a_value_that_could_not_be_read_is_unreadable():
    document = Document.read(write("x.yaml", "a: {b: '${env:UNSET}', c: !x 1}\n"))
    assert document.unreadable == {("a", "b"), ("a", "c")}
    assert document.data == {"a": {"b": None, "c": None}}


# --set


@pytest.mark.parametrize(
    ("override", "data"),
    [
        ("a.b=2", {"a": {"b": 2, "c": [{"d": 1}, 5]}}),
        ("a.b=[x, {y: 1e-3}]", {"a": {"b": ["x", {"y": 0.001}], "c": [{"d": 1}, 5]}}),
        ("a.b=yes", {"a": {"b": "yes", "c": [{"d": 1}, 5]}}),
        ("a.b=k=v", {"a": {"b": "k=v", "c": [{"d": 1}, 5]}}),
        ("a.b=null", {"a": {"b": None, "c": [{"d": 1}, 5]}}),
        ("a.b=", {"a": {"b": None, "c": [{"d": 1}, 5]}}),
        ("a.c.0.d=mean", {"a": {"b": 1, "c": [{"d": "mean"}, 5]}}),
        ("a.c.1=6", {"a": {"b": 1, "c": [{"d": 1}, 6]}}),
        ("a=3", {"a": 3}),
        ("x.y.z=3", {"a": {"b": 1, "c": [{"d": 1}, 5]}, "x": {"y": {"z": 3}}}),
        ("w.0=3", {"a": {"b": 1, "c": [{"d": 1}, 5]}, "w": {0: 3}}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_set_puts_a_value_in(override, data):
    assert load("a: {b: 1, c: [{d: 1}, 5]}\n", override).data == data


def test_set_fills_a_section_that_is_blank_or_null():
    assert load("a:\nb: null\n", "a.x=1", "b.y=2").data == {"a": {"x": 1}, "b": {"y": 2}}


def test_set_finds_a_key_that_is_no_text():
    assert load("a: {0: x, true: y}\n", "a.0=p", "a.true=q").data == {"a": {0: "p", True: "q"}}


def test_the_last_set_of_a_key_holds():
    assert load("a: 1\n", "a=2", "a=3").data == {"a": 3}


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("a.b", "--set a.b  has no value; write --set KEY=VALUE"),
        ("=5", "--set   has an empty key; write --set KEY=VALUE, such as model.algorithm=svc"),
        ("a..b=5", "--set a..b  has an empty key; write --set KEY=VALUE, such as model.algorithm=svc"),
        ("extends=b.yaml", "--set extends  what a file extends cannot be set"),
        ("s.t=5", "--set s.t  s: is text, not a map"),
        ("n.t=5", "--set n.t  n: is a number, not a map"),
        ("l.2=5", "--set l.2  l: has no item 2; accepted: 0 to 1"),
        ("one.1=5", "--set one.1  one: has no item 1; accepted: 0"),
        (
            "l.99999999999999999999.x=5",
            "--set l.99999999999999999999.x  l: has no item 99999999999999999999; accepted: 0 to 1",
        ),
        ("none.0=5", "--set none.0  none: has no item 0; the list is empty"),
        ("l.first=5", "--set l.first  l: is a list, and first is no number; items are counted from 0"),
        ("l.-1=5", "--set l.-1  l: is a list, and -1 is no number; items are counted from 0"),
        ("l.0.x=5", "--set l.0.x  l.0: is a number, not a map"),
        (
            "a.b=[1",
            (
                "--set a.b  a.b: does not parse as YAML: did not find expected ',' or ']', "
                "while parsing a flow sequence that begins on line 1"
            ),
        ),
        ("a.b={x: 1, x: 2}", "--set a.b  a.b.x: duplicate key; it is first written at --set a.b"),
        ("a.b=x\0", "--set a.b  a.b: a control character ('\\x00') cannot stand in YAML"),
    ],
    ids=[
        "no value",
        "no key",
        "an empty key inside",
        "extends",
        "below text",
        "below a number",
        "past the end",
        "past the end of one",
        "far past the end",
        "into an empty list",
        "a word as index",
        "a negative index",
        "below an item",
        "a value that is no YAML",
        "a value with a duplicate key",
        "a value with a control character",
    ],
)
def test_problems_of_set_are_told_whole(override, problem):
    write("x.yaml", "s: text\nn: 5\nl: [1, 2]\none: [1]\nnone: []\n")
    assert told("x.yaml", override) == [problem]


def test_every_problem_of_file_and_set_is_told_in_order():
    write("x.yaml", "a: 1\na: 2\nb: [1]\n")
    assert told("x.yaml", "b.3=1", "c") == [
        "x.yaml:2:1  a: duplicate key; it is first written at x.yaml:1:1",
        "--set b.3  b: has no item 3; accepted: 0",
        "--set c  has no value; write --set KEY=VALUE",
    ]
