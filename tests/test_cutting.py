"""Borders across triangles: nothing comes apart, no area is lost, and closed parts stay closed."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from utils.geometry.cutting import CutMesh, cap_parts, cut_smooth
from utils.geometry.mesh import SIDES, Mesh
from utils.geometry.welding import weld


def sphere(subdivisions: int = 2) -> Mesh:
    shape = trimesh.creation.icosphere(subdivisions=subdivisions)
    return Mesh(np.asarray(shape.vertices), np.asarray(shape.faces))


def by_height(mesh: Mesh, *heights: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels of faces and memberships of vertices: layers between heights along z, which borders have to follow."""
    z = mesh.vertices[:, 2]
    edges = np.array([-9.0, *heights, 9.0])
    depth = np.minimum(z[:, None] - edges[:-1], edges[1:] - z[:, None])
    labels = np.searchsorted(heights, z[mesh.faces].mean(axis=1))
    return labels, depth


def edge_counts(faces: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    sides = np.sort(weld(vertices)[faces][:, SIDES].reshape(-1, 2), axis=1)
    return np.unique(sides, axis=0, return_counts=True)[1]


def area(mesh: Mesh) -> float:
    corners = mesh.vertices[mesh.faces]
    return float(np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum())


def assert_sound(mesh: Mesh, cut: CutMesh) -> None:
    """Same area, no T-junctions, original vertices first, every piece inside its parent."""
    assert area(cut.mesh) == pytest.approx(area(mesh), rel=1e-6)
    before, after = edge_counts(mesh.faces, mesh.vertices), edge_counts(cut.mesh.faces, cut.mesh.vertices)
    if (before == 2).all():
        assert (after == 2).all(), "a side without its neighbour"
    np.testing.assert_array_equal(cut.mesh.vertices[: mesh.num_vertices], mesh.vertices)
    points = np.einsum("fij,fjk->fik", cut.weights, mesh.vertices[mesh.faces[cut.parent]])
    np.testing.assert_allclose(points, cut.mesh.vertices[cut.mesh.faces], atol=1e-9)
    assert cut.weights.min() >= 0


def thinnest(mesh: Mesh) -> float:
    """Smallest ratio of height to longest side."""
    corners = mesh.vertices[mesh.faces]
    double = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    return float((double / longest**2).min())


def test_a_border_runs_where_the_memberships_are_equal_not_along_triangles():
    mesh = sphere(3)
    cut = cut_smooth(mesh, *by_height(mesh, 0.31))
    assert_sound(mesh, cut)
    upper = np.unique(cut.mesh.faces[cut.labels == 1])
    border = np.intersect1d(upper, np.unique(cut.mesh.faces[cut.labels == 0]))
    teeth = np.ptp(mesh.vertices[np.intersect1d(*(mesh.faces[by_height(mesh, 0.31)[0] == k] for k in (0, 1)))][:, 2])
    assert np.abs(cut.mesh.vertices[border, 2] - 0.31).max() < 0.3 * teeth
    new = border[border >= mesh.num_vertices]
    assert len(new) > 20 and np.abs(cut.mesh.vertices[new, 2] - 0.31).max() < 0.01


def test_no_slivers_are_cut_off():
    mesh = sphere(3)
    for height in np.linspace(-0.8, 0.8, 17):
        cut = cut_smooth(mesh, *by_height(mesh, height))
        assert_sound(mesh, cut)
        assert thinnest(cut.mesh) > 0.1 * thinnest(mesh)


def test_three_parts_meet_in_a_point():
    mesh = sphere(3)
    angle = np.arctan2(mesh.vertices[:, 1], mesh.vertices[:, 0])
    ways = np.stack([np.cos(angle - k * 2 * np.pi / 3) * np.hypot(*mesh.vertices[:, :2].T) for k in range(3)], axis=1)
    cut = cut_smooth(mesh, ways[mesh.faces].mean(axis=1).argmax(axis=1), ways)
    assert_sound(mesh, cut)
    assert np.array_equal(np.unique(cut.labels), [0, 1, 2])


def test_a_border_on_a_crease_stays_there(two_boxes):
    box = trimesh.creation.box((1, 1, 1)).subdivide().subdivide()
    mesh = Mesh(np.asarray(box.vertices), np.asarray(box.faces))
    top = (mesh.face_normals[:, 2] > 0.9).astype(int)
    generator = np.random.default_rng(0)
    cut = cut_smooth(mesh, top, generator.random((mesh.num_vertices, 2)))
    assert cut.mesh.num_faces == mesh.num_faces
    np.testing.assert_array_equal(cut.labels, top)


def test_a_border_within_half_an_edge_of_a_crease_moves_onto_it():
    box = trimesh.creation.box((1, 1, 1)).subdivide().subdivide()
    mesh = Mesh(np.asarray(box.vertices), np.asarray(box.faces))
    z = mesh.vertices[:, 2]
    membership = np.stack([0.42 - z, z - 0.42], axis=1)  # the rim is at .5, the next row of vertices at .25
    cut = cut_smooth(mesh, (z[mesh.faces].mean(axis=1) > 0.42).astype(int), membership)
    assert_sound(mesh, cut)
    border = np.intersect1d(cut.mesh.faces[cut.labels == 0], cut.mesh.faces[cut.labels == 1])
    np.testing.assert_allclose(cut.mesh.vertices[border, 2], 0.5)


def test_both_sides_of_a_seam_are_cut_alike():
    mesh = sphere(2)
    soup = Mesh(mesh.vertices[mesh.faces].reshape(-1, 3), np.arange(3 * mesh.num_faces).reshape(-1, 3))
    labels, depth = by_height(mesh, 0.2)
    cut = cut_smooth(soup, labels, depth[mesh.faces.ravel()])
    assert_sound(soup, cut)
    assert cut.mesh.num_faces == cut_smooth(mesh, labels, depth).mesh.num_faces > mesh.num_faces


def test_a_part_of_one_triangle_does_not_vanish():
    mesh = sphere(2)
    labels = np.zeros(mesh.num_faces, dtype=int)
    labels[17] = 1
    cut = cut_smooth(mesh, labels, np.full((mesh.num_vertices, 2), 0.5))
    assert_sound(mesh, cut)
    assert (cut.labels == 1).any()


def test_polygons_that_are_not_cut_stay_whole():
    side = np.arange(7.0)
    x, y = np.meshgrid(side, side)
    at = np.arange(49).reshape(7, 7)
    quads = np.stack([at[:-1, :-1], at[:-1, 1:], at[1:, 1:], at[1:, :-1]], axis=-1).reshape(-1, 4)
    faces = quads[:, [[0, 1, 2], [0, 2, 3]]].reshape(-1, 3)
    mesh = Mesh(np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], axis=1), faces, None, np.repeat(np.arange(36), 2))
    labels = (mesh.vertices[faces].mean(axis=1)[:, 0] > 3).astype(int)
    cut = cut_smooth(mesh, labels, np.stack([3.4 - x.ravel(), x.ravel() - 3.4], axis=1))
    sizes = [len(corners) for corners in cut.mesh.polygons()]
    assert sizes.count(4) == 30 and area(cut.mesh) == pytest.approx(area(mesh))


@pytest.mark.parametrize("smooth", (False, True))
def test_capped_parts_of_a_closed_mesh_are_closed(smooth):
    mesh = sphere(3)
    labels, depth = by_height(mesh, -0.4, 0.3)
    if smooth:
        cut = cut_smooth(mesh, labels, depth)
        mesh, labels = cut.mesh, cut.labels
    capped, of_cap = cap_parts(mesh, labels)
    volume = 0.0
    for part in range(3):
        shape = trimesh.Trimesh(capped.vertices, capped.faces[of_cap == part], process=False)
        assert shape.is_watertight and shape.is_winding_consistent
        volume += shape.volume
    whole = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).volume
    assert volume == pytest.approx(whole, rel=1e-6)


def test_holes_of_the_mesh_itself_stay_open():
    mesh = sphere(3)
    open_mesh = Mesh(mesh.vertices, mesh.faces[mesh.vertices[mesh.faces].mean(axis=1)[:, 2] < 0.6])
    capped, labels = cap_parts(open_mesh, by_height(open_mesh, 0.0)[0])
    closed = [
        trimesh.Trimesh(capped.vertices, capped.faces[labels == part], process=True).is_watertight for part in (0, 1)
    ]
    assert closed == [True, False]
