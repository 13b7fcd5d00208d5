"""Sheets of a teacher's masks on rendered meshes, to be looked at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from SAM_repo.evaluation.meshes import ShapeViews, ask, iou
from utils.files import atomic_path
from utils.teacher import Teacher

ROWS = 7  # overlays on a sheet
SIDE = 256  # of a tile, pixels
CAPTION = 20  # pixels
GAP = 8
MASK_COLORS = ((31, 119, 180), (44, 160, 44), (255, 127, 14), (148, 103, 189))  # three masks, then two clicks
TRUTH_COLOR = (200, 30, 30)


@dataclass(frozen=True, eq=False)
class Overlay:
    """One click: the image with the wanted part outlined, and the masks. tiles: caption -> (SIDE, SIDE, 3) uint8."""

    title: str
    tiles: dict[str, np.ndarray]


def overlays_of(
    teacher: Teacher, views: ShapeViews, view: int, clicks: np.ndarray, title: str, labelled: bool = True
) -> list[Overlay]:
    """An overlay for each of the clicks (P, 2) xy in one view; without labels there is no part to outline and no second click."""
    labels = views.labels[0, view]
    truth = np.stack([labels == labels[y, x] for x, y in clicks])
    answers = ask(
        teacher,
        teacher.embed(views.images[view : view + 1])[0],
        clicks,
        truth,
        torch.Generator().manual_seed(0),
        corrections=int(labelled),
    )
    image, box = views.images[view].numpy(), _box_around(labels >= 0)
    result = []
    for index, (x, y) in enumerate(clicks.tolist()):
        wanted = truth[index] if labelled else None
        dots = [(x + 0.5, y + 0.5, True)]
        tiles = {
            "click" + (", wanted part" if labelled else ""): _tile(
                _tinted(image, wanted, TRUTH_COLOR, wanted), box, dots
            )
        }
        for k in range(3):
            mask = answers.masks[index, k]
            note = f"IoU {iou(mask, wanted):.2f}, " if labelled else ""
            tiles[f"mask {k}: {note}predicted {answers.scores[index, k]:.2f}"] = _tile(
                _tinted(image, mask, MASK_COLORS[k], wanted), box, dots
            )
        if labelled:
            xy, label = answers.corrections[0]
            second = answers.more[0][index]
            dots = [*dots, (*(xy[index] + 0.5).tolist(), bool(label[index]))]
            tiles[f"two clicks: IoU {iou(second, wanted):.2f}"] = _tile(
                _tinted(image, second, MASK_COLORS[3], wanted), box, dots
            )
        result.append(Overlay(title, tiles))
    return result


def _box_around(covered: np.ndarray) -> tuple[int, int, int]:
    """Left, top and side of a square that holds the object with a margin; it may reach beyond the image."""
    rows, columns = np.nonzero(covered)
    side = int(1.1 * (max(np.ptp(rows), np.ptp(columns)) + 1)) + 2
    return (columns.min() + columns.max() + 1 - side) // 2, (rows.min() + rows.max() + 1 - side) // 2, side


def _tile(picture: np.ndarray, box: tuple[int, int, int], dots: list[tuple[float, float, bool]]) -> np.ndarray:
    """The square of a picture at `SIDE` pixels with its clicks: discs, green with a plus or red with a minus."""
    left, top, side = box
    image = Image.new("RGB", (side, side), "white")
    image.paste(Image.fromarray(picture), (-int(left), -int(top)))
    image = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for x, y, positive in dots:
        x, y = (x - left) * SIDE / side, (y - top) * SIDE / side
        draw.ellipse((x - 5, y - 5, x + 5, y + 5), fill=(20, 150, 60) if positive else (220, 40, 40), outline="white")
        draw.line((x - 2, y, x + 2, y), fill="white")
        if positive:
            draw.line((x, y - 2, x, y + 2), fill="white")
    return np.asarray(image)


def _tinted(
    image: np.ndarray, mask: np.ndarray | None, color: tuple[int, int, int], outline: np.ndarray | None
) -> np.ndarray:
    """The image with a mask coloured and the wanted part's border drawn on top."""
    picture = image.astype(np.float64) * 0.7 + 76
    if mask is not None:
        picture[mask] = 0.45 * picture[mask] + 0.55 * np.array(color)
    if outline is not None:
        inner = outline.copy()
        inner[1:] &= outline[:-1]
        inner[:-1] &= outline[1:]
        inner[:, 1:] &= outline[:, :-1]
        inner[:, :-1] &= outline[:, 1:]
        picture[outline & ~inner] = TRUTH_COLOR
    return picture.clip(0, 255).astype(np.uint8)


def save_sheets(folder: Path, sheets: dict[str, list[Overlay]]) -> list[Path]:
    """Write `<name>_<k>.png`, `ROWS` overlays each, and return the paths."""
    paths = []
    for name, overlays in sheets.items():
        for page, start in enumerate(range(0, len(overlays), ROWS), 1):
            paths.append(folder / f"{name}_{page}.png")
            with atomic_path(paths[-1]) as temporary:
                sheet(overlays[start : start + ROWS], start + 1).save(temporary, format="PNG")
    return paths


def sheet(overlays: list[Overlay], first: int = 1) -> Image.Image:
    """A row of tiles with captions for each overlay, numbered from `first`."""
    most = max(len(overlay.tiles) for overlay in overlays)
    height = SIDE + 2 * CAPTION + GAP
    canvas = Image.new("RGB", (most * (SIDE + GAP) + GAP, len(overlays) * height), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(13)
    for index, overlay in enumerate(overlays):
        top = index * height
        draw.text((GAP, top + 2), f"{first + index}. {overlay.title}", fill="black", font=font)
        for place, (caption, tile) in enumerate(overlay.tiles.items()):
            left = GAP + place * (SIDE + GAP)
            canvas.paste(Image.fromarray(tile), (left, top + CAPTION))
            draw.text((left + 2, top + CAPTION + SIDE + 2), caption, fill="#555555", font=font)
    return canvas
