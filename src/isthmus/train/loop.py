"""The one training loop. Every family of every study goes through it, so equal budgets are equal by construction."""

from __future__ import annotations

import dataclasses
import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from isthmus.errors import BadInput
from isthmus.model import Model, Ramp, Timed
from isthmus.seeds import seed
from isthmus.train.cause import Cause, explain
from isthmus.train.checkpoint import Keeper, State, fitting, part, put, tensors_of
from isthmus.train.device import moved
from isthmus.train.order import Batches
from isthmus.train.ranks import Ranks
from isthmus.train.stack import Stack, free, lengths
from isthmus.train.task import Task

# In parameters x rows of a batch. Stacking gained at every size measured (benchmarks/stack.py); above this the gain is
# small beside the memory that a stack takes, so large models train one at a time.
STACK_BELOW = 20_000_000
# From ten models to twenty a stack gains at most a few per cent more (benchmarks/stack.py).
WIDEST = 12
# Multiply-adds of a step. On small products a second thread costs more than it brings (benchmarks/stack.py threads:
# twice the time at 64-32); where it begins to pay depends on the machine, and this is a cautious guess.
THREADS_ABOVE = 50_000_000
LOCK, INSIDE = threading.Lock(), list[int]()
# The terms of the training loss are read every so many steps: computing their values is not needed for their gradient.
TELL = 10
RUN = 50
"""Steps whose rows are asked for at once: their batches are held beside each other where rows do not fit in memory."""
FACTS = ("drops", "waited", "rising", "best", "best_step", "mark", "seconds", "history")


@dataclass(frozen=True)
class Outcome:
    """What one training left, besides the model's best weights."""

    status: str
    """converged; cut (the steps ran out first); diverged; or closed form (nothing to train by gradient)."""
    steps: int
    best_step: int
    seconds: float
    """Wall time of the training, its share of the stack."""
    history: dict[str, list[float]] = field(default_factory=dict)
    """One entry per check: step, learning_rate, train, valid, and train/<term>, valid/<term> unweighted. Training in
    stages adds stage, and layer/... for a layer trained by itself; what a check did not measure is NaN."""
    cause: Cause | None = None
    """Why it diverged."""


class Check(NamedTuple):
    """What a watcher hears at every check."""

    step: int
    steps: int
    valid: tuple[float, ...]
    """The validation objective of each model still in training."""


Watch = Callable[[Check], Any]


def train(
    tasks: Sequence[Task], watch: Watch | None = None, keeper: Keeper | None = None, ranks: Ranks | None = None
) -> list[Outcome]:
    """Train models, several at a time where that is faster. They hold their best weights afterwards.

    Parameters
    ----------
    tasks : sequence of Task
        Any mixture; those of equal structure, shape and plan (but for the learning rate) are stacked. Parameters
        that are frozen (``requires_grad`` is False) stay as they are.
    watch : callable, optional
        Hears a :class:`Check` at every check of every stack.
    keeper : Keeper, optional
        Keeps each stack on disk while it is trained, and has what is left of an earlier training.
    ranks : Ranks, optional
        Processes that train the same tasks with this one, each on its share of every batch.

    Returns
    -------
    list of Outcome
        In the order of the tasks.
    """
    if any(task.plan.stages != "together" for task in tasks):
        raise BadInput("a plan with stages goes through isthmus.train.stages.train; this is one stage of it")
    outcomes: dict[int, Outcome] = {}
    for numbers in _stacks(tasks, alone=ranks is not None and ranks.shards is not None):
        chosen = [tasks[i] for i in numbers]
        with _threads(chosen):
            for i, outcome in zip(numbers, _train_stack(chosen, watch, keeper, ranks), strict=True):
                outcomes[i] = outcome
    return [outcomes[i] for i in range(len(tasks))]


def _stacks(tasks: Sequence[Task], *, alone: bool) -> Iterator[list[int]]:
    """Task numbers, grouped by what must be equal in a stack, in pieces of the width that pays, or each ``alone``."""
    groups: dict[str, list[int]] = {}
    for i, task in enumerate(tasks):
        plan = task.plan.to_json() | {"learning_rate": None}
        rows = [(list(rows.shape[1:]), str(rows.dtype)) for rows in task.sets]
        same = [task.recipe.structure(), plan, rows, sorted(free(task.model)), task.fresh]
        same += [] if task.stream is None else [task.key, task.seed]  # a window of rows is no part of a larger tensor
        groups.setdefault(json.dumps(same, sort_keys=True), []).append(i)
    for group in groups.values():
        width = WIDEST if _work(first := tasks[group[0]]) < STACK_BELOW and first.model.stacks and not alone else 1
        for start in range(0, len(group), width):
            yield group[start : start + width]


def _work(task: Task) -> int:
    """Parameters x rows of a batch: multiply-adds of one forward pass of a dense network."""
    return sum(p.numel() for p in task.model.parameters()) * task.plan.batch


@contextmanager
def _threads(tasks: Sequence[Task]) -> Iterator[None]:
    """One thread for small products, the caller's number for large ones; the caller's setting comes back.

    Python threads that train at once see each other's setting: the first to come keeps the caller's for all of them.
    """
    with LOCK:
        INSIDE.append(torch.get_num_threads() if not INSIDE else INSIDE[0])
        before = INSIDE[0]
    torch.set_num_threads(1 if len(tasks) * _work(tasks[0]) < THREADS_ABOVE else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        with LOCK:
            INSIDE.pop()


class _Runner:
    """The state of one model's training that is not in the stack: its best weights, patience and history."""

    def __init__(self, task: Task) -> None:
        self.task, self.plan = task, task.plan
        self.drops = self.waited = self.rising = 0
        self.best, self.best_step, self.mark = math.inf, 0, math.inf
        self.status, self.seconds = "", 0.0
        self.cause: Cause | None = None
        self.history: dict[str, list[float]] = {}
        generator = torch.Generator().manual_seed(seed(task.seed, "validation"))
        like = torch.zeros((), dtype=task.valid.dtype).expand(task.valid.shape)  # the processor draws, as for a stack
        self.noise = moved(task.model.draw(like, generator), task.valid.device)

    def rate(self, step: int) -> float:
        """The learning rate of a step: the schedule's, lowered where the loss stood still."""
        return self.plan.step_size(self.task.recipe) * self.plan.rate(step) * self.plan.factor**self.drops

    def validate(self) -> tuple[float, dict[str, float]]:
        """The objective at the end of its schedules, on clean validation rows, with the same noise; and its terms."""
        valid, target, model = self.task.valid, self.task.valid_target, self.task.model
        model.train(model.judged == "trained")  # what is judged is what ships, where a family does not say otherwise
        with torch.no_grad():
            if isinstance(model, Timed):
                model.clock.fill_(1.0)
            terms = model(valid, valid if target is None else target, self.noise).terms
        model.train()
        values = {name: float(terms[name]) for name in self.task.model.weights}
        return _weighted(self.task.model, values), values

    def check(self, step: int, means: Sequence[float] = ()) -> bool:
        """Look at the validation rows after ``step`` steps. True if the weights are the best so far.

        ``means`` are the terms on recent training batches; there are none before the first step. Weights from before
        the end of the schedules only count until there are others.
        """
        valid, terms = self.validate()
        recent = dict(zip(terms, means, strict=True)) if means else dict.fromkeys(terms, math.nan)
        train = _weighted(self.task.model, recent)
        row = {"step": step, "learning_rate": self.rate(step), "train": train, "valid": valid}
        row |= {f"train/{k}": v for k, v in recent.items()} | {f"valid/{k}": v for k, v in terms.items()}
        for name, value in row.items():
            self.history.setdefault(name, []).append(value)
        finite = math.isfinite(valid) and (not means or math.isfinite(train))
        self._judge(valid, finite, step)
        if finite and (valid < self.best or self.best_step < self.task.settled <= step):
            self.best, self.best_step = valid, step
            return True
        return False

    def _judge(self, valid: float, finite: bool, step: int) -> None:
        start, patient = self.history["valid"][0], step >= self.task.patient
        self.rising = self.rising + 1 if patient and valid > start + 9 * abs(start) else 0
        if not finite or self.rising >= 3:
            self.status = "diverged"
        elif not patient:
            pass  # a weight that still grows makes the objective worse, one that still falls makes it better
        elif valid < self.mark - self.plan.tolerance * abs(self.mark) or self.mark == math.inf:
            self.mark, self.waited = valid, 0
        else:
            self.waited += 1
            if self.waited >= self.plan.patience:
                self.waited = 0
                if self.plan.schedule == "plateau" and self.drops < self.plan.drops:
                    self.drops += 1
                elif self.plan.schedule != "cosine":
                    self.status = "converged"
        if not self.status and step >= self.plan.steps:
            self.status = "converged" if self.plan.schedule == "cosine" else "cut"

    def facts(self) -> dict[str, Any]:
        """What a training that goes on must know, as plain data."""
        return {name: getattr(self, name) for name in FACTS}

    def outcome(self, steps: int) -> Outcome:
        """How its training ended, after so many steps."""
        return Outcome(self.status, steps, self.best_step, self.seconds, self.history, self.cause)


def _weighted(model: Model, terms: dict[str, float]) -> float:
    return sum((w.end if isinstance(w, Ramp) else w) * terms[name] for name, w in model.weights.items())


def begin(task: Task) -> None:
    """Initialise a model from its training rows, and from their targets if its family looks at them."""
    task.model.start(*(task.sets if task.recipe.targets else task.sets[:1]))


def _train_stack(
    tasks: Sequence[Task], watch: Watch | None, keeper: Keeper | None, ranks: Ranks | None
) -> list[Outcome]:
    began = time.perf_counter()
    kept = None if keeper is None else keeper.next()
    if keeper is not None and kept is not None and kept.facts["ended"]:
        with keeper.reading():
            return [_restored(task.model, kept, i) for i, task in enumerate(tasks)]
    for task in tasks:
        if task.fresh:
            begin(task)
        if ranks is not None and ranks.shards is not None:
            ranks.shards.split(task.model)
    runners = [_Runner(task) for task in tasks]
    if free(tasks[0].model):
        with nullcontext() if ranks is None else ranks.mourned("gloo"):
            outcomes = _Descent(runners, began, keeper, kept, ranks).run(watch)
    else:
        for runner in runners:
            runner.check(0)
            runner.status = "closed form" if runner.status != "diverged" else "diverged"
            runner.seconds = (time.perf_counter() - began) / len(tasks)
        outcomes = [runner.outcome(0) for runner in runners]
    if keeper is not None:
        models = {i: (task.model, outcome) for i, (task, outcome) in enumerate(zip(tasks, outcomes, strict=True))}
        tensors, facts = _packed(models)
        keeper.save(State(tensors, {"ended": True, "steps": max(o.steps for o in outcomes), "models": facts}))
    return outcomes


def _packed(models: Mapping[int, tuple[Model, Outcome]]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Models whose training has ended, by number, as a checkpoint keeps them."""
    tensors = {f"{i}/{name}": t for i, (model, _) in models.items() for name, t in tensors_of(model).items()}
    return tensors, {str(i): dataclasses.asdict(outcome) for i, (_, outcome) in models.items()}


def _restored(model: Model, kept: State, number: int) -> Outcome:
    """What the training of a model left; it gets its weights."""
    put(model, part(kept.tensors, f"{number}/"))
    facts = kept.facts["models"][str(number)]
    return Outcome(**facts | {"cause": None if facts["cause"] is None else Cause(*facts["cause"])})


class _Descent:
    """Models of one stack on their way down: steps, checks and early stopping, until every model has stopped."""

    def __init__(
        self,
        runners: list[_Runner],
        began: float,
        keeper: Keeper | None,
        kept: State | None,
        ranks: Ranks | None,
    ) -> None:
        self.runners, self.keeper, self.began = runners, keeper, began
        self.shards = None if ranks is None else ranks.shards
        self.ranks = ranks = None if self.shards is not None else ranks  # who takes a share of each batch
        self.plan, self.task = runners[0].plan, runners[0].task
        rows, self.orders, self.offsets = _gather(runners)
        self.generators = {r.task.seed: torch.Generator().manual_seed(seed(r.task.seed, "noise")) for r in runners}
        self.stack = Stack(
            [r.task.model for r in runners],
            corruption=runners[0].task.recipe.corruption,
            levels=[r.task.recipe.corruption_level for r in runners],
            generators=[self.generators[r.task.seed] for r in runners],
            rows=rows,
            batch=self.plan.batch if ranks is None else ranks.share(self.plan.batch),
            weight_decay=self.plan.weight_decay,
            clip=self.plan.clip,
            precision=self.plan.precision,
            ranks=ranks,
            norms=lengths if self.shards is None else self.shards.norms,
        )
        self.lanes = list(runners)  # who sits in which row of the stack
        self.first = {r: self.stack.snapshot(i) for i, r in enumerate(self.lanes)}
        self.best, self.done = dict(self.first), dict[_Runner, Outcome]()
        self.step = self.taken = 0  # up to the last check, and since
        if keeper is not None and kept is not None:
            with keeper.reading():
                self._go_on(kept)
            return
        for i, r in enumerate(self.lanes):
            r.check(0)
            if r.status:  # the validation rows are not finite as the first weights see them
                self._let_go(i, r)
        self.spent = time.perf_counter() - began

    def run(self, watch: Watch | None) -> list[Outcome]:
        """Train all models to their ends; how each ended, in their order."""
        while len(self.done) < len(self.runners):
            self._descend()
            running = self._look()
            if watch is not None:
                watch(Check(self.step, self.plan.steps, tuple(r.history["valid"][-1] for r in running)))
            left = [i for i, r in enumerate(self.lanes) if not r.status]
            if left and len(left) <= (2 * len(self.lanes)) // 3:
                self._keep(left)
        return [self.done[r] for r in self.runners]

    def _descend(self) -> None:
        """The steps up to the next check."""
        plan, lanes, stack, keeper = self.plan, self.lanes, self.stack, self.keeper
        count = min(plan.check, plan.steps - self.step)
        streams = [] if keeper is None else [order.mark() for order in self.orders.values()]
        moving = not plan.warmup and plan.schedule != "cosine"
        rates = [0.0 if r.status else r.rate(self.step) for r in lanes]
        for k, numbers in enumerate(self._batches(count)):
            if k < self.taken:
                continue
            if keeper is not None and keeper.due():
                self.taken = k
                keeper.save(self._state(streams))
            if not moving:
                rates = [0.0 if r.status else r.rate(self.step + k) for r in lanes]
            stack.step(numbers, self.task.done(self.step + k), rates, tell=(count - 1 - k) % TELL == 0)
        self.step, self.taken = self.step + count, 0

    def _batches(self, count: int) -> Iterator[Tensor]:
        """The rows of each of the next ``count`` steps."""
        for begin in range(0, count, RUN):
            yield from self._numbers(min(RUN, count - begin))

    def _numbers(self, count: int) -> Tensor:
        """The rows of the next ``count`` steps, for all lanes, (count, R * batch); with ranks, my share of them."""
        numbers = _numbers(self.lanes, self.orders, self.offsets, count * self.plan.batch)
        numbers = numbers.view(len(self.lanes), count, self.plan.batch)
        if self.ranks is not None:
            numbers = self.ranks.mine(numbers, (*numbers.shape[:2], self.stack.batch[0].shape[1]))
        return numbers.transpose(0, 1).flatten(1).contiguous().to(self.stack.rows[0].device)

    def _look(self) -> list[_Runner]:
        """Check the models that are still trained, and let go those that have ended; who was looked at."""
        means = self.stack.means()
        running = [r for r in self.lanes if not r.status]
        for i, r in enumerate(self.lanes):
            if r in running and r.check(self.step, means[i]):
                self.best[r] = self.stack.snapshot(i)
        now = time.perf_counter() - self.began
        share, self.spent = (now - self.spent) / len(running), now
        for r in running:
            r.seconds += share
            if r.status:
                self._let_go(self.lanes.index(r), r)
        return running

    def _let_go(self, lane: int, runner: _Runner) -> None:
        """A model has ended: it takes its best weights with it."""
        self.stack.release(lane, self.best.pop(runner))
        first = {f"best/0/{i}": tensor for i, tensor in enumerate(self.first.pop(runner))}
        if self.shards is not None:
            first = self.shards.whole(first, everywhere=True)
            self.shards.join(runner.task.model)
        self.done[runner] = _ended(runner, self.step, list(first.values()))

    def _keep(self, left: Sequence[int]) -> None:
        """Go on with some of the lanes."""
        self.stack, self.lanes = self.stack.keep(left), [self.lanes[i] for i in left]

    def _state(self, streams: Sequence[tuple[Tensor, ...]]) -> State:
        """All that the next step hangs on; ``streams`` are the orders of rows as they stood at the last check."""
        number = {r: i for i, r in enumerate(self.runners)}
        ended, facts = _packed({number[r]: (r.task.model, outcome) for r, outcome in self.done.items()})
        tensors = {f"stack/{name}": t for name, t in self.stack.tensors().items()} | ended
        tensors |= {f"best/{number[r]}/{i}": t for r, best in self.best.items() for i, t in enumerate(best)}
        if self.shards is not None:
            tensors = self.shards.whole(tensors)
        tensors |= {f"order/{i}/{j}": t for i, stream in enumerate(streams) for j, t in enumerate(stream)}
        tensors |= {f"noise/{i}": g.get_state() for i, g in enumerate(self.generators.values())}
        return State(
            tensors,
            {
                "ended": False,
                "steps": self.step + self.taken,
                "step": self.step,
                "spent": time.perf_counter() - self.began,
                "looked": self.spent,
                "told": self.stack.told,
                "recorded": self.stack.stepped,
                "lanes": [number[r] for r in self.lanes],
                "running": {str(number[r]): r.facts() for r in self.best},
                "models": facts,
            },
        )

    def _go_on(self, kept: State) -> None:
        """Take up what :meth:`_state` gave, with a stack of as many lanes."""
        if self.shards is not None:
            kept = kept._replace(tensors=self.shards.mine(kept.tensors))
        facts, tensors = kept.facts, kept.tensors
        self.step, self.taken = facts["step"], facts["steps"] - facts["step"]
        self.began, self.spent = time.perf_counter() - facts["spent"], facts["looked"]
        if len(facts["lanes"]) < len(self.lanes):
            self._keep(facts["lanes"])
        for name in facts["models"]:
            runner = self.runners[int(name)]
            self.done[runner] = _restored(runner.task.model, kept, int(name))
            runner.status = self.done[runner].status
            del self.best[runner], self.first[runner]
        for name, own in facts["running"].items():
            runner = self.runners[int(name)]
            vars(runner).update({fact: own[fact] for fact in FACTS})
            self.best[runner] = [fitting(tensors[f"best/{name}/{i}"], t) for i, t in enumerate(self.first[runner])]
        for i, order in enumerate(self.orders.values()):
            mark = part(tensors, f"order/{i}/")
            order.rewind(tuple(mark[str(j)] for j in range(len(mark))))
        if facts["recorded"]:  # the next step was to be a replay
            self._load(kept)
            whole = self.stack.batch[0].shape[:2].numel()
            nothing = torch.zeros(whole, dtype=torch.int64, device=self.stack.rows[0].device)
            self.stack.step(nothing, 0.0, [0.0] * len(self.lanes))
        self._load(kept)

    def _load(self, kept: State) -> None:
        for name, own in self.stack.tensors().items():
            own.copy_(fitting(kept.tensors[f"stack/{name}"], own))
        for i, generator in enumerate(self.generators.values()):
            generator.set_state(fitting(kept.tensors[f"noise/{i}"], generator.get_state()))
        self.stack.told = kept.facts["told"]


def _ended(runner: _Runner, step: int, first: list[Tensor]) -> Outcome:
    """What the training left; if it diverged, with the reason, for which ``first`` are its first weights."""
    if runner.status == "diverged":
        runner.cause = explain(runner.task, first, runner.history)
    return runner.outcome(step)


def _gather(runners: Sequence[_Runner]) -> tuple[tuple[Tensor, ...], dict[Any, Batches], dict[Any, int]]:
    """All training rows in one tensor (targets in a second), each distinct set once; an order for each (seed, set);
    where each set begins."""
    distinct = {r.task.key: r.task.gathered for r in runners}
    offsets, start = {}, 0
    for key, sets in distinct.items():
        offsets[key], start = start, start + len(sets[0])
    orders = {(r.task.seed, r.task.key): r.task.order() for r in runners}
    whole = tuple(torch.cat(parts) if len(parts) > 1 else parts[0] for parts in zip(*distinct.values(), strict=True))
    return whole, orders, offsets


def _numbers(lanes: Sequence[_Runner], orders: dict[Any, Batches], offsets: dict[Any, int], count: int) -> Tensor:
    """The next ``count`` row numbers of every lane, (R, count); lanes of one seed and one set read the same rows."""
    keys = [(r.task.seed, r.task.key) for r in lanes]
    taken = {key: orders[key].take(count) + offsets[key[1]] for key in dict.fromkeys(keys)}
    return torch.stack([taken[key] for key in keys])
