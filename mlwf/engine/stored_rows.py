"""Prepared rows that stay on the disk: a matrix in a file without a name, of which memory holds what it has room for.

A classifier that makes compact bins of its rows, and keeps no other copy of them, is fitted on such a matrix by the
same `fit` as on one in memory, and so to the same bits.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder

from mlwf.errors import MlwfError
from mlwf.evaluation.preparing import transform
from mlwf.splitting.stored_frame import StoredFrame

ENCODERS = (OneHotEncoder, OrdinalEncoder)


def learns_categories_alone(preprocessor: Any) -> bool:
    """Whether all that a fit of a preprocessor learns of the rows is which categories there are."""
    if not isinstance(preprocessor, Pipeline) or not isinstance(preprocessor[0], ColumnTransformer):
        return False
    return all(
        isinstance(step, FunctionTransformer)
        or (isinstance(step, SimpleImputer) and step.strategy == "constant")
        or (isinstance(step, ENCODERS) and step.max_categories is None and step.min_frequency is None)
        for step in _steps(preprocessor)
    )


def fit_on_categories(preprocessor: Any, X: StoredFrame) -> Any:
    """Fit a preprocessor that learns categories alone: on the first row of each category, as if on all rows."""
    encoded = [
        column
        for _, steps, columns in preprocessor[0].transformers
        if any(isinstance(step, ENCODERS) for step in _steps(steps))
        for column in columns
    ]
    rows = {0, *(int(row) for column in encoded for row in np.flatnonzero(~X[column].duplicated().to_numpy()))}
    fitted = clone(preprocessor)
    fitted.fit(X.iloc[np.array(sorted(rows), dtype=np.intp)].in_memory())
    return fitted


def store(preprocessor: Any, X: StoredFrame, folder: Path) -> NDArray[np.float64]:
    """Prepare rows a few at a time, and give them as a matrix in a file that goes when the matrix does.

    Raises MlwfError when there is no room for it in the folder.
    """
    matrix = buffer = None
    for positions, batch in X.batches():
        prepared = transform(preprocessor, batch)
        if matrix is None:
            buffer = _room(len(X) * prepared.shape[1] * 8, folder)
            matrix = np.frombuffer(buffer, dtype=np.float64).reshape(len(X), prepared.shape[1])
        matrix[positions] = prepared
    if matrix is None or buffer is None:
        return np.asarray(preprocessor.transform(X.iloc[:0].in_memory()), dtype=np.float64)
    buffer.flush()
    with suppress(AttributeError, OSError):  # not on every system; the pages can be dropped without it, only later
        buffer.madvise(mmap.MADV_DONTNEED)
    return matrix


def _steps(preprocessor: Any) -> Iterator[Any]:
    if isinstance(preprocessor, Pipeline):
        for _, step in preprocessor.steps:
            yield from _steps(step)
    elif isinstance(preprocessor, ColumnTransformer):
        for _, step, _ in preprocessor.transformers:
            yield from _steps(step)
    else:
        yield preprocessor


def _room(n_bytes: int, folder: Path) -> mmap.mmap:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            # A page that cannot be written later would end the process.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, n_bytes)
            else:
                file.truncate(n_bytes)
            return mmap.mmap(file.fileno(), n_bytes)
    except OSError as error:
        message = f"{folder}: {n_bytes / 1e9:.1f} GB for prepared rows cannot be written: {error.strerror or error}"
        raise MlwfError(message) from error
