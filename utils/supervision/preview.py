"""A contact sheet of click supervision, to look at: image, mask and clicks of random samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from skimage.util import montage

from utils.files import atomic_path
from utils.rendering.rasterize import Rasterizer
from utils.rendering.view_pool import ViewSettings, render_views
from utils.supervision.store import KINDS, SupervisionSet

MASK_COLOR = (51, 102, 204)
INCLUDE_COLOR, EXCLUDE_COLOR = (0, 160, 0), (220, 0, 0)
CAPTION_HEIGHT = 12


def save_preview(
    path: Path,
    samples: SupervisionSet,
    rasterizer: Rasterizer,
    render: ViewSettings,
    generator: torch.Generator,
    count: int = 24,
    columns: int = 6,
) -> None:
    """Draw `count` random samples, equally many of each kind there is, as a PNG sheet.

    render: how the views were rendered for the teacher (its colours).
    """
    tiles = [_tile(samples, rasterizer, render, sample) for sample in _draw_samples(samples, count, generator)]
    rows = -(-len(tiles) // columns)
    sheet = montage(np.stack(tiles), fill=(255, 255, 255), grid_shape=(rows, columns), channel_axis=-1)
    with atomic_path(path) as temporary:
        Image.fromarray(sheet).save(temporary)


def _draw_samples(samples: SupervisionSet, count: int, generator: torch.Generator) -> list[int]:
    members = [(samples.kind == kind).nonzero()[:, 0] for kind in range(len(KINDS))]
    members = [member for member in members if len(member)]
    share = max(1, count // max(1, len(members)))
    return [int(i) for member in members for i in member[torch.randperm(len(member), generator=generator)[:share]]]


def _tile(samples: SupervisionSet, rasterizer: Rasterizer, render: ViewSettings, sample: int) -> np.ndarray:
    """(H + caption, W, 3) uint8: one sample."""
    camera = samples.cameras[int(samples.view[sample])]
    image = render_views(rasterizer, camera, render)[0].cpu().numpy().astype(np.float32)
    mask = samples.masks([sample])[0].numpy()
    image[mask] = 0.5 * image[mask] + 0.5 * np.array(MASK_COLOR, dtype=np.float32)
    height, width = mask.shape
    canvas = Image.new("RGB", (width, height + CAPTION_HEIGHT), (255, 255, 255))
    canvas.paste(Image.fromarray(image.astype(np.uint8)), (0, 0))
    draw = ImageDraw.Draw(canvas)
    clicks = samples.clicks(sample)
    points = torch.from_numpy(rasterizer.mesh.normalized)[clicks.vertices]
    for (x, y), include in zip(camera.project(points)[0][0].tolist(), clicks.positive.tolist()):
        color = INCLUDE_COLOR if include else EXCLUDE_COLOR
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=color, outline=(255, 255, 255))
    score = float(samples.score[sample])
    draw.text((2, height), f"{clicks.label()} view {int(samples.view[sample])} score {score:.2f}", fill=(0, 0, 0))
    return np.asarray(canvas)
