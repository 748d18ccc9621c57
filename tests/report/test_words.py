"""The two languages say the same things."""

import re
from pathlib import Path
from string import Formatter

import pytest

import isthmus
from isthmus.answers.words import LANGUAGES, NAMED, Words
from isthmus.errors import BadInput
from isthmus.facets import FACETS
from isthmus.families import FAMILIES
from isthmus.metrics import METRICS

ROOT = Path(isthmus.__file__).parent


def places(text: str) -> set[str]:
    """Without the words that go with a number, of which Chinese has none."""
    return {place for _, place, _, _ in Formatter().parse(text) if place is not None and "|" not in place}


MANY = "rows columns replicates contenders settings configurations classes runs filters points parts sets components"
ALWAYS_MORE = {  # what they count is at least 2
    *("capacity.caption", "brief.needed", "brief.few", "verdict.needed", "advice.needed", "several.title"),
    *(
        "ranking.overlap",
        "spoil.leaks",
        "several.few",
        "several.diagram",
        "ranking.few",
        "method.few_groups",
        "method.grouped",
    ),
}


def test_one_of_a_thing_is_not_said_in_the_plural() -> None:
    """Every text with 1 in all its places."""
    words = Words("en")
    for section, keys in words.texts.items():
        for key, text in keys.items():
            if isinstance(text, str) and f"{section}.{key}" not in ALWAYS_MORE:
                asked = {place.partition("|")[0] for _, place, _, _ in Formatter().parse(text) if place is not None}
                said = words(f"{section}.{key}", **(dict.fromkeys(asked, 1) | {"rows": 20}))
                wrong = re.search(rf"(?<![a-z0-9] of )(?<!≥ )\b1 ([a-z-]+ )?({MANY.replace(' ', '|')})\b", said)
                assert wrong is None, f"{section}.{key}: {said}"


def test_names_that_are_plurals_are_told_in_the_plural() -> None:
    """A verb beside a name agrees with it, in whatever table the name stands and whatever it is called there."""
    words = Words("en")
    assert words.plural >= {"iterated trees", "nearest known rows", "boosted trees"}
    assert set(words.texts["grammar"]["plural"].split(", ")) <= set(words.texts["contenders"])
    agreeing = {f"{s}.{k}" for s, keys in words.texts.items() for k, text in keys.items() if "{leader|" in text}
    assert {"verdict.best", "verdict.near", "advice.leads", "stands_out.cost"} <= agreeing
    for key in agreeing:
        section, _, name = key.partition(".")
        asked = dict.fromkeys(places(words.texts[section][name]), "x")
        one, many = (words(key, **asked | {"leader": who}) for who in ("isolation forest", "iterated trees"))
        told = re.compile(r"\b(is|was|has|leads|it takes|it serves|it)\b")
        assert told.search(one), one
        assert not told.search(many), many
    assert words("verdict.best", leader="iterated trees") == "iterated trees are better than all others"
    assert words("advice.take_enough", rival="PCA") == "PCA is enough"
    assert Words("en", {"iterated trees": "trees, again"}).plural >= {"trees, again"}
    assert Words("zh")("verdict.best", leader="迭代树") == Words("zh")("verdict.best", leader="PCA").replace(
        "PCA ", "迭代树"
    )


def test_both_languages_have_the_same_keys_and_places() -> None:
    en, zh = Words("en").texts, Words("zh").texts
    assert {s: set(keys) for s, keys in en.items()} == {s: set(keys) for s, keys in zh.items()}
    for section, keys in en.items():
        for key, text in keys.items():
            if "{" in text + zh[section][key] and f"{section}.{key}" != "evidence.rope":
                assert places(text) == places(zh[section][key]), f"{section}.{key}"


def test_every_key_that_the_code_asks_for_exists() -> None:
    sources = [
        *ROOT.glob("report/*.py"),
        *ROOT.glob("answers/*.py"),
        *ROOT.glob("study/*.py"),
        *ROOT.glob("report/templates/*.html"),
    ]
    ask = re.compile(r"""\b(?:t|say|say\.close)\(\s*["'](\w+\.\w+)["']\s*[,)]""")
    asked = {key for path in sources for key in ask.findall(path.read_text())}
    assert len(asked) > 60
    texts = Words("en").texts
    assert not [key for key in asked if key.split(".")[1] not in texts[key.split(".")[0]]]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_facet_metric_family_and_rival_has_a_name(lang: str) -> None:
    texts = Words(lang).texts
    rivals = {rival for facet in FACETS.values() for rival in facet.rivals}
    measured = {facet.primary for facet in FACETS.values()}
    assert set(FACETS) <= set(texts["facets"])
    curves = {curve for facet in FACETS.values() for curve in facet.curves}
    assert {curve + end for curve in curves for end in ("", "_x", "_y")} == set(texts["facet_curves"])
    assert set(FACETS) <= set(texts["questions"])
    assert set(FACETS) <= set(texts["sees"])
    assert set(FAMILIES) | rivals <= set(texts["contenders"])
    assert set(METRICS) | measured <= set(texts["metrics"])
    assert len(Words(lang).titles) == sum(len(texts[section]) for section in NAMED), "one name in two sections"


def test_chinese_sets_a_space_between_chinese_and_latin() -> None:
    t = Words("zh")
    assert t("tuning.caption", name="TopK", n=5).startswith("TopK 的超参数组")
    assert t("tuning.caption", name="普通自编码器", n=5).startswith("普通自编码器的超参数组")
    assert t.phrase(["甲", "B", "丙"]) == "甲、B 和丙"


def test_english_lists() -> None:
    t = Words("en")
    assert [t.phrase(names) for names in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]


def test_unknown_language() -> None:
    with pytest.raises(BadInput, match="en or zh; got 'de'"):
        Words("de")
