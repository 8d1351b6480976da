"""Candidates that are asked for and scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlwf.engine.asks import Answer, Ask, Fitter
from mlwf.engine.contest import Contest, Entry
from mlwf.engine.predictions import Predictions
from mlwf.engine.rows import Rows, Split, Table
from mlwf.engine.scoring import score


@dataclass(frozen=True, eq=False)
class Search:
    """What all candidates of a search have in common."""

    pipeline: Any
    table: Table
    rows: Rows
    splits: Sequence[Split]
    scorers: Mapping[str, Any]
    chosen_by: str
    """The scorer that chooses."""
    fit: Fitter
    deadline: float | None = None
    """Reading of `time.monotonic` from which on no fit is begun."""


@dataclass(eq=False)
class Trials:
    """Candidates that are tried on the same splits, and what came of them."""

    search: Search
    splits: Sequence[Split]
    candidates: list[dict[str, Any]]
    columns: Mapping[str, int] = field(default_factory=dict)
    """What `cv_results_` tells of each of them beside its parameters."""
    given_up: set[int] = field(default_factory=set)
    """Candidates that were not asked for on all splits, because of their scores on the first."""
    answers: dict[tuple[int, int], Answer] = field(default_factory=dict)
    """By candidate and split."""
    contest: Contest = field(init=False)

    def __post_init__(self) -> None:
        self.contest = Contest(self._score, tuple(self.search.scorers), self.search.chosen_by, n_folds=len(self.splits))

    def ask(self, cells: Sequence[tuple[int, int]]) -> None:
        """Ask for these candidates on these splits, in this order."""
        asks = [
            Ask(
                self.search.pipeline,
                self.candidates[candidate],
                self.splits[fold].train,
                (self.splits[fold].test,),
                entry=Entry(self.contest, candidate, fold),
                deadline=self.search.deadline,
            )
            for candidate, fold in cells
        ]
        fit = self.search.fit
        for ask, cell, answer in zip(asks, cells, fit(asks), strict=True):
            self.answers[cell] = answer
            # A fitter that holds models back for the best candidate has entered the answer as it came.
            if cell not in self.contest.cells and ask.entry is not None:
                self.contest.enter(ask.entry, answer)

    def give_up(self, candidate: int) -> None:
        """Ask for a candidate no more."""
        self.given_up.add(candidate)
        self.contest.withdraw(candidate)

    def of(self, candidate: int) -> list[Answer | None]:
        """Give the answers to a candidate, one for each split; None where it was given up before."""
        return [self.answers.get((candidate, fold)) for fold in range(len(self.splits))]

    @property
    def tried(self) -> list[int]:
        """The candidates that were tried as far as was meant; others were overtaken by the deadline."""
        return [candidate for candidate in range(len(self.candidates)) if self._is_tried(candidate)]

    @property
    def is_late(self) -> bool:
        """Whether the deadline passed before all that was asked for was begun."""
        return any(answer.is_late for answer in self.answers.values())

    def _is_tried(self, candidate: int) -> bool:
        answers = self.of(candidate)
        if any(answer is not None and answer.is_late for answer in answers):
            return False
        return candidate in self.given_up or None not in answers

    def _score(self, name: str, fold: int, predictions: Predictions) -> float:
        return score(self.search.scorers[name], predictions, self.search.table.y_of(self.splits[fold].test))


@dataclass(frozen=True, eq=False)
class Tried:
    """What a strategy tried."""

    trials: Sequence[Trials]
    """In order; the best candidate is the best of the last of them that has one."""
    progress: str
    """How far it got, for when its time ended."""
    inexact: str = ""
    """What it did not compare in full; empty where it did."""
