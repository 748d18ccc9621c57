"""The families: one file each, and this table. A name resolves here and nowhere else."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from typing import Any

from isthmus.errors import BadInput
from isthmus.families.aae import AAE
from isthmus.families.abstopk import AbsTopK
from isthmus.families.archetypal import Archetypal
from isthmus.families.batchtopk import BatchTopK
from isthmus.families.betatc import BetaTC
from isthmus.families.contractive import Contractive
from isthmus.families.contractive_h import ContractiveH
from isthmus.families.crosscoder import Crosscoder
from isthmus.families.cvae import CVAE
from isthmus.families.dip import DIP
from isthmus.families.factor import Factor
from isthmus.families.flow import Flow
from isthmus.families.fsq import FSQ
from isthmus.families.gated import Gated
from isthmus.families.gumbel import Gumbel
from isthmus.families.infovae import InfoVAE
from isthmus.families.iwae import IWAE
from isthmus.families.jumprelu import JumpReLU
from isthmus.families.kl import KL
from isthmus.families.ksparse import KSparse
from isthmus.families.l1 import L1
from isthmus.families.ladder import Ladder
from isthmus.families.lfq import LFQ
from isthmus.families.masked import Masked
from isthmus.families.matching import Matching
from isthmus.families.matryoshka import Matryoshka
from isthmus.families.panneal import PAnneal
from isthmus.families.pca import PCA
from isthmus.families.plain import Plain
from isthmus.families.rae import RAE
from isthmus.families.rda import RDA
from isthmus.families.rvq import RVQ
from isthmus.families.sae import SAE
from isthmus.families.svdd import SVDD
from isthmus.families.topk import TopK
from isthmus.families.transcoder import Transcoder
from isthmus.families.vae import VAE
from isthmus.families.vamp import Vamp
from isthmus.families.vq import VQ
from isthmus.families.wae import WAE
from isthmus.families.wta import WTA
from isthmus.model import Recipe, types_of

FAMILIES: dict[str, Recipe] = {
    "plain": Plain(),
    "l1": L1(),
    "kl": KL(),
    "ksparse": KSparse(),
    "wta": WTA(),
    "contractive": Contractive(),
    "contractive_h": ContractiveH(),
    "denoising": Plain(corruption="gaussian", corruption_level=0.3),
    "masked": Masked(),
    "vae": VAE(),
    "betatc": BetaTC(),
    "factor": Factor(),
    "dip": DIP(),
    "infovae": InfoVAE(),
    "wae": WAE(),
    "rae": RAE(),
    "iwae": IWAE(),
    "vamp": Vamp(),
    "flow": Flow(),
    "ladder": Ladder(),
    "aae": AAE(),
    "cvae": CVAE(),
    "vq": VQ(),
    "rvq": RVQ(),
    "fsq": FSQ(),
    "lfq": LFQ(),
    "gumbel": Gumbel(),
    "topk": TopK(),
    "abstopk": AbsTopK(),
    "batchtopk": BatchTopK(),
    "matryoshka": Matryoshka(),
    "sae": SAE(),
    "panneal": PAnneal(),
    "gated": Gated(),
    "jumprelu": JumpReLU(),
    "matching": Matching(),
    "archetypal": Archetypal(),
    "crosscoder": Crosscoder(),
    "transcoder": Transcoder(),
    "rda": RDA(),
    "svdd": SVDD(),
    "pca": PCA(),
}
"""Name -> default recipe, the families of a camp side by side. Take a copy with :func:`named`."""

DEFAULT = ("plain", "l1", "kl", "contractive", "denoising", "topk", "vae", "vq", "pca")
"""The families that a study compares unless told otherwise: one for each idea."""

ABOUT: dict[str, str] = {name: (recipe.__doc__ or "").splitlines()[0] for name, recipe in FAMILIES.items()} | {
    "denoising": "Reconstructs the clean input from a corrupted one."
}
"""Name -> one sentence."""

_CLASSES = {recipe.family: type(recipe) for recipe in FAMILIES.values()}


def _look(table: Mapping[str, Any], name: object) -> Any:
    if isinstance(name, str) and name in table:
        return table[name]
    close = difflib.get_close_matches(str(name), table, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"choose one of {', '.join(table)}"
    raise BadInput(f"unknown family {name!r}: {hint}")


def named(name: str) -> Recipe:
    """A fresh copy of the default recipe of that name.

    Raises
    ------
    BadInput
        If there is no such family; the message gives the closest names.

    Examples
    --------
    >>> named("topk").set_params(latents=32, k=3).to_json()["k"]
    3
    """
    return dataclasses.replace(_look(FAMILIES, name))


def _cast(label: str, kind: Any, value: Any) -> Any:
    """``value`` as JSON gave it, as the field's type wants it; never a guess."""
    if isinstance(kind, types.UnionType):
        options = typing.get_args(kind)
        return None if value is None and type(None) in options else _cast(label, options[0], value)
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, list | tuple):
            raise BadInput(f"{label} must be a list; got {value!r}")
        return tuple(_cast(f"{label}[{i}]", typing.get_args(kind)[0], item) for i, item in enumerate(value))
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise BadInput(f"{label} must be of type {kind.__name__}; got {value!r}")
    return value


def recipe(json: Mapping[str, Any]) -> Recipe:
    """The recipe that ``Recipe.to_json`` wrote. Nothing is imported or run by name; types are checked.

    Parameters
    ----------
    json : mapping
        ``family`` and any of its fields; missing ones take their default.

    Raises
    ------
    BadInput
        On an unknown family or field, or a value of the wrong type or without sense; the message names it.

    Examples
    --------
    >>> recipe({"family": "plain", "latents": 8, "hidden": [32]}).hidden
    (32,)
    """
    if not isinstance(json, Mapping) or "family" not in json:
        raise BadInput(f"a recipe must be an object with the key family; got {json!r}")
    return read(_look(_CLASSES, json["family"]), json)


def read(kind: type[Recipe], json: Mapping[str, Any]) -> Recipe:
    """The same as :func:`recipe` for a known class, which need not stand in the table."""
    fields = types_of(kind)
    unknown = [name for name in json if name != "family" and name not in fields]
    if unknown:
        close = difflib.get_close_matches(str(unknown[0]), fields, n=1)
        hint = f"did you mean {close[0]}?" if close else f"its fields are {', '.join(fields)}"
        raise BadInput(f"{kind.family}: unknown field {unknown[0]!r}: {hint}")
    made = kind(**{k: _cast(f"{kind.family}: {k}", fields[k], v) for k, v in json.items() if k != "family"})
    made._check()
    return made
