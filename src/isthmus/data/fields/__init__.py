"""Kinds of columns: one file, one line here."""

from isthmus.data.fields.category import Category, Ordered
from isthmus.data.fields.date import Date
from isthmus.data.fields.field import Cells, Column, Field
from isthmus.data.fields.flag import Flag
from isthmus.data.fields.number import Amount, Number

__all__ = ["KINDS", "Cells", "Column", "Field"]

KINDS: dict[str, type[Column]] = {kind.kind: kind for kind in (Number, Amount, Flag, Category, Ordered, Date)}
