"""What the shape generator draws, as digests: `python -m tests.golden.shapes` writes shapes.json anew (two minutes)."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import scipy

from utils.shapes import Builder, LabelledMesh, random_shape
from utils.shapes.generate import RECIPES
from utils.shapes.samples import SAMPLES

FILE = Path(__file__).with_name("shapes.json")
RECIPE_SEEDS, SHAPE_SEEDS = 120, 20  # stored of each family; the fast tests look at the first ones only
PROBES = np.random.default_rng(0).uniform(-1.2, 1.2, (12, 3))


def short(*arrays: np.ndarray, text: object = "") -> str:
    """Twelve hexadecimal digits of arrays (floats rounded to 1e-5, beside the round numbers) and a text."""
    hashed = hashlib.sha256(repr(text).encode())
    for array in arrays:
        whole = np.floor(array / 1e-5 + 0.137) if array.dtype.kind == "f" else array
        hashed.update(np.ascontiguousarray(whole, dtype=np.int64).tobytes() + repr(array.shape).encode())
    return hashed.hexdigest()[:12]


def recipe_digest(recipe, seed: int, smooth: bool) -> str:
    """Solids, labels and the state of the random numbers after a recipe, before any mesh is made."""
    b = Builder(np.random.default_rng(seed), smooth=smooth)
    recipe(b)
    geometry = [
        np.r_[piece.solid.distance(PROBES), piece.solid.bounds().ravel(), piece.solid.size] for piece in b.pieces
    ]
    joins = [(piece.part, piece.cluster, piece.carve) for piece in b.pieces]
    blends = np.array([[piece.blend, piece.detail] for piece in b.pieces])
    state = b.rng.bit_generator.state["state"]
    labels = (b.part_names, b.group_names, b.group_of_part, *([b.above_group] if any(b.above_group) else []))
    return short(np.array(geometry), blends, text=(joins, *labels, state))


def shape_digest(shape: LabelledMesh) -> str:
    """Geometry and labels of a shape."""
    above = [shape.above] if len(shape.above) else []
    return short(shape.vertices, shape.faces, shape.part, shape.group, *above, text=(shape.names, shape.family))


def shape_record(shape: LabelledMesh) -> list:
    """What is stored of a shape: its digest; numbers of vertices and faces; faces of each part; digest of the names."""
    faces_of_part = np.bincount(shape.part, minlength=len(shape.names["part"])).tolist()
    counts = [len(shape.vertices), len(shape.faces), faces_of_part]
    return [shape_digest(shape), *counts, short(text=(shape.names, shape.family))]


def difference(shape: LabelledMesh, stored: list, exact: bool) -> str:
    """How a shape differs from its stored record, or "". Where arithmetic is not the one of the record (not `exact`),
    counts may differ by 3 % of the faces; names of parts and groups and the family may not."""
    digest, vertices, faces, faces_of_part, names = shape_record(shape)
    if exact:
        return "" if digest == stored[0] else f"digest {digest}, not {stored[0]}"
    if names != stored[4]:
        return f"names of {len(faces_of_part)} parts, not the {len(stored[3])} stored"
    counts, known = np.array([vertices, faces, *faces_of_part]), np.array([*stored[1:3], *stored[3]])
    worst = int(np.abs(counts - known).argmax())
    limit = 0.03 * stored[2] + 2
    return "" if abs(counts[worst] - known[worst]) <= limit else f"{counts[worst]}, not about {known[worst]}"


def recipe_digests(family: str, seeds: int) -> list[str]:
    return [recipe_digest(RECIPES[family][0], seed, bool(seed % 2)) for seed in range(seeds)]


def sample_digests() -> dict[str, str]:
    return {name: recipe_digest(sample.recipe, 0, True) for name, sample in SAMPLES.items()}


def arithmetic() -> str:
    """Changes with the last bits of this machine's arithmetic, on which seams, clusters and triangles may hang."""
    x = np.linspace(0.01, 3, 1000)
    values = [np.sin(x), np.cos(x), np.exp(x), np.log(x), np.arctan2(x, x[::-1]), x**0.37, x.reshape(50, 20) @ x[:20]]
    exact = b"".join(value.tobytes() for value in values)
    return short(text=(exact, np.__version__, scipy.__version__, version("scikit-image")))


def main() -> None:
    stored = {
        "arithmetic": arithmetic(),
        "samples": sample_digests(),
        "recipes": {family: recipe_digests(family, RECIPE_SEEDS) for family in RECIPES},
        "shapes": {
            family: [shape_record(random_shape(seed, [family])) for seed in range(SHAPE_SEEDS)] for family in RECIPES
        },
    }
    FILE.write_text(
        json.dumps(stored).replace('"], "', '"],\n"').replace("]], ", "]],\n").replace("}, ", "},\n") + "\n"
    )


if __name__ == "__main__":
    main()
