"""How well a teacher segments one view of a mesh from one click: a row of measurements for every click.

Works on any `utils.teacher.Teacher`. A shape gives a few views; in each, parts get one click at a random visible pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from SAM_repo.evaluation.image_baselines import BASELINES, ViewImage
from SAM_repo.prompting import Round, prompt_rounds
from SAM_repo.views import draw_clicks, random_cameras
from utils.geometry.mesh import Mesh
from utils.rendering.rasterize import Rasterizer
from utils.rendering.shading import shade, to_uint8
from utils.selection import iou
from utils.teacher import Teacher

MIN_PIXELS = 12  # a part with fewer visible pixels is not clicked


@dataclass(frozen=True, eq=False)
class ShapeViews:
    """B views of one shape as the pipeline renders them.

    images  (B, 224, 224, 3) uint8;  depth (B, 224, 224) float32, inf on background
    labels  (L, B, 224, 224) int64, -1 on background. Labels 0 name what is clicked and what mask 0 is measured
            against; the others are other annotators of the mesh, or other levels of a synthetic shape
    """

    images: Tensor
    depth: np.ndarray
    labels: np.ndarray


def render_labelled(mesh: Mesh, labels: np.ndarray, views: int, rng: np.random.Generator) -> ShapeViews:
    """Views from random cameras of the pipeline. labels: (L, F) int per face."""
    cameras = random_cameras(views, rng, published=True)
    raster = Rasterizer(mesh, backend="embree")(cameras)
    seen, covered = raster.face_ids.clamp_min(0).numpy(), raster.covered.numpy()
    of_pixel = np.stack([np.where(covered, of_face[seen], -1) for of_face in labels])
    return ShapeViews(to_uint8(shade(mesh, cameras, raster)), raster.depth.numpy(), of_pixel)


def click_in(region: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(1, 2) int xy: any pixel of a region (H, W) bool that is not empty."""
    rows, columns = np.nonzero(region)
    pick = rng.integers(len(rows))
    return np.array([[columns[pick], rows[pick]]])


def clicks_on_every_part(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(C, 2) int xy: one click on each label of (H, W) that shows at least `MIN_PIXELS`, at any of its pixels."""
    regions = [labels == value for value in np.unique(labels[labels >= 0])]
    clicks = [click_in(region, rng) for region in regions if region.sum() >= MIN_PIXELS]
    return np.concatenate([np.zeros((0, 2), dtype=np.int64), *clicks])


def clicks_on_some_parts(labels: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 2) int xy drawn as in the training, for shapes of very many parts; none where no part shows."""
    if (labels >= 0).sum() < MIN_PIXELS:
        return np.zeros((0, 2), dtype=np.int64)
    return draw_clicks((labels + 1).clip(0, 255), count, rng, minimum=MIN_PIXELS)


def ask(
    teacher: Teacher,
    embedding: Tensor,
    clicks: np.ndarray,
    truth: np.ndarray,
    generator: torch.Generator,
    rounds: int = 3,
) -> list[Round]:
    """`prompt_rounds` of one embedding (D, h, w): clicks (P, 2) xy by pixel index, truth (P, H, W) bool."""

    def answer(points: Tensor, labels: Tensor, previous: Tensor | None) -> tuple[Tensor, Tensor]:
        before = None if previous is None else previous[0]
        found = teacher.segment(embedding, points[0] + 0.5, labels[0], truth.shape[1:], before)
        return found.logits[None].cpu(), found.scores[None].float().cpu()

    points = torch.from_numpy(clicks).float()[None]
    return list(prompt_rounds(answer, points, torch.from_numpy(truth), generator, rounds))


def click_rows(teacher: Teacher, views: ShapeViews, clicks: list[np.ndarray], seed: int, baselines: bool) -> list[dict]:
    """A row for each click: plain numbers and lists, for JSON.

    ious: of the three masks with each of the L labellings at the click, (3, L); scores (3,); second, third: IoU of
    mask 0 after corrections; area: pixels of the part; areas: of each labelling's part (L,); sizes: of the masks (3,);
    inside: |1 in 0| / |1|, |0 in 2| / |0|; others: IoU of the other labellings' part at the click with the clicked
    part; baselines: name -> IoU for each of its parameters.
    """
    embeddings = teacher.embed(views.images)
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for view, of_view in enumerate(clicks):
        if not len(of_view):
            continue
        labels = views.labels[:, view]
        truth = np.stack([labels == labels[:, y, x][:, None, None] for x, y in of_view])  # (P, L, H, W)
        asked = ask(teacher, embeddings[view], of_view, truth[:, 0], generator)
        answers = [turn.masks.numpy() for turn in asked]
        picture = ViewImage(views.images[view].numpy(), views.depth[view])
        for index, (x, y) in enumerate(of_view.tolist()):
            masks, part = answers[0][index], truth[index, 0]
            row = {
                "view": view,
                "x": x,
                "y": y,
                "area": int(part.sum()),
                "scores": asked[0].scores[index].tolist(),
                "ious": [[iou(mask, other) for other in truth[index]] for mask in masks],
                "second": iou(answers[1][index, 0], part),
                "third": iou(answers[2][index, 0], part),
                "sizes": [int(mask.sum()) for mask in masks],
                "areas": [int(other.sum()) for other in truth[index]],
                "inside": [_share(masks[1], masks[0]), _share(masks[0], masks[2])],
                "others": [iou(part, other) for other in truth[index, 1:]],
            }
            if baselines:
                row["baselines"] = {
                    name: [iou(method(picture, x, y, value), part) for value in values]
                    for name, (method, values) in BASELINES.items()
                }
            rows.append(row)
    return rows


def _share(part: np.ndarray, whole: np.ndarray) -> float:
    """Which share of `part` lies in `whole`; 1 if there is no part."""
    return np.count_nonzero(part & whole) / np.count_nonzero(part) if part.any() else 1.0
