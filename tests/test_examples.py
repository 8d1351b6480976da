"""Each example has a README, and its script runs; `test_documents.py` types what the READMEs show."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
STORIES = sorted(path for path in EXAMPLES.iterdir() if path.is_dir())


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_example_tells_its_story_and_its_data(story):
    told = (story / "README.md").read_text()
    for data in [*story.rglob("*.csv"), *story.glob("data/*.parquet")]:
        assert data.name in told or data.stem in told, f"{data.name} is not told of"


def test_titanic_keeps_the_licence_of_its_data():
    assert "Copyright (c) 2019 Oege Dijk" in (EXAMPLES / "titanic/LICENSE").read_text()
    assert "Permission is hereby granted, free of charge" in (EXAMPLES / "titanic/LICENSE").read_text()


def test_python_example_finds_the_species(capsys):
    left = runpy.run_path(str(EXAMPLES / "python/penguins.py"))
    assert left["results"]["cv_score"] > 0.95
    assert left["results"]["test_accuracy"] > 0.95
    assert left["chances"].sum(axis=1).round(6).eq(1).all()
    assert "test_accuracy" in capsys.readouterr().out
