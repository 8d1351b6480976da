"""What the README says is so: its examples load and run, its tables are those of the program, its paths exist.

`test_documents.py` types its console blocks. `UPDATE_PICTURE=1 python -m pytest tests/test_readme.py -m slow` draws the
picture anew.
"""

from __future__ import annotations

import html
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from mlwf import errors
from mlwf.cli import boundary
from mlwf.cli.commands import GATE_NOT_MET, app
from mlwf.specs.catalogue import ALGORITHMS, FINDINGS
from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.loading import load_experiment

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PICTURE = ROOT / "configs/quickstart.svg"


def block(heading: str, language: str, number: int = 0) -> str:
    """Give a fenced block of a section."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)[number]


@pytest.fixture
def copy(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "configs", tmp_path / "configs", ignore=shutil.ignore_patterns("runs", "ml*"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


# The experiment file

ANNOTATED = block("The experiment file", "yaml", 1)

KEYS_LEFT_OUT = {
    "calibration": {"enabled", "cv_folds"},
    "feature_store": {
        "feature_service", "views", "initialize", "force_recreate",
        "n_features", "sample_indices", "timestamp", "pull", "labels",
    },
    "model": {"model_name"},
    "threshold": {"enabled"},
    "tracking": {"enabled", "experiment_name", "log_model_signature"},
    "tuning": {"enabled", "refit", "cv_folds", "n_jobs"},
    "validation": {"shuffle", "refit", "n_repeats", "gap", "max_train_size"},
}  # fmt: skip
"""What the annotated example leaves to the schema: switches and fine tuning."""


def test_search_spaces_are_those_of_the_catalogue():
    shown = README.split("<!-- search spaces -->\n")[1].split("<!-- /search spaces -->")[0].splitlines()
    spaces = {name: info.search_space for name, info in ALGORITHMS.items() if info.search_space is not None}
    rows = [
        f"| `{name}` | {', '.join(f'`{each}`' for each in space.distributions(1_000))} | {space.source} |"
        for name, space in spaces.items()
    ]
    assert shown == ["| algorithm | searched | after |", "| --- | --- | --- |", *rows]


def test_smallest_example_is_the_minimal_config():
    assert block("The experiment file", "yaml") == (ROOT / "configs/minimal.yaml").read_text()


def test_annotated_example_is_under_fifty_lines_of_a_screen():
    assert len(ANNOTATED.splitlines()) < 50
    assert max(map(len, ANNOTATED.splitlines())) <= 120


def test_annotated_example_is_valid_with_its_data(copy, capsys):
    Path("configs/annotated.yaml").write_text(ANNOTATED)
    assert boundary.run(["validate", "--data", "configs/annotated.yaml"]) == 0, capsys.readouterr().err


def test_annotated_example_shows_every_section(copy):
    Path("configs/annotated.yaml").write_text(ANNOTATED)
    spec, _ = load_experiment(Path("configs/annotated.yaml"))
    assert "# models: {" in ANNOTATED
    # Of one model nothing is chosen among others.
    assert spec.model_fields_set == set(ExperimentSpec.model_fields) - {"models", "selection", "ensemble"}
    assert {feature.type for feature in spec.features} | set(re.findall(r"# - \{type: (\w+)", ANNOTATED)) == {
        "boolean", "categorical", "date", "numeric", "ordinal",
    }  # fmt: skip


@pytest.mark.parametrize("section", sorted({*KEYS_LEFT_OUT, "data", "compute"}))
def test_annotated_example_shows_every_key_or_leaves_it_to_the_schema(section, copy):
    Path("configs/annotated.yaml").write_text(ANNOTATED)
    spec, _ = load_experiment(Path("configs/annotated.yaml"))
    shown = re.search(rf"^{section}:(.*\n)(?:[ ].*\n)*", ANNOTATED, re.MULTILINE)[0]
    fields = set(type(getattr(spec, section)).model_fields)
    said = {field for field in fields if re.search(rf"\b{field}\b", shown)}
    assert fields - said == KEYS_LEFT_OUT.get(section, set())


def test_annotated_example_names_the_schema_of_editors():
    schema = re.match(r"# yaml-language-server: \$schema=(\S+)", ANNOTATED)[1]
    assert json.loads((ROOT / "configs" / schema).read_text())["title"] == "mlwf experiment"


@pytest.mark.slow
def test_annotated_example_trains(copy, capsys):
    text = ANNOTATED.replace("adult.parquet", "few.parquet").replace("[50, 100]", "[5, 10]")
    # A few rounds on a few rows reach less.
    text = text.replace("min: 0.9,", "min: 0.7,")
    import pandas as pd

    pd.read_parquet("configs/data/adult.parquet").head(3000).to_parquet("configs/data/few.parquet")
    Path("configs/annotated.yaml").write_text(text)
    assert boundary.run(["train", "configs/annotated.yaml", "--quiet"]) == 0, capsys.readouterr().err
    assert "registered as census version 1, alias challenger" in capsys.readouterr().out


def test_feature_store_example_is_valid(tmp_path):
    (tmp_path / "flights.yaml").write_text(block("Feast", "yaml"))
    spec, _ = load_experiment(tmp_path / "flights.yaml")
    assert spec.feature_store.features == ["weather", "planes:seats"]


# Tables


COMMANDS = README.split("\n## The commands\n")[1].split("\n## ")[0]


def test_commands_are_those_of_the_help():
    told = dict(re.findall(r"^\| `mlwf (\w+)[^|]*` \| (.*?) \|$", COMMANDS, re.MULTILINE))
    assert told == {name: command.help.splitlines()[0] for name, command in get_command(app).commands.items()}


@pytest.mark.parametrize("name", get_command(app).commands)
def test_usage_is_that_of_the_help(name, capsys):
    told = re.search(rf"^\| `mlwf {name} ?([^`]*)` \|", COMMANDS, re.MULTILINE)[1].split(" -")
    assert boundary.run([name, "--help"]) == 0
    helped = capsys.readouterr().out
    assert f"Usage: mlwf {name} [OPTIONS] {told[0]}".rstrip() in helped.splitlines()
    for option in told[1:]:
        flag, metavar = f"-{option}".split()
        assert re.search(rf"{flag}\b.* {metavar} .*", helped)


def test_exit_codes_are_those_of_the_program():
    table = README.split("| exit code | meaning |\n|---|---|\n")[1].split("\n\n")[0]
    told = {int(code) for row in table.splitlines() for code in re.findall(r"\d+", row.split("|")[1])}
    codes = {kind.exit_code for kind in vars(errors).values() if hasattr(kind, "exit_code")}
    assert told == {0, *codes, GATE_NOT_MET, boundary.OUR_BUG, boundary.INTERRUPTED, boundary.TERMINATED}


def test_every_finding_has_a_section():
    section = README.split("\n## What the findings mean\n")[1].split("\n## ")[0]
    assert re.findall(r"^### (\w+)$", section, re.MULTILINE) == [*FINDINGS]
    first = {
        code: " ".join(text.split()) for code, text in re.findall(r"### (\w+)\n\n(.*?)(?:\n\n|$)", section, re.DOTALL)
    }
    assert first == {code: info.meaning for code, info in FINDINGS.items()}


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_paths_and_targets_exist(name):
    text = (ROOT / name).read_text()
    paths = {
        *re.findall(r"\]\((?!http)([^)#]+)\)", text),
        *re.findall(r"`((?:\.ci|benchmarks|configs|examples|mlwf|tests)/[\w/.]+|[A-Z]+\.md)`", text),
        *re.findall(r"pytest (tests/\S+)", text),
    }
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake (\w+)(?= SLOW| *#|`)", text)) <= targets


# Python


def test_python_example_is_ten_lines_and_runs(copy):
    source = block("From Python", "python")
    call = source[source.index("results = ") : source.index("print(")]
    assert len(call.splitlines()) <= 10
    left: dict[str, object] = {}
    kept = source.replace("    calibration_spec", '    runs_dir="runs",\n    calibration_spec')
    exec(compile(kept, "README.md", "exec"), left)
    assert len(left["labels"]) == 69
    assert left["results"]["cv_score"] > 0.9
    exec(compile(block("From Python", "python", 1), "README.md", "exec"), left)
    assert left["run"].status == "done"
    assert 0 < len(left["wrong"]) < 30


def test_saved_model_predicts_without_mlwf(copy):
    config = "data: {path: configs/data/penguins.csv, target: species}\nvalidation: {strategy: none}\n"
    Path("few.yaml").write_text(config + "model: {algorithm: gradient_boosting, hyperparameters: {n_estimators: 5}}\n")
    assert boundary.run(["train", "few.yaml", "--quiet"]) == 0
    next(Path("runs").glob("2*")).rename("runs/RUN")
    code = "import sys; sys.modules['mlwf'] = None\n" + block("The saved model needs no mlwf", "python")
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "sklearn.tree._tree.Tree" in ran.stdout


# Continuous integration

WORKFLOW = yaml.load(block("In continuous integration", "yaml"), yaml.BaseLoader)
STEPS = WORKFLOW["jobs"]["train"]["steps"]


def test_workflow_is_whole_and_pinned():
    assert list(WORKFLOW) == ["name", "on", "permissions", "jobs"]
    used = [step["uses"] for step in STEPS if "uses" in step]
    assert [name.partition("@")[0].partition("/")[2] for name in used] == [
        "checkout", "setup-python", "upload-artifact",
    ]  # fmt: skip
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", name) for name in used)
    assert all(("uses" in step) != ("run" in step) for step in STEPS)


@pytest.mark.slow
def test_workflow_validates_trains_and_leaves_a_summary_and_runs(copy):
    commands = [step["run"] for step in STEPS if step.get("run", "").startswith("mlwf")]
    assert len(commands) == 2
    compare = STEPS[-1]["run"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "GITHUB_STEP_SUMMARY": str(copy / "summary.md")}
    for command in commands:
        subprocess.run(["bash", "-e", "-c", command], check=True, env=environment, capture_output=True)
    assert "| accuracy |" in Path("summary.md").read_text()
    # Hidden files, such as the fit cache, are not uploaded.
    kept = STEPS[-2]["with"]["path"]
    assert len(list(Path(kept).glob("[!.]*"))) == 1
    # GitHub's own command line is all that is not here: one that has an artifact, and no comment or one.
    Path("bin").mkdir()
    Path("bin/gh").write_text(GH)
    Path("bin/gh").chmod(0o755)
    environment |= {"PATH": f"{copy}/bin{os.pathsep}{path}", "COMMENTS": "repos/a/b/issues/7/comments"}
    for there in ("", "https://api.github.com/repos/a/b/issues/comments/1"):
        compared = subprocess.run(
            ["bash", "-e", "-c", compare],
            env=environment | {"THERE": there},
            capture_output=True,
            text=True,
            check=True,
        )
        shutil.rmtree("main-runs")
        method = f"{there} --method PATCH" if there else environment["COMMENTS"]
        assert compared.stdout == f"api {method} --field body=@comment.md\n"
    assert Path("comment.md").read_text().startswith("<!-- mlwf compare penguins -->\n## penguins: of ")


def test_hooks_of_pre_commit_are_valid_and_look_at_experiments(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from pre_commit.clientlib import load_config, load_manifest

    (hook,) = load_manifest(ROOT / ".pre-commit-hooks.yaml")
    Path("hook.yaml").write_text(block("In continuous integration", "yaml", 1))
    (repo,) = load_config("hook.yaml")["repos"]
    (own,) = repo["hooks"]
    assert (hook["id"], hook["entry"]) == (own["id"], own["entry"])
    names = [path.relative_to(ROOT).as_posix() for path in (ROOT / "configs").iterdir()]
    found = [name for name in names if re.search(hook["files"], name)]
    assert found == [name for name in names if re.search(own["files"], name)] != []
    assert boundary.run([*hook["entry"].split()[1:], *(str(ROOT / name) for name in found)]) == 0


GH = """\
#!/bin/bash
case "$1 $2" in
    "run list") echo 42 ;;
    "run download") cp -r runs main-runs ;;
    *) if [[ $* = *--jq* ]]; then echo "$THERE"; else echo "$*"; fi ;;
esac
"""


# The picture


def draw(summary: dict[str, object]) -> str:
    """Draw what a terminal of 100 columns shows of a run; without the fonts that rich would fetch."""
    from rich.console import Console
    from rich.text import Text

    from mlwf.cli.run_lookup import all_from_here
    from mlwf.tables import summary_table

    console = Console(record=True, width=100, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text("$ mlwf train configs/quickstart.yaml"))
    console.print(summary_table(all_from_here(summary)))
    drawn = console.export_svg(title="mlwf", unique_id="mlwf")
    return re.sub(r"\s*@font-face \{.*?\}", "", drawn, flags=re.DOTALL)


def words(svg: str) -> list[str]:
    """List the texts of a picture, without what differs from run to run."""
    texts = [html.unescape(text).replace("\xa0", " ") for text in re.findall(r"<text[^>]*>(.*?)</text>", svg)]
    moving = re.compile(r"\d{8}-\d{6}|[0-9a-f]{32}|\d (s|min)\b|Time")
    return [" ".join(text.split()) for text in texts if text.strip() and not moving.search(text)]


@pytest.mark.slow
def test_picture_shows_the_quickstart(copy, capsys):
    assert boundary.run(["train", "configs/quickstart.yaml", "--quiet", "--format", "json"]) == 0
    drawn = draw(json.loads(capsys.readouterr().out))
    if os.environ.get("UPDATE_PICTURE"):
        PICTURE.write_text(drawn)
    assert words(drawn) == words(PICTURE.read_text())


def test_picture_is_small_and_fetches_nothing():
    text = PICTURE.read_text()
    assert len(text) < 100_000
    assert re.findall(r"(?:src|href)=|url\(\"?http", text) == []
    assert "accuracy" in " ".join(words(text))
