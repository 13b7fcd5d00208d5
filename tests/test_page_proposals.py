"""Proposals and the ladder of answers on the page, through viser's own messages."""

from __future__ import annotations

import base64
from collections.abc import Callable

import numpy as np
import pytest
import trimesh

from tests.sessions import ProposingSegmenter, Quarters, peak, write_obj
from tests.trainings import fail
from tests.viser_client import Tab
from utils.geometry.mesh import Mesh
from utils.progress import Progress
from utils.segmenter import Segmenter
from utils.viewer.folder import OutputFolder
from utils.viewer.page import Page
from utils.viewer.scene import FIRST_PART, REST, SELECTED
from utils.viewer.server import Server
from utils.viewer.studio import Studio
from utils.viewer.workspace import Models, Settings

_sphere = trimesh.creation.icosphere(subdivisions=2)
BALL = Mesh(np.asarray(_sphere.vertices), np.asarray(_sphere.faces))
QUARTERS = Quarters(BALL).quarter
FOUR = 4 * BALL.normalized[BALL.faces].mean(axis=1)  # outside, on the way to the middle of each face


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    write_obj(BALL, folder / "ball.obj")

    def answer(mesh: Mesh, kind: str | None, on_progress: Progress) -> Segmenter:
        return ProposingSegmenter(mesh, identity="1")

    settings = Settings(folder / "ball.obj", OutputFolder(folder / "out"), mesh_first=False, release_wait=0.2)
    models = Models(answer, lambda mesh: ("prior",), fail, lambda mesh, _: answer(mesh, None, lambda step: None))
    server = Server(Studio(settings, models), port=0)
    yield server
    server.stop()


@pytest.fixture
def tab(server):
    tab = Tab(server.port)
    tab.painted(1)
    yield tab
    tab.close()


@pytest.fixture
def page(tab, server) -> Page:
    return list(server.pages.values())[-1]


def _click(tab: Tab, quarter: int, key: str | None = None) -> np.ndarray:
    """Click a face deep in a quarter of the ball."""
    middle = FOUR[quarter == QUARTERS].mean(axis=0)
    face = int(np.flatnonzero(quarter == QUARTERS)[np.linalg.norm(FOUR[quarter == QUARTERS] - middle, axis=1).argmin()])
    return tab.after(lambda: tab.click(FOUR[face], -FOUR[face], key))["labels"]


def _set(tab: Tab, label: str, value: object) -> np.ndarray:
    tab.settle()
    return tab.after(lambda: tab.set(label, value))["labels"]


def _propose(tab: Tab) -> np.ndarray:
    tab.settle()
    return tab.after(lambda: tab.key("Propose parts"))["labels"]


def test_proposals_are_coloured_and_follow_the_slider(tab):
    assert len(set(_propose(tab))) == 2
    labels = _set(tab, "Detail", 1.0)
    assert all(len(set(labels[quarter == QUARTERS])) == 1 for quarter in range(4)) and len(set(labels)) == 4
    update = tab.painted(1)
    assert update["names"][FIRST_PART:] == ["proposed"] * 4 and len(set(map(tuple, update["palette"]))) == 6
    assert len(set(_set(tab, "Detail", 0.0))) == 1
    assert (_set(tab, "History", "Undo") != REST).all()
    assert (_set(tab, "History", "Undo") == REST).all()


def test_a_click_keeps_a_proposal_and_leaves_the_others(tab, page):
    before = _propose(tab)
    after = _click(tab, 0)
    assert page.session.state.parts[0].name == "part 1" and not page.session.state.clicks
    assert ((after == FIRST_PART) == (before == before[QUARTERS == 0][0])).all() and set(after) == {2, 4}
    assert (_set(tab, "Proposals", "Keep all") >= FIRST_PART).all() and len(page.session.state.parts) == 2
    tab.wait(lambda: not tab.controls[tab.control("Detail")]["visible"])


def test_two_proposals_are_merged_by_ctrl_and_one_is_split_by_shift(tab, page):
    _propose(tab)
    assert len(set(_click(tab, 0, "shift"))) == 3
    tab.wait(lambda: "Ctrl-click two" in tab.texts())
    _click(tab, 0, "cmd/ctrl")
    tab.wait(lambda: "merge with the dark one" in tab.texts())
    assert len(set(_click(tab, 2, "cmd/ctrl"))) == 2
    assert page.view.marked is None
    _click(tab, 0, "cmd/ctrl")
    _click(tab, 0, "cmd/ctrl")  # the same: leave it
    assert page.view.marked is None and len(page.session.state.proposals.parts) == 2


def test_a_selected_proposal_is_corrected_by_clicks_and_kept(tab, page):
    proposed = _propose(tab)
    tab.set("A click on one", "Selects it")
    labels = _click(tab, 0)
    chosen = proposed == proposed[QUARTERS == 0][0]
    assert ((labels == SELECTED) == chosen).all()
    tab.wait(lambda: "Clicks correct the selection now" in tab.texts())
    assert (_click(tab, 1, "shift") == SELECTED).sum() < chosen.sum() and len(page.session.state.clicks) == 2
    _set(tab, "History", "Undo")
    assert ((tab.after(lambda: tab.key("Keep selection as part"))["labels"] == FIRST_PART) == chosen).all()


def test_resting_on_a_proposal_shows_what_a_click_keeps(tab):
    labels = _propose(tab)
    tab.settle()
    shape = [arguments[0] for function, arguments in tab.calls if function == "setShape"][-1]
    tab.tell({"type": "hover", "vertex": 0, "face": 7, "flipped": False, "shape": shape})

    def shown() -> list[str]:
        return [arguments[1] for function, arguments in tab.calls if function == "setPreview"]

    tab.wait(shown)
    bits = np.unpackbits(np.frombuffer(base64.b64decode(shown()[-1]), dtype=np.uint8), count=len(labels))
    assert (bits.astype(bool) == (labels == labels[7])).all()


def test_parts_alike_are_selected_by_a_button(tab):
    _propose(tab)
    _set(tab, "Detail", 1.0)
    tab.set("A click on one", "Selects it")
    assert set(_click(tab, 3)[QUARTERS != 3]) != {SELECTED}
    tab.settle()
    assert (tab.after(lambda: tab.press("Select alike"))["labels"] == SELECTED).all()


def test_keys_walk_through_the_answers_and_the_row_says_which_holds(tab):
    def step(by: int) -> Callable[[], None]:
        return lambda: tab.tell({"type": "step", "by": by})

    up = peak(BALL)
    point = BALL.vertices[up] * 0.99 + BALL.vertices[peak(BALL, 2)] * 0.005
    default = tab.after(lambda: tab.click(3 * point, -point))["labels"]
    tab.wait(lambda: "2 of 5 (default) · match 80 %" in tab.texts())
    sizes = [(tab.after(step(1))["labels"] == SELECTED).sum() for _ in range(3)]
    assert (default == SELECTED).sum() < sizes[0] < sizes[-1] and sizes == sorted(sizes)
    tab.wait(lambda: "5 of 5 · match 40 %" in tab.texts())
    step(1)()
    tab.noted("the largest answer")
    chosen = tab.after(lambda: tab.tell({"type": "part", "part": -1, "do": "rung"}))["labels"]
    assert (chosen == SELECTED).sum() < (default == SELECTED).sum()
    step(-1)()
    tab.noted("the smallest answer")
    tab.settle()
    assert ((_set(tab, "History", "Undo") == SELECTED).sum()) == sizes[-1]


def test_what_is_proposed_is_there_after_a_reload(tab, server):
    _propose(tab)
    labels = _click(tab, 2)
    tab.settle()
    tab.close()
    again = Tab(server.port, token=tab.token)
    assert (again.painted(1)["labels"] == labels).all()
    again.close()


def test_the_border_of_a_selection_is_sent_where_the_probability_crosses(tab, page):
    up = peak(BALL)
    point = BALL.vertices[up] * 0.99 + BALL.vertices[peak(BALL, 2)] * 0.005
    update = tab.after(lambda: tab.click(3 * point, -point))
    texts = {name: base64.b64decode(text) for name, text in update["borders"].items()}
    faces, side = np.frombuffer(texts["faces"], dtype=np.uint32), np.frombuffer(texts["side"], dtype=np.int8)
    selection, own = page.session.selection, np.frombuffer(texts["own"], dtype=np.uint8)
    inside = (side.reshape(-1, 3) > 0) == (own == SELECTED)[:, None]
    assert len(faces) > 10 and set(own) <= {REST, SELECTED}
    assert (inside == (selection.probability > selection.threshold)[BALL.faces[faces]]).mean() > 0.99
    tab.set("Show probabilities", True)
    tab.wait(lambda: tab.painted(1)["borders"] is None)  # what the click changed may be painted once more before


def test_dark_colours_follow_the_system_and_the_buttons(tab, server):
    def marked(name: str) -> bool:
        return any(function == "setMarks" and name in arguments[0] for function, arguments in tab.calls)

    assert not marked("Dark")
    tab.set("Page", "Dark")
    tab.wait(lambda: marked("Dark"))
    dark = Tab(server.port, script=False)
    dark.wait(lambda: [function for function, _ in dark.calls if function == "hello"])
    dark.tell({"type": "hello", "token": "x", "key": "", "dark": True})
    dark.painted(1)
    assert list(server.pages.values())[-1].view.dark
    dark.close()


def test_the_colours_of_a_file_are_shown_under_those_of_the_parts(tab):
    def bases() -> list[str]:
        return [arguments[1] for function, arguments in tab.calls if function == "setBase"]

    colored = "v 0 0 0 1 0 0\nv 1 0 0 0 1 0\nv 0 1 0 0 0 1\nv 0 0 1 1 1 1\nf 1 2 3\nf 1 2 4\nf 2 3 4\nf 1 3 4\n"
    assert set(bases()) == {""} and not tab.controls[tab.control("Colours of the file")]["visible"]
    tab.upload("Open a file ...", "colored.obj", colored.encode())
    found = tab.wait(lambda: next((text for text in bases() if text), ""))
    assert (
        np.frombuffer(base64.b64decode(found), dtype=np.uint8).reshape(4, 3, 3)[0].tolist()
        == (255 * np.eye(3)).tolist()
    )
    tab.wait(lambda: tab.controls[tab.control("Colours of the file")]["visible"])
    tab.settle()
    tab.set("Colours of the file", False)
    tab.wait(lambda: bases()[-1] == "")


def test_parts_are_exported_with_the_borders_that_are_seen(tab, server, page):
    _propose(tab)
    _set(tab, "Proposals", "Keep all")
    tab.set("Smooth borders", True)
    tab.set("Close parts", True)
    tab.settle()
    tab.set("Shape", "GLB")
    tab.noted("Written: parts.glb")
    written = trimesh.load(page.studio.settings.output.path("ball", "parts", suffix=".glb")).geometry
    assert len(written) == 2
    for piece in written.values():
        assert trimesh.Trimesh(piece.vertices, piece.faces, process=True).is_watertight
