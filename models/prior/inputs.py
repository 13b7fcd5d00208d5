"""What the prior network reads of a mesh and of a set of clicks: rotation-invariant channels on the nodes."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from models.prior.nodes import NodeGraph, symmetric
from utils.geometry.geodesics import UNREACHABLE
from utils.rendering.lifting import quiet_sparse

DECAYS = ((0.08, 0.25), (0.15, 0.5))  # of the plain and of the concave distance
TIMES = (0.002, 0.008, 0.03, 0.12)  # of the diffusion from a click, in units where the surface has area 1
VANISHED = (
    40.0  # exponents of decays are bounded by this: exp(-40) is nothing, exp(-90) a subnormal number, which is slow
)
STATIC_CHANNELS = 9
KIND_CHANNELS = 27  # of the clicks of one kind
CLICK_CHANNELS = 2 * KIND_CHANNELS + 2
# What can be left out: for each kind of input its columns in `static` and in the channels of the clicks of one kind. The field is also
# the network's `features`. Leaving "concave" out leaves the nearest click by the concave distance and the nodes, which stop at creases.
COLUMNS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "masks": ((), (0, 1, 2, 3, 23, 24, 25)),
    "field": ((), (16,)),
    "distances": ((), tuple(range(4, 16))),
    "plain": ((), (4, 6, 7, 10)),
    "concave": ((), (5, 8, 9, 11)),
    "diffusion": ((), (12, 13, 14, 15)),
    "normals": ((8,), (18, 19, 20)),
    "thickness": ((1, 2, 3, 4), (21, 22)),
    "curvature": ((0,), ()),
}
INPUTS = tuple(COLUMNS)


@dataclass(frozen=True, eq=False)
class Averaging:
    """A sparse (N, N) matrix and its transpose, both CSR: torch transposes in every backward pass, at eight times the cost."""

    matrix: Tensor
    transposed: Tensor

    def to(self, device: torch.device | str) -> Averaging:
        """The same on `device`."""
        return Averaging(self.matrix.to(device), self.transposed.to(device))

    def __call__(self, values: Tensor) -> Tensor:
        """(N, D) -> (N, D), differentiable, float32."""
        return _Product.apply(values, self.matrix, self.transposed)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values: Tensor, matrix: Tensor, transposed: Tensor) -> Tensor:
        ctx.transposed = transposed
        return matrix @ values

    @staticmethod
    def backward(ctx, gradient: Tensor):
        return ctx.transposed @ gradient.contiguous(), None, None


@dataclass(frozen=True, eq=False)
class NodeTensors:
    """A mesh's nodes as the network reads them, float32.

    features (N, D) the lifted embedding, brought to mean 0 and deviation 1 on the mesh; static (N, STATIC_CHANNELS);
    position, normal (N, 3); area (N,), summing to 1; thickness (N,) logarithm
    plain, concave  `Averaging` over the neighbours by either conductance
    modes, rates    (N, K), (K,) of `NodeGraph`; heat (len(TIMES), N, K), rows of length 1: products are diffusion similarities
    """

    features: Tensor
    static: Tensor
    position: Tensor
    normal: Tensor
    area: Tensor
    thickness: Tensor
    plain: Averaging
    concave: Averaging
    modes: Tensor
    rates: Tensor
    heat: Tensor

    def __len__(self) -> int:
        return len(self.area)

    def to(self, device: torch.device | str) -> NodeTensors:
        """The same on `device`."""
        return NodeTensors(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})

    def static_without(self, without: tuple[str, ...]) -> Tensor:
        """(N, STATIC_CHANNELS), 0 in the columns of what is left out."""
        return _hidden(self.static, [column for name in without for column in COLUMNS[name][0]])

    @classmethod
    def of(cls, graph: NodeGraph, features: np.ndarray, seen: np.ndarray) -> NodeTensors:
        """features (N, D) and seen (N,) as `NodeViews` has them."""
        area, modes, rates = (
            torch.from_numpy(np.asarray(x, dtype=np.float32)) for x in (graph.area, graph.modes, graph.rates)
        )
        values = torch.from_numpy(np.asarray(features, dtype=np.float32))
        mean = (values * area[:, None]).sum(dim=0)
        deviation = ((values - mean).square() * area[:, None]).sum(dim=0).sqrt()
        thickness = torch.from_numpy(np.asarray(graph.thickness, dtype=np.float32)).clamp(1e-3, 2.0).log()
        relative = thickness - thickness.median(dim=0).values
        position, normal = (torch.from_numpy(np.asarray(x, dtype=np.float32)) for x in (graph.position, graph.normal))
        static = torch.cat(
            [
                torch.from_numpy(np.asarray(graph.curvature, dtype=np.float32))[:, None],
                thickness,
                relative,
                (area * len(area)).clamp(min=1e-3).log()[:, None],
                torch.from_numpy(np.asarray(seen, dtype=np.float32))[:, None],
                position.norm(dim=1, keepdim=True),
                (position * normal).sum(dim=1, keepdim=True),
            ],
            dim=1,
        )
        heat = torch.stack(
            [
                torch.nn.functional.normalize(modes * (-0.5 * rates * time).clamp(min=-VANISHED).exp(), dim=1)
                for time in TIMES
            ]
        )
        return cls(
            (values - mean) / deviation.clamp(min=0.05),
            static,
            position,
            normal,
            area,
            thickness[:, 0],
            _averaging(graph, 0),
            _averaging(graph, 1),
            modes,
            rates,
            heat,
        )

    def click_channels(
        self, nodes: Tensor, positive: Tensor, distances: Tensor, masks: Tensor, without: tuple[str, ...] = ()
    ) -> Tensor:
        """(N, CLICK_CHANNELS) for one set of C clicks: nodes (C,) int64, positive (C,) bool, distances (C, N, 2), masks (C, N, 4).

        Clicks of a kind are joined by the nearest or the largest, so their order and copies do not matter.
        """
        hidden = [column for name in without for column in COLUMNS[name][1]]
        kinds = [
            _hidden(self._kind(nodes[which], distances[which], masks[which]), hidden) for which in (positive, ~positive)
        ]
        counts = torch.stack([(positive.sum().float() + 1).log(), ((~positive).sum().float() + 1).log()])
        return torch.cat([*kinds, counts.expand(len(self), 2)], dim=1)

    def _kind(self, nodes: Tensor, distances: Tensor, masks: Tensor) -> Tensor:
        size, device = len(self), self.area.device
        if len(nodes) == 0:
            absent = torch.zeros(size, KIND_CHANNELS, device=device)
            absent[:, 4:6] = UNREACHABLE / 4
            absent[:, 10:12] = 1.0
            return absent
        nearest, which = distances.min(dim=0)
        which = which[:, 1]
        decays = [
            (nearest[:, kind, None] / -torch.tensor(scales, device=device)).exp() for kind, scales in enumerate(DECAYS)
        ]
        order = nearest.argsort(dim=0)
        nearer = torch.empty_like(nearest)
        for kind in range(2):
            nearer[order[:, kind], kind] = self.area[order[:, kind]].cumsum(dim=0)
        diffused = torch.einsum("tnk,tck->cnt", self.heat, self.heat[:, nodes]).amax(dim=0)
        alike = torch.nn.functional.normalize(self.features, dim=1)
        alike = (alike @ alike[nodes].T).amax(dim=1, keepdim=True)
        clicked = nodes[which]
        offset = self.position - self.position[clicked]
        length = offset.norm(dim=1, keepdim=True)
        way = offset / length.clamp(min=1e-4)
        invariants = torch.cat(
            [
                length,
                (way * self.normal).sum(1, keepdim=True),
                (way * self.normal[clicked]).sum(1, keepdim=True),
                (self.normal * self.normal[clicked]).sum(1, keepdim=True),
                self.thickness[:, None] - self.thickness[clicked][:, None],
                self.thickness[clicked][:, None],
            ],
            dim=1,
        )
        # masks of a click count where its views see the node; elsewhere the other clicks decide
        joined = torch.cat([masks[..., :3].amax(dim=0), masks[..., 3:].amax(dim=0)], dim=1)
        mean = masks[..., :3].mean(dim=0)
        surface = torch.cat([nearest / 4, *decays, nearer, diffused], dim=1)
        return torch.cat([joined, surface, alike, invariants, mean, torch.ones(size, 1, device=device)], dim=1)


def _hidden(values: Tensor, columns: list[int]) -> Tensor:
    """Values (N, D), new, with some columns 0; as they are if there are none."""
    if columns:
        values = values.clone()
        values[:, columns] = 0
    return values


def _averaging(graph: NodeGraph, kind: int) -> Averaging:
    """Averages over the neighbours by conductance."""
    matrix = symmetric(
        np.asarray(graph.pairs, dtype=np.int64), np.asarray(graph.conductance[:, kind], dtype=np.float32), len(graph)
    )
    if kind == 1:  # an isolated side of a crease keeps to itself rather than being scaled up
        matrix = matrix + sp.identity(len(graph), format="csr", dtype=np.float32) * 0.05
    matrix = sp.csr_matrix(sp.diags(1 / np.maximum(np.asarray(matrix.sum(axis=1)).ravel(), 1e-9)) @ matrix)
    return Averaging(_to_torch(matrix), _to_torch(sp.csr_matrix(matrix.T)))


def _to_torch(matrix: sp.csr_matrix) -> Tensor:
    with quiet_sparse():
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(np.int64)),
            torch.from_numpy(matrix.indices.astype(np.int64)),
            torch.from_numpy(matrix.data.astype(np.float32)),
            matrix.shape,
            check_invariants=False,
        )
