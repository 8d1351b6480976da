"""Train several experiments in turn, which share what they fit: files, and the values of a sweep."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlwf.cli.display import append_step_summary, progress, write_annotation, write_error
from mlwf.cli.failures import GATE_NOT_MET, OUR_BUG, describe_failure, github_annotations
from mlwf.cli.junit import Outcome
from mlwf.errors import UsageError
from mlwf.text import redact

BY_GRAVITY = (0, GATE_NOT_MET, 2, 1, OUR_BUG)
"""Exit codes of one experiment, the worst last."""


@dataclass(frozen=True)
class Job:
    """An experiment to train."""

    config: Path
    overrides: tuple[str, ...]
    swept: tuple[str, ...] = ()
    """Those of the overrides that are of the sweep."""

    @property
    def title(self) -> str:
        """What it is called in messages."""
        return redact(" ".join([str(self.config), *self.swept]))


def list_jobs(configs: Sequence[Path], overrides: Sequence[str], sweeps: Sequence[str]) -> list[Job]:
    """List each file with each combination of the values of the sweeps, `KEY=VALUE,VALUE` each.

    Raises UsageError for a sweep without values, or of a key that is swept or set already.
    """
    values = [list(_values(sweep)) for sweep in sweeps]
    keys = [override.partition("=")[0] for override in [*overrides, *(each[0] for each in values)]]
    for key in keys:
        if keys.count(key) > 1 and any(each[0].startswith(f"{key}=") for each in values):
            raise UsageError(f"--sweep {key}: this key is set or swept already; name all of its values once")
    return [Job(config, (*overrides, *chosen), chosen) for config in configs for chosen in itertools.product(*values)]


@dataclass
class Trainer:
    """Trains an experiment; all that it trains share one fit cache, and with `fresh` what they have put there."""

    runs_dir: Path
    fresh: bool = field(kw_only=True)
    fail_on_unseen: bool = field(kw_only=True)
    quiet: bool = field(kw_only=True)
    verbose: bool = field(kw_only=True)
    _fit_cache: Any = field(default=None, init=False)

    def __call__(self, job: Job) -> dict[str, Any]:
        """Train, put the run on the page of a GitHub job, and give its summary."""
        from mlwf.specs.loading import load_experiment

        spec, document = load_experiment(job.config, job.overrides)
        with progress(quiet=self.quiet, verbose=self.verbose, redact=document.redact) as on_progress:
            from mlwf.orchestrator.api import open_fit_cache, run_experiment

            self._fit_cache = self._fit_cache or open_fit_cache(self.runs_dir, fresh=self.fresh)
            options: dict[str, Any] = {"fail_on_unseen": self.fail_on_unseen, "on_progress": on_progress}
            summary = run_experiment(spec, document, runs_dir=self.runs_dir, fit_cache=self._fit_cache, **options)
        append_step_summary(summary)
        return summary


@dataclass
class Trained:
    """What became of several experiments."""

    outcomes: list[Outcome] = field(default_factory=list)
    """In their order."""
    code: int = 0
    """The exit code of the worst."""
    bug: Exception | None = None
    """The first bug of mlwf that was met."""

    @property
    def summaries(self) -> list[Mapping[str, Any]]:
        """Of the runs that ended."""
        return [outcome.summary for outcome in self.outcomes if outcome.summary is not None]


def train_each(jobs: Sequence[Job], train: Callable[[Job], dict[str, Any]], *, quiet: bool) -> Trained:
    """Train one after the other; one that fails is reported at once, and does not stop the others."""
    done = Trained()
    for number, job in enumerate(jobs, start=1):
        heading = f"{number} of {len(jobs)}: {job.title}"
        if not quiet:
            write_error(heading)
        try:
            summary = train(job)
        except Exception as error:
            if describe_failure(error) is None:
                done.bug = done.bug or error
            message, code = failure_of(error)
            for annotation in github_annotations(error):
                write_annotation(annotation)
            # Below its heading: a message names the file itself, where that is at fault.
            if quiet:
                write_error(heading)
            write_error(redact(message))
            done.outcomes.append(Outcome(job.title, failure=message))
        else:
            done.outcomes.append(Outcome(job.title, summary))
            code = 0 if all(gate["passed"] for gate in summary["gates"]) else GATE_NOT_MET
        done.code = max(done.code, code, key=BY_GRAVITY.index)
    return done


def failure_of(error: Exception) -> tuple[str, int]:
    """Give the message and the exit code of an error, a bug of mlwf among them."""
    return describe_failure(error) or ("a bug of mlwf, which is reported at the end", OUR_BUG)


def _values(sweep: str) -> Iterator[str]:
    """Split a sweep into overrides, at the commas outside of brackets and quotes.

    >>> list(_values("tuning.param_grid.C=[1, 2],[3]"))
    ['tuning.param_grid.C=[1, 2]', 'tuning.param_grid.C=[3]']
    """
    key, _, text = sweep.partition("=")
    if not key or not text or "" in (parts := _split(text)):
        raise UsageError(f"--sweep {key or sweep}: names no values; write --sweep KEY=VALUE,VALUE")
    return (f"{key}={part}" for part in parts)


def _split(text: str) -> list[str]:
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        else:
            depth += (character in "[{") - (character in "]}")
        if character == "," and depth <= 0 and not quote:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]
