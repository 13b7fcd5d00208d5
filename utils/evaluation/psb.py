"""Meshes with parts marked by people.

The Princeton Segmentation Benchmark (Chen, Golovinskiy, Funkhouser 2009) and folders laid out like it: `off/N.off`,
`seg/Benchmark/N/N_k.seg` (one integer a face, annotator k), `split.json` (category -> ids). Or a folder like our
`meshes/`: `NAME.obj` with one `NAME.seg` beside it.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.errors import UserError
from utils.files import load_json
from utils.geometry.mesh import Mesh, load_mesh
from utils.selection import iou

ShapeId = int | str  # a number in the benchmark, a name elsewhere


class UnusableShape(Exception):
    """A shape that has to be skipped, with the reason."""


@dataclass(frozen=True, eq=False)
class LabelledShape:
    """One mesh and (A, F) int64 part labels of its A annotators, in the order of their numbers."""

    shape_id: ShapeId
    category: str
    mesh: Mesh
    segmentations: np.ndarray

    @property
    def number(self) -> int:
        """Seeds what is random about this shape."""
        return self.shape_id if isinstance(self.shape_id, int) else zlib.crc32(self.shape_id.encode())

    def choose(self, annotator: int | None = None) -> int:
        """The annotator, by default the one who agrees best with the others; UnusableShape without such a number."""
        if annotator is None:
            annotator = int(np.argmax(self.agreement()))
        if not 0 <= annotator < len(self.segmentations):
            raise UnusableShape(f"no annotator {annotator} (it has {len(self.segmentations)})")
        return annotator

    def reference(self, annotator: int | None = None) -> np.ndarray:
        """(F,) labels of `choose(annotator)`."""
        return self.segmentations[self.choose(annotator)]

    def human_level(self, annotator: int) -> dict[int, float]:
        """For each part of one annotator: the others' best-matching part, mean IoU over them; empty without others."""
        own = self.segmentations[annotator]
        others = np.delete(self.segmentations, annotator, axis=0)
        matches = [best_match(own, labels, self.mesh.face_areas) for labels in others]
        return {label: float(np.mean([match[label] for match in matches])) for label in matches[0]} if matches else {}

    def others_at(self, annotator: int, face: int) -> tuple[float, float] | None:
        """What a click on `face` gets from the other annotators, each answering with the own part that holds it: the
        mean IoU with this one's part, and that of the medoid, the answer that agrees best with the others' answers.

        None without others.
        """
        held = self.segmentations == self.segmentations[:, face, None]
        others = np.delete(held, annotator, axis=0)
        if not len(others):
            return None
        areas = self.mesh.face_areas
        with_own = [iou(answer, held[annotator], areas) for answer in others]
        agreement = [np.mean([iou(answer, other, areas) for other in others]) for answer in others]
        return float(np.mean(with_own)), with_own[int(np.argmax(agreement))]

    def agreement(self) -> np.ndarray:
        """(A,) mean of each annotator's `human_level`; 1 if there is only one."""
        if len(self.segmentations) == 1:
            return np.ones(1)
        return np.array([np.mean(list(self.human_level(k).values())) for k in range(len(self.segmentations))])


@dataclass(frozen=True, eq=False)
class Part:
    """A part somebody wants: its label, mask (F,) bool, and share of the mesh's area."""

    label: int
    mask: np.ndarray
    share: float


def wanted_parts(labels: np.ndarray, areas: np.ndarray, min_share: float = 0.01) -> tuple[list[Part], dict[int, str]]:
    """The parts of a segmentation (F,) that hold at least `min_share` of the area, and why each other one is left out.

    A label that is missing between the smallest and the largest is an empty part.
    """
    used = np.unique(labels).tolist()
    parts = [Part(label, labels == label, float(areas[labels == label].sum() / areas.sum())) for label in used]
    too_small = f"under {min_share:.0%} of the area"
    left_out = {part.label: too_small if part.share > 0 else "no area" for part in parts if part.share < min_share}
    gaps = range(used[0], min(used[-1], used[0] + len(labels)))  # labels need not be small numbers
    left_out |= {label: "no faces" for label in gaps if label not in used}
    return [part for part in parts if part.share >= min_share], left_out


def parts_of(labels: np.ndarray, areas: np.ndarray, min_share: float = 0.01) -> list[np.ndarray]:
    """The masks (F,) bool of `wanted_parts`."""
    return [part.mask for part in wanted_parts(labels, areas, min_share)[0]]


def best_match(labels: np.ndarray, other: np.ndarray, areas: np.ndarray) -> dict[int, float]:
    """IoU of each part of `labels` with the part of `other` that fits it best, by area."""
    values, index = np.unique(labels, return_inverse=True)
    other_values, other_index = np.unique(other, return_inverse=True)
    overlap = np.zeros((len(values), len(other_values)))
    np.add.at(overlap, (index, other_index), areas)
    union = overlap.sum(1)[:, None] + overlap.sum(0)[None] - overlap
    return dict(zip(values.tolist(), (overlap / np.maximum(union, 1e-12)).max(1).tolist()))


# --- folders --------------------------------------------------------------------------------------


def shape_id(text: str) -> ShapeId:
    """As it is written on a command line or in the name of a file."""
    return int(text) if text.isdigit() else text


def benchmark_ids(folder: Path) -> dict[ShapeId, str]:
    """Shape id -> category, in the order of split.json; every labelled mesh, category "all", if there is none."""
    if not (folder / "off").is_dir():
        named = [path for path in sorted(folder.glob("*.obj")) if path.with_suffix(".seg").is_file()]
        if not named:
            raise UserError(
                f"{folder} has no folder 'off'; give the folder that holds off/, seg/Benchmark/ and split.json, or one "
                "of .obj files with .seg files beside them"
            )
        return {shape_id(path.stem): "all" for path in named}
    if (folder / "split.json").is_file():
        split = load_json(folder / "split.json", "split file")
        return {int(shape): category for category, shapes in split.items() for shape in shapes}
    numbered = sorted(int(path.stem) for path in (folder / "off").glob("*.off") if path.stem.isdigit())
    return dict.fromkeys(numbered, "all")


def choose_ids(
    categories: dict[ShapeId, str], ids: Sequence[ShapeId] | None, per_category: int | None
) -> list[ShapeId]:
    """The shapes to measure, in the order of `benchmark_ids`: those of `ids`, or the first so many of each category."""
    if ids:
        unknown = [i for i in ids if i not in categories]
        if unknown:
            there = ", ".join(map(str, list(categories)[:8]))
            raise UserError(f"no shape {unknown[0]} in the benchmark folder; there are {there}, ...")
        return list(dict.fromkeys(ids))
    groups: dict[str, list[ShapeId]] = {}
    for shape, category in categories.items():
        groups.setdefault(category, []).append(shape)
    return [shape for group in groups.values() for shape in group[:per_category]]


def load_shape(folder: Path, shape_id: ShapeId, category: str) -> LabelledShape:
    """Read a mesh and all its segmentations; UnusableShape says why one cannot be used."""
    if (folder / "off").is_dir():
        path = folder / "off" / f"{shape_id}.off"
        found = (folder / "seg" / "Benchmark" / str(shape_id)).glob(f"{shape_id}_*.seg")
        files = sorted(found, key=lambda file: int(file.stem.split("_")[1]))
    else:
        path = folder / f"{shape_id}.obj"
        files = [file for file in (path.with_suffix(".seg"),) if file.is_file()]
    try:
        mesh = load_mesh(path)
    except UserError as error:
        raise UnusableShape(str(error)) from error
    if not files:
        raise UnusableShape("it has no human segmentation")
    return LabelledShape(shape_id, category, mesh, np.stack([_read_labels(file, mesh) for file in files]))


def _read_labels(path: Path, mesh: Mesh) -> np.ndarray:
    """(F,) int64, from one integer for each polygon of the mesh file."""
    try:
        labels = np.array(path.read_text().split(), dtype=np.int64)
    except (ValueError, UnicodeDecodeError) as error:
        raise UnusableShape(f"{path.name} is not a list of integers") from error
    if len(labels) != mesh.num_polygons:
        raise UnusableShape(f"{path.name} has {len(labels)} labels for {mesh.num_polygons} faces")
    return labels[mesh.face_polygon]
