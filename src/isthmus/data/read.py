"""One door for all data: a file, an array, a frame or a name comes in, a :class:`Dataset` goes out."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.data import steps
from isthmus.data.arrays import channels_last, memory, npy_file, npz_file
from isthmus.data.arrow_file import ENDS as ARROW
from isthmus.data.arrow_file import arrow
from isthmus.data.axes import pictures
from isthmus.data.bundled import DATASETS, bundled
from isthmus.data.counts import MOST
from isthmus.data.dataset import Dataset
from isthmus.data.documents import documents
from isthmus.data.documents import rows as documents_of
from isthmus.data.encoded import encoded, pictures_in
from isthmus.data.factors import aside
from isthmus.data.features import Network
from isthmus.data.fields import TEXTS, Field
from isthmus.data.fields import missing as missing_in
from isthmus.data.fields.field import agreed
from isthmus.data.files import check, fits, guess, stranger
from isthmus.data.files import size as in_bytes
from isthmus.data.frames import opened
from isthmus.data.h5ad import anndata, annotated, h5ad
from isthmus.data.idx import NAME as IDX_NAME
from isthmus.data.idx import idx
from isthmus.data.images import Wanted, folder
from isthmus.data.images import asked as of_pictures
from isthmus.data.kinds import settle
from isthmus.data.labels import aligned, alike, alone, classes, measured
from isthmus.data.lines import lines
from isthmus.data.metadata import counted, factors_of, labels_of
from isthmus.data.metadata import known as metadata_of
from isthmus.data.metadata import sentences as of_metadata
from isthmus.data.numbers import numbers
from isthmus.data.records import ENDS as JSON
from isthmus.data.records import records
from isthmus.data.sentences import Sentences
from isthmus.data.series import Series
from isthmus.data.shards import folder_of_shards, safetensors_file, shards_in
from isthmus.data.source import Limit, drawn
from isthmus.data.sparse import SparseRows, counts_of, scattered
from isthmus.data.table import frame, parquet
from isthmus.data.text_table import text_table
from isthmus.data.truth import truth_of
from isthmus.data.unchecked import LEAST_ROWS, Unchecked
from isthmus.data.windows import Order
from isthmus.data.wording import meant, place, shown, some
from isthmus.errors import BadInput, NoSuchClass, NoSuchColumn

__all__ = ["DATASETS", "read"]

FORMATS: dict[str, Callable[[Path, str | None], Unchecked]] = {
    ".csv": text_table,
    ".csv.gz": text_table,
    ".tsv": text_table,
    ".tsv.gz": text_table,
    **dict.fromkeys(JSON, records),
    ".parquet": parquet,
    **dict.fromkeys(ARROW, arrow),
    ".txt": lambda path, label: _unlabelled(lines(path), label),
    ".txt.gz": lambda path, label: _unlabelled(lines(path), label),
    ".npz": npz_file,
    ".h5ad": h5ad,
    ".safetensors": lambda path, label: _unlabelled(safetensors_file(path), label),
    ".npy": lambda path, label: _unlabelled(npy_file(path), label),
    ".idx": lambda path, label: _unlabelled(idx(path), label),
    ".idx.gz": lambda path, label: _unlabelled(idx(path), label),
}


def read(
    source: Any,
    labels: Any = None,
    *,
    label: str | None = None,
    anomaly: Any = None,
    factors: Any = None,
    images: bool | None = None,
    kinds: Mapping[str, str] | None = None,
    drop: str | Iterable[str] | None = None,
    missing: Iterable[float] | None = None,
    terms: int | None = None,
    group: Any = None,
    time: Any = None,
    weights: Any = None,
    size: Any = None,
    crop: bool = False,
    gray: bool | None = None,
    skip_damaged: bool = False,
    axes: str | None = None,
    window: int | None = None,
    stride: int | None = None,
    features: Any = None,
    counts: bool | None = None,
    most: int | None = None,
    rows: int | None = None,
    memory: str | int | None = None,
    truth: Any = None,
) -> Dataset:
    """Read data of any supported kind.

    Parameters
    ----------
    source : str, Path, array-like or frame
        A file (``.csv``, ``.tsv``, ``.jsonl``, ``.json`` or IDX, plain or ``.gz``; ``.parquet``; ``.arrow`` or
        ``.feather``; ``.npy``; ``.npz``), the name of a bundled set (:data:`DATASETS`), an array of at least two axes,
        or a pandas, polars or pyarrow frame. A folder of pictures, whose sub-folders are classes
        (:mod:`isthmus.data.images`), or of texts (:mod:`isthmus.data.documents`), or ``.parquet`` or ``.arrow`` with a
        column of encoded pictures (:mod:`isthmus.data.encoded`). A folder of shards, ``.npy`` or ``.safetensors``, or
        one such file (:mod:`isthmus.data.shards`).
    labels : array-like (N,), optional
        One label for each row: texts, whole numbers or booleans. It takes the place of labels that the source brings.
    label : str, optional
        Instead of ``labels``: the column of a table, or the member of a ``.npz`` file, that holds them.
    anomaly : str, optional
        The class whose rows are anomalies.
    factors : str, sequence of str, or array-like (N, F), optional
        What made each row, where it is known: columns of a table (names, or one text with commas), which are then set
        aside as the label is, or the numbers themselves. By default what the source brings: the member ``factors`` of a
        ``.npz`` file.
    images : bool, optional
        Whether rows with two axes, or with three and channels last, are pictures, whose elements share one scale. By
        default they are if the format says so or the numbers make it plausible (:func:`isthmus.data.axes.pictures`).
    kinds : mapping of column names to kinds, optional
        What columns of a table are, where something else was inferred: ``number``, ``amount`` (a long tail), ``count``
        (whole), ``flag``, ``category``, ``ordered``, ``date``, ``text`` (free text, by its words), ``characters`` (the
        same by groups of characters), ``hashed`` (its words and parts of words in buckets), or ``drop``.
    drop : str or iterable of str, optional
        Columns of a table to leave out.
    missing : iterable of float, optional
        Numbers that stand for a missing value, such as -999.
    terms : int, optional
        Most terms (words, groups of characters, or buckets) that are kept of each column of free text: by default as
        many as there are training rows, 32 at least and 1,000 at most.
    group : str or array-like (N,), optional
        The column that says which rows belong together, which is then no part of the rows, or one value for each row:
        no group stands on both sides of a split.
    time : str or array-like (N,), optional
        The same for when a row was taken, a number or a date: what is learnt from lies before what is tested.
        ``"rows"`` where rows stand in the order of time.
    weights : str or array-like (N,), optional
        The same for how much a row counts; rows of weight 0 are left out.
    size : int, (int, int), str or Canvas, optional
        Height and width, ``32`` or ``"32x48"``, to which encoded pictures are resized; by default their own where it
        is one, else their usual one, at most 64 pixels along the longer side. The canvas of a model says all at once.
    crop : bool, default False
        Whether the middle is cut out of a picture of another shape, instead of stretching it.
    gray : bool, optional
        Whether encoded pictures are read with one channel, or with three; by default three if any of them has colours.
    skip_damaged : bool, default False
        Whether encoded pictures that cannot be read are left out, and told, instead of refused.
    axes : {"first", "last"}, optional
        Where the channels of rows with three axes stand, which are pictures that are not encoded; by default first
        where the shape says so and the numbers make it plausible.
    window : int, optional
        How many steps of a series a row is to hold, where a row of the source is one step. It needs ``time``; ``group``
        then tells several series apart (:mod:`isthmus.data.steps`).
    stride : int, optional
        Steps from one window to the next, by default 1.
    features : path, optional
        An ONNX graph, whose features of pictures are the rows in the stead of pixels (:mod:`isthmus.data.features`); or
        the folder of a language model, whose embeddings take the place of free text (:mod:`isthmus.data.sentences`).
    counts : bool, optional
        Whether rows are counts, each with a total of its own (:mod:`isthmus.data.counts`); by default those of a sparse
        matrix of whole numbers are, if some number exceeds 1.
    most : int, optional
        Columns of counts that are kept, those that vary most on training rows; by default 2,000.
    rows : int, optional
        Most rows: of a longer file (Parquet, Arrow, ``.npy``, ``.safetensors``, shards) so many are drawn by a fixed
        seed, and no more are held. By default as many as make a gibibyte of numbers.
    memory : str or int, optional
        Instead of ``rows``: memory for the rows. A study holds about eight copies of them, so as many are read as fit
        into it eight times; each process takes 350 MiB besides.
    truth : path, array (F, E) or mapping, optional
        The features that the rows are sums of, where somebody made them, and maybe which are in each row
        (:mod:`isthmus.data.truth`).

    Returns
    -------
    Dataset

    Raises
    ------
    BadInput
        If the data can't be used as given: one line with file, row, column and remedy.

    Examples
    --------
    >>> read("iris").classes
    ('setosa', 'versicolor', 'virginica')
    >>> rows = [[i, i**2] for i in range(12)]
    >>> read(rows, labels=["fine"] * 10 + ["odd"] * 2, anomaly="odd").y.tolist()
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]
    >>> read(rows, factors="x0").factors.shape
    (12, 1)
    """
    _check_label(label, labels)
    wanted = of_pictures(size, crop, gray, skip_damaged)
    network = None if features is None else _network(Path(features))
    limit = _limit(rows, memory)
    name, raw = _open(source, label, wanted if network is None else network.wanted(wanted), limit)
    if raw.canvas is None and wanted != Wanted():
        raise BadInput(f"{raw.place}: size, crop, gray and skip_damaged are for encoded pictures, which these are not")
    if isinstance(network, Network):
        images = None  # of pictures; features are none
    raw = channels_last(raw, axes, images)
    raw, settled = _featured(network, raw, kinds)
    labels, moved = aligned(source, labels, "labels")
    factors, shifted = aligned(source, factors, "factors")
    drop, missing = (drop,) if isinstance(drop, str) else tuple(drop or ()), tuple(missing or ())
    if window is not None or stride is not None:
        window, stride = steps.asked(raw.place, window, stride, time, weights, factors)
    raw, beside = metadata_of(source, raw, group=group, time=time, weights=weights, series=window is not None)
    count = len(raw.x) if raw.cells is None else len(raw.cells[0]) if raw.cells else 0
    raw, beside, kept = counted(raw, beside)
    if kept is not None:
        labels, factors = labels_of(raw._replace(y=None), labels, kept, count), factors_of(factors, kept)
    dropped = 0 if kept is None else count - len(kept)
    raw, kept_columns = _counts(settle(raw, settled, drop, missing, terms=terms), counts, most)
    raw, apart = aside(raw, factors)
    given = raw.y if labels is None else labels
    codes, known = (None, raw.classes) if given is None else classes(raw, given)
    ready = bool(raw.fields) or kept_columns is not None
    pictured = raw.images if images is None else images
    if pictured is None and kept_columns is None and pictures(raw.x):
        pictured = True  # told by the numbers as they stand in the source: bytes and bits are pixels
    x = raw.x if ready else _values(raw, bool(pictured), network)
    if truth is not None and (ready or window is not None):
        raise BadInput(f"{raw.place}: truth is for rows of plain numbers, which these are not; leave it out (--truth)")
    outlier = None if anomaly is None else _anomaly(raw.place, codes, known, anomaly)
    few = None if codes is None else measured(codes, known) or alone(codes, known)
    told = [*raw.told, *(said for said in (moved, shifted, alike(known), few) if said is not None)]
    made, made_by = apart or (None, ())
    told += [] if window else of_metadata(beside, dropped)
    if window is None and x.shape[1:] == (1,) and not any(one.kind in TEXTS for one in raw.fields):
        told.append(
            f"a row is one value, of column {shown(raw.columns[0])}, with nothing beside it to be told from; where "
            "rows are steps in time, --time COLUMN --window 32 makes rows of 32 steps each"
        )
    described = str(source) if isinstance(source, str | os.PathLike) else f"{type(source).__name__} {raw.x.shape}"
    beside_in = {"group": group, "time": time, "weights": weights}
    asked: dict[str, Any] = {
        **{"kinds": dict(kinds or {}), "drop": list(drop), "missing": list(missing), "terms": terms},
        **{"size": list(wanted.size or ()), "crop": wanted.crop, "skip_damaged": wanted.skip_damaged, "axes": axes},
        **{"most": most, "rows": None if rows is memory is None else count},
        **{"features": None if features is None else os.path.abspath(features)},
        **{name: one for name, one in beside_in.items() if type(one) is str},
        **{"truth": os.path.abspath(truth) if isinstance(truth, str | os.PathLike) else None},
    }
    stated = {name: one for name, one in (("gray", gray), ("counts", counts)) if one is not None}
    found = Dataset(
        name,
        x,
        codes,
        known,
        raw.columns,
        outlier,
        described,
        label,
        made,
        made_by,
        tuple(told),
        pictured,
        raw.fields,
        {name: value for name, value in asked.items() if value} | stated,
        beside,
        raw.canvas,
        aside=raw.aside,
        network=raw.network,
        counts=kept_columns,
        habit=agreed(raw.habits.values()),
        truth=truth_of(raw.place, truth, len(x), math.prod(x.shape[1:])),
    )
    return found if window is None or stride is None else steps.windowed(found, window, stride, raw.where)


def _check_label(label: Any, labels: Any) -> None:
    """Labels are given, or named by their column."""
    if labels is not None and label is not None:
        raise BadInput("labels and label exclude each other: give the labels, or the name of their column")
    if label is not None and not isinstance(label, str):
        raise BadInput(f"label must be the name of a column; got {shown(label)}; for the labels themselves use labels=")


def _limit(rows: int | None, memory: str | int | None) -> Limit:
    """How many rows are drawn at most."""
    if rows is not None and memory is not None:
        raise BadInput("rows and memory exclude each other: give one of them")
    return Limit(rows, None if memory is None else in_bytes(memory))


def _values(raw: Unchecked, pictured: bool, network: Network | Sentences | None) -> NDArray[Any]:
    """Rows of plain numbers: pixels stay bytes, all others are checked and become float32."""
    pixels = (raw.canvas is not None and network is None) or (pictured and raw.x.dtype == np.uint8)
    return np.ascontiguousarray(raw.x) if pixels else numbers(raw)


def _network(path: Path) -> Network | Sentences:
    """What makes features: of pictures a graph, of texts a model in a folder."""
    return Sentences(path) if path.is_dir() else Network(path)


def _featured(
    network: Network | Sentences | None, raw: Unchecked, kinds: Mapping[str, str] | None
) -> tuple[Unchecked, Mapping[str, str] | None]:
    """Rows with their features, and the kinds that are still to be given."""
    if isinstance(network, Sentences):
        left = {name: kind for name, kind in (kinds or {}).items() if kind not in TEXTS}
        return network.rows(raw, kinds or {}), left
    return (raw if network is None else network.rows(raw)), kinds


def _counts(raw: Unchecked, asked: bool | None, most: int | None) -> tuple[Unchecked, int | None]:
    """Rows of counts as sparse rows, and how many columns of them are kept; others as they are, dense, and None."""
    if most is not None and (type(most) is not int or most < 1):
        raise BadInput(f"most must be a whole number of at least 1; got {shown(most)}")
    sparse = isinstance(raw.x, SparseRows)
    wanted = asked if asked is not None else sparse and raw.x.whole() and raw.x.matrix.max() > 1
    if not wanted:
        if most is not None:
            raise BadInput(f"{raw.place}: most is of columns of counts, and these rows are none; leave it out (--most)")
        if not sparse:
            return raw, None
        fits(raw.place, 4 * raw.x.size)
        dense = np.asarray(raw.x)
        return raw._replace(
            x=dense, told=(*raw.told, f"sparse rows of {raw.x.shape[1]:,} columns are made dense")
        ), None
    if raw.fields or raw.x.ndim != 2:
        raise BadInput(
            f"{raw.place}: counts are rows of numbers without gaps, rows x columns; of a column of a table say "
            "--kind COLUMN=count"
        )
    rows, own = counts_of(raw.place, raw.x), most or MOST
    told = "rows are counts, and each has a total (--no-counts: they are other numbers)" if asked is None else ""
    if rows.shape[1] > own:
        more = f"the {own:,} columns of {rows.shape[1]:,} that vary most on training rows are learnt from (--most)"
        told = f"{told}; {more}" if told else more
    return raw._replace(x=rows, told=(*raw.told, *([told] if told else []))), own


def cells(source: Any, fields: Sequence[Field]) -> NDArray[Any]:
    """The cells (N, F) of columns that a model was trained on, of a file, a frame, or an array that holds them already:
    float64, or objects where some are free text.

    A text that was not there in training is cell -1; further columns of a frame or a file are left out.

    Raises
    ------
    BadInput
        If a column is not there, or a cell is not of its kind.
    """
    held = None if isinstance(source, str | os.PathLike) else opened(source)
    if held is not None and not isinstance(held, nw.DataFrame | nw.LazyFrame):
        return _held(source, fields)
    found: NDArray[Any] = settle(_open(source, None, known=fields)[1], known=fields).x
    return found


def steps_of(source: Any, series: Series) -> tuple[NDArray[np.float64], Order]:
    """The steps of a file, a frame or an array as a model of windows takes them: :func:`isthmus.data.steps.laid`."""
    return steps.laid(_open(source, None, known=series.fields)[1], series)


def table(path: Path) -> pa.Table:
    """The columns of a table in a file, as they are in it; its numbers read as :func:`read` does."""
    raw = _open(path, None)[1]
    if raw.cells is None:
        raise BadInput(f"{raw.place}: no table with named columns; give a .csv, .tsv, .parquet or .arrow file")
    return pa.table(dict(zip(raw.columns, raw.cells, strict=True)))


def _held(source: Any, fields: Sequence[Field]) -> NDArray[Any]:
    """An array of cells, checked."""
    if (textual := np.array([field.kind in TEXTS for field in fields])).any():
        return _held_texts(source, fields, textual)
    try:
        rows = np.asarray(source)
        found = rows.astype(np.float64) if rows.dtype.kind in "biufO" else None
    except (TypeError, ValueError):
        found = None
    if found is None:
        raise BadInput("rows must be the cells of a table as numbers, a frame or a file; give a frame with the columns")
    if found.ndim != 2 or found.shape[1] != len(fields):
        raise BadInput(f"rows must have {len(fields)} columns, as in training; got shape {found.shape}")
    if not (good := ~np.isinf(found)).all():
        i, j = np.argwhere(~good)[0]
        raise BadInput(f"row {i + 1} (position {i}), column {shown(fields[j].name)}: the value is infinite; correct it")
    return found


def _held_texts(source: Any, fields: Sequence[Field], textual: NDArray[np.bool_]) -> NDArray[Any]:
    """The same of cells some of which are free text."""
    try:
        rows = np.array(source, dtype=object)
    except ValueError:
        rows = np.empty(0, object)
    if rows.ndim != 2 or rows.shape[1] != len(fields):
        raise BadInput(f"rows must have {len(fields)} columns, as in training; got shape {rows.shape}")
    rows[:, ~textual] = _held(rows[:, ~textual], [field for field in fields if field.kind not in TEXTS])
    texts = rows[:, textual]
    texts[texts == None] = np.nan  # noqa: E711
    for i, j in np.argwhere(~missing_in(texts)):
        if not isinstance(texts[i, j], str):
            name = [field.name for field in fields if field.kind in TEXTS][j]
            raise BadInput(
                f"row {i + 1} (position {i}), column {shown(name)}: expected a text; got {shown(texts[i, j])}"
            )
    rows[:, textual] = texts
    return rows


def _open(
    source: Any,
    label: str | None,
    wanted: Wanted = Wanted(),
    limit: Limit | None = None,
    known: Sequence[Field] = (),
) -> tuple[str, Unchecked]:
    """The short name of the source, and its rows before values are checked; of very many, some, if there is a limit.
    ``known`` are the columns that a model was trained on, whose texts are meant as they were there."""
    if isinstance(source, str | os.PathLike):
        text = os.fspath(source)
        if isinstance(text, bytes):
            text = os.fsdecode(text)
        if text in DATASETS:
            return text, _unlabelled(bundled(text), label)
        return _file(Path(text), label, wanted, limit, known)
    if scattered(source):
        return "X", _unlabelled(memory(source), label)
    if source is None or isinstance(source, bool | int | float | dict | set | bytes) or hasattr(source, "__next__"):
        what = f"{shown(source)} ({type(source).__name__})"
        remedy = "give a file, a name, an array or a frame"
        if isinstance(source, dict):
            rows = next((key for key in ("data", "X", "x", "images") if key in source), None)
            remedy = f"give its entry {shown(rows)}" if rows else "give pandas.DataFrame(...) of it"
        raise BadInput(f"can't read data from {what}; {remedy}")
    if annotated(source):
        return "X", anndata(source, label)
    held = opened(source, label)
    if isinstance(held, nw.LazyFrame):
        raise BadInput("X: a lazy frame; give X.collect()")
    if isinstance(held, nw.DataFrame):
        return "X", frame(held, label)
    return "X", _unlabelled(memory(source), label)


def _unlabelled(raw: Unchecked, label: str | None) -> Unchecked:
    """Refuse a column name where columns have none."""
    if label is not None:
        raise NoSuchColumn(
            f"{raw.place}: label {shown(label)} names a column of a table or a member of a .npz file, and this is "
            "neither; give the labels as a second array",
            label,
            "label",
        )
    return raw


def form(path: Path) -> str:
    """Which of ``FORMATS`` a file has, by its name.

    Raises
    ------
    BadInput
        If there is no such file, it cannot be read, or its name says nothing.
    """
    if not os.path.lexists(path) and not _hidden(path):
        raise _missing(path)
    check(path)
    lower = path.name.lower()
    bare = (".idx.gz" if lower.endswith(".gz") else ".idx") if IDX_NAME.search(lower) else ""
    suffix = next((s for s in FORMATS if lower.endswith(s)), bare)
    if not suffix:
        if what := stranger(path):
            raise BadInput(f"{place(path)}: this is {what}")
        end, what = guess(path)
        stem = path.name.removesuffix(".gz").rpartition(".")[0] or path.name
        seems = f"it looks like {what}{f': rename it to {stem}{end}' if end else ''}"
        rename = seems if what else "rename or convert the file"
        raise BadInput(
            f"{place(path)}: the format is not known by this name; expected a name that ends in "
            f"{', '.join(FORMATS)} or -ubyte(.gz); {rename}"
        )
    return suffix


def _file(
    path: Path, label: str | None, wanted: Wanted, limit: Limit | None, known: Sequence[Field]
) -> tuple[str, Unchecked]:
    if limit is not None and (some_rows := drawn(path, label, limit)) is not None:
        return path.resolve().name.rpartition(".")[0] or path.resolve().name, some_rows
    if os.path.isdir(path):  # which says no, whatever is wrong with the path
        name, shards = path.resolve().name or "data", shards_in(path)
        texts = documents(path) if wanted == Wanted() and not shards else None
        if shards:
            found = folder_of_shards(path, shards)
        else:
            found = folder(path, wanted) if texts is None else documents_of(path, texts)
        return name, _unlabelled(found, label)
    suffix = form(path)
    if suffix in (".parquet", *ARROW) and (column := pictures_in(path)) is not None:
        return path.name[: -len(suffix)] or "data", encoded(path, column, label, wanted)
    stem = path.name[: -len(suffix)] if path.name.lower().endswith(suffix) else IDX_NAME.sub("", path.name)
    read_as = FORMATS[suffix]
    return stem or "data", text_table(path, label, known) if read_as is text_table else read_as(path, label)


def _hidden(path: Path) -> bool:
    """Whether nobody may look: then nothing is known of a file that is not seen."""
    try:
        os.lstat(path)
    except PermissionError:
        return True
    except (OSError, ValueError):
        pass
    return False


def _missing(path: Path) -> BadInput:
    """No such file: what is near, among the bundled sets and the files of its folder."""
    if str(path) in DATASETS:  # asked for by who reads files alone
        return BadInput(f"{path}: a bundled data set, and this takes a file; give one")
    try:
        beside = [p.name for p in path.parent.iterdir() if p.is_file() and not p.name.startswith(".")]
    except OSError:
        beside = []
    near = meant(path.name, [*DATASETS, *beside])
    return BadInput(f"{place(path)}: no such file or bundled data set{near or f'; bundled are {some(DATASETS)}'}")


def _anomaly(where: str, codes: Any, known: tuple[str, ...], anomaly: Any) -> str:
    """The name of the anomalous class, which must leave normal rows."""
    name = str(anomaly)
    if codes is None:
        raise NoSuchClass(
            f"{where}: anomaly={shown(name)} names a class, but the data have no labels; give labels as well"
        )
    if name not in known:
        raise NoSuchClass(
            f"{where}: no class {shown(name)} to be the anomaly{meant(name, known)}; the classes are {some(known)}"
        )
    normal = int((codes != known.index(name)).sum())
    if normal < LEAST_ROWS:
        raise BadInput(
            f"{where}: with anomaly={shown(name)} only {normal} normal rows are left; at least {LEAST_ROWS} are "
            "needed to learn what is normal; is it the right class?"
        )
    return name
