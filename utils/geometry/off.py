"""Reading text OFF, with or without colours and normals at the vertices."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from utils.geometry.surface import FileSurface, colors_of, coordinates_of, text_lines

HEADER = re.compile(r"(ST)?(C)?(N)?OFF\b", re.IGNORECASE)


def read_off(path: Path) -> FileSurface:
    """Read the surface; the counts may stand in the line of the header. ValueError for what is none or is cut short."""
    lines = [line for line in (raw.split("#")[0].strip() for raw in text_lines(path.read_bytes())) if line]
    kind = HEADER.match(lines[0]) if lines else None
    if kind is None or "BINARY" in lines[0].upper():
        raise ValueError("it does not begin with 'OFF', or is a binary OFF")
    first = lines[0][kind.end() :].split()
    counts, body = (first, lines[1:]) if first else (lines[1].split(), lines[2:])
    num_vertices, num_faces = int(counts[0]), int(counts[1])
    if min(num_vertices, num_faces) < 0 or len(body) < num_vertices + num_faces:
        raise ValueError(
            f"it is cut short: {num_vertices} vertices and {num_faces} faces announced, {len(body)} lines found"
        )
    rows = [line.split() for line in body[:num_vertices]]
    polygons = []
    for line in body[num_vertices : num_vertices + num_faces]:
        count, *corners = line.split()
        if not 0 <= int(count) <= len(corners):
            raise ValueError(f"face line '{line[:60]}' is cut short")
        polygons.append([int(corner) for corner in corners[: int(count)]])
    place = 6 if kind[3] else 3  # colours come after normals
    colored = bool(kind[2]) and all(len(row) >= place + 3 for row in rows)
    channels = np.array([row[place : place + 3] for row in rows], dtype=np.float64) if colored else np.zeros((0, 3))
    return FileSurface.of_polygons(coordinates_of(rows), polygons, colors=colors_of(channels))
