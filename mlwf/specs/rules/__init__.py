"""Rules that need two sections of an experiment, or the catalogue: what no single spec can see.

data_rules.py      columns and features
training_rules.py  the classifier or several, the search, calibration, threshold, and what is reported
fold_rules.py      how rows are split, and which options go with that
gate_rules.py      what the run must reach
service_rules.py   tracking, feature store, machines
unused_rules.py    options without an effect: reported, and not refused
"""

from __future__ import annotations

from collections.abc import Collection

from mlwf.specs.experiment import ExperimentSpec
from mlwf.specs.problems import KeyPath, Rule, SpecProblem
from mlwf.specs.rules.data_rules import DATA_RULES
from mlwf.specs.rules.fold_rules import FOLD_RULES
from mlwf.specs.rules.gate_rules import GATE_RULES
from mlwf.specs.rules.service_rules import COMPUTE_RULES, STORE_RULES
from mlwf.specs.rules.training_rules import MODEL_RULES, OUTPUT_RULES, SELECTION_RULES, TUNING_RULES
from mlwf.specs.rules.unused_rules import unused_options as unused_options

RULES: tuple[Rule, ...] = (
    *DATA_RULES,
    *MODEL_RULES,
    *SELECTION_RULES,
    *TUNING_RULES,
    *FOLD_RULES,
    *OUTPUT_RULES,
    *GATE_RULES,
    *STORE_RULES,
    *COMPUTE_RULES,
)


def broken_rules(spec: ExperimentSpec, *, doubtful: Collection[KeyPath] = ()) -> list[SpecProblem]:
    """List what contradicts itself in an experiment; a rule that reads something doubtful is left out."""
    return [
        problem
        for rule in RULES
        if not any(_overlap(path, pattern) for path in doubtful for pattern in rule.reads)
        for problem in rule.check(spec)
    ]


def _overlap(path: KeyPath, pattern: str) -> bool:
    """Whether one of the two is, or is inside, the other."""
    return all(part == "*" or part == str(key) for key, part in zip(path, pattern.split("."), strict=False))
