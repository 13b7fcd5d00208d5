"""What a surface is made of stays in what is exported: images, texture coordinates, names, and other properties."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from tests.sessions import BallSegmenter
from utils.geometry.file_colors import corner_colors
from utils.geometry.materials import BLANK, Materials
from utils.geometry.mesh import Mesh, load_mesh
from utils.geometry.textures import read_textures
from utils.output.glb import GlbWriter
from utils.session import output
from utils.session.answers import Answers
from utils.session.session import Session

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
BUMPS = np.random.default_rng(1).integers(0, 256, (4, 4, 3), dtype=np.uint8)


@pytest.fixture
def textured(tmp_path) -> Mesh:
    """A GLB of two nodes: a box with two images, and a ball of one colour."""
    scene = trimesh.Scene()
    box = trimesh.creation.box()
    skin = PBRMaterial(
        "skin", baseColorTexture=Image.fromarray(PIXELS), normalTexture=Image.fromarray(BUMPS), roughnessFactor=0.25
    )
    box.visual = TextureVisuals(uv=np.random.default_rng(2).random((len(box.vertices), 2)), material=skin)
    ball = trimesh.creation.icosphere(subdivisions=1).apply_translation([2, 0, 0])
    ball.visual = TextureVisuals(
        material=PBRMaterial("metal", baseColorFactor=[0.2, 0.4, 0.6, 1.0], metallicFactor=1.0)
    )
    scene.add_geometry(box, node_name="body")
    scene.add_geometry(ball, node_name="knob")
    scene.export(tmp_path / "textured.glb")
    return load_mesh(tmp_path / "textured.glb")


def _session(mesh: Mesh) -> Session:
    """A part of half of the box and half of the ball."""
    session = Session(mesh, Answers(BallSegmenter(mesh)))
    session.paint(np.arange(mesh.num_faces) % 2 == 0)
    session.keep_part("even")
    return session


def _tree(path: Path) -> dict:
    data = path.read_bytes()
    return json.loads(data[20 : 20 + struct.unpack("<I", data[12:16])[0]])


@pytest.mark.parametrize(("cut", "close"), [("faces", "open"), ("smooth", "caps")])
def test_a_glb_keeps_images_coordinates_and_materials_of_a_glb(textured, tmp_path, cut, close):
    output.save_glb(tmp_path / "p.glb", _session(textured), cut, close)
    tree, scene = _tree(tmp_path / "p.glb"), trimesh.load(tmp_path / "p.glb")
    assert len(tree["images"]) == 2, "an image is held once, however many parts show it"
    made = {each["name"]: each for each in tree["materials"]}
    assert {"skin", "metal", "even/skin", "even/metal"} <= made.keys()
    before = {each["name"]: each for each in _tree(textured.path)["materials"]}
    assert made["skin"] == before["skin"] and made["metal"] == before["metal"], "what is in no part is as it was"
    tinted = made["even/skin"]["pbrMetallicRoughness"]
    assert tinted["roughnessFactor"] == 0.25 and tinted["baseColorFactor"][:3] != [1, 1, 1]
    assert {"even/body", "even/knob", "rest/body", "rest/knob"} <= set(scene.graph.nodes_geometry)
    for node in ("even/body", "rest/body"):
        material = scene.geometry[scene.graph[node][1]].visual.material
        assert (np.asarray(material.baseColorTexture.convert("RGB")) == PIXELS).all()
        assert (np.asarray(material.normalTexture.convert("RGB")) == BUMPS).all()


def test_every_corner_keeps_its_texture_coordinates(textured, tmp_path):
    output.save_glb(tmp_path / "p.glb", _session(textured))
    again = load_mesh(tmp_path / "p.glb")
    before, after = (
        {
            tuple(np.round(mesh.vertices[mesh.faces[face]].mean(axis=0), 4)): textures.coordinates[corners[face]].sum()
            for textures in [read_textures(mesh)]
            for corners in [textures.of_triangles(mesh)]
            for face in range(mesh.num_faces)
        }
        for mesh in (textured, again)
    )
    assert before.keys() == after.keys() and all(abs(before[key] - after[key]) < 1e-5 for key in before)


def test_a_jpeg_is_not_coded_anew(tmp_path, icosphere):
    coded = io.BytesIO()
    Image.fromarray(PIXELS).save(coded, "JPEG")
    writer = GlbWriter(Materials({}, [{"source": 0}], [], [coded.getvalue()]))
    skin = {"name": "skin", "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}
    uv = np.zeros((icosphere.num_vertices, 2))
    writer.node("ball", [writer.primitive(icosphere.vertices, icosphere.faces, uv, writer.material(skin))])
    writer.save(tmp_path / "m.glb")
    output.save_glb(tmp_path / "p.glb", _session(load_mesh(tmp_path / "m.glb")))
    assert (tmp_path / "p.glb").read_bytes().count(coded.getvalue()) == 1
    assert _tree(tmp_path / "p.glb")["images"][0]["mimeType"] == "image/jpeg"


def test_an_obj_of_a_glb_has_its_materials_and_images_beside_it(textured, tmp_path):
    written = output.save_obj(tmp_path / "out" / "my parts.obj", _session(textured))
    assert [path.name for path in written] == ["my parts.obj", "my_parts.mtl", "my_parts_0.png"]
    loaded = load_mesh(written[0])
    order = np.argsort(np.arange(textured.num_faces) % 2, kind="stable")
    assert (corner_colors(loaded) == corner_colors(textured)[order]).all()
    assert set(read_textures(loaded).materials) == {"skin", "metal"}
    scene = trimesh.load(written[0], split_object=True, group_material=True)
    images = [each.visual.material.image for each in scene.geometry.values()]
    assert any(image is not None and (np.asarray(image.convert("RGB")) == PIXELS).all() for image in images)


def test_a_glb_of_an_obj_has_the_images_of_its_materials(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "skin.bmp")
    (tmp_path / "m.mtl").write_text("newmtl skin\nKd 0 0 0\nmap_Kd skin.bmp\nnewmtl plain\nKd 0.2 0.4 0.6\n")
    corners = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0.1 0.1\nvt 0.9 0.1\nvt 0.9 0.9\n"
    (tmp_path / "m.obj").write_text(f"mtllib m.mtl\n{corners}usemtl skin\nf 1/1 2/2 3/3\nusemtl plain\nf 1 3 4\n")
    mesh = load_mesh(tmp_path / "m.obj")
    output.save_glb(tmp_path / "p.glb", Session(mesh, Answers(BallSegmenter(mesh))))
    made = {each["name"]: each["pbrMetallicRoughness"] for each in _tree(tmp_path / "p.glb")["materials"]}
    assert made["plain"]["baseColorFactor"] == [0.2, 0.4, 0.6, 1.0]
    assert made["skin"]["baseColorFactor"] == [1, 1, 1, 1]  # a colour beside an image is no tint in an MTL
    again = load_mesh(tmp_path / "p.glb")
    found, before = corner_colors(again), corner_colors(mesh)
    assert sorted(found.reshape(-1, 9).tolist()) == sorted(before.reshape(-1, 9).tolist())


def test_an_obj_without_materials_gets_those_of_its_parts(icosphere, tmp_path):
    session = _session(icosphere)
    written = output.save_obj(tmp_path / "p.obj", session)
    assert [path.name for path in written] == ["p.obj", "p.mtl"]
    colors = {tuple(np.rint(255 * np.array(part.color)).astype(int)) for part in session.state.parts}
    found = {tuple(color) for color in corner_colors(load_mesh(written[0]))[:, 0].tolist()}
    assert colors < found and len(found) == 2


@pytest.mark.parametrize("place", ["materials", "textures", "images"])
@pytest.mark.parametrize("damage", [{"name": 3, "bufferView": 99}, {"pbrMetallicRoughness": 7}, None, "x", 4])
def test_damaged_materials_do_not_stop_the_reading_of_a_surface(textured, tmp_path, place, damage):
    data, tree = textured.path.read_bytes(), _tree(textured.path)
    size = struct.unpack("<I", data[12:16])[0]
    tree[place] = [damage for _ in tree[place]]
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    rest = struct.pack("<I", len(text)) + b"JSON" + text + data[20 + size :]
    (tmp_path / "bad.glb").write_bytes(b"glTF" + struct.pack("<II", 2, 12 + len(rest)) + rest)
    mesh = load_mesh(tmp_path / "bad.glb")
    assert mesh.num_faces == textured.num_faces
    corner_colors(mesh)
    output.save_glb(tmp_path / "p.glb", _session(mesh))
    assert load_mesh(tmp_path / "p.glb").num_faces == mesh.num_faces


def test_the_image_in_place_of_a_lost_one_is_white():
    assert np.asarray(Image.open(io.BytesIO(BLANK))).tolist() == [[[255, 255, 255]]]
