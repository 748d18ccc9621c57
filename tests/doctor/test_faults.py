"""Every fault is planted in a model of its own, and named with numbers that show it."""

import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from patients import found, trained
from torch import nn

from isthmus.doctor import diagnose
from isthmus.doctor.outputs import noises
from isthmus.families.contractive import Contractive
from isthmus.families.l1 import L1
from isthmus.families.pca import PCA
from isthmus.families.plain import Plain, PlainModel
from isthmus.families.sae import SAE
from isthmus.families.topk import TopK
from isthmus.families.vae import VAE, VAEModel
from isthmus.model import Loss, knob
from isthmus.train.fitted import fit
from isthmus.train.optim import Adam
from isthmus.train.plan import Plan


class Detached(PlainModel):
    """Its loss never reaches the encoder."""

    def forward(self, x, target, noise=None):
        return Loss({"reconstruction": self.misfit(self.encode(x).detach(), target)}, {})


class Unread(PlainModel):
    """A layer that nothing reads."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.spare = nn.Linear(3, 2)


class Clamped(VAEModel):
    """Its divergence is clamped to a capacity of 0."""

    def costs(self, mean, log_variance, z):
        return {"kl": super().costs(mean, log_variance, z)["kl"].clamp(0.0, 0.0)}


class Rectified(PlainModel):
    """Outputs cannot be negative."""

    def decode(self, z):
        return torch.relu(self.decoder(z))

    def misfit(self, z, target):
        return 0.5 * (self.decode(z) - target).square().mean()


class Squashed(Rectified):
    """Outputs stay between 0 and 1."""

    def decode(self, z):
        return torch.sigmoid(self.decoder(z))


class Rankless(PlainModel):
    """Its score differs by rounding only."""

    def score(self, x):
        return 3.0 + 1e-7 * x.flatten(1).sum(1)


@dataclass(kw_only=True, eq=False, repr=False)
class Ill(Plain):
    """A plain recipe that builds one of these."""

    family: ClassVar[str] = "ill"
    kind: str = knob("Detached", "Which.")

    def _build(self, shape, head):
        return {k.__name__: k for k in (Detached, Unread, Rectified, Squashed, Rankless)}[self.kind](self, shape, head)


@dataclass(kw_only=True, eq=False, repr=False)
class IllVAE(VAE):
    family: ClassVar[str] = "ill_vae"

    def _build(self, shape, head):
        return Clamped(self, shape, head)


def test_a_detached_encoder_has_no_gradient():
    evidence = found(Ill(latents=3))["parameters without gradient"].evidence
    assert evidence == {"parameters": 2, "of": 4, "first": "encoder.layers.0.weight"}


def test_a_layer_that_nothing_reads_has_no_gradient():
    evidence = found(Ill(latents=3, kind="Unread"))["parameters without gradient"].evidence
    assert (evidence["parameters"], evidence["first"]) == (2, "spare.weight")


def test_gradients_are_those_of_corrupted_rows():
    """With every element masked nothing but zeros comes in: the encoder's weight learns nothing, whatever rows say."""
    evidence = found(Plain(latents=2, corruption="mask", corruption_level=1.0), steps=60)["parameters without gradient"]
    assert evidence.evidence == {"parameters": 1, "of": 4, "first": "encoder.layers.0.weight"}
    few = found(Plain(latents=2, corruption="mask", corruption_level=0.5), steps=60)
    assert "parameters without gradient" not in few


def test_frozen_parameters_are_not_missed():
    fitted, train, valid = trained(Ill(latents=3))
    for name, parameter in fitted.model.named_parameters():
        parameter.requires_grad_(not name.startswith("encoder"))
    try:
        assert "parameters without gradient" not in [f.name for f in diagnose(fitted, train, valid)]
    finally:
        fitted.model.requires_grad_(True)


@pytest.mark.parametrize(
    ("recipe", "term"),
    [
        (IllVAE(latents=3), "kl"),
        (VAE(latents=3, free_bits=1e3), "kl"),
        (Contractive(latents=3, strength=1e-9), "contraction"),
        (L1(latents=3, strength=1e-9), "l1"),
    ],
)
def test_a_regulariser_that_pulls_at_nothing(recipe, term):
    evidence = found(recipe, steps=300)["regulariser without effect"].evidence
    assert evidence["term"] == term
    assert evidence["share"] < 1e-6 or evidence["weight"] < 0.01
    assert evidence["weight"] > 0


class Misjudged(PlainModel):
    """The loss of the form that ships rises as that of the form that is trained falls."""

    def __init__(self, recipe, shape, head):
        super().__init__(recipe, shape, head)
        self.judged = recipe.judged

    def forward(self, x, target, noise=None):
        error = self.misfit(self.encode(x), target)
        return Loss({"reconstruction": error if self.training else 2 - error}, {})


@dataclass(kw_only=True, eq=False, repr=False)
class TwoForms(Plain):
    family: ClassVar[str] = "two forms"
    judged: str = knob("shipped", "By what it is judged.")

    def _build(self, shape, head):
        return Misjudged(self, shape, head)


def test_progress_that_validation_does_not_see_is_told_from_a_step_that_is_too_large():
    named = found(TwoForms(latents=3), steps=100, check=10)
    assert named["progress unseen"].evidence["training_fell"] > 0.1
    assert "judged = 'trained'" in named["progress unseen"].remedy
    assert "not trained" not in named
    assert not {"progress unseen", "not trained"} & set(
        found(TwoForms(latents=3, judged="trained"), steps=100, check=10)
    )


@pytest.mark.slow
def test_a_schedule_that_leaves_no_time_for_training_is_told():
    evidence = found(SAE(latents=6, warmup=0.95), steps=100)["schedule too long"].evidence
    assert evidence == {"steps": 100, "best_step": 100, "schedule_ends": 95}
    assert "schedule too long" not in found(SAE(latents=6, warmup=0.5), steps=100)
    fitted, train, valid = trained(SAE(latents=6, warmup=0.5), steps=100)
    early = dataclasses.replace(fitted, outcome=dataclasses.replace(fitted.outcome, best_step=40, status="converged"))
    named = {one.name: one for one in diagnose(early, train, valid)}
    assert named["schedule too long"].evidence == {"steps": 100, "best_step": 40, "schedule_ends": 50}
    assert "warmup, anneal or cooling" in named["schedule too long"].remedy


@pytest.mark.parametrize("recipe", [VAE(latents=3, beta=0.0), L1(latents=3, strength=0.0), TopK(latents=6, k=3)])
def test_a_weight_of_zero_is_a_choice_and_a_resting_revival_is_health(recipe):
    assert "regulariser without effect" not in found(recipe, steps=300)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [PCA(latents=13), Plain(latents=13)])
def test_a_code_as_wide_as_the_row_copies(recipe):
    evidence = found(recipe, steps=4000)["identity copying"].evidence
    assert min(evidence["noise"], evidence["shuffled"]) > 0.97
    assert evidence["explained_variance"] > 0.97


def test_noise_keeps_the_columns_and_loses_what_they_share():
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(1000, 1)) * [1.0, 2.0, -3.0]).astype(np.float32)
    assert np.corrcoef(rows.T)[0, 2] == pytest.approx(-1)
    for made in noises(rows).values():
        assert made.shape == (256, 3)
        assert np.abs(np.corrcoef(made.T) - np.eye(3)).max() < 0.25
        assert np.allclose(made.std(axis=0), [1, 2, 3], rtol=0.15)


@pytest.mark.slow
def test_a_narrow_or_denoising_model_does_not_copy():
    assert "identity copying" not in found(PCA(latents=10))
    assert "identity copying" not in found(Plain(latents=13, corruption="mask", corruption_level=0.4), steps=4000)


def test_scores_that_differ_by_rounding_are_constant():
    evidence = found(Ill(latents=3, kind="Rankless"))["constant scorer"].evidence
    assert evidence["highest"] - evidence["lowest"] < 1e-5
    assert "constant scorer" in found(PCA(latents=13))  # errors of 1e-14
    assert "constant scorer" not in found(PCA(latents=12))


@pytest.mark.parametrize("kind", ["Rectified", "Squashed"])
def test_outputs_that_stop_short_of_the_data(kind):
    evidence = found(Ill(latents=3, kind=kind))["output out of reach"].evidence
    assert evidence["limit"] == pytest.approx(0, abs=1e-3)
    assert evidence["lowest"] < -1
    assert evidence["beyond"] > 0.1


def test_a_bernoulli_head_on_standardised_data():
    evidence = found(Plain(latents=3, head="bernoulli"))["output out of reach"].evidence
    assert evidence["beyond"] > 0.5
    assert "gaussian" in found(Plain(latents=3, head="bernoulli"))["output out of reach"].remedy


@pytest.mark.slow
def test_outputs_on_the_bounds_of_data_that_end_there_are_in_reach():
    assert "output out of reach" not in found(Plain(latents=16), "digits", scale="unit", steps=800)
    assert "output out of reach" not in found(VAE(latents=4, beta=1000.0))  # the mean, amid the data


def test_no_step_ran(monkeypatch):
    monkeypatch.setattr(Adam, "step", lambda *_: None)
    rows = np.random.default_rng(0).normal(size=(200, 6)).astype(np.float32)
    fitted = fit(Plain(latents=2), rows, plan=Plan(steps=200))
    first, *_ = diagnose(fitted, rows, rows)
    assert (first.name, first.evidence) == ("no training step ran", {"steps": fitted.outcome.steps})
    assert fitted.outcome.steps > 0


def test_steps_too_small_for_float32_are_no_steps():
    assert "no training step ran" in found(Plain(latents=2), learning_rate=1e-12)
    fitted, train, valid = trained(Plain(latents=2))
    none = dataclasses.replace(fitted, outcome=dataclasses.replace(fitted.outcome, steps=0, best_step=0, history={}))
    assert diagnose(none, train, valid)[0].name == "no training step ran"


@pytest.mark.slow
def test_a_wide_network_on_few_rows_learns_them_by_heart():
    evidence = found(Plain(latents=6, hidden=(128,)), rows=32, steps=2000)["over-capacity"].evidence
    assert evidence["parameters"] > evidence["training_values"] == 24 * 13
    assert evidence["validation_error"] > 2 * evidence["training_error"]


@pytest.mark.slow
def test_freedom_without_a_gap_and_a_gap_without_freedom_are_no_over_capacity():
    assert "over-capacity" not in found(Plain(latents=13), steps=2000)  # as wide as a row; copies new rows too
    fitted, train, valid = trained(Plain(latents=2))
    assert "over-capacity" not in [f.name for f in diagnose(fitted, train, 3 * valid)]


@pytest.mark.parametrize(("value", "part"), [(math.nan, "validation rows"), (1e12, "validation rows")])
def test_a_broken_column_is_named(value, part):
    x = np.random.default_rng(0).normal(size=(200, 3))
    held = x[:50].copy()
    held[7, 1] = value
    fitted = fit(Plain(latents=1), x, valid=held, plan=Plan(steps=100), columns=["age", "weight", "height"])
    named = {f.name: f.evidence for f in diagnose(fitted, fitted.layout.apply(x), fitted.layout.apply(held))}
    assert named["broken column"] == {"column": "weight", "rows": 1, "where": part}
    if math.isnan(value):
        assert (named["diverged"]["term"], named["diverged"]["column"]) == ("reconstruction", "weight")
        assert named["diverged"]["step"] == 0
