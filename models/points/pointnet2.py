"""PointNet++ with multi-scale grouping and feature propagation (Qi et al. 2017), the backbone of iSeg3D (Sec. 3.1).

What depends on the positions alone - samples, neighbours, interpolation weights - is a `Plan`: it is made once for a
cloud and, being the same after a rotation, serves every training step and every step of online fine-tuning.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu

from utils.geometry.sampling import farthest_point_sampling


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

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> PointNet2Config:
        """The inverse of `to_dict`; lists become tuples."""

        def frozen(value: Any) -> Any:
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
        known = farthest_points(points, min(max(config.centers), len(points)))
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

        def laid(parts: list[Tensor], sizes: list[int]) -> Tensor:
            """Indices into each cloud as indices into all of them."""
            starts = itertools.accumulate(sizes, initial=0)
            return torch.cat([part.long() + start for part, start in zip(parts, starts)])

        levels = []
        for level in zip(*(plan.levels for plan in plans)):
            counts = [len(part.centers) for part in level]
            centers = laid([part.centers for part in level], sizes)
            groups = tuple(laid(list(scale), sizes) for scale in zip(*(part.groups for part in level)))
            nearest = laid([part.nearest for part in level], counts)
            levels.append(Level(centers, groups, nearest, torch.cat([part.weights.float() for part in level])))
            sizes = counts
        return cls(tuple(levels))

    def to(self, device: torch.device | str) -> Plan:
        """The same plan on a device."""
        return self._each(lambda tensor: tensor.to(device), lambda tensor: tensor.to(device))

    def compact(self) -> Plan:
        """The plan with int16 indices and float16 weights, a quarter of the memory; `joined` widens them again."""
        return self._each(Tensor.short, Tensor.half)

    def _each(self, index: Callable[[Tensor], Tensor], weight: Callable[[Tensor], Tensor]) -> Plan:
        return Plan(
            tuple(
                Level(
                    index(level.centers), tuple(map(index, level.groups)), index(level.nearest), weight(level.weights)
                )
                for level in self.levels
            )
        )


def farthest_points(points: Tensor, count: int) -> Tensor:
    """(count,) int64: farthest-point sampling of (N, 3), from the point farthest from the middle; where only copies of
    chosen points are left, the first point repeats."""
    start = int((points - points.mean(dim=0)).square().sum(dim=1).argmax())
    chosen = farthest_point_sampling(points.cpu().numpy(), count, start)
    return torch.from_numpy(np.pad(chosen, (0, count - len(chosen)))).to(points.device)


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
    """One scale of set abstraction: shared layers on (feature, offset from the centre), then the group's maximum."""

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
    """Feature propagation: what the level above knows, interpolated, beside what a point has, through shared layers."""

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
    """Points with channels -> a vector for every point."""

    def __init__(self, config: PointNet2Config) -> None:
        super().__init__()
        self.config = config
        self.abstraction = nn.ModuleList()
        sizes = [
            config.inputs
        ]  # channels of every level; positions come in relative to the centres, absolute at the end
        for radii, widths in zip(config.radii, config.widths):
            self.abstraction.append(nn.ModuleList(Grouping(sizes[-1], widths) for _ in radii))
            sizes.append(len(radii) * widths[-1])
        self.overall = SharedLayers(sizes[-1] + 3, (sizes[-1],))
        self.propagation = nn.ModuleList()
        above = 2 * sizes[-1]
        for depth in reversed(range(len(config.radii))):
            below, width = sizes[depth] + (3 if depth == 0 else 0), config.propagated[depth]
            self.propagation.append(Propagation(above, below, width))
            above = width
        self.head = nn.Sequential(
            nn.Linear(above, above, bias=False), nn.BatchNorm1d(above), nn.ReLU(), nn.Linear(above, config.outputs)
        )

    def forward(self, points: Tensor, channels: Tensor, plan: Plan, clouds: int = 1) -> Tensor:
        """points (N, 3), channels (N, inputs) -> (N, outputs) float32; several `clouds` of equal size lie one after the
        other, as in `Plan.joined`."""
        positions, features = [points], [channels]
        for level, scales, radii in zip(plan.levels, self.abstraction, self.config.radii):
            assert isinstance(scales, nn.ModuleList)
            grouped = [
                scale(positions[-1], features[-1], level, group, radius)
                for scale, group, radius in zip(scales, level.groups, radii)
            ]
            features.append(torch.cat(grouped, dim=1))
            positions.append(positions[-1].index_select(0, level.centers))
        coarse = features[-1]
        placed = torch.cat([coarse, positions[-1].to(coarse.dtype)], dim=1)
        whole = self.overall(placed).view(clouds, -1, coarse.shape[1]).amax(dim=1)
        carried = torch.cat([coarse, whole.repeat_interleave(len(coarse) // clouds, dim=0)], dim=1)
        for depth, layers in zip(reversed(range(len(plan.levels))), self.propagation):
            own = features[depth] if depth else torch.cat([channels, points], dim=1)
            carried = layers(carried, own, plan.levels[depth])
        return self.head(carried).float()


def interpolate(values: Tensor, nearest: Tensor, weights: Tensor) -> Tensor:
    """values (m, C) at each point's `nearest` (n, k), weighted by `weights` (n, k) -> (n, C)."""
    weights = weights.to(values.dtype)
    total = values.index_select(0, nearest[:, 0]) * weights[:, 0, None]
    for k in range(1, nearest.shape[1]):
        total = total + values.index_select(0, nearest[:, k]) * weights[:, k, None]
    return total


def group_maximum(rows: Tensor, size: int) -> Tensor:
    """Maximum of every `size` rows: (m size, C) -> (m, C)."""
    # As pooling of channels-last images, which keeps for the gradient where the maximum was; `amax` compares again.
    images = rows.view(-1, 1, size, rows.shape[1]).permute(0, 3, 1, 2)
    return max_pool2d(images, (1, size)).flatten(1)
