"""Our models as a :class:`Form`, and back: which families have one, and what does not fit into it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from isthmus.abilities import Layered
from isthmus.data.layout import Layout
from isthmus.data.scale import Scaler
from isthmus.errors import BadInput
from isthmus.families import named
from isthmus.families.abstopk import AbsTopKModel
from isthmus.families.archetypal import ArchetypalModel
from isthmus.families.batchtopk import BatchTopKModel
from isthmus.families.gated import GatedModel
from isthmus.families.jumprelu import JumpReLUModel
from isthmus.families.l1 import L1Model
from isthmus.families.matching import MatchingModel
from isthmus.families.matryoshka import MatryoshkaModel
from isthmus.families.sae import SAEModel
from isthmus.families.topk import TopKModel
from isthmus.families.transcoder import TranscoderModel
from isthmus.model import Model
from isthmus.parts.gates import cut
from isthmus.ship.convert.form import Form
from isthmus.ship.deployed import Deployed
from isthmus.train.inference import Inference

FAMILIES = "l1, sae, panneal, topk, batchtopk, matryoshka, gated, jumprelu, archetypal, matching and transcoder"
NEAR = 24
"""How many neighbours of a logarithm are tried, on either side, for the one whose exponential is a threshold."""


class Own(NamedTuple):
    """A model as numbers that take and give rows in the units of the data."""

    form: Form
    inside: Form
    """The same in the units that the network takes."""
    folded: tuple[str, ...]
    """What was multiplied out, in words."""
    lost: tuple[str, ...]
    """What the numbers don't say, in words."""


@torch.no_grad()
def told(fitted: Inference) -> Own:
    """What a trained model is, as numbers.

    Raises
    ------
    BadInput
        If it is no sparse dictionary with one affine layer each way, or its rows are laid out as no affine map can do.
    """
    recipe, model = fitted.recipe, fitted.model
    if fitted.fields:
        raise BadInput("a model of a table with columns of several kinds can't be converted: its rows are no vectors")
    if fitted.head == "bernoulli":
        raise BadInput(
            "a model with head bernoulli can't be converted: its rows come out of a sigmoid; train with head=gaussian"
        )
    found = inside = _form(model, recipe.family)
    wide, out = found.wide
    shift, scale = _affine(fitted.layout, wide)
    shift_out, scale_out = _affine(fitted.target_layout or fitted.layout, out)
    folded: tuple[str, ...] = ()
    if any(bool((a != b).any()) for a, b in ((shift, 0), (scale, 1), (shift_out, 0), (scale_out, 1))):
        if found.gate == "pursuit":
            raise BadInput("matching pursuit depends on the units of its rows: train it with scale=none to convert it")
        found, folded = found.unscaled(shift, scale, shift_out, scale_out), ("the scaling of the rows",)
    lost = ["the names of the columns"] * bool(fitted.columns)
    lost += [f"the shape {fitted.shape}: rows go in flat"] * (len(fitted.shape) > 1)
    if isinstance(fitted, Deployed) and (fitted.crowd is not None or fitted.calibration is not None):
        lost.append("how odd a row is, and the threshold for it")
    return Own(found, inside, folded, tuple(lost))


def made(form: Form) -> Deployed:
    """A model of the family that the numbers belong to; its rows are not scaled.

    A threshold of its own for each unit is kept as a logarithm, and moved up by the least rounding that this takes.
    """
    family, fields = _family(form)
    wide, out = form.wide
    recipe = named(family).set_params(latents=form.units, head="gaussian", **fields)
    rank = 0
    if form.skip is not None:
        rank = min(wide, out)
        recipe.set_params(latents=form.units + rank, skip=rank)
    model = recipe.build((wide,), "gaussian", (out,) if form.transcodes else None)
    with torch.no_grad():
        _fill(model, form, rank)
    plain = Scaler("none", np.zeros(1), np.ones(1))
    return Deployed(
        recipe=recipe,
        model=model.eval(),
        layout=plain,
        head="gaussian",
        target_layout=plain if form.transcodes else None,
    )


# ------------------------------------------------------------------------------------------------------ model -> form


def _form(model: Model, family: str) -> Form:
    """The numbers of a model, in the units that its network takes."""
    if isinstance(model, ArchetypalModel | MatchingModel):
        entries = model.entries.detach().t()
        pursuit = isinstance(model, MatchingModel)
        return Form(
            gate="pursuit" if pursuit else "topk",
            weight=entries.t() if isinstance(model, MatchingModel) else model.encoder.weight.detach(),
            bias=torch.zeros(model.latents) if isinstance(model, MatchingModel) else model.encoder.bias.detach(),
            pre=model.pre.detach(),
            dictionary=entries,
            offset=model.pre.detach(),
            k=model.k,
        )
    if isinstance(model, AbsTopKModel):
        raise BadInput(
            f"family {family} has signed codes, for which these libraries have no counterpart; {FAMILIES} have"
        )
    if not isinstance(model, L1Model | TopKModel | SAEModel | BatchTopKModel | TranscoderModel):
        raise BadInput(f"family {family} has no counterpart in these libraries; {FAMILIES} have")
    both: tuple[Any, Any] = model.encoder, model.decoder
    if not all(isinstance(network, Layered) and network.depth() == 1 for network in both):
        raise BadInput(f"only one affine layer each way can be converted; train {family} with hidden=() and no skips")
    encoder, decoder = both
    weight, bias = encoder.last.weight.detach(), encoder.last.bias.detach()
    shared: dict[str, Any] = {
        "weight": weight,
        "bias": bias,
        "pre": torch.zeros(weight.shape[1]),
        "dictionary": decoder.dictionary.detach(),
        "offset": decoder.last_bias.detach(),
    }
    if isinstance(model, TranscoderModel):
        skip = (model.up.weight.double() @ model.down.weight.double()).float() if model.skip else None
        gate = {"topk": "topk", "relu": "relu"}[model.gate]
        k = model.k if gate == "topk" else None
        return Form(**shared, gate=gate, k=k, transcodes=True, skip=skip)  # type: ignore[arg-type]
    if isinstance(model, L1Model):
        return Form(**shared, gate="relu")
    shared["pre"] = model.pre.detach().flatten()
    if isinstance(model, TopKModel):
        return Form(**shared, gate="topk", k=model.passing)
    if isinstance(model, BatchTopKModel):
        prefixes = model.widths if isinstance(model, MatryoshkaModel) else ()
        if isinstance(model, MatryoshkaModel) and not model.whole:
            return Form(**shared, gate="topk", k=int(model.k), prefixes=prefixes)
        threshold = model.threshold.clamp_min(0.0).expand(len(bias)).clone()
        return Form(**shared, gate="threshold", k=int(model.k), threshold=threshold, prefixes=prefixes)
    if isinstance(model, GatedModel):
        return Form(**shared, gate="gated", stretch=model.stretch.detach(), strength=model.offset.detach())
    if isinstance(model, JumpReLUModel):
        return Form(**shared, gate="threshold", threshold=cut(torch.exp(model.log_threshold)).detach())
    return Form(**shared, gate="relu")


def _affine(layout: Layout, width: int) -> tuple[Tensor, Tensor]:
    """Shift and scale of a layout, (width,) in float64 each."""
    assert isinstance(layout, Scaler)  # others have fields
    shift, scale = (torch.from_numpy(np.broadcast_to(v, width).copy()) for v in (layout.shift, layout.scale))
    return shift, scale


# ------------------------------------------------------------------------------------------------------ form -> model


def _family(form: Form) -> tuple[str, dict[str, Any]]:
    """The family that a form is read as, and the fields that follow from it."""
    if form.transcodes:
        fields = {"gate": "topk", "k": form.k} if form.gate == "topk" else {"gate": "relu"}
        return "transcoder", fields
    if form.gate == "threshold" and form.k is not None:
        return (
            ("matryoshka", {"k": form.k, "prefixes": form.prefixes}) if form.prefixes else ("batchtopk", {"k": form.k})
        )
    if form.gate == "relu" or (form.threshold is not None and not bool(form.threshold.any())):
        return "sae", {}
    simple = {"topk": "topk", "pursuit": "matching"}
    return (simple[form.gate], {"k": form.k}) if form.gate in simple else _trained(form)


def _trained(form: Form) -> tuple[str, dict[str, Any]]:
    """Families whose columns are held at unit norm, unless they have another one already."""
    norms = form.dictionary.norm(dim=0)
    kept = "unit" if torch.allclose(norms, torch.ones_like(norms)) else "weighted"
    return "gated" if form.gate == "gated" else "jumprelu", {"dictionary_norm": kept}


def _fill(model: Any, form: Form, rank: int) -> None:
    """Put the numbers into a model that was just built."""
    if isinstance(model, MatchingModel):
        model.pre.copy_(form.offset)
        model.entries.copy_(form.weight)
        return
    model.encoder.last.weight.copy_(form.weight)
    model.encoder.last.bias.copy_(form.bias)
    model.decoder.dictionary.copy_(form.dictionary)
    model.decoder.last_bias.copy_(form.offset)
    if isinstance(model, TranscoderModel):
        if form.skip is not None:
            eye = torch.eye(rank)
            model.down.weight.copy_(eye if rank == form.wide[0] else form.skip)
            model.up.weight.copy_(form.skip if rank == form.wide[0] else eye)
        return
    model.pre.copy_(form.pre)
    if isinstance(model, GatedModel):
        assert form.stretch is not None
        assert form.strength is not None
        model.stretch.copy_(form.stretch)
        model.offset.copy_(form.strength)
    elif isinstance(model, BatchTopKModel):
        assert form.threshold is not None
        model.threshold.copy_(form.threshold[0])
    elif isinstance(model, JumpReLUModel):
        assert form.threshold is not None
        model.log_threshold.copy_(logarithm(form.threshold))


def logarithm(threshold: Tensor) -> Tensor:
    """What jumprelu keeps, so that a raw code passes there where it exceeds ``threshold`` (L,): of the 32-bit numbers
    that may stand there the one that cuts lowest, but at the threshold or above, as a code on it does not pass.

    A threshold below 3e-6, about, cuts there.

    Examples
    --------
    >>> wanted = torch.tensor([0.1, 1.0, 20.0])
    >>> (cut(logarithm(wanted).exp()) / wanted - 1 < 3e-6).all() and (cut(logarithm(wanted).exp()) >= wanted).all()
    tensor(True)
    """
    slack = float(cut(torch.zeros(())))
    near = ((threshold.double() - slack) / (1 + slack)).clamp_min(1e-30).log().float()
    below, above, tried = near, near, [near]
    for _ in range(NEAR):
        below = torch.nextafter(below, torch.full_like(below, -math.inf))
        above = torch.nextafter(above, torch.full_like(above, math.inf))
        tried = [below, *tried, above]
    each = torch.stack(tried)  # growing
    enough = cut(each.exp()) >= threshold
    return each.gather(0, enough.int().argmax(0, keepdim=True)).squeeze(0)
