"""Codes and rows as other libraries compute them: of dictionaries that they made and saved, and of dictionaries that
isthmus wrote for them. Written to ``convert_<library>.json`` beside this file.

Each library has an environment of its own, for their dependencies are not ours; the first line runs in ours:

    python tests/ship/expected/make_convert.py isthmus FOLDER

    python -m venv a && a/bin/pip install sae-lens==6.54.12
    a/bin/python tests/ship/expected/make_convert.py saelens FOLDER
    python -m venv b && b/bin/pip install dictionary-learning==0.1.0
    b/bin/python tests/ship/expected/make_convert.py dictionary_learning FOLDER
    python -m venv c && c/bin/pip install eai-sparsify==1.3.3
    SPARSIFY_DISABLE_TRITON=1 c/bin/python tests/ship/expected/make_convert.py sparsify FOLDER
    git clone https://github.com/openai/sparse_autoencoder  # its model.py needs torch and nothing else
    python tests/ship/expected/make_convert.py openai FOLDER sparse_autoencoder/sparse_autoencoder/model.py
"""

import base64
import importlib.util
import json
import math
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent
WIDE, UNITS, K, ROWS = 6, 10, 3, 16
DRAW = np.random.default_rng(7)


def grid(*shape, step=1 / 16, most=1.0):
    """Multiples of ``step``: every sum of a few products is exact in float32."""
    return torch.tensor(DRAW.integers(-int(most / step), int(most / step) + 1, shape) * step, dtype=torch.float32)


def entries(rows):
    found = torch.zeros(rows, WIDE)
    for row in found:
        row[DRAW.permutation(WIDE)[:4].tolist()] = torch.tensor(DRAW.choice([-0.5, 0.5], 4), dtype=torch.float32)
    return found


def fill(module):
    """Numbers on the grid for all parameters; thresholds above 0, and the logarithm of a power of 2 where one is."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(grid(*parameter.shape))
            if name.endswith("threshold"):
                parameter.copy_(grid(*parameter.shape).abs() + 1 / 16)
            if name == "r_mag":
                parameter.copy_(torch.tensor(DRAW.choice([0.0, math.log(0.5)], len(parameter))))
    return module


def inputs():
    return grid(8 * ROWS, WIDE, step=1 / 8, most=4.0)


def settled(x, encode, deeper):
    """Rows on which the choice of the k largest is clear: one unit more or less only adds or takes one code."""
    few, many = encode(x), deeper(x)
    added = many - few
    fine = ((few == 0) | (few == many)).all(1) & ((added > 0).sum(1) <= 1)
    least = torch.where(few > 0, few, torch.inf).amin(1)
    return x[fine & (added.amax(1) < least)][:ROWS]


def members(folder):
    return {path.name: base64.b64encode(path.read_bytes()).decode() for path in sorted(Path(folder).iterdir())}


def told(folder, x, codes, rows):
    return {"files": members(folder), "x": x.tolist(), "codes": codes.tolist(), "rows": rows.tolist()}


def isthmus(root):
    sys.path.insert(0, str(HERE.parent))
    import dictionaries

    from isthmus.errors import BadInput
    from isthmus.ship import convert

    for layout in convert.LAYOUTS:
        for case in dictionaries.CASES:
            for scaled in (False, True):
                place = Path(root, layout, f"{case} scaled" if scaled else case)
                try:
                    convert.write(dictionaries.ours(case, scaled=scaled), place, layout)
                except BadInput as error:
                    print(f"{layout}, {case}: {error}")


def saelens(root):
    import sae_lens
    from sae_lens import SAE
    from sae_lens.registry import get_sae_class

    def both(sae, x):
        with torch.no_grad():
            return sae.encode(x), sae(x)

    own = {}
    kinds = ["standard", "topk", "jumprelu", "gated", "transcoder", "skip_transcoder", "matching_pursuit"]
    for kind in [*kinds, "standard free"]:
        make, configure = get_sae_class(kind.split()[0])
        more = {"k": K} if kind == "topk" else {"d_out": 4} if "transcoder" in kind else {}
        if kind == "matching_pursuit":
            more = {"residual_threshold": 0.0, "max_iterations": K, "stop_on_duplicate_support": False}
        before = "transcoder" not in kind and "free" not in kind
        sae = fill(make(configure(d_in=WIDE, d_sae=UNITS, apply_b_dec_to_input=before, **more)))
        if kind == "matching_pursuit":
            sae.W_dec.data = entries(UNITS)
        x = inputs()[:ROWS]
        if kind == "topk":
            deep = make(configure(d_in=WIDE, d_sae=UNITS, k=K + 1))
            deep.load_state_dict(sae.state_dict())
            with torch.no_grad():
                x = settled(inputs(), sae.encode, deep.encode)
        if kind == "matching_pursuit":
            x = unambiguous(inputs(), sae)
        with tempfile.TemporaryDirectory() as folder:
            sae.save_model(folder)
            own[kind] = told(folder, x, *both(SAE.load_from_disk(folder), x))
    theirs = {}
    for folder in sorted(Path(root, "saelens").iterdir()):
        sae, x = SAE.load_from_disk(folder), inputs()[:ROWS]
        if hasattr(sae.cfg, "k"):
            configure = type(sae.cfg)
            deep = type(sae)(configure(d_in=WIDE, d_sae=UNITS, k=sae.cfg.k + 1))
            deep.load_state_dict(sae.state_dict())
            with torch.no_grad():
                x = settled(inputs(), sae.encode, deep.encode)
        if hasattr(sae.cfg, "max_iterations"):
            x = unambiguous(inputs(), sae)
        theirs[folder.name] = told(folder, x, *both(sae, x))
    return sae_lens.__version__, own, theirs


def unambiguous(x, sae):
    """Rows on which no two entries tie at any step of a pursuit."""
    with torch.no_grad():
        left, fine = x - sae.b_dec, torch.ones(len(x), dtype=torch.bool)
        for _ in range(sae.cfg.max_iterations):
            raw = (left @ sae.W_dec.T).relu()
            best = raw.topk(2, dim=1)
            fine &= best.values[:, 0] > best.values[:, 1]
            left = left - best.values[:, :1] * sae.W_dec[best.indices[:, 0]]
    return x[fine][:ROWS]


def dictionary_learning(root):
    from importlib.metadata import version

    from dictionary_learning import dictionary as plain
    from dictionary_learning.trainers.batch_top_k import BatchTopKSAE
    from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKSAE
    from dictionary_learning.trainers.top_k import AutoEncoderTopK
    from dictionary_learning.utils import load_dictionary
    from safetensors.torch import load_file, save_file

    def loaded(folder):
        """The remedy of the documentation, then the library's own door."""
        with tempfile.TemporaryDirectory() as again:
            torch.save(load_file(folder / "ae.safetensors"), f"{again}/ae.pt")
            Path(again, "config.json").write_bytes((folder / "config.json").read_bytes())
            return load_dictionary(again, "cpu")[0]

    def both(sae, x):
        with torch.no_grad():
            codes = sae.encode(x)
            return codes, sae.decode(codes)

    def clear(sae, x):
        if not isinstance(sae, AutoEncoderTopK):
            return x[:ROWS]
        deep = AutoEncoderTopK(WIDE, UNITS, int(sae.k) + 1)
        deep.load_state_dict(sae.state_dict() | {"k": deep.k})
        with torch.no_grad():
            return settled(x, sae.encode, deep.encode)

    made = {
        "AutoEncoder": plain.AutoEncoder(WIDE, UNITS),
        "AutoEncoderNew": plain.AutoEncoderNew(WIDE, UNITS),
        "GatedAutoEncoder": plain.GatedAutoEncoder(WIDE, UNITS),
        "JumpReluAutoEncoder": plain.JumpReluAutoEncoder(WIDE, UNITS),
        "AutoEncoderTopK": AutoEncoderTopK(WIDE, UNITS, K),
        "BatchTopKSAE": BatchTopKSAE(WIDE, UNITS, K),
        "MatryoshkaBatchTopKSAE": MatryoshkaBatchTopKSAE(WIDE, UNITS, K, [2, 3, 5]),
    }
    own = {}
    for kind, one in made.items():
        sae = fill(one)
        trainer = {"dict_class": kind, "activation_dim": WIDE, "dict_size": UNITS, "lr": 1e-3, "lm_name": "a/model"}
        if kind == "AutoEncoder":
            sae.decoder.weight.data = entries(UNITS).T.contiguous()
        if hasattr(sae, "k"):
            trainer["k"] = K
        if kind in {"BatchTopKSAE", "MatryoshkaBatchTopKSAE"}:
            sae.threshold.fill_(0.375)
        if kind == "MatryoshkaBatchTopKSAE":
            trainer["group_sizes"] = [2, 3, 5]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            save_file({n: v.contiguous() for n, v in sae.state_dict().items()}, folder / "ae.safetensors")
            (folder / "config.json").write_text(json.dumps({"trainer": trainer, "buffer": {"ctx_len": 128}}))
            x = clear(sae, inputs())
            own[kind] = told(folder, x, *both(loaded(folder), x))
    theirs = {}
    for folder in sorted(Path(root, "dictionary_learning").iterdir()):
        sae = loaded(folder)
        x = clear(sae, inputs())
        theirs[folder.name] = told(folder, x, *both(sae, x))
    return version("dictionary-learning"), own, theirs


def sparsify(root):
    from importlib.metadata import version

    from sparsify import SparseCoder, SparseCoderConfig

    def codes(sae, x, k=None):
        with torch.no_grad():
            found = sae.encode(x)
            values, places = found.pre_acts.topk(k, dim=-1) if k else (found.top_acts, found.top_indices)
            return torch.zeros(len(x), sae.num_latents).scatter(1, places, values)

    def both(sae, x):
        with torch.no_grad():
            return codes(sae, x), sae(x).sae_out

    def clear(sae):
        return settled(inputs(), lambda x: codes(sae, x), lambda x: codes(sae, x, sae.cfg.k + 1))

    own, theirs = {}, {}
    for kind in ("sae", "expanded", "transcoder", "skip transcoder"):
        sizes = {"expansion_factor": 2} if kind == "expanded" else {"num_latents": UNITS}
        cfg = SparseCoderConfig(k=K, transcode="transcoder" in kind, skip_connection="skip" in kind, **sizes)
        sae = fill(SparseCoder(WIDE, cfg))
        with tempfile.TemporaryDirectory() as folder:
            sae.save_to_disk(folder)
            sae = SparseCoder.load_from_disk(folder)
            x = clear(sae)
            own[kind] = told(folder, x, *both(sae, x))
    for folder in sorted(Path(root, "sparsify").iterdir()):
        sae = SparseCoder.load_from_disk(folder)
        x = clear(sae)
        theirs[folder.name] = told(folder, x, *both(sae, x))
    return version("eai-sparsify"), own, theirs


def openai(root, source):
    from safetensors.torch import load_file, save_file

    spec = importlib.util.spec_from_file_location("model", source)
    model = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(model)

    def loaded(folder):
        """The remedy of the documentation."""
        state = load_file(folder / "autoencoder.safetensors") | json.loads((folder / "autoencoder.json").read_text())
        return model.Autoencoder.from_state_dict(state)

    def both(sae, x):
        with torch.no_grad():
            codes, info = sae.encode(x)
            return codes, sae.decode(codes, info)

    sae = fill(model.Autoencoder(UNITS, WIDE))
    with tempfile.TemporaryDirectory() as name:
        folder, pickle = Path(name), Path(name, "0.pt")
        torch.save(sae.state_dict(), pickle)
        state = torch.load(pickle, weights_only=True)
        pickle.unlink()
        words = {n: state.pop(n) for n in ("activation", "activation_state_dict") if n in state}
        save_file(state, folder / "autoencoder.safetensors")
        (folder / "autoencoder.json").write_text(json.dumps(words))
        x = inputs()[:ROWS]
        own = {"ReLU": told(folder, x, *both(loaded(folder), x))}
    theirs = {}
    for folder in sorted(Path(root, "openai").iterdir()):
        x = inputs()[:ROWS]
        theirs[folder.name] = told(folder, x, *both(loaded(folder), x))
    return "4965b94, the newest in 2026", own, theirs


if __name__ == "__main__":
    library, *rest = sys.argv[1:]
    if library == "isthmus":
        isthmus(*rest)
    else:
        version, own, theirs = globals()[library](*rest)
        lines = [f'{{"version": {json.dumps(version)}']
        for key, cases in {"own": own, "written by isthmus": theirs}.items():
            each = ",\n".join(f"{json.dumps(name)}: {json.dumps(case)}" for name, case in cases.items())
            lines.append(f'"{key}": {{\n{each}}}')
        (HERE / f"convert_{library}.json").write_text(",\n".join(lines) + "}\n")
