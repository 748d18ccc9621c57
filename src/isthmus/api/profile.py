"""``isthmus.profile`` and what it returns: what is known of data before anything is trained, in numbers and words."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Unpack

from isthmus.answers.profile import Told, told
from isthmus.data.dataset import Dataset
from isthmus.data.read import read
from isthmus.facets import FACETS
from isthmus.report import html
from isthmus.study.capacity import capacity
from isthmus.study.design import obstacles
from isthmus.study.options import Reading, filled, signed
from isthmus.study.profile import Profile, profiled


class DataProfile:
    """What :func:`profile` found.

    Parameters
    ----------
    name : str
        Of the data.
    found : Profile

    Examples
    --------
    >>> import numpy as np
    >>> str(profile(np.random.default_rng(0).normal(size=(50, 2)))).splitlines()[0]
    'X: 50 rows of 2 columns'
    """

    def __init__(self, name: str, found: Profile) -> None:
        self.name, self.found = name, found

    def told(self, lang: str = "en") -> Told:
        """The same in words: what spoils, the columns, the rows, the questions.

        Parameters
        ----------
        lang : {"en", "zh"}, default "en"
        """
        return told(self.found, self.name, lang)

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"data": self.name, **self.found.model_dump(mode="json")}

    def report(self, path: str | os.PathLike[str], lang: str = "en") -> Path:
        """Write a page of it, one HTML file that opens offline.

        Parameters
        ----------
        path : path
            The HTML file to write. It is there whole or not at all.
        lang : {"en", "zh"}, default "en"

        Returns
        -------
        Path
            The file.
        """
        return html.write_profile(self.found, self.name, path, lang)

    def __repr__(self) -> str:
        said = self.told()
        return "\n".join([said.title, *said.spoilers, *said.rows, *said.questions])


@signed(Reading)
def profile(source: Any, labels: Any = None, **options: Unpack[Reading]) -> DataProfile:
    """What is known of data before anything is trained, and what would spoil an answer.

    Parameters
    ----------
    source : str, Path, array-like or frame
        What :func:`isthmus.compare` takes.
    labels : array-like (N,), optional
        One label for each row.
    **options
        ``label``, ``anomaly``, ``factors``, ``images``, ``kinds``, ``drop``, ``missing``, ``group``, ``time``,
        ``weights``, ``rows`` and ``memory``: how the data are read, as in :func:`isthmus.compare`.

    Returns
    -------
    DataProfile
        Kinds of columns, gaps, ranges, repeats, and what spoils: columns that tell the label, numbers of rows, values
        that mean a missing one, and a few rows, a few cells or one column that are most of the variance.

    Raises
    ------
    BadInput
        If the data can't be read.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.random.default_rng(0).normal(size=(200, 3))
    >>> rows[:, 2] = np.arange(200)
    >>> found = profile(rows)
    >>> [one.what for one in found.found.spoilers]
    ['identifier']
    >>> found.told().spoilers[0].split(",")[0]
    "Column 'x2' only numbers the rows"
    """
    data = source if isinstance(source, Dataset) else read(source, labels, **filled(Reading, options))
    skipped = obstacles(data)
    facets = [name for name in FACETS if name not in skipped]
    return DataProfile(data.name, profiled(data, capacity(data.extent)[0], facets, skipped))
