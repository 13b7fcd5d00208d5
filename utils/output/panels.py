"""Sheets in the look of the papers: meshes with a blue selection and spheres for clicks, words under each panel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes

from utils.clicks import Clicks
from utils.geometry.mesh import Mesh
from utils.output.canvas import INK, QUIET_INK, Canvas
from utils.output.colors import PALETTE, Palette
from utils.output.export import probability_colors
from utils.output.painter import Dot, Frame, MeshPainter, telling_angles
from utils.rendering.cameras import orbit_cameras
from utils.rendering.rasterize import Rasterizer, visible_vertices

Angle = tuple[float, float]  # elevation and azimuth of a view, degrees
SPHERE_SHARE = 0.032  # radius of a click's sphere, of the side of a panel


@dataclass(frozen=True, eq=False)
class Panel:
    """A picture (H, W, 3) in [0, 1] and the words under it, a line each; empty lines are left out."""

    image: np.ndarray
    label: str = ""


@dataclass(frozen=True, eq=False)
class Chart:
    """A diagram among the panels: `draw` fills its axes; width in panels."""

    draw: Callable[[Axes], None]
    label: str = ""
    width: float = 1.0


@dataclass(frozen=True, eq=False)
class Sheet:
    """Rows of panels and charts, each with words above it, for one figure. side: of a panel, pixels."""

    rows: Sequence[tuple[str, Sequence[Panel | Chart]]]
    title: str = ""
    side: int = 260
    note: str = field(default="", kw_only=True)


class MeshPictures:
    """Draws answers on one mesh from any angle; several pictures share the scene."""

    def __init__(self, mesh: Mesh, palette: Palette = PALETTE) -> None:
        self.mesh, self.palette = mesh, palette

    @cached_property
    def rasterizer(self) -> Rasterizer:
        return Rasterizer(self.mesh, "embree")

    @cached_property
    def _painter(self) -> MeshPainter:
        return MeshPainter(self.rasterizer)

    def angles(self, clicks: Clicks, probability: np.ndarray, count: int = 1) -> list[Angle]:
        """The `count` views that show the clicks and what is selected best (`telling_angles`)."""
        elevation, azimuth = telling_angles(self.rasterizer, clicks, probability, count)
        return list(zip(elevation.rad2deg().tolist(), azimuth.rad2deg().tolist()))

    def hidden_angle(self, clicks: Clicks, probability: np.ndarray) -> Angle:
        """A view that shows much of what is selected and none of the clicks; if there is none, the best that does."""
        elevation, azimuth = (
            grid.flatten()
            for grid in torch.meshgrid(torch.tensor([-15.0, 5.0, 25.0]), torch.arange(0, 360, 15.0), indexing="ij")
        )
        cameras = orbit_cameras(elevation.deg2rad(), azimuth.deg2rad(), size=(128, 128))
        seen = visible_vertices(self.mesh, cameras, self.rasterizer(cameras)).cpu()
        selected = torch.from_numpy(np.asarray(probability) > 0.5)
        share = seen[:, selected].float().mean(1) if selected.any() else seen.float().mean(1)
        best = int((share - 10.0 * seen[:, clicks.vertices].any(1)).argmax())
        return float(elevation[best]), float(azimuth[best])

    def sees(self, angle: Angle, clicks: Clicks) -> bool:
        """Whether a view shows all clicks."""
        elevation, azimuth = (torch.tensor([float(value)]).deg2rad() for value in angle)
        cameras = orbit_cameras(elevation, azimuth)
        return bool(visible_vertices(self.mesh, cameras, self.rasterizer(cameras), clicks.vertices).all())

    def picture(
        self, angle: Angle, probability: np.ndarray | None = None, clicks: Clicks | None = None, side: int = 260
    ) -> np.ndarray:
        """(H, W, 3), at most `side` in either way: vertices coloured by probability (V,), spheres at visible clicks."""
        frame = self._frame(angle, side)
        values = np.zeros(self.mesh.num_vertices) if probability is None else np.asarray(probability, dtype=np.float64)
        colors = probability_colors(values, self.palette.base, self.palette.selected)
        return self._with_spheres(frame, clicks, side, colors=colors)

    def face_picture(
        self, angle: Angle, colors: np.ndarray, side: int = 260, clicks: Clicks | None = None
    ) -> np.ndarray:
        """As `picture`, with a colour for each face, (F, 3) in [0, 1]."""
        return self._with_spheres(self._frame(angle, side), clicks, side, face_colors=colors)

    def _with_spheres(self, frame: Frame, clicks: Clicks | None, side: int, **colors: np.ndarray) -> np.ndarray:
        images, dots = self._painter.tiles(frame, clicks or Clicks.from_lists(), **colors)
        return with_spheres(images[0], dots[0], self.palette, SPHERE_SHARE * side)

    def _frame(self, angle: Angle, side: int) -> Frame:
        """One view that fills a square of `side` pixels in one direction."""
        elevation, azimuth = (torch.tensor([float(value)]).deg2rad() for value in angle)
        frame = Frame.around(self.mesh, elevation, azimuth, area=side * side)
        shrink = side / (1 + max(frame.width, frame.height))
        return Frame.around(self.mesh, elevation, azimuth, area=side * side * shrink**2)


def with_spheres(image: np.ndarray, dots: Iterable[Dot], palette: Palette, radius: float) -> np.ndarray:
    """The picture (H, W, 3) with a lit sphere of `radius` pixels at every dot, green to include, red to exclude."""
    image = np.array(image, dtype=np.float32)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    for left, top, positive in dots:
        u, v = (x - left) / radius, (y - top) / radius
        away = np.hypot(u, v)
        cover = np.clip((1 - away) * radius + 0.5, 0, 1)[..., None]
        height = np.sqrt(np.clip(1 - away**2, 0, 1))
        light = np.clip(0.45 + 0.55 * (-0.4 * u - 0.5 * v + 0.77 * height), 0, 1)
        shine = np.clip(-0.4 * u - 0.5 * v + 0.77 * height, 0, 1)[..., None] ** 24
        color = np.array(palette.positive if positive else palette.negative, dtype=np.float32) * light[..., None]
        image = (1 - cover) * image + cover * np.clip(color + 0.5 * shine, 0, 1)
    return image.astype(np.float32)


def save_sheet(paths: Sequence[Path], sheet: Sheet) -> None:
    """Write a sheet to each path, as its name ends (.png, .pdf): rows below each other, words under the panels."""
    gap, head, line = 18, 30, 17
    side = sheet.side
    top = 46 if sheet.title else 10
    heights = [_row_height(cells, side) for _, cells in sheet.rows]
    lines = [max((len(_lines(cell.label)) for cell in cells), default=0) for _, cells in sheet.rows]
    widths = [sum(_width(cell, side) + gap for cell in cells) for _, cells in sheet.rows]
    total = top + sum(
        height + line * count + gap + (head if words else 0)
        for height, count, (words, _) in zip(heights, lines, sheet.rows)
    )
    notes = _lines(sheet.note)
    longest = max((len(text) for text in (*notes, *(words for words, _ in sheet.rows))), default=0)
    canvas = Canvas(gap + max([*widths, 12 * len(sheet.title), 8 * longest, 200]), total + 8 + line * len(notes))
    if sheet.title:
        canvas.text(gap, 24, sheet.title, size=18, align="left", weight="bold")
    for (words, cells), height, count in zip(sheet.rows, heights, lines):
        if words:
            canvas.text(gap, top + head / 2, words, size=14, align="left", color=INK)
            top += head
        left = gap
        for cell in cells:
            _place(canvas, cell, left, top, height, side)
            middle = left + _width(cell, side) / 2
            for index, text in enumerate(_lines(cell.label)):
                color = QUIET_INK if index else INK
                canvas.text(middle, top + height + line * (index + 0.6), text, size=12, color=color)
            left += _width(cell, side) + gap
        top += height + line * count + gap
    for index, text in enumerate(notes):
        canvas.text(gap, top + line * (index + 0.5), text, size=12, align="left", color=QUIET_INK)
    for path in paths:
        canvas.save(path)


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line]


def _width(cell: Panel | Chart, side: int) -> int:
    return round(side * cell.width) if isinstance(cell, Chart) else side


def _row_height(cells: Sequence[Panel | Chart], side: int) -> int:
    """Of the highest panel; a chart is nearly as high as a panel is wide."""
    return max((cell.image.shape[0] if isinstance(cell, Panel) else round(0.85 * side) for cell in cells), default=0)


def _place(canvas: Canvas, cell: Panel | Chart, left: float, top: float, height: int, side: int) -> None:
    if isinstance(cell, Panel):
        rows, columns = cell.image.shape[:2]
        canvas.tile(left + (side - columns) // 2, top + (height - rows) // 2, cell.image)
        return
    across, below = 52, 42  # for the words beside the axes
    cell.draw(canvas.chart(left + across, top + 6, _width(cell, side) - across - 6, height - below - 6))
