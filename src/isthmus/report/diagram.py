"""The critical-difference diagram: contenders on an axis of mean ranks, bars over those that are not told apart.

Drawn as SVG from numbers; every name is escaped, and nothing in it needs a script or a style sheet.
"""

from collections.abc import Mapping, Sequence

from markupsafe import Markup, escape

from isthmus.report.figures import plain

WIDE, LEFT, RIGHT = 760, 200, 560
"""Pixels: of the drawing, and where the axis begins and ends."""
ROW = 22


def groups(ranks: Sequence[float], critical: float) -> list[tuple[int, int]]:
    """First and last place of each longest run of contenders whose mean ranks are less than ``critical`` apart.

    Examples
    --------
    >>> groups([1.0, 1.5, 2.2, 4.0], 1.0)
    [(0, 1), (1, 2)]
    """
    found: list[tuple[int, int]] = []
    for first, rank in enumerate(ranks):
        last = max(i for i in range(len(ranks)) if ranks[i] - rank < critical)
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found


def critical_difference(
    ranks: Mapping[str, float], critical: float, rivals: Sequence[str], shown: Mapping[str, str], caption: str, cd: str
) -> Markup:
    """The diagram.

    Parameters
    ----------
    ranks : mapping of str to float
        Contender -> mean rank, best first.
    critical : float
        Nemenyi's critical difference.
    rivals : sequence of str
        Whose names are set in italics.
    shown : mapping of str to str
        What contenders are called.
    caption, cd : str
        What the drawing is, for those who hear it; the label of the critical difference.
    """
    values, k = list(ranks.values()), len(ranks)
    bars = groups(values, critical)
    top = 70
    names_at = top + 14 + 9 * len(bars) + 16
    half = (k + 1) // 2
    height = names_at + ROW * half + 4

    def x(rank: float) -> float:
        return round(LEFT + (rank - 1) / max(k - 1, 1) * (RIGHT - LEFT), 1)

    parts = [_line(LEFT, top, RIGHT, top, 1.5)]
    for rank in range(1, k + 1):
        parts += [_line(x(rank), top - 6, x(rank), top, 1.2), _text(x(rank), top - 11, str(rank), "middle")]
    span = min(critical / max(k - 1, 1) * (RIGHT - LEFT), RIGHT - LEFT)
    parts += [_line(LEFT, 22, LEFT + span, 22, 2), _text(LEFT, 15, cd, "start")]
    parts += [_line(LEFT, 18, LEFT, 26, 1.2), _line(LEFT + span, 18, LEFT + span, 26, 1.2)]
    for i, (first, last) in enumerate(bars):
        y = top + 12 + 9 * i
        parts.append(_line(x(values[first]) - 3, y, x(values[last]) + 3, y, 4))
    for place, (name, mean) in enumerate(ranks.items()):
        left = place < half
        y = names_at + ROW * (place if left else k - 1 - place)
        edge = LEFT - 14 if left else RIGHT + 14
        parts.append(f'<path d="M{x(mean)} {top}V{y}H{edge}" fill="none" stroke="currentColor" stroke-width="1"/>')
        label = f"{plain(shown[name], 20)} {mean:.2f}"
        slant = ' font-style="italic"' if name in rivals else ""
        parts.append(_text(edge - 5 if left else edge + 5, y + 4, label, "end" if left else "start", slant))
    head = f'<svg viewBox="0 0 {WIDE} {height}" width="{WIDE}" height="{height}" role="img" font-size="13" '
    return Markup(
        f'{head}font-family="sans-serif" fill="currentColor" aria-label="{escape(caption)}">{"".join(parts)}</svg>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, width: float) -> str:
    return f'<path d="M{x1:g} {y1:g}L{x2:g} {y2:g}" stroke="currentColor" stroke-width="{width:g}"/>'


def _text(x: float, y: float, words: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{more}>{escape(words)}</text>'
