"""A run as an object: what its folder keeps, read when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlwf.errors import RunNotFoundError
from mlwf.modules.runs import CANDIDATES, MODEL_FILE, SUMMARY, RunFolder, find_run

if TYPE_CHECKING:
    import pandas as pd

SCORE_COLUMNS = (
    "source", "slice", "metric", "value", "low", "high", "baseline", "better_by", "distinguishable", "n_rows", "note"
)  # fmt: skip
SHOWN = ("source", "metric", "value", "low", "high", "baseline", "better_by")
"""Columns of the scores in a notebook."""


def load_run(run: str | Path, *, runs_dir: str | Path = "runs") -> Run:
    """Load a run from its folder.

    Parameters
    ----------
    run
        The folder of the run; or its id, the unique beginning of that, or `latest`, of the runs in `runs_dir`.
    runs_dir
        Folder that keeps the runs.

    Returns
    -------
    Run
        What the folder keeps. Nothing but the summary is read before it is asked for.

    Raises
    ------
    RunNotFoundError
        There is no such run; the message has the nearest ids.

    Examples
    --------
    >>> run = load_run("latest")  # doctest: +SKIP
    >>> run.scores.query("metric == 'roc_auc'")[["source", "value", "low", "high"]]  # doctest: +SKIP
    """
    return Run(find_run(Path(runs_dir), str(run)))


@dataclass(frozen=True)
class Run:
    """A run that `load_run` has loaded; a notebook shows how it ended, its gates and its scores."""

    folder: RunFolder

    @property
    def path(self) -> Path:
        """Its folder."""
        return self.folder.path

    @property
    def run_id(self) -> str:
        """Its id."""
        return self.folder.run_id

    @property
    def name(self) -> str:
        """The name of its experiment."""
        return str(self.summary.get("name") or "")

    @property
    def status(self) -> str:
        """How it ended: done, degraded, failed or killed; or running, or unfinished."""
        return self.folder.status

    @cached_property
    def summary(self) -> dict[str, Any]:
        """All that it found, as in `summary.json`; `mlwf schema --summary` describes each key. Empty until it ends."""
        return self.folder.read_json(SUMMARY)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """Its scores, a row for each metric and source.

        `low` and `high` are the ends of the 95 % interval; `better_by` is how far ahead of the baseline it is, and
        `distinguishable` whether that is beyond chance; `note` says how it was got.
        """
        return self._scores("scores").drop(columns="slice")

    @cached_property
    def slices(self) -> pd.DataFrame:
        """The scores of its slices, with the columns of `scores` and `slice`."""
        return self._scores("slices")

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """The rows that its scores are of, each with `source`, `label` and `prediction`.

        `row` counts the rows of the table that have a target, from 0; a row that was predicted twice stands twice.
        There are `probability_CLASS` for each class and `weight`, where the model and the table have them. Labels are
        texts; None is one that the model does not know.
        """
        import pandas as pd

        empty = pd.DataFrame(columns=["source", "label", "prediction"])
        return pd.concat([*self._predictions()] or [empty], ignore_index=True)

    @cached_property
    def candidates(self) -> pd.DataFrame:
        """The candidates of its search, as scikit-learn's `cv_results_`; `model` names theirs, where it has several."""
        import pandas as pd

        found = self.folder.read_json(CANDIDATES)
        if "params" in found or not found:
            return pd.DataFrame(found)
        return pd.concat(
            [pd.DataFrame(results).assign(model=name) for name, results in found.items()], ignore_index=True
        )

    @cached_property
    def model(self) -> Any:
        """The fitted model, of scikit-learn's types; only types that mlwf writes are loaded.

        Raises RunNotFoundError when the run ended before it had one.
        """
        path = self.folder.file(MODEL_FILE)
        if not path.exists():
            raise RunNotFoundError(f"{self.path}: the run ended before it had a model ({self.status})")
        from mlwf.engine.model_file import load_model

        return load_model(path)

    @cached_property
    def report(self) -> str:
        """Its page, as `mlwf report` writes it: HTML that needs neither network nor script."""
        from mlwf.report import read_run, render_report

        return render_report(read_run(self.folder))

    def __repr__(self) -> str:
        return f"<mlwf.Run {self.run_id} {self.name!r} {self.status}>"

    def _repr_html_(self) -> str:
        head = f"<b>{escape(self.name)}</b> {escape(self.status)} <code>{escape(self.run_id)}</code>"
        error = self.summary.get("error")
        parts = [f"<p>{head}{f': {escape(str(error))}' if error else ''}</p>"]
        gates: Sequence[Mapping[str, Any]] = self.summary.get("gates") or []
        if gates:
            lines = "".join(f"<li>{escape(_verdict(gate))}</li>" for gate in gates)
            parts.append(f"<ul>{lines}</ul>")
        if len(self.scores):
            parts.append(self.scores[[*SHOWN]].to_html(index=False, float_format="{:.4f}".format, na_rep="", border=0))
        findings = self.summary.get("findings") or []
        lines = "".join(f"<li>{escape(each['code'])}: {escape(each['message'])}</li>" for each in findings)
        return "".join([*parts, f"<ul>{lines}</ul>" if lines else ""])

    def _scores(self, kind: str) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame([_score_row(score) for score in self.summary.get(kind) or []], columns=[*SCORE_COLUMNS])

    def _predictions(self) -> Iterator[pd.DataFrame]:
        import numpy as np
        import pandas as pd

        from mlwf.evaluation.scored_rows import FOLDER, read_scored_rows

        for source in dict.fromkeys(str(score["source"]) for score in self.summary.get("scores") or []):
            rows = read_scored_rows(self.folder.file(f"{FOLDER}/{source}.npz"))
            if rows is None:
                continue
            labels = np.array([*rows.classes.tolist(), None], dtype=object)  # a label of no class is at -1
            columns: dict[str, Any] = {"source": source, "label": labels[rows.y], "prediction": labels[rows.predicted]}
            columns |= {} if rows.index is None else {"row": rows.index}
            if rows.proba is not None:
                columns |= {f"probability_{label}": rows.proba[:, at] for at, label in enumerate(rows.classes.tolist())}
            columns |= {} if rows.weight is None else {"weight": rows.weight}
            yield pd.DataFrame(columns)


def _score_row(score: Mapping[str, Any]) -> dict[str, Any]:
    interval, difference = score.get("interval") or {}, score.get("difference") or {}
    return {
        **{name: score.get(name) for name in SCORE_COLUMNS},
        "low": interval.get("low"),
        "high": interval.get("high"),
        "better_by": difference.get("value"),
        "distinguishable": difference.get("distinguishable"),
    }


def _verdict(gate: Mapping[str, Any]) -> str:
    return f"{'met' if gate['passed'] else 'not met'}: {gate['asked']}; got {gate['got']}"
