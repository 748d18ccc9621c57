"""A column of texts, as its different ones and the place of each row's among them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from isthmus.data.fields import Cells
from isthmus.data.table import is_number, is_text
from isthmus.data.unchecked import Unchecked
from isthmus.data.wording import shown
from isthmus.data.written import MISSING
from isthmus.errors import BadInput


class Words(NamedTuple):
    """A column of texts."""

    texts: Any
    """The different ones, an Arrow array of strings, without blanks around them and without those that mean none."""
    codes: NDArray[np.int64]
    """(N,), the place of each row's text among them; -1 where it is missing."""
    often: NDArray[np.int64] | None = None
    """(N,), how many rows each of these stands for, where rows that are alike stand together."""
    lost: int = 0
    """Rows whose texts are not among these, being too many different ones to be kept."""
    written: Words | None = None
    """The same with the blanks around texts, where some have any."""

    def row(self, code: int) -> int:
        """The first row with a text."""
        return int(np.argmax(self.codes == code))

    def counts(self) -> NDArray[np.int64]:
        """How many rows hold each text."""
        there = self.codes >= 0
        if self.often is None:
            return np.bincount(self.codes[there], minlength=len(self.texts))
        return np.bincount(self.codes[there], self.often[there], len(self.texts)).astype(np.int64)

    def spread(self, values: Cells) -> Cells:
        """Numbers for the texts as numbers for the rows; NaN where a text is missing."""
        return np.append(values, np.nan)[self.codes]


def words_of(raw: Unchecked, j: int, cells: Any) -> Words:
    """A column of any type as texts."""
    coded = cells if pa.types.is_dictionary(cells.type) else pc.dictionary_encode(cells)
    codes = np.asarray(pc.fill_null(coded.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False))
    texts = _strings(coded.dictionary)
    if isinstance(texts, int):  # the place of bytes that are no text
        stray_ = shown(coded.dictionary[texts].as_py().decode("utf-8", errors="replace"))
        raise BadInput(
            f"{raw.place}: {raw.where(int(np.argmax(codes == texts)), j)}: {stray_} is not UTF-8 text; save the file "
            "as UTF-8, or drop this column"
        )
    if raw.columns[j] not in raw.stated:  # only what stands in some row
        used = np.bincount(codes[codes >= 0], minlength=len(texts)) > 0
        texts = pc.if_else(pa.array(used), texts, None)
    return bare(Words(texts, codes))


def bare(words: Words) -> Words:
    """The same without blanks around texts, and without those that mean none."""
    texts = pc.utf8_trim_whitespace(words.texts)
    texts = pc.if_else(pc.is_in(texts, pa.array(MISSING, texts.type)), None, texts)
    written = pc.if_else(texts.is_valid(), words.texts, None)
    found = distinct(texts, words)
    return found if texts.equals(written) else found._replace(written=distinct(written, words))


def distinct(texts: Any, words: Words) -> Words:
    """The same with other texts, each of which stands once."""
    coded = pc.dictionary_encode(texts)
    place = np.asarray(pc.fill_null(coded.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False))
    return words._replace(texts=coded.dictionary, codes=np.append(place, -1)[words.codes])


def _strings(values: Any) -> Any:
    """Values of any type as strings: numbers as people write them; the place of the first bytes that are no text."""
    kind = values.type
    if pa.types.is_string(kind):
        return values
    if is_text(kind) and not (pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        for i, value in enumerate(values.to_pylist()):
            try:
                _ = value is None or value.decode("utf-8")
            except UnicodeDecodeError:
                return i
        return pa.array([None if value is None else value.decode("utf-8") for value in values.to_pylist()], pa.string())
    return _spelled(values) if is_number(kind) and not pa.types.is_boolean(kind) else values.cast(pa.string())


def _spelled(values: Any) -> Any:
    """Numbers as the texts that people write for them: 3 rather than 3.0."""
    found = values.to_pylist()
    return pa.array(
        [None if v is None or math.isnan(v) else str(int(v) if math.isfinite(v) and v == int(v) else v) for v in found],
        pa.string(),
    )


def whole(cells: Any) -> Any:
    """One Arrow array."""
    if isinstance(cells, pa.ChunkedArray):
        cells = (cells.unify_dictionaries() if pa.types.is_dictionary(cells.type) else cells).combine_chunks()
    if isinstance(cells, pa.ChunkedArray):  # several chunks that Arrow cannot join
        cells = pa.concat_arrays(cells.chunks)
    return cells
