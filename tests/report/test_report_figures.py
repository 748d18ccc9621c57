"""Drawings hold what they were given, and no text from outside becomes markup in them."""

import itertools
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from isthmus.report import figures
from isthmus.report.drawing import NARROW, WIDE, svg
from isthmus.report.figures import Interval, plain

EVIL = "<b>x</b> & <a href='javascript:1'>y</a>\""
A, B = Interval(1.0, 0.5, 2.0), Interval(30.0, 1.0, 40.0)
HISTORY = {"step": [0.0, 10.0, 20.0], "train": [3.0, 1.0, 0.1], "valid": [3.0, None, 0.2]}
DRAWN = {
    "forest": figures.forest(
        [(EVIL, Interval(0.1, 0.0, 0.2), False), ("r", Interval(0.3, None, None), True)], 0.05, EVIL
    ),
    "curves": figures.curves([(HISTORY, 20)], "steps", "training", "validation"),
    "profiles": figures.profiles([(EVIL, True, [(1.0, A), (10.0, B)], "#4477AA", "star")], EVIL, EVIL, log=True),
    "scatter": figures.scatter([(EVIL, A, B, False), ("r", B, A, True)], EVIL, "y", log=True),
    "codes": figures.codes([(0.0, 1.0), (2.0, 3.0)], [0, 1], [EVIL, "b"]),
    "tuning": figures.tuning([(EVIL, 0.1, True), (EVIL, 0.2, False), ("b", 5.0, False)], EVIL, "chosen", "tried"),
}
SPACE = "{http://www.w3.org/2000/svg}"


def parsed(name: str, wide: int = WIDE) -> ElementTree.Element:
    text = str(svg(DRAWN[name], EVIL, wide))
    return ElementTree.fromstring(text.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


def texts(drawing: ElementTree.Element) -> list[str]:
    return ["".join(one.itertext()) for one in drawing.iter(SPACE + "text")]


@pytest.mark.parametrize("name", DRAWN)
def test_a_drawing_is_well_formed_and_text_from_outside_stays_text(name: str) -> None:
    drawing = parsed(name)
    assert {one.tag.removeprefix(SPACE) for one in drawing.iter()} <= {"svg", "path", "text", "rect", "title"}
    assert drawing.attrib["aria-label"] == EVIL
    assert not any(key.startswith("on") or key in {"href", "style"} for one in drawing.iter() for key in one.attrib)


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("wide", [WIDE, NARROW])
def test_nothing_is_drawn_beyond_the_edges(name: str, wide: int) -> None:
    """Titles of axes are wrapped, names of rows cut: on a phone nothing is clipped."""
    drawing = parsed(name, wide)
    _, _, right, bottom = map(float, drawing.attrib["viewBox"].split())
    for one in drawing.iter(SPACE + "text"):
        length = sum(12 if ord(sign) > 0x2E80 else 6.8 for sign in "".join(one.itertext()))
        x, y = float(one.attrib["x"]), float(one.attrib["y"])
        left = x - {"start": 0, "middle": length / 2, "end": length}[one.attrib["text-anchor"]]
        assert left >= -4, "".join(one.itertext())
        assert left + length <= right + 4, "".join(one.itertext())
        assert 8 <= y <= bottom
    for d in (one.attrib["d"] for one in drawing.iter(SPACE + "path") if "transform" not in one.attrib):
        assert all(-1 <= float(number) <= max(right, bottom) + 1 for number in re.findall(r"[\d.]+", d))


def test_a_long_chinese_title_is_wrapped() -> None:
    title = "编码变化与数据变化之比（均以标准差为单位），这一标题比图更宽，因此必须换行才能完整显示出来"
    drawing = svg(
        figures.profiles([("a", False, [(1.0, A), (2.0, A)], "#000000", "x")], title, "y", log=False), "", 300
    )
    lines = re.findall(r"<text[^>]*>([^<]*[\u4e00-\u9fff][^<]*)</text>", drawing)
    assert len(lines) >= 2
    assert "".join(lines) == title


def test_forest_draws_the_rope_and_the_intervals() -> None:
    figure = DRAWN["forest"]
    assert (figure["layout"]["shapes"][0]["x0"], figure["layout"]["shapes"][0]["x1"]) == (-0.05, 0.05)
    assert figure["data"][0]["error_x"]["ends"] == [(0.0, 0.2)]
    assert figure["data"][1]["error_x"]["ends"] == [(None, None)]
    low, high = figure["layout"]["xaxis"]["range"]
    assert low < -0.05
    assert high > 0.3
    assert figure["layout"]["yaxis"]["categories"] == [EVIL, "r"]
    drawing = parsed("forest")
    assert len(list(drawing.iter(SPACE + "rect"))) == 1
    assert [one.text for one in drawing.iter(SPACE + "title")] == [f"{EVIL}: 0.1", "r: 0.3"]


def test_marks_stand_where_their_numbers_are() -> None:
    """A linear axis is affine: equal differences are equal lengths; a logarithmic one has equal ratios."""
    for log, values in ((False, (1.0, 2.0, 3.0)), (True, (1.0, 10.0, 100.0))):
        points = [(value, Interval(value, None, None)) for value in values]
        drawing = svg(figures.profiles([("a", False, points, "#123456", "square")], "x", "y", log=log), "")
        spots = [tuple(map(float, one)) for one in re.findall(r"translate\(([\d.]+) ([\d.]+)\)", drawing)]
        (a, _), (b, _), (c, _) = spots
        assert b - a == pytest.approx(c - b, abs=0.2)
        assert b - a > 100
        assert spots[0][1] > spots[1][1] > spots[2][1], "up is more"


def test_curves_leave_out_what_is_no_number_and_mark_the_kept_weights() -> None:
    train, valid, dot = DRAWN["curves"]["data"]
    assert (train["x"], train["y"]) == ([0.0, 10.0, 20.0], [3.0, 1.0, 0.1])
    assert (valid["x"], valid["y"]) == ([0.0, 20.0], [3.0, 0.2])
    assert (dot["x"], dot["y"]) == ([20.0], [0.2])
    assert DRAWN["curves"]["layout"]["yaxis"]["type"] == "log"


def test_curves_that_go_below_zero_have_a_linear_axis() -> None:
    figure = figures.curves([({"step": [0, 1], "valid": [5.0, -1.0]}, 1)], "s", "t", "v")
    assert "type" not in figure["layout"]["yaxis"]


def test_long_curves_are_thinned_and_keep_their_end() -> None:
    history = {"step": list(range(5000)), "valid": [1.0 / (i + 1) for i in range(5000)]}
    line = figures.curves([(history, 4999)], "s", "t", "v")["data"][0]
    assert len(line["x"]) <= 2 * figures.POINTS
    assert line["x"][-1] == 4999


def test_scatter_stays_linear_if_a_value_is_not_positive() -> None:
    points = [("a", Interval(0.0, None, None), A, False), ("b", A, B, False)]
    assert "type" not in figures.scatter(points, "x", "y", log=True)["layout"]["xaxis"]
    assert DRAWN["scatter"]["layout"]["xaxis"]["type"] == "log"


def test_names_of_a_scatter_do_not_lie_on_each_other() -> None:
    points = [(f"name {i}", A, A, False) for i in range(5)]
    drawing = svg(figures.scatter([*points, ("far", B, B, False)], "x", "y"), "")
    places = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" text-anchor="middle" class="name">', drawing)
    assert len(places) == len(set(places)) == 6


def test_labels_without_classes_keep_their_number() -> None:
    figure = figures.codes([(0.0, 0.0)], [5], ["a"])
    assert figure["data"][0]["name"] == "5"
    assert figures.codes([(0.0, 0.0)], None, [])["data"][0]["name"] == ""


def test_colours_do_not_repeat_among_sixteen_lines_and_are_told_apart() -> None:
    """Distances in OKLab; 0.02 is a difference that one just sees side by side."""

    def oklab(colour: str) -> np.ndarray:
        rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        cones = np.array(
            [[0.4122215, 0.5363325, 0.0514460], [0.2119035, 0.6806995, 0.1073970], [0.0883025, 0.2817188, 0.6299787]]
        )
        turn = np.array(
            [[0.2104543, 0.7936178, -0.0040720], [1.9779985, -2.4285922, 0.4505937], [0.0259040, 0.7827718, -0.8086758]]
        )
        return turn @ np.cbrt(cones @ linear)

    colours = [figures.mark(i)[0] for i in range(16)]
    assert min(np.linalg.norm(oklab(a) - oklab(b)) for a, b in itertools.combinations(colours, 2)) > 0.08


def test_marks_differ_for_112_labels_and_shapes_only_where_colours_do_not_suffice() -> None:
    assert len({figures.mark(i) for i in range(112)}) == 112
    assert {figures.label_mark(i, 16)[1] for i in range(16)} == {"circle"}
    assert len({figures.label_mark(i, 30) for i in range(30)}) == 30


def test_plain() -> None:
    assert plain("a\nb\u2028c") == "a\ufffdb\ufffdc"
    assert len(plain("x" * 1000)) == 60


def test_colours_do_not_repeat_among_the_lines_of_a_drawing() -> None:
    for kinds in ([0, 16], [3, 19, 35], [*range(0, 36, 3)], [5, 20, 21, 22]):
        found = figures.marks(kinds)
        assert set(found) == set(kinds)
        assert len({colour for colour, _ in found.values()}) == len(kinds)
        assert found[kinds[0]] == figures.mark(kinds[0])
