"""Pictures of results: a query from all sides, several queries on one sheet, masks side by side."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from utils.clicks import Clicks
from utils.geometry.symmetry import mirror_planes, standing
from utils.output.canvas import QUIET_INK, Canvas
from utils.output.colors import PALETTE, Palette
from utils.output.export import probability_colors
from utils.output.painter import GRID_AZIMUTHS, GRID_ELEVATIONS, Frame, MeshPainter, grid_angles, telling_angles
from utils.rendering.rasterize import Rasterizer

MIN_LEGEND = 560  # pixels that the clicks and the note of a query need


@dataclass(frozen=True, eq=False)
class QueryPicture:
    """One query to draw.

    probability  (V,) float in [0, 1]
    clicks       what was asked
    note         a few words under the title
    """

    probability: np.ndarray
    clicks: Clicks
    note: str = ""


def save_render_views(
    path: str | Path,
    rasterizer: Rasterizer,
    probability: np.ndarray,
    clicks: Clicks,
    palette: Palette = PALETTE,
    cell: int = 224,
) -> None:
    """Write the published picture of a query: the mesh coloured by probability (V,) in a grid of 30 views.

    Rows are elevations, columns azimuths (`GRID_ELEVATIONS`, `GRID_AZIMUTHS`); clicks are drawn where they are visible.
    """
    painter = MeshPainter(rasterizer)
    frame = Frame.around(rasterizer.mesh, *grid_angles(), area=cell * cell)
    images, dots = painter.tiles(frame, clicks, probability_colors(probability, palette.base, palette.selected))
    rows, columns = len(GRID_ELEVATIONS), len(GRID_AZIMUTHS)
    left, top, gap = 40, 74, 14
    step_x, step_y = frame.width + gap, frame.height + gap
    canvas = Canvas(left + columns * step_x, top + rows * step_y)
    canvas.legend(left, 4, clicks, palette, size=17)
    for column, degrees in enumerate(GRID_AZIMUTHS):
        middle = left + column * step_x + 0.5 * frame.width
        canvas.text(middle, top - 18, f"azimuth {degrees}°", color=QUIET_INK, size=12)
    for row, degrees in enumerate(GRID_ELEVATIONS):
        middle = top + row * step_y + 0.5 * frame.height
        canvas.text(0.5 * left, middle, f"elevation {degrees}°", color=QUIET_INK, size=12, rotation=90)
        for column in range(columns):
            view = row * columns + column
            canvas.tile(left + column * step_x, top + row * step_y, images[view], dots[view], palette)
    canvas.save(path)


def save_contact_sheet(
    path: str | Path,
    rasterizer: Rasterizer,
    queries: Sequence[QueryPicture],
    title: str = "",
    views: int = 3,
    palette: Palette = PALETTE,
    tile_area: int = 440 * 440,
) -> None:
    """Write one picture of several queries of a mesh, `views` well-chosen views each, below or beside each other."""
    if not queries:
        raise ValueError("a contact sheet needs at least one query")
    painter = MeshPainter(rasterizer)
    angles = [telling_angles(rasterizer, query.clicks, query.probability, views) for query in queries]
    # One frame for all rows, so that they can be compared.
    elevation, azimuth = (torch.cat(angle) for angle in zip(*angles))
    frame = Frame.around(rasterizer.mesh, elevation, azimuth, tile_area)
    gap, head, pad = 28, 56, 28
    title_height = 60 if title else 8
    block_width = max(views * frame.width + (views - 1) * gap, MIN_LEGEND)
    block_height = frame.height + head + gap
    columns = _columns(len(queries), block_width + 2 * pad, block_height)
    canvas = Canvas(columns * (block_width + 2 * pad), title_height + -(-len(queries) // columns) * block_height)
    if title:
        canvas.text(pad, 0.5 * title_height + 2, title, size=24, align="left", weight="bold")
    for index, query in enumerate(queries):
        row, column = divmod(index, columns)
        left, top = pad + column * (block_width + 2 * pad), title_height + row * block_height
        if row or title:
            canvas.rule(left, top, left + block_width)
        canvas.legend(left, top + 8, query.clicks, palette, size=18, note=query.note)
        part = frame[index * views : (index + 1) * views]
        colors = probability_colors(query.probability, palette.base, palette.selected)
        for place, (image, dots) in enumerate(zip(*painter.tiles(part, query.clicks, colors))):
            canvas.tile(left + place * (frame.width + gap), top + head, image, dots, palette)
    canvas.save(path)


PART_ANGLES = ((25, 35), (25, 125), (25, 215), (25, 305))  # degrees of elevation and azimuth
WORDS_SHOWN = 24


def save_parts_picture(
    path: str | Path, rasterizer: Rasterizer, face_colors: np.ndarray, colors: np.ndarray, words: Sequence[str]
) -> None:
    """Write one picture of a mesh in parts from four sides: face_colors (F, 3), and a legend of colours (P, 3).

    The first is from the front, where the mesh has one by its symmetry.
    """
    tiles = _from_sides(rasterizer, face_colors, PART_ANGLES, area=420 * 420)
    height, width = tiles[0].shape[:2]
    gap, line = 20, 24
    columns = max(1, (4 * (width + gap)) // 150)
    shown = list(zip(colors, words))[:WORDS_SHOWN]
    rows = -(-len(shown) // columns)
    canvas = Canvas(4 * (width + gap) + gap, height + 3 * gap + rows * line)
    for place, tile in enumerate(tiles):
        canvas.tile(gap + place * (width + gap), gap, tile)
    for place, (color, text) in enumerate(shown):
        left, top = gap + 150 * (place % columns), height + 2 * gap + line * (place // columns)
        canvas.tile(left, top, np.broadcast_to(np.asarray(color, dtype=np.float32), (14, 14, 3)))
        canvas.text(left + 22, top + 7, text, size=14, align="left")
    canvas.save(path)


def save_parts_sheet(
    path: str | Path, drawn: Iterable[tuple[str, Rasterizer, np.ndarray]], columns: int = 4, side: int = 150
) -> None:
    """Write one picture of many meshes in parts, each from the front and from behind.

    drawn: of each mesh a line of words, and face_colors (F, 3); `columns` of them go beside each other
    """
    cells = [(words, _from_sides(mesh, colors, PART_ANGLES[::2], side * side)) for words, mesh, colors in drawn]
    if not cells:
        raise ValueError("a sheet needs at least one mesh")
    gap, line = 12, 24
    columns = min(columns, len(cells))
    rows = [cells[first : first + columns] for first in range(0, len(cells), columns)]
    width = max(2 * tiles[0].shape[1] for _, tiles in cells) + gap
    heights = [max(tiles[0].shape[0] for _, tiles in row) + line + gap for row in rows]
    canvas = Canvas(columns * width + gap, sum(heights) + gap)
    for row, top in zip(rows, gap + np.cumsum([0, *heights[:-1]])):
        for place, (words, tiles) in enumerate(row):
            left = gap + place * width
            canvas.text(left, top + 8, words, size=13, align="left")
            for number, tile in enumerate(tiles):
                canvas.tile(left + number * tile.shape[1], top + line, tile)
    canvas.save(path)


def _from_sides(
    rasterizer: Rasterizer, face_colors: np.ndarray, angles: Sequence[tuple[int, int]], area: int
) -> list[np.ndarray]:
    """Tiles of a mesh from angles of elevation and azimuth in degrees, from its front where its symmetry shows one."""
    elevation, azimuth = torch.tensor(angles, dtype=torch.float32).deg2rad().T
    stands = standing(mirror_planes(rasterizer.mesh), 1)
    if stands is not None:
        azimuth = azimuth + math.atan2(stands[2, 2], stands[0, 2])
    frame = Frame.around(rasterizer.mesh, elevation, azimuth, area=area)
    return frame.crop(MeshPainter(rasterizer).images(frame.cameras, face_colors=face_colors))


def _columns(count: int, width: int, height: int, aspect: float = 1.5) -> int:
    """How many of `count` blocks go beside each other: a sheet about `aspect` times as wide as high, with few gaps."""

    def flaw(columns: int) -> float:
        rows = -(-count // columns)
        return abs(math.log(columns * width / (rows * height) / aspect)) + 4 * (1 - count / (rows * columns))

    return min(range(1, count + 1), key=flaw)


def save_mask_comparison(
    path: str | Path, images: np.ndarray, masks: Mapping[str, Sequence[Sequence[np.ndarray]]]
) -> None:
    """Write masks side by side: a row an image, the image itself first, then a column per entry of `masks`.

    images  (N, H, W, 3) uint8
    masks   column title -> for each image a sequence of (H, W) bool masks, which may overlap (smaller ones on top)
    """
    images = np.asarray(images)
    count, height, width = images.shape[:3]
    for title, column in masks.items():
        if len(column) != count:
            raise ValueError(f"'{title}' has masks for {len(column)} images, not {count}")
    scale = max(1, round(360 / width))
    height, width = scale * height, scale * width
    gap, head = 12, 40
    titles = ["image", *masks]
    canvas = Canvas(len(titles) * (width + gap) + gap, head + count * (height + gap))
    for column, title in enumerate(titles):
        canvas.text(gap + column * (width + gap) + 0.5 * width, 0.5 * head, title, size=14)
        for row in range(count):
            image = images[row].astype(np.float32) / 255
            if column:
                image = overlay_masks(image, masks[title][row])
            image = image.repeat(scale, axis=0).repeat(scale, axis=1)
            left, top = gap + column * (width + gap), head + row * (height + gap)
            canvas.tile(left, top, image)
            if column:
                words = f"{len(masks[title][row])} masks"
                canvas.text(left + 8, top + 12, words, size=11, align="left", color=QUIET_INK)
    canvas.save(path)


def overlay_masks(image: np.ndarray, masks: Sequence[np.ndarray], opacity: float = 0.6) -> np.ndarray:
    """The image (H, W, 3) in [0, 1] with each mask (H, W) in a colour of its own, large ones first, outlined."""
    from scipy.ndimage import binary_erosion

    result = np.array(image, dtype=np.float32)
    light = image.mean(axis=2, keepdims=True)
    for rank, index in enumerate(sorted(range(len(masks)), key=lambda i: -np.count_nonzero(masks[i]))):
        mask = np.asarray(masks[index], dtype=bool)
        color = _distinct_color(rank)
        result[mask] = ((1 - opacity) * light + opacity * color * (0.4 + 0.6 * light))[mask]
        result[mask & ~binary_erosion(mask)] = 0.6 * color
    return result


def _distinct_color(rank: int) -> np.ndarray:
    """RGB of the rank-th hue; neighbours are a golden-ratio turn apart."""
    hue = (0.58 + rank * 0.61803398875) % 1.0
    red, green, blue = abs(hue * 6 - 3) - 1, 2 - abs(hue * 6 - 2), 2 - abs(hue * 6 - 4)
    return 0.15 + 0.8 * np.clip([red, green, blue], 0, 1)
