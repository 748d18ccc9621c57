"""A new calibration under its guard, and the page of a watch."""

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from isthmus.cli import main
from isthmus.data.read import cells
from isthmus.errors import BadInput
from isthmus.monitor.adapt import recalibrated
from isthmus.monitor.watch import Watch
from isthmus.report.monitor import render
from isthmus.ship.artefact import load
from isthmus.ship.deployed import Deployed


def untied(draw, n: int, seed: int):
    """Rows whose columns are as they were, and less tied."""
    table = draw(n, seed)
    table["load"] = np.random.default_rng(seed).permutation(table["load"].to_numpy())
    return table


@pytest.mark.slow
def test_new_rows_calibrate_and_only_what_is_no_worse_is_kept(ships: Deployed, draw) -> None:
    new = cells(untied(draw, 1600, 30), ships.fields)
    found = recalibrated(ships, new, about="since Monday")
    assert found.model is not None
    assert found.rows == 800
    assert found.before > 0.05
    assert abs(found.after - 0.01) < 0.012
    assert (found.model.needed().about, found.model.needed().rate) == ("since Monday", ships.needed().rate)
    assert found.model.reference is not None
    assert sum(one.counts.sum() == 800 for one in found.model.reference.channels) == len(found.model.reference.channels)
    assert Watch(found.model).feed(cells(untied(draw, 1000, 31), ships.fields)) == []
    half = recalibrated(ships, new, seed=1)
    assert half.after != found.after or half.before != found.before


@pytest.mark.slow
def test_the_guard_refuses_what_is_further_from_its_rate(ships: Deployed, draw) -> None:
    """Where the old threshold is right already, a new one of few rows is as good by chance at best."""
    kept = [recalibrated(ships, cells(draw(400, 40 + i), ships.fields)) for i in range(6)]
    assert any(one.model is None for one in kept)
    assert all((one.model is None) == (abs(one.after - one.rate) > abs(one.before - one.rate)) for one in kept)
    with pytest.raises(BadInput, match="calibration rows say nothing"):
        recalibrated(ships, cells(draw(20, 1), ships.fields))
    with pytest.raises(BadInput, match="no rows came"):
        recalibrated(ships, cells(draw(20, 1), ships.fields)[:0])


@pytest.mark.slow
def test_the_command_writes_a_model_that_holds_again(model: Path, draw, tmp_path: Path, capsys) -> None:
    import pandas as pd

    path, place = tmp_path / "new.csv", tmp_path / "adapted"
    pd.concat([draw(320, 50), untied(draw, 2000, 51)]).to_csv(path, index=False)
    run = ["monitor", str(model), str(path), "--json"]
    assert main([*run, "--adapt", "recalibrate", "--out", str(place)]) == 1
    end = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert end["adapt"]["adapted"]
    assert end["adapt"]["model"] == str(place)
    assert end["adapt"]["after"] < end["adapt"]["before"]
    assert load(place).needed().about.startswith("rows 2,320")
    untied(draw, 900, 52).to_csv(path, index=False)
    assert main(["monitor", str(place), str(path)]) == 0
    assert main([*run, "--out", str(place)]) == 2
    assert "give --adapt" in capsys.readouterr().err
    assert main([*run, "--adapt", "recalibrate", "--out", str(tmp_path)]) == 2


@pytest.mark.parametrize(("change", "why"), [(0.0, "has not been called"), (100.0, "is broken")])
def test_nothing_is_calibrated_on_broken_rows_or_without_need(model, draw, tmp_path, capsys, change, why) -> None:
    table = draw(900, 53)
    if change:
        table["load"] = change
    table.to_csv(tmp_path / "s.csv", index=False)
    main(["monitor", str(model), str(tmp_path / "s.csv"), "--adapt", "recalibrate", "--out", str(tmp_path / "no")])
    assert why in capsys.readouterr().out
    assert not (tmp_path / "no").exists()


class Tags(HTMLParser):
    """What a page asks for, and its texts."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.asked: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs) -> None:
        self.tags.append(tag)
        self.asked += [
            str(value) for name, value in attrs if name in ("src", "href") and not str(value).startswith("#")
        ]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_page_tells_alarms_and_asks_for_nothing(ships: Deployed, draw, lang: str) -> None:
    watch, odd = Watch(ships), draw(640, 54)
    odd.loc[200:, "city"] = "<script>alert(1)</script>"
    watch.feed(cells(odd, ships.fields), strangers={"city": ["<script>alert(1)</script>"]})
    text = render(watch, "<b>stream</b>", lang)
    page = Tags()
    page.feed(text)
    assert page.asked == []
    assert page.tags.count("script") == 1
    assert "b" not in page.tags
    said = " ".join(page.words)
    assert "<script>alert(1)</script>" in said
    assert ("look at column 'city' first" if lang == "en" else "先检查列 'city'") in said
    assert page.tags.count("svg") == len(watch.reference.channels)
    assert "default-src &#39;none&#39;" in text


def test_the_bars_are_the_shares(ships: Deployed, draw) -> None:
    from isthmus.report.monitor import _lines

    watch, table = Watch(ships), draw(500, 55)  # seven blocks of three sizes, and the rest
    watch.feed(cells(table, ships.fields))
    city = next(line for line in _lines(watch, "en") if line.name == "city")
    shares = table["city"].value_counts(normalize=True).sort_index()
    most = max(shares.max() / after for (_, after), own in zip(city.bars, shares, strict=True) if own == shares.max())
    assert [after * most for _, after in city.bars] == pytest.approx(shares.tolist())
    assert max(max(pair) for pair in city.bars) == 1


def test_the_command_writes_the_page(model: Path, draw, tmp_path: Path) -> None:
    draw(200, 56).to_csv(tmp_path / "s.csv", index=False)
    assert (
        main(["monitor", str(model), str(tmp_path / "s.csv"), "--report", str(tmp_path / "p.html"), "--lang", "zh"])
        == 0
    )
    assert "无需处理" in (tmp_path / "p.html").read_text()
    assert main(["monitor", str(model), str(tmp_path / "s.csv"), "--report", str(tmp_path / "p.pdf")]) == 2
    assert not (tmp_path / "p.pdf").exists()
