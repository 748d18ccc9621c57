"""Training in stages: the layers of a deep encoder one after the other, then the decoder, then all together.

Hinton and Salakhutdinov (2006), Reducing the dimensionality of data with neural networks, Science 313; Bengio, Lamblin,
Popovici and Larochelle (2007), Greedy layer-wise training of deep networks, NIPS; Vincent, Larochelle, Lajoie, Bengio
and Manzagol (2010), Stacked denoising autoencoders, JMLR 11.

1. Each layer of the encoder, from the data to the code, is trained as a one-layer autoencoder of the same family and
   recipe, with the same corruption and penalties, on the clean codes of the layer below. Its encoder becomes the layer,
   its decoder the layer's mirror image.
2. The decoder is trained while all else is frozen.
3. All is trained together.

Half of the plan's steps go to the last stage, the rest in equal parts to those before; each has its own learning rate
and stops early as any training does. Schedules of the loss (warm-up, annealing) run in the training of each layer by
itself and are over in stages 2 and 3, which keep the best weights seen, those they began with included, so that the
whole never ends worse on the validation rows than it was when its layers were put together. There is no loop here:
every stage is a call of :func:`isthmus.train.loop.train`, and stacks form in each of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from isthmus.abilities import HasPreBias
from isthmus.errors import BadInput
from isthmus.model import Model, Recipe
from isthmus.parts.backbones import Decoder, Encoder, TiedDecoder
from isthmus.parts.encoder_decoder import EncoderDecoder
from isthmus.seeds import seed
from isthmus.train import loop
from isthmus.train.cause import Cause
from isthmus.train.checkpoint import Keeper
from isthmus.train.loop import Check, Outcome, Watch, begin
from isthmus.train.plan import Plan
from isthmus.train.ranks import Ranks
from isthmus.train.stack import free
from isthmus.train.task import Task

REMEDY = "use stages=together"
ROWS = 4096  # rows that go through the layers below at once


def train(
    tasks: Sequence[Task], watch: Watch | None = None, keeper: Keeper | None = None, ranks: Ranks | None = None
) -> list[Outcome]:
    """Train models as their plans say, in stages or in one; see :func:`isthmus.train.loop.train`.

    A family in closed form has nothing to divide into stages and is fitted as ever.

    Raises
    ------
    BadInput
        If a plan wants stages of a model that has no layers to train one by one.
    """
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, task in enumerate(tasks):
        staged = task.plan.stages == "layerwise" and free(task.model)
        groups.setdefault((len(_layers(task)), task.plan.steps) if staged else (), []).append(i)
    outcomes: dict[int, Outcome] = {}
    for key, numbers in groups.items():
        chosen = [tasks[i] for i in numbers]
        plain = [t._replace(plan=replace(t.plan, stages="together")) for t in chosen]
        engine = _layerwise if key else loop.train
        outcomes |= zip(numbers, engine(plain, watch, keeper, ranks), strict=True)
    return [outcomes[i] for i in range(len(tasks))]


@dataclass
class _Course:
    """One model on its way through the stages."""

    task: Task
    outcomes: list[Outcome] = field(default_factory=list)

    def rows(self, layer: int) -> tuple[Tensor, Tensor]:
        """What a layer of the encoder reads, for training and validation rows: the rows, or codes (n, width)."""
        if layer == 0:
            return self.task.train, self.task.valid
        model, wanted = self.task.model, _layers(self.task)[layer]
        return _read(model, wanted, self.task.train), _read(model, wanted, self.task.valid)

    def alone(self, layer: int, plan: Plan) -> Task:
        """The training of one layer as an autoencoder of its own."""
        recipe, train, valid = _single(self.task.recipe, layer, _layers(self.task)), *self.rows(layer)
        hidden = self.task.recipe.activation
        shape, number = tuple(train.shape[1:]), seed(self.task.seed, "layer", layer)
        own = self.task.model.head if self.task.target is None else "gaussian"
        head = own if layer == 0 else "bernoulli" if hidden == "sigmoid" else "gaussian"
        try:
            model = recipe.build(shape, head, number=seed(number, "weights"))
        except BadInput as error:
            raise BadInput(f"stages: layer {layer + 1} of the encoder would be trained by itself: {error}") from error
        code, width = (
            model.code if isinstance(model, EncoderDecoder) else "identity",
            _layers(self.task)[layer].out_features,
        )
        deep = layer < len(_layers(self.task)) - 1
        if deep and code not in {"identity", hidden}:
            raise BadInput(
                f"stages: a layer of {recipe.family} by itself has a {code} code, its hidden layers are "
                f"{hidden}: set activation={code}"
            )
        if deep and _layers(Task(recipe, model, train, valid, plan, number))[0].out_features not in (width, 2 * width):
            raise BadInput(f"stages: a code of {recipe.family} is not one number for each unit: use stages=together")
        return Task(recipe, model, train, valid, plan, number)


def _layerwise(tasks: Sequence[Task], watch: Watch | None, keeper: Keeper | None, ranks: Ranks | None) -> list[Outcome]:
    """All stages, of models of equal depth and budget."""
    if any(task.stream is not None for task in tasks):
        raise BadInput(f"stages: the codes of rows that stay in their file are not kept: {REMEDY}")
    depth, steps = len(_layers(tasks[0])), tasks[0].plan.steps
    share = steps // (2 * (depth + 1))
    if share < 1:
        raise BadInput(f"plan: {depth} layers in stages need at least {2 * (depth + 1)} steps; got {steps}")
    courses = [_Course(task) for task in tasks]
    part = [replace(task.plan, steps=share) for task in tasks]
    rest = [replace(task.plan, steps=steps - share * (depth + 1)) for task in tasks]
    for task in tasks:
        begin(task)
    for layer in range(depth):
        alone = [c.alone(layer, plan) for c, plan in zip(courses, part, strict=True)]
        _note(courses, loop.train(alone, _later(watch, layer * share, steps), keeper, ranks))
        for course, one in zip(courses, alone, strict=True):
            _take_over(course.task.model, one.model, layer)
    with _frozen(tasks):
        again = [t._replace(plan=plan, fresh=False) for t, plan in zip(tasks, part, strict=True)]
        _note(courses, loop.train(again, _later(watch, depth * share, steps), keeper, ranks))
    again = [t._replace(plan=plan, fresh=False) for t, plan in zip(tasks, rest, strict=True)]
    _note(courses, loop.train(again, _later(watch, (depth + 1) * share, steps), keeper, ranks))
    return [_joined(course.outcomes) for course in courses]


def _note(courses: Sequence[_Course], outcomes: Sequence[Outcome]) -> None:
    for course, outcome in zip(courses, outcomes, strict=True):
        course.outcomes.append(outcome)


def _later(watch: Watch | None, before: int, steps: int) -> Watch | None:
    """The same watcher, told where a stage's steps lie in the whole."""
    if watch is None:
        return None
    return lambda p: watch(Check(before + p.step, steps, p.valid))


def _layers(task: Task) -> list[nn.Linear]:
    """The layers of the encoder, if they can be trained one by one."""
    encoder = task.model.encoder if isinstance(task.model, EncoderDecoder) else None
    if not isinstance(encoder, Encoder) or any(layer.bias is None for layer in encoder.layers):
        raise BadInput(f"stages: the encoder of this {task.recipe.family} is not a chain of affine layers: {REMEDY}")
    layers = list(encoder.layers)
    if len(layers) > 1 and (len(encoder.norms) or encoder.residual):
        raise BadInput(f"stages: layers with a norm or a skip between them cannot be trained one by one: {REMEDY}")
    if task.plan.stages == "layerwise" and len(layers) == 1:
        raise BadInput(f"stages: an encoder without hidden layers has none: set hidden, e.g. hidden=32, or {REMEDY}")
    return layers


def _single(recipe: Recipe, layer: int, layers: Sequence[nn.Linear]) -> Recipe:
    """The recipe of one layer by itself: a hidden one has a code like the activations of hidden layers."""
    change: dict[str, Any] = {}
    if layer > 0:
        change["head"] = "auto"
    if layer < len(layers) - 1:
        change["latents"] = layers[layer].out_features
        if "code_activation" in recipe.get_params():
            change["code_activation"] = recipe.activation
    return recipe.without("hidden", ()).set_params(**change)


@torch.no_grad()
def _read(model: Model, layer: nn.Linear, x: Tensor) -> Tensor:
    """What a layer of the encoder reads while ``x`` (n, *D) is encoded: (n, width)."""
    seen: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        for rows in x.split(ROWS):
            model.encode(rows)
    finally:
        hook.remove()
    return torch.cat(seen)


@torch.no_grad()
def _take_over(deep: Model, one: Model, number: int) -> None:
    """Put a layer that was trained by itself, and the layer that undid it, into the deep model."""
    layers, source = cast(Any, deep).encoder.layers, cast(Any, one).encoder.layers[0]
    layer, last = layers[number], number == len(layers) - 1
    weight, bias = source.weight[: layer.out_features], source.bias[: layer.out_features]
    for model, sign in ((one, -1), (deep, 1 if number == 0 else 0)):
        if isinstance(model, HasPreBias) and sign:
            bias = bias + sign * (weight @ model.pre_bias().flatten())
    layer.weight.copy_(weight)
    layer.bias.copy_(bias)
    back, undo = cast(Any, deep).decoder, cast(Any, one).decoder
    place = len(layers) - 1 - number
    if isinstance(back, TiedDecoder):
        back.biases[place].copy_(undo.last_bias)
    elif isinstance(back, Decoder) and back.layers[place].weight.shape == undo.dictionary.shape:
        back.layers[place].weight.copy_(undo.dictionary)
        back.layers[place].bias.copy_(undo.last_bias)
    if last:  # what belongs to the code travels with it: codebooks, thresholds, clocks
        own = deep.state_dict()
        for name, value in one.state_dict().items():
            fits = name in own and own[name].shape == value.shape and value.ndim > 0
            if fits and not name.startswith(("encoder.", "decoder.", "pre")):
                own[name].copy_(value)


@contextmanager
def _frozen(tasks: Sequence[Task]) -> Iterator[None]:
    """Everything but the decoders is frozen for a while."""
    held = [p for t in tasks for name, p in free(t.model).items() if not name.startswith("decoder.")]
    try:
        for parameter in held:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in held:
            parameter.requires_grad_(True)


def _joined(outcomes: Sequence[Outcome]) -> Outcome:
    """One outcome of all stages. ``train`` and ``valid`` are the whole model's; a layer's own are ``layer/...``."""
    history: dict[str, list[float]] = {}
    rows = steps = best = 0
    cause: Cause | None = None
    for number, outcome in enumerate(outcomes, 1):
        whole, checks = number > len(outcomes) - 2, len(outcome.history["step"])
        own = {"stage": [float(number)] * checks}
        for name, values in outcome.history.items():
            key = name if whole or name in {"step", "learning_rate"} else f"layer/{name}"
            own[key] = [steps + v for v in values] if name == "step" else values
        for name in history.keys() | own.keys():
            history.setdefault(name, [math.nan] * rows).extend(own.get(name, [math.nan] * checks))
        if whole and (outcome.best_step or not best):
            best = steps + outcome.best_step
        if cause is None and outcome.cause is not None:
            cause = outcome.cause._replace(step=steps + outcome.cause.step)
            cause = cause if whole or number == 1 else cause._replace(column=None)  # other layers read codes
        rows, steps = rows + checks, steps + outcome.steps
    seconds = sum(outcome.seconds for outcome in outcomes)
    return Outcome(outcomes[-1].status, steps, best, seconds, history, cause)
