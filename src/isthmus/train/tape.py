"""Record a training step once, replay it many times.

A step of a stack is plain PyTorch: ``vmap`` over ``functional_call``, then autograd. Most of its time on small models
is the Python of the model, autograd and vmap. All of these end in a flat sequence of tensor operations, and since a
step's inputs live in fixed buffers, that sequence is the same every time. :func:`record` runs the step once under a
dispatch mode that sees the sequence, and keeps every operation with the very tensors it read and wrote. Replaying calls
each operation again with ``out=`` on those tensors: views need no call at all, constants are computed once, and nothing
is allocated. On CUDA the calls are captured as graphs (:func:`isthmus.train.device.at_once`).

The arithmetic is that of the eager step, operation by operation, so results are bit-equal to it; but for products that
are computed in the orientation in which they are wanted, which are equal to rounding (tests hold both).
What cannot be replayed is refused with a clear message while recording: reading a value (``.item()``, ``if tensor:``)
and drawing random numbers inside the step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from isthmus import dispatch
from isthmus.dispatch import ATEN, Mode, storage
from isthmus.train.device import at_once

# These read the shape of a tensor, not its values.
SHAPE_ONLY = {ATEN.ones_like.default, ATEN.zeros_like.default, ATEN.full_like.default, ATEN.new_zeros.default}

# With 1 as their second argument.
IDENTITIES = {ATEN.mul.Scalar, ATEN.div.Scalar, ATEN.pow.Tensor_Scalar}


class Untraceable(TypeError):
    """The step does something that a replay could not repeat."""


@dataclass(frozen=True, eq=False)
class _Call:
    """One operation as it ran: ``writes`` are the storages it fills, ``reads`` those it looks at."""

    op: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outs: tuple[Tensor, ...]
    reads: frozenset[int]
    writes: frozenset[int]
    mutates: bool
    guard: Tensor | None = None
    """Replayed only while an element of it is true."""


class Tape:
    """A recorded step.

    Attributes
    ----------
    result
        What the step returned; its tensors are overwritten by each replay.
    """

    def __init__(self, calls: list[_Call], inputs: Any, result: Any) -> None:
        self._inside = {storage(t) for t in _tensors(inputs)}
        self._place = next((t.device for t in _tensors(inputs)), torch.device("cpu"))
        self.result = result
        results = {storage(t) for t in _tensors(result)}
        self._calls = _straightened(_needed(calls, self._inside, results), results)
        self._ready = {call: _replayable(call) for call in self._calls}
        _share_memory(self._calls, self._inside | results)
        self._programs: dict[int, tuple[Callable[[], Any], ...]] = {}

    def replay(self, wanted: Any = None) -> None:
        """Run the step again on what its input buffers hold now.

        Parameters
        ----------
        wanted : optional
            The part of ``result`` that must come out (the same object at each call); the rest may keep old values.
            What only the rest needs is not computed. By default, everything.
        """
        wanted = self.result if wanted is None else wanted
        program = self._programs.get(id(wanted))
        if program is None:
            live = {storage(t) for t in _tensors(wanted)}
            calls = _needed(self._calls, self._inside, live)
            with torch.no_grad():
                program = tuple(_parts(calls, self._ready, self._place))
            self._programs[id(wanted)] = program
        with torch.no_grad():
            for call in program:
                call()


def record(step: Callable[..., Any], inputs: Sequence[Any]) -> Tape:
    """Run ``step(*inputs)`` once and return its tape.

    Parameters
    ----------
    step : callable
        Reads its arguments (tensors, or dicts, lists and tuples of them) and returns tensors in a like structure.
        It may write to its arguments in place; it may not read values or draw random numbers.
    inputs : sequence
        The buffers that the caller refills before each replay.

    Raises
    ------
    Untraceable
        If the step reads a value, draws random numbers or has a data-dependent shape.
    """
    recorder = _Recorder()
    with recorder:
        dispatch.OPEN.recorder = recorder
        try:
            result = _detached(step(*inputs))
        finally:
            dispatch.OPEN.recorder = None
    return Tape(recorder.calls, inputs, result)


class _Recorder(Mode):
    """Keeps every operation that computes something, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[_Call] = []
        self.guard: Tensor | None = None

    @contextmanager
    def guarded(self, flag: Tensor) -> Iterator[None]:
        """What is recorded inside is replayed only while an element of ``flag`` is true."""
        flag.any()
        (self.guard,) = self.calls[-1].outs  # under vmap, one element for each model
        try:
            yield
        finally:
            self.guard = None

    def see(self, op: Any, args: Any, kwargs: Any) -> Any:
        if dispatch.draws(op):
            raise Untraceable(f"{op} draws random numbers inside the step; draw them in Model.draw")
        if _reads_values(op, args):
            raise Untraceable(f"{op} reads a value inside the step; write it with torch.where")
        if _is_identity(op, args):
            return ATEN.alias.default(args[0])
        out = op(*args, **kwargs)
        given = _tensors([*args, *kwargs.values()]) if op not in SHAPE_ONLY else []
        reads, made = set(map(storage, given)), [out] if isinstance(out, Tensor) else _tensors(out)
        fresh = set(map(storage, made)) - reads
        written = _written(op, args, kwargs)
        if fresh or written:  # the rest are views: they stay valid because replay fills the same memory
            reads |= set() if self.guard is None else {storage(self.guard)}
            args, kwargs = _detached((args, kwargs))  # a tape must not hold the autograd graph
            outs = tuple(t.detach() for t in made)
            self.calls.append(
                _Call(op, args, kwargs, outs, frozenset(reads), frozenset(fresh | written), bool(written), self.guard)
            )
        return out


def _written(op: Any, args: Any, kwargs: Any) -> set[int]:
    """The storages of arguments that an operation writes to."""
    found = set()
    for i, name in dispatch.written(op):
        value = args[i] if i < len(args) else kwargs.get(name)
        if isinstance(value, Tensor):
            found.add(storage(value))
    return found


def _reads_values(op: Any, args: Any) -> bool:
    """Whether the operation's result, or its shape, depends on values in a way that a replay could not follow."""
    if dispatch.reads_values(op):
        return op is not ATEN.index.Tensor or any(t.dtype == torch.bool for t in _tensors(args[1:]))
    return False


def _parts(
    calls: Sequence[_Call], ready: dict[_Call, Callable[[], Any]], place: torch.device
) -> Iterator[Callable[[], Any]]:
    """What a replay does in turn; neighbours with one guard are one part, and on CUDA those without one are a graph."""
    for guard, some in groupby(calls, key=lambda call: call.guard):
        todo = tuple(ready[call] for call in some)
        if guard is None:
            yield from at_once(todo, place)
        else:
            yield partial(_guarded, guard, todo)


def _guarded(guard: Tensor, calls: Sequence[Callable[[], Any]]) -> None:
    if guard.any():
        for call in calls:
            call()


def _is_identity(func: Any, args: Any) -> bool:
    """Whether an operation gives its first argument back: vmap and autograd leave many such behind."""
    if func in IDENTITIES:
        return len(args) == 2 and args[1] == 1 and args[0].dtype.is_floating_point
    return False


def _needed(calls: Sequence[_Call], inside: set[int], wanted: set[int]) -> list[_Call]:
    """Drop what no result depends on, and what depends on no input: constants keep the value they had."""
    live, kept = wanted | inside, []
    for call in reversed(calls):
        if call.writes & live:
            live |= call.reads
            kept.append(call)
    kept.reverse()
    mutated = frozenset().union(*(c.writes for c in kept if c.mutates))
    varying, moving = set(inside) | mutated, []
    for call in kept:
        if (call.reads | call.writes) & varying:
            varying |= call.writes
            moving.append(call)
    return moving


def _share_memory(calls: Sequence[_Call], fixed: set[int]) -> None:
    """Let intermediates whose lives do not overlap use the same memory, so that a step stays in the caches.

    Recording gave every intermediate memory of its own. A tensor that is written before it is read lives from its first
    write to its last use; memory that is free again goes to the next tensor of about its size, the warmest first.
    """
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for i, call in enumerate(calls):
        for key in call.reads | call.writes:
            first.setdefault(key, i)
            last[key] = i
    born = {k for c in calls if not c.mutates for k in c.writes - c.reads - fixed if calls[first[k]] is c}
    users: dict[int, list[Tensor]] = {key: [] for key in born}
    for call in calls:
        for tensor in _tensors((call.args, call.kwargs, call.outs)):
            if (key := storage(tensor)) in users:
                users[key].append(tensor)
    free: list[torch.UntypedStorage] = []
    for i, call in enumerate(calls):
        for key in call.writes & born:
            if first[key] == i:
                own = users[key][0].untyped_storage()
                memory = next((m for m in reversed(free) if own.nbytes() <= m.nbytes() <= 2 * own.nbytes()), own)
                free = [m for m in free if m is not memory]
                for tensor in users[key] if memory is not own else ():
                    tensor.set_(memory, tensor.storage_offset(), tensor.shape, tensor.stride())
        free += [users[k][0].untyped_storage() for k in (call.reads | call.writes) & born if last[k] == i]


def _straightened(calls: Sequence[_Call], live: set[int]) -> list[_Call]:
    """Compute a product in the orientation that is wanted: (AB)' = B'A', instead of transposing it in a copy."""
    products = {next(iter(c.writes)): c for c in calls if c.op is ATEN.bmm.default}
    readers = Counter(s for c in calls for s in c.reads)
    straight: list[_Call] = []
    for call in calls:
        source = next(iter(call.reads), 0) if call.op is ATEN.clone.default else 0
        product = products.get(source)
        if product is None or readers[source] > 1 or source in live or not _is_transpose(call.args[0], product.outs[0]):
            straight.append(call)
            continue
        left, right = product.args
        straight.remove(product)
        straight.append(replace(product, args=(right.mT, left.mT), outs=call.outs, writes=call.writes))
    return straight


def _is_transpose(view: Tensor, whole: Tensor) -> bool:
    other = whole.mT
    return view.shape == other.shape and view.stride() == other.stride() and view.data_ptr() == other.data_ptr()


def _replayable(call: _Call) -> Callable[[], Any]:
    """The operation, writing where it wrote when it was recorded."""
    if call.mutates:
        return partial(call.op, *call.args, **call.kwargs)
    if call.op is ATEN._to_copy.default:
        return partial(call.outs[0].copy_, call.args[0])
    if call.op is ATEN.new_full.default:
        return partial(call.outs[0].fill_, call.args[2])
    variant = _out_variant(call.op)
    if variant is None or len(call.outs) < dispatch.returns(call.op):  # gradients that nobody asked for are left out
        return partial(_copy_into, call.outs, call.op, call.args, call.kwargs)
    known = dispatch.arguments(variant)
    names = [a.name for a in known if a.out]
    kwargs = {k: v for k, v in call.kwargs.items() if k in {a.name for a in known}}
    if len(names) == 1 and not kwargs:
        quick = dispatch.function(call.op)
        if quick is not None and _agrees(quick, call):
            return partial(quick, *call.args, out=call.outs[0])
    return partial(dispatch.kernel(variant), *call.args, **kwargs, **dict(zip(names, call.outs, strict=True)))


@cache
def _out_variant(op: Any) -> Any:
    """The overload that takes the same arguments and writes into given tensors, if the operator has one."""
    own = [(a.name, a.type) for a in dispatch.arguments(op)]
    for other in dispatch.overloads(op):
        outs = [a for a in dispatch.arguments(other) if a.out]
        rest = [(a.name, a.type) for a in dispatch.arguments(other) if not a.out]
        if len(outs) == dispatch.returns(op) and outs and rest == own:
            return other
    return None


_AGREED: set[Any] = set()
"""Operations, with the kinds of their arguments, of which :func:`_agrees` found that they do."""
MANY = 1 << 13
"""How many of them are kept."""


def _agrees(quick: Callable[..., Any], call: _Call) -> bool:
    """Whether torch's own binding, half the overhead of the operator's, takes these arguments to the same bits.

    It is tried once for arguments of these types, shapes and strides: values choose no kernel.
    """
    kinds = (call.op, _kind(call.args))
    if kinds in _AGREED:
        return True
    expected = call.op(*call.args)
    scratch = torch.empty_like(expected)
    try:
        quick(*call.args, out=scratch)
    except (TypeError, RuntimeError):
        return False
    agrees = scratch.shape == expected.shape and torch.equal(scratch, expected)
    if agrees:
        if len(_AGREED) == MANY:
            _AGREED.clear()
        _AGREED.add(kinds)
    return agrees


def _kind(value: Any) -> Any:
    """What a kernel is chosen by."""
    if isinstance(value, Tensor):
        return value.dtype, value.device, value.shape, value.stride()
    return tuple(map(_kind, value)) if isinstance(value, (tuple, list)) else (type(value), value)


def _copy_into(outs: Sequence[Tensor], op: Callable[..., Any], args: Any, kwargs: Any) -> None:
    for out, new in zip(outs, _tensors((op(*args, **kwargs),)), strict=True):
        out.copy_(new)


def _detached(tree: Any) -> Any:
    """The same nested tuples, lists and dicts, with tensors that share memory but carry no gradient."""
    if isinstance(tree, Tensor):
        return tree.detach()
    if isinstance(tree, dict):
        return {key: _detached(value) for key, value in tree.items()}
    return type(tree)(map(_detached, tree)) if type(tree) in {tuple, list} else tree


def _tensors(tree: Any) -> list[Tensor]:
    """Every tensor of nested tuples, lists and dicts, in order."""
    if isinstance(tree, Tensor):
        return [tree]
    found = []
    for value in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, (tuple, list)) else ():
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (tuple, list, dict)) and value:
            found += _tensors(value)
    return found
