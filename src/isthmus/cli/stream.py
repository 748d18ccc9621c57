"""What the commands that answer rows share: blocks of a file through a model into a file, or into a pipe.

Rows come in blocks and go out in blocks, so that a file of any length takes the memory of a few. Columns that the model
does not know are carried along. A file is put in place when it is whole.

While a block is read, the one before it is answered, and the one before that is turned into bytes, in threads of their
own (:mod:`isthmus.cli.ahead`). What may wait for others, reading and writing, stays with the main thread, which signals
reach.
"""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Protocol

import typer

from isthmus.cli import show
from isthmus.data.wording import some
from isthmus.errors import BadEnvironment, BadInput

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
BUFFER = 1 << 22
"""Bytes that Arrow writes before it asks for Python's lock, for which a writer waits while others compute."""
HEADER = 192
"""Bytes of the header of a .npy file whose length is known at its end: room for any number of rows."""


class Held(io.RawIOBase):
    """A file of bytes that are taken out, some at a time, by who writes them where they belong."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._at = 0

    def writable(self) -> bool:
        """Yes: that is all it is for."""
        return True

    def tell(self) -> int:
        """How many bytes were put in."""
        return self._at

    def write(self, content: Any) -> int:
        """Put some bytes behind those before."""
        self._parts.append(bytes(content))
        self._at += len(self._parts[-1])
        return len(self._parts[-1])

    def taken(self) -> bytes:
        """What was put in since the last time."""
        found, self._parts = b"".join(self._parts), []
        return found


class Form(Protocol):
    """What answers are written as."""

    def written(self, block: Block, answer: Answer) -> bytes:
        """The answers of a block, behind those before."""

    def end(self) -> bytes:
        """What stands behind the last."""

    def head(self) -> bytes:
        """What the beginning is to be, known at the end; empty where it stays."""


class Columns:
    """A table: the columns that are carried along, then the answers."""

    def __init__(self, suffix: str, left: set[str] | None) -> None:
        self.held, self.suffix, self.left = Held(), suffix, left
        self.file: Any = None
        self.writer: Any = None
        self.schema: Any = None

    def written(self, block: Block, answer: Answer) -> bytes:
        import pyarrow as pa
        import pyarrow.csv as pacsv
        import pyarrow.parquet as pq
        from pyarrow import ipc

        from isthmus.data.frames import in_text

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
        table = self._held(pa.table({**kept, **made}))
        table = in_text(table, answer.commas) if self.suffix == ".csv" else table
        if self.writer is None:
            kinds = {".csv": pacsv.CSVWriter, ".parquet": pq.ParquetWriter}
            self.file = pa.BufferedOutputStream(pa.PythonFile(self.held, "w"), BUFFER)
            self.writer, self.schema = kinds.get(self.suffix, ipc.new_file)(self.file, table.schema), table.schema
        self.writer.write_table(table if self.suffix == ".csv" else table.cast(self.schema))
        self.file.flush()
        return self.held.taken()

    def _held(self, table: pa.Table) -> pa.Table:
        """The columns that a file of this kind can hold."""
        odd = [one.name for one in table.schema if self.suffix == ".csv" and not _plain(one.type)]
        if odd and self.writer is None:
            show.warn(f"{some(odd)} left out: a .csv holds no lists, records or bytes (-o FILE.parquet does)")
        return table.drop_columns(odd)

    def end(self) -> bytes:
        if self.writer is not None:
            self.writer.close()
            self.file.close()
        return self.held.taken()

    def head(self) -> bytes:
        return b""


def _plain(kind: pa.DataType) -> bool:
    """Whether cells of a type can stand in a text table."""
    import pyarrow as pa

    return not (pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


class Array:
    """A ``.npy`` file, whose number of rows stands in its header at the end."""

    def __init__(self) -> None:
        self.rows = 0
        self.kind: tuple[np.dtype[Any], tuple[int, ...]] | None = None

    def written(self, block: Block, answer: Answer) -> bytes:
        if answer.array is None:
            raise BadInput(
                "a .npy file holds numbers alone, and these columns are of several kinds; give .csv, .parquet or .arrow"
            )
        room = b" " * HEADER if self.kind is None else b""
        self.kind = self.kind or (answer.array.dtype, answer.array.shape[1:])
        self.rows += len(answer.array)
        return room + answer.array.tobytes()

    def end(self) -> bytes:
        return b""

    def head(self) -> bytes:
        if self.kind is None:
            return b""
        about = {"descr": self.kind[0].str, "fortran_order": False, "shape": (self.rows, *self.kind[1])}
        text = repr(about).encode().ljust(HEADER - 11) + b"\n"
        return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


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
    from isthmus.cli.ahead import ROOM, ahead
    from isthmus.data.blocks import STDIN

    place = STDOUT if out is None else out
    if place != STDOUT and place.suffix not in SUFFIXES:
        raise BadInput(f"--out must end in {', '.join(SUFFIXES)}, or be - for stdout; got {place.name}")
    if place != STDOUT and data != Path(STDIN) and place.exists() and data.exists() and place.samefile(data):
        raise BadInput(f"{place} is the file that is read; name another one to write (--out)")
    count, said = 0, set[str]()
    form = _form(place, None if fields is None else {field.name for field in fields})

    def answered(block: Block) -> tuple[Block, Answer, list[str]]:
        """With what there is to say of it: while this runs, nobody else takes what was recorded."""
        made, new = answer(block), len(doubts)
        doubted = [*dict.fromkeys(str(doubt.message) for doubt in doubts[:new])]
        del doubts[:new]
        return block, made, doubted

    def formed(found: tuple[Block, Answer, list[str]]) -> tuple[int, tuple[str, ...], list[str], bytes]:
        block, made, doubted = found
        return len(block.rows), block.told, doubted, form.written(block, made)

    first = next(found)
    room = 0 if first.drawn else ROOM  # who decodes pictures silences warnings meanwhile, those of other threads too
    with warnings.catch_warnings(record=True) as doubts, _out(place, form) as put:
        warnings.simplefilter("always")
        with closing(ahead(chain([first], found), answered, formed, room=room)) as made:
            for rows, always, once, content in made:
                for sentence in (*always, *(one for one in once if one not in said)):
                    show.warn(sentence)
                said.update(once)
                put(content)
                count += rows
    return count


def write(found: Iterable[tuple[Block, Answer]], out: Path | None) -> None:
    """Write blocks that were read from nowhere."""
    place = STDOUT if out is None else out
    if place != STDOUT and place.suffix not in SUFFIXES:
        raise BadInput(f"--out must end in {', '.join(SUFFIXES)}, or be - for stdout; got {place.name}")
    form = _form(place, set())
    with _out(place, form) as put:
        for block, answer in found:
            put(form.written(block, answer))


def _form(place: Path, left: set[str] | None) -> Form:
    return Array() if place.suffix == ".npy" else Columns(".csv" if place == STDOUT else place.suffix, left)


@contextmanager
def _out(place: Path, form: Form) -> Iterator[Callable[[bytes], None]]:
    """What takes the bytes of a form; what stands at its end and its beginning is written when all went well."""
    from isthmus.durable import flowing, placed

    with ExitStack() as stack:
        file = None if place == STDOUT else stack.enter_context(placed(place))
        put = partial(_put, _stdout()) if file is None else stack.enter_context(flowing(file))
        try:
            yield put
        finally:
            last = form.end()  # whatever happens: a writer of Arrow's that is not closed speaks up from its finalizer
        put(last)
        if file is not None and (head := form.head()):
            file.seek(0)
            file.write(head)
    if place == STDOUT:
        sys.stdout.flush()


def _put(file: IO[bytes] | show.Screen, content: bytes) -> None:
    """All of it: a pipe without a buffer (PYTHONUNBUFFERED) may take a part, the first before its reader has gone."""
    left = memoryview(content)
    while left:
        left = left[file.write(left) :]


def _stdout() -> IO[bytes] | show.Screen:
    if sys.__stdout__ is None:  # what stands in its place since takes everything and keeps nothing
        raise BadEnvironment("stdout is closed, so the answers would be lost; give a file (-o FILE)")
    return show.Screen() if sys.stdout.isatty() else sys.stdout.buffer
