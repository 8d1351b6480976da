"""Files that are there whole or not at all."""

from __future__ import annotations

import errno

import pytest

from mlwf.atomic import write_text, writing


def test_a_file_is_there_when_the_block_ends(tmp_path):
    with writing(tmp_path / "a.csv.gz") as draft:
        draft.write_text("x")
        assert draft.name.endswith(".csv.gz")
        assert not (tmp_path / "a.csv.gz").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv.gz"]


def write_half(draft):
    draft.write_text("half")
    raise KeyError


def test_a_block_that_raises_leaves_the_old_file_alone(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(KeyError), writing(tmp_path / "a") as draft:
        write_half(draft)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "old")]


def test_an_error_of_the_disk_names_the_file(tmp_path):
    with pytest.raises(OSError, match="No space") as caught, writing(tmp_path / "a"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path / "a")


def test_a_name_as_long_as_a_file_system_takes_can_be_written(tmp_path):
    write_text(tmp_path / ("ö" * 127), "x\udcff")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["x\\udcff"]
