"""The files a query leaves behind: their names, probabilities and coloured meshes (its parts: `utils.output.parts`).

Everything is in the file's own coordinates and vertex order, and is either written whole or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.clicks import Clicks
from utils.files import atomic_path, digest, save_npy
from utils.geometry.mesh import Mesh
from utils.output.colors import BASE_COLOR, NEGATIVE_COLOR, POSITIVE_COLOR, SELECTION_COLOR, SPHERE_RADIUS, Color

MAX_LABEL = 120  # characters; file names end at 255 bytes


@dataclass(frozen=True)
class QueryPaths:
    """Where the files of one query go, by the published names."""

    directory: Path
    label: str

    @classmethod
    def of(cls, directory: str | Path, clicks: Clicks) -> QueryPaths:
        """Paths for `clicks`; a list of clicks too long for a file name is cut and told apart by a digest."""
        label = clicks.label()
        if len(label) > MAX_LABEL:
            kept = label[:MAX_LABEL].rsplit("_", 1)[0]
            label = f"{kept}_and_{len(clicks) - kept.count('v')}_more_{digest(label)[:8]}"
        return cls(Path(directory), label)

    @property
    def probability(self) -> Path:
        return self.directory / f"vertex_probability_{self.label}.npy"

    @property
    def colored_mesh(self) -> Path:
        return self.directory / f"colored_mesh_{self.label}.ply"

    @property
    def colored_mesh_with_clicks(self) -> Path:
        return self.directory / f"colored_mesh_with_clicks_{self.label}.ply"

    @property
    def views(self) -> Path:
        return self.directory / f"render_views_{self.label}.png"

    def selection(self, ending: str) -> Path:
        """The hard selection as "glb", "obj" or "seg"."""
        return self.directory / f"selection_{self.label}.{ending}"


def probability_colors(
    probability: np.ndarray, base: Color = BASE_COLOR, selected: Color = SELECTION_COLOR
) -> np.ndarray:
    """Vertex colours (V, 3) float32 between `base` (probability 0) and `selected` (1), linear in probability (V,)."""
    weight = np.clip(np.nan_to_num(np.asarray(probability, dtype=np.float32)), 0, 1)[:, None]
    return (1 - weight) * np.array(base, dtype=np.float32) + weight * np.array(selected, dtype=np.float32)


def save_probability(path: str | Path, probability: np.ndarray) -> None:
    """Write the probabilities (V,) as float32 `.npy`, in the file's vertex order."""
    save_npy(path, np.asarray(probability, dtype=np.float32))


def save_colored_mesh(
    path: str | Path,
    mesh: Mesh,
    colors: np.ndarray,
    clicks: Clicks | None = None,
    sphere_radius: float = SPHERE_RADIUS,
    positive_color: Color = POSITIVE_COLOR,
    negative_color: Color = NEGATIVE_COLOR,
) -> None:
    """Write a binary PLY with vertex colours (V, 3) in [0, 1]; coordinates are doubles, so none is rounded.

    With `clicks`, a sphere of `sphere_radius` (normalised units) is put on every clicked vertex. The spheres' vertices
    come after the mesh's own, which keep their ids.
    """
    vertices, faces, rgb = mesh.vertices, mesh.faces, _to_bytes(colors)
    if clicks is not None:
        import trimesh

        ball = trimesh.creation.icosphere(subdivisions=2, radius=sphere_radius * mesh.scale)
        for vertex, positive in zip(clicks.vertices.tolist(), clicks.positive.tolist()):
            color = _to_bytes(np.array([positive_color if positive else negative_color]))
            faces = np.concatenate([faces, np.asarray(ball.faces) + len(vertices)])
            vertices = np.concatenate([vertices, np.asarray(ball.vertices) + mesh.vertices[vertex]])
            rgb = np.concatenate([rgb, np.repeat(color, len(ball.vertices), axis=0)])
    with atomic_path(path) as temporary:
        temporary.write_bytes(_ply(vertices, faces, rgb))


def _to_bytes(colors: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(np.asarray(colors, dtype=np.float64) * 255), 0, 255).astype(np.uint8)


def _ply(vertices: np.ndarray, faces: np.ndarray, rgb: np.ndarray) -> bytes:
    """A binary little-endian PLY of vertices (V, 3) float64, triangles (F, 3) and colours (V, 3) uint8."""
    vertex = np.empty(len(vertices), dtype=[("xyz", "<f8", 3), ("rgb", "u1", 3)])
    vertex["xyz"], vertex["rgb"] = vertices, rgb
    face = np.empty(len(faces), dtype=[("count", "u1"), ("ids", "<i4", 3)])
    face["count"], face["ids"] = 3, faces
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {len(vertices)}",
        *(f"property double {axis}" for axis in "xyz"),
        *(f"property uchar {channel}" for channel in ("red", "green", "blue")),
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header",
    ]
    return ("\n".join(header) + "\n").encode() + vertex.tobytes() + face.tobytes()
