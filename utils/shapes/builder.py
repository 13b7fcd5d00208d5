"""Composes primitive solids into one labelled triangle mesh, by sharp placement or by smooth blending."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from skimage.measure import marching_cubes

from utils.shapes.solids import Solid, drop_degenerate

Array = np.ndarray


@dataclass
class LabelledMesh:
    """Triangle mesh with a part hierarchy known by construction.

    vertices (V, 3) float64; faces (F, 3) int64; part, group, whole (F,) int64 labels from fine to coarse: every group is a
    union of parts, whole is 0 everywhere. `names` maps "part" and "group" to the lists of names the labels index.
    """

    vertices: Array
    faces: Array
    part: Array
    group: Array
    names: dict[str, list[str]]
    family: str

    @property
    def whole(self) -> Array:
        """(F,) zeros: the coarsest level is the whole shape."""
        return np.zeros(len(self.faces), dtype=np.int64)


@dataclass
class Piece:
    """One solid of a shape: its label, and how it is joined to the others."""

    solid: Solid
    part: int
    blend: float  # blending radius; 0 is a crease
    cluster: int  # solids of one cluster share a blended surface; -1: placed as a mesh of its own
    carve: bool = False
    detail: float = 1.0


@dataclass
class Builder:
    """Collects named parts and their solids for one random shape.

    `smooth` is the default way of joining (a blended surface or meshes that interpenetrate); `softness` the blending
    radius in units of each solid's thin radius.
    """

    rng: np.random.Generator
    smooth: bool = False
    softness: float = 0.5
    detail: float = 1.0
    pieces: list[Piece] = field(default_factory=list)
    part_names: list[str] = field(default_factory=list)
    group_names: list[str] = field(default_factory=list)
    group_of_part: list[int] = field(default_factory=list)
    cluster: int = 0

    # -- random numbers
    def u(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def n(self, low: int, high: int) -> int:
        """Integer in [low, high]."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def pick(self, options: Sequence):
        return options[int(self.rng.integers(len(options)))]

    # -- labels
    def part(self, name: str, group: str | None = None) -> int:
        """Label of the part `name` (created at its first mention) in `group` (default: a group of its own)."""
        if name in self.part_names:
            return self.part_names.index(name)
        group = name if group is None else group
        if group not in self.group_names:
            self.group_names.append(group)
        self.part_names.append(name)
        self.group_of_part.append(self.group_names.index(group))
        return len(self.part_names) - 1

    # -- solids
    def add(self, part: int, *solids: Solid, smooth: bool | None = None, softness: float | None = None,
            carve: bool = False) -> None:
        """Adds solids to a part. `carve` subtracts them instead (smooth clusters only) and labels the cut with the part."""
        smooth = self.smooth if smooth is None else smooth
        softness = self.softness if softness is None else softness
        for solid in solids:
            self.pieces.append(Piece(solid, part, softness * solid.size if smooth else 0.0,
                                     self.cluster if smooth else -1, carve, self.detail))

    def new_cluster(self) -> None:
        """Solids added from here on blend only among themselves."""
        self.cluster += 1


def compose(builder: Builder, resolution: int, family: str, max_cells: int = 500_000) -> LabelledMesh:
    """Builds the mesh of all pieces. `resolution`: cells along the longest side of each blended cluster."""
    vertices, faces, part, offset = [], [], [], 0
    for cluster in sorted({piece.cluster for piece in builder.pieces}):
        pieces = [piece for piece in builder.pieces if piece.cluster == cluster]
        if cluster < 0:
            surfaces = [(*piece.solid.mesh(piece.detail), piece.part) for piece in pieces]
        else:
            surfaces = [blended_surface(pieces, resolution, max_cells)]
        for v, f, label in surfaces:
            vertices.append(v)
            faces.append(f + offset)
            part.append(np.broadcast_to(label, (len(f),)))
            offset += len(v)
    part = np.concatenate(part).astype(np.int64)
    return with_compact_labels(np.concatenate(vertices), np.concatenate(faces).astype(np.int64), part, builder, family)


def with_compact_labels(vertices: Array, faces: Array, part: Array, builder: Builder, family: str) -> LabelledMesh:
    """Drops parts without faces (buried ones) and numbers the rest, and their groups, from 0."""
    present, part = np.unique(part, return_inverse=True)
    group = np.array(builder.group_of_part)[present]
    groups, group = np.unique(group, return_inverse=True)
    names = {"part": [builder.part_names[i] for i in present], "group": [builder.group_names[i] for i in groups]}
    return LabelledMesh(vertices, faces, part.astype(np.int64), group[part].astype(np.int64), names, family)


# ---------------------------------------------------------------------------------------------- blended surfaces

class Field:
    """Signed distance of pieces joined by quadratic smooth minima, each evaluated only near its own box."""

    def __init__(self, pieces: Sequence[Piece]):
        self.pieces = [p for p in pieces if not p.carve] + [p for p in pieces if p.carve]
        boxes = np.array([p.solid.bounds() for p in self.pieces if not p.carve])
        self.low, self.high = boxes[:, 0].min(0), boxes[:, 1].max(0)
        self.far = 10 * float(np.max(self.high - self.low))  # beyond any blending radius

    def _join(self, value: Array, distance: Array, piece: Piece) -> Array:
        k = piece.blend
        if piece.carve:
            value, distance = -value, distance
        joined = np.minimum(value, distance)
        if k > 0:
            joined -= np.maximum(k - np.abs(value - distance), 0) ** 2 / (4 * k)
        return -joined if piece.carve else joined

    def grid(self, origin: Array, cell: float, shape: tuple[int, int, int]) -> Array:
        """Values on a regular grid (float32); far from every piece the value is only a positive bound."""
        values = np.full(shape, self.far, dtype=np.float32)
        for piece in self.pieces:
            low, high = piece.solid.bounds()
            margin = piece.blend + 2 * cell
            start = np.clip(np.floor((low - margin - origin) / cell).astype(int), 0, shape)
            stop = np.clip(np.ceil((high + margin - origin) / cell).astype(int) + 1, 0, shape)
            if np.any(stop <= start):
                continue
            box = tuple(slice(a, b) for a, b in zip(start, stop))
            axes = [origin[i] + cell * np.arange(start[i], stop[i]) for i in range(3)]
            points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
            distance = piece.solid.distance(points).reshape(stop - start).astype(np.float32)
            values[box] = self._join(values[box], distance, piece)
        return values

    def distances(self, points: Array) -> Array:
        """(P, N) distance of each piece; infinite away from its box. Carved pieces are negated."""
        result = np.full((len(self.pieces), len(points)), np.inf)
        for row, piece in zip(result, self.pieces):
            low, high = piece.solid.bounds()
            margin = piece.blend + 0.05 * np.max(self.high - self.low)
            near = np.all((points > low - margin) & (points < high + margin), axis=1)
            row[near] = piece.solid.distance(points[near])
        return result

    def value(self, points: Array) -> Array:
        """(N,) blended signed distance."""
        value = np.full(len(points), self.far)
        for piece, distance in zip(self.pieces, self.distances(points)):
            finite = np.isfinite(distance)
            value[finite] = self._join(value[finite], distance[finite], piece)
        return value

    def labels(self, points: Array) -> Array:
        """(N,) part of the piece whose surface is nearest."""
        distances = self.distances(points)
        for row, piece in zip(distances, self.pieces):
            if piece.carve:  # a cut owns the surface it made, where its own boundary passes
                row[:] = np.where(np.abs(row) < 1e-2 * np.max(self.high - self.low), np.abs(row) - 1.0, np.inf)
        return np.array([p.part for p in self.pieces])[distances.argmin(0)]


def blended_surface(pieces: Sequence[Piece], resolution: int, max_cells: int = 500_000, project: bool = True) -> tuple[Array, Array, Array]:
    """Marching cubes of a cluster -> vertices (V, 3), faces (F, 3), part of each face (F,)."""
    blend = Field(pieces)
    extent = blend.high - blend.low
    cell = extent.max() / resolution
    cell = max(cell, (np.prod(extent + 6 * cell) / max_cells) ** (1 / 3))
    shape = tuple(int(s) for s in np.ceil(extent / cell).astype(int) + 7)
    origin = blend.low - 3 * cell
    values = blend.grid(origin, cell, shape)
    if values.min() >= 0:
        raise ValueError("the blended solids are thinner than a grid cell")
    vertices, faces, normals, _ = marching_cubes(values, 0.0)
    vertices = vertices.astype(np.float64) * cell + origin
    if project:  # one Newton step along the (inward) normal removes most of the interpolation error
        step = np.clip(blend.value(vertices), -0.5 * cell, 0.5 * cell)
        vertices = vertices + step[:, None] * normals
    vertices, faces = drop_degenerate(vertices, faces.astype(np.int64))
    return vertices, faces, blend.labels(vertices[faces].mean(1))
