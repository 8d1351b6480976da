"""Which suffix means which kind of table."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

Kind = Literal["CSV", "Parquet"]

SUFFIXES: dict[str, Kind] = {
    ".csv": "CSV",
    ".csv.gz": "CSV",
    ".tsv": "CSV",
    ".tsv.gz": "CSV",
    ".txt": "CSV",
    ".txt.gz": "CSV",
    ".parquet": "Parquet",
    ".pq": "Parquet",
}
ACCEPTED = f"accepted: {', '.join(SUFFIXES)}"


def suffix_of(path: Path) -> str:
    """Say the suffix of a table in lower case, `.gz` with the one before it.

    >>> suffix_of(Path("data/Adult.2024.CSV.gz"))
    '.csv.gz'
    """
    last_two = "".join(path.suffixes[-2:]).lower()
    return last_two if last_two.endswith(".gz") else path.suffix.lower()


def default_separator(path: Path) -> str:
    """Say what separates the columns of a CSV file when nothing else is said."""
    return "\t" if suffix_of(path).startswith(".tsv") else ","
