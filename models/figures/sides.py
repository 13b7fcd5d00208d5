"""What views see of a click and of its part: masks of single views, and the faces that no view of a click shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from models.figures.subjects import Subject
from utils.evaluation.baselines import SamBaseline
from utils.rendering.rasterize import Rasterizer
from utils.rendering.shading import interpolate
from utils.selection import iou

LEAST_COMMON = 0.02  # of the mesh's area that two views must both show for their masks to be compared


@dataclass(frozen=True, eq=False)
class ViewMask:
    """What one view says: the faces it shows, and which of them it selects, (N,) int64 and (N,) bool."""

    view: int
    shown: np.ndarray
    selected: np.ndarray


def teacher_masks(baseline: SamBaseline, face: int) -> list[ViewMask]:
    """The teacher's mask of a click in every view that sees it."""
    one = np.array([face])
    baseline.face_probability(one, np.array([True]))
    views = torch.nonzero(baseline.seen(one)[1][:, 0])[:, 0].tolist()
    return [ViewMask(view, baseline.faces_of[view][0], baseline.answers[view][1] > 0.5) for view in views]


def rendered_masks(
    baseline: SamBaseline, rasterizer: Rasterizer, probability: np.ndarray, views: list[int]
) -> list[ViewMask]:
    """An answer (V,) rendered into the same views and read back from the pixels, as the teacher's masks are."""
    masks = []
    values = torch.from_numpy(np.asarray(probability, dtype=np.float32))[:, None]
    for view in views:
        raster = rasterizer(baseline.cameras[view])
        image = (interpolate(rasterizer.mesh, raster, values)[0, ..., 0] > 0.5).numpy()
        shown, face_of_pixel, pixels = baseline.faces_of[view]
        inside = np.bincount(face_of_pixel[image.ravel()[baseline.shown[view]]], minlength=len(pixels))
        masks.append(ViewMask(view, shown, inside / pixels > 0.5))
    return masks


def agreement(
    masks: list[ViewMask], subject: Subject, cameras: np.ndarray, near: float
) -> tuple[list[float], list[float]]:
    """IoU of the masks of each two views on what both show: of all pairs, and of those less than `near` degrees apart.

    cameras: (T, 3) positions of all views.
    """
    areas, every, close = subject.areas, [], []
    ways = cameras / np.linalg.norm(cameras, axis=1, keepdims=True)
    spread = [_spread(mask, len(areas)) for mask in masks]
    for i, (mask, (shown, selected)) in enumerate(zip(masks, spread)):
        for other, (also, chosen) in zip(masks[i + 1 :], spread[i + 1 :]):
            common = shown & also
            union = common & (selected | chosen)
            if areas[common].sum() < LEAST_COMMON * areas.sum() or not union.any():
                continue
            every.append(iou(selected & common, chosen & common, areas))
            if float(ways[mask.view] @ ways[other.view]) > np.cos(np.deg2rad(near)):
                close.append(every[-1])
    return every, close


def _spread(mask: ViewMask, faces: int) -> tuple[np.ndarray, np.ndarray]:
    """(F,) bool shown and selected."""
    shown, selected = np.zeros((2, faces), dtype=bool)
    shown[mask.shown] = True
    selected[mask.shown[mask.selected]] = True
    return shown, selected


def hidden_from(baseline: SamBaseline, face: int) -> tuple[np.ndarray, list[int]]:
    """(F,) bool, the faces that no view of a click shows, and the views that do not see the click."""
    seen = baseline.seen(np.array([face]))[1][:, 0].numpy()
    hidden = np.ones(baseline.num_faces, dtype=bool)
    for view in np.flatnonzero(seen):
        hidden[baseline.faces_of[view][0]] = False
    return hidden, np.flatnonzero(~seen).tolist()
