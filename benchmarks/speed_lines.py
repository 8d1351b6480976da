"""What is compared with what, and what is to be reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Unit = Literal["cpu", "wall", "fits"]
Must = Literal["be equal", "have equal folds", "be close", "nothing"]
"""Before times are reported: all values of the two are equal to the last bit; or all but means over folds, which
dask-ml sums in another order. To be close is a goal: the best score is within `CLOSE` of the grid's."""
CLOSE = 0.001

UNITS: dict[Unit, str] = {"cpu": "s CPU", "wall": "s", "fits": "fits"}


@dataclass(frozen=True)
class Goal:
    """What is to be reached, in words and as a function of what the other side takes and what mlwf takes."""

    words: str
    is_reached: Callable[[float, float], bool]
    got: Callable[[float, float], str]


def saves(least: float) -> Goal:
    """Ask that mlwf takes so many times less."""
    return Goal(
        f"at least {least} times less",
        lambda theirs, ours: theirs / ours >= least,
        lambda theirs, ours: f"{theirs / ours:.2f} times less",
    )


def costs(most: float, *, plus_seconds: float = 0) -> Goal:
    """Ask that mlwf takes at most so many times as much, and some seconds."""
    allowance = f" + {plus_seconds} s" if plus_seconds else ""
    return Goal(
        f"at most {most} times{allowance}",
        lambda theirs, ours: ours <= most * theirs + plus_seconds,
        lambda theirs, ours: _times_and_seconds(theirs, ours) if plus_seconds else f"{ours / theirs:.2f} times",
    )


def adds(most_seconds: float) -> Goal:
    """Ask that mlwf takes at most so many seconds more."""
    return Goal(
        f"at most {most_seconds} s more",
        lambda theirs, ours: ours - theirs <= most_seconds,
        lambda theirs, ours: f"{ours - theirs:+.2f} s",
    )


def takes(most_seconds: float) -> Goal:
    """Ask that mlwf takes at most so many seconds, whatever the other side takes."""
    return Goal(
        f"at most {most_seconds} s",
        lambda theirs, ours: ours <= most_seconds,
        lambda theirs, ours: f"{ours:.2f} s",
    )


def _times_and_seconds(theirs: float, ours: float) -> str:
    return f"{ours / theirs:.2f} times ({ours - theirs:+.2f} s)"


@dataclass(frozen=True)
class Reading:
    """A part of a side."""

    side: str
    part: str


@dataclass(frozen=True)
class Line:
    """One comparison."""

    row: int
    what: str
    against: str
    theirs: Reading
    ours: Reading
    goal: Goal
    unit: Unit = "cpu"
    must: Must = "be equal"
    """What must hold of the results."""


BOOSTERS = {"gb": "gradient_boosting", "hgb": "hist_gradient_boosting"}
"""By the short names that sides have."""


def _boosters(
    rows: tuple[int, int], what: str, against: str, part: str, script: str, goals: tuple[float, float]
) -> list[Line]:
    """Compare with the plain script, for each of the two boosters."""
    return [
        Line(
            row, f"{what}, {algorithm}", against, _plain(short, part), Reading(f"{script}, {short}", part), saves(goal)
        )
        for row, (short, algorithm), goal in zip(rows, BOOSTERS.items(), goals, strict=True)
    ]


def _inexact() -> list[Line]:
    return [
        Line(
            4,
            f"{name} to within 0.1 % of the best, {algorithm}",
            "the plain grid",
            _plain(short, "search"),
            Reading(f"mlwf {name.lower()}, {short}", "search"),
            saves(8),
            must="be close",
        )
        for short, algorithm in BOOSTERS.items()
        for name in ("Halving", "Optuna")
    ]


def _by_log_loss(strategy: str, what: str, goal: float) -> Line:
    """Compare the time to a log loss within 0.1 % of that of the grid of 64 candidates of LightGBM, or a better one."""
    side = "mlwf portfolio" if strategy == "portfolio" else f"mlwf {strategy} by log loss"
    ours, plain = Reading(side, "search"), Reading("plain search by log loss", "search")
    return Line(
        15,
        f"{what} to within 0.1 % of the best log loss, lightgbm",
        "`GridSearchCV`",
        plain,
        ours,
        saves(goal),
        must="be close",
    )


def _adult(against: str, side: str, must: Must) -> Line:
    what = "Adult, 48,842 mixed rows, 16 candidates, hist_gradient_boosting"
    return Line(7, what, against, Reading(side, "search"), Reading("mlwf adult", "search"), saves(2.5), must=must)


def _nested(unit: Unit, goal: float) -> Line:
    what, script = "nested, 5 x 5 folds, the 64 candidates, hist_gradient_boosting", "the plain nested script"
    plain, ours = Reading("plain nested", "nested"), Reading("mlwf nested", "nested")
    return Line(8, what, script, plain, ours, saves(goal), unit)


def _light(name: str, most: float) -> Line:
    against = '`python -c "import typer, pydantic, yaml"`'
    libraries, ours = (Reading("light commands", part) for part in ("import", name))
    return Line(11, f"`mlwf {name}`", against, libraries, ours, costs(most), must="nothing")


def _quickstart(what: str, imports: str, against: str, part: str, most: float) -> Line:
    ours = Reading("quickstart", part)
    return Line(13, what, against, Reading("quickstart", imports), ours, costs(most), must="nothing")


def _plain(short: str, part: str) -> Reading:
    return Reading(f"plain chain, {short}", part)


_IMPORTS = "importing mlflow, scikit-learn, pandas and matplotlib"

LINES: tuple[Line, ...] = (
    *_boosters((1, 2), "64 candidates", "`GridSearchCV`", "search", "mlwf search", (2.4, 2.8)),
    *_boosters((3, 3), "tune, refit, calibrate, cross-validate", "the plain script", "chain", "mlwf chain", (2.1, 2.5)),
    Line(
        3,
        "of that, hist_gradient_boosting",
        "the fits alone that cannot be saved",
        Reading("fewest fits, hgb", "fits"),
        Reading("mlwf chain, hgb", "chain"),
        costs(1.2),
        must="nothing",
    ),
    *_inexact(),
    Line(
        5,
        "one gradient_boosting, nothing to save",
        "the plain script in the same process",
        Reading("baseline", "plain"),
        Reading("baseline", "mlwf"),
        costs(1.03, plus_seconds=0.5),
    ),
    Line(
        6,
        "`mlwf train` a second time, the 64 candidates, gradient_boosting",
        "its first run",
        Reading("same command twice", "first"),
        Reading("same command twice", "second"),
        costs(0.1),
    ),
    _adult("the plain script", "plain adult", "be equal"),
    _adult("dask-ml's `GridSearchCV`", "dask-ml adult", "have equal folds"),
    _nested("fits", 3.5),
    _nested("cpu", 2.2),
    Line(
        9,
        "two workers, 32 candidates, gradient_boosting",
        "one worker",
        Reading("one worker", "search"),
        Reading("two workers", "search"),
        saves(1.8),
        "wall",
    ),
    Line(
        10,
        "tracking on, 64 cheap candidates",
        "tracking off",
        Reading("tracking off", "run"),
        Reading("tracking on", "run"),
        adds(1.5),
    ),
    Line(
        12,
        "the search for leaks, 1,000 columns, 300 rows, logistic_regression",
        "all else of the same run",
        Reading("many columns", "rest"),
        Reading("many columns", "search"),
        costs(0.2),
        must="nothing",
    ),
    _quickstart("the quickstart, 344 rows, tracked in a new store", "imports", _IMPORTS, "tracked", 2.5),
    _quickstart("the same again, nothing to fit", "imports", _IMPORTS, "again", 1.5),
    _quickstart(
        "the quickstart without tracking", "untracked imports", "the imports that it then needs", "untracked", 2
    ),
    Line(
        14,
        "64 candidates, lightgbm",
        "`GridSearchCV`",
        Reading("plain search, lightgbm", "search"),
        Reading("mlwf search, lightgbm", "search"),
        saves(2.2),
    ),
    _by_log_loss("grid", "The same grid", 2.2),
    _by_log_loss("random", "20 random candidates of it", 3),
    _by_log_loss("halving", "Halving", 8),
    _by_log_loss("optuna", "Optuna", 6),
    _by_log_loss("portfolio", "`algorithm: auto`", 1.5),
    _light("--help", 1.5),
    _light("summary", 1.5),
    _light("validate", 2.5),
    Line(
        11,
        "`mlwf compare` of two runs",
        "`mlwf summary`",
        Reading("light commands", "summary"),
        Reading("light commands", "compare"),
        costs(2),
        must="nothing",
    ),
    Line(
        16,
        "`mlwf report`, Adult, 48,842 rows",
        "its training",
        Reading("one run of adult", "run"),
        Reading("one run of adult", "report"),
        takes(15),
        must="nothing",
    ),
    Line(
        16,
        "importances, Adult, 48,842 rows",
        "all else of the same run",
        Reading("one run of adult", "rest"),
        Reading("one run of adult", "importances"),
        costs(0.1),
        must="nothing",
    ),
)

ROWS = tuple(dict.fromkeys(line.row for line in LINES))
