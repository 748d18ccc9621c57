"""``isthmus.compare`` and what it returns: a study with its words and its page."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any, Self, Unpack

from isthmus.answers.brief import brief
from isthmus.answers.recommendation import recommendation
from isthmus.answers.words import Words
from isthmus.api import notebook
from isthmus.data.wording import number_of
from isthmus.errors import BadInput
from isthmus.report import html
from isthmus.ship.deployed import Deployed
from isthmus.study.deploy import recommended
from isthmus.study.examine import data_of
from isthmus.study.jobs import Progress
from isthmus.study.options import CompareOptions, running, signed
from isthmus.study.outline import outline
from isthmus.study.refit import refitted
from isthmus.study.results import Results
from isthmus.study.run import run


class Study(Results):
    """What a study folder holds: finished runs, what follows from them, in words, and as a page.

    Half a study answers too; it says so. Nothing here changes the folder, except :meth:`report`.
    Its numbers and models are those of :class:`isthmus.study.results.Results`. See :func:`compare` for an example.

    Parameters
    ----------
    folder : path
        As :func:`compare` or ``isthmus compare`` made it.
    """

    @classmethod
    def of(cls, results: Results) -> Self:
        """The same study, without reading its folder again."""
        made = cls.__new__(cls)
        vars(made).update(vars(results))
        return made

    def recommendation(self, lang: str = "en", titles: Mapping[str, str] | None = None) -> list[str]:
        """What to take for each purpose, one line each; then whether the facets agree, and which models have defects.

        Parameters
        ----------
        lang : {"en", "zh"}, default "en"
        titles : mapping of str to str, optional
            Other names for facets, metrics and contenders.
        """
        return recommendation(self, lang, titles)

    def report(self, path: str | os.PathLike[str] | None = None, lang: str = "en") -> Path:
        """Write the report as one HTML file that opens offline.

        Parameters
        ----------
        path : path, optional
            By default ``report.html`` in the study folder.
        lang : {"en", "zh"}, default "en"

        Returns
        -------
        Path
            The file.
        """
        return html.write(self, self.folder / "report.html" if path is None else path, lang)

    def refit(self, name: str | None = None, facet: str | None = None, data: str | None = None) -> Deployed:
        """A contender trained again on all rows, ready to ship (:mod:`isthmus.study.refit`).

        Nothing was measured of it: ``.origin`` says what was measured of the models of the replicates.

        Parameters
        ----------
        name : str, optional
            A family, or a rival that can be saved; by default whom the study recommends.
        facet : str, optional
            For whose question it was chosen; by default the first that has a recommendation, or of the study.
        data : str, optional
            Where the data are now; by default where they were.

        Raises
        ------
        BadInput
            If the study recommends nobody, has no such run, or its data cannot be had.
        """
        if name is None:
            one = recommended(self, facet)
            name, facet = str(one.take), one.verdicts[0].facet
        rows, why = data_of(self, data)
        if rows is None:
            raise BadInput(f"training again needs the rows of the study: {why}; say where they are (data)")
        return refitted(self, name, facet or self.design.facets[0], rows).deployed

    def __repr__(self) -> str:
        return "\n".join([self._headline(), *self.recommendation()])

    def _repr_html_(self) -> str:
        """For notebooks: how far the study is, then its answer, one row for each purpose."""
        lines = brief(self.purposes(), list(self.design.families))
        table = notebook.table(lines, shlex.quote(str(self.folder)), Words("en"))
        return f"<p>{escape(self._headline())}</p>{table}"

    def _headline(self) -> str:
        name, families, replicates = self.design.data["name"], len(self.design.families), self.replicates
        return (
            f"Study of {name}: {len(self.records)} of {number_of(self.total, 'run')}; "
            f"{number_of(families, 'family', 'families')}, {number_of(replicates, 'replicate')}"
        )


@signed(CompareOptions)
def compare(
    source: Any = None, labels: Any = None, *, progress: Progress | None = None, **options: Unpack[CompareOptions]
) -> Study:
    """Which autoencoder, if any, serves these data? Runs the comparison, or what is missing of it.

    The same call continues a study that was interrupted; runs that finished are never done again.

    Parameters
    ----------
    source : str, path, array or frame
        A file, the name of a bundled data set, or rows of shape (N, *D). It may be left out with ``more``.
    labels : array of shape (N,), optional
        One label for each row.
    label : str, optional
        The column (or npz member) that holds the labels.
    anomaly : str, optional
        The label whose rows are anomalies. Without it, each replicate leaves another class out to play them.
    factors : optional
        Known factors of variation: names of columns, which models never see, or numbers of shape (N, F).
    truth : optional
        The features that the rows are sums of, where somebody made them: an array (F, E), a file, or a mapping with
        ``features``, and maybe ``present`` (N, F), which are in each row, and ``parents`` (F,). The facet recovery then
        asks whether they were found; models never see them (:mod:`isthmus.data.truth`).
    images : bool, optional
        Whether rows of two axes (three, with channels last) are pictures; by default where it is plausible.
    kinds : mapping of column names to kinds, optional
        What columns of a table are, where something else was inferred: ``number``, ``amount`` (a long tail), ``count``
        (whole), ``flag``, ``category``, ``ordered``, ``date``, ``text`` (free text, by its words), ``characters`` (the
        same by groups of characters), ``hashed`` (its words and parts of words in buckets), or ``drop``.
    drop : str or iterable of str, optional
        Columns of a table to leave out.
    missing : iterable of float, optional
        Numbers that stand for a missing value, such as -999.
    terms : int, optional
        Most terms that are kept of each column of free text; by default as many as there are training rows, 32 at
        least and 1,000 at most.
    group : str or array of shape (N,), optional
        The column that says which rows belong together, or one value for each row; models never see it, and no group
        stands on both sides of a split.
    time : str or array of shape (N,), optional
        The same for when a row was taken, or ``"rows"`` where they stand in that order: training rows come first, test
        rows last, and a replicate is another origin of the forecast.
    weights : str or array of shape (N,), optional
        The same for how much a row counts, in training and in scores.
    size : int, (int, int) or str, optional
        Height and width that pictures of a folder are resized to, ``32`` or ``"32x48"``; by default their own where it
        is one, else their usual one, at most 64 pixels along the longer side.
    crop : bool, default False
        Whether the middle of pictures of another shape is cut out, instead of stretching them.
    gray : bool, optional
        Whether pictures are read with one channel, or with three; by default three if any of them has colours.
    skip_damaged : bool, default False
        Whether pictures that cannot be read are left out, instead of refused.
    features : path, optional
        An ONNX graph that turns each picture into features, which are then the row.
    axes : {"first", "last"}, optional
        Where the channels of rows with three axes stand; by default first where the shape says so and the numbers make
        it plausible.
    rows : int, optional
        Largest number of rows: of a longer file (Parquet, ``.npy``, ``.safetensors``, shards) so many are drawn by a
        fixed seed, and that is said. By default as many as make a gibibyte of numbers.
    memory : str or int, optional
        Instead of ``rows``: memory for the rows. A study holds about eight copies of them, so as many are read as fit
        into it eight times; each process takes 350 MiB besides.
    window : int, optional
        Where a row of the source is one step of a series: how many steps a row of the study holds. It needs ``time``,
        and ``group`` then tells several series apart; no step is both learnt from and tested.
    stride : int, optional
        Steps from one window to the next, by default 1.
    counts : bool, optional
        Whether rows are counts, each with a total of its own, such as the genes of a cell; by default those of a sparse
        matrix of whole numbers are.
    most : int, optional
        Columns of counts that are kept, those that vary most on training rows; by default 2,000.
    purpose : str, optional
        ``compress``, ``classify``, ``find_anomalies``, ``generate`` or ``interpret``: what is asked is then what
        speaks for it, unless ``facets`` say otherwise. For ``interpret`` sparse dictionaries take part, wider than the
        rows, of one affine layer, and are compared at one number of active units (``k`` of ``settings``).
    settings : mapping of str to value, optional
        Fields of recipes, for every family that has them; they are then not tuned. ``k`` is also the ``target`` of
        ``jumprelu``, and codes with more units a row are rebuilt from their largest.
    families : optional
        Names (with commas), recipes, or a dict of name -> recipe; by default nine, one for each idea, and with "all"
        every family that needs nothing but rows. PCA takes part, unless
        ``rivals`` leave it out.
    facets : optional
        Names of questions, by default all that the data can answer.
    replicates : int, optional
        Seeded splits of the data; by default 5.
    configs : int, optional
        Tuning configurations of each family, the default one included; by default 6. A study for ``interpret`` that
        would take hours has 3 of both, and fewer steps, unless ``steps`` or a ``budget`` say how long it may take
        (:data:`isthmus.study.purpose.WORK`); what was made smaller is said.
    steps : int, optional
        Largest number of optimiser steps of one training; replaces the plan's.
    budget : str or float, optional
        Time limit: seconds, or text like "5m". A study that would not fit gives something up
        (:mod:`isthmus.study.budget`); what no longer fits is not begun; what time is left adds replicates for those in
        doubt (:mod:`isthmus.study.racing`). A continued study keeps the plan it began with.
    more : int, optional
        So many replicates are added to the study that is in ``out``, for those contenders whose verdict is open; claims
        there are then made at a stricter level (:mod:`isthmus.study.racing`). Without ``source`` all else is as the
        folder says. Who was stopped in their midst goes on with them by the same call.
    latents, hidden : optional
        Code width and hidden layers of every family; by default from the width of a row and the backbone.
        ``latents="auto"`` tries widths first and takes the smallest that is within one standard error of the best
        (:mod:`isthmus.study.capacity`); a continued study keeps the width it began with.
    capacity : {"matched", "free"}, optional
        ``"free"`` lets each family choose its network for each purpose on validation rows (wide, overcomplete, deeper,
        as its recipe declares: :meth:`isthmus.model.Recipe.capacities`), with a third of its ``configs``; rows are
        still rebuilt through the one code width of the study. ``"matched"`` keeps that width for every question, and
        so do ``latents``, ``hidden`` and ``backbone``. By default free where families may choose for every question
        that is asked, as features, anomaly and generation; else matched.
    backbone : str, optional
        The network of every family but PCA: linear, mlp, conv1d, conv2d, vit, or a name you registered (then with
        ``jobs=1``, for worker processes do not know it); by default each recipe's own, mlp.
    rivals : str or iterable of str, default "all"
        Names (with commas) of the rivals that take part, ``pca`` among them, or ``"none"``.
    contamination : float, default 0
        Share of anomalies that stay among the training rows of the facet anomaly, as where nobody cleaned them.
    few : int, optional
        How many anomalies are known in advance in each replicate, and never tested: scores are chosen by them, and a
        rival, trees, learns from them. By default all that are not tested choose scores, and nobody learns
        from them; with 0 none is known.
    seed : int, default 0
        Same seed, same data, same machine: same numbers.
    jobs : int, optional
        Worker processes; by default one for each core. With 1 everything runs in this process.
    cluster : str, optional
        The Dask cluster whose workers do the runs instead (``pip install 'isthmus[dask]'``): the address of its
        scheduler, ``"tcp://host:8786"``, a scheduler file, or ``"local:4"`` for 4 processes here that Dask starts
        (:mod:`isthmus.study.launch.dask`).
    checkpoint : str or float, optional
        How often every training is kept on disk: seconds, or text like ``"5m"``. A study that is stopped then goes on
        in the middle of its runs, to the same bits (:mod:`isthmus.study.kept`); without it, runs that were cut begin
        anew.
    out : path, optional
        The study folder; by default ``isthmus-<name of the data>`` in the working directory.
    learning_rate : float, optional
        Adam's step size of every family; replaces the plan's. Tuning looks from 0.4 to 6 times as high.
    plan : Plan or mapping of str to value, optional
        How every model is trained: a plan, or those of its fields that are not as usual.
    progress : callable, optional
        Hears ``progress(job, record, done, total)`` after each run. By default a notebook shows a line that counts
        the runs, and nothing else does.
    command : str, optional
        The command that repeats this study, for the report.

    Returns
    -------
    Study

    Warns
    -----
    UserWarning
        For each thing that was inferred to read the data, or that is odd about them, before anything runs.

    Raises
    ------
    BadInput
        If the data, a name or a number is not usable, or ``out`` holds something else.
    BadEnvironment
        If the folder cannot be written, or another process works in it.

    Examples
    --------
    >>> import tempfile
    >>> few = {"families": "plain", "facets": "reconstruction", "replicates": 2, "configs": 1, "steps": 20, "jobs": 1}
    >>> with tempfile.TemporaryDirectory() as place:
    ...     study = compare("iris", out=place, **few)
    >>> study.complete, study.contenders("reconstruction")
    (True, ['plain', 'pca', 'sparse coding'])
    >>> study.verdict()["reconstruction"].metric
    'explained_variance'
    """
    planned = outline(source, labels, **options)
    planned.data.warn()
    told = notebook.watcher(planned.data.name) if progress is None else progress
    return Study.of(run(planned, **running(options), progress=told))
