"""Random polygon meshes written by hand in every format, in the variations that files in the wild have."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

NUMBER = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}


@dataclass
class Plain:
    """vertices (V, 3) float64, polygons: the corners of each, colors (V, 3) uint8."""

    vertices: np.ndarray
    polygons: list[list[int]]
    colors: np.ndarray

    def fans(self) -> list[list[int]]:
        return [[face[0], face[k], face[k + 1]] for face in self.polygons for k in range(1, len(face) - 1)]

    def owners(self) -> list[int]:
        return [number for number, face in enumerate(self.polygons) for _ in range(len(face) - 2)]


def random_mesh(rng: np.random.Generator, largest: int = 6) -> Plain:
    """Some vertices, used or not, and polygons of 3 to `largest` corners."""
    count = int(rng.integers(largest, 30))
    polygons = [rng.permutation(count)[: rng.integers(3, largest + 1)].tolist() for _ in range(rng.integers(1, 20))]
    return Plain(np.round(rng.normal(size=(count, 3)), 6), polygons, rng.integers(0, 256, (count, 3)).astype(np.uint8))


def write_obj(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    """A plain OBJ of triangles (F, 3) with every digit."""
    rows = [f"v {x!r} {y!r} {z!r}" for x, y, z in np.asarray(vertices).tolist()]
    path.write_text("\n".join(rows + [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in faces.tolist()]) + "\n")


def obj(mesh: Plain, rng: np.random.Generator) -> bytes:
    """With or without byte-order mark, indentation, continued lines, faces before or amid vertices, negative ids."""
    indent, newline = rng.choice(["", "  ", "\t"]), rng.choice(["\n", "\r\n"])
    order = np.sort(rng.integers(0, len(mesh.vertices) + 1, len(mesh.polygons)))  # vertices written before each face
    lines, written = [], 0
    for face, before in zip(mesh.polygons, order.tolist()):
        while written < before:
            lines.append("v " + " ".join(map(repr, mesh.vertices[written].tolist())))
            written += 1
        words = [str(v - written) if v < written and rng.random() < 0.5 else str(v + 1) for v in face]
        lines.append((f" \\{newline} " if rng.random() < 0.3 else " ").join(["f", *words]))
    lines += ["v " + " ".join(map(repr, row)) for row in mesh.vertices[written:].tolist()]
    mark = b"\xef\xbb\xbf" if rng.random() < 0.5 else b""
    return mark + (newline.join(indent + line for line in lines) + newline).encode()


def off(mesh: Plain, rng: np.random.Generator) -> bytes:
    """With or without byte-order mark, comments, colours, and the counts in the line of the header."""
    colored = rng.random() < 0.5
    counts = f"{len(mesh.vertices)} {len(mesh.polygons)} 0"
    head = ("COFF" if colored else "OFF") + rng.choice([" ", "\n", "\n# a comment\n"]) + counts
    tails = [" ".join(map(str, row)) if colored else "" for row in mesh.colors.tolist()]
    rows = [f"{x!r} {y!r} {z!r} {tail}" for (x, y, z), tail in zip(mesh.vertices.tolist(), tails)]
    faces = [f"{len(face)} " + " ".join(map(str, face)) for face in mesh.polygons]
    return (b"\xef\xbb\xbf" if rng.random() < 0.5 else b"") + "\n".join([head, *rows, *faces, ""]).encode()


def ply(mesh: Plain, rng: np.random.Generator, order: str | None = None) -> bytes:
    """Text or binary of either order, with a face property before the corners, and an element in between."""
    order = order or str(rng.choice(list(NUMBER)))
    colored, flagged, extra = rng.random(3) < 0.5
    head = ["ply", f"format {order} 1.0", "comment made by hand", f"element vertex {len(mesh.vertices)}"]
    head += [f"property double {axis}" for axis in "xyz"]
    head += [f"property uchar {name}" for name in ("red", "green", "blue")] if colored else []
    head += ["element extra 2", "property list uchar float values"] if extra else []
    head += [f"element face {len(mesh.polygons)}"] + (["property uchar flags"] if flagged else [])
    head += ["property list uchar int vertex_indices", "end_header\n"]
    rows = [("ddd", row) for row in mesh.vertices.tolist()]
    if colored:
        rows = [("dddBBB", [*row, *color]) for (_, row), color in zip(rows, mesh.colors.tolist())]
    rows += [("Bff", [2, 0.5, 1.5]), ("B", [0])] if extra else []
    flag = ("B", [7]) if flagged else ("", [])
    rows += [(f"{flag[0]}B{len(face)}i", [*flag[1], len(face), *face]) for face in mesh.polygons]
    if order == "ascii":
        body = "".join(" ".join(map(repr, values)) + "\n" for _, values in rows).encode()
    else:
        body = b"".join(struct.pack(NUMBER[order] + kind, *values) for kind, values in rows)
    return "\n".join(head).encode() + body


def stl(mesh: Plain, rng: np.random.Generator) -> bytes:
    """Text or binary; polygons as fans."""
    corners = mesh.vertices[np.array(mesh.fans())].astype("<f4")
    if rng.random() < 0.5:
        facet = "facet normal 0 0 0\nouter loop\n{}endloop\nendfacet\n"
        rows = ["".join(f"vertex {x!r} {y!r} {z!r}\n" for x, y, z in face.tolist()) for face in corners]
        return ("solid a\n" + "".join(map(facet.format, rows)) + "endsolid a\n").encode()
    body = b"".join(bytes(12) + face.tobytes() + b"\0\0" for face in corners)
    return b"solid in the header".ljust(80) + struct.pack("<I", len(corners)) + body


@dataclass
class Node:
    """A node of a GLB: its name, where its mesh is put, its mesh, and what hangs on it."""

    name: str
    translation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    mesh: int | None = None
    children: tuple[int, ...] = ()


def glb(meshes: list[Plain], nodes: list[Node], roots: list[int], colored: bool = False) -> bytes:
    """Triangles of meshes, each a primitive, put into a scene by nodes."""
    tree: dict = {"asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": roots}], "nodes": []}
    tree |= {"meshes": [], "accessors": [], "bufferViews": []}
    data = b""

    def accessor(values: np.ndarray, component: int, kind: str) -> int:
        nonlocal data
        tree["bufferViews"].append({"buffer": 0, "byteOffset": len(data), "byteLength": values.nbytes})
        entry = {"bufferView": len(tree["bufferViews"]) - 1, "componentType": component, "count": len(values)}
        tree["accessors"].append({**entry, "type": kind})
        data += values.tobytes()
        return len(tree["accessors"]) - 1

    for mesh in meshes:
        attributes = {"POSITION": accessor(mesh.vertices.astype("<f4"), 5126, "VEC3")}
        if colored:
            attributes["COLOR_0"] = accessor((mesh.colors / 255).astype("<f4"), 5126, "VEC3")
        indices = accessor(np.array(mesh.fans(), dtype="<u4").reshape(-1), 5125, "SCALAR")
        tree["meshes"].append({"primitives": [{"attributes": attributes, "indices": indices}]})
    for node in nodes:
        entry = {"name": node.name, "translation": list(node.translation), "scale": list(node.scale)}
        if node.mesh is not None:
            entry["mesh"] = node.mesh
        tree["nodes"].append(entry | ({"children": list(node.children)} if node.children else {}))
    tree["buffers"] = [{"byteLength": len(data)}]
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    length = 12 + 8 + len(text) + 8 + len(data)
    head = struct.pack("<4sII", b"glTF", 2, length) + struct.pack("<I4s", len(text), b"JSON")
    return head + text + struct.pack("<I4s", len(data), b"BIN\0") + data


WRITERS = {".obj": obj, ".off": off, ".ply": ply, ".stl": stl}
