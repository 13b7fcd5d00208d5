"""A sheet of paper for pictures: tiles, the dots of clicks, and words, placed by pixels.

Words are set by Pillow; matplotlib, whose start takes as long as thirty views, comes in for diagrams and PDF alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from utils.clicks import Clicks
from utils.files import atomic_path
from utils.output.colors import PALETTE, Palette
from utils.output.painter import Dot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DPI = 100
INK = "#222222"
QUIET_INK = "#777777"
RULE_INK = 0.87  # grey
RING, ARM, STROKE = 0.11, 0.5, 0.14  # of a dot's radius: half of its white ring, half of the sign and of its line


class Canvas:
    """A white picture in pixel coordinates, origin at the top left, on which tiles, dots and words are put."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = int(width), int(height)
        self._pixels = np.ones((self.height, self.width, 3), dtype=np.float32)
        self._dots: list[_Dot] = []
        self._words: list[_Words] = []
        self._charts = None

    def tile(
        self, left: float, top: float, image: np.ndarray, dots: Sequence[Dot] = (), palette: Palette = PALETTE
    ) -> None:
        """Put an image (H, W, 3) in [0, 1] with its click dots."""
        left, top = int(left), int(top)
        self._pixels[top : top + image.shape[0], left : left + image.shape[1]] = image
        radius = max(5.0, 0.016 * math.sqrt(image.shape[0] * image.shape[1]))
        for x, y, positive in dots:
            self.dot(left + x, top + y, positive, palette, radius)

    def dot(self, x: float, y: float, positive: bool, palette: Palette, radius: float) -> None:
        """A click: a disc with a plus or a minus, so that it is told apart without colours too."""
        self._dots.append(_Dot(x, y, positive, palette.positive if positive else palette.negative, radius))

    def legend(self, left: float, top: float, clicks: Clicks, palette: Palette, size: float, note: str = "") -> None:
        """A line with every click as a dot and its vertex id, then the note."""
        x, y, radius = left + 0.6 * size, top + 1.2 * size, 0.6 * size
        shown = clicks.pairs
        for vertex, positive in shown[:8]:
            self.dot(x, y, positive, palette, radius)
            x = self.text(x + 1.6 * radius, y, str(vertex), size=size, align="left") + 2.2 * radius
        if len(shown) > 8:
            x = self.text(x, y, f"and {len(shown) - 8} more", size=size, align="left", color=QUIET_INK) + 2 * radius
        if note:
            self.text(x + radius, y, note, size=0.8 * size, align="left", color=QUIET_INK)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        size: float,
        align: str = "center",
        color: str = INK,
        rotation: float = 0,
        weight: str = "normal",
    ) -> float:
        """Words centred vertically at y; `size` is in pixels. Returns where they end."""
        line = _Words(x, y, words.replace("\n", " "), size, align, color, rotation, weight)  # names of files hold any
        self._words.append(line)
        return x + line.length * {"left": 1.0, "center": 0.5, "right": 0.0}[align]

    def rule(self, left: float, y: float, right: float) -> None:
        """A thin horizontal line."""
        self._pixels[int(y), int(left) : int(right)] = RULE_INK

    def chart(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes of a diagram that fill a place on the sheet, pixels."""
        if self._charts is None:
            self._charts = self._figure()
        box = (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        axes = self._charts.add_axes(box)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        axes.tick_params(labelsize=9, colors=QUIET_INK)
        return axes

    def save(self, path: str | Path) -> None:
        """Write the picture as its name ends: .png, or .pdf, in which words and diagrams stay vectors."""
        ending = Path(path).suffix[1:].lower() or "png"
        pixels = self._pixels.copy()
        for dot in self._dots:
            dot.paint(pixels)
        picture = Image.fromarray(np.rint(255 * pixels.clip(0, 1)).astype(np.uint8))
        if ending == "png":
            for words in self._words:
                words.paint(picture)
        with atomic_path(path) as temporary:
            if ending == "png" and self._charts is None:
                picture.save(temporary, format="png", compress_level=3)
            else:
                self._save_figure(temporary, ending, np.asarray(picture))

    def _figure(self):
        from matplotlib.figure import Figure

        return Figure(figsize=(self.width / DPI, self.height / DPI), dpi=DPI, facecolor="white")

    def _save_figure(self, path: Path, ending: str, pixels: np.ndarray) -> None:
        """Diagrams over the pixels, pixel by pixel: an image in axes is resampled; and words that stay words."""
        from matplotlib import rc_context

        figure = self._charts or self._figure()
        under = figure.figimage(pixels, zorder=-1)
        lines = [] if ending == "png" else [words.write(figure, self.width, self.height) for words in self._words]
        with rc_context({"pdf.fonttype": 42}):  # letters stay letters
            figure.savefig(path, dpi=DPI, format=ending)
        for item in (under, *lines):
            item.remove()


@dataclass(frozen=True)
class _Dot:
    """A click's disc: middle and radius, pixels; RGB in [0, 1]."""

    x: float
    y: float
    positive: bool
    color: tuple[float, float, float]
    radius: float

    def paint(self, pixels: np.ndarray) -> None:
        """Into (H, W, 3); a pixel is covered as far as it is within an edge."""
        reach = self.radius * (1 + RING) + 1
        rows, columns = (
            slice(max(0, math.floor(middle - reach)), max(0, math.ceil(middle + reach))) for middle in (self.y, self.x)
        )
        place = pixels[rows, columns]
        down, right = np.mgrid[rows.start : rows.start + place.shape[0], columns.start : columns.start + place.shape[1]]
        down, right = np.abs(down + 0.5 - self.y), np.abs(right + 0.5 - self.x)
        away = np.hypot(down, right)

        def put(inside: np.ndarray, color: float | np.ndarray) -> None:
            cover = np.clip(inside + 0.5, 0, 1)[..., None]
            place[:] = (1 - cover) * place + cover * color

        put(self.radius * (1 + RING) - away, 1.0)
        put(self.radius * (1 - RING) - away, np.array(self.color))
        put(self.radius * np.minimum(ARM - right / self.radius, STROKE - down / self.radius), 1.0)
        if self.positive:
            put(self.radius * np.minimum(ARM - down / self.radius, STROKE - right / self.radius), 1.0)


@dataclass(frozen=True)
class _Words:
    """A line of text, as `Canvas.text` takes it."""

    x: float
    y: float
    words: str
    size: float
    align: str
    color: str
    rotation: float
    weight: str

    @property
    def length(self) -> float:
        """Pixels, unturned."""
        return _font(self.weight, self.size).getlength(self.words)

    def paint(self, picture: Image.Image) -> None:
        font = _font(self.weight, self.size)
        left, top, right, bottom = font.getbbox(self.words, anchor="lm")
        mask = Image.new("L", (math.ceil(right - min(left, 0)) + 2, 2 * math.ceil(max(-top, bottom)) + 2))
        ImageDraw.Draw(mask).text((1 - min(left, 0), mask.height / 2), self.words, fill=255, font=font, anchor="lm")
        mask = mask.rotate(self.rotation, expand=True) if self.rotation else mask
        across = {"left": -1.0, "center": -mask.width / 2, "right": 1.0 - mask.width}[self.align]
        place = round(self.x + across), round(self.y - mask.height / 2)
        picture.paste(Image.new("RGB", mask.size, ImageColor.getrgb(self.color)), place, mask)

    def write(self, figure, width: int, height: int):
        """As text of a matplotlib figure of so many pixels."""
        style = {
            "color": self.color,
            "rotation": self.rotation,
            "weight": self.weight,
            "fontsize": self.size * 72 / DPI,
        }
        return figure.text(self.x / width, 1 - self.y / height, self.words, ha=self.align, va="center", **style)


@cache
def _font(weight: str, size: float) -> ImageFont.FreeTypeFont:
    """The letters that matplotlib brings and sets its own words in."""
    package = find_spec("matplotlib")
    folder = Path(next(iter(package.submodule_search_locations or ()))) if package else Path()
    name = "DejaVuSans-Bold.ttf" if weight == "bold" else "DejaVuSans.ttf"
    return ImageFont.truetype(folder / "mpl-data" / "fonts" / "ttf" / name, size)
