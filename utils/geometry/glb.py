"""Reading binary glTF: the nodes of the scene in their order, each with its transform."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from utils.geometry.materials import Materials, materials_of_gltf
from utils.geometry.surface import FileSurface, colors_of

COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
TRIANGLES, STRIP, FAN = 4, 5, 6
PACKED = ("KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_meshopt_compression")
MOST_VERTICES = 100_000_000


def read_glb(path: Path) -> FileSurface:
    """Read all triangles of the scene. ValueError for what is no GLB or is cut short.

    Vertices come in the order of the scene: its nodes, a node before its children; the primitives of a node's mesh;
    the rows of their positions. Primitives of a node that share positions share vertices.
    """
    tree, binary = _chunks(path.read_bytes())
    packed = [name for name in tree.get("extensionsRequired", ()) if name in PACKED]
    if packed:
        raise ValueError(f"it is compressed by {packed[0]}, which is not read here; export it without compression")
    scene, pieces = _Reader(tree, binary), _Pieces()
    for node, transform in scene.nodes():
        if "mesh" in node:
            scene.add(node, transform, pieces)
    try:
        made = materials_of_gltf(tree, scene.bytes_of)
    except (LookupError, TypeError, ValueError, AttributeError):  # what decorates a surface does not stop its reading
        made = Materials()
    return pieces.joined(made)


def _chunks(data: bytes) -> tuple[dict, bytes]:
    """The tree and the binary part."""
    if len(data) < 20 or data[:4] != b"glTF":
        raise ValueError("it has no glTF header")
    version, length = struct.unpack("<II", data[4:12])
    if version != 2:
        raise ValueError(f"it is glTF {version}; version 2 is read")
    if length > len(data):
        raise ValueError(f"it is cut short: {length} bytes announced, {len(data)} found")
    place, tree, binary = 12, None, b""
    while place + 8 <= length:
        size, kind = struct.unpack("<I4s", data[place : place + 8])
        chunk = data[place + 8 : place + 8 + size]
        if len(chunk) < size:
            raise ValueError("it is cut short")
        if kind == b"JSON" and tree is None:
            tree = json.loads(chunk.decode("utf-8"))
        elif kind == b"BIN\0" and not binary:
            binary = chunk
        place += 8 + size
    if not isinstance(tree, dict):
        raise ValueError("it has no description of a scene")
    return tree, binary


@dataclass
class _Pieces:
    """What was read so far, one entry a node."""

    vertices: list[np.ndarray] = field(default_factory=list)
    faces: list[np.ndarray] = field(default_factory=list)
    colors: list[np.ndarray | None] = field(default_factory=list)
    coordinates: list[np.ndarray | None] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    piece: list[np.ndarray] = field(default_factory=list)
    material: list[int] = field(default_factory=list)
    count: int = 0

    def joined(self, made: Materials) -> FileSurface:
        if not self.faces:
            return FileSurface.of_triangles(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64))
        return FileSurface.of_triangles(
            np.concatenate(self.vertices),
            np.concatenate(self.faces),
            colors=self._values(self.colors, 1.0),
            coordinates=self._values(self.coordinates, 0.0),
            names=self.names,
            piece=np.concatenate(self.piece),
            made=made,
            material=[number if 0 <= number < len(made.entries) else -1 for number in self.material],
        )

    def _values(self, parts: list[np.ndarray | None], absent: float) -> np.ndarray | None:
        width = next((part.shape[1] for part in parts if part is not None), None)
        if width is None:
            return None
        sizes = zip(parts, self.vertices)
        return np.concatenate([np.full((len(rows), width), absent) if part is None else part for part, rows in sizes])


class _Reader:
    """The tree of a file with its binary part."""

    def __init__(self, tree: dict, binary: bytes) -> None:
        self.tree, self.binary = tree, binary

    def nodes(self) -> Iterator[tuple[dict, np.ndarray]]:
        """The nodes of the scene with their transforms (4, 4), a node before its children."""
        nodes, scenes = self.tree.get("nodes", []), self.tree.get("scenes", [])
        children = {child for node in nodes for child in node.get("children", ())}
        roots = [number for number in range(len(nodes)) if number not in children]
        if scenes:
            roots = scenes[self.tree.get("scene", 0)].get("nodes", [])
        seen: set[int] = set()
        waiting = [(number, np.eye(4)) for number in reversed(roots)]
        while waiting:
            number, above = waiting.pop()
            if number in seen or not 0 <= number < len(nodes):
                raise ValueError(f"node {number} is in the scene twice" if number in seen else f"node {number} is none")
            seen.add(number)
            transform = above @ _transform(nodes[number])
            yield nodes[number], transform
            waiting += [(child, transform) for child in reversed(nodes[number].get("children", ()))]

    def add(self, node: dict, transform: np.ndarray, pieces: _Pieces) -> None:
        """Add the triangles of a node's mesh."""
        mesh = self.tree["meshes"][node["mesh"]]
        starts: dict[int, int] = {}
        name = str(node.get("name") or mesh.get("name") or f"node{len(pieces.names)}")
        pieces.names.append(name)
        for primitive in mesh["primitives"]:
            attributes, mode = primitive["attributes"], primitive.get("mode", TRIANGLES)
            if mode not in (TRIANGLES, STRIP, FAN) or "POSITION" not in attributes:
                continue  # points and lines
            place = attributes["POSITION"]
            if place not in starts:
                starts[place] = pieces.count
                self._add_vertices(attributes, transform, pieces)
            size = self.tree["accessors"][place]["count"]
            indices = self.accessor(primitive["indices"])[:, 0] if "indices" in primitive else np.arange(size)
            if len(indices) and indices.max() >= size:
                raise ValueError(f"'{name}' refers to vertex {indices.max()} of {size}")
            faces = _triangles(indices.astype(np.int64), mode) + starts[place]
            if np.linalg.det(transform[:3, :3]) < 0:  # a mirrored node keeps its outside, as the standard says
                faces = faces[:, [0, 2, 1]]
            pieces.faces.append(faces)
            pieces.piece.append(np.full(len(faces), len(pieces.names) - 1, dtype=np.int64))
            number = primitive.get("material")
            pieces.material += [number if isinstance(number, int) else -1] * len(faces)

    def _add_vertices(self, attributes: dict, transform: np.ndarray, pieces: _Pieces) -> None:
        points = self.accessor(attributes["POSITION"]).astype(np.float64)
        pieces.count += len(points)
        if points.shape[1] != 3 or pieces.count > MOST_VERTICES:
            raise ValueError("its positions are not of three coordinates, or more than can be held")
        colors = coordinates = None
        if "COLOR_0" in attributes:
            values = self.accessor(attributes["COLOR_0"], shares=True)
            colors = colors_of(values[:, :3]) if len(values) == len(points) else None
        if "TEXCOORD_0" in attributes:
            values = self.accessor(attributes["TEXCOORD_0"], shares=True).astype(np.float64)
            coordinates = np.stack([values[:, 0], 1 - values[:, 1]], axis=1) if len(values) == len(points) else None
        pieces.vertices.append(points @ transform[:3, :3].T + transform[:3, 3])
        pieces.colors.append(colors)
        pieces.coordinates.append(coordinates)

    def accessor(self, number: int, shares: bool = False) -> np.ndarray:
        """(N, width) values; shares: whole numbers as shares of the largest."""
        entry = self.tree["accessors"][number]
        dtype, width, count = np.dtype(COMPONENTS[entry["componentType"]]), WIDTHS[entry["type"]], int(entry["count"])
        if not 0 <= count <= MOST_VERTICES:
            raise ValueError(f"an accessor announces {count} rows")
        if "bufferView" in entry:
            values = self._view(entry["bufferView"], entry.get("byteOffset", 0), dtype, count, width)
        else:
            values = np.zeros((count, width), dtype)
        if "sparse" in entry:
            values, sparse = values.copy(), entry["sparse"]
            where, what, rows = sparse["indices"], sparse["values"], int(sparse["count"])
            kind = np.dtype(COMPONENTS[where["componentType"]])
            places = self._view(where["bufferView"], where.get("byteOffset", 0), kind, rows, 1)[:, 0]
            values[places] = self._view(what["bufferView"], what.get("byteOffset", 0), dtype, rows, width)
        if dtype.kind in "iu" and (shares or entry.get("normalized")):
            values = np.maximum(values / np.iinfo(dtype).max, -1.0)
        return values

    def bytes_of(self, number: int) -> bytes:
        """All of a buffer view."""
        view = self.tree["bufferViews"][number]
        start, size = int(view.get("byteOffset", 0)), int(view["byteLength"])
        if start < 0 or not 0 < size <= len(self.binary) - start:
            raise ValueError("its parts lie outside of it")
        return self.binary[start : start + size]

    def _view(self, number: int, offset: int, dtype: np.dtype, count: int, width: int) -> np.ndarray:
        """(count, width) values that lie `byteStride` apart, read without a copy."""
        view = self.tree["bufferViews"][number]
        if view.get("buffer", 0) != 0 or "uri" in self.tree["buffers"][0]:
            raise ValueError("its data lie in another file; export it as one GLB")
        row = dtype.itemsize * width
        stride, start = int(view.get("byteStride") or row), int(view.get("byteOffset", 0)) + int(offset)
        end = start + stride * (count - 1) + row if count else start
        limit = int(view.get("byteOffset", 0)) + int(view["byteLength"])
        if start < 0 or stride < row or end > min(limit, len(self.binary)):
            raise ValueError("it is cut short, or its parts lie outside of it")
        return np.ndarray((count, width), dtype, self.binary, start, (stride, dtype.itemsize))


def _transform(node: dict) -> np.ndarray:
    """(4, 4) of a node's matrix, or of its translation, rotation and scale."""
    if "matrix" in node:
        return np.array(node["matrix"], dtype=np.float64).reshape(4, 4).T
    result = np.eye(4)
    x, y, z, w = (float(value) for value in node.get("rotation", (0, 0, 0, 1)))
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    result[:3, :3] = rotation * np.array(node.get("scale", (1, 1, 1)), dtype=np.float64)
    result[:3, 3] = node.get("translation", (0, 0, 0))
    return result


def _triangles(indices: np.ndarray, mode: int) -> np.ndarray:
    """(F, 3) of a list, a strip or a fan."""
    if mode == TRIANGLES:
        if len(indices) % 3:
            raise ValueError(f"it has {len(indices)} corners of triangles, which is no multiple of 3")
        return indices.reshape(-1, 3)
    first = np.arange(max(0, len(indices) - 2))
    if mode == FAN:
        return indices[np.stack([first + 1, first + 2, np.zeros_like(first)], axis=1)]
    odd = first % 2
    return indices[np.stack([first, first + 1 + odd, first + 2 - odd], axis=1)]
