from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

DATA = Path(__file__).parent.parent / "configs/data"


def test_adult_is_whole_in_its_two_parts():
    parts = [pd.read_parquet(DATA / name) for name in ("adult.parquet", "adult_test.parquet")]
    assert [len(part) for part in parts] == [39073, 9769]
    assert [part["income"].eq(">50K").mean().round(3) for part in parts] == [0.239, 0.239]
    # The two sets of rows share none but the 52 that the source holds twice.
    assert pd.concat(parts).duplicated().sum() == 52
    assert pd.concat(parts).isna().sum().loc[lambda nulls: nulls > 0].to_dict() == {
        "workclass": 2799,
        "occupation": 2809,
        "native-country": 857,
    }


def test_penguins_are_344_of_three_species_in_two_parts(penguins):
    assert penguins["species"].value_counts().to_dict() == {"Adelie": 152, "Gentoo": 124, "Chinstrap": 68}


@pytest.mark.parametrize("path", [path for path in DATA.iterdir() if path.is_file()], ids=lambda path: path.name)
def test_data_file_is_small_and_its_licence_is_told(path):
    assert path.stat().st_size < 1_000_000
    assert path.name == "README.md" or f"`{path.name}`" in (DATA / "README.md").read_text()
