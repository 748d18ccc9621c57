"""The card of a model: all that its files say, nothing that they do not, and no text that breaks out of it."""

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from isthmus.cli import main
from isthmus.errors import BadInput
from isthmus.families import named
from isthmus.ship import card
from isthmus.ship.artefact import load, save
from isthmus.ship.deployed import Deployed
from isthmus.ship.manifest import Measured, Origin
from isthmus.train.fitted import fit

X = np.random.default_rng(0).normal(size=(300, 3))
EVIL = "a|b <script>alert(1)</script>\n# head [x](http://y)"
ORIGIN = Origin(
    purpose="anomaly",
    data=EVIL,
    digest="0" * 64,
    rows=300,
    replicates=5,
    measured=[
        Measured(metric="auroc", value=0.91234, low=0.88, high=0.94, own=0.9),
        Measured(metric="mse", value=0.5),
    ],
)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)


@pytest.fixture(scope="module")
def model() -> Deployed:
    fitted = fit(named("pca").set_params(latents=2), X[:150], columns=("one", "two", EVIL))
    return replace(Deployed.of(fitted, X[:150], X[150:200], X[200:], rate=0.05, about="rows of May"), origin=ORIGIN)


def test_it_says_what_the_files_say(model: Deployed, tmp_path) -> None:
    again = load(save(model, tmp_path / "model"))
    assert again.origin == ORIGIN
    for text in (card.markdown(again), card.html(again)):
        for part in (
            "pca", "one", "300 rows", "0" * 64, "0.9123", "0.88 – 0.94", "rows of May", "0.05",
            f"{again.calibration.threshold:.6g}", "Do anomalies get higher scores", "isthmus monitor", "5 replicates",
        ):  # fmt: skip
            assert part in text, part
    assert "误报率" in card.markdown(again, "zh")
    bare = card.markdown(Deployed.of(fit(named("pca").set_params(latents=2), X)))
    assert "none can be called rare" in bare
    assert "## Threshold" not in bare
    assert "## Measured" not in bare


def test_no_text_of_a_file_is_markup(model: Deployed) -> None:
    page, text = Tags(), card.markdown(model)
    page.feed(card.html(model))
    ours = "html head meta title style body h1 h2 table tr th td p"
    assert set(page.seen) <= set(ours.split())
    assert "<script" not in text
    assert "\n# head" not in text
    assert "[x](" not in text
    widths = {line.count("|") - line.count("\\|") for line in text.splitlines() if line.startswith("| ")}
    assert widths == {3, 5}  # a bar in a name makes no column


def test_from_the_shell(model: Deployed, tmp_path, capsys) -> None:
    place = str(save(model, tmp_path / "model"))
    assert main(["card", place]) == 0
    assert capsys.readouterr().out == card.markdown(model)
    for name, first in (("card.md", "# pca"), ("card.html", "<!doctype html>")):
        assert main(["card", place, "-o", str(tmp_path / name)]) == 0
        assert (tmp_path / name).read_text().startswith(first)
    assert main(["card", place, "-o", str(tmp_path / "zh.md"), "--lang", "zh"]) == 0
    assert "用途" in (tmp_path / "zh.md").read_text()
    assert main(["card", place, "-o", str(tmp_path / "card.pdf")]) == 2
    assert main(["card", str(tmp_path)]) == 2


def test_a_card_may_lie_beside_the_model_and_is_replaced_with_it(model: Deployed, tmp_path) -> None:
    place = save(model, tmp_path / "model", card.markdown(model))
    assert (place / "README.md").read_text() == card.markdown(model)
    np.testing.assert_array_equal(load(place).scores(X), model.scores(X))
    save(model, place)
    assert not (place / "README.md").exists()
    (place / "notes.txt").touch()
    with pytest.raises(BadInput, match="holds more than a saved model"):
        save(model, place)
