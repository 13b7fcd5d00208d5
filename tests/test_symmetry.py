"""The planes of symmetry of generated shapes, and the first view by them."""

from __future__ import annotations

import time

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from tests.mesh_files import write_obj
from utils.geometry.mesh import Mesh, load_mesh
from utils.geometry.symmetry import mirror_planes, standing
from utils.shapes.generate import random_shape
from utils.viewer.scene import VIEWS
from utils.viewer.workspace import LoadedMesh

X, Y, Z = np.eye(3)


def mirrored(family: str, seed: int) -> Mesh:
    """Half of a generated shape and its image in x = 0.1."""
    shape = random_shape(seed, [family])
    centroid = shape.vertices[shape.faces].mean(axis=1)
    kept = shape.faces[centroid[:, 0] > 0.1]
    other = (shape.vertices - [0.1, 0, 0]) * [-1, 1, 1] + [0.1, 0, 0]
    return Mesh(np.concatenate([shape.vertices, other]), np.concatenate([kept, kept[:, ::-1] + len(other)]))


def turned(mesh: Mesh, rotation: np.ndarray) -> Mesh:
    return Mesh(mesh.vertices @ rotation.T + 7, mesh.faces)


def degrees(a: np.ndarray, b: np.ndarray) -> float:
    """Between two planes by their normals."""
    return float(np.degrees(np.arccos(min(1.0, abs(a @ b)))))


@pytest.mark.parametrize("family", ["creature", "mechanical", "plant", "vehicle", "humanoid", "chair"])
@pytest.mark.parametrize("seed", range(3))
def test_the_plane_of_a_shape_is_found_however_it_is_turned(family, seed):
    mesh = mirrored(family, seed)
    rotation = Rotation.random(random_state=seed).as_matrix()
    for found, normal in ((mirror_planes(mesh), X), (mirror_planes(turned(mesh, rotation)), rotation @ X)):
        assert min(degrees(each, normal) for each in found) < 3


def test_a_shape_without_symmetry_has_no_plane_and_keeps_the_usual_view():
    bars = [((2, 0.2, 0.2), (1, 0, 0)), ((0.2, 1.2, 0.2), (0, 0.6, 0)), ((0.2, 0.2, 0.7), (1.4, 0, 0.4))]
    uneven = trimesh.util.concatenate([trimesh.creation.box(size).apply_translation(at) for size, at in bars])
    mesh = Mesh(np.asarray(uneven.vertices), np.asarray(uneven.faces))
    assert len(mirror_planes(mesh)) == 0
    loaded = LoadedMesh(mesh)
    assert loaded.up == 1 and (loaded.stands(1) == np.eye(3)).all() and loaded.stands(2)[:, 1].tolist() == [0, 0, 1]


def test_a_box_is_seen_from_its_wide_side():
    box = trimesh.creation.box((1, 0.5, 2))
    planes = mirror_planes(Mesh(np.asarray(box.vertices), np.asarray(box.faces)))
    assert {tuple(np.abs(each)) for each in planes[:3]} == {(1, 0, 0), (0, 1, 0), (0, 0, 1)}
    assert standing(planes, 1)[:, 2] == pytest.approx(X) and standing(planes, 1)[:, 1] == pytest.approx(Y)


@pytest.mark.parametrize(
    ("planes", "up", "front"),
    [([X], 1, Z), ([Z], 1, X), ([-X], 1, Z), ([X], 2, -Y), ([Y], 2, X), ([Y], 1, None), ([Y, X], 1, Z), ([], 1, None)],
)
def test_the_front_is_where_files_mostly_have_it(planes, up, front):
    stands = standing(np.array(planes).reshape(-1, 3), up)
    if front is None:
        assert stands is None
        return
    assert stands[:, 2] == pytest.approx(front) and stands[:, 1] == pytest.approx(np.eye(3)[up])
    assert np.linalg.det(stands) == pytest.approx(1)


def test_the_first_view_of_a_leaning_shape_has_its_plane_upright(tmp_path):
    rotation = Rotation.from_euler("zx", [35, 20], degrees=True).as_matrix()
    leaning = turned(mirrored("creature", 1), rotation)
    stands = LoadedMesh(leaning).stands(1)
    normal = mirror_planes(leaning)[0]
    assert degrees(normal, rotation @ X) < 3
    assert abs(stands[:, 1] @ normal) < 1e-6 and abs(stands[:, 2] @ normal) < 1e-6 and stands[1, 1] > 0.5
    assert np.linalg.det(stands) == pytest.approx(1)


def test_what_lies_is_stood_up():
    """Where only z lies in the plane, z is up."""
    mesh = turned(mirrored("creature", 1), np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]))
    assert abs(mirror_planes(mesh)[0] @ Y) > 0.99 and LoadedMesh(mesh).up == 2


def test_the_camera_of_a_new_tab_stands_in_front(tmp_path):
    from tests.sessions import BallSegmenter
    from tests.viser_client import Tab
    from utils.viewer.folder import OutputFolder
    from utils.viewer.server import Server
    from utils.viewer.studio import Studio
    from utils.viewer.workspace import Models, Settings

    shape = turned(mirrored("creature", 1), Rotation.from_euler("y", 50, degrees=True).as_matrix())
    write_obj(tmp_path / "m.obj", shape.vertices, shape.faces)
    models = Models(
        lambda mesh, *_: BallSegmenter(mesh), lambda _: (), lambda *_: None, lambda mesh, _: BallSegmenter(mesh)
    )
    server = Server(
        Studio(Settings(tmp_path / "m.obj", OutputFolder(tmp_path / "out"), mesh_first=False), models), port=0
    )
    try:
        tab = Tab(server.port)
        tab.painted(1)
        camera = next(iter(server.pages.values())).client.camera
        stands = LoadedMesh(load_mesh(tmp_path / "m.obj")).stands(1)
        right, up, front = np.asarray(camera.position) @ stands / np.linalg.norm(camera.position)
        assert (right, up, front) == pytest.approx(np.array(VIEWS["Slant"]) / np.linalg.norm(VIEWS["Slant"]), abs=1e-3)
        tab.set("View", "Front")
        tab.wait(lambda: abs(np.asarray(camera.position) @ stands[:, 0]) < 1e-3)
        tab.close()
    finally:
        server.stop()


def test_a_million_faces_take_no_longer():
    rows = 1000
    a, b = np.meshgrid(np.arange(rows), np.arange(640), indexing="ij")
    angle, turn = 2 * np.pi * a.ravel() / rows, 2 * np.pi * b.ravel() / 640
    ring = 1 + 0.4 * np.cos(turn)
    vertices = np.stack([ring * np.cos(angle), ring * np.sin(angle), 0.4 * np.sin(turn)], axis=1)
    of = lambda i, j: ((i % rows) * 640 + j % 640).ravel()  # noqa: E731
    corners = of(a, b), of(a + 1, b), of(a + 1, b + 1), of(a, b + 1)
    faces = np.concatenate([np.stack([corners[k] for k in ids], axis=1) for ids in ((0, 1, 2), (0, 2, 3))])
    mesh = Mesh(vertices, faces)
    assert mesh.normalized is not None and mesh.num_faces == 1_280_000
    started = time.process_time()
    assert len(mirror_planes(mesh))
    assert time.process_time() - started < 0.5  # 0.04 s alone on a machine
