"""The page through viser's own messages: what a tab sends, what the server does and refuses. No browser is needed."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import trimesh
from websockets.exceptions import ConnectionClosed

import interactive
from tests.published import random_release
from tests.sessions import BallSegmenter, CandidateSegmenter, LearningSegmenter, peak, write_obj
from tests.test_iseg3d import save_weights
from tests.trainings import break_down, fail, steps, train
from tests.viser_client import Tab
from utils.clicks import Clicks
from utils.errors import UserError
from utils.geometry.mesh import Mesh
from utils.options import parse_settings
from utils.output.export import save_colored_mesh
from utils.progress import Progress, Step
from utils.segmenter import Segmenter
from utils.session.answers import Answers
from utils.session.journal import Journal
from utils.viewer.controls import assign
from utils.viewer.folder import OutputFolder
from utils.viewer.opening import STAGES, Opening
from utils.viewer.page import Page
from utils.viewer.refine import SHARES, Refinement
from utils.viewer.scene import FIRST_PART, HIDDEN, REST, SELECTED
from utils.viewer.server import Server
from utils.viewer.studio import Studio
from utils.viewer.timing import page_report, time_page
from utils.viewer.workspace import Models, Settings

_sphere = trimesh.creation.icosphere(subdivisions=2)
BALL = Mesh(np.asarray(_sphere.vertices), np.asarray(_sphere.faces))
UP, SIDE, FRONT = (peak(BALL, axis) for axis in (1, 0, 2))
LEFT, BACK = peak(BALL, 0, -1.0), peak(BALL, 2, -1.0)
PRIOR, TRAINED, INSTANT = "Prior decoder", "Decoder of this mesh", "Instant (iSeg3D)"


def _open(mesh: Mesh, kind: str | None, on_progress: Progress) -> Segmenter:
    if kind is None:
        return CandidateSegmenter(mesh, identity="0")
    if kind != "instant":
        raise UserError("this one cannot be made ready")
    return LearningSegmenter(mesh, radius=0.7, identity="2")


def _open_refined(mesh: Mesh, directory: Path) -> Segmenter:
    if not (directory / "weights").is_file():
        raise UserError("the training left no decoder")
    return BallSegmenter(mesh, 0.5, "trained", "1")


def _serve(folder: Path, two_boxes: Mesh, refine: Callable = fail, **how) -> Server:
    (folder / "meshes").mkdir()
    write_obj(BALL, folder / "meshes" / "ball.obj")
    write_obj(two_boxes, folder / "meshes" / "mallet.obj")
    settings = Settings(
        folder / "meshes" / "ball.obj", OutputFolder(folder / "out"), picture_size=(60, 80), mesh_first=False, **how
    )
    models = Models(_open, lambda mesh: ("prior", "trained", "instant"), refine, _open_refined)
    return Server(Studio(settings, models), port=0)


@pytest.fixture(scope="module")
def shared(tmp_path_factory, two_boxes):
    """For tests that leave no files and refine nothing: every tab begins anew."""
    server = _serve(tmp_path_factory.mktemp("shared"), two_boxes, release_wait=0.2)
    yield server
    server.stop()


@pytest.fixture
def how() -> dict | None:
    """What a server of this test's own is told; None: the shared one will do."""
    return None


@pytest.fixture
def server(request, how, tmp_path, two_boxes):
    if how is None:
        yield request.getfixturevalue("shared")
        return
    server = _serve(tmp_path, two_boxes, **how)
    yield server
    server.stop()


own_server = pytest.mark.parametrize("how", [{}], ids=["own"])


@pytest.fixture
def studio(server) -> Studio:
    return server.studio


@pytest.fixture
def open_tab(server):
    """Opens a tab and waits for its mesh."""
    tabs = []

    def open_one(**how) -> Tab:
        tabs.append(Tab(server.port, **how))
        tabs[-1].painted(1)
        return tabs[-1]

    yield open_one
    for tab in tabs:
        tab.close()


@pytest.fixture
def tab(open_tab) -> Tab:
    return open_tab()


def _ray(vertex: int):
    """A ray from outside onto a vertex of the ball (and a little beside it, to hit a face)."""
    point = BALL.vertices[vertex] * 0.99 + BALL.vertices[FRONT] * 0.005
    return 3 * point, -point


def _click(tab: Tab, vertex: int, modifier: str | None = None) -> np.ndarray:
    return tab.after(lambda: tab.click(*_ray(vertex), modifier))["labels"]


def _set(tab: Tab, label: str, value: object) -> np.ndarray:
    tab.settle()
    return tab.after(lambda: tab.set(label, value))["labels"]


def _shape(tab: Tab) -> str:
    """Name of what the tab shows."""
    return [arguments[0] for function, arguments in tab.calls if function == "setShape"][-1]


def _press(tab: Tab, label: str) -> np.ndarray:
    return _set(tab, label, True)


def _key(tab: Tab, command: str) -> np.ndarray:
    return tab.after(lambda: tab.key(command))["labels"]


def _keep(tab: Tab) -> np.ndarray:
    return _key(tab, "Keep selection as part")


def _answer_with(tab: Tab, label: str) -> np.ndarray:
    return _set(tab, "Answered by", label)


def _page(server: Server) -> Page:
    """Of the tab that was opened last."""
    return list(server.pages.values())[-1]


def _faces(probability: np.ndarray) -> np.ndarray:
    return (probability > 0.5)[BALL.faces].sum(axis=1) >= 2


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# --- clicks ---------------------------------------------------------------------------------------


def test_a_click_selects_and_shows_a_green_ball(tab):
    labels = _click(tab, UP)
    expected = _faces(CandidateSegmenter(BALL).probability(Clicks.from_signed([UP])))
    assert ((labels == SELECTED) == expected).all() and set(labels) == {REST, SELECTED}
    ball = tab.wait(lambda: tab.nodes.get(f"/click_{UP}_1"))
    assert ball["props"]["color"][1] > ball["props"]["color"][0]


@pytest.mark.parametrize("modifier", ["cmd/ctrl", "shift"])
def test_a_modified_click_excludes_and_a_switched_mode_turns_it_round(tab, modifier):
    _click(tab, UP)
    _click(tab, SIDE, modifier)
    tab.wait(lambda: tab.options("Clicks")[1:] == [f"− vertex {SIDE}"])
    tab.set("A click will", "Exclude")
    _click(tab, LEFT)
    _click(tab, BACK, modifier)
    tab.wait(lambda: [option[0] for option in tab.options("Clicks")] == ["+", "−", "−", "+"])


def test_undo_redo_reset_by_button_and_key_never_fail(tab):
    for press in ("Undo", "Redo", "Undo"):
        tab.set("History", press)
    first, second = _click(tab, UP), _click(tab, SIDE, "shift")
    assert (first != second).any()
    assert (_set(tab, "History", "Undo") == first).all()
    assert (_key(tab, "Redo") == second).all()
    assert (_set(tab, "History", "Reset") == REST).all()
    assert (_key(tab, "Undo") == second).all()


def test_a_click_on_the_background_does_nothing(tab, server):
    _click(tab, UP)
    before, log = tab.paints, len(_page(server).session.log)
    for origin, direction in (((0, 0, 3), (1, 0, 0)), ((0, 0, 3), (0, 0, 0)), ((float("nan"), 0, 3), (0, 0, -1))):
        tab.click(origin, direction)
    _click(tab, SIDE)
    assert tab.paints == before + 1 and len(_page(server).session.log) == log + 1


def test_clicking_a_ball_takes_its_click_away(tab):
    _click(tab, UP)
    point = BALL.normalized[UP]
    assert (tab.after(lambda: tab.click(3 * point, -point))["labels"] == REST).all()
    tab.wait(lambda: f"/click_{UP}_1" not in tab.nodes)


def test_single_click_mode_replaces(tab):
    _click(tab, UP)
    tab.set("Single click", True)
    _click(tab, SIDE)
    tab.wait(lambda: tab.options("Clicks") == [f"+ vertex {SIDE}"])


def test_keys_choose_finer_and_coarser_candidates(tab):
    _click(tab, UP)
    sizes = [(_key(tab, name) == SELECTED).sum() for name in ("Finer part", "Default part", "Coarser part")]
    assert sizes == sorted(sizes) and sizes[0] < sizes[2]
    tab.wait(lambda: "3 of 3 · match 60 %" in tab.texts())
    tab.key("Coarser part")
    assert (_key(tab, "Default part") == SELECTED).sum() == sizes[1]


def test_threshold_slider_and_otsu_follow_each_other(tab):
    _click(tab, UP)
    few, many = ((_set(tab, "Threshold", value) == SELECTED).sum() for value in (0.8, 0.3))
    assert few < many
    _set(tab, "Otsu threshold", True)
    tab.wait(lambda: tab.controls[tab.control("Threshold")]["disabled"])
    assert tab.after(lambda: tab.set("Show probabilities", True))["soft"] is not None


# --- parts, brush, shape --------------------------------------------------------------------------


def test_a_kept_part_has_its_name_and_colour(tab):
    selected = _click(tab, UP) == SELECTED
    tab.set("Name", "Lid <1>")
    update = tab.after(lambda: tab.press("Keep selection as part (K)"))
    assert ((update["labels"] == FIRST_PART) == selected).all() and update["names"][FIRST_PART] == "Lid <1>"
    tab.wait(lambda: tab.options("Part") == ["Lid <1>"] and tab.value("Name") == "")
    assert ((_set(tab, "Show", "Hide / show") == HIDDEN) == selected).all()
    assert (_set(tab, "Show", "Hide / show") == update["labels"]).all()
    assert ((_set(tab, "Show only the rest", True) == HIDDEN) == selected).all()


def test_parts_are_renamed_merged_and_deleted(tab):
    for vertex in (SIDE, UP):
        _click(tab, vertex)
        _keep(tab)
    tab.wait(lambda: tab.options("Part") == ["part 1", "part 2"] and tab.value("Part") == "part 2")
    tab.set("Rename to", "arm")
    _press(tab, "Rename")
    tab.wait(lambda: tab.options("Part") == ["part 1", "arm"] and tab.options("Merge with") == ["part 1"])
    assert set(_press(tab, "Merge")) == {REST, FIRST_PART}
    tab.wait(lambda: tab.options("Part") == ["arm"])
    assert (_press(tab, "Delete part") == REST).all()


def test_keeping_nothing_says_so(tab):
    tab.key("Keep selection as part")
    assert "nothing is selected" in tab.noted("Not done")
    tab.press("Delete part")
    tab.noted("choose a part first")


def test_a_brush_stroke_paints_and_one_undo_takes_it_back(tab):
    tab.set("Brush size", 0.3)
    for vertex in (UP, SIDE):
        rays = [[*origin, *direction] for origin, direction in [_ray(vertex)]]
        message = {"type": "brush", "stroke": 4, "mode": "add", "rays": rays, "shape": _shape(tab)}
        update = tab.after(partial(tab.tell, message))
    assert (update["labels"] == SELECTED).sum() > 10
    assert (_set(tab, "History", "Undo") == REST).all()


@pytest.mark.parametrize(
    "message",
    [
        "",
        "{",
        "[]",
        "null",
        "[" * 5000,
        '{"type": "brush"}',
        '{"type": "brush", "mode": "add", "rays": [1]}',
        '{"type": "brush", "mode": "add", "rays": [["a", 1, 2, 3, 4, 5]], "stroke": {}}',
        '{"type": "brush", "mode": "add", "rays": [[1e999, 0, 0, 0, 0, 0]], "stroke": 1}',
        '{"type": "hello", "token": ["x"]}',
        '{"type": 7}',
        '{"type": "brush", "mode": "add", "rays": "' + "x" * 70000 + '"}',
    ],
)
def test_any_message_of_the_page_is_survived(tab, message):
    tab.tell(message)
    tab.click(*_ray(UP))
    tab.wait(lambda: (tab.painted(1)["labels"] == SELECTED).any())
    assert not any("did not work" in note for note in tab.notes)


def test_shape_edits_are_shown_and_undone(tab):
    def shapes() -> list:
        return [arguments for function, arguments in tab.calls if function == "setShape"]

    selected = _click(tab, UP) == SELECTED
    assert ((_press(tab, "Delete selection") == HIDDEN) == selected).all()
    _set(tab, "History", "Undo")
    before = len(shapes())
    tab.set("Distance", 0.2)
    update = tab.after(lambda: tab.press("Extrude selection"))
    assert len(shapes()) == before + 1 and update["name"] == shapes()[-1][0] and update["name"] in tab.nodes


# --- files ----------------------------------------------------------------------------------------


@own_server
def test_everything_is_exported_into_the_output_folder_and_downloaded_on_wish(tab, studio):
    _click(tab, UP)
    _keep(tab)
    for group, values in (("Shape", ["GLB", "OBJ", "PLY"]), ("Other", ["Labels", "Picture", "Clicks"])):
        for value in values:
            tab.notes.clear()
            tab.set(group, value)
            tab.noted("Written")
    tab.set("Also download", True)
    tab.set("Shape", "GLB")
    tab.wait(lambda: len(tab.downloads) == 1 and next(iter(tab.downloads.values()))[:4] == b"glTF")
    shapes, others = ("parts.glb", "parts.obj", "parts.mtl", "parts.ply"), ("labels.seg", "labels.npz", "picture.png")
    written = _files(studio.settings.output.root)
    assert {f"ball/{name}" for name in (*shapes, *others, "clicks.json")} <= set(written)
    assert len([name for name in written if "/autosave/" not in name]) == 9  # the second GLB has a name of its own


@own_server
def test_exporting_nothing_is_refused(tab, studio):
    tab.set("Shape", "GLB")
    tab.noted("no part and no selection")
    assert _files(studio.settings.output.root) == []


def _save(tab: Tab, studio: Studio) -> bytes:
    tab.press("Save session")
    tab.noted("session.session.json")
    return (studio.settings.output.root / "ball" / "session.session.json").read_bytes()


@own_server
def test_a_session_is_saved_and_reopened_in_another_tab(tab, open_tab, studio):
    _click(tab, UP)
    _keep(tab)
    before = _click(tab, SIDE)
    content = _save(tab, studio)
    other = open_tab()
    assert (other.painted(1)["labels"] == REST).all()
    other.wait(lambda: other.value("Saved") == "ball / session")
    assert (_press(other, "Reopen") == before).all()
    _set(other, "History", "Reset")
    other.upload("Reopen a file ...", "x.json", content)  # over work that is in no file: asks first
    other.wait(lambda: "Reopen it" in [held.get("label") for held in other.controls.values()])
    assert "in no session file" in other.texts()
    assert (_press(other, "Reopen it") == before).all()


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "not a session file"),
        (b"{}", "not an iseg session"),
        (b"[" * 100000, "not a session file"),
        (b'{"format": "iseg session", "version": 1, "mesh": {"digest": "x", "name": "cow.obj"}}', "cow.obj"),
    ],
)
def test_a_broken_session_file_is_refused_in_one_line_and_changes_nothing(tab, content, reason):
    before = _click(tab, UP)
    tab.upload("Reopen a file ...", "broken.json", content)
    note = tab.noted("Not done")
    assert reason in note and "\n" not in note
    assert (_key(tab, "Coarser part") != before).any()


@own_server
def test_another_mesh_is_opened_by_name_and_by_upload(tab, two_boxes, studio):
    assert tab.options("Mesh") == ["ball.obj", "mallet.obj"]
    tab.set("Mesh", "mallet.obj")
    assert len(_press(tab, "Open")) == two_boxes.num_faces
    content = (studio.settings.mesh_path.parent / "ball.obj").read_bytes()
    assert len(tab.after(lambda: tab.upload("Open a file ...", "../../up.OBJ", content))["labels"]) == BALL.num_faces
    assert _files(studio.settings.output.root) == ["uploads/up.obj"]
    tab.wait(lambda: "up.obj" in tab.options("Mesh"))


@own_server
def test_a_bad_upload_is_refused_and_leaves_the_mesh_open(tab, studio):
    for name, content in (
        ("evil.sh", b"rm"),
        ("../../../x.obj", b"not a mesh"),
        ("", b"v 0 0 0"),
        ("a.obj", b""),
        ("..\\..\\b.ply", b"ply"),
        (".obj", b"v 1 2 3\nf 1 1 1\n"),
    ):
        tab.notes.clear()
        tab.upload("Open a file ...", name, content)
        tab.noted("Not done")
    beside = [path for path in _files(studio.settings.mesh_path.parent.parent) if not path.startswith("meshes/")]
    assert all(path.startswith("out/uploads/") for path in beside)
    assert len(_click(tab, UP)) == BALL.num_faces


@pytest.mark.parametrize(
    "names",
    [
        ("..", ".."),
        ("../../etc", "passwd"),
        ("/etc", "passwd"),
        ("a/../../b", "c"),
        ("", ""),
        ("..\\..", "x"),
        ("\0", "\n"),
        ("~", "root"),
        ("x" * 500, "y" * 500),
    ],
)
def test_no_name_leads_out_of_the_output_folder(tmp_path, names):
    folder = OutputFolder(tmp_path / "out")
    path = folder.path(*names, suffix=".glb")
    assert folder.holds(path) and path.resolve().is_relative_to(tmp_path / "out") and path.name.endswith(".glb")


def test_links_that_lead_out_of_the_output_folder_are_refused(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "ball").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="output folder"):
        OutputFolder(tmp_path / "out").path("ball", "parts.glb")


def test_nothing_is_written_over(tmp_path):
    folder = OutputFolder(tmp_path)
    seen = set()
    for _ in range(4):
        path = folder.fresh("ball", "parts", suffix=".glb")
        path.parent.mkdir(exist_ok=True)
        assert not path.exists()
        path.touch()
        seen.add(path)
    assert len(seen) == 4


# --- tabs -----------------------------------------------------------------------------------------


def test_two_tabs_do_not_mix(tab, open_tab):
    other = open_tab()
    mine = _click(tab, UP)
    paints = tab.paints
    theirs = _click(other, LEFT)
    assert (mine != theirs).any() and tab.paints == paints
    other.set("Single click", True)
    _set(other, "History", "Reset")
    assert (_key(tab, "Coarser part") == SELECTED).sum() > (mine == SELECTED).sum()
    assert tab.value("Single click") is False


def test_a_reloaded_tab_finds_its_work_and_a_copied_one_starts_anew(tab, open_tab):
    before = _click(tab, UP)
    copy = open_tab(token=tab.token)
    assert (copy.painted(1)["labels"] == REST).all() and copy.token != tab.token
    tab.close()
    again = open_tab(token=tab.token)
    assert (again.painted(1)["labels"] == before).all()
    assert (_set(again, "History", "Undo") == REST).all()


@own_server
def test_a_closed_tab_hears_no_more_of_refinements(tab, open_tab, studio):
    before, other = len(studio.listeners), open_tab()
    assert len(studio.listeners) == before + 1
    other.close()
    tab.wait(lambda: len(studio.listeners) == before)


@pytest.mark.parametrize("how", [{"script_wait": 0.1}])
def test_without_its_script_the_page_still_selects(server):
    plain = Tab(server.port, script=False)
    first = plain.wait(lambda: plain.nodes.get("/shape_1"))
    assert first["type"] == "GlbMessage"
    plain.click(*_ray(UP))
    plain.wait(lambda: f"/click_{UP}_1" in plain.nodes and plain.nodes["/shape_1"] is not first)
    plain.tell({"type": "hello", "token": "late"})
    assert (plain.painted(1)["labels"] == SELECTED).any()
    plain.close()


@pytest.mark.parametrize(("halvings", "asked"), [(1, 0), (5, 1)], ids=["small", "large"])
def test_what_the_first_click_on_a_large_mesh_would_wait_for_is_done_before(icosphere, tmp_path, halvings, asked):
    """From 250,000 faces on what answers is asked once, before anyone clicks."""
    vertices, faces = icosphere.vertices, icosphere.faces
    for _ in range(halvings):
        vertices, faces = trimesh.remesh.subdivide(vertices, faces)
    save_colored_mesh(tmp_path / "ball.ply", Mesh(vertices, faces), np.full((len(vertices), 3), 0.5))
    opened = []

    def opens(mesh, *_):
        opened.append(BallSegmenter(mesh))
        return opened[-1]

    models = Models(opens, lambda _: (), lambda *_: None, opens)
    studio = Studio(Settings(tmp_path / "ball.ply", OutputFolder(tmp_path / "out"), mesh_first=False), models)
    assert studio.load(tmp_path / "ball.ply").done.wait(60)
    assert [segmenter.calls for segmenter in opened] == [asked]


def test_scripts_of_other_web_pages_are_turned_away(server, open_tab):
    try:
        evil = Tab(server.port, origin="http://evil.example")
    except ConnectionClosed as error:  # before it could say anything
        assert "open the page itself" in str(error)
    else:  # on a busy machine it is heard once, and closed
        evil.noted("open the page itself")
        assert not evil.nodes and not evil.controls
    open_tab(origin=f"http://127.0.0.1:{server.port}")


def test_no_client_can_open_a_tunnel_to_the_outside(tab, monkeypatch, server):
    called = []
    monkeypatch.setattr(server.viser, "request_share_url", lambda *_, **__: called.append(1))
    tab.send({"type": "ShareUrlRequest"})
    _click(tab, UP)
    assert not called


def test_controls_out_of_their_range_are_refused(tab):
    _click(tab, UP)
    for label, value in (("Granularity", 7.5), ("Threshold", -3.0), ("Granularity", float("nan"))):
        tab.set(label, value)
    tab.noted("not a number from 0 to 1")
    for label, value in (
        ("Part", "no such part"),
        ("A click on one", "Huge"),
        ("History", "Explode"),
        ("Show", "x"),
        ("Mesh", "../../etc/passwd"),
        ("Saved", "/etc/passwd"),
    ):
        tab.set(label, value)
    tab.press("Open")
    tab.noted("choose a mesh of the list")
    assert (_key(tab, "Finer part") == SELECTED).any()


# --- what answers ---------------------------------------------------------------------------------


def test_another_segmenter_is_chosen_at_any_time_and_parts_stay(tab):
    assert tab.options("Answered by") == [PRIOR, TRAINED, INSTANT] and tab.value("Answered by") == PRIOR
    _click(tab, UP)
    kept = _keep(tab) == FIRST_PART
    prior = _click(tab, SIDE)
    instant = _answer_with(tab, INSTANT)
    expected = _faces(LearningSegmenter(BALL, radius=0.7).probability(Clicks.from_signed([SIDE, -UP])))
    assert ((instant == SELECTED) == (expected & ~kept)).all() and (instant != prior).any()
    assert ((instant == FIRST_PART) == kept).all()
    assert (_answer_with(tab, PRIOR) == prior).all()


def test_what_one_tab_chooses_another_does_not_see(tab, open_tab):
    other = open_tab()
    _answer_with(tab, INSTANT)
    mine, theirs = _click(tab, UP), _click(other, UP)
    assert (mine != theirs).any() and other.value("Answered by") == PRIOR
    tab.close()
    again = open_tab(token=tab.token)
    assert (again.painted(1)["labels"] == mine).all()
    again.wait(lambda: again.value("Answered by") == INSTANT)


def test_what_cannot_be_made_ready_is_refused_and_the_list_says_what_answers(tab):
    before = _click(tab, UP)
    tab.settle()
    tab.set("Answered by", TRAINED)
    tab.noted("cannot be made ready")
    tab.wait(lambda: tab.value("Answered by") == PRIOR)
    tab.set("Answered by", "no such thing")
    tab.noted("choose one of the list")
    assert (_key(tab, "Finer part") != before).any()


def test_instant_answers_learn_on_wish_and_undo_takes_it_back(tab):
    learn = "Learn from my negative clicks"
    button = tab.controls[tab.control(learn)]
    _click(tab, UP)
    assert not button["visible"]
    _answer_with(tab, INSTANT)
    tab.wait(lambda: button["visible"])
    tab.press(learn)
    tab.noted("one that excludes")
    before = _click(tab, LEFT, "shift")
    after = _press(tab, learn)
    lost = int(((before == SELECTED) & (after != SELECTED)).sum())
    assert lost > 0 and f"0 faces joined the selection, {lost:,} left it" in tab.noted("Learnt")
    tab.wait(lambda: "Learnt 1 time." in tab.texts())
    assert (_key(tab, "Undo") == before).all()
    assert (_key(tab, "Redo") == after).all()
    _answer_with(tab, PRIOR)
    tab.wait(lambda: not button["visible"])


@own_server
def test_a_session_is_reopened_with_what_answered_it(tab, open_tab, studio):
    _answer_with(tab, INSTANT)
    _click(tab, UP)
    _click(tab, LEFT, "shift")
    before = _press(tab, "Learn from my negative clicks")
    saved = json.loads(_save(tab, studio))
    assert saved["segmenter"]["kind"] == "instant" and saved["lessons"]
    assert saved["log"][0] == {"op": "use", "before": "0", "after": "2"}
    other = open_tab()
    assert (_press(other, "Reopen") == before).all()
    other.wait(lambda: other.value("Answered by") == INSTANT)
    assert not any("another segmenter" in note for note in other.notes)
    foreign = json.dumps({**saved, "segmenter": {"kind": "instant", "digest": "3"}}).encode()
    other.after(lambda: other.upload("Reopen a file ...", "x.json", foreign))
    other.noted("another segmenter")


# --- refinement -----------------------------------------------------------------------------------


def _progress_bar(tab: Tab) -> dict:
    return [held for held in tab.controls.values() if held["type"] == "GuiProgressBarMessage"][-1]  # the refinement's


@pytest.mark.parametrize("how", [{"refine": partial(train, 0.5)}])
def test_a_refined_decoder_answers_when_it_is_done(tab, server):
    before = _click(tab, UP)
    tab.press("Start refining")
    bar = _progress_bar(tab)
    tab.wait(lambda: bar["visible"] and bar["value"] > 60 and "min left" in tab.texts())
    assert (_click(tab, SIDE) != before).any()  # the page is alive meanwhile
    tab.noted("Refined")
    tab.wait(lambda: tab.value("Answered by") == TRAINED)
    _set(tab, "History", "Undo")
    assert isinstance(_page(server).session.answers.segmenter, BallSegmenter) and not bar["visible"]
    assert "one answer" in tab.texts()


@own_server
def test_a_failing_training_shows_its_message_and_the_page_goes_on(tab):
    tab.press("Start refining")
    assert "no SAM checkpoint here; do this" in tab.noted("Refining failed")
    assert (_click(tab, UP) == SELECTED).any()
    tab.set("Start over", True)
    tab.press("Start refining")
    tab.noted("the training left no decoder")


@pytest.mark.parametrize("how", [{"refine": partial(train, 60)}])
def test_training_can_be_cancelled(tab, studio):
    tab.press("Start refining")
    tab.wait(lambda: _progress_bar(tab)["value"] > 60)
    started = time.monotonic()
    tab.press("Cancel")
    tab.noted("cancelled")
    assert time.monotonic() - started < 8
    assert studio.refinement_of(studio.load(studio.settings.mesh_path)) is None
    assert not (studio.settings.output.root / "ball" / "refined").exists()


def test_progress_never_goes_back_and_every_stage_is_named():
    seen: list[tuple[str, float]] = []
    known = threading.Event()

    def changed() -> None:
        known.wait()
        seen.append((running.stage, running.progress))

    running = Refinement(steps, changed)
    known.set()
    assert running.wait(60) == "done"
    places = [place for _, place in seen]
    assert places == sorted(places) and places[-1] == 1.0 and SHARES["single clicks"][1] in places
    assert seen[-1][0] == "one that nobody knows"


def test_a_fault_in_a_training_is_named(capfd):
    running = Refinement(break_down, lambda: None)
    assert running.wait(60) == "failed" and running.message == "ZeroDivisionError: by nothing"


# --- time -----------------------------------------------------------------------------------------


def test_the_page_is_timed_from_click_to_colours():
    (found,) = time_page(CandidateSegmenter, Tab, [300], clicks=1)
    assert 250 < found["vertices"] < 350 and found["faces"] == 2 * found["vertices"]
    assert all(0 < found[name] < 60_000 for name in ("total", "best", "inside", "decoder", "first"))
    assert page_report([found]).count("\n") == 2


# --- command line ---------------------------------------------------------------------------------


def _settings(*more: str, mesh: object = "nothing.obj") -> interactive.InteractiveSettings:
    return parse_settings(interactive.InteractiveSettings, "", ["--obj_path", str(mesh), "--device", "cpu", *more])


@pytest.mark.parametrize(
    "more, reason",
    [
        ((), "no mesh at"),
        (("--base_color", "2", "0", "0"), "base_color"),
        (("--sphere_radius", "0"), "sphere_radius"),
        (("--port", "99999"), "port"),
        (("--device", "tpu"), "device"),
    ],
)
def test_a_wrong_command_line_ends_in_one_line(more, reason, tmp_path):
    with pytest.raises(UserError, match=reason) as error:
        interactive.start(_settings("--out_dir", str(tmp_path), *more))
    assert "\n" not in str(error.value)


def test_a_named_decoder_that_does_not_fit_is_refused_and_a_found_one_is_passed_over(tmp_path, monkeypatch, capsys):
    mesh = write_obj(BALL, tmp_path / "ball.obj")
    (tmp_path / "other").mkdir()
    random_release(tmp_path / "other", 99)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="99 vertices"):
        named = _settings("--encoder_f_path", "other/pred_f.pth", "--save_dir", "other", mesh=mesh.path)
        interactive.open_for_page(named, mesh)

    folder = tmp_path / "experiments" / "ball"
    for name in ("encoder", "decoder"):
        (folder / name).mkdir(parents=True)
    features, checkpoint, _, _ = random_release(tmp_path, mesh.num_vertices)
    features.rename(folder / "encoder" / "pred_f.pth")
    checkpoint.rename(folder / "decoder" / "decoder_checkpoint.pth")
    plain = _settings("--SAM", "vit_h", mesh=mesh.path)
    opened = interactive.open_for_page(plain, mesh)
    assert opened.kind == "trained" and opened.label == "decoder trained on this mesh"
    (tmp_path / "other" / "pred_f.pth").replace(folder / "encoder" / "pred_f.pth")
    with pytest.raises(UserError, match="vit_h"):  # the prior is next, whose teacher is not here
        interactive.open_for_page(plain, mesh)
    assert "99 vertices" in capsys.readouterr().out


def test_instant_answers_open_by_command_and_are_offered_where_their_weights_are(tmp_path, monkeypatch):
    mesh = write_obj(BALL, tmp_path / "ball.obj")
    monkeypatch.chdir(tmp_path)
    weights = tmp_path / "weights.pt"
    settings = replace(_settings("--segmenter", "instant", mesh="ball.obj"), instant_weights=weights)
    assert interactive.kinds_of(settings, mesh) == ["prior"]
    with pytest.raises(UserError, match=r"weights\.pt") as error:
        interactive.open_for_page(settings, mesh)
    assert "\n" not in str(error.value)
    save_weights(weights)
    opened = interactive.open_for_page(settings, mesh)
    assert interactive.kinds_of(settings, mesh) == ["prior", "instant"]
    assert opened.kind == "instant" and opened.sources["checkpoint"] == str(weights)
    answers = Answers(opened)
    assert answers.identity == opened.identity and answers.learns
    assert answers.ask(Clicks.from_signed([UP])).probability.shape == (162,)
    save_weights(weights, seed=1)
    assert interactive.open_for_page(settings, mesh, "instant").identity != opened.identity
    with pytest.raises(UserError, match="no decoder trained"):
        interactive.open_for_page(settings, mesh, "trained")


def test_a_decoder_is_sought_where_the_command_line_says_then_where_a_refinement_or_the_stages_leave_it(tmp_path):
    out = ["--out_dir", str(tmp_path)]
    ball, other = (Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]]), tmp_path / name) for name in ("ball.obj", "other.obj"))
    refined = tmp_path / "ball" / "refined" / "decoder" / "decoder_checkpoint.pth"
    stages = Path("experiments") / "round" / "decoder" / "decoder_checkpoint.pth"
    plain = _settings(*out, "--name", "round", mesh=ball.path)
    assert [files.checkpoint for files in plain.places(ball)] == [refined, stages]
    named = _settings(*out, "--save_dir", "here", "--model_name", "x.pth", mesh=ball.path)
    assert [files.checkpoint for files in named.places(ball)] == [Path("here/x.pth"), refined]
    assert all("other" in str(files.checkpoint) for files in named.places(other))


def test_the_published_flags_are_there():
    flags = vars(_settings())
    for name in ("encoder_f_path", "save_dir", "model_name", "base_color", "seg_color", "pos_color", "neg_color"):
        assert name in flags
    assert flags["host"] == "127.0.0.1"


# --- nothing is lost ------------------------------------------------------------------------------


def _restarted(server: Server, **how) -> Server:
    """Another server over the same folders, as after a crash."""
    return Server(Studio(replace(server.studio.settings, **how), server.studio.models), port=0)


def _some_work(tab: Tab) -> np.ndarray:
    _click(tab, UP)
    _keep(tab)
    _click(tab, SIDE)
    labels = _click(tab, LEFT, "shift")
    tab.settle()
    return labels


@own_server
def test_a_restarted_server_gives_a_tab_its_work_back_undo_included(tab, server):
    before = _some_work(tab)
    again = _restarted(server)
    back = Tab(again.port, token=tab.token)
    assert (back.painted(1)["labels"] == before).all()
    back.noted("as you left it")
    for _ in range(4):
        labels = _key(back, "Undo")
    assert (labels == REST).all()
    back.close()
    again.stop()


@own_server
def test_a_new_tab_offers_to_go_on_with_what_no_other_tab_shows(tab, open_tab):
    def offered(one: Tab) -> list[str]:
        return [
            held["label"]
            for held in one.controls.values()
            if "Go on where" in str(held.get("label")) and held["visible"]
        ]

    before = _some_work(tab)
    other = open_tab()
    other.settle()
    assert not offered(other)  # it is shown
    tab.close()
    third = open_tab()
    third.wait(lambda: offered(third))
    assert "1 part, 2 clicks" in offered(third)[0]
    assert (third.after(lambda: third.press(offered(third)[0]))["labels"] == before).all()
    third.wait(lambda: not offered(third))
    _set(third, "History", "Undo")
    third.wait(lambda: len(third.options("Clicks")) == 1)


@own_server
def test_coming_back_to_a_mesh_finds_its_work(tab):
    before = _some_work(tab)
    tab.set("Mesh", "mallet.obj")
    _press(tab, "Open")
    tab.set("Mesh", "ball.obj")
    tab.settle()
    assert (_press(tab, "Open") == before).all()
    assert (_press(tab, "Start anew") == REST).all()
    tab.settle()
    assert (_press(tab, "Go on with it") == before).all()


@own_server
def test_the_mesh_that_was_asked_for_last_is_opened_and_clicks_stay_on_theirs(tab, server, studio, monkeypatch):
    held, read = threading.Event(), studio.load

    def slow(path: Path):
        if path.name == "mallet.obj":
            held.wait(20)
        return read(path)

    monkeypatch.setattr(studio, "load", slow)
    tab.set("Mesh", "mallet.obj")
    tab.settle()
    tab.press("Open")
    assert len(_click(tab, UP)) == BALL.num_faces  # the ball is still there to be worked on
    tab.set("Mesh", "ball.obj")
    tab.settle()
    tab.press("Open")
    tab.settle()
    held.set()
    tab.settle(0.3)
    assert _page(server).loaded.name == "ball.obj" and len(_page(server).session.state.clicks) == 1


@own_server
def test_a_full_disk_is_said_and_the_page_goes_on(tab, monkeypatch):
    def full(self) -> bool:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "save", full)
        before = _click(tab, UP)
        tab.noted("not being kept (No space left on device)")
    assert (_click(tab, SIDE) != before).any()


def test_the_mesh_is_shown_before_anything_answers_and_a_click_waits_for_it(tmp_path, two_boxes):
    known = threading.Event()

    def slow(mesh: Mesh, kind: str | None, on_progress: Progress) -> Segmenter:
        if kind is None:
            known.wait(20)
        return _open(mesh, kind, on_progress)

    server = _serve(tmp_path, two_boxes)
    server.studio.settings = replace(server.studio.settings, mesh_first=True)
    server.studio.models = replace(server.studio.models, open=slow, meanwhile=lambda mesh: "")
    tab = Tab(server.port)
    assert (tab.painted(1)["labels"] == REST).all()
    tab.wait(lambda: "s left" in tab.texts())
    tab.click(*_ray(UP))
    tab.noted("One moment")
    known.set()
    tab.wait(lambda: (tab.painted(1)["labels"] == SELECTED).any())
    tab.close()
    server.stop()


def test_what_answers_is_made_ready_when_the_tab_has_the_mesh(tmp_path, two_boxes):
    begun = threading.Event()

    def opened(mesh: Mesh, kind: str | None, on_progress: Progress) -> Segmenter:
        begun.set()
        return _open(mesh, kind, on_progress)

    server = _serve(tmp_path, two_boxes)
    server.studio.settings = replace(server.studio.settings, mesh_first=True)
    server.studio.models = replace(server.studio.models, open=opened, meanwhile=lambda mesh: "")
    tab = Tab(server.port, tells=False)
    tab.painted(1)
    (shape,) = [arguments[0] for function, arguments in tab.calls if function == "setShape"]
    tab.tell({"type": "shape", "shape": "/shape_of_another_mesh"})
    assert not begun.wait(0.3)
    tab.tell({"type": "shape", "shape": shape})
    assert begun.wait(2)
    tab.close()
    server.stop()


def test_instant_answers_serve_until_the_rest_is_ready(tmp_path, two_boxes):
    known = threading.Event()

    def slow(mesh: Mesh, kind: str | None, on_progress: Progress) -> Segmenter:
        if kind is None:
            known.wait(20)
        return _open(mesh, kind, on_progress)

    server = _serve(tmp_path, two_boxes)
    server.studio.models = replace(server.studio.models, open=slow, meanwhile=lambda mesh: "instant")
    tab = Tab(server.port)
    tab.painted(1)
    instant = _click(tab, UP)
    tab.wait(lambda: tab.value("Answered by") == INSTANT)
    assert (tab.after(known.set)["labels"] != instant).any()
    tab.noted("Ready: the test answers")
    tab.wait(lambda: tab.value("Answered by") == PRIOR)
    tab.close()
    server.stop()


def test_the_bar_of_an_opening_mesh_moves_and_its_time_shrinks(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    opening = Opening(size=1_000_000)
    seen = [(opening.share, opening.seconds_left)]
    for stage in STAGES:
        opening(Step(stage, 0, 1))
        for _ in range(3):
            now[0] += 0.5
            seen.append((opening.share, opening.seconds_left))
    opening(Step("one that nobody knows", 0, 1))
    shares = [share for share, _ in seen]
    assert shares == sorted(shares) and 0 <= shares[0] < 0.01 and shares[-1] < 1 == opening.share
    assert seen[-1][1] < seen[0][1] and opening.seconds_left == 0


# --- kept parts -----------------------------------------------------------------------------------


def test_keeping_says_what_it_takes_from_kept_parts_before_it_does(tab):
    tab.set("Exclusive", False)
    _click(tab, UP)
    tab.set("Name", "torso")
    kept = _press(tab, "Keep selection as part (K)") == FIRST_PART
    _click(tab, SIDE)
    _set(tab, "Granularity", 1.0)
    tab.wait(lambda: "faces from <b>torso</b>" in tab.texts())
    assert "Kept parts keep their faces" in tab.texts()
    taking = _set(tab, "Take from kept parts", True)
    taken = int((kept & (taking == SELECTED)).sum())
    tab.wait(lambda: f"Keeping takes {taken:,} faces from <b>torso</b>." in tab.texts())
    assert taken > 0 and (_keep(tab) == FIRST_PART).sum() == kept.sum() - taken


def test_a_key_that_changes_nothing_says_why(tab):
    tab.key("Finer part")
    tab.noted("no click yet")


def test_turning_otsu_off_brings_the_threshold_back(tab):
    _click(tab, UP)
    _set(tab, "Threshold", 0.7)
    _set(tab, "Otsu threshold", True)
    _set(tab, "Otsu threshold", False)
    tab.wait(lambda: tab.value("Threshold") == 0.7)


def test_a_control_that_was_changed_while_it_was_set_shows_what_holds():
    class Slider:
        _impl = SimpleNamespace(uuid="a slider")
        value = 0.5

        def _queue_update(self, prop, value):
            sent.append((prop, value))

    sent: list = []
    slider = Slider()
    assign(slider, "value", 0.6)  # on its way to the page, which meanwhile sends 0.7
    slider.value = 0.7
    assign(slider, "value", 0.7)
    assert sent == [("value", 0.7)]
    assign(slider, "value", 0.7)
    assert len(sent) == 1


# --- sharing --------------------------------------------------------------------------------------


@pytest.fixture
def shared_beyond(tmp_path, two_boxes):
    server = _serve(tmp_path, two_boxes, shared=True)
    everyone = Server(server.studio, "0.0.0.0", 0)
    yield everyone
    everyone.stop()
    server.stop()


def test_beyond_this_machine_only_who_knows_the_key_is_let_in(shared_beyond):
    server = shared_beyond
    assert server.address.endswith(f"/?key={server.key}") and len(server.key) > 20 and "0.0.0.0" not in server.address
    guess = Tab(server.port, key="guess")
    guess.noted("open the one that was printed")
    assert not guess.paints and "Undo" not in str(guess.controls)
    known = Tab(server.port, key=server.key)
    assert (known.painted(1)["labels"] == REST).all()
    guess.close()
    known.close()


def test_a_host_that_only_leads_here_is_turned_away(shared_beyond):
    """DNS rebinding: origin and host are equal, and another's."""
    name = f"evil.example:{shared_beyond.port}"
    with pytest.raises(ConnectionClosed, match="open the page itself"):
        Tab(shared_beyond.port, origin=f"http://{name}", host=name).settle()


def test_a_shared_page_reads_its_own_mesh_and_uploads_only(shared_beyond, tmp_path):
    studio = shared_beyond.studio
    (studio.settings.output.root / "other").mkdir(parents=True)
    (studio.settings.output.root / "other" / "x.session.json").write_text("{}")
    assert list(studio.mesh_files()) == ["ball.obj"]
    assert studio.session_files(studio.load(studio.settings.mesh_path)) == {}


def test_all_uploads_together_have_a_limit(studio, monkeypatch):
    monkeypatch.setattr("utils.viewer.studio.QUOTA", 10)
    with pytest.raises(UserError, match="uploads take more"):
        studio.store_upload("a.obj", b"v 0 0 0 and more")


def test_who_connects_and_says_nothing_or_nonsense_prints_nothing(server, capfd):
    for words in (b"", b"\x16\x03\x01 nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nHost\x00: x\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", server.port)) as bare:
            bare.sendall(words)
        time.sleep(0.2)
    out, err = capfd.readouterr()
    assert out == err == ""


# --- what the page's script tells -----------------------------------------------------------------


def _tell(tab: Tab, **message) -> None:
    tab.settle()
    tab.tell({"shape": _shape(tab), **message})


def test_resting_on_the_model_previews_what_a_click_would_select(tab):
    def shown() -> np.ndarray:
        text = [arguments[1] for function, arguments in tab.calls if function == "setPreview"][-1]
        return np.unpackbits(np.frombuffer(base64.b64decode(text), dtype=np.uint8), count=BALL.num_faces).astype(bool)

    _tell(tab, type="hover", vertex=UP, flipped=False)
    tab.wait(lambda: any(function == "setPreview" for function, _ in tab.calls))
    preview = shown()
    assert preview.any() and (preview == (_click(tab, UP) == SELECTED)).all()
    for wrong in (10**9, -1, "x", None, True):
        _tell(tab, type="hover", vertex=wrong)
    assert not any("did not work" in note for note in tab.notes)


def test_the_list_of_parts_hides_locks_names_and_a_click_on_a_part_chooses_it(tab, server):
    for vertex in (UP, SIDE):
        _click(tab, vertex)
        _keep(tab)
    first, second = (part.id for part in _page(server).session.state.parts)
    tab.wait(lambda: tab.value("Part") == "part 2")
    tab.after(lambda: tab.click(*_ray(UP)))
    tab.wait(lambda: tab.value("Part") == "part 1")
    labels = tab.after(lambda: _tell(tab, type="part", part=second, do="eye"))["labels"]
    assert (labels == HIDDEN).any()
    tab.after(lambda: _tell(tab, type="part", part=first, do="lock"))
    tab.after(lambda: _tell(tab, type="part", part=first, do="name", text="head / <top>"))
    part = _page(server).session.state.part(first)
    assert part.locked and part.name == "head / <top>"
    tab.wait(lambda: "head / &lt;top&gt;" in tab.texts())
    _tell(tab, type="part", part=99, do="eye")
    tab.noted("no part 99")


def test_escape_puts_the_brush_away_then_takes_the_clicks_away(tab):
    _click(tab, UP)
    tab.key("Brush on / off")
    tab.wait(lambda: ("setBrush", ["add", 0.06]) in tab.calls)
    _tell(tab, type="escape")
    tab.wait(lambda: tab.calls.count(("setBrush", ["", 0.06])) >= 1)
    assert (tab.after(lambda: _tell(tab, type="escape"))["labels"] == REST).all()


def test_the_rest_is_given_to_the_nearest_part(tab):
    _click(tab, UP)
    _set(tab, "Granularity", 0.0)
    _keep(tab)
    _click(tab, SIDE)
    _keep(tab)
    before = tab.painted(1)["labels"]
    after = _press(tab, "Give the rest to the nearest part")
    assert (before == REST).any() and not (after == REST).any()
    assert (after[before != REST] == before[before != REST]).all()
    assert (_set(tab, "History", "Undo") == before).all()


@own_server
def test_a_dropped_mesh_opens_and_a_dropped_session_opens_its_mesh(tab, studio, two_boxes):
    before = _some_work(tab)
    saved = _save(tab, studio)

    def drop(name: str, content: bytes) -> None:
        pieces = [content[start : start + 30000] for start in range(0, len(content), 30000)]
        for number, piece in enumerate(pieces):
            data = base64.b64encode(piece).decode()
            tab.tell({"type": "drop", "name": name, "number": number, "count": len(pieces), "data": data})

    content = (studio.settings.mesh_path.parent / "mallet.obj").read_bytes()
    assert len(tab.after(lambda: drop("dropped.obj", content))["labels"]) == two_boxes.num_faces
    tab.settle()
    tab.tell({"type": "drop", "name": "x.obj", "number": 3, "count": 9, "data": "AAAA"})  # of nothing that began
    seen = tab.paints
    drop("x.session.json", saved)
    tab.noted("Reopened x.session.json")
    assert tab.paints > seen and (tab.painted(seen + 1)["labels"] == before).all()


def test_views_move_the_camera_and_the_choices_that_hold_are_marked(tab, server):
    tab.set("View", "Top")
    tab.wait(lambda: _page(server).client.camera.position[1] > 2)
    tab.set("View", "Fit")
    _click(tab, UP)
    _key(tab, "Coarser part")
    tab.set("A click will", "Exclude")
    tab.wait(lambda: ("setMarks", [["Exclude", "No brush", "Y up", "Light", "Keeps it"]]) in tab.calls)
    tab.set("Up", "Z up")
    tab.wait(lambda: ("setMarks", [["Exclude", "No brush", "Z up", "Light", "Keeps it"]]) in tab.calls)
    assert _page(server).client.camera.up_direction[2] == pytest.approx(1)
