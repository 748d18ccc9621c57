"""Fine-tuning on labels: against a loop by hand, what is trained and what is not, and that it helps."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch.nn import functional

from isthmus.errors import BadInput
from isthmus.families import named
from isthmus.seeds import seed
from isthmus.train.finetune import Labelled, _aside, finetune
from isthmus.train.fitted import fit
from isthmus.train.order import Order
from isthmus.train.plan import Plan

ORDER = np.random.default_rng(0).permutation(1797)
X, Y = (part[ORDER] for part in load_digits(return_X_y=True))
SHORT = Plan(steps=40, check=40, batch=32, learning_rate=1e-2, schedule="constant")


@pytest.fixture(scope="module")
def pretrained():
    recipe = named("denoising").set_params(hidden=(48,), latents=16)
    return fit(recipe, X[:1300], plan=Plan(steps=600), scale="unit")


@pytest.mark.slow
@pytest.mark.sensitive
def test_it_ends_where_a_loop_by_hand_ends(pretrained):
    """Cross-entropy on standardised codes, Adam on all that the code depends on."""
    tuned = finetune(pretrained, X[:100], Y[:100], valid=X[100:200], valid_y=Y[100:200], plan=SHORT, seed=3)
    body = copy.deepcopy(pretrained.model)
    top = torch.nn.Linear(16, 10)
    torch.nn.init.zeros_(top.weight)
    torch.nn.init.zeros_(top.bias)
    rows, labels = torch.tensor(X[:100] / 16, dtype=torch.float32), torch.tensor(Y[:100])
    with torch.no_grad():
        codes = body.encode(rows)
    mean, spread = codes.mean(0), codes.std(0, correction=0)

    def logits(x):
        return top((body.encode(x) - mean) / spread)

    optimiser = torch.optim.Adam([*body.encoder.parameters(), *top.parameters()], lr=1e-2)
    order = Order(100, seed(3, "order"))
    for _ in range(40):
        numbers = order.take(32)
        optimiser.zero_grad()
        functional.cross_entropy(logits(rows[numbers]), labels[numbers]).backward()
        optimiser.step()
    with torch.no_grad():
        held = torch.tensor(X[100:200] / 16, dtype=torch.float32)
        expected = torch.softmax(logits(held), 1).numpy()
        loss = float(functional.cross_entropy(logits(held), torch.tensor(Y[100:200])))
    np.testing.assert_allclose(tuned.predict_proba(X[100:200]), expected, rtol=2e-3, atol=1e-4)
    assert tuned.outcome.history["valid"][-1] == pytest.approx(loss, rel=1e-3)
    assert tuned.outcome.history["valid"][0] == pytest.approx(np.log(10), rel=1e-5)
    np.testing.assert_array_equal(tuned.predict(X[:9]), tuned.predict_proba(X[:9]).argmax(1))


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [False, True])
def test_what_is_trained_and_what_is_not(pretrained, frozen):
    before = {k: v.clone() for k, v in pretrained.model.state_dict().items()}
    tuned = finetune(pretrained, X[:100], Y[:100], plan=SHORT, frozen=frozen)
    for key, value in pretrained.model.state_dict().items():
        assert torch.equal(value, before[key])
        stays = frozen or key.startswith("decoder")
        assert torch.equal(tuned.model.state_dict()[f"body.{key}"], value) == stays, key


@pytest.mark.slow
def test_frozen_is_logistic_regression_on_the_code(pretrained):
    """Trained to the end, the linear layer is scikit-learn's, without a penalty."""
    plan = Plan(steps=3000, learning_rate=0.05, batch=300, tolerance=1e-5)
    tuned = finetune(pretrained, X[:300], Y[:300] % 2, valid=X[:300], valid_y=Y[:300] % 2, plan=plan, frozen=True)
    codes = pretrained.encode(X)
    codes = (codes - codes[:300].mean(0)) / codes[:300].std(0)
    exact = LogisticRegression(C=1e9, max_iter=5000).fit(codes[:300], Y[:300] % 2)
    same = tuned.predict(X[300:]) == exact.predict(codes[300:])
    assert same.mean() > 0.97


@pytest.mark.slow
def test_fine_tuning_beats_the_frozen_code_and_an_untrained_encoder(pretrained):
    """On rows that nothing saw, with 300 labels."""
    blank = fit(pretrained.recipe, X[:1300], plan=Plan(steps=1, check=1), scale="unit")
    accuracy = {
        name: np.mean(finetune(base, X[:300], Y[:300], seed=0, frozen=frozen).predict(X[1300:]) == Y[1300:])
        for name, base, frozen in (
            ("tuned", pretrained, False), ("frozen", pretrained, True), ("blank frozen", blank, True),
        )
    }  # fmt: skip
    assert accuracy["tuned"] > accuracy["frozen"] > accuracy["blank frozen"]
    assert accuracy["tuned"] > 0.9


@pytest.mark.slow
def test_options_have_their_effect(pretrained):
    usual = {"plan": SHORT, "seed": 0}
    base = finetune(pretrained, X[:100], Y[:100], **usual)
    same = finetune(pretrained, X[:100], Y[:100], **usual)
    np.testing.assert_array_equal(base.predict_proba(X[:20]), same.predict_proba(X[:20]))
    for change in (
        {"corrupt": True},
        {"frozen": True},
        {"seed": 1},
        {"classes": 11},
        {"plan": replace(SHORT, steps=9)},
    ):
        other = finetune(pretrained, X[:100], Y[:100], **(usual | change))
        assert not np.array_equal(base.predict_proba(X[:20])[:, :10], other.predict_proba(X[:20])[:, :10]), change
    heard = []
    finetune(pretrained, X[:100], Y[:100], watch=heard.append, **usual)
    assert [p.step for p in heard] == [40]


def test_a_fifth_of_each_label_is_held_out_and_no_label_is_lost():
    labels = np.repeat([0, 1, 2], [50, 10, 3])
    held = _aside(labels, 0)
    assert [int(held[labels == k].sum()) for k in range(3)] == [10, 2, 0]
    assert not np.array_equal(held, _aside(labels, 1))


@pytest.mark.slow
def test_targets_and_tied_weights_and_other_codes_can_be_fine_tuned():
    for name, fields in (("plain", {"tied": True}), ("vae", {}), ("topk", {}), ("kl", {})):
        base = fit(named(name).set_params(**fields), X[:200], plan=Plan(steps=20, check=20))
        tuned = finetune(base, X[:200], Y[:200], plan=SHORT)
        assert tuned.outcome.history["valid"][-1] < tuned.outcome.history["valid"][0]
    pairs = fit(named("plain"), X[:200], X[:200][:, ::-1], plan=Plan(steps=20, check=20))
    assert finetune(pairs, X[:200], Y[:200], plan=SHORT).predict_proba(X[:3]).shape == (3, 10)


@pytest.mark.slow
def test_what_does_not_fit_together_is_refused(pretrained):
    plain = fit(named("plain"), X[:50], plan=Plan(steps=2, check=2))
    with pytest.raises(BadInput, match="got 50 rows and 49 labels"):
        finetune(pretrained, X[:50], Y[:49])
    for wrong in (Y[:50] - 5, Y[:50] / 2, Y[:50, None]):
        with pytest.raises(BadInput, match="labels must be whole numbers from 0"):
            finetune(pretrained, X[:50], wrong)
    with pytest.raises(BadInput, match="labels must lie below classes = 3"):
        finetune(pretrained, X[:50], Y[:50], classes=3)
    with pytest.raises(BadInput, match="valid and valid_y go together"):
        finetune(pretrained, X[:50], Y[:50], valid=X[:50])
    with pytest.raises(BadInput, match="needs a recipe with a corruption"):
        finetune(plain, X[:50], Y[:50], corrupt=True)
    pca = fit(named("pca"), X[:50])
    with pytest.raises(BadInput, match="no gradient reaches the encoder"):
        finetune(pca, X[:50], Y[:50])
    assert finetune(pca, X[:50], Y[:50], plan=SHORT, frozen=True).outcome.steps == 40


def test_the_probabilities_of_a_row_sum_to_one(pretrained):
    model = Labelled(pretrained.model, 4)
    np.testing.assert_allclose(model.reconstruct(torch.rand(5, 64)).sum(1).detach(), np.ones(5), rtol=1e-6)
