"""Describe the rows of a run as MLflow's dataset inputs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mlwf.specs.data import IN_MEMORY

_SCHEMA_ROWS = 1000
_LONGEST_DIGEST, _LONGEST_SCHEMA = 36, 1_048_575
"""What MLflow refuses beyond."""

Context = Literal["training", "test"]


@dataclass(frozen=True, eq=False)
class TrackedDataset:
    """Rows that a run used."""

    data: Any = field(repr=False)
    """Raw rows, a DataFrame or an array of shape (n_rows, n_columns)."""
    y: Any = field(repr=False)
    """Labels of the rows."""
    name: str
    digest: str
    """Our digest of all rows: MLflow's own looks at a sample of them."""
    source: str | None = None
    """File or folder that the rows were read from; None for rows in memory."""
    target: str = "target"
    context: Context = "training"

    @property
    def short_digest(self) -> str:
        """As much of the digest as MLflow keeps."""
        return self.digest[:_LONGEST_DIGEST]


def describe_dataset(dataset: TrackedDataset) -> dict[str, Any]:
    """Describe a dataset as MLflow logs it: name, digest, source, columns and size, its context, and no rows."""
    import pandas as pd
    from mlflow.data import from_pandas

    X = dataset.data if hasattr(dataset.data, "columns") else pd.DataFrame(dataset.data)
    head = X.head(_SCHEMA_ROWS).rename(columns=str)
    head[dataset.target] = dataset.y[:_SCHEMA_ROWS]
    known = from_pandas(
        head,
        source=None if dataset.source in {None, IN_MEMORY} else str(Path(str(dataset.source)).absolute()),
        targets=dataset.target,
        name=dataset.name,
        digest=dataset.short_digest,
    ).to_dict()
    if len(known["schema"] or "") > _LONGEST_SCHEMA:
        del known["schema"]
    known["profile"] = json.dumps({"num_rows": len(X), "num_elements": len(X) * head.shape[1]})
    return {"dataset": known, "context": dataset.context}
