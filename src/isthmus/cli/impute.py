"""``isthmus impute``: a table again, with its gaps filled in by a trained model."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli import ends, show
from isthmus.cli.report import Debug

if TYPE_CHECKING:
    from isthmus.imputer import Imputed


def impute(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="Model folder, or its single file.", show_default=False)
    ],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A table with the model's columns.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="A .csv or .parquet file.", show_default="DATA-imputed.csv"),
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
            show_default="DATA",
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No messages.")] = False,
    debug: Debug = False,
) -> int:
    """Fill the gaps of a table in with what a model makes of the rest of each row.

    What is there stays as it is, and so do columns that the model does not know. With --intervals, behind each column
    with gaps stand the ends of an interval ("age low", "age high"), or the values that it may have ("city among").

    [bold]isthmus impute model rows.csv -o whole.csv --intervals 0.9 --against others.csv[/bold]
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as pacsv
    import pyarrow.parquet as pq

    from isthmus.data.fields import missing
    from isthmus.data.read import cells, table
    from isthmus.durable import whole
    from isthmus.errors import BadInput
    from isthmus.imputer import Imputer
    from isthmus.ship import artefact

    place = data.with_name(f"{data.name.split('.')[0]}-imputed.csv") if out is None else out
    if place.suffix not in {".csv", ".parquet"}:
        raise BadInput(f"--out must end in .csv or .parquet; got {place.name}")
    if against is not None and intervals is None:
        raise BadInput("--against calibrates intervals: ask for them with --intervals 0.9")
    fitted, given, found = artefact.load(model), table(data), None
    with warnings.catch_warnings(record=True) as doubts:
        warnings.simplefilter("always")
        if intervals is None:
            made = fitted.impute(given)
        else:
            found = Imputer.of(fitted, given if against is None else table(against), given).fill(given, intervals)
            made = found.rows
    for doubt in doubts:
        show.warn(str(doubt.message))
    gone, left = missing(cells(given, fitted.fields)), 0
    for j, name in enumerate(made.column_names):
        old, new = given.column(name), made.column(name)
        left += pc.sum(new.is_null()).as_py()
        if new.type != old.type:  # of gaps alone, or texts that were read as numbers
            old = new
        filled = pc.if_else(pa.array(gone[:, j]), new, old)
        at = given.column_names.index(name)
        given = given.set_column(at, name, filled)
        if found is not None and gone[:, j].any():
            for said, cells_of in _beside(found, j, fitted.fields[j].kind == "date"):
                at += 1
                given = given.add_column(at, f"{name} {said}", cells_of)
    with io.BytesIO() as file:
        pacsv.write_csv(given, file) if place.suffix == ".csv" else pq.write_table(given, file)
        whole(place, file.getvalue())
    filled_in = int(gone.sum())
    if intervals is not None and against is None:
        show.warn(
            "intervals are calibrated on known cells of these very rows, and too narrow if the model was trained on "
            "them: then give other rows with --against"
        )
    show.note(f"{filled_in - left:,} of {filled_in:,} gaps were filled in, in {given.num_rows:,} rows", quiet=quiet)
    show.line(str(place))
    return ends.DONE


def _beside(found: Imputed, j: int, date: bool) -> list[tuple[str, Any]]:
    """What is written behind a column, by its name: the ends of intervals, or values among which the truth may be."""
    import numpy as np
    import pyarrow as pa

    if any(one is not None for one in found.among[:, j]):
        return [
            ("among", pa.array([None if one is None else " | ".join(one) for one in found.among[:, j]], pa.string()))
        ]
    ends = ("low", found.low[:, j]), ("high", found.high[:, j])
    if all(np.isnan(end).all() for _, end in ends):
        return []
    if not date:
        return [(name, pa.array(end, from_pandas=True)) for name, end in ends]
    moments = ((name, np.where(np.isnan(end), 0, end * 1e6).astype("int64"), np.isnan(end)) for name, end in ends)
    return [(name, pa.array(at, pa.timestamp("us"), mask=gone)) for name, at, gone in moments]
