"""Which code elements pass."""

import torch
from torch import Tensor


def topk(values: Tensor, k: Tensor, limit: int) -> Tensor:
    """Keep the ``k`` largest elements of each row, exactly ``k`` also among ties, and set the others to zero.

    Parameters
    ----------
    values : Tensor (B, L)
    k : Tensor, 0-dim integer
        A tensor, so that it may differ between the replicates of a stack; at most ``limit``.
    limit : int
        The largest ``k`` that this graph can serve, at most L.

    Examples
    --------
    >>> topk(torch.tensor([[3.0, 1.0, 2.0, 2.0]]), torch.tensor(2), limit=4).count_nonzero()
    tensor(2)
    """
    best, index = values.topk(limit, dim=-1)
    passed = best * (torch.arange(limit, device=values.device) < k)
    return torch.zeros_like(values).scatter(-1, index, passed)
