"""A triangle mesh as its file has it, with the normalised copy the pipeline works on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from utils.errors import UserError
from utils.files import digest

FORMATS = (".obj", ".ply", ".off", ".stl", ".glb")


@dataclass(frozen=True, eq=False)
class Mesh:
    """A mesh in the coordinates and the vertex order of its file.

    vertices      (V, 3) float64, the file's coordinates
    faces         (F, 3) int64 triangles; degenerate and duplicate ones stay, so that face i means face i of the file
    path          the file, or None for a mesh made in memory
    face_polygon  (F,) int64, the polygon of the file that each triangle was cut from

    Everything the pipeline computes is in the normalised frame of the paper: mean of the vertices at the origin,
    largest norm 1. `denormalize` leads back.
    """

    vertices: np.ndarray
    faces: np.ndarray
    path: Path | None = None
    face_polygon: np.ndarray | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "vertices", np.ascontiguousarray(self.vertices, dtype=np.float64))
        object.__setattr__(self, "faces", np.ascontiguousarray(self.faces, dtype=np.int64))
        if self.face_polygon is None:
            object.__setattr__(self, "face_polygon", np.arange(len(self.faces), dtype=np.int64))

    @property
    def num_vertices(self) -> int:
        return len(self.vertices)

    @property
    def num_faces(self) -> int:
        return len(self.faces)

    @cached_property
    def digest(self) -> str:
        """Identifies the geometry: coordinates in float32 and triangles, so that a resave with more digits is the same mesh."""
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
    def _face_cross(self) -> np.ndarray:
        corner = self.normalized.astype(np.float64)[self.faces]
        return np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])

    @cached_property
    def face_areas(self) -> np.ndarray:
        """(F,) float64 areas of the normalised triangles."""
        return 0.5 * np.linalg.norm(self._face_cross, axis=1)

    @cached_property
    def face_normals(self) -> np.ndarray:
        """(F, 3) float32 unit normals by the file's winding; 0 for degenerate triangles."""
        norm = np.linalg.norm(self._face_cross, axis=1, keepdims=True)
        return np.divide(self._face_cross, norm, out=np.zeros_like(self._face_cross), where=norm > 0).astype(np.float32)

    @cached_property
    def winding(self) -> float:
        """+1 if the faces wind outward on the whole, -1 if the file has them inside out (by signed volume)."""
        centroid = self.normalized.astype(np.float64)[self.faces].mean(axis=1)
        return 1.0 if np.einsum("ij,ij->", centroid, self._face_cross) >= 0 else -1.0

    @cached_property
    def vertex_normals(self) -> np.ndarray:
        """(V, 3) float32 area-weighted unit normals; 0 where no face is."""
        total = np.zeros((self.num_vertices, 3))
        for corner in range(3):
            np.add.at(total, self.faces[:, corner], self._face_cross)
        norm = np.linalg.norm(total, axis=1, keepdims=True)
        return np.divide(total, norm, out=np.zeros_like(total), where=norm > 0).astype(np.float32)

    @cached_property
    def edges(self) -> np.ndarray:
        """(E, 2) int64 undirected edges, each once, lower id first.

        Vertices at the same place (texture seams, triangle soup) are joined by an edge of length 0 to the first of
        them, so that the surface is as connected as it looks.
        """
        sides = self.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
        used = np.flatnonzero(self.referenced)
        _, first, inverse = np.unique(self.vertices[used], axis=0, return_index=True, return_inverse=True)
        seams = np.stack([used[first[inverse.ravel()]], used], axis=1)
        pairs = np.sort(np.concatenate([sides, seams]), axis=1)
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        code = np.unique(pairs[:, 0] * np.int64(self.num_vertices) + pairs[:, 1])
        return np.stack([code // self.num_vertices, code % self.num_vertices], axis=1)

    @cached_property
    def vertex_adjacency(self) -> sp.csr_matrix:
        """(V, V) symmetric boolean matrix of `edges`."""
        i, j = self.edges.T
        ones = np.ones(2 * len(i), dtype=bool)
        return sp.csr_matrix((ones, (np.concatenate([i, j]), np.concatenate([j, i]))), shape=(self.num_vertices,) * 2)


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
        reader = {".obj": _read_obj, ".off": _read_off}.get(suffix, _read_with_trimesh)
        vertices, faces, polygon = reader(path)
    except (
        ValueError,
        IndexError,
        KeyError,
        TypeError,
        AttributeError,
        NotImplementedError,
        EOFError,
        OverflowError,
    ) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        raise UserError(f"{path} is not a readable {suffix[1:].upper()} mesh: {reason}; export it again") from error
    _validate(path, vertices, faces)
    return Mesh(vertices, faces, path, polygon)


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
    extent = np.ptp(vertices[faces.ravel()], axis=0).max()
    if not np.isfinite(extent) or extent <= 0:
        raise UserError(
            f"{path}: all vertices of the faces lie at one point or too far apart for numbers; export it again"
        )


def _fan(polygons: list[list[int]] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangle fans (F, 3) of vertex index polygons, and the polygon (F,) that each triangle came from."""
    sizes = np.fromiter((len(p) for p in polygons), dtype=np.int64, count=len(polygons))
    if len(sizes) and (sizes == 3).all():
        return np.asarray(polygons, dtype=np.int64).reshape(-1, 3), np.arange(len(sizes), dtype=np.int64)
    triangles, owner = [], []
    for index, corners in enumerate(polygons):
        for k in range(1, len(corners) - 1):
            triangles.append((corners[0], corners[k], corners[k + 1]))
            owner.append(index)
    return np.asarray(triangles, dtype=np.int64).reshape(-1, 3), np.asarray(owner, dtype=np.int64)


def _read_obj(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices and faces of an OBJ file; our own reader, because vertex order and polygons must survive."""
    vertices: list[list[str]] = []
    polygons: list[list[int]] = []
    text = path.read_bytes().decode("utf-8", errors="replace")
    if "\\" in text:
        text = text.replace("\\\r\n", " ").replace("\\\n", " ")
    for line in text.splitlines():
        if line.startswith("v ") or line.startswith("v\t"):
            vertices.append(line.split()[1:4])
        elif line.startswith("f ") or line.startswith("f\t"):
            corners = [int(token.partition("/")[0]) for token in line.split("#")[0].split()[1:]]
            # OBJ counts from 1; a negative index counts back from the latest vertex.
            polygons.append([c - 1 if c > 0 else len(vertices) + c if c < 0 else -1 for c in corners])
    if not vertices:
        raise UserError(f"{path} has no vertices ('v' lines); is it an OBJ file?")
    return np.array(vertices, dtype=np.float64).reshape(len(vertices), 3), *_fan(polygons)


def _read_off(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices and faces of a text OFF file (also COFF and a header on one line)."""
    lines = [
        line
        for line in (
            raw.split("#")[0].strip() for raw in path.read_bytes().decode("utf-8", errors="replace").splitlines()
        )
        if line
    ]
    if not lines or not lines[0].upper().lstrip("STCN4").startswith("OFF"):
        raise UserError(f"{path} does not begin with 'OFF'; is it an OFF file?")
    counts = lines[0].split()[1:] or lines[1].split()
    body = lines[1:] if lines[0].split()[1:] else lines[2:]
    num_vertices, num_faces = int(counts[0]), int(counts[1])
    if len(body) < num_vertices + num_faces:
        raise UserError(
            f"{path} is cut short: {num_vertices} vertices and {num_faces} faces announced, "
            f"{len(body)} lines found; export the mesh again"
        )
    vertices = np.array([line.split()[:3] for line in body[:num_vertices]], dtype=np.float64).reshape(-1, 3)
    polygons = []
    for line in body[num_vertices : num_vertices + num_faces]:
        tokens = line.split()
        corners = [int(token) for token in tokens[1 : 1 + int(tokens[0])]]
        if len(corners) != int(tokens[0]):
            raise ValueError(f"face line '{line[:60]}' is cut short")
        polygons.append(corners)
    return vertices, *_fan(polygons)


def _read_with_trimesh(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    import trimesh

    try:
        loaded = trimesh.load(path, process=False, maintain_order=True)
    except UserError:
        raise
    except Exception as error:  # the readers of binary formats raise whatever the damage leads to
        raise ValueError(str(error) or type(error).__name__) from error
    if isinstance(loaded, trimesh.Scene):
        loaded = loaded.to_mesh()
    if not isinstance(loaded, trimesh.Trimesh):
        raise UserError(f"{path} holds points or curves but no faces; a surface mesh is needed")
    vertices = np.asarray(loaded.vertices, dtype=np.float64)
    faces = np.asarray(loaded.faces, dtype=np.int64)
    if path.suffix.lower() == ".stl" and len(vertices):
        _, first, inverse = np.unique(vertices, axis=0, return_index=True, return_inverse=True)
        order = np.argsort(first)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        vertices, faces = vertices[first[order]], rank[inverse.ravel()][faces]
    return vertices, faces, np.arange(len(faces), dtype=np.int64)
