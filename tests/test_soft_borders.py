"""Borders drawn across triangles: where the probability crosses, smooth elsewhere, on creases where they are."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from tests.test_cutting import sphere
from utils.geometry.cutting import cut_smooth
from utils.geometry.mesh import Mesh
from utils.geometry.soft_borders import NONE, Certain, Drawn, Zone, memberships
from utils.geometry.welding import weld


def _drawn(mesh: Mesh, labels: np.ndarray, certain: Certain | None = None) -> Drawn:
    zone = Zone.around(mesh, weld(mesh.vertices)[mesh.faces], labels, certain)
    assert zone is not None
    return zone.draw()


def _crossings(mesh: Mesh, drawn: Drawn) -> np.ndarray:
    """(N, 3) the points of the triangles' sides where a border crosses."""
    points, corner = [], mesh.vertices[mesh.faces[drawn.faces]]
    for a, b in ((0, 1), (1, 2), (2, 0)):
        first, second = drawn.side[:, a], drawn.side[:, b]
        crossed = first * second < 0
        share = (first / np.where(crossed, first - second, 1))[crossed, None]
        points.append(corner[crossed, a] + share * (corner[crossed, b] - corner[crossed, a]))
    return np.concatenate(points)


def _cap(mesh: Mesh, height: float) -> np.ndarray:
    return (mesh.vertices[mesh.faces].mean(axis=1)[:, 2] > height).astype(np.int64)


def test_the_border_of_a_selection_runs_where_the_probability_crosses():
    mesh = sphere(3)
    value = 0.5 * (mesh.vertices[:, 2] - 0.31)
    labels = (np.sum(value[mesh.faces] > 0, axis=1) > 1).astype(np.int64)
    drawn = _drawn(mesh, labels, Certain(1, value, np.ones(mesh.num_faces, dtype=bool)))
    points = _crossings(mesh, drawn)
    assert len(points) > 50 and np.abs(points[:, 2] - 0.31).max() < 1e-6
    assert (drawn.side[drawn.own == 1] > 0).any() and set(drawn.own) | set(drawn.other) == {0, 1}


def test_a_border_that_only_faces_know_is_smoothed():
    mesh, height = sphere(3), 0.31
    points = _crossings(mesh, _drawn(mesh, _cap(mesh, height)))
    labels, faces = _cap(mesh, height), mesh.faces
    inside = np.unique(faces[labels == 1])
    teeth = mesh.vertices[np.intersect1d(inside, np.unique(faces[labels == 0]))][:, 2]
    assert points[:, 2].std() < 0.4 * teeth.std()


def test_neighbours_agree_on_where_the_border_crosses_their_side():
    mesh, generator = sphere(3), np.random.default_rng(0)
    labels = _cap(mesh, 0.2) + _cap(mesh, -0.3) + (generator.random(mesh.num_faces) < 0.02)
    drawn = _drawn(mesh, labels)
    place: dict[tuple, list[np.ndarray]] = {}
    for face, own, other, side in zip(drawn.faces, drawn.own, drawn.other, drawn.side):
        for a, b in ((0, 1), (1, 2), (2, 0)):
            if side[a] * side[b] < 0:
                ends = mesh.faces[face][[a, b]]
                at = mesh.vertices[ends[0]] + side[a] / (side[a] - side[b]) * (
                    mesh.vertices[ends[1]] - mesh.vertices[ends[0]]
                )
                place.setdefault((*sorted(ends.tolist()), *sorted((own, other))), []).append(at)
    shared = [points for points in place.values() if len(points) == 2]
    assert len(shared) > 50
    for first, second in shared:
        np.testing.assert_allclose(first, second, atol=1e-9)


def test_a_border_along_a_crease_stays_on_it():
    box = trimesh.creation.box().subdivide().subdivide().subdivide()
    mesh = Mesh(np.asarray(box.vertices), np.asarray(box.faces))
    labels = (mesh.face_normals[:, 2] > 0.5).astype(np.int64)
    zone = Zone.around(mesh, mesh.faces, labels)
    drawn = zone.draw()
    assert (drawn.side.min(axis=1) >= 0).all() or not len(drawn.faces)


@pytest.mark.parametrize("count", [1, 2, 6])
def test_a_stroke_of_a_few_faces_stays_to_be_seen(count):
    mesh = sphere(3)
    labels = np.zeros(mesh.num_faces, dtype=np.int64)
    middle = mesh.vertices[mesh.faces].mean(axis=1)
    labels[np.argsort(np.linalg.norm(middle - middle[100], axis=1))[:count]] = 1
    drawn = _drawn(mesh, labels)
    seen = labels == 1
    for face, own, side in zip(drawn.faces, drawn.own, drawn.side):
        seen[face] = own == 1 if side.sum() > 0 else own != 1
    assert seen.sum() >= count


def test_hidden_faces_have_no_borders_and_one_label_has_none():
    mesh = sphere(2)
    labels = np.where(_cap(mesh, 0.2) == 1, NONE, 3)
    assert Zone.around(mesh, mesh.faces, labels) is None
    labels = _cap(mesh, 0.2) + 2 * _cap(mesh, -0.3)
    hidden = np.where(labels == 3, NONE, labels)
    assert not np.isin(_drawn(mesh, hidden).faces, np.flatnonzero(hidden == NONE)).any()


def test_seams_do_not_stop_a_border():
    whole = sphere(3)
    soup = Mesh(whole.vertices[whole.faces].reshape(-1, 3), np.arange(3 * whole.num_faces).reshape(-1, 3))
    labels = _cap(whole, 0.3)
    one, other = _drawn(whole, labels), _drawn(soup, labels)
    np.testing.assert_array_equal(one.faces, other.faces)
    np.testing.assert_allclose(np.abs(one.side), np.abs(other.side), atol=1e-9)


@pytest.mark.parametrize("height", [0.2, -0.5])
def test_a_cut_follows_the_same_border(height):
    mesh = sphere(3)
    value = mesh.vertices[:, 2] - height
    labels = (np.sum(value[mesh.faces] > 0, axis=1) > 1).astype(np.int64)
    certain = Certain(1, value, np.ones(mesh.num_faces, dtype=bool))
    found = cut_smooth(mesh, labels, memberships(mesh, mesh.faces, labels, 2, certain))
    z = found.mesh.vertices[found.mesh.faces][:, :, 2]
    assert z[found.labels == 1].min() > height - 0.03 and z[found.labels == 0].max() < height + 0.03
