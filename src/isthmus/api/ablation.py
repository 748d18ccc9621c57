"""``isthmus.ablate`` and what it returns: an ablation with its words and its page."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

from isthmus.answers.ablation import lines
from isthmus.api.study import Study
from isthmus.data.read import read
from isthmus.families import recipe as from_json
from isthmus.model import Recipe
from isthmus.report.ablation import write
from isthmus.study.ablation import AblationResults, at_capacity, plan_ablation
from isthmus.study.jobs import Progress
from isthmus.study.options import AblateOptions, PartOptions, Reading, declared, filled, running, signed
from isthmus.study.run import run


class Ablation(AblationResults):
    """What a folder of :func:`ablate` holds, what follows from it, in words, and as a page.

    Its numbers are those of :class:`isthmus.study.ablation.AblationResults`. See :func:`ablate` for an example.

    Parameters
    ----------
    folder : path
        As :func:`ablate` made it.
    """

    study: Study

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        super().__init__(folder)
        self.study = Study.of(self.study)

    def answer(self, lang: str = "en", titles: Mapping[str, str] | None = None) -> list[str]:
        """Which parts are worth it, one line for each facet that decides.

        Parameters
        ----------
        lang : {"en", "zh"}, default "en"
        titles : mapping of str to str, optional
            Other names for facets, metrics and contenders.
        """
        return lines(self, lang, titles)

    def report(self, path: str | os.PathLike[str] | None = None, lang: str = "en") -> Path:
        """Write the table as one HTML file that opens offline; by default ``report.html`` in the folder."""
        return write(self, self.study.folder / "report.html" if path is None else path, lang)

    def __repr__(self) -> str:
        return "\n".join(self.answer())


@signed(AblateOptions)
def ablate(
    recipe: str | Recipe | Mapping[str, Any],
    source: Any,
    labels: Any = None,
    *,
    progress: Progress | None = None,
    **options: Unpack[AblateOptions],
) -> Ablation:
    """What is each part of a recipe worth on these data? Takes each away in turn and compares.

    The same call continues what was interrupted.

    Parameters
    ----------
    recipe : str, Recipe or mapping
        A recipe, or its JSON, is taken as it is; a family's name gives its default at the capacity of a comparison.
    source, labels, label, anomaly, factors, images, kinds, drop, missing, group, time, weights, window, stride
        As in :func:`isthmus.compare`.
    terms, size, crop, gray, skip_damaged, features, axes, counts, most, rows, memory, truth
        As in :func:`isthmus.compare`.
    facets, replicates, steps, learning_rate, seed, jobs, cluster, checkpoint, plan
        As in :func:`isthmus.compare`.
    progress, command
        As in :func:`isthmus.compare`.
    configs : int, default 1
        Tuning configurations: with 1 the recipe as given; further ones are drawn over the full recipe's space, and are
        the same for every variant but for its part.
    out : path, optional
        The folder; by default ``isthmus-DATA-FAMILY-parts``.

    Returns
    -------
    Ablation

    Warns
    -----
    UserWarning
        For each thing that was inferred to read the data, or that is odd about them, before anything runs.

    Raises
    ------
    BadInput
        If the recipe has no part that can be taken away, or as :func:`isthmus.compare` does.

    Examples
    --------
    >>> import tempfile
    >>> import isthmus
    >>> recipe = isthmus.named("l1").set_params(latents=3)
    >>> with tempfile.TemporaryDirectory() as place:
    ...     found = ablate(recipe, "iris", facets="reconstruction", replicates=2, steps=20, jobs=1, out=place)
    >>> [part.field for part in found.parts]
    ['strength']
    """
    asked = filled(AblateOptions, options)
    data = read(source, labels, **{name: asked.pop(name) for name in declared(Reading)})
    if isinstance(recipe, Mapping):
        recipe = from_json(recipe)
    where = running(asked)
    asked = {name: value for name, value in asked.items() if name in (*declared(PartOptions), "out", "command")}
    planned = plan_ablation(at_capacity(recipe, data) if isinstance(recipe, str) else recipe, data, **asked)
    data.warn()
    return Ablation(run(planned, **where, progress=progress).folder)
