"""The pictures show what is there: colours by probability, clicks where they can be seen, nothing cut off."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from utils.clicks import Clicks
from utils.geometry.creases import corner_normals, split_at_creases
from utils.geometry.mesh import Mesh
from utils.output.canvas import Canvas
from utils.output.colors import BASE_COLOR, NEGATIVE_COLOR, PALETTE, POSITIVE_COLOR, SELECTION_COLOR
from utils.output.figures import (
    QueryPicture,
    overlay_masks,
    save_contact_sheet,
    save_mask_comparison,
    save_render_views,
)
from utils.output.painter import Frame, MeshPainter, grid_angles, telling_angles
from utils.rendering.cameras import orbit_cameras
from utils.rendering.rasterize import Rasterizer


def _pixels_of(path, color) -> int:
    image = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return int((np.abs(image - np.rint(np.array(color) * 255)).max(axis=2) < 3).sum())


def test_sphere_is_shaded_smoothly_and_a_box_keeps_its_edges(icosphere, two_boxes):
    same, origin = split_at_creases(icosphere)
    assert same.num_vertices == icosphere.num_vertices
    box, origin = split_at_creases(two_boxes)
    np.testing.assert_array_equal(origin[box.faces], two_boxes.faces)
    # Every face of a box is flat: each corner's normal is its face's own.
    np.testing.assert_allclose(
        box.vertex_normals[box.faces], np.repeat(two_boxes.face_normals[:, None], 3, axis=1), atol=1e-6
    )


def test_a_texture_seam_does_not_show_in_the_shading(icosphere):
    # Every face gets vertices of its own, as in a file with a seam along each edge.
    soup = Mesh(icosphere.vertices[icosphere.faces].reshape(-1, 3), np.arange(3 * icosphere.num_faces).reshape(-1, 3))
    joined, _ = split_at_creases(soup)
    corners = joined.vertex_normals[joined.faces].reshape(-1, 3)
    np.testing.assert_allclose(corners, icosphere.vertex_normals[icosphere.faces].reshape(-1, 3), atol=1e-5)


def test_only_corners_at_creases_are_split_and_all_have_the_normals_of_the_whole_split(icosphere, two_boxes):
    """Smooth, sharp, both in one mesh, a seam along each edge, and two sheets wound against each other."""
    both = Mesh(
        np.concatenate([icosphere.vertices, two_boxes.vertices + 5]),
        np.concatenate([icosphere.faces, two_boxes.faces + icosphere.num_vertices]),
    )
    soup = Mesh(both.vertices[both.faces].reshape(-1, 3), np.arange(3 * both.num_faces).reshape(-1, 3))
    doubled = Mesh(icosphere.vertices, np.concatenate([icosphere.faces, icosphere.faces[:, ::-1]]))
    for mesh in (icosphere, two_boxes, both, soup, doubled):
        split, _ = split_at_creases(mesh)
        np.testing.assert_allclose(corner_normals(mesh), split.vertex_normals[split.faces], atol=1e-5)


def test_probability_decides_the_color_of_the_mesh(icosphere):
    painter = MeshPainter(Rasterizer(icosphere))
    cameras = orbit_cameras(torch.tensor([0.2]), torch.tensor([1.0]), size=(40, 40))
    colors = {
        name: np.tile(color, (icosphere.num_vertices, 1))
        for name, color in (("base", BASE_COLOR), ("selected", SELECTION_COLOR))
    }
    base, selected = (painter.images(cameras, colors[name])[0, 20, 20] for name in ("base", "selected"))
    assert np.ptp(base) < 1e-5
    np.testing.assert_allclose(selected / selected.sum(), np.array(SELECTION_COLOR) / sum(SELECTION_COLOR), atol=1e-4)


def test_a_click_is_drawn_on_its_vertex_and_only_where_it_is_seen(icosphere):
    painter = MeshPainter(Rasterizer(icosphere))
    cameras = orbit_cameras(torch.zeros(8), torch.arange(8) * np.pi / 4, size=(200, 200))
    clicks = Clicks.from_lists([12, 40], [77])
    outward = torch.from_numpy(icosphere.normalized)[clicks.vertices]
    for view, dots in enumerate(painter.draw(cameras, clicks)[1]):
        # A unit sphere seen from distance 2 shows the points with <p, c> > 1; leave out the rim.
        height = outward @ cameras.positions[view]
        assert {tuple(d) for d in dots} >= {
            (*_project(cameras[view], p), bool(positive))
            for p, positive, h in zip(outward, clicks.positive, height)
            if h > 1.1
        }
        assert len(dots) <= int((height > 0.9).sum())


def _project(camera, point):
    return tuple(camera.project(point[None])[0][0, 0].tolist())


def test_no_tile_cuts_the_mesh(two_boxes):
    rasterizer = Rasterizer(two_boxes)
    frame = Frame.around(two_boxes, *grid_angles(), area=60 * 60)
    covered = rasterizer(frame.cameras).covered
    tiles = frame.crop(covered[..., None].repeat(1, 1, 1, 3).numpy().astype(float) - 1)  # 0 on the mesh, -1 beside it
    for tile, view in zip(tiles, covered):
        assert tile.shape == (frame.height, frame.width, 3)
        assert (tile[..., 0] == 0).sum() == int(view.sum())


def test_chosen_views_show_every_click(two_boxes):
    rasterizer = Rasterizer(two_boxes)
    clicks = Clicks.from_lists([97], [140])
    cameras = orbit_cameras(*telling_angles(rasterizer, clicks, np.zeros(two_boxes.num_vertices), 3), size=(150, 150))
    seen = [xy[2] for dots in MeshPainter(rasterizer).draw(cameras, clicks)[1] for xy in dots]
    assert True in seen and False in seen
    apart = torch.nn.functional.normalize(cameras.positions, dim=1)
    assert ((apart @ apart.T) - torch.eye(3)).max() < 0.8


def test_pictures_of_a_query_show_its_clicks_and_selection(tmp_path, two_boxes, two_boxes_head):
    rasterizer = Rasterizer(two_boxes)
    clicks = Clicks.from_lists([120], [20])
    save_render_views(tmp_path / "views.png", rasterizer, two_boxes_head.astype(float), clicks, cell=64)
    save_contact_sheet(
        tmp_path / "sheet.png",
        rasterizer,
        [
            QueryPicture(two_boxes_head.astype(float), clicks, "note"),
            QueryPicture(np.zeros(196), Clicks.from_lists([3])),
        ],
        title="two boxes",
        tile_area=90 * 90,
    )
    for name in ("views.png", "sheet.png"):
        path = tmp_path / name
        assert _pixels_of(path, POSITIVE_COLOR) > 50 and _pixels_of(path, NEGATIVE_COLOR) > 50
        image = np.asarray(Image.open(path).convert("RGB")).astype(int)
        blue = (image[..., 2] - image[..., 0] > 80).sum()
        grey = ((np.ptp(image, axis=2) < 4) & (image[..., 0] > 90) & (image[..., 0] < 225)).sum()
        assert blue > 500 and grey > 500
    assert sorted(p.name for p in tmp_path.iterdir()) == ["sheet.png", "views.png"]


def test_smaller_masks_lie_on_larger_ones():
    image = np.full((20, 20, 3), 0.5)
    large, small = np.zeros((2, 20, 20), dtype=bool)
    large[2:18, 2:18], small[8:12, 8:12] = True, True
    either = [overlay_masks(image, masks) for masks in ([large, small], [small, large])]
    np.testing.assert_array_equal(*either)
    assert np.abs(either[0][10, 10] - either[0][4, 4]).max() > 0.1
    np.testing.assert_array_equal(either[0][0, 0], image[0, 0])


def test_mask_comparison_refuses_columns_of_another_length(tmp_path):
    images = np.zeros((2, 16, 16, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="field"):
        save_mask_comparison(tmp_path / "m.png", images, {"field": [[]]})
    save_mask_comparison(tmp_path / "m.png", images, {"own": [[np.eye(16, dtype=bool)], []]})
    assert Image.open(tmp_path / "m.png").width > 2 * 16


def test_words_and_dots_are_where_they_are_put(tmp_path):
    canvas = Canvas(300, 120)
    end = canvas.text(20, 30, "of 11,000\nvertices", size=20, align="left", color="#000000")
    canvas.text(270, 60, "turned", size=20, color="#000000", rotation=90)
    for x, positive in ((60, True), (120, False)):
        canvas.dot(x, 90, positive, PALETTE, 12)
    canvas.save(tmp_path / "a.png")
    picture = np.asarray(Image.open(tmp_path / "a.png").convert("RGB")) / 255
    rows, columns = np.nonzero((picture < 0.5).all(axis=2))
    across, turned = columns < 250, columns >= 250
    assert abs(columns[across].min() - 20) <= 3 and abs(columns[across].max() - end) <= 3
    assert abs(rows[across].mean() - 30) < 4 and np.ptp(rows[across]) < 25, "one line"
    assert abs(columns[turned].mean() - 270) < 4 and abs(rows[turned].mean() - 60) < 6
    assert np.ptp(rows[turned]) > 2 * np.ptp(columns[turned])
    for x, color, sign in ((60, PALETTE.positive, 1.0), (120, PALETTE.negative, PALETTE.negative)):
        np.testing.assert_allclose(picture[90, x], 1.0, atol=0.01)  # the arms of the sign cross here
        np.testing.assert_allclose(picture[93, x], sign, atol=0.01)  # of a minus there is one
        np.testing.assert_allclose(picture[96, x + 5], color, atol=0.01)
        np.testing.assert_allclose(picture[90, x + 12], 1.0, atol=0.01)  # the ring
