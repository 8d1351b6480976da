"""The results of a run as MLflow's parameters, metrics, tags and dataset inputs."""

from __future__ import annotations

import getpass
import json
import posixpath
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2s
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mlwf.results import Evaluation, Finding, GateResult, Score
from mlwf.run_result import TimeLimit
from mlwf.specs.catalogue import SOURCES
from mlwf.specs.data import IN_MEMORY, TableSchema
from mlwf.splitting.stored_frame import in_memory
from mlwf.text import redact

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PROCESS_TAGS = {"host": "host", "pid": "pid", "start": "pid_start", "namespace": "pid_namespace"}
"""Tags, after `mlwf.`, that say which process writes the run."""

_RESULT_METRICS = ("cv_score", "cv_std", "val_score", "test_accuracy")
_RESULT_PARAMS = ("validation_strategy", "cv_folds")
_LONGEST_PARAM = 6000

LONGEST_KEY = 250

_SIGNS = {"=": "is", "!=": "is not", ">": "above", ">=": "from", "<": "below", "<=": "up to"}

_SCHEMA_ROWS = 1000
_LONGEST_DIGEST, _LONGEST_SCHEMA = 36, 1_048_575
"""What MLflow refuses beyond."""

Context = Literal["training", "test"]


def start_tags(run_id: str | None, process: Mapping[str, Any] | None) -> dict[str, str]:
    """Make the tags that name the user, our id of the run, and the process that writes it."""
    tags = {**origin_tags(), "mlwf.status": "running"}
    if run_id is not None:
        tags["mlwf.run_id"] = run_id
    if process:
        tags |= {f"mlwf.{PROCESS_TAGS[key]}": str(value) for key, value in process.items() if value is not None}
    return tags


def origin_tags() -> dict[str, str]:
    """Make the tags for user and source, as MLflow's own clients do."""
    return {"mlflow.user": user_name(), "mlflow.source.name": "mlwf", "mlflow.source.type": "LOCAL"}


def params_of(results: Mapping[str, Any]) -> dict[str, Any]:
    """Take the parameters of search, calibration and validation from the results of `run_ml_workflow`."""
    params = {name: results[name] for name in _RESULT_PARAMS if results.get(name) is not None}
    tuning, calibration = results.get("tuning_summary") or {}, results.get("calibration_summary") or {}
    params |= tuning.get("best_params") or {}
    params |= {f"tuning_{name}": tuning[name] for name in ("strategy", "scoring", "n_candidates") if name in tuning}
    return params | {f"calibration_{name}": calibration[name] for name in ("method", "ensemble") if name in calibration}


def metrics_of(results: Mapping[str, Any]) -> dict[str, float | None]:
    """Take the scores from the results of `run_ml_workflow`."""
    metrics = {name: results[name] for name in _RESULT_METRICS if name in results}
    if "best_score" in (results.get("tuning_summary") or {}):
        metrics["tuning_best_score"] = results["tuning_summary"]["best_score"]
    return metrics


def metrics_of_scores(evaluations: Sequence[Evaluation]) -> dict[str, float | None]:
    """Name each score by its source, metric and slice, with its spread, its interval and the baseline's score."""
    metrics: dict[str, float | None] = {}
    for evaluation in evaluations:
        for score in (*evaluation.scores, *evaluation.slices):
            metrics |= _metrics_of(score)
    return metrics


def _metrics_of(score: Score) -> dict[str, float | None]:
    name = f"{SOURCES[score.source].metric_prefix}_{score.metric}"
    part = "" if score.slice is None else f"/{score.slice}"
    found = {"": score.value, "_std": score.std, "_baseline": score.baseline}
    if score.interval:
        found |= {"_low": score.interval.low, "_high": score.interval.high}
    return {f"{name}{end}{part}": value for end, value in found.items()}


def outcome_tags(
    evaluations: Sequence[Evaluation], gates: Sequence[GateResult], findings: Sequence[Finding]
) -> dict[str, str]:
    """Make tags of the findings and gates, and of whether parameters were tuned on the scored rows."""
    tags: dict[str, str] = {}
    for finding in findings:
        key = f"mlwf.finding.{finding.code}"
        tags[key] = f"{tags[key]}; {finding.message}" if key in tags else finding.message
    if evaluations:
        tuned = any(score.tuned_on_same_rows for evaluation in evaluations for score in evaluation.scores)
        tags["mlwf.tuned_on_same_rows"] = str(tuned).lower()
    if gates:
        tags["mlwf.gates"] = _met(all(gate.passed for gate in gates))
    for number, gate in enumerate(gates):
        source = f" ({SOURCES[gate.source].in_text})" if gate.source else ""
        verdict = _met(gate.passed) if gate.is_checked else "not checked"
        tags[f"mlwf.gate.{number}"] = f"{verdict}: {gate.asked}; {gate.got}{source}"
    return tags


def time_limit_tags(time_limit: TimeLimit | None) -> dict[str, str]:
    """Make the tags of a run whose time was limited: how long it had, and the phases that were cut short."""
    if time_limit is None:
        return {}
    cut = {"mlwf.cut_by_time_limit": ", ".join(time_limit.cut)} if time_limit.cut else {}
    return {"mlwf.time_limit": f"{time_limit.seconds:g} s", **cut}


def _met(passed: bool) -> str:
    return "met" if passed else "not met"


def describe_scores(evaluations: Sequence[Evaluation], digests: Mapping[str, str]) -> str | None:
    """Write the run's description in Markdown: what the scores were computed on, and which slices have digests."""
    noted = [(SOURCES[each.source].metric_prefix, each.note) for each in evaluations if each.note]
    notes = [f"- `{prefix}_*`: {note}" for prefix, note in noted]
    notes += [f"- `*-{digest}`: {text}" for digest, text in digests.items()]
    return "\n".join(notes) or None


def flat_texts(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Write parameters as texts, nested ones with a dot between the names, long ones cut."""
    flat: dict[str, str] = {}
    for key, value in params.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat |= flat_texts(value, f"{name}.")
        else:
            while name in flat:  # 1 and "1" are two keys of a map
                name += "'"
            text = redact(str(value))
            flat[name] = text if len(text) <= _LONGEST_PARAM else text[: _LONGEST_PARAM - 1] + "…"
    return flat


def batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Cut items into parts of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def user_name() -> str:
    """Name the user, as MLflow's tag does."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without an entry for its user
        return "unknown"


class Keys:
    """The keys of one run's metrics, or of its parameters.

    A key is the name in the letters that MLflow takes. Names that would share one get a digest of the name behind it;
    a name that needs no change keeps its key. In the metrics of a slice it is the digest of the slice, which stands
    behind a `/`.

    >>> keys = Keys()
    >>> keys.of(["cv_f1", "cv_f1/currency = $", "cv_f1/currency = €"]).values()
    dict_values(['cv_f1', 'cv_f1/currency is _-9f37734a', 'cv_f1/currency is _-8187b8f9'])
    """

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}
        self.digests: dict[str, str] = {}
        """The name, or slice, of each digest at the end of a key."""

    def of(self, names: Iterable[str]) -> dict[str, str]:
        """Give the key of each name; a key that was given before does not change."""
        names = list(names)
        new = {name: valid_key(name) for name in names if name not in self._keys}
        taken = {_compared(key) for key in self._keys.values()}
        wanted = Counter(map(_compared, new.values()))
        unchanged = Counter(_compared(key) for name, key in new.items() if name == key)
        for name, key in new.items():
            same = _compared(key)
            is_its_own = wanted[same] == 1 or (name == key and unchanged[same] == 1)
            if not is_its_own or same in taken:
                key = self._with_digest(name, key, taken | wanted.keys())
            self._keys[name] = key
            taken.add(_compared(key))
        return {name: self._keys[name] for name in names}

    def _with_digest(self, name: str, key: str, taken: Collection[str]) -> str:
        text = part = name.partition("/")[2] or name
        while True:
            digest = blake2s(text.encode(errors="surrogatepass"), digest_size=4).hexdigest()
            distinct = valid_key(f"{key[: LONGEST_KEY - len(digest) - 1]}-{digest}")
            if _compared(distinct) not in taken:
                self.digests[digest] = part
                return distinct
            text += digest


def valid_key(name: str) -> str:
    """Make a key that MLflow takes: letters, digits and `_-. :/`, and no path that could be written shorter.

    >>> valid_key("cv_f1/age > 60"), valid_key("cv_f1/share != 5 %")
    ('cv_f1/age above 60', 'cv_f1/share is not 5 _')
    """
    # `age > 60` is not `age < 60`.
    name = re.sub(r" (=|!=|>=?|<=?) ", lambda sign: f" {_SIGNS[sign[1]]} ", name, count=1)
    key = re.sub(r"[^\w.\- :/]", "_", name)[:LONGEST_KEY]
    return key if key and posixpath.normpath(key) == key and key[0] not in "./" else re.sub(r"[./]", "_", key) or "_"


def _compared(key: str) -> str:
    # MySQL's usual collation tells neither capitals nor blanks at the end apart.
    return key.casefold().rstrip()


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


@dataclass(frozen=True, eq=False)
class TrackedRows:
    """The rows of a run, and how they are known and read."""

    datasets: Sequence[TrackedDataset] = ()
    """Become inputs of the run."""
    hashes: NDArray[np.uint64] | None = None
    """Hash of each row that the model was trained on; becomes `training_rows.npz`, by which a later run knows which
    rows it may compare this model on."""
    table_schema: TableSchema | None = None
    """How tables are read for the model; becomes a file beside it."""
    feature_store: Mapping[str, Any] | None = None
    """Which features of which feature store it needs; becomes metadata of the model."""


def describe_dataset(dataset: TrackedDataset) -> dict[str, Any]:
    """Describe a dataset as MLflow logs it: name, digest, source, columns and size, its context, and no rows."""
    import pandas as pd
    from mlflow.data import from_pandas

    X = dataset.data if hasattr(dataset.data, "columns") else pd.DataFrame(dataset.data)
    head = in_memory(X[:_SCHEMA_ROWS]).rename(columns=str)
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
