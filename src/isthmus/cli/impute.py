"""``isthmus impute``: a table again, with its gaps filled in by a trained model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli import ends, show, stream
from isthmus.cli.answers import Device, loaded
from isthmus.cli.report import Debug

if TYPE_CHECKING:
    from isthmus.data.blocks import Block, Columns
    from isthmus.imputer import Imputer
    from isthmus.ship.deployed import Deployed
    from isthmus.ship.verbs import Answer


def impute(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="Model folder, or its single file.", show_default=False)
    ],
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="A .csv, .tsv, .jsonl, .parquet or .arrow table with the model's columns, or -.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="A .csv, .parquet or .arrow file.", show_default="DATA-imputed.csv"
        ),
    ] = None,
    intervals: Annotated[
        float | None,
        typer.Option(
            "--intervals",
            metavar="SHARE",
            help="Also write what may stand in each gap: the truth is among it in this share of gaps, such as 0.9.",
            show_default=False,
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            "--against",
            metavar="FILE",
            help="Rows that the model was not trained on, to calibrate intervals by.",
            show_default="calibration rows of the model, or else DATA",
        ),
    ] = None,
    device: Device = "cpu",
    quiet: Annotated[bool, typer.Option("--quiet", help="No messages.")] = False,
    debug: Debug = False,
) -> int:
    """Fill the gaps of a table in with what a model makes of the rest of each row.

    What is there stays as it is, and so do columns that the model does not know. With --intervals, behind each column
    with gaps stand the ends of an interval ("age low", "age high"), or the values that it may have ("city among").

    [bold]isthmus impute model rows.csv -o whole.csv --intervals 0.9 --against others.csv[/bold]
    """
    from isthmus.data.blocks import STDIN, Columns
    from isthmus.data.fields import missing
    from isthmus.errors import BadInput
    from isthmus.ship import verbs

    place = out or (Path(STDIN) if data == Path(STDIN) else data.with_name(f"{data.name.split('.')[0]}-imputed.csv"))
    if place != stream.STDOUT and place.suffix not in stream.TABLES:
        raise BadInput(f"--out must end in {', '.join(stream.TABLES)}; got {place.name}")
    if against is not None and intervals is None:
        raise BadInput("--against calibrates intervals: ask for them with --intervals 0.9")
    fitted = loaded(model, device)
    with Columns(data, fitted.fields) as table:
        imputer = None if intervals is None else _imputer(fitted, table, against, intervals)
        gaps = [0, 0]

        def answer(block: Block) -> Answer:
            found = verbs.impute(fitted, block, imputer, intervals or 0.0)
            gaps[0] += int(missing(block.rows).sum())
            gaps[1] += sum(found.columns[field.name].null_count for field in fitted.fields)
            return found

        rows = stream.run(data, place, table.blocks(fitted.fields), None, answer)
    if intervals is not None and against is None and not fitted.reach:
        show.warn(
            "intervals are calibrated on known cells of these very rows, and too narrow if the model was trained on "
            "them: then give other rows with --against"
        )
    show.note(f"{gaps[0] - gaps[1]:,} of {gaps[0]:,} gaps were filled in, in {rows:,} rows", quiet=quiet)
    if place != stream.STDOUT:
        show.line(str(place))
    return ends.DONE


def _imputer(fitted: Deployed, table: Columns, against: Path | None, level: float) -> Imputer:
    """What tells intervals of the columns with gaps: the model, known cells of other rows, or those of the table."""
    import numpy as np

    from isthmus.data.blocks import Columns, some
    from isthmus.data.fields import missing
    from isthmus.imputer import ROWS, Imputer

    gaps = np.zeros(len(fitted.fields), bool)

    def cells(of: Columns, seen: Any = None) -> Iterator[Any]:
        for block in of.blocks(fitted.fields):
            if seen is not None:
                np.logical_or(seen, missing(block.rows).any(axis=0), out=seen)
            yield block.rows

    asked = some(cells(table, gaps), ROWS)
    if against is None:
        found = Imputer(fitted, fitted.reach) if fitted.reach else Imputer.of(fitted, asked)
    else:
        with Columns(against, fitted.fields) as other:
            found = Imputer.of(fitted, some(cells(other), ROWS), asked)
    names = {field.name for field, gap in zip(fitted.fields, gaps, strict=True) if gap}
    told = {name: one for name, one in found.reach.items() if name in names and np.isfinite(one.at(level))}
    return replace(found, reach=told)
