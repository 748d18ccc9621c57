import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.func import vmap

from isthmus.parts.gates import chosen, topk
from isthmus.train.tape import record


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=8), st.integers(1, 8))
def test_exactly_k_pass_also_among_ties(values, k):
    k = min(k, len(values))
    z = torch.tensor([values], dtype=torch.float64) + 10  # positive, so that what passes can be counted
    gated = topk(z, torch.tensor(k), len(values))
    passed = gated[gated != 0]
    assert sorted(passed.tolist()) == sorted(z[0].tolist())[len(values) - k :]
    assert torch.equal(gated[gated != 0], z[gated != 0])


def test_limit_changes_nothing():
    z = torch.randn(20, 12, generator=torch.Generator().manual_seed(0))
    assert torch.equal(topk(z, torch.tensor(3), 3), topk(z, torch.tensor(3), 12))


def test_k_differs_within_a_stack():
    z = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0))
    ks = torch.tensor([1, 4, 8])
    stacked = vmap(lambda z, k: topk(z, k, 8))(z, ks)
    assert stacked.count_nonzero(2).unique(dim=1).flatten().tolist() == [1, 4, 8]
    for i in range(3):
        assert torch.equal(stacked[i], topk(z[i], ks[i], 8))


def test_gradient_flows_through_what_passes():
    z = torch.tensor([[3.0, 1.0, 2.0]], requires_grad=True)
    topk(z, torch.tensor(2), 3).sum().backward()
    assert z.grad.tolist() == [[1.0, 0.0, 1.0]]


@pytest.mark.parametrize("k", [1, 3, 8])
@pytest.mark.parametrize("ties", [False, True])
def test_a_recorded_gate_follows_the_rule_whether_the_batch_has_ties_or_not(k, ties):
    """Recorded on rows of one kind and replayed on both: the rule is asked where there is a tie, and only there."""
    generator = torch.Generator().manual_seed(k)
    apart = torch.rand(2, 4, 8, generator=generator)
    alike = torch.randint(0, 2, (2, 4, 8), generator=generator).float()
    values, number = (alike if ties else apart).clone(), torch.tensor(k)
    tape = record(vmap(lambda one: topk(one, number, 8)), (values,))
    for rows in (apart, alike, apart):
        values.copy_(rows)
        tape.replay()
        assert torch.equal(tape.result, torch.where(chosen(rows, number, 8), rows, 0.0))
        assert torch.equal(tape.result, topk(rows, number, 8))
