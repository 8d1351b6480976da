"""Broken and odd tables, by the hundred: each is used or told, and nothing else comes out.

A case is made from its seed alone. `FUZZ_SEED=17 pytest tests/fuzz/test_data_files.py -s` makes one case again and
shows it; the slow share runs with `-m slow`. Nothing here knows how tables are read.
"""

from __future__ import annotations

import os
import random
import string
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from mlwf.errors import MlwfError
from mlwf.orchestrator.api import check_data, run_experiment
from mlwf.orchestrator.prediction import predict_table
from mlwf.specs.loading import load_experiment

LONGEST_LINE = 1300
N = 40
FAST, SLOW = range(120), range(120, 820)
FAST_RUNS, SLOW_RUNS = range(4), range(4, 64)

ROLES = [
    "numeric",
    "categorical",
    "boolean",
    "date",
    "auto",
    "auto",
    "target",
    "sample_weight",
    "time",
    "groups",
    "fold",
]
NAMES = [
    "self", "data", "columns", "index", "name", "values", "", " ", "nan", "None", "null", "1", "1.0", "x.1", "X", "x ",
    "prediction", "probability_a", "__index_level_0__", "Unnamed: 0", "a\nb", "a\tb", "\x1b[31m", "\u202e", "\ufeffx",
    "é" * 300, "a,b", 'a"b', "a;b", "${env:HOME}", "a: b", "# a", "- a", "{a}", "*a", "&a", "%", "true", "~", "💥",
    "a__b", "classifier__x", "../x", "C:\\x", "=1+1", "a > 1", "0", "-1",
]  # fmt: skip


# Parquet: every type, with what it can hold and what it should not.


def undecodable(draw: random.Random) -> Any:
    """Make texts that are not UTF-8, as a writer that does not check leaves them."""
    values = [b"ok", b"\xff\xfe", b"caf\xe9"]
    chosen = [draw.choice(values) for _ in range(N)]
    offsets = np.cumsum([0, *map(len, chosen)]).astype(np.int32)
    return pa.StringArray.from_buffers(N, pa.py_buffer(offsets.tobytes()), pa.py_buffer(b"".join(chosen)))


def raw(kind: Any, unit: type, values: list[int]) -> Callable[[random.Random], Any]:
    """Make a column whose bytes are any numbers, such as a time of day past midnight."""

    def make(draw: random.Random) -> Any:
        numbers = np.array([draw.choice(values) for _ in range(N)], dtype=unit)
        return pa.Array.from_buffers(kind, N, [None, pa.py_buffer(numbers.tobytes())])

    return make


def of(kind: Any, *values: Any) -> Callable[[random.Random], Any]:
    """Make a column of some values, some of which are missing."""

    def make(draw: random.Random) -> Any:
        few = draw.random() < 0.3
        listed = [draw.choice([*values, None] if few else values) for _ in range(N)]
        return pa.array(listed, type=kind)

    return make


def coded(values: Any) -> Callable[[random.Random], Any]:
    """Make a column of codes that stand for the values of a dictionary."""

    def make(draw: random.Random) -> Any:
        codes = [draw.choice([*range(len(values)), None]) for _ in range(N)]
        return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), values)

    return make


DAY = 86_400
TYPES: dict[str, Callable[[random.Random], Any]] = {
    "bool": of(pa.bool_(), True, False),
    "all true": of(pa.bool_(), True),
    "int8": of(pa.int8(), -128, 0, 1, 127),
    "uint64": of(pa.uint64(), 0, 1, 2**63, 2**64 - 1),
    "int64": of(pa.int64(), -(2**63), 0, 1, 10**17 + 1, 2**63 - 1),
    "float16": of(pa.float16(), np.float16(0), np.float16(1.5), np.float16("inf"), np.float16("nan")),
    "float32": of(pa.float32(), 0.0, 1.5, 3e38, float("nan")),
    "float64": of(pa.float64(), 0.0, -0.0, 1e308, 5e-324, float("nan"), float("inf"), float("-inf")),
    "string": of(pa.string(), "a", "b", "", " ", "NA", "nan", "1", "01", "1e3", "true", "2020-01-01"),
    "large_string": of(pa.large_string(), "a", "b", "c"),
    "string_view": of(pa.string_view(), "a", "b", "a longer text than twelve"),
    "odd texts": of(pa.string(), "a\0", "\x1b[31m", "\u202e", "\n", "x" * 2_000, "💥"),
    "whole numbers as texts": of(pa.string(), "1", "2", "3", "9" * 400),
    "date texts": of(pa.string(), "2020-01-01", "9999-12-31", "0001-01-01", "2020-02-30", "31/12/2020"),
    "zoned texts": of(pa.string(), "2020-01-01T00:00:00+25:00", "2020-01-01T00:00:00+01:00", "2020-06-01T00:00:00Z"),
    "undecodable": undecodable,
    "undecodable dictionary": lambda draw: undecodable(draw).dictionary_encode(),
    "binary": of(pa.binary(), b"a", b"\xff", b""),
    "large_binary": of(pa.large_binary(), b"a", b"\xff"),
    "fixed binary": of(pa.binary(2), b"ab", b"\xff\xff"),
    "date32": of(pa.date32(), date(1, 1, 1), date(2020, 1, 1), date(9999, 12, 31)),
    "date32 beyond": raw(pa.date32(), np.int32, [0, -1_000_000, 3_000_000, 2**31 - 1]),
    "date64": of(pa.date64(), date(2020, 1, 1), date(2021, 1, 1)),
    "time32": of(pa.time32("s"), time(0), time(23, 59, 59)),
    "time32 beyond": raw(pa.time32("s"), np.int32, [0, -1, DAY, 2**31 - 1]),
    "time64": of(pa.time64("us"), time(0), time(12)),
    "time64 beyond": raw(pa.time64("us"), np.int64, [0, -1, DAY * 10**6, 2**62]),
    "time64 in ns beyond": raw(pa.time64("ns"), np.int64, [0, -1, DAY * 10**9, 2**63 - 1]),
    "timestamp": raw(pa.timestamp("us"), np.int64, [0, 10**15, 253_402_214_400_000_000, -62_135_596_800_000_000]),
    "timestamp in s beyond": raw(pa.timestamp("s"), np.int64, [0, 2**62, -(2**62)]),
    "timestamp in ns": raw(pa.timestamp("ns"), np.int64, [0, 2**63 - 1, -(2**63) + 1]),
    **{
        f"timestamp {zone}": raw(pa.timestamp("us", tz=zone), np.int64, [0, 10**15, 1_600_000_000_000_000])
        for zone in ("UTC", "Europe/Oslo", "+01:00", "+25:00", "-99:99", "Nowhere/Land", "+1", "x" * 100)
    },
    "duration": of(pa.duration("ms"), timedelta(0), timedelta(days=1), timedelta(days=-1)),
    "decimal": of(pa.decimal128(38, 10), Decimal("1.5"), Decimal("-0"), Decimal("1" * 28)),
    "decimal256": of(pa.decimal256(76, 0), Decimal("1" * 76), Decimal("2")),
    "null": lambda draw: pa.nulls(N),
    "all missing": lambda draw: pa.nulls(N, pa.float64()),
    "list": of(pa.list_(pa.int64()), [1], [], [1, None]),
    "nested list": of(pa.list_(pa.list_(pa.string())), [["a"]], []),
    "fixed list": of(pa.list_(pa.float32(), 2), [1.0, 2.0], [0.0, 0.0]),
    "struct": of(pa.struct([("a", pa.int64()), ("b", pa.string())]), {"a": 1, "b": "x"}),
    "map": of(pa.map_(pa.string(), pa.int64()), [("a", 1)], []),
    "dictionary": coded(pa.array(["a", "b", "c"])),
    "dictionary of numbers": coded(pa.array([1, 2**62, 3])),
    "dictionary of booleans": coded(pa.array([True, False])),
    "dictionary of dates": coded(pa.array([date(2020, 1, 1), date(9999, 1, 1)])),
    "dictionary of bytes": coded(pa.array([b"a", b"\xff"])),
    "dictionary with missing": coded(pa.array(["a", None, "b"])),
}


def write_parquet(draw: random.Random, path: Path) -> tuple[str, str, str]:
    """Write a table with one odd column, and say its name, what it holds and the separator."""
    kind = draw.choice([*TYPES])
    name = draw.choice(["odd", "odd", *NAMES])
    columns = {"x": pa.array([draw.random() for _ in range(N)]), "label": pa.array(["a", "b"] * (N // 2))}
    names, arrays = [*columns, name], [*columns.values(), TYPES[kind](draw)]
    if draw.random() < 0.05:
        names, arrays = [*names, name], [*arrays, arrays[-1]]
    try:
        pq.write_table(pa.Table.from_arrays(arrays, names=names), path, row_group_size=draw.choice([7, N]))
    except pa.ArrowException:  # what the format cannot hold
        pq.write_table(pa.Table.from_arrays(arrays[:2], names=names[:2]), path)
        return "label", f"{kind}, which Parquet cannot hold", ","
    if draw.random() < 0.15:
        spoil(draw, path)
    return name, kind, ","


# CSV: odd values, odd headers, odd bytes.

VALUES: dict[str, list[str]] = {
    "numbers": ["1", "2.5", "-3", "1e5", "0"],
    "odd numbers": [
        "1e400",
        "inf",
        "-inf",
        "NaN",
        "1_000",
        "0x1F",
        "1,000",
        "12 %",
        "€5",
        "--",
        "٣",
        "9" * 400,
        "1e99999",
    ],
    "codes": ["010", "020", "7", "X9"],
    "booleans": ["TRUE", "false", "1", "0", "yes", "", "Unknown"],
    "dates": ["2020-01-01", "9999-12-31", "0000-00-00", "2020-02-30", "31/12/2020", "12/31/2020"],
    "times": ["2020-01-01T00:00:00+25:00", "25:61", "2020-01-01 00:00", "2020-06-01T12:00:00Z", "1577836800"],
    "texts": ["a", "b", " a", "a ", "", "NA", "null", "None", "'", '""', '"a""b"', "\x1b[31m", "\u202e", "ï"],
    "long": ["x" * 150_000, "y"],
    "one": ["same"],
    "none": [""],
    "all different": [*string.ascii_letters],
    "nul": ["a\0b", "c"],
}
SEPARATORS = [",", ",", ";", "\t", "|", ":", " ", "é", "::", "\\", '"', "\x1f", "a", "0", "\n"]
ENCODINGS = ["utf-8", "utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16", "utf-16-le", "utf-32", "ascii",
             "nonsense", "idna", "base64", "rot13", "utf-7", "cp037"]  # fmt: skip


def write_csv(draw: random.Random, path: Path) -> tuple[str, str, str]:
    """Write a table with one odd column, and say its name, what it holds and the separator."""
    kind, name = draw.choice([*VALUES]), draw.choice(["odd", "odd", *NAMES])
    sep = "," if draw.random() < 0.6 else draw.choice(SEPARATORS)
    header = ["x", "label", name] if draw.random() > 0.05 else ["x", "label", name, name, ""]
    rows = [[f"{draw.random():.3f}", "ab"[at % 2], *(draw.choice(VALUES[kind]) for _ in header[2:])] for at in range(N)]
    if draw.random() < 0.05:
        draw.choice(rows).append("more")
    if draw.random() < 0.05:
        draw.choice(rows).pop()
    quoted = draw.random() < 0.5
    lines = [sep.join(f'"{cell}"' if quoted and '"' not in cell else cell for cell in row) for row in [header, *rows]]
    text = draw.choice(["\n", "\n", "\r\n", "\r"]).join(lines) + draw.choice(["\n", "", "\n\n", '\n"', "\n\x1a"])
    encoding = draw.choice(["utf-8"] * 9 + ["utf-8-sig", "latin-1", "utf-16", "cp1252"])
    path.write_bytes(text.encode(encoding, "replace"))
    if draw.random() < 0.15:
        spoil(draw, path)
    return name, kind, sep


def spoil(draw: random.Random, path: Path) -> None:
    """Cut a file off, or change some of its bytes."""
    content = bytearray(path.read_bytes())
    if draw.random() < 0.4:
        del content[draw.randrange(len(content) + 1) :]
    for _ in range(draw.choice([0, 1, 5])):
        if content:
            content[draw.randrange(len(content))] = draw.randrange(256)
    path.write_bytes(bytes(content))


# A case: the table, and an experiment that uses its odd column.


def make_case(seed: int, folder: Path) -> str:
    """Write the table and the experiment file of a seed, and say what they are."""
    draw = random.Random(seed)
    is_csv = draw.random() < 0.5
    table = folder / ("table.csv" if is_csv else "table.parquet")
    name, kind, sep = (write_csv if is_csv else write_parquet)(draw, table)
    role = draw.choice(ROLES)
    data: dict[str, Any] = {"path": table.name, "target": "label"}
    experiment: dict[str, Any] = {
        "data": data,
        "model": {"algorithm": "gaussian_nb"},
        "validation": {} if role == "fold" else {"strategy": "train_test"},
        "compute": {"n_jobs": 1},
    }
    if role in {"target", "sample_weight", "time", "groups", "fold"}:
        data[role] = name
    elif role != "auto":
        experiment["features"] = [{"type": role, "columns": [name]}]
    if sep != "," and draw.random() < 0.8:
        data["read"] = {"sep": sep}
    elif draw.random() < 0.15:
        options = {"sep": draw.choice(SEPARATORS), "encoding": draw.choice(ENCODINGS), "decimal": draw.choice(",.;é ")}
        data["read"] = {key: value for key, value in options.items() if draw.random() < 0.6}
    (folder / "e.yaml").write_text(yaml.safe_dump(experiment, sort_keys=False, allow_unicode=True))
    return f"{table.suffix} with {kind} in {name!r} as {role}, read {data.get('read', {})}"


def use(folder: Path, *, train: bool) -> None:
    """Read and check the table as `mlwf validate --data` does, and train and predict when asked."""
    spec, document = load_experiment(folder / "e.yaml")
    if not train:
        check_data(spec, document)
        return
    runs = folder / "runs"
    summary = run_experiment(spec, document, runs_dir=runs)
    table = str(spec.data.path)
    predict_table(summary["run_id"], table, folder / "out.parquet", runs_dir=runs, tracking_uri="sqlite:///none.db")


def outcome_of(folder: Path, *, train: bool) -> str:
    """Use a case and say what came out; raises what is not to be shown to anybody."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            use(folder, train=train)
    except MlwfError as error:
        for line in str(error).splitlines():
            assert len(line) <= LONGEST_LINE, f"{len(line)} characters: {line[:200]}"
            hidden = {character for character in line if unicodedata.category(character)[0] == "C"}
            assert not hidden, f"hidden characters {hidden}"
        return "located error" if error.exit_code == 2 else "exit 1"
    return "valid"


def assert_no_bug(seeds: range, folder: Path, *, train: bool = False) -> None:
    """Try every case, and show the counts; the message names the seed of each that is a bug."""
    outcomes: Counter[str] = Counter()
    bugs: list[str] = []
    for seed in seeds:
        case = folder / str(seed)
        case.mkdir()
        what = make_case(seed, case)
        try:
            outcomes[outcome_of(case, train=train)] += 1
        except Exception as error:  # whatever it is, it is what this looks for
            outcomes["bug"] += 1
            bugs.append(f"FUZZ_SEED={seed} ({what}): {type(error).__name__}: {str(error)[:200]}")
    print(f"{len(seeds)} tables, {'trained' if train else 'checked'}: {dict(outcomes)}")  # noqa: T201
    assert not bugs, "\n".join(bugs[:200])


def test_odd_tables_are_used_or_told(tmp_path):
    if "FUZZ_SEED" in os.environ:
        print(make_case(int(os.environ["FUZZ_SEED"]), tmp_path), f"in {tmp_path}")  # noqa: T201
        use(tmp_path, train=bool(os.environ.get("FUZZ_TRAIN")))
        return
    assert_no_bug(FAST, tmp_path)


def test_odd_tables_are_trained_on_or_told(tmp_path):
    assert_no_bug(FAST_RUNS, tmp_path, train=True)


@pytest.mark.slow
def test_many_odd_tables_are_used_or_told(tmp_path):
    assert_no_bug(SLOW, tmp_path)


@pytest.mark.slow
def test_many_odd_tables_are_trained_on_or_told(tmp_path):
    assert_no_bug(SLOW_RUNS, tmp_path, train=True)
