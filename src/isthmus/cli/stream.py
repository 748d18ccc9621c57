"""What the commands that answer rows share: blocks of a file through a model into a file, or into a pipe.

Rows come in blocks and go out in blocks, so that a file of any length takes the memory of one. Columns that the model
does not know are carried along. A file is put in place when it is whole.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Protocol

import typer

from isthmus.cli import show
from isthmus.data.wording import some
from isthmus.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from isthmus.data.blocks import Block
    from isthmus.data.fields import Field
    from isthmus.ship.verbs import Answer

Model = Annotated[Path, typer.Argument(metavar="MODEL", help="Model folder, or its single file.", show_default=False)]
Data = Annotated[
    Path,
    typer.Argument(
        metavar="DATA",
        help="A table (.csv, .jsonl, .parquet, .arrow), .npy, .safetensors, a folder of pictures or shards, or -.",
        show_default=False,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", metavar="FILE", help="A .csv, .parquet, .arrow or .npy file.", show_default="CSV on stdout"
    ),
]

Graph = Annotated[
    Path | None,
    typer.Option(
        "--features", metavar="PATH", help="The ONNX graph, or language model, whose features the model was trained on."
    ),
]

TABLES = (".csv", ".parquet", ".arrow", ".feather")
SUFFIXES = (*TABLES, ".npy")
STDOUT = Path("-")
HEADER = 192
"""Bytes of the header of a .npy file whose length is known at its end: room for any number of rows."""


class Sink(Protocol):
    """Where answers go."""

    def put(self, block: Block, answer: Answer) -> None:
        """Write the answers of a block behind those before."""

    def close(self) -> None:
        """There are no more."""


class Columns:
    """A table: the columns that are carried along, then the answers."""

    def __init__(self, file: IO[bytes] | show.Screen, suffix: str, left: set[str] | None) -> None:
        self.file, self.suffix, self.left = file, suffix, left
        self.writer: Any = None
        self.schema: Any = None

    def put(self, block: Block, answer: Answer) -> None:
        import pyarrow as pa
        import pyarrow.csv as pacsv
        import pyarrow.parquet as pq
        from pyarrow import ipc

        given, left = block.table, self.left
        carried = () if given is None or left is None else (n for n in given.column_names if n not in left)
        kept = {name: given.column(name) for name in carried} if given is not None else {}
        if twice := sorted(kept.keys() & answer.columns.keys()):
            raise BadInput(f"the data have a column {twice[0]!r} of their own, as the answer has; rename it")
        arrow = pa.Array, pa.ChunkedArray  # which Arrow would take apart, value by value
        made = {
            name: values if isinstance(values, arrow) else pa.array(values, from_pandas=True)
            for name, values in answer.columns.items()
        }
        table = self._written(pa.table({**kept, **made}))
        if self.writer is None:
            kinds = {".csv": pacsv.CSVWriter, ".parquet": pq.ParquetWriter}
            self.writer, self.schema = kinds.get(self.suffix, ipc.new_file)(self.file, table.schema), table.schema
        self.writer.write_table(table if self.suffix == ".csv" else table.cast(self.schema))

    def _written(self, table: pa.Table) -> pa.Table:
        """The columns that a file of this kind can hold."""
        odd = [one.name for one in table.schema if self.suffix == ".csv" and not _plain(one.type)]
        if odd and self.writer is None:
            show.warn(f"{some(odd)} left out: a .csv holds no lists, records or bytes (-o FILE.parquet does)")
        return table.drop_columns(odd)

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()


def _plain(kind: pa.DataType) -> bool:
    """Whether cells of a type can stand in a text table."""
    import pyarrow as pa

    return not (pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


class Array:
    """A ``.npy`` file, whose number of rows stands in its header at the end."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.rows = file, 0
        self.kind: tuple[np.dtype[Any], tuple[int, ...]] | None = None

    def put(self, block: Block, answer: Answer) -> None:
        if answer.array is None:
            raise BadInput(
                "a .npy file holds numbers alone, and these columns are of several kinds; give .csv, .parquet or .arrow"
            )
        if self.kind is None:
            self.kind = answer.array.dtype, answer.array.shape[1:]
            self.file.write(b" " * HEADER)
        self.file.write(answer.array.tobytes())
        self.rows += len(answer.array)

    def close(self) -> None:
        if self.kind is not None:
            about = {"descr": self.kind[0].str, "fortran_order": False, "shape": (self.rows, *self.kind[1])}
            text = repr(about).encode().ljust(HEADER - 11) + b"\n"
            self.file.seek(0)
            self.file.write(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)


def run(
    data: Path,
    out: Path | None,
    found: Iterator[Block],
    fields: tuple[Field, ...] | None,
    answer: Callable[[Block], Answer],
) -> int:
    """Answer what was ``found`` in a file, or a folder of pictures, block by block; the number of its rows.

    ``fields`` are the columns that are read, and not carried along; None where no column is, for the answer has all.
    """
    from isthmus.data.blocks import STDIN

    place = STDOUT if out is None else out
    if place != STDOUT and place.suffix not in SUFFIXES:
        raise BadInput(f"--out must end in {', '.join(SUFFIXES)}, or be - for stdout; got {place.name}")
    if place != STDOUT and data != Path(STDIN) and place.exists() and data.exists() and place.samefile(data):
        raise BadInput(f"{place} is the file that is read; name another one to write (--out)")
    count, said = 0, set[str]()
    with _sink(place, None if fields is None else {field.name for field in fields}) as sink:
        for block in found:
            for told in block.told:
                show.warn(told)
            with warnings.catch_warnings(record=True) as doubts:
                warnings.simplefilter("always")
                made = answer(block)
            for doubt in (str(one.message) for one in doubts):
                if doubt not in said:
                    said.add(doubt)
                    show.warn(doubt)
            sink.put(block, made)
            count += len(block.rows)
    return count


def write(found: Iterable[tuple[Block, Answer]], out: Path | None) -> None:
    """Write blocks that were read from nowhere."""
    place = STDOUT if out is None else out
    if place != STDOUT and place.suffix not in SUFFIXES:
        raise BadInput(f"--out must end in {', '.join(SUFFIXES)}, or be - for stdout; got {place.name}")
    with _sink(place, set()) as sink:
        for block, answer in found:
            sink.put(block, answer)


def _closed(sink: Sink) -> Iterator[Sink]:
    """A sink that is closed whatever happens: a writer of Arrow's that is not would speak up from its finalizer."""
    try:
        yield sink
    except BaseException:
        with suppress(OSError):
            sink.close()
        raise
    sink.close()


@contextmanager
def _sink(place: Path, left: set[str] | None) -> Iterator[Sink]:
    from isthmus.durable import placed

    if place == STDOUT:
        sink: Sink = Columns(show.Screen() if sys.stdout.isatty() else sys.stdout.buffer, ".csv", left)
        yield from _closed(sink)
        sys.stdout.flush()
        return
    with placed(place) as file:
        sink = Array(file) if place.suffix == ".npy" else Columns(file, place.suffix, left)
        yield from _closed(sink)
