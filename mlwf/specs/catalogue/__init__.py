"""What scikit-learn accepts, known without importing it: algorithms, hyperparameters, grids, scorers and metrics.

The facts lie in `mlwf/specs/catalogue.json`, written by `python -m mlwf.catalogue_writer` from the installed
scikit-learn; a test keeps them current. Checks return what is wrong and what is accepted, and raise nothing.
"""

from __future__ import annotations

from mlwf.specs.catalogue.algorithms import (
    ALGORITHMS,
    algorithm_class,
    algorithm_names,
    check_algorithm,
    check_hyperparameters,
    gives_probabilities,
    takes_sample_weight,
)
from mlwf.specs.catalogue.param_grids import check_param_distributions, check_param_grid
from mlwf.specs.catalogue.scorers import (
    binary_only,
    check_metric,
    check_scorer,
    greater_is_better,
    metric_names,
    metric_scorer,
    multiclass_only,
    needs_labels,
    needs_probabilities,
    scorer_names,
)

__all__ = [
    "ALGORITHMS",
    "algorithm_class",
    "algorithm_names",
    "binary_only",
    "check_algorithm",
    "check_hyperparameters",
    "check_metric",
    "check_param_distributions",
    "check_param_grid",
    "check_scorer",
    "gives_probabilities",
    "greater_is_better",
    "metric_names",
    "metric_scorer",
    "multiclass_only",
    "needs_labels",
    "needs_probabilities",
    "scorer_names",
    "takes_sample_weight",
]
