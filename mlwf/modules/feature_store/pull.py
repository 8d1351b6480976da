"""What was joined to label rows, and the pull that a run freezes of it: reruns read that, and need no store."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mlwf.atomic import write_text, writing
from mlwf.errors import DataError, Problem
from mlwf.specs.feature_store import FeatureStoreSpec
from mlwf.text import json_text, pluralize

INDEX = "pull.json"

Part: TypeAlias = Literal["training", "test"]

_HINT = "feature_store.pull: null joins from the store anew"


@dataclass(frozen=True)
class Joined:
    """Label rows with their features."""

    rows: pd.DataFrame
    """The label rows, in their order and with their index and columns, and the feature columns after those."""
    features: tuple[str, ...]
    """Names of the feature columns that were joined."""
    keys: tuple[str, ...]
    """Label columns that are keys of the views; they are features only where the experiment names them."""
    unmatched: dict[str, int]
    """For each view, how many label rows got nothing from it: unknown key, no row yet, or an expired one."""
    time: str | None = None
    """Label column with the time of each row, or None."""

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.rows)


def freeze_pull(spec: FeatureStoreSpec, joined: Joined, folder: Path, part: Part) -> str:
    """Write keys, times and features as Parquet, with what must be the same for it to be read again.

    Returns
    -------
    str
        The SHA-256 of the Parquet file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    named = _named_columns(joined.keys, joined.time)
    columns = joined.rows[[*named, *(name for name in joined.features if name not in named)]]
    target = folder / f"{part}.parquet"
    with writing(target) as draft:
        pq.write_table(pa.Table.from_pandas(columns, preserve_index=False), draft, compression="zstd")
    digest = _file_digest(target)
    entry = {
        "file": target.name,
        "sha256": digest,
        "rows": joined.n_rows,
        "label_rows": _digest(joined.rows, named),
        "asked": _asked(spec),
        "features": joined.features,
        "keys": joined.keys,
        "time": joined.time,
        "unmatched": joined.unmatched,
    }
    index = folder / INDEX
    known = json.loads(index.read_text("utf-8")) if index.exists() else {}
    write_text(index, json_text({**known, part: entry}))
    return digest


def read_pull(spec: FeatureStoreSpec, rows: pd.DataFrame, part: Part) -> Joined:
    """Read what a run has frozen, for the same label rows.

    Raises
    ------
    DataError
        When there is no such pull, its file has changed, or it is of other label rows or features.
    """
    folder = Path(spec.pull or "")
    try:
        entry = json.loads((folder / INDEX).read_text("utf-8"))[part]
        file = folder / entry["file"]
        digest = _file_digest(file)
    except (OSError, ValueError, KeyError) as error:
        raise _refused(f"{folder} has no frozen pull of the {part} rows") from error
    if digest != entry["sha256"]:
        raise _refused(f"{file} has changed since it was frozen")
    if entry["asked"] != _asked(spec):
        raise _refused(f"{folder} was joined from other features, or as of another time")
    named = _named_columns(entry["keys"], entry["time"])
    is_same = len(rows) == entry["rows"] and {*named} <= {*map(str, rows.columns)}
    if not is_same or _digest(rows, named) != entry["label_rows"]:
        about = f"{pluralize(entry['rows'], 'row')} with other {', '.join(named) or 'labels'}"
        raise _refused(f"{folder} was joined to other label rows: {about}")
    features = pq.read_table(file, columns=entry["features"]).to_pandas().set_index(rows.index)
    added = [rows, features[[name for name in features.columns if name not in rows.columns]]]
    return Joined(
        pd.concat(added, axis=1), tuple(entry["features"]), tuple(entry["keys"]), entry["unmatched"], entry["time"]
    )


def _named_columns(keys: Any, time: str | None) -> list[str]:
    return list(dict.fromkeys([*keys, *([] if time is None else [time])]))


def _asked(spec: FeatureStoreSpec) -> dict[str, Any]:
    """Give what decides which values are joined to a row."""
    return spec.model_dump(mode="json", include={"features", "feature_service", "n_features", "timestamp"})


def _digest(rows: pd.DataFrame, columns: list[str]) -> str:
    hashes = pd.util.hash_pandas_object(rows[columns], index=False).to_numpy() if columns else b""
    return hashlib.sha256(bytes(hashes)).hexdigest()


def _file_digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _refused(message: str) -> DataError:
    return DataError(Problem("", "feature_store.pull", message, _HINT))
