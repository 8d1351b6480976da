"""The files that a run logs, besides plots and model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlwf.results import SelectionResult
from mlwf.run_result import RunResult
from mlwf.text import compact_json, json_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TRAINING_ROWS = "training_rows.npz"


def describe_model(model: Any) -> str:
    """Outline the parts of a model: each one's name, class, columns, and the parameters that are not the defaults."""
    # scikit-learn's own texts and pictures of so deep a pipeline take seconds.
    return "\n".join(_outline("model", model, "")) + "\n"


def write_leaderboard(selection: SelectionResult | None) -> str | None:
    """Write the models that were compared as MLflow's `log_table` writes a table; None where there is one model."""
    if selection is None:
        return None
    rows = [{**asdict(model), "params": repr(dict(model.params))} for model in selection.models]
    flat = [{**row, "interval": _ends(row["interval"]), "difference": _value(row["difference"])} for row in rows]
    columns = list(flat[0])
    table = {"columns": columns, "data": [[row[name] for name in columns] for row in flat]}
    return json_text(table)


def _ends(interval: Mapping[str, Any] | None) -> str | None:
    return None if interval is None else f"{interval['low']:.6g} to {interval['high']:.6g}"


def _value(difference: Mapping[str, Any] | None) -> float | None:
    return None if difference is None else difference["value"]


def write_resamples(run: RunResult) -> str | None:
    """Write the scores of resamples, by which runs are compared; None where all scores are of folds."""
    resamples = run.to_resamples()
    return compact_json(resamples) if resamples else None


TEXTS: dict[str, Callable[[RunResult, Any], str | None]] = {
    "estimator.txt": lambda run, model: describe_model(model),
    "leaderboard.json": lambda run, model: write_leaderboard(run.selection),
    "resamples.json": lambda run, model: write_resamples(run),
    "partial_dependence.json": lambda run, model: (
        None if run.partial_dependence is None else compact_json(run.partial_dependence)
    ),
}
"""Files of text about a run and its model, by their names; None where a run has no such file."""


def write_texts(run: RunResult, model: Any) -> dict[str, str]:
    """Write the files of text about a run and its model, by their names."""
    texts = {name: write(run, model) for name, write in TEXTS.items()}
    return {name: text for name, text in texts.items() if text is not None}


def write_candidates(cv_results: Mapping[str, Any], path: Path) -> None:
    """Write a search's `cv_results_` as a table, best first: rank, score, parameters, times, the score in each fold."""
    import numpy as np
    import pandas as pd

    def written(value: Any) -> Any:
        # scikit-learn masks a parameter that a candidate does not set; None is a value like others.
        return None if value is np.ma.masked else "null" if value is None else value

    columns = {name: list(map(written, values)) for name, values in cv_results.items() if name != "params"}
    names = sorted(columns, key=_importance)
    table = pd.DataFrame(columns, columns=names)
    if names and names[0].startswith("rank_test_"):
        table = table.sort_values(names[0], kind="stable")
    table.to_csv(path, index_label="candidate", float_format="%.6g")


def write_training_rows(hashes: NDArray[np.uint64], path: Path) -> None:
    """Write the hashes of the rows that a model was trained on."""
    import numpy as np

    np.savez_compressed(path, rows=hashes)


def read_training_rows(path: Path) -> NDArray[np.uint64]:
    """Read what `write_training_rows` wrote; no file can make it run anything."""
    import numpy as np

    with np.load(path, allow_pickle=False) as content:
        hashes: NDArray[np.uint64] = content["rows"].astype(np.uint64)
    return hashes


def _outline(name: str, part: Any, indent: str) -> Iterator[str]:
    yield f"{indent}{name}: {type(part).__name__}{_settings(part)}"
    for child_name, child in _parts(part):
        yield from _outline(child_name, child, indent + "  ")


def _parts(part: Any) -> list[tuple[str, Any]]:
    if hasattr(part, "transformers_"):
        return [
            (f"{name} [{', '.join(map(str, columns))}]" if isinstance(columns, list) else name, transformer)
            for name, transformer, columns in part.transformers_
            if transformer != "drop"
        ]
    if hasattr(part, "named_estimators_"):
        return list(part.named_estimators_.items())
    return part.steps if hasattr(part, "steps") else [("estimator", part.estimator)] if _is_wrapper(part) else []


def _is_wrapper(part: Any) -> bool:
    return hasattr(getattr(part, "estimator", None), "get_params")


def _settings(part: Any) -> str:
    if not hasattr(part, "get_params"):
        return ""
    defaults = {name: parameter.default for name, parameter in signature(type(part)).parameters.items()}
    settings = [
        f"{name}={_written(value)}"
        for name, value in part.get_params(deep=False).items()
        if name not in {"steps", "transformers", "estimator", "estimators"} and repr(value) != repr(defaults.get(name))
    ]
    return f"({', '.join(settings)})" if settings else ""


def _written(value: Any) -> str:
    # Functions and classes by name, without their address in memory.
    return getattr(value, "__name__", None) or repr(value)


def _importance(column: str) -> int:
    """Give the sort key of a column; columns alike keep their order."""
    order = ("rank_test_", "mean_test_", "std_test_", "param_", "mean_", "std_", "split")
    return next((place for place, prefix in enumerate(order) if column.startswith(prefix)), len(order))
