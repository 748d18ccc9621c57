"""New rows: their density is that of the codes, or the prior; the same seed gives the same rows."""

import re
from pathlib import Path

import numpy as np
import pytest

from isthmus import sampler
from isthmus.data.fields import Field
from isthmus.errors import BadInput
from isthmus.families import named
from isthmus.sampler import Sampler
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan


@pytest.fixture(scope="module")
def clusters():
    """Three tight clusters in four columns, a half, a third and a sixth of the rows."""
    random = np.random.default_rng(0)
    centres = np.array([[4.0, 0, 0, 1], [0, 4, 0, -1], [0, 0, 4, 0]])
    kind = np.repeat([0, 1, 2], [300, 200, 100])
    return centres[kind] + 0.1 * random.normal(size=(600, 4)), centres


def near(rows, centres):
    """Shares of rows within 1 of each centre."""
    gaps = np.linalg.norm(rows[:, None] - centres, axis=2)
    return [float((gaps[:, i] < 1).mean()) for i in range(len(centres))]


def test_a_mixture_finds_the_clusters_that_one_normal_blurs(clusters):
    x, centres = clusters
    model = fit(named("pca").set_params(latents=3), x)
    mixture, normal = (Sampler.fit(model, x, kind=kind, components=3).draw(3000) for kind in ("mixture", "normal"))
    assert near(mixture, centres) == pytest.approx([1 / 2, 1 / 3, 1 / 6], abs=0.03)
    assert sum(near(normal, centres)) < 0.3
    assert normal.mean(0) == pytest.approx(x.mean(0), abs=0.15)
    assert np.cov(normal.T) == pytest.approx(np.cov(x.T), abs=0.4)


def test_the_same_seed_gives_the_same_rows(clusters):
    x, _ = clusters
    model = fit(named("pca").set_params(latents=2), x)
    first, again = (Sampler.fit(model, x, seed=3).draw(20, seed=5) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, Sampler.fit(model, x, seed=3).draw(20, seed=6))


def test_the_prior_of_a_variational_family(clusters):
    x, _ = clusters
    model = fit(named("vae").set_params(latents=2), x, plan=Plan(steps=20))
    codes = Sampler.fit(model, kind="prior").codes(4000, seed=1)
    assert codes.mean(0) == pytest.approx([0, 0], abs=0.06)
    assert np.cov(codes.T) == pytest.approx(np.eye(2), abs=0.08)
    assert Sampler.fit(model, kind="prior").draw(7).shape == (7, 4)


def test_constant_codes_and_few_rows_are_no_trouble():
    x = np.ones((12, 5)) * np.arange(12)[:, None]
    model = fit(named("pca").set_params(latents=3), x)  # one direction varies, two codes are always 0
    drawn = Sampler.fit(model, x, components=50)
    assert len(drawn.density.weights) == 2
    assert np.isfinite(drawn.draw(100)).all()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"kind": "cube"}, "kind must be mixture, normal or prior; got 'cube'"),
        ({"kind": "prior"}, "pca has no prior to draw from: take kind mixture"),
        ({"kind": "normal"}, "give the training rows"),
        ({"components": 0}, "components must be a whole number"),
    ],
)
def test_a_wrong_wish_is_one_line(clusters, how, words):
    model = fit(named("pca").set_params(latents=2), clusters[0])
    with pytest.raises(BadInput, match=words):
        Sampler.fit(model, **how)
    with pytest.raises(BadInput, match="number of rows to draw"):
        Sampler.fit(model, clusters[0]).draw(0)


def test_the_page_runs(capsys):
    page = (Path(__file__).parents[1] / "docs" / "sampling.md").read_text(encoding="utf-8")
    for example in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(compile(example, "sampling.md", "exec"), {})
    assert capsys.readouterr().out


def test_noise_as_large_as_the_error_on_held_out_rows():
    random = np.random.default_rng(0)
    spread = np.array([1.0, 2.0, 0.5])
    x = random.normal(size=(4000, 1)) @ np.array([[3.0, 1.0, 2.0]]) + random.normal(size=(4000, 3)) * spread
    model = fit(named("pca").set_params(latents=1), x[:2000], scale="none")
    smooth = Sampler.fit(model, x[:2000], kind="normal")
    noisy = smooth.noisy(x[2000:])
    error = model.reconstruct(x[2000:]) - x[2000:]
    assert noisy.spread == pytest.approx(np.sqrt((error**2).mean(0)), rel=1e-5)
    added = noisy.draw(3000, seed=4) - smooth.draw(3000, seed=4)  # the same codes
    assert added.std(0) == pytest.approx(noisy.spread, rel=0.06)
    assert np.abs(np.corrcoef(added.T) - np.eye(3)).max() < 0.06
    assert noisy.draw(3000).var(0) == pytest.approx(x.var(0), rel=0.1)
    assert smooth.draw(3000).var(0).sum() < 0.8 * x.var(0).sum()
    assert np.array_equal(noisy.draw(10, seed=1), noisy.draw(10, seed=1))


def test_noise_is_in_the_units_of_the_data():
    x = np.random.default_rng(0).normal(size=(2000, 4)) * [1, 10, 100, 1000]
    drawn = Sampler.fit(fit(named("pca").set_params(latents=1), x), x, kind="normal").noisy(x).draw(2000)
    assert drawn.std(0) == pytest.approx(x.std(0), rel=0.12)


def test_noise_needs_rows_of_the_models_own():
    x = np.random.default_rng(0).normal(size=(60, 4))
    model = fit(named("plain").set_params(latents=2), x, 2 * x, plan=Plan(steps=3))
    with pytest.raises(BadInput, match="trained with a target"):
        Sampler.fit(model, x).noisy(x)


def test_codes_too_wide_for_full_covariances_keep_their_main_directions_and_their_variance(monkeypatch):
    """What is drawn has the mean, the main axis and the total variance of the codes."""
    random = np.random.default_rng(0)
    axis = random.normal(size=40)
    z = 5 + random.normal(size=(3000, 1)) * 3 * axis / np.linalg.norm(axis) + 0.2 * random.normal(size=(3000, 40))
    monkeypatch.setattr(sampler, "WIDEST", 30)
    monkeypatch.setattr(sampler, "AXES", 4)
    wide = sampler.density(z, 3, 0)
    assert wide.mixture.means.shape[1] == 4
    rows = sampler.drawn(wide, 3000, 1)
    assert np.array_equal(rows, sampler.drawn(wide, 3000, 1))
    assert rows.mean(axis=0) == pytest.approx(z.mean(axis=0), abs=0.1)
    assert rows.var(axis=0).sum() == pytest.approx(z.var(axis=0).sum(), rel=0.1)
    first = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)[2][0]
    assert abs(first @ axis) / np.linalg.norm(axis) > 0.99


@pytest.fixture(scope="module")
def people():
    """A table whose category, flag and gaps the code cannot tell: (model, cells)."""
    random = np.random.default_rng(0)
    age = random.integers(18, 70, 900).astype(float)
    gain = np.where(random.random(900) < 0.7, 0.0, 50 + age)
    cells = np.column_stack([age, gain, random.choice(3, 900, p=[0.6, 0.3, 0.1]), random.random(900) < 0.4])
    cells[random.random(900) < 0.2, 1] = np.nan
    fields = (
        Field("age", "number"),
        Field("gain", "number", gaps=True),
        Field("city", "category", ("Bergen", "Oslo", "Rome")),
        Field("paid", "flag", ("no", "yes")),
    )
    return fit(named("pca").set_params(latents=1), cells, fields=fields), cells


@pytest.mark.parametrize("noisy", [False, True])
def test_categories_flags_and_gaps_of_a_table_are_drawn_from_their_shares(people, noisy):
    model, cells = people
    one = Sampler.fit(model, cells)
    made = (one.noisy(cells) if noisy else one).draw(6000, seed=1)
    assert [(made[:, 2] == k).mean() for k in range(3)] == pytest.approx([0.6, 0.3, 0.1], abs=0.04)
    assert made[:, 3].mean() == pytest.approx(cells[:, 3].mean(), abs=0.05)
    assert np.isnan(made[:, 1]).mean() == pytest.approx(0.2, abs=0.05)


def test_noise_is_for_numbers(people):
    model, cells = people
    spread = Sampler.fit(model, cells).noisy(cells).spread
    numbers = [name in {"age", "gain"} for name in model.elements]
    assert ((spread > 0) == numbers).all()


def test_matched_columns_hold_the_values_of_the_data_as_often(people):
    model, cells = people
    bare = Sampler.fit(model, cells).noisy(cells)
    made, loose = bare.matched(cells).draw(4000, seed=2), bare.draw(4000, seed=2)
    assert np.isin(made[:, 0].round(2), cells[:, 0]).all()
    assert not np.isin(loose[:, 0].round(2), cells[:, 0]).all()
    assert (np.abs(made[:, 1]) < 1e-3).sum() / (~np.isnan(made[:, 1])).sum() == pytest.approx(0.7, abs=0.06)
    assert np.nanquantile(made[:, 0], [0.1, 0.5, 0.9]) == pytest.approx(
        np.quantile(cells[:, 0], [0.1, 0.5, 0.9]), abs=3
    )
    alone = bare.matched(cells).draw(1, seed=3)  # one row is not ranked among itself
    assert alone[0, 0].round(3) in cells[:, 0]


def test_only_tables_are_matched(clusters):
    one = Sampler.fit(fit(named("pca").set_params(latents=2), clusters[0]), clusters[0])
    with pytest.raises(BadInput, match="only rows of a table"):
        one.matched(clusters[0])
