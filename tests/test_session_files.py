"""Session files, logs and exports: they read back to the same thing, and bad ones are refused in one line."""

from __future__ import annotations

import copy
import json
import math
import shlex

import numpy as np
import pytest
import torch
import trimesh

import decoder
import iseg3d
from models.iseg.segmenter import DecoderSegmenter
from models.iseg3d.segmenter import Iseg3dSegmenter
from tests.published import random_release
from tests.sessions import (
    BallSegmenter,
    CandidateSegmenter,
    LearningSegmenter,
    learn_and_change,
    peak,
    work_a_bit,
    write_obj,
)
from tests.test_iseg3d import save_weights
from utils.errors import UserError
from utils.files import load_json, save_json
from utils.geometry.mesh import Mesh, load_mesh
from utils.geometry.textures import read_textures
from utils.rendering.cameras import orbit_cameras
from utils.session import output
from utils.session.answers import Answers
from utils.session.files import (
    decoder_command,
    replay_log,
    result_digest,
    save_log,
    save_session,
    session_from_json,
    session_to_json,
)
from utils.session.session import Session


@pytest.fixture
def worked(icosphere) -> Session:
    """A session with two parts, clicks, corrections and edits."""
    session = Session(icosphere, Answers(BallSegmenter(icosphere)))
    work_a_bit(session, icosphere)
    return session


def _load(path, mesh: Mesh, answers: Answers) -> Session:
    return session_from_json(load_json(path, "session file"), mesh, answers, str(path))


# --- session files --------------------------------------------------------------------------------


def test_a_reopened_session_is_the_same_and_goes_on(worked, icosphere, tmp_path):
    save_session(tmp_path / "s.json", worked)
    again = _load(tmp_path / "s.json", icosphere, Answers(BallSegmenter(icosphere)))
    assert result_digest(again) == result_digest(worked)
    assert again.state.parts == worked.state.parts and again.state.clicks == worked.state.clicks
    assert again.state.touches == worked.state.touches and again.state.edits == worked.state.edits
    for session in (worked, again):
        session.click(peak(icosphere, axis=2, sign=-1.0))
        session.keep_part()
    assert result_digest(again) == result_digest(worked) and again.state.parts == worked.state.parts


def test_a_reopened_session_saves_to_the_same_file(worked, icosphere):
    held = json.loads(json.dumps(session_to_json(worked)))
    again = json.loads(
        json.dumps(session_to_json(session_from_json(held, icosphere, Answers(BallSegmenter(icosphere)))))
    )
    assert again.pop("log") == [*held.pop("log"), {"op": "reopened"}] and again == held


def test_the_log_of_a_session_that_was_reopened_still_replays(worked, icosphere, tmp_path):
    save_session(tmp_path / "s.json", worked)
    again = _load(tmp_path / "s.json", icosphere, Answers(BallSegmenter(icosphere)))
    again.set_granularity(0.9)
    again.undo()
    again.click(peak(icosphere, axis=2, sign=-1.0))
    save_log(tmp_path / "log.json", again)
    replayed, same = replay_log(tmp_path / "log.json", icosphere, Answers(BallSegmenter(icosphere)))
    assert same and result_digest(replayed) == result_digest(again)


def test_a_replay_with_another_segmenter_says_that_it_differs(worked, icosphere, tmp_path):
    save_log(tmp_path / "log.json", worked)
    assert replay_log(tmp_path / "log.json", icosphere, Answers(BallSegmenter(icosphere)))[1]
    assert not replay_log(tmp_path / "log.json", icosphere, Answers(BallSegmenter(icosphere, radius=0.7)))[1]


def test_a_mesh_that_changed_since_is_refused_in_one_line(worked, icosphere, tmp_path):
    save_session(tmp_path / "s.json", worked)
    moved = Mesh(icosphere.vertices + np.eye(1, 3) * (np.arange(162) == 5)[:, None], icosphere.faces)
    with pytest.raises(UserError, match="open the mesh it was made on") as error:
        _load(tmp_path / "s.json", moved, Answers(BallSegmenter(moved)))
    assert "\n" not in str(error.value)


def _damaged(held: dict) -> list[dict]:
    """Every entry of a session file removed, and given a value of each other kind."""
    cases = []
    for key in held:
        if key not in ("result", "segmenter"):
            cases.append({k: v for k, v in held.items() if k != key})
        for value in (None, -7, 1e99, math.nan, "x", [1], {"a": 1}, True, [[1, 2, 3]], [{"id": 1}]):
            if key not in ("result", "segmenter", "log") and not (key == "next_part" and value == 1):
                cases.append({**held, key: value})
    deep = [
        ("parts", 0, "id"),
        ("parts", 0, "color"),
        ("parts", 0, "faces"),
        ("parts", 0, "clicks"),
        ("parts", 0, "visible"),
        ("settings", "granularity"),
        ("settings", "threshold"),
        ("settings", "exclusive"),
        ("touches", 0),
        ("edits", 0, "amount"),
        ("edits", 0, "kind"),
        ("edits", 0, "faces"),
        ("clicks", 0),
    ]
    for path in deep:
        for value in (-7, math.nan, "x", [1], {}, 10**12):
            broken = copy.deepcopy(held)
            place = broken
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = value
            cases.append(broken)
    cases.append({**held, "parts": [*held["parts"], held["parts"][0]]})
    cases.append({**held, "clicks": [[3, True], [3, False]]})
    cases.append({**held, "next_part": 1})
    return cases


def test_damaged_session_files_are_refused_in_one_line(worked, icosphere, tmp_path):
    worked.edit("extrude", 0.05)
    worked.paint(worked.state.labels == 0)
    held = json.loads(json.dumps(session_to_json(worked)))
    assert held["parts"] and held["touches"] and held["edits"] and held["clicks"]
    answers = Answers(BallSegmenter(icosphere))
    refused = 0
    for case in _damaged(held):
        try:
            session_from_json(case, icosphere, answers)
        except UserError as error:
            assert "\n" not in str(error)
            refused += 1
    harmless = len(_damaged(held)) - refused  # empty or equal values that are as good, such as no clicks
    assert refused > 150 and harmless <= 4, f"{harmless} damaged files were accepted"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", '{"format": "iseg session"}', "\xff\xfe", "[" * 50])
def test_what_is_no_session_file_is_refused(icosphere, tmp_path, text):
    (tmp_path / "s.json").write_text(text, encoding="latin-1")
    with pytest.raises(UserError):
        _load(tmp_path / "s.json", icosphere, Answers(BallSegmenter(icosphere)))
    with pytest.raises(UserError):
        replay_log(tmp_path / "s.json", icosphere, Answers(BallSegmenter(icosphere)))


def test_part_names_of_a_session_file_are_cleaned(worked, icosphere):
    held = json.loads(json.dumps(session_to_json(worked)))
    held["parts"][0]["name"] = " left/right\n<arm> =\x00 1\u202e"
    name = session_from_json(held, icosphere, Answers(BallSegmenter(icosphere))).state.parts[0].name
    assert name == "left/right <arm> = 1"


def test_an_interrupted_save_leaves_the_old_file(worked, tmp_path, monkeypatch):
    save_session(tmp_path / "s.json", worked)
    before = (tmp_path / "s.json").read_bytes()
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError):
        save_session(tmp_path / "s.json", worked)
    assert (tmp_path / "s.json").read_bytes() == before and [path.name for path in tmp_path.iterdir()] == ["s.json"]


# --- the same by command --------------------------------------------------------------------------


def test_decoder_py_gives_the_same_probabilities_and_selection(icosphere, tmp_path, monkeypatch):
    monkeypatch.setattr("utils.output.figures.save_render_views", lambda *_, **__: None)  # 30 pictures
    mesh = write_obj(icosphere, tmp_path / "ball.obj")
    features, checkpoint, _, _ = random_release(tmp_path, mesh.num_vertices)
    session = Session(mesh, Answers(DecoderSegmenter.load(checkpoint, features, mesh)))
    session.click(0)
    session.keep_part()
    session.click(peak(mesh))
    session.click(7, positive=False)
    command = decoder_command(session)
    assert "-0" in shlex.split(command)  # the kept part's click
    assert decoder.main(shlex.split(command)[2:] + ["--device", "cpu"]) == 0
    written = next(tmp_path.glob("vertex_probability_*.npy"))
    assert np.load(written).tobytes() == session.selection.probability.tobytes()
    labels = np.loadtxt(next(tmp_path.glob("selection_*.seg")), dtype=int)
    expected = session.surface.of_vertices(session.selection.probability > session.selection.threshold)
    assert (labels == expected).all()
    session.use(Answers(CandidateSegmenter(mesh)))
    assert decoder_command(session) == ""  # no command asks the prior decoder yet


@pytest.fixture
def instant(two_boxes, tmp_path) -> Session:
    """A session that iSeg3D answers, with random weights, and a part of its own."""
    mesh = write_obj(two_boxes, tmp_path / "mallet.obj")
    weights = save_weights(tmp_path / "iseg3d.pt")
    session = Session(mesh, Answers(Iseg3dSegmenter(mesh, weights)))
    session.click(20)
    session.keep_part()
    session.click(150)
    session.click(140, positive=False)
    return session


def test_iseg3d_py_gives_the_same_probabilities_and_selection(instant, tmp_path, monkeypatch):
    monkeypatch.setattr("utils.output.figures.save_render_views", lambda *_, **__: None)
    session = instant
    changes = (session.set_granularity, 0.5), (session.set_granularity, 0.83), (session.set_rung, 1)
    for number, (change, value) in enumerate(changes):
        change(value)
        command = decoder_command(session)
        assert ("--rung 1" in command) == (value == 1)
        assert "-20" in shlex.split(command)  # the kept part's click
        assert (
            iseg3d.main([*shlex.split(command)[2:], "--device", "cpu", "--save_dir", str(tmp_path / str(number))]) == 0
        )
        (written,) = (tmp_path / str(number)).glob("vertex_probability_*.npy")
        assert np.load(written).tobytes() == session.selection.probability.tobytes()
        labels = np.loadtxt(next((tmp_path / str(number)).glob("selection_*.seg")), dtype=int)
        assert (
            labels == session.surface.of_vertices(session.selection.probability > session.selection.threshold)
        ).all()
    session.delete_part(1)  # which the random network would not leave as it is
    session.learn()
    assert decoder_command(session) == ""  # no command learns what this session has learnt


def test_instant_answers_learn_and_replay_bit_for_bit(instant, tmp_path):
    session = instant
    session.delete_part(1)
    before = session.selection.probability.tobytes()
    session.learn()
    after = session.selection.probability.tobytes()
    session.undo()
    assert session.selection.probability.tobytes() == before
    session.redo()
    session.set_granularity(0.6)
    session.set_granularity(0.5)
    assert session.selection.probability.tobytes() == after
    save_session(tmp_path / "s.json", session)
    weights = session.answers.segmenter.sources["checkpoint"]
    for read in (_load, lambda *where: replay_log(*where)[0]):
        again = read(tmp_path / "s.json", session.mesh, Answers(Iseg3dSegmenter(session.mesh, weights)))
        assert result_digest(again) == result_digest(session) and again.state.lessons == session.state.lessons != ()
        assert again.selection.probability.tobytes() == after


# --- learning in files ----------------------------------------------------------------------------


@pytest.fixture
def learnt(icosphere) -> Session:
    session = Session(icosphere, Answers(LearningSegmenter(icosphere, identity="learner")))
    session.click(peak(icosphere))
    session.click(peak(icosphere, axis=0, sign=-1.0), positive=False)
    learn_and_change(session, icosphere, Answers(BallSegmenter(icosphere, identity="ball")))
    return session


def test_a_reopened_session_has_learnt_what_it_had(learnt, icosphere, tmp_path):
    save_session(tmp_path / "s.json", learnt)
    again = _load(tmp_path / "s.json", icosphere, Answers(LearningSegmenter(icosphere, identity="learner")))
    assert (
        again.state.lessons == learnt.state.lessons
        and len(again.state.lessons) == 2
        and result_digest(again) == result_digest(learnt)
    )
    assert [entry["op"] for entry in again.log[len(learnt.log) :]] == ["reopened"]


def test_a_session_that_goes_on_with_another_segmenter_says_so_in_its_log(learnt, icosphere, tmp_path):
    save_session(tmp_path / "s.json", learnt)
    again = _load(tmp_path / "s.json", icosphere, Answers(BallSegmenter(icosphere, identity="ball")))
    assert (
        again.log[-1] == {"op": "use", "before": "learner", "after": "ball"}
        and again.state.lessons == learnt.state.lessons
    )
    again.click(peak(icosphere, axis=1, sign=-1.0))
    save_log(tmp_path / "log.json", again)
    others = [Answers(BallSegmenter(icosphere, identity="ball"))]
    replayed, same = replay_log(
        tmp_path / "log.json", icosphere, Answers(LearningSegmenter(icosphere, identity="learner")), others
    )
    assert same and result_digest(replayed) == result_digest(again)


@pytest.mark.parametrize(
    "lessons",
    [
        None,
        3,
        [3],
        [{}],
        [{"clicks": [[3, True]]}],
        [{"clicks": [[3, False]], "others": []}],
        [{"clicks": [[3, True], [999, False]], "others": []}],
        [{"clicks": [[3, True]], "others": [[]]}],
        [{"clicks": [[3, True], [3, False]], "others": []}],
        [{"clicks": [[3, True]], "others": [[[4, 1]]]}],
    ],
)
def test_damaged_lessons_of_a_session_file_are_refused_in_one_line(learnt, icosphere, lessons):
    held = {**json.loads(json.dumps(session_to_json(learnt))), "lessons": lessons}
    with pytest.raises(UserError, match="damaged") as error:
        session_from_json(held, icosphere, learnt.answers)
    assert "\n" not in str(error.value)


def test_a_session_saved_before_segmenters_learnt_is_reopened(worked, icosphere):
    held = json.loads(json.dumps(session_to_json(worked)))
    held.pop("lessons")
    assert result_digest(session_from_json(held, icosphere, worked.answers)) == result_digest(worked)


# --- exports --------------------------------------------------------------------------------------


def _textured_cube(path):
    """6 quads with texture coordinates, normals, materials, and a vertex that no face uses."""
    corners = [(x, y, z) for x in (0.1, 1) for y in (0, 1) for z in (0, 1.25)]
    quads = [(1, 2, 4, 3), (5, 7, 8, 6), (1, 5, 6, 2), (3, 4, 8, 7), (1, 3, 7, 5), (2, 6, 8, 4)]
    text = ["mtllib cube.mtl"] + [f"v {x} {y} {z}" for x, y, z in corners] + ["v 9 9 9"]
    text += ["vt 0 0", "vt 1 0", "vt 1 1", "vt 0.25 0.125", "vn 1 0 0", "vn 0 1 0"]
    for number, quad in enumerate(quads):
        text += [f"usemtl m{number % 2}", "f " + " ".join(f"{c}/{k + 1}/{number % 2 + 1}" for k, c in enumerate(quad))]
    path.write_text("\n".join(text) + "\n")
    return load_mesh(path)


def _cube_session(tmp_path) -> Session:
    mesh = _textured_cube(tmp_path / "cube.obj")
    session = Session(mesh, Answers(BallSegmenter(mesh)))
    session.paint(np.isin(mesh.face_polygon, [0, 3]))
    session.keep_part("two sides")
    session.paint(mesh.face_polygon == 5)
    session.keep_part("lid")
    return session


def test_obj_keeps_polygons_coordinates_textures_and_names(tmp_path):
    session = _cube_session(tmp_path)
    output.save_obj(tmp_path / "out" / "parts.obj", session)
    lines = (tmp_path / "out" / "parts.obj").read_text().splitlines()
    again = load_mesh(tmp_path / "out" / "parts.obj")
    assert (again.vertices == session.mesh.vertices).all() and len(again.vertices) == 9
    assert [line for line in lines if line.startswith("g ")] == ["g two_sides", "g lid", "g rest"]
    before = [line for line in (tmp_path / "cube.obj").read_text().splitlines() if line.startswith("f ")]
    assert sorted(line for line in lines if line.startswith("f ")) == sorted(before)
    first = lines[lines.index("g two_sides") + 1 : lines.index("g lid")]
    assert [line for line in first if line.startswith("f ")] == [before[0], before[3]] and "usemtl m1" in first
    assert lines[0] == "mtllib ../cube.mtl" and "vt 0.25 0.125" in lines and "vn 0 1 0" in lines


def test_an_edited_obj_drops_normals_and_deleted_faces(tmp_path):
    session = _cube_session(tmp_path)
    session.select_part(2)
    session.edit("shrink", 0.5)
    session.select_part(1)
    session.edit("delete")
    output.save_obj(tmp_path / "parts.obj", session)
    lines = (tmp_path / "parts.obj").read_text().splitlines()
    faces = [line for line in lines if line.startswith("f ")]
    assert len(faces) == 4 and not any(line.startswith("vn") for line in lines)
    assert "f 2/1 6/2 8/3 4/4" in faces and not np.array_equal(session.shape.vertices, session.mesh.vertices)
    assert load_mesh(tmp_path / "parts.obj").vertices == pytest.approx(session.shape.vertices)


def test_glb_has_a_named_node_for_each_part_with_texture_coordinates(tmp_path):
    session = _cube_session(tmp_path)
    output.save_glb(tmp_path / "parts.glb", session)
    scene = trimesh.load(tmp_path / "parts.glb")
    assert set(scene.graph.nodes_geometry) == {"two sides", "lid", "rest"}
    areas = {}
    for node in scene.graph.nodes_geometry:
        transform, name = scene.graph[node]
        piece = scene.geometry[name].copy().apply_transform(transform)
        areas[node] = piece.area
        # every corner of the piece is a corner of the file, with one of that corner's texture coordinates
        textures = read_textures(session.mesh)
        allowed = {}
        for triangle, ids in zip(session.mesh.faces, textures.of_triangles(session.mesh)):
            for vertex, coordinate in zip(triangle, ids):
                allowed.setdefault(tuple(np.round(session.mesh.vertices[vertex], 4)), set()).add(
                    tuple(textures.coordinates[coordinate])
                )
        for vertex, coordinate in zip(piece.vertices, piece.visual.uv):
            assert tuple(np.round(coordinate, 5)) in allowed[tuple(np.round(vertex, 4))]
    assert areas["lid"] == pytest.approx(0.9) and sum(areas.values()) == pytest.approx(2 * (0.9 + 1.25 + 0.9 * 1.25))


def test_glb_texture_coordinates_survive_from_glb(tmp_path, icosphere):
    uv = np.random.default_rng(0).random((162, 2))
    piece = trimesh.Trimesh(icosphere.vertices, icosphere.faces, process=False)
    piece.visual = trimesh.visual.TextureVisuals(
        uv=uv, material=trimesh.visual.material.PBRMaterial(baseColorFactor=[1, 1, 1, 1])
    )
    piece.export(tmp_path / "ball.glb")
    mesh = load_mesh(tmp_path / "ball.glb")
    assert read_textures(mesh).coordinates == pytest.approx(uv, abs=1e-6)
    session = Session(mesh, Answers(BallSegmenter(mesh)))
    session.click(peak(mesh))
    for write, name in ((output.save_glb, "p.glb"), (output.save_obj, "p.obj")):
        write(tmp_path / name, session)
    scene = trimesh.load(tmp_path / "p.glb")
    place = {tuple(np.round(v, 5)): c for v, c in zip(mesh.vertices, uv)}
    for node in scene.graph.nodes_geometry:
        transform, name = scene.graph[node]
        moved = scene.geometry[name].copy().apply_transform(transform)
        for vertex, coordinate in zip(moved.vertices, moved.visual.uv):
            assert place[tuple(np.round(vertex, 5))] == pytest.approx(coordinate, abs=1e-5)
    textures = read_textures(load_mesh(tmp_path / "p.obj"))
    assert textures.coordinates == pytest.approx(uv, abs=1e-6)


def test_labels_and_ply_agree_with_the_parts(worked, icosphere, tmp_path):
    output.save_seg(tmp_path / "l.seg", worked)
    output.save_labels_npz(tmp_path / "l.npz", worked)
    output.save_ply(tmp_path / "p.ply", worked)
    labels = np.loadtxt(tmp_path / "l.seg", dtype=int)
    held = np.load(tmp_path / "l.npz", allow_pickle=False)
    assert (held["face_labels"] == labels).all()
    for number, part in enumerate(worked.state.parts, start=1):
        assert held["names"][number] == part.name
        free = ~worked.selection.faces
        assert (labels[free] == number).sum() == (worked.part_faces(part.id) & free).sum()
    assert held["names"][-1] == "selected" and ((labels == len(held["names"]) - 1) == worked.selection.faces).all()
    assert (held["probability"] == worked.selection.probability).all()
    loaded = trimesh.load(tmp_path / "p.ply", process=False)
    assert loaded.vertices == pytest.approx(worked.shape.vertices) and len(loaded.faces) == worked.shape.alive.sum()


def test_quads_have_one_label_each_and_deleted_ones_are_told(tmp_path):
    session = _cube_session(tmp_path)
    session.select_part(2)
    session.edit("delete")
    output.save_seg(tmp_path / "l.seg", session)
    assert (tmp_path / "l.seg").read_text().split() == ["1", "0", "0", "1", "0", "-1"]


def test_the_picture_shows_parts_in_their_colours_on_white(worked, tmp_path):
    from PIL import Image

    worked.undo()
    cameras = orbit_cameras(torch.tensor([0.3]), torch.tensor([0.5]), size=(120, 160))
    output.save_picture(tmp_path / "p.png", worked, cameras)
    image = np.asarray(Image.open(tmp_path / "p.png"), dtype=float)
    assert image.shape == (120, 160, 3) and (image[0, 0] == 255).all()
    saturation = image.max(axis=2) - image.min(axis=2)
    assert (saturation > 40).sum() > 300 and ((saturation < 12) & (image.max(axis=2) < 250)).sum() > 50


def test_exported_part_names_are_unique_even_when_called_rest(icosphere, tmp_path):
    session = Session(icosphere, Answers(CandidateSegmenter(icosphere)))
    for axis, name in ((0, "rest"), (1, "selected")):
        session.click(peak(icosphere, axis))
        session.keep_part(name)
    session.click(peak(icosphere, 2))
    names = output.labelling(session).names
    assert len(set(names)) == 4 and names[0] == "rest"


def test_a_file_of_version_1_is_read_as_it_was_made(icosphere, tmp_path):
    """Then a part that was kept took what it selected of others."""
    session = Session(icosphere, Answers(CandidateSegmenter(icosphere)))
    session.set_taking(True)
    for vertex in (peak(icosphere), peak(icosphere, axis=0)):
        session.click(vertex)
        session.keep_part()
    held = session_to_json(session)
    held |= {"version": 1, "log": held["log"][1:]}
    for name in ("taking", "reselected", "rung"):
        del held["settings"][name]
    del held["proposals"]
    save_json(tmp_path / "old.json", held)
    _, same = replay_log(tmp_path / "old.json", icosphere, session.answers)
    again = session_from_json(held, icosphere, session.answers)
    save_session(tmp_path / "new.json", again)
    assert same and result_digest(again) == result_digest(session)
    assert replay_log(tmp_path / "new.json", icosphere, session.answers)[1]


def _closed(mesh: trimesh.Trimesh) -> bool:
    """Whether the triangles close, seams aside."""
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=True).is_watertight


def test_smooth_borders_and_caps_are_exported_and_parts_close_up(icosphere, tmp_path):
    session = Session(icosphere, Answers(CandidateSegmenter(icosphere, 0.8)))
    session.click(peak(icosphere))
    session.keep_part("lid")
    session.click(peak(icosphere, 0))
    output.save_glb(tmp_path / "smooth.glb", session, "smooth", "caps")
    pieces = trimesh.load(tmp_path / "smooth.glb").geometry
    assert set(pieces) == {"lid", "selected", "rest"} and all(_closed(piece) for piece in pieces.values())
    output.save_obj(tmp_path / "smooth.obj", session, "smooth")
    cut = load_mesh(tmp_path / "smooth.obj")
    assert cut.num_faces > icosphere.num_faces
    np.testing.assert_array_equal(cut.vertices[: icosphere.num_vertices], icosphere.vertices)


def test_a_smooth_cut_of_an_edited_shape_leaves_out_what_is_deleted(icosphere, tmp_path):
    session = Session(icosphere, Answers(CandidateSegmenter(icosphere, 0.8)))
    session.click(peak(icosphere))
    session.edit("delete")
    alive = int(session.shape.alive.sum())
    session.click(peak(icosphere, 0))
    session.edit("extrude", 0.1)
    session.keep_part("knob")
    area = Mesh(session.shape.vertices, icosphere.faces[session.shape.alive])
    output.save_obj(tmp_path / "cut.obj", session, "smooth")
    written = load_mesh(tmp_path / "cut.obj")
    assert written.num_faces > alive
    found = (written.face_areas * written.scale**2).sum()
    assert found == pytest.approx((area.face_areas * area.scale**2).sum(), rel=1e-4)
