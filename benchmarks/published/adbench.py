"""ADBench sets, trained on half of the normal rows: kNN as published, autoencoders beside the published ones.

Livernoche, Jain, Hezaveh and Ravanbakhsh (2024), On diffusion modeling for anomaly detection, ICLR; numbers from table
1 of the README of their repository (vicliv/DTE), AUROC in per cent, mean over 5 seeds. Their protocol: of the normal
rows, in the order of the file, the first half trains; the second half and all anomalies are the test; columns are
standardised by the training half; nothing is tuned. Sets of more than 50,000 rows are drawn down to 50,000, of fewer
than 1,000 drawn up with replacement before the split, so that copies of test rows train: those sets are left out here.

kNN (distance to the fifth neighbour) has no randomness, and must agree to the second decimal. The published VAE and
Deep SVDD are PyOD's, of other sizes and budgets than ours: their rows stand beside, and "same" means within 2 points or
2 published standard deviations. No plain autoencoder is published there. On most sets the published VAE is the length
of the standardised row, to the second decimal, a score without any model: it is printed too.

    python benchmarks/published/adbench.py [--sets 38_thyroid,6_cardio] [--steps N]
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from table import Row, options, show

from isthmus.data.read import read
from isthmus.data.scale import Scaler
from isthmus.facets.anomaly import SCORERS
from isthmus.facets.facet import Rows, Splits
from isthmus.families import named
from isthmus.metrics.ranking import auroc
from isthmus.study.capacity import capacity
from isthmus.train.fitted import fit_many
from isthmus.train.plan import Plan

MOST = 50_000
NEAR = 2.0
FAMILIES = ("plain", "vae", "svdd")


class Published(NamedTuple):
    """AUROC in per cent, and standard deviations over seeds where they are not 0."""

    knn: float
    vae: float
    svdd: float
    knn_spread: float = 0.0
    vae_spread: float = 0.0
    svdd_spread: float = 0.0


PUBLISHED = {
    "2_annthyroid": Published(92.81, 85.44, 55.01, svdd_spread=3.62),
    "5_campaign": Published(78.48, 77.07, 62.21, svdd_spread=12.88),
    "6_cardio": Published(92.0, 96.55, 65.43, svdd_spread=4.37),
    "10_cover": Published(97.54, 94.35, 49.12, 0.15, 0.15, 14.74),
    "16_http": Published(100.0, 99.94, 61.31, 0.0, 0.01, 51.49),
    "17_InternetAds": Published(68.08, 65.12, 72.96, svdd_spread=3.24),
    "20_letter": Published(35.43, 30.23, 36.4, svdd_spread=3.05),
    "22_magic.gamma": Published(83.27, 70.64, 62.97, svdd_spread=1.07),
    "23_mammography": Published(87.58, 89.58, 71.5, 0.0, 0.17, 7.4),
    "24_mnist": Published(93.85, 90.21, 66.37, svdd_spread=11.03),
    "25_musk": Published(100.0, 100.0, 99.99, svdd_spread=0.01),
    "26_optdigits": Published(93.72, 58.17, 39.45, svdd_spread=18.65),
    "28_pendigits": Published(99.87, 94.5, 46.29, svdd_spread=11.35),
    "30_satellite": Published(82.24, 74.14, 76.19, 0.0, 0.25, 2.66),
    "31_satimage-2": Published(99.71, 98.98, 92.94, 0.0, 0.04, 2.84),
    "32_shuttle": Published(99.91, 99.35, 99.79, svdd_spread=0.07),
    "35_SpamBase": Published(83.36, 81.4, 70.24, svdd_spread=5.02),
    "38_thyroid": Published(98.68, 98.55, 88.77, svdd_spread=3.69),
    "40_vowels": Published(82.21, 52.12, 55.73, 0.0, 0.02, 4.43),
}


def halves(path: Path, seed: int = 0) -> tuple[Splits, Scaler]:
    """The protocol's splits; a tenth of the training half, at most 1,000 rows, also stops the networks' training early.

    kNN sees the whole training half, as published.
    """
    data = read(path, anomaly="1")
    assert data.y is not None
    kept = np.arange(len(data.x))
    if len(kept) > MOST:
        kept = np.random.RandomState(seed).choice(kept, MOST, replace=False)
    normal, odd = kept[data.y[kept] == 0], kept[data.y[kept] == 1]
    half = round(len(normal) / 2)  # to the even number where there are two, as published
    train, test = normal[:half], np.concatenate([normal[half:], odd])
    scaler = Scaler.fit(data.x[train], kind="standard")
    x, held = scaler.apply(data.x[train]), np.arange(half) % max(10, half // 1000) == 0
    label = np.repeat(np.array([0, 1]), (len(normal) - half, len(odd)))
    splits = Splits(Rows(x, None), Rows(x[held], None), Rows(scaler.apply(data.x[test]), label), seed, 0)
    return splits, scaler


def percent(splits: Splits, score: NDArray[np.float64]) -> float:
    """AUROC of scores of the test rows."""
    assert splits.test.y is not None
    return 100 * auroc(splits.test.y, score)


def neighbours(splits: Splits) -> float:
    """AUROC of the distance to the fifth nearest training row."""
    return percent(splits, SCORERS["knn"](splits)(splits.test.x))


def length(splits: Splits) -> float:
    """AUROC of the squared length of the standardised row: no model at all."""
    return percent(splits, np.square(splits.test.x, dtype=np.float64).sum(axis=1))


def networks(splits: Splits, layout: Scaler, steps: int) -> dict[str, float]:
    """AUROC of each family's score, at the capacity and the plan that a study gives it, and at most ``steps`` steps."""
    latents, hidden = capacity(splits.train.x.shape[1:])
    recipes = [named(family).set_params(latents=latents, hidden=hidden) for family in FAMILIES]
    plans = [Plan(steps=steps, batch=min(128, len(splits.train.x)))] * len(recipes)
    rest = splits.train.x[np.arange(len(splits.train.x)) % max(10, len(splits.train.x) // 1000) != 0]
    fits = fit_many(recipes, rest, splits.valid.x, plans, layout=layout, seed=splits.seed)
    return {
        family: percent(splits, one.score_scaled(splits.test.x)) for family, one in zip(FAMILIES, fits, strict=True)
    }


def same(obtained: float, published: float, spread: float, drawn: bool) -> bool:
    """To the second decimal; where rows were drawn, within two standard deviations of the published draws."""
    return abs(obtained - published) < (max(2 * spread, 0.01) if drawn else 0.00501)


def rows(path: Path, seed: int, steps: int) -> list[Row]:
    """All rows of one set."""
    known, (splits, scaler) = PUBLISHED[path.stem], halves(path, seed)
    found, drawn = neighbours(splits), len(splits.train.x) + len(splits.test.x) == MOST
    why = "50,000 rows drawn, other than theirs" if drawn else ""
    table = [Row(f"{path.stem}, kNN", known.knn, found, same(found, known.knn, known.knn_spread, drawn), why)]
    alone = length(splits)
    table.append(Row("  length of the row", known.vae, alone, abs(alone - known.vae) < 0.02, "published: VAE"))
    for family, value in networks(splits, scaler, steps).items():
        if family == "plain":
            table.append(Row("  plain", "–", value, False, "none published"))
            continue
        given, spread = getattr(known, family), getattr(known, f"{family}_spread")
        table.append(
            Row(f"  {family}", given, value, abs(value - given) <= max(NEAR, 2 * spread), f"PyOD's, ± {spread:g}")
        )
    return table


def main() -> None:
    """Every set of at least 1,000 rows that is there."""
    parser = options(__doc__)
    parser.add_argument("--sets", default="", help="names with commas (default: all)")
    parser.add_argument("--steps", type=int, default=1000)
    given = parser.parse_args()
    wanted = [name for name in given.sets.split(",") if name] or list(PUBLISHED)
    paths = [path for name in wanted if (path := given.data / "adbench" / f"{name}.npz").is_file()]
    table = [row for path in paths for row in rows(path, given.seed, given.steps)]
    show(
        "AUROC in per cent, trained on half of the normal rows",
        table,
        f"networks take at most {given.steps} steps of 128 rows, one seed, and are not tuned.",
    )
    knn = [row.same for row in table if row.what.endswith("kNN")]
    print(f"kNN as published: {sum(knn)} of {len(knn)}; {len(wanted) - len(paths)} sets not found")


if __name__ == "__main__":
    main()
