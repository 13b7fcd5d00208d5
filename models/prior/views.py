"""What the 2D teacher says about the nodes of a mesh: its embedding lifted to them, and its masks for single clicks.

Nothing is optimised: a node's feature is the average of the embedding over the pixels that show it, in all views; a click's mask
on a node is the average of the mask's probability over the prompted views that show it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from models.prior.nodes import Patches
from utils.rendering.cameras import Cameras, orbit_cameras, sample_sphere_angles
from utils.rendering.rasterize import Rasterizer
from utils.rendering.shading import shade, to_uint8
from utils.teacher import Teacher

VIEWS = 36
PROMPTED = 7  # views that a click is prompted in, at most
IMAGE_SIZE = 224
SIGHT = 112  # side of the map of nodes that masks and features are gathered with
FACING = 0.2  # least cosine between a click's normal and the direction of a view it is prompted in
DEPTH_TOLERANCE = 0.02
BATCH = 6


class NodeViews:
    """Views of a mesh, embedded, and the node that each of their pixels shows.

    cameras     T views at IMAGE_SIZE
    sight       (T, SIGHT, SIGHT) int32 node ids, -1 on the background
    depth       (T, IMAGE_SIZE, IMAGE_SIZE) float16
    embeddings  (T, D, h, w) float16
    seen        (N,) float32, share of the views that show each node
    """

    def __init__(
        self, patches: Patches, teacher: Teacher, cameras: Cameras, sight: Tensor, depth: Tensor, embeddings: Tensor
    ) -> None:
        self.patches, self.teacher, self.cameras = patches, teacher, cameras
        self.sight, self.depth, self.embeddings = sight, depth, embeddings
        self.num_nodes = len(patches.graph)
        shown = np.zeros((len(sight), self.num_nodes), dtype=np.float32)
        for view, nodes in enumerate(sight.numpy()):
            shown[view, nodes[nodes >= 0]] = 1
        self.seen = shown.mean(axis=0)

    @classmethod
    def render(cls, patches: Patches, teacher: Teacher, views: int = VIEWS, seed: int = 0) -> NodeViews:
        """Render and embed evenly spread views."""
        rasterizer = Rasterizer(patches.fine)
        angles = sample_sphere_angles(views, torch.Generator().manual_seed(seed))
        cameras = orbit_cameras(*angles, size=(IMAGE_SIZE, IMAGE_SIZE))
        node = torch.from_numpy(patches.node)
        sight, depth, embeddings = [], [], []
        for start in range(0, views, BATCH):
            batch = cameras[start : start + BATCH]
            raster = rasterizer(batch)
            images = to_uint8(shade(patches.fine, batch, raster))
            embeddings.append(teacher.embed(images).half().cpu())
            ids = raster.face_ids[:, 1 :: IMAGE_SIZE // SIGHT, 1 :: IMAGE_SIZE // SIGHT]
            sight.append(torch.where(ids >= 0, node[ids.clamp(min=0)], -1).int())
            depth.append(raster.depth.half())
        return cls(patches, teacher, cameras, torch.cat(sight), torch.cat(depth), torch.cat(embeddings))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Everything that was rendered and embedded; `from_arrays` restores it."""
        return {
            "cameras": self.cameras.world_to_camera.numpy(),
            "fov_y": np.array(self.cameras.fov_y),
            "sight": self.sight.numpy(),
            "depth": self.depth.numpy(),
            "embeddings": self.embeddings.numpy(),
        }

    @classmethod
    def from_arrays(cls, patches: Patches, teacher: Teacher, arrays: dict[str, np.ndarray]) -> NodeViews:
        """The inverse of `to_arrays`."""
        cameras = Cameras(torch.from_numpy(arrays["cameras"]), float(arrays["fov_y"]), (IMAGE_SIZE, IMAGE_SIZE))
        return cls(
            patches, teacher, cameras, *(torch.from_numpy(arrays[name]) for name in ("sight", "depth", "embeddings"))
        )

    def features(self, projection: Tensor | None = None, mean: Tensor | None = None) -> np.ndarray:
        """(N, D) float32 embedding averaged over the pixels that show each node; with `projection` (D, k), after
        subtracting `mean` (D,), its k components. Nodes that no view shows take their neighbours' average."""
        total, count = 0.0, np.zeros(self.num_nodes, dtype=np.float32)
        fine = SIGHT // 2
        row, column = np.divmod(np.arange(SIGHT * SIGHT), SIGHT)
        cell = (row // 2) * fine + column // 2
        for view, nodes in enumerate(self.sight.reshape(len(self.sight), -1).numpy()):
            embedding = self.embeddings[view].float()
            if projection is not None:
                embedding = torch.einsum("chw,ck->khw", embedding - mean[:, None, None], projection)
            values = (
                interpolate(embedding[None], (fine, fine), mode="bilinear", align_corners=False)[0].flatten(1).T.numpy()
            )
            shown = nodes >= 0
            gather = sp.csr_matrix(
                (np.ones(shown.sum(), dtype=np.float32), (nodes[shown], cell[shown])),
                shape=(self.num_nodes, fine * fine),
            )
            total = total + gather @ values
            count += np.asarray(gather.sum(axis=1)).ravel()
        features = total / np.maximum(count, 1)[:, None]
        return fill_unseen(features, count > 0, self.patches.graph.pairs)

    def click_masks(self, faces: np.ndarray, most: int = PROMPTED) -> np.ndarray:
        """(C, N, 4) float32 for single clicks on C fine faces: the probability of each of the three masks, averaged over the
        prompted views that show a node, and the share of the prompted views that do. 0 where no view shows the click."""
        faces = np.asarray(faces, dtype=np.int64)
        chosen, pixels = self._best_views(faces, most)
        total = torch.zeros((len(faces), self.num_nodes, 3))
        count = torch.zeros((len(faces), self.num_nodes))
        views, clicks = (torch.from_numpy(x) for x in np.nonzero(chosen))
        prompts = torch.bincount(clicks, minlength=len(faces))
        for view, here, probability in self._prompted(views, clicks, pixels):
            nodes = self.sight[view].flatten()
            shown = torch.nonzero(nodes >= 0)[:, 0]
            gather = node_average(nodes[shown], self.num_nodes)
            values = probability.flatten(2)[:, :, shown].flatten(0, 1).T.contiguous().numpy()
            on_nodes = torch.from_numpy(gather @ values).T.reshape(len(here), 3, -1).transpose(1, 2)
            visible = torch.from_numpy((np.diff(gather.indptr) > 0).astype(np.float32))
            total[here] += on_nodes
            count[here] += visible
        result = torch.cat(
            [total / count.clamp(min=1)[..., None], (count / prompts.clamp(min=1)[:, None])[..., None]], dim=-1
        )
        return result.numpy()

    def _prompted(self, views: Tensor, clicks: Tensor, pixels: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
        """For each of some views: its number, its clicks (P,) and their masks' probabilities (P, 3, SIGHT, SIGHT).

        views, clicks (K,) int64 pairs, in the order of the views; pixels (T, C, 2).
        """
        size = (IMAGE_SIZE, IMAGE_SIZE)
        if len(views) and len(views) <= 2 * len(views.unique()):  # few clicks: all views at once
            ones = torch.ones((len(views), 1), dtype=torch.long)
            chosen = self.embeddings[views].float()
            result = self.teacher.segment_each(chosen, pixels[views, clicks][:, None], ones, size)
            for row, probability in enumerate(_probabilities(result.logits)):
                yield int(views[row]), clicks[row : row + 1], probability[None]
            return
        for view in views.unique().tolist():
            here = clicks[views == view]
            ones = torch.ones((len(here), 1), dtype=torch.long)
            result = self.teacher.segment(self.embeddings[view].float(), pixels[view, here][:, None], ones, size)
            yield view, here, _probabilities(result.logits)

    def _best_views(self, faces: np.ndarray, most: int) -> tuple[np.ndarray, Tensor]:
        """(T, C) bool, the views that show the clicks most frontally, and where, (T, C, 2) pixels."""
        points = torch.from_numpy(self.patches.centroids[faces]).float()
        pixels, depth = self.cameras.project(points)
        index = pixels.floor().long().clamp(0, IMAGE_SIZE - 1)
        view = torch.arange(len(pixels))[:, None].expand(index.shape[:2])
        close = self.depth[view, index[..., 1], index[..., 0]].float() >= depth - DEPTH_TOLERANCE
        close &= self.depth[view, index[..., 1], index[..., 0]].isfinite()
        toward = torch.nn.functional.normalize(self.cameras.positions[:, None] - points[None], dim=-1)
        facing = (toward * torch.from_numpy(self.patches.normals[faces]).float()[None]).sum(-1)
        score = torch.where(close, facing, -facing.new_ones(()))
        if (
            (enough := (score > FACING).any(dim=0)).logical_not().any()
        ):  # inside-out faces and grazing ones: any view that shows them
            score[:, ~enough] = torch.where(close, 1 + facing.abs(), -facing.new_ones(()))[:, ~enough]
        order = score.argsort(dim=0, descending=True)
        rank = torch.empty_like(order).scatter_(0, order, torch.arange(len(order))[:, None].expand_as(order))
        return ((rank < most) & (score > FACING)).numpy(), pixels


def _probabilities(logits: Tensor) -> Tensor:
    """(P, 3, SIGHT, SIGHT) of low-resolution logits."""
    probability = logits.cpu().float().sigmoid()
    if probability.shape[-1] != SIGHT:
        probability = interpolate(probability, (SIGHT, SIGHT), mode="bilinear", align_corners=False)
    return probability


def node_average(nodes: Tensor, num_nodes: int) -> sp.csr_matrix:
    """(N, P) matrix that averages P pixel values over the pixels of each node."""
    nodes = nodes.numpy()
    count = np.bincount(nodes, minlength=num_nodes)
    return sp.csr_matrix(
        ((1 / count[nodes]).astype(np.float32), (nodes, np.arange(len(nodes)))), shape=(num_nodes, len(nodes))
    )


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
