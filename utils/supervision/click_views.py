"""Which vertices are clicked, and in which views they show at which pixel (paper Sec. 3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from utils.errors import UserError
from utils.files import load_npz, save_npz, whole
from utils.geometry.mesh import Mesh
from utils.geometry.sampling import farthest_point_sampling
from utils.options import Checked, option, positive_int
from utils.progress import Progress, silent, track
from utils.rendering.cameras import Cameras
from utils.rendering.rasterize import Rasterizer, visible_vertices
from utils.supervision.prompts import lowest_columns, seeded
from utils.supervision.store import REMEDY, cameras_to_arrays


@dataclass(frozen=True)
class ClickSettings(Checked):
    """Which vertices are clicked, by farthest-point sampling from the first, and in how many views.

    render_res  side of the masks, pixels; seed: of everything drawn

    Published: 3 %, no limit, 100 views, wherever a vertex is seen. Masks are worse near silhouettes: `min_facing`
    compares the normal and the direction to the camera, either way round.
    """

    percentage: float = option(0.03, "share of the vertices that are clicked, 0 to 1", group="clicks")
    max_clicks: int = option(0, "click at most so many vertices; 0: no limit")
    n_views: int = option(100, "views of each clicked vertex, at most", type=positive_int)
    min_facing: float = option(
        0.0, "click a vertex only in views its normal meets with at least this cosine; 0: wherever it is seen"
    )
    render_res: int = 224
    seed: int = 0


@dataclass(frozen=True, eq=False)
class ClickViews:
    """Where the C sampled vertices show in N views.

    vertices  (C,) int64 ids; positions (C, 3) float32, normalised
    visible   (N, C) bool; pixels (N, C, 2) int64, column and row, within the image
    """

    vertices: Tensor
    positions: Tensor
    visible: Tensor
    pixels: Tensor

    def index_of(self, vertices: Tensor) -> Tensor:
        """Place of vertex ids (n,) among the sampled ones."""
        order = self.vertices.argsort()
        return order[torch.searchsorted(self.vertices[order], vertices.contiguous())]


def choose_clicked_vertices(mesh: Mesh, settings: ClickSettings) -> np.ndarray:
    """(C,) int64: the sampled vertices, beginning with the first that a face uses (published: vertex 0)."""
    used = np.flatnonzero(mesh.referenced)
    count = max(1, round(len(used) * settings.percentage))
    return used[farthest_point_sampling(mesh.normalized[used], min(count, settings.max_clicks or count))]


def locate_clicks(
    rasterizer: Rasterizer,
    cameras: Cameras,
    vertices: np.ndarray,
    min_facing: float = 0.0,
    on_progress: Progress = silent,
) -> ClickViews:
    """Project the sampled vertices (C,) into every view and see which of them it shows, facing it enough."""
    mesh, chosen = rasterizer.mesh, torch.from_numpy(vertices)
    positions = torch.from_numpy(mesh.normalized[vertices])
    height, width = cameras.size
    pixels = cameras.project(positions)[0].nan_to_num(0.0).floor().long()
    pixels = torch.minimum(pixels.clamp(min=0), torch.tensor([width - 1, height - 1]))
    visible = torch.zeros(pixels.shape[:2], dtype=torch.bool)
    for view in track(range(len(cameras)), "find visible vertices", on_progress, len(cameras), "view"):
        camera = cameras[view]
        visible[view] = visible_vertices(mesh, camera, rasterizer(camera), chosen)[0].cpu()
    if min_facing > 0:
        normals = torch.from_numpy(mesh.vertex_normals[vertices])
        towards = torch.nn.functional.normalize(cameras.positions[:, None] - positions, dim=-1)
        # Either way round, for sheets and for files wound inside out.
        visible &= (towards * normals).sum(dim=-1).abs() >= min_facing
    return ClickViews(chosen, positions, visible, pixels)


def held_clicks(
    path: Path, rasterizer: Rasterizer, cameras: Cameras, settings: ClickSettings, on_progress: Progress = silent
) -> ClickViews:
    """`locate_clicks` of the chosen vertices, kept in the file at `path`."""
    count = rasterizer.mesh.num_vertices
    if not whole(lambda: _read_clicks(path, count, len(cameras))):
        vertices = choose_clicked_vertices(rasterizer.mesh, settings)
        views = locate_clicks(rasterizer, cameras, vertices, settings.min_facing, on_progress)
        save_npz(
            path,
            vertices=views.vertices.numpy(),
            visible=views.visible.numpy(),
            pixels=views.pixels.numpy().astype(np.int16),
            **cameras_to_arrays(cameras),
        )
    held = _read_clicks(path, count, len(cameras))
    positions, pixels = rasterizer.mesh.normalized[held["vertices"]], held["pixels"].astype(np.int64)
    return ClickViews(*map(torch.from_numpy, (held["vertices"], positions, held["visible"], pixels)))


def _read_clicks(path: Path, count: int, views: int) -> dict[str, np.ndarray]:
    """The arrays of the file; UserError if it is missing, damaged, or of another mesh or set of views."""
    held = load_npz(path, "list of clicked vertices")
    cameras = Cameras.from_file(held, path, REMEDY)
    if not {"vertices", "visible", "pixels"} <= held.keys() or len(cameras) != views:
        raise UserError(f"{path} is not a list of clicked vertices; {REMEDY}")
    vertices, shape = held["vertices"], (views, len(held["vertices"]))
    fits = held["visible"].shape == shape and held["pixels"].shape == (*shape, 2) and vertices.dtype.kind == "i"
    if not fits or not (vertices.min(initial=0) >= 0 and vertices.max(initial=0) < count):
        raise UserError(f"{path} is not the list of clicked vertices of this mesh; {REMEDY}")
    return held


def choose_views(visible: Tensor, n_views: int, seed: int) -> Tensor:
    """(N, C) bool: up to `n_views` of the views that show each vertex, drawn at random where there are more.

    Raises UserError if no vertex is visible in any view.
    """
    chosen = lowest_columns(visible.T, torch.rand(visible.T.shape, generator=seeded("views", seed)), n_views).T
    if not chosen.any():
        raise UserError("no sampled vertex is seen in any view; give more views or another --radius")
    return chosen
