"""How the program ends: an exit code and, if something stopped it, one line that says what to do."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from isthmus.cli.show import plain
from isthmus.errors import BadEnvironment, BadInput, Lost

DONE, PARTLY, INPUT, ENVIRONMENT, MEMORY, FAULT = 0, 1, 2, 3, 4, 70
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
EPILOG = (
    "Exit codes: 0 done; 1 done, but some runs failed or diverged, or the doctor found a defect, or the monitor raised "
    "an alarm; 2 bad input; "
    "3 environment (disk, permission); 4 out of memory; 70 a fault of this program; 128 + n ended by signal n "
    "(130 is Ctrl-C)."
)


class Stopped(KeyboardInterrupt):
    """A signal asks the program to end. Notes on it (``add_note``) are said to the user."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def listening() -> Iterator[list[Stopped]]:
    """Turn signals into :class:`Stopped`; a second one ends the process at once. What was ignored stays ignored.

    Gives the list of those that were raised: a library may make another error of one.

    Where Python cannot pass it on (a signal that comes while a finalizer runs), it is raised again a moment later,
    instead of a traceback and a program that goes on.
    """
    before = {number: signal.getsignal(number) for number in SIGNALS}
    heard = [number for number in SIGNALS if before[number] not in {signal.SIG_IGN, None}]
    raised: list[Stopped] = []

    def stop(number: int, frame: FrameType | None) -> None:
        for one in heard:
            signal.signal(one, signal.SIG_DFL)
        raised.append(Stopped(number))
        raise raised[-1]

    def again(lost: sys.UnraisableHookArgs) -> None:
        if not isinstance(lost.exc_value, Stopped):
            hook(lost)
            return
        for one in heard:
            signal.signal(one, stop)
        threading.Timer(0.01, os.kill, (os.getpid(), lost.exc_value.number)).start()

    for number in heard:
        signal.signal(number, stop)
    hook, sys.unraisablehook = sys.unraisablehook, again
    try:
        yield raised
    finally:
        sys.unraisablehook = hook
        for number in heard:
            signal.signal(number, before[number])


def guard(run: Callable[[], int], *, debug: bool = False) -> int:
    """The exit code of ``run``, or of what stopped it, which is said in one line on stderr.

    Parameters
    ----------
    run : callable
        Returns an exit code.
    debug : bool
        Print the traceback too.
    """
    stopped: list[Stopped] = []
    try:
        with listening() as stopped:
            code = run()
            sys.stdout.flush()
            return code
    except BaseException as error:
        # rich turns a closed pipe into an exit of its own
        first = error.__context__ if isinstance(error, SystemExit) else error
        if isinstance(first, OSError) and first.errno == errno.EPIPE:
            return _closed_pipe()
        if (lost := _lost(error)) is not None:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun asks the others to end while they say why they do
            sys.stderr = sys.__stderr__ if lost.first else open(os.devnull, "w")  # noqa: SIM115
            stopped, error = [], lost
        # what fails after a signal fails of it: modules that are half imported, connections that are half made
        code, line = verdict(stopped[-1] if stopped else error)
        if debug:
            traceback.print_exc()
        _say(line)
        return code


def _lost(error: BaseException | None) -> Lost | None:
    """The loss of another rank that an error is, or came of."""
    while error is not None and not isinstance(error, Lost):
        error = error.__cause__ or error.__context__
    return error


def verdict(error: BaseException) -> tuple[int, str]:
    """The exit code and the line for what stopped the program."""
    text = "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
    if isinstance(error, KeyboardInterrupt):
        number = error.number if isinstance(error, Stopped) else signal.SIGINT
        return 128 + number, "; ".join(["stopped", *getattr(error, "__notes__", [])])
    if _is_usage(error):
        return INPUT, _usage(error)
    if isinstance(error, BadInput):
        return INPUT, text
    if isinstance(error, MemoryError) or _torch_out_of_memory(error):
        return MEMORY, "out of memory; take fewer rows, smaller models or fewer --jobs"
    if isinstance(error, BadEnvironment):
        return ENVIRONMENT, text
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        why = error.strerror or text or type(error).__name__
        return ENVIRONMENT, f"{where}{why}; check the place, its permissions and the space on the disk"
    if isinstance(error, ImportError):
        return ENVIRONMENT, f"the installation is incomplete ({text}); install isthmus again"
    return FAULT, f"this is a fault of isthmus ({type(error).__name__}: {text}); --debug shows where it happened"


def _is_usage(error: BaseException) -> bool:
    """Whether typer refused the command line. Its click is inside it or beside it, depending on the version."""
    import typer

    return isinstance(error, typer.BadParameter.__mro__[1])


def _usage(error: Any) -> str:
    path = error.ctx.command_path if error.ctx is not None else "isthmus"
    said = " ".join(error.format_message().split()).rstrip(".").replace("Value error, ", "")
    if how := _field(error):
        said = f"no such option: {error.option_name}; it is a field, which is set by {how}"
    refused = getattr(error.__cause__, "errors", None)  # newer typer validates with pydantic, which hides what came
    came = repr(refused()[0]["input"]) if refused is not None else ""
    got = "" if came in said else f"; got {came}"
    end = " See" if said.endswith("?") else f"{got}; see"
    return f"{said[0].lower()}{said[1:]}{end} {path} --help"


def _field(error: Any) -> str:
    """How a field of a family or of the plan is set, if somebody asked for one as an option of its own; else ""."""
    name = str(vars(error).get("option_name", "")).lstrip("-").replace("-", "_")
    takes = {option for one in error.ctx.command.params for option in one.opts} if name and error.ctx else ()
    if "--set" not in takes:
        return ""
    from isthmus.families import FAMILIES  # which takes its time, and nobody is in a hurry now
    from isthmus.train.plan import Plan

    if any(name in family.get_params() for family in FAMILIES.values()):
        return f"--set {name}=VALUE"
    if name in Plan.__dataclass_fields__:
        return f"{'--plan' if '--plan' in takes else '--set'} {name}=VALUE"
    return ""


def _torch_out_of_memory(error: BaseException) -> bool:
    """torch raises RuntimeError for a failed allocation; on devices a subclass called OutOfMemoryError."""
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "not enough memory" in text or "Cannot allocate memory" in text or type(error).__name__ == "OutOfMemoryError"
    )


def _closed_pipe() -> int:
    """Whoever read our output has gone: end as silently as ``cat`` would, also when Python flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 128 + signal.SIGPIPE


def _say(line: str) -> None:
    try:
        print(f"isthmus: {plain(line)}", file=sys.stderr, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
