"""Record the README's moving picture from the real page: click, correct, keep, export.

Needs a browser: `bash scripts/install_browser.sh`.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from utils.errors import UserError, run_cli
from utils.files import atomic_path
from utils.geometry.mesh import load_mesh
from utils.options import Checked, option, parse_settings

ROOT = Path(__file__).resolve().parents[1]
FLAGS = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox"]
WAIT = 300_000  # milliseconds; software WebGL is slow


@dataclass(frozen=True, kw_only=True)
class RecordingSettings(Checked):
    """What is clicked, and where the picture goes."""

    obj_path: Path = option(ROOT / "meshes" / "camel.obj", "the mesh", metavar="FILE", group="recording")
    include: int = option(1426, "vertex of the first click", metavar="ID")
    exclude: int = option(1173, "vertex that the correction takes out", metavar="ID")
    out: Path = option(ROOT / "docs" / "page.gif", "the picture", metavar="GIF")
    width: int = option(760, "of the picture, pixels")


@contextmanager
def page_of(mesh: Path, folder: Path) -> Iterator[str]:
    """The address of interactive.py in a process of its own."""
    command = [
        sys.executable,
        "interactive.py",
        "--obj_path",
        str(mesh.resolve()),
        "--out_dir",
        str(folder),
        "--port",
        "8123",
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("open "):
                yield line.split()[1]
                return
        raise UserError("the page did not start; see above")
    finally:
        process.terminate()
        process.wait()


class Recorder:
    """Takes frames of a browser tab with the pointer and a caption drawn in."""

    def __init__(self, tab, width: int) -> None:
        self.tab, self.width = tab, width
        self.frames: list[Image.Image] = []
        self.milliseconds: list[int] = []
        self.pointer = (450.0, 560.0)
        self._seen: Image.Image | None = None

    def frame(self, caption: str, milliseconds: int, again: bool = False) -> None:
        """Add what the tab shows now, or (`again`) what it showed before, with the pointer elsewhere."""
        if self._seen is None or not again:
            self._seen = Image.open(io.BytesIO(self.tab.screenshot())).convert("RGB")
        image = self._seen.copy()
        draw = ImageDraw.Draw(image)
        x, y = self.pointer
        arrow = [(0, 0), (0, 22), (6, 17), (10, 26), (14, 24), (10, 15), (17, 15)]
        draw.polygon([(x + dx, y + dy) for dx, dy in arrow], fill="white", outline="black")
        font = ImageFont.load_default(size=24)
        draw.rounded_rectangle(
            (16, image.height - 56, 32 + draw.textlength(caption, font) + 16, image.height - 14), 8, fill="#2a66db"
        )
        draw.text((32, image.height - 49), caption, fill="white", font=font)
        height = round(self.width * image.height / image.width)
        self.frames.append(image.resize((self.width, height), Image.Resampling.LANCZOS))
        self.milliseconds.append(milliseconds)

    def move(self, caption: str, to: tuple[float, float], steps: int = 4) -> None:
        """Let the pointer travel."""
        (x, y), (left, top) = self.pointer, to
        for step in range(1, steps + 1):
            self.pointer = (x + (left - x) * step / steps, y + (top - y) * step / steps)
            self.frame(caption, 90, again=True)
        self.tab.mouse.move(*to)

    def after(self, action: Callable[[], object]) -> None:
        """Do something, and wait until the colours have changed and are drawn."""
        before = self.tab.evaluate("window.iseg.painted.count")
        action()
        self.tab.wait_for_function(f"window.iseg.painted.count > {before}")
        self.tab.wait_for_timeout(1500)

    def save(self, path: Path) -> None:
        """Write the frames as one GIF with one palette."""
        stills = [frame for frame, shown in zip(self.frames, self.milliseconds) if shown > 500]
        sheet = Image.new("RGB", (self.width, sum(frame.height for frame in stills)))
        for place, frame in enumerate(stills):
            sheet.paste(frame, (0, place * frame.height))
        palette = sheet.quantize(192, method=Image.Quantize.MAXCOVERAGE)
        frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in self.frames]
        with atomic_path(path) as temporary:
            frames[0].save(
                temporary, save_all=True, append_images=frames[1:], duration=self.milliseconds, loop=0, optimize=True
            )


def record(settings: RecordingSettings, tab, address: str) -> Recorder:
    """Click, correct, keep and export in a tab of the browser."""
    tab.set_default_timeout(WAIT)
    tab.goto(address)
    tab.wait_for_function("window.iseg && window.iseg.painted")
    tab.get_by_text("prior decoder", exact=True).wait_for()  # instant answers serve before
    tab.wait_for_timeout(4000)
    for notice in tab.locator(".mantine-Notification-closeButton").all():  # of the software renderer
        notice.click()
    tab.wait_for_timeout(1500)
    recorder = Recorder(tab, settings.width)

    def at(vertex: int) -> tuple[float, float]:
        x, y = tab.evaluate(f"window.iseg.where({vertex})")
        return x, y

    def click() -> None:
        recorder.after(lambda: tab.mouse.down() or tab.mouse.up())

    recorder.frame("click the part you mean", 900)
    recorder.move("click the part you mean", at(settings.include))
    click()
    recorder.frame("click the part you mean", 1600)
    recorder.move("Ctrl-click what does not belong", at(settings.exclude))
    tab.keyboard.down("Control")
    click()
    tab.keyboard.up("Control")
    recorder.frame("Ctrl-click what does not belong", 1800)
    recorder.after(lambda: tab.keyboard.press("k"))
    recorder.frame("K keeps the part", 1500)
    tab.get_by_role("tab", name="Files", exact=True).click()
    tab.wait_for_timeout(800)
    button = tab.get_by_role("button", name="GLB", exact=True).first
    box = button.bounding_box()
    recorder.move("export it", (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2))
    button.click()
    tab.get_by_text("Written: parts.glb").wait_for()
    tab.wait_for_timeout(500)
    recorder.frame("export it", 2200)
    return recorder


def main(argv: list[str] | None = None) -> int:
    settings = parse_settings(RecordingSettings, __doc__, argv)
    try:
        from playwright.sync_api import Error, sync_playwright  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UserError("the recording needs a browser; run: bash scripts/install_browser.sh") from error
    mesh = load_mesh(settings.obj_path)
    for vertex in (settings.include, settings.exclude):
        if not 0 <= vertex < mesh.num_vertices:
            raise UserError(f"vertex {vertex} is none of the mesh: give one from 0 to {mesh.num_vertices - 1}")
    chromium = os.environ.get("ISEG_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            page_of(settings.obj_path, Path(folder)) as address,
            sync_playwright() as driver,
        ):
            browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
            tab = browser.new_context(viewport={"width": 1000, "height": 620}).new_page()
            recorder = record(settings, tab, address)
            browser.close()
    except Error as error:  # the page ended, a click hit nothing, there is no browser
        raise UserError(f"nothing was recorded: {str(error).splitlines()[0]}; see above") from error
    recorder.save(settings.out)
    print(f"picture: {settings.out} ({len(recorder.frames)} frames, {settings.out.stat().st_size / 1000:.0f} kB)")
    return 0


if __name__ == "__main__":
    run_cli(main)
