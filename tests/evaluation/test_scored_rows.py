"""The rows that were scored come back from a file as they were."""

from __future__ import annotations

import numpy as np
import pytest

from mlwf.evaluation.scored_rows import MOST_DOUBLES, ScoredRows, read_scored_rows, to_arrays


def make_rows(n_rows: int = 4) -> ScoredRows:
    chance = np.linspace(0, 1, n_rows)
    y = np.arange(n_rows) % 2
    proba = np.column_stack([1 - chance, chance])
    return ScoredRows(np.array(["a", "b"]), y, y[::-1], proba, weight=y.astype(float), index=np.arange(n_rows))


def test_rows_are_read_as_they_were_written(tmp_path):
    rows = make_rows()
    np.savez_compressed(tmp_path / "rows.npz", **to_arrays(rows))
    read = read_scored_rows(tmp_path / "rows.npz")
    assert {name: values for name, values in vars(read).items() if values is None} == {"decision": None, "units": None}
    for name, values in to_arrays(rows).items():
        np.testing.assert_array_equal(getattr(read, name), values, strict=True)


@pytest.mark.parametrize(
    "content", [None, b"", b"PK\x03\x04 half a file", b"text"], ids=["none", "empty", "half", "text"]
)
def test_a_file_that_is_broken_or_not_there_reads_as_none(tmp_path, content):
    if content is not None:
        (tmp_path / "rows.npz").write_bytes(content)
    assert read_scored_rows(tmp_path / "rows.npz") is None


def test_rows_without_weight_do_not_count():
    assert make_rows().weighted().index.tolist() == [1, 3]
    assert len(make_rows()) == 4


def test_very_many_probabilities_are_kept_in_single_precision():
    assert to_arrays(make_rows(MOST_DOUBLES // 2 + 1))["proba"].dtype == np.float32
    assert to_arrays(make_rows(10))["proba"].dtype == np.float64
