"""Paths on object stores, such as `s3://bucket/table.parquet`: copied here to be read, and written whole.

Runs are made in a folder of this machine, since a store can neither rename nor append; each file is sent when it is
whole.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from glob import has_magic
from pathlib import Path
from typing import Any

from mlwf import atomic
from mlwf.errors import DataError, DataUnreachableError, MlwfError, Problem, closest, raise_if_bug
from mlwf.processes import is_running

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

STATE, SUMMARY = "state.json", "summary.json"
FIRST = (STATE, SUMMARY)
"""The files of a run that a list of runs is made of."""
LAST = (SUMMARY, STATE)
"""The files of a run that say how it ended, sent when all others are there."""

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


def runs_here(runs_dir: Path) -> Path:
    """Give the folder on this machine of runs that are kept on a store, with what all say of themselves; else as it is.

    What ended here and was not sent is sent; see `fetch` for what is raised.
    """
    address = address_of(runs_dir)
    if address is None:
        return runs_dir
    scheme, name = address.rstrip("/").split("://")
    here = _mirrors() / scheme / name
    with told(address):
        files = _open(address)
        there = _runs_there(files, name)
        for run in sorted(each for each in here.glob("[!.]*") if each.is_dir()):
            if run.name in there or _pending(run):
                _send(files, run)
            elif _record(run):
                shutil.rmtree(run)
        for run_id, listed in there.items():
            _take(files, here / run_id, {file: mark for file, mark in listed.items() if file in FIRST})
    here.mkdir(parents=True, exist_ok=True)
    return here


def fetch_run(run: Path) -> None:
    """Copy all files of a run that is kept on a store to its folder on this machine."""
    if address := _address_of_run(run):
        with told(address):
            files, name = _open(address), address.partition("://")[2]
            _take(files, run, _runs_there(files, name.rpartition("/")[0], run.name).get(run.name, {}))


def send_file(run: Path, name: str) -> None:
    """Send a file of a run that goes to a store; where that fails it is sent with the next one, or at the end."""
    address = _address_of_run(run)
    if address and name not in LAST:
        with suppress(DataError), told(address):
            _send(_open(address), run, goes_on=True)


def send_run(run: Path) -> None:
    """Send what has not been sent of a run that goes to a store; how it ended comes last."""
    if address := _address_of_run(run):
        try:
            with told(address):
                _send(_open(address), run)
        except DataError as error:
            hint = f"the run is whole in {run}, and the next command on these runs sends it"
            raise DataUnreachableError(replace(error.problems[0], hint=hint)) from error


def remove_run(run: Path) -> None:
    """Remove a run from the store where it is kept."""
    if address := _address_of_run(run):
        with told(address):
            files, name = _open(address), address.partition("://")[2]
            # Without these two it is no run any more, should the rest be interrupted.
            for file in [*LAST, ""]:
                with suppress(FileNotFoundError):
                    files.rm(f"{name}/{file}".rstrip("/"), recursive=not file)
            _record_file(run).unlink(missing_ok=True)


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


def _mirrors() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "mlwf")


def _address_of_run(run: Path) -> str | None:
    if not run.is_relative_to(_mirrors()) or run.name.startswith("."):
        return None
    scheme, *names = run.relative_to(_mirrors()).parts
    return f"{scheme}://{'/'.join(names)}"


def _runs_there(files: Any, name: str, run_id: str = "") -> dict[str, dict[str, str]]:
    """List the files of each run on a store, with a mark that changes with their content."""
    found: dict[str, dict[str, str]] = {}
    try:
        listed = files.find(f"{name}/{run_id}".rstrip("/"), detail=True)
    except FileNotFoundError:
        if files.exists(name.partition("/")[0]):
            return {}
        raise
    for file, info in listed.items():
        run, _, inside = file[len(name) + 1 :].partition("/")
        if inside:
            found.setdefault(run, {})[inside] = _mark(info)
    return {run: inside for run, inside in found.items() if STATE in inside}


def _mark(info: Mapping[str, Any]) -> str:
    """Give what changes with the content of a stored file, as its store calls it."""
    return str(info.get("ETag") or info.get("etag") or info.get("md5Hash") or info.get("last_modified") or info["size"])


def _record_file(run: Path) -> Path:
    return run.parent / ".stored" / f"{run.name}.json"


def _record(run: Path) -> dict[str, Any]:
    """Read what is the same here and on the store: each file's mark there, and its size and time here."""
    try:
        found: dict[str, Any] = json.loads(_record_file(run).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def _write_record(run: Path, record: Mapping[str, Any]) -> None:
    _record_file(run).parent.mkdir(parents=True, exist_ok=True)
    atomic.write_text(_record_file(run), json.dumps(record))


def _look(file: Path) -> list[int]:
    found = file.stat()
    return [found.st_size, found.st_mtime_ns]


def _pending(run: Path) -> list[str]:
    """List the files of a run that are not on the store as they are here; how it stands comes last."""
    record = _record(run)
    drafts = {each for each in run.rglob("*") if each.is_file() and not each.name.startswith(".")}
    files = sorted(each.relative_to(run).as_posix() for each in drafts)
    changed = [file for file in files if record.get(file, {}).get("here") != _look(run / file)]
    return sorted(changed, key=lambda file: LAST.index(file) if file in LAST else -1)


def _send(files: Any, run: Path, *, goes_on: bool = False) -> None:
    """Send what is new; of a run that goes on, of how it stands only that it has begun."""
    address = _address_of_run(run) or ""
    record = _record(run)
    pending = _pending(run)
    if not goes_on and STATE in pending and _is_under_way(run):
        return
    for file in pending:
        if goes_on and (file == SUMMARY or (file == STATE and STATE in record)):
            continue
        look, target = _look(run / file), f"{address.partition('://')[2]}/{file}"
        files.put_file(str(run / file), target)
        record[file] = {"there": _mark(files.info(target)), "here": look}
        _write_record(run, record)


def _is_under_way(run: Path) -> bool:
    try:
        state = json.loads((run / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return True
    return state.get("status") == "running" and is_running(state.get("process", {})) is not False


def _take(files: Any, run: Path, listed: Mapping[str, str]) -> None:
    """Copy what is new on the store; what is newer here stays."""
    record, pending = _record(run), _pending(run) if run.is_dir() else []
    new = [
        file
        for file, mark in listed.items()
        if file not in pending and (record.get(file, {}).get("there") != mark or not (run / file).exists())
    ]
    if not new:
        return
    address = _address_of_run(run) or ""
    for file in new:
        (run / file).parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".taken-", dir=run.parent) as drafts:
        taken = [str(Path(drafts, str(number))) for number in range(len(new))]
        files.get([f"{address.partition('://')[2]}/{file}" for file in new], taken)
        for file, draft in zip(new, taken, strict=True):
            Path(draft).replace(run / file)
            record[file] = {"there": listed[file], "here": _look(run / file)}
    _write_record(run, record)


def _as_stored(problem: Problem) -> Problem:
    where, message, hint = map(_stored_names, (problem.where, problem.message, problem.hint))
    return replace(problem, where=where, message=message, hint=hint)


def _stored_names(text: str) -> str:
    for scheme in PACKAGES:
        text = text.replace(f"{_copies()}/{scheme}/", f"{scheme}://")
    return text
