"""A replayed step gives the bits of the eager one, on other data than it was recorded on."""

import pytest
import torch
from torch.func import vmap

from isthmus.train.tape import Untraceable, record


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_replay_gives_the_bits_of_the_eager_step_on_new_inputs():
    generator = torch.Generator().manual_seed(0)
    weight, x = torch.randn(3, 5, 4, generator=generator), torch.randn(3, 7, 5, generator=generator)

    def step(weight, x):
        weight = weight.detach().requires_grad_()
        with torch.enable_grad():
            loss = vmap(lambda w, x: torch.tanh(x @ w).square().mean())(weight, x)
            (gradient,) = torch.autograd.grad(loss.sum(), [weight])
        return gradient, loss

    tape = record(step, (weight, x))
    for _ in range(3):
        weight.copy_(torch.randn(weight.shape, generator=generator))
        x.copy_(torch.randn(x.shape, generator=generator))
        tape.replay()
        assert equal(tape.result, step(weight, x))


def test_only_what_is_wanted_is_computed():
    x = torch.ones(4)
    tape = record(lambda x: (x * 2, torch.exp(x)), (x,))
    x.fill_(3.0)
    tape.replay(tape.result[0])
    assert torch.equal(tape.result[0], torch.full((4,), 6.0))
    assert torch.equal(tape.result[1], torch.ones(4).exp())  # untouched
    tape.replay()
    assert torch.equal(tape.result[1], torch.full((4,), 3.0).exp())


def test_operations_in_place_on_inputs_and_on_fresh_tensors_are_replayed():
    clock, x = torch.zeros(3), torch.tensor([2.0, 0.0, 1.0])

    def step(clock, x):
        clock.add_(1).mul_(x == 0)
        top = torch.zeros(3)
        top.scatter_(0, x.argmax(keepdim=True), 1.0)
        return top

    tape = record(step, (clock, x))
    assert clock.tolist() == [0, 1, 0]
    assert tape.result.tolist() == [1, 0, 0]
    x.copy_(torch.tensor([0.0, 0.0, 5.0]))
    tape.replay()
    assert clock.tolist() == [1, 2, 0]
    assert tape.result.tolist() == [0, 0, 1]


def test_several_outputs_and_operators_without_an_out_form():
    x = torch.rand(6, generator=torch.Generator().manual_seed(0))

    def step(x):
        values, index = x.topk(2)
        return values, index, (x > 0.5).to(x.dtype)

    tape = record(step, (x,))
    x.copy_(torch.rand(6, generator=torch.Generator().manual_seed(1)))
    tape.replay()
    assert equal(tape.result, step(x))


def test_constants_are_computed_once():
    x = torch.ones(2)
    tape = record(lambda x: x * torch.arange(2.0).exp(), (x,))
    tape.replay()
    assert len(tape._programs[id(tape.result)]) == 1


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (lambda x: x * x.sum().item(), "reads a value"),
        (lambda x: x[x > 0.5], "reads a value"),
        (lambda x: x + torch.rand(3), "random numbers"),
        (lambda x: torch.nn.functional.dropout(x, 0.5), "random numbers"),
    ],
)
def test_what_a_replay_could_not_repeat_is_refused(step, words):
    with pytest.raises(Untraceable, match=words):
        record(step, (torch.rand(3),))
