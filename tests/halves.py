"""Click supervision with a known answer, written without a teacher."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from utils.files import save_json, save_npz
from utils.geometry.mesh import Mesh
from utils.rendering.cameras import orbit_cameras, sample_sphere_angles
from utils.rendering.lifting import pixel_weights
from utils.rendering.rasterize import Rasterizer, visible_vertices
from utils.supervision.store import ABSENT, KINDS, Samples, SupervisionSet, cameras_to_arrays, save_shard, shard_path


def write_halves(
    directory: Path, mesh: Mesh, views: int = 10, size: int = 48, clicked: int = 60, seed: int = 0
) -> SupervisionSet:
    """A click selects the vertices on its side of the plane x = 0.

    A second positive click on the other side selects everything; a negative click on the same side restricts the
    selection to the positive click's side of the plane y = 0.
    """
    generator = torch.Generator().manual_seed(seed)
    cameras = orbit_cameras(*sample_sphere_angles(views, generator), size=(size, size))
    rasterizer, points = Rasterizer(mesh, "embree"), torch.from_numpy(mesh.normalized)
    chosen = torch.randperm(mesh.num_vertices, generator=generator)[:clicked]
    parts: dict[str, list[Samples]] = {kind: [] for kind in KINDS}

    def add(kind: str, vertices: tuple[int, int], positive: bool, view: int, mask: torch.Tensor) -> None:
        labels, score = torch.tensor([[True, positive]]), torch.tensor([0.9])
        parts[kind].append(Samples.of(torch.tensor([vertices]), labels, view, score, mask[None]))

    for view in range(views):
        raster = rasterizer(cameras[view])
        weights, covered = pixel_weights(mesh, raster)
        seen = visible_vertices(mesh, cameras[view], raster)[0]
        place = weights.apply(points)
        shown = [v for v in chosen.tolist() if seen[v]]
        for vertex in shown:
            side = place[:, 0] * points[vertex, 0] > 0
            other = shown[int(torch.randint(len(shown), (1,), generator=generator))]
            add("single", (vertex, ABSENT), False, view, _image(side, covered))
            if points[other, 0] * points[vertex, 0] < 0:
                add("positive", (vertex, other), True, view, covered)
            elif points[other, 1] * points[vertex, 1] < 0:
                quarter = side & (place[:, 1] * points[vertex, 1] > 0)
                add("negative", (vertex, other), False, view, _image(quarter, covered))
    for kind, samples in parts.items():
        save_shard(shard_path(directory, kind, 0), Samples.joined(samples, (size, size)))
    save_npz(directory / "clicks.npz", **cameras_to_arrays(cameras))
    save_json(
        directory / "supervision.json",
        {
            "format": 1,
            "mesh_digest": mesh.digest,
            "teacher": "halves-00000000",
            "settings": {},
            "shards": dict.fromkeys(KINDS, 1),
        },
    )
    return SupervisionSet.open(directory, mesh)


def half_of(mesh: Mesh, vertex: int) -> np.ndarray:
    """(V,) bool: what a click on `vertex` selects."""
    return mesh.normalized[:, 0] * mesh.normalized[vertex, 0] > 0


def _image(mask: torch.Tensor, covered: torch.Tensor) -> torch.Tensor:
    image = torch.zeros_like(covered)
    image[covered] = mask
    return image
