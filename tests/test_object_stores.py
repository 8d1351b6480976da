"""Tables lie on a real S3 server of this machine; what a store refuses is said in one sentence, before any work."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pandas as pd
import pytest

from mlwf import object_stores
from mlwf.cli.boundary import run
from mlwf.errors import DataError, DataUnreachableError
from mlwf.modules.table_files import check_table_path, read_raw

s3fs = pytest.importorskip("s3fs")
moto_server = pytest.importorskip("moto.server")

EXPERIMENT = """\
data: {path: s3://tables/rows/*.csv, target: churned}
model: {algorithm: decision_tree}
validation: {strategy: none}
"""


@pytest.fixture(scope="module")
def endpoint():
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def settings(endpoint, monkeypatch):
    """Point clients at the server; they keep the settings that they were made with."""
    settings = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    yield monkeypatch
    s3fs.S3FileSystem.clear_instance_cache()
    object_stores.remove_copies()


@pytest.fixture
def store(settings):
    """Give the server's files, with a table in a bucket of it."""
    files = s3fs.S3FileSystem(use_listings_cache=False)
    if not files.exists("tables"):
        files.mkdir("tables")
        rows = pd.DataFrame({"age": [31, 42, 53, 35] * 15, "churned": ["no", "yes", "yes"] * 20})
        files.pipe_file("tables/rows/a.csv", rows[:30].to_csv(index=False).encode())
        files.pipe_file("tables/rows/b.csv", rows[30:].to_csv(index=False).encode())
        files.pipe_file("tables/rows/old/c.csv", b"another,table\n1,2\n")
        files.pipe_file("tables/by_plan/plan=gold/a.parquet", rows[:40].to_parquet())
        files.pipe_file("tables/by_plan/plan=basic/a.parquet", rows[40:].to_parquet())
        files.pipe_file("tables/by_plan/_SUCCESS", b"")
        files.pipe_file("tables/ragged/a.csv", b"age,churned\n1\n")
    return files


@pytest.mark.parametrize(
    ("path", "rows", "names"),
    [
        ("s3://tables/rows/a.csv", 30, ["age", "churned"]),
        ("s3://tables/rows", 60, ["age", "churned"]),
        ("s3://tables/rows/*.csv", 60, ["age", "churned"]),
        ("s3://tables/by_plan/", 60, ["age", "churned", "plan"]),
        ("s3://tables/by_plan/*/a.parquet", 60, ["age", "churned", "plan"]),
    ],
)
def test_tables_on_a_store_are_read_as_those_on_a_disk(store, path, rows, names):
    table = read_raw(path)
    assert (len(table), list(table.names)) == (rows, names)


def test_what_is_copied_goes_with_the_process(store):
    read_raw("s3://tables/rows/a.csv")
    copy = object_stores.fetch("s3://tables/rows/a.csv")
    assert copy.is_file()
    object_stores.remove_copies()
    assert not copy.exists()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("s3://nowhere/rows.csv", "s3://nowhere/rows.csv  there is no bucket nowhere"),
        ("s3://nowhere/*.csv", "s3://nowhere/*.csv  there is no bucket nowhere"),
        ("s3://tables/rows/aa.csv", "s3://tables/rows/aa.csv  no such file; did you mean a.csv?"),
        ("s3://tables/rows/*.parquet", "s3://tables/rows/*.parquet  no file matches"),
        ("s3://tables/ragged/a.csv", "s3://tables/ragged/a.csv  line 2 has 1 field, the header has 2"),
        ("gs://tables/rows.csv", "gs://tables/rows.csv  gs:// needs the extra: pip install 'mlwf[gs]'"),
    ],
)
def test_what_is_wrong_on_a_store_is_said_by_its_address(store, monkeypatch, path, message):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(DataError) as caught:
        read_raw(path)
    assert (str(caught.value), caught.value.exit_code) == (message, 2)


def test_missing_credentials_are_said(settings):
    settings.delenv("AWS_ACCESS_KEY_ID")
    settings.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(DataError) as caught:
        read_raw("s3://tables/rows/a.csv")
    assert str(caught.value) == (
        "s3://tables/rows/a.csv  there are no credentials for its store; "
        "give them as the AWS tools take them, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )


def test_a_store_that_does_not_answer_is_no_mistake_of_the_user(settings):
    settings.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(DataUnreachableError) as caught:
        read_raw("s3://tables/rows/a.csv")
    said = str(caught.value)
    assert said.startswith("s3://tables/rows/a.csv  its store does not answer (Could not connect")
    assert "\n" not in said
    assert caught.value.exit_code == 1


def test_denied_permission_is_said():
    with pytest.raises(DataError) as caught, object_stores.told("s3://tables/rows.csv"):
        raise_from_library(PermissionError(errno.EACCES, "Access Denied"))
    assert str(caught.value) == "s3://tables/rows.csv  permission denied ([Errno 13] Access Denied)"


def test_a_full_disk_is_no_fault_of_the_store():
    with pytest.raises(OSError, match="No space"), object_stores.told("s3://tables/rows.csv"):
        raise_from_library(OSError(errno.ENOSPC, "No space left on device"))


def raise_from_library(error):
    raise error


def test_an_output_is_refused_before_any_work(store):
    with pytest.raises(DataError, match=r"^s3://nowhere/out\.csv  there is no bucket nowhere$"):
        check_table_path("s3://nowhere/out.csv")


def test_a_run_learns_from_a_store_and_predicts_to_it(store, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("e.yaml").write_text(EXPERIMENT)
    assert run(["train", "e.yaml", "--quiet"]) == 0
    assert run(["predict", "latest", "s3://tables/rows", "-o", "s3://tables/out/scored.parquet"]) == 0
    with store.open("tables/out/scored.parquet") as written:
        assert len(pd.read_parquet(written)) == 60
    assert run(["evaluate", "latest", "s3://tables/rows/a.csv", "--format", "json"]) == 0
    assert '"source": "s3://tables/rows/a.csv"' in capsys.readouterr().out


@pytest.fixture
def here(tmp_path, settings, monkeypatch):
    """Give a machine, which keeps in a folder what it has of stores."""
    monkeypatch.chdir(tmp_path)
    settings.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Path("e.yaml").write_text(EXPERIMENT)
    return tmp_path


@pytest.fixture
def stored(store, here):
    """Train a run that goes to the store; give its id."""
    assert run(["train", "e.yaml", "--quiet", "--runs-dir", "s3://tables/runs"]) == 0
    (run_folder,) = (here / "cache/mlwf/s3/tables/runs").glob("2*")
    yield run_folder.name
    if store.exists("tables/runs"):
        store.rm("tables/runs", recursive=True)


def test_a_run_goes_to_a_store_and_is_read_on_another_machine(store, stored, here, settings, capsys):
    there = {file.partition(f"{stored}/")[2] for file in store.find("tables/runs")}
    assert there >= {"config.yaml", "model.skops", "run.log", "state.json", "summary.json", "table_schema.json"}
    settings.setenv("XDG_CACHE_HOME", str(here / "other"))
    capsys.readouterr()
    assert run(["runs", "--runs-dir", "s3://tables/runs", "--format", "json"]) == 0
    assert f'"run_id": "{stored}"' in capsys.readouterr().out
    assert sorted(file.name for file in (here / f"other/mlwf/s3/tables/runs/{stored}").iterdir()) == [
        "state.json",
        "summary.json",
    ]
    for command in (
        ["summary", "s3://tables/runs/latest"],
        ["report", "s3://tables/runs/latest", "-o", "report.html"],
        ["compare", f"s3://tables/runs/{stored}", "s3://tables/runs/latest"],
        ["predict", "s3://tables/runs/latest", "s3://tables/rows", "-o", "out.csv"],
    ):
        assert run(command) == 0, capsys.readouterr().err
    assert run(["runs", "--runs-dir", "s3://tables/runs", "--prune", "--name", "e"]) == 0
    assert store.find("tables/runs") == []


def test_a_run_that_cannot_be_sent_is_whole_here_and_is_sent_later(store, stored, here, settings):
    folder = here / "cache/mlwf/s3/tables/runs" / stored
    (folder / "late.json").write_text("{}")
    s3fs.S3FileSystem.clear_instance_cache()
    with settings.context() as offline:
        offline.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        with pytest.raises(DataUnreachableError) as caught:
            object_stores.send_run(folder)
    said = str(caught.value)
    assert said.startswith(f"s3://tables/runs/{stored}  its store does not answer (Could not connect")
    assert said.endswith(f"the run is whole in {folder}, and the next command on these runs sends it")
    s3fs.S3FileSystem.clear_instance_cache()
    assert run(["runs", "--runs-dir", "s3://tables/runs"]) == 0
    assert store.exists(f"tables/runs/{stored}/late.json")


def test_a_mistake_in_the_data_leaves_nothing_on_the_store(store, here, capsys):
    Path("e.yaml").write_text(EXPERIMENT.replace("target: churned", "target: nothing"))
    assert run(["train", "e.yaml", "--quiet", "--runs-dir", "s3://tables/runs"]) == 2
    assert store.find("tables/runs") == []


def test_runs_that_cannot_be_kept_are_refused_before_the_data_is_read(store, here, capsys):
    Path("e.yaml").write_text(EXPERIMENT.replace("target: churned", "target: nothing"))
    assert run(["train", "e.yaml", "--quiet", "--runs-dir", "s3://nowhere/runs"]) == 2
    assert capsys.readouterr().err.strip() == "s3://nowhere/runs  there is no bucket nowhere"


def test_an_experiment_names_the_line_of_a_bucket_that_is_not_there(store, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("e.yaml").write_text(EXPERIMENT.replace("tables", "nowhere"))
    assert run(["train", "e.yaml", "--quiet"]) == 2
    said = capsys.readouterr().err.strip()
    assert said == "e.yaml:1:14  data.path: s3://nowhere/rows/*.csv: there is no bucket nowhere"
