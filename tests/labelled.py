"""A labelled shape in the layout of the Princeton benchmark, for tests that measure or draw methods."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh

from utils.geometry.mesh import Mesh


def save_shape(folder: Path, number: int, mesh: Mesh, *segmentations: np.ndarray) -> None:
    """Write `off/N.off` and a file of labels (F,) for each annotator."""
    labels = folder / "seg/Benchmark" / str(number)
    for directory in (folder / "off", labels):
        directory.mkdir(parents=True, exist_ok=True)
    trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).export(folder / "off" / f"{number}.off")
    for annotator, values in enumerate(segmentations):
        (labels / f"{number}_{annotator}.seg").write_text("\n".join(map(str, values)))
