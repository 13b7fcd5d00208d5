"""One pool of views for everything: each view is embedded once by the teacher and prompted as often as needed.

On disk a pool is a folder: `pool.json` (what it holds), `cameras.pt`, and `embeddings_*.npy` shards in float16.
A finished shard exists and an unfinished one does not; that is how building resumes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from utils.errors import UserError
from utils.files import load_json, load_torch, open_npy, save_npy, save_torch, whole
from utils.folders import claim_folder
from utils.geometry.mesh import Mesh
from utils.memory import require_memory
from utils.progress import Progress, Step, silent
from utils.rendering.cameras import (
    Cameras,
    orbit_cameras,
    sample_front_angles,
    sample_sphere_angles,
    sample_uniform_angles,
)
from utils.rendering.rasterize import Rasterizer
from utils.rendering.shading import shade, to_uint8
from utils.teacher import Teacher

SHARD_VIEWS = 32
PIXEL_BYTES = 100  # of memory while views are drawn: rays, hits, normals, colours
REMEDY = "make it again: run encoder.py or data_generation.py with the same options"
SAMPLINGS = ("front", "uniform", "sphere")


@dataclass(frozen=True)
class ViewSettings:
    """How the views of a pool are drawn and rendered.

    sampling      "front": the published encoder views around azimuth 0; "uniform": the published decoder views,
                  uniform in elevation and azimuth; "sphere": evenly spread, so that fewer are enough
    n_views       how many; radius: camera distance in normalised units; render_res: image side, pixels
    front_std     divides pi (elevation) and 2 pi (azimuth) in the "front" sampling
    background, mesh_color   RGB in [0, 1]
    seed          of the one generator that draws the views
    """

    sampling: str = "front"
    n_views: int = 1000
    radius: float = 2.0
    render_res: int = 224
    front_std: float = 4.0
    background: tuple[float, float, float] = (1.0, 1.0, 1.0)
    mesh_color: tuple[float, float, float] = (2 / 3, 2 / 3, 2 / 3)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.sampling not in SAMPLINGS:
            raise UserError(f"unknown view sampling '{self.sampling}'; choose one of {', '.join(SAMPLINGS)}")

    def cameras(self) -> Cameras:
        """The views, the same on every machine."""
        generator = torch.Generator().manual_seed(self.seed)
        if self.sampling == "front":
            angles = sample_front_angles(self.n_views, self.front_std, generator)
        else:
            sample = sample_uniform_angles if self.sampling == "uniform" else sample_sphere_angles
            angles = sample(self.n_views, generator)
        return orbit_cameras(*angles, radius=self.radius, size=(self.render_res, self.render_res))

    def to_dict(self) -> dict:
        """Plain JSON values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}

    @staticmethod
    def from_dict(values: dict) -> ViewSettings:
        """The inverse of `to_dict`."""
        return ViewSettings(**{**values, **{name: tuple(values[name]) for name in ("background", "mesh_color")}})


@dataclass(frozen=True, eq=False)
class ViewPool:
    """N views of one mesh with the teacher's embeddings of them.

    directory      where the shards lie
    cameras        N views at the rendering resolution
    settings       how they were drawn and rendered
    mesh_digest, teacher_name   what they show and who embedded it
    embedding_shape   (D, h, w)
    """

    directory: Path
    cameras: Cameras
    settings: ViewSettings
    mesh_digest: str
    teacher_name: str
    embedding_shape: tuple[int, int, int]
    _open: dict[Path, np.ndarray] = field(default_factory=dict, repr=False)  # the shards read so far

    def __len__(self) -> int:
        return len(self.cameras)

    def embedding(self, view: int) -> Tensor:
        """(D, h, w) float32 embedding of one view, read from its memory-mapped shard."""
        view = range(len(self))[view]
        path, views = list(_shards(self.directory, len(self)).items())[view // SHARD_VIEWS]
        if path not in self._open:
            self._open[path] = _read_shard(path, len(views), self.embedding_shape)
        return torch.from_numpy(np.array(self._open[path][view - views.start], dtype=np.float32))

    def render(self, rasterizer: Rasterizer, views: list[int]) -> Tensor:
        """The images (B, H, W, 3) uint8 that the teacher saw."""
        return render_views(rasterizer, self.cameras[torch.as_tensor(views)], self.settings)


def render_views(rasterizer: Rasterizer, cameras: Cameras, settings: ViewSettings) -> Tensor:
    """Images (B, H, W, 3) uint8 of the plain mesh as every teacher sees it."""
    raster, color = rasterizer(cameras), settings.mesh_color
    return to_uint8(shade(rasterizer.mesh, cameras, raster, base_color=color, background=settings.background))


def build_view_pool(
    directory: str | Path,
    rasterizer: Rasterizer,
    teacher: Teacher,
    settings: ViewSettings,
    batch_size: int = 8,
    overwrite: bool = False,
    on_progress: Progress = silent,
) -> ViewPool:
    """Render and embed the views into `directory`, or finish what an interrupted call began.

    Raises UserError if the folder holds views of another mesh, teacher or settings (unless `overwrite`).
    """
    directory, mesh = Path(directory), rasterizer.mesh
    manifest = {
        "format": 1,
        "mesh_digest": mesh.digest,
        "teacher": teacher.name,
        "settings": settings.to_dict(),
        "embedding_shape": list(teacher.embedding_shape),
        "views_per_shard": SHARD_VIEWS,
    }
    pixels = settings.render_res**2 * min(batch_size, settings.n_views)
    require_memory(pixels * PIXEL_BYTES / 2**30, "rendering a batch", "give a smaller --render_res or --batch_size")
    claim_folder(directory / "pool.json", manifest, ("embeddings_*.npy", "cameras.pt"), "views", overwrite)
    cameras = settings.cameras()
    if not whole(lambda: _read_cameras(directory, settings.n_views)):
        save_torch(directory / "cameras.pt", cameras.to_dict())
    shards, shape = _shards(directory, settings.n_views), tuple(teacher.embedding_shape)
    missing = {
        path: views
        for path, views in shards.items()
        if not whole(lambda path=path, views=views: _read_shard(path, len(views), shape))
    }
    _require_sight(rasterizer, cameras)
    done = settings.n_views - sum(map(len, missing.values()))
    for path, views in missing.items():
        rows = []
        for start in views[::batch_size]:
            on_progress(Step("render and embed views", done, settings.n_views, "view"))
            batch = cameras[start : min(start + batch_size, views.stop)]
            rows.append(teacher.embed(render_views(rasterizer, batch, settings)).half().cpu().numpy())
            done += len(batch)
        save_npy(path, np.concatenate(rows), seal=True)
    on_progress(Step("render and embed views", done, settings.n_views, "view"))
    return open_view_pool(directory, mesh)


def open_view_pool(directory: str | Path, mesh: Mesh) -> ViewPool:
    """Open a finished pool; UserError if it is missing, unfinished or of another mesh."""
    directory = Path(directory)
    if not (directory / "pool.json").is_file():
        raise UserError(
            f"no views at {directory}; make them first: python encoder.py --obj_path {mesh.path} "
            f"--encoder_data_dir {directory} --generate_random_views 1 --start_training 0"
        )
    manifest = load_json(directory / "pool.json", "view pool", dict)
    try:
        settings = ViewSettings.from_dict(manifest["settings"])
        digest, teacher, shape = manifest["mesh_digest"], manifest["teacher"], tuple(manifest["embedding_shape"])
        if settings.n_views < 1 or len(shape) != 3 or not all(isinstance(size, int) and size > 0 for size in shape):
            raise ValueError("odd numbers")
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise UserError(
            f"{directory / 'pool.json'} is not a readable view pool; make the views again with --overwrite 1"
        ) from error
    if digest != mesh.digest:
        raise UserError(
            f"the views at {directory} show another mesh than {mesh.path}; give that mesh or another folder"
        )
    if not all(path.exists() for path in _shards(directory, settings.n_views)):
        raise UserError(
            f"the views at {directory} are unfinished; run encoder.py with --generate_random_views 1 again to "
            "finish them"
        )
    cameras = _read_cameras(directory, settings.n_views)
    return ViewPool(directory, cameras, settings, digest, teacher, shape)


def _read_cameras(directory: Path, count: int) -> Cameras:
    """The views of a pool; UserError if they are missing, damaged or not `count`."""
    path = directory / "cameras.pt"
    cameras = Cameras.from_file(load_torch(path, what="camera file"), path, REMEDY)
    if len(cameras) != count:
        raise UserError(f"{path} holds {len(cameras)} views, not the {count} that pool.json announces; {REMEDY}")
    return cameras


def _read_shard(path: Path, views: int, shape: tuple[int, ...]) -> np.ndarray:
    """The embeddings (views, D, h, w) of one shard, memory-mapped; UserError if they are missing or damaged."""
    held = open_npy(path, "shard of embeddings", REMEDY)
    if held.shape != (views, *shape) or held.dtype.kind != "f":
        raise UserError(f"{path} holds {held.dtype} {held.shape}, not {views} embeddings of {shape}; {REMEDY}")
    return held


def _require_sight(rasterizer: Rasterizer, cameras: Cameras) -> None:
    """UserError if the object shows in none of some views spread over all, so that embedding them would be vain."""
    some = torch.linspace(0, len(cameras) - 1, min(len(cameras), 12)).round().long()
    for view in some.tolist():
        if bool(rasterizer(cameras[view]).covered.any()):
            return
    raise UserError(
        f"no view shows {rasterizer.mesh.path or 'the object'}: it is thinner than a pixel, or --radius or "
        "--render_res do not suit; repair the mesh or change them"
    )


def _shards(directory: Path, n_views: int) -> dict[Path, range]:
    """The files of a pool and the views in each."""
    starts = range(0, n_views, SHARD_VIEWS)
    return {
        directory / f"embeddings_{shard:03d}.npy": range(start, min(start + SHARD_VIEWS, n_views))
        for shard, start in enumerate(starts)
    }
