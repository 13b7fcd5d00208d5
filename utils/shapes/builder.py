"""Composes primitive solids into one labelled triangle mesh, by sharp placement or by smooth blending."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from skimage.measure import marching_cubes

from utils.shapes.remesh import cluster_means, dual_triangles, lloyd, vertex_areas, vertex_normals
from utils.shapes.solids import Solid
from utils.shapes.tessellation import drop_degenerate

Array = np.ndarray


@dataclass
class LabelledMesh:
    """Triangle mesh with a part hierarchy known by construction.

    vertices (V, 3) float64; faces (F, 3) int64; part, group, whole (F,) int64 labels from fine to coarse: every group
    is a union of parts, whole is 0 everywhere. `names` maps "part" and "group" to the lists of names the labels index.
    above (L, F) int64: L further levels between group and whole, from fine to coarse, each a union of those below; all
    index names["above"]. L is 0 for most shapes.
    """

    vertices: Array
    faces: Array
    part: Array
    group: Array
    names: dict[str, list[str]]
    family: str
    above: Array = None  # type: ignore[assignment]  # None: no further levels

    def __post_init__(self) -> None:
        if self.above is None:
            self.above = np.zeros((0, len(self.faces)), dtype=np.int64)

    def of_faces(self, vertices: Array, faces: Array, source: Array) -> LabelledMesh:
        """A mesh of other triangles, each labelled as the face `source` (F',) of this one."""
        above = self.above[:, source]
        return with_compact_labels(
            vertices, faces, self.part[source], self.group[source], self.names, self.family, above
        )

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
    cluster: int  # 0: part of the blended surface; -1: placed as a mesh of its own
    carve: bool = False
    detail: float = 1.0


@dataclass
class Builder:
    """Collects named parts and their solids for one random shape.

    `smooth` is the default way of joining (a blended surface or meshes that interpenetrate); `softness` the blending
    radius in units of each solid's thin radius. `floating` solids stay where they are although they touch nothing.
    """

    rng: np.random.Generator
    smooth: bool = False
    softness: float = 0.5
    detail: float = 1.0
    floating: bool = False
    pieces: list[Piece] = field(default_factory=list)
    part_names: list[str] = field(default_factory=list)
    group_names: list[str] = field(default_factory=list)
    group_of_part: list[int] = field(default_factory=list)
    above_group: list[tuple[str, ...]] = field(default_factory=list)  # of each group, from fine to coarse

    @property
    def names(self) -> dict[str, list[str]]:
        """Names of the parts and groups that labels index."""
        names = {"part": self.part_names, "group": self.group_names}
        return names | ({"above": self._above_names()} if any(self.above_group) else {})

    def _above_names(self) -> list[str]:
        return list(dict.fromkeys(name for group in range(len(self.group_names)) for name in self._path(group)))

    def _path(self, group: int) -> tuple[str, ...]:
        """Names from the coarsest level down to the group."""
        return (*reversed(self.above_group[group]), self.group_names[group])

    def levels_above(self, group: Array) -> Array:
        """(L, F) labels above groups (F,). Levels are counted from the top: a shallow group stands for itself below,
        so a limb that is both a group of its own bone and the parent of a hand holds both at its level."""
        paths = [self._path(i) for i in range(len(self.group_names))]
        depth = max((len(path) for path in paths), default=1) - 1
        index = {name: i for i, name in enumerate(self._above_names())}
        levels = [[index[path[min(d, len(path) - 1)]] for path in paths] for d in reversed(range(depth))]
        return np.array(levels, dtype=np.int64).reshape(depth, len(paths))[:, group]

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
    def part(self, name: str, group: str | None = None, *above: str) -> int:
        """Label of the part `name` (created at its first mention) in `group` (default: a group of its own), which lies
        in the assemblies `above`, from fine to coarse."""
        if name in self.part_names:
            return self.part_names.index(name)
        group = name if group is None else group
        if group not in self.group_names:
            self.group_names.append(group)
            self.above_group.append(above)
        self.part_names.append(name)
        self.group_of_part.append(self.group_names.index(group))
        return len(self.part_names) - 1

    # -- solids
    def add(
        self, part: int, *solids: Solid, smooth: bool | None = None, softness: float | None = None, carve: bool = False
    ) -> None:
        """Adds solids to a part. `carve` subtracts them from what was added before instead (smooth clusters only) and
        labels the cut with the part."""
        smooth = self.smooth if smooth is None else smooth
        softness = self.softness if softness is None else softness
        for solid in solids:
            blend, cluster = (softness * solid.size, 0) if smooth else (0.0, -1)
            self.pieces.append(Piece(solid, part, blend, cluster, carve, self.detail))


def compose(
    builder: Builder, resolution: int, family: str, max_cells: int = 700_000, coarse_vertices: int | None = None
) -> LabelledMesh:
    """Builds the mesh of all pieces. `resolution`: least number of cells along the longest side of a blended cluster; a
    cluster with thin solids gets more, up to `max_cells` in all, and solids that are thinner still are placed sharply.
    `coarse_vertices`: irregular coarse triangles with about so many vertices a cluster, as far as its limbs allow."""
    place_thin_pieces(builder.pieces, resolution, max_cells)
    apart = [piece for piece in builder.pieces if piece.cluster < 0]
    surfaces: list[tuple[Array, Array, int | Array]] = [
        (*_apart(piece.solid.mesh(piece.detail), builder.rng), piece.part) for piece in apart
    ]
    blended = [piece for piece in builder.pieces if piece.cluster >= 0]
    if blended:
        surface = blended_surface(blended, grid_cell(blended, resolution, max_cells))
        if coarse_vertices is not None:
            surface = coarse_surface(blended, surface, coarse_vertices, builder.rng)
        surfaces.append(surface)
    offsets = np.cumsum([0, *(len(vertices) for vertices, _, _ in surfaces)])
    vertices = np.concatenate([vertices for vertices, _, _ in surfaces])
    faces = np.concatenate([faces + offset for (_, faces, _), offset in zip(surfaces, offsets)]).astype(np.int64)
    part = np.concatenate([np.broadcast_to(label, len(f)) for _, f, label in surfaces]).astype(np.int64)
    group = np.array(builder.group_of_part)[part]
    above = builder.levels_above(group)
    return with_compact_labels(vertices, faces, part, group, builder.names, family, above)


def _apart(surface: tuple[Array, Array], rng: np.random.Generator) -> tuple[Array, Array]:
    """A hair larger or smaller, so that faces of two solids never coincide (which would mix their labels)."""
    vertices, faces = surface
    middle = (vertices.min(0) + vertices.max(0)) / 2
    return middle + (vertices - middle) * (1 + rng.uniform(-0.004, 0.004)), faces


def with_compact_labels(
    vertices: Array,
    faces: Array,
    part: Array,
    group: Array,
    names: dict[str, list[str]],
    family: str,
    above: Array | None = None,
) -> LabelledMesh:
    """A mesh whose labels (F,) and `above` (L, F) are numbered anew from 0, without those that have no faces."""
    parts, part = np.unique(part, return_inverse=True)
    groups, group = np.unique(group, return_inverse=True)
    kept = {"part": [names["part"][i] for i in parts], "group": [names["group"][i] for i in groups]}
    above = np.zeros((0, len(faces)), dtype=np.int64) if above is None else above
    if len(above):
        levels, inverse = np.unique(above, return_inverse=True)
        kept["above"] = [names["above"][i] for i in levels]
        above = inverse.reshape(above.shape).astype(np.int64)
    return LabelledMesh(vertices, faces, part.astype(np.int64), group.astype(np.int64), kept, family, above)


# ---------------------------------------------------------------------------------------------- blended surfaces


class Field:
    """Signed distance of pieces joined by quadratic smooth minima, each evaluated only near its own box."""

    def __init__(self, pieces: Sequence[Piece]):
        self.pieces = list(pieces)
        boxes = np.array([p.solid.bounds() for p in pieces if not p.carve])
        self.low, self.high = boxes[:, 0].min(0), boxes[:, 1].max(0)
        self.far = 10 * float(np.max(self.high - self.low))  # beyond any blending radius

    def _join(self, value: Array, distance: Array, piece: Piece) -> Array:
        k = piece.blend
        if piece.carve:
            value = -value
        joined = np.minimum(value, distance)
        if k > 0:
            joined -= np.maximum(k - np.abs(value - distance), 0) ** 2 / (4 * k)
        return -joined if piece.carve else joined

    def grid(self, origin: Array, cell: float, shape: Sequence[int] | Array, block: int = 6) -> Array:
        """Values on a regular grid (float32), exact near the surface; elsewhere they have the right sign only.

        Each piece is evaluated block by block: at the centre of a block first, then at all its points if the piece's
        surface or its blending zone may pass there.
        """
        padded = tuple(-(-size // block) * block for size in shape)
        values = np.full(padded, self.far, dtype=np.float32)
        corner = _lattice((0, 0, 0), (block,) * 3)
        reach = 1.5 * cell * block * np.sqrt(3) / 2  # half a block's diagonal, with allowance for approximate distances
        for piece in self.pieces:
            low, high = piece.solid.bounds()
            margin = piece.blend + 2 * cell
            start = np.clip(np.floor((low - margin - origin) / cell).astype(int), 0, shape) // block
            stop = -(-np.clip(np.ceil((high + margin - origin) / cell).astype(int) + 1, 0, shape) // block)
            if np.any(stop <= start):
                continue
            blocks = _lattice(start, stop) * block
            center = piece.solid.distance(origin + cell * (blocks + (block - 1) / 2))
            near = np.abs(center) < reach + margin
            index = (blocks[near][:, None] + corner).reshape(-1, 3)
            distance = piece.solid.distance(origin + cell * index)
            deep = center <= -(reach + margin)
            if deep.any():
                inner = (blocks[deep][:, None] + corner).reshape(-1, 3)
                index = np.concatenate([index, inner])
                distance = np.concatenate([distance, np.repeat(center[deep], len(corner))])
            at = tuple(index.T)
            values[at] = self._join(values[at], distance.astype(np.float32), piece)
        return values[: shape[0], : shape[1], : shape[2]]

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
        """(N,) part of the piece whose surface is nearest; a cut owns the surface that it made."""
        distances = self.distances(points)
        carved = np.array([piece.carve for piece in self.pieces])
        within = 3e-3 * np.max(self.high - self.low)
        buried = distances[~carved].min(0) < -0.5 * within
        for i in np.flatnonzero(carved):
            distances[i] = np.where(buried & (np.abs(distances[i]) < within), -np.inf, np.inf)
        return np.array([piece.part for piece in self.pieces])[distances.argmin(0)]


def _lattice(start: Sequence[int] | Array, stop: Sequence[int] | Array) -> Array:
    """(N, 3) whole points of a box, `stop` excluded, the last axis fastest."""
    return np.stack(np.meshgrid(*map(np.arange, start, stop), indexing="ij"), -1).reshape(-1, 3)


def grid_cell(pieces: Sequence[Piece], resolution: int, max_cells: int) -> float:
    """Side of a grid cell: fine enough for the resolution and for the thinnest solid, within `max_cells`."""
    boxes = np.array([piece.solid.bounds() for piece in pieces if not piece.carve])
    extent = boxes[:, 1].max(0) - boxes[:, 0].min(0)
    cell = min(extent.max() / resolution, 1.1 * min(piece.solid.size for piece in pieces))
    return float(max(cell, (np.prod(extent + 6 * cell) / max_cells) ** (1 / 3)))


def place_thin_pieces(pieces: Sequence[Piece], resolution: int, max_cells: int) -> None:
    """Takes solids that are thinner than the grid of their cluster can show out of it, so that no limb is broken."""
    members = [piece for piece in pieces if piece.cluster >= 0]
    if members and all(piece.carve for piece in members):
        raise ValueError("a cluster has nothing to carve from")
    cell = grid_cell(members, resolution, max_cells) if members else 0.0
    for piece in members:
        if piece.solid.size < 0.7 * cell and not piece.carve:
            piece.cluster = -1


def blended_surface(pieces: Sequence[Piece], cell: float) -> tuple[Array, Array, Array]:
    """Marching cubes of a cluster on a grid of side `cell` -> vertices (V, 3), faces (F, 3), part of each face (F,)."""
    blend = Field(pieces)
    extent = blend.high - blend.low
    origin = blend.low - 3 * cell
    values = blend.grid(origin, cell, np.ceil(extent / cell).astype(int) + 7)
    if values.min() >= 0:
        raise ValueError("the blended solids are thinner than a grid cell")
    vertices, faces, normals, _ = marching_cubes(values, 0.0)
    vertices = vertices.astype(np.float64) * cell + origin
    # One Newton step along the (inward) normal removes most of the interpolation error.
    vertices += np.clip(blend.value(vertices), -0.5 * cell, 0.5 * cell)[:, None] * normals
    vertices, faces = drop_degenerate(vertices, faces.astype(np.int64))
    return vertices, faces, blend.labels(vertices[faces].mean(1))


def coarse_surface(
    pieces: Sequence[Piece], surface: tuple[Array, Array, Array], count: int, rng: np.random.Generator
) -> tuple[Array, Array, Array]:
    """Irregular coarse triangles for a blended surface; unchanged where its thin limbs leave no room for that."""
    vertices, faces, _ = surface
    area = vertex_areas(vertices, faces)
    edge = 1.2 * min(piece.solid.size for piece in pieces if not piece.carve)
    count = max(count, int(area.sum() / (0.87 * edge**2)))
    if count > len(vertices) / 4:
        return surface
    spacing = np.sqrt(area.sum() / count)
    offsets = vertex_normals(vertices, faces) * spacing * 0.7
    cluster = lloyd(vertices, offsets, area, count, int(rng.integers(1, 6)), rng)
    points, faces = drop_degenerate(cluster_means(cluster, vertices, area, count), dual_triangles(cluster, faces))
    return points, faces, Field(pieces).labels(points[faces].mean(1))


# ---------------------------------------------------------------------------------------------- loose pieces


def attach_loose_pieces(pieces: Sequence[Piece], overlap: float = 0.15) -> None:
    """Moves solids that touch nothing until they do: each loose assembly towards the nearest point of the largest one.

    `overlap`: how far the moved solid enters the other, in units of its own thin radius.
    """
    solid = [piece for piece in pieces if not piece.carve]
    points = [_surface_points(piece.solid) for piece in solid]
    boxes = np.array([piece.solid.bounds() for piece in solid])
    group = np.arange(len(solid))
    for i in range(len(solid)):
        for j in range(i):
            near = np.all(boxes[i, 0] < boxes[j, 1]) and np.all(boxes[j, 0] < boxes[i, 1])
            if group[i] == group[j] or not near:
                continue
            if _gap(points[i], solid[j].solid)[0] < 0 or _gap(points[j], solid[i].solid)[0] < 0:
                group[group == group[i]] = group[j]
    while len(np.unique(group)) > 1:
        labels, counts = np.unique(group, return_counts=True)
        loose = np.flatnonzero(group == labels[counts.argmin()])
        others = np.flatnonzero(group != labels[counts.argmin()])
        gaps = ((*_gap(points[i], solid[j].solid), i, j) for i in loose for j in others)
        gap, at, i, j = min(gaps, key=lambda found: found[0])
        if gap > 0:
            way = _inward(solid[j].solid, points[i][at])
            shift = way * (gap + overlap * solid[i].solid.size)
            for k in loose:
                solid[k].solid.move(shift)
                points[k] = points[k] + shift
        group[loose] = group[j]


def _surface_points(solid: Solid, most: int = 160) -> Array:
    """At most `most` vertices of a coarse tessellation."""
    vertices = solid.mesh(0.3)[0]
    return vertices[:: max(1, -(-len(vertices) // most))]


def _gap(points: Array, solid: Solid) -> tuple[float, int]:
    """Least signed distance of the points to the solid, and the point that has it."""
    distance = solid.distance(points)
    at = int(distance.argmin())
    return float(distance[at]), at


def _inward(solid: Solid, point: Array, step: float = 1e-4) -> Array:
    """Unit direction in which the distance to the solid falls."""
    stencil = point + step * np.concatenate([np.eye(3), -np.eye(3)])
    distance = solid.distance(stencil)
    gradient = distance[:3] - distance[3:]
    return -gradient / max(float(np.linalg.norm(gradient)), 1e-12)
