"""The same labelled shape as other people's files have it: doubled and flipped faces, open sheets, triangle soup,
slivers, few faces or very many, scans of a few sides, closed voxel surfaces.

Each dress takes a shape and random numbers and gives a new shape; a face has the label of the face it comes from.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import trimesh
from scipy.ndimage import distance_transform_edt, gaussian_filter, label
from scipy.spatial import KDTree
from skimage.measure import marching_cubes

from utils.geometry.graphs import distinct_pairs, numbered_pairs
from utils.geometry.mesh import area_normals
from utils.shapes.builder import LabelledMesh
from utils.shapes.remesh import components, edges_of, vertex_normals
from utils.shapes.solids import rotation_about
from utils.shapes.tessellation import drop_degenerate, in_unit_ball, unit

Array = np.ndarray
Dress = Callable[[LabelledMesh, np.random.Generator], LabelledMesh]
LEAST_FACES = 60
MOST_FACES = 200_000
SAMPLES = 90_000  # points on the surface from which a blob is made


def dressed(shape: LabelledMesh, rng: np.random.Generator, dress: str | None = None) -> LabelledMesh:
    """The shape in a dress that is drawn by `SHARES`, or in a given one; as it was where too little of it is left."""
    names = list(SHARES)
    share = np.array([SHARES[name][1] for name in names])
    dress = names[int(rng.choice(len(names), p=share / share.sum()))] if dress is None else dress
    try:
        result = SHARES[dress][0](shape, rng)
    except ValueError:  # thinner than a voxel
        return shape
    if len(result.faces) < LEAST_FACES or not np.isfinite(result.vertices).all():
        return shape
    return result


def as_it_is(shape: LabelledMesh, rng: np.random.Generator) -> LabelledMesh:
    return shape


def flipped(shape: LabelledMesh, rng: np.random.Generator) -> LabelledMesh:
    """Faces of some components, or any, turned around, or there twice with both sides."""
    owner = components(edges_of(shape.faces), len(shape.vertices))[shape.faces[:, 0]]
    by_component = rng.random() < 0.6
    key = owner if by_component else np.arange(len(shape.faces))
    chosen = (rng.random(int(key.max()) + 1) < rng.choice([0.15, 0.5, 1.0], p=[0.4, 0.4, 0.2]))[key]
    if rng.random() < 0.5 or len(shape.faces) > MOST_FACES // 2:
        faces = np.where(chosen[:, None], shape.faces[:, ::-1], shape.faces)
        return shape.of_faces(shape.vertices, faces, np.arange(len(faces)))
    source = np.concatenate([np.arange(len(shape.faces)), np.flatnonzero(chosen)])
    faces = np.concatenate([shape.faces, shape.faces[chosen][:, ::-1]])
    return shape.of_faces(shape.vertices, faces, source)


def unclosed(shape: LabelledMesh, rng: np.random.Generator) -> LabelledMesh:
    """Open sheets: without what no eye sees, without the underside or the back, or without thin rims."""
    kind = rng.choice(["hidden", "hidden", "underside", "backs"])
    normal = face_normals(shape.vertices, shape.faces)
    if kind == "hidden":
        kept = _seen(shape, unit(rng.normal(size=(30, 3))), normal)
    elif kind == "underside":
        kept = normal[:, 1] > -0.9
    else:
        way = unit(rng.normal(size=3))
        owner = components(edges_of(shape.faces), len(shape.vertices))[shape.faces[:, 0]]
        hit = (rng.random(int(owner.max()) + 1) < rng.uniform(0.3, 1.0))[owner]
        kept = ~(hit & (normal @ way < -0.6))
    return _with_faces(shape, kept)


def unwelded(shape: LabelledMesh, rng: np.random.Generator) -> LabelledMesh:
    """Triangle soup: no face shares a vertex with another; in a random order."""
    order = rng.permutation(len(shape.faces)) if rng.random() < 0.5 else np.arange(len(shape.faces))
    vertices = shape.vertices[shape.faces[order]].reshape(-1, 3)
    return shape.of_faces(vertices, np.arange(len(vertices)).reshape(-1, 3), order)


def slivers(shape: LabelledMesh, rng: np.random.Generator) -> LabelledMesh:
    """Edges split near an end, again and again: long thin triangles and fans, on the same surface."""
    vertices, faces, source = shape.vertices, shape.faces, np.arange(len(shape.faces))
    for _ in range(int(rng.integers(2, 5))):
        edges = np.sort(edges_of(faces), axis=1)
        rows = np.tile(np.arange(len(faces)), 3)
        _, edge = numbered_pairs(edges, len(vertices))
        rank = rng.permutation(int(edge.max()) + 1)[edge]
        first = np.full(len(faces), len(rank))
        np.minimum.at(first, rows, rank)  # an edge is split where it comes first in all of its faces
        wins = first[rows] == rank
        spoiled = np.zeros(len(rank) + 1, dtype=bool)
        spoiled[rank[~wins]] = True
        wins &= ~spoiled[rank] & (rng.random(len(rank)) < 0.5)[rank]
        if len(faces) + wins.sum() > 60_000 or not wins.any():
            break
        new, index = np.unique(rank[wins], return_inverse=True)
        row, corner = rows[wins], np.repeat(np.arange(3), len(faces))[wins]
        one = np.zeros(len(new), dtype=np.int64)
        one[index] = np.arange(len(index))
        ends = edges[np.flatnonzero(wins)[one]]
        t = rng.uniform(0.03, 0.25, len(new))[:, None]
        points = vertices[ends[:, 0]] * (1 - t) + vertices[ends[:, 1]] * t
        at, face = len(vertices) + index, faces[row]
        a, c, tip = (face[np.arange(len(row)), (corner + k) % 3] for k in range(3))
        keep = np.ones(len(faces), dtype=bool)
        keep[row] = False
        halves = [np.stack([a, at, tip], 1), np.stack([at, c, tip], 1)]
        faces = np.concatenate([faces[keep], *halves])
        source = np.concatenate([source[keep], source[row], source[row]])
        vertices = np.concatenate([vertices, points])
    return shape.of_faces(vertices, faces, source)


def decimated(shape: LabelledMesh, rng: np.random.Generator) -> LabelledMesh:
    """About 500 faces: edges collapse where the surface bends least; a component keeps a dozen faces."""
    wanted = int(np.exp(rng.uniform(np.log(300), np.log(1100))))
    vertices, faces, source = _snapped(shape) if len(shape.faces) > 16_000 else _own(shape)
    owner = components(edges_of(faces), len(vertices))
    quadric = _quadrics(vertices, faces)
    idle = 0
    while len(faces) > wanted and idle < 4:
        before = len(faces)
        faces, source = _collapse(vertices, quadric, faces, source, owner, rng)
        idle = idle + 1 if before - len(faces) < 2 + before // 500 else 0
    vertices, faces = drop_degenerate(vertices, faces)
    return shape.of_faces(vertices, faces, source)


def _own(shape: LabelledMesh) -> tuple[Array, Array, Array]:
    return shape.vertices.copy(), shape.faces, np.arange(len(shape.faces))


def _snapped(shape: LabelledMesh) -> tuple[Array, Array, Array]:
    """Vertices of one component in one cell of a grid become one, so that some 10,000 faces are left."""
    owner = components(edges_of(shape.faces), len(shape.vertices))
    cell = np.sqrt(trimesh.triangles.area(shape.vertices[shape.faces]).sum() / 5000)
    key = np.c_[owner, np.floor(shape.vertices / cell)].astype(np.int64)
    _, cluster = np.unique(key, axis=0, return_inverse=True)
    count = np.bincount(cluster)
    vertices = np.stack([np.bincount(cluster, column) / count for column in shape.vertices.T], 1)
    corners = cluster[shape.faces]
    proper = np.flatnonzero((corners != np.roll(corners, -1, axis=1)).all(axis=1))
    _, first = np.unique(np.sort(corners[proper], axis=1), axis=0, return_index=True)
    source = proper[np.sort(first)]
    return vertices, corners[source], source


def _quadrics(vertices: Array, faces: Array) -> Array:
    """(V, 4, 4) sums of squared distances to the planes of a vertex's faces, and to the borders of open surfaces."""
    normal, corner = face_normals(vertices, faces), vertices[faces]
    area = trimesh.triangles.area(corner)
    planes = [np.c_[normal, -(normal * corner[:, 0]).sum(1)]]
    owners, weights = [faces], [np.repeat(area[:, None], 3, axis=1)]
    edges = edges_of(faces)
    _, edge = numbered_pairs(edges, len(vertices))
    border = np.flatnonzero(np.bincount(edge)[edge] == 1)
    if len(border):
        ends = vertices[edges[border]]
        way = ends[:, 1] - ends[:, 0]
        across = unit(np.cross(way, np.tile(normal, (3, 1))[border]))
        planes.append(np.c_[across, -(across * ends[:, 0]).sum(1)])
        owners.append(edges[border])
        weights.append(np.repeat((way**2).sum(1)[:, None], 2, axis=1))
    result = np.zeros((len(vertices), 4, 4))
    for plane, owner, weight in zip(planes, owners, weights):
        each = np.nan_to_num(plane[:, :, None] * plane[:, None])
        for k in range(owner.shape[1]):
            np.add.at(result, owner[:, k], each * weight[:, k, None, None])
    return result


def _collapse(
    vertices: Array, quadric: Array, faces: Array, source: Array, owner: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Collapses the cheapest edges that are no neighbours of each other; changes `vertices` and `quadric` in place."""
    edges = distinct_pairs(edges_of(faces), len(vertices))
    edges = edges[rng.random(len(edges)) < 0.6]  # one that is refused stands in the way of its neighbours but once
    edges = edges[(np.bincount(owner[faces[:, 0]], minlength=owner.max() + 1) > 12)[owner[edges[:, 0]]]]
    if not len(edges):
        return faces, source
    one, other = edges.T
    both = quadric[one] + quadric[other]
    places = np.stack([(vertices[one] + vertices[other]) / 2, vertices[one], vertices[other]])
    points = np.concatenate([places, np.ones((*places.shape[:2], 1))], axis=2)
    costs = np.einsum("kei,eij,kej->ke", points, both, points)
    best = costs.argmin(axis=0)
    place, cost = places[best, np.arange(len(edges))], costs.min(axis=0)
    cost = cost + 1e-6 * ((vertices[one] - vertices[other]) ** 2).sum(axis=1) * (1 + rng.random(len(edges)))
    rank = np.empty(len(edges), dtype=np.int64)
    rank[np.argsort(cost, kind="stable")] = np.arange(len(edges))
    least = np.full(len(vertices), len(edges))
    for end in (one, other):
        np.minimum.at(least, end, rank)
    around = least.copy()
    for end, far in ((one, other), (other, one)):
        np.minimum.at(around, end, least[far])
    chosen = np.flatnonzero((rank == around[one]) & (rank == around[other]) & (rank < 0.4 * len(edges) + 8))
    if not len(chosen):
        return faces, source
    to, new = np.arange(len(vertices)), vertices.copy()
    to[other[chosen]] = one[chosen]
    new[one[chosen]] = place[chosen]
    new[other[chosen]] = place[chosen]
    # A face that would turn over keeps its edge.
    was, now = face_normals(vertices, faces), face_normals(new, faces)
    stays = (to[faces] != np.roll(to[faces], -1, axis=1)).all(axis=1)
    turned = stays & ~((was * now).sum(axis=1) > 0.1) & (new[faces] != vertices[faces]).any(axis=(1, 2))
    refused = np.isin(one[chosen], faces[turned]) | np.isin(other[chosen], faces[turned])
    chosen = chosen[~refused]
    to = np.arange(len(vertices))
    to[other[chosen]] = one[chosen]
    vertices[one[chosen]] = place[chosen]
    quadric[one[chosen]] = both[chosen]
    corners = to[faces]
    kept = (corners != np.roll(corners, -1, axis=1)).all(axis=1)
    return corners[kept], source[kept]


def even(shape: LabelledMesh, rng: np.random.Generator) -> LabelledMesh:
    """Very many small faces of even size, up to 200,000."""
    area = trimesh.triangles.area(shape.vertices[shape.faces]).sum()
    wanted = np.exp(rng.uniform(np.log(40_000), np.log(130_000)))
    vertices, faces, source = _subdivided(shape, 2.4 * np.sqrt(area / wanted))
    return shape.of_faces(vertices, faces, source)


def scanned(shape: LabelledMesh, rng: np.random.Generator) -> LabelledMesh:
    """What a scanner sees from a few sides: noisy, with holes and ragged borders, without insides and undersides."""
    vertices, faces, source = _subdivided(shape, rng.uniform(0.03, 0.07))
    fine = shape.of_faces(vertices, faces, source)
    normal = face_normals(vertices, faces)
    middle = vertices[faces].mean(axis=1)
    ways = unit(rng.normal(size=(int(rng.choice([1, 2, 3, 6, 12])), 3)) + [0, 0.5, 0])
    kept = _seen(fine, ways, normal, grazing=rng.uniform(0.05, 0.25), rng=rng)
    if rng.random() < 0.7:
        for _ in range(int(rng.integers(1, 9))):
            place, radius = middle[rng.integers(len(middle))], rng.uniform(0.02, 0.12)
            ragged = radius * (1 + 0.35 * np.sin(middle @ rng.normal(0, 40, 3)) + 0.15 * rng.normal(size=len(middle)))
            kept &= np.linalg.norm(middle - place, axis=1) > ragged
    kept = _without_crumbs(faces, kept)
    size = np.exp(rng.uniform(np.log(5e-4), np.log(6e-3)))
    wave = vertices @ rng.normal(0, 15, (3, 4)) + rng.uniform(0, 6.28, 4)
    push = rng.normal(0, size, len(vertices)) + size * np.sin(wave).mean(axis=1)
    moved = vertices + np.nan_to_num(vertex_normals(vertices, faces)) * push[:, None]
    return _with_faces(LabelledMesh(moved, faces, fine.part, fine.group, fine.names, fine.family, fine.above), kept)


def blob(shape: LabelledMesh, rng: np.random.Generator) -> LabelledMesh:
    """One closed surface around everything, as generated meshes have it: walls are thickened, gaps are filled."""
    cells = int(np.exp(rng.uniform(np.log(56), np.log(120))))
    mesh = trimesh.Trimesh(shape.vertices, shape.faces, process=False)
    area = np.cumsum(trimesh.triangles.area(shape.vertices[shape.faces]))
    source = np.searchsorted(area, rng.random(SAMPLES) * area[-1]).clip(max=len(shape.faces) - 1)
    weight = rng.dirichlet((1, 1, 1), SAMPLES)
    points = np.einsum("nc,ncd->nd", weight, np.asarray(mesh.vertices)[shape.faces[source]])
    low, cell = points.min(axis=0), float(np.ptp(points, axis=0).max()) / cells
    reach = rng.uniform(1.1, 1.9)  # how far the surface lies from the walls, in cells; a cell may have been missed
    pad = int(np.ceil(reach)) + 3
    index = np.floor((points - low) / cell).astype(int) + pad
    full = np.zeros(index.max(axis=0) + pad + 1, dtype=bool)
    full[tuple(index.T)] = True
    distance = np.asarray(distance_transform_edt(~full))
    outside = np.zeros(distance.shape, dtype=np.int32)
    label(distance > reach, output=outside)
    distance = np.where(outside == outside[0, 0, 0], distance - reach, -np.abs(distance - reach) - 0.2)
    if rng.random() < 0.75:  # voxels show in some files
        distance = gaussian_filter(distance, rng.uniform(0.5, 1.1))
    if distance.min() >= 0:
        raise ValueError("the shape is thinner than a voxel")
    vertices, faces, _, _ = marching_cubes(distance.astype(np.float32), 0.0)
    vertices, faces = drop_degenerate((vertices - pad + 0.5) * cell + low, faces.astype(np.int64))
    nearest = KDTree(points).query(vertices[faces].mean(axis=1))[1]
    return shape.of_faces(in_unit_ball(vertices), faces, source[nearest])


def face_normals(vertices: Array, faces: Array) -> Array:
    """(F, 3) unit normals."""
    return unit(area_normals(vertices, faces))


def _with_faces(shape: LabelledMesh, kept: Array) -> LabelledMesh:
    if kept.sum() < LEAST_FACES:
        return shape
    vertices, faces = drop_degenerate(shape.vertices, shape.faces[kept])
    return shape.of_faces(vertices, faces, np.flatnonzero(kept))


def _without_crumbs(faces: Array, kept: Array, least: int = 15) -> Array:
    """The faces `kept` (F,) without pieces of fewer than `least`, which a scanner's program throws away."""
    owner = components(edges_of(faces[kept]), int(faces.max()) + 1)[faces[kept][:, 0]]
    result = kept.copy()
    result[kept] = (np.bincount(owner) >= least)[owner]
    return result


def _seen(
    shape: LabelledMesh, ways: Array, normal: Array, grazing: float = 0.0, rng: np.random.Generator | None = None
) -> Array:
    """(F,) whether the middle of a face is seen from one of the directions (D, 3), from far away and on either side.

    grazing: least cosine between the normal and the direction, raised by up to as much in waves with `rng`.
    """
    middle = shape.vertices[shape.faces].mean(axis=1)
    rays = trimesh.Trimesh(shape.vertices, shape.faces, process=False).ray
    seen = np.zeros(len(middle), dtype=bool)
    for way in ways:
        cosine = normal @ way
        least = grazing if rng is None else grazing * (1.5 + 0.5 * np.sin(middle @ rng.normal(0, 30, 3)))
        asked = np.flatnonzero(~seen & (np.abs(cosine) > least))
        start = middle[asked] + 1e-3 * np.sign(cosine[asked])[:, None] * normal[asked]
        if len(asked):
            seen[asked] = ~rays.intersects_any(start, np.tile(way, (len(asked), 1)))
    return seen


def _subdivided(shape: LabelledMesh, longest: float) -> tuple[Array, Array, Array]:
    """Vertices, faces and source (F,) of each face, with no edge longer than `longest`, within MOST_FACES.

    Edges are halved wherever they are too long, so that faces which share one stay joined."""
    vertices, faces, source = shape.vertices, shape.faces, np.arange(len(shape.faces))
    for _ in range(8):
        unique, edge = numbered_pairs(edges_of(faces), len(vertices))
        long = np.linalg.norm(vertices[unique[:, 0]] - vertices[unique[:, 1]], axis=1) > longest
        if not long.any() or len(faces) + 2 * long.sum() > MOST_FACES:
            break
        middle = np.where(long, len(vertices) + np.cumsum(long) - 1, -1)
        vertices = np.concatenate([vertices, vertices[unique[long]].mean(axis=1)])
        faces, row = _halved(faces, middle[edge.reshape(3, -1).T])
        source = source[row]
    return vertices, faces, source


def _halved(faces: Array, middle: Array) -> tuple[Array, Array]:
    """Triangles (F, 3) split at the points `middle` (F, 3) of their edges (-1: none), and the row each comes from."""
    count = (middle >= 0).sum(axis=1)
    turn = np.where(count == 1, middle.argmax(axis=1), np.where(count == 2, (middle.argmin(axis=1) + 1) % 3, 0))
    order = (turn[:, None] + np.arange(3)) % 3  # the split edges come first
    a, b, c = np.take_along_axis(faces, order, 1).T
    p, q, r = np.take_along_axis(middle, order, 1).T
    made, rows = [faces[count == 0]], [np.flatnonzero(count == 0)]
    for number, triangles in (
        (1, [(a, p, c), (p, b, c)]),
        (2, [(p, b, q), (a, p, q), (a, q, c)]),
        (3, [(a, p, r), (p, b, q), (r, q, c), (p, q, r)]),
    ):
        which = np.flatnonzero(count == number)
        for triangle in triangles:
            made.append(np.stack([corner[which] for corner in triangle], axis=1))
            rows.append(which)
    return np.concatenate(made), np.concatenate(rows)


def turned_up(shape: LabelledMesh, rng: np.random.Generator) -> LabelledMesh:
    """Another axis up, as in files of programs with z up."""
    turn = rotation_about(str(rng.choice(["x", "z"])), float(rng.choice([-1, 1])) * np.pi / 2)
    return LabelledMesh(
        shape.vertices @ turn.T, shape.faces, shape.part, shape.group, shape.names, shape.family, shape.above
    )


# Dress -> (how it is made, its share)
SHARES: dict[str, tuple[Dress, float]] = {
    "as it is": (as_it_is, 0.42),
    "flipped": (flipped, 0.09),
    "unclosed": (unclosed, 0.08),
    "unwelded": (unwelded, 0.07),
    "slivers": (slivers, 0.05),
    "decimated": (decimated, 0.08),
    "even": (even, 0.03),
    "scanned": (scanned, 0.09),
    "blob": (blob, 0.09),
}
