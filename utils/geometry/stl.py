"""Reading STL, text and binary. It has no shared vertices, so equal corners are merged in the order of first use."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from utils.geometry.surface import FileSurface, text_lines
from utils.geometry.welding import first_of_each, weld

HEADER, FACET = 84, np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def read_stl(path: Path) -> FileSurface:
    """Read all solids of the file. ValueError for what is none or is cut short."""
    data = path.read_bytes()
    count = int.from_bytes(data[80:HEADER], "little") if len(data) >= HEADER else -1
    if count >= 0 and len(data) == HEADER + count * FACET.itemsize:
        corners = np.frombuffer(data, FACET, count, HEADER)["corners"].reshape(-1, 3).astype(np.float64)
    elif text_lines(data[:512])[0].lstrip().lower().startswith("solid") and b"\0" not in data:
        corners = _text(data)
    elif count >= 0 and len(data) > HEADER + count * FACET.itemsize:
        corners = np.frombuffer(data, FACET, count, HEADER)["corners"].reshape(-1, 3).astype(np.float64)
    else:
        raise ValueError(f"it is cut short: {count} facets announced, {max(0, len(data) - HEADER) // 50} found")
    if len(corners) == 0 or not np.isfinite(corners).all():  # refused by whoever checks a mesh
        return FileSurface.of_triangles(corners, np.arange(len(corners)).reshape(-1, 3))
    place = weld(corners)
    first = first_of_each(place)
    faces = first.argsort().argsort()[place].reshape(-1, 3)
    return FileSurface.of_triangles(corners[np.sort(first)], faces)


def _text(data: bytes) -> np.ndarray:
    """(3F, 3) corners of the facets."""
    rows, solids, ends = [], 0, 0
    for line in text_lines(data):
        words = line.split()
        key = words[0].lower() if words else ""
        if key == "vertex":
            rows.append(words[1:4])
        solids, ends = solids + (key == "solid"), ends + (key == "endsolid")
    if ends < solids or len(rows) % 3:
        raise ValueError(f"it is cut short after {len(rows)} corners")
    return np.array(rows, dtype=np.float64).reshape(-1, 3)
