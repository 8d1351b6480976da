"""What a person should look at before trusting a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier

from mlwf.engine.out_of_fold import TrainedModel
from mlwf.engine.requests import Fitter
from mlwf.modules.data import row_digests
from mlwf.modules.findings import FindingInputs, find, list_columns, search_leaks
from mlwf.modules.inference import infer_features
from mlwf.modules.preprocessing import build_preprocessor
from mlwf.orchestrator.context import RunContext
from mlwf.results import Evaluation, Finding, LeakSearch, TuningResult
from mlwf.specs.features import FeatureSpec
from mlwf.splitting.rows import Split

BARE: dict[str, dict[str, Any]] = {
    "numeric": {"imputer": None, "fill_value": None, "scaler": None},
    "categorical": {"imputer": None, "fill_value": None, "encoder": "target"},
    "boolean": {"imputer": None, "fill_value": None},
    "ordinal": {"imputer": None, "fill_value": None},
    "date": {"imputer": None, "scaler": None},
}
"""How a feature is prepared when it is looked at alone: what is missing stays so, since that may predict the target."""


def look_for_findings(
    context: RunContext,
    trained: TrainedModel,
    tuned: TuningResult | None,
    evaluations: Sequence[Evaluation],
    fit: Fitter,
) -> tuple[Finding, ...]:
    """Find what a person should look at before trusting the run."""
    run_data, spec = context.run_data, context.spec
    inputs = FindingInputs(
        table=context.table,
        rows=context.shipped_rows,
        splits=_splits(context),
        leaks=_search_leaks(context, fit),
        identifiers=_identifiers(context),
        evaluations=evaluations,
        tuned=tuned,
        tuning=context.tuning,
        algorithm=spec.model.algorithm,
        calibration=trained.calibration,
        digests=row_digests(run_data.data),
        test_digests=None if run_data.test is None else row_digests(run_data.test),
        degraded=context.run_log.degraded,
    )
    return find(inputs, ignore=spec.findings.ignore)


def count_columns(context: RunContext) -> int:
    """Count the columns that the search for leaks screens."""
    is_ignored = "leakage" in context.spec.findings.ignore
    return 0 if is_ignored else len(list_columns(context.table, context.run_data.features))


def _search_leaks(context: RunContext, fit: Fitter) -> LeakSearch | None:
    if "leakage" in context.spec.findings.ignore:
        return None
    search = search_leaks(
        context.table,
        context.shipped_rows,
        _splits(context),
        context.run_data.features,
        fit,
        build_probe=_build_probe,
        on_columns=context.run_log.on_columns,
    )
    context.run_log.leak_search = search
    if search.not_probed:
        context.run_log.warn(
            f"the search for leaks looked closely at {search.probed} of {search.suspects:,} columns that may be leaks, "
            "the most suspicious ones"
        )
    return search


def _splits(context: RunContext) -> Sequence[Split]:
    return context.outer or ((context.split,) if len(context.split.test) else ())


def _build_probe(column: str | int, feature: FeatureSpec) -> Pipeline:
    """Build the small tree that is trained on one column alone."""
    alone = feature.model_copy(update={"columns": [column], **BARE[feature.type]})
    tree = DecisionTreeClassifier(max_leaf_nodes=8, min_samples_leaf=5, random_state=0)
    return Pipeline([("preprocessor", build_preprocessor([alone], cv_folds=2)), ("classifier", tree)])


def _identifiers(context: RunContext) -> dict[str, str]:
    """Give the features that would not be inferred, because they seem to identify the row."""
    X: Any = context.run_data.data.X
    # Features that were inferred have passed this already.
    if context.run_data.inferred is not None or not hasattr(X, "columns"):
        return {}
    return infer_features(pd.DataFrame(X).iloc[context.split.train.index]).identifiers
