"""Robustness: disturbances as declared, and contenders whose numbers follow without a computer."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from contenders import Fixed, Linear, digits, pca, split
from scipy.stats import binom

from isthmus.evidence.verdict import judge
from isthmus.facets import FACETS, robustness
from isthmus.facets.facet import Curve, FittedContender, Rows, numbers, reconstruct
from isthmus.families import FAMILIES, named
from isthmus.metrics import METRICS
from isthmus.study.capacity import match
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

FACET = FACETS["robustness"]
IMAGES = split(digits()[0], None)
TABLE = split(np.random.default_rng(0).normal(size=(4000, 10)).astype(np.float32), None)


def identity(splits, scale=1.0):
    """A code that is the row, times a scale."""
    width = math.prod(splits.test.x.shape[1:])
    return Linear(np.zeros(width), scale * np.eye(width), splits.test.x.shape[1:])


def test_a_copy_of_the_input_keeps_what_each_disturbance_leaves():
    """Of standard columns: noise of half a deviation costs 1/4 of the variance, masks 1/4, drift 1/16 + 1/16."""
    found = FACET.measure(identity(TABLE), TABLE)
    assert found["explained_noise"] == pytest.approx(0.75, abs=0.01)
    assert found["explained_mask"] == pytest.approx(0.75, abs=0.01)
    assert found["explained_shift"] == pytest.approx(1 - 2 / 16, abs=0.02)
    assert found["explained_disturbed"] == pytest.approx(
        np.mean([found[f"explained_{kind}"] for kind in ("noise", "mask", "shift")])
    )
    assert found["explained_adversarial"] == pytest.approx(1 - robustness.RADIUS**2, abs=1e-3)
    assert found["code_movement"] == pytest.approx(0.5, abs=0.01)
    assert found["jacobian_norm"] == pytest.approx(math.sqrt(10), rel=1e-4)
    assert found["contraction"].y == pytest.approx([1.0] * len(robustness.DISTANCES), rel=1e-3)
    assert found["spectrum"] == Curve(tuple(map(float, range(1, 11))), pytest.approx([1.0] * 10, rel=1e-4))
    levels = np.array(robustness.LEVELS)
    assert found["decay"].y == pytest.approx(1 - levels**2, abs=0.02 * (1 + 4 * levels.max()))


@pytest.mark.parametrize("splits", [TABLE, IMAGES], ids=["table", "images"])
def test_the_training_mean_scores_nothing_whatever_happens(splits):
    """Ignoring the input must never look like being robust."""
    mean = splits.train.x.mean(axis=0, dtype=np.float64)
    ignoring = Fixed(lambda x: x.reshape(len(x), -1)[:, :1], lambda z: np.repeat(mean[None], len(z), axis=0))
    found = FACET.measure(ignoring, splits)
    assert {k: v for k, v in numbers(found).items() if k.startswith("explained") and not math.isnan(v)} == {
        "explained_disturbed": 0,
        "explained_noise": 0,
        "explained_mask": 0,
        "explained_shift": 0,
    }
    assert found["decay"].y == (0,) * len(robustness.LEVELS)
    constant = Fixed(lambda x: np.ones((len(x), 2), np.float32), ignoring.decoder)
    assert math.isnan(FACET.measure(constant, splits)["code_movement"])
    assert FACET.measure(constant, splits)["explained_disturbed"] == 0


def test_numbers_of_the_code_do_not_depend_on_its_scale():
    one, other = (numbers(FACET.measure(identity(TABLE, scale), TABLE)) for scale in (1.0, 30.0))
    for name in ("code_movement", "jacobian_norm"):
        assert one[name] == pytest.approx(other[name], rel=1e-4)


def test_the_slope_of_a_linear_code_is_its_singular_values():
    axes = np.random.default_rng(1).normal(size=(4, 10))
    found = FACET.measure(Linear(np.zeros(10), axes, (10,)), TABLE)
    sizes = np.linalg.svd(axes, compute_uv=False)
    x = TABLE.test.x.astype(float)
    per = math.sqrt(x.var(axis=0).sum() / (x @ axes.T).var(axis=0).sum())
    assert found["spectrum"].y == pytest.approx(per * sizes, rel=1e-4)
    assert found["jacobian_norm"] == pytest.approx(per * np.linalg.norm(axes), rel=1e-4)


def test_principal_components_lose_exactly_what_they_keep_of_a_step():
    """The residual is orthogonal to the code, so an attack adds the squared length of the projected step."""
    contender = pca(TABLE.train.x, 1)
    found = FACET.measure(contender, TABLE)
    rows, axis = robustness.sample(TABLE.test, TABLE).x[: robustness.ATTACKED].astype(float), contender.axes[0]
    gap = rows - contender.mean
    lost = np.square(gap - np.outer(gap @ axis, axis)).sum()
    step = robustness.RADIUS * robustness.unit(TABLE) * np.abs(axis).sum()  # the farthest corner of the ball
    total = np.square(rows - TABLE.train.x.mean(axis=0, dtype=float)).sum()
    assert found["explained_adversarial"] == pytest.approx(1 - (lost + len(rows) * step**2) / total, rel=1e-4)


def test_images_move_by_one_pixel_and_should_stay_where_they_went():
    x = np.arange(9, dtype=np.float32).reshape(1, 3, 3)
    up, down, left, right = (moved[0] for moved in robustness.translated(x))
    assert up.tolist() == [[0, 1, 2], [0, 1, 2], [3, 4, 5]]
    assert down.tolist() == [[3, 4, 5], [6, 7, 8], [6, 7, 8]]
    assert left.tolist() == [[0, 0, 1], [3, 3, 4], [6, 6, 7]]
    assert right.tolist() == [[1, 2, 2], [4, 5, 5], [7, 8, 8]]
    assert FACET.measure(identity(IMAGES), IMAGES)["explained_shift"] == pytest.approx(1.0)


def test_drift_is_the_same_for_all_rows_and_of_the_stated_size():
    x, mean = TABLE.test.x, np.full(10, 2.0)
    moved = robustness.drifted(x, mean, 0.3, seed=5)
    gain = np.abs((moved[1] - moved[0]) / (x[1] - x[0]) - 1)
    assert gain == pytest.approx([robustness.DRIFT] * 10, rel=1e-3)
    offset = robustness.drifted(np.full((3, 10), 2, np.float32), mean, 0.3, seed=5) - 2
    assert np.abs(offset) == pytest.approx(0.3)
    assert (offset == offset[0]).all()
    assert not np.allclose(moved, robustness.drifted(x, mean, 0.3, seed=6))


def test_disturbances_follow_the_scale_of_the_data_and_the_seed_of_the_split():
    small = TABLE._replace(**{name: Rows(getattr(TABLE, name).x / 100, None) for name in ("train", "valid", "test")})
    assert robustness.unit(small) == pytest.approx(robustness.unit(TABLE) / 100)
    one, two = (robustness.explained(lambda x: x, splits.test, splits) for splits in (TABLE, small))
    assert one == pytest.approx(two, rel=1e-3)
    assert robustness.explained(lambda x: x, TABLE.test, TABLE._replace(seed=1)) != one


def test_the_rival_and_the_contraction_follow_the_scale_of_the_data():
    small = TABLE._replace(**{name: Rows(getattr(TABLE, name).x / 5, None) for name in ("train", "valid", "test")})
    one, two = (numbers(FACET.rivals["marginalised denoising"](splits)) for splits in (TABLE, small))
    assert one == pytest.approx(two, abs=0.002)
    codes = np.tanh(TABLE.test.x)
    wide = robustness.slopes(torch.tanh, TABLE.test.x, codes)
    narrow = robustness.slopes(lambda x: torch.tanh(5 * x), small.test.x, codes)
    assert wide["contraction"].y == pytest.approx(narrow["contraction"].y, rel=1e-3)
    assert wide["contraction"].y[-1] < 0.6 * wide["contraction"].y[0]


def test_many_rows_are_sampled_and_those_that_are_attacked_are_any():
    many = Rows(np.arange(robustness.MOST + 500, dtype=np.float32)[:, None], None)
    found = robustness.sample(many, TABLE).x
    assert len(found) == len(np.unique(found)) == robustness.MOST
    assert abs(found[: robustness.ATTACKED].mean() / many.x.mean() - 1) < 0.1


def test_the_linear_rival_is_a_wiener_filter_on_gaussian_rows():
    """On independent columns of variance 1, undoing noise and masks is a shrinking by p / (p + noise^2), p kept."""
    kept, noise = 1 - robustness.MASK, robustness.NOISE
    shrink = kept / (kept + noise**2)
    found = FACET.rivals["marginalised denoising"](TABLE)
    assert found["explained_noise"] == pytest.approx(1 - (1 - shrink) ** 2 - (shrink * noise) ** 2, abs=0.01)
    assert found["explained_mask"] == pytest.approx(1 - kept * (1 - shrink) ** 2 - robustness.MASK, abs=0.01)
    assert found["explained_disturbed"] > FACET.measure(pca(TABLE.train.x, 4), TABLE)["explained_disturbed"]


def simulated(seed, latents):
    """One study of 5 replicates: principal components of bootstrapped rows, from two seeds, of two widths."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(150, 3)) @ random.normal(size=(3, 8)) + 0.3 * random.normal(size=(150, 8))
    table = {"one": [], "two": []}
    for replicate in range(5):
        splits = split(x.astype(np.float32), None, seed=replicate)
        for name, width in zip(table, latents, strict=True):
            rows = splits.train.x[random.integers(len(splits.train.x), size=len(splits.train.x))]
            found = robustness.explained(partial(reconstruct, pca(rows, width)), splits.test, splits)
            table[name].append(found["explained_disturbed"])
    about = METRICS["explained_disturbed"]
    return judge(table, metric=about.name, higher=True, rope=about.rope, rivals=set(), test_fraction=1 / 3)


@pytest.mark.slow
def test_verdicts_over_simulated_studies():
    """Of one recipe twice, at most 5 % of studies name a winner (binomial bound); a lost axis is found by 70 %."""
    null = sum(simulated(seed, (3, 3)).kind == "better" for seed in range(200))
    assert null <= binom.ppf(0.999, 200, 0.05)
    found = [simulated(seed, (3, 2)) for seed in range(40)]
    assert sum(v.kind == "better" and v.leader == "one" for v in found) >= 28
    assert not any(v.kind == "better" and v.leader == "two" for v in found)


@pytest.mark.slow
def test_denoising_rows_makes_a_model_more_robust():
    plan = Plan(steps=600)
    made = {
        name: FACET.measure(
            FittedContender(fit(named(name), IMAGES.train.x, valid=IMAGES.valid.x, plan=plan, images=True), 1), IMAGES
        )
        for name in ("plain", "denoising")
    }
    assert made["denoising"]["explained_disturbed"] > made["plain"]["explained_disturbed"] + 0.01
    assert made["denoising"]["code_movement"] < made["plain"]["code_movement"] - 0.05
    assert made["denoising"]["decay"].y[-1] > made["plain"]["decay"].y[-1] + 0.2


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, recipe in FAMILIES.items() if not recipe.wants])
def test_every_family_answers(name):
    splits = split(np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32), None, latents=4)
    model = fit(match(name, named(name), 4, ()), splits.train.x, valid=splits.valid.x, plan=Plan(steps=4, batch=16))
    found = numbers(FACET.measure(FittedContender(model, 1), splits))
    smooth = name not in {"vq", "rvq", "fsq", "lfq", "gumbel"}
    assert {k for k, v in found.items() if math.isnan(v)} <= (
        set() if smooth else {"explained_adversarial", "jacobian_norm", "code_movement"}
    )
    assert all(math.isfinite(v) or math.isnan(v) for v in found.values())


def test_the_jacobian_of_a_wide_code_is_taken_at_few_rows_or_not_at_all(monkeypatch):
    x = np.random.default_rng(0).normal(size=(80, 6)).astype(np.float32)
    asked = []
    weight = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))

    def encode(rows):
        asked.append(len(rows))
        return rows @ weight

    codes = encode(torch.from_numpy(x)).numpy()
    whole = robustness.slopes(encode, x, codes)
    monkeypatch.setattr(robustness, "SLOPES", 6 * 4 * 4 * 3)
    few = robustness.slopes(encode, x, codes)
    assert asked[-1] == 3
    assert few["jacobian_norm"] == pytest.approx(whole["jacobian_norm"], rel=1e-5)
    monkeypatch.setattr(robustness, "SLOPES", 1)
    none = robustness.slopes(encode, x, codes)
    assert np.isnan(none["jacobian_norm"])
    assert "spectrum" not in none
    assert none["contraction"] == whole["contraction"]
