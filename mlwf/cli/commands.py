"""The commands: each loads, calls and shows. Heavy libraries are imported by the command that needs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import mlwf
from mlwf.cli.display import (
    Format,
    PlainFormat,
    append_step_comparison,
    counting_rows,
    show_comparison,
    show_evaluation,
    show_explanation,
    show_plan,
    show_predicted,
    show_promotion,
    show_pruned,
    show_runs,
    show_skew,
    show_summary,
    show_value,
    write,
    write_error,
    write_json,
    write_line,
)
from mlwf.cli.failures import GATE_NOT_MET
from mlwf.cli.options import Command, Group
from mlwf.errors import RunNotFoundError, UsageError
from mlwf.text import pluralize

if TYPE_CHECKING:
    from mlwf.modules.comparison import RunFiles

app = typer.Typer(
    name="mlwf",
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RunsDir = Annotated[Path, typer.Option("--runs-dir", metavar="DIR", help="Folder that keeps the runs.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set a value of the experiment, such as model.algorithm=svc; may be repeated.",
    ),
]
TimeLimit = Annotated[
    str | None,
    typer.Option("--time-limit", metavar="TIME", help="How long the run may take, such as 10m: compute.time_limit."),
]
Form = Annotated[Format, typer.Option("--format", help="How the result is written to stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Each step's log on stderr.")]
Configs = Annotated[list[Path], typer.Argument(metavar="CONFIG", help="Experiment files.", show_default=False)]
Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="The experiment file.", show_default=False)]
Run = Annotated[
    str, typer.Argument(metavar="RUN", help="Id of the run, its unique beginning, or `latest`.", show_default=False)
]
Data = Annotated[
    str, typer.Argument(metavar="DATA", help="CSV or Parquet: a file, a folder or a glob.", show_default=False)
]
Read = Annotated[
    list[str] | None,
    typer.Option(
        "--read",
        metavar="KEY=VALUE",
        help="How the table is read, as in data.read of an experiment, such as sep=';'; may be repeated.",
    ),
]
StoreOfRuns = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri",
        metavar="URI",
        envvar="MLFLOW_TRACKING_URI",
        help="Store to ask when the run is not in the folder of runs; the default is mlflow.db, if it is here.",
    ),
]
ModelOfRun = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="Id of the run as for `mlwf summary`, or models:/NAME@ALIAS.", show_default=False
    ),
]
StoreOfModels = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri",
        metavar="URI",
        envvar="MLFLOW_TRACKING_URI",
        help="Store of registered models; the default is that of the run that registered it, else mlflow.db here.",
    ),
]
EvaluationReport = Annotated[
    Path | None, typer.Option("--report", metavar="FILE", help="Write a page of it as well, as `mlwf report`.")
]
ReportFile = Annotated[
    Path | None, typer.Option("--report", metavar="FILE", help="Write the page of the run as well: `mlwf report`.")
]
RUNS = Path("runs")


class RunStatus(StrEnum):
    """How a run ended, or that it runs."""

    done = "done"
    degraded = "degraded"
    failed = "failed"
    killed = "killed"
    running = "running"
    unfinished = "unfinished"


def _show_version(asked: bool) -> None:
    if asked:
        write(f"mlwf {mlwf.__version__}")
        raise typer.Exit


def _check_text(text: str) -> str:
    if not text:
        raise typer.BadParameter("it is empty")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise typer.BadParameter("it is not UTF-8 text") from None
    return text


def check_writable(page: Path | None) -> None:
    """Refuse a page in a folder that is not there, before hours of training rather than after."""
    if page is not None and (page.is_dir() or not page.parent.is_dir()):
        what = "is a folder" if page.is_dir() else "its folder does not exist"
        raise UsageError(f"{page}: {what}; accepted: a file in a folder that is there")


def _overrides(set_: list[str] | None, time_limit: str | None) -> list[str]:
    """List what is set for one run."""
    return [*(set_ or []), *([] if time_limit is None else [f"compute.time_limit={time_limit}"])]


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """Train, evaluate and save a tabular classifier from one YAML file."""


@app.command(cls=Command)
def train(
    configs: Configs,
    set_: Set = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            "--sweep",
            metavar="KEY=VALUES",
            help="Train with each of these values, such as model.hyperparameters.max_depth=2,4,8; several: with each "
            "combination.",
        ),
    ] = None,
    time_limit: TimeLimit = None,
    form: Form = Format.table,
    quiet: Quiet = False,
    verbose: Verbose = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Fit all anew, whatever earlier runs have fitted.")] = False,
    fail_on_unseen: Annotated[
        bool,
        typer.Option("--fail-on-unseen", help="Refuse a test set with values of features that training never saw."),
    ] = False,
    report_file: ReportFile = None,
    junit: Annotated[
        Path | None,
        typer.Option("--junit", metavar="FILE", help="Write gates and findings as tests, for a CI server to show."),
    ] = None,
    runs_dir: RunsDir = RUNS,
) -> None:
    """Train an experiment and show its scores.

    Progress goes to stderr, the result to stdout; the run is kept in the folder of runs. The exit code is 3 when a
    gate is not met. A run that was stopped goes on when it is started again: what it has fitted is not fitted again.

    Several experiments are trained in turn and then compared with the first. One that fails does not stop the others,
    and the exit code is that of the worst.
    """
    from mlwf.cli.experiments import Trainer, failure_of, list_jobs, train_each
    from mlwf.cli.junit import Outcome, write_junit

    if quiet and verbose:
        raise UsageError("mlwf train: --verbose has no effect with --quiet; leave one of the two out")
    jobs = list_jobs(configs, _overrides(set_, time_limit), sweep or [])
    if len(jobs) > 1 and report_file is not None:
        raise UsageError("mlwf train: --report is the page of one run; `mlwf report --all` makes those of several")
    check_writable(report_file)
    check_writable(junit)
    train_one = Trainer(runs_dir, fresh=fresh, fail_on_unseen=fail_on_unseen, quiet=quiet, verbose=verbose)
    if len(jobs) > 1:
        done = train_each(jobs, train_one, quiet=quiet)
        if junit is not None:
            write_junit(done.outcomes, junit)
        _show_runs(done.summaries, form, runs_dir)
        if done.bug is not None:
            raise done.bug
        raise typer.Exit(done.code)
    try:
        summary = train_one(jobs[0])
    except Exception as error:
        if junit is not None:
            write_junit([Outcome(jobs[0].title, failure=failure_of(error)[0])], junit)
        raise
    show_summary(summary, form)
    if junit is not None:
        write_junit([Outcome(jobs[0].title, summary)], junit)
    if report_file is not None:
        from mlwf.modules.runs import find_run
        from mlwf.report import write_report

        write_report(find_run(runs_dir, summary["run_id"]), report_file)
    if not all(gate["passed"] for gate in summary["gates"]):
        raise typer.Exit(GATE_NOT_MET)


def _show_runs(summaries: Sequence[Mapping[str, Any]], form: Format, runs_dir: Path) -> None:
    """Compare what was trained with the first of them; one alone is shown by itself."""
    from mlwf.cli.run_lookup import find_run_files
    from mlwf.modules.comparison import compare_runs

    if len(summaries) == 1:
        show_summary(summaries[0], form)
    elif summaries:
        ids = [str(summary["run_id"]) for summary in summaries]
        found = compare_runs([find_run_files(run, runs_dir=runs_dir, tracking_uri=None) for run in ids]).to_dict()
        show_comparison(found, form)
        append_step_comparison(found)


@app.command(cls=Command)
def plan(
    config: Config,
    set_: Set = None,
    time_limit: TimeLimit = None,
    form: Form = Format.table,
    runs_dir: RunsDir = RUNS,
) -> None:
    """Count the fits of an experiment, without fitting.

    For each phase: the fits that a script would make one by one, those that are left to make, and the answers that
    earlier runs have recorded. The data is read and checked.
    """
    from mlwf.specs.loading import load_experiment

    spec, document = load_experiment(config, _overrides(set_, time_limit))
    from mlwf.orchestrator.api import plan_experiment

    phases, notes = plan_experiment(spec, document, runs_dir=runs_dir)
    for note in notes:
        write_error(f"{config}: {note}")
    show_plan(phases, form)


@app.command(cls=Command)
def validate(
    configs: Configs,
    set_: Set = None,
    data: Annotated[bool, typer.Option("--data", help="Read and check the data as well.")] = False,
) -> None:
    """Say all that is wrong with experiment files.

    Nothing is fitted, and the data is read only with --data.
    """
    from mlwf.errors import ConfigError, MlwfError, SeveralErrors, problems_of
    from mlwf.specs.loading import describe_unused, load_experiment

    wrong: list[MlwfError] = []
    for config in configs:
        try:
            spec, document = load_experiment(config, set_ or [])
            if data:
                from mlwf.orchestrator.api import check_data

                for note in check_data(spec, document):
                    write_error(f"{config}: {note}")
        except MlwfError as error:
            wrong.append(error)
        else:
            checked = "file and data are valid" if data else "valid; the data was not read (--data reads it)"
            write_line(f"{config}: {checked}")
            for remark in describe_unused(spec, document):
                write_error(remark)
    if wrong:
        # Files that extend the same one share its problems: each is reported once.
        problems = dict.fromkeys(problem for error in wrong for problem in problems_of(error))
        is_wrong_config = any(error.exit_code == ConfigError.exit_code for error in wrong)
        raise (ConfigError if is_wrong_config else SeveralErrors)(problems)


@app.command(cls=Command)
def summary(
    run: Run,
    form: Form = Format.table,
    runs_dir: RunsDir = RUNS,
    tracking_uri: StoreOfRuns = None,
    get: Annotated[
        str | None,
        typer.Option(
            "--get", metavar="PATH", help="Only one value of summary.json, such as scores.roc_auc.test.value."
        ),
    ] = None,
) -> None:
    """Show what a run found.

    It is read from the folder of runs or, when the run is not there, from the tracking store.
    """
    from mlwf.cli.run_lookup import find_summary, find_value

    if get is not None and form is Format.markdown:
        raise UsageError("mlwf summary: --format markdown has no effect with --get; leave one of the two out")
    found = find_summary(run, runs_dir=runs_dir, tracking_uri=tracking_uri)
    if get is None:
        show_summary(found, form)
    else:
        show_value(find_value(found, get), form)


@app.command(cls=Command)
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            help="Two or more: ids as for `mlwf summary`, folders of runs, or models:/NAME@ALIAS.",
            show_default=False,
        ),
    ],
    form: Form = Format.table,
    fail_if_worse: Annotated[
        str | None,
        typer.Option(
            "--fail-if-worse",
            metavar="METRIC",
            help="Exit with 3 when a run is worse than the first beyond chance, or cannot be compared.",
        ),
    ] = None,
    runs_dir: RunsDir = RUNS,
    tracking_uri: StoreOfRuns = None,
) -> None:
    """Compare runs with the first of them, on the same rows.

    What differs: keys of the experiments, scores with the interval of their difference, slices, gates, findings, fits.
    The Markdown is the comment of a pull request.
    """
    if len(runs) < 2:
        raise UsageError(
            "mlwf compare: names one run; name two or more, the first of which the others are compared with"
        )
    from mlwf.cli.run_lookup import find_run_files
    from mlwf.modules.comparison import compare_runs, find_worse

    found = compare_runs([find_run_files(run, runs_dir=runs_dir, tracking_uri=tracking_uri) for run in runs])
    worse = find_worse(found, fail_if_worse) if fail_if_worse is not None else {}
    show_comparison(found.to_dict(), form)
    for label, reason in worse.items():
        write_error(f"--fail-if-worse {fail_if_worse}: {reason or f'{label} is worse than A beyond chance'}")
    if worse:
        raise typer.Exit(GATE_NOT_MET)


@app.command(cls=Command)
def report(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN", help="Id of the run, its unique beginning, or `latest`; none with --all.", show_default=False
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Page to write, or folder with --all; default: report.html in the run.",
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="A page for each run, and an index of them.")] = False,
    open_: Annotated[bool, typer.Option("--open", help="Show the page in the browser.")] = False,
    runs_dir: RunsDir = RUNS,
    tracking_uri: StoreOfRuns = None,
) -> None:
    """Write the page of a run: one HTML file with all that it found.

    It holds scores, findings, the search, curves with their uncertainty, classes, slices and columns, made of the run's
    folder alone; of a run that is not there MLflow has it. The page needs neither network nor script, and prints well.
    """
    if every == (run is not None):
        hint = "leave one of the two out" if every else "name one of them"
        raise UsageError(f"mlwf report: takes RUN or --all; {hint}")
    if run is not None:
        check_writable(output)
        page, shown = _write_report(run, output, runs_dir=runs_dir, tracking_uri=tracking_uri)
    elif output is not None:
        page, shown = _write_site(output, runs_dir=runs_dir)
    else:
        raise UsageError("mlwf report --all: names no folder; write -o DIR")
    write_line(f"{page}: {shown}")
    if open_:
        typer.launch(page.resolve().as_uri())


def _write_report(run: str, output: Path | None, *, runs_dir: Path, tracking_uri: str | None) -> tuple[Path, str]:
    """Write the page of a run, and give its path and what it shows."""
    from mlwf.cli.run_lookup import find_training
    from mlwf.modules.runs import REPORT, find_run

    run, tracking_uri = find_training(run, runs_dir=runs_dir, tracking_uri=tracking_uri)
    try:
        folder = find_run(runs_dir, run)
    except RunNotFoundError as missing:
        from mlwf.cli.run_lookup import fetch_page
        from mlwf.report import write_page

        html = fetch_page(run, missing, runs_dir=runs_dir, tracking_uri=tracking_uri)
        page = output or Path(f"{run}.html")
        write_page(page, html)
        return page, f"the page of run {run}"
    from mlwf.report import write_report

    page = output or folder.file(REPORT)
    write_report(folder, page)
    return page, f"the page of run {folder.run_id}"


def _write_site(site: Path, *, runs_dir: Path) -> tuple[Path, str]:
    """Write the pages of all runs, and give the path of their index and what it shows."""
    from mlwf.modules.runs import NO_RUN, list_runs, newest_first

    folders = newest_first(runs_dir)
    if not folders:
        raise RunNotFoundError(f"{runs_dir}: {NO_RUN}")
    from mlwf.report import write_site

    return write_site(folders, list_runs(runs_dir), site), pluralize(len(folders), "run")


@app.command(cls=Command)
def predict(
    ctx: typer.Context,
    run: ModelOfRun,
    data: Data,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write, CSV or Parquet by suffix.")
    ],
    runs_dir: RunsDir = RUNS,
    tracking_uri: StoreOfModels = None,
    read: Read = None,
    fail_on_unseen: Annotated[
        bool,
        typer.Option("--fail-on-unseen", help="Write nothing when features hold values that training never saw."),
    ] = False,
    online: Annotated[
        bool, typer.Option("--online", help="Take the features of a feature store from its online store, as of now.")
    ] = False,
    form: Annotated[
        PlainFormat, typer.Option("--format", help="How the result is written to stdout.")
    ] = PlainFormat.text,
) -> None:
    """Write each row's label and probabilities.

    Columns are found by name and read as in the training; those that are no features, such as keys, are kept as they
    are. Values that the training never saw are reported on stderr. The table may be larger than memory: it is read and
    written some rows at a time, and FILE is there when all of it is.
    """
    from mlwf.cli.options import read_options
    from mlwf.cli.run_lookup import find_model_store
    from mlwf.modules.runs import MODEL_URI

    # The environment names a store for other commands too.
    source = ctx.get_parameter_source("tracking_uri")
    if source is not None and source.name == "COMMANDLINE" and not run.startswith(MODEL_URI):
        raise UsageError("mlwf predict: --tracking-uri has no effect with the id of a run; leave it out")
    store = find_model_store(run, runs_dir=runs_dir, tracking_uri=tracking_uri)
    options = read_options(read or [])
    from mlwf.orchestrator.prediction import predict_table

    reading: dict[str, Any] = {"read": options, "fail_on_unseen": fail_on_unseen, "online": online}
    with counting_rows("predicted") as on_rows:
        done = predict_table(run, data, output, runs_dir=runs_dir, tracking_uri=store, on_rows=on_rows, **reading)
    show_predicted(done, output, form)


@app.command(cls=Command)
def materialize(
    run: Run,
    until: Annotated[
        str | None, typer.Option("--until", metavar="WHEN", help="As of when, in ISO 8601; the default is now.")
    ] = None,
    runs_dir: RunsDir = RUNS,
) -> None:
    """Bring the features of a run into its online store.

    Its views get their newest rows until then, by Feast's own materialization; `mlwf predict RUN DATA --online` reads
    them.
    """
    from mlwf.orchestrator.prediction import materialize_run

    done = materialize_run(run, runs_dir=runs_dir, until=until)
    views = f"{', '.join(done.views)} ({pluralize(len(done.views), 'view')})"
    write_line(f"{views}: in the online store as of {done.until.isoformat(timespec='seconds')}")


@app.command(cls=Command)
def skew(
    run: Run,
    data: Data,
    read: Read = None,
    form: Form = Format.table,
    runs_dir: RunsDir = RUNS,
) -> None:
    """Compare the features that are served with the offline ones.

    A table with columns of the features is a log of what was served, and compared with the offline features of each
    row's time. For a table of keys the online store is compared with the offline features of now.
    """
    from mlwf.cli.options import read_options

    options = read_options(read or [])
    from mlwf.orchestrator.feature_skew import measure_skew

    show_skew(measure_skew(run, data, runs_dir=runs_dir, read=options), form)


@app.command(cls=Command)
def evaluate(
    run: ModelOfRun,
    data: Data,
    read: Read = None,
    form: Form = Format.table,
    report: EvaluationReport = None,
    junit: Annotated[
        Path | None,
        typer.Option("--junit", metavar="FILE", help="Write gates and findings as tests, for a CI server to show."),
    ] = None,
    runs_dir: RunsDir = RUNS,
    tracking_uri: StoreOfModels = None,
) -> None:
    """Score a run on new rows, and measure their drift.

    The metrics, slices and gates are those of the run; the exit code is 3 when a gate is not met. Without labels there
    are no scores. Where the run was tracked, the evaluation is a run of its own below it.
    """
    from mlwf.cli.options import read_options
    from mlwf.cli.run_lookup import find_trained_run

    trained = find_trained_run(run, runs_dir=runs_dir, tracking_uri=tracking_uri)
    options = read_options(read or [])
    from mlwf.cli.experiments import failure_of
    from mlwf.cli.junit import Outcome, write_junit
    from mlwf.orchestrator.evaluating import evaluate_run

    check_writable(report)
    check_writable(junit)
    try:
        with counting_rows("predicted") as on_rows:
            found = evaluate_run(trained, data, runs_dir=runs_dir, read=options, report=report, on_rows=on_rows)
    except Exception as error:
        if junit is not None:
            write_junit([Outcome(f"{run} on {data}", failure=failure_of(error)[0])], junit)
        raise
    show_evaluation(found, form)
    if junit is not None:
        write_junit([Outcome(str(found["name"]), found)], junit)
    if not all(gate["passed"] for gate in found["gates"]):
        raise typer.Exit(GATE_NOT_MET)


@app.command(cls=Command)
def explain(
    run: ModelOfRun,
    data: Data,
    row: Annotated[
        int,
        typer.Option("--row", metavar="N", help="Its number, from 1 after the header.", show_default=False),
    ],
    read: Read = None,
    form: Form = Format.table,
    runs_dir: RunsDir = RUNS,
    tracking_uri: StoreOfModels = None,
) -> None:
    """Say which columns decide the prediction of a row.

    Each column has its Shapley value: how much its value moves the probability away from the average of the other rows
    of the table, with the error of the sampling.
    """
    from mlwf.cli.options import read_options
    from mlwf.cli.run_lookup import find_model_store

    store = find_model_store(run, runs_dir=runs_dir, tracking_uri=tracking_uri)
    options = read_options(read or [])
    from mlwf.orchestrator.explaining import explain_prediction

    show_explanation(explain_prediction(run, data, row, runs_dir=runs_dir, tracking_uri=store, read=options), form)


@app.command(cls=Command)
def init(
    data: Data,
    target: Annotated[
        str,
        typer.Option("--target", metavar="COL", help="Column to predict.", show_default=False, callback=_check_text),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="File to write; the default is named after the data."),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option("--drop", metavar="COL", help="A column that is no feature; may be repeated."),
    ] = None,
    best: Annotated[
        bool, typer.Option("--best", help="Compare many models within ten minutes, and average the best.")
    ] = False,
    read: Read = None,
) -> None:
    """Write an experiment file for a table, ready to train.

    Its features are resolved, and every line is explained.
    """
    from mlwf.cli.options import read_options
    from mlwf.orchestrator.drafting import draft_experiment
    from mlwf.specs.data import ReadSpec

    spec = ReadSpec(**read_options(read or []))
    draft = draft_experiment(data, target, output, read=spec, drop=drop or [], best=best)
    for remark in draft.lost:
        write_error(f"{draft.path}: {remark}")
    write_line(f"{draft.path}: ready; `mlwf train {draft.path}` trains it")


@app.command(cls=Command)
def runs(
    name: Annotated[
        str | None, typer.Option("--name", metavar="PATTERN", help="Only runs of this name, such as 'adult*'.")
    ] = None,
    status: Annotated[
        list[RunStatus] | None,
        typer.Option(
            "--status",
            metavar="STATUS",
            help="Only done, degraded, failed, killed, running or unfinished runs; may be repeated.",
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="WHEN", help="Only runs from then on: 2026-11-28, 2026-11-28T06:50, or 30d ago."
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="WHEN", help="Only runs that began before then.")
    ] = None,
    sort: Annotated[
        str | None, typer.Option("--sort", metavar="METRIC", help="Show this metric, the best run first.")
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove the runs that are listed, but for registered ones.")
    ] = False,
    form: Form = Format.table,
    runs_dir: RunsDir = RUNS,
) -> None:
    """List the runs, newest first.

    --prune removes them, and keeps those that run, whose model is registered, or that `mlwf push` can send more of.
    """
    from mlwf.cli.options import read_moment
    from mlwf.modules.runs import list_runs, prune_runs

    statuses = [each.value for each in status or []]
    begins = None if since is None else read_moment("--since", since)
    ends = None if until is None else read_moment("--until", until)
    found = list_runs(runs_dir, name=name, status=statuses, since=begins, until=ends, sort=sort)
    is_filtered = any([name, statuses, since, until])
    if not prune:
        show_runs(found, form, runs_dir, filtered=is_filtered)
        return
    if not is_filtered:
        raise UsageError(
            "mlwf runs: --prune alone would remove all runs; say which by --name, --status, --since or --until"
        )
    show_pruned(prune_runs(runs_dir, found, unfinished="unfinished" in statuses), form, runs_dir)


@app.command(cls=Command)
def push(
    run: Run,
    runs_dir: RunsDir = RUNS,
    tracking_uri: Annotated[
        str | None,
        typer.Option("--tracking-uri", metavar="URI", help="Where the store is now; the default is where it was."),
    ] = None,
) -> None:
    """Send to MLflow what its store did not take.

    A run whose store failed, or refused a part of it, keeps that part in its folder. What was sent is not sent again.
    """
    from mlwf.modules.runs import find_run

    folder = find_run(runs_dir, run)
    from mlwf.orchestrator.mlflow_logger import push_run

    sent = push_run(folder, tracking_uri=tracking_uri)
    write(f"{folder.run_id}: sent {', '.join(sent)}" if sent else f"{folder.run_id}: the store has everything already")


@app.command(cls=Command)
def promote(
    run: ModelOfRun,
    alias: Annotated[str, typer.Option("--alias", metavar="ALIAS", help="The alias that it gets.")] = "champion",
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="NAME", help="The registered model, where the experiment names none."),
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why, for the tags of the version.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Also where a gate is not met; that is recorded.")] = False,
    back: Annotated[
        bool, typer.Option("--back", help="Take the alias from it, and give it back to the version before.")
    ] = False,
    form: Annotated[
        PlainFormat, typer.Option("--format", help="How the result is written to stdout.")
    ] = PlainFormat.text,
    runs_dir: RunsDir = RUNS,
    tracking_uri: Annotated[
        str | None,
        typer.Option("--tracking-uri", metavar="URI", help="Where the store is now; the default is where it was."),
    ] = None,
) -> None:
    """Make the model of a run the champion: register it, and give it the alias.

    Refused with exit code 3 while a gate of the run is not met, also one against the champion of today. The tags of the
    version have since when it is champion, why, and which was before. `mlwf promote models:/NAME@champion --back` gives
    the alias back to that one.
    """
    from mlwf.cli.run_lookup import find_model_store, find_run_files

    if back and force:
        raise UsageError("mlwf promote: --force has no effect with --back; leave one of the two out")
    store = tracking_uri
    if run.startswith("models:/"):
        store = find_model_store(run, runs_dir=runs_dir, tracking_uri=tracking_uri)
    from mlwf.orchestrator.promoting import promote_run, return_to_previous

    given: dict[str, Any] = {
        "alias": alias,
        "model": model,
        "reason": reason,
        "runs_dir": runs_dir,
        "tracking_uri": store,
    }
    if back:
        show_promotion(return_to_previous(run, **given).to_dict(), form)
        return

    def find_files(named: str, uri: str | None) -> RunFiles:
        return find_run_files(named, runs_dir=runs_dir, tracking_uri=uri)

    done = promote_run(run, force=force, find_files=find_files, **given)
    show_promotion(done.to_dict(), form)
    if done.refused:
        raise typer.Exit(GATE_NOT_MET)


@app.command(cls=Command)
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove it; the next runs fit all anew.")] = False,
    runs_dir: RunsDir = RUNS,
) -> None:
    """Show the fit cache, from which runs continue.

    When it grows beyond 2 GB, what was not used for longest is removed.
    """
    from mlwf.engine.fit_cache import FitCache
    from mlwf.modules.runs import fit_cache_folder
    from mlwf.tables.blocks import describe_cache_size

    fit_cache = FitCache(fit_cache_folder(runs_dir))
    size = describe_cache_size(fit_cache.size())
    if clear:
        fit_cache.clear()
    write_line(f"{fit_cache.folder}: {size}{' removed' if clear else ''}")


@app.command(cls=Command)
def schema(
    summary: Annotated[
        bool, typer.Option("--summary", help="That of the summary.json of runs instead, by its schema_version.")
    ] = False,
) -> None:
    """Write the JSON Schema of experiment files, for editors."""
    from mlwf.specs.schema import experiment_schema, summary_schema

    write_json(summary_schema() if summary else experiment_schema())
