"""What `validate` refuses is what MLflow's own checks and the columns of its databases refuse."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.dbmodels.models import SqlRegisteredModel, SqlRegisteredModelAlias
from mlflow.store.tracking.dbmodels.models import SqlExperiment, SqlRun
from mlflow.utils.validation import (
    _validate_experiment_name,
    _validate_model_alias_name,
    _validate_model_alias_name_reserved,
    _validate_model_name,
)

from mlwf.errors import ConfigError, Refusal
from mlwf.specs.loading import load_experiment
from mlwf.specs.tracking import LONGEST, refused_alias, refused_experiment, refused_model, refused_run

PARTS = [
    "",
    ".",
    "..",
    "a",
    "/",
    ":",
    "@",
    "$",
    "€",
    "_",
    "-",
    " ",
    "é",
    "v1",
    "V2",
    "latest",
    "Latest",
    "\t",
    "%2F",
    "'",
]
NAMES = sorted({"".join(parts) for parts in product(PARTS, repeat=3)})


def check_alias(name: str) -> None:
    _validate_model_alias_name(name)
    _validate_model_alias_name_reserved(name)


def refuses(check, name: str) -> bool:
    try:
        check(name)
    except MlflowException:
        return True
    return False


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(refused_model, _validate_model_name), (refused_experiment, _validate_experiment_name)],
    ids=["model", "experiment"],
)
def test_the_names_that_mlflow_refuses_are_refused_and_no_others(ours, theirs):
    names = [name for name in NAMES if name]  # an empty one has an error of its own
    assert [name for name in names if ours(name)] == [name for name in names if refuses(theirs, name)]


def test_the_aliases_that_mlflow_refuses_are_refused_and_no_others_in_plain_letters():
    names = [name for name in NAMES if name.isascii()]
    assert [name for name in names if refused_alias(name)] == [name for name in names if refuses(check_alias, name)]
    assert refused_alias("é") == Refusal("is no alias", "accepted: letters, digits, _ and -")


@pytest.mark.parametrize(
    ("kind", "ours", "theirs", "columns"),
    [
        ("experiment", refused_experiment, _validate_experiment_name, [SqlExperiment.name]),
        ("model", refused_model, _validate_model_name, [SqlRegisteredModel.name]),
        ("alias", refused_alias, check_alias, [SqlRegisteredModelAlias.alias]),
        ("run", refused_run, lambda name: None, [SqlRun.name]),
    ],
    ids=["experiment", "model", "alias", "run"],
)
def test_the_longest_name_is_the_longest_that_each_store_keeps(kind, ours, theirs, columns):
    longest = LONGEST[kind]
    assert longest <= min(column.type.length for column in columns)
    assert not refuses(theirs, "a" * longest)
    assert refuses(theirs, "a" * (longest + 1)) or longest == min(column.type.length for column in columns)
    assert ours("a" * longest) is None
    assert ours("a" * (longest + 1)) == Refusal(f"has {longest + 1} characters", f"accepted: at most {longest}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "tracking: {registered_model_name: a/b}",
            "4:35  tracking.registered_model_name: is 'a/b', which holds a / or a :; accepted: a name without them",
        ),
        (
            "tracking: {registered_model_name: a:b, alias: v2}",
            (
                "4:35  tracking.registered_model_name: is 'a:b', which holds a / or a :; "
                "accepted: a name without them\n"
                "4:47  tracking.alias: is 'v2', which MLflow keeps for itself; accepted: all but latest, v1, v2, ..."
            ),
        ),
        (
            "tracking: {registered_model_name: .}",
            (
                "4:35  tracking.registered_model_name: is '.', which MLflow takes for a path; "
                "accepted: a name other than . that does not begin with .."
            ),
        ),
        (
            "tracking: {registered_model_name: ' '}",
            "4:35  tracking.registered_model_name: is ' ', which is blank; accepted: a name",
        ),
        (
            f"tracking: {{registered_model_name: {'a' * 257}}}",
            (
                f"4:35  tracking.registered_model_name: is '{'a' * 35}...', which has 257 characters; "
                "accepted: at most 256"
            ),
        ),
        (
            f"tracking: {{registered_model_name: a, alias: {'a' * 256}}}",
            f"4:45  tracking.alias: is '{'a' * 35}...', which has 256 characters; accepted: at most 255",
        ),
        (
            'tracking: {experiment_name: "a\\0b"}',
            "4:29  tracking.experiment_name: is 'a\\x00b', which holds the character NUL; accepted: a name without it",
        ),
        (
            f"name: {'a' * 257}\ntracking: {{}}",
            f"4:7  name: is '{'a' * 35}...', which has 257 characters; accepted: at most 256",
        ),
        (
            f"model: {{model_name: {'a' * 251}}}\ntracking: {{}}",
            f"4:21  model.model_name: is '{'a' * 35}...', which has 251 characters; accepted: at most 250",
        ),
        (f"name: {'a' * 257}\nmodel: {{model_name: {'a' * 251}}}", None),
    ],
    ids=["slash", "colon and version", "dot", "blank", "model", "alias", "NUL", "name", "run", "not tracked"],
)
def test_a_name_that_a_store_would_refuse_is_told_where_it_stands(tmp_path, monkeypatch, text, problem):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.yaml").write_text(f"data:\n  path: d.csv\n  target: y\n{text}\n")
    if problem is None:
        load_experiment(Path("x.yaml"))
        return
    with pytest.raises(ConfigError) as caught:
        load_experiment(Path("x.yaml"))
    assert str(caught.value) == "\n".join(f"x.yaml:{line}" for line in problem.splitlines())
