"""Labelled shapes in the layout of the Princeton benchmark, and what labels and triangles of a shape keep to."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import trimesh

from utils.geometry.mesh import Mesh
from utils.shapes import LabelledMesh


def save_shape(folder: Path, number: int, mesh: Mesh, *segmentations: np.ndarray) -> None:
    """Write `off/N.off` and a file of labels (F,) for each annotator."""
    labels = folder / "seg/Benchmark" / str(number)
    for directory in (folder / "off", labels):
        directory.mkdir(parents=True, exist_ok=True)
    trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).export(folder / "off" / f"{number}.off")
    for annotator, values in enumerate(segmentations):
        (labels / f"{number}_{annotator}.seg").write_text("\n".join(map(str, values)))


def assert_consistent(shape: LabelledMesh) -> None:
    """Labels of a shape are one a face, numbered from 0, named without repetition, and nested."""
    for labels, names in ((shape.part, shape.names["part"]), (shape.group, shape.names["group"])):
        assert labels.shape == (len(shape.faces),)
        np.testing.assert_array_equal(np.unique(labels), np.arange(len(names)))
        assert len(set(names)) == len(names)
    pairs = np.unique(shape.part * len(shape.names["group"]) + shape.group)
    assert len(pairs) == len(shape.names["part"]), "a part lies in two groups"
    assert shape.above.shape[1:] == (len(shape.faces),)
    if len(shape.above):
        np.testing.assert_array_equal(np.unique(shape.above), np.arange(len(shape.names["above"])))
    for finer, coarser in itertools.pairwise((shape.group, *shape.above)):
        assert len(np.unique(np.stack([finer, coarser]), axis=1).T) == len(np.unique(finer)), "a label lies in two"
    assert not shape.whole.any()


def quality(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F,) 1 for equilateral triangles, 0 for degenerate ones."""
    corners = vertices[faces]
    edges = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2)
    return 4 * np.sqrt(3) * trimesh.triangles.area(corners) / (edges**2).sum(1)
