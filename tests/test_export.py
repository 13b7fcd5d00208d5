"""What a query writes can be read back by others: same vertices, same order, same colours."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
import trimesh

from utils.clicks import Clicks
from utils.geometry.mesh import Mesh, load_mesh
from utils.output.export import (
    BASE_COLOR,
    NEGATIVE_COLOR,
    POSITIVE_COLOR,
    SELECTION_COLOR,
    QueryPaths,
    probability_colors,
    save_colored_mesh,
    save_probability,
)
from utils.output.parts import Labelling, save_glb, save_obj, save_seg
from utils.output.query import Look, save_answer

FAR_AWAY = np.array([5e5, -4e6, 120.0])  # a surveyed scan: float32 would round its coordinates to half a metre


def _quad_obj(path):
    """A cube of 6 quads whose file also has texture coordinates and a vertex that no face uses."""
    corners = [(x, y, z) for x in (0.1, 1) for y in (0, 1) for z in (0, 1.25)]
    quads = [(1, 2, 4, 3), (5, 7, 8, 6), (1, 5, 6, 2), (3, 4, 8, 7), (1, 3, 7, 5), (2, 6, 8, 4)]
    text = [f"v {x} {y} {z}" for x, y, z in corners] + ["v 9 9 9"] + ["vt 0 0", "vt 1 0", "vt 1 1", "vt 0 1"]
    text += ["f " + " ".join(f"{c}/{k + 1}" for k, c in enumerate(quad)) for quad in quads]
    path.write_text("\n".join(text) + "\n")
    return quads


def test_names_are_the_published_ones(tmp_path):
    paths = QueryPaths.of(tmp_path, Clicks.from_signed(["5141", "-10795"]))
    assert paths.probability.name == "vertex_probability_v5141_v-10795.npy"
    assert paths.colored_mesh.name == "colored_mesh_v5141_v-10795.ply"
    assert paths.colored_mesh_with_clicks.name == "colored_mesh_with_clicks_v5141_v-10795.ply"
    assert paths.views.name == "render_views_v5141_v-10795.png"
    assert QueryPaths.of(tmp_path, Clicks.from_signed(["3", "-0"])).probability.name == "vertex_probability_v3_v-0.npy"


def test_a_hundred_clicks_still_have_a_file_name_of_their_own(tmp_path):
    one = QueryPaths.of(tmp_path, Clicks.from_lists(range(10000, 10100), [5]))
    other = QueryPaths.of(tmp_path, Clicks.from_lists(range(10000, 10100), [6]))
    assert one.colored_mesh_with_clicks != other.colored_mesh_with_clicks
    shown = one.label.split("_and_")[0].count("v")
    assert f"_and_{101 - shown}_more_" in one.label
    save_probability(one.probability, np.zeros(3))
    assert one.probability.is_file()


def test_probability_reads_back_as_float32_in_vertex_order(tmp_path):
    values = np.linspace(0, 1, 7)
    save_probability(tmp_path / "p.npy", values)
    read = np.load(tmp_path / "p.npy")
    assert read.dtype == np.float32 and read.shape == (7,)
    np.testing.assert_array_equal(read, values.astype(np.float32))


def test_colors_go_from_base_to_selection():
    colors = probability_colors(np.array([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(
        colors, [BASE_COLOR, (np.array(BASE_COLOR) + SELECTION_COLOR) / 2, SELECTION_COLOR], atol=1e-6
    )


def test_colored_mesh_reloads_with_the_files_vertices_order_and_colors(tmp_path, icosphere):
    mesh = Mesh(icosphere.vertices * 0.3 + FAR_AWAY, icosphere.faces)
    colors = probability_colors(np.linspace(0, 1, mesh.num_vertices))
    save_colored_mesh(tmp_path / "m.ply", mesh, colors)
    read = trimesh.load(tmp_path / "m.ply", process=False)
    np.testing.assert_array_equal(read.vertices, mesh.vertices)
    np.testing.assert_array_equal(read.faces, mesh.faces)
    np.testing.assert_array_equal(read.visual.vertex_colors[:, :3], np.rint(colors * 255))


def test_click_spheres_follow_the_meshs_own_vertices(tmp_path, icosphere):
    mesh = Mesh(icosphere.vertices * 7 + 3, icosphere.faces)
    colors = probability_colors(np.zeros(mesh.num_vertices))
    save_colored_mesh(tmp_path / "m.ply", mesh, colors, Clicks.from_lists([5], [0]), sphere_radius=0.05)
    read = trimesh.load(tmp_path / "m.ply", process=False)
    own = mesh.num_vertices
    np.testing.assert_array_equal(read.vertices[:own], mesh.vertices)
    spheres = np.split(read.vertices[own:], 2)
    for sphere, vertex in zip(spheres, (5, 0)):
        np.testing.assert_allclose(np.linalg.norm(sphere - mesh.vertices[vertex], axis=1), 0.05 * mesh.scale, rtol=1e-5)
    rgb = read.visual.vertex_colors[own:, :3]
    assert (rgb[: len(rgb) // 2] == np.rint(np.array(POSITIVE_COLOR) * 255)).all()
    assert (rgb[len(rgb) // 2 :] == np.rint(np.array(NEGATIVE_COLOR) * 255)).all()


def test_polygons_are_selected_by_most_of_their_corners(tmp_path):
    quads = _quad_obj(tmp_path / "cube.obj")
    mesh = load_mesh(tmp_path / "cube.obj")
    generator = np.random.default_rng(0)
    for _ in range(20):
        selected = generator.random(mesh.num_vertices) < 0.5
        expected = [sum(selected[c - 1] for c in quad) > 2 for quad in quads]
        np.testing.assert_array_equal(mesh.selected_polygons(selected), expected)


def test_seg_has_one_line_per_polygon_of_the_file(tmp_path):
    quads = _quad_obj(tmp_path / "cube.obj")
    mesh = load_mesh(tmp_path / "cube.obj")
    assert mesh.num_faces == 2 * len(quads)
    selected = np.zeros(mesh.num_vertices, dtype=bool)
    selected[[c - 1 for c in quads[3]]] = True
    save_seg(tmp_path / "cube.seg", mesh, Labelling.of_selection(mesh, selected))
    assert (tmp_path / "cube.seg").read_text().split() == ["0", "0", "0", "1", "0", "0"]


def test_obj_parts_keep_every_vertex_digit_and_polygon(tmp_path):
    quads = _quad_obj(tmp_path / "cube.obj")
    mesh = load_mesh(tmp_path / "cube.obj")
    mesh = Mesh(mesh.vertices / 3 + FAR_AWAY, mesh.faces, None, mesh.face_polygon)
    selected = np.zeros(mesh.num_vertices, dtype=bool)
    selected[[c - 1 for c in quads[3]]] = True
    save_obj(tmp_path / "parts.obj", mesh, Labelling.of_selection(mesh, selected))

    read = load_mesh(tmp_path / "parts.obj")
    np.testing.assert_array_equal(read.vertices, mesh.vertices)
    groups, current = {}, None
    for line in (tmp_path / "parts.obj").read_text().splitlines():
        if line.startswith("g "):
            current = groups.setdefault(line[2:], [])
        elif line.startswith("f "):
            current.append(tuple(map(int, line.split()[1:])))
    assert groups == {"selected": [quads[3]], "rest": quads[:3] + quads[4:]}


def test_glb_parts_have_names_and_the_original_coordinates(tmp_path, two_boxes, two_boxes_head):
    mesh = Mesh(two_boxes.vertices + FAR_AWAY, two_boxes.faces)
    save_glb(tmp_path / "parts.glb", mesh, Labelling.of_selection(mesh, two_boxes_head))
    scene = trimesh.load(tmp_path / "parts.glb", process=False)
    assert set(scene.graph.nodes_geometry) == {"selected", "rest"}
    for name, ids in (("selected", np.flatnonzero(two_boxes_head)), ("rest", np.flatnonzero(~two_boxes_head))):
        transform, geometry = scene.graph[name]
        points = trimesh.transform_points(scene.geometry[geometry].vertices, transform)
        np.testing.assert_allclose(points, mesh.vertices[ids], rtol=0, atol=1e-6)
    faces = sum(len(part.faces) for part in scene.geometry.values())
    assert faces == mesh.num_faces


def test_glb_is_what_the_standard_asks_for(tmp_path, two_boxes, two_boxes_head):
    save_glb(tmp_path / "parts.glb", two_boxes, Labelling.of_selection(two_boxes, two_boxes_head))
    data = (tmp_path / "parts.glb").read_bytes()
    magic, version, length, json_length, kind = struct.unpack("<4sII I4s", data[:20])
    assert (magic, version, length, kind) == (b"glTF", 2, len(data), b"JSON")
    tree = json.loads(data[20 : 20 + json_length])
    colors = {m["name"]: m["pbrMetallicRoughness"]["baseColorFactor"][:3] for m in tree["materials"]}
    np.testing.assert_allclose(colors["selected"], SELECTION_COLOR, atol=0.005)
    np.testing.assert_allclose(colors["rest"], BASE_COLOR, atol=0.005)


@pytest.mark.parametrize("everything", (True, False))
def test_a_selection_of_all_or_nothing_is_exported_as_one_part(tmp_path, icosphere, everything):
    clicks = Clicks.from_lists([1])
    paths = QueryPaths.of(tmp_path, clicks)
    probability = np.full(icosphere.num_vertices, float(everything), dtype=np.float32)
    written = save_answer(tmp_path, icosphere, clicks, probability, 0.5, ("glb", "obj", "seg"), Look())
    assert all(path.is_file() for path in written) and len(written) == 4
    scene = trimesh.load(paths.selection("glb"), process=False)
    assert set(scene.graph.nodes_geometry) == {"selected" if everything else "rest"}
    assert load_mesh(paths.selection("obj")).num_faces == icosphere.num_faces


def test_a_failed_export_leaves_nothing_behind(tmp_path, tetrahedron):
    with pytest.raises(ValueError):
        save_colored_mesh(tmp_path / "m.ply", tetrahedron, np.zeros((3, 3)))
    assert list(tmp_path.iterdir()) == []
