import torch

from isthmus.parts import codebooks


def test_nearest_is_the_smallest_distance():
    generator = torch.Generator().manual_seed(0)
    codes, book = (torch.randn(n, 3, generator=generator, dtype=torch.float64) for n in (50, 7))
    want = torch.cdist(codes, book).argmin(1)
    chosen = codebooks.nearest(codes, book)
    assert torch.equal(chosen.argmax(0), want)
    assert torch.equal(chosen.sum(0), torch.ones(50, dtype=torch.float64))
    assert torch.equal(chosen.t() @ book, book[want])


def test_of_entries_that_tie_the_first_is_picked():
    book = torch.tensor([[1.0], [-1.0], [1.0]])
    picked = codebooks.nearest(torch.tensor([[0.0], [1.0], [1e-7], [-1.0]]), book)
    assert picked.argmax(0).tolist() == [0, 0, 0, 1]
    assert picked.sum(0).tolist() == [1, 1, 1, 1]


def test_moving_averages():
    counts, sums = torch.tensor([2.0, 4.0]), torch.tensor([[1.0], [8.0]])
    codebooks.move(counts, sums, torch.tensor([6.0, 0.0]), torch.tensor([[5.0], [0.0]]), 0.75)
    assert counts.tolist() == [3.0, 3.0]
    assert sums.tolist() == [[2.0], [6.0]]


def test_moving_averages_reach_the_mean_of_a_constant_stream():
    counts, sums = torch.ones(1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    for _ in range(2000):
        seen = torch.tensor([3.0], dtype=torch.float64), torch.tensor([[6.0]], dtype=torch.float64)
        codebooks.move(counts, sums, *seen, 0.99)
    torch.testing.assert_close(sums / counts, torch.full((1, 1), 2.0, dtype=torch.float64))


def random_pairs(n=20, width=5):
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(n, width, generator=generator, dtype=torch.float64) for _ in range(2))


def test_both_estimators_give_the_entries():
    codes, entries = random_pairs()
    for estimator in codebooks.ESTIMATORS.values():
        torch.testing.assert_close(estimator(codes, entries), entries)


def test_straight_passes_the_gradient_as_it_is():
    codes, entries = random_pairs()
    codes.requires_grad_()
    weight = torch.randn_like(entries)
    (got,) = torch.autograd.grad((codebooks.straight(codes, entries) * weight).sum(), codes)
    assert torch.equal(got, weight)


def test_rotate_passes_the_gradient_through_the_explicit_rotation():
    codes, entries = random_pairs()
    jacobian = torch.func.vmap(torch.func.jacrev(lambda z, e: codebooks.rotate(z[None], e[None])[0]))(codes, entries)
    for z, e, got in zip(codes, entries, jacobian, strict=True):
        # the rotation in the plane of z and e, built from an orthonormal basis and the angle between them
        u = z / z.norm()
        v = e - (e @ u) * u
        v = v / v.norm()
        cos, sin = e @ u / e.norm(), e @ v / e.norm()
        plane = torch.outer(u, u) + torch.outer(v, v)
        turn = torch.eye(5, dtype=torch.float64) - plane + cos * plane + sin * (torch.outer(v, u) - torch.outer(u, v))
        torch.testing.assert_close(turn @ turn.t(), torch.eye(5, dtype=torch.float64))
        scaled = e.norm() / z.norm() * turn
        torch.testing.assert_close(scaled @ z, e)
        torch.testing.assert_close(got, scaled)


def test_rotate_without_a_rotation_is_straight():
    z = torch.tensor([[0.0, 0.0], [1.0, 2.0], [1.0, 2.0]], dtype=torch.float64, requires_grad=True)
    e = torch.tensor([[1.0, 0.0], [0.0, 0.0], [-2.0, -4.0]], dtype=torch.float64)
    out = codebooks.rotate(z, e)
    torch.testing.assert_close(out, e)
    (got,) = torch.autograd.grad(out.sum(), z)
    assert torch.equal(got, torch.ones_like(z))


def test_kmeans_finds_clusters_that_are_apart():
    generator = torch.Generator().manual_seed(0)
    centres = 10 * torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [3.0, 3.0]])
    codes = centres.repeat_interleave(50, 0) + torch.randn(200, 2, generator=generator)
    found = codebooks.kmeans(codes, 4)
    assert torch.equal(found, codebooks.kmeans(codes, 4))
    where = codebooks.nearest(codes, found).argmax(0).reshape(4, 50)
    assert all(len(cluster.unique()) == 1 for cluster in where)
    means = torch.stack([c.mean(0) for c in codes.reshape(4, 50, 2)])
    torch.testing.assert_close(found[where[:, 0]], means, rtol=1e-4, atol=1e-4)


def test_kmeans_leaves_less_than_a_sample_and_bears_few_codes():
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(500, 3, generator=generator)
    left = [codebooks.nearest(codes, start(codes, 20)) for start in codebooks.STARTS.values()]
    sample, means = (
        (codes - chosen.t() @ start(codes, 20)).square().sum()
        for chosen, start in zip(left, codebooks.STARTS.values(), strict=True)
    )
    assert means < 0.8 * sample
    for few in (torch.zeros(1, 2), torch.ones(7, 2), torch.randn(3, 2, generator=generator)):
        assert codebooks.kmeans(few, 5).isfinite().all()
        assert codebooks.kmeans(few, 5).shape == (5, 2)


def test_words_are_numbers_in_mixed_radix():
    digits = torch.tensor([[1, 2, 3, 0, 1], [0, 0, 0, 2, 2]])
    got = codebooks.words(digits, torch.tensor([1, 2, 6, 1, 4]))
    assert got.tolist() == [[1 + 4 + 18, 4], [0, 10]]
