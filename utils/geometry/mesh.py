"""A triangle mesh as its file has it, with the normalised copy the pipeline works on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from utils.errors import UserError
from utils.files import digest
from utils.geometry.glb import read_glb
from utils.geometry.graphs import distinct_pairs, symmetric
from utils.geometry.obj import read_obj
from utils.geometry.off import read_off
from utils.geometry.ply import read_ply
from utils.geometry.stl import read_stl
from utils.geometry.welding import weld

READERS = {".obj": read_obj, ".ply": read_ply, ".off": read_off, ".stl": read_stl, ".glb": read_glb}
FORMATS = tuple(READERS)
SMALLEST, LARGEST, PRECISION = 1e-30, 1e30, 1e-13  # widths that are read, alone and as a share of the coordinates
VALIDATED = 65_536  # faces at once: most meshes have one of some area among the first
FAR = 1000.0  # how far a vertex may be away, in distances that hold nine in ten of the others
SIDES = [[0, 1], [1, 2], [2, 0]]  # of a triangle, by the places of their corners
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, NotImplementedError, EOFError, OverflowError)


def area_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F, 3) normals by the winding, as long as twice the area: `np.cross` of two sides, in a sixth of its time.

    vertices (V, 3) float, faces (F, 3) int
    """
    (x, y, z), (first, second, third) = vertices.T, faces.T
    ux, uy, uz = (axis[second] - axis[first] for axis in (x, y, z))
    vx, vy, vz = (axis[third] - axis[first] for axis in (x, y, z))
    return np.stack([uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx], axis=1)


@dataclass(frozen=True, eq=False)
class Mesh:
    """A mesh in the coordinates and the vertex order of its file.

    vertices      (V, 3) float64, the file's coordinates
    faces         (F, 3) int64 triangles; degenerate and duplicate ones stay, so that face i means face i of the file
    path          the file, or None for a mesh made in memory
    face_polygon  (F,) int64, the polygon of the file that each triangle was cut from
    num_polygons  of the file, also those without triangles

    Everything the pipeline computes is in the normalised frame of the paper: mean of the vertices at the origin,
    largest norm 1. `denormalize` leads back.
    """

    vertices: np.ndarray
    faces: np.ndarray
    path: Path | None = None
    face_polygon: np.ndarray = None  # type: ignore[assignment]  # None: every triangle is a polygon
    num_polygons: int = None  # type: ignore[assignment]  # None: up to the last one of `face_polygon`

    def __post_init__(self) -> None:
        object.__setattr__(self, "vertices", np.ascontiguousarray(self.vertices, dtype=np.float64))
        object.__setattr__(self, "faces", np.ascontiguousarray(self.faces, dtype=np.int64))
        if self.face_polygon is None:
            object.__setattr__(self, "face_polygon", np.arange(len(self.faces), dtype=np.int64))
        if self.num_polygons is None:
            object.__setattr__(self, "num_polygons", int(self.face_polygon.max(initial=-1)) + 1)

    @property
    def num_vertices(self) -> int:
        return len(self.vertices)

    @property
    def num_faces(self) -> int:
        return len(self.faces)

    @cached_property
    def digest(self) -> str:
        """Of the triangles and the coordinates in float32, so that a resave with more digits is the same mesh."""
        return digest(self.vertices.astype(np.float32), self.faces.astype(np.int64))

    @cached_property
    def referenced(self) -> np.ndarray:
        """(V,) bool, vertices that some face uses; a stray one must not move or shrink the object."""
        mask = np.zeros(self.num_vertices, dtype=bool)
        mask[self.faces.ravel()] = True
        return mask

    @cached_property
    def center(self) -> np.ndarray:
        """(3,) mean of the referenced vertices, file coordinates."""
        return self.vertices[self.referenced].mean(axis=0)

    @cached_property
    def scale(self) -> float:
        """Largest distance of a referenced vertex from the centre, file units."""
        return float(np.linalg.norm(self.vertices[self.referenced] - self.center, axis=1).max())

    @cached_property
    def normalized(self) -> np.ndarray:
        """(V, 3) float32 vertices in the unit ball; unreferenced vertices are pulled onto it."""
        points = (self.vertices - self.center) / self.scale
        norms = np.linalg.norm(points, axis=1, keepdims=True)
        return (points / np.maximum(norms, 1.0)).astype(np.float32)

    def denormalize(self, points: np.ndarray) -> np.ndarray:
        """Normalised points (..., 3) in the file's coordinates, float64."""
        return np.asarray(points, dtype=np.float64) * self.scale + self.center

    @cached_property
    def face_vectors(self) -> np.ndarray:
        """(F, 3) float64 normals by the file's winding, as long as twice the normalised triangles' areas."""
        return area_normals(self.normalized.astype(np.float64), self.faces)

    @cached_property
    def face_areas(self) -> np.ndarray:
        """(F,) float64 areas of the normalised triangles."""
        return 0.5 * np.linalg.norm(self.face_vectors, axis=1)

    @cached_property
    def vertex_areas(self) -> np.ndarray:
        """(V,) float64, a third of the area of the faces around each vertex."""
        return np.bincount(self.faces.ravel(), np.repeat(self.face_areas / 3, 3), minlength=self.num_vertices)

    @cached_property
    def face_normals(self) -> np.ndarray:
        """(F, 3) float32 unit normals by the file's winding; 0 for degenerate triangles."""
        vectors = self.face_vectors
        norm = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.divide(vectors, norm, out=np.zeros_like(vectors), where=norm > 0).astype(np.float32)

    @cached_property
    def face_centroids(self) -> np.ndarray:
        """(F, 3) float64, normalised."""
        axes, (first, second, third) = self.normalized.astype(np.float64).T, self.faces.T
        return np.stack([(axis[first] + axis[second] + axis[third]) / 3 for axis in axes], axis=1)

    @cached_property
    def winding(self) -> float:
        """+1 if the faces wind outward on the whole, -1 if the file has them inside out (by signed volume)."""
        return 1.0 if np.einsum("ij,ij->", self.face_centroids, self.face_vectors) >= 0 else -1.0

    @cached_property
    def vertex_normals(self) -> np.ndarray:
        """(V, 3) float32 area-weighted unit normals; 0 where no face is."""
        total = np.zeros((self.num_vertices, 3))
        for corner in range(3):
            np.add.at(total, self.faces[:, corner], self.face_vectors)
        norm = np.linalg.norm(total, axis=1, keepdims=True)
        return np.divide(total, norm, out=np.zeros_like(total), where=norm > 0).astype(np.float32)

    @cached_property
    def place(self) -> np.ndarray:
        """(V,) int64, `weld` of the vertices: those at the same place have the same number."""
        return weld(self.vertices)

    @cached_property
    def edges(self) -> np.ndarray:
        """(E, 2) int64 undirected edges, each once, lower id first.

        Vertices at the same place (texture seams, triangle soup) are joined by an edge of length 0 to the first of
        them, so that the surface is as connected as it looks.
        """
        used = np.flatnonzero(self.referenced)
        place = self.place[used]
        first = np.full(self.num_vertices, -1, dtype=np.int64)
        first[place[::-1]] = used[::-1]  # the first is written last
        pairs = np.concatenate([self.faces[:, SIDES].reshape(-1, 2), np.stack([first[place], used], axis=1)])
        return distinct_pairs(pairs[pairs[:, 0] != pairs[:, 1]], self.num_vertices)

    @cached_property
    def vertex_adjacency(self) -> sp.csr_matrix:
        """(V, V) symmetric boolean matrix of `edges`."""
        return symmetric(self.edges, np.ones(len(self.edges), dtype=bool), self.num_vertices)

    # --- polygons of the file --------------------------------------------------------------------

    @cached_property
    def opens_polygon(self) -> np.ndarray:
        """(F,) bool, the first triangle of each polygon's fan: (0, 1, 2), then (0, 2, 3), ..."""
        return np.diff(self.face_polygon, prepend=-1) != 0

    def polygons(self) -> list[list[int]]:
        """The corners of each polygon; empty for one of fewer than three."""
        polygons: list[list[int]] = [[] for _ in range(self.num_polygons)]
        triangles = zip(self.faces.tolist(), self.face_polygon.tolist(), self.opens_polygon.tolist())
        for corners, polygon, opens in triangles:
            polygons[polygon].extend(corners if opens else corners[2:])
        return polygons

    def polygons_alike(self) -> np.ndarray | None:
        """(N, K) int64, the corners of each polygon, where all have the same number of them; None elsewhere."""
        sides = np.bincount(self.face_polygon, minlength=self.num_polygons)
        scattered = (np.diff(self.face_polygon) < 0).any()
        if scattered or len(sides) == 0 or sides.min() == 0 or sides.min() != sides.max():
            return None
        fans = self.faces.reshape(self.num_polygons, int(sides[0]), 3)
        return np.concatenate([fans[:, 0], fans[:, 1:, 2]], axis=1)

    def selected_polygons(self, selected: np.ndarray) -> np.ndarray:
        """(N,) bool: is more than half of each polygon's corners among `selected` (V,) bool?"""
        balance = np.zeros(self.num_polygons, dtype=np.int64)
        signs = np.where(selected, 1, -1)
        opens = self.opens_polygon
        np.add.at(balance, self.face_polygon[opens], signs[self.faces[opens]].sum(axis=1))
        np.add.at(balance, self.face_polygon[~opens], signs[self.faces[~opens, 2]])
        return balance > 0


def load_mesh(path: str | Path) -> Mesh:
    """Read OBJ, PLY, OFF, STL or GLB; polygons become triangle fans; vertex order is the file's own.

    STL has no shared vertices, so equal corners are merged there, in the order of first use. A GLB scene becomes one
    mesh. Raises UserError if the file cannot be used, saying why.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no mesh at {path}; give the path of an OBJ, PLY, OFF, STL or GLB file")
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise UserError(f"{path}: cannot read '{suffix or 'no suffix'}'; convert the mesh to OBJ, PLY, OFF, STL or GLB")
    if path.stat().st_size == 0:
        raise UserError(f"{path} is empty; export the mesh again")
    try:
        found = READERS[suffix](path)
    except UNREADABLE as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        raise UserError(f"{path} is not a readable {suffix[1:].upper()} mesh: {reason}; export it again") from error
    _validate(path, found.vertices, found.faces)
    return Mesh(found.vertices, found.faces, path, found.face_polygon, found.num_polygons)


def _validate(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    if len(vertices) == 0 or len(faces) == 0:
        raise UserError(
            f"{path} has {len(vertices)} vertices and {len(faces)} faces; a surface mesh with faces is needed"
        )
    if not np.isfinite(vertices).all():
        bad = int(np.flatnonzero(~np.isfinite(vertices).all(axis=1))[0])
        raise UserError(f"{path}: vertex {bad} has a NaN or infinite coordinate; repair the mesh and export it again")
    if faces.min() < 0 or faces.max() >= len(vertices):
        bad = int(np.flatnonzero(((faces < 0) | (faces >= len(vertices))).any(axis=1))[0])
        raise UserError(
            f"{path}: triangle {bad} refers to vertex {int(faces[bad].max())}, but the vertices are 0 to "
            f"{len(vertices) - 1}; export the mesh again"
        )
    used = np.zeros(len(vertices), dtype=bool)
    used[faces.ravel()] = True
    _validate_extent(path, vertices[used], vertices, faces)


def _validate_extent(path: Path, used: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Refuse what is no surface once the object has radius 1. used: the vertices of faces."""
    low, high = used.min(axis=0), used.max(axis=0)
    with np.errstate(over="ignore"):
        extent = float((high - low).max())
    if not np.isfinite(extent) or extent <= 0:
        raise UserError(
            f"{path}: all vertices of the faces lie at one point or too far apart for numbers; export it again"
        )
    if not SMALLEST <= extent <= LARGEST or extent < PRECISION * np.abs(used).max():
        raise UserError(
            f"{path}: the mesh is {extent:.3g} wide and up to {np.abs(used).max():.3g} from the origin, beyond what "
            "numbers hold; move or scale it and export it again"
        )
    distance = np.linalg.norm(used - np.median(used, axis=0), axis=1)
    most = float(np.quantile(distance, 0.9))
    if distance.max() > FAR * most:
        bad = int(np.flatnonzero((vertices == used[distance.argmax()]).all(axis=1))[0])
        raise UserError(
            f"{path}: vertex {bad} lies {distance.max() / max(most, SMALLEST):.3g} times as far away as most others, "
            "so the object would be a point in every view; delete that vertex and export the mesh again"
        )
    for some in np.array_split(faces, -(-len(faces) // VALIDATED)):
        corner = (vertices[some] - low) / extent
        cross = area_normals(corner.reshape(-1, 3), np.arange(3 * len(some)).reshape(-1, 3))
        if (np.linalg.norm(cross, axis=1) > 0).any():
            break
    else:
        raise UserError(f"{path}: no face has an area (all lie on a line or at a point); a surface mesh is needed")
