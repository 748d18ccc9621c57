"""Generators in closed form: one that is right, one that collapsed, one that copies; and the rivals."""

import numpy as np
import pytest
from contenders import Fixed, digits, pca, split

from isthmus.api.study import compare
from isthmus.evidence.verdict import judge
from isthmus.facets import generation
from isthmus.facets.facet import FittedContender
from isthmus.facets.generation import GENERATION, compared, criterion, judged, makers, measure
from isthmus.facets.rivals import WIDEST, gaussian_mixture
from isthmus.families import named
from isthmus.metrics.two_sample import c2st
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

pytestmark = pytest.mark.usefixtures("few_trees")

MIX = np.array([[1.0, 0.9, 0, 0], [0, 0.4, 0, 0.8], [0, 0, 1, 0.5], [0, 0, 0, 0.3]])


def rows(n, seed=0):
    """Four dependent columns, (n, 4)."""
    return (np.random.default_rng(seed).normal(size=(n, 4)) @ MIX).astype(np.float32)


@pytest.fixture(scope="module")
def splits():
    return split(rows(1000), None, latents=4)


def whole(**more):
    """Codes are the rows: a mixture of them is as good as it gets."""
    contender = Fixed(lambda x: x, lambda z: z)
    for name, value in more.items():
        setattr(contender, name, value)
    return contender


@pytest.fixture(scope="module")
def right(splits):
    return measure(whole(), splits)


def test_the_right_generator_is_as_good_as_the_training_rows(splits, right):
    ceiling = GENERATION.rivals["training rows"](splits)
    assert right["c2st"] < 0.58
    assert ceiling["c2st"] < 0.58
    assert right["mmd2"] == pytest.approx(ceiling["mmd2"], abs=0.01)
    assert right["coverage"] == pytest.approx(1 - 2**-5, abs=0.04)
    assert right["nearness"] == pytest.approx(1, abs=0.15)
    assert "copier" not in right


@pytest.mark.slow
@pytest.mark.slow
def test_the_floor_lies_below_the_mixture_and_the_ceiling_takes_no_part(splits):
    found = {name: rival(splits) for name, rival in GENERATION.rivals.items()}
    mixture, floor, ceiling = (found[n] for n in ("gaussian mixture", "shuffled columns", "training rows"))
    assert mixture["c2st"] < 0.58 < floor["c2st"] - 0.1
    assert mixture["mmd2"] < floor["mmd2"]
    assert mixture["frechet"] < floor["frechet"]
    assert mixture["coverage"] > floor["coverage"]
    assert (ceiling["ceiling"], ceiling["copier"], ceiling["copied"], ceiling["nearness"]) == (1, 1, 1, 0)
    assert not {"ceiling", "copier"} & {*mixture, *floor}


def test_shuffling_keeps_every_column(monkeypatch, splits):
    seen = []
    monkeypatch.setattr(generation, "compared", lambda made, _: seen.append(made) or {})
    generation.shuffled_columns(splits)
    for made, known in zip(seen[0].T, splits.train.x.T, strict=True):
        assert np.isin(made, known).all()
        assert len(np.unique(made)) == len(made)
    assert abs(np.corrcoef(seen[0].T)[0, 1]) < 0.2 < np.corrcoef(splits.train.x.T)[0, 1]


def test_a_copying_generator_is_named_however_well_it_passes(splits):
    train = splits.train.x
    nearest = lambda z: train[((z[:, None] - train) ** 2).sum(2).argmin(1)]  # noqa: E731
    found = measure(Fixed(lambda x: x, nearest), splits)
    assert found["c2st"] < 0.6
    assert found["copied"] == 1  # noise does not hide it
    assert found["copier"] == 1


def test_a_collapsed_generator_loses(splits, right):
    """All rows made are nearly alike; the noise of so large an error does not save them."""
    found = measure(Fixed(lambda x: x, lambda z: 0.05 * z + np.float32(0.3)), splits)
    assert found["c2st"] > right["c2st"] + 0.2
    assert found["c2st_smooth"] > right["c2st"] + 0.3
    bare = compared(0.05 * splits.train.x[: len(splits.test.x)] + np.float32(0.3), splits)
    assert bare["precision"] > 0.9
    assert bare["recall"] < 0.1
    assert bare["coverage"] < 0.3


class Prior:
    """Codes that decode to the right rows, or to wrong ones."""

    def __init__(self, good):
        self.good = good

    def __call__(self, n, seed):
        return rows(n, seed % 1000 + 5) * np.float32(1 if self.good else 3)


@pytest.mark.slow
@pytest.mark.parametrize("good", [True, False])
def test_the_sampler_is_chosen_on_validation_rows(splits, good):
    """Only the prior's codes, or only the training codes, decode to what rows look like."""
    encode = (lambda x: 3 * x) if good else (lambda x: x)
    contender = Fixed(encode, lambda z: z)
    contender.prior = Prior(good)
    found = measure(contender, splits)
    best, other = ("c2st_prior", "c2st_mixture") if good else ("c2st_mixture", "c2st_prior")
    assert found["from_prior"] == good
    assert found["c2st"] == pytest.approx(found[best], abs=0.05)
    assert found[best] < found[other] - 0.1
    other_test = splits._replace(test=splits.test._replace(x=3 * splits.test.x))  # which the choice must not see
    assert measure(contender, other_test)["from_prior"] == good
    ways = judged(makers(contender, splits), splits)
    assert [way.codes for way in ways if not way.noisy] == (["prior", "mixture"] if good else ["mixture", "prior"])
    assert criterion(contender, splits) == min(ways.values())


def test_without_a_judge_there_is_no_number(splits):
    """Validation rows that are all equal have no scale: nothing is chosen, nothing is measured."""
    contender = whole()
    contender.prior = Prior(True)
    flat = splits._replace(valid=splits.valid._replace(x=np.ones_like(splits.valid.x)))
    assert np.isnan(criterion(contender, flat))
    assert np.isnan(list(measure(contender, flat).values())).all()


def test_one_sampler_is_not_reported_twice(right):
    assert not {"c2st_mixture", "c2st_prior", "from_prior", "elbo"} & set(right)


def test_at_most_so_many_rows_are_looked_at(monkeypatch, splits):
    asked = []

    def decode(z):
        asked.append(len(z))
        return z

    measure(Fixed(lambda x: x, decode), splits)
    monkeypatch.setattr(generation, "MOST", 50)
    monkeypatch.setattr(generation, "JUDGED", 30)
    measure(Fixed(lambda x: x, decode), splits)
    more = generation.DRAWN - 1
    expected = (5 + more) * [200] + 3 * [30] + (2 + more) * [50]
    assert asked == expected  # the error; two ways for the choice, and for the test; further draws of the best


def test_the_number_of_components_follows_the_validation_rows(splits):
    """Three clusters that one normal distribution would blur: no draw falls between them."""
    centres = np.array([[0, 0, 0, 0], [20, 0, 0, 0], [0, 20, 0, 0]], dtype=np.float32)
    kind = np.random.default_rng(0).integers(0, 3, 1000)
    made = gaussian_mixture(split(rows(1000) * np.float32(0.3) + centres[kind], None), 500)
    gaps = np.sqrt(((made[:, None] - centres) ** 2).sum(2)).min(1)
    assert np.quantile(gaps, 0.95) < 3.5
    again = gaussian_mixture(split(rows(1000) * np.float32(0.3) + centres[kind], None), 500)
    assert np.array_equal(made, again)


def test_wide_rows_keep_their_axes_and_their_noise():
    random = np.random.default_rng(0)
    x = (random.normal(size=(800, 3)) @ random.normal(size=(3, 100)) * 3 + random.normal(size=(800, 100))).astype("f4")
    assert x.shape[1] > WIDEST
    made = gaussian_mixture(split(x, None), 600)
    true, found = (np.linalg.eigvalsh(np.cov(rows.T)) for rows in (x, made))
    assert found[-3:] == pytest.approx(true[-3:], rel=0.25)
    assert found.sum() == pytest.approx(true.sum(), rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["vae", "pca"])
def test_a_family_with_a_posterior_bounds_the_likelihood(family):
    x, _ = digits()
    splits = split(x[:600].reshape(600, -1), None, latents=4)
    recipe = named(family).set_params(latents=4)
    fitted = fit(recipe, splits.train.x, valid=splits.valid.x, scale="none", plan=Plan(steps=60))
    found = measure(FittedContender(fitted, 0), splits)
    assert found == measure(FittedContender(fitted, 0), splits)
    assert ("elbo" in found) == ("c2st_prior" in found) == (family == "vae")
    assert found.get("elbo", 0) <= found.get("iwae_bound", 0)


def pieces(n, generator):
    return generator.normal(size=(n, 4)) @ MIX


EFFECTS = {
    "none": pieces,
    "too little spread": lambda n, generator: 0.6 * pieces(n, generator),
    "shuffled": lambda n, generator: generator.permuted(pieces(n, generator), axis=0),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("effect", "least", "most"), [("none", 0, 1), ("too little spread", 9, 12), ("shuffled", 9, 12)]
)
def test_verdicts_over_simulated_studies(effect, least, most):
    """Of 12 studies with 4 replicates and 120 rows; none may name the worse one the winner."""
    winners = []
    for study in range(12):
        random = np.random.default_rng(study)
        scores = {"right": [], "other": []}
        for replicate in range(4):
            test = pieces(120, random)
            for who, make in (("right", pieces), ("other", EFFECTS[effect])):
                scores[who].append(c2st(test, make(120, random), replicate))
        verdict = judge(scores, metric="c2st", higher=False, rope=0.02, rivals=set(), test_fraction=1 / 3)
        winners += [verdict.leader] * (verdict.kind == "better")
    assert least <= winners.count("right") <= most
    assert winners.count("other") <= (1 if effect == "none" else 0)


@pytest.mark.slow
def test_in_a_study_the_ceiling_is_shown_and_excluded(tmp_path):
    study = compare(
        "iris", families="pca", facets="generation", replicates=2, configs=1, out=tmp_path / "study", jobs=1
    )
    verdict = study.verdict()["generation"]
    assert verdict.excluded == {
        "training rows": "it is the training set itself: an upper bound, not a generator in 2 of 2 replicates"
    }
    assert set(verdict.means) == {"pca", "gaussian mixture", "shuffled columns"}
    assert (study.scores("generation", "copied")["training rows"] == 1).all()
    page = study.report().read_text(encoding="utf-8")
    assert "it is the training set itself: an upper bound, not a generator" in page
    assert "distance to the nearest training row" in page


def test_noise_makes_up_for_a_smooth_decoder():
    """Rows in a plane and noise around it: the plane alone is given away, with its noise it passes."""
    random = np.random.default_rng(0)
    plane, noise = random.normal(size=(1200, 2)) @ random.normal(size=(2, 8)), 0.7 * random.normal(size=(1200, 8))
    splits = split((plane + noise).astype(np.float32), None, latents=2)
    found = measure(pca(splits.train.x, 2), splits)
    assert found["c2st_smooth"] > 0.68
    assert found["c2st"] == pytest.approx(found["c2st_noisy"], abs=0.08)
    assert found["c2st_noisy"] < 0.62
    assert found["with_noise"] == 1
    whole = measure(pca(splits.train.x, 8), splits)  # no error, no noise
    assert whole["c2st_noisy"] == pytest.approx(whole["c2st_smooth"], abs=0.01)


def test_noise_is_left_out_where_it_harms(splits):
    """A model that makes right rows of any codes and reconstructs none: its error says nothing of what it makes."""
    state = {"rows": 0}

    def decode(z):
        state["rows"] += 1
        return rows(len(z), state["rows"])

    found = measure(Fixed(lambda x: x, decode), splits)
    assert found["with_noise"] == 0
    assert found["c2st"] == pytest.approx(found["c2st_smooth"], abs=0.05)
    assert found["c2st_smooth"] < found["c2st_noisy"] - 0.1


@pytest.mark.slow
def test_on_digits_the_rivals_stand_in_their_order():
    splits = split(*digits())
    found = {name: rival(splits) for name, rival in GENERATION.rivals.items()}
    floor, mixture, ceiling = (found[n] for n in ("shuffled columns", "gaussian mixture", "training rows"))
    for metric, higher in (("c2st", False), ("mmd2", False), ("coverage", True)):
        order = [one[metric] for one in (floor, mixture, ceiling)]
        assert order == sorted(order, reverse=not higher), metric
    assert floor["c2st"] > 0.9
    assert floor["frechet"] > 3 * mixture["frechet"]
    assert "copier" not in mixture


@pytest.mark.slow
def test_several_draws_are_judged_and_vary_less_than_one(splits, monkeypatch):
    contender = pca(splits.train.x, 2)
    found = {}
    for drawn, repeated in ((1, 1), (3, 4)):
        monkeypatch.setattr(generation, "DRAWN", drawn)
        monkeypatch.setattr(generation, "REPEATED", repeated)
        many = [splits._replace(seed=seed) for seed in range(12)]
        found[drawn] = [measure(contender, one)["c2st"] for one in many]
    assert np.std(found[3]) < 0.85 * np.std(found[1])
    assert abs(np.mean(found[3]) - np.mean(found[1])) < 3 * np.std(found[1]) / np.sqrt(12)


@pytest.mark.slow
def test_of_two_equal_generators_neither_is_called_better():
    """Each draws from the very distribution of the test rows; several draws and folds claim no more than the level."""
    rng, claims, studies = np.random.default_rng(0), 0, 20
    for _ in range(studies):
        scores = {"a": [], "b": []}
        for _ in range(3):
            test = rng.normal(size=(40, 3))
            for values in scores.values():
                values.append(np.mean([c2st(test, rng.normal(size=(40, 3))) for _ in range(3)]))
        verdict = judge(scores, metric="c2st", higher=False, rope=0.02, rivals=set(), test_fraction=1 / 3)
        claims += verdict.kind == "better"
    assert claims / studies <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / studies)
