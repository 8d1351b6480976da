"""How a number was got: on which rows, by which protocol, what was chosen on them before; and the words for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from mlwf.specs.catalogue import SPLITTERS, Source
from mlwf.text import pluralize

Choice = Literal["hyperparameters", "model", "ensemble", "features", "calibration", "threshold"]
"""What a run chooses."""
SelectedOn = Mapping[Choice, tuple[str, ...]]
"""What was chosen, and the names of the rows that it was chosen on."""

LABELS: Mapping[str, str] = {
    "hyperparameters": "tuned on the same rows",
    "model": "chosen among several models on the same rows",
    "ensemble": "averaged by weights chosen on the same rows",
    "features": "features inferred on the same rows",
}
"""The label of a number that is computed on the rows on which something was chosen, by what was chosen."""

COMPARED: tuple[Choice, ...] = ("hyperparameters", "model", "ensemble")
"""What is chosen by comparing scores, which flatters the best."""

_AT_ONCE = "split off before anything was fitted"
_WORDS: Mapping[str, tuple[str, str]] = {
    "holdout": ("hold-out", f", {_AT_ONCE}"),
    "latest_holdout": ("hold-out", f", the latest by {{column}}, {_AT_ONCE}"),
    "group_holdout": ("hold-out", f", whole groups of {{column}}, {_AT_ONCE}"),
    "test_set": ("test set", " that no step before saw"),
    "new_rows": ("new table", ", read by the schema of the training"),
    "search": ("mean over {n_folds} folds", ""),
    "calibration": ("out-of-fold predictions", ", by calibrators of other folds"),
    "threshold": ("out-of-fold predictions", ", each by the threshold of other folds"),
    "fold_models": ("out-of-fold predictions", ", each by a model of other folds"),
}
"""What stands before and after the number of rows, by the kind of the protocol; a splitter has its own words."""


@dataclass(frozen=True)
class Protocol:
    """By which rows a model is scored that learns from which others."""

    kind: str
    """A splitter of a cross-validation, a kind of hold-out, `test_set`, `new_rows` of a later
    evaluation, or what is chosen: `search`, `calibration`,
    `threshold`; or `fold_models`, of which each predicts the rows that it did not learn from."""
    n_folds: int | None = None
    n_repeats: int = 1
    column: str | None = None
    """The column of groups, times or folds that splits the rows."""
    gap: int = 0
    """Rows left out before each window of a split by time."""
    is_nested: bool = False
    """Whether each fold repeats all that is chosen."""
    is_shuffled: bool = False


@dataclass(frozen=True)
class ScoredBeforeRefit:
    """What the model that was scored on the hold-out has, where another, fitted on all rows, ships."""

    calibrated: bool | None = None
    """Whether its calibration was kept; None without one."""
    threshold: float | None = None


@dataclass(frozen=True)
class Provenance:
    """How a number was got."""

    source: Source | None
    """Where the rows come from; None for a number that something is chosen by."""
    n_rows: int
    """Rows that it was computed on, each once, those of weight 0 included."""
    protocol: Protocol
    rows: tuple[str, ...] = ()
    """Names of these rows in `splits.npz`, one for each fold."""
    selected_on: SelectedOn = field(default_factory=dict)
    """What was chosen before, and the names of the rows that it was chosen on: one for each of `rows`."""
    labels: tuple[Choice, ...] = ()
    """What was chosen on the rows that the number is computed on."""
    weighted_by: str | None = None
    n_weightless: int = 0
    """Rows of weight 0, which are left out."""
    ignores_weights: bool = False
    """Whether the rows have weights that the number does not count."""
    before_refit: ScoredBeforeRefit | None = None
    """The model that is scored, where it is not the one that ships."""
    is_pooled: bool = False
    """Whether the predictions of all folds are scored together."""
    n_folds_left_out: int = 0
    """Folds that there was no time for."""

    @property
    def tuned_on_same_rows(self) -> bool:
        """Whether hyperparameters, a model or an ensemble were chosen on rows that the number is computed on."""
        return any(choice in self.labels for choice in COMPARED)

    @property
    def title(self) -> str:
        """The protocol and the number of rows."""
        nested = "nested " if self.protocol.is_nested else ""
        return f"{nested}{self._words(0)} of {self.n_rows:,} rows"

    @property
    def details(self) -> str:
        """What follows the title, with its comma: how the rows were split."""
        return self._words(1)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What must be known besides: labels, weights, which model it is of."""
        remarks = [_before_refit(self.before_refit)] if self.before_refit else []
        remarks += [LABELS[label] for label in self.labels]
        if self.weighted_by is not None:
            left_out = f", {self.n_weightless:,} rows of weight 0 left out" if self.n_weightless else ""
            remarks.append(f"weighted by {self.weighted_by}{left_out}")
        remarks += ["all rows count alike, whatever their weight"] if self.ignores_weights else []
        remarks += ["all folds together"] if self.is_pooled else []
        if self.n_folds_left_out:
            remarks.append(f"without {pluralize(self.n_folds_left_out, 'fold')} that the time limit left no time for")
        return tuple(remarks)

    @property
    def note(self) -> str:
        """All of it as one sentence."""
        return "; ".join([f"{self.title}{self.details}", *self.remarks])

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as plain values, but for `rows` and `selected_on`, which stand beside in `summary.json`."""
        return {name: value for name, value in asdict(self).items() if name not in {"rows", "selected_on"}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Provenance:
        """Read what `to_dict` gave, from JSON too."""
        before_refit = values["before_refit"]
        return cls(
            **{
                **values,
                "protocol": Protocol(**values["protocol"]),
                "labels": tuple(values["labels"]),
                "before_refit": before_refit and ScoredBeforeRefit(**before_refit),
            }
        )

    def _words(self, place: Literal[0, 1]) -> str:
        protocol = self.protocol
        splitter = SPLITTERS.get(protocol.kind)
        words = (splitter.title, splitter.details) if splitter else _WORDS[protocol.kind]
        return words[place].format(
            n_folds=protocol.n_folds,
            n_repeats=protocol.n_repeats,
            column=protocol.column,
            order="shuffled" if protocol.is_shuffled else "not shuffled",
            windows=f", {protocol.gap:,} rows left out before each" if protocol.gap else "",
        )


class WithProvenance:
    """Gives what must be known beside a number, from its `provenance`."""

    provenance: Provenance | None

    @property
    def note(self) -> str:
        """How the number was got, in words."""
        return self.provenance.note if self.provenance else ""

    @property
    def rows(self) -> tuple[str, ...]:
        """The rows that it was computed on, by their names in `splits.npz`: one name for each fold."""
        return self.provenance.rows if self.provenance else ()

    @property
    def chosen(self) -> SelectedOn:
        """What was chosen before, and the rows that it was chosen on: one name for each of `rows`."""
        return self.provenance.selected_on if self.provenance else {}


def _before_refit(scored: ScoredBeforeRefit) -> str:
    has = []
    if scored.calibrated is not None:
        has.append(f"calibration {'kept' if scored.calibrated else 'not kept'}")
    if scored.threshold is not None:
        has.append(f"threshold {scored.threshold:.4f}")
    listed = f" ({', '.join(has)})" if has else ""
    return f"of the model before the refit{listed}"
