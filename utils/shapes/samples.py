"""The sample objects of `meshes/`: making them, and reading them with their part labels.

Each object is three files: `<name>.obj`, `<name>.seg` (part of each face, an integer a line: Princeton's format) and
`<name>.json` (names of parts and groups, group of each part).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from utils.errors import UserError
from utils.files import atomic_path, load_json, save_json
from utils.geometry.mesh import load_mesh
from utils.progress import Progress, silent, track
from utils.shapes import models
from utils.shapes.builder import Builder, Field, LabelledMesh, blended_surface, grid_cell, with_compact_labels
from utils.shapes.remesh import resample, smallest_first, smooth_labels, straighten_seams
from utils.shapes.tessellation import in_unit_ball

Array = np.ndarray


@dataclass(frozen=True)
class Sample:
    """Recipe of one object: its parts, its number of vertices, and vertices that must have a given id.

    pinned: vertex id -> point in the recipe's frame; the vertex nearest to the point gets the id.
    """

    recipe: Callable[[Builder], None]
    vertices: int
    adaptivity: float = 0.7
    pinned: dict[int, tuple[float, float, float]] = field(default_factory=dict)


SAMPLES: dict[str, Sample] = {
    # The published demo clicks 5141 (head), 5141 with 61 (head and handle) and 5141 without 10795 (without the claw).
    "hammer": Sample(
        models.hammer, 11000, pinned={5141: (0.0, 0.63, 0.066), 61: (0.0, -0.5, 0.055), 10795: (-0.3, 0.64, 0.075)}
    ),
    "chair": Sample(models.chair, 9000),
    "lamp": Sample(models.lamp, 8000),
    "goat": Sample(models.goat, 10000),
    "humanoid": Sample(models.humanoid, 10000),
    "camel": Sample(models.camel, 3000),
    "teapot": Sample(models.teapot, 3000),
}


def make_sample(sample: Sample, family: str, fineness: float = 15.0) -> LabelledMesh:
    """One closed surface of `sample.vertices` vertices with even triangles and labelled faces, in the unit ball.

    `fineness`: vertices of the intermediate grid surface for each vertex of the result.
    """
    builder = Builder(np.random.default_rng(0), smooth=True)
    sample.recipe(builder)
    blend = Field(builder.pieces)
    cell = fine_cell(builder, sample.vertices * fineness)
    vertices, faces, _ = blended_surface(builder.pieces, cell)

    def project(points: Array) -> Array:
        return onto_surface(blend, points, cell)

    vertices, faces = resample(vertices, faces, sample.vertices, project, sample.adaptivity)
    part = smooth_labels(blend.labels(vertices[faces].mean(1)), faces)
    vertices, faces = straighten_seams(vertices, faces, part, project)
    vertices, faces, part = tidy_order(vertices, faces, part, sample.pinned)
    vertices = np.round(in_unit_ball(vertices), 5) + 0.0  # as in the file
    group = np.array(builder.group_of_part)[part]
    return with_compact_labels(vertices, faces, part, group, builder.names, family, builder.levels_above(group))


def make_samples(folder: Path, names: Sequence[str], on_progress: Progress = silent) -> None:
    """Makes the named objects and writes them into `folder`. UserError, before anything is made, for unknown names."""
    unknown = [name for name in names if name not in SAMPLES]
    if unknown:
        raise UserError(f"no sample object named {', '.join(unknown)}; choose from {', '.join(SAMPLES)}")
    folder.mkdir(parents=True, exist_ok=True)
    for name in track(names, "sample meshes", on_progress, len(names), "mesh"):
        shape = make_sample(SAMPLES[name], name)
        save_sample(folder, name, shape)
        counts = f"{len(shape.vertices)} vertices, {len(shape.faces)} faces"
        labels = f"{len(shape.names['part'])} parts in {len(shape.names['group'])} groups"
        tqdm.write(f"{folder / name}.obj: {counts}, {labels}")


def fine_cell(builder: Builder, wanted: float) -> float:
    """Grid side at which the surface has about `wanted` vertices (its number of cells grows with the area)."""
    cell = grid_cell(builder.pieces, 100, 10**9)
    vertices, _, _ = blended_surface(builder.pieces, cell)
    return float(cell * np.sqrt(len(vertices) / wanted))


def onto_surface(blend: Field, points: Array, reach: float, rounds: int = 2, step: float = 1e-4) -> Array:
    """Newton steps (at most `reach` long) along the gradient of the blended distance."""
    for _ in range(rounds):
        change = [blend.value(points + step * axis) - blend.value(points - step * axis) for axis in np.eye(3)]
        gradient = np.stack(change, 1) / (2 * step)
        gradient /= np.maximum((gradient**2).sum(1, keepdims=True), 1e-2)
        points = points - np.clip(blend.value(points), -reach, reach)[:, None] * gradient
    return points


def tidy_order(
    vertices: Array, faces: Array, part: Array, pinned: dict[int, tuple[float, float, float]]
) -> tuple[Array, Array, Array]:
    """Orders vertices by part and height, faces by their first vertex; pinned vertices are swapped to their ids."""
    first_part = np.full(len(vertices), part.max() + 1)
    np.minimum.at(first_part, faces.ravel(), np.repeat(part, 3))
    order = np.lexsort((vertices[:, 0], np.round(vertices[:, 1], 3), first_part))
    for target, point in pinned.items():
        position = int(np.argmin(np.linalg.norm(vertices[order] - np.asarray(point), axis=1)))
        order[[target, position]] = order[[position, target]]
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    faces = smallest_first(rank[faces])
    by_first = np.lexsort((faces[:, 2], faces[:, 1], faces[:, 0]))
    return vertices[order], faces[by_first], part[by_first]


def save_sample(folder: str | Path, name: str, shape: LabelledMesh) -> None:
    """Writes `<name>.obj`, `<name>.seg` and `<name>.json` into `folder`."""
    folder = Path(folder)
    lines = [f"v {x:.5f} {y:.5f} {z:.5f}" for x, y, z in shape.vertices]
    lines += [f"f {a} {b} {c}" for a, b, c in shape.faces + 1]
    _write_text(folder / f"{name}.obj", "\n".join(lines) + "\n")
    _write_text(folder / f"{name}.seg", "\n".join(map(str, shape.part)) + "\n")
    group_of_part = [int(shape.group[shape.part == i][0]) for i in range(len(shape.names["part"]))]
    names = {"parts": shape.names["part"], "groups": shape.names["group"], "group_of_part": group_of_part}
    save_json(folder / f"{name}.json", names)


def load_sample(path: str | Path) -> LabelledMesh:
    """Reads an object by the path of its `.obj`. UserError if the labels beside it are missing or do not fit."""
    path = Path(path)
    mesh = load_mesh(path)
    seg = path.with_suffix(".seg")
    if not seg.is_file():
        raise UserError(f"{seg} is missing: make the sample meshes again with scripts/make_meshes.py")
    part = np.array(seg.read_text().split(), dtype=np.int64)
    names = load_json(path.with_suffix(".json"), what="part names")
    if len(part) != mesh.num_faces or part.max() >= len(names["parts"]):
        raise UserError(f"{seg} does not fit {path.name}: make the sample meshes again with scripts/make_meshes.py")
    group = np.array(names["group_of_part"], dtype=np.int64)[part]
    names = {"part": names["parts"], "group": names["groups"]}
    return LabelledMesh(mesh.vertices, mesh.faces, part, group, names, path.stem)


def _write_text(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(text.encode("ascii"))
