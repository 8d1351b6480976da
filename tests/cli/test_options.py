"""What a parameter takes by itself is what typer would make of it, and typer refuses the rest."""

from __future__ import annotations

import pytest
import typer
from typer.main import get_command

from mlwf.cli.commands import app
from mlwf.cli.options import skip_pydantic

COMMANDS = get_command(app).commands


def outcome(process_value, context, value):
    try:
        taken = process_value(context, value)
    except typer.BadParameter as error:
        return error.format_message()
    # A list of which nothing was given is None to the command, whichever of the two it was.
    return None if taken == () else taken


@pytest.mark.parametrize(
    ("command", "param"),
    [
        pytest.param(command, param, id=f"{name} {param.name}")
        for name, command in COMMANDS.items()
        for param in command.params
    ],
)
def test_parameters_take_what_typer_takes(command, param, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    is_list = param.multiple or param.nargs == -1
    context = typer.Context(command)
    typers = param.process_value
    skip_pydantic([param])
    for text in ("file", "folder", "missing", "table", "json", "yaml", "1", ""):
        value = (text, text) if is_list else text
        assert outcome(param.process_value, context, value) == outcome(typers, context, value), text
    for value in (None, () if is_list else None, param.default):
        assert outcome(param.process_value, context, value) == outcome(typers, context, value), value
