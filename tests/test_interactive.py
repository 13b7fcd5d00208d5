"""The page through viser's own messages: what a tab sends, what the server does and refuses. No browser is needed."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import interactive
from models.open import kinds_for
from tests.sessions import BallSegmenter, CandidateSegmenter, LearningSegmenter
from tests.test_iseg3d import save_weights
from tests.test_session import _top
from tests.test_session_files import _write_obj
from tests.trainings import break_down, fail, steps, train
from tests.viser_client import Tab
from utils.errors import UserError
from utils.geometry.mesh import Mesh
from utils.options import parse_settings
from utils.segmenter import Segmenter
from utils.session.answers import Answers
from utils.viewer.folder import OutputFolder
from utils.viewer.refine import SHARES, Refinement
from utils.viewer.scene import FIRST_PART, HIDDEN, REST, SELECTED
from utils.viewer.server import Server
from utils.viewer.studio import Studio
from utils.viewer.workspace import Models, Settings


def _open(mesh: Mesh, kind: str | None) -> Segmenter:
    if kind is None:
        return CandidateSegmenter(mesh, identity="0")
    if kind != "instant":
        raise UserError("this one cannot be made ready")
    return LearningSegmenter(mesh, radius=0.7, identity="2")


def _open_refined(mesh: Mesh, directory: Path) -> Segmenter:
    if not (directory / "weights").is_file():
        raise UserError("the training left no decoder")
    return BallSegmenter(mesh, 0.5, "trained", "1")


@pytest.fixture
def serve(icosphere, two_boxes, tmp_path):
    """Starts a server with a training and other settings."""
    (tmp_path / "meshes").mkdir()
    _write_obj(icosphere, tmp_path / "meshes" / "ball.obj")
    _write_obj(two_boxes, tmp_path / "meshes" / "mallet.obj")
    servers = []

    def start(refine: Callable = fail, **how) -> Server:
        settings = Settings(tmp_path / "meshes" / "ball.obj", OutputFolder(tmp_path / "out"), **how)
        models = Models(_open, lambda mesh: ("prior", "trained", "instant"), refine, _open_refined)
        servers.append(Server(Studio(settings, models), port=0))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def training():
    """What a refinement does."""
    return fail


@pytest.fixture
def server(serve, training) -> Server:
    return serve(training, picture_size=(60, 80))


@pytest.fixture
def studio(server) -> Studio:
    return server.studio


@pytest.fixture
def tab(server):
    tab = Tab(server.port)
    tab.painted(1)
    yield tab
    tab.close()


def _ray(mesh: Mesh, vertex: int):
    """A ray from outside onto a vertex of a ball (and a little beside it, to hit a face)."""
    point = mesh.vertices[vertex] * 0.99 + mesh.vertices[_top(mesh, 2)] * 0.005
    return 3 * point, -point


def _click(tab: Tab, mesh: Mesh, vertex: int, modifier: str | None = None) -> dict:
    return tab.after(lambda: tab.click(*_ray(mesh, vertex), modifier))


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# --- clicks ---------------------------------------------------------------------------------------


def test_a_click_selects_and_shows_a_green_ball(tab, icosphere):
    top = _top(icosphere)
    labels = _click(tab, icosphere, top)["labels"]
    expected = CandidateSegmenter(icosphere).probability(_clicks(top)) > 0.5
    majority = expected[icosphere.faces].sum(axis=1) >= 2
    assert ((labels == SELECTED) == majority).all() and set(labels) == {REST, SELECTED}
    ball = tab.wait(lambda: tab.nodes.get(f"/click_{top}_1"))
    assert ball["props"]["color"][1] > ball["props"]["color"][0]


def _clicks(*signed):
    from utils.clicks import Clicks

    return Clicks.from_signed(signed)


@pytest.mark.parametrize("modifier", ["cmd/ctrl", "shift"])
def test_a_modified_click_excludes_and_a_switched_mode_turns_it_round(tab, icosphere, modifier):
    _click(tab, icosphere, _top(icosphere))
    side = _top(icosphere, 0)
    _click(tab, icosphere, side, modifier)
    tab.wait(lambda: tab.options("Clicks")[1:] == [f"− vertex {side}"])
    tab.set("A click will", "Exclude")
    _click(tab, icosphere, _top(icosphere, 0, -1.0))
    _click(tab, icosphere, _top(icosphere, 2, -1.0), modifier)
    tab.wait(lambda: [option[0] for option in tab.options("Clicks")] == ["+", "−", "−", "+"])


def test_undo_redo_reset_by_button_and_key_never_fail(tab, icosphere):
    for press in ("Undo", "Redo", "Undo"):
        tab.set("History", press)
    first = _click(tab, icosphere, _top(icosphere))["labels"]
    second = _click(tab, icosphere, _top(icosphere, 0), "shift")["labels"]
    assert (first != second).any()
    assert (tab.after(lambda: tab.set("History", "Undo"))["labels"] == first).all()
    assert (tab.after(lambda: tab.key("Redo"))["labels"] == second).all()
    assert (tab.after(lambda: tab.set("History", "Reset"))["labels"] == REST).all()
    assert (tab.after(lambda: tab.key("Undo"))["labels"] == second).all()


def test_a_click_on_the_background_does_nothing(tab, icosphere, server):
    _click(tab, icosphere, _top(icosphere))
    before, log = tab.paints, len(next(iter(server.pages.values())).session.log)
    tab.click((0, 0, 3), (1, 0, 0))
    tab.click((0, 0, 3), (0, 0, 0))
    tab.click((float("nan"), 0, 3), (0, 0, -1))
    _click(tab, icosphere, _top(icosphere, 0))
    assert tab.paints == before + 1 and len(next(iter(server.pages.values())).session.log) == log + 1


def test_clicking_a_ball_takes_its_click_away(tab, icosphere):
    top = _top(icosphere)
    _click(tab, icosphere, top)
    point = icosphere.normalized[top]
    labels = tab.after(lambda: tab.click(3 * point, -point))["labels"]
    assert (labels == REST).all()
    tab.wait(lambda: f"/click_{top}_1" not in tab.nodes)


def test_single_click_mode_replaces(tab, icosphere):
    _click(tab, icosphere, _top(icosphere))
    tab.set("Single click", True)
    _click(tab, icosphere, _top(icosphere, 0))
    tab.wait(lambda: tab.options("Clicks") == [f"+ vertex {_top(icosphere, 0)}"])


def test_keys_choose_finer_and_coarser_candidates(tab, icosphere):
    _click(tab, icosphere, _top(icosphere))
    sizes = [
        (tab.after(lambda: tab.key(name))["labels"] == SELECTED).sum()
        for name in ("Finer part", "Default part", "Coarser part")
    ]
    assert sizes == sorted(sizes) and sizes[0] < sizes[2]
    tab.wait(lambda: tab.value("Granularity") == 1.0)


def test_threshold_slider_and_otsu_follow_each_other(tab, icosphere):
    _click(tab, icosphere, _top(icosphere))
    few = (tab.after(lambda: tab.set("Threshold", 0.8))["labels"] == SELECTED).sum()
    many = (tab.after(lambda: tab.set("Threshold", 0.3))["labels"] == SELECTED).sum()
    assert few < many
    tab.after(lambda: tab.set("Otsu threshold", True))
    tab.wait(lambda: tab.controls[tab.control("Threshold")]["disabled"])
    soft = tab.after(lambda: tab.set("Show probabilities", True))["soft"]
    assert soft is not None


# --- parts, brush, shape --------------------------------------------------------------------------


def test_a_kept_part_has_its_name_and_colour(tab, icosphere):
    selected = _click(tab, icosphere, _top(icosphere))["labels"] == SELECTED
    tab.set("Name", "Lid <1>")
    update = tab.after(lambda: tab.press("Keep selection as part (K)"))
    assert ((update["labels"] == FIRST_PART) == selected).all() and update["names"][FIRST_PART] == "Lid _1_"
    tab.wait(lambda: tab.options("Part") == ["Lid _1_"] and tab.value("Name") == "")
    hidden = tab.after(lambda: tab.set("Show", "Hide / show"))
    assert ((hidden["labels"] == HIDDEN) == selected).all()
    again = tab.after(lambda: tab.set("Show", "Hide / show"))
    assert (again["labels"] == update["labels"]).all()
    rest = tab.after(lambda: tab.set("Show only the rest", True))
    assert ((rest["labels"] == HIDDEN) == selected).all()


def test_parts_are_renamed_merged_and_deleted(tab, icosphere):
    for axis in (0, 1):
        _click(tab, icosphere, _top(icosphere, axis))
        tab.after(lambda: tab.key("Keep selection as part"))
    tab.wait(lambda: tab.options("Part") == ["part 1", "part 2"] and tab.value("Part") == "part 2")
    tab.set("Rename to", "arm")
    tab.after(lambda: tab.press("Rename"))
    tab.wait(lambda: tab.options("Part") == ["part 1", "arm"] and tab.options("Merge with") == ["part 1"])
    merged = tab.after(lambda: tab.press("Merge"))
    assert set(merged["labels"]) == {REST, FIRST_PART}
    tab.wait(lambda: tab.options("Part") == ["arm"])
    assert (tab.after(lambda: tab.press("Delete part"))["labels"] == REST).all()


def test_keeping_nothing_says_so(tab):
    tab.key("Keep selection as part")
    assert "nothing is selected" in tab.noted("Not done")
    tab.press("Delete part")
    tab.noted("choose a part first")


def test_a_brush_stroke_paints_and_one_undo_takes_it_back(tab, icosphere):
    start, end = _top(icosphere), _top(icosphere, 0)
    tab.set("Brush size", 0.3)
    for vertex in (start, end):
        origin, direction = _ray(icosphere, vertex)
        update = tab.after(
            lambda: tab.tell(
                {"type": "brush", "stroke": 4, "mode": "add", "rays": [[*origin, *direction]], "last": False}
            )
        )
    assert (update["labels"] == SELECTED).sum() > 10
    assert (tab.after(lambda: tab.set("History", "Undo"))["labels"] == REST).all()


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
def test_any_message_of_the_page_is_survived(tab, icosphere, message):
    tab.tell(message)
    tab.click(*_ray(icosphere, _top(icosphere)))
    tab.wait(lambda: (tab.painted(1)["labels"] == SELECTED).any())
    assert not any("did not work" in note for note in tab.notes)


def test_shape_edits_are_shown_and_undone(tab, icosphere):
    selected = _click(tab, icosphere, _top(icosphere))["labels"] == SELECTED
    deleted = tab.after(lambda: tab.press("Delete selection"))
    assert ((deleted["labels"] == HIDDEN) == selected).all()
    tab.after(lambda: tab.set("History", "Undo"))
    shapes = [arguments for function, arguments in tab.calls if function == "setShape"]
    tab.set("Distance", 0.2)
    update = tab.after(lambda: tab.press("Extrude selection"))
    again = [arguments for function, arguments in tab.calls if function == "setShape"]
    assert len(again) == len(shapes) + 1 and update["name"] == again[-1][0] and update["name"] in tab.nodes


# --- files ----------------------------------------------------------------------------------------


def test_everything_is_exported_into_the_output_folder_and_downloaded_on_wish(tab, icosphere, studio):
    _click(tab, icosphere, _top(icosphere))
    tab.after(lambda: tab.key("Keep selection as part"))
    for group, values in (("Shape", ["GLB", "OBJ", "PLY"]), ("Other", ["Labels", "Picture", "Clicks"])):
        for value in values:
            count = len(tab.notes)
            tab.set(group, value)
            tab.wait(lambda: any("Written" in note for note in tab.notes[count:]))
    tab.set("Also download", True)
    tab.set("Shape", "GLB")
    tab.wait(lambda: len(tab.downloads) == 1 and next(iter(tab.downloads.values()))[:4] == b"glTF")
    written = _files(studio.settings.output.root)
    assert {
        "ball/parts.glb",
        "ball/parts.obj",
        "ball/parts.ply",
        "ball/labels.seg",
        "ball/labels.npz",
        "ball/picture.png",
        "ball/clicks.json",
    } <= set(written) and len(written) == 8  # the second GLB has a name of its own


def test_exporting_nothing_is_refused(tab, studio):
    tab.set("Shape", "GLB")
    tab.noted("no part and no selection")
    assert _files(studio.settings.output.root) == []


def test_a_session_is_saved_and_reopened_in_another_tab(tab, icosphere, studio, server):
    _click(tab, icosphere, _top(icosphere))
    tab.after(lambda: tab.key("Keep selection as part"))
    before = _click(tab, icosphere, _top(icosphere, 0))["labels"]
    tab.press("Save session")
    tab.noted("session.session.json")
    other = Tab(server.port)
    assert (other.painted(1)["labels"] == REST).all()
    other.wait(lambda: other.value("Saved") == "ball / session")
    assert (other.after(lambda: other.press("Reopen"))["labels"] == before).all()
    content = (studio.settings.output.root / "ball" / "session.session.json").read_bytes()
    other.after(lambda: other.set("History", "Reset"))
    assert (other.after(lambda: other.upload("Reopen a file ...", "x.json", content))["labels"] == before).all()
    other.close()


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "not a session file"),
        (b"{}", "not an iseg session"),
        (b"[" * 100000, "not a session file"),
        (b'{"format": "iseg session", "version": 1, "mesh": {"digest": "x", "name": "cow.obj"}}', "cow.obj"),
    ],
)
def test_a_broken_session_file_is_refused_in_one_line_and_changes_nothing(tab, icosphere, content, reason):
    before = _click(tab, icosphere, _top(icosphere))["labels"]
    tab.upload("Reopen a file ...", "broken.json", content)
    note = tab.noted("Not done")
    assert reason in note and "\n" not in note
    assert (tab.after(lambda: tab.key("Coarser part"))["labels"] != before).any()


def test_another_mesh_is_opened_by_name_and_by_upload(tab, icosphere, two_boxes, studio):
    assert tab.options("Mesh") == ["ball.obj", "mallet.obj"]
    tab.set("Mesh", "mallet.obj")
    assert len(tab.after(lambda: tab.press("Open"))["labels"]) == two_boxes.num_faces
    content = (studio.settings.mesh_path.parent / "ball.obj").read_bytes()
    update = tab.after(lambda: tab.upload("Open a file ...", "../../up.OBJ", content))
    assert len(update["labels"]) == icosphere.num_faces
    assert _files(studio.settings.output.root) == ["uploads/up.obj"]
    tab.wait(lambda: "up.obj" in tab.options("Mesh"))


@pytest.mark.parametrize(
    "name, content",
    [
        ("evil.sh", b"rm"),
        ("../../../x.obj", b"not a mesh"),
        ("", b"v 0 0 0"),
        ("a.obj", b""),
        ("..\\..\\b.ply", b"ply"),
        (".obj", b"v 1 2 3\nf 1 1 1\n"),
    ],
)
def test_a_bad_upload_is_refused_and_leaves_the_mesh_open(tab, icosphere, studio, name, content):
    tab.upload("Open a file ...", name, content)
    tab.noted("Not done")
    inside = studio.settings.output.root / "uploads"
    assert all(
        path.is_relative_to(inside)
        for path in studio.settings.mesh_path.parent.parent.rglob("*")
        if path.is_file() and "meshes" not in path.parts
    )
    assert len(_click(tab, icosphere, _top(icosphere))["labels"]) == icosphere.num_faces


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


def test_two_tabs_do_not_mix(tab, icosphere, server):
    other = Tab(server.port)
    other.painted(1)
    mine = _click(tab, icosphere, _top(icosphere))["labels"]
    paints = tab.paints
    theirs = _click(other, icosphere, _top(icosphere, 0, -1.0))["labels"]
    assert (mine != theirs).any() and tab.paints == paints
    other.set("Single click", True)
    other.after(lambda: other.set("History", "Reset"))
    labels = tab.after(lambda: tab.key("Coarser part"))["labels"]
    assert (labels == SELECTED).sum() > (mine == SELECTED).sum() and tab.value("Single click") is False
    other.close()


def test_a_reloaded_tab_finds_its_work_and_a_copied_one_starts_anew(tab, icosphere, server):
    before = _click(tab, icosphere, _top(icosphere))["labels"]
    copy = Tab(server.port, token=tab.token)
    assert (copy.painted(1)["labels"] == REST).all() and copy.token != tab.token
    tab.close()
    again = Tab(server.port, token=tab.token)
    assert (again.painted(1)["labels"] == before).all()
    assert (again.after(lambda: again.set("History", "Undo"))["labels"] == REST).all()
    copy.close()
    again.close()


def test_without_its_script_the_page_still_selects(serve, icosphere):
    server = serve(script_wait=0.1)
    plain = Tab(server.port, script=False)
    first = plain.wait(lambda: plain.nodes.get("/shape_1"))
    assert first["type"] == "GlbMessage"
    plain.click(*_ray(icosphere, _top(icosphere)))
    plain.wait(lambda: f"/click_{_top(icosphere)}_1" in plain.nodes and plain.nodes["/shape_1"] is not first)
    plain.tell({"type": "hello", "token": "late"})
    assert (plain.painted(1)["labels"] == SELECTED).any()
    plain.close()


def test_scripts_of_other_web_pages_are_turned_away(server):
    foreign = Tab(server.port, origin="http://evil.example")
    foreign.noted("closed")
    assert not foreign.controls
    own = Tab(server.port, origin=f"http://127.0.0.1:{server.port}")
    own.painted(1)
    own.close()


def test_no_client_can_open_a_tunnel_to_the_outside(tab, icosphere, monkeypatch, server):
    called = []
    monkeypatch.setattr(server.viser, "request_share_url", lambda *_, **__: called.append(1))
    tab.send({"type": "ShareUrlRequest"})
    _click(tab, icosphere, _top(icosphere))
    assert not called


def test_controls_out_of_their_range_are_refused(tab, icosphere):
    _click(tab, icosphere, _top(icosphere))
    for label, value in (("Granularity", 7.5), ("Threshold", -3.0), ("Granularity", float("nan"))):
        tab.set(label, value)
    tab.noted("not a number from 0 to 1")
    for label, value in (
        ("Part", "no such part"),
        ("Part size", "Huge"),
        ("History", "Explode"),
        ("Show", "x"),
        ("Mesh", "../../etc/passwd"),
        ("Saved", "/etc/passwd"),
    ):
        tab.set(label, value)
    tab.press("Open")
    tab.noted("choose a mesh of the list")
    assert (tab.after(lambda: tab.key("Finer part"))["labels"] == SELECTED).any()


# --- what answers ---------------------------------------------------------------------------------

PRIOR, TRAINED, INSTANT = "Prior decoder", "Decoder of this mesh", "Instant (iSeg3D)"


def test_another_segmenter_is_chosen_at_any_time_and_parts_stay(tab, icosphere):
    assert tab.options("Answered by") == [PRIOR, TRAINED, INSTANT] and tab.value("Answered by") == PRIOR
    _click(tab, icosphere, _top(icosphere))
    kept = tab.after(lambda: tab.key("Keep selection as part"))["labels"] == FIRST_PART
    prior = _click(tab, icosphere, _top(icosphere, 0))["labels"]
    instant = tab.after(lambda: tab.set("Answered by", INSTANT))["labels"]
    clicks = _clicks(_top(icosphere, 0), -_top(icosphere))
    expected = LearningSegmenter(icosphere, radius=0.7).probability(clicks) > 0.5
    assert ((instant == SELECTED) == (expected[icosphere.faces].sum(axis=1) >= 2)).all() and (instant != prior).any()
    assert ((instant == FIRST_PART) == (kept & (instant != SELECTED))).all() and (instant == FIRST_PART).any()
    assert (tab.after(lambda: tab.set("Answered by", PRIOR))["labels"] == prior).all()


def test_what_one_tab_chooses_another_does_not_see(tab, icosphere, server):
    other = Tab(server.port)
    other.painted(1)
    tab.after(lambda: tab.set("Answered by", INSTANT))
    mine, theirs = (_click(one, icosphere, _top(icosphere))["labels"] for one in (tab, other))
    assert (mine != theirs).any() and other.value("Answered by") == PRIOR
    tab.close()
    again = Tab(server.port, token=tab.token)
    assert (again.painted(1)["labels"] == mine).all()
    again.wait(lambda: again.value("Answered by") == INSTANT)
    again.close()
    other.close()


def test_what_cannot_be_made_ready_is_refused_and_the_list_says_what_answers(tab, icosphere):
    before = _click(tab, icosphere, _top(icosphere))["labels"]
    tab.set("Answered by", TRAINED)
    tab.noted("cannot be made ready")
    tab.wait(lambda: tab.value("Answered by") == PRIOR)
    tab.set("Answered by", "no such thing")
    tab.noted("choose one of the list")
    assert (tab.after(lambda: tab.key("Default part") or tab.key("Finer part"))["labels"] != before).any()


def test_instant_answers_learn_on_wish_and_undo_takes_it_back(tab, icosphere):
    button = tab.controls[tab.control("Learn from my negative clicks")]
    _click(tab, icosphere, _top(icosphere))
    assert not button["visible"]
    tab.after(lambda: tab.set("Answered by", INSTANT))
    tab.wait(lambda: button["visible"])
    tab.press("Learn from my negative clicks")
    tab.noted("one that excludes")
    before = _click(tab, icosphere, _top(icosphere, 0, -1.0), "shift")["labels"]
    after = tab.after(lambda: tab.press("Learn from my negative clicks"))["labels"]
    lost = int(((before == SELECTED) & (after != SELECTED)).sum())
    assert lost > 0 and f"0 faces joined the selection, {lost:,} left it" in tab.noted("Learnt")
    tab.wait(
        lambda: any(
            "Learnt 1 time." in held.get("content", "")
            for held in tab.controls.values()
            if held["type"] == "GuiHtmlMessage"
        )
    )
    assert (tab.after(lambda: tab.key("Undo"))["labels"] == before).all()
    assert (tab.after(lambda: tab.key("Redo"))["labels"] == after).all()
    tab.after(lambda: tab.set("Answered by", PRIOR))
    tab.wait(lambda: not button["visible"])


def test_a_session_is_reopened_with_what_answered_it(tab, icosphere, studio, server):
    tab.after(lambda: tab.set("Answered by", INSTANT))
    _click(tab, icosphere, _top(icosphere))
    _click(tab, icosphere, _top(icosphere, 0, -1.0), "shift")
    before = tab.after(lambda: tab.press("Learn from my negative clicks"))["labels"]
    tab.press("Save session")
    tab.noted("session.session.json")
    saved = json.loads((studio.settings.output.root / "ball" / "session.session.json").read_text())
    assert (
        saved["segmenter"]["kind"] == "instant"
        and saved["log"][0] == {"op": "use", "before": "0", "after": "2"}
        and saved["lessons"]
    )
    other = Tab(server.port)
    other.painted(1)
    assert (other.after(lambda: other.press("Reopen"))["labels"] == before).all()
    other.wait(lambda: other.value("Answered by") == INSTANT)
    assert not any("another segmenter" in note for note in other.notes)
    foreign = json.dumps({**saved, "segmenter": {"kind": "instant", "digest": "3"}}).encode()
    other.after(lambda: other.upload("Reopen a file ...", "x.json", foreign))
    other.noted("another segmenter")
    other.close()


# --- refinement -----------------------------------------------------------------------------------


def _progress_bar(tab: Tab) -> dict:
    return next(held for held in tab.controls.values() if held["type"] == "GuiProgressBarMessage")


@pytest.mark.parametrize("training", [partial(train, 0.5)])
def test_a_refined_decoder_answers_when_it_is_done(tab, icosphere, server):
    before = _click(tab, icosphere, _top(icosphere))["labels"]
    tab.press("Start refining")
    bar = _progress_bar(tab)
    tab.wait(lambda: bar["visible"] and bar["value"] > 60)
    assert (_click(tab, icosphere, _top(icosphere, 0))["labels"] != before).any()  # the page is alive meanwhile
    tab.noted("Refined")
    tab.wait(lambda: tab.value("Answered by") == TRAINED)
    tab.after(lambda: tab.set("History", "Undo"))
    page = next(iter(server.pages.values()))
    assert isinstance(page.session.answers.segmenter, BallSegmenter) and not bar["visible"]
    notes = [held.get("content", "") for held in tab.controls.values() if held["type"] == "GuiHtmlMessage"]
    assert any("one answer" in note for note in notes)


def test_a_failing_training_shows_its_message_and_the_page_goes_on(tab, icosphere):
    tab.press("Start refining")
    assert "no SAM checkpoint here; do this" in tab.noted("Refining failed")
    assert (_click(tab, icosphere, _top(icosphere))["labels"] == SELECTED).any()
    tab.set("Start over", True)
    tab.press("Start refining")
    tab.noted("the training left no decoder")


@pytest.mark.parametrize("training", [partial(train, 60)])
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


# --- command line ---------------------------------------------------------------------------------


def _settings(*more: str, mesh: str = "nothing.obj") -> interactive.InteractiveSettings:
    return parse_settings(interactive.InteractiveSettings, "", ["--obj_path", mesh, *more])


@pytest.mark.parametrize(
    "more, reason",
    [
        ((), "no mesh at"),
        (("--base_color", "2", "0", "0"), "colour"),
        (("--sphere_radius", "0"), "sphere_radius"),
        (("--port", "99999"), "port"),
        (("--device", "tpu"), "device"),
    ],
)
def test_a_wrong_command_line_ends_in_one_line(more, reason, tmp_path):
    with pytest.raises(UserError, match=reason) as error:
        interactive.start(_settings("--out_dir", str(tmp_path), *more))
    assert "\n" not in str(error.value)


def test_a_named_decoder_that_does_not_fit_is_refused_and_a_found_one_is_passed_over(icosphere, tmp_path, monkeypatch):
    from tests.published import random_release

    mesh = _write_obj(icosphere, tmp_path / "ball.obj")
    (tmp_path / "other").mkdir()
    random_release(tmp_path / "other", 99)
    monkeypatch.chdir(tmp_path)
    named = ["--out_dir", str(tmp_path / "out"), "--device", "cpu", "--encoder_f_path", "other/pred_f.pth"]
    with pytest.raises(UserError, match="99 vertices"):
        interactive.open_for_page(_settings(*named, "--save_dir", "other", mesh=str(mesh.path)), mesh)

    folder = tmp_path / "experiments" / "ball"
    for name in ("encoder", "decoder"):
        (folder / name).mkdir(parents=True)
    features, checkpoint, _, _ = random_release(tmp_path, mesh.num_vertices)
    features.rename(folder / "encoder" / "pred_f.pth")
    checkpoint.rename(folder / "decoder" / "decoder_checkpoint.pth")
    plain = _settings("--out_dir", str(tmp_path / "out"), "--device", "cpu", mesh=str(mesh.path))
    opened = interactive.open_for_page(plain, mesh)
    assert opened.kind == "trained" and opened.label == "decoder trained on this mesh"
    (tmp_path / "other" / "pred_f.pth").replace(folder / "encoder" / "pred_f.pth")
    assert interactive.open_for_page(plain, mesh).kind == "prior"


def test_instant_answers_open_by_command_and_are_offered_where_their_weights_are(icosphere, tmp_path, monkeypatch):
    mesh = _write_obj(icosphere, tmp_path / "ball.obj")
    monkeypatch.chdir(tmp_path)
    weights = tmp_path / "weights.pt"
    monkeypatch.setattr("models.iseg3d.segmenter.WEIGHTS", weights)
    settings = _settings("--segmenter", "instant", "--device", "cpu", mesh="ball.obj")
    assert kinds_for(settings.places(mesh)) == ["prior"]
    with pytest.raises(UserError, match="weights.pt") as error:
        interactive.open_for_page(settings, mesh)
    assert "\n" not in str(error.value)
    save_weights(weights)
    opened = interactive.open_for_page(settings, mesh)
    assert kinds_for(settings.places(mesh)) == ["prior", "instant"]
    assert opened.kind == "instant" and opened.sources["checkpoint"] == str(weights)
    answers = Answers(opened)
    assert answers.identity == opened.identity and answers.learns
    assert answers.ask(_clicks(_top(mesh))).probability.shape == (162,)
    save_weights(weights, seed=1)
    assert interactive.open_for_page(settings, mesh, "instant").identity != opened.identity
    with pytest.raises(UserError, match="no decoder trained"):
        interactive.open_for_page(settings, mesh, "trained")


def test_a_decoder_is_sought_where_the_command_line_says_then_where_a_refinement_or_the_stages_leave_it(tmp_path):
    out = ["--out_dir", str(tmp_path)]
    ball, other = (Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]]), tmp_path / name) for name in ("ball.obj", "other.obj"))
    refined = tmp_path / "ball" / "refined" / "decoder" / "decoder_checkpoint.pth"
    stages = Path("experiments") / "round" / "decoder" / "decoder_checkpoint.pth"
    plain = _settings(*out, "--name", "round", mesh=str(ball.path))
    assert [files.checkpoint for files in plain.places(ball)] == [refined, stages]
    named = _settings(*out, "--save_dir", "here", "--model_name", "x.pth", mesh=str(ball.path))
    assert [files.checkpoint for files in named.places(ball)] == [Path("here/x.pth"), refined]
    assert all("other" in str(files.checkpoint) for files in named.places(other))


def test_the_published_flags_are_there():
    flags = vars(_settings())
    for name in ("encoder_f_path", "save_dir", "model_name", "base_color", "seg_color", "pos_color", "neg_color"):
        assert name in flags
    assert flags["host"] == "127.0.0.1"
