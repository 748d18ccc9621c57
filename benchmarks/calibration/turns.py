"""Anomalies that are tested in turn: how sure is a mean, how often is a difference claimed, and is it found?

Two contenders score rows of which some are anomalies. A score is how odd a row is, what the contender makes of it (the
same in every replicate), and a little noise of training. Replicates test a fifth of the normal rows, and of the
anomalies a fifth each (drawn anew), a third each (in turn, as :func:`isthmus.facets.normal.turn` deals them), or all.

    python benchmarks/calibration/turns.py
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from isthmus.evidence.stats import ALPHA, p_value
from isthmus.facets.normal import overlap, turn
from isthmus.metrics import METRICS
from isthmus.metrics.ranking import auroc

NORMAL, STUDIES, AHEAD, NOISE = 800, 500, 1.0, 0.3
WAYS = ("a fifth", "in turn", "all")
Stream = np.random.Generator


def differences(stream: Stream, way: str, anomalies: int, replicates: int, ahead: float = 0.0) -> NDArray[np.float64]:
    """AUROC of the first contender minus that of the second, (replicates,)."""
    odd = stream.normal(1, 1, anomalies) + stream.normal(size=(2, anomalies)) + ahead * np.array([[1], [0]])
    usual = stream.normal(size=NORMAL) + stream.normal(size=(2, NORMAL))
    found = []
    for replicate in range(replicates):
        rows = stream.permutation(NORMAL)[: NORMAL // 5]
        part = {
            "a fifth": stream.permutation(anomalies)[: anomalies // 5],
            "in turn": turn(np.arange(anomalies), replicate, seed=0),
            "all": np.arange(anomalies),
        }[way]
        label = np.repeat([0, 1], (len(rows), len(part)))
        score = np.hstack([usual[:, rows], odd[:, part]])
        score += NOISE * stream.normal(size=score.shape)
        found.append(auroc(label, score[0]) - auroc(label, score[1]))
    return np.array(found)


def fraction(replicates: int) -> float:
    """Test rows per training row, or what the anomalies that replicates share come to."""
    return max(1 / 3, overlap(replicates))


def table() -> Iterator[str]:
    yield f"| anomalies | replicates |{'|'.join(f' {way}: spread | claimed | found ' for way in WAYS)}|"
    yield "|---" * (2 + 3 * len(WAYS)) + "|"
    stream, rope = np.random.default_rng(0), METRICS["auroc"].rope
    for anomalies in (12, 45, 150):
        for replicates in (3, 5, 9):
            cells = []
            for way in WAYS:
                drawn = [
                    [differences(stream, way, anomalies, replicates, ahead) for _ in range(STUDIES)]
                    for ahead in (0.0, AHEAD)
                ]
                claims = [np.mean([(p_value(d, fraction(replicates)) or 0) < ALPHA for d in some]) for some in drawn]
                spread = np.std([d.mean() for d in drawn[0]]) / rope
                cells += [f"{spread:.1f}", *(f"{share:.3f}" for share in claims)]
            yield f"| {anomalies} | {replicates} | {' | '.join(cells)} |"


if __name__ == "__main__":
    print("\n".join(table()))
