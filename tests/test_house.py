"""The house rules that no tool checks by itself, and proof that those which one does check can fail."""

from __future__ import annotations

import ast
import itertools
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import FIRST

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "mlwf"
FOLDERS = {"benchmarks", "configs", "examples", "mlwf", "tests"}
FILES = {"CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "constraints.txt", "pyproject.toml"}
HEAVY = {"feast", "joblib", "matplotlib", "mlflow", "numpy", "pandas", "pyarrow", "scipy", "skops", "sklearn"}


# Layers


def check_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    # Not the script beside the interpreter: that would put the installed package before the copy.
    code = "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "mlwf", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_import_contracts_hold(copy):
    told = check_imports(copy)
    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.parametrize(
    ("file", "line", "said"),
    [
        pytest.param("splitting/rows.py", "import mlwf.modules.tuning", "Imports point down BROKEN", id="upwards"),
        pytest.param("tables/summary_rows.py", "import mlwf.orchestrator", "Imports point down BROKEN", id="sideways"),
        pytest.param("errors.py", "import mlwf.config", "Imports point down BROKEN", id="errors stand on texts alone"),
        pytest.param("text.py", "import mlwf.errors", "Imports point down BROKEN", id="texts are the ground"),
        pytest.param("text.py", "import numpy", "What starts the command line is light BROKEN", id="light texts"),
        pytest.param(
            "evaluation/metrics.py", "import mlwf.engine", "Imports point down BROKEN", id="nothing fits there"
        ),
        pytest.param(
            "splitting/rows.py", "import mlwf.evaluation", "Imports point down BROKEN", id="rows are no scores"
        ),
        pytest.param("extras.py", "", "mlwf.extras", id="a new file takes its floor"),
        pytest.param(
            "modules/calibration.py",
            "import mlwf.modules.tuning",
            "Modules do not know each other BROKEN",
            id="modules are strangers",
        ),
        pytest.param(
            "specs/base.py",
            "def load():\n    import pandas",
            "What starts the command line is light BROKEN",
            id="light, in functions too",
        ),
        pytest.param("results.py", "import numpy", "What starts the command line is light BROKEN", id="light results"),
    ],
)
def test_import_contracts_fire(copy, file, line, said):
    with (copy / "mlwf" / file).open("a") as source:
        source.write(f"\n{line}\n")
    told = check_imports(copy)
    assert told.returncode != 0
    assert said in told.stdout


def imports_of(folder: Path) -> dict[str, set[str]]:
    """Give the modules of the package that each of them imports, within functions and for type checkers too."""
    names = {path: ".".join(path.relative_to(folder).with_suffix("").parts) for path in folder.glob("mlwf/**/*.py")}
    known = {name.removesuffix(".__init__") for name in names.values()}
    found: dict[str, set[str]] = {}
    for path, name in names.items():
        nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        both = {each for node in nodes for alias in node.names for each in (node.module, f"{node.module}.{alias.name}")}
        found[name.removesuffix(".__init__")] = both & known - {name, "mlwf"}
    return found


def modules_in_cycles(imports: dict[str, set[str]]) -> set[str]:
    left = dict(imports)
    while free := [name for name, used in left.items() if not used & left.keys()]:
        for name in free:
            del left[name]
    # What is left imports a cycle, or is in one.
    while unused := left.keys() - {each for used in left.values() for each in used}:
        for name in unused:
            del left[name]
    return set(left)


def test_no_modules_import_each_other():
    assert modules_in_cycles(imports_of(ROOT)) == set()


def test_modules_that_import_each_other_are_found(copy):
    with (copy / "mlwf/splitting/rows.py").open("a") as source:
        source.write("\n\ndef late():\n    from mlwf.splitting.splitters import fold_splitter\n")
    assert modules_in_cycles(imports_of(copy)) == {"mlwf.splitting.rows", "mlwf.splitting.splitters"}


def test_a_file_name_is_unique():
    names = [path.name for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]
    assert sorted({name for name in names if names.count(name) > 1}) == []


# One place that fits

FITS = {"fit", "fit_predict", "fit_resample", "fit_transform", "partial_fit"}
FITTERS = {
    "GridSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV", "RandomizedSearchCV", "cross_val_predict",
    "cross_val_score", "cross_validate", "learning_curve", "permutation_test_score", "validation_curve",
}  # fmt: skip


def find_fits(source: str) -> list[str]:
    """Find what would fit an estimator: calls of its methods, and scikit-learn's functions that call them."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in FITS:
            found.append(f"{node.lineno}: .{node.func.attr}(")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
            found += [
                f"{node.lineno}: {arg.value}"
                for arg in node.args
                if isinstance(arg, ast.Constant) and arg.value in FITS
            ]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sklearn"):
            found += [f"{node.lineno}: {alias.name}" for alias in node.names if alias.name in FITTERS]
        elif isinstance(node, ast.Attribute) and node.attr in FITTERS:
            found.append(f"{node.lineno}: {node.attr}")
    return found


def test_modules_never_fit():
    found = {str(path.relative_to(ROOT)): find_fits(path.read_text()) for path in (PACKAGE / "modules").rglob("*.py")}
    assert found
    assert {path: fits for path, fits in found.items() if fits} == {}


@pytest.mark.parametrize(
    "source",
    [
        "pipeline.fit(X, y)",
        "X = scaler.fit_transform(X)",
        "clone(model).partial_fit(X, y)",
        "getattr(model, 'fit')(X, y)",
        "from sklearn.model_selection import GridSearchCV",
        "from sklearn.model_selection import cross_val_score as score",
        "model_selection.cross_val_predict(model, X, y)",
    ],
)
def test_a_fit_in_a_module_is_found(source):
    assert find_fits(f"def run():\n    {source}\n")


def test_what_only_looks_like_a_fit_is_not_found():
    assert (
        find_fits("class Tuning:\n    def fit(self): ...\n\nfits = count_fits(tuning)\nfitting(fit([FitRequest()]))\n")
        == []
    )


# Light start-up, and libraries that only those load who use them


def imported_names(source: str) -> set[str]:
    nodes = list(ast.walk(ast.parse(source)))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}


@pytest.mark.parametrize(("library", "module"), [("mlflow", "tracking"), ("feast", "feature_store")])
def test_a_library_is_imported_by_its_own_module_alone(library, module):
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if any(name.split(".")[0] == library for name in imported_names(path.read_text()))
    }
    assert users
    assert {user for user in users if not re.match(rf"modules/{module}(/|\.py)", user)} == set()


def imported_after(code: str, libraries: set[str] = HEAVY) -> set[str]:
    """Run code in a fresh interpreter and say which of the libraries it imported."""
    code = f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    return libraries & set(json.loads(told.stdout.splitlines()[-1]))


def test_importing_the_package_is_light():
    assert imported_after("import mlwf") == set()


def test_a_heavy_import_is_noticed():
    assert "numpy" in imported_after("import numpy")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["train", "--help"],
        ["validate", "configs/minimal.yaml"],
        ["validate", "configs/production.yaml"],
        ["schema"],
        ["runs", "--runs-dir", "{runs_dir}"],
        ["summary", "r1", "--runs-dir", "{runs_dir}"],
        ["summary", "r1", "--runs-dir", "{runs_dir}", "--format", "json"],
        ["compare", "r1", "latest", "--runs-dir", "{runs_dir}"],
    ],
    ids=" ".join,
)
def test_commands_that_fit_nothing_start_light(arguments, runs_dir):
    (runs_dir / "r1").mkdir(parents=True)
    (runs_dir / "r1" / "state.json").write_text('{"run_id": "r1", "name": "x", "status": "done"}')
    summary = {"run_id": "r1", "name": "x", "status": "done", "seconds": 1.0, "summary": {}}
    (runs_dir / "r1" / "summary.json").write_text(json.dumps(summary))
    assert imported_after(run_command([argument.format(runs_dir=runs_dir) for argument in arguments])) == set()


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["train", "--help"], ["runs"], ["summary", "r1"], ["summary", "latest"]],
    ids=" ".join,
)
def test_commands_that_read_no_experiment_start_without_pydantic(arguments, runs_dir):
    (runs_dir / "r1").mkdir(parents=True)
    (runs_dir / "r1" / "state.json").write_text('{"run_id": "r1", "name": "x", "status": "done"}')
    place = [] if arguments[-1].startswith("--") else ["--runs-dir", str(runs_dir)]
    assert imported_after(run_command([*arguments, *place]), {"mlwf.results", "pydantic", "yaml"}) == set()


def test_pydantic_is_noticed():
    assert imported_after(run_command(["validate", "configs/minimal.yaml"]), {"pydantic"}) == {"pydantic"}


@pytest.mark.parametrize(
    ("section", "library"),
    [
        pytest.param("", set(), id="neither"),
        pytest.param("tracking: {}", {"mlflow"}, id="mlflow", marks=pytest.mark.slow),
        pytest.param(
            "feature_store: {repo_path: repo, features: ['a:b']}", {"feast"}, id="feast", marks=pytest.mark.slow
        ),
    ],
)
def test_train_imports_what_the_experiment_uses(section, library, tmp_path, empty_store):
    shutil.copy(empty_store, tmp_path)
    rows = "".join(f"{label},{size}\n" for size in range(20) for label in "ab")
    (tmp_path / "rows.csv").write_text(f"label,size\n{rows}")
    experiment = f"data: {{path: rows.csv, target: label}}\nmodel: {{algorithm: gaussian_nb}}\n{section}\n"
    (tmp_path / "e.yaml").write_text(experiment)
    # The repo does not know such a feature, and there the run stops.
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "feature_store.yaml").write_text("project: a\nprovider: local\nregistry: registry.db\n")
    code = run_command(
        ["train", str(tmp_path / "e.yaml"), "--runs-dir", str(tmp_path / "runs")], fails="feast" in library
    )
    assert imported_after(code) & {"feast", "mlflow"} == library


def run_command(arguments: list[str], *, fails: bool = False) -> str:
    return f"""
import sys
sys.argv = {["mlwf", *arguments]!r}
from mlwf.cli import main
try:
    main()
except SystemExit as end:
    assert bool(end.code) is {fails}, end.code
"""


# Names and versions


def test_no_file_is_named_for_nothing():
    vague = {"common", "helper", "helpers", "manager", "misc", "util", "utils"}
    paths = [path for folder in (PACKAGE, ROOT / "tests") for path in folder.rglob("*")]
    assert [path for path in paths if path.stem.removeprefix("test_") in vague] == []


def test_nothing_else_stands_at_the_top():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    top = {name.partition("/")[0] for name in listed.splitlines()}
    assert {name for name in top if not name.startswith(".")} == FOLDERS | FILES


def test_files_of_tests_that_are_named_to_come_first_exist():
    assert {*FIRST} - {path.name for path in (ROOT / "tests").rglob("test_*.py")} == set()


def test_every_dependency_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    wanted = {name for name in (*project["dependencies"], *itertools.chain(*extras)) if not name.startswith("mlwf[")}
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", pin)] == []
    pinned = {re.sub(r"[._-]+", "-", pin.partition("==")[0]).lower() for pin in pins}
    assert {re.split(r"[<>=!~\[; ]", name)[0].lower() for name in wanted} - pinned == set()
