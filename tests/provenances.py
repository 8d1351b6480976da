"""A provenance for each source of numbers."""

from __future__ import annotations

from mlwf.provenance import Protocol, Provenance
from mlwf.specs.catalogue import Source

ON_TEST = Provenance("test", 200, Protocol("test_set"), ("test",))
ON_HOLDOUT = Provenance("train_test", 90, Protocol("holdout"), ("holdout",))
ON_FOLDS = Provenance(
    "cross_validation",
    90,
    Protocol("stratified_kfold", n_folds=3, is_shuffled=True),
    ("fold_0_test", "fold_1_test", "fold_2_test"),
)
BY_SOURCE: dict[Source, Provenance] = {"test": ON_TEST, "train_test": ON_HOLDOUT, "cross_validation": ON_FOLDS}
