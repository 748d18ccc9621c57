"""``isthmus serve``: a saved model behind HTTP."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from isthmus.cli import ends, show
from isthmus.cli.answers import Device, loaded
from isthmus.cli.options import Debug, Quiet
from isthmus.cli.stream import Model


def serve(
    model: Model,
    host: Annotated[str, typer.Option("--host", help="Address to listen on; the default is this machine only.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0 takes any that is free.")] = 8000,
    max_rows: Annotated[int, typer.Option("--max-rows", min=1, help="Rows that a request may have.")] = 10_000,
    max_bytes: Annotated[int, typer.Option("--max-bytes", min=1, help="Bytes that its body may have.")] = 8 << 20,
    timeout: Annotated[float, typer.Option("--timeout", min=0.01, help="Seconds until its body is there.")] = 30.0,
    waiting: Annotated[int, typer.Option("--waiting", min=1, help="Requests that may wait for their turn.")] = 64,
    device: Device = "cpu",
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Answer rows over HTTP: score, flag, encode, reconstruct, decode.

    Rows come as JSON or CSV, and what a model expects is told at /openapi.json and /model. There is no password and no
    encryption: put a proxy in front where others can reach it. Ctrl-C ends it when running requests are answered.

    [bold]isthmus serve model[/bold], then
    [bold]curl -H "Content-Type: text/csv" --data-binary @new.csv localhost:8000/score[/bold]
    """
    from isthmus.serve import LOCAL, Limits
    from isthmus.serve import serve as run

    deployed = loaded(model, device)
    if host not in LOCAL:
        show.warn(f"whoever reaches {host} can ask this model, without a password and unencrypted")
    limits = Limits(max_rows, max_bytes, timeout, waiting)

    def started(where: str) -> None:
        show.line(where)
        sys.stdout.flush()  # who waits for the address reads a pipe
        show.note("answers; Ctrl-C ends it", quiet=quiet)

    run(deployed, host, port, limits, started)
    return ends.DONE
