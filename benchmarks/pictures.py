"""Sets of pictures for docs/forms/pictures.md, small enough for a study of minutes: written, not compared.

Digits of scikit-learn as a folder of PNG files, and 2,000 pictures each of Fashion-MNIST and CIFAR-10, drawn
by seed 0 in proportion to their classes.

    python benchmarks/pictures.py FOLDER FASHION_IMAGES.gz CIFAR.npz
    isthmus compare FOLDER/digits
    isthmus compare FOLDER/fashion.npz
    isthmus compare FOLDER/cifar.parquet
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from sklearn.datasets import load_digits

from isthmus.data.read import read

COUNT = 2000


def some(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """So many rows of each class as of all, in a seeded order."""
    order = np.random.default_rng(0).permutation(len(x))
    each = COUNT // len(np.unique(y))
    kept = np.sort(np.concatenate([order[y[order] == kind][:each] for kind in np.unique(y)]))
    return x[kept], y[kept]


def main(folder: Path, fashion: Path, cifar: Path) -> None:
    digits = load_digits()
    for i, (pixels, kind) in enumerate(zip(digits.images, digits.target, strict=True)):
        place = folder / "digits" / str(kind)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * (255 / 16)).round().astype(np.uint8)).save(place / f"{i:04}.png")
    rows = read(fashion)
    x, y = some(rows.x, rows.y)
    np.savez_compressed(folder / "fashion.npz", images=x, y=y)
    with np.load(cifar) as held:
        x, y = some(held["X_train"], held["y_train"])
    cells = []
    for pixels in x:
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "PNG")
        cells.append({"bytes": out.getvalue(), "path": None})
    pq.write_table(pa.table({"image": cells, "label": y}), folder / "cifar.parquet")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
