"""Vector quantisation: the nearest entry of a codebook, how gradients pass it, and how the codebook learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from isthmus.parts.gates import tied

PICKED = 16_384  # codes that k-means looks at: plenty for the codebook of a table, and small beside the training
LLOYD = 10  # its iterations; most of the gain comes with the first few
TINY = 1e-6  # a norm below this has no direction


def smallest(values: Tensor) -> Tensor:
    """Columns that pick their smallest value: 1 there, else 0; of those that tie, the first. (K, n) -> (K, n).

    The pick is arithmetic instead of an index: several times faster on a CPU for the few entries of a table's code.
    """
    least, most, count = values.amin(0), values.amax(0), len(values)
    places = torch.arange(count, dtype=values.dtype, device=values.device).unsqueeze(1)
    place = torch.where(tied(values, least, most - least), places, float(count)).amin(0, keepdim=True)
    there = (place < count).to(values.dtype)  # nothing is picked among numbers that are none
    return torch.zeros_like(values).scatter(0, place.clamp(max=count - 1).long(), there)


def nearest(codes: Tensor, book: Tensor) -> Tensor:
    """Columns that pick the nearest entry (Euclidean) for each code: 1 there, else 0; of those that tie, the first.

    ``codes`` (n, W), ``book`` (K, W) -> (K, n). Distances come from one matrix product; ||codes||^2 is the same for all
    entries and left out. Entries run down the columns, which is faster where they are few and narrow.
    """
    return smallest(book.square().sum(1, keepdim=True) - 2 * book @ codes.t())


def words(digits: Tensor, bases: Tensor) -> Tensor:
    """Numbers in mixed radix, the first digit the smallest: ``digits`` (B, L), ``bases`` (L,) -> (B, ceil(L / W)).

    ``bases`` holds the value of one unit of each digit, and is 1 where a new word begins.

    Examples
    --------
    >>> words(torch.tensor([[1, 2, 1]]), torch.tensor([1, 3, 1]))
    tensor([[7, 1]])
    """
    word = (bases == 1).cumsum(0) - 1
    made = torch.zeros(len(digits), int(word[-1]) + 1, dtype=torch.int64, device=digits.device)
    return made.index_add(1, word, digits.long() * bases)


def digits(numbers: Tensor, bases: Tensor, levels: Tensor) -> Tensor:
    """What :func:`words` were made of: ``numbers`` (B, W), ``bases`` and ``levels`` (L,) -> digits (B, L), int64.

    Examples
    --------
    >>> digits(torch.tensor([[7, 1]]), torch.tensor([1, 3, 1]), torch.tensor([3, 3, 3]))
    tensor([[1, 2, 1]])
    """
    return numbers[:, (bases == 1).cumsum(0) - 1] // bases % levels


def stretch(layer: nn.Module, raw: Tensor) -> None:
    """Scale an affine layer in place so that its outputs ``raw`` (N, L) for training rows have unit spread.

    At most tenfold: a deep encoder that starts almost flat would answer every step with a leap. The end of a network of
    the user's own, where it is no affine layer, stays as it is.
    """
    if not isinstance(layer, nn.Linear):
        return
    spread = raw.std(0, correction=0)
    scale = torch.where(spread > TINY, (1 / spread).clamp(max=10.0), 1.0)
    layer.weight.mul_(scale.unsqueeze(1))
    layer.bias.mul_(scale)


def straight(codes: Tensor, entries: Tensor) -> Tensor:
    """The entries, with the gradient of the codes (Bengio, Leonard and Courville 2013). Both (n, W)."""
    return codes + (entries - codes).detach()


def rotate(codes: Tensor, entries: Tensor) -> Tensor:
    """The entries, with a gradient that turns and stretches as the entry does relative to its code. Both (n, W).

    With a = z / |z|, b = e / |e| and r = (a + b) / |a + b|, the gradient is that of ``(|e| / |z|) R z`` at fixed
    ``R = I - 2 r r' + 2 b a'``, the rotation that takes a to b (Fifty et al. 2024, Restructuring vector quantization
    with the rotation trick, section 4). A vector without direction, or an entry opposite to its code, has no such
    rotation: there the gradient passes straight through.
    """
    z, e = codes.detach(), entries.detach()
    long, reach = z.norm(dim=1, keepdim=True), e.norm(dim=1, keepdim=True)
    a, b = z / long.clamp_min(TINY), e / reach.clamp_min(TINY)
    middle = (a + b).norm(dim=1, keepdim=True)
    r = (a + b) / middle.clamp_min(TINY)
    turned = codes - 2 * (codes * r).sum(1, keepdim=True) * r + 2 * (codes * a).sum(1, keepdim=True) * b
    turned = reach / long.clamp_min(TINY) * turned
    sound = (long > TINY) & (reach > TINY) & (middle > TINY)
    moved = torch.where(sound, turned, codes)
    return e + (moved - moved.detach())


ESTIMATORS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"straight": straight, "rotation": rotate}


def move(counts: Tensor, sums: Tensor, seen_counts: Tensor, seen_sums: Tensor, decay: Tensor | float) -> None:
    """Update moving averages in place: ``counts`` (K,) of codes and ``sums`` (K, W) of their vectors.

    The entry of the codebook is ``sums / counts`` (van den Oord et al. 2017, appendix A.1).
    """
    counts.mul_(decay).add_(seen_counts * (1 - decay))
    sums.mul_(decay).add_(seen_sums * (1 - decay))


def evenly(codes: Tensor, k: int) -> Tensor:
    """``k`` of the codes (n, W), evenly spaced; repeated if there are fewer. (k, W)."""
    return codes[torch.linspace(0, len(codes) - 1, k, device=codes.device).long()]


def kmeans(codes: Tensor, k: int) -> Tensor:
    """``k`` centres (k, W) of codes (n, W): k-means++ by fixed draws (Arthur and Vassilvitskii 2007), then Lloyd.

    A centre that no code is nearest to stays where it is. The same codes always give the same centres.
    """
    codes = evenly(codes, min(len(codes), max(PICKED, k)))
    draws = torch.rand(k, generator=torch.Generator().manual_seed(0)).to(codes)
    picked = codes[(draws[:1] * len(codes)).long()]
    gaps = (codes - picked).square().sum(1)
    for u in draws[1:]:
        ladder = gaps.cumsum(0)
        entry = codes[torch.searchsorted(ladder, u * ladder[-1]).clamp_max(len(codes) - 1)]
        gaps = torch.minimum(gaps, (codes - entry).square().sum(1))
        picked = torch.cat([picked, entry.unsqueeze(0)])
    for _ in range(LLOYD):
        chosen = nearest(codes, picked)
        counts = chosen.sum(1, keepdim=True)
        picked = torch.where(counts > 0, chosen @ codes / counts.clamp_min(TINY), picked)
    return picked


STARTS: dict[str, Callable[[Tensor, int], Tensor]] = {"sample": evenly, "kmeans": kmeans}


class Book(nn.Module):
    """One codebook, ``entries`` (K, W), and what keeps it alive.

    Parameters
    ----------
    codes, width : int
        K and W.
    learnt : bool
        Whether entries are parameters, moved by a loss term, or moving averages of the codes they were nearest to.
    decay : float
        Of the moving averages, per step.
    least : float
        An entry is forgotten if its moving count falls below this share of a fair one. It is put back at a fixed draw
        from the normal distribution with the mean and spread of the current codes: deterministic, from sums only.
    """

    entries: Tensor
    decay: Tensor
    least: Tensor
    fixed: Tensor
    counts: Tensor
    sums: Tensor
    centre: Tensor
    spread: Tensor

    def __init__(self, codes: int, width: int, *, learnt: bool, decay: float, least: float) -> None:
        super().__init__()
        self.learnt = learnt
        fixed = torch.randn((codes, width), generator=torch.Generator().manual_seed(0))
        self.register_buffer("decay", torch.tensor(float(decay)), persistent=False)
        self.register_buffer("least", torch.tensor(float(least)), persistent=False)
        self.register_buffer("fixed", fixed, persistent=False)
        self.register_buffer("counts", torch.ones(codes))
        if learnt:
            self.register_buffer("centre", torch.zeros(width))
            self.register_buffer("spread", torch.ones(width))
            self.entries = nn.Parameter(fixed.clone())
        else:
            self.register_buffer("sums", fixed.clone())
            self.register_buffer("entries", fixed.clone())

    def choose(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """The pick of :func:`nearest` (K, n) and the entries themselves (n, W), which pass a gradient to the book."""
        chosen = nearest(codes.detach(), self.entries.detach())
        return chosen, (self.entries.t() @ chosen).t()

    def facts(self, codes: Tensor, chosen: Tensor) -> dict[str, Tensor]:
        """Counts, sums and squares of codes: what :meth:`absorb` wants, additive over batches."""
        past = codes.detach()
        return {
            "counts": chosen.sum(1),
            "sums": (past.t() @ chosen.t()).t(),
            "squares": past.square().sum(0),
        }

    def begin(self, codes: Tensor, first: str) -> None:
        """Take the entries from codes of training rows (n, W), as a key of ``STARTS`` says, slightly moved apart."""
        picked = STARTS[first](codes, len(self.entries))
        self.entries.copy_(picked + 0.01 * codes.std(0, correction=0) * self.fixed)
        self.counts.fill_(1.0)
        if not self.learnt:
            self.sums.copy_(self.entries)

    @property
    def forgotten(self) -> Tensor:
        """Which learnt entries are to be put back, (K,)."""
        return self.counts < self.least * self.counts.mean()

    def absorb(self, seen: Mapping[str, Tensor]) -> None:
        """Remember what one step saw; move averaged entries, and put forgotten ones back among the codes."""
        total = seen["counts"].sum()
        fair = total / len(self.counts)
        centre = seen["sums"].sum(0) / total
        spread = (seen["squares"] / total - centre.square()).clamp_min(0).sqrt()
        if self.learnt:  # ``project`` has put the forgotten ones back, or will, before this is called again
            counts = torch.where(self.forgotten, fair, self.counts)
            self.counts.copy_(self.decay * counts + (1 - self.decay) * seen["counts"])
            self.centre.copy_(centre)
            self.spread.copy_(spread)
            return
        move(self.counts, self.sums, seen["counts"], seen["sums"], self.decay)
        lost = self.counts < self.least * fair
        self.counts.copy_(torch.where(lost, fair, self.counts))
        self.sums.copy_(torch.where(lost.unsqueeze(1), fair * (centre + spread * self.fixed), self.sums))
        self.entries.copy_(self.sums / self.counts.unsqueeze(1))

    def project(self) -> None:
        """Put forgotten entries that are parameters back among the codes."""
        if self.learnt:
            back = self.centre + self.spread * self.fixed
            self.entries.copy_(torch.where(self.forgotten.unsqueeze(1), back, self.entries))
