"""Supervised fine-tuning: a pretrained encoder under a linear layer of labels, trained by the one loop.

Hinton and Salakhutdinov (2006), Science 313; Erhan et al. (2010), Why does unsupervised pre-training help deep
learning?, JMLR 11.

    min  mean over rows of  -log softmax(A (encode(x) - m) / s + a)[label]

Codes are put on one scale first (mean m and standard deviation s of the training codes, fixed), so that one learning
rate serves every family. The label of a row travels as its target, one-hot; early stopping looks at the cross-entropy
of validation rows. Where we deviate: none of the paper's conjugate gradients, but the plan's Adam.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional

from isthmus.data.scale import Scaler
from isthmus.errors import BadInput
from isthmus.model import Loss, Model
from isthmus.seeds import seed as hashed
from isthmus.train.fitted import Fitted
from isthmus.train.inference import Inference, tensor
from isthmus.train.loop import Outcome, Watch, train
from isthmus.train.plan import Plan
from isthmus.train.task import Task


class Labelled(Model):
    """An encoder and a linear layer; ``encode`` gives the code, ``decode`` the probability of each label.

    Parameters
    ----------
    body : Model
        The pretrained model; it is copied.
    classes : int
        Number of labels K.
    frozen : bool or None
        Whether only the linear layer is trained; None: where no gradient reaches the encoder.

    Raises
    ------
    BadInput
        If the encoder should be trained, but no gradient reaches it.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, body: Model, classes: int, *, frozen: bool | None = False) -> None:
        super().__init__()
        self.shape, self.latents, self.stacks = body.shape, body.latents, body.stacks
        self.weights = {"cross_entropy": 1.0}
        self.body = copy.deepcopy(body)
        self.top = nn.Linear(body.latents, classes)
        nn.init.zeros_(self.top.weight)
        nn.init.zeros_(self.top.bias)
        self.register_buffer("mean", torch.zeros(body.latents))
        self.register_buffer("spread", torch.ones(body.latents))
        useful = set() if frozen else self._reached()
        if frozen is False and not useful:
            raise BadInput("no gradient reaches the encoder through this family's code: use frozen=True")
        for name, parameter in self.body.named_parameters():
            parameter.requires_grad_(name in useful)

    def _reached(self) -> set[str]:
        """The parameters that the code depends on, by name; a decoder's own are not among them."""
        named = {name: p for name, p in self.body.named_parameters() if p.requires_grad}
        with torch.enable_grad():
            code = self.body.encode(torch.rand((2, *self.shape), generator=torch.Generator().manual_seed(0)))
            if not named or not code.requires_grad:
                return set()
            found = torch.autograd.grad(code.sum(), list(named.values()), allow_unused=True)
        return {name for name, gradient in zip(named, found, strict=True) if gradient is not None}

    def encode(self, x: Tensor) -> Tensor:
        return self.body.encode(x)

    def decode(self, z: Tensor) -> Tensor:
        """(B, L) -> (B, K), each row summing to 1."""
        return torch.softmax(self.logits(z), dim=1)

    def logits(self, z: Tensor) -> Tensor:
        """(B, L) -> (B, K)."""
        return self.top((z - self.mean) / self.spread)

    def forward(self, x: Tensor, target: Tensor, noise: Any = None) -> Loss:
        """``target`` (B, K) is one-hot."""
        chance = functional.log_softmax(self.logits(self.encode(x)), dim=1)
        return Loss({"cross_entropy": -(target * chance).sum(1).mean()}, {})

    @torch.no_grad()
    def start(self, x: Tensor, target: Tensor | None = None) -> None:
        """The scale of the codes of the training rows; a code element that never moves keeps its own."""
        codes = torch.cat([self.encode(rows) for rows in x.split(4096)])
        spread = codes.std(0, correction=0)
        self.mean.copy_(codes.mean(0))
        self.spread.copy_(torch.where(spread > 1e-6, spread, 1.0))


@dataclass(frozen=True)
class Finetuned:
    """An encoder that was fine-tuned on labels."""

    pretrained: Fitted
    """The autoencoder that it began as, unchanged."""
    model: Labelled
    plan: Plan
    outcome: Outcome

    def inference(self) -> Inference:
        """The network as it answers rows: ``reconstruct`` gives the probability of each label, (N, *D) -> (N, K)."""
        own = self.pretrained
        plain = Scaler("none", np.zeros(1), np.ones(1), 0)
        return Inference(
            recipe=own.recipe,
            model=self.model,
            layout=own.layout,
            head=own.head,
            columns=own.columns,
            target_layout=plain,
        )

    def predict_proba(self, x: ArrayLike) -> NDArray[np.float32]:
        """The probability of each label: (N, *D), in the units of the data, -> (N, K)."""
        return self.inference().reconstruct(x)

    def predict(self, x: ArrayLike) -> NDArray[np.int64]:
        """The most probable label: (N, *D) -> (N,)."""
        return self.predict_proba(x).argmax(1)


def finetune(
    pretrained: Fitted,
    x: ArrayLike,
    y: ArrayLike,
    *,
    valid: ArrayLike | None = None,
    valid_y: ArrayLike | None = None,
    classes: int | None = None,
    plan: Plan | None = None,
    seed: int = 0,
    frozen: bool | None = False,
    corrupt: bool = False,
    watch: Watch | None = None,
) -> Finetuned:
    """Train a pretrained encoder to predict labels.

    Parameters
    ----------
    pretrained : Fitted
        Stays as it is.
    x : array of shape (N, *D)
        Labelled rows, in the units of the data.
    y : array of shape (N,)
        Labels, whole numbers from 0 to K - 1.
    valid, valid_y : arrays (M, *D), (M,), optional
        Rows for early stopping. By default a seeded fifth of each label's rows; with fewer than 5 rows of each label
        all rows serve for both.
    classes : int, optional
        K; by default, one more than the largest label.
    plan : Plan, optional
        By default the usual one at a learning rate of 3e-3; its stages must be together.
    seed : int
        The held-out rows, the order and all noise follow from it.
    frozen : bool or None, default False
        Whether the encoder stays as it is and only the linear layer is trained; None: where no gradient reaches it.
    corrupt : bool, default False
        Whether rows are corrupted as the recipe says, as in pretraining.
    watch : callable, optional
        See :func:`isthmus.train.loop.train`.

    Returns
    -------
    Finetuned

    Raises
    ------
    BadInput
        If rows and labels do not fit together.
    """
    if (valid is None) != (valid_y is None):
        raise BadInput("valid and valid_y go together: give both or none")
    rows, labels = _pair(pretrained, x, y)
    held, held_labels = rows, labels
    if valid is not None and valid_y is not None:
        held, held_labels = _pair(pretrained, valid, valid_y)
    elif (aside := _aside(labels, hashed(seed, "holdout"))).any():
        held, held_labels, rows, labels = rows[aside], labels[aside], rows[~aside], labels[~aside]
    most = int(max(labels.max(), held_labels.max())) + 1
    if classes is not None and classes < most:
        raise BadInput(f"labels must lie below classes = {classes}; got {most - 1}")
    if corrupt and pretrained.recipe.corruption == "none":
        raise BadInput("corrupt=True needs a recipe with a corruption; this one has none: leave corrupt out")
    recipe = pretrained.recipe if corrupt else replace(pretrained.recipe, corruption="none")
    model = Labelled(pretrained.model, classes or most, frozen=frozen)
    hot = torch.eye(classes or most)
    plan = plan or Plan(learning_rate=3e-3)
    plan = replace(plan, batch=min(plan.batch, len(rows)))
    task = Task(recipe, model, tensor(rows), tensor(held), plan, seed, hot[labels], hot[held_labels])
    return Finetuned(pretrained, model, plan, train([task], watch)[0])


def _pair(pretrained: Fitted, x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Rows as the model takes them, and their labels."""
    rows, labels = pretrained.scaled(x), np.asarray(y)
    if len(rows) != len(labels):
        raise BadInput(f"expected one label for each row; got {len(rows)} rows and {len(labels)} labels")
    if labels.ndim != 1 or not len(labels) or labels.dtype.kind not in "iu" or labels.min() < 0:
        raise BadInput(f"labels must be whole numbers from 0, one for each row; got {labels.dtype} {labels.shape}")
    return rows, labels.astype(np.int64)


def _aside(labels: NDArray[np.int64], number: int) -> NDArray[np.bool_]:
    """Which rows are held out: a seeded fifth of each label's, so that no label is lost from training."""
    order, held = np.random.default_rng(number).permutation(len(labels)), np.zeros(len(labels), bool)
    for label in np.unique(labels):
        own = order[labels[order] == label]
        held[own[: len(own) // 5]] = True
    return held
