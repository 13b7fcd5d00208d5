"""A teacher's embedding as a feature field: are cells of the same part alike?"""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import rankdata

from SAM_repo.evaluation.clicks import ShapeViews
from SAM_repo.training.views import VIEW_SIZE
from utils.teacher import Teacher

AFFINITY_CELLS = 128  # of a view


def affinity(teacher: Teacher, views: ShapeViews, rng: np.random.Generator) -> dict[str, list[float]] | None:
    """How well the cosine similarity of two cells of the embedding tells whether they show the same part.

    Returns for pairs within a view and pairs across two views [area under the ROC curve, mean similarity of the same
    part minus of others],
    the same with nearness in the image in place of similarity for pairs within a view, or None where a view shows no
    two parts.
    """
    features = teacher.embed(views.images).float().cpu()
    _, _, height, width = features.shape
    rows = ((torch.arange(height) + 0.5) * (VIEW_SIZE / height)).long()
    columns = ((torch.arange(width) + 0.5) * (VIEW_SIZE / width)).long()
    labels = views.labels[0][:, rows[:, None], columns[None]].reshape(len(features), -1)
    cells = []
    for view, of_view in enumerate(labels):
        covered = np.flatnonzero(of_view >= 0)
        chosen = rng.choice(covered, min(AFFINITY_CELLS, len(covered)), replace=False)
        vectors = torch.nn.functional.normalize(features[view].flatten(1)[:, chosen].T, dim=1)
        cells.append((vectors, of_view[chosen], np.stack([chosen // width, chosen % width], 1)))
    within, across, near = ([], []), ([], []), ([], [])
    for first, (a, label_a, place_a) in enumerate(cells):
        for second, (b, label_b, place_b) in enumerate(cells[first:], first):
            similarity, same = (a @ b.T).numpy(), label_a[:, None] == label_b[None]
            if first == second:
                pairs = np.triu_indices(len(a), 1)
                distance = np.linalg.norm(place_a[:, None] - place_b[None], axis=2)
                _extend(within, similarity[pairs], same[pairs])
                _extend(near, -distance[pairs], same[pairs])
            else:
                _extend(across, similarity.ravel(), same.ravel())
    results = {
        name: auc_and_margin(np.concatenate(values or [np.zeros(0)]), np.concatenate(same or [np.zeros(0, bool)]))
        for name, (values, same) in (("within", within), ("across", across), ("nearness_within", near))
    }
    known = {name: value for name, value in results.items() if value is not None}
    return known if len(known) == len(results) else None


def _extend(pairs: tuple[list, list], values: np.ndarray, same: np.ndarray) -> None:
    pairs[0].append(values)
    pairs[1].append(same)


def auc_and_margin(values: np.ndarray, same: np.ndarray) -> list[float] | None:
    """Area under the ROC curve of `values` (N,) as a sign of `same` (N,) bool, ties counted half, and the difference
    of the means."""
    positive, negative = int(same.sum()), int((~same).sum())
    if not positive or not negative:
        return None
    ranks = rankdata(values)
    area = (ranks[same].sum() - positive * (positive + 1) / 2) / (positive * negative)
    return [float(area), float(values[same].mean() - values[~same].mean())]


def mean_affinity(values: list[dict[str, list[float]] | None]) -> dict | None:
    """Over shapes; None if no shape has two parts in view."""
    kept = [value for value in values if value is not None]
    if not kept:
        return None
    return {
        name: {
            "auc": float(np.mean([value[name][0] for value in kept])),
            "margin": float(np.mean([value[name][1] for value in kept])),
        }
        for name in kept[0]
    } | {"shapes": len(kept)}
