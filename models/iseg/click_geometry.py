"""What a vertex can know of where the clicks are: offsets and distances to the nearest click of each kind."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from utils.clicks import Clicks
from utils.geometry.geodesics import UNREACHABLE, SurfaceDistances
from utils.geometry.mesh import Mesh
from utils.progress import Progress, silent, track

DECAYS = ((0.1, 0.3), (0.2, 0.6))  # of the plain and of the concave distance, normalised units
FAR = 2.0  # the Euclidean distance reported where there is no click of a kind: the object's diameter
STATIC_CHANNELS = 6
GROUP_CHANNELS = 3 + 1 + 2 + len(DECAYS[0]) + len(DECAYS[1])
CLICK_CHANNELS = 2 * GROUP_CHANNELS + 1
GEOMETRY_CHANNELS = STATIC_CHANNELS + CLICK_CHANNELS


class ClickGeometry:
    """Geometry of one mesh as the geometric decoder reads it.

    static     (V, STATIC_CHANNELS) float32: normalised position and vertex normal
    distances  the mesh's `SurfaceDistances`
    """

    def __init__(self, mesh: Mesh) -> None:
        self.positions = torch.from_numpy(mesh.normalized)
        self.static = torch.cat(
            [self.positions, torch.from_numpy(mesh.vertex_normals * np.float32(mesh.winding))], dim=1
        )
        self.distances = SurfaceDistances(mesh)

    def of_clicks(self, clicks: Clicks) -> Tensor:
        """(V, CLICK_CHANNELS) float32 for one set of clicks, on the CPU."""
        included, excluded = self._group(clicks.positives), self._group(clicks.negatives)
        return join_groups(included[None], excluded[None], torch.tensor([len(clicks.negatives) > 0]))[0]

    def _group(self, vertices: Tensor) -> Tensor:
        """(V, GROUP_CHANNELS) of the nearest of the clicks of one kind."""
        if len(vertices) == 0:
            return absent_group((len(self.positions),))
        offset = self.positions - self.positions[vertices[0]]
        length = offset.norm(dim=-1)
        for vertex in vertices[1:].tolist():
            other = self.positions - self.positions[vertex]
            nearer = (other_length := other.norm(dim=-1)) < length
            offset, length = torch.where(nearer[:, None], other, offset), torch.where(nearer, other_length, length)
        return group_channels(offset, length, torch.from_numpy(self.distances.from_nearest(vertices.numpy())))


class ClickGeometryTable:
    """Geometry for batches of click sets on some of the vertices, with the surface distances computed once.

    clicked  (S,) int64 distinct vertices that may be clicked; rows (M,) int64 vertices that may be asked about
    """

    def __init__(
        self,
        geometry: ClickGeometry,
        clicked: Tensor,
        rows: Tensor,
        device: str | torch.device = "cpu",
        on_progress: Progress = silent,
    ) -> None:
        table = np.empty((len(clicked), len(rows), 2), dtype=np.float32)
        kept = rows.numpy()
        vertices = track(clicked.tolist(), "surface distances", on_progress, len(clicked), "click")
        for place, vertex in enumerate(vertices):
            table[place] = geometry.distances.from_each(np.array([vertex]))[0][kept]
        self.surface = torch.from_numpy(table).to(device)  # (S, M, 2)
        self.row_positions, self.static = geometry.positions[rows].to(device), geometry.static[rows].to(device)
        self.positions = geometry.positions.to(device)
        self.place = torch.full((len(geometry.positions),), -1, device=device)
        self.place[clicked.to(device)] = torch.arange(len(clicked), device=device)

    def __call__(self, vertices: Tensor, positive: Tensor, present: Tensor, rows: Tensor) -> Tensor:
        """(B, N, GEOMETRY_CHANNELS) for B sets of up to C clicks at N rows each.

        vertices (B, C) int64 (any value where absent), positive and present (B, C) bool; rows (B, N) int64 into the
        table's.
        """
        vertices = vertices.clamp(min=0)
        offset = self.row_positions[rows][:, None] - self.positions[vertices][:, :, None]  # (B, C, N, 3)
        surface = self.surface[self.place[vertices][:, :, None], rows[:, None]]  # (B, C, N, 2)
        included, excluded = present & positive, present & ~positive
        near, far = (_nearest_group(offset, surface, chosen) for chosen in (included, excluded))
        return torch.cat([self.static[rows], join_groups(near, far, excluded.any(dim=1))], dim=-1)


def _nearest_group(offset: Tensor, surface: Tensor, chosen: Tensor) -> Tensor:
    """(B, N, GROUP_CHANNELS): the smallest over the chosen (B, C) clicks; order and copies do not matter."""
    length, nearest = offset.norm(dim=-1).masked_fill(~chosen[:, :, None], float("inf")).min(dim=1)
    offset = offset.gather(1, nearest[:, None, :, None].expand(-1, 1, -1, 3))[:, 0]
    surface = surface.masked_fill(~chosen[:, :, None, None], UNREACHABLE).amin(dim=1)
    group = group_channels(offset, length, surface)
    return torch.where(chosen.any(dim=1)[:, None, None], group, absent_group(length.shape).to(group))


def group_channels(offset: Tensor, length: Tensor, surface: Tensor) -> Tensor:
    """(..., GROUP_CHANNELS): offset from the nearest click (..., 3), its length (...), the plain and concave surface
    distances (..., 2), and exp(-distance / s) of these for the scales `DECAYS`."""
    decays = [torch.exp(surface[..., kind, None] / -surface.new_tensor(scales)) for kind, scales in enumerate(DECAYS)]
    return torch.cat([offset, length[..., None], surface, *decays], dim=-1)


def absent_group(shape: tuple[int, ...]) -> Tensor:
    """(*shape, GROUP_CHANNELS) that stands for no click of a kind: everything far away, no direction."""
    length = torch.full(shape, FAR)
    return group_channels(length.new_zeros((*shape, 3)), length, length.new_full((*shape, 2), UNREACHABLE))


def join_groups(positive: Tensor, negative: Tensor, excluded: Tensor) -> Tensor:
    """(B, N, CLICK_CHANNELS) from both groups (B, N, GROUP_CHANNELS); (B,) bool, is there a negative click?"""
    flag = excluded[:, None, None].expand(*positive.shape[:2], 1).to(positive)
    return torch.cat([positive, negative, flag], dim=-1)
