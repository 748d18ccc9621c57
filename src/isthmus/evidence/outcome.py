"""The words in which evidence ends: between two contenders, and over a whole table."""

from __future__ import annotations

from typing import Literal

Relation = Literal["better", "equal", "worse", "undecided"]
"""What may be claimed of one contender against another. equal: practically equal, within the rope. undecided: it may be
better, equal or worse."""

Kind = Literal["better", "equal", "undecided", "no evidence"]
"""How the leader of a table stands to all others. better: than each of them. equal: whom it does not beat is
practically equal to it. undecided: at least one may be as good or not. no evidence: fewer than two have a score."""

Outcome = Literal[
    "autoencoder", "rival", "rival enough", "no contest", "undecided", "depends", "useless", "no evidence"
]
"""Whether an autoencoder is needed. autoencoder: one is better than every rival. rival: a rival is better than every
autoencoder. rival enough: no autoencoder is better beyond the rope. no contest: only one side was compared. undecided:
the replicates do not tell. depends: several facets speak and disagree. useless: nobody is shown to beat the
trivial floor of a facet. no evidence: there is nothing to compare."""
