"""sparsify (EleutherAI): ``cfg.json`` and ``sae.safetensors``.

Read against version 1.3 of the package eai-sparsify: ``sparsify/sparse_coder.py``. Rows less the decoder's bias are
encoded, but by a transcoder as they are; of the rectified raw codes the k largest pass.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from isthmus.errors import BadInput
from isthmus.ship.convert.choose import MOST, count, flag, known, largest, only
from isthmus.ship.convert.form import Config, Form, Product, Spec, Tensors

KEYS = (
    "activation",
    "expansion_factor",
    "normalize_decoder",
    "num_latents",
    "k",
    "multi_topk",
    "skip_connection",
    "transcode",
    "signed",
    "d_in",
)
"""``normalize_decoder`` and ``multi_topk`` bear on training alone; ``signed`` stood in older files."""


class Sparsify:
    """See :class:`isthmus.ship.convert.form.Foreign`."""

    name: ClassVar[str] = "sparsify"
    title: ClassVar[str] = "sparsify"
    files: ClassVar[tuple[str, str]] = ("cfg.json", "sae.safetensors")
    opens: ClassVar[tuple[str, ...]] = ('sparsify.SparseCoder.load_from_disk("DIR")',)

    def expected(self, config: Config, header: dict[str, Spec]) -> dict[str, tuple[str, tuple[int, ...]]]:
        known(config, KEYS, "a configuration")
        only("activation", config.get("activation", "topk"), ("topk",))
        only("signed", config.get("signed", False), (False,))
        for name in ("normalize_decoder", "multi_topk"):
            flag(config, name, False)
        wide = count(config, "d_in")
        given = config.get("num_latents", 0)
        if type(given) is not int or not 0 <= given <= MOST:
            raise BadInput(f"num_latents must be a whole number from 0 to {MOST}; got {given!a:.60}")
        units = given or wide * count({"expansion_factor": 32} | config, "expansion_factor")
        if units > MOST:
            raise BadInput(f"d_in times expansion_factor must be at most {MOST} units; got {units}")
        count({"k": 32} | config, "k", units)
        found = {"encoder.weight": (units, wide), "encoder.bias": (units,), "W_dec": (units, wide), "b_dec": (wide,)}
        if flag(config, "skip_connection", False):
            if not flag(config, "transcode", False):
                raise BadInput("skip_connection beside transcode false: isthmus has a skip in transcoders only")
            found["W_skip"] = (wide, wide)
        return {name: ("F32", shape) for name, shape in found.items()}

    def parse(self, config: Config, tensors: Tensors) -> Form:
        transcodes, offset = flag(config, "transcode", False), tensors["b_dec"]
        return Form(
            gate="topk",
            weight=tensors["encoder.weight"],
            bias=tensors["encoder.bias"],
            pre=torch.zeros_like(offset) if transcodes else offset,
            dictionary=tensors["W_dec"].t(),
            offset=offset,
            k=config.get("k", 32),
            transcodes=transcodes,
            skip=tensors.get("W_skip"),
        )

    def spell(self, form: Form) -> tuple[Config, Tensors]:
        if form.gate != "topk":
            raise BadInput(
                "sparsify lets the k largest pass, and has no other gate: convert topk or a transcoder with it"
            )
        if form.wide[0] != form.wide[1]:
            raise BadInput(
                f"sparsify makes rows as wide as it takes; this one takes {form.wide[0]} and makes {form.wide[1]}"
            )
        form = form if form.transcodes else form.referred(form.offset)
        config: Config = {
            "activation": "topk",
            "expansion_factor": max(1, form.units // form.wide[0]),
            "normalize_decoder": False,
            "num_latents": form.units,
            "k": form.k,
            "multi_topk": False,
            "skip_connection": form.skip is not None,
            "transcode": form.transcodes,
            "d_in": form.wide[0],
        }
        tensors = {
            "encoder.weight": form.weight,
            "encoder.bias": form.bias,
            "W_dec": form.dictionary.t(),
            "b_dec": form.offset,
        }
        return config, tensors if form.skip is None else tensors | {"W_skip": form.skip}

    def encode(self, config: Config, tensors: Tensors, x: Tensor, product: Product) -> Tensor:
        x = x if flag(config, "transcode", False) else x - tensors["b_dec"]
        raw = torch.relu(product(x, tensors["encoder.weight"], tensors["encoder.bias"]))
        return largest(raw, config.get("k", 32))

    def decode(self, config: Config, tensors: Tensors, codes: Tensor, x: Tensor, product: Product) -> Tensor:
        out = product(codes, tensors["W_dec"].t(), tensors["b_dec"])
        return out + product(x, tensors["W_skip"], torch.zeros(())) if "W_skip" in tensors else out
