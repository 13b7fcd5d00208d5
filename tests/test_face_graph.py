"""Faces as nodes of a graph, and clicks on faces as clicks on vertices."""

from __future__ import annotations

import numpy as np
import torch
import trimesh
from scipy.sparse.csgraph import dijkstra

from utils.geometry.face_clicks import FaceClicks
from utils.geometry.face_graph import FaceGraph
from utils.geometry.graphs import Regions, pieces
from utils.geometry.mesh import Mesh


def test_face_graph_agrees_with_trimesh(two_boxes):
    reference = trimesh.Trimesh(two_boxes.vertices, two_boxes.faces, process=False)
    graph = FaceGraph(two_boxes)
    assert sorted(map(tuple, graph.pairs)) == sorted(map(tuple, np.sort(reference.face_adjacency, axis=1)))
    pairs = map(tuple, np.sort(reference.face_adjacency, axis=1).tolist())
    angles = dict(zip(pairs, reference.face_adjacency_angles))
    np.testing.assert_allclose(graph.dihedral, [angles[tuple(pair)] for pair in graph.pairs.tolist()], atol=1e-3)
    assert not graph.concave[graph.dihedral > 0.1].any()  # each box is convex


def test_concave_creases_are_told_from_convex_ones():
    vertices = np.array([[0, 0, 0], [0, 1, 0], [1, 0, 0.5], [-1, 0, 0.5]], float)
    valley = Mesh(vertices, np.array([[0, 2, 1], [0, 1, 3]]))  # seen from +z both sides rise away from the edge
    object.__setattr__(valley, "winding", 1.0)
    ridge = Mesh(vertices * [1, 1, -1], valley.faces)
    object.__setattr__(ridge, "winding", 1.0)
    assert FaceGraph(valley).concave.tolist() == [True] and FaceGraph(ridge).concave.tolist() == [False]


def test_depth_inside_equals_a_search_from_every_face(icosphere):
    graph = FaceGraph(icosphere)
    region = icosphere.normalized[icosphere.faces].mean(1)[:, 1] > 0.2
    expected = np.where(region, dijkstra(graph.matrix())[:, ~region].min(1), 0)
    np.testing.assert_allclose(graph.depth_inside(region), expected, atol=1e-9)


def test_a_face_beside_a_crease_is_clicked_off_the_crease(two_boxes):
    on_vertices = FaceClicks(two_boxes).on_vertices
    agreement = np.einsum("fkd,fd->fk", two_boxes.vertex_normals[two_boxes.faces], two_boxes.face_normals)
    vertices = [int(on_vertices(np.array([face]), np.array([True])).vertices[0]) for face in range(two_boxes.num_faces)]
    chosen = [agreement[face, two_boxes.faces[face] == vertex][0] for face, vertex in enumerate(vertices)]
    np.testing.assert_allclose(chosen, agreement.max(axis=1), atol=0.051)
    assert (agreement.max(1) - agreement.min(1) > 0.3).any()  # the choice mattered


def test_face_clicks_never_contradict_each_other_on_a_vertex(icosphere, generator):
    on_vertices = FaceClicks(icosphere).on_vertices
    for _ in range(50):
        faces = torch.randint(0, 12, (8,), generator=generator).numpy()  # neighbours: many share corners
        clicks = on_vertices(faces, np.array([True] + [bool(b) for b in torch.rand(7, generator=generator) > 0.5]))
        clicks.validate(icosphere.num_vertices)
        assert set(clicks.vertices.tolist()) <= set(icosphere.faces[faces].ravel().tolist())


def test_probability_of_a_face_is_the_mean_of_its_corners(two_boxes):
    values = np.arange(two_boxes.num_vertices, dtype=float)
    expected = [values[face].mean() for face in two_boxes.faces]
    np.testing.assert_allclose(FaceClicks(two_boxes).on_faces(values), expected)


def test_pieces_of_a_selection_are_found_region_by_region_as_a_flood_finds_them():
    rng, size = np.random.default_rng(0), 400
    pairs = rng.integers(size, size=(520, 2))
    pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)
    division = rng.integers(12, size=size)
    regions = Regions(division, pairs)

    def flood(selected):
        piece = np.arange(size)
        for _ in range(size):
            for one, other in pairs[selected[pairs[:, 0]] == selected[pairs[:, 1]]]:
                piece[[one, other]] = piece[[one, other]].min()
        return piece

    for chosen in (0.0, 0.5, 1.0):
        by_region = rng.random(12) < chosen
        selected = by_region[division] ^ (rng.random(size) < 0.03)
        found, expected = regions.pieces(selected), flood(selected)
        together = found[:, None] == found
        assert np.array_equal(together, expected[:, None] == expected)
        again = pieces(selected, pairs)
        assert np.array_equal(together, again[:, None] == again)
