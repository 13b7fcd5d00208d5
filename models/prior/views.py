"""What the 2D teacher says about the nodes of a mesh: its embedding, lifted from many views.

Nothing is optimised: a node's feature is the average of the embedding over the pixels that show it, in all views.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from models.prior.nodes import Patches
from utils.rendering.cameras import orbit_cameras, sample_sphere_angles
from utils.rendering.rasterize import Rasterizer
from utils.rendering.shading import shade, to_uint8
from utils.teacher import Teacher

VIEWS = 36
IMAGE_SIZE = 224
SIGHT = 112  # side of the map of nodes that features are gathered with
BATCH = 6


@dataclass(frozen=True, eq=False)
class NodeViews:
    """T views of a mesh of N nodes, embedded, and the node that each of their pixels shows.

    pairs       (E, 2) int64 adjacent nodes
    sight       (T, SIGHT, SIGHT) int32 node ids, -1 on the background
    embeddings  (T, D, h, w) float16
    """

    num_nodes: int
    pairs: np.ndarray
    sight: np.ndarray
    embeddings: np.ndarray

    def __len__(self) -> int:
        return len(self.sight)

    @cached_property
    def seen(self) -> np.ndarray:
        """(N,) float32, share of the views that show each node."""
        shown = np.zeros((len(self), self.num_nodes), dtype=np.float32)
        for view, nodes in enumerate(self.sight):
            shown[view, nodes[nodes >= 0]] = 1
        return shown.mean(axis=0)

    def features(self, projection: Tensor | None = None, mean: Tensor | None = None) -> np.ndarray:
        """(N, D) float32 embedding averaged over the pixels that show each node.

        With `projection` (D, k), after subtracting `mean` (D,), its k components. Nodes that no view shows take their
        neighbours' average.
        """
        total, count = np.zeros(1, dtype=np.float32), np.zeros(self.num_nodes, dtype=np.float32)
        side = SIGHT // 2
        row, column = np.divmod(np.arange(SIGHT * SIGHT), SIGHT)
        cell = (row // 2) * side + column // 2
        for nodes, held in zip(self.sight.reshape(len(self), -1), self.embeddings):
            embedding = torch.from_numpy(held).float()
            if projection is not None and mean is not None:
                embedding = torch.einsum("chw,ck->khw", embedding - mean[:, None, None], projection)
            values = interpolate(embedding[None], (side, side), mode="bilinear", align_corners=False)[0].flatten(1).T
            shown = nodes >= 0
            ones = np.ones(shown.sum(), dtype=np.float32)
            gather = sp.csr_matrix((ones, (nodes[shown], cell[shown])), shape=(self.num_nodes, side * side))
            total = total + gather @ values.numpy()
            count += np.asarray(gather.sum(axis=1)).ravel()
        return fill_unseen(total / np.maximum(count, 1)[:, None], count > 0, self.pairs)


def render_views(patches: Patches, teacher: Teacher, views: int = VIEWS, seed: int = 0) -> NodeViews:
    """Render and embed evenly spread views."""
    rasterizer = Rasterizer(patches.fine.mesh, scene=patches.fine.scene)
    angles = sample_sphere_angles(views, torch.Generator().manual_seed(seed))
    cameras = orbit_cameras(*angles, size=(IMAGE_SIZE, IMAGE_SIZE))
    node = torch.from_numpy(patches.node)
    sight, embeddings = [], []
    for start in range(0, views, BATCH):
        batch = cameras[start : start + BATCH]
        raster = rasterizer(batch)
        images = to_uint8(shade(patches.fine.mesh, batch, raster))
        embeddings.append(teacher.embed(images).half().cpu().numpy())
        ids = raster.face_ids[:, 1 :: IMAGE_SIZE // SIGHT, 1 :: IMAGE_SIZE // SIGHT]
        sight.append(torch.where(ids >= 0, node[ids.clamp(min=0)], -1).int().numpy())
    return NodeViews(len(patches.graph), patches.graph.pairs, np.concatenate(sight), np.concatenate(embeddings))


def fill_unseen(values: np.ndarray, known: np.ndarray, pairs: np.ndarray, rounds: int = 60) -> np.ndarray:
    """Values (N, D) with the rows that are not `known` (N,) replaced by diffusion from the known ones along `pairs`."""
    values, known = values.astype(np.float32), known.copy()
    if known.all() or not known.any():
        return values
    size = len(values)
    both = np.concatenate([pairs, pairs[:, ::-1]])
    adjacency = sp.csr_matrix((np.ones(len(both), dtype=np.float32), (both[:, 0], both[:, 1])), shape=(size, size))
    for _ in range(rounds):
        count = adjacency @ known.astype(np.float32)
        reach = ~known & (count > 0)
        if not reach.any():
            break
        values[reach] = (adjacency[reach] @ (values * known[:, None])) / count[reach, None]
        known |= reach
    values[~known] = values[known].mean(axis=0)
    return values
