"""A text in both languages, so that what is declared once can be said twice."""

from __future__ import annotations


class Said(str):
    """An English text that knows its Chinese.

    Attributes
    ----------
    zh : str
        The same in Chinese.

    Examples
    --------
    >>> title = Said("Cost", "代价")
    >>> title, title.of("zh")
    ('Cost', '代价')
    """

    __slots__ = ("zh",)

    zh: str

    def __new__(cls, en: str, zh: str) -> Said:
        made = super().__new__(cls, en)
        made.zh = zh
        return made

    def __reduce__(self) -> tuple[type[Said], tuple[str, str]]:
        """What it is made of again where it is copied, or sent to another process."""
        return type(self), (str(self), self.zh)

    def of(self, lang: str) -> str:
        """The text in a language, ``en`` or ``zh``."""
        return self.zh if lang == "zh" else str(self)
