"""Names that MLflow's stores refuse, some of them only after the training.

The stores differ: SQLite takes texts of any length, other databases as much as their columns hold. What one of them
refuses is refused.
"""

from __future__ import annotations

import re

Refusal = tuple[str, str]
"""What is wrong with a name, to be put behind `which`, and what is accepted."""

LONGEST = {"experiment": 256, "run": 250, "model": 256, "alias": 255}
"""Characters that a name may have."""


def refused_experiment(name: str) -> Refusal | None:
    """Say why no experiment can be called so; None when it can."""
    return _refused_text(name, "experiment")


def refused_run(name: str) -> Refusal | None:
    """Say why no run can be called so; None when it can."""
    return _refused_text(name, "run")


def refused_model(name: str) -> Refusal | None:
    """Say why no registered model can be called so; None when it can.

    >>> refused_model("a/b")
    ('holds a / or a :', 'accepted: a name without them')
    >>> refused_model("census.2024")
    """
    if not name.strip():
        return "is blank", "accepted: a name"
    if re.search("[/:]", name):
        return "holds a / or a :", "accepted: a name without them"
    if name == "." or name.startswith(".."):
        return "MLflow takes for a path", "accepted: a name other than . that does not begin with .."
    return _refused_text(name, "model")


def refused_alias(name: str) -> Refusal | None:
    """Say why no alias can be called so; None when it can.

    >>> refused_alias("V2")
    ('MLflow keeps for itself', 'accepted: all but latest, v1, v2, ...')
    """
    if not re.fullmatch(r"[A-Za-z0-9_\-]+", name):
        return "is no alias", "accepted: letters, digits, _ and -"
    if re.fullmatch(r"latest|v\d+", name, re.IGNORECASE):
        return "MLflow keeps for itself", "accepted: all but latest, v1, v2, ..."
    return _refused_text(name, "alias")


def _refused_text(name: str, kind: str) -> Refusal | None:
    if "\0" in name:
        return "holds the character NUL", "accepted: a name without it"
    if len(name) > LONGEST[kind]:
        return f"has {len(name)} characters", f"accepted: at most {LONGEST[kind]}"
    return None
