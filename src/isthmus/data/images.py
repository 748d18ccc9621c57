"""Many encoded pictures as rows of one shape: a folder, whose sub-folders are classes.

Pictures are looked at twice: their headers say what canvas they are drawn on, then each is decoded and drawn. They stay
bytes (or 16-bit numbers) until they are scaled.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.data.dataset import element_names
from isthmus.data.files import fits, opened
from isthmus.data.picture import Canvas, Header, header, pixels
from isthmus.data.unchecked import LEAST_ROWS, Unchecked, enough
from isthmus.data.wording import brief, place, shown, some
from isthmus.errors import BadInput

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
"""Ends of the names of pictures."""
SYSTEM = {"thumbs.db", "desktop.ini", "__macosx", "$recycle.bin"}
"""What systems leave in folders, besides names that begin with a point."""
PARTS = {"train", "training", "test", "testing", "val", "valid", "validation"}
"""Folders that hold a part of the data each, not a class."""
LONGEST = 64
"""Pixels along the longer side of a picture, where nobody asks for a size."""
MOST_BYTES = 1 << 30
"""Of an encoded picture."""


class Wanted(NamedTuple):
    """What was asked of pictures; None and False where nothing was."""

    size: tuple[int, int] | None = None
    """Height and width."""
    crop: bool = False
    gray: bool | None = None
    skip_damaged: bool = False
    canvas: Canvas | None = None
    """That of a model, which leaves nothing to be chosen."""


class Source(NamedTuple):
    """An encoded picture that can be opened."""

    name: str
    """For people: the path below the folder."""
    where: str
    """Head of every message."""
    open: Callable[[], IO[bytes]]


class Found(NamedTuple):
    """What lies in a folder."""

    pictures: list[PurePosixPath]
    """Paths below it, sorted."""
    told: tuple[str, ...]
    """What is left out, a sentence each."""


def folder(path: Path, wanted: Wanted) -> Unchecked:
    """The pictures of a folder and of those below it, whose names are the classes.

    Raises
    ------
    BadInput
        If there are too few, if one of them is damaged, or if all together would fill the memory.
    """
    found = listed(path)
    sources = sources_in(path, found)
    drawn = draw(place(path), sources, wanted)
    names = [found.pictures[i] for i in drawn.kept]
    classes, of_classes = labels(names)
    columns = element_names(drawn.canvas.shape)

    def where(i: int, j: int | None) -> str:
        return text(names[i]) if j is None else f"{text(names[i])}, element {columns[j]}"

    told = (*drawn.told, *of_classes, *found.told)
    return Unchecked(place(path), drawn.x, classes, columns, where, told=told, images=True, canvas=drawn.canvas)


def listed(path: Path, suffixes: Sequence[str] = SUFFIXES, what: str = "pictures") -> Found:
    """What lies in a folder: its pictures, or ``what`` else ends so, and what is left out. No link is followed.

    Raises
    ------
    BadInput
        If a folder cannot be read, or holds no picture.
    """
    pictures: list[PurePosixPath] = []
    hidden, links, others = 0, 0, list[str]()
    left = [PurePosixPath()]
    while left:
        below = left.pop()
        for entry in entries_of(path / below):
            name = below / entry.name
            if _hidden(entry):
                hidden += 1
            elif entry.is_symlink():
                links += 1
            elif entry.is_dir(follow_symlinks=False):
                left.append(name)
            elif entry.is_file(follow_symlinks=False) and name.suffix.lower() in suffixes:
                pictures.append(name)
            else:
                others.append(text(name))
    if not pictures:
        raise BadInput(
            f"{place(path)}: this is a folder; give one file in it, or a folder of pictures ({', '.join(SUFFIXES[:7])})"
            ", of texts (.txt), or of shards (.npy, .safetensors)"
        )
    told = []
    if links:
        told.append(f"{_count(links, 'link')} left out: links are not followed, so copy what they lead to")
    if others:
        told.append(f"{_count(len(others), 'file')} left out whose names are not those of {what}: {some(others, 3)}")
    if hidden:
        told.append(f"{_count(hidden, 'hidden or system file')} left out")
    return Found(sorted(pictures, key=lambda name: name.parts), tuple(told))


def pictured(path: Path) -> bool:
    """Whether there is a picture in a folder, or below it."""
    below = entries_of(path)
    return any(_is_picture(entry) for entry in below) or any(
        pictured(Path(entry)) for entry in below if entry.is_dir(follow_symlinks=False) and not _hidden(entry)
    )


def _is_picture(entry: os.DirEntry[str]) -> bool:
    named = PurePosixPath(entry.name).suffix.lower() in SUFFIXES and not _hidden(entry)
    return named and entry.is_file(follow_symlinks=False)


def _hidden(entry: os.DirEntry[str]) -> bool:
    return entry.name.startswith(".") or entry.name.lower() in SYSTEM


def entries_of(path: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, by name."""
    try:
        with os.scandir(path) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        why = error.strerror or brief(error)
        raise BadInput(f"{place(path)}: can't be read ({why}); check the folder and its permissions") from None


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def sources_in(path: Path, found: Found) -> list[Source]:
    """The pictures of a folder, to be opened."""
    return [Source(text(name), place(path / name), partial(opened, path / name, MOST_BYTES)) for name in found.pictures]


def text(name: PurePosixPath | str) -> str:
    """A path as text that can be written anywhere: what is no UTF-8 is spelled out.

    Examples
    --------
    >>> text(PurePosixPath("cat") / os.fsdecode(b"\\xff.png"))
    'cat/\\\\udcff.png'
    """
    return str(name).encode("utf-8", "backslashreplace").decode("utf-8")


def labels(names: Sequence[PurePosixPath], what: str = "pictures") -> tuple[list[str] | None, tuple[str, ...]]:
    """The class of each picture, or of ``what`` else there is, or None, and what is said of it.

    The class is the first folder of a path that tells pictures apart. Folders named train, test or the like are parts
    of the data, which a study splits by itself.

    Examples
    --------
    >>> names = [PurePosixPath(name) for name in ("train/cat/1.png", "train/dog/2.png", "test/cat/3.png")]
    >>> labels([*names, *names])[0][:3]
    ['cat', 'dog', 'cat']
    """
    below = [name.parent.parts for name in names]
    told: list[str] = []
    while below and all(parts and parts[0] == below[0][0] for parts in below):
        below = [parts[1:] for parts in below]
    if below and all(parts and parts[0].lower() in PARTS for parts in below):
        parts_there = sorted({parts[0] for parts in below})
        told.append(f"the folders {some(parts_there)} are read as one: a study splits rows by itself")
        below = [parts[1:] for parts in below]
    bare = sum(not parts for parts in below)
    if bare == len(below):
        return None, tuple(told)
    if bare:
        told.append(
            f"no classes: {bare:,} of {len(below):,} {what} {'lies' if bare == 1 else 'lie'} in no folder of their own"
        )
        return None, tuple(told)
    found = [text(parts[0]) for parts in below]
    many = len(set(found))
    if many < 2:
        return None, tuple(told)
    if many > len(found) / 2:
        told.append(f"no classes: {many:,} folders for {len(found):,} {what}; labels can be given beside them")
        return None, tuple(told)
    told.append(f"classes are the {many:,} folders {some(sorted(set(found)), 3)}")
    return found, tuple(told)


class Drawn(NamedTuple):
    """Pictures as rows."""

    x: NDArray[Any]
    """(N, *D), uint8 or uint16."""
    canvas: Canvas
    kept: list[int]
    """Which of the sources these are."""
    told: tuple[str, ...]
    """What was made of them, a sentence each."""


def draw(where: str, sources: Sequence[Source], wanted: Wanted) -> Drawn:
    """Draw all pictures on one canvas.

    Parameters
    ----------
    where : str
        Head of messages about all of them.
    sources : sequence of Source
    wanted : Wanted

    Raises
    ------
    BadInput
        As :func:`folder`.
    """
    damaged: dict[int, str] = {}
    heads: dict[int, Header] = {}
    for i, source in enumerate(sources):
        with _aside(i, damaged, wanted), _stream(source) as (stream, size):
            heads[i] = header(source.where, stream, size)
    if not heads:
        raise BadInput(
            f"{where}: none of {len(sources):,} pictures can be read; the first: {next(iter(damaged.values()))}"
        )
    canvas = _canvas(list(heads.values()), wanted)
    enough(where, max(len(heads), LEAST_ROWS), int(np.prod(canvas.shape)))
    fits(where, 4 * len(heads) * int(np.prod(canvas.shape)))  # as they are trained on
    rows = np.empty((len(heads), *canvas.shape), canvas.dtype)
    kept: list[int] = []
    grey = canvas.colour and wanted.gray is None
    for i in heads:
        with _aside(i, damaged, wanted), _stream(sources[i]) as (stream, size):
            row = pixels(sources[i].where, stream, size, canvas)
            rows[len(kept)] = row
            kept.append(i)
            grey = grey and bool((row[..., :1] == row[..., 1:]).all())
    x = rows[: len(kept)]
    if grey:
        x, canvas = np.ascontiguousarray(x[..., 0]), canvas._replace(colour=False)
    enough(where, len(kept), int(np.prod(canvas.shape)))
    told = _said([heads[i] for i in kept], canvas, wanted)
    if damaged:
        first = next(iter(damaged.values())).removeprefix(where).lstrip("/\\, ")
        told.append(f"{_count(len(damaged), 'damaged picture')} left out, the first: {first}")
    return Drawn(x, canvas, kept, tuple(told))


@contextmanager
def _aside(i: int, damaged: dict[int, str], wanted: Wanted) -> Iterator[None]:
    """A picture that cannot be read is refused, or left out if that was asked for."""
    try:
        yield
    except BadInput as error:
        if not wanted.skip_damaged:
            raise BadInput(f"{error}; leave such pictures out with --skip-damaged (skip_damaged=True)") from None
        damaged[i] = str(error)


@contextmanager
def _stream(source: Source) -> Iterator[tuple[IO[bytes], int]]:
    """A picture that is open, and how many bytes it has."""
    try:
        stream = source.open()
    except OSError as error:
        raise BadInput(f"{source.where}: can't be read ({error.strerror or brief(error)})") from None
    with stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        if not size:
            raise BadInput(f"{source.where}: there are no bytes")
        yield stream, size


class Redrawn(NamedTuple):
    """Some pictures on the canvas of a model."""

    rows: NDArray[Any]
    """As many as pictures; one that cannot be read is 0."""
    damaged: list[int]
    """Which rows these are."""
    told: tuple[str, ...]
    """What is said of them, and of all at first."""


def redraw(sources: Sequence[Source], canvas: Canvas, step: int) -> Iterator[Redrawn]:
    """Pictures on the canvas of a model, ``step`` at a time."""
    heads: list[Header] = []
    keep = Wanted(skip_damaged=True)
    for source in sources:
        with _aside(0, {}, keep), _stream(source) as (stream, size):
            heads.append(header(source.where, stream, size))
    told = _said(heads, canvas, Wanted(canvas=canvas)) if heads else []
    for start in range(0, max(len(sources), 1), step):
        some_ = sources[start : start + step]
        rows, damaged = np.zeros((len(some_), *canvas.shape), canvas.dtype), dict[int, str]()
        for i, source in enumerate(some_):
            with _aside(i, damaged, keep), _stream(source) as (stream, size):
                rows[i] = pixels(source.where, stream, size, canvas)
        if damaged:
            told.append(f"{_count(len(damaged), 'damaged picture')} without an answer: {next(iter(damaged.values()))}")
        yield Redrawn(rows, list(damaged), tuple(told))
        told = []


def _canvas(heads: Sequence[Header], wanted: Wanted) -> Canvas:
    """What fits the pictures: of their own size where it is one and small, else of their usual size, made small."""
    if wanted.canvas is not None:
        return wanted.canvas
    if wanted.size is not None:
        height, width = wanted.size
    else:
        height, width = (int(np.median(side)) for side in zip(*((h.height, h.width) for h in heads), strict=True))
        shrink = max(1.0, max(height, width) / LONGEST)
        height, width = max(1, round(height / shrink)), max(1, round(width / shrink))
    colour = any(h.colour for h in heads) if wanted.gray is None else not wanted.gray
    return Canvas(height, width, colour, wanted.crop, any(h.deep for h in heads) and not colour)


def _said(heads: Sequence[Header], canvas: Canvas, wanted: Wanted) -> list[str]:
    """What was made of the pictures."""
    formats = ", ".join(f"{count:,} {name}" for name, count in Counter(h.format for h in heads).most_common())
    sizes = Counter((h.height, h.width) for h in heads)
    low, high = min(sizes), max(sizes)
    size = f"{low[0]} x {low[1]}" if len(sizes) == 1 else f"{low[0]} x {low[1]} to {high[0]} x {high[1]}"
    tone = "colour" if canvas.colour else "grey of 16 bits" if canvas.deep else "grey"
    line = f"{_count(len(heads), 'picture')} ({formats}) of {size} pixels, read as {tone}"
    if any((h.height, h.width) != canvas.shape[:2] for h in heads):
        how = "the middle cut out to" if canvas.crop else "resized to"
        why = " as in training" if wanted.canvas else "" if wanted.size else " (--size says otherwise)"
        line += f", {how} {canvas.height} x {canvas.width}{why}"
    told = [line]
    if any(h.colour for h in heads) and not canvas.colour and wanted.gray is None and wanted.canvas is None:
        told.append("all colours in them are greys, so one channel is kept (--color keeps three)")
    if any(h.alpha for h in heads):
        told.append("what is transparent in them is laid on white")
    if any(h.deep for h in heads) and not canvas.deep:
        told.append("16-bit pictures among them are read with 8 bits")
    return told


def asked(size: Any, crop: bool, gray: bool | None, skip_damaged: bool) -> Wanted:
    """What is asked of pictures, checked; ``size`` as :func:`sized` takes it, or the canvas of a model."""
    if isinstance(size, Canvas):
        return Wanted(size[:2], size.crop, not size.colour, bool(skip_damaged), size)
    return Wanted(sized(size), bool(crop), gray, bool(skip_damaged))


def sized(size: Any) -> tuple[int, int] | None:
    """Height and width from what a person gives: one number, two, or a text.

    Examples
    --------
    >>> sized("32"), sized("32x48"), sized((32, 48)), sized(None)
    ((32, 32), (32, 48), (32, 48), None)
    """
    if size is None:
        return None
    try:
        parts = size.lower().split("x") if isinstance(size, str) else [size] if isinstance(size, int) else list(size)
        found = [int(part) for part in parts]
    except (TypeError, ValueError):
        found = []
    if not 1 <= len(found) <= 2 or min(found) < 1 or isinstance(size, bool):
        raise BadInput(f"size must be a number of pixels, or HEIGHTxWIDTH, such as 32 or 32x48; got {shown(size)}")
    return found[0], found[-1]
