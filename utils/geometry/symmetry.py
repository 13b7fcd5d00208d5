"""The planes that a shape is about its own mirror image in, and how it stands by them: where its front is."""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from utils.geometry.mesh import Mesh

MOST_FACES = 50_000  # that are looked at: of more, so many by chance
DENSE, FINE, FEW = 4000, 600, 200  # points of the surface: compared with, reflected, reflected at first
DIRECTIONS, REFINED = 80, 8  # planes that are tried, and of those refined
ROUNDS, MORE_ROUNDS = 4, 25  # of refining at most: first, and of the different ones that are left
DIFFERENT = 0.95  # cosine of the angle within which two planes are one
ALIKE = 0.02  # how far a mirror image may be away on average; the object has radius 1
AS_GOOD = 0.004  # planes whose distances differ by less are equally good; others than the best are none
UPRIGHT = 0.2  # cosine between the normal of an upright plane and the upward axis, at most
SNAP = 0.9995  # normals nearer to an axis are the axis


def mirror_planes(mesh: Mesh, seed: int = 0) -> np.ndarray:
    """Unit normals (N, 3) of the planes through the surface's centre that it is about symmetric in, the best ones.

    First the one across which the shape is widest, or else one along the axes. Points of the surface, as many for any
    area, are reflected and compared with others; the plane that fits the pairs of neighbours best is an eigenvector.
    """
    points = _surface_points(mesh, DENSE + FINE, np.random.default_rng(seed))
    points -= points.mean(axis=0)
    dense, fine = points[:DENSE], points[DENSE:]
    tree, axes = KDTree(dense), np.linalg.eigh(dense.T @ dense)[1].T
    normals = np.concatenate([np.eye(3), axes, _half_sphere(DIRECTIONS)])
    reflected = np.stack([_reflected(fine[:FEW], normal) for normal in normals])
    away = KDTree(dense[: DENSE // 4]).query(reflected)[0].mean(axis=1)
    unavoidable = tree.query(fine)[0].mean()  # of other points of the same surface
    found: list[tuple[float, np.ndarray]] = []
    away[:3] -= AS_GOOD  # the axes, if they are as good
    for start in normals[np.argsort(away)[:REFINED]]:
        normal, distance = _refined(start, fine, dense, tree, ROUNDS)
        if distance < unavoidable + 2 * ALIKE:
            found.append((distance, normal))
    planes, best = [], np.inf
    for distance, start in sorted(found, key=lambda each: each[0]):
        if distance > best + 4 * AS_GOOD or any(abs(start @ other) > DIFFERENT for _, other in planes):
            continue
        normal, distance = _refined(start, fine, dense, tree, MORE_ROUNDS)
        best, near = min(best, distance), int(np.abs(normal).argmax())
        axis = abs(normal[near]) > SNAP
        normal = np.eye(3)[near] if axis else normal
        new = all(abs(normal @ other) < DIFFERENT for _, other in planes)
        if new and distance < unavoidable + ALIKE and distance < best + AS_GOOD:
            width = round(float(np.ptp(dense @ normal)), 1)
            planes.append(((-width, not axis, distance), normal))
    return np.array([normal for _, normal in sorted(planes, key=lambda each: each[0])]).reshape(-1, 3)


def standing(planes: np.ndarray, up: int) -> np.ndarray | None:
    """(3, 3) whose columns point right, up and to the front of a shape, seen by itself; None where nothing tells.

    planes  (N, 3) as `mirror_planes` finds them: the best upright one divides left from right, or else the best, with
            the axis `up` (0 to 2) leaned into it
    """
    axis = np.eye(3)[up]
    lean = np.abs(planes @ axis)
    upright = planes[lean < UPRIGHT]
    if not len(upright) and not (len(planes) and lean[0] < 1 - UPRIGHT):
        return None
    normal = upright[0] if len(upright) else planes[0]
    upward = axis - (axis @ normal) * normal
    upward /= np.linalg.norm(upward)
    # Of both sides, that which files mostly have in front: along z, or against y where z is up.
    usual = np.array([0.6, 0.0, 0.8]) if up == 1 else np.array([0.6, -0.8, 0.0])
    front = np.cross(normal, upward)
    front *= 1 if front @ usual > 0 else -1
    return np.stack([np.cross(upward, front), upward, front], axis=1)


def _refined(
    normal: np.ndarray, points: np.ndarray, dense: np.ndarray, tree: KDTree, rounds: int
) -> tuple[np.ndarray, float]:
    """The plane near one that reflects points (N, 3) best onto others, and how far from them on average."""
    for _ in range(rounds):
        distance, nearest = tree.query(_reflected(points, normal))
        products = points.T @ dense[nearest]
        better = np.linalg.eigh(products + products.T)[1][:, 0]  # least sum of squares of what is left between pairs
        if abs(better @ normal) > 1 - 1e-6:
            return normal, float(distance.mean())
        normal = better
    return normal, float(tree.query(_reflected(points, normal))[0].mean())


def _reflected(points: np.ndarray, normal: np.ndarray) -> np.ndarray:
    return points - 2 * (points @ normal)[:, None] * normal


def _surface_points(mesh: Mesh, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 3) float64 points of the surface in the normalised frame, as many for any area."""
    faces = mesh.faces
    if len(faces) > MOST_FACES:
        faces = faces[rng.integers(0, len(faces), MOST_FACES)]
    corner = mesh.normalized[faces].astype(np.float64)
    one, other = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    total = np.cumsum(np.linalg.norm(np.cross(one, other), axis=1))
    chosen = np.minimum(np.searchsorted(total, rng.random(count) * total[-1]), len(total) - 1)
    a, b = np.sort(rng.random((2, count, 1)), axis=0)
    return corner[chosen, 0] + a * one[chosen] + (1 - b) * other[chosen]


def _half_sphere(count: int) -> np.ndarray:
    """(count, 3) directions, even over half a sphere: Fibonacci's."""
    place = np.arange(count) + 0.5
    height, turn = place / count, np.pi * (1 + 5**0.5) * place
    flat = np.sqrt(1 - height**2)
    return np.stack([flat * np.cos(turn), flat * np.sin(turn), height], axis=1)
