"""A folder of texts, one document a file, whose sub-folders are classes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from isthmus.data.fields.text import Text
from isthmus.data.files import bounded, fits
from isthmus.data.images import SUFFIXES, labels, listed
from isthmus.data.lines import COLUMN, written
from isthmus.data.table import table
from isthmus.data.unchecked import LEAST_ROWS, Unchecked, enough
from isthmus.data.wording import place
from isthmus.errors import BadInput

SUFFIX = ".txt"
MOST_BYTES = 1 << 26
"""Of one text."""


class Documents(NamedTuple):
    """The texts of a folder."""

    names: list[str]
    """Paths below it, sorted."""
    texts: pa.Array
    """One for each; an empty file is none."""
    classes: list[str] | None
    told: tuple[str, ...]


def documents(path: Path) -> Documents | None:
    """The texts of a folder and of those below it; None where most files that could be rows are pictures.

    Raises
    ------
    BadInput
        If a folder cannot be read or holds nothing, if a file is no text, or if all together would fill the memory.
    """
    every = listed(path, (*SUFFIXES, SUFFIX)).pictures
    if 2 * sum(name.suffix.lower() == SUFFIX for name in every) <= len(every):
        return None
    found = listed(path, (SUFFIX,), "texts")
    fits(place(path), 2 * sum((path / name).stat().st_size for name in found.pictures))
    texts, how = [], set[str]()
    for name in found.pictures:
        try:
            data, told = written(place(path / name), bounded(path / name, MOST_BYTES))
        except OSError as error:
            raise BadInput(f"{place(path / name)}: can't be read ({error.strerror}); check its permissions") from None
        how |= set(told)
        texts.append(data.decode())
    classes, of_classes = labels(found.pictures, "texts")
    said = (*(f"some texts are {one}" for one in sorted(how)), *of_classes, *found.told)
    return Documents([str(name) for name in found.pictures], pa.array(texts, pa.string()), classes, said)


def rows(path: Path, found: Documents) -> Unchecked:
    """Documents as a table of one column, with their classes."""
    where = place(path)
    enough(where, max(len(found.names), LEAST_ROWS), 1)
    made = table(where, [COLUMN], [found.texts], lambda i: found.names[i], None, {COLUMN: Text.kind})
    return made._replace(y=found.classes, told=found.told)
