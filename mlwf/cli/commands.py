"""The commands: each loads, calls and shows. Heavy libraries are imported by the command that needs them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import mlwf
from mlwf.cli.display import Format, progress, show, show_summary, write

app = typer.Typer(
    name="mlwf",
    help="A trustworthy tabular classifier from one YAML file.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RunsDir = Annotated[Path, typer.Option("--runs-dir", metavar="DIR", help="Folder that keeps the runs.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a value of the experiment, such as model.algorithm=svc; repeat."),
]
Form = Annotated[Format, typer.Option("--format", help="How the result is written to stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Each step's log on stderr.")]
Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="The experiment file.", show_default=False)]
Run = Annotated[
    str, typer.Argument(metavar="RUN", help="Id of the run, its unique beginning, or `latest`.", show_default=False)
]
RUNS = Path("runs")


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """A trustworthy tabular classifier from one YAML file."""


@app.command()
def train(
    config: Config,
    set_: Set = None,
    form: Form = Format.table,
    quiet: Quiet = False,
    verbose: Verbose = False,
    runs_dir: RunsDir = RUNS,
) -> None:
    """Train the experiment and show its scores; the run is kept in the folder of runs."""
    from mlwf.specs.loading import load_experiment

    spec, document = load_experiment(config, set_ or [])
    with progress(quiet=quiet, verbose=verbose) as on_progress:
        from mlwf.orchestrator.experiment import run_experiment

        summary = run_experiment(spec, document, runs_dir=runs_dir, on_progress=on_progress)
    show_summary(summary, form)


@app.command()
def validate(
    configs: Annotated[
        list[Path], typer.Argument(metavar="CONFIG...", help="Experiment files.", show_default=False)
    ],
    set_: Set = None,
    data: Annotated[bool, typer.Option("--data", help="Read and check the data as well.")] = False,
) -> None:
    """Say everything that is wrong with experiment files, without fitting anything."""
    from mlwf.errors import ConfigError, Problem
    from mlwf.specs.loading import load_experiment

    problems: list[Problem] = []
    for config in configs:
        try:
            spec, document = load_experiment(config, set_ or [])
            if data:
                from mlwf.orchestrator.experiment import check_data

                check_data(spec, document)
        except ValueError as error:
            if not hasattr(error, "problems"):
                raise
            problems += error.problems
        else:
            checked = "file and data are valid" if data else "valid; the data was not read (--data reads it)"
            write(f"{config}: {checked}")
    if problems:
        raise ConfigError(problems)


@app.command()
def summary(
    run: Run,
    form: Form = Format.table,
    runs_dir: RunsDir = RUNS,
    tracking_uri: Annotated[
        str | None,
        typer.Option(
            "--tracking-uri",
            metavar="URI",
            envvar="MLFLOW_TRACKING_URI",
            help="Where to look when the run is not in the folder of runs; the default is mlflow.db, where there is one.",
        ),
    ] = None,
) -> None:
    """Show what a run found, from its folder or from the tracking store."""
    from mlwf.cli.lookup import find_summary

    show_summary(find_summary(run, runs_dir=runs_dir, tracking_uri=tracking_uri), form)


@app.command()
def predict(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="Id of the run, or models:/NAME@ALIAS.", show_default=False)
    ],
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="CSV or Parquet: a file, a folder or a glob.", show_default=False)
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write, CSV or Parquet by suffix.")
    ],
    runs_dir: RunsDir = RUNS,
    tracking_uri: Annotated[
        str, typer.Option("--tracking-uri", metavar="URI", envvar="MLFLOW_TRACKING_URI", help="Where models:/ are.")
    ] = "sqlite:///mlflow.db",
) -> None:
    """Write the label and the probabilities of each row; columns that are no features are kept."""
    from mlwf.orchestrator.prediction import predict_table

    n_rows = predict_table(run, data, output, runs_dir=runs_dir, tracking_uri=tracking_uri)
    write(f"{output}: {n_rows:,} rows")


@app.command()
def init(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="CSV or Parquet: a file, a folder or a glob.", show_default=False)
    ],
    target: Annotated[str, typer.Option("--target", metavar="COL", help="Column to predict.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to write; the default is the data's name with .yaml."),
    ] = None,
) -> None:
    """Write a commented experiment file for a table, with its features resolved, ready to train."""
    from mlwf.orchestrator.drafting import draft_experiment

    path = draft_experiment(data, target, output)
    write(f"{path}: ready; `mlwf train {path}` trains it")


@app.command()
def runs(form: Form = Format.table, runs_dir: RunsDir = RUNS) -> None:
    """List the runs, newest first."""
    from mlwf.modules.runs import json_text, list_runs
    from mlwf.tables import runs_markdown, runs_table

    rows = list_runs(runs_dir)
    if form is Format.json:
        write(json_text(rows))
    elif form is Format.markdown:
        write(runs_markdown(rows))
    else:
        show(runs_table(rows))


@app.command()
def schema() -> None:
    """Write the JSON Schema of experiment files, for editors."""
    from mlwf.modules.runs import json_text
    from mlwf.specs.schema import experiment_schema

    write(json_text(experiment_schema()))
