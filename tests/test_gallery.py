"""The gallery draws the parts that were asked for, beside what the methods make of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from scripts import gallery
from tests.labelled import save_shape
from utils.errors import UserError
from utils.output.plots import selection_colors


@pytest.fixture
def mallet(tmp_path, two_boxes, two_boxes_head):
    """One labelled shape, 7, in the benchmark's layout: handle 0, head 1."""
    save_shape(tmp_path / "psb", 7, two_boxes, two_boxes_head[two_boxes.faces[:, 0]].astype(int))
    return tmp_path / "psb"


def blue(image) -> int:
    image = np.asarray(image.convert("RGB")).astype(int)
    return int(((image[..., 2] > image[..., 0] + 60) & (image[..., 2] > 100)).sum())


def draw(folder, out, *options: str) -> None:
    gallery.main(["--psb_dir", str(folder), "--out", str(out), *options])


def test_a_row_shows_the_human_part_and_each_method(mallet, tmp_path):
    out = tmp_path / "sheet.png"
    methods = ("--methods", "geodesic", "geodesic_concave")
    draw(mallet, out, *methods, "--parts", "7:1", "7:0", "--clicks", "2")
    sheet = Image.open(out)
    assert sheet.width == 16 + 3 * 316
    half = sheet.height // 2
    for column in range(3):  # something is selected in every column of both rows
        for row in range(2):
            tile = sheet.crop((16 + column * 316, row * half, (column + 1) * 316, (row + 1) * half))
            assert blue(tile) > 500, (row, column)


def test_the_worst_parts_come_first(tmp_path):
    results = tmp_path / "results.json"
    parts = [
        {"id": 1, "label": label, "iou": {"geodesic": curve}}
        for label, curve in enumerate(([0.5, 0.9], [0.4, 0.95], [0.9, 0.2]))
    ]
    results.write_text(json.dumps({"methods": {"geodesic": {}}, "parts": parts}))
    assert gallery.worst_parts(results, "geodesic", 2, 1) == [(1, 1), (1, 0)]
    assert gallery.worst_parts(results, "geodesic", 2, 2) == [(1, 2), (1, 0)]
    with pytest.raises(UserError, match="no results of iseg; it has geodesic"):
        gallery.worst_parts(results, "iseg", 2, 1)
    with pytest.raises(UserError, match="--clicks 3 is more than the 2"):
        gallery.worst_parts(results, "geodesic", 2, 3)


def test_colors_tell_right_missed_and_wrong_apart():
    colors = selection_colors(np.array([1, 1, 0, 0], bool), np.array([1, 0, 1, 0], bool))
    assert len({tuple(color) for color in colors.round(3)}) == 4
    assert colors[2][0] > 2 * colors[2][2]  # wrongly selected is red


@pytest.mark.parametrize(
    "options, complaint",
    (
        (("--parts", "7:5"), "no part 5 of at least 1 % of the area; it has 0, 1"),
        (("--parts", "7"), "does not name a part"),
        (("--parts", "8:0"), "mesh 8"),
        ((), "either --parts or --worst_of"),
        (("--worst_of", "geodesic"), "needs --results"),
    ),
)
def test_what_cannot_be_drawn_is_refused(mallet, tmp_path, options, complaint):
    with pytest.raises(UserError, match=complaint):
        draw(mallet, tmp_path / "a.png", "--methods", "geodesic", *options)
    assert not (tmp_path / "a.png").exists()
