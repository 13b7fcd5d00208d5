"""Reading PLY, text and both binary orders: vertices and polygons as they are written, counts checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.geometry.surface import FileSurface, colors_of, text_lines

TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
COORDINATES = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"), ("texture_s", "texture_t"))


@dataclass(frozen=True)
class Property:
    """One value of each row, or with `count` (the type of its length) a list of them; types as numpy names them."""

    name: str
    kind: str
    count: str | None = None


@dataclass(frozen=True)
class Element:
    """A table of the file."""

    name: str
    rows: int
    properties: tuple[Property, ...]


def read_ply(path: Path) -> FileSurface:
    """Read the surface. ValueError for what is no PLY, is cut short or contradicts its header."""
    data = path.read_bytes()
    order, elements, start = _header(data)
    read = _TextRows(data[start:]) if not order else _BinaryRows(data, start, order)
    tables = {}
    for element in elements:
        tables[element.name] = read.table(element)
    vertex = tables.get("vertex", {})
    if not all(axis in vertex for axis in "xyz"):
        raise ValueError("it has no vertices with x, y and z")
    vertices = np.stack([np.asarray(vertex[axis], dtype=np.float64) for axis in "xyz"], axis=1)
    rest = {"colors": _colors(vertex), "coordinates": _texture(vertex)}
    face = tables.get("face", {})
    corners = next((face[name] for name in ("vertex_indices", "vertex_index") if name in face), None)
    if corners is None and "tristrips" in tables:
        return FileSurface.of_triangles(vertices, _strips(next(iter(tables["tristrips"].values()))), **rest)
    if corners is None:
        return FileSurface.of_triangles(vertices, np.zeros((0, 3), dtype=np.int64), **rest)
    if isinstance(corners, np.ndarray) and corners.ndim == 2 and corners.shape[1] == 3:
        return FileSurface.of_triangles(vertices, corners.astype(np.int64), **rest)
    return FileSurface.of_polygons(vertices, [row.tolist() for row in corners], **rest)


def _header(data: bytes) -> tuple[str, list[Element], int]:
    """Byte order ("" for text), elements, and where the body begins."""
    data_start = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    end = data.find(b"end_header")
    if not data[data_start:].startswith(b"ply") or end < 0:
        raise ValueError("it has no PLY header")
    order, elements = None, []
    for line in data[data_start:end].decode("utf-8", errors="replace").replace("\r", "\n").split("\n"):
        words = line.split()
        if not words or words[0] in ("ply", "comment", "obj_info"):
            continue
        if words[0] == "format":
            order = ORDERS[words[1]]
        elif words[0] == "element":
            elements.append(Element(words[1], _count(words[2]), ()))
        elif words[0] == "property":
            *before, last = elements
            kinds = [TYPES[word] for word in words[1:-1] if word != "list"]
            found = Property(words[-1], kinds[-1], kinds[0] if words[1] == "list" else None)
            elements = [*before, Element(last.name, last.rows, (*last.properties, found))]
        else:
            raise ValueError(f"its header says '{line[:40]}'")
    if order is None:
        raise ValueError("its header names no format")
    return order, elements, _after_line(data, end)


def _count(word: str) -> int:
    rows = int(word)
    if rows < 0:
        raise ValueError(f"its header announces {rows} rows")
    return rows


def _after_line(data: bytes, place: int) -> int:
    """The first byte after the line that holds `place`; lines may end in CR, LF or both."""
    place += len(b"end_header")
    while data[place : place + 1] in (b" ", b"\t"):
        place += 1
    if data[place : place + 2] == b"\r\n":
        return place + 2
    return place + 1


class _TextRows:
    """The body of a text file: one row a line."""

    def __init__(self, body: bytes) -> None:
        self._lines = [line for line in text_lines(body) if line and not line.isspace()]
        self._next = 0

    def table(self, element: Element) -> dict:
        lines = self._lines[self._next : self._next + element.rows]
        self._next += element.rows
        if len(lines) < element.rows:
            raise ValueError(f"it is cut short: {element.rows} rows of '{element.name}' announced, {len(lines)} found")
        if not lines:
            return {each.name: np.zeros(0) if each.count is None else [] for each in element.properties}
        if all(each.count is None for each in element.properties):
            values = np.loadtxt(lines, dtype=np.float64, ndmin=2, usecols=range(len(element.properties)), comments=None)
            return {
                each.name: values[:, column].astype("i8" if each.kind[0] in "iu" else "f8")
                for column, each in enumerate(element.properties)
            }
        columns: dict[str, list] = {each.name: [] for each in element.properties}
        for number, line in enumerate(lines):
            words, place = line.split(), 0
            for each in element.properties:
                size = 1
                if each.count is not None:
                    size, place = int(words[place]) if place < len(words) else 1, place + 1
                if size < 0 or place + size > len(words):
                    raise ValueError(f"row {number} of '{element.name}' is cut short: '{line[:40]}'")
                kind = int if each.kind[0] in "iu" else float
                found = [kind(word) for word in words[place : place + size]]
                columns[each.name].append(np.array(found) if each.count is not None else found[0])
                place += size
        return {each.name: _column(each, columns[each.name]) for each in element.properties}


def _column(each: Property, values: list):
    return values if each.count is not None else np.array(values)


class _BinaryRows:
    """The body of a binary file. Tables whose lists all have the length of the first are read at once."""

    def __init__(self, data: bytes, place: int, order: str) -> None:
        self._data, self._place, self._order = data, place, order

    def table(self, element: Element) -> dict:
        if element.rows == 0:
            return {each.name: np.zeros(0) if each.count is None else [] for each in element.properties}
        return self._at_once(element) or self._row_by_row(element)

    def _take(self, kind: str, count: int, element: Element) -> np.ndarray:
        dtype = np.dtype(self._order + kind)
        end = self._place + dtype.itemsize * count
        if count < 0 or end > len(self._data):
            raise ValueError(f"it is cut short within the {element.rows} rows of '{element.name}'")
        found = np.frombuffer(self._data, dtype, count, self._place)
        self._place = end
        return found

    def _at_once(self, element: Element) -> dict | None:
        """None where a list has another length than in the first row."""
        start, fields, lengths = self._place, [], {}
        for number, each in enumerate(element.properties):
            size = 1
            if each.count is not None:
                size = lengths[number] = int(self._take(each.count, 1, element)[0])
                fields.append((f"n{number}", self._order + each.count))
            self._take(each.kind, size, element)
            fields.append((f"v{number}", self._order + each.kind, (size,) if each.count is not None else ()))
        self._place = start
        dtype = np.dtype(fields)
        end = start + dtype.itemsize * element.rows
        if end > len(self._data):
            if not lengths:
                raise ValueError(f"it is cut short within the {element.rows} rows of '{element.name}'")
            return None
        rows = np.frombuffer(self._data, dtype, element.rows, start)
        if any((rows[f"n{number}"] != size).any() for number, size in lengths.items()):
            return None
        self._place = end
        return {each.name: rows[f"v{number}"] for number, each in enumerate(element.properties)}

    def _row_by_row(self, element: Element) -> dict:
        columns: dict[str, list] = {each.name: [] for each in element.properties}
        for _ in range(element.rows):
            for each in element.properties:
                size = 1 if each.count is None else int(self._take(each.count, 1, element)[0])
                found = self._take(each.kind, size, element)
                columns[each.name].append(found if each.count is not None else found[0])
        return {each.name: _column(each, columns[each.name]) for each in element.properties}


def _strips(strips) -> np.ndarray:
    """(F, 3) triangles of strips of vertices, which -1 ends."""
    triangles = []
    for strip in strips:
        run: list[int] = []
        for vertex in [*strip.tolist(), -1]:
            if vertex >= 0:
                run.append(vertex)
                continue
            for k in range(len(run) - 2):
                a, b, c = run[k : k + 3]
                triangles.append((a, b, c) if k % 2 == 0 else (b, a, c))
            run = []
    return np.array(triangles, dtype=np.int64).reshape(-1, 3)


def _colors(vertex: dict) -> np.ndarray | None:
    if not all(channel in vertex for channel in ("red", "green", "blue")):
        return None
    channels = np.stack([np.asarray(vertex[channel]) for channel in ("red", "green", "blue")], axis=1)
    return colors_of(channels)


def _texture(vertex: dict) -> np.ndarray | None:
    names = next((pair for pair in COORDINATES if pair[0] in vertex and pair[1] in vertex), None)
    return None if names is None else np.stack([np.asarray(vertex[name], dtype=np.float64) for name in names], axis=1)
