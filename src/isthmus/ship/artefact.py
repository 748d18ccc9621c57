"""A fitted model on disk: a folder, or a single file, of its tensors and a manifest, readable without running anything.

``model.safetensors`` holds the tensors, ``decision.safetensors`` the numbers behind score and threshold,
``reference.safetensors`` what normal rows look like, in counts, ``draws.safetensors`` how new rows are drawn,
``model.json`` everything else. The manifest carries
the SHA-256 of the others and ends with the SHA-256 of its own text, so that every byte is vouched for. That proves
damage, not origin: whoever can change a file can seal it again, which is why a file that seals well is still checked
field by field, and nothing is allocated before the declared shapes agree with what the recipe would build.

A path that ends in ``.isthmus`` is a single file (:mod:`isthmus.ship.archive`) of the same members.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import math
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar, cast

import safetensors
import safetensors.numpy
import safetensors.torch
from torch import Tensor

from isthmus.data.counts import Counts
from isthmus.data.layout import Layout, Table, from_json
from isthmus.data.picture import Canvas, canvas_of
from isthmus.data.scale import Scaler
from isthmus.dispatch import within
from isthmus.durable import placed, put, sync
from isthmus.errors import BadEnvironment, BadInput
from isthmus.families import read as read_recipe
from isthmus.families import recipe as recipe_of
from isthmus.model import Model, Recipe
from isthmus.rivals import RIVALS
from isthmus.rivals.rival import Rival
from isthmus.ship import archive, decision, drawing
from isthmus.ship.deployed import Deployed
from isthmus.ship.manifest import (
    FORMAT,
    KIND,
    Features,
    Head,
    Manifest,
    Member,
    Pictures,
    Summary,
    Target,
    parse,
    plain_file,
    refuse,
    seal,
)
from isthmus.ship.reference import Reference
from isthmus.train.fitted import Fitted
from isthmus.train.inference import Inference
from isthmus.train.likelihood import of_counts, of_table, spoken
from isthmus.train.loop import Outcome
from isthmus.train.plan import Plan

MANIFEST, TENSORS, DECISION = "model.json", "model.safetensors", "decision.safetensors"
REFERENCE, DRAWS, CARD = "reference.safetensors", "draws.safetensors", "README.md"
MEMBERS = (MANIFEST, TENSORS, DECISION, REFERENCE, DRAWS, CARD)
MOST_CARD = 16 << 20
MOST_MANIFEST = 16 << 20  # bytes; half a million column names
SPARE, WORK = 1 << 27, 16
"""Bytes that building a model may take: so many, for tables and for trying a network of one's own, and so many times
those of its tensors, which are made, drawn and normalised in turn."""
MOST_HEADER = 1 << 20  # bytes; a thousand times what our largest model needs

MOST_WEIGHT = 1e18
"""Squares of larger weights are no 32-bit numbers."""

PACKAGES = ("isthmus", "numpy", "safetensors", "torch")

T = TypeVar("T")


# ---------------------------------------------------------------------------------------------------------------- out


def pack(model: Inference) -> dict[str, bytes]:
    """The members of a model folder, by file name.

    Raises
    ------
    BadInput
        If :func:`load` would refuse it: a weight that is not finite, a family that is not in our table.
    """
    if type(_recipe(model.recipe.to_json())) is not type(model.recipe):
        raise BadInput(f"only families of isthmus can be saved; got {type(model.recipe).__name__}")
    _sound("the model cannot be saved", model.model.state_dict())
    members = _members(model)
    size = len(members[MANIFEST])
    if size > MOST_MANIFEST:
        raise BadInput(f"{MANIFEST} would take {size} bytes; the limit is {MOST_MANIFEST}: give shorter column names")
    parse(Path(MANIFEST), members[MANIFEST])
    return members


def artefact_bytes(model: Inference) -> int:
    """What the saved model takes on disk, in bytes."""
    return sum(map(len, _members(model).values()))


def _members(model: Inference) -> dict[str, bytes]:
    """As :func:`pack`, unchecked."""
    state, target = model.model.state_dict(), model.target_layout
    weights = safetensors.torch.save({name: t.detach().cpu().contiguous().clone() for name, t in state.items()})
    deployed = model if isinstance(model, Deployed) else None
    numbers = {} if deployed is None else decision.numbers(deployed)
    behind = safetensors.numpy.save(numbers) if numbers else None
    normal = None if deployed is None or deployed.reference is None else deployed.reference.arrays()
    usual = None if normal is None else safetensors.numpy.save(normal)
    draws = None if deployed is None else deployed.draws
    drawn = safetensors.numpy.save(drawing.numbers(draws)) if draws is not None else None
    manifest = Manifest(
        kind=KIND,
        format=FORMAT,
        recipe=model.recipe.to_json(),
        shape=list(model.model.shape),
        head=cast(Head, model.head),
        scaler=(layout.shared() if isinstance(layout := model.layout, Table) else layout).to_json(),
        target=None if target is None else Target(shape=list(model.out), scaler=target.to_json()),
        columns=list(model.columns),
        pictures=_pictures(model),
        sentences=model.network if model.canvas is None else None,
        **(_trained(model) if isinstance(model, Fitted) else {}),
        **({} if deployed is None else {**decision.said(deployed), "origin": deployed.origin}),
        versions=_versions(),
        sampler=None if draws is None else drawing.said(draws),
        tensors=vouched(weights),
        decision=None if behind is None else vouched(behind),
        reference=None if usual is None else vouched(usual),
        draws=None if drawn is None else vouched(drawn),
    )
    text = seal(manifest.model_dump(mode="json", exclude_none=True))
    members = {TENSORS: weights, DECISION: behind, REFERENCE: usual, DRAWS: drawn, MANIFEST: text}
    return {name: content for name, content in members.items() if content is not None}


def _trained(fitted: Fitted) -> dict[str, Any]:
    """What a manifest says of the training."""
    outcome = fitted.outcome
    summary = Summary(status=outcome.status, steps=outcome.steps, best_step=outcome.best_step)
    return {"plan": fitted.plan.to_json(), "outcome": summary}


def _pictures(model: Inference) -> Pictures | None:
    """What a manifest says of the pictures that rows were made from."""
    own = model.canvas
    if own is None:
        return None
    of = None if model.network is None else {"sha256": model.network, **own._asdict()}
    features = None if of is None else Features(**{name: of[name] for name in Features.model_fields})
    return Pictures(crop=own.crop, deep=own.deep, features=features)


def vouched(content: bytes) -> Member:
    """What a manifest says of a file with this content."""
    return Member(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


@functools.cache
def _versions() -> dict[str, str]:
    return {package: version(package) for package in PACKAGES}


def write(fitted: Fitted, folder: Path) -> None:
    """Put the members into a folder that exists, synced; the caller puts the folder in place."""
    _fill(folder, pack(fitted))


def _fill(folder: Path, members: Mapping[str, bytes]) -> None:
    for name, content in members.items():
        put(folder / name, content)


def save(fitted: Any, path: str | os.PathLike[str], card: str | None = None) -> Path:
    """Save a fitted model as a folder or a single file, without how it was trained: all of it or nothing.

    Parameters
    ----------
    fitted : Fitted, Deployed or estimator
        What :func:`isthmus.train.fitted.fit`, :func:`load` or :meth:`isthmus.ship.deployed.Deployed.of` gave, or an
        estimator that was fitted.
    path : path
        The folder to make, or the file if it ends in ``.isthmus``. One that is already there is replaced only if it
        holds a saved model and nothing else.
    card : str, optional
        What people should read of it (:mod:`isthmus.ship.card`): a ``README.md`` beside the model, which nobody loads.

    Returns
    -------
    Path
        The folder, or the file.

    Raises
    ------
    BadInput
        If ``path`` holds something else, or a weight is not finite.
    BadEnvironment
        If the disk refuses.

    Examples
    --------
    >>> import tempfile
    >>> import isthmus
    >>> import numpy as np
    >>> rows = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    >>> fitted = isthmus.fit(isthmus.named("pca").set_params(latents=2), rows)
    >>> with tempfile.TemporaryDirectory() as place:
    ...     again = isthmus.load(isthmus.save(fitted, f"{place}/model"))
    >>> np.array_equal(again.encode(rows), fitted.encode(rows))
    True
    """
    members = pack(shipped(fitted))
    return _placed(Path(path).absolute(), members if card is None else {**members, CARD: card.encode()})


def repacked(source: str | os.PathLike[str], path: str | os.PathLike[str]) -> Path:
    """Make a single file of the folder of a saved model, or the folder of such a file, of the very same members.

    Parameters
    ----------
    source : path
        A saved model, which is loaded, so that only a whole one is written again.
    path : path
        As in :func:`save`.

    Raises
    ------
    BadInput, BadEnvironment
        As :func:`load` and :func:`save`.

    Examples
    --------
    >>> import tempfile
    >>> import isthmus
    >>> import numpy as np
    >>> fitted = isthmus.fit(isthmus.named("pca").set_params(latents=2), np.random.default_rng(0).normal(size=(60, 4)))
    >>> with tempfile.TemporaryDirectory() as place:
    ...     one = repacked(isthmus.save(fitted, f"{place}/model"), f"{place}/model.isthmus")
    ...     again = sorted(file.name for file in repacked(one, f"{place}/again").iterdir())
    >>> one.name, again
    ('model.isthmus', ['model.json', 'model.safetensors'])
    """
    place = Path(source)
    load(place)
    said = manifest_of(place)
    most = {MANIFEST: MOST_MANIFEST, **{name: member.bytes for name, member in beside(said).items()}}
    if CARD in present(place):
        most[CARD] = MOST_CARD
    return _placed(Path(path).absolute(), {name: content(place, name, size) for name, size in most.items()})


def _placed(place: Path, found: Mapping[str, bytes]) -> Path:
    """Put members in place, as a folder or a file."""
    members = {name: found[name] for name in MEMBERS if name in found}
    if place.suffix == archive.SUFFIX:
        pieces = list(archive.packed(members))
        with _disk(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            replaceable(place)
            with placed(place) as file:
                file.writelines(pieces)
        return place
    with _disk(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        replaces = replaceable(place)
        made = place.parent / f".isthmus-{secrets.token_hex(8)}.part"
        made.mkdir()
        try:
            _fill(made, members)
            sync(made)
            if replaces:
                _exchange(made, place)
            else:
                os.rename(made, place)
            sync(place.parent)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return place


def shipped(fitted: Any) -> Deployed:
    """What ships of a fitted model, or of an estimator that was fitted.

    Raises
    ------
    BadInput
        If it is neither.
    """
    model = getattr(fitted, "deployed_", fitted)
    if not isinstance(model, Inference):
        raise BadInput(f"expected a fitted model to save; got {type(fitted).__name__}: call its fit first")
    return model if isinstance(model, Deployed) else Deployed.of(model)


def replaceable(place: Path) -> bool:
    """Whether a model of ours stands there; anything else is refused, for it is not ours to delete, and so is a place
    where nobody may write."""
    above = next(one for one in place.absolute().parents if one.is_dir())
    if not os.access(above, os.W_OK | os.X_OK):
        raise BadEnvironment(f"cannot save a model at {place}: no permission to write in {above}; choose another path")
    if not os.path.lexists(place):
        return False
    remedy, single = "choose another path", place.suffix == archive.SUFFIX
    if place.is_symlink() or not (place.is_file() if single else place.is_dir()):
        raise BadInput(f"{place} exists and is not the {'file' if single else 'folder'} of a saved model: {remedy}")
    there = [] if single else os.listdir(place)
    if not single and not there:
        return False
    if strange := sorted(set(there) - set(MEMBERS)):
        raise BadInput(f"{place} holds more than a saved model ({strange[0]!a}): {remedy}")
    try:
        manifest_of(place)
    except BadInput:
        raise BadInput(f"{place} exists and is not a model that isthmus saved: {remedy}, or delete it") from None
    return True


def _exchange(made: Path, place: Path) -> None:
    """Put ``made`` where ``place`` is, and what was there where ``made`` was.

    Linux does it in one atomic call. Elsewhere there is a moment between two renames in which the old model lies
    under its temporary name.
    """
    if sys.platform == "linux":
        here, swap = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
        call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
        if call is not None and call(here, os.fsencode(made), here, os.fsencode(place), swap) == 0:
            return
    aside = made.with_suffix(".old")
    os.rename(place, aside)
    try:
        os.rename(made, place)
    except OSError:
        os.rename(aside, place)
        raise
    os.rename(aside, made)


@contextmanager
def _disk(place: Path) -> Iterator[None]:
    """Turn what the disk refuses into one line."""
    try:
        yield
    except BadEnvironment:
        raise
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise BadEnvironment(
            f"cannot save the model at {place}: {why}; nothing was changed, choose another path or make room"
        ) from error


# ----------------------------------------------------------------------------------------------------------------- in


def load(path: str | os.PathLike[str]) -> Deployed:
    """Load a saved model: it encodes, decodes and scores bit for bit as before. See :func:`save` for an example.

    Parameters
    ----------
    path : path
        The folder or the single file of a saved model, or the folder of one run of a study (``DIR/runs/<hash>``).

    Returns
    -------
    Deployed

    Raises
    ------
    BadInput
        If there is no model, anything in it was changed, or it comes from a newer version. Nothing in a model file is
        ever run or imported, and there is no second way to read one.
    """
    place = Path(path)
    manifest = manifest_of(place)
    parts = _parts(place, manifest)
    if manifest.decision is not None:
        numbers = _arrays(place, DECISION, manifest.decision)
        parts |= _attempt(place, lambda: decision.read(manifest, numbers))
    elif manifest.score is not None or manifest.calibration is not None or manifest.gaps:
        refuse(place / MANIFEST, f"it names no {DECISION}, which its score and calibration are in")
    if (manifest.sampler is None) != (manifest.draws is None):
        refuse(place / MANIFEST, f"its sampler and {DRAWS} come together, or not at all")
    if manifest.draws is not None:
        drawn = _arrays(place, DRAWS, manifest.draws)
        latents = parts["model"].latents
        parts["draws"] = _attempt(place, lambda: drawing.read(manifest, parts["layout"], latents, drawn))
    made = Deployed(**parts, origin=manifest.origin)
    if manifest.reference is None:
        return made
    counts = _arrays(place, REFERENCE, manifest.reference)
    return replace(made, reference=_attempt(place, lambda: Reference.read(made, counts)))


def trained(path: str | os.PathLike[str]) -> Fitted:
    """The model of one run of a study, with how it was trained. See :func:`load`.

    Raises
    ------
    BadInput
        As :func:`load`, and if the folder does not say how the model was trained: what ships does not.
    """
    place = Path(path)
    manifest = manifest_of(place)
    plan, outcome = manifest.plan, manifest.outcome
    if plan is None or outcome is None:
        refuse(place / MANIFEST, "it does not say how it was trained: give the folder of a run of a study")
    return Fitted(
        **_parts(place, manifest),
        plan=_attempt(place, lambda: Plan.from_json(plan)),
        outcome=Outcome(
            status=outcome.status, steps=outcome.steps, best_step=outcome.best_step, seconds=math.nan, history={}
        ),
    )


def _parts(place: Path, manifest: Manifest) -> dict[str, Any]:
    """What an :class:`Inference` is made of."""
    weights = _vouched(place, TENSORS, manifest.tensors)
    recipe = _attempt(place, lambda: _recipe(manifest.recipe))
    target = manifest.target
    layout = _layout(place, manifest.scaler, manifest.shape)
    target_layout = None if target is None else _layout(place, target.scaler, target.shape)
    columns = [field.name for field in layout.fields] if isinstance(layout, Table) else manifest.columns
    wide = layout.columns if isinstance(layout, Counts) else math.prod(manifest.shape)
    if manifest.columns != columns or (columns and not layout.parts and len(columns) != wide):
        refuse(place / MANIFEST, f"shape {manifest.shape} does not fit its {len(manifest.columns)} columns")
    out = None if target is None else tuple(target.shape)
    head: Any = of_table(layout) if layout.parts else manifest.head
    if isinstance(layout, Counts):
        head = of_counts(layout)
    said = head if isinstance(head, str) else _attempt(place, lambda: spoken(recipe.likelihood(head)))
    if said != manifest.head or (isinstance(head, str) and recipe.head not in {"auto", head}):
        refuse(place / MANIFEST, f"head {manifest.head} contradicts the recipe's {recipe.head}, or its layout")
    if manifest.plan is not None:  # also where nobody asks: a file is whole or it is refused
        _attempt(place, lambda: Plan.from_json(manifest.plan or {}))
    tensors = _tensors(place / TENSORS, weights, safetensors.torch.load)
    return {
        "recipe": recipe,
        "model": _model(place, lambda: recipe.build(tuple(manifest.shape), head, out), tensors),
        "layout": layout,
        "columns": tuple(manifest.columns),
        "head": manifest.head,
        "target_layout": target_layout,
        "canvas": None if (own := manifest.pictures) is None else _canvas(place, own, manifest.shape),
        "network": manifest.sentences if own is None or own.features is None else own.features.sha256,
    }


def _canvas(place: Path, said: Pictures, shape: list[int]) -> Canvas:
    """What the pictures of a model are drawn on."""
    of = said.features
    plain = canvas_of(tuple(shape)) if of is None else Canvas(of.height, of.width, of.colour)
    if plain is None or (plain.colour and said.deep):
        refuse(place / MANIFEST, f"shape {shape} is not one of encoded pictures, or not of 16 bits")
    return plain._replace(crop=said.crop, deep=said.deep)


def _arrays(place: Path, name: str, member: Member) -> dict[str, Any]:
    """The arrays of a member."""
    return _tensors(place / name, _vouched(place, name, member), safetensors.numpy.load)


def _vouched(place: Path, name: str, member: Member) -> bytes:
    """The bytes of a member that the manifest vouches for."""
    found = content(place, name, member.bytes)
    if vouched(found) != member:
        refuse(place / name, "damaged: its bytes are not those that the manifest names")
    return found


def content(place: Path, name: str, most: int) -> bytes:
    """The bytes of a member of a saved model, ``most`` of them at most; a folder, or a single file."""
    if place.is_dir():
        return plain_file(place / name, most=most)
    return archive.read(place.resolve(), MEMBERS, name, most)


def present(place: Path) -> list[str]:
    """The members that are there, whole or not."""
    if place.is_dir():
        return [name for name in MEMBERS if os.path.lexists(place / name)]
    return list(archive.members(place.resolve(), MEMBERS)) if place.is_file() else []


def beside(manifest: Manifest) -> dict[str, Member]:
    """The files beside it that a manifest names."""
    found = {
        TENSORS: manifest.tensors,
        DECISION: manifest.decision,
        REFERENCE: manifest.reference,
        DRAWS: manifest.draws,
    }
    return {name: member for name, member in found.items() if member is not None}


def _recipe(data: Mapping[str, Any]) -> Recipe:
    """A family's recipe, or that of a rival."""
    kind = RIVALS.get(str(data.get("family"))) if isinstance(data, Mapping) else None
    return recipe_of(data) if kind is None else read_recipe(kind, data)


def _layout(place: Path, data: Mapping[str, Any], shape: list[int]) -> Layout:
    """The layout that the manifest tells of, for rows of ``shape``."""
    layout = _attempt(place, lambda: from_json(data))
    if isinstance(layout, Table):
        if [layout.width] != shape:
            refuse(place / MANIFEST, f"shape {shape} does not fit its columns, of {layout.width} elements")
    elif isinstance(layout, Counts):
        if [layout.width] != shape:
            refuse(place / MANIFEST, f"shape {shape} does not fit its counts, of {layout.width} elements")
    elif isinstance(layout, Scaler) and len(layout.shift) not in (1, math.prod(shape)):
        refuse(place / MANIFEST, f"shape {shape} does not fit its scaler of {len(layout.shift)} columns")
    return layout


def manifest_of(place: Path) -> Manifest:
    """Read and check ``model.json``; of a single file also that it holds what the manifest names, and nothing else."""
    if not place.is_dir() and not place.is_file():
        refuse(place, "not there: give the folder of a saved model, or its single file")
    there = present(place)
    if MANIFEST not in there:
        refuse(place, f"no model in it ({MANIFEST}): give the folder of a saved model, or a family's run of a study")
    said = parse(place / MANIFEST, content(place, MANIFEST, MOST_MANIFEST))
    if not place.is_dir():
        if strange := sorted({*there} - {MANIFEST, CARD} ^ beside(said).keys()):
            refuse(place, f"{strange[0]} is in it or named by its {MANIFEST}, and not both")
        if CARD in there:
            content(place, CARD, MOST_CARD)  # nobody loads it, and it is whole
    return said


def _tensors(path: Path, content: bytes, read: Callable[[bytes], dict[str, T]]) -> dict[str, T]:
    if int.from_bytes(content[:8], "little") > MOST_HEADER:
        refuse(path, f"header is longer than {MOST_HEADER} bytes")
    try:
        return read(content)
    except (safetensors.SafetensorError, ValueError, KeyError, RuntimeError, OverflowError) as error:
        refuse(path, f"not readable as safetensors ({error})")


def _model(place: Path, build: Callable[[], Model], tensors: dict[str, Tensor]) -> Model:
    """The recipe's model with these tensors; built in the memory that they can fill, so a lie about a shape costs none.

    It is not laid out on torch's meta device first, whose arithmetic loads torch's compiler.
    """
    _sound(str(place / TENSORS), tensors)
    with within(SPARE + WORK * sum(tensor.nbytes for tensor in tensors.values())):
        model = _attempt(place, build)
    empty = model.state_dict()
    tensors = {name: empty[name] for name in model.fresh if name in empty} | tensors
    if strange := sorted(empty.keys() ^ tensors.keys()):
        kind = "missing" if strange[0] in empty else "unexpected"
        refuse(place / TENSORS, f"{kind} tensor {strange[0]!a}")
    for name, expected in empty.items():
        got = tensors[name]
        if got.shape != expected.shape or got.dtype != expected.dtype:
            refuse(
                place / TENSORS,
                f"tensor {name} must be {expected.dtype} of shape {tuple(expected.shape)}; "
                f"got {got.dtype} of shape {tuple(got.shape)}",
            )
    model.load_state_dict(tensors, strict=True)
    if isinstance(model, Rival):
        _attempt(place, model.check)
    return model


def _sound(what: str, tensors: Mapping[str, Tensor]) -> None:
    """Refuse weights that no training ends with: what is not finite, and what has no square in 32 bits."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool((tensor.abs() < MOST_WEIGHT).all()):
            fault = f"is not finite, or beyond {MOST_WEIGHT:.0e}"
            refuse(what, f"tensor {name} {fault} (the training diverged): train again, with a smaller step")


def _attempt(place: Path, make: Callable[[], T]) -> T:
    """What ``make`` makes from the manifest; whatever it chokes on is the manifest's fault."""
    try:
        return make()
    except (ArithmeticError, LookupError, ValueError, TypeError, RuntimeError, MemoryError, RecursionError) as error:
        refuse(place / MANIFEST, str(error))
