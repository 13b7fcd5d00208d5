"""Colours that a file has itself: of its vertices, of its materials and their images; nothing else is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from utils.geometry.file_colors import corner_colors
from utils.geometry.mesh import load_mesh

SQUARE = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"
CORNERS = "vt 0.1 0.1\nvt 0.9 0.1\nvt 0.9 0.9\nvt 0.1 0.9\n"


def _colors(path: Path, text: str) -> np.ndarray | None:
    path.write_text(text)
    return corner_colors(load_mesh(path))


def test_vertex_colours_are_those_of_the_corners(tmp_path):
    lines = "v 0 0 0 1 0 0\nv 1 0 0 0 1 0\nv 0 1 0 0 0 1\nf 1 2 3\n"
    assert (_colors(tmp_path / "a.obj", lines) == 255 * np.eye(3)[None]).all()


def test_an_image_is_read_where_the_coordinates_say(tmp_path):
    """Red at the lower left, as v goes up."""
    image = np.array([[[0, 0, 255], [255, 255, 0]], [[255, 0, 0], [0, 255, 0]]], dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "skin.png")
    (tmp_path / "m.mtl").write_text("newmtl skin\nKd 1 1 1\nmap_Kd skin.png\nnewmtl plain\nKd 0.2 0.4 0.6\n")
    text = f"mtllib m.mtl\n{SQUARE}{CORNERS}usemtl skin\nf 1/1 2/2 3/3\nusemtl plain\nf 1 3 4\n"
    found = _colors(tmp_path / "a.obj", text)
    assert found[0].tolist() == [[255, 0, 0], [0, 255, 0], [255, 255, 0]] and (found[1] == [51, 102, 153]).all()


def test_a_file_without_colours_has_none(tmp_path):
    assert _colors(tmp_path / "a.obj", SQUARE + "f 1 2 3 4\n") is None
    assert _colors(tmp_path / "b.obj", "mtllib missing.mtl\n" + SQUARE + "usemtl x\nf 1 2 3 4\n") is None


@pytest.mark.parametrize("image", ["../secret.png", "broken.png", "missing.png", ""])
def test_images_from_elsewhere_and_damaged_ones_are_left_out(tmp_path, image):
    folder = tmp_path / "mesh"
    folder.mkdir()
    Image.new("RGB", (4, 4), (9, 9, 9)).save(tmp_path / "secret.png")
    (folder / "broken.png").write_bytes(b"no image")
    (folder / "m.mtl").write_text(f"newmtl skin\nKd 1 0 x\nmap_Kd {image}\n")
    found = _colors(folder / "a.obj", f"mtllib m.mtl\n{SQUARE}{CORNERS}usemtl skin\nf 1/1 2/2 3/3\n")
    assert set(np.unique(found)) <= {0, 178, 255} and not (found == 9).any()
