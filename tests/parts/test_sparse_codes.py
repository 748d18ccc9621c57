"""The largest elements of wide rows, and codes of a few units."""

import pytest
import torch

from isthmus.parts import sparse
from isthmus.parts.sparse import Entries, dots, fire, gather, largest

pytestmark = pytest.mark.sensitive


@pytest.mark.parametrize(("width", "k"), [(64, 1), (64, 2), (640, 20), (4096, 32), (4096, 200), (100, 7), (15, 15)])
def test_largest_is_topk(width, k):
    raw = torch.randn(9, width, generator=torch.Generator().manual_seed(width))
    values, index = largest(raw, k)
    wanted = raw.topk(k, dim=1)
    torch.testing.assert_close(values, wanted.values, rtol=0, atol=0)
    torch.testing.assert_close(index, wanted.indices, rtol=0, atol=0)


def test_largest_among_ties():
    raw = torch.zeros(3, 640)
    raw[:, 5:8] = 1.0
    values, index = largest(raw, 10)
    assert values.sum(1).tolist() == [3, 3, 3]
    torch.testing.assert_close(raw.gather(1, index), values)
    assert all(len(set(row)) == 10 for row in index.tolist())


def test_a_rough_search_gives_the_same_units_and_exact_values():
    g = torch.Generator().manual_seed(2)
    x, weight, bias = (torch.randn(s, generator=g) for s in [(50, 64), (3200, 64), (3200,)])
    values, units = fire(x, weight, bias, 16)
    rough, found = fire(x, weight, bias, 16, rough=True)
    torch.testing.assert_close(rough, values, rtol=0, atol=1e-5)
    assert [set(row) for row in found.tolist()] == [set(row) for row in units.tolist()]
    few = fire(x, weight[:20], bias[:20], 16, rough=True)[0]  # fewer units than it would look at
    torch.testing.assert_close(few, fire(x, weight[:20], bias[:20], 16)[0], rtol=0, atol=1e-5)


def test_what_bfloat16_cannot_tell_apart_passes_with_its_own_value():
    weight = 1 + 1e-4 * torch.arange(640.0).unsqueeze(1)  # all of them are 1.0 to three digits
    values, units = fire(torch.ones(1, 1), weight, torch.zeros(640), 3, rough=True)
    torch.testing.assert_close(values, weight[units[0], 0].unsqueeze(0))
    assert (values[0, :-1] >= values[0, 1:]).all()


def test_dots():
    g = torch.Generator().manual_seed(3)
    x, table = (torch.randn(n, 5, generator=g, dtype=torch.float64) for n in (4, 9))
    units = torch.randint(0, 9, (4, 3), generator=g)
    found = dots(x, table, units.flatten(), torch.arange(4).repeat_interleave(3))
    torch.testing.assert_close(found.view(4, 3), torch.einsum("bd,bsd->bs", x, table[units]))


def test_fire_does_not_depend_on_how_many_rows_go_at_once(monkeypatch):
    g = torch.Generator().manual_seed(1)
    x, weight, bias = (torch.randn(s, generator=g, dtype=torch.float64) for s in [(23, 6), (80, 6), (80,)])
    whole = fire(x, weight, bias, 4)
    monkeypatch.setattr(sparse, "ROWS", 5)
    for mine, theirs in zip(fire(x, weight, bias, 4), whole, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)
    dense = torch.zeros(23, 80, dtype=torch.float64).scatter(1, whole[1], whole[0])
    raw = x @ weight.t() + bias
    wanted = torch.where(raw >= raw.topk(4).values[:, -1:], raw, 0.0).relu()
    torch.testing.assert_close(dense, wanted)
    table = torch.randn(80, 3, generator=g, dtype=torch.float64)
    found = Entries.of(*whole)
    torch.testing.assert_close(gather(found.values, found.units, found.rows, 23, table), wanted @ table)
