"""What can be checked on the data before anything is fitted, located in the experiment file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import numpy as np

from mlwf.config import Document, KeyPath, Order
from mlwf.errors import ConfigError, DataError, MlwfError, Problem, SplitError
from mlwf.modules.data import check_class_counts
from mlwf.modules.gates import check_gates_can_be_met
from mlwf.modules.validation import default_metrics
from mlwf.orchestrator.context import RunContext
from mlwf.orchestrator.run_inputs import RowSplits, check_weights
from mlwf.specs.catalogue import SPLITTERS, Source, SplitterName, gives_probabilities, metric_info, scorer_names
from mlwf.splitting.rows import Rows, Split
from mlwf.splitting.splitters import holdout_splitter
from mlwf.text import format_value

LEAVE_CLASS_OUT = "leave the rows of this class out of the data"


@contextmanager
def located(document: Document) -> Iterator[None]:
    """Give the problems of the data, and of a store's names, the line and column that they come from, in file order."""
    try:
        yield
    except (ConfigError, DataError) as error:
        found = sorted((_locate(problem, document) for problem in error.problems), key=lambda each: each[0])
        raise type(error)(problem for _, problem in found) from error
    except MlwfError as error:
        # The address of a store, for example, that came from the environment.
        # As it was raised: escaped, as it is shown, a value might not be found in it.
        message = str(error.args[0]) if error.args else ""
        redacted = document.redact(message)
        if redacted == message:
            raise
        raise type(error)(redacted) from None


def check(context: RunContext) -> None:
    """Refuse what cannot be done with these rows: folds without a class, scorers of two classes, gates on nothing.

    Raises
    ------
    DataError
        With every problem that was found.
    """
    problems = [*_class_weights(context), *_scorers(context), *_gates(context), *_groups_in_folds(context)]
    problems += list(_hold_out(context)) or _folds(context) or check_weights(context, _row_splits(context))
    if problems:
        raise DataError(problems)


def _locate(problem: Problem, document: Document) -> tuple[Order, Problem]:
    order, placed = _placed(problem, document)
    message, hint = document.redact(placed.message), document.redact(placed.hint)
    return order, replace(placed, message=message, hint=hint)


def _placed(problem: Problem, document: Document) -> tuple[Order, Problem]:
    path = _dotted_path(problem.key, document.data)
    if path:
        message = f"{problem.message} in {problem.where}" if problem.where else problem.message
        return document.problem(path, message, problem.hint, key=problem.at_key)
    path, config_key = _named_in(problem, document.data)
    is_at_config_key = config_key == problem.config_key
    message = (problem.message_at_config_key if is_at_config_key else "") or problem.message
    subject = ": ".join(part for part in (problem.where, problem.key) if part)
    return document.problem(path, f"{subject}: {message}" if subject else message, problem.hint)


def _dotted_path(key: str, data: dict[str, Any]) -> KeyPath:
    """Read a key such as `feature_store.features.0`; empty when no section begins it."""
    parts = key.split(".")
    if len(parts) < 2 or parts[0] not in data:
        return ()
    return tuple(int(part) if part.isdigit() else part for part in parts)


def _named_in(problem: Problem, data: dict[str, Any]) -> tuple[KeyPath, str]:
    """Find where the file names a column, with the key there; or the table when nothing names the column."""
    table = _section(data, "data")
    if problem.config_key == "data.positive_class":
        return ("data", "positive_class"), problem.config_key
    for role in ("target", "sample_weight", "time", "groups", "fold"):
        if problem.key and table.get(role) == problem.key:
            return ("data", role), f"data.{role}"
    for index, column in enumerate(table.get("drop") or ()):
        if column == problem.key:
            return ("data", "drop", index), "data.drop"
    features = data.get("features")
    for number, feature in enumerate(features if isinstance(features, list) else ()):
        for index, column in enumerate(feature.get("columns") or ()):
            if str(column) == problem.key:
                return ("features", number, "columns", index), "features"
    is_test = _is_of(problem.where, table.get("test_path"))
    return ("data", "test_path" if is_test else "path"), ""


def _section(data: dict[str, Any], name: str) -> dict[str, Any]:
    section = data.get(name)
    return section if isinstance(section, dict) else {}


def _is_of(where: str, path: Any) -> bool:
    # The file's path is relative to the file; what was read has an absolute one.
    return isinstance(path, str) and bool(where) and where.endswith(path.removeprefix("./").replace("../", ""))


def _class_weights(context: RunContext) -> Iterator[Problem]:
    weights = context.spec.class_weight
    key = "model" if context.spec.candidates is None else "selection"
    if isinstance(weights, dict):
        known = context.table.classes.tolist()
        accepted = f"accepted: {', '.join(map(format_value, known))}"
        message = f"is no class of {context.spec.data.target}"
        for label in weights:
            if label not in known:
                yield Problem("", f"{key}.class_weight.{label}", message, accepted)


def _scorers(context: RunContext) -> Iterator[Problem]:
    """Refuse what serves two classes where there are more: nothing would be chosen or scored by it."""
    classes = len(context.table.classes)
    if classes == 2:
        return
    wanted = {"validation.metrics": context.spec.validation.metrics or []}
    if context.tuning:
        wanted["tuning.scoring"] = context.tuning.scorers
    if context.spec.candidates is not None:
        wanted["selection.scoring"] = [context.spec.choice.scoring]
    message = "serves two classes, and the target has"
    for key, names in wanted.items():
        for name in names:
            if metric_info(name).binary_only:
                accepted = f"accepted: {', '.join(_scorers_of_more_like(name))}"
                yield Problem("", key, f"{name} {message} {classes}", accepted)
    if context.threshold:
        yield Problem("", "threshold.scoring", f"a threshold {message} {classes}", "leave it out")


def _scorers_of_more_like(name: str) -> list[str]:
    """List the scorers of more than two classes that begin alike, or all of them."""
    serving = [scorer for scorer in scorer_names() if not metric_info(scorer).binary_only]
    return [scorer for scorer in serving if scorer.startswith(f"{name}_")] or serving


def _gates(context: RunContext) -> list[Problem]:
    """Refuse slices that are none, and gates on what is not computed."""
    try:
        slices = [str(each) for each in context.slices]
    except DataError as error:
        return list(error.problems)
    spec = context.spec
    has_probabilities = context.calibration is not None or all(
        gives_probabilities(section.model.algorithm, section.model.hyperparameters) for section in spec.model_sections
    )
    default = default_metrics(context.table.classes, has_probabilities=has_probabilities)
    strategy = spec.validation.strategy
    sources: set[Source] = set() if strategy == "none" else {strategy}
    if context.run_data.test is not None:
        sources.add("test")
    return check_gates_can_be_met(
        spec.gates,
        metrics=["accuracy", *(spec.validation.metrics or default)],
        sources=sources,
        slices=slices,
    )


def _hold_out(context: RunContext) -> Iterator[Problem]:
    """Refuse a hold-out that takes all rows of a class, as one of the latest rows or of groups may."""
    data = context.spec.data
    for label in _unseen(context, context.split):
        message = f"class {format_value(label)} has no row to learn from: all of them are held out"
        yield Problem(data.path, data.target, message, f"set a smaller validation.test_size, or {LEAVE_CLASS_OUT}")


def _groups_in_folds(context: RunContext) -> Iterator[Problem]:
    """Refuse named folds that take a group apart: its rows would be trained on and predicted."""
    groups, fold = context.table.groups, context.table.fold
    if groups is None or fold is None:
        return
    folds_of: dict[Any, set[Any]] = {}
    for group, name in zip(groups.tolist(), fold.tolist(), strict=True):
        folds_of.setdefault(group, set()).add(name)
    apart = [group for group, names in folds_of.items() if len(names) > 1]
    if apart:
        message = f"takes {len(apart):,} of {len(folds_of):,} groups apart, such as {apart[0]!r}"
        yield Problem("", "data.fold", message, "rows of one group belong into one fold")


def _folds(context: RunContext) -> list[Problem]:
    """Refuse rows that a stage cannot split so that every part learns every class."""
    spec, y = context.spec, context.table.y_of(context.split.train)
    stages = _stages(context)
    if SPLITTERS[spec.splitter].counts_classes:
        for key, folds in sorted(stages.items(), key=lambda item: -item[1])[:1]:
            problems = check_class_counts(y, folds, key, where=spec.data.path, key=spec.data.target)
            if problems:
                return problems
        return list(_classes_inside_folds(context, stages))
    found = [problem for key, folds in stages.items() for problem in _unlearnt(context, key, folds)]
    return list({(problem.key, problem.message): problem for problem in found}.values())[:1]


def _search_key(context: RunContext) -> str:
    return "tuning.cv_folds" if context.spec.candidates is None else "selection.cv_folds"


def _stages(context: RunContext) -> dict[str, int]:
    """List the stages that split the training rows into folds, and into how many."""
    spec = context.spec
    stages: dict[str, int] = {}
    if spec.is_searched:
        stages[_search_key(context)] = spec.tuning_folds
    if context.calibration and context.calibration.holdout is None:
        stages["calibration.cv_folds"] = spec.calibration_folds
    if context.threshold and not context.calibration:
        stages.setdefault(_search_key(context) if spec.is_searched else "validation.cv_folds", context.threshold_folds)
    if spec.validation.strategy == "cross_validation":
        stages["validation.cv_folds"] = spec.validation.cv_folds
    return stages


def _inside_folds(context: RunContext, stages: dict[str, int]) -> dict[str, int]:
    """List the stages that split the training rows of each fold of the validation once more."""
    inside = {"calibration.cv_folds"}
    if context.is_nested or (context.threshold and not context.calibration):
        inside.add(_search_key(context))
    found = {key: folds for key, folds in stages.items() if key in inside}
    if context.threshold and not context.calibration and not context.spec.is_searched:
        found["validation.cv_folds"] = context.threshold_folds
    return found if context.spec.validation.strategy == "cross_validation" else {}


def _classes_inside_folds(context: RunContext, stages: dict[str, int]) -> Iterator[Problem]:
    """Refuse a class that has rows enough for each kind of folds, but not for the one inside the other."""
    data = context.spec.data
    for key, folds in sorted(_inside_folds(context, stages).items(), key=lambda item: -item[1])[:1]:
        counts = np.stack([context.table.class_counts_of(split.train) for split in context.validation_splits])
        for label, fewest in zip(context.table.classes.tolist(), counts.min(axis=0).tolist(), strict=True):
            if fewest < folds:
                rows = f"{fewest:,} row{'s' * (fewest != 1)}"
                message = f"class {format_value(label)} has {rows} where a fold of the validation leaves it least"
                hint = f"set {key}: {fewest}" if fewest > 1 else LEAVE_CLASS_OUT
                yield Problem(data.path, data.target, f"{message}, fewer than {key} ({folds})", hint)
                return


def _unlearnt(context: RunContext, key: str, folds: int) -> Iterator[Problem]:
    """Give the reason why a stage cannot split the training rows, or those of a fold of the validation."""
    for rows, where in _rows_of_stage(context, key):
        yield from _problem_of(context, key, folds, rows, where)


def _rows_of_stage(context: RunContext, key: str) -> Iterator[tuple[Rows, str]]:
    """Give the rows that a stage splits, and where they are: all that are trained on, and those of each outer fold."""
    yield context.split.train, ""
    is_repeated = key == "calibration.holdout" or key in _inside_folds(context, _stages(context))
    if is_repeated:
        for number, split in enumerate(_outer(context), start=1):
            yield split.train, f" inside fold {number} of the validation"


def _row_splits(context: RunContext) -> Iterator[RowSplits]:
    """Give every way in which the run splits rows, once it is known that all can be split."""
    if len(context.split.test):
        yield RowSplits("validation.test_size", "", (context.split,))
    for key, folds in _stages(context).items():
        for rows, where in _rows_of_stage(context, key):
            parts = context.folds(folds)(context.table, rows)
            yield RowSplits(_key_of(context, key), where, parts, calibrates=key == "calibration.cv_folds")
    if context.calibration and context.calibration.holdout is not None:
        for rows, where in _rows_of_stage(context, "calibration.holdout"):
            # Too few rows of a fold cost the calibration, with a warning.
            with suppress(SplitError):
                parts = context.calibration_splitter(context.table, rows)
                yield RowSplits("calibration.holdout", where, parts, calibrates=True)


def _outer(context: RunContext) -> tuple[Split, ...]:
    try:
        return context.validation_splits
    except SplitError:  # reported for the stage itself
        return ()


def _problem_of(context: RunContext, key: str, folds: int, rows: Rows, where: str) -> Iterator[Problem]:
    kind = context.spec.splitter
    try:
        splits = context.folds(folds)(context.table, rows)
    except SplitError as error:
        yield Problem("", _key_of(context, key), f"{str(error).removesuffix('.')}{where}")
        return
    unseen = [label for split in splits for label in _unseen(context, split)[:1]]
    if unseen:
        in_folds = f"in {len(unseen)} of {len(splits)} folds"
        message = f"{kind} leaves class {format_value(unseen[0])} no row to learn from {in_folds}"
        hint = _stratified(kind) or _folds_that_serve(context, key, folds) or LEAVE_CLASS_OUT
        yield Problem("", "validation.splitter", f"{message}{where}", hint)


def _stratified(kind: SplitterName) -> str:
    """Suggest a splitter that keeps each class in every fold; empty where the splitter does so itself."""
    other = SPLITTERS[kind].stratified
    return f"{other} keeps each class in all" if other else ""


def _key_of(context: RunContext, key: str) -> str:
    return key if SPLITTERS[context.spec.splitter].has_cv_folds else "validation.splitter"


def _unseen(context: RunContext, split: Split) -> list[Any]:
    """List the classes of which a split has no row to learn from."""
    unseen: list[Any] = context.table.classes[context.table.class_counts_of(split.train) == 0].tolist()
    return unseen


def _folds_that_serve(context: RunContext, key: str, folds: int) -> str:
    """Suggest a number of folds, or a strategy, by which every class is learnt; empty where none helps."""
    if SPLITTERS[context.spec.splitter].has_cv_folds:
        for fewer in range(folds - 1, 1, -1):
            if _serves(_with_folds(context, key, fewer), key, fewer):
                return f"set {key}: {fewer}"
    if _stages(context).keys() == {"validation.cv_folds"} and _hold_out_serves(context):
        return "write validation.strategy: train_test"
    return ""


def _with_folds(context: RunContext, key: str, folds: int) -> RunContext:
    section, name = key.split(".")
    changed = getattr(context.spec, section).model_copy(update={name: folds})
    return RunContext(context.spec.model_copy(update={section: changed}), context.run_data, context.run_log)


def _serves(context: RunContext, key: str, folds: int) -> bool:
    """Whether every part of a stage learns every class."""
    try:
        return not any(
            _unseen(context, split)
            for rows, _ in _rows_of_stage(context, key)
            for split in context.folds(folds)(context.table, rows)
        )
    except SplitError:
        return False


def _hold_out_serves(context: RunContext) -> bool:
    spec = context.spec
    if SPLITTERS[spec.splitter].column == "fold":
        return False
    hold_out = holdout_splitter(
        test_size=spec.validation.test_size,
        random_state=spec.random_state,
        kind=spec.splitter,
        gap=spec.validation.gap,
    )
    try:
        return not any(_unseen(context, split) for split in hold_out(context.table, context.split.train))
    except SplitError:
        return False
