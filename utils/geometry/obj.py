"""Reading OBJ text; our own reader, because vertex order and polygons must survive."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from utils.geometry.obj_arrays import read_arrays
from utils.geometry.surface import FileSurface, colors_of, coordinates_of, text_lines


@dataclass(eq=False)
class ObjText:
    """What an OBJ file says, in its order and its own words.

    vertices, coordinates, normals   the values of its "v", "vt" and "vn" lines
    polygons    for each face its corners "v", "v/vt", "v//vn" or "v/vt/vn", counted from 1
    materials   of each face, "" for none; libraries: files of materials
    groups      of each face, the words of its latest "g" or, without one since, "o" line
    """

    vertices: list[str] = field(default_factory=list)
    coordinates: list[str] = field(default_factory=list)
    normals: list[str] = field(default_factory=list)
    polygons: list[list[str]] = field(default_factory=list)
    materials: list[str] = field(default_factory=list)
    libraries: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)

    def corners(self) -> list[list[int]]:
        """The vertices of each face, counted from 0. ValueError for what is no whole number."""
        return [[int(corner.partition("/")[0]) - 1 for corner in face] for face in self.polygons]

    def attributes(self, place: int, count: int) -> list[list[int]]:
        """The coordinate (place 1) or normal (place 2) of each face's corners; -1 for none of the `count` there are."""
        return [[_attribute(corner.split("/"), place, count) for corner in face] for face in self.polygons]


def read_obj(path: Path) -> FileSurface:
    """Read the surface; ValueError for what is none."""
    data = path.read_bytes()
    found = read_arrays(data)
    return surface_of(text_of(data)) if found is None else found


def surface_of(found: ObjText) -> FileSurface:
    """The surface that a file describes; ValueError for what is none."""
    if not found.vertices:
        raise ValueError("it has no vertices ('v' lines); is it an OBJ file?")
    rows = [line.split() for line in found.vertices]
    names = list(dict.fromkeys(name for name in found.groups if name))
    number = {name: place for place, name in enumerate(names)} | {"": -1}
    return FileSurface.of_polygons(
        coordinates_of(rows),
        found.corners(),
        colors=colors_of(np.array([row[3:] for row in rows], dtype=np.float64)) if {*map(len, rows)} == {6} else None,
        names=names,
        piece=np.array([number[name] for name in found.groups], dtype=np.int64),
    )


def text_of(data: bytes) -> ObjText:
    """The lines of a text that describe a surface; a backslash at the end continues a line."""
    found, material, group = ObjText(), "", ""
    counted = (found.vertices, found.coordinates, found.normals)
    values = dict(zip(("v", "vt", "vn"), counted))
    begun = ""
    for part in text_lines(data):
        if part.endswith("\\"):
            begun += part[:-1] + " "
            continue
        line, begun = begun + part, ""
        kind, _, rest = line.strip().replace("\t", " ").partition(" ")
        if kind == "f":
            corners = rest.split("#")[0].split()
            if "-" in rest:
                corners = [_counted_from_the_start(corner, counted) for corner in corners]
            found.polygons.append(corners)
            found.materials.append(material)
            found.groups.append(group)
        elif kind in values:
            values[kind].append(rest.split("#")[0].strip())
        elif kind == "usemtl":
            material = rest.strip()
        elif kind in ("g", "o"):
            group = rest.strip()
        elif kind == "mtllib":
            found.libraries.append(rest.strip())
    return found


def _counted_from_the_start(corner: str, counted: tuple[list[str], ...]) -> str:
    """Negative indices count back from the latest line."""
    pairs = zip(corner.split("/"), counted)
    return "/".join(str(len(lines) + 1 + int(index)) if index.startswith("-") else index for index, lines in pairs)


def _attribute(indices: list[str], place: int, count: int) -> int:
    index = int(indices[place]) - 1 if len(indices) > place and indices[place] else -1
    return index if 0 <= index < count else -1
