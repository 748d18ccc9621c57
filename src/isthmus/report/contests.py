"""One facet's contest as the page shows it: who leads, who is as good, who is worse, who was excluded and why."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from isthmus.report.figures import Estimate

Record = Mapping[str, Any]


class Standing(NamedTuple):
    """One contestant in one facet."""

    name: str
    rival: bool
    relation: str
    """leader, equal, undecided, worse or excluded."""
    estimate: Estimate | None = None
    """Mean and interval of the primary metric; None if excluded."""
    difference: Estimate | None = None
    """This contestant minus the leader, in the metric's unit; None for the leader and the excluded."""
    p_leader: float | None = None
    p_equal: float | None = None
    p_other: float | None = None
    p_value: float | None = None
    reason: str = ""


class Contest(NamedTuple):
    """All contestants of one facet, best mean first, the excluded last."""

    facet: str
    metric: str
    higher: bool | None
    rope: float
    standings: tuple[Standing, ...]

    @property
    def ranked(self) -> tuple[Standing, ...]:
        """Those that were not excluded."""
        return tuple(s for s in self.standings if s.relation != "excluded")

    @property
    def leader(self) -> Standing | None:
        """The best mean, if anything was measured."""
        return next((s for s in self.standings if s.relation == "leader"), None)

    def among(self, *relations: str) -> list[str]:
        """Names of those who stand so to the leader."""
        return [s.name for s in self.standings if s.relation in relations]

    @property
    def kind(self) -> str:
        """How it ended: none, alone, best, best_pca, best_rival, pca_enough_first, pca_enough, rival_enough, equal,
        undecided_pca or undecided. The first that is true, in the order in which a reader should hear it."""
        leader, near, open_ = self.leader, self.among("equal"), self.among("undecided")
        if leader is None:
            return "none"
        if len(self.ranked) == 1:
            return "alone"
        if not near and not open_:
            return "best_pca" if leader.name == "pca" else "best_rival" if leader.rival else "best"
        if leader.name == "pca":
            return "pca_enough_first" if not open_ else "undecided_pca"
        if "pca" in near:
            return "pca_enough"
        if leader.rival and not open_:
            return "rival_enough"
        if open_:
            return "undecided_pca" if "pca" in open_ else "undecided"
        return "equal"


def is_rival(name: str, records: Iterable[Record]) -> bool:
    """PCA is a family by protocol and a rival by role; all else that is no family is a rival."""
    return name == "pca" or any(r["job"]["name"] == name and r["job"]["kind"] == "rival" for r in records)
