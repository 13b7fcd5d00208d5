"""Sheets of a teacher's masks on rendered meshes, to be looked at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.ndimage import binary_erosion

from SAM_repo.evaluation.clicks import ShapeViews, ask
from utils.files import atomic_path
from utils.selection import iou
from utils.teacher import Teacher

ROWS = 7  # overlays on a sheet
SIDE = 2.6  # of a tile, inches
MASK_COLORS = ((31, 119, 180), (44, 160, 44), (255, 127, 14), (148, 103, 189))  # three masks, then two clicks
TRUTH_COLOR = (200, 30, 30)


@dataclass(frozen=True, eq=False)
class Tile:
    """picture (H, W, 3) uint8; clicks: x, y in pixels, and whether positive."""

    picture: np.ndarray
    clicks: list[tuple[float, float, bool]]


@dataclass(frozen=True, eq=False)
class Overlay:
    """One click on one view: captioned pictures, and what of them is shown: left, top and side of a square, pixels."""

    title: str
    box: tuple[float, float, float]
    tiles: dict[str, Tile]


def overlay_of(
    teacher: Teacher, views: ShapeViews, view: int, click: np.ndarray, title: str, labelled: bool = True
) -> Overlay:
    """What a click (1, 2) xy in one view gives; without labels there is no part to outline and no second click."""
    labels, image, (x, y) = views.labels[0, view], views.images[view].numpy(), click[0].tolist()
    truth = labels == labels[y, x]
    embedding = teacher.embed(views.images[view : view + 1])[0]
    first, *more = ask(teacher, embedding, click, truth[None], torch.Generator().manual_seed(0), rounds=1 + labelled)
    wanted, dots = truth if labelled else None, [(x + 0.5, y + 0.5, True)]
    tiles = {"click, wanted part" if labelled else "click": Tile(_tinted(image, wanted, TRUTH_COLOR, wanted), dots)}
    for k, mask in enumerate(first.masks[0].numpy()):
        note = "" if wanted is None else f"IoU {iou(mask, wanted):.2f}, "
        caption = f"mask {k}: {note}predicted {first.scores[0, k]:.2f}"
        tiles[caption] = Tile(_tinted(image, mask, MASK_COLORS[k], wanted), dots)
    for turn in more:
        mask, (x, y) = turn.masks[0, 0].numpy(), (turn.points[0, 0, -1] + 0.5).tolist()
        dots = [*dots, (x, y, bool(turn.labels[0, 0, -1]))]
        tiles[f"two clicks: IoU {iou(mask, truth):.2f}"] = Tile(_tinted(image, mask, MASK_COLORS[3], truth), dots)
    return Overlay(title, _box_around(labels >= 0), tiles)


def _box_around(covered: np.ndarray) -> tuple[float, float, float]:
    """A square that holds the object with a margin; it may reach beyond the image."""
    rows, columns = np.nonzero(covered)
    side = 1.1 * (max(np.ptp(rows), np.ptp(columns)) + 1) + 2
    return (columns.min() + columns.max() + 1 - side) / 2, (rows.min() + rows.max() + 1 - side) / 2, side


def _tinted(
    image: np.ndarray, mask: np.ndarray | None, color: tuple[int, int, int], outline: np.ndarray | None
) -> np.ndarray:
    """The image with a mask coloured and the wanted part's border drawn on top."""
    picture = image.astype(np.float64) * 0.7 + 76
    if mask is not None:
        picture[mask] = 0.45 * picture[mask] + 0.55 * np.array(color)
    if outline is not None:
        inner = np.asarray(binary_erosion(outline, border_value=1), dtype=bool)
        picture[outline & ~inner] = TRUTH_COLOR
    return picture.clip(0, 255).astype(np.uint8)


def save_sheets(folder: Path, sheets: dict[str, list[Overlay]], rows: int = ROWS) -> list[Path]:
    """Write `<name>_<k>.png`, `rows` overlays each, and return the paths."""
    paths = []
    for name, overlays in sheets.items():
        for start in range(0, len(overlays), rows):
            paths.append(folder / f"{name}_{start // rows + 1}.png")
            with atomic_path(paths[-1]) as temporary:
                _sheet(overlays[start : start + rows], start + 1).savefig(temporary, format="png")
    return paths


def _sheet(overlays: list[Overlay], first: int) -> Figure:
    """A row of captioned tiles for each overlay, numbered from `first`; clicks are green plusses and red crosses."""
    most = max(len(overlay.tiles) for overlay in overlays)
    figure = Figure(figsize=(most * SIDE, len(overlays) * (SIDE + 0.4)), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(overlays), most, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for number, (overlay, row) in enumerate(zip(overlays, grid), first):
        left, top, side = overlay.box
        heading = f"{number}. {overlay.title}\n"
        for axes, (caption, tile) in zip(row, overlay.tiles.items()):
            height, width = tile.picture.shape[:2]
            axes.imshow(tile.picture, extent=(0, width, height, 0), interpolation="bicubic")
            axes.set(xlim=(left, left + side), ylim=(top + side, top))
            for x, y, positive in tile.clicks:
                marker, color = ("P", "#14963c") if positive else ("X", "#dc2828")
                axes.plot(x, y, marker, color=color, markersize=8, markeredgecolor="white", markeredgewidth=0.8)
            axes.set_title(heading + caption, fontsize=8, loc="left")
            heading = ""
    return figure
