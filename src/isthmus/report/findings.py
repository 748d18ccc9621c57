"""What the doctor found in the chosen models, as a table."""

from collections.abc import Mapping, Sequence

from isthmus.answers.findings import Counted
from isthmus.answers.words import Words
from isthmus.report.figures import plain
from isthmus.report.tables import BLANK, Cell, Grid, Row


def table(found: Sequence[Counted], t: Words, shown: Mapping[str, str]) -> Grid | None:
    """One row for each contender and defect; None if there is none."""
    rows = [
        Row(
            t("findings.data") if r.who is None else shown.get(r.who, plain(r.who)),
            [
                Cell(plain(r.title(t.lang)), relation="text"),
                Cell(t("findings.runs_of", n=r.n, total=r.total)),
                Cell(plain(r.numbers(t.lang), 200) or BLANK, relation="text"),
            ],
        )
        for r in found
    ]
    heads = [(t("findings." + key), list[str]()) for key in ("contender", "finding", "runs", "evidence")]
    return Grid(t("findings.title"), heads, rows) if rows else None
