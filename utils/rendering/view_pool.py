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
from tqdm import tqdm

from utils.errors import UserError
from utils.files import load_json, load_torch, save_json, save_npy, save_torch
from utils.geometry.mesh import Mesh
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

    def cameras(self) -> Cameras:
        """The views, the same on every machine."""
        generator = torch.Generator().manual_seed(self.seed)
        if self.sampling == "front":
            angles = sample_front_angles(self.n_views, self.front_std, generator)
        elif self.sampling == "uniform":
            angles = sample_uniform_angles(self.n_views, generator)
        elif self.sampling == "sphere":
            angles = sample_sphere_angles(self.n_views, generator)
        else:
            raise UserError(f"unknown view sampling '{self.sampling}'; choose one of {', '.join(SAMPLINGS)}")
        return orbit_cameras(*angles, radius=self.radius, size=(self.render_res, self.render_res))

    def to_dict(self) -> dict:
        """Plain JSON values."""
        values = dict(self.__dict__)
        return {**values, "background": list(self.background), "mesh_color": list(self.mesh_color)}

    @staticmethod
    def from_dict(values: dict) -> ViewSettings:
        """The inverse of `to_dict`."""
        return ViewSettings(
            **{**values, "background": tuple(values["background"]), "mesh_color": tuple(values["mesh_color"])}
        )


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
    _shards: dict = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.cameras)

    def embedding(self, view: int) -> Tensor:
        """(D, h, w) float32 embedding of one view, read from its memory-mapped shard."""
        shard, row = divmod(range(len(self))[view], SHARD_VIEWS)
        if shard not in self._shards:
            self._shards[shard] = np.load(_shard_path(self.directory, shard), mmap_mode="r", allow_pickle=False)
        return torch.from_numpy(np.array(self._shards[shard][row], dtype=np.float32))

    def render(self, rasterizer: Rasterizer, views: list[int]) -> Tensor:
        """The images (B, H, W, 3) uint8 that the teacher saw."""
        return render_views(rasterizer, self.cameras[torch.as_tensor(views)], self.settings)


def render_views(rasterizer: Rasterizer, cameras: Cameras, settings: ViewSettings) -> Tensor:
    """Images (B, H, W, 3) uint8 of the plain mesh as every teacher sees it."""
    raster = rasterizer(cameras)
    return to_uint8(
        shade(rasterizer.mesh, cameras, raster, base_color=settings.mesh_color, background=settings.background)
    )


def build_view_pool(
    directory: str | Path,
    rasterizer: Rasterizer,
    teacher: Teacher,
    settings: ViewSettings,
    batch_size: int = 8,
    overwrite: bool = False,
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
    _claim(directory, manifest, overwrite)
    cameras = settings.cameras()
    starts = range(0, settings.n_views, SHARD_VIEWS)
    missing = [shard for shard in range(len(starts)) if not _shard_path(directory, shard).exists()]
    with tqdm(
        total=settings.n_views,
        initial=settings.n_views - sum(_shard_size(settings.n_views, s) for s in missing),
        desc="render and embed views",
        unit="view",
        disable=None,
    ) as bar:
        for shard in missing:
            rows = []
            size = _shard_size(settings.n_views, shard)
            for begin in range(starts[shard], starts[shard] + size, batch_size):
                batch = cameras[begin : min(begin + batch_size, starts[shard] + size)]
                rows.append(teacher.embed(render_views(rasterizer, batch, settings)).half().cpu().numpy())
                bar.update(len(batch))
            save_npy(_shard_path(directory, shard), np.concatenate(rows))
    return open_view_pool(directory, mesh)


def open_view_pool(directory: str | Path, mesh: Mesh) -> ViewPool:
    """Open a finished pool; UserError if it is missing, unfinished or of another mesh."""
    directory = Path(directory)
    if not (directory / "pool.json").is_file():
        raise UserError(
            f"no views at {directory}; make them first: python encoder.py --obj_path {mesh.path} "
            f"--encoder_data_dir {directory} --generate_random_views 1 --start_training 0"
        )
    manifest = load_json(directory / "pool.json", "view pool")
    try:
        settings = ViewSettings.from_dict(manifest["settings"])
        digest, teacher, shape = manifest["mesh_digest"], manifest["teacher"], tuple(manifest["embedding_shape"])
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{directory / 'pool.json'} is not a readable view pool; make the views again with --overwrite 1"
        ) from error
    if digest != mesh.digest:
        raise UserError(
            f"the views at {directory} show another mesh than {mesh.path}; give that mesh or another folder"
        )
    shards = range((settings.n_views + SHARD_VIEWS - 1) // SHARD_VIEWS)
    if not all(_shard_path(directory, shard).exists() for shard in shards):
        raise UserError(
            f"the views at {directory} are unfinished; run encoder.py with --generate_random_views 1 again to finish them"
        )
    cameras = Cameras.from_dict(load_torch(directory / "cameras.pt", what="camera file"))
    return ViewPool(directory, cameras, settings, digest, teacher, shape)


def _claim(directory: Path, manifest: dict, overwrite: bool) -> None:
    """Write the manifest of a new pool; check it against the one that is there."""
    path = directory / "pool.json"
    if path.is_file() and not overwrite:
        held = load_json(path, "view pool")
        differing = [key for key in manifest if held.get(key) != manifest[key]]
        if not differing:
            return
        if differing == ["settings"]:
            differing = [key for key in manifest["settings"] if held["settings"].get(key) != manifest["settings"][key]]
        raise UserError(
            f"{directory} holds views of another {', '.join(differing)}; choose another folder or add --overwrite 1"
        )
    path.unlink(missing_ok=True)
    for stale in directory.glob("embeddings_*.npy"):
        stale.unlink()
    save_torch(directory / "cameras.pt", ViewSettings.from_dict(manifest["settings"]).cameras().to_dict())
    save_json(path, manifest)


def _shard_path(directory: Path, shard: int) -> Path:
    return directory / f"embeddings_{shard:03d}.npy"


def _shard_size(n_views: int, shard: int) -> int:
    return min(SHARD_VIEWS, n_views - shard * SHARD_VIEWS)
