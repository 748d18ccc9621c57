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


def test_exact_ties_share():
    book = torch.tensor([[1.0], [-1.0], [1.0]])
    third, half = 1 / 3, 0.5
    picked = codebooks.nearest(torch.tensor([[0.0], [1.0]]), book)
    torch.testing.assert_close(picked, torch.tensor([[third, half], [third, 0.0], [third, half]]))


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
