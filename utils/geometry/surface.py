"""What a mesh file holds: the surface, and what decorates it. Every reader of a format gives one of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from utils.geometry.materials import Materials


@dataclass(frozen=True, eq=False)
class FileSurface:
    """A surface in the order of its file.

    vertices      (V, 3) float64
    faces         (F, 3) int64 triangles, fans of the polygons
    face_polygon  (F,) int64, the polygon of each triangle
    num_polygons  of the file, also those of fewer than three corners, which have no triangle
    colors        (V, 3) float64 RGB from 0 to 1, None for none
    names         what the file calls the pieces (nodes, groups), and piece (N,) the one of each polygon; -1 for none
    coordinates   (V, 2) float64 texture coordinates of the vertices, v up; None for none (an OBJ has its own)
    made          the materials of a GLB, and material: the place of that of each polygon, -1 for none
    """

    vertices: np.ndarray
    faces: np.ndarray
    face_polygon: np.ndarray
    num_polygons: int
    colors: np.ndarray | None = None
    names: list[str] = field(default_factory=list)
    piece: np.ndarray | None = None
    coordinates: np.ndarray | None = None
    made: Materials = field(default_factory=Materials)
    material: list[int] = field(default_factory=list)

    @classmethod
    def of_triangles(cls, vertices: np.ndarray, faces: np.ndarray, **rest) -> FileSurface:
        """Every triangle is a polygon."""
        return cls(vertices, faces, np.arange(len(faces), dtype=np.int64), len(faces), **rest)

    @classmethod
    def of_polygons(cls, vertices: np.ndarray, polygons: Sequence[Sequence[int]], **rest) -> FileSurface:
        """Of the corners of each polygon."""
        triangles = [(face[0], *pair) for face in polygons for pair in pairwise(face[1:])]
        sides = np.array([max(0, len(face) - 2) for face in polygons], dtype=np.int64)
        faces = np.asarray(triangles, dtype=np.int64).reshape(-1, 3)
        return cls(vertices, faces, np.repeat(np.arange(len(polygons)), sides), len(polygons), **rest)


def text_lines(data: bytes) -> list[str]:
    """The lines of a text file, without byte-order mark; only line ends end a line, not every Unicode separator."""
    text = data.decode("utf-8", errors="replace").removeprefix("\ufeff")
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def coordinates_of(rows: Sequence[Sequence[str]]) -> np.ndarray:
    """(V, 3) float64 of the words of each vertex. ValueError for one of fewer than three."""
    short = next((number for number, row in enumerate(rows) if len(row) < 3), None)
    if short is not None:
        raise ValueError(f"vertex {short} has {len(rows[short])} coordinates")
    return np.array([row[:3] for row in rows], dtype=np.float64).reshape(-1, 3)


def colors_of(values: np.ndarray) -> np.ndarray | None:
    """RGB from 0 to 1 of (V, 3) channels, up to 255 or, as floats, up to 1; None for what is no colour."""
    if len(values) == 0 or not np.isfinite(values).all():
        return None
    of_bytes = values.dtype.kind in "iu" or values.max() > 1
    return np.clip(values / 255 if of_bytes else values, 0, 1).astype(np.float64)
