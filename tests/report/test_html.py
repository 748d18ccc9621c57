"""The page as a whole: opens offline, says what there is, and nothing from outside becomes markup."""

import base64
import hashlib
import itertools
import os
import re
from pathlib import Path
from typing import Any

import pytest

from isthmus.answers.words import LANGUAGES, Words
from isthmus.api.study import Study
from isthmus.errors import BadEnvironment, BadInput
from isthmus.report import html
from isthmus.study.design import OBSTACLES

ALL = [
    "answer",
    "table",
    "evidence",
    "proscons",
    "curves",
    "pictures",
    "codes",
    "scatters",
    "tuning",
    "method",
    "repeat",
]
SCRIPTS = (
    "<script>canary()</script>",
    "</script><script>canary()</script>",
    "<img src=x onerror=canary()>",
    "<svg/onload=canary()>",
    '"><svg onload="canary()">',
    "' autofocus onfocus='canary()",
    '" style="background:url(https://evil.example/x)" x="',
    "<a href='javascript:canary()'>x</a>",
    "javascript:canary()",
    "<iframe srcdoc='<script>parent.canary()</script>'>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<base href=https://evil.example/>",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "<style>*{background:url(https://evil.example/x)}</style>",
    "<object data=https://evil.example/x></object>",
    "<form action=https://evil.example><input name=x></form>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=canary()>",
    "<!--<script>canary()//-->",
    "--><script>canary()</script>",
    "<![CDATA[<script>canary()</script>]]>",
    "]]><script>canary()</script>",
    "{{ 7 * 7 }}{% for x in ().__class__.__base__.__subclasses__() %}x{% endfor %}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "${canary()}`canary()`",
    "%{text}%{x}<extra>canary</extra>",
    "<b>bold</b><br><sup>1</sup><a href='https://evil.example'>x</a>",
    '<span style="color:red">red</span>',
    "&lt;script&gt;canary()&lt;/script&gt;",
    "&#60;script&#62;canary()&#60;/script&#62;",
    "\u2028canary()\u2029",
    "\u202e<script>canary()</script>\u202c",
    "\x00<script>canary()</script>\x1b[2J",
    "\\u003cscript\\u003ecanary()\\u003c/script\\u003e",
    '\\";canary();//',
    "';canary();//",
    "</textarea><script>canary()</script>",
    "</title><script>canary()</script>",
    "</style><script>canary()</script>",
    "</noscript><img src=x onerror=canary()>",
    "<plaintext>",
    "<template><script>canary()</script></template>",
    "x" * 500 + "<script>canary()</script>",
)
PAYLOADS = [a + b + c for (a, c), b in itertools.product((("", ""), ("A", "z"), ('">', "<'")), SCRIPTS)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, make: Any) -> Study:
    return Study(make(tmp_path_factory.mktemp("whole") / "study"))


@pytest.mark.slow
@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_section_is_there_in_both_languages(whole: Study, lang: str, read: Any) -> None:
    page, t = read(whole, lang), Words(lang)
    assert [a["id"] for tag, a in page.elements if tag == "section"] == ALL
    for key in ALL:
        assert t("sections." + key) in page.text
    assert dict(page.elements)["html"]["lang"] == t("page.html_lang")
    assert "isthmus compare digits" in page.text


@pytest.mark.slow
@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_key_and_no_python_word_is_left_in_the_text(whole: Study, lang: str, read: Any) -> None:
    text = read(whole, lang).text
    names = [
        "explained_variance",
        "probe_accuracy",
        "train_seconds",
        "left_out",
        "best_range",
        "None",
        "nan",
        "Undefined",
    ]
    for word in [*names, *(f"{s}.{k}" for s, keys in Words(lang).texts.items() for k in keys)]:
        assert not re.search(rf"(?<![\w.]){re.escape(word)}(?![\w.])", text), word
    assert "{" not in text.replace("{}", "")


@pytest.mark.slow
def test_the_chinese_page_has_no_english_sentence(whole: Study, read: Any) -> None:
    text = read(whole, "zh").text
    for section, keys in Words("en").texts.items():
        for key, sentence in keys.items():
            parts = [p for p in re.split(r"\{\w+\}", sentence) if len(p.split()) > 2]
            assert not any(p.strip() in text for p in parts), f"{section}.{key}"


@pytest.mark.slow
def test_the_page_makes_no_request(whole: Study, read: Any) -> None:
    page = read(whole)
    for tag, attributes in page.elements:
        assert tag not in {"link", "iframe", "object", "embed", "base", "form", "audio", "video", "source"}
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        assert "style" not in attributes
        for name in ("src", "href", "action", "data", "srcset", "poster", "xlink:href"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:image/png;base64,")), (tag, name, value)
        assert tag != "script" or "src" not in attributes
    for style in page.styles:
        assert "url(" not in style
        assert "@import" not in style


@pytest.mark.slow
def test_the_policy_admits_exactly_the_scripts_and_styles_of_the_page(whole: Study, read: Any) -> None:
    page = read(whole)
    tag, attributes = page.elements[3]
    assert (tag, attributes["http-equiv"]) == ("meta", "Content-Security-Policy")
    rules = dict(rule.strip().split(" ", 1) for rule in str(attributes["content"]).split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"

    def sources(texts: list[str]) -> set[str]:
        digests = [hashlib.sha256(text.encode()).digest() for text in texts]
        return {f"'sha256-{base64.b64encode(d).decode()}'" for d in digests}

    assert set(rules["script-src"].split()) == sources(page.scripts)
    assert set(rules["style-src"].split()) == sources(page.styles)
    assert "unsafe" not in str(attributes["content"])


@pytest.fixture(scope="module")
def harmless(tmp_path_factory: pytest.TempPathFactory, make: Any, read: Any) -> list[tuple[str, tuple[str, ...]]]:
    return read(
        injected(make, tmp_path_factory.mktemp("harmless"), [f"name {i}" for i in range(len(PAYLOADS))], 0)
    ).skeleton


def injected(make: Any, folder: Path, texts: list[str], at: int) -> Study:
    """A study in which every text from outside is one of ``texts``, families those from number ``at`` on."""
    families = (*(texts[(at + i) % len(texts)] for i in range(4)), "pca")
    message = {(families[1], 1): ("failed", texts[at]), (families[2], 0): ("diverged", texts[at] + texts[at - 1])}
    return Study(
        make(
            folder / "study",
            name=texts[at],
            classes=texts,
            families=families,
            facets=("reconstruction", "features", "cost"),
            skipped={"anomaly": texts[at]},
            replicates=2,
            endings=message,
            command=texts[at],
            source=texts[at],
            levels={f: 1.0 + i / 10 for i, f in enumerate(families)},
            aside=texts[at],
        )
    )


@pytest.mark.slow
@pytest.mark.parametrize("at", range(0, len(PAYLOADS), 9))
def test_no_text_from_outside_becomes_markup(
    at: int, tmp_path: Path, harmless: list[Any], make: Any, read: Any
) -> None:
    assert len(set(PAYLOADS)) > 100
    page = read(injected(make, tmp_path, PAYLOADS, at), LANGUAGES[at % 2])
    assert page.skeleton == harmless
    assert not page.comments
    assert page.scripts == [html.template("page.js")]
    assert not re.search("[\u202a-\u202e\x00\x1b]", page.text)


@pytest.mark.slow
def test_text_from_outside_is_shown_as_it_is(tmp_path: Path, make: Any, read: Any) -> None:
    folder = make(tmp_path / "study", name="<b>a & b</b>", classes=("<i>x</i>", "y"), replicates=2)
    page = read(Study(folder))
    assert "<b>a & b</b>" in page.text
    assert "<i>x</i>" in page.text


@pytest.mark.slow
@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("finished", [0, 1, 7, 23])
def test_half_a_study_has_half_a_report_that_says_so(
    tmp_path: Path, lang: str, finished: int, make: Any, read: Any
) -> None:
    study = Study(make(tmp_path / "study", finished=finished))
    page, t = read(study, lang), Words(lang)
    assert t("page.half_title") in page.text
    if finished:
        fill = {"done": finished, "total": study.total, "missing": study.total - finished}
        assert t("page.half_text", **fill) in page.text
    else:
        assert t("page.half_empty") in page.text
        assert "evidence" not in page.ids()


@pytest.mark.slow
def test_a_whole_study_is_not_called_half(whole: Study, read: Any) -> None:
    page = read(whole)
    assert Words("en")("page.half_title") not in page.text
    assert sum("notice" in str(a.get("class")) for tag, a in page.elements if tag == "div") == 1, "copies"
    assert Words("en")("page.copies_text", n=3, total=719) in page.text


@pytest.mark.slow
def test_without_labels_the_maps_have_one_colour_and_label_questions_say_why(
    tmp_path: Path, make: Any, read: Any
) -> None:
    folder = make(
        tmp_path / "study",
        classes=(),
        facets=("reconstruction", "sparsity", "cost"),
        skipped={"features": OBSTACLES["no labels"]},
        replicates=2,
    )
    page, t = read(Study(folder)), Words("en")
    assert t("codes.intro_plain") in page.text
    assert t("answer.skipped", reason=t.name("skipped", OBSTACLES["no labels"])).removesuffix(".") in page.text
    maps = [a for a in page.drawings if str(a["aria-label"]).startswith("Map of the codes")]
    assert len(maps) == 9


@pytest.mark.slow
def test_rows_of_a_table_have_no_pictures(tmp_path: Path, make: Any, read: Any) -> None:
    page = read(Study(make(tmp_path / "study", shape=(13,), classes=("a", "b", "c"), replicates=2)))
    assert "pictures" not in page.ids()
    assert "codes" in page.ids()
    assert not [tag for tag, _ in page.elements if tag == "img"]


@pytest.mark.slow
def test_colour_images_have_pictures(tmp_path: Path, make: Any, read: Any) -> None:
    page = read(Study(make(tmp_path / "study", shape=(6, 5, 3), replicates=2)))
    pictures = [a for tag, a in page.elements if tag == "img"]
    assert len(pictures) == 1 + 9 + 9
    assert all(a["alt"] for a in pictures)


@pytest.mark.slow
def test_of_many_contenders_the_first_are_open_and_the_others_unfold(tmp_path: Path, make: Any, read: Any) -> None:
    """PCA is the bar, so it stays in sight; the best follow."""
    many = [f"mine{i}" for i in range(20)]
    levels = {name: 1 + i / 10 for i, name in enumerate(many)}
    study = Study(make(tmp_path / "study", families=[*many, "pca"], replicates=2, levels=levels))
    text = study.report(tmp_path / "page.html").read_text(encoding="utf-8")
    assert len(text.encode()) < 2_000_000
    pictures = text[text.index('id="pictures"') : text.index('id="codes"')]
    opened, folded = pictures.split("<summary>9 others</summary>")[:2]
    assert re.findall(r'class="who">(\w+)', opened)[:4] == ["Original", "PCA", "mine0", "mine1"]
    assert len(re.findall(r'class="who"', opened)) == 13
    assert "mine19" in folded
    table = text[text.index('id="table"') : text.index('id="evidence"')]
    opened, folded = table.split("others</summary>")
    assert opened.count(">mine") == 12
    assert folded[: folded.index("</details>")].count(">mine") == 8
    evidence = text[text.index('id="evidence"') : text.index('id="curves"')]
    assert "Only the closest are drawn; 9 more are in the table below." in evidence  # 22 contenders, one is the leader
    forest = evidence[evidence.index("<svg") : evidence.index("</svg>")]
    assert forest.count("<title>") == 12


@pytest.mark.slow
@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_diverged_family_is_excluded_with_its_reason_and_wins_nothing(
    tmp_path: Path, lang: str, make: Any, read: Any
) -> None:
    endings = {("plain", i): ("diverged", "loss left all bounds at step 50") for i in range(5)}
    endings |= {("vq", 3): ("failed", "ValueError: one <thing> went wrong")}
    page, t = read(Study(make(tmp_path / "study", endings=endings)), lang), Words(lang)
    assert t("page.trouble_title") in page.text
    assert "loss left all bounds at step 50" in page.text
    assert "ValueError: one <thing> went wrong" in page.text
    assert t("table.excluded_title") in page.text
    assert t("table.reason_diverged", n=5) in page.text
    assert t("table.reason_failed", n=1) in page.text
    assert not re.search(r"\b(None|nan|inf)\b", page.text)


@pytest.mark.slow
def test_warnings_say_what_was_found(tmp_path: Path, make: Any, read: Any) -> None:
    text = read(Study(make(tmp_path / "study", replicates=2))).text
    t = Words("en")
    assert t("page.copies_text", n=3, total=719) in text
    assert t("method.few", n=2) in text
    assert t("method.constant", n=2) in text
    assert "served as the anomaly" in text


def test_tables_and_drawings_can_be_read_aloud(whole: Study, read: Any) -> None:
    page = read(whole)
    heads = [a for tag, a in page.elements if tag == "th"]
    assert heads
    assert all(a.get("scope") in {"col", "row"} for a in heads)
    assert len(page.drawings) > 20
    assert all(a["role"] == "img" and a["aria-label"] for a in page.drawings)
    assert all(a.get("alt") for tag, a in page.elements if tag == "img")
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))


def test_the_page_is_small_enough_to_send(whole: Study) -> None:
    assert len(html.render(whole).encode()) < 2_000_000


@pytest.mark.slow
def test_the_same_folder_gives_the_same_page(whole: Study, tmp_path: Path) -> None:
    again = Study(whole.folder)
    again.records = again.records[::-1]
    assert html.render(again) == html.render(whole)


@pytest.mark.slow
def test_the_marks_of_differences_are_explained(whole: Study) -> None:
    assert "blue dots are autoencoders, grey squares are rivals" in html.render(whole)
    assert "蓝色圆点是自编码器，灰色方块是基线" in html.render(whole, "zh")


@pytest.mark.slow
def test_write_is_all_or_nothing(whole: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    assert html.write(whole, path) == path
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(BadEnvironment, match="full"):
        html.write(whole, path, "zh")
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["report.html"]


def test_writing_into_a_missing_folder_is_one_line(whole: Study, tmp_path: Path) -> None:
    with pytest.raises(BadEnvironment, match="cannot write"):
        html.write(whole, tmp_path / "missing" / "report.html")


def test_an_unknown_language_is_refused(whole: Study, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="en or zh; got 'fr'"):
        html.write(whole, tmp_path / "report.html", "fr")
    assert not os.listdir(tmp_path)


@pytest.mark.slow
def test_a_damaged_exhibit_costs_only_itself(tmp_path: Path, make: Any, read: Any) -> None:
    folder = make(tmp_path / "study", replicates=2)
    for record in Study(folder).records:
        if record.job.name == "plain" and record.job.replicate == 0:
            (folder / "runs" / record.id / "exhibits.safetensors").write_bytes(b"\xff" * 40)
    page = read(Study(folder))
    assert len([tag for tag, _ in page.elements if tag == "img"]) == 1 + 8 + 8


@pytest.mark.slow
@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_line_of_the_page_ends_within_an_option(whole: Study, lang: str) -> None:
    """A browser breaks a line behind every hyphen, so ``--more`` would be cut between its two."""
    body = html.render(whole, lang).partition("<body")[2].partition("<script>")[0]
    broken = re.sub(r'<span class="option">--[a-z-]+</span>', "", body)
    assert len(broken) < len(body)
    assert not re.findall(r">[^<]*--[a-z][^<]*<", broken)
    assert ".option { white-space: nowrap; }" in html.template("style.css")
