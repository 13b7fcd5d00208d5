"""The page through viser's own messages: what a tab sends, and what the server does and refuses. No browser is needed."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

import interactive
from tests.sessions import BallSegmenter, CandidateSegmenter, LearningSegmenter
from tests.test_iseg3d import save_weights
from tests.test_session import _top
from tests.test_session_files import _write_obj
from tests.viser_client import Tab
from utils.errors import UserError
from utils.geometry.mesh import Mesh
from utils.session.files import SegmenterNote
from utils.viewer.folder import OutputFolder
from utils.viewer.refine import STAGES, Refinement
from utils.viewer.scene import FIRST_PART, HIDDEN, REST, SELECTED
from utils.viewer.studio import Opened, Settings, Studio


def _open(mesh: Mesh) -> Opened:
    return Opened(CandidateSegmenter(mesh), SegmenterNote("prior", "0"), "test")


def _open_trained(mesh: Mesh, directory: Path) -> Opened:
    if not (directory / "weights").is_file():
        raise UserError("the training left no decoder")
    return Opened(BallSegmenter(mesh, radius=0.5), SegmenterNote("trained", "1"), "trained")


def _open_kind(mesh: Mesh, kind: str) -> Opened:
    if kind != "instant":
        raise UserError("this one cannot be made ready")
    return Opened(LearningSegmenter(mesh, radius=0.7), SegmenterNote("instant", "2"), "instant")


@pytest.fixture
def studio(icosphere, two_boxes, tmp_path):
    (tmp_path / "meshes").mkdir()
    _write_obj(icosphere, tmp_path / "meshes" / "ball.obj")
    _write_obj(two_boxes, tmp_path / "meshes" / "mallet.obj")
    settings = Settings(tmp_path, tmp_path / "meshes" / "ball.obj", OutputFolder(tmp_path / "out"))
    studio = Studio(
        settings, _open, _open_trained, port=0, open_kind=_open_kind, kinds=lambda mesh: ("prior", "trained", "instant")
    )
    yield studio
    studio.stop()


@pytest.fixture
def tab(studio):
    tab = Tab(studio.port)
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


def test_a_click_on_the_background_does_nothing(tab, icosphere, studio):
    _click(tab, icosphere, _top(icosphere))
    before, log = tab.paints, len(next(iter(studio.pages.values())).session.log)
    tab.click((0, 0, 3), (1, 0, 0))
    tab.click((0, 0, 3), (0, 0, 0))
    tab.click((float("nan"), 0, 3), (0, 0, -1))
    _click(tab, icosphere, _top(icosphere, 0))
    assert tab.paints == before + 1 and len(next(iter(studio.pages.values())).session.log) == log + 1


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


def test_a_brush_stroke_paints_and_one_undo_takes_it_back(tab, icosphere, studio):
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


def test_everything_is_exported_into_the_output_folder_and_downloaded_on_wish(tab, icosphere, studio, monkeypatch):
    monkeypatch.setattr("utils.viewer.files_panel.PICTURE_SIZE", (60, 80))
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


def test_a_session_is_saved_and_reopened_in_another_tab(tab, icosphere, studio):
    _click(tab, icosphere, _top(icosphere))
    tab.after(lambda: tab.key("Keep selection as part"))
    before = _click(tab, icosphere, _top(icosphere, 0))["labels"]
    tab.press("Save session")
    tab.noted("session.session.json")
    other = Tab(studio.port)
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
    content = (studio.settings.root / "meshes" / "ball.obj").read_bytes()
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
        for path in studio.settings.root.rglob("*")
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


def test_two_tabs_do_not_mix(tab, icosphere, studio):
    other = Tab(studio.port)
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


def test_a_reloaded_tab_finds_its_work_and_a_copied_one_starts_anew(tab, icosphere, studio):
    before = _click(tab, icosphere, _top(icosphere))["labels"]
    copy = Tab(studio.port, token=tab.token)
    assert (copy.painted(1)["labels"] == REST).all() and copy.token != tab.token
    tab.close()
    again = Tab(studio.port, token=tab.token)
    assert (again.painted(1)["labels"] == before).all()
    assert (again.after(lambda: again.set("History", "Undo"))["labels"] == REST).all()
    copy.close()
    again.close()


def test_without_its_script_the_page_still_selects(studio, icosphere, monkeypatch):
    monkeypatch.setattr("utils.viewer.page.SCRIPT_WAIT", 0.1)
    plain = Tab(studio.port, script=False)
    first = plain.wait(lambda: plain.nodes.get("/shape_1"))
    assert first["type"] == "GlbMessage"
    plain.click(*_ray(icosphere, _top(icosphere)))
    plain.wait(lambda: f"/click_{_top(icosphere)}_1" in plain.nodes and plain.nodes["/shape_1"] is not first)
    plain.tell({"type": "hello", "token": "late"})
    assert (plain.painted(1)["labels"] == SELECTED).any()
    plain.close()


def test_scripts_of_other_web_pages_are_turned_away(studio):
    foreign = Tab(studio.port, origin="http://evil.example")
    foreign.noted("closed")
    assert not foreign.controls
    own = Tab(studio.port, origin=f"http://127.0.0.1:{studio.port}")
    own.painted(1)
    own.close()


def test_no_client_can_open_a_tunnel_to_the_outside(tab, icosphere, studio, monkeypatch):
    called = []
    monkeypatch.setattr(studio.server, "request_share_url", lambda *_, **__: called.append(1))
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


def test_what_one_tab_chooses_another_does_not_see(tab, icosphere, studio):
    other = Tab(studio.port)
    other.painted(1)
    tab.after(lambda: tab.set("Answered by", INSTANT))
    mine, theirs = (_click(one, icosphere, _top(icosphere))["labels"] for one in (tab, other))
    assert (mine != theirs).any() and other.value("Answered by") == PRIOR
    tab.close()
    again = Tab(studio.port, token=tab.token)
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


def test_a_session_is_reopened_with_what_answered_it(tab, icosphere, studio):
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
    other = Tab(studio.port)
    other.painted(1)
    assert (other.after(lambda: other.press("Reopen"))["labels"] == before).all()
    other.wait(lambda: other.value("Answered by") == INSTANT)
    assert not any("another segmenter" in note for note in other.notes)
    foreign = json.dumps({**saved, "segmenter": {"kind": "instant", "digest": "3"}}).encode()
    other.after(lambda: other.upload("Reopen a file ...", "x.json", foreign))
    other.noted("another segmenter")
    other.close()


# --- refinement -----------------------------------------------------------------------------------


def _fake_training(studio: Studio, monkeypatch, body: str) -> None:
    """Train with a few lines of Python instead of the pipeline."""

    def command(root, mesh_path, out_dir, query, options):
        return [sys.executable, "-c", f"out = {str(out_dir)!r}\n{body}"]

    monkeypatch.setattr("utils.viewer.files_panel.pipeline_command", command)


_TRAINS = """
import os, time
print('\\n== views and feature field', flush=True)
for done in (10, 60, 100):
    print(f'\\rviews {done:3d}%|###|', end='', flush=True)
    time.sleep(0.05)
print('\\n== decoder training', flush=True)
print('\\rdecoder  50%|###|', flush=True)
{}
os.makedirs(out, exist_ok=True)
open(os.path.join(out, 'weights'), 'w').close()
"""


def test_a_refined_decoder_answers_when_it_is_done(tab, icosphere, studio, monkeypatch):
    _fake_training(studio, monkeypatch, _TRAINS.replace("{}", "time.sleep(0.3)"))
    before = _click(tab, icosphere, _top(icosphere))["labels"]
    tab.press("Start refining")
    bar = next(held for held in tab.controls.values() if held["type"] == "GuiProgressBarMessage")
    tab.wait(lambda: bar["visible"] and bar["value"] > 60)
    assert (_click(tab, icosphere, _top(icosphere, 0))["labels"] != before).any()  # the page is alive meanwhile
    tab.noted("Refined")
    tab.wait(lambda: tab.value("Answered by") == TRAINED)
    tab.after(lambda: tab.set("History", "Undo"))
    page = next(iter(studio.pages.values()))
    assert isinstance(page.session.answers.segmenter, BallSegmenter) and not bar["visible"]
    assert any(
        "one answer" in held.get("content", "") for held in tab.controls.values() if held["type"] == "GuiHtmlMessage"
    )


def test_a_failing_training_shows_its_message_and_the_page_goes_on(tab, icosphere, studio, monkeypatch):
    _fake_training(studio, monkeypatch, "import sys; print('error: no SAM checkpoint here; do this'); sys.exit(2)")
    tab.press("Start refining")
    assert "no SAM checkpoint here; do this" in tab.noted("Refining failed")
    assert (_click(tab, icosphere, _top(icosphere))["labels"] == SELECTED).any()
    commands = []
    monkeypatch.setattr(
        "utils.viewer.files_panel.pipeline_command",
        lambda *values: commands.append(values[-1]) or [sys.executable, "-c", "pass"],
    )
    tab.set("Start over", True)
    tab.press("Start refining")
    tab.noted("the training left no decoder")
    assert commands == [("--overwrite", "1")]


def test_training_can_be_cancelled(tab, icosphere, studio, monkeypatch):
    _fake_training(studio, monkeypatch, _TRAINS.replace("{}", "time.sleep(60)"))
    tab.press("Start refining")
    bar = next(held for held in tab.controls.values() if held["type"] == "GuiProgressBarMessage")
    tab.wait(lambda: bar["value"] > 60)
    started = time.monotonic()
    tab.press("Cancel")
    tab.noted("cancelled")
    assert time.monotonic() - started < 8 and not studio._refinements


def test_real_progress_bars_are_read():
    """The stages' bars show only on a terminal, so the process gets one."""
    seen = []
    body = (
        "import time\nfrom tqdm import tqdm\nprint('== decoder training', flush=True)\n"
        "for _ in tqdm(range(20), disable=None, mininterval=0): time.sleep(0.01)"
    )
    running = Refinement([sys.executable, "-c", body], lambda: seen.append(running.progress))
    assert running.wait(30) == "done" and len([value for value in seen if 0.45 < value < 0.97]) > 5


def test_progress_never_goes_back():
    seen = []
    body = "\n".join(
        [
            "for stage in ('views and feature field', 'click supervision'):",
            "    print('== ' + stage)",
            "    for done in (100, 20, 70): print(f'{done}%|#|', flush=True)",
        ]
    )
    running = Refinement([sys.executable, "-c", body], lambda: seen.append(running.progress))
    assert running.wait(20) == "done" and seen == sorted(seen) and seen[-1] == 1.0
    assert STAGES["views and feature field"][1] in seen


# --- command line ---------------------------------------------------------------------------------


def _arguments(*more: str):
    return interactive.build_parser().parse_args(["--obj_path", "nothing.obj", *more])


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
        interactive.start(_arguments("--out_dir", str(tmp_path), *more))
    assert "\n" not in str(error.value)


def test_a_named_decoder_that_does_not_fit_is_refused_and_a_found_one_is_passed_over(icosphere, tmp_path, monkeypatch):
    from tests.published import random_release

    mesh = _write_obj(icosphere, tmp_path / "ball.obj")
    (tmp_path / "other").mkdir()
    random_release(tmp_path / "other", 99)
    monkeypatch.chdir(tmp_path)
    named = ["--obj_path", str(tmp_path / "ball.obj"), "--out_dir", str(tmp_path / "out"), "--device", "cpu"]
    arguments = interactive.build_parser().parse_args(
        [*named, "--encoder_f_path", "other/pred_f.pth", "--save_dir", "other"]
    )
    with pytest.raises(UserError, match="99 vertices"):
        interactive.Segmenters(arguments, OutputFolder(tmp_path / "out")).open(mesh)

    folder = tmp_path / "experiments" / "ball"
    for name in ("encoder", "decoder"):
        (folder / name).mkdir(parents=True)
    features, checkpoint, _, _ = random_release(tmp_path, mesh.num_vertices)
    features.rename(folder / "encoder" / "pred_f.pth")
    checkpoint.rename(folder / "decoder" / "decoder_checkpoint.pth")
    plain = interactive.build_parser().parse_args(named)
    opened = interactive.Segmenters(plain, OutputFolder(tmp_path / "out")).open(mesh)
    assert opened.note.kind == "trained" and opened.label == "decoder trained on this mesh"
    (tmp_path / "other" / "pred_f.pth").replace(folder / "encoder" / "pred_f.pth")
    monkeypatch.setattr(interactive.Segmenters, "_prior", lambda *_: _open(mesh))
    assert interactive.Segmenters(plain, OutputFolder(tmp_path / "out")).open(mesh).note.kind == "prior"


def test_instant_answers_open_by_command_and_are_offered_where_their_weights_are(icosphere, tmp_path, monkeypatch):
    mesh = _write_obj(icosphere, tmp_path / "ball.obj")
    monkeypatch.chdir(tmp_path)
    weights = tmp_path / "weights.pt"
    monkeypatch.setattr("models.iseg3d.segmenter.WEIGHTS", weights)
    arguments = interactive.build_parser().parse_args(
        ["--obj_path", "ball.obj", "--segmenter", "instant", "--device", "cpu"]
    )
    segmenters = interactive.Segmenters(arguments, OutputFolder(tmp_path / "out"))
    assert segmenters.kinds(mesh) == ["prior"]
    with pytest.raises(UserError, match="weights.pt") as error:
        segmenters.open(mesh)
    assert "\n" not in str(error.value)
    save_weights(weights)
    opened = segmenters.open(mesh)
    assert (
        segmenters.kinds(mesh) == ["prior", "instant"]
        and opened.note.kind == "instant"
        and opened.note.checkpoint == str(weights)
    )
    assert opened.answers.identity == opened.note.digest and opened.answers.learns
    assert opened.answers.ask(_clicks(_top(mesh))).probability.shape == (162,)
    save_weights(weights, seed=1)
    assert segmenters.open_kind(mesh, "instant").note.digest != opened.note.digest
    with pytest.raises(UserError, match="no decoder trained"):
        segmenters.open_kind(mesh, "trained")


def test_the_published_flags_are_there():
    flags = interactive.build_parser().parse_args(["--obj_path", "x"])
    for name in ("encoder_f_path", "save_dir", "model_name", "base_color", "seg_color", "pos_color", "neg_color"):
        assert hasattr(flags, name)
    assert flags.host == "127.0.0.1"
