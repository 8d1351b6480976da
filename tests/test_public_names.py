"""What a script names can be imported, and nothing heavy is imported before it is asked for."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mlwf

GUIDE_NAMES = [
    "run_ml_workflow",
    "build_ml_pipeline",
    "get_workflow_summary",
    "FeatureSpec",
    "ClassifierModelSpec",
    "ParamTuningSpec",
    "CalibrationSpec",
    "MLflowSpec",
    "FeatureStoreSpec",
    "GridSearchSpecBuilder",
    "FeatureSpecPipeline",
    "GradientBoostingClassifierImpl",
    "GridSearch",
    "RandomizedSearch",
    "ClassifierCalibration",
    "MLflowTracker",
    "create_tuning",
    "create_calibration",
    "create_mlflow_tracker",
    "create_feast_manager",
]


@pytest.mark.parametrize("name", GUIDE_NAMES)
def test_each_name_is_public(name):
    assert name in mlwf.__all__
    assert callable(getattr(mlwf, name))


@pytest.mark.parametrize("name", mlwf.__all__)
def test_each_public_name_is_found_and_known_to_dir(name):
    assert getattr(mlwf, name).__name__ == name
    assert name in dir(mlwf)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'mlwf' has no attribute 'train'"):
        mlwf.train  # noqa: B018


def test_type_checkers_see_the_names_that_are_resolved():
    tree = ast.parse(Path(mlwf.__file__).read_text("utf-8"))
    seen = {
        alias.name: node.module
        for branch in tree.body
        if isinstance(branch, ast.If)
        for node in branch.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == mlwf._HOME_OF


def test_importing_mlwf_imports_nothing_heavy():
    code = "import sys, mlwf; mlwf.ClassifierModelSpec; print(*sorted(m.split('.')[0] for m in sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"feast", "mlflow", "numpy", "pandas", "sklearn"} & set(said)
    assert "mlwf" in said
