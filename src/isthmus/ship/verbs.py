"""What a model that ships says of a block of rows: a function for each verb, the same in the shell and in a server."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from isthmus.data.blocks import ELEMENTS, STDIN, Block, blocks
from isthmus.data.dataset import element_names
from isthmus.data.features import Network
from isthmus.data.fields import TEXTS, Field, missing
from isthmus.data.frames import column, spelled, worded
from isthmus.data.picture import Canvas, canvas_of
from isthmus.data.read import cells
from isthmus.data.scale import Scaler
from isthmus.data.sentences import Sentences
from isthmus.data.steps import laid
from isthmus.data.table import table
from isthmus.data.unchecked import Unchecked, array_words
from isthmus.data.wording import place, shown
from isthmus.errors import BadInput, NoSuchColumn
from isthmus.imputer import Imputed, Imputer
from isthmus.seeds import seed as hashed
from isthmus.ship import calibrate
from isthmus.ship.adaptive import Follower
from isthmus.ship.deployed import Calibration, Deployed
from isthmus.ship.shift import Ratio, Shift, seen
from isthmus.train.inference import Inference


class Answer(NamedTuple):
    """What is said of the rows of a block."""

    columns: Mapping[str, Any]
    """Name -> Arrow array or numpy array (n,)."""
    array: NDArray[Any] | None
    """The same as one array (n, ...), for .npy; None where columns are of several kinds."""
    commas: frozenset[str] = frozenset()
    """Columns whose numbers have a decimal comma where they are written as text, for so the model reads them."""


def wanted(model: Inference) -> tuple[Field, ...]:
    """The columns that a model reads."""
    if model.series is not None:
        return model.series.fields
    habit = model.layout.habit if isinstance(model.layout, Scaler) else ""
    return model.fields or tuple(Field(name, "number", gaps=True, habit=habit) for name in model.columns)


def drawn(model: Deployed, source: Path, features: Path | None) -> tuple[Canvas | None, Network | None]:
    """What a model of pictures takes them drawn on, and the graph whose features of them it takes.

    Raises
    ------
    BadInput
        If it was trained on features, and their graph is not given or another one is.
    """
    if model.network is not None and model.canvas is None:
        if features is not None:
            raise BadInput(f"{features}: here rows are columns of embeddings, made before; leave --features out")
        return None, None
    if features is None and model.network is None:
        return model.canvas or canvas_of(model.shape), None
    if features is None:
        if source.is_dir():
            raise BadInput(f"{source}: the model was trained on features of pictures; give their graph (--features)")
        return None, None
    if model.network is None:
        raise BadInput(f"{features}: the model was not trained on features of encoded pictures; leave --features out")
    found = Network(features)
    if found.digest != model.network:
        raise BadInput(f"{features}: not the graph of the training; give the one with SHA-256 {model.network}")
    return model.canvas, found


def codes(model: Deployed) -> tuple[Field, ...]:
    """The columns of its codes, as :func:`encode` names them."""
    return tuple(Field(f"code{j}", "number", gaps=True) for j in range(model.model.latents))


def blocks_of(
    model: Deployed, source: Path, features: Path | None = None, weights: str | None = None
) -> Iterator[Block]:
    """The rows of a file for a model, block by block; of a series all at once, for windows lie across blocks.

    ``features`` is the graph whose features of pictures, or the language model whose embeddings of texts, the model was
    trained on; ``weights`` a column beside those of the model that says how much each row weighs.
    """
    fields = wanted(model)
    if weights is not None:
        if weights in {field.name for field in fields}:
            raise BadInput(f"the model was trained on column {shown(weights)}; give weights as a column of their own")
        fields = (*fields, Field(weights, "number", gaps=True))
    if model.network is not None and model.canvas is None and features is not None:
        found = _embedded(model, source, features, fields)
    else:
        found = blocks(source, fields, *drawn(model, source, features))
    if weights is not None:
        found = _weighing(found, source, weights)
    return found if model.series is None else iter([together(found)])


def _weighing(found: Iterator[Block], source: Path, column: str) -> Iterator[Block]:
    """Blocks whose last column is what each row weighs."""
    began, where = 0, "stdin" if source == Path(STDIN) else place(source)
    try:
        for block in found:
            if block.table is None or block.rows.ndim != 2:
                raise BadInput(f"{where}: weights are a column, and this is no table; give a .csv or .parquet")
            weights = block.rows[:, -1].astype(np.float64)
            bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
            if len(bad):
                odd = weights[bad[0]]
                raise BadInput(
                    f"{where}: row {began + bad[0] + 1:,}, column {shown(column)}: expected a weight, a number of at "
                    f"least 0; got {'a gap' if np.isnan(odd) else f'{odd:g}'}"
                )
            yield block._replace(rows=block.rows[:, :-1], weights=weights)
            began += len(weights)
    except NoSuchColumn as error:
        if error.column != column:
            raise
        raise BadInput(f"{where}: no column {shown(column)}, which holds the weights") from None


def _embedded(model: Deployed, source: Path, features: Path, fields: tuple[Field, ...]) -> Iterator[Block]:
    """Rows with texts as rows with embeddings, as in training; a text that is missing is an empty one."""
    network = Sentences(features)
    if network.digest != model.network:
        raise BadInput(f"{features}: not the model of the training; give the one with SHA-256 {model.network}")
    names = [field.name for field in fields]
    texts = {name[:-3] for name in names if name.endswith(": 0") and f"{name[:-3]}: {network.width - 1}" in names}
    made = {f"{text}: {k}": (text, k) for text in texts for k in range(network.width)}
    asked = [Field(text, TEXTS[0], gaps=True) for text in sorted(texts)]
    asked += [field for field in fields if field.name not in made]
    for block in blocks(source, asked):
        read = dict(zip((field.name for field in asked), block.rows.T, strict=True))
        found = {text: network(np.where(missing(read[text]), "", read[text]).tolist()) for text in texts}
        cells_of = {name: found[text][:, k] for name, (text, k) in made.items()} | {
            field.name: read[field.name].astype(np.float64) for field in asked if field.name not in texts
        }
        yield Block(np.column_stack([cells_of[name] for name in names]), block.table, block.told)


def rows_of(model: Deployed, block: Block) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The rows of a block as the model takes them, (n, *D), and which of them it can answer, (n,).

    A model of numbers without gaps knows nothing to make of a gap.
    """
    if model.fields:
        return (block.rows if block.table is not None else cells(block.rows, model.fields)), np.ones(
            len(block.rows), bool
        )
    rows = block.rows
    if model.series is not None and (block.table is not None or rows.ndim == 2):
        raise BadInput(
            f"the model was trained on windows of {model.series.length} steps, and these are steps; score and flag "
            "answer steps, and what answers windows takes an array of windows x steps x channels (.npy)"
        )
    if block.table is not None:
        if not model.columns:
            raise BadInput(
                "the model does not know names of columns; give a .npy file of such rows as it was trained on"
            )
        rows = rows.reshape(len(rows), *model.shape)
    if rows.shape[1:] != model.shape and rows.ndim == 4 and (*rows.shape[2:], rows.shape[1]) == model.shape:
        warnings.warn("channels stand first in these rows and are put last, as in training", stacklevel=2)
        rows = np.moveaxis(rows, 1, -1)
    if rows.shape[1:] != model.shape:
        raise BadInput(f"rows must have shape {model.shape}, as in training; got {rows.shape[1:]}")
    return rows, np.isfinite(rows).all(axis=tuple(range(1, rows.ndim)))


def encode(model: Deployed, block: Block) -> Answer:
    """The code of each row: code0, code1, ..."""
    made = _answered(model.encode, *_told(model, block))
    return Answer({field.name: made[:, j] for j, field in enumerate(codes(model))}, made)


def reconstruct(model: Deployed, block: Block) -> Answer:
    """What the model makes of each row, in the units of the data."""
    return rows(model, _answered(model.reconstruct, *_told(model, block)))


def decode(model: Deployed, block: Block) -> Answer:
    """The rows that codes stand for; the block is one of :func:`codes`."""
    if block.rows.ndim != 2 or block.rows.shape[1] != model.model.latents:
        raise BadInput(f"codes must have {model.model.latents} columns; got rows of shape {block.rows.shape[1:]}")
    return rows(model, _answered(model.decode, block.rows, np.isfinite(block.rows).all(axis=1)))


def samples(model: Deployed, count: int, seed: int) -> Iterator[NDArray[Any]]:
    """New rows, some at a time: (n, *D) in the units of the data."""
    step = max(1, ELEMENTS // math.prod(model.shape))
    for at in range(0, count, step):
        yield model.sample(min(step, count - at), hashed(seed, "rows", at) if at else seed)


def score(model: Deployed, block: Block, own: Calibration | None, shift: Shift | None = None) -> Answer:
    """How unlike the training rows each row is, and with a calibration how rare that is among normal rows.

    With a shift, how rare it is among normal rows of the new population.
    """
    scores = scored(model, block)
    if shift is not None:
        return Answer(
            {"score": scores, "p_value": shift.p_values(scores, weights_of(model, block, shift.ratio))}, scores
        )
    return Answer({"score": scores} if own is None else {"score": scores, "p_value": own.p_values(scores)}, scores)


def rows_seen(model: Deployed, block: Block) -> NDArray[np.float64]:
    """What a shift is told by, of the rows of a block that have a score."""
    rows, good = rows_of(model, block)
    return seen(model, rows[good])


def weighed(model: Deployed, block: Block, shift: Shift) -> tuple[NDArray[Any], NDArray[Any]]:
    """The score of each row of a block, and how much more frequent its kind is in the new population: (n,), (n,)."""
    scores = scored(model, block)
    return scores, weights_of(model, block, shift.ratio)


def weights_of(model: Deployed, block: Block, ratio: Ratio | None) -> NDArray[np.float64]:
    """How much more frequent the kind of each row of a block is, (n,): told by what it holds, or given with it."""
    if ratio is None:
        assert block.weights is not None
        return block.weights
    rows, good = rows_of(model, block)
    found = np.zeros((len(rows), len(ratio.low)))  # where a row has no score, of which nothing is said
    if good.any():
        found[good] = seen(model, rows[good])
    return ratio.at(found)


def marked(found: Answer, flags: NDArray[np.bool_]) -> Answer:
    """An answer, and which of its rows are flagged, (n,)."""
    return Answer({**found.columns, "flag": flags}, flags)


def scored(model: Deployed, block: Block) -> NDArray[Any]:
    """The score of each row of a block, (n,); of each step, where the model was trained on windows of a series."""
    if model.series is None or (block.table is None and block.rows.ndim == 3):
        return _answered(model.scores, *_told(model, block))
    if not len(block.rows):
        return np.zeros(0)
    if block.table is None:
        names = element_names(block.rows.shape[1:])
        raw = Unchecked("rows", block.rows, None, names, array_words(block.rows.shape[1:], names, "X"))
    else:
        columns = [pa.chunked_array(column.chunks) for column in block.table.columns]
        raw = table("rows", block.table.column_names, columns, lambda i: f"row {i + 1}", None)
    found = model.ordered_scores(*laid(raw, model.series))
    if bare := int(np.isnan(found).sum()):
        warnings.warn(
            f"{bare:,} of {len(found):,} steps have no score: a value is missing, or they stand in a run shorter than "
            f"a window of {model.series.length} steps",
            stacklevel=2,
        )
    return found


def flag(model: Deployed, block: Block, own: Calibration, rate: float, shift: Shift | None = None) -> Answer:
    """As :func:`score`, and which rows are flagged at a false-alarm rate."""
    found = score(model, block, own, shift)
    return marked(found, calibrate.flags(found.columns["p_value"], rate))


def follow(model: Deployed, block: Block, follower: Follower) -> Answer:
    """As :func:`flag`, where rows depend on those before them: the level of each row as well."""
    scores = scored(model, block)
    p, flags, levels = follower.follow(scores)
    return Answer({"score": scores, "p_value": p, "level": levels, "flag": flags}, flags)


def impute(model: Deployed, block: Block, imputer: Imputer | None = None, level: float = 0.0) -> Answer:
    """A block of a table again, with its gaps filled in, all columns in their order.

    With an imputer, behind each column that it was asked for stand the ends of intervals at a level ("age low", "age
    high"), or the values that a category may have ("city among").
    """
    given, names = block.rows, {field.name: j for j, field in enumerate(model.fields)}
    assert block.table is not None
    found = None if imputer is None else imputer.fill(given, level)
    made = model.impute(given) if found is None else found.rows
    columns: dict[str, Any] = {}
    for name, old in zip(block.table.column_names, block.table.columns, strict=True):
        columns[name] = old
        if (j := names.get(name)) is None:
            continue
        columns[name] = _filled(model.fields[j], old, made[:, j], missing(given)[:, j])
        if found is not None and imputer is not None and name in imputer.reach:
            columns |= {f"{name} {said}": cells for said, cells in _beside(found, j, model.layout)}
    pointed = {field.name for field in model.fields if field.habit != ","}  # a text table has one mark, if it can
    return Answer(columns, None, frozenset(columns.keys() - pointed) if _commas(model) else frozenset())


def _filled(field: Field, old: pa.ChunkedArray, made: NDArray[Any], gone: NDArray[np.bool_]) -> pa.ChunkedArray:
    """A column whose gaps hold what was made of them, in its type where that can hold all values of the field."""
    kind = old.type.value_type if pa.types.is_dictionary(old.type) else old.type
    every: NDArray[Any] = np.arange(len(field.values), dtype=object if field.kind in TEXTS else np.float64)
    wanted = kind if column(field, every, kind).type == kind else column(field, every).type
    new = column(field, made, wanted)
    if worded(field, kind) and wanted == kind:
        new = spelled(field, made, old).cast(wanted)
    if new.type != wanted:
        raise BadInput(f"column {field.name!r:.60}: what is filled in does not fit its type {wanted}; give a wider one")
    there = new if wanted != kind else old.cast(kind)
    return pc.if_else(pa.array(gone), new, there)


def _beside(found: Imputed, j: int, layout: Any) -> list[tuple[str, Any]]:
    """What is written behind a column, by its name: the ends of intervals, or values among which the truth may be."""
    part = layout.parts[j]
    if part.column.outcome != "number":
        among = [None if one is None else " | ".join(one) for one in found.among[:, j]]
        return [("among", pa.array(among, pa.string()))]
    ends = ("low", found.low[:, j]), ("high", found.high[:, j])
    if part.field.kind != "date":
        return [(name, pa.array(end, pa.float64(), from_pandas=True)) for name, end in ends]
    moments = ((name, np.where(np.isnan(end), 0, end * 1e6).astype("int64"), np.isnan(end)) for name, end in ends)
    return [(name, pa.array(at, pa.timestamp("us"), mask=gone)) for name, at, gone in moments]


def rows(model: Deployed, made: NDArray[Any]) -> Answer:
    """Rows (n, *D) in the units of the data, by the names of their columns."""
    if model.fields:
        return Answer({f.name: column(f, made[:, j]) for j, f in enumerate(model.fields)}, None, _commas(model))
    own = model.columns if model.target_layout is None else ()
    names = own or element_names(made.shape[1:])
    flat = made.reshape(len(made), -1)
    return Answer({name: flat[:, j] for j, name in enumerate(names)}, made, _commas(model))


def _commas(model: Deployed) -> frozenset[str]:
    """Columns that had a decimal comma in the training file."""
    return frozenset(field.name for field in wanted(model) if field.habit == ",")


def together(found: Iterator[Block]) -> Block:
    """All blocks of a file, or of a request, as one."""
    parts = list(found)
    rows, held = np.concatenate([part.rows for part in parts]), [part.table for part in parts if part.table is not None]
    return parts[0]._replace(rows=rows, table=pa.concat_tables(held, promote_options="permissive") if held else None)


def _told(model: Deployed, block: Block) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """As :func:`rows_of`, with a warning where rows have no answer."""
    rows, good = rows_of(model, block)
    if not good.all() and not block.told:
        warnings.warn(
            "rows with a gap have no answer, for the model was trained on rows without gaps: train it on some, or "
            "fill them in",
            stacklevel=3,
        )
    return rows, good


def _answered(function: Callable[[Any], NDArray[Any]], rows: NDArray[Any], good: NDArray[np.bool_]) -> NDArray[Any]:
    """``function`` of the rows that can be answered; NaN for the others."""
    if len(rows) and good.all():
        return function(rows)
    if good.any():
        found = function(rows[good])
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            like = np.zeros((1, *rows.shape[1:]))
            if rows.dtype == object:
                like = np.full_like(like, np.nan, object)  # 0 is no text
            found = function(like)[:0]  # what one would look like
    out = np.full((len(rows), *found.shape[1:]), np.nan, np.result_type(found.dtype, np.float32))
    out[good] = found
    return out
