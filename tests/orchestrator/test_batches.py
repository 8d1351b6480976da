"""A table that is predicted some rows at a time: the same output to the bit, the same errors, and never half a file."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlwf.errors import DataError
from mlwf.modules.table_files import open_raw
from mlwf.orchestrator.api import run_experiment
from mlwf.orchestrator.prediction import predict_table
from mlwf.specs.loading import load_experiment

N = 60


def rows(n=N, seed=0):
    draw = np.random.default_rng(seed)
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(draw.integers(0, 900, n), "D")
    table = pd.DataFrame(
        {
            "key": [f"0{place}" for place in range(n)],
            "age": draw.normal(40, 9, n).round(1),
            "visits": draw.integers(0, 9, n),
            "plan": draw.choice(["basic", "gold", "1", "2.0"], n),
            "paid": draw.choice(["true", "False", "1"], n),
            "since": days.strftime("%Y-%m-%d"),
            "left": draw.choice(["no", "yes"], n),
        }
    )
    table["age"] = table["age"].astype(object)
    return table


def harder(n=N):
    """Give rows in which parts look like another type than the whole: whole numbers, zones, missing and new values."""
    table = rows(n, seed=1)
    table.loc[:20, "age"] = range(21)
    table.loc[[25, 30], "age"] = ["NA", "many"]
    table.loc[40:, "plan"] = table.loc[40:, "plan"].replace("2.0", "silver")
    table.loc[10:15, "since"] = "2025-03-01T23:30:00-05:00"
    table.loc[33:39, "visits"] = None
    table["seen"] = [datetime(2024, 1, 1 + at % 5, 0 if at < 30 else 7, tzinfo=UTC) for at in range(n)]
    table["count"] = pd.array([None if at == 50 else 2**60 + at for at in range(n)], dtype="Int64")
    return table


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Train a run, and write a harder table in every form."""
    folder = tmp_path_factory.mktemp("batches")
    rows(200).to_csv(folder / "rows.csv", index=False)
    (folder / "e.yaml").write_text(
        "data: {path: rows.csv, target: left, drop: [key]}\n"
        "features:\n"
        "- {type: numeric, columns: [age, visits]}\n"
        "- {type: categorical, columns: [plan]}\n"
        "- {type: boolean, columns: [paid]}\n"
        "- {type: date, columns: [since]}\n"
        "model: {algorithm: gradient_boosting, hyperparameters: {n_estimators: 9}}\n"
        "validation: {strategy: none}\n"
    )
    spec, document = load_experiment(folder / "e.yaml")
    run_experiment(spec, document, runs_dir=folder / "runs")
    table = harder()
    table.to_csv(folder / "t.csv", index=False)
    table.to_csv(folder / "t.tsv.gz", index=False, sep="\t")
    typed = pa.table(
        {
            name: pa.array(values.astype(object), from_pandas=True)
            for name, values in table.astype({"age": str, "visits": "Int64"}).items()
        }
    )
    pq.write_table(typed, folder / "t.parquet", row_group_size=13)
    for part, (start, stop) in enumerate([(0, 5), (5, 31), (31, N)]):
        of_part = folder / "parts" / f"branch={part}"
        of_part.mkdir(parents=True)
        columns = typed.slice(start, stop - start)
        # An int in one file and a float in another: the table has floats.
        visits = columns["visits"].cast(pa.float64() if part == 1 else pa.int64())
        at = columns.column_names.index("visits")
        pq.write_table(columns.set_column(at, "visits", visits), of_part / "a.parquet", use_dictionary=True)
    return folder


def predicted(folder, table, output, rows_at_once, **options):
    written = predict_table(
        "latest",
        str(folder / table),
        folder / output,
        runs_dir=folder / "runs",
        tracking_uri="sqlite:///absent.db",
        rows_at_once=rows_at_once,
        **options,
    )
    return written, folder / output


@pytest.mark.parametrize("output", ["out.csv", "out.parquet"])
@pytest.mark.parametrize("table", ["t.csv", "t.tsv.gz", "t.parquet", "parts"])
def test_batches_of_seven_rows_give_what_one_batch_gives(folder, table, output):
    whole, file = predicted(folder, table, output, 10_000)
    content = file.read_bytes()
    rows_of = pq.read_table(file) if output == "out.parquet" else None
    by_seven, _ = predicted(folder, table, output, 7)
    assert by_seven == whole
    assert {each.column for each in whole.unknown} == {"age", "plan"}
    if rows_of is None:
        assert file.read_bytes() == content
    else:
        read = pq.read_table(file)
        assert read.schema.equals(rows_of.schema, check_metadata=True)
        assert read.equals(rows_of)


def test_what_is_read_by_batches_is_told_as_of_the_whole_table(folder):
    told = []
    written, _ = predicted(folder, "t.csv", "out.csv", 7, on_rows=told.append)
    assert told == [*range(7, 60, 7), 60]
    assert [str(each) for each in written.unknown] == [
        "1 of 59 rows holds values of `age` that are no numbers, and count as missing: many (1)",
        "7 of 60 rows hold values of `plan` that training never saw: silver (7)",
    ]


def broken(folder, column, value, at):
    table = harder()
    table[column] = table[column].astype(object)
    table.loc[at, column] = value
    table.to_csv(folder / "broken.csv", index=False)


@pytest.mark.parametrize("rows_at_once", [7, 10_000])
def test_an_error_names_the_row_of_the_table(folder, rows_at_once):
    broken(folder, "visits", "inf", [45, 52])
    with pytest.raises(DataError, match=r"visits: 2 infinite values: row 46 holds inf"):
        predicted(folder, "broken.csv", "bad.csv", rows_at_once)
    broken(folder, "plan", "platinum", range(50))
    with pytest.raises(DataError, match=r"plan: \d+ of 60 rows hold values of `plan` that training never saw"):
        predicted(folder, "broken.csv", "bad.csv", rows_at_once)
    with (folder / "broken.csv").open("a") as file:
        file.write("one,two\n")
    with pytest.raises(DataError, match="line 62 has 2 fields, the header has 9"):
        predicted(folder, "broken.csv", "bad.csv", rows_at_once)
    assert not [*folder.glob("*bad*")]


def test_every_broken_file_of_a_folder_is_told(folder):
    many = folder / "many"
    many.mkdir()
    for name, end in {"a": "", "b": "1\n", "c": "", "d": '"2'}.items():
        (many / f"{name}.csv").write_text(f"x,y\n{'1,2' + chr(10)}{end}")
    with pytest.raises(DataError) as raised:
        [*open_raw(str(many)).batches(1)]
    assert [problem.where.rpartition("/")[2] for problem in raised.value.problems] == ["b.csv", "d.csv"]


def test_a_record_larger_than_a_block_is_read_once(tmp_path, monkeypatch):
    monkeypatch.setattr("mlwf.modules.table_files.csv_files.BLOCK_SIZES", (64, 1 << 20))
    records = [f"{place},{'long ' * 40 if place == 50 else 'short'}\n" for place in range(90)]
    (tmp_path / "t.csv").write_text("x,y\n" + "".join(records))
    batches = [*open_raw(str(tmp_path / "t.csv")).batches(20)]
    assert [len(each) for each in batches] == [20, 20, 20, 20, 10]
    assert [value for each in batches for value in each.columns["x"].to_pylist()] == [str(at) for at in range(90)]


STOPPED = """
import json, os, signal, sys
from pathlib import Path
import mlwf.orchestrator.prediction as prediction
from mlwf.cli import boundary

folder, predict_table = Path(sys.argv[1]), prediction.predict_table

def main(number):
    def stopped(*arguments, **options):
        options |= {"rows_at_once": 5, "on_rows": lambda n_rows: n_rows > 30 and os.kill(os.getpid(), number)}
        return predict_table(*arguments, **options)

    prediction.predict_table = stopped
    sys.argv[1:] = ["predict", "latest", str(folder / "t.csv"), "--runs-dir", str(folder / "runs"), "-o", str(output)]
    boundary.main()

found = {}
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
    for output in (folder / "stopped" / "new.csv", folder / "stopped" / "old.parquet"):
        pid = os.fork()
        if pid == 0:
            main(number)
        found[f"{number.name} {output.name}"] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    found[f"after {number.name}"] = sorted(path.name for path in output.parent.iterdir() if path.name[0] != ".")
    found[f"drafts of {number.name}"] = len([*output.parent.glob(".*")])
print(json.dumps(found))
"""


def test_a_process_that_is_stopped_leaves_no_half_file(folder):
    (folder / "stopped").mkdir()
    (folder / "stopped" / "old.parquet").write_text("old")
    done = subprocess.run(
        [sys.executable, "-c", STOPPED, str(folder)], capture_output=True, text=True, check=True, timeout=100
    )
    found = json.loads(done.stdout)
    for name, code in {"SIGINT": 130, "SIGTERM": 143, "SIGKILL": -9}.items():
        assert (found[f"{name} new.csv"], found[f"{name} old.parquet"]) == (code, code)
        assert found[f"after {name}"] == ["old.parquet"]
    assert (found["drafts of SIGINT"], found["drafts of SIGTERM"]) == (0, 0)
    assert (folder / "stopped" / "old.parquet").read_text() == "old"
