import pytest
import torch

from isthmus.families.rvq import RVQ
from isthmus.families.vq import VQ
from isthmus.testing import made, rows, train

pytestmark = pytest.mark.sensitive

X = rows((6,), 40)


def book(model, i=0):
    return model.books[i]


def test_codes_are_entries_of_the_book():
    model = made(VQ(latents=6, width=2, codes=5), X, "gaussian")
    z = model.encode(X)
    assert z.shape == (40, 6)
    distance = (z.reshape(-1, 1, 2) - book(model).entries).norm(dim=2)
    assert distance.min(1).values.max() == 0
    raw = model.encoder(X).reshape(-1, 2)
    nearest = torch.cdist(raw, book(model).entries).argmin(1)
    assert torch.equal(nearest, distance.argmin(1))
    assert torch.equal(model.tokens(X), nearest.reshape(40, 3))
    assert model.entries == 5


@pytest.mark.parametrize(("latents", "width"), [(1, 1), (2, 2), (3, 1), (6, 2), (8, 4), (16, 4)])
def test_width_divides_any_code(latents, width):
    assert VQ(latents=latents).entry_width == width


@pytest.mark.parametrize("codebook", ["average", "gradient"])
def test_commitment_is_the_squared_distance_to_the_entry(codebook):
    model = made(VQ(latents=4, codes=3, codebook=codebook), X, "gaussian")
    want = (model.encoder(X) - model.encode(X)).square().sum(1).mean() / 6
    terms = model(X, X).terms
    torch.testing.assert_close(terms["commitment"], want)
    assert ("codebook" in terms) == (codebook == "gradient")
    weight = model.encoder.last.weight
    (got,) = torch.autograd.grad(terms["commitment"], weight, retain_graph=True)
    gap = model.encoder(X) - model.encode(X)
    torch.testing.assert_close(got, 2 * gap.t() @ X / (40 * 6))


def test_gradient_passes_straight_through():
    model = made(VQ(latents=4, codes=3), X, "gaussian")
    (got,) = torch.autograd.grad(model(X, X).terms["reconstruction"], model.encoder.last.weight)
    code = model.encode(X).requires_grad_()
    (at_code,) = torch.autograd.grad(model.misfit(code, X), code)
    torch.testing.assert_close(got, at_code.t() @ X)


def test_gradient_passes_turned_by_the_rotation():
    model = made(VQ(latents=2, width=2, codes=3, estimator="rotation"), X, "gaussian")
    (got,) = torch.autograd.grad(model(X, X).terms["reconstruction"], model.encoder.last.weight)
    raw, code = model.encoder(X).detach(), model.encode(X).detach().requires_grad_()
    (at_code,) = torch.autograd.grad(model.misfit(code, X), code)
    # in the plane a rotation by an angle followed by a stretch is the product with a complex number
    turn = torch.view_as_complex(code.detach().contiguous()) / torch.view_as_complex(raw.contiguous())
    back = torch.view_as_real(turn.conj() * torch.view_as_complex(at_code.contiguous()))
    torch.testing.assert_close(got, back.t() @ X, rtol=1e-4, atol=1e-7)


def test_codebook_term_moves_only_the_entries_and_towards_their_codes():
    model = made(VQ(latents=2, width=2, codes=3, codebook="gradient"), X, "gaussian")
    loss = model(X, X)
    assert torch.equal(loss.terms["codebook"], loss.terms["commitment"])
    assert model.weights["codebook"] == 1.0
    got = torch.autograd.grad(
        loss.terms["codebook"], [book(model).entries, model.encoder.last.weight], allow_unused=True
    )
    counts, sums = loss.seen["counts0"].unsqueeze(1), loss.seen["sums0"]
    torch.testing.assert_close(got[0], 2 * (counts * book(model).entries - sums) / (40 * 6))
    assert got[1] is None
    held = torch.autograd.grad(model(X, X).terms["commitment"], book(model).entries, allow_unused=True)
    assert held == (None,)


def test_book_moves_by_moving_averages():
    model = made(VQ(latents=2, width=2, codes=2, decay=0.5), X, "gaussian")
    one = book(model)
    counts, sums = one.counts.clone(), one.sums.clone()
    seen = model(X, X).seen
    assert seen["counts0"].sum() == 40
    torch.testing.assert_close(seen["sums0"].sum(0), model.encoder(X).sum(0))
    model.absorb(seen)
    torch.testing.assert_close(one.counts, 0.5 * counts + 0.5 * seen["counts0"])
    torch.testing.assert_close(one.sums, 0.5 * sums + 0.5 * seen["sums0"])
    torch.testing.assert_close(one.entries, one.sums / one.counts.unsqueeze(1))


@pytest.mark.parametrize("recipe", [VQ(latents=4, codes=3), RVQ(latents=4, codes=3)])
def test_seen_is_additive(recipe):
    model = made(recipe, X, "gaussian")
    whole, first, second = (model(x, x).seen for x in (X, X[:15], X[15:]))
    for name, fact in whole.items():
        torch.testing.assert_close(fact, first[name] + second[name])


@pytest.mark.parametrize("least", [0.2, 0.0])
@pytest.mark.parametrize("codebook", ["average", "gradient"])
def test_a_forgotten_entry_returns_among_the_codes(codebook, least):
    model = made(VQ(latents=2, width=2, codes=4, codebook=codebook, least=least, decay=0.5), X, "gaussian")
    one = book(model)
    with torch.no_grad():
        one.entries[3] = 1e3
        one.counts[3] = 0.02
        if codebook == "average":
            one.sums[3] = 20.0
    for _ in range(2):  # a learnt entry is put back by the projection that follows
        model.project()
        model.absorb(model(X, X).seen)
    raw = model.encoder(X)
    want = raw.mean(0) + raw.std(0, correction=0) * one.fixed[3]
    if least:
        torch.testing.assert_close(one.entries[3], want, rtol=0.3, atol=1e-5) if codebook == "average" else None
        assert one.entries[3].abs().max() < 10
        assert one.counts[3] > 1
    else:
        torch.testing.assert_close(one.entries[3], torch.full((2,), 1e3))


@pytest.mark.slow
@pytest.mark.parametrize("codebook", ["average", "gradient"])
@pytest.mark.parametrize("estimator", ["straight", "rotation"])
@pytest.mark.parametrize("first", ["sample", "kmeans"])
def test_most_entries_are_used_after_training(codebook, estimator, first):
    x = rows((6,), 200)
    recipe = VQ(latents=4, width=2, codes=16, codebook=codebook, estimator=estimator, first=first)
    model = made(recipe, x, "gaussian")
    train(model, x, steps=200, rate=0.01)
    assert len(model.tokens(x).unique()) >= 12


def test_residual_books_describe_what_the_ones_before_left():
    model = made(RVQ(latents=4, width=2, codes=5, depth=3), X, "gaussian")
    rest = model.encoder(X).reshape(-1, 2)
    whole, commitment = torch.zeros_like(rest), 0.0
    for i in range(3):
        number = torch.cdist(rest, book(model, i).entries).argmin(1)
        assert torch.equal(model.tokens(X).reshape(-1, 3)[:, i], number)
        part = book(model, i).entries[number]
        whole, rest = whole + part, rest - part
        commitment = commitment + rest.square().sum() / (40 * 6)
    torch.testing.assert_close(model.encode(X), whole.reshape(40, 4))
    torch.testing.assert_close(model(X, X).terms["commitment"], commitment)


def test_one_residual_book_is_the_vector_quantiser():
    fields = {"latents": 4, "codes": 5, "first": "sample"}
    one, other = made(RVQ(**fields, depth=1), X, "gaussian"), made(VQ(**fields), X, "gaussian")
    train(one, X, 5, 0.01)
    train(other, X, 5, 0.01)
    assert torch.equal(one.encode(X), other.encode(X))


def test_more_books_leave_less():
    errors = []
    for depth in (1, 2, 4):
        model = made(RVQ(latents=4, width=2, codes=8, depth=depth), X, "gaussian")
        errors.append((model.encoder(X) - model.encode(X)).square().mean().item())
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
