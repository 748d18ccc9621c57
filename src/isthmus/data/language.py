"""A language model of one's own: a folder on this machine, read by transformers.

Weights are read from safetensors alone, no code from the folder is run, and nothing is downloaded.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

from isthmus.data.files import PIECE
from isthmus.data.wording import brief, place
from isthmus.errors import BadInput, MissingExtra

WEIGHTS = ".safetensors"


class Language(NamedTuple):
    """What was read."""

    network: Any
    tokens: Any
    """Its tokenizer."""
    width: int
    """Numbers of a layer, for each token."""
    layers: int
    """How many blocks it has."""

    @property
    def longest(self) -> int:
        """Tokens that it can see together."""
        own = self.network.config.get_text_config().to_dict().get("max_position_embeddings")
        return min(own or 1 << 20, int(self.tokens.model_max_length))


def language(folder: Path, extra: str) -> Language:
    """The model in a folder; ``extra`` is what of isthmus needs transformers.

    Raises
    ------
    BadInput
        If it is no such folder, or damaged.
    MissingExtra
        Without transformers.
    """
    if not folder.is_dir():
        raise BadInput(f"{place(folder)}: no folder of a model; give one on this machine, nothing is downloaded")
    if not any(path.name.endswith(WEIGHTS) for path in folder.iterdir()):
        raise BadInput(
            f"{place(folder)}: no weights in safetensors, and others are not unpacked; save them with "
            "model.save_pretrained(folder, safe_serialization=True)"
        )
    try:
        import torch
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging
    except ImportError as error:
        raise MissingExtra(f"a language model needs {error.name}: pip install 'isthmus[{extra}]'") from None
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    usual: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokens = AutoTokenizer.from_pretrained(folder, **usual)
        network = AutoModel.from_pretrained(folder, use_safetensors=True, torch_dtype=torch.float32, **usual).eval()
        config = network.config.get_text_config()
        return Language(network, tokens, int(config.hidden_size), int(config.num_hidden_layers))
    except Exception as error:  # whatever the library says of a folder that is none, or damaged
        raise BadInput(f"{place(folder)}: can't be read as a model of transformers ({brief(error)})") from None


def digest(folder: Path) -> str:
    """A hash of all that says what a model gives: its weights, settings and tokens."""
    found = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix in (WEIGHTS, ".json", ".txt", ".model"):
            found.update(path.name.encode())
            with path.open("rb") as stream:
                while piece := stream.read(PIECE):
                    found.update(piece)
    return found.hexdigest()
