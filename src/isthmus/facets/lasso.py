"""Sparse codes and the dictionary they are told in, for many rows at once.

The arithmetic is that of scikit-learn's ``MiniBatchDictionaryLearning(fit_algorithm="cd")``, and so are the results, up
to the tolerance of the codes (a test holds it). There each row is a fit of its own, whose checks take a hundred times
as long as its sums; here all rows of a batch move together, one atom after the other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Wide = NDArray[np.float64]

SETTLED = 1e-6
"""Codes have settled once a pass over all atoms moves none of them by more than this share of the largest code."""
LEAP = 8
"""Passes after which codes that have not settled are solved for, as far as their signs hold."""
RIDGE = 1e-12
"""Of the mean squared norm of an atom: what keeps that solvable where atoms are alike."""
CELLS = 1 << 22
"""Numbers of all the systems that are solved at once."""
UNUSED = 1e-6
"""Mean square of the codes of an atom below which it is taken from a row again, as in SPAMS."""
STILL, EARLY, STALE = 1e-3, 100, 10
"""Learning ends when the dictionary moves by less than this for each atom, or when its smoothed cost has not fallen for
so many batches; neither is asked in the first epoch, or the first 100 batches if there are fewer."""


def codes(rows: Wide, atoms: Wide, penalty: float, sweeps: int, start: Wide | None = None) -> Wide:
    """The minimum of half the squared error plus ``penalty`` times the L1 norm of the code, for each row.

    Coordinate descent (Friedman, Hastie and Tibshirani 2010, Regularization paths for generalized linear models via
    coordinate descent, J. Stat. Software 33), with leaps to the minimum over the atoms in use, as the feature-sign
    search of Lee, Battle, Raina and Ng (2007, Efficient sparse coding algorithms, NIPS) makes them.

    Parameters
    ----------
    rows : array (n, D)
    atoms : array (L, D)
    penalty : float
    sweeps : int
        Passes over all atoms, at most.
    start : array (n, L), optional
        Codes to begin with; by default 0.

    Returns
    -------
    array (n, L)

    Examples
    --------
    >>> codes(np.array([[3.0, 0.5]]), np.eye(2), 1.0, 10).tolist()
    [[2.0, 0.0]]
    """
    gram, told = atoms @ atoms.T, atoms @ rows.T  # told (L, n): atoms run down, so that those of all rows lie together
    found = np.zeros_like(told) if start is None else np.ascontiguousarray(start.T)
    squares = np.diag(gram)
    moving = [j for j in range(len(atoms)) if squares[j] > 0]
    found[squares <= 0] = 0.0
    open_ = np.arange(len(rows))
    z, asked = found, told
    for sweep in range(1, sweeps + 1):
        most = np.zeros(len(open_))
        for j in moving:
            own = z[j].copy()
            pull = asked[j] - gram[j] @ z
            pull += squares[j] * own
            pull -= np.minimum(np.maximum(pull, -penalty), penalty)  # np.clip takes as long as all of this
            np.divide(pull, squares[j], out=z[j])
            np.maximum(most, np.abs(z[j] - own), out=most)
        unsettled = most > SETTLED * np.abs(z).max(axis=0, initial=0.0)
        if not unsettled.all():
            found[:, open_] = z
            open_ = open_[unsettled]
            z, asked = found[:, open_], told[:, open_]
        if not len(open_):
            break
        if sweep % LEAP == 0:
            z = _leapt(gram, asked, z, penalty)
    found[:, open_] = z
    return found.T


def _leapt(gram: Wide, asked: Wide, z: Wide, penalty: float) -> Wide:
    """Codes (L, n) at the minimum over the atoms that they use, without those that go out of use on the way there.

    Atoms that are nearly alike trade places for hundreds of passes; their signs are known long before.
    """
    units, leapt = len(gram), z.copy()
    portion = max(1, CELLS // units**2)
    for start in range(0, z.shape[1], portion):
        todo = np.arange(start, min(start + portion, z.shape[1]))
        while len(todo):  # each time a code has an atom fewer, or is done
            now = leapt[:, todo].T
            used = now != 0
            inner = gram * (used[:, :, None] & used[:, None, :])
            inner[:, range(units), range(units)] += np.where(used, RIDGE * np.trace(gram) / units, 1.0)
            wanted = used * (asked[:, todo].T - penalty * np.sign(now))
            aim = np.linalg.solve(inner, wanted[:, :, None])[:, :, 0]
            turns = used & (aim * now <= 0)
            share = np.where(turns, now / np.where(turns, now - aim, 1.0), 1.0)
            step = share.min(axis=1, keepdims=True)
            leapt[:, todo] = np.where(turns & (share <= step), 0.0, now + step * (aim - now)).T
            todo = todo[turns.any(axis=1)]
    return leapt


def dictionary(rows: Wide, units: int, penalty: float, *, batch: int, epochs: int, sweeps: int, seed: int) -> Wide:
    """Atoms (L, D) of norm 1 at most in which rows (n, D) have short and sparse codes, learnt batch by batch.

    Mairal, Bach, Ponce and Sapiro (2009), Online dictionary learning for sparse coding, ICML. In each epoch the codes
    of a row begin where they ended in the one before.
    """
    from sklearn.utils.extmath import randomized_svd

    stream = np.random.RandomState(seed)
    _, sizes, axes = randomized_svd(rows, units, random_state=stream)
    atoms = np.zeros((units, rows.shape[1]))
    atoms[: len(axes)] = sizes[:, None] * axes
    rows = rows.copy()
    stream.shuffle(rows)
    starts = range(0, len(rows), batch)
    both, with_rows = np.zeros((units, units)), np.zeros((units, rows.shape[1]))  # codes by codes, and by rows
    z = np.zeros((len(rows), units))
    smooth, least, stale = np.inf, np.inf, 0
    for step in range(epochs * len(starts)):
        here = slice(first := starts[step % len(starts)], first + batch)
        x = rows[here]
        z[here] = code = codes(x, atoms, penalty, sweeps, z[here])
        cost = (0.5 * np.square(x - code @ atoms).sum() + penalty * np.abs(code).sum()) / len(x)
        past = (step + 1) * len(x) if step < len(x) - 1 else len(x) ** 2 + step + 1 - len(x)
        kept = (past + 1 - len(x)) / (past + 1)
        both = kept * both + code.T @ code / len(x)
        with_rows = kept * with_rows + code.T @ x / len(x)
        before = atoms.copy()
        _renew(atoms, both, with_rows, x, stream)
        if step + 1 <= min(EARLY, len(rows) / len(x)):
            continue
        share = min(1.0, len(x) / (len(rows) + 1))
        smooth = cost if smooth == np.inf else smooth + share * (cost - smooth)
        least, stale = (smooth, 0) if smooth < least else (least, stale + 1)
        if np.linalg.norm(atoms - before) / units <= STILL or stale >= STALE:
            break
    return atoms


def _renew(atoms: Wide, both: Wide, with_rows: Wide, x: Wide, stream: np.random.RandomState) -> None:
    """Move each atom to its best place, the others as they are; what no row uses becomes a row, slightly moved."""
    for j in range(len(atoms)):
        if both[j, j] > UNUSED:
            atoms[j] += (with_rows[j] - both[j] @ atoms) / both[j, j]
        else:
            row = x[stream.choice(len(x))]
            atoms[j] = row + stream.normal(0, 0.01 * (row.std() or 1), size=len(row))
        atoms[j] /= max(float(np.linalg.norm(atoms[j])), 1.0)
