"""dictionary_learning (Marks, Karvonen and Mueller 2024): ``config.json`` and ``ae.safetensors``.

Read against its version 0.1 and what its repository has since. The library itself keeps the tensors in ``ae.pt``, a
pickle, with these names. It subtracts the decoder's bias before it encodes, but in two classes: ``AutoEncoderNew`` and
``JumpReluAutoEncoder`` have nothing to subtract.
"""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor

from isthmus.errors import BadInput
from isthmus.ship.convert.choose import count, known, largest, only
from isthmus.ship.convert.form import Config, Form, Product, Spec, Tensors

# fmt: off
TRAINER = (
    "activation_dim", "anneal_start", "auxk_alpha", "bandwidth", "decay_start", "device", "dict_class",
    "dict_size", "group_fractions", "group_sizes", "group_weights", "k", "l1_penalty", "layer", "lm_name", "lr",
    "n_sparsity_updates", "p_end", "p_start", "resample_steps", "seed", "sparsity_function", "sparsity_penalty",
    "sparsity_queue_length", "sparsity_warmup_steps", "steps", "submodule_name", "target_l0", "threshold_beta",
    "threshold_start_step", "top_k_aux", "trainer_class", "wandb_name", "warmup_steps",
)
# fmt: on
"""What its trainers write down. Only the class, the sizes and k bear on the codes."""
PLAIN = ("encoder.weight", "encoder.bias", "decoder.weight")
CHOSEN = (*PLAIN, "b_dec", "k", "threshold")
FREE = ("W_enc", "b_enc", "W_dec", "b_dec", "threshold")
NAMES = {
    "AutoEncoder": (*PLAIN, "bias"),
    "AutoEncoderNew": (*PLAIN, "decoder.bias"),
    "GatedAutoEncoder": ("encoder.weight", "decoder.weight", "decoder_bias", "r_mag", "gate_bias", "mag_bias"),
    "AutoEncoderTopK": CHOSEN,
    "BatchTopKSAE": CHOSEN,
    "MatryoshkaBatchTopKSAE": (*FREE, "k", "group_sizes"),
    "JumpReluAutoEncoder": FREE,
}
SINGLE = ("AutoEncoderTopK", "BatchTopKSAE", "MatryoshkaBatchTopKSAE")
"""Classes with k and one threshold."""


class DictionaryLearning:
    """See :class:`isthmus.ship.convert.form.Foreign`."""

    name: ClassVar[str] = "dictionary_learning"
    title: ClassVar[str] = "dictionary_learning"
    files: ClassVar[tuple[str, str]] = ("config.json", "ae.safetensors")
    opens: ClassVar[tuple[str, ...]] = (
        'torch.save(safetensors.torch.load_file("DIR/ae.safetensors"), "DIR/ae.pt")',
        'dictionary_learning.utils.load_dictionary("DIR", "cpu")',
    )

    def expected(self, config: Config, header: dict[str, Spec]) -> dict[str, tuple[str, tuple[int, ...]]]:
        known(config, ("trainer", "buffer"), "a configuration")
        trainer = _trainer(config)
        known(trainer, TRAINER, "the part trainer of a configuration")
        kind = only("dict_class", trainer.get("dict_class"), tuple(NAMES))
        first = header.get("encoder.weight", header.get("W_enc"))
        if first is None or len(first.shape) != 2:
            raise BadInput(
                f"{kind} has a matrix {NAMES[kind][0]}; got {', '.join(sorted(header)) or 'no tensor'!a:.200}"
            )
        units, wide = first.shape if "encoder.weight" in header else first.shape[::-1]
        for name, size in (("dict_size", units), ("activation_dim", wide)):
            if name in trainer:
                only(name, trainer[name], (size,), "as the encoder's matrix has")
        if kind in SINGLE:
            count(trainer, "k", units)
        shapes: dict[str, tuple[int, ...]] = {
            "encoder.weight": (units, wide),
            "decoder.weight": (wide, units),
            "W_enc": (wide, units),
            "W_dec": (units, wide),
            "k": (),
            "threshold": () if kind in SINGLE else (units,),
        }
        shapes |= dict.fromkeys(("bias", "decoder.bias", "decoder_bias", "b_dec"), (wide,))
        shapes["group_sizes"] = (len(_groups(trainer)),) if kind == "MatryoshkaBatchTopKSAE" else ()
        whole = {"k": "I32", "group_sizes": "I64"}
        return {name: (whole.get(name, "F32"), shapes.get(name, (units,))) for name in NAMES[kind]}

    def parse(self, config: Config, tensors: Tensors) -> Form:
        trainer, get = _trainer(config), tensors.get
        kind = trainer["dict_class"]
        weight = tensors["encoder.weight"] if "encoder.weight" in tensors else tensors["W_enc"].t()
        dictionary = tensors["decoder.weight"] if "decoder.weight" in tensors else tensors["W_dec"].t()
        names = ("bias", "decoder.bias", "decoder_bias", "b_dec")
        offset = next(tensors[name] for name in names if name in tensors)
        free = kind in {"AutoEncoderNew", "JumpReluAutoEncoder"}
        biases = ("encoder.bias", "gate_bias", "b_enc")
        k, threshold, groups = None, get("threshold"), tuple[int, ...]()
        if kind in SINGLE:
            k = trainer["k"]
            if int(tensors["k"]) != k:
                raise BadInput(f"k is {k} in config.json and {int(tensors['k'])} in ae.safetensors")
        if kind == "AutoEncoderTopK":
            if threshold is not None and float(threshold) >= 0:
                raise BadInput(
                    f"AutoEncoderTopK keeps a threshold of {float(threshold):.4g} beside k = {k}, for "
                    "encode(use_threshold=True), and isthmus would drop it: set it to -1, as before training, to "
                    "convert the choice of the k largest"
                )
            threshold = None
        if kind == "MatryoshkaBatchTopKSAE":
            groups = tuple(tensors["group_sizes"].tolist())
            if groups != _groups(trainer) or min(groups) < 1 or sum(groups) != len(weight):
                raise BadInput(f"group_sizes must add up to {len(weight)} units, as in config.json; got {groups!s:.60}")
        if kind == "AutoEncoder" and not _unit(dictionary):
            raise BadInput(
                "AutoEncoder has columns that are not of unit norm, which from_pretrained folds into the codes; load "
                "it (normalize_decoder=True) and save its state_dict again, or give it as AutoEncoderNew"
            )
        return Form(
            gate=GATES[kind],
            weight=weight,
            bias=next(tensors[name] for name in biases if name in tensors),
            pre=torch.zeros_like(offset) if free else offset,
            dictionary=dictionary,
            offset=offset,
            k=k,
            threshold=None if threshold is None else threshold.expand(len(weight)).clamp_min(0.0),
            stretch=get("r_mag"),
            strength=get("mag_bias"),
            prefixes=tuple(accumulate(groups[:-1])),
        )

    def spell(self, form: Form) -> tuple[Config, Tensors]:
        if form.transcodes or form.wide[0] != form.wide[1]:
            raise BadInput("dictionary_learning has no transcoders: convert to saelens or sparsify")
        if form.gate == "pursuit":
            raise BadInput("dictionary_learning has no matching pursuit: convert to saelens")
        kind = _kind(form)
        form = form.referred(
            torch.zeros_like(form.pre) if kind in {"AutoEncoderNew", "JumpReluAutoEncoder"} else form.offset
        )
        weight = {"encoder.weight": form.weight, "decoder.weight": form.dictionary}
        trainer: Config = {"dict_class": kind, "activation_dim": form.wide[0], "dict_size": form.units}
        tensors: Tensors
        if kind == "GatedAutoEncoder":
            assert form.stretch is not None
            assert form.strength is not None
            paths = {"r_mag": form.stretch, "gate_bias": form.bias, "mag_bias": form.strength}
            tensors = weight | {"decoder_bias": form.offset} | paths
        elif kind in {"MatryoshkaBatchTopKSAE", "JumpReluAutoEncoder"}:
            tensors = {"W_enc": form.weight.t(), "W_dec": form.dictionary.t(), "b_enc": form.bias, "b_dec": form.offset}
        else:
            name = {"AutoEncoder": "bias", "AutoEncoderNew": "decoder.bias"}.get(kind, "b_dec")
            tensors = weight | {"encoder.bias": form.bias, name: form.offset}
        if form.threshold is not None:
            tensors["threshold"] = form.threshold[0] if kind in SINGLE else form.threshold
        if kind in SINGLE:
            trainer["k"] = form.k
            tensors["k"] = torch.tensor(form.k, dtype=torch.int32)
            tensors.setdefault("threshold", torch.tensor(-1.0))  # as before training: none
        if kind == "MatryoshkaBatchTopKSAE":
            sizes = [b - a for a, b in pairwise((0, *form.prefixes, form.units))]
            trainer["group_sizes"], tensors["group_sizes"] = sizes, torch.tensor(sizes)
        return {"trainer": trainer}, tensors

    def encode(self, config: Config, tensors: Tensors, x: Tensor, product: Product) -> Tensor:
        kind, get = _trainer(config)["dict_class"], tensors.__getitem__
        if kind == "GatedAutoEncoder":
            raw = product(x - get("decoder_bias"), get("encoder.weight"), torch.zeros(()))
            opened = (raw + get("gate_bias")) > 0
            return opened * torch.relu(get("r_mag").exp() * raw + get("mag_bias"))
        if kind == "JumpReluAutoEncoder":
            raw = product(x, get("W_enc").t(), get("b_enc"))
            return torch.relu(raw * (raw > get("threshold")))
        if kind == "MatryoshkaBatchTopKSAE":
            raw = product(x - get("b_dec"), get("W_enc").t(), get("b_enc"))
        else:
            before = {"AutoEncoder": "bias", "AutoEncoderTopK": "b_dec", "BatchTopKSAE": "b_dec"}.get(kind)
            raw = product(x - get(before) if before else x, get("encoder.weight"), get("encoder.bias"))
        raw = torch.relu(raw)
        if kind == "AutoEncoderTopK":
            return largest(raw, int(get("k")))
        return raw * (raw > get("threshold")) if "threshold" in tensors else raw

    def decode(self, config: Config, tensors: Tensors, codes: Tensor, x: Tensor, product: Product) -> Tensor:
        weight = tensors["decoder.weight"] if "decoder.weight" in tensors else tensors["W_dec"].t()
        bias = next(tensors[n] for n in ("bias", "decoder.bias", "decoder_bias", "b_dec") if n in tensors)
        return product(codes, weight, bias)


GATES: Any = {
    "AutoEncoder": "relu",
    "AutoEncoderNew": "relu",
    "GatedAutoEncoder": "gated",
    "AutoEncoderTopK": "topk",
    "BatchTopKSAE": "threshold",
    "MatryoshkaBatchTopKSAE": "threshold",
    "JumpReluAutoEncoder": "threshold",
}


def _trainer(config: Config) -> Config:
    found = config.get("trainer")
    if not isinstance(found, dict):
        raise BadInput(f"trainer must be an object that names dict_class; got {found!a:.60}")
    return found


def _groups(trainer: Config) -> tuple[int, ...]:
    found = trainer.get("group_sizes")
    if not isinstance(found, list) or not 1 <= len(found) <= 64 or any(type(n) is not int for n in found):
        raise BadInput(f"group_sizes must be a list of 1 to 64 whole numbers; got {found!a:.60}")
    return tuple(found)


def _unit(dictionary: Tensor) -> bool:
    """Whether its columns have unit norm, as the library looks at it."""
    norms = dictionary.norm(dim=0)
    return torch.allclose(norms, torch.ones_like(norms))


def _kind(form: Form) -> str:
    """The class that says it."""
    if form.gate == "relu":
        return "AutoEncoder" if form.pre.any() and _unit(form.dictionary) else "AutoEncoderNew"
    if form.gate == "threshold":
        return (
            "JumpReluAutoEncoder" if form.k is None else "MatryoshkaBatchTopKSAE" if form.prefixes else "BatchTopKSAE"
        )
    return {"topk": "AutoEncoderTopK", "gated": "GatedAutoEncoder"}[form.gate]
