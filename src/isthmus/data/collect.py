"""What a language model of one's own computes at one of its layers, for each token of a text, as a folder of shards.

The model is a folder on this machine, read by transformers: weights from safetensors alone, no code from the folder is
run, nothing is downloaded. A shard is the activations of so many texts and of nothing else, and is put in place whole;
so a collection that was stopped at any moment goes on with the first shard that is not there, to the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from isthmus.data.documents import documents
from isthmus.data.language import WEIGHTS, digest, language
from isthmus.data.lines import lines
from isthmus.data.wording import place
from isthmus.durable import whole
from isthmus.errors import BadInput

DTYPES = ("float32", "float16", "bfloat16")
TENSOR = "activations"
"""The name of the tensor in a shard."""
ABOUT = "isthmus"
"""Under which name a shard says what it is of: one entry, for the order of several is chance."""
TOGETHER = 16
"""Pieces of text that go through the model at once."""
DRAFT = ".tmp"
Tell = Callable[[int, int], object]


class Collected(NamedTuple):
    """What lies in the folder."""

    folder: Path
    shards: int
    rows: int
    """Tokens, in all shards."""
    width: int
    before: int
    """Shards that were there before."""


def collect(
    model: str | os.PathLike[str],
    text: str | os.PathLike[str],
    layer: int,
    out: str | os.PathLike[str],
    *,
    dtype: str = "float32",
    length: int = 128,
    texts: int = 64,
    tell: Tell = lambda done, total: None,
) -> Collected:
    """Write the activations of a layer, one row for each token, as shards that :func:`isthmus.data.read.read` reads.

    Parameters
    ----------
    model : path
        The folder of a model of transformers, with its tokenizer.
    text : path
        A ``.txt`` file, a text on each line, plain or ``.gz``; or a folder of ``.txt`` files. Empty ones are left out.
    layer : int
        0 is what the embeddings give, k what block k gives, -1 what the last one gives (normalised, where the model
        counts its last normalisation to that block).
    out : path
        The folder to write; one that holds shards of the same is gone on with.
    dtype : {"float32", "float16", "bfloat16"}
        Of the numbers in the shards; the model computes in float32.
    length : int, default 128
        Tokens of a text that are seen together; a longer one is cut into pieces.
    texts : int, default 64
        Texts of a shard.
    tell : callable, optional
        Hears how many shards are done, and how many there are.

    Returns
    -------
    Collected

    Raises
    ------
    BadInput
        If the model or the text cannot be read, there is no such layer, a number does not fit the type, or the folder
        holds something else.
    MissingExtra
        Without transformers.
    """
    if dtype not in DTYPES:
        raise BadInput(f"dtype must be float32, float16 or bfloat16; got {dtype!r}")
    for name, value in (("length", length), ("texts", texts)):
        if type(value) is not int or value < 1:
            raise BadInput(f"{name} must be a whole number of at least 1; got {value!r}")
    given = _texts(Path(text))
    folder, source = Path(out), Path(model)
    model_of = language(source, "lm")
    network, tokens, width, layers = model_of
    if not -layers - 1 <= layer <= layers:
        raise BadInput(f"{place(source)}: no layer {layer}; it has blocks 1 to {layers}, and 0 is what they begin with")
    at, longest = layer % (layers + 1), min(length, model_of.longest)
    about = {"model": digest(source), "layer": at, "dtype": dtype, "length": longest, "texts": texts}
    about["text"] = hashlib.sha256("\0".join(given).encode()).hexdigest()
    parts = [given[i : i + texts] for i in range(0, len(given), texts)]
    names = [f"shard{i:06}{WEIGHTS}" for i in range(len(parts))]
    there = _before(folder, about, names)
    before = len(there)
    for i, (name, part) in enumerate(zip(names, parts, strict=True)):
        if name not in there:
            rows = _activations(network, tokens, part, at, longest, dtype)
            _put(folder / name, rows, {**about, "shard": i})
            there[name] = len(rows)
        tell(i + 1, len(names))
    return Collected(folder, len(names), sum(there.values()), width, before)


def _texts(path: Path) -> list[str]:
    """The texts that are not empty."""
    if path.is_dir():
        found = documents(path)
        if found is None:
            raise BadInput(f"{place(path)}: a folder of pictures; give a .txt file, or a folder of them")
        cells = found.texts.to_pylist()
    else:
        if not path.name.lower().endswith((".txt", ".txt.gz")):
            raise BadInput(f"{place(path)}: expected a .txt file, a text on each line, or a folder of .txt files")
        if not path.exists():
            raise BadInput(f"{place(path)}: no such file; give a .txt file, or a folder of them")
        (column,) = lines(path).cells or ()
        cells = column.to_pylist()
    texts = [one for one in cells if one is not None and one.strip()]
    if not texts:
        raise BadInput(f"{place(path)}: no text in it; check where it came from")
    return texts


def _before(folder: Path, about: dict[str, Any], names: Sequence[str]) -> dict[str, int]:
    """The rows of the shards of the same that are there; what a stopped collection left unfinished is taken away."""
    from safetensors import safe_open

    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".shard") and path.name.endswith(DRAFT):
            with suppress(FileNotFoundError):
                path.unlink()
            continue
        wrong = path.name not in names
        if not wrong:
            try:
                with safe_open(path, "np") as held:
                    said = json.loads((held.metadata() or {}).get(ABOUT, "null"))
                    wrong = said != {**about, "shard": names.index(path.name)}
                    found[path.name] = int(held.get_slice(TENSOR).get_shape()[0])
            except Exception:
                wrong = True
        if wrong:
            raise BadInput(
                f"{place(folder)}: {path.name} is no shard of this model, text, layer and type; give another --out, or "
                "remove it"
            )
    return found


def _put(path: Path, rows: Any, about: dict[str, Any]) -> None:
    """A shard, whole or not at all."""
    from safetensors.torch import save

    whole(path, save({TENSOR: rows}, {ABOUT: json.dumps(about, sort_keys=True)}))


def _activations(network: Any, tokens: Any, texts: Sequence[str], layer: int, length: int, dtype: str) -> Any:
    """The rows (n, width) of the tokens of some texts, in their order."""
    import torch

    made = []
    for block in _pieces(tokens, texts, length):
        wide = max(map(len, block))
        ids = torch.tensor([[*one, *[0] * (wide - len(one))] for one in block])
        mask = torch.tensor([[1] * len(one) + [0] * (wide - len(one)) for one in block])
        with torch.no_grad():
            seen = network(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states[layer]
        made.append(seen[mask.bool()].float())
    rows = torch.cat(made)
    kept = rows.to(getattr(torch, dtype)).contiguous()
    if not torch.isfinite(kept).all():
        what = "a number is not finite" if not torch.isfinite(rows).all() else f"a number is beyond {dtype}"
        raise BadInput(f"layer {layer}: {what}; take --dtype bfloat16 or float32, or another layer")
    return kept


def _pieces(tokens: Any, texts: Sequence[str], length: int) -> Iterator[list[list[int]]]:
    """The tokens of texts in pieces of at most ``length``, some at a time."""
    held: list[list[int]] = []
    for text in texts:
        ids = tokens(text, verbose=False)["input_ids"]
        held += [ids[i : i + length] for i in range(0, len(ids), length)]
    for i in range(0, len(held), TOGETHER):
        yield held[i : i + TOGETHER]
