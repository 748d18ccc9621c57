"""Drawings are valid by plotly's own schema, and no text from outside is read as its markup."""

from typing import Any

import plotly.graph_objects as go
import pytest

from isthmus.report import figures
from isthmus.report.figures import Estimate, label, plain

EVIL = "<b>x</b> & <a href='javascript:1'>y</a>"


def texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [s for v in value.values() for s in texts(v)]
    if isinstance(value, list | tuple):
        return [s for v in value for s in texts(v)]
    return [value] if isinstance(value, str) else []


A, B = Estimate(1.0, 0.5, 2.0), Estimate(30.0, 1.0, 40.0)
HISTORY = {"step": [0.0, 10.0, 20.0], "train": [3.0, 1.0, 0.1], "valid": [3.0, None, 0.2]}
DRAWN = {
    "forest": figures.forest(
        [(EVIL, Estimate(0.1, 0.0, 0.2), False), ("r", Estimate(0.3, None, None), True)], 0.05, "x"
    ),
    "curves": figures.curves([(HISTORY, 20)], "steps", "training", "validation"),
    "scatter": figures.scatter(
        [(EVIL, A, B, False), ("r", B, A, True)],
        "x",
        "y",
        log=True,
    ),
    "codes": figures.codes([(0.0, 1.0), (2.0, 3.0)], [0, 1], [EVIL, "b"]),
    "tuning": figures.tuning([(EVIL, 0.1, True), (EVIL, 0.2, False), ("b", 5.0, False)], "x", "chosen", "tried"),
}


@pytest.mark.parametrize("name", DRAWN)
def test_drawings_are_valid_plotly(name: str) -> None:
    figure = go.Figure(DRAWN[name])
    assert len(figure.data) == len(DRAWN[name]["data"])


@pytest.mark.parametrize("name", DRAWN)
def test_no_markup_from_outside(name: str) -> None:
    for text in texts(DRAWN[name]):
        assert "<" not in text.replace("<extra></extra>", "")


def test_forest_draws_the_rope_and_the_intervals() -> None:
    figure = DRAWN["forest"]
    assert (figure["layout"]["shapes"][0]["x0"], figure["layout"]["shapes"][0]["x1"]) == (-0.05, 0.05)
    bars = figure["data"][0]["error_x"]
    assert bars["array"] == pytest.approx([0.1])
    assert bars["arrayminus"] == pytest.approx([0.1])
    assert figure["data"][1]["error_x"]["array"] == [0]
    low, high = figure["layout"]["xaxis"]["range"]
    assert low < -0.05
    assert high > 0.3
    assert figure["layout"]["yaxis"]["categoryarray"] == ["r", label(EVIL)]


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
    points = [("a", Estimate(0.0, None, None), A, False), ("b", A, B, False)]
    assert "type" not in figures.scatter(points, "x", "y", log=True)["layout"]["xaxis"]
    assert DRAWN["scatter"]["layout"]["xaxis"]["type"] == "log"


def test_names_of_a_scatter_do_not_lie_on_each_other() -> None:
    points = [(f"name {i}", A, A, False) for i in range(5)]
    figure = figures.scatter([*points, ("far", B, B, False)], "x", "y")
    assert len({(note["ax"], note["ay"]) for note in figure["layout"]["annotations"][:5]}) == 5


def test_labels_without_classes_keep_their_number() -> None:
    figure = figures.codes([(0.0, 0.0)], [5], ["a"])
    assert figure["data"][0]["name"] == "5"
    assert figures.codes([(0.0, 0.0)], None, [])["data"][0]["name"] == ""


def test_marks_differ_for_49_labels() -> None:
    assert len({figures.mark(i) for i in range(49)}) == 49


def test_plain_and_label() -> None:
    assert plain("a\nb\u2028c") == "a\ufffdb\ufffdc"
    assert len(plain("x" * 1000)) == 60
    assert label("a<b>&amp;") == "a&lt;b&gt;&amp;amp;"
