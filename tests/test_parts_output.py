"""The files of a partition: labels a polygon, named parts, borders, caps, the tree, and the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from models import proposals
from scripts import parts as door
from scripts import parts_gallery
from tests.test_cutting import area, by_height, sphere
from utils.errors import UserError
from utils.files import load_json, load_npz
from utils.geometry.cutting import cut_smooth
from utils.geometry.mesh import Mesh, load_mesh
from utils.geometry.part_tree import NodeInfo, Partition, PartTree
from utils.geometry.textures import read_textures
from utils.output.partition import NamedParts, cut_textures, save_partition, tree_record


class Layers(PartTree):
    """A mesh in three layers along z: 0 and 1 are joined first, then 2."""

    def __init__(self, mesh: Mesh, *heights: float) -> None:
        super().__init__(np.array([[0, 1], [3, 2]]), np.array([0.6, 0.8]))
        self.mesh = mesh
        self.layer, self.depth = by_height(mesh, *heights)

    def labels(self, parts):
        result = np.full(len(self.layer), -1)
        for place, part in enumerate(parts):
            result[np.isin(self.layer, [leaf for node in part for leaf in self.leaves(node)])] = place
        return result

    def alike(self, part):
        raise NotImplementedError

    def membership(self, parts):
        leaves = [[leaf for node in part for leaf in self.leaves(node)] for part in parts]
        return np.stack([self.depth[:, each].max(axis=1) for each in leaves], axis=1)

    def info(self, node):
        share = self.mesh.face_areas[self.labels([(node,)]) == 0].sum() / self.mesh.face_areas.sum()
        return NodeInfo(float(share), 0.9, node, self.children_of(node))


class Proposing:
    def __init__(self, mesh: Mesh) -> None:
        self.tree = Layers(mesh, -0.4, 0.3)

    def parts(self, detail: float = 0.5, count: int | None = None) -> Partition:
        return Partition.of(self.tree, self.tree.cut(detail) if count is None else self.tree.cut_into(count))


@pytest.fixture
def ball(tmp_path: Path) -> Mesh:
    """In a file, with texture coordinates."""
    mesh = sphere(3)
    lines = [f"v {x!r} {y!r} {z!r}" for x, y, z in mesh.vertices.tolist()]
    lines += [f"vt {x!r} {z!r}" for x, _, z in mesh.vertices.tolist()]
    lines += ["f " + " ".join(f"{v + 1}/{v + 1}" for v in face) for face in mesh.faces.tolist()]
    path = tmp_path / "ball.obj"
    path.write_text("\n".join(lines) + "\n")
    return load_mesh(path)


@pytest.fixture(autouse=True)
def pictures(request, monkeypatch) -> None:
    """Drawn only where the picture is what is tested: it takes most of the time."""
    if "picture" not in request.node.name:
        monkeypatch.setattr("utils.output.partition.save_picture", lambda path, *_: path.touch())


@pytest.fixture
def partition(ball) -> Partition:
    tree = Layers(ball, -0.4, 0.3)
    return Partition.of(tree, tree.cut_into(3))


def nodes_of(path: Path) -> dict[str, trimesh.Trimesh]:
    scene = trimesh.load(path)
    found = {str(name): scene.geometry[name].copy() for name in scene.geometry}
    for part in found.values():
        part.merge_vertices(merge_tex=True, merge_norm=True)
    return found


def test_labels_count_polygons_from_the_largest_part(ball, partition, tmp_path):
    save_partition(tmp_path / "out", ball, partition)
    labels = np.loadtxt(tmp_path / "out" / "labels.seg", dtype=int)
    held = load_npz(tmp_path / "out" / "labels.npz")
    np.testing.assert_array_equal(held["labels"], labels)
    areas = np.bincount(labels, ball.face_areas)[1:] / ball.face_areas.sum()
    assert (np.diff(areas) <= 0).all() and len(areas) == 3
    np.testing.assert_allclose(held["area"], areas)
    order = [len(np.unique(partition.labels[labels == number])) for number in (1, 2, 3)]
    assert order == [1, 1, 1]


def test_all_triangles_of_a_polygon_are_in_one_part():
    mesh = sphere(2)
    pairs = Mesh(mesh.vertices, mesh.faces, None, np.arange(mesh.num_faces) // 2)
    tree = Layers(pairs, -0.4, 0.3)
    named = NamedParts.of(pairs, Partition.of(tree, tree.cut_into(3)))
    assert (named.labels[0::2] == named.labels[1::2]).all()


def test_parts_are_named_nodes_and_groups_along_the_faces(ball, partition, tmp_path):
    written = save_partition(tmp_path / "out", ball, partition)
    assert all(path.is_file() for path in written)
    nodes = nodes_of(tmp_path / "out" / "parts.glb")
    assert sorted(nodes) == ["part 1", "part 2", "part 3"]
    assert sum(len(part.faces) for part in nodes.values()) == ball.num_faces
    text = (tmp_path / "out" / "parts.obj").read_text()
    assert [line for line in text.splitlines() if line.startswith("g ")] == [f"g part_{k}" for k in (1, 2, 3)]
    assert text.count("\nv ") == ball.num_vertices


def test_smooth_borders_keep_the_area_and_interpolate_texture_coordinates(ball, partition, tmp_path):
    save_partition(tmp_path / "out", ball, partition, cut="smooth")
    cut = load_mesh(tmp_path / "out" / "parts.obj")
    assert cut.num_faces > ball.num_faces and area(cut) == pytest.approx(area(ball), rel=1e-6)
    textures = read_textures(cut)
    assert textures is not None
    ids = textures.of_triangles(cut)
    points = cut.vertices[cut.faces]
    np.testing.assert_allclose(textures.coordinates[ids], points[..., [0, 2]], atol=1e-9)
    labels = np.loadtxt(tmp_path / "out" / "labels.seg", dtype=int)
    assert len(labels) == ball.num_faces, "label files are of the file's own polygons"


def test_colours_materials_and_groups_follow_the_triangles_that_are_cut(ball, partition):
    labels = NamedParts.of(ball, partition).labels
    textures = read_textures(ball)
    assert textures is not None
    decorated = type(textures)(
        textures.coordinates,
        textures.corners,
        materials=[str(k) for k in range(ball.num_polygons)],
        colors=np.abs(ball.vertices),
    )
    cut = cut_smooth(ball, labels, partition.tree.membership(NamedParts.of(ball, partition).parts))
    found = cut_textures(ball, cut, decorated)
    assert found is not None and found.colors is not None
    assert found.materials == [str(p) for p in cut.parent.tolist()]
    new = slice(ball.num_vertices, None)
    np.testing.assert_allclose(found.colors[new], np.abs(cut.mesh.vertices[new]), atol=0.1)


@pytest.mark.parametrize("cut", ("faces", "smooth"))
def test_capped_parts_are_watertight_where_the_mesh_was(ball, partition, tmp_path, cut):
    save_partition(tmp_path / "out", ball, partition, cut=cut, close="caps")
    nodes = nodes_of(tmp_path / "out" / "parts.glb")
    assert all(part.is_watertight for part in nodes.values())
    assert len(load_mesh(tmp_path / "out" / "parts.obj").faces) == sum(len(part.faces) for part in nodes.values())


def test_the_tree_is_written_down_to_the_parts(ball, partition):
    record = json.loads(json.dumps(tree_record(NamedParts.of(ball, partition))))
    root = record["nodes"][str(record["root"])]
    assert root["area"] == pytest.approx(1)
    assert sum(record["nodes"][str(child)]["area"] for child in root["children"]) == pytest.approx(1)
    for part in record["parts"]:
        assert all(str(node) in record["nodes"] for node in part["nodes"])
    assert sum(part["area"] for part in record["parts"]) == pytest.approx(1)


def test_the_picture_shows_every_part(ball, partition, tmp_path):
    save_partition(tmp_path / "out", ball, partition)
    image = np.asarray(Image.open(tmp_path / "out" / "parts.png").convert("HSV"))
    hues = np.unique(image[..., 0][image[..., 1] > 80] // 16)
    assert len(hues) >= 3


def test_parts_from_the_command_line(ball, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(proposals, "open_segmenter", lambda mesh, kind, device: Proposing(mesh))
    out = tmp_path / "out"
    assert door.main(["--obj_path", str(ball.path), "--out", str(out), "--parts", "2", "--cut", "smooth"]) == 0
    assert "2 parts" in capsys.readouterr().out
    assert len(load_json(out / "tree.json")["parts"]) == 2
    assert door.main(["--obj_path", str(ball.path), "--out", str(out), "--detail", "0"]) == 0


@pytest.mark.parametrize(
    ("options", "message"), ((["--detail", "2"], "--detail 2"), (["--parts", "9"], "ask for 1 to 3"))
)
def test_what_cannot_be_asked_is_said(ball, tmp_path, monkeypatch, options, message):
    monkeypatch.setattr(proposals, "open_segmenter", lambda mesh, kind, device: Proposing(mesh))
    with pytest.raises(UserError, match=message):
        door.main(["--obj_path", str(ball.path), "--out", str(tmp_path / "out"), *options])
    assert not (tmp_path / "out").exists()


def test_a_sheet_pictures_every_mesh_in_all_its_parts(ball, tmp_path, monkeypatch):
    monkeypatch.setattr("scripts.parts_gallery.open_segmenter", lambda mesh, *_, **__: Proposing(mesh))
    out = tmp_path / "sheet.png"
    parts_gallery.main(["--meshes", str(ball.path), str(ball.path), "--detail", "1", "--out", str(out)])
    image = np.asarray(Image.open(out).convert("HSV"))
    for half in np.split(image[:, : image.shape[1] // 2 * 2], 2, axis=1):
        hues = np.bincount(half[..., 0][half[..., 1] > 80], minlength=256)
        assert sum(hues[max(0, hue - 2) : hue + 3].sum() > 200 for hue in (148, 50, 208)) == 3


def test_a_sheet_goes_into_a_png(tmp_path):
    with pytest.raises(UserError, match="png"):
        parts_gallery.main(["--meshes", "a.obj", "--out", str(tmp_path / "sheet.jpg")])
