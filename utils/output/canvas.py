"""A sheet of paper for pictures: tiles, the dots of clicks, and words, placed by pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from utils.clicks import Clicks
from utils.files import atomic_path
from utils.output.colors import PALETTE, Palette
from utils.output.painter import Dot

DPI = 100
INK = "#222222"
QUIET_INK = "#777777"


class Canvas:
    """A white picture in pixel coordinates, origin at the top left, on which tiles, dots and words are put."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = int(width), int(height)
        self._figure = Figure(figsize=(self.width / DPI, self.height / DPI), dpi=DPI, facecolor="white")
        self._canvas = FigureCanvasAgg(self._figure)
        self._axes = self._figure.add_axes((0, 0, 1, 1))
        self._axes.set_axis_off()
        self._axes.set(xlim=(0, self.width), ylim=(self.height, 0))
        self._pixels = np.ones((self.height, self.width, 3), dtype=np.float32)

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
        color = palette.positive if positive else palette.negative
        self._axes.add_patch(
            Circle((x, y), radius, facecolor=color, edgecolor="white", linewidth=0.16 * radius, zorder=3)
        )
        arm, line = 0.5 * radius, {"color": "white", "linewidth": 0.2 * radius, "solid_capstyle": "butt"}
        self._axes.plot([x - arm, x + arm], [y, y], zorder=4, **line)
        if positive:
            self._axes.plot([x, x], [y - arm, y + arm], zorder=4, **line)

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
        style = {"color": color, "rotation": rotation, "weight": weight, "ha": align, "va": "center", "zorder": 5}
        item = self._axes.text(x, y, words, fontsize=size * 72 / DPI, **style)
        return float(item.get_window_extent(self._canvas.get_renderer()).x1)

    def rule(self, left: float, y: float, right: float) -> None:
        """A thin horizontal line."""
        self._axes.plot([left, right], [y, y], color="#dddddd", linewidth=0.8, zorder=2)

    def chart(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes of a diagram that fill a place on the sheet, pixels."""
        box = (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        axes = self._figure.add_axes(box)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        axes.tick_params(labelsize=9, colors=QUIET_INK)
        return axes

    def save(self, path: str | Path) -> None:
        """Write the picture as its name ends: .png, or .pdf, in which words and diagrams stay vectors."""
        pixels = np.rint(255 * self._pixels.clip(0, 1)).astype(np.uint8)
        self._figure.figimage(pixels, zorder=-1)  # pixel by pixel under everything else; an image in axes is resampled
        with atomic_path(path) as temporary, rc_context({"pdf.fonttype": 42}):  # letters stay letters
            self._figure.savefig(temporary, dpi=DPI, format=Path(path).suffix[1:].lower() or "png")
