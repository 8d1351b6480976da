"""Tables as files: what is read, what is refused, and with which words."""

from __future__ import annotations

import datetime
import gzip
import json
import os
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlwf.errors import DataError, MlwfError, UsageError
from mlwf.modules.table_files import check_table_path, read_raw
from mlwf.modules.table_files import write_table as write_arrow
from mlwf.modules.table_files.formats import FORMATS, FileFormat
from mlwf.specs.data import ReadSpec
from mlwf.table_schema import read_training, resolve_schema

FRAME = pd.DataFrame({"age": [1, 2, 3], "fare": [0.1, float("nan"), 1e-17], "deck": ["A", None, 'b,\n"c"']})


def read_table(path: str, read: ReadSpec | None = None) -> pd.DataFrame:
    """Read a table whose columns are read by their content alone."""
    table = read_raw(path, read)
    return read_training(table, resolve_schema(table, read=read))


def write_table(frame: pd.DataFrame, path: str) -> None:
    write_arrow([pa.Table.from_pandas(frame, preserve_index=False)], path)


def _error_of(path: Path | str, read: ReadSpec | None = None) -> str:
    with pytest.raises(DataError) as caught:
        read_table(str(path), read)
    return str(caught.value)


def _file(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.txt", "t.CSV", "t.csv.gz", "t.parquet", "t.pq"])
def test_write_table_then_read_table_gives_the_frame_back(tmp_path: Path, name: str) -> None:
    write_table(FRAME, str(tmp_path / name))
    pd.testing.assert_frame_equal(read_table(str(tmp_path / name)), FRAME)
    assert read_table(str(tmp_path / name))["deck"][1] is None
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_read_table_reads_the_same_numbers_from_csv_and_parquet(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": np.random.default_rng(0).normal(size=2000) * 10.0 ** np.arange(-100, 100).repeat(10)})
    write_table(frame, str(tmp_path / "t.csv"))
    write_table(frame, str(tmp_path / "t.parquet"))
    pd.testing.assert_frame_equal(read_table(str(tmp_path / "t.csv")), frame, check_exact=True)
    pd.testing.assert_frame_equal(read_table(str(tmp_path / "t.parquet")), frame, check_exact=True)


def test_read_table_follows_the_read_section(tmp_path: Path) -> None:
    path = _file(tmp_path, "t.csv", "größe;art\n1,5;?\n2,5;b\n".encode("latin-1"))
    frame = read_table(str(path), ReadSpec(sep=";", decimal=",", encoding="latin-1", na_values=["?"]))
    assert frame.to_dict("list") == {"größe": [1.5, 2.5], "art": [None, "b"]}


def test_read_table_reads_thousands_in_quotes(tmp_path: Path) -> None:
    path = _file(tmp_path, "t.csv", 'a,b\n"1,234.5",x\n7,y\n')
    assert read_table(str(path), ReadSpec(thousands=","))["a"].tolist() == [1234.5, 7.0]


def test_read_table_drops_a_byte_order_mark(tmp_path: Path) -> None:
    path = _file(tmp_path, "t.csv", b'\xef\xbb\xbf"a",b\n1,2\n')
    assert list(read_table(str(path))) == ["a", "b"]


def test_read_table_reads_utf_16(tmp_path: Path) -> None:
    path = _file(tmp_path, "t.csv", "a,b\n1,é\n".encode("utf-16"))
    assert read_table(str(path), ReadSpec(encoding="utf-16")).to_dict("list") == {"a": [1], "b": ["é"]}


def test_read_table_passes_over_blank_lines(tmp_path: Path) -> None:
    path = _file(tmp_path, "t.csv", "\na,b\n1,2\n  \n3,\n\n")
    assert read_table(str(path)).fillna(0).to_dict("list") == {"a": [1, 3], "b": [2, 0]}


def test_read_table_gives_booleans_with_nulls_as_objects(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1, 2, 3], "is_new": [True, None, False]})
    for name in ("t.csv", "t.parquet"):
        write_table(frame, str(tmp_path / name))
        assert read_table(str(tmp_path / name))["is_new"].tolist() == [True, None, False]


def test_read_table_gives_parquet_types_as_plain_ones(tmp_path: Path) -> None:
    day = datetime.date(2024, 3, 31)
    noon = datetime.datetime(2024, 3, 31, 12, tzinfo=datetime.UTC)
    columns = {
        "dictionary": pa.array(["a", None, "a"]).dictionary_encode(),
        "decimals": pa.array([Decimal("1.25"), None, Decimal("2")]).dictionary_encode(),
        "decimal": pa.array([Decimal("1.25"), None, Decimal("2")]),
        "date": pa.array([day, None, day]),
        "time": pa.array([noon, None, noon], type=pa.timestamp("us", tz="UTC")),
        "count": pa.array([1, None, 3]),
        "flag": pa.array([True, None, False]),
        "nothing": pa.nulls(3),
        "far": pa.array([datetime.date(9999, 12, 31), None, day]),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    frame = read_table(str(tmp_path / "t.parquet"))
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
        "dictionary": "object",
        "decimals": "float64",
        "decimal": "float64",
        "date": "datetime64[ms]",
        "time": "datetime64[us, UTC]",
        "count": "float64",
        "flag": "object",
        "nothing": "float64",
        "far": "datetime64[ms]",
    }
    assert frame["dictionary"].tolist() == ["a", None, "a"]
    assert frame["decimals"].fillna(0).tolist() == frame["decimal"].fillna(0).tolist() == [1.25, 0, 2]
    assert frame["flag"].tolist() == [True, None, False]


def test_read_table_keeps_a_named_index_and_no_other(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1, 2]}, index=pd.Index(["a", "b"], name="key"))
    frame.to_parquet(tmp_path / "named.parquet")
    frame.rename_axis(None).to_parquet(tmp_path / "unnamed.parquet")
    frame.reset_index(drop=True).to_parquet(tmp_path / "range.parquet")
    assert read_table(str(tmp_path / "named.parquet")).to_dict("list") == {"x": [1, 2], "key": ["a", "b"]}
    assert read_table(str(tmp_path / "unnamed.parquet")).to_dict("list") == {"x": [1, 2]}
    assert read_table(str(tmp_path / "range.parquet")).to_dict("list") == {"x": [1, 2]}


def test_read_table_ignores_pandas_categories_and_nullable_types(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"c": pd.Categorical(["a", None]), "i": pd.array([1, None], "Int64"), "s": pd.array(["x", None])}
    )
    frame.to_parquet(tmp_path / "t.parquet")
    plain = read_table(str(tmp_path / "t.parquet"))
    assert [str(dtype) for dtype in plain.dtypes] == ["object", "float64", "object"]
    assert plain["c"].tolist() == ["a", None]
    assert plain["s"].tolist() == ["x", None]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("how", ["", "part-*"], ids=["folder", "glob"])
def test_read_table_stacks_files_by_name(tmp_path: Path, suffix: str, how: str) -> None:
    write_table(pd.DataFrame({"b": [2.5], "a": ["z"]}), str(tmp_path / f"part-2{suffix}"))
    write_table(pd.DataFrame({"a": ["x", "y"], "b": [1, 2]}), str(tmp_path / f"part-1{suffix}"))
    _file(tmp_path, "_SUCCESS", "")
    frame = read_table(str(tmp_path / how))
    assert frame.to_dict("list") == {"a": ["x", "y", "z"], "b": [1.0, 2.0, 2.5]}
    assert isinstance(frame.index, pd.RangeIndex)


def test_read_table_takes_a_column_for_text_when_one_csv_file_has_texts(tmp_path: Path) -> None:
    _file(tmp_path, "1.csv", "zip,flag,none\n01,True,\n7,False,\n")
    _file(tmp_path, "2.csv", "zip,flag,none\nA1,,x\n,True,\n")
    frame = read_table(str(tmp_path))
    assert frame["zip"].tolist() == ["01", "7", "A1", None]
    assert frame["flag"].tolist() == [True, False, None, True]
    assert frame["none"].tolist() == [None, None, "x", None]


def test_read_table_prefers_a_file_to_a_glob(tmp_path: Path) -> None:
    path = _file(tmp_path, "t[1].csv", "a,b\n1,2\n")
    assert len(read_table(str(path))) == 1


SUFFIXES = ".csv, .csv.gz, .tsv, .tsv.gz, .txt, .txt.gz, .parquet, .pq"
MENDED = "set data.read.encoding to the file's, such as cp1252 or latin-1"
Refusal = tuple[str, str | bytes, str]
REFUSALS: dict[str, Refusal] = {
    "empty": ("t.csv", "", "is empty"),
    "blank": ("t.csv", "\n \n", "is empty"),
    "empty parquet": ("t.parquet", "", "is empty"),
    "no rows": ("t.csv", "a,b\n", "has a header and no rows"),
    "no suffix": (
        "t",
        "a,b\n1,2\n",
        "has no suffix that says what it is; accepted: " + SUFFIXES,
    ),
    "unknown suffix": (
        "t.xlsx",
        "PK",
        "suffix .xlsx is no table's; accepted: " + SUFFIXES,
    ),
    "text as parquet": (
        "t.parquet",
        "a,b\n1,2\n",
        "is not a Parquet file, though its suffix says so; name a CSV file .csv",
    ),
    "damaged parquet": (
        "t.parquet",
        b"PAR1 and no footer",
        (
            "is a damaged Parquet file: Parquet magic bytes not found in footer. "
            "Either the file is corrupted or this is not a parquet file."
        ),
    ),
    "parquet as text": (
        "t.csv",
        b"PAR1\x15\x04",
        "is a Parquet file, though its suffix says CSV; name it .parquet",
    ),
    "workbook as text": (
        "t.csv",
        b"PK\x03\x04\x00",
        "is a zip archive or an Excel workbook, though its suffix says CSV; save it as CSV",
    ),
    "compressed as text": (
        "t.csv",
        gzip.compress(b"a,b\n1,2\n"),
        "is compressed, though its suffix does not say so; name it .csv.gz",
    ),
    "text as compressed": ("t.csv.gz", "a,b\n1,2\n", "is damaged or no gzip file: Not a gzipped file (b'a,')"),
    "cut compressed": (
        "t.csv.gz",
        gzip.compress(b"a,b\n" + os.urandom(50).hex().encode())[:-9],
        "is damaged or no gzip file: Compressed file ended before the end-of-stream marker was reached",
    ),
    "binary": ("t.csv", b"a,b\n1,2\n3,\x00\n", "is not utf-8 text: line 3 has a zero byte"),
    "utf-16": (
        "t.csv",
        "a,b\n1,2\n".encode("utf-16"),
        "is not utf-8 text: line 1 has a zero byte; set data.read.encoding: utf-16",
    ),
    "encoding": (
        "t.csv",
        "a,b\n1,ä\n".encode() + "2,é\n".encode("latin-1"),
        "line 3 is not utf-8 text: byte 0xe9 at offset 11; " + MENDED,
    ),
    "encoding of the header": (
        "t.csv",
        "é,b\n1,2\n".encode("latin-1"),
        "line 1 is not utf-8 text: byte 0xe9 at offset 0; " + MENDED,
    ),
    "long line": (
        "t.csv",
        'a,b\n"x\ny",2\n1,2,3\n',
        "line 4 has 3 fields, the header has 2; a text with ',' in it must stand in double quotes",
    ),
    "all lines long": (
        "t.csv",
        "a,b\n1,2,\n3,4,\n5,6,\n",
        (
            "line 2 has 3 fields, the header has 2 (and so for 2 more lines); "
            "a text with ',' in it must stand in double quotes"
        ),
    ),
    "short lines": (
        "t.csv",
        "a,b,c\n1,2,3\n1\n1,2\n",
        "line 3 has 1 field, the header has 3 (and so for 1 more line)",
    ),
    "open quote": ("t.csv", 'a,b\n1,2\n3,"x\n4,5\n', "line 3 opens a double quote that is never closed"),
    "duplicated header": (
        "t.csv",
        "a,b,a,a\n1,2,3,4\n",
        "a: columns 1, 3 and 4 have this same name; give each column its own name",
    ),
    "other separator": (
        "t.csv",
        "a;b\n1;2\n",
        "has one column, named 'a;b'; if ';' separates its columns, set data.read.sep: \";\"",
    ),
    "tab": (
        "t.csv",
        "a\tb\n1\t2\n",
        "has one column, named 'a\\tb'; if '\\t' separates its columns, set data.read.sep: \"\\t\"",
    ),
}


@pytest.mark.parametrize(("name", "content", "message"), REFUSALS.values(), ids=REFUSALS)
def test_read_table_refuses(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    path = _file(tmp_path, name, content)
    assert _error_of(path) == f"{path}  {message}"


def test_read_table_finds_a_broken_byte_far_into_the_file(tmp_path: Path) -> None:
    path = _file(tmp_path, "t.csv", "a,b\n" + "1,ä\n" * 30_000 + "1,2\n")
    broken = path.read_bytes()[:-2] + b"\xff\n"
    path.write_bytes(broken)
    assert _error_of(path) == (
        f"{path}  line 30002 is not utf-8 text: byte 0xff at offset {len(broken) - 2}; " + MENDED
    )


@pytest.mark.parametrize("encoding", ["utf-88", "hex"])
def test_read_table_refuses_an_unknown_encoding(tmp_path: Path, encoding: str) -> None:
    path = _file(tmp_path, "t.csv", "a,b\n1,2\n")
    assert _error_of(path, ReadSpec(encoding=encoding)) == (
        f"{path}  data.read.encoding: {encoding!r} is no text encoding that Python knows; "
        "accepted: utf-8, latin-1, cp1252, utf-16, ..."
    )


def test_read_table_refuses_a_separator_that_is_the_decimal_sign(tmp_path: Path) -> None:
    path = _file(tmp_path, "t.csv", "a,b\n1,2\n")
    assert _error_of(path, ReadSpec(decimal=",")) == (
        f"{path}  data.read.decimal: ',' is the decimal sign and the separator too; set data.read.sep, such as \";\""
    )


def test_read_table_refuses_duplicated_columns_of_parquet(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), path)
    assert _error_of(path) == f"{path}  a: columns 1 and 2 have this same name; give each column its own name"


def test_read_table_refuses_parquet_without_rows(tmp_path: Path) -> None:
    write_table(FRAME.iloc[:0], str(tmp_path / "t.parquet"))
    assert _error_of(tmp_path / "t.parquet") == f"{tmp_path / 't.parquet'}  has a header and no rows"


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("pengins.csv", "did you mean penguins.csv?"),
        ("zzz", "the folder {here} holds adult.parquet, penguins.csv"),
        ("nowhere/penguins.csv", "there is no folder {here}/nowhere"),
        ("sub/a.csv", "the folder {here}/sub holds no table"),
    ],
    ids=["near", "far", "no folder", "no table"],
)
def test_read_table_reports_what_is_there_instead_of_a_missing_file(tmp_path: Path, asked: str, hint: str) -> None:
    for name in ("penguins.csv", "adult.parquet", "notes.md"):
        _file(tmp_path, name, "a,b\n1,2\n")
    (tmp_path / "sub").mkdir()
    assert _error_of(tmp_path / asked) == f"{tmp_path / asked}  no such file; {hint.format(here=tmp_path)}"


def test_read_table_lists_at_most_five_files(tmp_path: Path) -> None:
    for number in range(7):
        _file(tmp_path, f"{number}.csv", "a,b\n1,2\n")
    assert _error_of(tmp_path / "zzz").endswith("holds 0.csv, 1.csv, 2.csv, 3.csv, 4.csv, ...")


def test_read_table_refuses_a_glob_that_matches_nothing(tmp_path: Path) -> None:
    assert _error_of(tmp_path / "*.csv") == f"{tmp_path / '*.csv'}  no file matches"


def test_read_table_refuses_a_folder_without_a_table(tmp_path: Path) -> None:
    _file(tmp_path, "notes.md", "nothing")
    assert _error_of(tmp_path) == (f"{tmp_path}  is a folder without a table; accepted: " + SUFFIXES)


def test_read_table_refuses_a_folder_of_two_kinds(tmp_path: Path) -> None:
    write_table(FRAME, str(tmp_path / "a.csv"))
    write_table(FRAME, str(tmp_path / "a.parquet"))
    assert _error_of(tmp_path) == (
        f"{tmp_path}  holds CSV and Parquet files; name one kind with a glob, such as data/*.parquet"
    )


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_read_table_refuses_files_with_different_columns(tmp_path: Path, suffix: str) -> None:
    for name, columns in {"1": "abc", "2": "abd", "3": "ab"}.items():
        write_table(pd.DataFrame([[1] * len(columns)], columns=list(columns)), str(tmp_path / f"{name}{suffix}"))
    first = tmp_path / f"1{suffix}"
    assert _error_of(tmp_path).splitlines() == [
        f"{tmp_path / f'2{suffix}'}  has other columns than {first.name}: lacks c and adds d",
        f"{tmp_path / f'3{suffix}'}  has other columns than {first.name}: lacks c",
    ]


def test_read_table_reports_the_problems_of_all_files(tmp_path: Path) -> None:
    for name, content in {"1.csv": "a,a\n1,2\n", "2.csv": "a,b\n1,2\n", "3.csv": "a,b\n1,2\n1,2,3\n"}.items():
        _file(tmp_path, name, content)
    assert [line.split("  ")[0] for line in _error_of(tmp_path).splitlines()] == [
        str(tmp_path / "1.csv"),
        str(tmp_path / "3.csv"),
    ]


def test_read_table_refuses_parquet_files_with_different_types(tmp_path: Path) -> None:
    write_table(pd.DataFrame({"a": [1], "b": [1]}), str(tmp_path / "1.parquet"))
    write_table(pd.DataFrame({"a": ["x"], "b": [1.5]}), str(tmp_path / "2.parquet"))
    assert _error_of(tmp_path) == f"{tmp_path / '2.parquet'}  a: is string here and int64 in 1.parquet"


def test_read_table_reports_what_the_system_refuses(tmp_path: Path) -> None:
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    loop = tmp_path / "loop.csv"
    assert _error_of(loop) == f"{loop}  cannot be read: Too many levels of symbolic links"


def test_read_table_refuses_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.csv")
    assert _error_of(tmp_path / "t.csv") == f"{tmp_path / 't.csv'}  is no regular file"


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_read_table_reports_that_permission_is_denied(tmp_path: Path) -> None:
    path = _file(tmp_path, "t.csv", "a,b\n1,2\n")
    path.chmod(0)
    assert _error_of(path) == f"{path}  permission denied"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "t.xlsx",
            "{path}: suffix .xlsx is no table's; accepted: " + SUFFIXES,
        ),
        (
            "t",
            "{path}: a table needs a suffix; accepted: " + SUFFIXES,
        ),
        ("nowhere/t.csv", "{path}: there is no folder {here}/nowhere"),
        ("folder.csv", "{path}: is a folder; name a file in it"),
    ],
    ids=["suffix", "no suffix", "no folder", "a folder"],
)
@pytest.mark.parametrize("write", [check_table_path, lambda path: write_table(FRAME, path)], ids=["check", "write"])
def test_write_table_refuses(tmp_path: Path, name: str, message: str, write: Callable[[str], Any]) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UsageError) as caught:
        write(str(tmp_path / name))
    assert str(caught.value) == message.format(path=tmp_path / name, here=tmp_path)


def test_write_table_leaves_the_old_file_when_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_table(FRAME, str(path))
    with pytest.raises(MlwfError) as caught:
        write_arrow([pa.table({"a": pa.nulls(1, pa.month_day_nano_interval())})], str(path))
    assert str(caught.value) == (
        f"{path}: cannot be written: Unhandled type for Arrow to Parquet schema conversion: month_day_nano_interval"
    )
    assert list(tmp_path.iterdir()) == [path]
    assert len(read_table(str(path))) == 3


def _read_json(file: Path, read: ReadSpec) -> Iterator[pa.Table]:
    yield pa.Table.from_pylist(json.loads(file.read_text()))


def _write_json(tables: Iterator[pa.Table], file: Path) -> None:
    file.write_text(json.dumps([row for table in tables for row in table.to_pylist()]))


def test_a_file_format_is_an_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    added = FileFormat("JSON", (".json",), _read_json, _write_json)
    monkeypatch.setitem(FORMATS, ".json", added)
    table = pa.table({"age": [1, 2], "deck": ["A", None]})
    write_arrow([table], str(tmp_path / "t.JSON"))
    assert json.loads((tmp_path / "t.JSON").read_text()) == [{"age": 1, "deck": "A"}, {"age": 2, "deck": None}]
    for path in (tmp_path / "t.JSON", tmp_path):
        read = read_raw(str(path))
        assert (read.columns, read.untyped) == (table, frozenset())
    assert _error_of(tmp_path / "t.xlsx").startswith(f"{tmp_path}/t.xlsx  no such file; ")
    _file(tmp_path, "t.csv", "age\n1\n")
    assert _error_of(tmp_path) == (
        f"{tmp_path}  holds CSV and JSON files; name one kind with a glob, such as data/*.parquet"
    )
