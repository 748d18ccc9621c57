"""The two files of a foreign folder, from hands that nobody knows: plain JSON, and safetensors read by their header
first, so that nothing is allocated that the file doesn't hold."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
from torch import Tensor

from isthmus.data.files import LARGEST, fits, opened
from isthmus.errors import BadEnvironment
from isthmus.ship.artefact import MOST_WEIGHT
from isthmus.ship.manifest import plain_file, refuse, strict

MOST_JSON, MOST_HEADER = 1 << 20, 1 << 20
BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


class Entry(NamedTuple):
    """What the header says of a tensor."""

    dtype: str
    shape: tuple[int, ...]


def words(path: Path) -> dict[str, Any]:
    """The object in a JSON file of at most a mebibyte, in which no key stands twice and every number is one."""
    text = plain_file(path, most=MOST_JSON)
    try:
        found = strict(text)
    except (ValueError, RecursionError):
        refuse(path, "not readable as JSON: it may be damaged")
    if not isinstance(found, dict):
        refuse(path, "expected one JSON object")
    return found


def header(path: Path) -> dict[str, Entry]:
    """The names, types and shapes of the tensors in a file, which has exactly the bytes that they take."""
    try:
        with opened(path, LARGEST) as file:
            size = os.fstat(file.fileno()).st_size
            long = int.from_bytes(file.read(8), "little")
            if size < 8 or long > min(MOST_HEADER, size - 8):
                refuse(path, f"not a safetensors file: its header would be longer than the file, or than {MOST_HEADER}")
            text = file.read(long)
    except FileNotFoundError:
        refuse(path, "missing")
    except PermissionError:
        raise BadEnvironment(f"no permission to read {path}") from None
    except OSError as error:  # the disk refuses, which says nothing of the file
        raise BadEnvironment(f"cannot read {path}: {error.strerror}") from None
    try:
        found = strict(text)
    except (ValueError, RecursionError):
        refuse(path, "not a safetensors file: its header is no JSON")
    if not isinstance(found, dict):
        refuse(path, "not a safetensors file: its header is no JSON object")
    found.pop("__metadata__", None)
    entries = {name: _entry(path, name, about) for name, about in found.items()}
    taken = sum(BYTES[entry.dtype] * math.prod(entry.shape) for entry in entries.values())
    if taken != size - 8 - long:
        refuse(path, f"its tensors would take {taken} bytes and it holds {size - 8 - long}: damaged")
    return entries


def _entry(path: Path, name: str, about: object) -> Entry:
    dtype, shape = (about.get("dtype"), about.get("shape")) if isinstance(about, dict) else (None, None)
    if dtype not in BYTES:
        refuse(path, f"tensor {name!a}: unknown dtype {dtype!a}")
    if not isinstance(shape, list) or any(type(n) is not int or not 0 <= n < 1 << 40 for n in shape) or len(shape) > 4:
        refuse(path, f"tensor {name!a}: no shape that a dictionary has ({shape!a})")
    return Entry(dtype, tuple(shape))


def tensors(path: Path, wanted: dict[str, tuple[str, tuple[int, ...]]], there: dict[str, Entry]) -> dict[str, Tensor]:
    """The tensors of a file whose header was read (``there``): exactly those that are ``wanted``, and finite."""
    if strange := sorted(wanted.keys() ^ there.keys()):
        kind = "missing" if strange[0] in wanted else "unknown"
        refuse(path, f"{kind} tensor {strange[0]!a}; expected exactly {', '.join(sorted(wanted))}")
    for name, (dtype, shape) in wanted.items():
        if there[name] != (dtype, shape):
            got, remedy = there[name], ""
            if got.dtype in {"F16", "BF16", "F64"} and dtype == "F32":
                remedy = ": only float32 is converted without loss; save it in float32 (model.float()) first"
            refuse(
                path, f"tensor {name} must be {dtype} of shape {shape}; got {got.dtype} of shape {got.shape}{remedy}"
            )
    fits(str(path), 2 * path.stat().st_size)
    try:
        found = safetensors.torch.load(plain_file(path, most=LARGEST))
    except (safetensors.SafetensorError, ValueError, KeyError, RuntimeError, OverflowError) as error:
        refuse(path, f"not readable as safetensors ({error})")
    for name, tensor in found.items():
        if (tuple(tensor.shape), tensor.is_floating_point()) != (wanted[name][1], wanted[name][0][0] == "F"):
            refuse(path, f"tensor {name!a} changed while it was read")
        if tensor.is_floating_point() and not bool((tensor.abs() < MOST_WEIGHT).all()):
            refuse(path, f"tensor {name} holds a value that is not finite, or beyond {MOST_WEIGHT:.0e}")
    return {name: tensor.clone() for name, tensor in found.items()}  # where torch would have put them
