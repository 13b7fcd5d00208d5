"""The Princeton Segmentation Benchmark: meshes with human segmentations (Chen, Golovinskiy, Funkhouser 2009).

Layout of the folder: `off/N.off`, `seg/Benchmark/N/N_k.seg` (one integer a face, annotator k), `split.json` (category -> ids).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.errors import UserError
from utils.files import load_json
from utils.geometry.mesh import Mesh, load_mesh


class UnusableShape(Exception):
    """A shape of the benchmark that has to be skipped, with the reason."""


@dataclass(frozen=True, eq=False)
class LabelledShape:
    """One mesh of the benchmark.

    shape_id, category
    mesh           the OFF file
    segmentations  (A, F) int64 part labels of the A annotators, in the order of their numbers
    """

    shape_id: int
    category: str
    mesh: Mesh
    segmentations: np.ndarray

    def choose(self, annotator: int | None = None) -> int:
        """The annotator, by default the one who agrees best with the others; UnusableShape if there is none of that number."""
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
        others = [
            best_match(self.segmentations[annotator], labels, self.mesh.face_areas)
            for index, labels in enumerate(self.segmentations)
            if index != annotator
        ]
        return {label: float(np.mean([match[label] for match in others])) for label in others[0]} if others else {}

    def agreement(self) -> np.ndarray:
        """(A,) mean best-matching IoU of each annotator's parts in the others' segmentations."""
        if len(self.segmentations) == 1:
            return np.ones(1)
        scores = np.zeros(len(self.segmentations))
        for index, labels in enumerate(self.segmentations):
            others = [
                best_match(labels, other, self.mesh.face_areas)
                for k, other in enumerate(self.segmentations)
                if k != index
            ]
            scores[index] = float(np.mean([np.mean(list(match.values())) for match in others]))
        return scores


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
    parts = [
        Part(int(label), labels == label, float(areas[labels == label].sum() / areas.sum()))
        for label in np.unique(labels)
    ]
    left_out = {
        part.label: "no area" if part.share <= 0 else f"under {min_share:.0%} of the area"
        for part in parts
        if part.share < min_share
    }
    used = {part.label for part in parts}
    gaps = range(min(used), min(max(used), min(used) + len(labels)))  # labels need not be small numbers
    left_out |= {label: "no faces" for label in gaps if label not in used}
    return [part for part in parts if part.share >= min_share], left_out


def parts_of(labels: np.ndarray, areas: np.ndarray, min_share: float = 0.01) -> list[np.ndarray]:
    """The masks (F,) bool of `wanted_parts`."""
    return [part.mask for part in wanted_parts(labels, areas, min_share)[0]]


def area_iou(first: np.ndarray, second: np.ndarray, areas: np.ndarray) -> float:
    """Intersection over union of two sets of faces (F,) bool, weighted by area."""
    union = areas[first | second].sum()
    return float(areas[first & second].sum() / union) if union > 0 else 0.0


def best_match(labels: np.ndarray, other: np.ndarray, areas: np.ndarray) -> dict[int, float]:
    """IoU of each part of `labels` with the part of `other` that fits it best."""
    values, index = np.unique(labels, return_inverse=True)
    other_values, other_index = np.unique(other, return_inverse=True)
    overlap = np.zeros((len(values), len(other_values)))
    np.add.at(overlap, (index, other_index), areas)
    union = overlap.sum(1)[:, None] + overlap.sum(0)[None] - overlap
    return dict(zip(values.tolist(), (overlap / np.maximum(union, 1e-12)).max(1).tolist()))


def benchmark_ids(folder: Path) -> dict[int, str]:
    """Shape id -> category, in the order of split.json; every mesh of `off/` without categories if there is none."""
    if not (folder / "off").is_dir():
        raise UserError(f"{folder} has no folder 'off'; give the folder that holds off/, seg/Benchmark/ and split.json")
    if (folder / "split.json").is_file():
        return {
            int(shape): category
            for category, shapes in load_json(folder / "split.json", "split file").items()
            for shape in shapes
        }
    return {
        int(path.stem): "all"
        for path in sorted((folder / "off").glob("*.off"), key=lambda p: int(p.stem))
        if path.stem.isdigit()
    }


def load_shape(folder: Path, shape_id: int, category: str) -> LabelledShape:
    """Read a mesh and all its segmentations; UnusableShape says why one cannot be used."""
    try:
        mesh = load_mesh(folder / "off" / f"{shape_id}.off")
    except UserError as error:
        raise UnusableShape(str(error)) from error
    files = sorted(
        (folder / "seg" / "Benchmark" / str(shape_id)).glob(f"{shape_id}_*.seg"),
        key=lambda p: int(p.stem.split("_")[1]),
    )
    if not files:
        raise UnusableShape("it has no human segmentation")
    segmentations = []
    for path in files:
        try:
            labels = np.array(path.read_text().split(), dtype=np.int64)
        except (ValueError, UnicodeDecodeError) as error:
            raise UnusableShape(f"{path.name} is not a list of integers") from error
        polygons = int(mesh.face_polygon[-1]) + 1
        if len(labels) != polygons:
            raise UnusableShape(f"{path.name} has {len(labels)} labels for {polygons} faces")
        segmentations.append(labels[mesh.face_polygon])
    return LabelledShape(shape_id, category, mesh, np.stack(segmentations))
