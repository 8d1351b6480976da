"""What fits cost, predicted and measured, and the time of a run: which fits may begin, and when all must have ended.

A run with a time limit has one `RunTime`. Its searches that run at the same time share one `SearchTime`, which knows
what must still be done after them, and which the engine asks before it begins the fits of a candidate; one candidate
of each is tried in turn, the cheapest first::

    time = SearchTime(run_time, reserve=..., n_shipped=1)
    for model in models:
        tune(..., time=time)

`reserve` gives the seconds on the clock that everything after the search takes when a pipeline with these parameters
ships. Where several candidates ship together, as an average, `n_shipped` is how many. `time.may_begin(seconds,
pipeline, params)` says whether fits that take that many seconds on the clock may begin, `time.may_ship(pipeline,
params)` whether there still is time for what follows, and `run_time.may_take(seconds)` says it of what is no search.
"""

from __future__ import annotations

import math
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, NamedTuple

OVERHEAD_SECONDS = 0.02
"""What a fit takes besides its own seconds: the rows, the scores, the cache."""

FAITHFUL_SECONDS = 0.2
"""Seconds of a measured fit from which on its overhead is too small to mislead."""

FARTHEST = 8
"""How many times as costly as a short one that was measured a fit may be, by the estimates, to be predicted by it."""

MOST_MEASURED = 64
"""Of one algorithm, or of one classifier with its hyperparameters: the latest."""

PREPARATION = "preparation"
"""Stands for the preprocessor among the names of classifiers."""

MOST_UNUSED = 0.3
"""Part of the time limit that may be left when costlier candidates cannot begin, rather than do without a phase."""

MARGIN = 1.15
"""Predictions times this are what is planned with: other processes come and go."""


class Measured(NamedTuple):
    """A fit that was made."""

    estimated: float
    seconds: float


class FitCosts:
    """Predicts the seconds of fits: the catalogue's estimates, corrected by what the fits of this run took.

    Seconds are those on the clock, of a fit with its predictions and scores, beside whatever else runs. The same
    classifier with the same hyperparameters on other rows, or with other rounds, predicts better than another one of
    the same algorithm.
    """

    def __init__(self) -> None:
        self._measured: dict[str, deque[Measured]] = defaultdict(lambda: deque(maxlen=MOST_MEASURED))
        self._saved: dict[str, deque[Measured]] = defaultdict(lambda: deque(maxlen=MOST_MEASURED))
        self._overheads: dict[str, float] = {}
        self._lock = threading.Lock()

    def record(self, classifier: Any, estimated: float, seconds: float, *, learner: str | None = None) -> None:
        """Take what a fit took.

        Parameters
        ----------
        classifier
            The unfitted classifier.
        estimated
            Seconds that `estimate_seconds` gives for it.
        seconds
            Seconds on the clock.
        learner
            Identifies the classifier with its hyperparameters, whatever its rounds and its rows.
        """
        with self._lock:
            for name in _names(classifier, learner):
                self._measured[name].append(Measured(estimated, seconds))

    def record_overhead(self, classifier: Any, seconds: float) -> None:
        """Take what a fit of the algorithm takes however few its rounds are, such as the binning of its rows."""
        with self._lock:
            name = _names(classifier, None)[0]
            self._overheads[name] = min(max(OVERHEAD_SECONDS, seconds), self._overheads.get(name, math.inf))

    def record_saving(self, classifier: Any, estimated: float, seconds: float) -> None:
        """Take what it took to write a fitted model, whose fit was estimated to take `estimated` seconds."""
        with self._lock:
            self._saved[_names(classifier, None)[0]].append(Measured(estimated, seconds))

    def predict(self, classifier: Any, estimated: float, *, learner: str | None = None) -> float:
        """Predict the seconds of a fit; the estimate itself where nothing like it was measured."""
        names = _names(classifier, learner)
        with self._lock:
            overhead = self._overheads.get(names[0], OVERHEAD_SECONDS)
            for name in reversed(names):
                if self._measured.get(name):
                    return overhead + _ratio(self._measured[name], overhead) * estimated
        return overhead + estimated

    def predict_saving(self, classifier: Any, estimated: float) -> float:
        """Predict the seconds to write the model of a fit; none where no such model was written."""
        with self._lock:
            saved = self._saved.get(_names(classifier, None)[0])
            return _ratio(saved) * estimated if saved else 0.0

    def record_preparing(self, n_cells: int, seconds: float) -> None:
        """Take what it took to prepare training rows of so many cells, with the rows to predict."""
        with self._lock:
            self._measured[PREPARATION].append(Measured(float(max(1, n_cells)), seconds))

    def predict_preparing(self, n_cells: int) -> float:
        """Predict the seconds to prepare training rows of so many cells; none where nothing was prepared."""
        with self._lock:
            measured = self._measured.get(PREPARATION)
            return _ratio(measured) * n_cells if measured else 0.0

    def is_measured(self, classifier: Any, estimated: float, *, enough: float = FAITHFUL_SECONDS) -> bool:
        """Tell whether a fit of the algorithm was measured that is like one of so many estimated seconds.

        One that took `enough` seconds is like any: of those its overhead is the least part.
        """
        with self._lock:
            measured = tuple(self._measured.get(_names(classifier, None)[0], ()))
        return any(each.seconds >= enough or each.estimated * FARTHEST >= estimated for each in measured)


def _names(classifier: Any, learner: str | None) -> list[str]:
    """Name what a fit is like, the least like it first."""
    kind = type(classifier)
    return [f"{kind.__module__}.{kind.__qualname__}", *([] if learner is None else [learner])]


def _ratio(measured: deque[Measured], overhead: float = OVERHEAD_SECONDS) -> float:
    """Give how many times its estimate a fit takes: the median, in which a fit counts by its estimate."""
    ratios = sorted((max(each.seconds - overhead, 0.0) / each.estimated, each.estimated) for each in measured)
    half, passed = sum(weight for _, weight in ratios) / 2, 0.0
    for ratio, weight in ratios:
        passed += weight
        if passed >= half:
            return ratio
    return ratios[-1][0]


@dataclass(eq=False)
class RunTime:
    """The time of a run, from before its data is read."""

    seconds: float = math.inf
    """The limit; infinite without one."""
    started: float = field(default_factory=monotonic)
    """Reading of `time.monotonic`."""
    costs: FitCosts = field(default_factory=FitCosts)
    """What the fits of the run take."""

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit."""
        return math.isfinite(self.seconds)

    @property
    def ends(self) -> float:
        """Reading of `time.monotonic` at which the run shall have ended."""
        return self.started + self.seconds

    @property
    def elapsed(self) -> float:
        """Seconds that have passed."""
        return monotonic() - self.started

    @property
    def left(self) -> float:
        """Seconds that are left; below zero when none are."""
        return self.ends - monotonic()

    def may_take(self, seconds: float, *, reserve: float = 0.0) -> bool:
        """Tell whether something that is predicted to take so many seconds may begin, with `reserve` to follow."""
        return MARGIN * (seconds + reserve) <= self.left


Reserve = Callable[[Any, Mapping[str, Any]], float]
"""Gives the seconds on the clock of all that follows a search, when this pipeline with these parameters ships."""


def no_reserve(pipeline: Any, params: Mapping[str, Any]) -> float:
    """Reserve nothing."""
    return 0.0


class SearchTime:
    """The time of a search, or of several at once: which candidates may begin, and when all fits must have ended.

    Parameters
    ----------
    run_time
        The time of the run.
    reserve
        What follows for each candidate that ships.
    least
        The same, without what the run can do without.
    n_shipped
        How many candidates ship, at most.
    slots
        How many of those that ship are fitted at the same time.
    at_the_end
        Seconds of what follows that come once, however many candidates ship; `reserve` counts them for each.
    share
        Which part of the time that is left the search may take: less than 1 where other searches follow.
    """

    def __init__(
        self,
        run_time: RunTime,
        *,
        reserve: Reserve = no_reserve,
        least: Reserve | None = None,
        n_shipped: int = 1,
        slots: int = 1,
        at_the_end: float = 0.0,
        share: float = 1.0,
    ) -> None:
        self.run_time = run_time
        self.reserve = reserve
        self.least = least or reserve
        self.n_shipped = n_shipped
        self.slots = slots
        self.at_the_end = at_the_end
        self.share = share
        self.started = monotonic()
        self.turn: int | None = None
        """When the engine was first asked for fits of it: searches take turns in that order."""
        self.n_undecided = 0
        """How many candidates, or groups of those that share their fits, wait to be decided on."""
        self._has_least = False
        self._has_only_one = False
        self._reserves: list[float] = []
        """Those of the costliest candidates that have begun, the largest first."""
        self._lock = threading.Lock()

    @property
    def ends(self) -> float:
        """Reading of `time.monotonic` at which the fits of the search must have ended, by what is reserved now."""
        return self._ends(self._reserves)

    @property
    def fair_seconds(self) -> float:
        """What a candidate may take in favour of which others are left out: twice an equal part of what is left."""
        return (self.ends - monotonic()) * min(1.0, 2 / max(1, self.n_undecided))

    def may_begin(self, seconds: float, pipeline: Any, params: Mapping[str, Any], *, with_least: bool = False) -> bool:
        """Tell whether a candidate's fits, which take so many seconds on the clock, can be finished in time.

        If so, what follows is reserved for it: a later candidate may not take that time. Only the least of it is
        reserved `with_least`, and from then on for the others too.
        """
        with self._lock:
            if self._has_only_one or with_least not in self.levels or monotonic() + MARGIN * seconds > self.ends:
                return False
            reserve = (self.least if with_least else self.reserve)(pipeline, params)
            reserves = sorted([*self._reserves, reserve], reverse=True)[: self.n_shipped]
            if monotonic() + MARGIN * seconds > self._ends(reserves):
                return False
            self._reserves, self._has_least = reserves, with_least
            return True

    def begin_anyway(self, pipeline: Any, params: Mapping[str, Any]) -> bool:
        """Let a candidate begin, whatever it takes, if none has begun; then no other may.

        Without any candidate there would be no model.
        """
        with self._lock:
            if self._reserves:
                return False
            self._reserves, self._has_least, self._has_only_one = [self.least(pipeline, params) / MARGIN], True, True
            return True

    @property
    def levels(self) -> tuple[bool, ...]:
        """Whether only the least that follows is to be reserved: False to begin with, then True where that is better.

        That is where otherwise no candidate could begin, or much of the time would be left when none can any more.
        """
        if self._has_least:
            return (True,)
        is_wasteful = self.ends - monotonic() > MOST_UNUSED * self.run_time.seconds
        return (False, True) if is_wasteful or not self._reserves else (False,)

    def may_ship(self, pipeline: Any, params: Mapping[str, Any]) -> bool:
        """Tell whether the least that follows is expected to be finished in time when this candidate is chosen."""
        return self.least(pipeline, params) <= self.run_time.left

    def _ends(self, reserves: Sequence[float]) -> float:
        own = [max(0.0, reserve - self.at_the_end) for reserve in reserves]
        needed = self.at_the_end + max(sum(own) / self.slots, max(own)) if own else 0.0
        last = self.run_time.ends - MARGIN * needed
        return self.started + self.share * (last - self.started)
