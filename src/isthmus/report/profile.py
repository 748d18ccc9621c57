"""What is known of the data: a section of a study's page."""

from typing import Any

from isthmus.answers.profile import told
from isthmus.answers.words import Words
from isthmus.report.figures import plain
from isthmus.report.tables import Cell, Grid, Row
from isthmus.study.profile import Profile


def section(profile: Profile, name: str, t: Words) -> dict[str, Any]:
    """What the template wants: lines before and after a table of columns."""
    said = told(profile, plain(name, 80), t.lang)
    heads = [(head, list[str]()) for head in said.heads]
    rows = [
        Row(plain(cells[0]), [Cell(plain(text, 300), relation="text") for text in cells[1:]]) for cells in said.columns
    ]
    return {
        "title": plain(said.title, 1000),
        "spoilers": [plain(line, 1000) for line in said.spoilers],
        "grid": Grid(t("profile.heading"), heads, rows) if rows else None,
        "more": said.more,
        "rows": [plain(line, 1000) for line in said.rows],
        "questions": [plain(line, 1000) for line in said.questions],
    }
