"""Whether a model and the files of another library are one function: asked of rows, not believed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from isthmus.errors import BadInput
from isthmus.parts.gates import SLACK
from isthmus.ship.convert.form import PRODUCTS, Config, Foreign, Form, Tensors
from isthmus.train.inference import Inference

ROWS = 256
SPREAD = 2.0 ** torch.arange(-3, 5)
"""How far probe rows lie from the pre-bias, in lengths that make a typical raw code 1, or its threshold."""
ROUNDING = 1e-4
"""Largest difference, beside the largest value, that rounding is taken for where something was multiplied out."""
TIES = 8
"""At most one row in so many may be decided by rounding."""


class Agreement(NamedTuple):
    """What both sides made of the probe rows."""

    rows: int
    """How many were compared."""
    units: int
    """How many units fired on any of them."""
    codes: float
    """Largest difference of a code element."""
    made: float
    """Largest difference of an element of what is made of a row."""
    ties: int
    """Rows left out, on which a code differs because a raw one lies on its jump, or ties for the last place among the k
    largest: rounding decides there, and the two sides break it in their own way."""

    @property
    def exact(self) -> bool:
        """Whether there is no difference at all."""
        return self.codes == 0 and self.made == 0


def probes(form: Form) -> NDArray[np.float32]:
    """Rows (ROWS, D) near and far from the pre-bias, in all directions and along the dictionary's own; one is on it."""
    wide, _ = form.wide
    draw = torch.Generator().manual_seed(0)
    length = form.weight.norm(dim=1).median().clamp_min(1e-12)
    border = torch.zeros(()) if form.threshold is None else form.threshold.median()
    reach = (1 + border) / length
    rows = torch.randn(ROWS, wide, generator=draw)
    along = functional.normalize(form.weight, dim=1)
    picked = torch.randint(form.units, (ROWS // 2, 3), generator=draw)
    rows[::2] = wide**0.5 * along[picked].sum(1)
    rows *= reach * SPREAD.repeat(ROWS // len(SPREAD)).roll(1).unsqueeze(1) / wide**0.5
    rows[0] = 0
    return (form.pre + rows).numpy()


@torch.no_grad()
def compared(
    fitted: Inference, foreign: Foreign, config: Config, tensors: Tensors, form: Form, given: NDArray[np.float32]
) -> Agreement:
    """What a model, and the formula of the library on the content of its files, make of the same rows in float32.

    ``form`` is what the files mean; it says where rows are on an edge. ``given`` are the rows (N, D), in the units of
    the data.

    Raises
    ------
    BadInput
        If they are not one function up to rounding.
    """
    x = torch.from_numpy(given)
    scaled = fitted.layout.apply(given.reshape(len(given), *fitted.shape))
    whole = torch.from_numpy(fitted.encode_scaled(scaled))
    codes = whole[:, : form.units]
    rebuilt = (fitted.target_layout or fitted.layout).invert(fitted.decode_scaled(whole.numpy()))
    rows = torch.from_numpy(rebuilt.reshape(len(given), -1))
    theirs = _nearest([foreign.encode(config, tensors, x, product) for product in PRODUCTS], codes)
    remade = _nearest([foreign.decode(config, tensors, theirs, x, product) for product in PRODUCTS], rows)
    limit = ROUNDING * float(codes.abs().amax().clamp_min(1e-30))
    apart = (theirs - codes).abs().amax(1)
    ties = (apart > 0) & on_edge(form, x) if form.gate != "relu" else torch.zeros(len(x), dtype=torch.bool)
    if int(ties.sum()) * TIES > len(x):
        raise BadInput(f"{int(ties.sum())} of {len(x)} rows are decided by rounding: the two are not one function")
    kept = ~ties
    most, off = float(apart[kept].amax()), float((remade - rows)[kept].abs().amax())
    if not (most <= limit and off <= ROUNDING * float(rows[kept].abs().amax().clamp_min(1e-30))):
        raise BadInput(
            f"the converted model is not the same in float32: codes differ by up to {most:.3g} and rows by up to "
            f"{off:.3g} on {int(kept.sum())} probe rows; if rows have a mean far from 0, train on centred ones"
        )
    return Agreement(int(kept.sum()), int((codes != 0).any(0).sum()), most, off, int(ties.sum()))


def on_edge(form: Form, x: Tensor) -> Tensor:
    """Rows (B, D) -> (B,) of bool: where rounding may decide what passes, so that two ways of adding up may differ."""
    raw = functional.linear(x - form.pre, form.weight, form.bias)
    size = raw.abs().amax(1, keepdim=True)
    near = 2 * SLACK * (1 + size)
    if form.gate == "topk":
        best = raw.topk(min(int(form.k or 1) + 1, form.units), dim=1).values
        last = best[:, -2:] if best.shape[1] > (form.k or 1) else best[:, :0]
        return ((last[:, :1] - last[:, 1:] <= near) & (last[:, :1] > -near)).any(1)
    if form.gate == "gated":
        return (raw.abs() <= near).any(1)
    if form.gate == "pursuit":
        return _pursuit_tie(form, x)
    assert form.threshold is not None
    return ((raw - form.threshold).abs() <= near).any(1)


def _pursuit_tie(form: Form, x: Tensor) -> Tensor:
    """Where two entries tie at a step of the pursuit."""
    left, found = x - form.pre, torch.zeros(len(x), dtype=torch.bool)
    for _ in range(form.k or 1):
        raw = left @ form.weight.t()
        best = raw.topk(min(2, form.units), dim=1)
        first = best.values[:, 0]
        found |= (first - best.values[:, -1] <= 2 * SLACK * (1 + first.abs())) & (form.units > 1)
        left = left - first.relu().unsqueeze(1) * form.weight[best.indices[:, 0]]
    return found


def _nearest(tried: list[Tensor], wanted: Tensor) -> Tensor:
    """Of what several orders of addition gave, what is nearest."""
    return min(tried, key=lambda one: float((one - wanted).abs().amax()))
