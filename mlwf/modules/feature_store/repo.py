"""The Feast repo on disk: created and applied from declared views, or opened as another tool wrote it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from mlwf.atomic import write_text
from mlwf.errors import ConfigError, FeatureStoreError, Problem, raise_if_bug
from mlwf.modules.feature_store.declared import Declared, build_definitions, declare, prepare_copy
from mlwf.processes import SharedState
from mlwf.specs.feature_store import FeatureStoreSpec, FeatureViewSpec
from mlwf.text import describe_error

logger = logging.getLogger(__name__)

CONFIG = "feature_store.yaml"
MARKER = ".mlwf.json"
LOCK = ".mlwf.lock"

_REGISTRY = "data/registry.db"
_ONLINE = "data/online_store.db"
_SQLITE_SIDECARS = ("-journal", "-wal", "-shm")


def prepare_repo(spec: FeatureStoreSpec) -> None:
    """Create the repo and apply the declared views, when the spec asks for it.

    What was applied before is kept; views whose definition or source schema changed are applied anew. Processes that
    prepare the same repo take turns, because Feast's registry file silently loses concurrent applies.

    Raises
    ------
    ConfigError
        When mlwf did not create the repo, or there is nothing to create it from.
    DataError
        When a declared source cannot be used as the spec says.
    FeatureStoreError
        When Feast refuses.
    """
    repo = Path(spec.repo_path)
    if not spec.should_initialize() or _is_settled_by_another(spec, repo):
        return
    if not spec.views:
        raise ConfigError(Problem("", "feature_store.views", f"no view is declared to create {repo} from"))
    try:
        repo.mkdir(parents=True, exist_ok=True)
        with _locked(repo, fcntl.LOCK_EX):
            if spec.force_recreate:
                _delete_what_was_created(repo)
            _create_and_apply(repo, spec.views)
    except OSError as error:
        raise FeatureStoreError(f"{repo}: the feature repo cannot be written: {error.strerror or error}") from error


@contextmanager
def opened(repo_path: str | Path, *, changing: bool = False) -> Iterator[Any]:
    """Open a repo as a `feast.FeatureStore`, and hold off other processes that would apply to it meanwhile.

    With `changing` it holds off those as well that read. Nothing is written to a repo that mlwf did not create.

    Raises
    ------
    FeatureStoreError
        When there is no repo, its registry is missing, damaged or empty, or Feast refuses.
    """
    repo = Path(repo_path)
    if not (repo / CONFIG).is_file():
        what = f"no {CONFIG} in it" if repo.is_dir() else "no such folder"
        raise FeatureStoreError(
            f"feature_store.repo_path: {repo} is no Feast repo: {what}; correct the path, "
            "or create the repo with feature_store.initialize: true and feature_store.views"
        )
    if (repo / MARKER).is_file():
        with _locked(repo, fcntl.LOCK_EX if changing else fcntl.LOCK_SH):
            marker = _read_marker(repo)
            if not marker.get("applied"):
                hint = "feature_store.initialize: true finishes it"
                raise FeatureStoreError(f"{repo}: the creation of this feature repo was interrupted; {hint}")
            _warn_of_stale_copies(repo, marker)
            yield _open(repo)
    else:
        yield _open(repo)


def quiet_feast() -> AbstractContextManager[None]:
    """Keep Feast's prints, progress bars and deprecation warnings from the user."""
    return _QUIET.held()


@contextmanager
def _silenced() -> Iterator[None]:
    with (
        Path(os.devnull).open("w") as nowhere,
        redirect_stdout(nowhere),
        redirect_stderr(nowhere),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


_QUIET = SharedState(_silenced)
"""Streams and warning filters belong to the process, not to a thread."""


def _is_settled_by_another(spec: FeatureStoreSpec, repo: Path) -> bool:
    """Whether mlwf did not create the repo, which is then used as it is; raises ConfigError when it would change."""
    if (repo / MARKER).is_file() or not (repo / CONFIG).exists():
        return False
    if spec.force_recreate:
        message = f"mlwf did not create {repo}, so it does not delete it"
        raise ConfigError(
            Problem("", "feature_store.force_recreate", message, "leave it out, or name another repo_path")
        )
    if spec.views:
        message = f"mlwf did not create {repo}, so it applies no views to it"
        raise ConfigError(Problem("", "feature_store.views", message, "leave them out, or name another repo_path"))
    return True


@contextmanager
def _locked(repo: Path, kind: int) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            lock = stack.enter_context((repo / LOCK).open("a"))
        except OSError:
            # A reader of a folder that cannot be written to needs no lock: no process can apply there either.
            if kind != fcntl.LOCK_SH:
                raise
        else:
            fcntl.flock(lock, kind)
        yield


def _create_and_apply(repo: Path, views: Sequence[FeatureViewSpec]) -> None:
    marker = _read_marker(repo)
    declared = [declare(position, view, repo) for position, view in enumerate(views)]
    declared = Declared.all_or_every_problem(declared)
    digest = hashlib.sha256(json.dumps([view.identity for view in declared]).encode()).hexdigest()
    if marker.get("applied") == digest and (repo / _REGISTRY).is_file() and (repo / CONFIG).is_file():
        return
    if not marker.get("applied"):
        # A process was killed while it created the repo: its registry may be half written.
        (repo / _REGISTRY).unlink(missing_ok=True)
    copies = dict(marker.get("copies", {}))
    copies.update({view.copy: view.source_state for view in declared if view.copy})
    _write_marker(repo, applied=None, copies=copies)
    _write(repo / CONFIG, _CONFIG_TEXT.format(project=_project_name(repo)))
    (repo / _REGISTRY).parent.mkdir(exist_ok=True)
    for view in declared:
        prepare_copy(view, repo)
    store = _feast_store(repo)
    try:
        with quiet_feast():
            store.apply(build_definitions(declared))
    except Exception as error:
        raise_if_bug(error)
        hint = "feature_store.force_recreate: true starts over"
        raise FeatureStoreError(
            f"{repo}: Feast refuses the declared views: {describe_feast_error(error)}; {hint}"
        ) from error
    _write_marker(repo, applied=digest, copies=copies)
    logger.info("Applied %d feature views to %s", len(declared), repo)


def _delete_what_was_created(repo: Path) -> None:
    """Delete the files that mlwf wrote, and leave what else lies in the folder."""
    if not (repo / MARKER).is_file():
        return
    copies = _read_marker(repo).get("copies", {})
    sidecars = [_ONLINE + suffix for suffix in _SQLITE_SIDECARS]
    for name in [CONFIG, _REGISTRY, _ONLINE, *sidecars, *copies, MARKER]:
        (repo / name).unlink(missing_ok=True)


def _open(repo: Path) -> Any:
    store = _feast_store(repo)
    registry = store.config.registry
    missing = f"{repo}: feast apply has not been run there, or the registry lies elsewhere"
    path = _registry_file(repo, registry)
    if path is not None and (not path.is_file() or not path.stat().st_size):
        # Feast would create an empty one in silence.
        raise FeatureStoreError(f"{path}: the registry {'is empty' if path.is_file() else 'does not exist'}; {missing}")
    try:
        with quiet_feast():
            views = store.list_all_feature_views()
            others = sorted(project.name for project in store.registry.list_projects())
    except Exception as error:
        where = path if path is not None else f"{repo}: registry {registry.path}"
        raise FeatureStoreError(f"{where}: the registry cannot be read: {describe_feast_error(error)}") from error
    if not views:
        others = [name for name in others if name != store.project]
        reason = f"it holds the project {', '.join(others)}" if others else missing
        raise FeatureStoreError(f"{repo}: the registry has no feature views of the project {store.project}; {reason}")
    return store


def _feast_store(repo: Path) -> Any:
    with quiet_feast():
        import feast

        try:
            return feast.FeatureStore(repo_path=str(repo))
        except Exception as error:
            raise FeatureStoreError(f"{repo / CONFIG}: Feast cannot use it: {describe_feast_error(error)}") from error


def _registry_file(repo: Path, registry: Any) -> Path | None:
    """Return the file that holds the registry, or None when it is no local file."""
    path = str(registry.path)
    if path.startswith("sqlite:///"):
        return Path(path.removeprefix("sqlite:///"))
    is_local = registry.registry_type == "file" and "://" not in path
    return repo / path if is_local else None


def _warn_of_stale_copies(repo: Path, marker: dict[str, Any]) -> None:
    for name, state in marker.get("copies", {}).items():
        source = repo / state["path"]
        if source.is_file() and source.stat().st_mtime_ns != state["mtime_ns"]:
            logger.warning(
                "%s has changed since it was copied to %s; feature_store.initialize: true copies it anew", source, name
            )


def _read_marker(repo: Path) -> dict[str, Any]:
    try:
        marker = json.loads((repo / MARKER).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        hint = "delete the file and the folder if mlwf may create them anew"
        raise FeatureStoreError(f"{repo / MARKER}: damaged; {hint}") from error
    return marker if isinstance(marker, dict) else {}


def _write_marker(repo: Path, *, applied: str | None, copies: dict[str, Any]) -> None:
    about = "mlwf created this Feast repo; feature_store.force_recreate deletes the files that it wrote here"
    _write(repo / MARKER, json.dumps({"about": about, "applied": applied, "copies": copies}, indent=2) + "\n")


def _write(path: Path, text: str) -> None:
    """Write a file in one step, so that a reader never sees half of it."""
    write_text(path, text)


def _project_name(repo: Path) -> str:
    # Feast accepts letters, digits and underscores, and no underscore in front.
    return re.sub(r"\W", "_", repo.resolve().name, flags=re.ASCII).strip("_") or "features"


def describe_feast_error(error: Exception) -> str:
    """Give type and message of an error on one line, without a login."""
    text = describe_error(error)
    return text if text == type(error).__name__ else f"{type(error).__name__}: {text}"


# Quoted, because a folder may be called 2024 or yes. `file` is the offline store that Feast serves without extras.
_CONFIG_TEXT = f"""\
project: "{{project}}"
provider: local
registry: {_REGISTRY}
online_store:
  type: sqlite
  path: {_ONLINE}
offline_store:
  type: file
entity_key_serialization_version: 3
"""
