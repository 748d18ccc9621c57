"""Kinds of columns: one file, one line here."""

from isthmus.data.fields.category import Category
from isthmus.data.fields.count import Count
from isthmus.data.fields.date import Date
from isthmus.data.fields.field import Cells, Column, Field, missing
from isthmus.data.fields.flag import Flag
from isthmus.data.fields.hashed import Hashed
from isthmus.data.fields.number import Amount, Number
from isthmus.data.fields.ordered import Ordered
from isthmus.data.fields.tally import Tallied, Tally
from isthmus.data.fields.text import Characters, Text

__all__ = ["KINDS", "TALLIED", "TEXTS", "Cells", "Column", "Field", "Tally", "missing"]

KINDS: dict[str, type[Column]] = {
    kind.kind: kind for kind in (Number, Amount, Count, Flag, Category, Ordered, Date, Text, Characters, Hashed)
}
TEXTS = (Text.kind, Characters.kind, Hashed.kind)
"""Kinds whose cells are texts and no numbers."""
TALLIED: dict[str, type[Tallied]] = {kind.kind: kind for kind in (Number, Amount, Count, Flag, Category, Ordered, Date)}
"""Kinds that can be fitted to rows of which not all are at hand: all but free text."""
