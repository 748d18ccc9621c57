"""The inner parts of torch that this house leans on, in one place: its dispatcher, and what it tells of operations.

Everything that torch does ends in a sequence of operations that pass its dispatcher. A mode sees them, for the thread
that opened it only: :class:`Mode` is the way in, :func:`drawing` gives random operations a generator of their own, and
:func:`within` counts memory before it is taken. None of this is a promise of torch, so a torch without it is refused
when this module is imported, by name.
"""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from isthmus.errors import BadInput

try:
    from torch.utils import _pytree
    from torch.utils._python_dispatch import TorchDispatchMode

    tree_leaves = _pytree.tree_leaves
    ATEN = torch.ops.aten
    SEEDED, OF_VALUES, OF_SHAPES = (
        torch.Tag.nondeterministic_seeded,
        torch.Tag.data_dependent_output,
        torch.Tag.dynamic_output_shape,
    )
    _ = ATEN.mul.Tensor._schema.arguments[0].alias_info, torch.zeros(1).untyped_storage()._cdata
except (ImportError, AttributeError) as error:
    raise ImportError(
        f"isthmus needs internals of torch that torch {torch.__version__} does not have ({error}): "
        "install a torch from 2.6 to 2.13"
    ) from error

FUSED = [
    "self",
    "grads",
    "exp_avgs",
    "exp_avg_sqs",
    "max_exp_avg_sqs",
    "state_steps",
    "lr",
    "beta1",
    "beta2",
    "weight_decay",
    "eps",
    "amsgrad",
    "maximize",
    "grad_scale",
    "found_inf",
]
"""What :func:`fused_adamw` takes."""

Op = Any  # torch._ops.OpOverload


def tree_map(function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """What a function gives for each leaf of nested dicts, lists and tuples, and for its like in others, as nested.

    As that of torch, in less than a tenth of the time: every step that draws noise asks it twice.

    Examples
    --------
    >>> tree_map(max, {"a": [1, (2, 3)]}, {"a": [0, (5, 1)]})
    {'a': [1, (5, 3)]}
    """
    if isinstance(tree, dict):
        return {key: tree_map(function, part, *(other[key] for other in others)) for key, part in tree.items()}
    if isinstance(tree, list | tuple):
        parts = [tree_map(function, *like) for like in zip(tree, *others, strict=True)]
        return type(tree)(parts) if type(tree) in {list, tuple} else type(tree)(*parts)
    return function(tree, *others)


class Argument(NamedTuple):
    """One argument of an operation, as its schema has it."""

    name: str
    type: str
    out: bool
    """Whether it is a tensor to write the result into."""
    written: bool
    """Whether the operation writes to it."""


@cache
def arguments(op: Op) -> tuple[Argument, ...]:
    """The arguments of an operation, in order."""
    return tuple(
        Argument(a.name, str(a.type), a.is_out, a.alias_info is not None and a.alias_info.is_write)
        for a in op._schema.arguments
    )


@cache
def written(op: Op) -> tuple[tuple[int, str], ...]:
    """The arguments that an operation writes to: their places and names."""
    return tuple((i, a.name) for i, a in enumerate(arguments(op)) if a.written)


@cache
def returns(op: Op) -> int:
    """How many results an operation has."""
    return len(op._schema.returns)


def name(op: Op) -> str:
    """The name of an operation, without its overload: ``add`` for ``aten::add.Tensor``."""
    return str(op._schema.name.removeprefix("aten::"))


def overloads(op: Op) -> list[Op]:
    """All overloads of an operation."""
    packet = getattr(ATEN, name(op))
    return [getattr(packet, each) for each in packet.overloads()]


def kernel(op: Op) -> Any:
    """An operation without the wrapper that tracing needs."""
    return getattr(op, "_op", op)


def function(op: Op) -> Any:
    """The public function of torch that an operation is called by, ``torch.add``, or None: it costs less to call."""
    return getattr(torch, name(op), None)


def fused_adamw() -> Any:
    """The kernel of AdamW for many tensors at once, in place; None where torch has none, or one of other arguments.

    The one inner part that there is a way without (:func:`isthmus.train.optim.plain_update`), so it is not demanded.
    """
    found = getattr(torch, "_fused_adamw_", None)
    known = [a.name for a in arguments(ATEN._fused_adamw_.default)] if found is not None else []
    return found if known == FUSED else None


@cache
def draws(op: Op) -> bool:
    """Whether an operation draws random numbers."""
    return SEEDED in op.tags


@cache
def reads_values(op: Op) -> bool:
    """Whether an operation's result, or its shape, may depend on values in a way that a recording cannot follow."""
    return OF_VALUES in op.tags or OF_SHAPES in op.tags


def storage(tensor: Tensor) -> int:
    """The memory that a tensor looks at, as a key: views of one tensor share it."""
    return int(tensor.untyped_storage()._cdata)


class Mode(TorchDispatchMode, ABC):
    """Sees every operation of this thread while it is open."""

    @abstractmethod
    def see(self, op: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Called in place of the operation; what it returns is its result."""

    def _dispatched(self, func: Op, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.see(func, args, kwargs or {})


class _Open(threading.local):
    recorder: Any = None


OPEN = _Open()
"""What records the operations of this thread, if anything does: it has ``guarded(flag)``, see :func:`seldom`."""


def seldom(flag: Tensor, change: Callable[[], Tensor], value: Tensor) -> Tensor:
    """``change()`` if an element of ``flag`` is true, else ``value``; where none is, the two must mean the same.

    A recorded step looks at the flag in each replay and leaves the operations of ``change`` out where they are not
    wanted. Under ``vmap`` and in traces, where no value can be read, they are always done.

    Parameters
    ----------
    flag : Tensor of bool
    change : callable
        Of tensors, without gradient.
    value : Tensor
        Like the result of ``change``; may be written to.

    Examples
    --------
    >>> seldom(torch.tensor([False]), lambda: torch.ones(2), torch.zeros(2))
    tensor([0., 0.])
    """
    if OPEN.recorder is not None:
        with OPEN.recorder.guarded(flag):
            value.copy_(change())
        return value
    try:
        wanted = bool(flag.any())
    except RuntimeError:
        wanted = True
    return change() if wanted else value


# Given in the class body, the method would be wrapped by torch so that its first call loads the whole compiler (1.4 s).
Mode.__torch_dispatch__ = Mode._dispatched  # type: ignore[assignment]


class _Drawing(Mode):
    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.generator = generator

    def see(self, op: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not draws(op) or kwargs.get("generator") is not None:
            return op(*args, **kwargs)
        taker = _with_generator(op)
        if taker is None:
            raise BadInput(
                f"{op} draws random numbers and takes no generator: draw them with another function of torch"
            )
        return taker(*args, **{**kwargs, "generator": self.generator})


@cache
def _with_generator(op: Op) -> Op | None:
    """The overload of a random operation that takes the same arguments and a generator."""
    own = [(a.name, a.type) for a in arguments(op) if a.name != "generator"]
    for other in (op, *overloads(op)):
        theirs = [(a.name, a.type) for a in arguments(other)]
        if "generator" in dict(theirs) and [a for a in theirs if a[0] != "generator"] == own:
            return other
    return None


@contextmanager
def drawing(number: int) -> Iterator[None]:
    """Random numbers that torch draws inside come from a generator of their own, seeded with ``number``.

    They are those that ``torch.manual_seed(number)`` would give. The global generator is neither read nor moved, and
    other threads see nothing of it.

    Examples
    --------
    >>> with drawing(3):
    ...     first = torch.randn(2)
    >>> torch.equal(first, torch.randn(2, generator=torch.Generator().manual_seed(3)))
    True
    """
    with _Drawing(torch.Generator().manual_seed(number)):
        yield


class _Within(Mode):
    def __init__(self, most: int) -> None:
        super().__init__()
        self.left = most

    def see(self, op: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not any(isinstance(value, Tensor) for value in tree_leaves((args, kwargs))):  # it makes a tensor of nothing
            sizes = next((one for one in args if isinstance(one, (list, tuple))), args)
            self._take(4 * math.prod(size for size in sizes if isinstance(size, int) and size > 0))
            return op(*args, **kwargs)
        before = {storage(t) for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
        out = op(*args, **kwargs)
        self._take(sum(t.nbytes for t in tree_leaves(out) if isinstance(t, Tensor) and storage(t) not in before))
        return out

    def _take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise MemoryError("it asks for more memory than its tensors can fill")


@contextmanager
def within(most: int) -> Iterator[None]:
    """Refuse what torch makes inside once it comes to more than ``most`` bytes; a tensor before its memory is taken.

    Raises
    ------
    MemoryError
        As soon as the sum, in which memory that was given back still counts, is above ``most``.
    """
    with _Within(most):
        yield
