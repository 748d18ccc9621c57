"""One value, however it is written: no and yes in many languages, and codes with and without decimals."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.data.fields import Cells, Field
from isthmus.data.unchecked import Unchecked
from isthmus.data.wording import shown
from isthmus.data.words import Words
from isthmus.errors import BadInput

YES_NO = (
    *(("no", "yes"), ("n", "y"), ("false", "true"), ("f", "t"), ("off", "on"), ("nein", "ja"), ("n", "j")),
    *(("falsch", "wahr"), ("aus", "ein"), ("non", "oui"), ("n", "o"), ("faux", "vrai"), ("no", "si"), ("no", "sí")),
    *(("n", "s"), ("falso", "verdadero"), ("no", "sì"), ("falso", "vero"), ("não", "sim"), ("nao", "sim")),
    *(("falso", "verdadeiro"), ("nee", "ja"), ("nej", "ja"), ("nei", "ja"), ("ei", "kyllä"), ("nie", "tak")),
    *(("ne", "ano"), ("ne", "da"), ("nem", "igen"), ("nu", "da"), ("нет", "да"), ("hayır", "evet")),
    *(("否", "是"), ("いいえ", "はい"), ("아니요", "예")),
)
"""Words for no and yes."""
NO_OR_YES = {
    spelt: float(place)
    for pair in (*YES_NO, ("0", "1"))
    for place, word in enumerate(pair)
    for spelt in (word, word.upper(), word.capitalize())
}
"""What each of these means, however it is spelt."""
WHOLE = r"^(-?(?:0|[1-9]\d*))\.0+$"
"""A whole number as frames write it where a column has gaps: ``3.0``."""
NUMBERED = r"^-?(0|[1-9]\d*)(\.0+)?$"


def no_or_yes(raw: Unchecked, j: int, field: Field, words: Words) -> Cells:
    """No and yes, also in other words than in training; of others, a gap."""
    of = {**NO_OR_YES, **{word: float(k) for k, word in enumerate(field.values)}}
    bare = undotted(words.texts).to_pylist()
    each = zip(words.texts.to_pylist(), bare, strict=True)
    places = np.array([of.get(text, of.get(whole, np.nan)) for text, whole in each], np.float64)
    if len(places) and np.isnan(places).all():
        no, yes = map(shown, field.values)
        raise BadInput(
            f"{raw.place}: {raw.where(words.row(0), j)}: {shown(words.texts[0].as_py())} is neither {no} nor {yes}, "
            f"nor is any other; write {no} and {yes}, or leave the cells empty"
        )
    return words.spread(places)


def codes(values: Iterable[str]) -> dict[str, str]:
    """Values of a column that are whole numbers, by how they may be written without decimals, and as they are.

    Examples
    --------
    >>> codes(["3.0", "4", "Oslo"])
    {'3': '3.0', '4': '4', '3.0': '3.0'}
    """
    found = [value for value in values if re.fullmatch(NUMBERED, value, re.ASCII)]
    return {re.sub(WHOLE, r"\1", value): value for value in found} | {value: value for value in found}


def undotted(texts: Any) -> Any:
    """Texts, and whole numbers without decimals."""
    return pc.replace_substring_regex(texts, WHOLE, r"\1")


def places(field: Field, words: Words) -> Cells:
    """The place of each row's text among a field's values; -1 for a text besides them, NaN where there is none.

    A code is the same code, written ``3`` or ``3.0``, where no other value is written so.
    """
    values = pa.array(field.values, pa.string())
    places = pc.index_in(words.texts, values)
    if pc.any(pc.match_substring_regex(values, NUMBERED)).as_py():
        places = pc.coalesce(places, pc.index_in(undotted(words.texts), undotted(values)))
    places = pc.fill_null(places, -1)
    return words.spread(np.asarray(places.to_numpy(zero_copy_only=False), np.float64))
