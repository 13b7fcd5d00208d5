"""Writing binary glTF: named nodes, triangles with texture coordinates, materials with their images."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from utils.files import atomic_path
from utils.geometry.materials import Materials, kind_of

FLOAT, UINT, VERTICES, INDICES = 5126, 5125, 34962, 34963


class GlbWriter:
    """A scene that is put together piece by piece; `materials` are those that its own are made of."""

    def __init__(self, materials: Materials) -> None:
        self._blocks: list[bytes] = []
        self._size = 0
        self._views: list[dict] = []
        self._accessors: list[dict] = []
        self._meshes: list[dict] = []
        self._nodes: list[dict] = []
        self._roots: list[int] = []
        self._materials: list[dict] = []
        images = [{"bufferView": self._view(data), "mimeType": f"image/{kind_of(data)}"} for data in materials.images]
        self._shared = {"images": images, "textures": materials.textures, "samplers": materials.samplers}
        self._extensions = materials.extensions

    def material(self, entry: dict[str, Any]) -> int:
        """Add a material; returns its number."""
        self._materials.append(entry)
        return len(self._materials) - 1

    def primitive(self, points: np.ndarray, faces: np.ndarray, uv: np.ndarray | None, material: int) -> dict:
        """Triangles (N, 3) of points (M, 3) with texture coordinates (M, 2), v up, for `node`."""
        attributes = {"POSITION": self._accessor(points.astype("<f4"), "VEC3", VERTICES)}
        low, high = points.astype(np.float32).min(axis=0), points.astype(np.float32).max(axis=0)
        self._accessors[-1] |= {"min": low.tolist(), "max": high.tolist()}
        if uv is not None:
            down = np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1).astype("<f4")
            attributes["TEXCOORD_0"] = self._accessor(down, "VEC2", VERTICES)
        indices = self._accessor(faces.reshape(-1, 1).astype("<u4"), "SCALAR", INDICES)
        return {"attributes": attributes, "indices": indices, "material": material}

    def node(self, name: str, primitives: list[dict], place: np.ndarray | None = None, above: int | None = None) -> int:
        """Add a node, with a mesh where there are primitives, at `place` (3,), below another; returns its number."""
        entry: dict[str, Any] = {"name": name}
        if primitives:
            entry["mesh"] = len(self._meshes)
            self._meshes.append({"name": name, "primitives": primitives})
        if place is not None:
            entry["matrix"] = [1.0, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 1.0, 0, *place.tolist(), 1.0]
        self._nodes.append(entry)
        number = len(self._nodes) - 1
        siblings = self._roots if above is None else self._nodes[above].setdefault("children", [])
        siblings.append(number)
        return number

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all."""
        lists = {"materials": self._materials, "meshes": self._meshes, "nodes": self._nodes, **self._shared}
        lists |= {"accessors": self._accessors, "bufferViews": self._views, "extensionsUsed": self._extensions}
        tree = {"asset": {"version": "2.0", "generator": "iSeg"}, "scene": 0, "scenes": [{"nodes": self._roots}]}
        lists["buffers"] = [{"byteLength": self._size}] if self._size else []
        tree |= {name: held for name, held in lists.items() if held}
        text = json.dumps(tree, allow_nan=False, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            file.write(b"glTF" + struct.pack("<II", 2, 28 + len(text) + self._size))
            file.write(struct.pack("<I", len(text)) + b"JSON" + text)
            file.write(struct.pack("<I", self._size) + b"BIN\0")
            file.writelines(self._blocks)

    def _accessor(self, values: np.ndarray, kind: str, target: int) -> int:
        component = FLOAT if values.dtype.kind == "f" else UINT
        view = self._view(values.tobytes(), target=target)
        self._accessors.append({"bufferView": view, "componentType": component, "count": len(values), "type": kind})
        return len(self._accessors) - 1

    def _view(self, data: bytes, **more: int) -> int:
        self._views.append({"buffer": 0, "byteOffset": self._size, "byteLength": len(data), **more})
        self._blocks.append(data + bytes(-len(data) % 4))
        self._size += len(self._blocks[-1])
        return len(self._views) - 1
