"""Embeddings of sentences by a language model of one's own, a folder on this machine: a text becomes a row of numbers.

The folder is one of transformers, and as sentence-transformers writes them says how the numbers of its tokens become
those of a text: their mean, the largest of each, or those of the first token, at length 1 where it says so (Reimers and
Gurevych 2019, Sentence-BERT, EMNLP). A folder that says nothing gives the mean.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.data.fields import TEXTS
from isthmus.data.fields.text import READ, worded
from isthmus.data.images import Wanted
from isthmus.data.language import digest, language
from isthmus.data.table import is_text
from isthmus.data.unchecked import Unchecked
from isthmus.data.wording import place, shown
from isthmus.errors import BadInput

TOGETHER = 32
"""Texts that go through the model at once, those of a length together."""
LOOKED_AT = 1000
"""Texts by which it is told whether a column holds sentences."""
MODULES, POOLING, SETTINGS = "modules.json", "1_Pooling/config.json", "sentence_bert_config.json"
WAYS = {"pooling_mode_mean_tokens": "mean", "pooling_mode_max_tokens": "max", "pooling_mode_cls_token": "first"}
"""What of the tokens' numbers is taken."""
RUN = ("Transformer", "Pooling", "Normalize")
"""Modules that are known here."""


class Sentences:
    """A model of sentences, from its folder.

    Parameters
    ----------
    path : Path
        The folder.

    Attributes
    ----------
    digest : str
        SHA-256 (hex) of its weights, settings and tokens.

    Raises
    ------
    BadInput
        If the folder is none, is damaged, or asks for something that is not known here.
    MissingExtra
        Without transformers.
    """

    def __init__(self, path: Path) -> None:
        self.where = place(path)
        modules = _json(path / MODULES) or []
        kinds = [str(one.get("type", "")).rpartition(".")[2] for one in modules if isinstance(one, Mapping)]
        if unknown := [kind for kind in kinds if kind not in RUN]:
            raise BadInput(f"{self.where}: has a module {shown(unknown[0])}, not known here; give another model")
        pooling = _json(path / POOLING) or {"pooling_mode_mean_tokens": True}
        asked = [name for name, on in pooling.items() if name.startswith("pooling_mode_") and on is True]
        if len(asked) != 1 or asked[0] not in WAYS:
            raise BadInput(f"{self.where}: pools by {', '.join(asked) or 'nothing'}; known are {', '.join(WAYS)}")
        self.way, self.unit = WAYS[asked[0]], "Normalize" in kinds
        self._model = language(path, "text")
        own = (_json(path / SETTINGS) or {}).get("max_seq_length")
        self._longest = min(own if type(own) is int and own > 0 else 1 << 20, self._model.longest)
        self.digest = digest(path)

    @property
    def width(self) -> int:
        """F, the numbers of a text."""
        return self._model.width

    def wanted(self, asked: Wanted) -> Wanted:
        """Texts are drawn on nothing."""
        return asked

    def rows(self, raw: Unchecked, kinds: Mapping[str, str]) -> Unchecked:
        """Columns of numbers in the stead of each column of free text; ``kinds`` are those that are asked for.

        A text that is missing is embedded as an empty one, which is told.
        """
        free = [] if raw.cells is None else [j for j in range(len(raw.columns)) if _free(raw, j, kinds)]
        if not free or raw.cells is None:
            raise BadInput(
                f"{raw.place}: no column of free text to embed; say which one is (--kind COLUMN=text), or leave "
                "--features out"
            )
        names, cells, told = list[str](), list[Any](), list[str]()
        for j, (name, column) in enumerate(zip(raw.columns, raw.cells, strict=True)):
            if j not in free:
                names.append(name)
                cells.append(column)
                continue
            texts = [text or "" for text in pa.chunked_array(column).cast(pa.large_string()).to_pylist()]
            found = self(texts)
            names += [f"{name}: {k}" for k in range(found.shape[1])]
            cells += [pa.array(numbers) for numbers in found.T.astype(np.float64)]
            told.append(f"column {shown(name)} is {found.shape[1]:,} features of each text, by {Path(self.where).name}")
            if none := sum(not text.strip() for text in texts):
                told.append(f"{none:,} texts of column {shown(name)} are missing, and embedded as empty ones")
        if repeated := {name for name in names if names.count(name) > 1}:
            raise BadInput(f"{raw.place}: column {shown(min(repeated))} is there already; rename it")

        def where(i: int, j: int | None) -> str:
            row = raw.where(i, None)
            return row if j is None else f"{row}, column {shown(names[j])}"

        return raw._replace(
            columns=tuple(names), cells=tuple(cells), where=where, told=(*raw.told, *told), network=self.digest
        )

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Texts (n) as rows of numbers (n, F)."""
        import torch

        if not len(texts):
            return np.empty((0, self.width), np.float32)
        tokens = self._model.tokens([text[:READ] for text in texts], truncation=True, max_length=self._longest)
        ids = tokens["input_ids"]
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        found = np.empty((len(ids), self.width), np.float32)
        for start in range(0, len(ids), TOGETHER):
            some = order[start : start + TOGETHER]
            wide = max(1, *(len(ids[i]) for i in some))
            given = torch.tensor([[*ids[i], *[0] * (wide - len(ids[i]))] for i in some])
            mask = torch.tensor([[1] * len(ids[i]) + [0] * (wide - len(ids[i])) for i in some])
            with torch.no_grad():
                seen = self._model.network(input_ids=given, attention_mask=mask).last_hidden_state
            found[some] = self._pooled(seen, mask.unsqueeze(2).to(seen.dtype)).numpy()
        if not np.isfinite(found).all():
            raise BadInput(f"{self.where}: gives numbers that are not finite; it is damaged, or of half precision")
        return found

    def _pooled(self, seen: Any, mask: Any) -> Any:
        """The numbers of tokens (n, T, F) as those of texts (n, F)."""
        if self.way == "mean":
            pooled = (seen * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
        elif self.way == "max":
            pooled = seen.masked_fill(mask == 0, -1e9).amax(1)
        else:
            pooled = seen[:, 0]
        return pooled / pooled.norm(dim=1, keepdim=True).clamp(min=1e-12) if self.unit else pooled


def _free(raw: Unchecked, j: int, kinds: Mapping[str, str]) -> bool:
    """Whether a column is free text: as is asked, as the source says, or as most of its texts look."""
    name, column = raw.columns[j], (raw.cells or ())[j]
    if not is_text(column.type):
        return False
    if asked := kinds.get(name) or raw.stated.get(name):
        return asked in TEXTS
    some = [text for text in pa.chunked_array(column).unique().to_pylist() if text][:LOOKED_AT]
    return len(some) > 1 and 2 * sum(worded(text) for text in some) > len(some)


def _json(path: Path) -> Any:
    """What a small file of settings says; None where there is none."""
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise BadInput(f"{place(path)}: no settings that can be read ({error}); the folder is damaged") from None
