"""Ids are the file's own: random meshes of random polygons, written by hand in every format, come back as written."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from tests import mesh_files
from tests.mesh_files import WRITERS, Node, Plain, random_mesh, write_obj
from utils.clicks import Clicks
from utils.errors import UserError
from utils.geometry.mesh import load_mesh
from utils.geometry.textures import read_textures
from utils.output.query import Look, save_answer


@pytest.mark.parametrize("suffix", [".obj", ".off", ".ply"])
def test_vertices_and_polygons_come_back_in_the_order_of_the_file(tmp_path, suffix):
    path, rng = tmp_path / f"m{suffix}", np.random.default_rng(0)
    for _ in range(60):
        plain = random_mesh(rng)
        path.write_bytes(WRITERS[suffix](plain, rng))
        mesh = load_mesh(path)
        np.testing.assert_array_equal(mesh.vertices, plain.vertices)
        assert mesh.faces.tolist() == plain.fans() and mesh.face_polygon.tolist() == plain.owners()
        assert mesh.polygons() == plain.polygons and mesh.num_polygons == len(plain.polygons)


def test_stl_merges_equal_corners_in_the_order_of_first_use(tmp_path):
    rng = np.random.default_rng(1)
    for _ in range(40):
        plain = random_mesh(rng)
        (tmp_path / "m.stl").write_bytes(mesh_files.stl(plain, rng))
        mesh = load_mesh(tmp_path / "m.stl")
        used = list(dict.fromkeys(np.array(plain.fans()).ravel().tolist()))
        np.testing.assert_array_equal(mesh.vertices, plain.vertices[used].astype(np.float32))
        assert np.array(used)[mesh.faces].tolist() == plain.fans()


def _scene(rng: np.random.Generator) -> tuple[list[Plain], list[Node]]:
    """Three meshes; a group that holds two of them (one mirrored), and one of them once more beside it."""
    nodes = [
        Node("group", (1.0, 2.0, 3.0), children=(2, 1)),
        Node("lid", (0.5, 0.0, 0.0), (1.0, -2.0, 1.0), mesh=1),
        Node("body", mesh=0),
        Node("lid again", (-3.0, 0.0, 0.0), mesh=1),
        Node("empty", (9.0, 9.0, 9.0)),
        Node("handle", scale=(0.5, 0.5, 0.5), mesh=2),
    ]
    return [random_mesh(rng) for _ in range(3)], nodes


def test_glb_nodes_come_in_scene_order_with_names_and_transforms(tmp_path):
    rng = np.random.default_rng(2)
    for _ in range(20):
        meshes, nodes = _scene(rng)
        (tmp_path / "m.glb").write_bytes(mesh_files.glb(meshes, nodes, [5, 0, 4, 3]))
        mesh = load_mesh(tmp_path / "m.glb")
        placed = [  # mesh, scale, translation, mirrored
            (meshes[2], (0.5, 0.5, 0.5), (0, 0, 0), False),
            (meshes[0], (1, 1, 1), (1, 2, 3), False),
            (meshes[1], (1, -2, 1), (1.5, 2, 3), True),
            (meshes[1], (1, 1, 1), (-3, 0, 0), False),
        ]
        expected = [plain.vertices.astype(np.float32) * np.array(size, float) + at for plain, size, at, _ in placed]
        np.testing.assert_allclose(mesh.vertices, np.concatenate(expected), atol=1e-12)
        start, faces = 0, []
        for plain, _, _, mirrored in placed:
            faces += [
                [a + start, *((c + start, b + start) if mirrored else (b + start, c + start))]
                for a, b, c in plain.fans()
            ]
            start += len(plain.vertices)
        assert mesh.faces.tolist() == faces
        textures = read_textures(mesh)
        assert textures is not None and list(dict.fromkeys(textures.groups)) == ["handle", "body", "lid", "lid again"]


def test_glb_agrees_with_another_library_about_where_everything_is(tmp_path):
    rng = np.random.default_rng(3)
    scene = trimesh.Scene()
    for name in ("body", "lid", "handle"):
        ball = trimesh.creation.icosphere(subdivisions=1)
        scene.add_geometry(
            ball, node_name=name, transform=trimesh.transformations.random_rotation_matrix(rng.random(3))
        )
    scene.export(tmp_path / "m.glb")
    mesh, other = load_mesh(tmp_path / "m.glb"), scene.to_mesh()
    assert mesh.num_faces == len(other.faces)
    key = lambda points: points[np.lexsort(np.round(points, 4).T)]  # noqa: E731
    np.testing.assert_allclose(key(mesh.vertices[mesh.faces].mean(1)), key(other.triangles_center), atol=1e-5)


@pytest.mark.parametrize("suffix", list(WRITERS))
def test_a_file_that_was_cut_short_is_never_answered(tmp_path, suffix):
    """Within the body; an OBJ announces no counts, so it only has to be refused or to be a beginning of the file."""
    rng = np.random.default_rng(4)
    for _ in range(60):
        plain = random_mesh(rng)
        data = WRITERS[suffix](plain, rng).rstrip(b"\n")
        words = data[: data.rstrip().rfind(b" ") + 1]  # without the last word, for text
        binary = suffix in (".ply", ".stl") and b"ascii" not in data and not data.endswith(b"endsolid a")
        cut = data[: int(rng.integers(10, len(data)))] if binary else words[: int(rng.integers(10, len(words) + 1))]
        path = tmp_path / f"m{suffix}"
        path.write_bytes(cut)
        if suffix != ".obj":
            with pytest.raises(UserError):
                load_mesh(path)
            continue
        try:
            faces = load_mesh(path).polygons()
        except UserError:
            continue
        assert faces[:-1] == plain.polygons[: len(faces) - 1]


def test_counts_that_the_file_does_not_keep_are_refused(tmp_path):
    path = tmp_path / "m.ply"
    head = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    for faces, says in (("element face 2\n", "2 rows of 'face' announced, 1 found"), ("element face -1\n", "-1 rows")):
        path.write_text(
            f"{head}{faces}property list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
        )
        with pytest.raises(UserError, match=says):
            load_mesh(path)
    path.write_text(
        head + "element face 1\nproperty list uchar int vertex_index\nend_header\n0 0 0\n1 0\n0 1 0\n3 0 1 2\n"
    )
    with pytest.raises(UserError, match="not a readable PLY"):
        load_mesh(path)


def test_polygons_without_triangles_are_counted(tmp_path):
    (tmp_path / "m.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2\nf 1 2 3\nf 2 3\n")
    mesh = load_mesh(tmp_path / "m.obj")
    assert mesh.num_polygons == 3 and mesh.polygons() == [[], [0, 1, 2], []]
    written = save_answer(tmp_path, mesh, Clicks.from_lists([0]), np.ones(3, np.float32), 0.5, ("seg",), Look())
    assert written[0].read_text().split() == ["0", "1", "0"]


@pytest.mark.parametrize("suffix", [".obj", ".off", ".ply", ".glb"])
def test_a_query_exports_the_ids_faces_and_colours_of_the_file(tmp_path, suffix):
    rng = np.random.default_rng(5)
    for number in range(8):
        plain, path = random_mesh(rng), tmp_path / f"m{suffix}"
        data = mesh_files.glb([plain], [Node("a", mesh=0)], [0], colored=True) if suffix == ".glb" else None
        path.write_bytes(data or WRITERS[suffix](plain, rng))
        mesh = load_mesh(path)
        probability = rng.random(mesh.num_vertices).astype(np.float32)
        clicks = Clicks.from_lists([number])
        written = save_answer(tmp_path, mesh, clicks, probability, 0.5, ("npy", "ply", "obj", "seg", "glb"), Look())
        files = {each.suffix: each for each in written}
        np.testing.assert_array_equal(np.load(files[".npy"]), probability)
        colored = load_mesh(files[".ply"])
        np.testing.assert_array_equal(colored.vertices, mesh.vertices)
        np.testing.assert_array_equal(colored.faces, mesh.faces)
        labels = np.array(files[".seg"].read_text().split(), dtype=int)
        parts = load_mesh(files[".obj"])
        np.testing.assert_array_equal(parts.vertices, mesh.vertices)
        order = np.argsort(-labels, kind="stable")  # the selection is the first group
        assert parts.polygons() == [mesh.polygons()[polygon] for polygon in order]
        before, after = read_textures(mesh), read_textures(parts)
        if before is not None and before.colors is not None:
            np.testing.assert_allclose(after.colors, before.colors, atol=1e-9)
        assert load_mesh(files[".glb"]).num_faces == mesh.num_faces


def test_names_of_nodes_and_groups_travel_into_exports(tmp_path):
    meshes, nodes = _scene(np.random.default_rng(6))
    (tmp_path / "m.glb").write_bytes(mesh_files.glb(meshes, nodes, [0, 3, 5]))
    mesh = load_mesh(tmp_path / "m.glb")
    selected = np.zeros(mesh.num_vertices, dtype=np.float32)
    selected[len(meshes[0].vertices) :] = 1  # all but the body
    written = save_answer(tmp_path / "out", mesh, Clicks.from_lists([0]), selected, 0.5, ("glb", "obj"), Look())
    glb, _, obj = sorted(written)  # between them the colours of the parts, .mtl
    names = {line[2:] for line in obj.read_text().splitlines() if line.startswith("g ")}
    assert names == {"selected lid", "selected lid again", "selected handle", "rest body"}
    scene = trimesh.load(glb)
    assert set(scene.graph.nodes_geometry) == {"selected/lid", "selected/lid again", "selected/handle", "rest"}
    assert {scene.graph.transforms.parents[node] for node in scene.graph.nodes_geometry if "/" in node} == {"selected"}
    np.testing.assert_allclose(
        np.sort(load_mesh(glb).vertices[load_mesh(glb).faces].mean(1), axis=0),
        np.sort(mesh.vertices[mesh.faces].mean(1), axis=0),
        atol=1e-5,
    )


@pytest.mark.parametrize(
    "vertices, says",
    [
        (lambda points: points * 1e38, "move or scale it"),
        (lambda points: points * 1e-310, "move or scale it"),
        (lambda points: points + 1e15, "move or scale it"),
        (lambda points: points * [1, 0, 0], "no face has an area"),
        (lambda points: np.concatenate([points[:-1], [[1e6, 0, 0]]]), "delete that vertex"),
    ],
)
def test_shapes_that_no_view_could_show_are_refused_when_read(tmp_path, icosphere, vertices, says):
    write_obj(tmp_path / "m.obj", vertices(icosphere.vertices), icosphere.faces)
    with pytest.raises(UserError, match=says):
        load_mesh(tmp_path / "m.obj")


@pytest.mark.parametrize("size", [1e-30, 1e-12, 1e12, 1e29])
def test_very_small_and_very_large_shapes_are_the_same_to_the_pipeline(tmp_path, icosphere, size):
    write_obj(tmp_path / "m.obj", icosphere.vertices * size, icosphere.faces)
    np.testing.assert_allclose(load_mesh(tmp_path / "m.obj").normalized, icosphere.normalized, atol=1e-6)
