"""What of a run its store does not have yet: collected in a folder, part by part, until it is sent."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from mlwf.atomic import writing
from mlwf.errors import TrackingError
from mlwf.modules.tracking.artifacts import TRAINING_ROWS, write_candidates, write_training_rows
from mlwf.modules.tracking.connection import mlflow_errors
from mlwf.modules.tracking.logged_model import save_model
from mlwf.modules.tracking.run_values import (
    Context,
    Keys,
    TrackedDataset,
    TrackedRows,
    describe_dataset,
    flat_texts,
    metrics_of,
    metrics_of_scores,
    origin_tags,
    params_of,
)
from mlwf.results import Evaluation
from mlwf.specs.catalogue import SOURCES
from mlwf.text import redact

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Part = Literal[
    "parameters",
    "metrics",
    "datasets",
    "files",
    "plots",
    "model",
    "model metrics",
    "registration",
    "summary",
    "tags",
    "end of run",
]
PARTS: tuple[Part, ...] = get_args(Part)
"""What a store gets of a run, in the order in which it is sent; each is tried by itself."""

CLOSING: tuple[Part, ...] = ("summary", "tags", "end of run")
"""The parts that say how the run ended, and with what missing."""

STATE = "state.json"

SUMMARY = "summary.json"
REPORT = "report.html"

_FOLDERS: dict[Part, str] = {"files": "files", "plots": "plots", "model": "model", "summary": "summary"}
"""Parts that are files, and the folders in which they wait."""

_LONGEST_TAG = 5000


@dataclass(eq=False)
class Unsent:
    """The parts of one run that wait to be sent, and why they were not."""

    folder: Path
    known: dict[str, Any] = field(default_factory=dict)
    """The ids that the store gave: `run_id`, `experiment_id`, `model_id`, `version`."""
    waiting: dict[Part, Any] = field(default_factory=dict)
    """What each part is to send."""
    missing: dict[Part, str] = field(default_factory=dict)
    """Why a part was not sent when it was tried."""

    @classmethod
    def load(cls, folder: Path) -> Unsent | None:
        """Read what a run left behind; None where no MLflow run was started."""
        try:
            content = json.loads((folder / STATE).read_text(encoding="utf-8"))
            return cls(folder, content["known"], content["waiting"], content["missing"])
        except (OSError, ValueError, KeyError):
            return None

    def place(self, part: Part) -> Path:
        """Give the folder in which the files of a part wait."""
        folder = self.folder / _FOLDERS[part]
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def add(self, part: Part, content: Any = True) -> None:
        """Add a part to those that wait: lists grow, maps are merged, anything else is replaced."""
        before = self.waiting.get(part)
        if isinstance(before, list):
            content = [*before, *content]
        elif isinstance(before, dict) and isinstance(content, Mapping):
            content = {**before, **content}
        self.waiting[part] = content
        self.write()

    def done(self, part: Part) -> None:
        """Forget a part that the store has."""
        self.waiting.pop(part, None)
        self.missing.pop(part, None)
        if part in _FOLDERS:
            shutil.rmtree(self.folder / _FOLDERS[part], ignore_errors=True)
        self.write()

    def failed(self, part: Part, reason: str) -> None:
        """Keep why a part was not sent."""
        self.missing[part] = reason
        self.write()

    def refused(self) -> dict[Part, str]:
        """Give what is missing of the run's content: all but the parts that say how it ended."""
        return {part: reason for part, reason in self.missing.items() if part not in CLOSING}

    def write(self) -> None:
        """Write the state to its file, so that a process that ends here loses nothing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {"known": self.known, "waiting": self.waiting, "missing": self.missing}
        with writing(self.folder / STATE) as draft:
            draft.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")


def describe_missing(missing: Mapping[Part, str]) -> str:
    """Describe in one line which parts were not sent and why; parts with the same reason together."""
    by_reason: dict[str, list[str]] = {}
    for part, reason in missing.items():
        by_reason.setdefault(reason, []).append(part)
    return "; ".join(f"{', '.join(parts)}: {reason}" for reason, parts in by_reason.items())


class RunContent:
    """Collects the content of a run as parts that wait: each parameter once, and each metric with its latest value."""

    def __init__(
        self, unsent: Unsent, tracking_uri: str, *, params: Mapping[str, str], tags: Mapping[str, str]
    ) -> None:
        self.unsent = unsent
        self._tracking_uri = tracking_uri
        self._tags = tags
        self._params = dict(params)
        # What `mlflow run` has logged before the run was handed over.
        self._fixed = frozenset(params)
        self._metrics: list[list[Any]] = []
        self._param_keys, self._metric_keys = Keys(), Keys()

    @property
    def slice_digests(self) -> Mapping[str, str]:
        """The slice, or name, that each digest at the end of a metric's key stands for."""
        return self._metric_keys.digests

    def add_params(self, params: Mapping[str, Any]) -> None:
        """Add parameters; raises TrackingError for one that has another value already."""
        texts = self._param_texts(params)
        new = {key: text for key, text in texts.items() if key not in self._fixed and self._params.get(key) != text}
        changed = sorted(new.keys() & self._params.keys())
        if changed:
            raise TrackingError(f"parameter {changed[0]} was logged already; MLflow keeps the first value of each")
        self.unsent.add("parameters", new)
        self._params.update(new)

    def add_metrics(self, metrics: Mapping[str, float | None], *, step: int = 0, only_new: bool = False) -> None:
        """Add metrics but those that are None, and with `only_new` those that have this value already."""
        known = {key: value for key, value, *_ in self._metrics} if only_new else {}
        keys, now = self._metric_keys.of(metrics), int(time.time() * 1000)
        new = [
            [keys[name], float(value), now, step]
            for name, value in metrics.items()
            if value is not None and known.get(keys[name]) != value
        ]
        if new or not only_new:
            self.unsent.add("metrics", new)
        self._metrics += new

    def add_results(self, results: Mapping[str, Any], evaluations: Sequence[Evaluation]) -> None:
        """Add the parameters and metrics of a workflow that were not added before."""
        texts = self._param_texts(params_of(results))
        params = {key: text for key, text in texts.items() if key not in self._params}
        if params:
            self.unsent.add("parameters", params)
            self._params.update(params)
        self.add_metrics({**metrics_of(results), **metrics_of_scores(evaluations)}, only_new=True)

    def add_datasets(self, datasets: Sequence[TrackedDataset]) -> None:
        """Add the rows that were used, as inputs of the run."""
        if datasets:
            with mlflow_errors(self._tracking_uri, "describing the datasets"):
                self.unsent.add("datasets", [describe_dataset(dataset) for dataset in datasets])

    def add_files(
        self,
        texts: Mapping[str, str],
        candidates: Mapping[str, Any] | None,
        training_rows: NDArray[np.uint64] | None,
    ) -> None:
        """Add files: texts by name, the table of a search's candidates, the hashes of the training rows."""
        folder = self.unsent.place("files")
        if candidates is not None:
            write_candidates(candidates, folder / "candidates.csv")
        if training_rows is not None:
            write_training_rows(training_rows, folder / TRAINING_ROWS)
        for file, text in texts.items():
            (folder / file).write_text(text, encoding="utf-8")
        self.unsent.add("files")

    def add_model(
        self,
        model: Any,
        X_sample: Any,
        rows: TrackedRows,
        *,
        model_file: Path | None,
    ) -> None:
        """Save the model, so that it can be sent at any time without the rows that it was trained on."""
        with mlflow_errors(self._tracking_uri, "saving the model"):
            folder = self.unsent.place("model")
            shutil.rmtree(folder)
            metadata = {} if rows.feature_store is None else {"feature_store": dict(rows.feature_store)}
            save_model(model, folder, X_sample, rows.table_schema, metadata=metadata, model_file=model_file)
        self.unsent.add("model", {"params": self._params, "tags": {**origin_tags(), **self._id_tag}})
        names = {dataset.context: (dataset.name, dataset.short_digest) for dataset in rows.datasets}
        linked = [[*metric, *names.get(_context_of(metric[0]), (None, None))] for metric in self._metrics]
        self.unsent.add("model metrics", linked)

    def add_registration(self, name: str, alias: str | None) -> None:
        """Add the registration of the model under a name."""
        self.unsent.add("registration", {"name": name, "alias": alias, "tags": self._id_tag})

    def add_tags(self, tags: Mapping[str, Any]) -> None:
        """Add tags but those that are None."""
        texts = {key: redact(str(value))[:_LONGEST_TAG] for key, value in tags.items() if value is not None}
        self.unsent.add("tags", texts)

    @property
    def _id_tag(self) -> dict[str, str]:
        return {key: value for key, value in self._tags.items() if key == "mlwf.run_id"}

    def _param_texts(self, params: Mapping[str, Any]) -> dict[str, str]:
        texts = flat_texts(params)
        keys = self._param_keys.of(texts)
        return {keys[name]: text for name, text in texts.items()}


def _context_of(metric_key: str) -> Context:
    return "test" if metric_key.startswith(f"{SOURCES['test'].metric_prefix}_") else "training"
