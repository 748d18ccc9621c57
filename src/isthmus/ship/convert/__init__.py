"""Sparse dictionaries as other libraries keep them: written from a saved model, and read into one.

One layout of another library is one file here, with that library's formula written out;
:class:`isthmus.ship.convert.form.Form` is what they have in common. Nothing is converted on trust: both sides encode
and rebuild the same probe rows, and are compared.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from pathlib import Path
from typing import NamedTuple

import safetensors.torch

from isthmus.durable import put, sync
from isthmus.errors import BadEnvironment, BadInput
from isthmus.ship.convert import members, own
from isthmus.ship.convert.agree import Agreement, compared, probes
from isthmus.ship.convert.dictionary_learning import DictionaryLearning
from isthmus.ship.convert.form import Foreign
from isthmus.ship.convert.openai import OpenAI
from isthmus.ship.convert.saelens import SAELens
from isthmus.ship.convert.sparsify import Sparsify
from isthmus.ship.deployed import Deployed
from isthmus.ship.manifest import refuse
from isthmus.train.inference import Inference

__all__ = ["LAYOUTS", "Agreement", "Read", "Written", "layout_of", "read", "write"]

PICKLES = (".pt", ".pth", ".pkl", ".bin")
LAYOUTS: dict[str, Foreign] = {one.name: one for one in (SAELens(), DictionaryLearning(), Sparsify(), OpenAI())}


class Written(NamedTuple):
    """What became of a model in another layout."""

    folder: Path
    agreement: Agreement
    folded: tuple[str, ...]
    """What was multiplied out, so that last bits differ."""
    lost: tuple[str, ...]
    """What the other side has no place for; it bears on no code."""


class Read(NamedTuple):
    """What another library's folder is here."""

    model: Deployed
    layout: str
    agreement: Agreement


def write(fitted: Inference, path: str | os.PathLike[str], to: str, *, exact: bool = False) -> Written:
    """Write a sparse dictionary as another library keeps it.

    Parameters
    ----------
    fitted : Fitted or Deployed
        What ``fit`` gave or ``load`` read, with one affine layer each way, of a family that the library has: see
        ``docs/convert.md``.
    path : path
        The folder to make; none may be there.
    to : {"saelens", "dictionary_learning", "sparsify", "openai"}
    exact : bool, default False
        Refuse where a scaling of the rows, or a pre-bias of its own, must be multiplied out, and wherever the least
        difference is found. By default it may be that of rounding, and is told.

    Returns
    -------
    Written

    Raises
    ------
    BadInput
        If the library can't express it, the two differ on probe rows, or the folder is there.
    BadEnvironment
        If the disk refuses.

    Examples
    --------
    >>> import tempfile
    >>> import isthmus
    >>> import numpy as np
    >>> rows = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    >>> plan = isthmus.Plan(steps=3, check=1)
    >>> fitted = isthmus.fit(isthmus.named("jumprelu").set_params(latents=6), rows, plan=plan, scale="none")
    >>> with tempfile.TemporaryDirectory() as place:
    ...     done = write(fitted, f"{place}/sae", "saelens")
    ...     again = read(done.folder)
    >>> done.agreement.codes < 1e-5, again.layout, again.model.recipe.family
    (True, 'saelens', 'jumprelu')
    """
    if to not in LAYOUTS:
        raise BadInput(f"unknown layout {to!a:.60}; there are {', '.join(LAYOUTS)}")
    foreign, place = LAYOUTS[to], Path(path).absolute()
    if os.path.lexists(place):
        raise BadInput(f"{place} exists: choose another path")
    form, inside, folded, lost = own.told(fitted)
    config, spelled = foreign.spell(form)
    content = safetensors.torch.save({name: tensor.contiguous().clone() for name, tensor in spelled.items()})
    tensors = safetensors.torch.load(content)
    meant = foreign.parse(config, tensors)
    if meant.gate != "pursuit" and not (meant.bias.equal(form.bias) and meant.pre.equal(form.pre)):
        folded += ("the pre-bias",)
    if form.prefixes and not meant.prefixes:
        lost += ("the widths of the nested dictionaries",)
    try:
        agreement = compared(fitted, foreign, config, tensors, meant, fitted.layout.invert(probes(inside)))
    except BadInput as error:
        raise BadInput(f"{foreign.title}: {error}") from None
    if exact:
        _exact(agreement, folded)
    words, numbers = foreign.files
    text = json.dumps(config, indent=1, allow_nan=False).encode() + b"\n"
    _put(place, {words: text, numbers: content})
    return Written(place, agreement, folded, lost)


def _exact(agreement: Agreement, folded: tuple[str, ...] = ()) -> None:
    """Refuse what is the same up to rounding only."""
    if folded or not agreement.exact:
        what = f"{' and '.join(folded)} would be multiplied out" if folded else "sums are rounded in another order"
        most = f"codes differ by up to {agreement.codes:.3g} and rows by up to {agreement.made:.3g}"
        raise BadInput(f"not exact: {what} ({most}); leave out exact to accept it")


def read(path: str | os.PathLike[str], layout: str | None = None, *, exact: bool = False) -> Read:
    """Read a sparse dictionary that another library saved. See :func:`write` for an example.

    Parameters
    ----------
    path : path
        A folder with the two files of one layout. Nothing in them is run, and no pickle is opened.
    layout : {"saelens", "dictionary_learning", "sparsify", "openai"}, optional
        By default found out by the names of the files.
    exact : bool, default False
        Refuse where the least difference is found; by default it may be that of rounding.

    Returns
    -------
    Read
        With the model as ``isthmus.load`` would give it: ``isthmus.save(read(path).model, "model")`` keeps it.

    Raises
    ------
    BadInput
        If a file is damaged, says what isthmus can't express, or has a key whose meaning is unknown.
    """
    place = Path(path)
    foreign = LAYOUTS[layout_of(place) if layout is None else _named(layout)]
    words, numbers = (place / name for name in foreign.files)
    if not os.path.lexists(numbers):
        _no_pickle(place)
    config, there = members.words(words), members.header(numbers)
    try:
        wanted = foreign.expected(config, dict(there))
    except BadInput as error:
        refuse(words, str(error))
    tensors = members.tensors(numbers, wanted, there)
    try:
        form = foreign.parse(config, tensors)
        model = own.made(form)
        agreement = compared(model, foreign, config, tensors, form, probes(form))
        if exact:
            _exact(agreement)
    except BadInput as error:
        refuse(place, str(error))
    return Read(model, foreign.name, agreement)


def layout_of(path: Path) -> str:
    """The layout whose tensors are in a folder."""
    if not path.is_dir():
        refuse(
            path,
            f"{'no folder' if path.exists() else 'not there'}: give the folder of a saved model, or its single file",
        )
    for foreign in LAYOUTS.values():
        if os.path.lexists(path / foreign.files[1]):
            return foreign.name
    _no_pickle(path)
    names = ", ".join(f"{foreign.files[1]} ({foreign.name})" for foreign in LAYOUTS.values())
    refuse(path, f"no model of a known layout in it: expected one of {names}")


def _no_pickle(path: Path) -> None:
    """Say why nothing is read where tensors are pickled."""
    for name in sorted(os.listdir(path)) if path.is_dir() else []:
        if name.endswith(PICKLES):
            remedy = "make safetensors of it yourself, by the lines that docs/convert.md has for it"
            refuse(path / name, f"a pickle, which can run code and is never opened here: {remedy}")


def _named(layout: str) -> str:
    if layout not in LAYOUTS:
        raise BadInput(f"unknown layout {layout!a:.60}; there are {', '.join(LAYOUTS)}")
    return layout


def _put(place: Path, content: dict[str, bytes]) -> None:
    """A new folder with these files: all of it or nothing."""
    made = place.parent / f".isthmus-{secrets.token_hex(8)}.part"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        made.mkdir()
        for name, data in content.items():
            put(made / name, data)
        sync(made)
        os.rename(made, place)
        sync(place.parent)
    except OSError as error:
        raise BadEnvironment(
            f"cannot write {place}: {error.strerror or error}; choose another path or make room"
        ) from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
