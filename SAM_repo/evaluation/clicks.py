"""How well a teacher segments one view of a mesh from one click: a row of measurements for every click.

Works on any `utils.teacher.Teacher`. A shape gives a few views; in each, parts get one click at a random visible pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from SAM_repo.evaluation.image_baselines import BASELINES, ViewImage
from SAM_repo.training.losses import corrective_clicks
from SAM_repo.training.views import draw_clicks, random_cameras
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
    against; the others are
            other annotators of the same mesh, or finer and coarser levels of a synthetic shape
    """

    images: Tensor
    depth: np.ndarray
    labels: np.ndarray


def render_labelled(mesh: Mesh, labels: np.ndarray, views: int, rng: np.random.Generator) -> ShapeViews:
    """Views from random cameras of the pipeline. labels: (L, F) int per face."""
    cameras = random_cameras(views, rng, published=True)
    raster = Rasterizer(mesh, backend="embree")(cameras)
    images = to_uint8(shade(mesh, cameras, raster))
    seen = raster.face_ids.clamp_min(0).numpy()
    covered = raster.covered.numpy()
    return ShapeViews(
        images, raster.depth.numpy(), np.stack([np.where(covered, of_face[seen], -1) for of_face in labels])
    )


def clicks_on_every_part(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(C, 2) int xy: one click on each label of (H, W) that shows at least `MIN_PIXELS`, at any of its pixels."""
    clicks = []
    for value in np.unique(labels[labels >= 0]):
        rows, columns = np.nonzero(labels == value)
        if len(rows) >= MIN_PIXELS:
            pick = rng.integers(len(rows))
            clicks.append((columns[pick], rows[pick]))
    return np.array(clicks, dtype=np.int64).reshape(-1, 2)


def clicks_on_some_parts(labels: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 2) int xy drawn as in the training, for shapes of very many parts; none where no part shows."""
    if (labels >= 0).sum() < MIN_PIXELS:
        return np.zeros((0, 2), dtype=np.int64)
    return draw_clicks((labels + 1).clip(0, 255), count, rng, minimum=MIN_PIXELS)


@dataclass(frozen=True, eq=False)
class Answers:
    """What a teacher says to P clicks on one view, and to corrective clicks.

    masks (P, 3, H, W) bool and scores (P, 3) after one click; more: mask 0, (P, H, W) bool, after two and after three
    corrections: for the second and the third click xy (P, 2) float and label (P,)
    """

    masks: np.ndarray
    scores: np.ndarray
    more: list[np.ndarray]
    corrections: list[tuple[np.ndarray, np.ndarray]]


def ask(
    teacher: Teacher,
    embedding: Tensor,
    clicks: np.ndarray,
    truth: np.ndarray,
    generator: torch.Generator,
    corrections: int = 2,
) -> Answers:
    """Prompt one embedding with clicks (P, 2) xy, then correct mask 0 towards truth (P, H, W) bool, showing the
    teacher mask 0's logits.

    A corrective click lies in the larger of the missed and the wrongly included area, at random but rather inside it.
    """
    size = truth.shape[1:]
    points = torch.from_numpy(clicks).float()[:, None] + 0.5
    labels = torch.ones(len(clicks), 1)
    answer = teacher.segment(embedding, points, labels, size)
    masks, scores = answer.masks().cpu().numpy(), answer.scores.float().cpu().numpy()
    more, made = [], []
    current = torch.from_numpy(masks[:, 0]).float() - 0.5
    for _ in range(corrections):
        xy, label = corrective_clicks(current, torch.from_numpy(truth).float(), generator)
        made.append((xy.numpy(), label.numpy()))
        points = torch.cat([points, xy[:, None] + 0.5], 1)
        labels = torch.cat([labels, label[:, None].float()], 1)
        answer = teacher.segment(embedding, points, labels, size, answer.logits[:, :1])
        mask = answer.masks(0).cpu()
        more.append(mask.numpy())
        current = mask.float() - 0.5
    return Answers(masks, scores, more, made)


def click_rows(teacher: Teacher, views: ShapeViews, clicks: list[np.ndarray], seed: int, baselines: bool) -> list[dict]:
    """A row for each click: plain numbers and lists, for JSON.

    ious: of the three masks with each of the L labellings at the click, (3, L); scores (3,); second, third: IoU of
    mask 0 after corrections;
    area: pixels of the part; sizes: of the masks (3,); inside: |1 in 0| / |1|, |0 in 2| / |0|; others: IoU of the
    other labellings' part at
    the click with the clicked part; baselines: name -> IoU for each of its parameters.
    """
    embeddings = teacher.embed(views.images)
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for view, of_view in enumerate(clicks):
        if not len(of_view):
            continue
        labels = views.labels[:, view]
        truth = np.stack([labels == labels[:, y, x][:, None, None] for x, y in of_view])  # (P, L, H, W)
        answers = ask(teacher, embeddings[view], of_view, truth[:, 0], generator)
        picture = ViewImage(views.images[view].numpy(), views.depth[view])
        for index, (x, y) in enumerate(of_view.tolist()):
            masks, part = answers.masks[index], truth[index, 0]
            row = {
                "view": view,
                "x": x,
                "y": y,
                "area": int(part.sum()),
                "scores": answers.scores[index].tolist(),
                "ious": [[iou(mask, other) for other in truth[index]] for mask in masks],
                "second": iou(answers.more[0][index], part),
                "third": iou(answers.more[1][index], part),
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
    return np.count_nonzero(part & whole) / max(np.count_nonzero(part), 1) if part.any() else 1.0
