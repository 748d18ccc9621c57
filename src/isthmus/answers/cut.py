"""That trainings were cut too early for a claim, in plain English and Chinese."""

from __future__ import annotations

from collections.abc import Iterable

from isthmus.answers.words import Words
from isthmus.evidence.verdict import FacetVerdict
from isthmus.facets import crowns


def notice(verdicts: Iterable[FacetVerdict], say: Words) -> str:
    """One sentence on all facets that decide: whose trainings were cut, and how many steps would do.

    "" if no answer was taken away by it.
    """
    asked = [v for v in verdicts if crowns(v.facet) and v.halted]
    if not asked:
        return ""
    steps = {name: n for v in asked for name, n in v.cut.items()}
    return say.close("cut.text", **_shown(steps, max(v.steps_needed or 0 for v in asked), say))


def held(v: FacetVerdict, say: Words) -> str:
    """Why a verdict on one facet claims less than its numbers."""
    return say("cut.held", **_shown(v.cut, v.steps_needed or 0, say))


def more(v: FacetVerdict, say: Words) -> str:
    """The same where :func:`notice` has said whose trainings they were."""
    return say("cut.more", needed=v.steps_needed or 0)


def _shown(steps: dict[str, int], needed: int, say: Words) -> dict[str, str]:
    return {"names": say.some(list(steps)), "steps": f"{max(steps.values()):,}", "needed": str(needed)}
