"""A fitted model as one ONNX graph: columns of raw values go in, codes, a score and a decision come out.

How columns become what the network takes is written here, operation by operation and in float64, as the layouts do it;
the network comes from torch's own exporter. What decides is inside: no scaling, no table of categories and no threshold
is left to whoever calls the graph. Before a graph is written it is run beside the model it was made of, on rows with
gaps, new categories, empty texts and numbers far out, in batches of no, one and many rows; one that decides otherwise,
or whose scores differ by more than 1e-5, is refused.
"""

from __future__ import annotations

import importlib
import json
import logging
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from isthmus import runtime
from isthmus.data.counts import Counts
from isthmus.data.fields import Column
from isthmus.data.fields.category import Category
from isthmus.data.fields.count import Count
from isthmus.data.fields.date import ROUNDS, Date
from isthmus.data.fields.flag import Flag
from isthmus.data.fields.number import FARTHEST, Amount, Number
from isthmus.data.fields.ordered import Ordered
from isthmus.data.layout import Layout, Part
from isthmus.data.meanings import NO_OR_YES, YES_NO, codes
from isthmus.data.scale import FARTHEST as OUTERMOST
from isthmus.data.scale import Scaler
from isthmus.data.written import DASHES, MISSING
from isthmus.durable import whole
from isthmus.errors import BadInput, MissingExtra
from isthmus.model import Model
from isthmus.rivals.around import Around
from isthmus.rivals.rival import Drawing, Rival
from isthmus.runtime.protobuf import sealed
from isthmus.ship import verbs
from isthmus.ship.deployed import TIE, Deployed
from isthmus.train.inference import Inference

TOLERANCE = 1e-5
"""Largest difference of a score, as a share of the larger of it and 1."""
OPSET, LABELS = 20, 4
"""Of ONNX, and of its operators for tables: what onnxruntime 1.17 and newer run."""
HUGE = 1e8
"""Beyond it asinh(x) is log(2 |x|) to the last bit, and the square of x may be no number."""
EXACT = 1 << 24
"""Up to here 32-bit floats count without a gap."""
OUTPUTS = frozenset({"laid", "net_code", "net_score", "code", "score", "p_value", "anomaly"})
PROBES, SEED = 256, 0
TALKERS = ("torch.onnx", "torch.onnx._internal.exporter._registration", "torch.fx.experimental.symbolic_shapes")
NEW = "a text that was not there in training"
TYPES = {"float": 1, "whole": 7, "text": 8, "bool": 9, "double": 11}
"""ONNX's numbers of its types."""


class Shipped(nn.Module):
    """What the network has to say of rows as it takes them, (B, *E): codes (B, L) and, in float64, scores (B,)."""

    gap_of: Tensor
    gap_at: Tensor
    units: Tensor

    def __init__(self, deployed: Deployed) -> None:
        super().__init__()
        self.model, self.own = deployed.model, type(deployed.model).score is not Model.score
        self.codes = not isinstance(deployed.model, Rival)
        crowd, units = deployed.crowd, deployed.units
        self.around = None if crowd is None or units is None else Around.of(crowd)
        self.register_buffer("units", None if units is None else torch.from_numpy(units), persistent=False)
        parts = [part for part in deployed.layout.parts if part.gap is not None]
        self.gaps = bool(parts)
        width = deployed.layout.parts[-1].end if parts else 0
        of, at = torch.arange(width), torch.full((width,), math.inf)
        for part in parts:
            of[part.start : part.stop], at[part.start : part.stop] = int(part.gap or 0), 0.5 - part.absent
        self.register_buffer("gap_of", of, persistent=False)
        self.register_buffer("gap_at", at, persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``x`` (B, *E) -> codes (B, L), if there are any, and scores (B,)."""
        code = (self.model.encode(x),) if self.codes else ()
        if self.own:
            return *code, self.model.score(x).double()
        made = self.model.reconstruct(x) if self.around is None else self.model.decode(*code)
        if self.gaps:  # a gap is compared with nothing
            made = torch.where(x[:, self.gap_of] <= self.gap_at, made, x)
        rows, rebuilt = x.double().flatten(1), made.double().flatten(1)
        if self.around is not None:
            return *code, self.around(torch.cat([rebuilt / self.units, (rows - rebuilt) / self.units], dim=1))
        return *code, (rebuilt - rows).square().mean(1)


def export(
    model: Inference,
    path: str | os.PathLike[str],
    *,
    threshold: float | None = None,
) -> Path:
    """Write a model as one ONNX file that decides the same, and prove it.

    Its inputs are the columns of a table, by name, or one, ``rows``, where a row is an array of numbers; its outputs
    are ``code``, ``score`` and, where they can be said, ``p_value`` and ``anomaly``. :mod:`isthmus.runtime` reads files
    with it where there is no torch.

    Parameters
    ----------
    model : Deployed or Fitted
        Of a deployed model its score and its calibration ship too.
    path : path
        The file; its name ends in .onnx.
    threshold : float, optional
        Scores above it are anomalies; by default that of the model's calibration, if it has one.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    BadInput
        If the family has no graph, or the graph does not decide as the model does.
    MissingExtra
        Without the packages of ``isthmus[export]``.

    Examples
    --------
    >>> import tempfile
    >>> import isthmus
    >>> from isthmus import runtime
    >>> from isthmus.ship.graph import export
    >>> x = np.random.default_rng(0).normal(size=(100, 4))
    >>> model = isthmus.fit(isthmus.named("pca").set_params(latents=2), x)
    >>> with tempfile.TemporaryDirectory() as place:
    ...     graph = runtime.load(export(model, f"{place}/model.onnx", threshold=2.0))
    >>> bool(np.allclose(graph.run(x)["code"], model.encode(x), atol=1e-5)), graph.outputs
    (True, ('code', 'score', 'anomaly'))
    """
    place = Path(path)
    if place.suffix != ".onnx":
        raise BadInput(f"a graph is a file whose name ends in .onnx; got {place.name!a}")
    deployed = model if isinstance(model, Deployed) else Deployed.of(model)
    content = graph(deployed, threshold=threshold)
    verify(deployed, content)
    whole(place, content)
    return place


def graph(model: Deployed, *, threshold: float | None = None) -> bytes:
    """The content of the file that :func:`export` writes, not yet verified."""
    onnx = _onnx()
    if model.target_layout is not None:
        raise BadInput("a model that was trained to predict something else than its rows has no graph; train another")
    if isinstance(model.model, Drawing):
        raise BadInput(model.model.alone)
    if threshold is not None and not math.isfinite(threshold):
        raise BadInput(f"threshold must be a finite number; got {threshold!r}")
    for part in model.layout.parts:
        if not isinstance(part.column, Category | Ordered | Date | Number):
            raise BadInput(f"a column of kind {part.column.kind} has no graph yet; leave it out (--drop)")
    known = None if model.calibration is None else model.calibration.scores
    if threshold is None and model.calibration is not None:
        threshold = model.calibration.threshold
    network = _network(model)
    about = _about(model, {name for node in network.node for name in node.output})
    front, back = _Graph("isthmus/in"), _Graph("isthmus/out")
    parts = model.layout.parts
    if isinstance(model.layout, Counts):
        laid = _totals(front, model.layout)
    else:
        laid = _table(front, parts, about) if parts else _rows(front, model.layout, model.shape)
    front.node("Identity", laid, out="laid")
    outputs: list[tuple[str, str, tuple[int | None, ...]]] = []
    if not isinstance(model.model, Rival):
        back.node("Identity", "net_code", out="code")
        outputs.append(("code", "float", (None, model.model.latents)))
    back.node("Identity", "net_score", out="score")
    outputs.append(("score", "double", (None,)))
    slack = back.node("Max", back.node("Abs", "net_score"), back.const(1.0))
    lowered = back.node("Sub", "net_score", back.node("Mul", slack, back.const(TIE)))
    if known is not None:
        at_least = back.node("LessOrEqual", back.node("Unsqueeze", lowered, back.const([1])), back.const(known))
        ones = back.cast(at_least, "float" if len(known) < EXACT else "double")  # half the memory to pass over
        count = back.cast(back.node("ReduceSum", ones, back.const([1]), keepdims=0), "double")
        back.node("Div", back.node("Add", count, back.const(1.0)), back.const(len(known) + 1.0), out="p_value")
        outputs.append(("p_value", "double", (None,)))
    if threshold is not None:
        back.node("Greater", lowered, back.const(threshold), out="anomaly")
        outputs.append(("anomaly", "bool", (None,)))
    made = onnx.helper.make_graph(
        [*front.nodes, *network.node, *back.nodes],
        "isthmus",
        front.inputs,
        [onnx.helper.make_tensor_value_info(name, TYPES[kind], shape) for name, kind, shape in outputs],
        [*front.constants, *network.initializer, *back.constants],
    )
    opsets = [onnx.helper.make_opsetid("", OPSET), onnx.helper.make_opsetid("ai.onnx.ml", LABELS)]
    whole_model = onnx.helper.make_model(made, opset_imports=opsets, ir_version=9, producer_name="isthmus")
    onnx.helper.set_model_props(whole_model, {runtime.ABOUT: json.dumps(about, ensure_ascii=False)})
    onnx.checker.check_model(whole_model, full_check=True)
    return sealed(whole_model.SerializeToString(deterministic=True))


def verify(model: Deployed, content: bytes) -> None:
    """Refuse a graph that does not decide as its model does.

    Raises
    ------
    BadInput
        With the largest difference.
    """
    made, rows = runtime.Graph(content), probes(model.layout, model.shape)
    for n in (0, 1, len(rows)):
        got = made.run(_cells(model.layout, rows[:n]))
        laid = model.layout.apply(rows[:n])
        mine: dict[str, NDArray[Any]] = {"score": model.score_laid_out(laid) if n else np.zeros(0)}
        if "code" in made.outputs:
            mine["code"] = model.encode_scaled(laid) if n else np.zeros((0, model.model.latents), np.float32)
        for name, wanted in mine.items():
            with np.errstate(invalid="ignore"):
                gap = np.abs(got[name] - wanted) / np.maximum(_size(wanted), 1)
            if got[name].shape != wanted.shape or not (gap <= TOLERANCE).all():
                worst = float(gap.max()) if got[name].shape == wanted.shape else math.nan
                raise BadInput(
                    f"the graph of {model.recipe.family} gives other {name}s than the model (largest difference "
                    f"{worst:.2g}): it is not written; use the model itself"
                )


def _size(answers: NDArray[Any]) -> NDArray[Any]:
    """What a difference is held against: a score itself, (N,), or the largest number of a row's code, (N, 1).

    Rounding errors of a code follow the size of its row, however small one of its numbers comes out.
    """
    sizes = np.abs(answers)
    return sizes if answers.ndim == 1 else sizes.max(axis=1, keepdims=True)


def probes(layout: Layout, shape: Sequence[int]) -> NDArray[np.float64]:
    """Cells (n, *D) that try what a graph may get wrong: usual ones, far ones, gaps and new categories, in turn."""
    random = np.random.default_rng(SEED)
    if isinstance(layout, Scaler):
        usual = random.normal(size=(PROBES, *shape)) if layout.kind == "standard" else random.random((PROBES, *shape))
        usual[:4] *= 30.0
        return np.asarray(layout.invert(usual.astype(np.float32)), dtype=np.float64)
    if isinstance(layout, Counts):
        rates = layout.shares * random.gamma(1.0, layout.usual, (PROBES, 1))
        counts = random.poisson(rates * random.gamma(0.5, 2.0, (PROBES, layout.columns))).astype(np.float64)
        counts[:2] *= np.array([[0.0], [1e4]])  # nothing, and very much
        return counts
    rows = np.column_stack([_tried(part, random) for part in layout.parts])
    for j in range(rows.shape[1]):  # one strange cell at a time, and then all of them
        rows[j % PROBES] = np.where(np.arange(rows.shape[1]) == j, rows[j % PROBES], rows[-1])
    return rows


def _tried(part: Part, random: np.random.Generator) -> NDArray[np.float64]:
    column = part.column
    if part.field.values:
        cells = random.integers(0, len(part.field.values), PROBES).astype(np.float64)
        if isinstance(column, Category | Ordered):
            cells[random.random(PROBES) < 0.1] = -1.0
    else:
        cells = column.decode(random.normal(size=(PROBES, column.width)))
        strange = [0.0, -0.0, 1e-300, *cells[:2] * 1e3]
        if isinstance(column, Flag | Count):  # others are refused before the graph
            strange = [0.0, -0.0] if isinstance(column, Flag) else [0.0, -0.0, *cells[:2] * 1e3]
        cells[: len(strange)] = random.permutation(strange)
    cells[random.random(PROBES) < 0.1] = np.nan
    return cells


def _cells(layout: Layout, rows: NDArray[np.float64]) -> Any:
    """Cells as whoever calls the graph gives them: texts where columns hold texts."""
    if not layout.parts:
        return rows
    return {part.field.name: _said(part, rows[:, j]) for j, part in enumerate(layout.parts)}


def _said(part: Part, cells: NDArray[np.float64]) -> NDArray[Any]:
    if part.field.kind == "date":
        moments = (1e6 * np.nan_to_num(cells)).round().astype("datetime64[us]")
        return np.where(np.isnan(cells), np.datetime64("NaT"), moments)
    if not part.field.values:
        return cells
    said = ["" if np.isnan(k) else NEW if k < 0 else part.field.values[int(k)] for k in cells]
    if part.field.kind == "flag":  # whose new values are gaps
        said[::2] = [text or NEW for text in said[::2]]
    said = [text.replace(".", part.field.habit) for text in said] if part.field.habit else said
    return np.array(said, dtype=object)


def _about(model: Deployed, taken: Set[str]) -> dict[str, Any]:
    """What whoever reads files for the graph must know; ``taken`` are names that no input may have."""
    described = [p.field for p in model.layout.parts]
    columns = [
        {"name": one.name, "kind": one.kind, "text": bool(one.values), "input": _free(one.name, taken)}
        | ({"written": blank} if (blank := [value for value in one.values if value != value.strip()]) else {})
        | ({"codes": found} if (found := codes(one.values)) else {})
        | ({"mark": ","} if one.habit == "," else {})
        for one in described or verbs.wanted(model)
    ]
    return {
        "format": 1,
        "family": model.recipe.family,
        "shape": list(model.shape),
        "table": bool(described),
        "columns": columns,
        "counts": isinstance(model.layout, Counts),
        "flags": [sorted({*said}) for said in zip(*YES_NO, strict=True)],
        "missing": list(MISSING),
        "dashes": list(DASHES),
    }


def _free(name: str, taken: Set[str]) -> str:
    """The name of the input for a column: its own, unless something in the graph is called so."""
    return f"column {name}" if name in taken | OUTPUTS or name.startswith("isthmus/") else name


# --------------------------------------------------------------------------------------------------------- operations


@dataclass
class _Graph:
    """Nodes in order, and constants: what an ONNX graph is made of."""

    prefix: str
    """Of the names of results and constants."""
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    inputs: list[Any] = field(default_factory=list)

    def node(self, kind: str, *inputs: str, out: str = "", domain: str = "", **attributes: Any) -> str:
        """Add an operation; the name of its result."""
        made = out or f"{self.prefix}/{len(self.nodes)}"
        self.nodes.append(_onnx().helper.make_node(kind, [*inputs], [made], domain=domain, **attributes))
        return made

    def const(self, value: ArrayLike) -> str:
        """Add a constant; its name."""
        name = f"{self.prefix}/constant {len(self.constants)}"
        self.constants.append(_onnx().numpy_helper.from_array(np.asarray(value), name))
        return name

    def cast(self, value: str, kind: str) -> str:
        """The same as another type."""
        return self.node("Cast", value, to=TYPES[kind])

    def input(self, name: str, kind: str, shape: Sequence[int | None]) -> str:
        """Add an input; its name."""
        self.inputs.append(_onnx().helper.make_tensor_value_info(name, TYPES[kind], shape))
        return name

    def standard(self, x: str, shift: ArrayLike, scale: ArrayLike, farthest: float) -> str:
        """``(x - shift) / scale``, cut at a distance from 0."""
        moved = self.node("Div", self.node("Sub", x, self.const(shift)), self.const(scale))
        return self.node("Clip", moved, self.const(-farthest), self.const(farthest))


def _rows(to: _Graph, layout: Any, shape: Sequence[int]) -> str:
    """Rows of plain numbers, (N, *D) -> (N, *D) in float32."""
    raw = to.input("rows", "double", (None, *shape))
    flat = to.node("Reshape", raw, to.const(np.array([-1, math.prod(shape)], np.int64)))
    laid = to.cast(to.standard(flat, layout.shift, layout.scale, OUTERMOST), "float")
    return to.node("Reshape", laid, to.const(np.array([-1, *shape], np.int64)))


def _totals(to: _Graph, layout: Counts) -> str:
    """Rows of counts (N, D) -> (N, K + 1) in float32: logarithms of shares of columns that are kept, and of totals."""
    raw = to.input("rows", "double", (None, layout.columns))
    counts = to.node("Gather", raw, to.const(layout.kept.astype(np.int64)), axis=1)
    total = to.node("Max", to.node("ReduceSum", counts, to.const([1]), keepdims=1), to.const(1.0))
    rates = to.node("Mul", counts, to.node("Div", to.const(layout.usual), total))
    bent = to.node("Log", to.node("Add", rates, to.const(1.0)))
    shares = to.node("Div", to.node("Sub", bent, to.const(layout.shift)), to.const(layout.scale))
    mean, deviation = layout.total
    whole_ = to.node("Div", to.node("Sub", to.node("Log", total), to.const(mean)), to.const(deviation))
    return to.cast(to.node("Concat", shares, whole_, axis=1), "float")


def _table(to: _Graph, parts: Sequence[Part], about: Mapping[str, Any]) -> str:
    """Columns (N,) of texts and numbers -> (N, E) in float32."""
    pieces = []
    for part, told in zip(parts, about["columns"], strict=True):
        raw = to.input(told["input"], "text" if told["text"] else "double", (None,))
        cells = _numbers(to, raw, part)
        missing = to.node("IsNaN", cells)
        there = to.node("Where", missing, to.const(0.0), cells)
        laid = to.cast(_column(to, to.node("Unsqueeze", there, to.const([1])), part.column), "float")
        gone = to.node("Unsqueeze", missing, to.const([1]))
        pieces.append(to.node("Where", gone, to.const(np.float32(0)), laid))
        if part.gap is not None:
            says = to.node("Sub", to.cast(gone, "double"), to.const(part.absent))
            pieces.append(to.cast(says, "float"))
    return to.node("Concat", *pieces, axis=1)


def _numbers(to: _Graph, raw: str, part: Part) -> str:
    """The cells of a column, in float64: the place of a text among those that are known, -1 for a new one, NaN for a
    gap, and for a new one where there is yes and no alone."""
    if not part.field.values:
        gone = [g for g in part.field.missing if not math.isnan(g)]
        for number in gone:
            raw = to.node("Where", to.node("Equal", raw, to.const(number)), to.const(math.nan), raw)
        return raw
    places = {text: float(k) for k, text in enumerate(part.field.values)}
    others = NO_OR_YES if part.field.kind == "flag" else {}
    known = {**dict.fromkeys(MISSING, math.nan), **others, **places}
    helper = _onnx().helper
    keys = helper.make_tensor("keys", TYPES["text"], [len(known)], [text.encode() for text in known])
    values = helper.make_tensor("values", TYPES["double"], [len(known)], [*known.values()])
    new = helper.make_tensor("new", TYPES["double"], [1], [math.nan if part.field.kind == "flag" else -1.0])
    return to.node("LabelEncoder", raw, domain="ai.onnx.ml", keys_tensor=keys, values_tensor=values, default_tensor=new)


def _column(to: _Graph, cells: str, column: Column) -> str:
    """Cells (N, 1) -> (N, width), as ``column.encode``."""
    if isinstance(column, Category):
        places = np.arange(column.width, dtype=np.float64)
        codes = np.append(np.asarray(column.codes, np.float64), np.nan)
        own = to.cast(to.node("Equal", cells, to.const(codes)), "double")
        other = to.node("Equal", to.node("ReduceSum", own, to.const([1]), keepdims=1), to.const(0.0))
        last = to.node("And", other, to.const(places == column.width - 1))
        one = to.node("Add", own, to.cast(last, "double"))
        return to.node("Div", to.node("Sub", one, to.const(np.asarray(column.shares))), to.const(column.scale))
    if isinstance(column, Ordered):
        taken = to.cast(to.node("Greater", cells, to.const(column.steps)), "double")
        laid = to.node("Div", to.node("Sub", taken, to.const(np.asarray(column.shares))), to.const(column.scale))
        return to.node("Where", to.node("Less", cells, to.const(0.0)), to.const(0.0), laid)
    if isinstance(column, Date):
        share = to.const(1 / math.sqrt(1 + len(column.cycles)))
        line = to.standard(cells, column.shift, column.scale, FARTHEST)
        turns = [_turn(to, cells, ROUNDS[name], quarter) for name in column.cycles for quarter in (0.0, 0.25)]
        return to.node("Mul", to.node("Concat", line, *turns, axis=1), share)
    if not isinstance(column, Number):
        raise TypeError(f"no nodes are known for a column of kind {column.kind}")
    straight = _asinh(to, cells) if isinstance(column, Amount) else cells
    if isinstance(column, Count):
        straight = to.node("Log", to.node("Add", to.node("Max", cells, to.const(0.0)), to.const(1.0)))
    return to.standard(straight, column.shift, column.scale, FARTHEST)


def _turn(to: _Graph, cells: str, seconds: float, quarter: float) -> str:
    """The sine of where in a cycle a moment lies, or, a quarter on, its cosine."""
    rounds = to.node("Div", cells, to.const(seconds))
    within = to.node("Sub", cells, to.node("Mul", to.node("Floor", rounds), to.const(seconds)))
    angle = to.node("Div", to.node("Mul", within, to.const(2 * math.pi)), to.const(seconds))
    return to.node("Sin", to.node("Add", angle, to.const(2 * math.pi * quarter)))


def _asinh(to: _Graph, x: str) -> str:
    """asinh in float64, which onnxruntime does not have: sign(x) log(|x| + sqrt(x^2 + 1)); far out log |x| + log 2."""
    size = to.node("Abs", x)
    near = to.node("Min", size, to.const(HUGE))
    root = to.node("Sqrt", to.node("Add", to.node("Mul", near, near), to.const(1.0)))
    # log1p(y) where the sum is near 1, as y log(1 + y) / ((1 + y) - 1), loses nothing of small amounts
    more = to.node("Add", near, to.node("Div", to.node("Mul", near, near), to.node("Add", root, to.const(1.0))))
    one = to.node("Add", more, to.const(1.0))
    kept = to.node("Sub", one, to.const(1.0))
    still = to.node("Equal", kept, to.const(0.0))
    safe = to.node("Where", still, to.const(1.0), kept)
    small = to.node("Where", still, more, to.node("Div", to.node("Mul", to.node("Log", one), more), safe))
    far = to.node("Add", to.node("Log", to.node("Max", size, to.const(HUGE))), to.const(math.log(2.0)))
    whole_ = to.node("Where", to.node("Greater", size, to.const(HUGE)), far, small)
    return to.node("Mul", to.node("Sign", x), whole_)


# ------------------------------------------------------------------------------------------------------------ network


def _network(model: Deployed) -> Any:
    """The graph of the network: ``laid`` (N, *E) -> ``net_code`` and ``net_score``."""
    module = Shipped(model).eval()
    example = torch.zeros((3, *model.model.shape))
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                module,
                (example,),
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("rows")},),
                input_names=["laid"],
                output_names=["net_code", "net_score"][not module.codes :],
                opset_version=OPSET,
                verbose=False,
            )
            made = program.model_proto if program is not None else None
    except Exception as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else ""
        raise BadInput(
            f"{model.recipe.family} has no graph: torch's exporter says {type(error).__name__} ({first:.200}); take "
            "another family, or use the model itself"
        ) from error
    if made is None or made.functions:
        raise BadInput(f"{model.recipe.family} has no graph: its operations are not all ONNX's own")
    for one in [*made.graph.node, *made.graph.initializer]:  # where in torch and on this machine each came from
        one.ClearField("metadata_props")
        one.ClearField("doc_string")
    return made.graph


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch's exporter tells its developers."""
    talkers = [logging.getLogger(name) for name in TALKERS]
    before = [one.level for one in talkers]
    try:
        for one in talkers:
            one.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for one, level in zip(talkers, before, strict=True):
            one.setLevel(level)


def _onnx() -> Any:
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper

        for beside in ("onnxruntime", "onnxscript"):
            importlib.import_module(beside)
    except ImportError as error:
        raise MissingExtra(f"a graph needs {error.name}: pip install 'isthmus[export]'") from None
    return onnx
