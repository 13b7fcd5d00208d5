"""From clicks to a segment of a point cloud: the annotation function (Sec. 3.2) and its post-processing (Sec. 3.3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree


@dataclass(frozen=True)
class AnnotationSettings:
    """Printed values of Sec. 4.1.

    radius            alpha: of a positive click in the embedding, unless a negative one is nearer (Eq. 7)
    degree            N_neighbor: neighbours in the graph of the outlier removal (Algorithm 1); 0 leaves it out
    smooth_neighbors  N_smooth of the smoothing (Algorithm 2); smooth_share: gamma
    smooth_rounds     N_iter; 0 leaves it out
    """

    radius: float = 0.35
    degree: int = 3
    smooth_neighbors: int = 32
    smooth_share: float = 0.7
    smooth_rounds: int = 5


PRINTED = AnnotationSettings()


class Annotator:
    """Clicks on the points of one cloud -> which points they select.

    points (N, 3); embedding (N, D), replaceable at any time (`embedding` is read at every call).
    """

    def __init__(self, points: np.ndarray, embedding: np.ndarray, settings: AnnotationSettings = PRINTED) -> None:
        self.points, self.embedding, self.settings = points, np.asarray(embedding, dtype=np.float32), settings
        count = len(points)
        # The point itself comes first in its own list; Algorithm 1 counts the others, Algorithm 2 those around a point.
        most = min(max(settings.degree, settings.smooth_neighbors) + 1, count)
        near = np.asarray(KDTree(points).query(points, k=most)[1]).reshape(count, most)[:, 1:]
        self._around = near[:, : settings.smooth_neighbors]
        first = np.repeat(np.arange(count), min(settings.degree, near.shape[1]))
        self._edges = first, near[:, : settings.degree].ravel()

    def distances(self, point: int) -> np.ndarray:
        """(N,) float32, from the embedding of a point to every other."""
        return np.linalg.norm(self.embedding - self.embedding[point], axis=1)

    def annotate(self, positives: np.ndarray, negatives: np.ndarray, factor: float = 1.0) -> np.ndarray:
        """(N,) bool: Eq. 6-8, then the post-processing that the settings want.

        positives (P,), negatives (Q,) int64 points; `factor` of the radius.
        """
        selected = self.within(positives, negatives, factor)
        if self.settings.degree:
            selected = self.without_outliers(selected, positives)
        return self.smoothed(selected) if self.settings.smooth_rounds else selected

    def within(self, positives: np.ndarray, negatives: np.ndarray, factor: float = 1.0) -> np.ndarray:
        """(N,) bool: what lies in the embedding within the radius of a positive click (Eq. 6), which a nearer negative
        one shortens (Eq. 7-8)."""
        selected = np.zeros(len(self.points), dtype=bool)
        for click in positives:
            distance = self.distances(int(click))
            radius = min(factor * self.settings.radius, distance[negatives].min(initial=np.inf))
            selected |= distance < radius
        return selected

    def without_outliers(self, selected: np.ndarray, positives: np.ndarray) -> np.ndarray:
        """Algorithm 1: the selected points (N,) bool that a path of selected neighbours joins to a positive click."""
        first, second = self._edges
        held = selected[first] & selected[second]
        ones = np.ones(int(held.sum()), dtype=np.int8)
        graph = sp.coo_matrix((ones, (first[held], second[held])), shape=(len(selected),) * 2)
        component = connected_components(graph, directed=False)[1]
        return selected & np.isin(component, component[positives])

    def smoothed(self, selected: np.ndarray) -> np.ndarray:
        """Algorithm 2: points that more than a share of the nearest neighbours surround are added, repeatedly."""
        if self._around.shape[1] == 0:
            return selected
        selected = selected.copy()
        for _ in range(self.settings.smooth_rounds):
            left = np.flatnonzero(~selected)
            added = left[selected[self._around[left]].mean(axis=1) > self.settings.smooth_share]
            if len(added) == 0:
                break
            selected[added] = True
        return selected
