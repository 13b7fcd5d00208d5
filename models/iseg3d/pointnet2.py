"""PointNet++ with multi-scale grouping and feature propagation (Qi et al. 2017) in plain PyTorch: the backbone of iSeg3D (Sec. 3.1).

What depends on the positions alone - samples, neighbours, interpolation weights - is a `Plan`: it is made once for a cloud and,
being the same after a rotation, serves every training step and every step of online fine-tuning.
"""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu


@dataclass(frozen=True)
class PointNet2Config:
    """Architecture. Radii are in units of the cloud, which is centred in the unit ball.

    inputs      channels of a point beside its position: 3 for the normal; more for click heatmaps
    outputs     channels that come out for every point
    centers     points sampled at every level
    radii, neighbors  of every scale of every level; a group holds the nearest `neighbors` points within the radius
    widths      of the layers at every level, for each of its scales
    propagated  widths of the feature propagation into every level, from the points themselves upwards
    """

    inputs: int = 3
    outputs: int = 32
    centers: tuple[int, ...] = (1024, 256, 64)
    radii: tuple[tuple[float, ...], ...] = ((0.08, 0.16), (0.2, 0.4), (0.5, 1.0))
    neighbors: tuple[tuple[int, ...], ...] = ((16, 32), (16, 32), (16, 32))
    widths: tuple[tuple[int, ...], ...] = ((32, 48, 64), (96, 96, 128), (160, 160, 256))
    propagated: tuple[int, ...] = (128, 192, 256)

    def to_dict(self) -> dict:
        """Plain values for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> PointNet2Config:
        """The inverse of `to_dict`; lists become tuples."""

        def frozen(value):
            return tuple(frozen(v) for v in value) if isinstance(value, (list, tuple)) else value

        return cls(**{key: frozen(value) for key, value in values.items()})


@dataclass(frozen=True)
class Level:
    """From the points of one level (n of them) to the m centres of the next.

    centers  (m,) int64 into the n points
    groups   for each scale (m, k) int64 into the n points; where fewer are within the radius, the nearest repeats
    nearest  (n, 3) int64 into the m centres, and `weights` (n, 3) float32 that sum to 1: interpolation back
    """

    centers: Tensor
    groups: tuple[Tensor, ...]
    nearest: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Plan:
    """All index tensors of one cloud, or of several clouds laid one after the other (`Plan.joined`)."""

    levels: tuple[Level, ...]

    @classmethod
    def of(cls, points: Tensor, config: PointNet2Config) -> Plan:
        """Plan of one cloud (N, 3) float; N may be any positive number."""
        levels = []
        points = points.float()
        # Farthest-point samples are nested: the first 64 of 1,024 are the 64 one would choose.
        order = farthest_points(points, min(max(config.centers), len(points)))
        known = order
        for depth, (count, radii, neighbors) in enumerate(zip(config.centers, config.radii, config.neighbors)):
            centers = known[:count] if depth == 0 else torch.arange(min(count, len(points)), device=points.device)
            chosen = points[centers]
            distance = torch.cdist(chosen, points)
            closest, index = distance.topk(min(max(neighbors), len(points)), dim=1, largest=False)
            groups = []
            for radius, size in zip(radii, neighbors):
                group, far = index[:, :size], closest[:, :size] > radius
                groups.append(torch.where(far, group[:, :1], group))
            back, near = distance.T.topk(min(3, len(chosen)), dim=1, largest=False)
            weight = 1 / (back + 1e-6)
            levels.append(Level(centers, tuple(groups), near, weight / weight.sum(dim=1, keepdim=True)))
            points = chosen
        return cls(tuple(levels))

    @classmethod
    def joined(cls, plans: list[Plan], sizes: list[int]) -> Plan:
        """One plan of several clouds of `sizes` points; they must have equal numbers of neighbours."""
        levels = []
        for level in zip(*(plan.levels for plan in plans)):
            starts = torch.tensor([0, *sizes]).cumsum(0)[:-1].tolist()
            counts = [len(part.centers) for part in level]
            centers = torch.tensor([0, *counts]).cumsum(0)[:-1].tolist()
            levels.append(
                Level(
                    torch.cat([part.centers.long() + start for part, start in zip(level, starts)]),
                    tuple(
                        torch.cat([part.groups[k].long() + start for part, start in zip(level, starts)])
                        for k in range(len(level[0].groups))
                    ),
                    torch.cat([part.nearest.long() + start for part, start in zip(level, centers)]),
                    torch.cat([part.weights.float() for part in level]),
                )
            )
            sizes = counts
        return cls(tuple(levels))

    def to(self, device: torch.device | str) -> Plan:
        return Plan(
            tuple(
                Level(
                    level.centers.to(device),
                    tuple(g.to(device) for g in level.groups),
                    level.nearest.to(device),
                    level.weights.to(device),
                )
                for level in self.levels
            )
        )


def farthest_points(points: Tensor, count: int) -> Tensor:
    """(count,) int64: farthest-point sampling of (N, 3), beginning with the point farthest from the middle."""
    away = (points - points.mean(dim=0)).square().sum(dim=1)
    chosen = torch.empty(count, dtype=torch.int64, device=points.device)
    columns = points.T.contiguous()
    nearest = torch.full_like(away, torch.inf)
    for k in range(count):
        index = (away if k == 0 else nearest).argmax()
        chosen[k] = index
        offset = columns - columns[:, index, None]
        nearest = torch.minimum(nearest, offset.square_().sum(dim=0))
    return chosen


class SharedLayers(nn.Module):
    """Linear layers without bias, each followed by batch normalisation and ReLU, applied to rows."""

    def __init__(self, channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        sizes = (channels, *widths)
        self.layers = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in itertools.pairwise(sizes))
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for width in widths)

    def forward(self, rows: Tensor) -> Tensor:
        for layer, norm in zip(self.layers, self.norms):
            rows = relu(norm(layer(rows)))
        return rows


class Grouping(nn.Module):
    """One scale of set abstraction: shared layers on (feature, offset from the centre), then the maximum over the group."""

    def __init__(self, channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.feature = nn.Linear(channels, widths[0], bias=False)
        self.offset = nn.Linear(3, widths[0], bias=False)
        self.norm = nn.BatchNorm1d(widths[0])
        self.rest = SharedLayers(widths[0], widths[1:])

    def forward(self, points: Tensor, features: Tensor, level: Level, group: Tensor, radius: float) -> Tensor:
        """points (n, 3), features (n, C) -> (m, W)."""
        # The first layer is linear in feature and offset: applied before the gather, it works on n rows instead of m k.
        placed = self.offset(points / radius)
        rows = (self.feature(features) + placed).index_select(0, group.flatten())
        rows = rows.view(*group.shape, -1) - placed.index_select(0, level.centers)[:, None]
        return group_maximum(self.rest(relu(self.norm(rows.flatten(0, 1)))), group.shape[1])


class Propagation(nn.Module):
    """Feature propagation: what the level above knows, interpolated, beside what a point itself has, through two shared layers."""

    def __init__(self, above: int, own: int, width: int) -> None:
        super().__init__()
        self.above = nn.Linear(above, width, bias=False)
        self.own = nn.Linear(own, width, bias=False)
        self.norm = nn.BatchNorm1d(width)
        self.rest = SharedLayers(width, (width,))

    def forward(self, above: Tensor, own: Tensor, level: Level) -> Tensor:
        """above (m, A), own (n, C) -> (n, W)."""
        # Interpolating is linear, as the first layer is: applied before it, the layer works on m rows instead of n.
        rows = interpolate(self.above(above), level.nearest, level.weights) + self.own(own)
        return self.rest(relu(self.norm(rows)))


class PointNet2(nn.Module):
    """Points with channels -> a vector for every point.

    `forward(points (N, 3), channels (N, inputs), plan)` -> (N, outputs); several clouds at once with `Plan.joined`.
    """

    def __init__(self, config: PointNet2Config = PointNet2Config()) -> None:
        super().__init__()
        self.config = config
        self.abstraction = nn.ModuleList()
        sizes = [
            config.inputs
        ]  # channels of every level; positions come in relative to the centres, absolute ones at the end
        for radii, widths in zip(config.radii, config.widths):
            self.abstraction.append(nn.ModuleList(Grouping(sizes[-1], widths) for _ in radii))
            sizes.append(len(radii) * widths[-1])
        self.overall = SharedLayers(sizes[-1] + 3, (sizes[-1],))
        self.propagation = nn.ModuleList()
        above = 2 * sizes[-1]
        for depth in reversed(range(len(config.radii))):
            below = sizes[depth] + (3 if depth == 0 else 0)
            width = config.propagated[depth]
            self.propagation.append(Propagation(above, below, width))
            above = width
        self.head = nn.Sequential(
            nn.Linear(above, above, bias=False), nn.BatchNorm1d(above), nn.ReLU(), nn.Linear(above, config.outputs)
        )

    def forward(self, points: Tensor, channels: Tensor, plan: Plan, clouds: int = 1) -> Tensor:
        """points (N, 3), channels (N, inputs) of `clouds` clouds of equal size one after the other -> (N, outputs) float32."""
        positions, features = [points], [channels]
        for level, scales, radii in zip(plan.levels, self.abstraction, self.config.radii):
            features.append(
                torch.cat(
                    [
                        scale(positions[-1], features[-1], level, group, radius)
                        for scale, group, radius in zip(scales, level.groups, radii)
                    ],
                    dim=1,
                )
            )
            positions.append(positions[-1].index_select(0, level.centers))
        coarse = features[-1]
        whole = (
            self.overall(torch.cat([coarse, positions[-1].to(coarse.dtype)], dim=1))
            .view(clouds, -1, coarse.shape[1])
            .amax(dim=1)
        )
        carried = torch.cat([coarse, whole.repeat_interleave(len(coarse) // clouds, dim=0)], dim=1)
        for depth, layers in zip(reversed(range(len(plan.levels))), self.propagation):
            own = features[depth] if depth else torch.cat([channels, points], dim=1)
            carried = layers(carried, own, plan.levels[depth])
        return self.head(carried).float()


def interpolate(values: Tensor, nearest: Tensor, weights: Tensor) -> Tensor:
    """values (m, C) at each point's `nearest` (n, k), weighted by `weights` (n, k) -> (n, C)."""
    weights = weights.to(values.dtype)
    return sum(values.index_select(0, nearest[:, k]) * weights[:, k, None] for k in range(nearest.shape[1]))


def group_maximum(rows: Tensor, size: int) -> Tensor:
    """Maximum of every `size` rows: (m size, C) -> (m, C)."""
    # As pooling of channels-last images, which keeps for the gradient where the maximum was: `amax` compares everything again.
    images = rows.view(-1, 1, size, rows.shape[1]).permute(0, 3, 1, 2)
    return max_pool2d(images, (1, size)).flatten(1)
