"""Tiny meshes and a teacher without weights, shared by all tests."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

from tests.fakes import FakeTeacher
from utils.geometry.mesh import Mesh


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked `gpu`, with the reason, where there is no GPU."""
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="no CUDA GPU here"))


def _mesh(shape: trimesh.Trimesh) -> Mesh:
    return Mesh(np.asarray(shape.vertices, dtype=np.float64), np.asarray(shape.faces, dtype=np.int64))


def _box(extents: tuple[float, float, float], center: tuple[float, float, float], subdivisions: int) -> trimesh.Trimesh:
    box = trimesh.creation.box(extents)
    for _ in range(subdivisions):
        box = box.subdivide()
    return box.apply_translation(center)


@pytest.fixture(scope="session")
def tetrahedron() -> Mesh:
    """4 vertices, 4 faces, outward winding, not centred at the origin."""
    vertices = np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) + [3.0, 0.5, -2.0]
    return Mesh(vertices, np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]]))


@pytest.fixture(scope="session")
def icosphere() -> Mesh:
    """A unit sphere of 162 vertices and 320 faces."""
    return _mesh(trimesh.creation.icosphere(subdivisions=2))


@pytest.fixture(scope="session")
def two_boxes() -> Mesh:
    """A mallet of two components: a handle along y (vertices 0-97), and a head along x (98-195) that it runs into."""
    handle = _box((0.3, 1.6, 0.3), (0.0, -0.2, 0.0), subdivisions=2)
    head = _box((1.4, 0.5, 0.5), (0.0, 0.75, 0.0), subdivisions=2)
    return _mesh(trimesh.util.concatenate([handle, head]))


@pytest.fixture(scope="session")
def two_boxes_head(two_boxes: Mesh) -> np.ndarray:
    """(V,) bool, the vertices of the mallet's head."""
    return np.arange(two_boxes.num_vertices) >= two_boxes.num_vertices // 2


@pytest.fixture
def fake_teacher() -> FakeTeacher:
    """A fresh one for every test, so that its call counters start at 0."""
    return FakeTeacher()


@pytest.fixture
def generator() -> torch.Generator:
    """The one source of randomness of a test."""
    return torch.Generator().manual_seed(0)
