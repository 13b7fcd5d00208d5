"""Training views of vit_t: synthetic shapes rasterised as the pipeline does, lit anew each time they are used.

A view is kept as normals and labels, not as an image, so that one rasterisation yields many images.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from SAM_repo.training.config import TrainConfig
from utils.errors import UserError
from utils.files import load_json, save_json, save_npy
from utils.geometry.mesh import Mesh
from utils.progress import Progress, silent, track
from utils.rendering.cameras import Cameras, orbit_cameras
from utils.rendering.rasterize import Rasterization, Rasterizer
from utils.rendering.shading import MESH_COLOR, PUBLISHED_LIGHTS, interpolate, spherical_harmonic_light
from utils.shapes import FAMILIES, random_shape

VIEW_SIZE = 224
FRESH_SEEDS = 1_000_000_000  # shapes of training have seeds below
CHANNELS = 5  # normal x, y, z as int8 / 127 (camera frame x right, y up, z to the viewer), part, group (0 = background)


# ---- writing ---------------------------------------------------------------------------------------------------------


def random_cameras(count: int, rng: np.random.Generator, published: bool = False) -> Cameras:
    """Cameras of the pipeline (distance 2, 60 degrees), unless `published` slightly off for a third of the shapes."""
    elevation = np.where(
        rng.random(count) < 0.5, rng.uniform(-np.pi / 2, np.pi / 2, count), rng.normal(0, np.pi / 5, count)
    )
    azimuth = rng.uniform(0, 2 * np.pi, count)
    radius, fov = 2.0, np.pi / 3
    if not published and rng.random() < 1 / 3:
        radius, fov = rng.uniform(1.7, 2.6), fov * rng.uniform(0.85, 1.1)
    return orbit_cameras(
        torch.from_numpy(elevation).float(),
        torch.from_numpy(azimuth).float(),
        radius=float(radius),
        fov_y=float(fov),
        size=(VIEW_SIZE, VIEW_SIZE),
    )


def shape_views(
    mesh: Mesh, part: np.ndarray, group: np.ndarray, count: int, rng: np.random.Generator, published: bool = False
) -> np.ndarray:
    """Views of one labelled mesh, (count, 224, 224, 5) uint8 as described at CHANNELS.

    part, group: (F,) int labels from 0; at most 255 parts. One shape in five is given smooth normals, unless
    `published`.
    """
    cameras = random_cameras(count, rng, published)
    raster = Rasterizer(mesh, backend="embree")(cameras)
    normals = camera_normals(mesh, cameras, raster, smooth=not published and rng.random() < 0.2)
    face = raster.face_ids.clamp_min(0)
    views = np.zeros((count, VIEW_SIZE, VIEW_SIZE, CHANNELS), np.uint8)
    views[..., :3] = (normals * 127).round().to(torch.int8).numpy().view(np.uint8)
    for channel, labels in ((3, part), (4, group)):
        views[..., channel] = np.where(raster.covered.numpy(), np.clip(labels + 1, 1, 255)[face.numpy()], 0)
    return views


def camera_normals(mesh: Mesh, cameras: Cameras, raster: Rasterization, smooth: bool) -> Tensor:
    """Unit normals (B, H, W, 3) float32 in the frame `utils.rendering.shading` lights, 0 on background."""
    if smooth:
        normals = F.normalize(interpolate(mesh, raster, torch.from_numpy(mesh.vertex_normals).float()), dim=-1)
    else:
        normals = torch.from_numpy(mesh.face_normals)[raster.face_ids.clamp_min(0)]
    _, directions = cameras.rays()
    normals = torch.where((normals * directions).sum(-1, keepdim=True) > 0, -normals, normals)
    normals = torch.einsum("bhwi,bji->bhwj", normals, cameras.world_to_camera[:, :3, :3]) * torch.tensor(
        [1.0, -1.0, -1.0]
    )
    return normals * raster.covered[..., None]


# ---- reading ---------------------------------------------------------------------------------------------------------


@dataclass
class Batch:
    """images (B, S, S, 3) uint8; normals (B, 3, 224, 224) float; part, group (B, 224, 224) uint8, ids shared by the
    views of a shape;
    views of one shape are neighbours in the batch. Prompts: points (B, P, 2) float xy of 224 pixels; part_id,
    group_id (B, P)."""

    images: Tensor
    normals: Tensor
    part: Tensor
    group: Tensor
    points: Tensor
    part_id: Tensor
    group_id: Tensor


class TrainingViews(Dataset):
    """The batch of every training step: a function of (seed, step) alone, however the views are stored or loaded.

    Step s draws `config.small_shapes` shapes at `small_size` pixels before the fraction `small_until` of the run,
    else `large_shapes` at
    `large_size`. Shapes come from a pool of `config.shapes` seeds whose rasterised views are kept in `directory` and
    made where they are
    missing; with `config.shapes` 0 every step has new ones, and nothing is kept.
    """

    def __init__(self, config: TrainConfig, large_size: int, directory: Path | None, rank: int = 0) -> None:
        if config.shapes and directory is None:
            raise ValueError("a pool of shapes needs a folder")
        self.config, self.large_size, self.directory, self.rank = config, large_size, directory, rank
        self.families = families_without(config.left_out())

    def __len__(self) -> int:
        return self.config.steps

    def __getitem__(self, step: int) -> Batch:
        config = self.config
        small = step < config.small_until * config.steps
        # The first process draws from (seed, step) whether or not there are others.
        rng = np.random.default_rng([config.seed, step, self.rank] if self.rank else [config.seed, step])
        count, views = config.small_shapes if small else config.large_shapes, []
        if config.shapes:
            seeds = rng.choice(config.shapes, count, replace=config.shapes < count)
        else:
            seeds = rng.integers(0, FRESH_SEEDS, count)
        for seed in seeds.tolist():
            if config.shapes and self.directory is not None:
                stored = stored_views(self.directory, seed, config.stored_views, self.families)
                chosen = rng.choice(len(stored), config.views, replace=len(stored) < config.views)
            else:
                stored, chosen = views_of_seed(seed, config.views, self.families), range(config.views)
            views += [mirror(stored[i]) if rng.random() < 0.5 else np.array(stored[i]) for i in chosen]
        return make_batch(np.stack(views), config.prompts, config.small_size if small else self.large_size, rng)


def families_without(left_out: tuple[str, ...]) -> tuple[str, ...] | None:
    """The families that are left, None for all of them. ValueError if one is not known or none is left."""
    unknown = sorted(set(left_out) - set(FAMILIES))
    if unknown:
        raise ValueError(f"unknown shape families {', '.join(unknown)}; known: {', '.join(FAMILIES)}")
    if len(set(left_out)) == len(FAMILIES):
        raise ValueError("no shape family is left")
    return tuple(name for name in FAMILIES if name not in left_out) if left_out else None


def views_of_seed(seed: int, count: int, families: tuple[str, ...] | None = None) -> np.ndarray:
    """Views (count, 224, 224, 5) of the shape of a seed, from random cameras that the seed fixes too."""
    shape = random_shape(seed, families)
    return shape_views(
        Mesh(shape.vertices, shape.faces), shape.part, shape.group, count, np.random.default_rng([7, seed])
    )


def stored_views(directory: Path, seed: int, count: int, families: tuple[str, ...] | None = None) -> np.ndarray:
    """The views of a seed from its file in the folder, which is written where it is missing."""
    path = directory / f"{seed:010d}.npy"
    if not path.exists():
        save_npy(path, views_of_seed(seed, count, families))
    try:
        return np.load(path, mmap_mode="r")
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"{path} is not a readable file of views: {error}; delete it, and it is made again") from error


def write_views(
    directory: Path, shapes: int, views: int, leave_out: tuple[str, ...], on_progress: Progress = silent
) -> None:
    """Make the files that a training with this pool of shapes reads; those that exist are kept."""
    try:
        families = families_without(leave_out)
    except ValueError as error:
        raise UserError(str(error)) from error
    claim_views(directory, views, leave_out)
    for seed in track(range(shapes), "shapes", on_progress, shapes, unit="shape"):
        stored_views(directory, seed, views, families)


def claim_views(directory: Path, views: int, leave_out: tuple[str, ...]) -> None:
    """Say in a folder which views it holds; UserError if it holds others."""
    contents = {"views": views, "leave_out": sorted(leave_out), "families": list(FAMILIES)}
    claim(directory / "views.json", contents)


def claim(manifest: Path, contents: dict[str, Any]) -> None:
    """Say in a file what its folder holds; UserError if it holds something else."""
    if not manifest.is_file():
        save_json(manifest, contents)
    elif load_json(manifest, "description of a folder") != contents:
        raise UserError(
            f"{manifest.parent} was made with other weights or settings (see {manifest.name}); "
            "choose another --data or delete it"
        )


def mirror(view: np.ndarray) -> np.ndarray:
    """The view of the mirrored shape: columns reversed, x of the normals negated."""
    view = np.array(view[:, ::-1])
    view[..., 0] = (-view[..., 0].view(np.int8)).view(np.uint8)
    return view


def make_batch(views: np.ndarray, prompts: int, size: int, rng: np.random.Generator, published: bool = False) -> Batch:
    """Light (B, 224, 224, 5) views and draw clicks. `published`: only the pipeline's own light and colours."""
    normals = torch.from_numpy(views[..., :3].view(np.int8).astype(np.float32) / 127)
    part = torch.from_numpy(np.ascontiguousarray(views[..., 3]))
    group = torch.from_numpy(np.ascontiguousarray(views[..., 4]))
    images = torch.stack([light_view(n, p > 0, rng, published) for n, p in zip(normals, part)])
    if size != VIEW_SIZE:
        images = F.interpolate(images.permute(0, 3, 1, 2), size=(size, size), mode="area").permute(0, 2, 3, 1)
    images = (images * 255).round().to(torch.uint8)
    drawn = [draw_clicks(v[..., 3], prompts, rng) for v in views]
    points = torch.from_numpy(np.stack(drawn)).long()
    batch = torch.arange(len(views))[:, None]
    ids = [labels[batch, points[..., 1], points[..., 0]].long() for labels in (part, group)]
    return Batch(images, normals.permute(0, 3, 1, 2).contiguous(), part, group, points.float(), *ids)


def light_view(normals: Tensor, covered: Tensor, rng: np.random.Generator, published: bool = False) -> Tensor:
    """(H, W, 3) image in [0, 1]: most often exactly as the pipeline renders, else with other lights, colours,
    background, noise."""
    if published or rng.random() < 0.6:
        color, background, lights = np.array(MESH_COLOR), np.ones(3), np.array(PUBLISHED_LIGHTS)
    else:
        color = np.clip(rng.uniform(0.3, 1.0) + rng.normal(0, 0.1, 3) * (rng.random() < 0.5), 0, 1)
        background = np.ones(3) if rng.random() < 0.5 else np.clip(rng.uniform(0, 1) + rng.normal(0, 0.1, 3), 0, 1)
        lights = random_lights(rng)
    brightness = spherical_harmonic_light(normals[covered], torch.from_numpy(lights).float())
    image = torch.from_numpy(background).float().expand(*covered.shape, 3).contiguous()
    image[covered] = (brightness[..., None] * torch.from_numpy(color).float()).clamp(0, 1)
    if not published and rng.random() < 0.2:
        seed = int(rng.integers(2**31))
        noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))
        image = (image + noise * float(rng.uniform(0, 0.03))).clamp(0, 1)
    return image


def random_lights(rng: np.random.Generator) -> np.ndarray:
    """(9,) coefficients: ambient and one direction somewhere in front, a little second order."""
    direction = rng.normal(size=3) + [0.0, 0.0, 1.0]  # x, y, z towards the viewer
    direction *= rng.uniform(0.6, 2.0) / np.linalg.norm(direction)
    lights = np.zeros(9)
    lights[0] = rng.uniform(0.6, 2.2)
    lights[[1, 3, 2]] = direction
    lights[4:] = rng.normal(0, 0.15, 5) * (rng.random() < 0.5)
    return lights


def draw_clicks(part: np.ndarray, count: int, rng: np.random.Generator, minimum: int = 12) -> np.ndarray:
    """(count, 2) int xy: parts drawn with a weight between equal and by area, then any pixel of the part."""
    flat = part.ravel()
    areas = np.bincount(flat, minlength=256).astype(np.float64)
    areas[0] = 0
    areas[areas < minimum] = 0
    if areas.sum() == 0:
        areas = np.bincount(flat, minlength=256).astype(np.float64)
    order = np.argsort(flat, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(flat, minlength=256))])
    weights = areas**0.35 * (areas > 0)
    labels = rng.choice(256, count, p=weights / weights.sum())
    pixels = order[starts[labels] + (rng.random(count) * (starts[labels + 1] - starts[labels])).astype(np.int64)]
    return np.stack([pixels % part.shape[1], pixels // part.shape[1]], axis=1)


def soft_masks(labels: Tensor, ids: Tensor, size: int) -> Tensor:
    """Masks labels == id, averaged down from 2 x 2 samples: labels (B, 224, 224), ids (B, P) -> (B, P, size, size)
    float in [0, 1]."""
    step = labels.shape[-1] // (2 * size)
    labels = labels[:, step // 2 :: step, step // 2 :: step] if step > 1 else labels
    masks = (labels[:, None] == ids[:, :, None, None].to(labels.dtype)).float()
    return F.avg_pool2d(masks, 2)
