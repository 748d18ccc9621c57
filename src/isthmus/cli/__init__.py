"""The command line. Nothing heavy is imported before a command runs, so that help comes at once.

Results go to stdout, messages and progress to stderr; how the program ends is in :mod:`isthmus.cli.ends`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from isthmus.cli import ends
from isthmus.cli.catalogue import catalogue
from isthmus.cli.compare import compare
from isthmus.cli.report import report
from isthmus.cli.train import train

app = typer.Typer(
    name="isthmus",
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:
    if wanted:
        from isthmus import __version__

        print(f"isthmus {__version__}")
        raise typer.Exit


@app.callback(epilog=ends.EPILOG)
def isthmus(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Which autoencoder, if any, serves your data and your purpose? An answer with evidence.

    Begin with:  [bold]isthmus compare digits[/bold]
    """


app.command("compare")(compare)
app.command("train")(train)
app.command("list")(catalogue)
app.command("report")(report)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and say how it ended.

    Parameters
    ----------
    arguments : sequence of str, optional
        What stands behind ``isthmus``; by default that of this process.

    Returns
    -------
    int
        The exit code.
    """
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    command = typer.main.get_command(app)
    if "_ISTHMUS_COMPLETE" in os.environ:  # the shell asks for completions
        command.main(given, prog_name="isthmus")

    def run() -> int:
        try:
            with command.make_context("isthmus", given, obj=given) as context:
                return int(command.invoke(context) or 0)
        except typer.Exit as end:
            return end.exit_code

    return ends.guard(run, debug="--debug" in given)
