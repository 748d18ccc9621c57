"""Pictures hold the values they were given: decoded again, pixel by pixel."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from isthmus.report import pictures


def decoded(source: str) -> np.ndarray:
    head, _, body = source.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body)), formats=["PNG"]).convert("RGBA"))


def test_a_strip_is_black_at_low_and_white_at_high_with_square_pixels() -> None:
    sheet = decoded(pictures.strip(np.array([[[0.0, 1.0], [0.5, 2.0]]]), 0.0, 1.0))
    zoom = pictures.EDGE // 2
    assert sheet.shape == (2 * zoom, 2 * zoom, 4)
    assert sheet[0, 0].tolist() == [0, 0, 0, 255]
    assert sheet[0, -1].tolist() == [255, 255, 255, 255]
    assert sheet[-1, -1].tolist() == [255, 255, 255, 255]
    assert sheet[-1, 0].tolist() == [128, 128, 128, 255]
    assert (sheet[:zoom, :zoom] == sheet[0, 0]).all()


def test_gaps_are_transparent_and_lines_have_eight() -> None:
    sheet = decoded(pictures.strip(np.ones((9, 72, 72)), 0.0, 1.0, gap=4))
    assert sheet.shape == (72 * 2 + 4, 72 * 8 + 4 * 7, 4)
    assert sheet[0, 73, 3] == 0
    assert sheet[-1, 71, 3] == 255
    assert sheet[-1, 80, 3] == 0


def test_colour_rows_keep_their_channels() -> None:
    row = np.zeros((1, 72, 72, 3))
    row[..., 1] = 1.0
    assert decoded(pictures.strip(row, 0.0, 1.0))[0, 0].tolist() == [0, 255, 0, 255]


def test_filters_are_blue_below_white_at_and_red_above_zero() -> None:
    sheet = decoded(pictures.filters(np.array([[[-2.0, 0.0, 2.0, 1.0]]])))
    zoom = pictures.EDGE
    assert sheet[0, 0].tolist() == [0, 90, 181, 255]
    assert sheet[0, zoom].tolist() == [247, 247, 247, 255]
    assert sheet[0, 2 * zoom].tolist() == [220, 50, 32, 255]
    assert sheet[0, 3 * zoom, 0] > 220


def test_constant_and_broken_rows_are_drawn() -> None:
    assert decoded(pictures.filters(np.zeros((1, 2, 2))))[0, 0].tolist() == [247, 247, 247, 255]
    assert decoded(pictures.strip(np.full((1, 2, 2), np.nan), 0.0, 0.0))[0, 0].tolist() == [0, 0, 0, 255]


def test_large_pictures_are_made_smaller() -> None:
    sheet = decoded(pictures.strip(np.ones((8, 600, 400)), 0.0, 1.0))
    assert sheet.shape[1] <= 8 * pictures.MOST + 7 * 4


SHAPES = [((8, 8), True), ((8, 8, 3), True), ((8, 8, 1), True), ((64,), False), ((8, 8, 5), False)]


@pytest.mark.parametrize(("shape", "yes"), SHAPES)
def test_which_rows_are_pictures(shape: tuple[int, ...], yes: bool) -> None:
    assert pictures.is_image(shape) is yes
