"""OpenAI's sparse_autoencoder: ``autoencoder.json`` and ``autoencoder.safetensors``.

Gao et al. (2024), Scaling and evaluating sparse autoencoders. Read against ``sparse_autoencoder/model.py`` of its
repository. The library itself keeps one pickle, a ``state_dict`` with two entries that are no tensors; here these are
the JSON file. Its TopK cannot be expressed: whatever is loaded with that activation also has each row normalised
(``normalize``), which isthmus does not do, and there is no way to write down a TopK without.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from isthmus.errors import BadInput
from isthmus.ship.convert.choose import known, only
from isthmus.ship.convert.form import Config, Form, Product, Spec, Tensors


class OpenAI:
    """See :class:`isthmus.ship.convert.form.Foreign`."""

    name: ClassVar[str] = "openai"
    title: ClassVar[str] = "OpenAI's sparse_autoencoder"
    files: ClassVar[tuple[str, str]] = ("autoencoder.json", "autoencoder.safetensors")
    opens: ClassVar[tuple[str, ...]] = (
        'words = json.load(open("DIR/autoencoder.json"))',
        'state = safetensors.torch.load_file("DIR/autoencoder.safetensors") | words',
        "sparse_autoencoder.Autoencoder.from_state_dict(state)",
    )

    def expected(self, config: Config, header: dict[str, Spec]) -> dict[str, tuple[str, tuple[int, ...]]]:
        known(config, ("activation", "activation_state_dict"), "autoencoder.json")
        kind = config.get("activation", "ReLU")
        remedy = "a TopK is loaded there with its rows normalised, which isthmus does not do" if kind == "TopK" else ""
        only("activation", kind, ("ReLU",), remedy)
        if config.get("activation_state_dict", {}) != {}:
            raise BadInput("activation_state_dict must be {} of ReLU")
        first = header.get("encoder.weight")
        if first is None or len(first.shape) != 2:
            raise BadInput(f"expected a matrix encoder.weight; got {', '.join(sorted(header)) or 'no tensor'!a:.200}")
        units, wide = first.shape
        found = {
            "pre_bias": (wide,),
            "encoder.weight": (units, wide),
            "latent_bias": (units,),
            "decoder.weight": (wide, units),
            "latents_activation_frequency": (units,),
            "latents_mean_square": (units,),
        }
        return {name: ("F32", shape) for name, shape in found.items()} | {"stats_last_nonzero": ("I64", (units,))}

    def parse(self, config: Config, tensors: Tensors) -> Form:
        return Form(
            gate="relu",
            weight=tensors["encoder.weight"],
            bias=tensors["latent_bias"],
            pre=tensors["pre_bias"],
            dictionary=tensors["decoder.weight"],
            offset=tensors["pre_bias"],
        )

    def spell(self, form: Form) -> tuple[Config, Tensors]:
        if form.gate != "relu" or form.transcodes or form.wide[0] != form.wide[1]:
            more = " (its TopK normalises rows)" if form.gate == "topk" else ""
            raise BadInput(f"OpenAI's sparse_autoencoder has rectified codes of the rows themselves alone{more}")
        form = form.referred(form.offset)
        tensors = {
            "pre_bias": form.offset,
            "encoder.weight": form.weight,
            "latent_bias": form.bias,
            "decoder.weight": form.dictionary,
            "stats_last_nonzero": torch.zeros(form.units, dtype=torch.int64),
            "latents_activation_frequency": torch.ones(form.units),
            "latents_mean_square": torch.zeros(form.units),
        }
        return {"activation": "ReLU", "activation_state_dict": {}}, tensors

    def encode(self, config: Config, tensors: Tensors, x: Tensor, product: Product) -> Tensor:
        return torch.relu(product(x - tensors["pre_bias"], tensors["encoder.weight"], tensors["latent_bias"]))

    def decode(self, config: Config, tensors: Tensors, codes: Tensor, x: Tensor, product: Product) -> Tensor:
        return product(codes, tensors["decoder.weight"], tensors["pre_bias"])
