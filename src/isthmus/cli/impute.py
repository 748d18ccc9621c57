"""``isthmus impute``: a table again, with its gaps filled in by a trained model."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli import ends, show
from isthmus.cli.report import Debug


def impute(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model folder.", show_default=False)],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A table with the model's columns.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="A .csv or .parquet file.", show_default="DATA-imputed.csv"),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No messages.")] = False,
    debug: Debug = False,
) -> int:
    """Fill the gaps of a table in with what a model makes of the rest of each row.

    What is there stays as it is, and so do columns that the model does not know.

    [bold]isthmus impute model rows.csv -o whole.csv[/bold]
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as pacsv
    import pyarrow.parquet as pq

    from isthmus.data.fields import missing
    from isthmus.data.read import cells, table
    from isthmus.durable import whole
    from isthmus.errors import BadInput
    from isthmus.ship import artefact

    place = data.with_name(f"{data.name.split('.')[0]}-imputed.csv") if out is None else out
    if place.suffix not in {".csv", ".parquet"}:
        raise BadInput(f"--out must end in .csv or .parquet; got {place.name}")
    fitted, given = artefact.load(model), table(data)
    with warnings.catch_warnings(record=True) as doubts:
        warnings.simplefilter("always")
        made = fitted.impute(given)
    for doubt in doubts:
        show.warn(str(doubt.message))
    gone, left = missing(cells(given, fitted.fields)), 0
    for j, name in enumerate(made.column_names):
        old, new = given.column(name), made.column(name)
        left += pc.sum(new.is_null()).as_py()
        if new.type != old.type:  # of gaps alone, or texts that were read as numbers
            old = new
        filled = pc.if_else(pa.array(gone[:, j]), new, old)
        given = given.set_column(given.column_names.index(name), name, filled)
    with io.BytesIO() as file:
        pacsv.write_csv(given, file) if place.suffix == ".csv" else pq.write_table(given, file)
        whole(place, file.getvalue())
    filled_in = int(gone.sum())
    show.note(f"{filled_in - left:,} of {filled_in:,} gaps were filled in, in {given.num_rows:,} rows", quiet=quiet)
    show.line(str(place))
    return ends.DONE
