"""``isthmus.compare_many`` and what it returns: studies of several data sets with their words and their pages."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from isthmus.answers.ranking import lines
from isthmus.api import notebook
from isthmus.api.study import Study
from isthmus.report import html, several
from isthmus.study.options import running
from isthmus.study.run import run
from isthmus.study.several import Options, SeveralResults, begin, plans


class Several(SeveralResults):
    """What a folder of studies over several data sets holds, what follows from it, in words, and as pages.

    Its numbers are those of :class:`isthmus.study.several.SeveralResults`. See :func:`compare_many` for an example.

    Parameters
    ----------
    folder : path
        As :func:`compare_many` made it.
    """

    studies: Mapping[str, Study]

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        super().__init__(folder)
        self.studies = {name: Study.of(one) for name, one in self.studies.items()}

    def recommendation(self, lang: str = "en", titles: Mapping[str, str] | None = None) -> list[str]:
        """What the ranks say, one line for each facet, and which data sets are not independent.

        Parameters
        ----------
        lang : {"en", "zh"}, default "en"
        titles : mapping of str to str, optional
            Other names for facets, metrics and contenders.
        """
        return lines(self.rankings().values(), self.alike(), lang, titles)

    def report(self, path: str | os.PathLike[str] | None = None, lang: str = "en") -> Path:
        """Write one page for all data sets, and beside it the report of each study.

        Parameters
        ----------
        path : path, optional
            By default ``report.html`` in the folder.
        lang : {"en", "zh"}, default "en"

        Returns
        -------
        Path
            The file.
        """
        for study in self.studies.values():
            html.write(study, study.folder / "report.html", lang)
        return several.write(self, self.folder / "report.html" if path is None else path, lang)

    def __repr__(self) -> str:
        done = sum(study.complete for study in self.studies.values())
        head = f"Studies of {len(self.studies)} data sets, {done} complete"
        return "\n".join([head, *self.recommendation()])


def compare_many(
    sources: Iterable[Any] | Mapping[str, Any],
    *,
    labels: Mapping[str, Any] | None = None,
    label: str | Options | None = None,
    anomaly: str | Options | None = None,
    out: str | os.PathLike[str] | None = None,
    group: str | Options | None = None,
    time: str | Options | None = None,
    weights: str | Options | None = None,
    budget: str | float | None = None,
    progress: Callable[[str], Any] | None = None,
    jobs: int | None = None,
    cluster: str | None = None,
    checkpoint: str | float | None = None,
    command: str = "",
    **options: Any,
) -> Several:
    """Run the same comparison on several data sets, or what is missing of it, and rank contenders over them.

    Parameters
    ----------
    sources : iterable, or mapping of str to source
        What :func:`isthmus.compare` takes as ``source``, at least two of them; a mapping names its data sets itself.
    labels : mapping of str to array, optional
        Name of a data set -> one label for each row.
    label : str or mapping of str to str, optional
        The column of the labels, in every data set that has it; or name of a data set -> its column.
    anomaly : str or mapping of str to str, optional
        The label whose rows are anomalies, in every data set that has it; or name of a data set -> its label.
    group, time, weights : str or mapping of str to str, optional
        The columns of groups, times and weights, as in :func:`isthmus.compare`, in all data sets; or name of a data
        set -> its column.
    out : path, optional
        One folder for all; by default ``isthmus-NAME-and-N-more``.
    budget : str or float, optional
        Wall time for all data sets together; each gets an equal part.
    progress : callable, optional
        Hears the name of each data set before its study runs.
    jobs : int, optional
        Worker processes, as in :func:`isthmus.compare`.
    cluster : str, optional
        The Dask cluster that does the runs, as in :func:`isthmus.compare`.
    checkpoint : str or float, optional
        How often trainings are kept, as in :func:`isthmus.compare`.
    command : str, optional
        The command that repeats this, for the report.
    **options
        ``images``, ``families``, ``facets``, ``replicates``, ``configs``, ``steps``, ``latents``, ``hidden``,
        ``backbone``, ``contamination``, ``few``, ``seed`` and ``plan`` as in :func:`isthmus.compare`, the same for all.

    Returns
    -------
    Several

    Warns
    -----
    UserWarning
        For each thing that was inferred to read the data, or that is odd about them, before anything runs.

    Raises
    ------
    BadInput
        If there are fewer than two data sets, one cannot be used, or a name in a mapping is none of theirs.
    BadEnvironment
        If the folder cannot be written, or another process works in it.

    Examples
    --------
    >>> import tempfile
    >>> few = {"families": "plain", "facets": "reconstruction", "replicates": 2, "configs": 1, "steps": 20}
    >>> with tempfile.TemporaryDirectory() as place:
    ...     several = compare_many(["iris", "wine"], out=place, jobs=1, **few)
    >>> list(several.studies), several.complete
    (['iris', 'wine'], True)
    """
    data: dict[str, Any] = {"labels": labels, "label": label, "anomaly": anomaly}
    data |= {"group": group, "time": time, "weights": weights}
    where: dict[str, Any] = {"jobs": jobs, "cluster": cluster, "checkpoint": checkpoint}
    planned = plans(sources, **data, out=out, budget=budget, command=command, **where, **options)
    for one in planned.studies.values():
        one.data.warn()
    begin(planned)
    for name, one in planned.studies.items():
        if progress is not None:
            progress(name)
        run(one, **running(where), progress=notebook.watcher(name))
    return Several(planned.folder)
