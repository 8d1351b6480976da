"""The fit cache: the predictions and models of fits made before, found again by their key."""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote
from zipfile import ZipFile

import numpy as np

from mlwf.engine.model_file import load_model, save_model
from mlwf.errors import MlwfError, raise_if_bug
from mlwf.evaluation.predictions import Predictions, from_arrays, to_arrays
from mlwf.processes import is_running, this_process
from mlwf.results import CacheSize

FORMAT = 1
"""Counted up when files of another layout or content are written; entries of other formats are removed."""
CACHEDIR_TAG = """Signature: 8a477f597d28d172789f06886806bc55
# This file is a cache directory tag created by mlwf: the folder may be deleted, and its fits are then made again.
# For information about cache directory tags, see https://bford.info/cachedir/
"""
ATTEMPTS = 20
"""How often to try to write an entry into a folder that other processes clear."""
SECONDS_OF_A_DRAFT = 86_400.0
"""Age after which a draft is removed although it is unknown whether its process, on another host, still runs."""


@dataclass(frozen=True, eq=False)
class CacheEntry:
    """What is known of a fit."""

    predictions: tuple[Predictions, ...] = field(repr=False)
    """In the order of the requested rows."""
    fit_seconds: float
    predict_seconds: float
    warnings: tuple[tuple[str, str], ...] = ()
    """What was warned of meanwhile: the category and the message."""


class FitCache:
    """The predictions of fits, and some of their models, in a folder for any number of threads and processes at once.

    Whatever happens, an entry is complete or absent. Nothing here raises because of the folder: what cannot be read
    counts as absent, and `trouble` has why something could not be written.

    Parameters
    ----------
    folder
        Made when the first entry is written.
    most_bytes
        What `prune` leaves.
    fresh
        Whether only what this object put there is found.
    """

    def __init__(self, folder: Path, *, most_bytes: int = 2 * 1024**3, fresh: bool = False) -> None:
        self.folder = folder
        self.most_bytes = most_bytes
        self.fresh = fresh
        self.trouble: str | None = None
        """Why the first entry of those that could not be written was not, in one line."""
        self._home = folder / f"v{FORMAT}"
        self._used: set[str] = set()

    def find(self, key: str, rows: Sequence[str]) -> CacheEntry | None:
        """Give the predictions of a fit for the rows of these digests; None unless all of them are there.

        Without rows it is found when any predictions of the fit are there.
        """
        if not rows:
            return self._find_any(key)
        entries: list[CacheEntry] = []
        for digest in rows:
            entry = self._read(self._place(key, f".{digest}.npz"))
            if entry is None:
                return None
            entries.append(entry)
        return CacheEntry(
            predictions=tuple(made for entry in entries for made in entry.predictions),
            # Predictions of a model that was loaded came without fitting: that part took no time.
            fit_seconds=max(entry.fit_seconds for entry in entries),
            predict_seconds=sum(entry.predict_seconds for entry in entries),
            warnings=tuple(dict.fromkeys(warned for entry in entries for warned in entry.warnings)),
        )

    def put(
        self,
        key: str,
        predictions: Mapping[str, Predictions],
        *,
        fit_seconds: float,
        predict_seconds: float,
        warnings: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Add predictions of a fit, by the digest of the rows, and what was warned of meanwhile.

        Nothing is written of classes that are neither numbers, nor booleans, nor texts.
        """
        parts: dict[str, tuple[Predictions, ...]] = {digest: (made,) for digest, made in predictions.items()}
        parts = parts or {"": ()}
        for digest, part in parts.items():
            content = pack(CacheEntry(part, fit_seconds, predict_seconds / len(parts), tuple(warnings)))
            if content is not None:
                self._write(self._place(key, f".{digest}.npz"), partial(Path.write_bytes, data=content))

    def find_model(self, key: str) -> Any | None:
        """Load the model of a fit; None when there is none that can be loaded."""
        path = self._place(key, ".skops")
        if not self._may_use(path):
            return None
        try:
            model = load_model(path)
        except MlwfError as error:
            if not isinstance(error.__cause__, OSError):
                _remove(path)
            return None
        self._touch(path)
        return model

    def has_model(self, key: str) -> bool:
        """Tell whether there is a model of a fit, without loading it."""
        path = self._place(key, ".skops")
        with suppress(OSError):
            return self._may_use(path) and path.is_file()
        return False

    def put_model(self, key: str, model: Any) -> None:
        """Keep the model of a fit, unless it is one that skops cannot save."""
        with suppress(MlwfError):
            self._write(self._place(key, ".skops"), lambda draft: _save(model, draft))

    def size(self) -> CacheSize:
        """Count the fits and the models, and add up their files."""
        entries = [(path, status) for path, status in _files(self._home) if not _is_draft(path)]
        return CacheSize(
            n_fits=len({path.name.partition(".")[0] for path, _ in entries if path.suffix == ".npz"}),
            n_models=sum(path.suffix == ".skops" for path, _ in entries),
            n_bytes=sum(status.st_size for _, status in entries),
        )

    def clear(self) -> None:
        """Remove everything; what another process writes meanwhile may stay, and what cannot be removed does."""
        for home in self._formats():
            shutil.rmtree(home, ignore_errors=True)
        self._used.clear()
        with suppress(OSError):
            (self.folder / "CACHEDIR.TAG").unlink(missing_ok=True)
            self.folder.rmdir()

    def prune(self) -> None:
        """Remove the entries that were not used for longest until the rest fits into `most_bytes`.

        Those that this object put or found stay. Drafts of processes that were killed go, and other formats too.
        """
        for home in self._formats():
            if home != self._home:
                shutil.rmtree(home, ignore_errors=True)
        entries = []
        for path, status in _files(self._home):
            if not _is_draft(path):
                entries.append((status.st_mtime_ns, path, status.st_size))
            elif _is_given_up(path, status):
                _remove(path)
        excess = sum(n_bytes for _, _, n_bytes in entries) - self.most_bytes
        for _, path, n_bytes in sorted(entries):
            if excess <= 0:
                break
            if path.name not in self._used:
                _remove(path)
                excess -= n_bytes

    def _place(self, key: str, ending: str) -> Path:
        return self._home / key[:2] / f"{key}{ending}"

    def _formats(self) -> list[Path]:
        with suppress(OSError):
            return [path for path in self.folder.iterdir() if re.fullmatch(r"v\d+", path.name)]
        return []

    def _may_use(self, path: Path) -> bool:
        return not self.fresh or path.name in self._used

    def _find_any(self, key: str) -> CacheEntry | None:
        names = [path for path, _ in _files(self._home / key[:2]) if path.name.startswith(f"{key}.")]
        entries = (self._read(path) for path in sorted(names) if path.suffix == ".npz")
        return next(
            (CacheEntry((), entry.fit_seconds, 0.0, entry.warnings) for entry in entries if entry is not None), None
        )

    def _read(self, path: Path) -> CacheEntry | None:
        if not self._may_use(path):
            return None
        try:
            content = path.read_bytes()
        except OSError:
            return None
        entry = unpack(content)
        if entry is None:
            _remove(path)
        else:
            self._touch(path)
        return entry

    def _touch(self, path: Path) -> None:
        self._used.add(path.name)
        with suppress(OSError):
            os.utime(path)

    def _write(self, path: Path, write: Callable[[Path], object]) -> None:
        try:
            for attempt in range(ATTEMPTS):
                try:
                    self._make(path.parent)
                    _replace(path, write)
                except (FileNotFoundError, FileExistsError):
                    # Another process clears the cache; mkdir raises FileExistsError for a folder that goes just then.
                    if attempt == ATTEMPTS - 1:
                        raise
                else:
                    break
        except OSError as error:
            reason = error.strerror or error
            self.trouble = self.trouble or f"{self.folder}: the fit cache cannot be written: {reason}"
        else:
            self._used.add(path.name)

    def _make(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        tag = self.folder / "CACHEDIR.TAG"
        if not tag.exists():
            _replace(tag, lambda draft: draft.write_text(CACHEDIR_TAG))


def pack(entry: CacheEntry) -> bytes | None:
    """Write the predictions of a fit for some rows as an .npz file; None when it would not come back to the bit."""
    parts: dict[str, Any] = {}
    for predictions in entry.predictions:
        parts |= to_arrays(predictions)
    if entry.warnings:
        parts["warnings"] = np.array(entry.warnings, dtype=np.str_)
    # Of these kinds nothing is pickled.
    if any(part is None or part.dtype.kind not in "biufU" for part in parts.values()):
        return None
    content = BytesIO()
    # Their number, since a zip file whose list of members is damaged may seem to have fewer.
    np.savez(content, about=np.array([entry.fit_seconds, entry.predict_seconds, len(parts)]), **parts)
    return content.getvalue()


def unpack(content: bytes) -> CacheEntry | None:
    """Read an entry; None when it is damaged."""
    try:
        # Members first: numpy would make room for whatever a damaged header says, before any checksum is known.
        with ZipFile(BytesIO(content)) as archive:
            members = {name.removesuffix(".npy"): archive.read(name) for name in archive.namelist()}
        parts = {name: np.load(BytesIO(member), allow_pickle=False) for name, member in members.items()}
    except Exception as error:  # what is raised depends on the bytes, and these can be anything
        raise_if_bug(error)
        return None
    try:
        fit_seconds, predict_seconds, n_parts = parts.pop("about").tolist()
        if len(parts) != n_parts:
            return None
        warned = tuple(map(tuple, parts.pop("warnings").tolist())) if "warnings" in parts else ()
        if not parts:
            return CacheEntry((), fit_seconds, predict_seconds, warned)
        predictions = from_arrays(parts)
    except (ArithmeticError, LookupError, TypeError, ValueError):  # undamaged members, and not those of an entry
        return None
    return CacheEntry((predictions,), fit_seconds, predict_seconds, warned)


def _save(model: Any, draft: Path) -> None:
    try:
        save_model(model, draft)
    except MlwfError as error:
        if isinstance(error.__cause__, OSError):
            raise error.__cause__ from None
        raise


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    draft = path.with_name(f".{_author(os.getpid())},{threading.get_ident()}")
    try:
        write(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@cache
def _author(pid: int) -> str:
    """Describe this process in a file's name; a fork of it has another pid, and another name."""
    process = this_process()
    return quote(f"{pid} {process['namespace']} {process['start']}", safe="")


def _is_draft(path: Path) -> bool:
    return path.name.startswith(".")


def _is_given_up(draft: Path, status: os.stat_result) -> bool:
    """Tell whether the process that wrote a draft has ended."""
    words = unquote(draft.name.lstrip(".").partition(",")[0]).split(" ", 2)
    runs = is_running(dict(zip(("pid", "namespace", "start"), words, strict=False)))
    return time.time() - status.st_mtime > SECONDS_OF_A_DRAFT if runs is None else not runs


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """List the files below a folder, but those that disappear meanwhile."""
    for home, _, names in os.walk(folder):
        for path in map(Path(home).joinpath, names):
            try:
                status = path.stat()
            except OSError:
                continue
            yield path, status


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
