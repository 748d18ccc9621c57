import pytest
import torch

from isthmus.families.vq import LEAST_COUNT, VQ
from isthmus.testing import made, rows, train

X = rows((6,), 40)


def test_codes_are_entries_of_the_book():
    model = made(VQ(latents=6, width=2, codes=5), X, "gaussian")
    z = model.encode(X)
    assert z.shape == (40, 6)
    distance = (z.reshape(-1, 1, 2) - model.book).norm(dim=2)
    assert distance.min(1).values.max() == 0
    raw = model.encoder(X).reshape(-1, 2)
    assert torch.equal(torch.cdist(raw, model.book).argmin(1), distance.argmin(1))


@pytest.mark.parametrize(("latents", "width"), [(1, 1), (2, 2), (3, 1), (6, 2), (8, 4), (16, 4)])
def test_width_divides_any_code(latents, width):
    assert VQ(latents=latents).entry_width == width


def test_commitment_is_the_squared_distance_to_the_entry():
    model = made(VQ(latents=4, codes=3), X, "gaussian")
    want = (model.encoder(X) - model.encode(X)).square().sum(1).mean() / 6
    torch.testing.assert_close(model(X, X).terms["commitment"], want)


def test_gradient_passes_straight_through():
    model = made(VQ(latents=4, codes=3), X, "gaussian")
    weight = model.encoder.layers[0].weight
    (got,) = torch.autograd.grad(model(X, X).terms["reconstruction"], weight)
    code = model.encode(X).requires_grad_()
    (at_code,) = torch.autograd.grad(model.misfit(code, X), code)
    torch.testing.assert_close(got, at_code.t() @ X)


def test_book_moves_by_moving_averages():
    model = made(VQ(latents=2, width=2, codes=2, decay=0.5), X, "gaussian")
    counts, sums = model.counts.clone(), model.sums.clone()
    seen = model(X, X).seen
    assert seen["counts"].sum() == 40
    torch.testing.assert_close(seen["sums"].sum(0), model.encoder(X).sum(0))
    model.absorb(seen)
    torch.testing.assert_close(model.counts, 0.5 * counts + 0.5 * seen["counts"])
    torch.testing.assert_close(model.sums, 0.5 * sums + 0.5 * seen["sums"])
    torch.testing.assert_close(model.book, model.sums / model.counts.unsqueeze(1))


def test_seen_is_additive():
    model = made(VQ(latents=4, codes=3), X, "gaussian")
    whole, first, second = (model(x, x).seen for x in (X, X[:15], X[15:]))
    for name, fact in whole.items():
        torch.testing.assert_close(fact, first[name] + second[name])


def test_a_forgotten_entry_returns_among_the_codes():
    model = made(VQ(latents=2, width=2, codes=4), X, "gaussian")
    with torch.no_grad():
        model.book[3] = 1e3
        model.sums[3] = 1e3 * LEAST_COUNT
        model.counts[3] = LEAST_COUNT
    seen = model(X, X).seen
    model.absorb(seen)
    raw = model.encoder(X)
    want = raw.mean(0) + raw.std(0, correction=0) * model.fixed[3]
    torch.testing.assert_close(model.book[3], want, rtol=1e-4, atol=1e-5)


def test_most_entries_are_used_after_training():
    x = rows((6,), 200)
    model = made(VQ(latents=4, width=2, codes=16), x, "gaussian")
    train(model, x, steps=300, rate=0.01)
    used = model(x, x).seen["counts"] > 0
    assert used.sum() >= 12
