"""Paths on object stores, such as `s3://bucket/table.parquet`: copied here to be read, and written whole."""

from __future__ import annotations

import errno
import re
import secrets
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from glob import has_magic
from pathlib import Path
from typing import Any

from mlwf import atomic
from mlwf.errors import DataError, DataUnreachableError, MlwfError, Problem, closest, raise_if_bug

PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs"}
"""The fsspec file system of each scheme; the extras are named as the schemes."""
OPTIONS: dict[str, dict[str, Any]] = {"s3": {"config_kwargs": {"connect_timeout": 10, "retries": {"max_attempts": 2}}}}
LOGIN_HINTS = {
    "s3": "give them as the AWS tools take them, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "give them as Google's tools take them, such as GOOGLE_APPLICATION_CREDENTIALS",
    "az": "give them as AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or as Azure's own tools take them",
}

# What the clients raise has no type in common, and belongs to packages that may be absent: its names are compared.
NO_LOGIN = {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "DefaultCredentialsError"}
REFUSED = {"PermissionError", "ClientAuthenticationError", "TokenRetrievalError", "SSOTokenLoadError"}
UNREACHABLE = {"HTTPClientError", "ClientConnectionError", "ServiceRequestError", "ConnectionError", "TimeoutError"}

_ADDRESS = re.compile(rf"({'|'.join(PACKAGES)}):/{{1,2}}(?=[^/])")


def address_of(path: str | Path) -> str | None:
    """Give the address that a path is on an object store; None for any other path.

    >>> address_of(Path("s3://bucket/table.csv")), address_of("data/table.csv")
    ('s3://bucket/table.csv', None)
    """
    # A Path has dropped one of the two slashes.
    found = _ADDRESS.match(str(path))
    return f"{found[1]}://{str(path)[found.end() :]}" if found else None


def fetch(address: str) -> Path:
    """Copy the file, the folder or what a glob matches to this machine, once for this process, and give its place.

    Of a folder that is its files, and those in folders of it named `key=value`. The copies go when the process ends.

    Raises
    ------
    DataError
        Where nothing is there, it may not be read, or the extra of the store is not installed.
    DataUnreachableError
        The store does not answer.
    """
    scheme, name = address.split("://")
    with _COPYING:
        if address not in _copied:
            with told(address):
                files = _open(address)
                names = _names(files, address, name.rstrip("/"))
                targets = [str(_copies() / scheme / each) for each in names]
                for target in targets:
                    Path(target).parent.mkdir(parents=True, exist_ok=True)
                files.get(names, targets)
            _copied.add(address)
    return _copies() / scheme / name


@contextmanager
def named_as_stored() -> Iterator[None]:
    """Name copies by the addresses that they are copies of, in what is said of the data."""
    try:
        yield
    except DataError as error:
        if not _copied:
            raise
        raise type(error)(map(_as_stored, error.problems)) from error


def check_writable(address: str) -> None:
    """Raise what would keep a file from being written at an address, by writing and removing one beside it."""
    folder = address.rpartition("/")[0]
    with told(address):
        files = _open(address)
        probe = f"{folder.partition('://')[2]}/.mlwf-{secrets.token_hex(4)}"
        files.pipe_file(probe, b"")
        with suppress(Exception):  # to write is not always to remove
            files.rm_file(probe)


@contextmanager
def writing(path: str | Path) -> Iterator[Path]:
    """Give a file to write to, which becomes that of a path, on a store or not; nothing when the block raises."""
    address = address_of(path)
    if address is None:
        with atomic.writing(Path(path)) as draft:
            yield draft
        return
    with tempfile.TemporaryDirectory(prefix="mlwf-") as folder:
        draft = Path(folder, address.rpartition("/")[2])
        yield draft
        with told(address):
            _open(address).put_file(str(draft), address.partition("://")[2])


def remove_copies() -> None:
    """Remove what was copied."""
    global _folder
    with _COPYING:
        if _folder is not None:
            shutil.rmtree(_folder, ignore_errors=True)
        _folder = None
        _copied.clear()


@contextmanager
def told(address: str) -> Iterator[None]:
    """Say in our words what keeps a store from doing what is asked."""
    try:
        yield
    except MlwfError:
        raise
    except Exception as error:
        raise_if_bug(error)
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise _worded(address, error) from error


_COPYING = threading.RLock()
_copied: set[str] = set()
_folder: Path | None = None


def _copies() -> Path:
    global _folder
    if _folder is None:
        import atexit

        _folder = Path(tempfile.mkdtemp(prefix="mlwf-"))
        atexit.register(remove_copies)
    return _folder


def _open(address: str) -> Any:
    scheme = address.partition("://")[0]
    try:
        import fsspec

        __import__(PACKAGES[scheme])
    except ImportError as error:
        message = f"{scheme}:// needs the extra: pip install 'mlwf[{scheme}]'"
        raise DataError(Problem(address, "", message)) from error
    return fsspec.filesystem(scheme, use_listings_cache=False, **OPTIONS.get(scheme, {}))


def _names(files: Any, address: str, name: str) -> list[str]:
    """List the files at an address."""
    if has_magic(name):
        names = [each for each, info in files.glob(name, detail=True).items() if info["type"] == "file"]
    else:
        try:
            is_file = files.info(name)["type"] == "file"
        except FileNotFoundError as error:
            raise _absent(files, address, name) from error
        names = [name] if is_file else [each for each in files.find(name) if _is_of_table(each[len(name) + 1 :])]
    if not names and not files.exists(name.partition("/")[0]):
        raise _absent(files, address, name)
    return names


def _is_of_table(inside: str) -> bool:
    *folders, file = inside.split("/")
    return all("=" in folder for folder in folders) and not file.startswith(("_", "."))


def _absent(files: Any, address: str, name: str) -> DataError:
    bucket, _, key = name.partition("/")
    if not files.exists(bucket):
        return DataError(Problem(address, "", f"there is no bucket {bucket}"))
    hint = ""
    if key:
        with suppress(FileNotFoundError):
            there = [each.rstrip("/").rpartition("/")[2] for each in files.ls(name.rpartition("/")[0], detail=False)]
            close = closest(name.rpartition("/")[2], there)
            hint = f"did you mean {close}?" if close else ""
    return DataError(Problem(address, "", "no such file", hint))


def _worded(address: str, error: Exception) -> DataError:
    kinds = {kind.__name__ for kind in type(error).__mro__}
    reason = str(error).partition("\n")[0] or type(error).__name__
    scheme, _, name = address.partition("://")
    if kinds & NO_LOGIN:
        return DataError(Problem(address, "", "there are no credentials for its store", LOGIN_HINTS[scheme]))
    if kinds & REFUSED:
        return DataError(Problem(address, "", f"permission denied ({reason})"))
    if isinstance(error, FileNotFoundError):
        return DataError(Problem(address, "", f"there is no bucket {name.partition('/')[0]}"))
    if kinds & UNREACHABLE:
        return DataUnreachableError(Problem(address, "", f"its store does not answer ({reason})"))
    return DataUnreachableError(Problem(address, "", f"its store refuses ({type(error).__name__}: {reason})"))


def _as_stored(problem: Problem) -> Problem:
    where, message, hint = map(_stored_names, (problem.where, problem.message, problem.hint))
    return replace(problem, where=where, message=message, hint=hint)


def _stored_names(text: str) -> str:
    for scheme in PACKAGES:
        text = text.replace(f"{_copies()}/{scheme}/", f"{scheme}://")
    return text
