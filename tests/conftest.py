"""What every test may use, in an environment that does not depend on who runs it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import pandas as pd

ROOT = Path(__file__).parent.parent
FIRST = ("test_sessions.py", "test_documents.py", "test_resuming.py")
"""Files of tests that take long; a file is one worker's, who would still be at it when the other is done."""

# Set before numpy or a child process can look. What is unset here would change the width, the colours or the place of
# what is compared whole; typer takes a CI's or an editor's word for a terminal.
for name in [*os.environ]:
    if name.startswith(("MLFLOW_", "FEAST_", "MLWF_", "CLICOLOR", "PYTHONWARNINGS")) or name in {
        "COLUMNS",
        "FORCE_COLOR",
        "GITHUB_ACTIONS",
        "LINES",
        "NO_COLOR",
        "PY_COLORS",
        "TERMINAL_WIDTH",
        "TTY_COMPATIBLE",
        "TTY_INTERACTIVE",
    }:
        del os.environ[name]
os.environ |= {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MPLBACKEND": "Agg",
    # The tests run side by side: each keeps to one core.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TZ": "UTC",
}
time.tzset()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long."""
    items.sort(key=lambda item: item.path.name not in FIRST)


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    """Give a place for runs."""
    return tmp_path / "runs"


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an MLflow store without runs; creating one takes seconds, copying it does not."""
    from mlwf.modules.tracking.mlflow_store import open_store

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    open_store(f"sqlite:///{path}")
    return path


@pytest.fixture
def penguins() -> pd.DataFrame:
    """Give 344 penguins of three species: mixed types, a few nulls, the target `species` last."""
    import pandas as pd

    parts = [pd.read_csv(ROOT / "configs/data" / name) for name in ("penguins.csv", "penguins_test.csv")]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def people() -> pd.DataFrame:
    """Give 60 made-up people, a column of every kind, nulls among them, and the binary target `bought`."""
    import numpy as np
    import pandas as pd

    draw = np.random.default_rng(0)
    age = draw.integers(18, 80, 60).astype(float)
    member = draw.random(60) < 0.5
    frame = pd.DataFrame(
        {
            "age": age,
            "visits": draw.poisson(3, 60),
            "member": member,
            "city": draw.choice(["Bergen", "Lyon", "Turin"], 60),
            "size": draw.choice(["small", "medium", "large"], 60),
            "since": pd.Timestamp("2024-01-01") + pd.to_timedelta(draw.integers(0, 700, 60), unit="D"),
            "bought": np.where(age + 20 * member + draw.normal(0, 8, 60) > 58, "yes", "no"),
        }
    )
    frame.loc[[3, 17], "age"] = None
    frame.loc[[5, 17, 40], "city"] = None
    return frame
