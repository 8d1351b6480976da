"""What the tests of the tables draw, and what they draw it with."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from rich.console import Console, Group, RenderableType

from mlwf.provenance import Protocol, Provenance

Draw = Callable[..., str]
MakeScore = Callable[..., dict[str, Any]]


@pytest.fixture
def draw() -> Draw:
    """Draw what is shown on a terminal, without the blanks at the ends of lines."""

    def drawn(shown: Iterable[RenderableType], width: int = 100, *, colour: bool = False) -> str:
        file = io.StringIO()
        # Said outright: what the environment says of colours must not matter.
        system = "standard" if colour else None
        Console(file=file, width=width, force_terminal=colour, color_system=system, no_color=not colour).print(
            Group(*shown)
        )
        return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())

    return drawn


@pytest.fixture
def make_score() -> MakeScore:
    """Make a score as summary.json has it; `interval` and `difference` are pairs of what they mostly hold."""

    def made(
        metric: str,
        value: float | None,
        interval: tuple[float, float] | None = None,
        *,
        difference: tuple[float, bool | None] | None = None,
        method: str = "bootstrap of rows",
        **others: Any,
    ) -> dict[str, Any]:
        low_high = dict(zip(("low", "high"), interval, strict=True)) if interval else {}
        told = dict(zip(("value", "distinguishable"), difference, strict=True)) if difference else {}
        return {
            "metric": metric,
            "source": "test",
            "value": value,
            "interval": {**low_high, "level": 0.95, "method": method} if interval else None,
            "baseline": None,
            "difference": {**told, "interval": None} if difference else None,
            "n_rows": 1234,
            "provenance": Provenance("test", 1234, Protocol("test_set")).to_dict(),
            "tuned_on_same_rows": False,
            "slice": None,
            **others,
        }

    return made
