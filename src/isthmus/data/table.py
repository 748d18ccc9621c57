"""Tables: named columns of any source, as Arrow arrays, into one array of numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from isthmus.data.files import fits, honest, parsing
from isthmus.data.numbers import spelled
from isthmus.data.raw import Raw, enough, row_words
from isthmus.data.wording import meant, place, shown, some
from isthmus.errors import BadInput, NoSuchColumn

INDEX = "__index_level_0__"
Cells = Any
"""An Arrow array, chunked or not."""
Row = Callable[[int], str]


def table(where: str, names: Sequence[str], cells: Sequence[Cells], row: Row, label: str | None) -> Raw:
    """One array of numbers from the columns of a table, without the label column.

    Parameters
    ----------
    where : str
        Head of every message.
    names : sequence of str
        One for each column, checked by :func:`named`.
    cells : sequence of Arrow arrays
    row : callable
        Words for row i, counted from 0: ``line 4``.
    label : str or None
        Name of the label column.
    """
    label_at = named(where, names, label)
    kept = [i for i in range(len(names)) if i != label_at]
    columns = tuple(names[i] for i in kept)
    rows = len(cells[0]) if cells else 0
    enough(where, rows, len(kept))
    words = row_words(columns, row)
    texts = [j for j, i in enumerate(kept) if _is_text(cells[i].type)]
    if texts:
        raise BadInput(f"{where}: {_text_message(cells[kept[texts[0]]], texts, columns, words, label)}")
    x = np.empty((rows, len(kept)), np.float64)
    for j, i in enumerate(kept):
        x[:, j] = _numbers(where, columns[j], cells[i])
    return Raw(where, x, None if label_at is None else cells[label_at], columns, words)


def named(where: str, names: Sequence[str], label: str | None) -> int | None:
    """Refuse names that nobody could mean; the position of the label column."""
    if "" in names:
        raise BadInput(
            f"{where}: column {list(names).index('') + 1} of {len(names)} has no name; "
            "name it, or leave it out if it only counts the rows (pandas: index=False)"
        )
    if INDEX in names:
        raise BadInput(f"{where}: column {shown(INDEX)} is the row index of a pandas frame; save it with index=False")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise BadInput(f"{where}: several columns have the same name ({some(twice)}); rename or drop them")
    if label is None:
        return None
    if label not in names:
        raise NoSuchColumn(
            f"{where}: no label column {shown(label)}{meant(label, names)}; the columns are {some(names)}"
        )
    return list(names).index(label)


def frame(source: nw.DataFrame[Any], label: str | None) -> Raw:
    """A pandas, polars or pyarrow frame."""
    names = [str(name) for name in source.columns]
    fits("X", 8 * len(source) * len(names))
    cells = []
    for name, series in zip(names, source.iter_columns(), strict=True):
        try:
            cells.append(series.to_arrow())
        except Exception:  # a column of Python objects that no one type holds: the first that is no number is named
            strays = ((i, v) for i, v in enumerate(series.to_list()) if not isinstance(v, int | float | None))
            i, value = next(strays, (0, None))
            raise BadInput(
                f"X: {_frame_row(i)}, column {shown(name)}: {shown(value)} is not a number; drop or encode this column"
            ) from None
    return table("X", names, cells, _frame_row, label)


def _frame_row(i: int) -> str:
    return f"row {i + 1} (position {i})"


def parquet(path: Path, label: str | None) -> Raw:
    """A Parquet file."""
    content = parquet_table(path, label, coded=True)
    return table(place(path), content.column_names, content.columns, lambda i: f"row {i + 1}", label)


def parquet_table(path: Path, label: str | None = None, *, coded: bool = False) -> pa.Table:
    """All columns of a Parquet file; its declared size is checked before memory is taken.

    Parameters
    ----------
    path : Path
    label : str, optional
        A column that must be there.
    coded : bool, default False
        Whether texts come as codes into a dictionary, which spares memory, or as they are.
    """
    where = place(path)
    with parsing(where, "a Parquet file"), pq.ParquetFile(path) as file:
        rows, names = file.metadata.num_rows, list(file.schema_arrow.names)
        fits(where, 8 * rows * len(names))
        honest(where, path.stat().st_size, 8 * rows * len(names), "save it as .npy")
        named(where, names, label)
        texts = [field.name for field in file.schema_arrow if coded and _is_text(field.type)]
    with parsing(where, "a Parquet file"), pq.ParquetFile(path, read_dictionary=texts) as file:
        content = file.read()
        content.validate(full=True)
    return content


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return any(
        test(kind)
        for test in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_string_view,
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_binary_view,
            pa.types.is_fixed_size_binary,
        )
    )


def _text_message(cells: Cells, texts: list[int], columns: tuple[str, ...], words: Any, label: str | None) -> str:
    """What the first text column is: text, or numbers with a stray cell."""
    filled = ((i, cell.as_py()) for i, cell in enumerate(cells) if cell.is_valid)
    first, value = next(filled, (0, ""))
    head = [cell for cell in cells[:1000].to_pylist() if cell is not None]
    if sum(spelled(cell) is not None for cell in head) * 2 > len(head):
        strays = ((i, cell.as_py()) for i, cell in enumerate(cells) if cell.is_valid and spelled(cell.as_py()) is None)
        first, value = next(strays, (0, None))
        if value is None:
            return (
                f"column {shown(columns[texts[0]])} holds numbers written as text; turn them into numbers first "
                "(pandas: astype(float))"
            )
        remedy = "write decimals with a point" if _decimal_comma(value) else "mend it, or drop the row or the column"
        return f"{words(first, texts[0])}: {shown(value)} is not a number; {remedy}"
    if isinstance(value, bytes):
        strays = ((i, cell.as_py()) for i, cell in enumerate(cells) if cell.is_valid and not _is_utf8(cell.as_py()))
        first, value = next(strays, (first, value))
        readable = shown(value.decode("utf-8", errors="replace"))
        return f"{words(first, texts[0])}: {readable} is not UTF-8 text; save the file as UTF-8, or drop this column"
    if head and all(_decimal_comma(cell) for cell in head):
        return f"{words(first, texts[0])}: {shown(value)} has a decimal comma; write decimals with a point"
    others = [columns[j] for j in texts[1:]]
    also = f" (and so do {some(others, 3)})" if others else ""
    return (
        f"{words(first, texts[0])}: {shown(value.strip())} is text, and only numbers can be learnt from; "
        f"drop or encode this column{also}{', or name it as the label (--label)' if label is None else ''}"
    )


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _decimal_comma(value: object) -> bool:
    return isinstance(value, str) and value.count(",") == 1 and spelled(value.replace(",", ".")) is not None


def _numbers(where: str, name: str, cells: Cells) -> NDArray[np.float64]:
    """One column as float64, missing cells as NaN."""
    if isinstance(cells, pa.ChunkedArray):
        cells = cells.combine_chunks()
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    kind = cells.type
    if pa.types.is_temporal(kind):
        raise BadInput(
            f"{where}: column {shown(name)} holds dates or times ({kind}); drop it, or turn it into a number, "
            "such as the hour or the days since the first row"
        )
    numeric = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)
    if not any(test(kind) for test in numeric):
        raise BadInput(f"{where}: column {shown(name)} holds values of type {kind}, not numbers; drop or unpack it")
    if pa.types.is_boolean(kind):
        cells = cells.cast(pa.uint8())
    found: NDArray[np.float64] = cells.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return found
