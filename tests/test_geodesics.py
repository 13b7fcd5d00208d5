"""Distances along the surface, and what the geometric decoder sees of them."""

from __future__ import annotations

import heapq
import math

import numpy as np
import pytest
import torch
import trimesh

from models.iseg.click_geometry import (
    CLICK_CHANNELS,
    FAR,
    GROUP_CHANNELS,
    STATIC_CHANNELS,
    ClickGeometry,
    ClickGeometryTable,
)
from utils.clicks import Clicks
from utils.geometry.geodesics import UNREACHABLE, SurfaceDistances, bridge_components, crease_angles
from utils.geometry.mesh import Mesh


@pytest.fixture(scope="module")
def angle_iron() -> Mesh:
    """An L-shaped profile extruded: one concave crease, at (1, 1), among convex ones."""
    profile = np.array([[0.0, 0], [3, 0], [3, 1], [1, 1], [1, 3], [0, 3]])
    solid = trimesh.creation.extrude_triangulation(profile, [[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 5]], height=9.0)
    for _ in range(3):
        solid = solid.subdivide()
    return Mesh(np.asarray(solid.vertices), np.asarray(solid.faces))


def _vertex(mesh: Mesh, *position: float) -> int:
    return int(np.linalg.norm(mesh.vertices - position, axis=1).argmin())


def _shortest(pairs: np.ndarray, lengths: np.ndarray, count: int, source: int) -> np.ndarray:
    """Dijkstra with a heap, edge by edge."""
    neighbors: dict[int, list] = {vertex: [] for vertex in range(count)}
    for (i, j), length in zip(pairs.tolist(), lengths.tolist()):
        neighbors[i].append((j, length))
        neighbors[j].append((i, length))
    best: dict[int, float] = {}
    queue = [(0.0, source)]
    while queue:
        distance, vertex = heapq.heappop(queue)
        if vertex not in best:
            best[vertex] = distance
            for other, length in neighbors[vertex]:
                heapq.heappush(queue, (distance + length, other))
    return np.array([best.get(vertex, UNREACHABLE) for vertex in range(count)])


def test_distances_are_shortest_paths(icosphere):
    edges = icosphere.edges
    length = np.linalg.norm(icosphere.normalized[edges[:, 0]] - icosphere.normalized[edges[:, 1]], axis=1)
    distances = SurfaceDistances(icosphere).from_each([0, 40])
    assert distances.shape == (2, icosphere.num_vertices, 2) and distances.dtype == np.float32
    for row, source in enumerate((0, 40)):
        plain = _shortest(edges, length, icosphere.num_vertices, source)
        concave = _shortest(edges, length + crease_angles(icosphere, edges), icosphere.num_vertices, source)
        np.testing.assert_allclose(distances[row], np.stack([plain, concave], axis=1), atol=1e-5)
    # Half a great circle, somewhat longer along edges.
    assert math.pi <= distances[0, :, 0].max() < 1.1 * math.pi


def test_nearest_is_the_least_of_each(two_boxes):
    distances = SurfaceDistances(two_boxes)
    np.testing.assert_allclose(
        distances.from_nearest([3, 150, 90]), distances.from_each([3, 150, 90]).min(axis=0), atol=1e-6
    )


@pytest.mark.parametrize("held_bytes", [0, 1 << 20])
def test_what_is_held_from_earlier_clicks_changes_no_answer(two_boxes, held_bytes):
    distances = SurfaceDistances(two_boxes, held_bytes)
    for clicked in ([3], [3, 150], [90, 150], [3], [90, 3, 3]):
        answer = distances.from_nearest(clicked)
        np.testing.assert_array_equal(answer, distances.from_each(clicked).min(axis=0))
        answer[:] = -1  # what is handed out is the caller's own


def test_concave_creases_are_far_and_convex_ones_near(angle_iron):
    distances = SurfaceDistances(angle_iron)
    from_source = distances.from_each([_vertex(angle_iron, 2, 1, 4.5)])[0]
    concave, convex = from_source[_vertex(angle_iron, 1, 2, 4.5)], from_source[_vertex(angle_iron, 3, 0.5, 4.5)]
    assert concave[1] - concave[0] > 0.9 * math.pi / 2
    assert convex[1] - convex[0] < 0.15 * math.pi / 2


def test_inside_out_mesh_has_the_same_distances(angle_iron):
    turned = Mesh(angle_iron.vertices, angle_iron.faces[:, ::-1].copy())
    np.testing.assert_allclose(
        SurfaceDistances(turned).from_each([5]), SurfaceDistances(angle_iron).from_each([5]), atol=1e-5
    )


def test_components_are_joined_where_they_are_closest(two_boxes):
    bridges = bridge_components(two_boxes)
    assert len(bridges) and ((bridges[:, 0] < 98) != (bridges[:, 1] < 98)).all()
    distances = SurfaceDistances(two_boxes).from_each([0])[0]
    assert (distances < UNREACHABLE).all()
    # The other component counts as behind a crease.
    other = np.arange(two_boxes.num_vertices) >= 98
    assert (
        (distances[other, 1] - distances[other, 0]).min()
        > 0.9 * math.pi / 2
        > (distances[~other, 1] - distances[~other, 0]).max()
    )


def test_components_far_apart_are_joined_by_one_bridge(icosphere):
    count = icosphere.num_vertices
    vertices = np.concatenate([icosphere.vertices, icosphere.vertices + [5.0, 0, 0], icosphere.vertices + [0, 9.0, 0]])
    three = Mesh(vertices, np.concatenate([icosphere.faces + shift * count for shift in range(3)]))
    bridges = bridge_components(three)
    assert len(bridges) == 2
    gap = np.linalg.norm(three.vertices[bridges[:, 0]] - three.vertices[bridges[:, 1]], axis=1)
    np.testing.assert_allclose(np.sort(gap), [3.0, 7.0], atol=0.1)


def test_unreferenced_vertex_is_far_from_everything(tetrahedron):
    mesh = Mesh(np.concatenate([tetrahedron.vertices, [[9.0, 9, 9]]]), tetrahedron.faces)
    distances = SurfaceDistances(mesh).from_each([0])[0]
    assert (distances[4] == UNREACHABLE).all() and (distances[:4] < UNREACHABLE).all() and np.isfinite(distances).all()


def test_geometry_names_the_nearest_click_of_each_kind(two_boxes):
    geometry = ClickGeometry(two_boxes)
    clicks = Clicks.from_lists([3, 150], [60])
    seen = geometry.of_clicks(clicks)
    assert seen.shape == (two_boxes.num_vertices, CLICK_CHANNELS) and torch.isfinite(seen).all()
    points, distances = geometry.positions.double(), geometry.distances.from_each([3, 150, 60])
    for group, members in ((seen[:, :GROUP_CHANNELS], [0, 1]), (seen[:, GROUP_CHANNELS : 2 * GROUP_CHANNELS], [2])):
        offsets = torch.stack([points - points[[3, 150, 60][member]] for member in members])
        length, _ = offsets.norm(dim=-1).min(dim=0)
        torch.testing.assert_close(group[:, 3].double(), length, rtol=0, atol=1e-6)
        torch.testing.assert_close(group[:, :3].norm(dim=-1).double(), length, rtol=0, atol=1e-6)
        surface = torch.from_numpy(distances[members].min(axis=0))
        torch.testing.assert_close(group[:, 4:6], surface)
        torch.testing.assert_close(group[:, 6], torch.exp(-surface[:, 0] / 0.1))
        torch.testing.assert_close(group[:, 9], torch.exp(-surface[:, 1] / 0.6))
    assert (seen[:, -1] == 1).all() and (geometry.of_clicks(Clicks.from_lists([3]))[:, -1] == 0).all()


def test_without_a_negative_click_everything_is_far_from_it(two_boxes):
    group = ClickGeometry(two_boxes).of_clicks(Clicks.from_lists([3]))[:, GROUP_CHANNELS : 2 * GROUP_CHANNELS]
    assert (group[:, :3] == 0).all() and (group[:, 3] == FAR).all() and (group[:, 4:6] == UNREACHABLE).all()
    assert group[:, 6:].max() < 1e-4


def test_table_of_some_rows_agrees_with_the_query(two_boxes, generator):
    geometry = ClickGeometry(two_boxes)
    sets = [Clicks.from_lists([3, 150], [60]), Clicks.from_lists([60]), Clicks.from_lists([150], [3])]
    vertices = torch.tensor([[3, 150, 60], [60, 0, 0], [150, 3, 0]])
    positive = torch.tensor([[True, True, False], [True, False, False], [True, False, False]])
    present = torch.tensor([[True, True, True], [True, False, False], [True, True, False]])
    kept = torch.randperm(two_boxes.num_vertices, generator=generator)[:50].sort().values
    rows = torch.randint(50, (3, 20), generator=generator)
    seen = ClickGeometryTable(geometry, vertices.unique(), kept)(vertices, positive, present, rows)
    for row, clicks in enumerate(sets):
        expected = torch.cat([geometry.static, geometry.of_clicks(clicks)], dim=1)[kept[rows[row]]]
        torch.testing.assert_close(seen[row], expected, rtol=0, atol=1e-6)
    assert seen.shape[-1] == STATIC_CHANNELS + CLICK_CHANNELS
