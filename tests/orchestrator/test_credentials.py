"""The login of an address is in nothing that mlwf prints, logs or stores, while it is used all the same."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

import mlwf
from mlwf.cli.boundary import run
from mlwf.errors import MlwfError, TrackingError
from mlwf.modules.tracking.connection import mlflow_errors
from mlwf.specs.experiment import ClassifierModelSpec
from mlwf.specs.features import NumericFeatureSpec
from mlwf.specs.tracking import MLflowSpec
from tests.mlflow_server import mlflow_server

SECRET = "s3cret-pa55"
LOGIN = f"me:{SECRET}@"
ROWS = "age,plan,churned\n" + "".join(f"{20 + i}.5,{'ab'[i % 2]},{'no' if i % 3 else 'yes'}\n" for i in range(60))
DATA = "data: {path: d.csv, target: churned}\nmodel: {algorithm: gaussian_nb}\n"
CLOSED = "127.0.0.1:9"


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.csv").write_text(ROWS)
    return tmp_path


def holders(*folders: Path) -> list[str]:
    """Name the files that hold the secret."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return sorted(path.name for path in files if SECRET.encode() in path.read_bytes())


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        (f"{DATA}tracking: {{tracking_uri: 'https://{LOGIN}{CLOSED}/mlflow'}}", ["train", "x.yaml"]),
        (f"{DATA}tracking: {{tracking_uri: 'https://{SECRET}@{CLOSED}/mlflow'}}", ["train", "x.yaml", "--verbose"]),
        (f"{DATA}tracking: {{tracking_uri: 'postgresql://{LOGIN}{CLOSED}/db'}}", ["train", "x.yaml"]),
        (f"{DATA}tracking: {{tracking_uri: 'mysql+pymysql://{LOGIN}{CLOSED}/db'}}", ["train", "x.yaml"]),
        (f"{DATA}tracking: {{tracking_uri: 'http://{CLOSED}?token={SECRET}'}}", ["train", "x.yaml"]),
        (f"{DATA}tracking: {{tracking_uri: 'file://{LOGIN}host/folder'}}", ["train", "x.yaml"]),
        (f"{DATA}tracking: {{tracking_uri: 'ftp://{LOGIN}{'h' * 60}'}}", ["validate", "x.yaml"]),
        (f"{DATA}tracking: {{tracking_uri: 'ftp://{'u' * 30}:{SECRET}@host'}}", ["validate", "x.yaml"]),
        (f"{DATA}compute: {{backend: dask, address: 'tcp://{LOGIN}{CLOSED}'}}", ["train", "x.yaml"]),
        (f"{DATA}compute: {{backend: dask, address: 'tcp://{LOGIN}{CLOSED}/x'}}", ["validate", "x.yaml"]),
        (f"data: {{path: 'https://{LOGIN}{CLOSED}/d.csv', target: y}}", ["validate", "--data", "x.yaml"]),
        (f"data: {{path: 's3://{LOGIN}bucket/d.csv', target: y}}", ["train", "x.yaml"]),
        (f"extends: 'https://{LOGIN}{CLOSED}/base.yaml'", ["validate", "x.yaml"]),
        (
            f"{DATA}feature_store: {{repo_path: 'https://{LOGIN}{CLOSED}/repo', features: ['a:b']}}",
            ["train", "x.yaml"],
        ),
        (f"{DATA}tracking: {{}}", ["train", "x.yaml", "--set", f"tracking.tracking_uri=ftp://{LOGIN}host"]),
        (f"{DATA}tracking: {{}}", ["train", "x.yaml", "--set", f"tracking.tracking_url=https://{LOGIN}host"]),
        ("", ["summary", "nope", "--tracking-uri", f"https://{LOGIN}{CLOSED}"]),
        ("", ["summary", "nope", "--tracking-uri", f"file://{LOGIN}host/folder"]),
        ("", ["summary", "nope", "--tracking-uri", f"sqlite://{LOGIN}/absent.db"]),
        ("", ["summary", f"https://{LOGIN}host/run"]),
        ("", ["predict", "models:/a@b", "d.csv", "-o", "p.csv", "--tracking-uri", f"https://{LOGIN}{CLOSED}"]),
        ("", ["predict", f"models://{LOGIN}a", "d.csv", "-o", "p.csv", "--tracking-uri", "sqlite:///absent.db"]),
        ("", ["init", f"https://{LOGIN}host/d.csv", "--target", "y"]),
        ("", ["train", f"https://{LOGIN}host/x.yaml"]),
        ("", ["train", "x.yaml", f"https://{LOGIN}host"]),
    ],
    ids=lambda value: " ".join(value).replace(SECRET, "SECRET") if isinstance(value, list) else value[-60:-2],
)
def test_errors_do_not_show_a_login(here, capsys, text, arguments):
    Path("x.yaml").write_text(text or DATA)
    code = run(arguments)
    told = capsys.readouterr()
    assert code in {1, 2}, told.err
    assert SECRET not in told.out + told.err
    Path("x.yaml").unlink()
    assert holders(here) == []


def test_an_error_from_python_does_not_show_a_login(people):
    spec = MLflowSpec(tracking_uri=f"https://{LOGIN}{CLOSED}/mlflow")
    with pytest.raises(TrackingError) as caught:
        mlwf.run_ml_workflow(
            [NumericFeatureSpec(columns=["age"])],
            ClassifierModelSpec(algorithm="gaussian_nb"),
            people[["age"]],
            people["bought"],
            mlflow_spec=spec,
        )
    assert str(caught.value).startswith(f"https://***@{CLOSED}/mlflow: ")
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_what_a_library_quotes_is_not_in_the_traceback_either():
    address = f"oracle://me:{SECRET}@host/db"
    with pytest.raises(MlwfError) as caught, mlflow_errors(address, "opening"):
        raise ValueError(f"no such host: {SECRET}@host")
    assert str(caught.value) == "oracle://***@host/db: opening failed: no such host: ***@host"
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.fixture
def server(tmp_path_factory) -> Iterator[tuple[str, Path]]:
    """Run `mlflow server`, which takes any login; give its address and its folder."""
    folder = tmp_path_factory.mktemp("server")
    with mlflow_server(folder) as (uri, _):
        yield uri.removeprefix("http://"), folder


@pytest.mark.slow
def test_a_run_uses_a_login_and_keeps_it_to_itself(here, server, capsys):
    address, folder = server
    uri = f"http://{LOGIN}{address}"
    tracking = f"tracking: {{tracking_uri: '{uri}', registered_model_name: churn, alias: best}}\n"
    Path("x.yaml").write_text(f"{DATA}{tracking}")
    assert run(["train", "x.yaml", "--verbose"]) == 0
    for command in (
        ["summary", "latest"],
        ["summary", "latest", "--format", "json"],
        ["summary", "latest", "--format", "markdown"],
        ["runs", "--format", "json"],
        ["predict", "models:/churn@best", "d.csv", "-o", "p.csv", "--tracking-uri", uri],
    ):
        assert run(command) == 0, command
    told = capsys.readouterr()
    assert SECRET not in told.out + told.err
    assert f"http://***@{address}" in told.out
    Path("x.yaml").unlink()
    assert holders(here, folder) == []

    (config,) = here.glob("runs/2*/config.yaml")
    assert run(["validate", str(config)]) == 2
    assert capsys.readouterr().err.partition("  ")[2] == (
        f"tracking.tracking_uri: is 'http://***@{address}', whose login was left out when a run wrote this; "
        "write the login anew, or the address as ${env:NAME}, which a run writes as it is\n"
    )
    assert run(["predict", "latest", "d.csv", "-o", "p.csv"]) == 0
