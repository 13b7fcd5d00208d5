"""Masks of many views gathered on the vertices: what the lifted loss of the decoder is made of.

By convexity of -log, the paper's per-pixel cross-entropy (Eq. 7) is at most
-sum_i (w1_i log p_i + w0_i log(1 - p_i)) with w1 = sum_t R_t^T y_t and w0 = sum_t R_t^T (1 - y_t) over the views t of
one click set: all its views collapse to two weights a vertex, and a step may look at a sample of the vertices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor

from utils.clicks import Clicks
from utils.geometry.coarse import CoarseMesh
from utils.geometry.mesh import Mesh
from utils.progress import Progress, silent, track
from utils.rendering.lifting import pixel_weights
from utils.rendering.rasterize import Rasterizer
from utils.supervision.store import SupervisionSet

MAX_ENTRIES = 64_000_000  # click sets times vertices; two floats each bound the memory to half a GiB
MAX_ROWS = 32_768


@dataclass(frozen=True, eq=False)
class ClickTable:
    """K click sets of up to C clicks, padded.

    vertices (K, C) int64, 0 where absent; positive (K, C) bool; present (K, C) bool
    """

    vertices: Tensor
    positive: Tensor
    present: Tensor

    @classmethod
    def of(cls, sets: list[Clicks]) -> ClickTable:
        width = max((len(clicks) for clicks in sets), default=1)
        vertices = torch.zeros((len(sets), width), dtype=torch.int64)
        positive, present = torch.zeros_like(vertices, dtype=torch.bool), torch.zeros_like(vertices, dtype=torch.bool)
        for row, clicks in enumerate(sets):
            vertices[row, : len(clicks)], positive[row, : len(clicks)] = clicks.vertices, clicks.positive
            present[row, : len(clicks)] = True
        return cls(vertices, positive, present)

    def __len__(self) -> int:
        return len(self.vertices)

    def __getitem__(self, index: Tensor) -> ClickTable:
        return ClickTable(self.vertices[index], self.positive[index], self.present[index])

    def to(self, device) -> ClickTable:
        return ClickTable(self.vertices.to(device), self.positive.to(device), self.present.to(device))

    @property
    def clicked(self) -> Tensor:
        """(S,) int64 ascending, the vertices that any set clicks."""
        return self.vertices[self.present].unique()

    @property
    def kind(self) -> Tensor:
        """(K,) int64: 0 one click, 1 several positive ones, 2 some negative."""
        several = (self.present.sum(dim=1) > 1).long()
        return torch.where((self.present & ~self.positive).any(dim=1), 2 * torch.ones_like(several), several)


@dataclass(frozen=True, eq=False)
class LiftedTargets:
    """The lifted weights of K click sets on M rows.

    clicks  ClickTable of the K sets
    rows    (M,) int64 vertices the weights are kept for: all, or on a large mesh some, standing for what is around them
    weight  (K, M) float32, w0 + w1, each set's summing to 1; 0 where its views never show the vertex
    target  (K, M) float32, w1 / (w0 + w1); 0 where never seen
    """

    clicks: ClickTable
    rows: Tensor
    weight: Tensor
    target: Tensor

    def to(self, device) -> LiftedTargets:
        return LiftedTargets(
            self.clicks.to(device), self.rows.to(device), self.weight.to(device), self.target.to(device)
        )


def lift_masks(
    samples: SupervisionSet,
    chosen: Tensor,
    rasterizer: Rasterizer,
    generator: torch.Generator,
    max_entries: int = MAX_ENTRIES,
    max_rows: int = MAX_ROWS,
    on_progress: Progress = silent,
    coarse: CoarseMesh | None = None,
) -> LiftedTargets:
    """Gather the masks of the `chosen` samples (n,) on the vertices, one row of weights a click set.

    Each view is rasterised once. If sets times vertices exceed `max_entries`, fewer rows are kept (on a mesh of more
    than `max_rows` vertices), then fewer sets, drawn from `generator`: more than a training looks at anyway.
    coarse: keep one row for each of its vertices; then rows and clicks are numbered as these.
    """
    if coarse is None:
        rows, nearest = choose_rows(rasterizer.mesh, max_rows, generator)
    else:
        rows, nearest = torch.arange(coarse.num_vertices), torch.from_numpy(coarse.of_vertex)
    group, first = _limited_groups(samples, chosen, max_entries // len(rows), generator)
    table = ClickTable.of([samples.clicks(int(sample)) for sample in first])
    if coarse is not None:
        table = ClickTable(nearest[table.vertices], table.positive, table.present)
    ones, total = (torch.zeros((len(table), len(rows)), device=rasterizer.device) for _ in range(2))
    kept = group >= 0
    chosen, group = chosen[kept], group[kept].to(rasterizer.device)
    views = samples.view[chosen]
    shown = views.unique().tolist()
    for view in track(shown, "lift masks", on_progress, len(shown), "view"):
        here = (views == view).nonzero()[:, 0]
        weights, covered = pixel_weights(rasterizer.mesh, rasterizer(samples.cameras[view]))
        if len(weights) == 0:
            continue
        masks = samples.masks(chosen[here]).to(rasterizer.device)[:, covered]
        lift = weights.gather_matrix(nearest.to(rasterizer.device), len(rows))
        ones.index_add_(0, group[here], (lift @ masks.T.float()).T)
        seen = torch.sparse.sum(lift, dim=1).to_dense()
        total.index_add_(0, group[here], seen.expand(len(here), -1))
    target = (ones / total.clamp(min=1e-12)).clamp(0, 1)
    return LiftedTargets(table, rows, total / total.sum(dim=1, keepdim=True).clamp(min=1e-12), target)


def choose_rows(mesh: Mesh, most: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """At most `most` vertices that stand for all, (M,) ascending, and the place of the nearest of each vertex (V,)."""
    if mesh.num_vertices <= most:
        everything = torch.arange(mesh.num_vertices)
        return everything, everything
    used = torch.from_numpy(np.flatnonzero(mesh.referenced))
    rows = used[torch.randperm(len(used), generator=generator)[:most]].sort().values
    points = mesh.normalized
    return rows, torch.from_numpy(KDTree(points[rows.numpy()]).query(points)[1].astype(np.int64))


def _limited_groups(
    samples: SupervisionSet, chosen: Tensor, limit: int, generator: torch.Generator
) -> tuple[Tensor, list[int]]:
    """For each chosen sample its click set (n,) int64, -1 if left out, and for each set one of its samples.

    Single clicks are kept before pairs.
    """
    wanted = torch.zeros(len(samples), dtype=torch.bool)
    wanted[chosen] = True
    sets = [members[wanted[members]] for _, members in samples.click_sets()]
    sets = [members for members in sets if len(members)]
    if len(sets) > limit:
        pair = torch.tensor([int(samples.num_clicks[members[0]]) > 1 for members in sets])
        order = (pair + torch.rand(len(sets), generator=generator)).argsort()[: max(1, limit)]
        sets = [sets[place] for place in order.sort().values.tolist()]
    group = torch.full((len(samples),), -1)
    for place, members in enumerate(sets):
        group[members] = place
    return group[chosen], [int(members[0]) for members in sets]
