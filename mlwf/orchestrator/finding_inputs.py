"""What a person should look at before trusting a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier

from mlwf.engine.requests import Fitter
from mlwf.engine.training import Trained
from mlwf.modules.data import row_digests
from mlwf.modules.findings import Evidence, find, list_columns, search_leaks
from mlwf.modules.inference import infer_features
from mlwf.modules.preprocessing import build_preprocessor
from mlwf.orchestrator.context import Setting
from mlwf.results import Finding, Judgement, LeakSearch, TuningResult
from mlwf.specs.features import FeatureSpec
from mlwf.splitting.rows import Split

BARE: dict[str, dict[str, Any]] = {
    "numeric": {"imputer": None, "fill_value": None, "scaler": None},
    "categorical": {"imputer": None, "fill_value": None, "encoder": "target"},
    "boolean": {"imputer": None, "fill_value": None},
    "ordinal": {"imputer": None, "fill_value": None},
    "date": {"imputer": None, "scaler": None},
}
"""How a feature is prepared when it is looked at alone: what is missing stays so, since that may tell the target."""


def find_findings(
    setting: Setting,
    trained: Trained,
    tuned: TuningResult | None,
    judgements: Sequence[Judgement],
    fit: Fitter,
) -> tuple[Finding, ...]:
    """Find what a person should look at before trusting the run."""
    material, spec = setting.material, setting.spec
    evidence = Evidence(
        table=setting.table,
        rows=setting.shipped_rows,
        splits=_splits(setting),
        leaks=_search_leaks(setting, fit),
        identifiers=_identifiers(setting),
        judgements=judgements,
        tuned=tuned,
        tuning=setting.tuning,
        algorithm=spec.model.algorithm,
        calibration=trained.calibration,
        digests=row_digests(material.data),
        test_digests=None if material.test is None else row_digests(material.test),
        degraded=setting.journal.degraded,
    )
    return find(evidence, ignore=spec.findings.ignore)


def count_columns(setting: Setting) -> int:
    """Count the columns that the search for leaks screens."""
    is_ignored = "leakage" in setting.spec.findings.ignore
    return 0 if is_ignored else len(list_columns(setting.table, setting.material.features))


def _search_leaks(setting: Setting, fit: Fitter) -> LeakSearch | None:
    if "leakage" in setting.spec.findings.ignore:
        return None
    search = search_leaks(
        setting.table,
        setting.shipped_rows,
        _splits(setting),
        setting.material.features,
        fit,
        build_probe=_build_probe,
        on_columns=setting.journal.on_columns,
    )
    setting.journal.leak_search = search
    if search.not_probed:
        setting.journal.warn(
            f"the search for leaks looked closely at {search.probed} of {search.suspects:,} columns that may be leaks, "
            "the most suspicious ones"
        )
    return search


def _splits(setting: Setting) -> Sequence[Split]:
    return setting.outer or ((setting.split,) if len(setting.split.test) else ())


def _build_probe(column: str | int, feature: FeatureSpec) -> Pipeline:
    """Build the small tree that knows one column alone."""
    alone = feature.model_copy(update={"columns": [column], **BARE[feature.type]})
    tree = DecisionTreeClassifier(max_leaf_nodes=8, min_samples_leaf=5, random_state=0)
    return Pipeline([("preprocessor", build_preprocessor([alone], cv_folds=2)), ("classifier", tree)])


def _identifiers(setting: Setting) -> dict[str, str]:
    """Say which features would not be inferred, because they seem to identify the row."""
    X: Any = setting.material.data.X
    # Features that were inferred have passed this already.
    if setting.material.inferred is not None or not hasattr(X, "columns"):
        return {}
    left_out = infer_features(pd.DataFrame(X).iloc[setting.split.train.index]).left_out
    return {column: reason for column, reason in left_out.items() if reason.startswith("identifier")}
