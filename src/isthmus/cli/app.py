"""The commands by name. Flags come from their signatures, help from their docstrings."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Annotated, TextIO

import typer

from isthmus.cli import ends, show
from isthmus.cli.ablate import ablate
from isthmus.cli.answers import decode, encode, reconstruct, sample, score
from isthmus.cli.card import card
from isthmus.cli.catalogue import catalogue
from isthmus.cli.collect import collect
from isthmus.cli.compare import compare
from isthmus.cli.convert import convert
from isthmus.cli.doctor import doctor
from isthmus.cli.export import export
from isthmus.cli.flag import flag
from isthmus.cli.impute import impute
from isthmus.cli.inspect import inspect
from isthmus.cli.monitor import monitor
from isthmus.cli.pack import compress, decompress
from isthmus.cli.profile import profile
from isthmus.cli.report import report
from isthmus.cli.serve import serve
from isthmus.cli.take import take
from isthmus.cli.train import train

HOUSE = Path(__file__).parents[1]
"""Where the code lies whose warnings are ours."""

app = typer.Typer(
    name="isthmus",
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:
    if wanted:
        from isthmus import __version__

        show.line(f"isthmus {__version__}")
        raise typer.Exit


@app.callback(epilog=ends.EPILOG)
def isthmus(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Which autoencoder, if any, serves your data and your purpose? An answer with evidence.

    Begin with:  [bold]isthmus compare digits[/bold]
    """


app.command("compare")(compare)
app.command("profile")(profile)
app.command("ablate")(ablate)
app.command("take")(take)
app.command("train")(train)
app.command("impute")(impute)
app.command("collect")(collect)
app.command("export")(export)
app.command("card")(card)
for verb in (score, flag, encode, decode, reconstruct, sample):
    app.command(verb.__name__)(verb)
app.command("inspect")(inspect)
app.command("monitor")(monitor)
app.command("serve")(serve)
app.command("list")(catalogue)
app.command("report")(report)
app.command("doctor")(doctor)
app.command("convert")(convert)
app.command("compress")(compress)
app.command("decompress")(decompress)


parser = cache(lambda: typer.main.get_command(app))
"""What reads command lines. Signatures are looked at once: who runs many lines in a process does not pay again."""


def run(arguments: list[str]) -> int:
    """Run one command line; returns the exit code, and raises whatever stops it."""
    command = parser()
    if "_ISTHMUS_COMPLETE" in os.environ:  # the shell asks for completions
        command.main(arguments, prog_name="isthmus")
    try:
        with _said(), command.make_context("isthmus", arguments, obj=arguments) as context:
            return int(command.invoke(context) or 0)
    except typer.Exit as end:
        return end.exit_code


@contextmanager
def _said() -> Iterator[None]:
    """What the library warns of is said as the command line says things; warnings of others are shown as ever."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def say(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if Path(filename).is_relative_to(HOUSE):
                show.warn(str(message))
            else:
                usual(message, category, filename, lineno, file, line)

        warnings.showwarning = say
        yield
