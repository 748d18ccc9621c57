"""SAELens from version 6 on: ``cfg.json`` and ``sae_weights.safetensors``.

Bloom, Tigges, Duong and Chanin (2024), SAELens. Read against its version 6.54: ``sae_lens/saes``. Inference forms
only: BatchTopK and Matryoshka dictionaries are saved by SAELens itself as ``jumprelu``, with one threshold in all
places.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from isthmus.errors import BadInput
from isthmus.ship.convert.choose import count, flag, known, largest, only
from isthmus.ship.convert.form import Config, Form, Gate, Product, Spec, Tensors

VERSION = "6.0.0"
"""The first version with this layout; a file without one is taken for an older layout there."""
GATES: dict[str, Gate] = {
    "standard": "relu",
    "topk": "topk",
    "jumprelu": "threshold",
    "gated": "gated",
    "matching_pursuit": "pursuit",
    "transcoder": "relu",
    "skip_transcoder": "relu",
}
TRANSCODERS = ("transcoder", "skip_transcoder")
SHARED = (
    "architecture",
    "d_in",
    "d_sae",
    "dtype",
    "device",
    "apply_b_dec_to_input",
    "normalize_activations",
    "reshape_activations",
    "metadata",
)
OWN = {
    "topk": ("k", "rescale_acts_by_decoder_norm"),
    "matching_pursuit": ("residual_threshold", "max_iterations", "stop_on_duplicate_support"),
    "transcoder": ("d_out",),
    "skip_transcoder": ("d_out",),
}
TRAINING = ("batchtopk", "matryoshka_batchtopk")


class SAELens:
    """See :class:`isthmus.ship.convert.form.Foreign`."""

    name: ClassVar[str] = "saelens"
    title: ClassVar[str] = "SAELens"
    files: ClassVar[tuple[str, str]] = ("cfg.json", "sae_weights.safetensors")
    opens: ClassVar[tuple[str, ...]] = ('sae_lens.SAE.load_from_disk("DIR")',)

    def expected(self, config: Config, header: dict[str, Spec]) -> dict[str, tuple[str, tuple[int, ...]]]:
        kind = config.get("architecture")
        if kind in TRAINING:
            raise BadInput(f"architecture {kind} is a checkpoint of training: save it with save_inference_model")
        kind = only("architecture", kind, tuple(GATES))
        known(config, (*SHARED, *OWN.get(kind, ())), f"a configuration of {kind}")
        only("dtype", config.get("dtype", "float32"), ("float32", "torch.float32"), "save it in float32")
        only(
            "normalize_activations", config.get("normalize_activations", "none"), ("none",), "fold it into the weights"
        )
        only("reshape_activations", config.get("reshape_activations", "none"), ("none",), "give flat rows")
        meta = config.get("metadata", {})
        if not isinstance(meta, dict):
            raise BadInput(f"metadata must be an object; got {meta!r:.60}")
        wide, units = count(config, "d_in"), count(config, "d_sae")
        out = count(config, "d_out") if kind in TRANSCODERS else wide
        before = flag(config, "apply_b_dec_to_input", kind not in TRANSCODERS)
        if before and kind in TRANSCODERS:
            raise BadInput(
                "apply_b_dec_to_input must be false of a transcoder, whose b_dec has the width of its target"
            )
        found = {"b_dec": (out,), "W_dec": (units, out)}
        if kind == "matching_pursuit":
            only("residual_threshold", config.get("residual_threshold", 1e-2), (0, 0.0), "isthmus always takes k steps")
            only("stop_on_duplicate_support", config.get("stop_on_duplicate_support", True), (False,))
            only("apply_b_dec_to_input", before, (True,))
            count(config, "max_iterations")
        else:
            found["W_enc"] = (wide, units)
            names = {"gated": ("b_gate", "b_mag", "r_mag"), "jumprelu": ("b_enc", "threshold")}
            found |= dict.fromkeys(names.get(kind, ("b_enc",)), (units,))
        if kind == "topk":
            count(config, "k", units)
            scaled = flag(config, "rescale_acts_by_decoder_norm", False)
            remedy = "call fold_W_dec_norm(), set it to False and save again"
            only("rescale_acts_by_decoder_norm", scaled, (False,), remedy)
        if kind == "skip_transcoder":
            found["W_skip"] = (out, wide)
        return {name: ("F32", shape) for name, shape in found.items()}

    def parse(self, config: Config, tensors: Tensors) -> Form:
        kind, offset = config["architecture"], tensors["b_dec"]
        before = flag(config, "apply_b_dec_to_input", kind not in TRANSCODERS)
        entries = tensors["W_dec"].t()
        return Form(
            gate=GATES[kind],
            weight=tensors.get("W_enc", entries).t(),
            bias=tensors.get("b_gate", tensors.get("b_enc", torch.zeros(entries.shape[1]))),
            pre=offset if before else torch.zeros(config["d_in"]),
            dictionary=entries,
            offset=offset,
            k=config["max_iterations"] if kind == "matching_pursuit" else config.get("k"),
            threshold=tensors["threshold"].clamp_min(0.0) if kind == "jumprelu" else None,
            stretch=tensors.get("r_mag"),
            strength=tensors.get("b_mag"),
            transcodes=kind in TRANSCODERS,
            skip=tensors.get("W_skip"),
        )

    def spell(self, form: Form) -> tuple[Config, Tensors]:
        kinds: dict[Gate, str] = {gate: kind for kind, gate in GATES.items() if kind not in TRANSCODERS}
        kind = kinds[form.gate]
        if form.transcodes:
            if form.gate != "relu":
                raise BadInput("SAELens has no transcoder with topk; those with relu can be expressed")
            kind = "transcoder" if form.skip is None else "skip_transcoder"
        elif form.wide[0] != form.wide[1]:
            raise BadInput(f"SAELens has dictionaries that rebuild their rows; this one makes {form.wide[1]} elements")
        before = not form.transcodes and (form.gate == "pursuit" or bool(form.pre.any()))
        if before:
            form = form.referred(form.offset)
        config: Config = {
            "architecture": kind,
            "d_in": form.wide[0],
            "d_sae": form.units,
            "dtype": "float32",
            "device": "cpu",
            "apply_b_dec_to_input": before,
            "normalize_activations": "none",
            "reshape_activations": "none",
            "metadata": {"sae_lens_version": VERSION, "sae_lens_training_version": None},
        }
        tensors = {"W_dec": form.dictionary.t(), "b_dec": form.offset}
        if form.gate == "pursuit":
            more = {"residual_threshold": 0.0, "max_iterations": form.k, "stop_on_duplicate_support": False}
            return config | more, tensors
        tensors["W_enc"] = form.weight.t()
        if form.gate == "gated":
            assert form.stretch is not None
            assert form.strength is not None
            return config, tensors | {"b_gate": form.bias, "r_mag": form.stretch, "b_mag": form.strength}
        tensors["b_enc"] = form.bias
        if form.gate == "topk":
            config |= {"k": form.k, "rescale_acts_by_decoder_norm": False}
        if form.threshold is not None:
            tensors["threshold"] = form.threshold
        if form.transcodes:
            config["d_out"] = form.wide[1]
        if form.skip is not None:
            tensors["W_skip"] = form.skip
        return config, tensors

    def encode(self, config: Config, tensors: Tensors, x: Tensor, product: Product) -> Tensor:
        kind, get = config["architecture"], tensors.__getitem__
        sae_in = x - get("b_dec") * flag(config, "apply_b_dec_to_input", True) if kind not in TRANSCODERS else x
        if kind == "matching_pursuit":
            return _pursued(sae_in, get("W_dec"), config["max_iterations"])
        if kind == "gated":
            opened = product(sae_in, get("W_enc").t(), get("b_gate")) > 0
            return opened * torch.relu(product(sae_in, (get("W_enc") * get("r_mag").exp()).t(), get("b_mag")))
        raw = product(sae_in, get("W_enc").t(), get("b_enc"))
        if kind == "topk":
            return torch.relu(largest(raw, config["k"]))
        return torch.relu(raw) * (raw > get("threshold")) if kind == "jumprelu" else torch.relu(raw)

    def decode(self, config: Config, tensors: Tensors, codes: Tensor, x: Tensor, product: Product) -> Tensor:
        out = product(codes, tensors["W_dec"].t(), tensors["b_dec"])
        return out + product(x, tensors["W_skip"], torch.zeros(())) if "W_skip" in tensors else out


def _pursued(left: Tensor, entries: Tensor, steps: int) -> Tensor:
    """The code of matching pursuit: (B, D), (L, D) -> (B, L)."""
    codes = left.new_zeros(len(left), len(entries))
    for _ in range(steps):
        best = (left @ entries.t()).relu().argmax(1)
        values = (left * entries[best]).sum(1, keepdim=True).relu()
        codes.scatter_add_(1, best.unsqueeze(1), values)
        left = left - values * entries[best]
    return codes
