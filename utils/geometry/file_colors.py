"""The colours that a mesh file has itself, at the corners of its triangles: to be shown, not to be written."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from utils.geometry.materials import PLAIN
from utils.geometry.mesh import Mesh
from utils.geometry.textures import Textures, read_textures

HEAD = 1 << 16  # bytes of a file in which its colours are announced, if they are
ANNOUNCED = {
    ".ply": rb"property\s+\w+\s+(red|r|diffuse_red)\b",
    ".off": rb"^\s*(ST)?C(N)?OFF",
    ".glb": rb'COLOR_0|"baseColor',
}
OF_VERTEX = rb"^[ \t]*v[ \t]([^\r\n#]+)"  # the first one of an OBJ: if it has no colour, none has


def corner_colors(mesh: Mesh) -> np.ndarray | None:
    """(F, 3, 3) uint8 RGB at each corner: vertex colours, or those of materials and their images; None for none."""
    if mesh.path is None or not _announced(mesh.path):
        return None
    textures = read_textures(mesh)
    if textures is None:
        return None
    if textures.colors is not None:
        return _bytes(textures.colors[mesh.faces])
    return _of_materials(mesh, textures) if textures.made.entries and textures.materials else None


def _announced(path: Path) -> bool:
    """Whether a file says that it has colours, without reading all that it means."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".obj":
            data = path.read_bytes()
            first = re.search(OF_VERTEX, data, re.MULTILINE)
            return b"mtllib" in data or (first is not None and len(first[1].split()) == 6)
        with open(path, "rb") as file:
            return suffix in ANNOUNCED and re.search(ANNOUNCED[suffix], file.read(HEAD)) is not None
    except OSError:
        return False


def _of_materials(mesh: Mesh, textures: Textures) -> np.ndarray:
    names, number = np.unique(textures.materials, return_inverse=True)
    of_face, made = number.reshape(-1)[mesh.face_polygon], textures.made
    result = np.tile(_bytes(np.array(PLAIN)), (mesh.num_faces, 3, 1))
    corners = textures.of_triangles(mesh) if textures.corners and len(textures.coordinates) else None
    for place, name in enumerate(names.tolist()):
        chosen = of_face == place
        if name not in made.entries:
            continue
        result[chosen] = _bytes(made.color(name))
        image = made.pixels(name) if corners is not None else None
        if image is not None and corners is not None:
            chosen &= (corners >= 0).all(axis=1)
            result[chosen] = _sampled(image, textures.coordinates[corners[chosen]])
    return result


def _sampled(image: np.ndarray, coordinates: np.ndarray) -> np.ndarray:
    """(..., 3) the pixels of an image (H, W, 3) at coordinates (..., 2), which go on periodically; v is up."""
    height, width = image.shape[:2]
    wrapped = np.nan_to_num(coordinates) % 1.0
    column = np.minimum((wrapped[..., 0] * width).astype(np.int64), width - 1)
    row = np.minimum(((1 - wrapped[..., 1]) * height).astype(np.int64), height - 1)
    return image[row, column]


def _bytes(colors: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(255 * np.nan_to_num(colors)), 0, 255).astype(np.uint8)
