import numpy as np
import pytest
import trimesh

from utils.errors import UserError
from utils.geometry.mesh import Mesh, load_mesh

OBJ_QUAD_CUBE = """# polygons, texture coordinates, negative indices, an unreferenced vertex
v 0 0 0
v 2 0 0
v 2 2 0
v 0 2 0
v 0 0 2
v 2 0 2
v 2 2 2
v 0 2 2
v 90 90 90
vt 0 0
vt 1 0
vt 1 1
vt 0 1
f 4/4 3/3 2/2 1/1
f 5 6 7 8
f 1 2 6 5
f -8 -7 -3 -2
f 2 3 7 6
f 1 5 8 4
"""


def test_obj_keeps_vertex_order_and_polygons(tmp_path):
    path = tmp_path / "cube.obj"
    path.write_text(OBJ_QUAD_CUBE)
    mesh = load_mesh(path)
    assert mesh.num_vertices == 9 and mesh.num_faces == 12
    assert mesh.vertices[6].tolist() == [2, 2, 2]
    assert mesh.face_polygon.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert sorted(set(mesh.faces[6:8].ravel())) == [1, 2, 6, 7]  # the negative indices count back from vertex 9


def test_unreferenced_vertex_does_not_move_or_shrink_the_object(tmp_path):
    path = tmp_path / "cube.obj"
    path.write_text(OBJ_QUAD_CUBE)
    mesh = load_mesh(path)
    np.testing.assert_allclose(mesh.center, [1, 1, 1])
    np.testing.assert_allclose(np.linalg.norm(mesh.normalized[:8], axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(mesh.denormalize(mesh.normalized[:8]), mesh.vertices[:8], atol=1e-6)


@pytest.mark.parametrize("suffix", [".obj", ".ply", ".off", ".stl", ".glb"])
def test_every_format_gives_the_same_surface(tmp_path, suffix):
    source = trimesh.creation.icosphere(subdivisions=2)
    path = tmp_path / f"ball{suffix}"
    source.export(path)
    mesh = load_mesh(path)
    assert (mesh.num_vertices, mesh.num_faces) == (162, 320)
    corners = mesh.vertices[mesh.faces]
    np.testing.assert_allclose(corners, source.vertices[source.faces], atol=1e-6)
    if suffix != ".stl":  # the one format without vertex ids of its own
        np.testing.assert_allclose(mesh.vertices, source.vertices, atol=1e-6)


def test_normals_areas_and_winding_agree_with_trimesh():
    ball = trimesh.creation.icosphere(subdivisions=2)
    mesh = Mesh(ball.vertices * 3 + 5, ball.faces)
    np.testing.assert_allclose(mesh.face_normals, ball.face_normals, atol=1e-5)
    np.testing.assert_allclose(mesh.face_areas, ball.area_faces, rtol=1e-5)
    assert mesh.winding == 1 and Mesh(ball.vertices, ball.faces[:, ::-1]).winding == -1
    assert (np.einsum("ij,ij->i", mesh.vertex_normals, mesh.normalized) > 0.99).all()


def test_seams_do_not_cut_the_surface():
    ball = trimesh.creation.icosphere(subdivisions=1)
    soup = Mesh(ball.vertices[ball.faces].reshape(-1, 3), np.arange(len(ball.faces) * 3).reshape(-1, 3))
    from scipy.sparse.csgraph import connected_components

    assert connected_components(soup.vertex_adjacency, directed=False)[0] == 1


def test_degenerate_duplicate_and_nonmanifold_faces_are_kept():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]], float)
    faces = np.array([[0, 1, 2], [0, 1, 2], [0, 1, 3], [0, 1, 4], [2, 2, 3]])
    mesh = Mesh(vertices, faces)
    assert mesh.num_faces == 5 and mesh.face_areas[4] == 0 and np.isfinite(mesh.face_normals).all()


@pytest.mark.parametrize(
    "name, content, says",
    [
        ("missing.obj", None, "no mesh at"),
        ("empty.obj", b"", "is empty"),
        ("garbage.obj", bytes(range(256)) * 40, "no vertices"),
        ("garbage.ply", bytes(range(256)) * 40, "not a readable PLY"),
        ("garbage.glb", bytes(range(256)) * 40, "not a readable GLB"),
        ("garbage.stl", bytes(range(256)) * 40, "garbage.stl"),
        ("garbage.off", bytes(range(256)) * 40, "OFF"),
        ("points.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\n", "0 faces"),
        ("nan.obj", b"v 0 0 0\nv nan 0 0\nv 0 1 0\nf 1 2 3\n", "vertex 1 has a NaN"),
        ("inf.obj", b"v 0 0 0\nv inf 0 0\nv 0 1 0\nf 1 2 3\n", "vertex 1 has a NaN or infinite"),
        ("range.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", "0 to 2"),
        ("zero.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 0\n", "0 to 2"),
        ("text.obj", b"v 0 0 zero\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "not a readable OBJ"),
        ("point.obj", b"v 1 1 1\nv 1 1 1\nv 1 1 1\nf 1 2 3\n", "one point"),
        ("cut.off", b"OFF\n4 2 0\n0 0 0\n1 0 0\n0 1 0\n", "cut short"),
        ("mesh.fbx", b"Kaydara", "convert the mesh"),
    ],
)
def test_unusable_files_are_refused_in_one_line(tmp_path, name, content, says):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_mesh(path)
    assert says in str(caught.value) and name in str(caught.value) and "\n" not in str(caught.value)
