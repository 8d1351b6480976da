"""What a run has computed, from which findings are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlwf.results import CalibrationResult, Evaluation, LeakSearch, TuningResult
from mlwf.specs.catalogue import rank_of
from mlwf.specs.tuning import ParamTuningSpec
from mlwf.splitting.rows import Rows, Split, Table


@dataclass(frozen=True, eq=False)
class FindingInputs:
    """The results of a run, and the rows that they were computed on."""

    table: Table
    rows: Rows
    """The rows that are trained on."""
    splits: Sequence[Split]
    """By which the scores of the validation were made; none without one."""
    leaks: LeakSearch | None
    """What the search for leaks found; None where it did not run."""
    identifiers: Mapping[str, str]
    """Why a used column looks like an identifier, by column."""
    evaluations: Sequence[Evaluation]
    """Of the validation and of the test set, where there are such."""
    tuned: TuningResult | None
    tuning: ParamTuningSpec | None
    algorithm: str
    calibration: CalibrationResult | None
    digests: NDArray[np.uint64]
    """One hash for each row of the table, equal for identical rows, of shape (n_samples,)."""
    test_digests: NDArray[np.uint64] | None
    """The same of the test set."""
    degraded: Mapping[str, str]
    """Why a phase degraded, by phase."""

    @property
    def evaluation(self) -> Evaluation | None:
        """The best evaluation: of the test set, else of the hold-out, else of cross-validation."""
        return min(self.evaluations, key=lambda evaluation: rank_of(evaluation.source), default=None)

    @property
    def held_out_rows(self) -> NDArray[np.intp]:
        """Number the rows of the best evaluation: a row that is predicted in several repeats has one number."""
        evaluation = self.evaluation
        n_rows = 0 if evaluation is None else len(evaluation.y)
        if evaluation is not None and evaluation.source == "cross_validation" and self.splits:
            numbers = np.sort(np.concatenate([self.rows.positions_of(split.test) for split in self.splits]))
            assert len(numbers) == n_rows
            return numbers
        return np.arange(n_rows)
