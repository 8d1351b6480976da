"""Broken experiment files, by the hundred: each is valid or told where it is written, and nothing else comes out.

A case is made from its seed alone. `FUZZ_SEED=17 pytest tests/fuzz/test_experiment_files.py` makes one case again and
shows it; the slow share runs with `-m slow`.
"""

from __future__ import annotations

import os
import random
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlwf.errors import ConfigError
from mlwf.specs.loading import load_experiment

ROOT = Path(__file__).parent.parent.parent
LONGEST_LINE = 1300
FAST, SLOW = range(250), range(250, 1750)

EVERYTHING = """\
name: adult-income
random_state: 42
data:
  path: data/adult.parquet
  test_path: data/adult_test.parquet
  target: income
  positive_class: ">50K"
  sample_weight: fnlwgt
  drop: [a, b]
  read: {sep: ";", decimal: ",", encoding: latin-1, na_values: ["?"]}
features:
  - {type: numeric, columns: [age, hours], imputer: median, scaler: standard}
  - {type: categorical, columns: [workclass], imputer: most_frequent, encoder: onehot}
  - {type: boolean, columns: [member]}
  - {type: date, columns: [since], parts: [year, month]}
model:
  algorithm: hist_gradient_boosting
  hyperparameters: {learning_rate: 0.1}
tuning:
  strategy: grid
  param_grid: {classifier__max_iter: [50, 100], classifier__max_depth: [3, 5, null]}
  scoring: roc_auc
calibration: {method: isotonic, ensemble: true}
threshold: {scoring: f1}
validation: {strategy: cross_validation, cv_folds: 5, metrics: [accuracy, log_loss], slices: [sex, "age > 60"]}
tracking: {tracking_uri: "sqlite:///mlflow.db", registered_model_name: adult-income, alias: challenger}
feature_store: {repo_path: feature_repo, features: ["weather:temp", "planes:age"]}
compute: {n_jobs: -1, backend: local}
gates:
  - {metric: roc_auc, min: 0.92, bound: lower}
  - {metric: accuracy, beats: baseline, by: 0.02}
findings: {ignore: [rare_class]}
on_error: degrade
"""
SOURCES = [EVERYTHING, *(path.read_text() for path in sorted((ROOT / "configs").glob("*.yaml")))]

ODD_VALUES: list[Any] = [
    None, True, -1, 0, 7, 0.5, -0.0, 1e308, float("inf"), float("nan"), 10**310, 2**63, "", " ", "yes", "null", "~",
    "a\0b", "\x1b[31mred", "a\u202eb", "line\nbreak", "tab\t", " blank ", "x" * 5_000, "../" * 400, "/" * 300, "ünï 🎉",
    "${env:HOME}", "${env:NO_SUCH}", "${env:", "${env:A:b}", "sqlite:///", "sqlite://", "http://[::1", "models:/@", "*",
    "[", "a > ", "> 3", "a = ", "{", [], {}, [[]], [None], [{}], {"": ""}, {1: 2}, {None: None},
    [1, "a", None], ["a"] * 300,
    {"type": "numeric"}, {"strategy": "grid"}, {"columns": []}, "2024-01-31", "1e3", "0x1F", "1_000",
]  # fmt: skip
SNIPPETS = [
    "\0", "\x07", "\x1b[2J", "\u202e", "\ufeff", "\x85", "\t", "\r", "---\n", "...\n", "%YAML 1.1\n", "&a ", "*a ",
    "*b ", "<<: *a\n", "!!python/object:os.system ", "!x ", "!!binary ", "!!float ", "? ", ": ", "- ", "#", '"', "'",
    "[", "]", "{", "}", ",", "|\n", ">\n", "@", "`", "&a [*a]", "[" * 1_000, "{a: " * 1_000, "- " * 1_000,
    "extends: .\n",
    "extends: e.yaml\n", "extends: base.yaml\n", 'extends: "a\\0b"\n', "extends: [a]\n", "9" * 5_000, "x" * 20_000,
    'name: "\\ud800"\n', "data: 1\n", "1: 2\n", "? [a]\n: b\n", "true: 1\n", "~: 1\n",
]  # fmt: skip
OVERRIDES = [
    "model.algorithm", "=", "a..b=1", "features.0.imputer=mean", "features.99.x=1", "features.-1=1", "extends=a",
    "data=[", "data.path=\"a\\0b\"", ".".join("a" * 500) + "=1", "model.hyperparameters={a: {b: {c: 1}}}",
    "tuning=null", "name=${env:HOME}", "x\x1b[1m=1", "data.target=" + "y" * 3_000, "gates.0=&a [*a]",
    "compute.n_jobs=0",
]  # fmt: skip


def make_case(seed: int) -> tuple[str, list[str]]:
    """Make an experiment file and overrides, most of them broken somewhere."""
    draw = random.Random(seed)
    text = draw.choice(SOURCES)
    for _ in range(draw.choice([1, 1, 2, 4])):
        text = draw.choice([break_content, break_content, break_text, break_line])(draw, text)
    return text, [draw.choice(OVERRIDES)] if draw.random() < 0.15 else []


def break_content(draw: random.Random, text: str) -> str:
    """Change a key or a value, wherever it is."""
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return break_text(draw, text)
    places = [*places_in(content)]
    if not places:
        return break_text(draw, text)
    holder, key = draw.choice(places)
    match draw.choice(["value", "value", "value", "misspell", "delete", "add", "wrap", "nest"]):
        case "value":
            holder[key] = draw.choice(ODD_VALUES)
        case "misspell" if isinstance(holder, dict):
            holder[misspelt(draw, str(key))] = holder.pop(key)
        case "add" if isinstance(holder, dict):
            holder[draw.choice(["extra", "type", "strategy", "path", "", 1, None, True])] = draw.choice(ODD_VALUES)
        case "wrap":
            holder[key] = draw.choice([[holder[key]], {"a": holder[key]}, [holder[key], holder[key]]])
        case "nest":
            for _ in range(draw.choice([3, 40, 70])):
                holder[key] = draw.choice([[holder[key]], {"a": holder[key]}])
        case _:
            del holder[key]
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=draw.random() < 0.5)


def places_in(content: Any) -> list[tuple[Any, Any]]:
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [place for key, value in items for place in ((content, key), *places_in(value))]


def misspelt(draw: random.Random, word: str) -> str:
    at = draw.randrange(len(word) + 1)
    return word[:at] + draw.choice(["", "x", "_", word[at : at + 1] * 2]) + word[at + 1 :]


def break_text(draw: random.Random, text: str) -> str:
    """Cut, repeat or insert somewhere."""
    at, to = sorted(draw.randrange(len(text) + 1) for _ in range(2))
    match draw.choice(["insert", "insert", "cut off", "cut out", "repeat", "junk"]):
        case "insert":
            return text[:at] + draw.choice(SNIPPETS) + text[at:]
        case "cut off":
            return text[:at]
        case "cut out":
            return text[:at] + text[min(to, at + 40) :]
        case "repeat":
            return text[:to] + text[at:to] + text[to:]
        case _:
            return text[:at] + "".join(chr(draw.randrange(1, 0x2100)) for _ in range(20)) + text[at:]


def break_line(draw: random.Random, text: str) -> str:
    """Move, double, indent or replace a line."""
    lines = text.splitlines() or [""]
    at = draw.randrange(len(lines))
    match draw.choice(["double", "move", "indent", "tab", "replace"]):
        case "double":
            lines.insert(at, lines[at])
        case "move":
            lines.insert(draw.randrange(len(lines)), lines.pop(at))
        case "indent":
            lines[at] = draw.choice(["  ", " ", "        "]) + lines[at]
        case "tab":
            lines[at] = "\t" + lines[at].lstrip()
        case _:
            lines[at] = draw.choice(SNIPPETS)
    return draw.choice(["\n", "\n", "\r\n"]).join(lines) + "\n"


def outcome_of(seed: int, folder: Path) -> str:
    """Load a case and say what came out; raises AssertionError where that is not to be shown to anybody."""
    text, overrides = make_case(seed)
    path = folder / "e.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        load_experiment(path, overrides)
    except ConfigError as error:
        for problem in error.problems:
            assert problem.where, f"not located: {problem}"
            assert_readable(str(problem))
        return "located error"
    return "valid"


def assert_readable(line: str) -> None:
    assert len(line) <= LONGEST_LINE, f"{len(line)} characters: {line[:200]}"
    hidden = {character for character in line if unicodedata.category(character)[0] == "C"}
    assert not hidden, f"hidden characters {hidden}"


def assert_no_bug(seeds: range, folder: Path) -> None:
    """Try every case, and show the counts; the message names the seed of each that is a bug."""
    outcomes: Counter[str] = Counter()
    bugs: list[str] = []
    for seed in seeds:
        try:
            outcomes[outcome_of(seed, folder)] += 1
        except Exception as error:  # whatever it is, it is what this looks for
            outcomes["bug"] += 1
            bugs.append(f"FUZZ_SEED={seed}: {type(error).__name__}: {str(error)[:300]}")
    print(f"{len(seeds)} experiment files: {dict(outcomes)}")  # noqa: T201
    assert not bugs, "\n".join(bugs[:20])


def test_broken_experiment_files_are_told(tmp_path):
    if "FUZZ_SEED" in os.environ:
        text, overrides = make_case(int(os.environ["FUZZ_SEED"]))
        print(text, overrides)  # noqa: T201
        outcome_of(int(os.environ["FUZZ_SEED"]), tmp_path)
        return
    assert_no_bug(FAST, tmp_path)


@pytest.mark.slow
def test_many_broken_experiment_files_are_told(tmp_path):
    assert_no_bug(SLOW, tmp_path)


def test_a_case_depends_on_its_seed_alone():
    assert [make_case(seed) for seed in range(20)] == [make_case(seed) for seed in range(20)]
    assert len({make_case(seed)[0] for seed in range(20)}) > 15
