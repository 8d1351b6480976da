"""What CONTRIBUTING.md says is so: each recipe is followed for a toy, in a copy of the package, in its files alone.

All toys live in one copy. One light process validates an experiment that uses them; one trains it, one predicts.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.toys import EXPERIMENTS, TOYS, Done, House

ROOT = Path(__file__).parent.parent
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def recipes() -> dict[str, str]:
    parts = re.split(r"^### To add (?:an? )?", section("Recipes"), flags=re.MULTILINE)[1:]
    return {title.strip(): text for title, _, text in (part.partition("\n") for part in parts)}


def files_of(recipe: str) -> set[str]:
    return set(re.findall(r"`(mlwf/[\w/]+\.py)`", recipe))


def modules_of(text: str) -> list[str]:
    return list(dict.fromkeys(re.findall(r"`python -m (mlwf[\w.]+)`", text)))


# The map


def section(heading: str) -> str:
    return CONTRIBUTING.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def layers() -> list[set[str]]:
    """Give the rooms by floor, as lint-imports checks them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (floors,) = [contract["layers"] for contract in contracts if contract["id"] == "layers"]
    return [set(floor.split(" | ")) for floor in floors]


def test_rooms_are_those_of_the_import_contract():
    cells = re.findall(r"^\| (`[^|]*) \|", section("The rooms"), re.MULTILINE)
    assert [set(re.findall(r"`(\w+)`", cell)) for cell in cells] == layers()


def test_picture_of_the_readme_shows_the_same_rooms():
    picture = re.search(r"\n## The house\n.*?```\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    assert [set(line.split("  ")[0].split(" | ")) for line in picture.splitlines()] == layers()


def test_phases_are_those_of_a_run():
    phases = re.findall(r"^    Phase\(\"(\w+)\"", (ROOT / "mlwf/orchestrator/workflow.py").read_text(), re.MULTILINE)
    told = re.findall(r"^(\d+)\. `(\w+)`", section("The ten phases"), re.MULTILINE)
    assert told == [(str(number), phase) for number, phase in enumerate(phases, start=1)]
    assert len(told) == 10


def test_life_of_a_fit_has_few_concepts_each_in_its_file():
    life = section("The life of one fit")
    concepts = re.findall(r"\*\*(\w+)\*\*", life)
    assert len(concepts) == len(set(concepts)) <= 15
    files = [(ROOT / path).read_text() for path in re.findall(r"`(mlwf/[\w/]+\.py)`", life)]
    lost = [name for name in concepts if not any(f"class {name}" in file for file in files)]
    assert lost == []


def test_names_are_in_the_files_that_they_are_said_to_be_in():
    named = re.findall(r"`(\w+)`\s(?:of|in)\s`(mlwf/[\w/]+\.py)`", CONTRIBUTING)
    assert len(named) > 10
    lost = [(name, file) for name, file in named if not re.search(rf"\b{name}\b", (ROOT / file).read_text())]
    assert lost == []


def test_modules_that_write_something_exist():
    assert modules_of(CONTRIBUTING) == ["mlwf.catalogue_writer", "mlwf.specs.schema"]
    assert all(find_spec(module) for module in modules_of(CONTRIBUTING))


# The recipes


def test_every_recipe_has_a_toy():
    assert list(recipes()) == list(TOYS)
    assert len(TOYS) == 12
    assert all(toy.proof or toy.light_proof for toy in TOYS.values())


@pytest.mark.parametrize("kind", TOYS)
def test_a_toy_touches_the_files_of_its_recipe_alone(kind):
    assert set(TOYS[kind].edits) == files_of(recipes()[kind])


class CopiedHouse:
    """A copy of the package with all toys in it, and a folder to use it in."""

    def __init__(self, folder: Path, store: Callable[[], Path]) -> None:
        self.folder = folder
        self.environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
        self._store = store

    def run(self, *commands: str, modules: Sequence[str] = ()) -> list[Done]:
        """Run modules, then commands, in one fresh process."""
        ran = subprocess.run(
            [sys.executable, "-c", RUN, json.dumps(modules), json.dumps([command.split() for command in commands])],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return [Done(**done) for done in json.loads(ran.stdout)]

    @cached_property
    def light(self) -> dict[str, Done]:
        """What the light commands give, after what is made from the tables is written."""
        commands = [
            "--help",
            "classes toys.yaml",
            "validate wrong.yaml",
            "validate --data toys.yaml",
            "validate --data foreign.yaml",
            "summary r1",
            "summary r1 --format markdown",
        ]
        modules = modules_of("".join(recipes().values()))
        return dict(zip(commands, self.run(*commands, modules=modules), strict=True))

    @cached_property
    def trained(self) -> dict[str, Any]:
        """The summary of a run that uses the toys."""
        return self._summaries["toys"]

    @cached_property
    def foreign(self) -> dict[str, Any]:
        """The summary of a run of the foreign algorithm."""
        return self._summaries["foreign"]

    @cached_property
    def after(self) -> dict[str, Done]:
        """What commands give that read these runs, in a process that has trained nothing."""
        run = self.trained["run_id"]
        commands = {
            "predict": f"predict {run} penguins.jsonl -o predicted.jsonl",
            "predict foreign": f"predict {self.foreign['run_id']} penguins.jsonl -o foreign.csv",
            "table": f"summary {run}",
            "markdown": f"summary {run} --format markdown",
        }
        return dict(zip(commands, self.run(*commands.values()), strict=True))

    @cached_property
    def _summaries(self) -> dict[str, dict[str, Any]]:
        assert self.light
        shutil.copy(self._store(), self.folder / "mlflow.db")
        names = ("toys", "foreign")
        done = dict(zip(names, self.run(*(f"train {name}.yaml --quiet --format json" for name in names)), strict=True))
        # One gate of the toys is not met.
        assert {name: each.code for name, each in done.items()} == {"toys": 3, "foreign": 0}, done
        return {name: json.loads(each.out) for name, each in done.items()}


RUN = """\
import contextlib, io, json, runpy, sys

for module in json.loads(sys.argv[1]):
    runpy.run_module(module, run_name="__main__")

from mlwf.cli import boundary

def run(arguments):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = boundary.run(arguments)
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}

print(json.dumps([run(arguments) for arguments in json.loads(sys.argv[2])]))
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> House:
    """Copy the package, and follow all recipes in the copy."""
    folder = tmp_path_factory.mktemp("house")
    shutil.copytree(ROOT / "mlwf", folder / "mlwf", ignore=shutil.ignore_patterns("__pycache__"))
    for toy in TOYS.values():
        for file, edits in toy.edits.items():
            source = (folder / file).read_text()
            for edit in edits:
                source = edit.made_in(source, file)
            (folder / file).write_text(source)
    penguins = pd.read_csv(ROOT / "configs/data/penguins.csv")
    penguins.to_json(folder / "penguins.jsonl", orient="records", lines=True)
    for name, text in EXPERIMENTS.items():
        (folder / f"{name}.yaml").write_text(text)
    (folder / "runs/r1").mkdir(parents=True)
    about = {"run_id": "r1", "name": "r1", "status": "done"}
    (folder / "runs/r1/state.json").write_text(json.dumps(about))
    (folder / "runs/r1/summary.json").write_text(json.dumps({**about, "seconds": 1.0, "n_labels": 5}))
    return CopiedHouse(folder, lambda: request.getfixturevalue("empty_store"))


@pytest.mark.parametrize("name", ["toys", "foreign"])
def test_toys_are_valid_in_an_experiment(house, name):
    done = house.light[f"validate --data {name}.yaml"]
    assert (done.code, done.out) == (0, f"{name}.yaml: file and data are valid\n")


@pytest.mark.parametrize("kind", [kind for kind, toy in TOYS.items() if toy.light_proof])
def test_a_toy_works_without_a_training(house, kind):
    TOYS[kind].light_proof(house)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind, toy in TOYS.items() if toy.proof])
def test_a_toy_works(house, kind):
    TOYS[kind].proof(house)
