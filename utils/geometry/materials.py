"""What surfaces are made of, as glTF describes it: from a GLB, or from the MTL files of an OBJ."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

PLAIN = (0.7, 0.7, 0.7)  # where a file says nothing
MOST_PIXELS = 1 << 26
KEPT_AS_THEY_ARE = ("PNG", "JPEG")  # images that glTF may hold
BLANK = bytes.fromhex(  # a white pixel, in the place of an image that is elsewhere
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8ffff3f0005fe02fe0def46b8"
    "0000000049454e44ae426082"
)
OF_MATERIALS = re.compile(r"(KHR_materials|KHR_texture|EXT_texture)_")  # extensions that a material may name


@dataclass(frozen=True, eq=False)
class Materials:
    """Materials by their names, which are all different.

    entries     glTF's `material` of each
    textures, samplers   of glTF, which the entries number
    images      files of images, which the textures number
    extensions  of glTF that the entries use
    """

    entries: dict[str, dict[str, Any]] = field(default_factory=dict)
    textures: list[dict[str, Any]] = field(default_factory=list)
    samplers: list[dict[str, Any]] = field(default_factory=list)
    images: list[bytes] = field(default_factory=list)
    extensions: list[str] = field(default_factory=list)

    def color(self, name: str) -> np.ndarray:
        """(3,) from 0 to 1, which an image is multiplied by."""
        return np.array(self.entries[name].get("pbrMetallicRoughness", {}).get("baseColorFactor", (1, 1, 1, 1))[:3])

    def image(self, name: str) -> int | None:
        """The number of the image that is seen."""
        texture = self.entries[name].get("pbrMetallicRoughness", {}).get("baseColorTexture")
        return None if texture is None else self.textures[texture["index"]].get("source")

    def pixels(self, name: str) -> np.ndarray | None:
        """(H, W, 3) uint8 of the image that is seen, multiplied by the colour; None where there is none."""
        from PIL import Image

        number = self.image(name)
        if number is None:
            return None
        try:
            with Image.open(io.BytesIO(self.images[number])) as image:
                if image.width * image.height > MOST_PIXELS:
                    return None
                return np.rint(np.asarray(image.convert("RGB")) * np.clip(self.color(name), 0, 1)).astype(np.uint8)
        except (OSError, ValueError, SyntaxError):
            return None


def kind_of(image: bytes) -> str:
    """Of the file of an image, as MIME types call it."""
    return "jpeg" if image.startswith(b"\xff\xd8") else "webp" if image[8:12] == b"WEBP" else "png"


def materials_of_gltf(tree: dict[str, Any], bytes_of: Callable[[int], bytes]) -> Materials:
    """Of a glTF scene, in its order; images that lie in other files are left out.

    bytes_of  a buffer view by its number. LookupError, TypeError, ValueError or AttributeError for what is no glTF.
    """
    listed, textures = tree.get("images", []), tree.get("textures", [])
    images = [bytes_of(image["bufferView"]) if "bufferView" in image else BLANK for image in listed]
    lost = {k for k, each in enumerate(textures) if "source" in each and "bufferView" not in listed[each["source"]]}
    found: dict[str, dict[str, Any]] = {}
    for number, entry in enumerate(tree.get("materials", ())):
        name = wanted = str(entry.get("name") or f"material{number}")
        while name in found:
            name, number = f"{wanted} {number}", number + 1
        found[name] = {**_without(entry, lost), "name": name}
    extensions = [name for name in tree.get("extensionsUsed", ()) if OF_MATERIALS.match(name)]
    kept = Materials(found, textures, tree.get("samplers", []), images, extensions)
    json.dumps([found, textures, kept.samplers], allow_nan=False)
    for name in found:
        kept.image(name), kept.color(name).astype(float).reshape(3)
    return kept


def _without(entry: Any, lost: set[int]) -> Any:
    """A description without the textures that are lost, or that belong to a further set of coordinates."""
    if not isinstance(entry, dict):
        return entry
    gone = [
        key
        for key, value in entry.items()
        if key.endswith("Texture") and (value["index"] in lost or value.get("texCoord", 0) > 0)
    ]
    return {key: _without(value, lost) for key, value in entry.items() if key not in gone}


def read_libraries(mesh: Path, names: list[str]) -> Materials:
    """The materials of MTL files beside the mesh's or below; nothing of what is elsewhere, missing or damaged."""
    found = Materials()
    for library in names:
        path, pbr = beside(mesh, library), {}
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path else ():
            key, _, rest = line.strip().partition(" ")
            if key == "newmtl":
                pbr = {"baseColorFactor": [*PLAIN, 1.0], "metallicFactor": 0.0}
                name = rest.strip()
                found.entries[name] = {"name": name, "pbrMetallicRoughness": pbr, "doubleSided": True}
            elif key == "Kd" and len(values := re.findall(r"[-+.\deE]+", rest)) >= 3 and "baseColorTexture" not in pbr:
                pbr["baseColorFactor"] = [*(min(max(_number(value), 0.0), 1.0) for value in values[:3]), 1.0]
            elif key == "map_Kd" and rest.split() and (image := _image_file(beside(mesh, rest.split()[-1]))):
                if image not in found.images:
                    found.textures.append({"source": len(found.images)})
                    found.images.append(image)
                pbr["baseColorTexture"] = {"index": found.images.index(image)}
                pbr["baseColorFactor"] = [1.0, 1.0, 1.0, 1.0]
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def beside(mesh: Path, name: str) -> Path | None:
    """A file that a mesh names, if it lies in the mesh's folder or below: what is elsewhere is not read."""
    folder = mesh.resolve().parent
    path = (folder / name.replace("\\", "/")).resolve()
    return path if path.is_file() and path.is_relative_to(folder) else None


def _image_file(path: Path | None) -> bytes:
    """An image as PNG or JPEG, as it lies there where it is one; nothing where it cannot be read."""
    from PIL import Image

    if path is None:
        return b""
    try:
        with Image.open(path) as image:
            if image.width * image.height > MOST_PIXELS:
                return b""
            image.load()
            if image.format in KEPT_AS_THEY_ARE:
                return path.read_bytes()
            written = io.BytesIO()
            image.convert("RGBA" if image.has_transparency_data else "RGB").save(written, "PNG")
            return written.getvalue()
    except (OSError, ValueError, SyntaxError):
        return b""
