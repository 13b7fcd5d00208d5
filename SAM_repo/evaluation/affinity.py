"""A teacher's embedding as a feature field: are cells of the same part alike?"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from scipy.stats import rankdata

from SAM_repo.evaluation.clicks import ShapeViews
from SAM_repo.views import VIEW_SIZE
from utils.teacher import Teacher

AFFINITY_CELLS = 128  # of a view
Likeness = dict[str, list[float]]


def affinity(teacher: Teacher, views: ShapeViews, rng: np.random.Generator) -> Likeness | None:
    """How well the cosine similarity of two cells of the embedding tells whether they show the same part.

    `auc_and_margin` of pairs "within" a view and "across" two, and with nearness in the image in place of similarity
    ("nearness_within"); None where a view shows no two parts.
    """
    features = teacher.embed(views.images).float().cpu()
    _, _, height, width = features.shape
    rows = ((torch.arange(height) + 0.5) * (VIEW_SIZE / height)).long()
    columns = ((torch.arange(width) + 0.5) * (VIEW_SIZE / width)).long()
    labels = views.labels[0][:, rows[:, None], columns[None]].reshape(len(features), -1)
    cells = []
    for of_cell, of_view in zip(features.flatten(2), labels):
        covered = np.flatnonzero(of_view >= 0)
        chosen = rng.choice(covered, min(AFFINITY_CELLS, len(covered)), replace=False)
        vectors = torch.nn.functional.normalize(of_cell[:, chosen].T, dim=1)
        cells.append((vectors, of_view[chosen], np.stack([chosen // width, chosen % width], 1)))
    pairs: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {"within": [], "across": [], "nearness_within": []}
    for first, second in itertools.combinations_with_replacement(range(len(cells)), 2):
        (a, label_a, place_a), (b, label_b, place_b) = cells[first], cells[second]
        similarity, same = (a @ b.T).numpy(), label_a[:, None] == label_b[None]
        if first == second:
            once = np.triu_indices(len(a), 1)
            distance = np.linalg.norm(place_a[:, None] - place_b[None], axis=2)
            pairs["within"].append((similarity[once], same[once]))
            pairs["nearness_within"].append((-distance[once], same[once]))
        else:
            pairs["across"].append((similarity.ravel(), same.ravel()))
    found = {name: auc_and_margin(*map(np.concatenate, zip(*held))) for name, held in pairs.items() if held}
    known = {name: value for name, value in found.items() if value is not None}
    return known if len(known) == len(pairs) else None


def auc_and_margin(values: np.ndarray, same: np.ndarray) -> list[float] | None:
    """Area under the ROC curve of `values` (N,) as a sign of `same` (N,) bool, ties counted half, and the difference of
    the means; None if all are or none is."""
    positive, negative = int(same.sum()), int((~same).sum())
    if not positive or not negative:
        return None
    area = (rankdata(values)[same].sum() - positive * (positive + 1) / 2) / (positive * negative)
    return [float(area), float(values[same].mean() - values[~same].mean())]


def mean_affinity(values: list[Likeness | None]) -> dict | None:
    """Over shapes; None if no shape has two parts in view."""
    kept = [value for value in values if value is not None]
    if not kept:
        return None
    means = {name: np.mean([value[name] for value in kept], axis=0).tolist() for name in kept[0]}
    return {name: dict(zip(("auc", "margin"), pair)) for name, pair in means.items()} | {"shapes": len(kept)}
