"""Features of pictures by a frozen network: an ONNX graph, from a file of one's own, run by onnxruntime.

A graph takes pictures in the shape that its input says, channels first or last, and gives one row of numbers for each:
its first output, flattened. Bytes go in as they are where the input is of bytes, else divided by 255, so that they lie
in [0, 1]; any other normalisation belongs into the graph. Graphs with operations that are not ONNX's own, or with
tensors in other files, are refused, as :mod:`isthmus.runtime` refuses them. Programs of ``torch.export`` (``.pt2``)
are not read: torch reads them by evaluating expressions that stand in them as text (``sympy.sympify``), by looking
functions up by names that stand in them, and by unpickling tensors that have no plain form; none can be turned off.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.data.files import bounded, check, parsing
from isthmus.data.images import Wanted
from isthmus.data.numbers import numbers
from isthmus.data.unchecked import Unchecked, enough
from isthmus.data.wording import place, shown
from isthmus.errors import BadInput, MissingExtra
from isthmus.runtime import protobuf

LARGEST = 1 << 31
"""Bytes of a graph; protocol buffers end there."""
BATCH = 64
"""Pictures that go in at a time, where the graph takes any number."""
ARCHIVE = b"PK\x03\x04"
"""First bytes of what torch writes."""
CHANNELS = (1, 3)
TYPES: dict[str, np.dtype[Any]] = {"tensor(float)": np.dtype(np.float32), "tensor(uint8)": np.dtype(np.uint8)}


class Taken(NamedTuple):
    """What a graph takes."""

    batch: int | None
    """Pictures at a time; None: any number."""
    height: int | None
    """None: any."""
    width: int | None
    channels: int
    first: bool | None
    """Whether channels stand first; None where there is no axis of them."""
    dtype: np.dtype[Any]


class Network:
    """A frozen network, from the file of an ONNX graph.

    Parameters
    ----------
    path : Path
        The file.

    Attributes
    ----------
    digest : str
        SHA-256 (hex) of the file.
    taken : Taken

    Raises
    ------
    BadInput
        If it is no ONNX graph that can be run safely, or takes something else than pictures.
    MissingExtra
        Without onnxruntime.
    """

    def __init__(self, path: Path) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise MissingExtra("features of a network need onnxruntime: pip install 'isthmus[runtime]'") from None
        check(path)
        self.where = place(path)
        content = bounded(path.resolve(), LARGEST)
        if content.startswith(ARCHIVE):
            raise BadInput(
                f"{self.where}: an archive, as torch.export and torch.save write; torch reads these by evaluating "
                "their text and unpickling, which is never done here; export the network as ONNX (torch.onnx.export)"
            )
        if (fault := protobuf.fault(content)) is not None:
            raise BadInput(
                f"{self.where}: {fault}; features are of an ONNX graph of ONNX's own operations, in one file"
            )
        self.digest = hashlib.sha256(content).hexdigest()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what goes wrong is an error, said once
        with parsing(self.where, "an ONNX graph"):
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            given = self._session.get_inputs()
        if len(given) != 1:
            raise BadInput(f"{self.where}: {len(given)} inputs; a graph of features takes one, the pictures")
        self._input, self._output = given[0].name, self._session.get_outputs()[0].name
        self.taken = _taken(self.where, list(given[0].shape), given[0].type)

    def wanted(self, asked: Wanted) -> Wanted:
        """How pictures are to be drawn: as the graph takes them, where it says so.

        Raises
        ------
        BadInput
            If something else was asked for.
        """
        taken, size, gray = self.taken, asked.size, self.taken.channels == 1
        if taken.height is not None and taken.width is not None:
            own = taken.height, taken.width
            if size not in (None, own):
                raise BadInput(f"{self.where}: takes pictures of {own[0]} x {own[1]}; leave --size out, or give that")
            size = own
        if asked.gray not in (None, gray):
            raise BadInput(f"{self.where}: takes pictures with {taken.channels} channels; leave --gray and --color out")
        return asked._replace(size=size, gray=gray)

    def rows(self, raw: Unchecked) -> Unchecked:
        """Features in the stead of pictures (N, H, W) or (N, H, W, C)."""
        x = self(raw.x if raw.x.dtype in (np.uint8, np.uint16) else numbers(raw), raw.place)
        width = x.shape[1]
        enough(raw.place, len(x), width)
        columns = tuple(f"feature{j}" for j in range(width))

        def where(i: int, j: int | None) -> str:
            return raw.where(i, None) if j is None else f"{raw.where(i, None)}, {columns[j]}"

        told = f"rows are {width:,} features of each picture, by {Path(self.where).name}"
        return raw._replace(
            x=x, columns=columns, where=where, images=False, told=(*raw.told, told), network=self.digest
        )

    def __call__(self, x: NDArray[Any], where: str = "X") -> NDArray[np.float32]:
        """Features (n, F) of pictures (n, H, W) or (n, H, W, C), finite numbers; n is at least 1."""
        step, found = self.taken.batch or BATCH, list[NDArray[np.float32]]()
        for start in range(0, len(x), step):
            part = self._laid(x[start : start + step], where)
            short = step - len(part) if self.taken.batch else 0
            filled = np.concatenate([part, np.repeat(part[-1:], short, axis=0)]) if short else part
            with parsing(self.where, "a graph of features of these pictures"):
                made = self._session.run([self._output], {self._input: filled.astype(self.taken.dtype)})[0]
            if not isinstance(made, np.ndarray) or made.dtype.kind not in "biuf" or made.shape[:1] != filled.shape[:1]:
                raise BadInput(f"{self.where}: its first output is no row of numbers for each picture")
            found.append(made.reshape(len(made), -1)[: len(part)].astype(np.float32))
        return np.concatenate(found)

    def _laid(self, x: NDArray[Any], where: str) -> NDArray[Any]:
        """Pictures in the shape and unit that the graph takes."""
        taken = self.taken
        if x.ndim not in (3, 4) or (x.ndim == 4 and x.shape[3] not in CHANNELS):
            raise BadInput(
                f"{where}: features are of pictures (height, width) or (height, width, 3); got {x.shape[1:]}"
            )
        for name, own, side in (("high", taken.height, x.shape[1]), ("wide", taken.width, x.shape[2])):
            if own not in (None, side):
                raise BadInput(f"{where}: pictures are {side} pixels {name}, and {self.where} takes {own}")
        colour = x if x.ndim == 4 else x[..., None]
        if colour.shape[3] < taken.channels:
            colour = np.repeat(colour, taken.channels, axis=3)
        if colour.shape[3] != taken.channels:
            raise BadInput(
                f"{where}: pictures have {colour.shape[3]} channels, and {self.where} takes {taken.channels}"
            )
        if x.dtype == np.uint16:
            colour = np.rint(colour / 257).astype(np.uint8) if taken.dtype == np.uint8 else colour / 257
        if taken.dtype == np.uint8:
            if colour.min() < 0 or colour.max() > 255:
                raise BadInput(f"{where}: {self.where} takes bytes, and these numbers are none")
        elif x.dtype.kind == "u":
            colour = colour.astype(np.float32) / 255
        if taken.first is None:
            return colour[..., 0]
        return np.moveaxis(colour, 3, 1) if taken.first else colour


def _taken(where: str, shape: Sequence[Any], kind: str) -> Taken:
    """What a graph takes, from the shape and type of its input, in which names stand for any number."""
    if kind not in TYPES:
        raise BadInput(f"{where}: takes {kind}; a graph of features takes float32 or uint8")
    sides = [side if isinstance(side, int) and side > 0 else None for side in shape]
    if len(sides) == 3:
        return Taken(sides[0], sides[1], sides[2], 1, None, TYPES[kind])
    if len(sides) == 4 and sides[1] in CHANNELS:
        return Taken(sides[0], sides[2], sides[3], sides[1] or 0, True, TYPES[kind])
    if len(sides) == 4 and sides[3] in CHANNELS:
        return Taken(sides[0], sides[1], sides[2], sides[3] or 0, False, TYPES[kind])
    raise BadInput(
        f"{where}: its input is of shape {shown(list(shape), 80)}, not pictures: (N, 1 or 3, H, W), "
        "(N, H, W, 1 or 3) or (N, H, W)"
    )
