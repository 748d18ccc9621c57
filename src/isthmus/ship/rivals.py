"""A rival of autoencoders as it ships: fitted as a facet measures it, in a network that files hold."""

from __future__ import annotations

import numpy as np
import torch

from isthmus.data.layout import Layout
from isthmus.errors import BadInput
from isthmus.facets import FACETS
from isthmus.facets.facet import Splits
from isthmus.train.inference import Inference
from isthmus.train.likelihood import likelihood, spoken


def fitted(name: str, facet: str, splits: Splits, layout: Layout, columns: tuple[str, ...] = ()) -> Inference:
    """A rival of a facet, fitted as a study does on the training rows of these splits.

    Raises
    ------
    BadInput
        If it is none of those that ship.
    """
    able = FACETS[facet].networks
    if name not in able:
        told = f"of the rivals for {facet} these can: {', '.join(able)}" if able else f"no rival for {facet} can"
        raise BadInput(f"{name} cannot be saved; {told}")
    recipe, parameters = able[name](splits)
    head = likelihood(layout, splits.train.x)
    model = recipe.build(splits.train.x.shape[1:], head)
    with torch.no_grad():
        for key, own in model.named_buffers():
            own.copy_(torch.from_numpy(np.array(parameters[key], order="C")))
    model.eval()
    return Inference(recipe=recipe, model=model, layout=layout, head=spoken(head), columns=tuple(columns))
