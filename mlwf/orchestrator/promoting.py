"""Make the model of a run, or a registered version, the champion: days after its training, where its gates are met."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mlwf.errors import Refusal, UsageError
from mlwf.modules.comparison import RunFiles, compare_runs
from mlwf.modules.gates import Comparison, check_champion_gate, compares_with_registered_model
from mlwf.modules.runs import MODEL_URI, SUMMARY, RunFolder, find_run, newest_first
from mlwf.modules.tracking import (
    AliasChange,
    RegisteredModelError,
    move_alias,
    pin_model_uri,
    return_alias,
)
from mlwf.orchestrator.mlflow_logger import load_unsent, push_run, store_of
from mlwf.results import Difference, GateResult, Interval
from mlwf.specs.base import absolute
from mlwf.specs.experiment import GateSpec
from mlwf.specs.tracking import refused_alias, refused_model
from mlwf.text import first_line, pluralize, redact

FindFiles = Callable[[str, str | None], RunFiles]
"""Finds what a run keeps: by its id, or by `models:/NAME/VERSION` in the store of that address."""


@dataclass(frozen=True)
class Promotion:
    """What became of a model that was to get an alias."""

    run_id: str
    model: str
    alias: str
    version: str | None
    """None where the model is not registered."""
    gates: tuple[GateResult, ...]
    """The gates that are not met."""
    forced: bool
    """Whether it has the alias all the same."""
    change: AliasChange | None
    """None where it was refused, or has the alias already."""

    @property
    def refused(self) -> bool:
        """Whether gates keep it from the alias."""
        return bool(self.gates) and not self.forced

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values."""
        return {**asdict(self), "refused": self.refused}


def promote_run(
    run: str,
    *,
    alias: str,
    find_files: FindFiles,
    runs_dir: Path,
    model: str | None = None,
    reason: str | None = None,
    force: bool = False,
    tracking_uri: str | None = None,
) -> Promotion:
    """Register the model of a run, unless it is, and give its version an alias; refuse it while a gate is not met.

    A gate against a registered model holds for the version which that is now: the run was compared with it by its
    training, or both were judged on the same rows.

    Parameters
    ----------
    run
        A run with its folder, or `models:/NAME/VERSION`.
    model
        The registered model; the default is the one that the experiment names.
    reason
        Why, for the tags of the version.
    force
        Give it the alias also where gates are not met, and record that.
    tracking_uri
        Where the store is; None for where the run was tracked.

    Raises
    ------
    UsageError
        The run is not there, has no model, or was not tracked; or a name is none that a store takes.
    TrackingError
        The store does not answer, or refuses.
    """
    _check_names(alias, model)
    candidate = _find(run, model, find_files, runs_dir, tracking_uri)
    if candidate.version is not None and _holds(candidate, alias):
        return Promotion(candidate.run_id, candidate.model, alias, candidate.version, (), False, None)
    gates, n_gates = _check_gates(candidate, find_files)
    unmet = tuple(gate for gate in gates if not gate.passed)
    promotion = Promotion(
        candidate.run_id, candidate.model, alias, candidate.version, unmet, bool(unmet and force), None
    )
    if promotion.refused:
        return promotion
    version = candidate.version or _register(candidate, tracking_uri)
    details = {"forced": "; ".join(f"{gate.asked}: {gate.got}" for gate in unmet)} if unmet else {}
    why = reason or ("forced" if unmet else f"{pluralize(n_gates, 'gate')} met" if n_gates else "no gates")
    change = move_alias(candidate.store, candidate.model, alias, version, reason=why, details=details)
    _record(candidate, change)
    return replace(promotion, version=version, change=change)


def return_to_previous(
    run: str,
    *,
    alias: str,
    runs_dir: Path,
    tracking_uri: str | None,
    reason: str | None = None,
    model: str | None = None,
) -> Promotion:
    """Take an alias from the version of a run, and give it back to the one that had it before; raises UsageError."""
    _check_names(alias, model)
    candidate = _find(run, model, None, runs_dir, tracking_uri)
    if candidate.version is None:
        raise UsageError(f"{run}: its model is not registered, so it is not {alias}")
    change = return_alias(candidate.store, candidate.model, alias, version=candidate.version, reason=reason)
    _record(candidate, change)
    return Promotion(candidate.run_id, candidate.model, alias, change.version, (), False, change)


@dataclass(frozen=True)
class _Candidate:
    """What is to get an alias."""

    run_id: str
    model: str
    version: str | None
    store: str
    files: RunFiles | None
    folder: RunFolder | None
    """None for a registered version."""
    runs_dir: Path


def _check_names(alias: str, model: str | None) -> None:
    named: list[tuple[str, str, Refusal | None]] = [("--alias", alias, refused_alias(alias))]
    named += [("--model", model, refused_model(model))] if model is not None else []
    for option, name, refusal in named:
        if refusal is not None:
            raise UsageError(f"{option} {name}: {refusal.message}; {refusal.hint}")


def _find(
    run: str, model: str | None, find_files: FindFiles | None, runs_dir: Path, tracking_uri: str | None
) -> _Candidate:
    if run.startswith(MODEL_URI):
        assert tracking_uri is not None
        return _find_version(run, model, find_files, runs_dir, tracking_uri)
    folder = find_run(runs_dir, run)
    unsent = load_unsent(folder)
    tracking = folder.read_json(SUMMARY).get("tracking") or {}
    if folder.status not in {"done", "degraded"}:
        raise UsageError(f"{folder.path}: the run is {folder.status}, and has no model to promote")
    name = model or tracking.get("registered_model")
    if not name:
        raise UsageError(f"{folder.path}: its experiment has no tracking.registered_model_name; --model NAME gives one")
    is_registered = tracking.get("registered_model") == name and not unsent.waiting
    return _Candidate(
        run_id=folder.run_id,
        model=name,
        version=unsent.known.get("version") if is_registered else None,
        store=tracking_uri or store_of(folder),
        files=find_files(run, None) if find_files else None,
        folder=folder,
        runs_dir=folder.path.parent,
    )


def _find_version(
    uri: str, model: str | None, find_files: FindFiles | None, runs_dir: Path, tracking_uri: str
) -> _Candidate:
    if model is not None:
        raise UsageError(f"{uri}: --model has no effect with a registered version; leave it out")
    pinned = pin_model_uri(uri, tracking_uri)
    name, _, version = pinned.removeprefix(MODEL_URI).rpartition("/")
    if not name:
        raise UsageError(f"{uri}: is no registered version; accepted: models:/NAME/VERSION, models:/NAME@ALIAS")
    files = find_files(pinned, tracking_uri) if find_files else None
    run_id = files.run_id if files else pinned
    return _Candidate(run_id, name, version, tracking_uri, files, None, runs_dir)


def _holds(candidate: _Candidate, alias: str) -> bool:
    try:
        present = pin_model_uri(f"{MODEL_URI}{candidate.model}@{alias}", candidate.store)
    except RegisteredModelError:  # no version has it
        return False
    return present == f"{MODEL_URI}{candidate.model}/{candidate.version}"


def _register(candidate: _Candidate, tracking_uri: str | None) -> str:
    """Register a run's model with all else that its store does not have yet, and give the version."""
    folder = candidate.folder
    assert folder is not None
    unsent = load_unsent(folder)
    # A registration that waits already may have an alias of its own.
    if (unsent.waiting.get("registration") or {}).get("name") != candidate.model:
        tags = {"mlwf.run_id": folder.run_id}
        unsent.add("registration", {"name": candidate.model, "alias": None, "tags": tags})
        _update(folder, registered_model=candidate.model, withheld=None, alias=None, aliases={})
    push_run(folder, tracking_uri=tracking_uri)
    return str(load_unsent(folder).known["version"])


def _check_gates(candidate: _Candidate, find_files: FindFiles) -> tuple[list[GateResult], int]:
    """Give what each gate of a run says today, and how many there are."""
    assert candidate.files is not None
    results = [GateResult(**each) for each in candidate.files.summary.get("gates") or []]
    written = candidate.files.config.get("gates") or []
    try:
        specs = [GateSpec.model_validate(each) for each in written]
    except ValueError as error:
        raise UsageError(
            f"{candidate.run_id}: the gates of its config.yaml cannot be read: {first_line(error)}"
        ) from error
    if len(specs) != len(results):
        raise UsageError(f"{candidate.run_id}: its config.yaml has {len(specs)} gates, its summary {len(results)}")
    checked = [
        _check_against(gate, result, candidate, find_files) if compares_with_registered_model(gate) else result
        for gate, result in zip(specs, results, strict=True)
    ]
    return checked, len(specs)


def _check_against(gate: GateSpec, result: GateResult, candidate: _Candidate, find_files: FindFiles) -> GateResult:
    """Check a gate against the version that its registered model is now."""
    try:
        opponent = pin_model_uri(gate.beats or "", candidate.store)
        if opponent == f"{MODEL_URI}{candidate.model}/{candidate.version}":
            return replace(result, passed=True, got="it is that version", opponent=opponent)
        if opponent == result.opponent:
            return result
        # The champion has changed since the training.
        other = find_files(opponent, candidate.store)
    except RegisteredModelError as error:
        return replace(result, passed=False, got=f"not compared: {first_line(error)}")
    assert candidate.files is not None
    return check_champion_gate(gate, result.source, _compare(candidate.files, other, opponent, gate, result))


def _compare(files: RunFiles, other: RunFiles, opponent: str, gate: GateSpec, result: GateResult) -> Comparison:
    """Compare a run with the champion's on one metric, by what both keep of the rows that they were judged on."""
    mine = "the run"
    for score in compare_runs([other, files], [opponent, mine]).scores:
        if (score["source"], score["metric"], score["slice"]) == (result.source, gate.metric, None):
            found = score["differences"].get(mine)
            if found is None:
                return Comparison(None, refused=str(score["refused"][mine]["message"]), opponent=opponent)
            interval = None if found["interval"] is None else Interval(**found["interval"])
            note = f"compared with {opponent} on the {score['values'][mine]['n_rows']:,} rows that both were judged on"
            return Comparison(Difference(found["value"], interval, found["distinguishable"]), note, opponent=opponent)
    return Comparison(None, refused=f"neither has a score of {gate.metric}", opponent=opponent)


def _record(candidate: _Candidate, change: AliasChange | None) -> None:
    """Write into the summaries of the runs here since when, or until when, their version has the alias."""
    if change is None:
        return
    here = redact(absolute(candidate.store, Path.cwd()))
    for folder in newest_first(candidate.runs_dir):
        tracking = folder.read_json(SUMMARY).get("tracking") or {}
        is_own = candidate.folder is not None and folder.run_id == candidate.run_id
        if tracking.get("registered_model") != change.model or not (is_own or tracking.get("tracking_uri") == here):
            continue
        aliases = dict(tracking.get("aliases") or {})
        entry = dict(aliases.get(change.alias) or {})
        if tracking.get("version") == change.version:
            kept = {"before": change.before, "since": change.since, "reason": change.reason, "by": change.by}
            _update(folder, aliases={**aliases, change.alias: kept | {"until": None, "after": None}})
        elif tracking.get("version") == change.before:
            _update(folder, aliases={**aliases, change.alias: entry | {"until": change.since, "after": change.version}})


def _update(folder: RunFolder, **tracking: Any) -> None:
    summary = folder.read_json(SUMMARY)
    folder.write_json(SUMMARY, {**summary, "tracking": {**(summary.get("tracking") or {}), **tracking}})
