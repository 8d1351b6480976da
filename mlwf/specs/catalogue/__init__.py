"""What is known of algorithms, hyperparameters, grids, scorers and metrics, without importing scikit-learn.

`mlwf/specs/catalogue.json` is written by `python -m mlwf.catalogue_writer` from the installed scikit-learn; a test
keeps it current. Checks return what is wrong and what is accepted, and raise nothing.
"""

from __future__ import annotations

from mlwf.specs.catalogue.algorithms import (
    ALGORITHMS,
    AlgorithmInfo,
    NativeCategories,
    algorithm_names,
    check_hyperparameters,
    check_installed,
    find_algorithm,
    gives_probabilities,
    takes_sample_weight,
)
from mlwf.specs.catalogue.finding_table import FINDINGS, SEVERITIES, FindingInfo, Severity
from mlwf.specs.catalogue.metric_table import (
    DEFAULT_METRICS,
    METRICS,
    SOURCES,
    TRAINING_SOURCES,
    UNSEEN,
    MetricInfo,
    Source,
    SourceInfo,
    TrainingSource,
    check_metric,
    check_scorer,
    metric_info,
    metric_names,
    metric_scorer,
    rank_of,
    scorer_names,
)
from mlwf.specs.catalogue.native_categories import check_native, count_columns, count_native, is_native
from mlwf.specs.catalogue.param_grids import EACH, check_param_distributions, check_param_grid
from mlwf.specs.catalogue.search_spaces import SearchSpace
from mlwf.specs.catalogue.splitter_table import (
    SPLITTER_OPTIONS,
    SPLITTERS,
    SplitterInfo,
    SplitterName,
    default_splitter,
    splitters_with,
)

__all__ = [
    "ALGORITHMS",
    "DEFAULT_METRICS",
    "EACH",
    "FINDINGS",
    "METRICS",
    "SEVERITIES",
    "SOURCES",
    "SPLITTERS",
    "SPLITTER_OPTIONS",
    "TRAINING_SOURCES",
    "UNSEEN",
    "AlgorithmInfo",
    "FindingInfo",
    "MetricInfo",
    "NativeCategories",
    "SearchSpace",
    "Severity",
    "Source",
    "SourceInfo",
    "SplitterInfo",
    "SplitterName",
    "TrainingSource",
    "algorithm_names",
    "check_hyperparameters",
    "check_installed",
    "check_metric",
    "check_native",
    "check_param_distributions",
    "check_param_grid",
    "check_scorer",
    "count_columns",
    "count_native",
    "default_splitter",
    "find_algorithm",
    "gives_probabilities",
    "is_native",
    "metric_info",
    "metric_names",
    "metric_scorer",
    "rank_of",
    "scorer_names",
    "splitters_with",
    "takes_sample_weight",
]
