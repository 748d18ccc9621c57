"""Options on the command line: those of many commands, and those that :mod:`isthmus.study.options` declares."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

import typer

from isthmus.study.options import Asking, Compared, CompareOptions, Option, Reading, declared

F = TypeVar("F", bound=Callable[..., Any])

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Lang = Annotated[Literal["en", "zh"], typer.Option("--lang", help="Language of answers and report.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan and the estimated time; write nothing.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No messages and no progress bar.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback if something goes wrong.")]


PANELS = (("Data", Reading), ("Questions", Asking), ("Contenders", Compared), ("Running", CompareOptions))
"""Under which title the help shows an option: of the first of these classes that declares it."""


def offers(kind: type) -> Callable[[F], F]:
    """For a command that takes ``**options``: it offers each that is declared and has a place on a command line.

    One that the command has among its own parameters stays as it is there.
    """

    def offer(command: F) -> F:
        """The command with all options in its signature, which typer reads."""
        own = inspect.signature(command, eval_str=True)
        kept = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
        for one in kept:
            if one.name in declared(kind):
                one.annotation.__metadata__[0].rich_help_panel = _panel(one.name)
        more = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=option.default, annotation=_typed(name, option)
            )
            for name, option in declared(kind).items()
            if option.kind is not None and name not in own.parameters
        ]
        at = next((i for i, p in enumerate(kept) if p.kind is p.KEYWORD_ONLY), len(kept))
        vars(command)["__signature__"] = own.replace(parameters=[*kept[:at], *more, *kept[at:]])
        return command

    return offer


def _typed(name: str, option: Option) -> Any:
    about: dict[str, Any] = {"help": option.help, "metavar": option.metavar, "rich_help_panel": _panel(name)}
    if option.shown is not None:
        about["show_default"] = option.shown
    flag = option.flag or f"--{name.replace('_', '-')}"
    kind = option.kind if option.default is not None else option.kind | None
    return Annotated[kind, typer.Option(flag, *(["-o"] if name == "out" else []), **about)]


def _panel(name: str) -> str:
    return next(title for title, kind in PANELS if name in declared(kind))


def understood(kind: type, typed: dict[str, Any]) -> dict[str, Any]:
    """Options as Python takes them, from what was typed."""
    reads = {name: option.read for name, option in declared(kind).items()}
    return {
        name: value if value is None or (read := reads[name]) is None else read(value) for name, value in typed.items()
    }
