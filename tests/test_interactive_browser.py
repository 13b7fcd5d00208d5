"""The page in a real browser: headless Chromium with software WebGL, driven by Playwright.

`bash scripts/install_browser.sh` sets it up. Left out of the fast tests: a software WebGL occupies a core for minutes.
"""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from tests.sessions import CandidateSegmenter, LearningSegmenter, write_obj
from tests.trainings import fail
from utils.geometry.mesh import Mesh, load_mesh
from utils.progress import Progress, silent
from utils.segmenter import Segmenter
from utils.viewer.folder import OutputFolder
from utils.viewer.server import Server
from utils.viewer.studio import Studio
from utils.viewer.workspace import Models, Settings

CHROMIUM = (
    os.environ.get("ISEG_CHROMIUM")
    or shutil.which("chromium")
    or shutil.which("chromium-browser")
    or shutil.which("google-chrome")
)
FLAGS = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox"]
WAIT = 90_000  # milliseconds; a loaded machine is slow at this

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is not installed (bash scripts/install_browser.sh)"
    )
    if not CHROMIUM:
        pytest.skip("no Chromium here (bash scripts/install_browser.sh, or ISEG_CHROMIUM=/path)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, server):
    """A function that opens the page in a window of its own, with a storage of its own."""
    contexts = []

    def open_window() -> Window:
        contexts.append(browser.new_context(viewport={"width": 900, "height": 640}))
        return Window(contexts[-1], server.port)

    yield open_window
    for context in contexts:
        context.close()


@pytest.fixture
def server(two_boxes, tmp_path):
    mesh = write_obj(two_boxes, tmp_path / "mallet.obj")

    def answer(mesh: Mesh, kind: str | None, on_progress: Progress = silent) -> Segmenter:
        return LearningSegmenter(mesh, 0.5, identity="1") if kind == "instant" else CandidateSegmenter(mesh, 0.8)

    models = Models(answer, lambda mesh: ("prior", "instant"), fail, lambda mesh, _: answer(mesh, None))
    server = Server(Studio(Settings(mesh.path, OutputFolder(tmp_path / "out"), mesh_first=False), models), port=0)
    yield server
    server.stop()


class Window:
    """A tab of the real browser."""

    def __init__(self, context, port: int) -> None:
        self.page = context.new_page()
        self.page.set_default_timeout(WAIT)
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(f"http://127.0.0.1:{port}")
        self.page.wait_for_function("window.iseg && window.iseg.painted")

    def count(self) -> int:
        return self.page.evaluate("window.iseg.painted.count")

    def after(self, action) -> None:
        """Do something and wait for the colours to change."""
        before = self.count()
        action()
        self.page.wait_for_function(f"window.iseg.painted.count > {before}")

    def labels(self) -> np.ndarray:
        return np.array(self.page.evaluate("Array.from(window.iseg.shape.labels)"))

    def click(self, vertex: int, key: str | None = None) -> None:
        self.page.mouse.move(*self.page.evaluate(f"window.iseg.where({vertex})"))
        if key:
            self.page.keyboard.down(key)
        self.after(lambda: self.page.mouse.down() or self.page.mouse.up())
        if key:
            self.page.keyboard.up(key)

    def pixel(self, vertex: int, right: int = 0, down: int = 0) -> np.ndarray:
        """(3,) what is drawn near a vertex; beside the ball of its click."""
        import io

        from PIL import Image

        self.page.wait_for_timeout(1500)
        x, y = self.page.evaluate(f"window.iseg.where({vertex})")
        image = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        return np.array(image.getpixel((round(x) + right, round(y) + down)), dtype=int)

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).first.click()

    def tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=name, exact=True).click()


def _visible_vertices(server: Studio) -> tuple[int, int]:
    """A vertex in the middle of the head's front and one in the middle of the handle's, towards the first camera."""
    from utils.viewer.scene import VIEWS
    from utils.viewer.workspace import LoadedMesh

    loaded = LoadedMesh(load_mesh(server.studio.settings.mesh_path))
    points, eye = loaded.mesh.normalized, loaded.stands(loaded.up) @ VIEWS["Slant"]
    half = len(points) // 2
    toward = points @ (eye / np.linalg.norm(eye))
    handle_part = np.flatnonzero((np.arange(len(points)) < half) & (points[:, 1] < points[:half, 1].mean() - 0.2))
    head = half + int((toward[half:] - 0.8 * np.abs(points[half:, 0] - 0.3)).argmax())
    return head, int(handle_part[toward[handle_part].argmax()])


def test_select_correct_undo_keep_export_and_reload(opened, server, tmp_path):
    window = opened()
    head, handle = _visible_vertices(server)
    grey = window.pixel(head, right=14)

    window.click(head)
    selected = window.labels()
    assert (selected == 1).any()
    blue = window.pixel(head, right=14)
    assert blue[2] - blue[0] > 60 and abs(grey[2] - grey[0]) < 25, f"{grey} became {blue}"
    ball = window.pixel(head)
    assert ball[1] > ball[0] + 30 and ball[1] > ball[2] + 30, f"no green ball: {ball}"

    window.page.mouse.move(*window.page.evaluate(f"window.iseg.where({handle})"))
    under = "(document.getElementById('iseg-hover') || {}).textContent"
    window.page.wait_for_function(f"({under} || '').startsWith('vertex {handle}')")

    window.click(handle, key="Control")
    corrected = window.labels()
    assert (corrected == 1).sum() < (selected == 1).sum()
    window.after(lambda: window.press("Undo"))
    assert (window.labels() == selected).all()
    window.after(lambda: window.press("Redo"))
    assert (window.labels() == corrected).all()

    window.after(lambda: window.page.keyboard.press("]"))
    assert (window.labels() == 1).sum() > (corrected == 1).sum()
    window.after(lambda: window.page.keyboard.press("["))

    window.after(lambda: window.press("Keep selection as part (K)"))
    kept = window.labels()
    assert (kept == 2).sum() == (corrected == 1).sum() and not (kept == 1).any()

    window.tab("Files")
    window.press("GLB")
    window.page.get_by_text("Written: parts.glb").wait_for()
    assert (tmp_path / "out" / "mallet" / "parts.glb").read_bytes()[:4] == b"glTF"
    window.press("Save session")
    window.page.get_by_text("Written: session.session.json").wait_for()

    window.page.reload()  # the work of a tab outlives its page
    window.page.wait_for_function("window.iseg && window.iseg.painted")
    assert (window.labels() == kept).all()

    window.page.goto("about:blank")
    other = opened()
    assert (other.labels() == 0).all()
    other.tab("Files")
    other.after(lambda: other.press("Reopen"))
    assert (other.labels() == kept).all() and window.errors == other.errors == []


def test_a_brush_stroke_paints_instead_of_turning_the_view(opened, server):
    window = opened()
    head, _ = _visible_vertices(server)
    before = window.page.evaluate(f"window.iseg.where({head})")
    window.press("Add")
    window.page.wait_for_function("window.iseg.brush === 'add'")
    x, y = before
    window.page.mouse.move(x, y)

    def stroke() -> None:
        window.page.mouse.down()
        for step in range(1, 6):
            window.page.mouse.move(x + 5 * step, y + step)
        window.page.mouse.up()

    window.after(stroke)
    window.page.wait_for_timeout(2000)
    assert (window.labels() == 1).sum() >= 2 and not window.errors
    assert window.page.evaluate(f"window.iseg.where({head})") == pytest.approx(before, abs=0.5)
    window.press("Undo")
    window.page.wait_for_function("!window.iseg.shape.labels.includes(1)")


def test_instant_answers_are_chosen_and_learn(opened, server):
    window = opened()
    head, handle = _visible_vertices(server)
    window.click(head)
    prior = window.labels()
    learn = window.page.get_by_role("button", name="Learn from my negative clicks")
    assert learn.count() == 0 or not learn.is_visible()
    window.page.get_by_label("Answered by").click()
    window.after(lambda: window.page.get_by_role("option", name="Instant (iSeg3D)").click())
    instant = window.labels()
    assert (instant != prior).any()
    learn.click()
    window.page.get_by_text("one that excludes").wait_for()
    window.click(handle, key="Control")
    before = window.labels()
    window.after(learn.click)
    window.page.get_by_text("Learnt 1 time.").wait_for()
    assert (window.labels() == 1).sum() < (before == 1).sum()
    window.after(lambda: window.press("Undo"))
    assert (window.labels() == before).all() and window.errors == []


def test_parts_are_hidden_locked_and_named_in_their_list_and_a_preview_comes_before_a_click(opened, server):
    window = opened()
    page, (head, _) = window.page, _visible_vertices(server)
    page.mouse.move(*page.evaluate(f"window.iseg.where({head})"))
    page.wait_for_function("window.iseg.previewed > 0")
    preview = page.evaluate("Array.from(window.iseg.shape.labels).map((_, f) => window.iseg.shape.preview(f))")
    window.click(head)
    assert ((window.labels() == 1) == np.array(preview, dtype=bool)).all()
    window.after(lambda: page.keyboard.press("k"))
    window.tab("Parts")
    window.after(lambda: page.locator("[data-iseg-do=eye]").first.click())
    assert (window.labels() == 255).any()
    window.after(lambda: page.locator("[data-iseg-do=eye]").first.click())
    name = page.locator("input[data-iseg-do=name]").first
    name.fill("head / <top>")
    name.blur()
    page.wait_for_function("window.iseg.names.includes('head / <top>')")
    assert window.errors == []


def test_escape_help_ring_and_marks_are_seen(opened, server):
    window = opened()
    page, (head, _) = window.page, _visible_vertices(server)
    page.wait_for_function("document.querySelectorAll('button[data-iseg-on]').length >= 3")
    page.keyboard.press("b")
    page.wait_for_function("window.iseg.brush === 'add'")
    page.mouse.move(*page.evaluate(f"window.iseg.where({head})"))
    page.wait_for_function("(document.getElementById('iseg-ring') || {style: {}}).style.display === 'block'")
    page.keyboard.press("?")
    page.get_by_text("undo, redo").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.wait_for_function("window.iseg.brush === ''")
    assert window.errors == []


def test_a_border_is_drawn_across_triangles(opened, server):
    """A pixel is blue where the probability is above a half, also in a triangle that is not selected."""
    window = opened()
    page, (head, _) = window.page, _visible_vertices(server)
    window.click(head)
    drawn = page.evaluate("window.iseg.shape.borders.faces.length")
    crossed = """() => { const { side } = window.iseg.shape.mesh.geometry.attributes, ends = [0, 1, 2];
        const split = (f) => new Set(ends.map((i) => side.array[3 * f + i] > 0)).size > 1;
        return Array.from(window.iseg.shape.borders.faces).filter(split).length; }"""
    assert 0 < page.evaluate(crossed) <= drawn and window.errors == []
    assert page.evaluate("!!window.iseg.shape.mesh.material.onBeforeCompile.name")


def test_the_wheel_goes_to_what_is_under_the_cursor_and_stops_there(opened, server):
    window = opened()
    page, (head, _) = window.page, _visible_vertices(server)
    at = page.evaluate(f"window.iseg.where({head})")
    page.mouse.move(*at)
    for _ in range(6):
        page.mouse.wheel(0, -240)
    page.wait_for_timeout(2000)
    assert page.evaluate("window.__viserMutable.cameraControl.distance") < 1.5
    nearer = page.evaluate(f"window.iseg.where({head})")
    assert np.linalg.norm(np.subtract(nearer, at)) < 15
    for _ in range(60):
        page.mouse.wheel(0, -240)
    page.wait_for_timeout(2000)
    assert page.evaluate("window.__viserMutable.cameraControl.distance") >= 0.029 and window.errors == []


def test_a_dropped_mesh_opens(opened, server):
    window = opened()
    content = server.studio.settings.mesh_path.read_text()
    drop = """(text) => {
        const carried = new DataTransfer();
        carried.items.add(new File([text], "dropped.obj"));
        window.dispatchEvent(new DragEvent("drop", { dataTransfer: carried, cancelable: true, bubbles: true }));
    }"""
    window.after(lambda: window.page.evaluate(drop, content))
    window.page.get_by_text("dropped.obj").first.wait_for()
    assert window.errors == []


def test_a_lost_connection_is_said_in_words(opened, server):
    window = opened()
    server.stop()
    window.page.get_by_text("Disconnected, reconnecting").wait_for()
    assert window.errors == []
