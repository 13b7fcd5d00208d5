"""What the prior network reads of a mesh and of sets of clicks: rotation-invariant channels on the nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.nn.functional import normalize

from models.prior.nodes import NodeGraph
from utils.files import Recent
from utils.geometry.geodesics import UNREACHABLE
from utils.geometry.graphs import symmetric
from utils.rendering.lifting import quiet_sparse

DECAYS = ((0.08, 0.25), (0.15, 0.5))  # of the plain and of the concave distance
THROUGH_DECAY = 0.25  # of the concave distance with a way through walls
TIMES = (0.002, 0.008, 0.03, 0.12)  # of the diffusion from a click, in units where the surface has area 1
VANISHED = 40.0  # bound of decays' exponents: exp(-40) is nothing, exp(-90) a subnormal number, which is slow
STATIC_CHANNELS = 11
EMBEDDING = 32  # numbers of the point network's embedding
RADIUS, SPREAD = 0.35, 0.12  # in it: of a part, as the iSeg3D paper has it, and the usual deviation on a mesh
KIND_CHANNELS = 26  # of the clicks of one kind
CLICK_CHANNELS = 2 * KIND_CHANNELS + 4
FIRM = 4.0  # logits of the previous answer beyond this say no more
HELD_CLICKS = 256  # of which distances are kept, about 6 kB each
# The kinds of input, each with its columns in `static` and among the channels of a kind of click. The field is
# also the network's `features`.
# Hiding "concave" leaves the nearest click by that distance, and nodes that stop at creases.
COLUMNS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "field": ((), (12,)),
    "distances": ((), tuple(range(12))),
    "plain": ((), (0, 2, 3, 6)),
    "concave": ((), (1, 4, 5, 7)),
    "diffusion": ((), (8, 9, 10, 11)),
    "normals": ((8,), (14, 15, 16)),
    "thickness": ((1, 2, 3, 4), (17, 18)),
    "curvature": ((0,), ()),
    "components": ((9,), (20,)),
    "walls": ((10,), (21, 22, 23)),
    "embedding": ((), (24, 25)),
}
INPUTS = tuple(COLUMNS)


@dataclass(frozen=True, eq=False)
class Averaging:
    """A sparse (N, N) matrix and its transpose, both CSR: torch would transpose in every backward pass."""

    matrix: Tensor
    transposed: Tensor

    def to(self, device: torch.device | str) -> Averaging:
        return Averaging(self.matrix.to(device), self.transposed.to(device))

    def __call__(self, values: Tensor) -> Tensor:
        """(N, D) -> (N, D), differentiable, float32."""
        return _Product.apply(values, self.matrix, self.transposed)  # type: ignore[return-value]


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values: Tensor, matrix: Tensor, transposed: Tensor) -> Tensor:
        ctx.transposed = transposed
        return matrix @ values

    @staticmethod
    def backward(ctx, gradient: Tensor):  # type: ignore[override]
        return ctx.transposed @ gradient.contiguous(), None, None


@dataclass(frozen=True, eq=False)
class NodeTensors:
    """A mesh's nodes as the network reads them, float32.

    features (N, D) the lifted embedding, brought to mean 0 and deviation 1 on the mesh; static (N, STATIC_CHANNELS);
    embedding (N, EMBEDDING) of the point network, brought to mean 0;
    position, normal (N, 3); area (N,), summing to 1; thickness (N,) logarithm
    plain, concave  `Averaging` over the neighbours by either conductance
    modes, rates    (N, K), (K,) of `NodeGraph`
    heat            (len(TIMES), N, K), rows of length 1: products are diffusion similarities
    component       (N,) int64 connected component
    hidden          columns of the channels of either kind of click that are 0
    """

    features: Tensor
    embedding: Tensor
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
    component: Tensor
    hidden: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.area)

    def to(self, device: torch.device | str) -> NodeTensors:
        moved = {field.name: getattr(self, field.name).to(device) for field in fields(self) if field.name != "hidden"}
        return replace(self, **moved)

    def hiding(self, name: str) -> NodeTensors:
        """The same without one kind of input, of `INPUTS`: what it says is 0."""
        columns, hidden = COLUMNS[name]
        static = self.static.clone()
        static[:, columns] = 0
        gone = {"field": "features", "embedding": "embedding"}.get(name)
        zeros = {gone: torch.zeros_like(getattr(self, gone))} if gone else {}
        return replace(self, static=static, hidden=hidden, **zeros)

    @classmethod
    def of(cls, graph: NodeGraph, features: np.ndarray, seen: np.ndarray, embedding: np.ndarray) -> NodeTensors:
        """features (N, D) and seen (N,) as `NodeViews` has them, embedding (N, EMBEDDING) as `embed_nodes`."""
        position, normal, area, modes, rates, curvature, thick, shown, values, embedded = (
            torch.from_numpy(np.asarray(array, dtype=np.float32))
            for array in (graph.position, graph.normal, graph.area, graph.modes, graph.rates)
            + (graph.curvature, graph.thickness, seen, features, embedding)
        )
        mean = (values * area[:, None]).sum(dim=0)
        deviation = ((values - mean).square() * area[:, None]).sum(dim=0).sqrt()
        thickness = thick.clamp(1e-3, 2.0).log()
        component = torch.from_numpy(np.asarray(graph.component, dtype=np.int64))
        share = torch.zeros(int(component.max()) + 1).index_add(0, component, area)
        walled = torch.zeros(len(area)).index_fill(0, torch.from_numpy(graph.walls.ravel().astype(np.int64)), 1.0)
        static = [
            curvature[:, None],
            thickness,
            thickness - thickness.median(dim=0).values,
            (area * len(area)).clamp(min=1e-3).log()[:, None],
            shown[:, None],
            position.norm(dim=1, keepdim=True),
            (position * normal).sum(dim=1, keepdim=True),
            share[component][:, None].clamp(min=1e-4).log() / 4,
            walled[:, None],
        ]
        heat = [normalize(modes * (-0.5 * rates * time).clamp(min=-VANISHED).exp(), dim=1) for time in TIMES]
        return cls(
            (values - mean) / deviation.clamp(min=0.05),
            embedded - (embedded * area[:, None]).sum(dim=0),
            torch.cat(static, dim=1),
            position,
            normal,
            area,
            thickness[:, 0],
            _averaging(graph, 0),
            _averaging(graph, 1),
            modes,
            rates,
            torch.stack(heat),
            component,
        )

    @cached_property
    def directions(self) -> Tensor:
        """(N, D): the features, rows of length 1."""
        return normalize(self.features, dim=1)

    def click_channels(
        self,
        nodes: Tensor,
        positive: Tensor,
        distances: Tensor,
        previous: Tensor | None = None,
        held: Recent[Tensor] | None = None,
    ) -> Tensor:
        """(N, CLICK_CHANNELS) for one set of C clicks: nodes (C,) int64, positive (C,) bool, distances (C, N, 3).

        previous: logits (N,) of the answer that the last of them corrects. Clicks of a kind are joined by the nearest
        or the largest, so their order and copies do not matter. held: channels of kinds of clicks, kept for those that
        a further click of the other kind leaves as they are.
        """
        kinds = []
        for which in (positive, ~positive):
            make = partial(self._kind, nodes[which], distances[which])
            kinds.append(make() if held is None else held.get(tuple(nodes[which].tolist()), make))
        counts = torch.stack([(positive.sum().float() + 1).log(), ((~positive).sum().float() + 1).log()])
        earlier = torch.zeros(len(self), 2, device=self.area.device)
        if previous is not None:
            earlier[:, 0], earlier[:, 1] = previous.clamp(-FIRM, FIRM) / FIRM, 1.0
        return torch.cat([*kinds, counts.expand(len(self), 2), earlier], dim=1)

    def _kind(self, nodes: Tensor, distances: Tensor) -> Tensor:
        """(N, KIND_CHANNELS) for the clicks of one kind."""
        if len(nodes) == 0:
            channels = torch.zeros(len(self), KIND_CHANNELS, device=self.area.device)
            channels[:, 0:2] = UNREACHABLE / 4
            channels[:, 6:8] = 1.0
            channels[:, 21] = UNREACHABLE / 4
            channels[:, 23] = 1.0
            channels[:, 24] = 1.0
        else:
            surface, parts = self._surface(nodes, distances[..., :2]), self._parts(nodes, distances[..., 2])
            channels = torch.cat([*surface, *self._likeness(nodes, distances), *parts, *self._together(nodes)], dim=1)
        if self.hidden:
            channels[:, list(self.hidden)] = 0
        return channels

    def _surface(self, nodes: Tensor, distances: Tensor) -> list[Tensor]:
        """Columns 0 to 11: distances to the nearest click, the area that is nearer, and diffusion from the clicks."""
        nearest = distances.amin(dim=0)
        decays = [
            (nearest[:, kind, None] / -torch.tensor(scales, device=nearest.device)).exp()
            for kind, scales in enumerate(DECAYS)
        ]
        nearer = torch.stack([self._nearer(values) for values in nearest.T], dim=1)
        diffused = torch.einsum("tnk,tck->cnt", self.heat, self.heat[:, nodes]).amax(dim=0)
        return [nearest / 4, *decays, nearer, diffused]

    def _nearer(self, distance: Tensor) -> Tensor:
        """(N,) area of what is nearer than each node, itself included."""
        order = distance.argsort()
        nearer = torch.empty_like(distance)
        nearer[order] = self.area[order].cumsum(dim=0)
        return nearer

    def _parts(self, nodes: Tensor, through: Tensor) -> list[Tensor]:
        """Columns 20 to 23: whether a click is on the same component, and the distance that goes through walls."""
        same = (self.component[:, None] == self.component[nodes]).any(dim=1, keepdim=True).float()
        nearest = through.amin(dim=0)
        decayed = (nearest / -THROUGH_DECAY).exp()
        return [same, *(values[:, None] for values in (nearest / 4, decayed, self._nearer(nearest)))]

    def _together(self, nodes: Tensor) -> list[Tensor]:
        """Columns 24 and 25: distance to the nearest click in the point network's embedding, up to two radii."""
        exact = "donot_use_mm_for_euclid_dist"
        away = torch.cdist(self.embedding, self.embedding[nodes], compute_mode=exact).amin(dim=1, keepdim=True) / RADIUS
        return [away.clamp(max=2) / 2, (-away.square()).exp()]

    def _likeness(self, nodes: Tensor, distances: Tensor) -> list[Tensor]:
        """Columns 12 to 19: likeness of the field, and how a node lies to the click nearest by the concave distance."""
        alike = (self.directions @ self.directions[nodes].T).amax(dim=1, keepdim=True)
        clicked = nodes[distances[..., 1].argmin(dim=0)]
        offset = self.position - self.position[clicked]
        length = offset.norm(dim=1, keepdim=True)
        way = offset / length.clamp(min=1e-4)
        return [
            alike,
            length,
            (way * self.normal).sum(1, keepdim=True),
            (way * self.normal[clicked]).sum(1, keepdim=True),
            (self.normal * self.normal[clicked]).sum(1, keepdim=True),
            self.thickness[:, None] - self.thickness[clicked][:, None],
            self.thickness[clicked][:, None],
            torch.ones_like(length),
        ]


@dataclass(frozen=True, eq=False)
class ClickBatch:
    """B sets of up to C clicks, padded.

    nodes (B, C) int64, 0 where absent; positive, present (B, C) bool; channels (B, N, CLICK_CHANNELS)
    """

    nodes: Tensor
    positive: Tensor
    present: Tensor
    channels: Tensor


Distances = Callable[[Sequence[int]], Tensor]  # nodes (C,) -> (C, N, 3) on the CPU, as `NodeGraph.distances_from`


@dataclass(frozen=True, eq=False)
class Asked:
    """A set of clicks: nodes and their signs, and the logits (N,) float32 of the answer that the last one corrects."""

    nodes: Sequence[int]
    positive: Sequence[bool]
    previous: np.ndarray | None = None


def click_batch(
    tensors: NodeTensors, distances: Distances, sets: Sequence[Asked], held: Recent[Tensor] | None = None
) -> ClickBatch:
    """What the network reads of some sets of clicks; held: as `NodeTensors.click_channels` takes it."""
    device, shape = tensors.area.device, (len(sets), max(len(each.nodes) for each in sets))
    clicks = torch.zeros(shape, dtype=torch.int64)
    positive, present = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.bool)
    channels = []
    for row, each in enumerate(sets):
        asked, sign, count = torch.tensor(each.nodes), torch.tensor(each.positive), len(each.nodes)
        clicks[row, :count], positive[row, :count], present[row, :count] = asked, sign, True
        away = distances(each.nodes).to(device)
        previous = None if each.previous is None else torch.from_numpy(each.previous).to(device)
        channels.append(tensors.click_channels(asked.to(device), sign.to(device), away, previous, held))
    return ClickBatch(clicks.to(device), positive.to(device), present.to(device), torch.stack(channels))


def held_distances(graph: NodeGraph, capacity: int = HELD_CLICKS) -> Distances:
    """`NodeGraph.distances_from` in half precision, kept for the nodes asked about last."""
    recent: Recent[np.ndarray] = Recent(capacity)

    def distances(nodes: Sequence[int]) -> Tensor:
        new = [int(node) for node in dict.fromkeys(nodes) if int(node) not in recent]
        found = dict(zip(new, graph.distances_from(np.array(new)).astype(np.float16))) if new else {}

        def of(node: int) -> np.ndarray:
            if node in found:
                return recent.get(node, lambda: found[node])
            return recent.get(node, lambda: graph.distances_from(np.array([node]))[0].astype(np.float16))

        return torch.from_numpy(np.stack([of(int(node)) for node in nodes])).float()

    return distances


def _averaging(graph: NodeGraph, kind: int) -> Averaging:
    """Averages over the neighbours by conductance."""
    conductance = np.asarray(graph.conductance[:, kind], dtype=np.float32)
    pairs = np.asarray(graph.pairs, dtype=np.int64)
    if kind == 1:
        pairs = np.concatenate([pairs, graph.walls])
        conductance = np.concatenate([conductance, np.ones(len(graph.walls), dtype=np.float32)])
    matrix = symmetric(pairs, conductance, len(graph))
    if kind == 1:  # an isolated side of a crease keeps to itself rather than being scaled up
        matrix = matrix + sp.diags(np.full(len(graph), 0.05, dtype=np.float32))
    matrix = sp.csr_matrix(sp.diags(1 / np.maximum(np.asarray(matrix.sum(axis=1)).ravel(), 1e-9)) @ matrix)
    return Averaging(_to_torch(matrix), _to_torch(sp.csr_matrix(matrix.T)))


def _to_torch(matrix: sp.csr_matrix) -> Tensor:
    arrays = (matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), matrix.data.astype(np.float32))
    pointers, indices, values = map(torch.from_numpy, arrays)
    with quiet_sparse():
        return torch.sparse_csr_tensor(pointers, indices, values, matrix.shape, check_invariants=False)
