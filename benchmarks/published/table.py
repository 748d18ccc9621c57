"""What the scripts of this folder share: the digits of MNIST, and a table of published against obtained.

The data are looked for in ``data`` of the folder that the variable ISTHMUS_SHARED names, by default ``shared`` beside
the checkout; ``--data DIR`` names another folder, which holds ``mnist/train-images-idx3-ubyte.gz`` and its companions.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus.data.read import read

BESIDE = Path(os.environ.get("ISTHMUS_SHARED") or Path(__file__).resolve().parents[3] / "shared") / "data"


class Digits(NamedTuple):
    """MNIST: images flat, in [0, 1]; labels 0 to 9."""

    x: NDArray[np.float32]
    y: NDArray[np.int64]


class Row(NamedTuple):
    """One published number and ours."""

    what: str
    published: float | str
    obtained: float
    same: bool
    why: str = ""


def options(about: str) -> argparse.ArgumentParser:
    """The options that every script takes."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--data", type=Path, default=BESIDE, help="folder with mnist/ (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def mnist(data: Path) -> tuple[Digits, Digits]:
    """The 60,000 training and 10,000 test images."""
    folder = data / "mnist"
    if not folder.is_dir():
        sys.exit(f"MNIST is not at {folder}: give --data DIR with DIR/mnist/train-images-idx3-ubyte.gz and companions")
    splits = (read(folder / f"{part}-images-idx3-ubyte.gz") for part in ("train", "t10k"))
    train, test = (Digits(d.x.reshape(len(d.x), -1) / np.float32(255), d.y) for d in splits)
    return train, test


def show(title: str, rows: Iterable[Row], shortened: str = "") -> None:
    """Print published / obtained / same or not, and why."""
    rows = list(rows)
    width = max(len(r.what) for r in rows)
    print(title)
    print(f"{'':{width}}  published  obtained  same  why")
    for r in rows:
        given = f"{r.published:.4g}" if isinstance(r.published, float | int) else r.published
        print(f"{r.what:{width}}  {given:>9}  {r.obtained:8.4g}  {'yes' if r.same else 'no':4}  {r.why}".rstrip())
    if shortened:
        print(f"Shortened: {shortened}")
    print(f"(torch {torch.__version__}, Python {platform.python_version()}, {platform.machine()})")
