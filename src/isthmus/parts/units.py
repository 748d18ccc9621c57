"""The units of a code, all in one place or spread over several processes: what of a sparse code needs all of them.

A dictionary whose units are spread (:mod:`isthmus.train.shards`) computes with its own units alone, but for a few
questions: who is among the largest of all, what all write together, whether any of them is dead. A model asks them of
its ``units``; here all are at hand.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from isthmus.parts import gates


class Units:
    """Units that are all here."""

    def shared(self, value: Tensor) -> Tensor:
        """A parameter that every process holds and reads for its own units: its gradient is that of all of them."""
        return value

    def summed(self, part: Tensor) -> Tensor:
        """What all units write, from what those here write; same shape."""
        return part

    def decoded(self, decoder: Any, z: Tensor) -> Tensor:
        """Raw outputs from codes of the units that are here, (B, L) -> (B, *D)."""
        out: Tensor = decoder(z)
        return out

    def chosen(self, values: Tensor, k: Tensor, limit: int) -> Tensor:
        """As :func:`isthmus.parts.gates.chosen`, among the units of all."""
        return gates.chosen(values, k, limit)

    def topk(self, values: Tensor, k: Tensor, limit: int) -> Tensor:
        """As :func:`isthmus.parts.gates.topk`, among the units of all."""
        return gates.topk(values, k, limit)

    def best(self, values: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The ``k`` largest of each row and where they stand, (B, k): of those here, with -inf for what is not among
        the largest of all."""
        largest = values.topk(k, dim=1)
        return largest.values, largest.indices

    def kept(self, values: Tensor, k: int) -> Tensor:
        """Candidates (B, m), rectified and the largest of those here, with 0 for what is not among the ``k`` of all."""
        return values

    def anywhere(self, flags: Tensor) -> Tensor:
        """Whether any is true, 0-dim."""
        return flags.any()

    def least(self, value: Tensor) -> Tensor:
        """The least of 0-dim values of all."""
        return value

    def most(self, value: Tensor) -> Tensor:
        """The largest of 0-dim values of all."""
        return value


HERE = Units()
