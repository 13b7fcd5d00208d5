"""The colours that a mesh file has itself, at the corners of its triangles: to be shown, not to be written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.geometry.mesh import Mesh
from utils.geometry.textures import Textures, read_textures

PLAIN = (0.7, 0.7, 0.7)  # where a file says nothing
HEAD = 1 << 16  # bytes of a file in which its colours are announced, if they are
ANNOUNCED = {".ply": rb"property\s+\w+\s+(red|r|diffuse_red)\b", ".off": rb"^\s*(ST)?C(N)?OFF", ".glb": rb"COLOR_0"}
OF_OBJ = rb"^mtllib\s|^v(\s+\S+){6}\s*$"  # anywhere
MOST_PIXELS = 1 << 26


@dataclass(frozen=True, eq=False)
class Material:
    """Of an OBJ: a colour (3,) from 0 to 1, and an image (H, W, 3) uint8 or None."""

    color: np.ndarray
    image: np.ndarray | None = None


def corner_colors(mesh: Mesh) -> np.ndarray | None:
    """(F, 3, 3) uint8 RGB at each corner: vertex colours, or those of an OBJ's materials and images; None for none."""
    if mesh.path is None or not _announced(mesh.path):
        return None
    textures = read_textures(mesh)
    if textures is None:
        return None
    if textures.colors is not None:
        return _bytes(textures.colors[mesh.faces])
    materials = {name: each for library in textures.libraries for name, each in _library(mesh.path, library).items()}
    return _of_materials(mesh, textures, materials) if materials and textures.materials else None


def _announced(path: Path) -> bool:
    """Whether a file says that it has colours, without reading all that it means."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".obj":
            return re.search(OF_OBJ, path.read_bytes(), re.MULTILINE) is not None
        with open(path, "rb") as file:
            return suffix in ANNOUNCED and re.search(ANNOUNCED[suffix], file.read(HEAD)) is not None
    except OSError:
        return False


def _of_materials(mesh: Mesh, textures: Textures, materials: dict[str, Material]) -> np.ndarray:
    names, number = np.unique(textures.materials, return_inverse=True)
    of_face = number.reshape(-1)[mesh.face_polygon]
    result = np.tile(_bytes(np.array(PLAIN)), (mesh.num_faces, 3, 1))
    corners = textures.of_triangles(mesh) if textures.corners and len(textures.coordinates) else None
    for place, name in enumerate(names.tolist()):
        material, chosen = materials.get(name), of_face == place
        if material is None:
            continue
        result[chosen] = _bytes(material.color)
        if material.image is not None and corners is not None:
            chosen &= (corners >= 0).all(axis=1)
            result[chosen] = _sampled(material.image, textures.coordinates[corners[chosen]])
    return result


def _sampled(image: np.ndarray, coordinates: np.ndarray) -> np.ndarray:
    """(..., 3) the pixels of an image (H, W, 3) at coordinates (..., 2), which go on periodically; v is up."""
    height, width = image.shape[:2]
    wrapped = np.nan_to_num(coordinates) % 1.0
    column = np.minimum((wrapped[..., 0] * width).astype(np.int64), width - 1)
    row = np.minimum(((1 - wrapped[..., 1]) * height).astype(np.int64), height - 1)
    return image[row, column]


def _library(mesh: Path, name: str) -> dict[str, Material]:
    """The materials of a file beside the mesh's or below; nothing where it is elsewhere, missing or damaged."""
    path = _beside(mesh, name)
    found: dict[str, Material] = {}
    current = ""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path else ():
        key, _, rest = line.strip().partition(" ")
        if key == "newmtl":
            current = rest.strip()
            found[current] = Material(np.array(PLAIN))
        elif key == "Kd" and current and len(values := re.findall(r"[-+.\deE]+", rest)) >= 3:
            color = np.array([_number(value) for value in values[:3]])
            found[current] = Material(color, found[current].image)
        elif key == "map_Kd" and current and rest.split():
            found[current] = Material(found[current].color, _image(_beside(mesh, rest.split()[-1])))
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _beside(mesh: Path, name: str) -> Path | None:
    """A file that a mesh names, if it lies in the mesh's folder or below: what is elsewhere is not shown."""
    folder = mesh.resolve().parent
    path = (folder / name.replace("\\", "/")).resolve()
    return path if path.is_file() and path.is_relative_to(folder) else None


def _image(path: Path | None) -> np.ndarray | None:
    from PIL import Image

    if path is None:
        return None
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB")) if image.width * image.height <= MOST_PIXELS else None
    except (OSError, ValueError, SyntaxError):
        return None


def _bytes(colors: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(255 * np.nan_to_num(colors)), 0, 255).astype(np.uint8)
