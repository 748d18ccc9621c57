"""Loss terms agree with those of pythae 0.1.2 on the same weights, rows and noise (``expected/make_pythae.py``).

pythae sums over the elements of a row; ours are divided by their number, 5. Where the two differ by design, the test
says how.
"""

import json
from pathlib import Path

import pytest
import torch

from isthmus.families.betatc import BetaTC
from isthmus.families.iwae import IWAE
from isthmus.families.rae import RAE
from isthmus.families.vae import VAE
from isthmus.families.vq import VQ
from isthmus.families.wae import WAE

FILE = json.loads((Path(__file__).parent / "expected" / "pythae.json").read_text())
GIVEN = {name: torch.tensor(value, dtype=torch.float64) for name, value in FILE["given"].items()}
WIDTH, LATENTS = 5, 3


def loaded(recipe, head, outputs=LATENTS):
    """Our model with pythae's weights."""
    model = recipe.build((WIDTH,), head).double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in GIVEN:
                parameter.copy_(GIVEN[name][: len(parameter)] if name.startswith("encoder") else GIVEN[name])
    return model


def terms(model, noise=None):
    """Ours, as sums over the elements of a row."""
    found = model(GIVEN["x"], GIVEN["x"], noise).terms
    return {name: WIDTH * term.item() for name, term in found.items()}


def theirs(case, *names):
    return [FILE["pythae"][case][name] for name in names]


@pytest.mark.parametrize(("loss", "head"), [("bce", "bernoulli"), ("mse", "gaussian")])
def test_vae(loss, head):
    scale = "average" if head == "bernoulli" else "unit"  # pythae's gaussian has unit variance
    ours = terms(loaded(VAE(latents=LATENTS, scale=scale), head), GIVEN["noise"])
    assert [ours["reconstruction"], ours["kl"]] == pytest.approx(theirs(f"vae {loss}", "recon_loss", "reg_loss"))


@pytest.mark.parametrize(("loss", "head"), [("bce", "bernoulli"), ("mse", "gaussian")])
def test_iwae(loss, head):
    """The draws' weights agree. pythae then averages them by themselves, held fixed, which has the bound's gradient but
    not its value; ours is the bound."""
    scale = "average" if head == "bernoulli" else "unit"
    model = loaded(IWAE(latents=LATENTS, samples=GIVEN["many"].shape[1], scale=scale), head)
    weights, error = model.log_weights(GIVEN["x"], GIVEN["x"], GIVEN["many"])
    value = -(weights.softmax(1) * weights).sum(1).mean().item()
    assert [WIDTH * error.mean().item(), value] == pytest.approx(theirs(f"iwae {loss}", "recon_loss", "loss"))
    bound = -(weights.exp().mean(1).log()).mean().item()
    assert terms(model, GIVEN["many"])["reconstruction"] == pytest.approx(bound)


def test_betatc():
    """With equal weights; pythae's stratified ones stand in the first two columns instead of beside the diagonal."""
    model = loaded(BetaTC(latents=LATENTS, estimator="weighted"), "bernoulli")
    model.rows.fill_(FILE["sizes"]["rows"])
    ours = terms(model, GIVEN["noise"])
    for name, case in (("information", "1 0 0"), ("correlation", "0 1 0"), ("marginal", "0 0 1")):
        assert [ours["reconstruction"], ours[name]] == pytest.approx(theirs(f"betatc {case}", "recon_loss", "reg_loss"))


def test_wae():
    ours = terms(loaded(WAE(latents=LATENTS), "gaussian"), GIVEN["noise"])
    assert [ours["reconstruction"], ours["mmd"]] == pytest.approx(theirs("wae", "recon_loss", "mmd_loss"))


def test_rae():
    """pythae takes the whole squared error. Its gradient penalty, not compared, is the slope of the summed output with
    respect to the data; ours is the paper's, of the decoder with respect to the code."""
    ours = terms(loaded(RAE(latents=LATENTS), "gaussian"))
    assert [2 * ours["reconstruction"], ours["code"]] == pytest.approx(theirs("rae", "recon_loss", "embedding_loss"))


def test_vq():
    """pythae takes the whole squared error, and the commitment's mean over the elements of a code, not its sum."""
    model = loaded(VQ(latents=LATENTS, width=1, codes=4), "gaussian")
    model.books[0].entries.copy_(GIVEN["book"])
    ours = terms(model)
    assert [2 * ours["reconstruction"], ours["commitment"] / LATENTS] == pytest.approx(
        theirs("vq", "recon_loss", "vq_loss")
    )
