"""The contract of a family, as plain functions: run them on a family of your own.

Each check takes a recipe, builds small models from it and raises ``AssertionError`` with a sentence if the contract is
broken. ``CHECKS`` lists them all.

Examples
--------
>>> from isthmus.families import named
>>> for check in CHECKS[:3]:
...     check(named("plain"))
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
import json
from collections.abc import Callable
from typing import Any

import torch
from sklearn.base import clone
from torch import Tensor
from torch.func import functional_call

from isthmus import families
from isthmus.abilities import OF_MODELS, Discrete, HasPrior
from isthmus.model import Loss, Model, Recipe
from isthmus.testing.bench import Shape, State, by_hand, engine, leaves, made, noise, rows, state, step, train, weights
from isthmus.testing.variants import Fingerprints, alternatives, changed, proposals, spread
from isthmus.train.stack import free

ENGINE_STEPS = 3
"""One that is recorded, and two replays."""
CLOSE = 1e-6
"""Adam divides a gradient by its size plus 1e-8, so one that is all rounding, 1e-16 times a few hundred terms, moves a
weight by the rate times 1e-6; what is trained otherwise differs by the rate itself, 1e-2."""
LEFT = 0.25
"""Share of the variance that a family may leave on rows that it has learnt."""

__all__ = ["CHECKS", "made", "noise", "rows", "state", "step", "train", "weights"]


def check_shapes(recipe: Recipe, shape: Shape = (6,), head: str = "bernoulli") -> None:
    """(B, *D) -> (B, L) -> (B, *D), for any B, with finite values."""
    model = made(recipe, rows(shape), head)
    for x in (rows(shape, 5), rows(shape, 1), torch.zeros(2, *shape), torch.ones(2, *shape)):
        z = model.encode(x)
        assert z.shape == (len(x), recipe.latents), f"encode gave {tuple(z.shape)}, not {(len(x), recipe.latents)}"
        back = model.decode(z)
        assert back.shape == x.shape, f"decode gave {tuple(back.shape)}, not {tuple(x.shape)}"
        assert z.isfinite().all(), "encode is not finite"
        assert back.isfinite().all(), "decode is not finite"
        if head == model.head == "bernoulli":
            assert (back >= 0).all() and (back <= 1).all(), "the mean of a bernoulli head left [0, 1]"  # noqa: PT018
    assert model.shape == shape, "Model.shape must be the shape of a row"
    assert model.latents == recipe.latents, "Model.latents must be the width of the code"


def check_terms(recipe: Recipe, shape: Shape = (6,), head: str = "bernoulli") -> None:
    """Terms are finite scalars under the keys of ``weights``; what was seen is detached; one row is enough."""
    for x in (rows(shape, 7), rows(shape, 1), torch.zeros(3, *shape)):
        model = made(recipe, x, head)
        for drawn in (noise(model, x), None):
            loss = model(x, x, drawn)
            assert isinstance(loss, Loss), "forward must return a Loss"
            assert set(loss.terms) == set(model.weights), f"terms {set(loss.terms)}, weights {set(model.weights)}"
            for name, term in loss.terms.items():
                assert term.shape == (), f"term {name} is not a scalar"
                assert term.isfinite(), f"term {name} is not finite on {len(x)} rows"
            for name, fact in loss.seen.items():
                assert not fact.requires_grad, f"seen {name} is not detached"


def check_gradients(recipe: Recipe, shape: Shape = (6,), head: str = "bernoulli") -> None:
    """Every parameter gets a finite gradient that is not zero throughout.

    Not on all rows that the model starts from: a bias that the start solves has none there, up to rounding.
    """
    x = rows(shape)
    model, x = made(recipe, x, head), x[1:]
    grads = step(model)(*state(model), weights(model), x, x, noise(model, x))[0]
    for name, grad in grads.items():
        assert grad.isfinite().all(), f"the gradient of {name} is not finite"
        assert grad.any(), f"{name} gets no gradient"


def check_overfits(recipe: Recipe, shape: Shape = (6,), head: str = "bernoulli") -> None:
    """32 rows with two factors are learnt to three quarters of their variance, with penalties turned down to 1 %.

    A penalty that cannot be a term of its own has its weight in a buffer, which ``inner_weights`` of the model names.
    Training ends once they are, as judged with the clock of a model at its end: 400 steps are the most it may take.
    """
    x = rows(shape)
    model = made(recipe, x, head)
    for name in model.inner_weights:
        model.get_buffer(name).mul_(0.01)
    model.weights = {k: 1.0 if k.endswith("reconstruction") else 0.01 for k in model.weights}

    def error() -> float:
        weights(model, 1.0)
        with torch.no_grad():
            return float((model.decode(model.encode(x)) - x).square().mean() / (x - x.mean(0)).square().mean())

    train(model, x, steps=400, rate=0.03, enough=lambda: error() < LEFT)
    assert error() < LEFT, f"after 400 steps {error():.1%} of the variance is left"


def check_encode(recipe: Recipe, shape: Shape = (6,), head: str = "bernoulli") -> None:
    """Encoding is deterministic and treats each row alone."""
    x = rows(shape).double()
    model = made(recipe, rows(shape), head).double()
    z = model.encode(x)
    assert torch.equal(z, model.encode(x)), "encode gives another code the second time"
    alone = torch.cat([model.encode(row.unsqueeze(0)) for row in x])
    torch.testing.assert_close(alone, z, msg=lambda m: f"the code of a row depends on the other rows: {m}")


def check_noise(recipe: Recipe, shape: Shape = (6,), head: str = "bernoulli") -> None:
    """What is drawn, noise and codes of a prior, follows from the generator that is given, and from no other."""
    x = rows(shape)
    model = made(recipe, x, head)
    draws: list[Callable[[int], Any]] = [lambda seed: noise(model, x, seed)]
    if isinstance(model, HasPrior):
        prior = model.prior
        draws += [lambda seed: prior(9, torch.Generator().manual_seed(seed))]
    for draw in draws:
        first, again, other = (leaves(draw(seed)) for seed in (0, 0, 1))
        assert all(map(torch.equal, first, again)), "one seed gives other numbers the second time"
        assert not first or not all(map(torch.equal, first, other)), "another seed gives the same numbers"


def check_abilities(recipe: Recipe, shape: Shape = (6,), head: str = "bernoulli") -> None:
    """What a model can do beyond the protocol (:mod:`isthmus.abilities`) it can do wholly, or it has none of it."""
    model = made(recipe, rows(shape), head)
    given = {name for name in dir(type(model)) if not name.startswith("_")}
    for ability in OF_MODELS:
        methods = {name: own for name, own in inspect.getmembers(ability, inspect.isfunction) if name[0] != "_"}
        if not given & methods.keys():
            continue
        named = f"{ability.__name__} (isthmus.abilities)"
        assert isinstance(model, ability), f"it has {', '.join(sorted(given & methods.keys()))}, but not all of {named}"
        for name, own in methods.items():
            takes, wanted = (list(inspect.signature(f).parameters) for f in (getattr(type(model), name), own))
            assert takes == wanted, f"{name} takes {', '.join(takes)}; {named} wants {', '.join(wanted)}"


def check_symbols(recipe: Recipe, shape: Shape = (6,), head: str = "bernoulli") -> None:
    """Symbols lie among the entries of a discrete model, and ``embed`` makes the code of them again."""
    x = rows(shape)
    model = made(recipe, x, head)
    if not isinstance(model, Discrete):
        return
    tokens = model.tokens(x)
    assert tokens.dtype == torch.int64 and tokens.ndim == 2, "tokens must be int64, (rows, positions)"  # noqa: PT018
    assert 0 <= int(tokens.min()) <= int(tokens.max()) < model.entries, "a symbol lies outside the entries"
    torch.testing.assert_close(model.embed(tokens), model.encode(x), msg="embed(tokens(x)) is not encode(x)")


def check_pure(recipe: Recipe, shape: Shape = (6,), head: str = "bernoulli") -> None:
    """``forward``, ``encode`` and ``decode`` write nothing."""
    x = rows(shape)
    model = made(recipe, x, head)
    before = {k: v.clone() for part in state(model) for k, v in part.items()}
    model(x, x, noise(model, x))
    model.decode(model.encode(x))
    after = {k: v for part in state(model) for k, v in part.items()}
    changed = [k for k in before if not torch.equal(before[k], after[k])]
    assert not changed, f"forward changed {', '.join(changed)}"


def check_saved(recipe: Recipe, shape: Shape = (6,), head: str = "bernoulli") -> None:
    """Recipe through JSON and ``clone``, tensors through ``state_dict``: the same model comes back."""
    x = rows(shape)
    model = made(recipe, x, head)
    train(model, x, steps=3, rate=0.01)
    text = json.dumps(recipe.to_json())
    again = families.read(type(recipe), json.loads(text))
    assert again.to_json() == recipe.to_json() == clone(recipe).to_json(), "the recipe changed on its way through JSON"
    twin = again.build(shape, head)
    twin.load_state_dict({k: v.clone() for k, v in model.state_dict().items()})
    drawn = noise(model, x)
    for name, term in model(x, x, drawn).terms.items():
        assert torch.equal(term, twin(x, x, drawn).terms[name]), f"term {name} changed"
    assert torch.equal(model.encode(x), twin.encode(x)), "the code changed"
    assert torch.equal(model.decode(model.encode(x)), twin.decode(twin.encode(x))), "the reconstruction changed"


def check_gradcheck(recipe: Recipe, shape: Shape = (6,), head: str = "bernoulli") -> None:
    """The gradient of every term is its derivative, in float64.

    Two attributes of :class:`isthmus.model.Model` leave something out: ``estimated_gradients``, and ``sides``, whose
    parameters must get no gradient from their term at all.
    """
    x = rows(shape, 6).double()
    model = made(recipe, rows(shape), head).double()
    with torch.no_grad():  # biases of zero put rectified units whose inputs are silent on their kink: move off it
        for p in model.parameters():
            p.add_(0.01 * torch.randn(p.shape, generator=torch.Generator().manual_seed(0)))
    drawn = noise(model, x)
    exempt, sides = model.estimated_gradients, model.sides
    alike = [name for name in model.weights if name not in sides]
    for names, hidden in [(alike, ()), *(([name], prefixes) for name, prefixes in sides.items())]:
        left_out = exempt + hidden
        free: State = {k: p for k, p in model.named_parameters() if not (left_out and k.startswith(left_out))}
        fixed = {k: p.detach() for k, p in model.named_parameters() if k not in free} | dict(model.named_buffers())

        def terms(
            *values: Tensor, names: list[str] = names, free: State = free, fixed: State = fixed
        ) -> tuple[Tensor, ...]:
            loss = functional_call(model, fixed | dict(zip(free, values, strict=True)), (x, x, drawn))
            return tuple(loss.terms[name] for name in names if loss.terms[name].requires_grad)

        if free:
            inputs = tuple(p.detach().clone().requires_grad_() for p in free.values())
            assert torch.autograd.gradcheck(terms, inputs, fast_mode=True)
    loss = model(x, x, drawn)
    for name, hidden in sides.items():
        seen = [p for k, p in model.named_parameters() if k.startswith(hidden)]
        through = torch.autograd.grad(loss.terms[name], seen, retain_graph=True, allow_unused=True)
        assert all(g is None or not g.any() for g in through), f"term {name} moves what it should see detached"


def check_stack(recipe: Recipe, shape: Shape = (6,), head: str = "bernoulli") -> None:
    """Three replicates in one stack of the engine end where plain PyTorch takes each alone.

    They differ in their rows, seeds and all fields that stack. In float64, where only another meaning makes a
    difference; the first step is recorded, the others are replayed on other rows, noise, weights and clocks.
    """
    recipes = spread(recipe)
    models = [made(r, rows(shape, 16, seed), head, seed).double() for seed, r in enumerate(recipes)]
    _follows(models if models[0].stacks else models[:1], shape)


def check_tape(recipe: Recipe, shape: Shape = (6,), head: str = "bernoulli") -> None:
    """One model in the engine, whose steps are recorded once and replayed, ends where plain PyTorch takes it."""
    _follows([made(recipe, rows(shape, 16), head).double()], shape)


def _follows(models: list[Model], shape: Shape) -> None:
    if not free(models[0]):
        return
    batches = [[rows(shape, 9, 10 * i + k).double() for k in range(ENGINE_STEPS)] for i in range(len(models))]
    alone = copy.deepcopy(models)
    engine(models, batches, rate=0.01)
    for model, own, number in zip(alone, batches, range(len(alone)), strict=True):
        by_hand(model, own, rate=0.01, seed=number)
        for mine, theirs in zip(state(models[number]), state(model), strict=True):
            for name, value in theirs.items():
                said = f"the engine trains {name} otherwise than plain PyTorch"
                torch.testing.assert_close(mine[name], value, rtol=CLOSE, atol=CLOSE, msg=said)


def check_fields(recipe: Recipe, shape: Shape = (6,), head: str = "bernoulli") -> None:
    """Every field has an effect, alone or beside one other, on results or on what is accepted; or it cannot change."""
    names = [f.name for f in dataclasses.fields(recipe)]
    choices = {name: alternatives(recipe, name, shape) for name in names}
    known = Fingerprints(shape, head)
    for i, name in enumerate(names):
        values = choices[name]
        near = [(other, choices[other] or proposals(recipe, other)) for other in _near(names, i)]
        company = [{other: v} for other, given in near for v in given[:2]]
        company.insert(1, {})  # most fields speak beside hidden layers too, and some only there
        if not values:  # refused alone; beside another field (norm, once there are hidden layers) it may be accepted
            asked = proposals(recipe, name)
            values = [v for v in asked if any(changed(recipe, {**e, name: v}, shape) for e in company)]
            company = [e for e in company if any(changed(recipe, {**e, name: v}, shape) for v in values)]
        if values and not any(_tells(recipe, extra, name, values, known) for extra in company):
            raise AssertionError(f"{recipe.family}: field {name} is ignored")


def _near(names: list[str], i: int) -> list[str]:
    """The other fields, those first that may help the field of number i to speak: the layers, then its neighbours."""
    order = sorted(range(len(names)), key=lambda j: (names[j] != "hidden", abs(j - i), j < i))
    return [names[j] for j in order if j != i]


def _tells(recipe: Recipe, extra: dict[str, Any], name: str, values: list[Any], known: Fingerprints) -> bool:
    """Whether one of the values of a field has an effect once the fields in ``extra`` are set.

    Where these do nothing beside the field's own default, and are refused, its values are held against each other.
    """
    ground = changed(recipe, extra, known.shape)
    if ground is None:
        ways = [way for value in values if (way := changed(recipe, {**extra, name: value}, known.shape)) is not None]
        return any(not known.alike(ways[0], other) for other in ways[1:])
    others = (changed(ground, {name: value}, known.shape) for value in values)
    return any(other is None or not known.alike(ground, other) for other in others)


CHECKS: list[Callable[..., None]] = [
    check_shapes,
    check_terms,
    check_gradients,
    check_overfits,
    check_encode,
    check_noise,
    check_abilities,
    check_symbols,
    check_pure,
    check_saved,
    check_gradcheck,
    check_stack,
    check_tape,
    check_fields,
]
"""All checks: ``check(recipe, shape=(6,), head="bernoulli")``."""
