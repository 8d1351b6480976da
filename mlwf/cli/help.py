"""What the commands add to typer's: a help in our words, and a start that waits for nothing."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

from mlwf.cli.values import take_plainly
from mlwf.specs.sentences import written_sentences


class Group(TyperGroup):
    """The commands together."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line up to the command."""
        take_plainly(self.get_params(ctx))
        return super().parse_args(ctx, args)


class Command(TyperCommand):
    """A command whose help names its arguments as its usage does, without braces and Python's types."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line."""
        take_plainly(self.get_params(ctx))
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """List the words of the usage line."""
        return [piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then the options."""
        parameters: list[Any] = [*self.get_params(ctx)]
        arguments = [(param.metavar, param.help) for param in parameters if param.param_type_name == "argument"]
        options = [param.get_help_record(ctx) for param in parameters if param.param_type_name == "option"]
        for title, records in {"Arguments": arguments, "Options": options}.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Say what an experiment file holds, where one is asked for, in the words of its spec."""
        parameters: list[Any] = [*self.get_params(ctx)]
        if any(param.metavar in {"CONFIG", "CONFIG..."} for param in parameters):
            # From its source: the help need not wait for pydantic.
            sections = written_sentences("mlwf.specs.experiment", "ExperimentSpec")
            with formatter.section("The sections of CONFIG, of which only data is required"):
                formatter.write_dl([*sections.items()])
