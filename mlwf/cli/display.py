"""Progress on stderr and results on stdout, whatever their encoding and whoever closed them."""

from __future__ import annotations

import codecs
import io
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlwf.text import LineFormatter, cut_inside, json_text, printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from mlwf.modules.runs import Pruned
    from mlwf.orchestrator.prediction import Predicted
    from mlwf.orchestrator.run_log import OnProgress, Progress
    from mlwf.results import PhasePlan


REPLACED = "mlwf.replaced"
"""Name of the error handler for characters that an encoding lacks."""
ALIKE = {"–": "-", "—": "-", "×": "x", "±": "+-", "…": "...", "✅": "", "❌": ""}
"""Characters of our own, and what stands for them; others are escaped."""
STDOUT = "standard output"
LONGEST_LINE = 1300
"""Longest line of a message, in characters; the parts of which it is made are cut shorter."""


def prepare_streams() -> None:
    """Open the streams that the caller has closed, and let none raise for a character that its encoding lacks."""
    codecs.register_error(REPLACED, _replaced)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # as in `mlwf runs 2>&-`
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=REPLACED)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(ALIKE.get(each, each.encode("unicode_escape").decode("ascii")) for each in lacking), error.end


def can_encode(text: str) -> bool:
    """Tell whether stdout has all characters of a text."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def encoded(text: str) -> str:
    """Write a text in the characters that stdout has."""
    encoding = sys.stdout.encoding or "ascii"
    return text.encode(encoding, REPLACED).decode(encoding)


def write(text: str) -> None:
    """Write text to stdout as it is."""
    try:
        sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has seen enough, as in `mlwf runs | head -1`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        error.filename = error.filename or STDOUT
        raise


def write_line(line: str) -> None:
    """Write one line, in which names and paths stand, to stdout."""
    write(cut_inside(printable(line), LONGEST_LINE))


def write_error(message: str) -> None:
    """Write a message of one or more lines to stderr."""
    lines = [cut_inside(printable(line), LONGEST_LINE) for line in message.split("\n")]
    try:
        sys.stderr.write("\n".join(lines) + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        pass  # stderr is closed; there is still the exit code


def write_annotation(line: str) -> None:
    """Write a line for GitHub to stderr, whole: one that is cut would be no command."""
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


SECONDS_BETWEEN_LINES = 30.0
WIDTH_WITHOUT_TERMINAL = 100


class Format(StrEnum):
    """How a result is written."""

    table = "table"
    json = "json"
    markdown = "markdown"


class PlainFormat(StrEnum):
    """How a result of one line is written."""

    text = "text"
    json = "json"


def write_json(content: Any) -> None:
    """Write a result to stdout as JSON, whatever the encoding of stdout."""
    text = json_text(content)
    write(text if can_encode(text) else json_text(content, ascii_only=True))


def show_summary(summary: Mapping[str, Any], form: Format) -> None:
    """Write a run's summary to stdout."""
    from mlwf.tables import summary_markdown, summary_table

    _show_in(form, summary, summary_table, summary_markdown)


def show_comparison(comparison: Mapping[str, Any], form: Format) -> None:
    """Write runs beside each other to stdout."""
    from mlwf.tables.comparison_tables import comparison_markdown, comparison_table

    _show_in(form, comparison, comparison_table, comparison_markdown)


def show_evaluation(found: Mapping[str, Any], form: Format) -> None:
    """Write an evaluation on new rows to stdout."""
    from mlwf.tables import evaluation_markdown, evaluation_table

    _show_in(form, found, evaluation_table, evaluation_markdown)


def show_explanation(found: Mapping[str, Any], form: Format) -> None:
    """Write why a row has its probability to stdout."""
    from mlwf.tables import explanation_markdown, explanation_table

    _show_in(form, found, explanation_table, explanation_markdown)


def show_skew(found: Mapping[str, Any], form: Format) -> None:
    """Write how served features differ from the offline ones to stdout."""
    from mlwf.tables import skew_markdown, skew_table

    _show_in(form, found, skew_table, skew_markdown)


def _show_in(
    form: Format,
    found: Mapping[str, Any],
    table: Callable[[Mapping[str, Any]], RenderableType],
    markdown: Callable[[Mapping[str, Any]], str],
) -> None:
    if form is Format.json:
        write_json(found)
    elif form is Format.markdown:
        write(markdown(_as_read_here(found)))
    else:
        _show(table(_as_read_here(found)))


def append_step_summary(summary: Mapping[str, Any]) -> None:
    """Append a run to the page of a GitHub job, where there is one; stderr has why it could not be written."""
    from mlwf.tables import summary_markdown

    _append_to_page(summary_markdown, summary)


def append_step_comparison(comparison: Mapping[str, Any]) -> None:
    """Append runs beside each other to the page of a GitHub job, as `append_step_summary` does a run."""
    from mlwf.tables.comparison_tables import comparison_markdown

    _append_to_page(comparison_markdown, comparison)


def _append_to_page(write_markdown: Callable[[Any], str], content: Mapping[str, Any]) -> None:
    page = os.environ.get("GITHUB_STEP_SUMMARY")
    if not page:
        return
    from mlwf.cli.run_lookup import all_from_here

    try:
        with Path(page).open("a", encoding="utf-8") as file:
            file.write(write_markdown(all_from_here(content)))
    except (OSError, ValueError) as error:  # a name of the system's may hold a NUL
        write_error(f"GITHUB_STEP_SUMMARY: {page}: {getattr(error, 'strerror', None) or error}")


def show_predicted(done: Predicted, output: Path, form: PlainFormat) -> None:
    """Report what was written, and on stderr the values that the training never saw."""
    from dataclasses import asdict

    from mlwf.text import format_name, pluralize

    for unknown in done.unknown:
        write_error(str(unknown))
    for name, other in done.renamed.items():
        write_error(f"the table's own column {format_name(name)} is written as {format_name(other)}")
    if form is PlainFormat.json:
        values = [asdict(unknown) for unknown in done.unknown]
        write_json({"output": str(output), "rows": done.n_rows, "unknown": values, "renamed": done.renamed})
    else:
        write_line(f"{output}: {pluralize(done.n_rows, 'row')}")


def show_promotion(done: Mapping[str, Any], form: PlainFormat) -> None:
    """Report which version has an alias now, and on stderr the gates that are not met."""
    from mlwf.text import format_name, pluralize

    for gate in done["gates"]:
        note = f" ({gate['note']})" if gate["note"] else ""
        write_error(f"not met: {gate['asked']}: {gate['got']}{note}")
    name = f"{format_name(done['model'])} version {done['version']}" if done["version"] else f"run {done['run_id']}"
    if done["refused"]:
        unmet = pluralize(len(done["gates"]), "gate")
        write_error(f"{name}: not made {done['alias']}: {unmet} not met; --force makes it all the same")
    if form is PlainFormat.json:
        write_json(done)
    elif done["change"] is not None:
        before = done["change"]["before"]
        instead = f", instead of version {before}" if before else ""
        write_line(f"{name}: {done['alias']} now{instead} ({done['change']['reason']})")
    elif not done["refused"]:
        write_line(f"{name}: {done['alias']} already")


def show_runs(runs: Sequence[Mapping[str, Any]], form: Format, runs_dir: Path, *, filtered: bool = False) -> None:
    """Write a list of runs to stdout; `filtered` says that there may be others."""
    from mlwf.modules.runs import NO_RUN
    from mlwf.tables import runs_markdown, runs_table

    if form is Format.json:
        write_json(runs)
    elif form is Format.markdown:
        write(runs_markdown(_as_read_here(runs)))
    elif runs:
        _show(runs_table(_as_read_here(runs)))
    else:
        write_error(f"{runs_dir}: {'no run fits' if filtered else NO_RUN}")


def show_pruned(done: Pruned, form: Format, runs_dir: Path) -> None:
    """Report which runs were removed, and which were kept."""
    from dataclasses import asdict

    from mlwf.text import pluralize

    if form is Format.json:
        write_json(asdict(done))
        return
    write_line(f"{runs_dir}: removed {pluralize(len(done.removed), 'run')}, {done.n_bytes / 1e6:,.1f} MB")
    for run_id, reason in done.kept.items():
        write_line(f"{run_id}: kept: {reason}")


def show_value(value: Any, form: Format) -> None:
    """Write one value of a summary: a text as it is, all else as JSON."""
    if isinstance(value, str) and form is not Format.json:
        write_line(value)
    else:
        write_json(value)


def show_plan(phases: Sequence[PhasePlan], form: Format) -> None:
    """Write the fits of a run to stdout."""
    from dataclasses import asdict

    from mlwf.tables import plan_markdown, plan_table

    rows = [asdict(phase) for phase in phases]
    if form is Format.json:
        write_json(rows)
    elif form is Format.markdown:
        write(plan_markdown(rows))
    else:
        _show(plan_table(rows))


@contextmanager
def progress(*, quiet: bool, verbose: bool, redact: Callable[[str], str]) -> Iterator[OnProgress | None]:
    """Show progress on stderr: a line that moves on a terminal, few plain lines elsewhere.

    `redact` takes what came from the environment out of a line of the log.
    """
    if quiet:
        with _silent():
            yield None
        return
    console = _console(sys.stderr)
    with _logging(console, redact) if verbose else _silent():
        if not console.is_terminal:
            yield _Lines(console)
            return
        from rich.live import Live

        # Importing scikit-learn comes first, and takes a second or three.
        with Live("starting", console=console, refresh_per_second=4, transient=True) as live:
            yield lambda step: live.update(_moving(step))


@contextmanager
def counting_rows(what: str) -> Iterator[Callable[[int], None]]:
    """Show on stderr how many rows are done: a line that moves on a terminal, one in a while elsewhere."""
    from time import monotonic

    from mlwf.tables.blocks import duration

    console, begun, shown_at = _console(sys.stderr), monotonic(), 0.0

    def words(n_rows: int) -> str:
        return f"[{duration(monotonic() - begun)}] {n_rows:,} rows {what}"

    def show(n_rows: int) -> None:
        nonlocal shown_at
        if monotonic() - begun - shown_at >= SECONDS_BETWEEN_LINES:
            shown_at = monotonic() - begun
            console.print(words(n_rows), highlight=False, markup=False, soft_wrap=True)

    if not console.is_terminal:
        yield show
        return
    from rich.live import Live

    with Live("starting", console=console, refresh_per_second=4, transient=True) as live:
        yield lambda n_rows: live.update(words(n_rows))


class _Lines:
    """One line when a phase begins, and one in between when it takes long."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._phase = ""
        self._shown_at = 0.0

    def __call__(self, step: Progress) -> None:
        is_new = step.phase != self._phase and step.has_work
        if not is_new and step.seconds - self._shown_at < SECONDS_BETWEEN_LINES:
            return
        self._phase, self._shown_at = step.phase, step.seconds
        self._console.print(_words(step), highlight=False, markup=False, soft_wrap=True)


def _words(step: Progress) -> str:
    from mlwf.tables.blocks import duration

    words = f"[{duration(step.seconds)}] {step.description}"
    if step.planned:
        words += f", {step.done:,} of {step.planned:,} fits done"
    if step.columns_planned:
        words += f", {step.columns_done:,} of {step.columns_planned:,} columns screened"
    is_left = step.done < step.planned or step.columns_done < step.columns_planned
    if step.remaining_seconds is not None and is_left:
        words += f", about {duration(step.remaining_seconds)} left"
    return words


def _moving(step: Progress) -> RenderableType:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    line = Text(_words(step), no_wrap=True, overflow="ellipsis")
    return Group(line, ProgressBar(total=step.planned, completed=step.done, width=40)) if step.planned else line


@contextmanager
def _logging(console: Console, redact: Callable[[str], str]) -> Iterator[None]:
    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            console.print(self.format(record), highlight=False, markup=False, soft_wrap=True)

    handler = Handler(logging.INFO)
    handler.setFormatter(LineFormatter("%(levelname)s %(name)s: %(message)s", redact))
    logging.getLogger("mlwf").addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger("mlwf").removeHandler(handler)


@contextmanager
def _silent() -> Iterator[None]:
    """Keep Python's handler of last resort from writing warnings that the summary has anyway."""
    handler = logging.NullHandler()
    logging.getLogger("mlwf").addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger("mlwf").removeHandler(handler)


def _as_read_here(content: Any) -> Any:
    """Write the paths of a result relative to the current folder, and escape what stdout has no character for.

    Before the table is laid out, so that its columns keep their widths.
    """
    from mlwf.cli.run_lookup import all_from_here

    return all_from_here(content, keep=str if can_encode("\u2013\U0001f600") else encoded)


def _show(renderable: RenderableType) -> None:
    console = _console(sys.stdout)
    # Not printed at once: rich ends the process, with a code of its own, when nobody reads any more.
    with console.capture() as captured:
        console.print(renderable)
    text = captured.get()
    write(text if console.is_terminal else "".join(f"{line.rstrip()}\n" for line in text.splitlines()))


def _console(stream: Any) -> Console:
    from rich.console import Console

    # COLUMNS speaks for a pipe as well, as it does for most tools.
    width = None if stream.isatty() or "COLUMNS" in os.environ else WIDTH_WITHOUT_TERMINAL
    return Console(file=stream, width=width, highlight=False, emoji=False, force_terminal=None)
