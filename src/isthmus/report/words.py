"""The report's sentences in English and Chinese: one text file each under ``texts``, same keys, no fallback."""

import tomllib
from functools import cache
from importlib import resources
from typing import Any

from isthmus.errors import BadInput

LANGUAGES = ("en", "zh")


class Words:
    """The texts of one language.

    Parameters
    ----------
    lang : {"en", "zh"}
        The language of the report.

    Examples
    --------
    >>> Words("en")("page.yes")
    'yes'
    >>> Words("zh")("method.replicate", n=2)
    '第 2 次重复'
    """

    def __init__(self, lang: str) -> None:
        if lang not in LANGUAGES:
            raise BadInput(f"report language must be en or zh; got {lang!r}")
        self.lang = lang
        self.texts = _texts(lang)

    def __call__(self, key: str, **values: object) -> str:
        """The sentence ``section.key`` with its ``{places}`` filled; a missing key is a mistake of ours: KeyError."""
        section, _, name = key.partition(".")
        return self.texts[section][name].format(**values) if values else self.texts[section][name]

    def name(self, section: str, key: str, otherwise: str | None = None) -> str:
        """What people call a facet, metric, contestant or status; one that is not ours keeps its own name."""
        return self.texts[section].get(key, key if otherwise is None else otherwise)

    def list(self, names: list[str]) -> str:
        """Names in one phrase: "a, b and c"."""
        if len(names) < 2:
            return "".join(names)
        return self("page.comma").join(names[:-1]) + self("page.and") + names[-1]


@cache
def _texts(lang: str) -> dict[str, dict[str, Any]]:
    path = resources.files("isthmus.report").joinpath("texts", f"{lang}.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))
