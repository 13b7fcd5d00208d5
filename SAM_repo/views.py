"""Labelled shapes as data: views rasterised as the pipeline does, lit anew each time they are used, and clicks on them.

A view is kept as normals and labels, not as an image, so that one rasterisation yields many images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from utils.geometry.mesh import Mesh
from utils.rendering.cameras import Cameras, orbit_cameras
from utils.rendering.rasterize import Rasterization, Rasterizer
from utils.rendering.shading import MESH_COLOR, PUBLISHED_LIGHTS, interpolate, spherical_harmonic_light
from utils.shapes import random_shape

VIEW_SIZE = 224
CHANNELS = 5  # normal x, y, z as int8 / 127 (camera frame x right, y up, z to the viewer), part, group (0 = background)


# ---- views -----------------------------------------------------------------------------------------------------------


def random_cameras(count: int, rng: np.random.Generator, published: bool = False) -> Cameras:
    """Cameras of the pipeline (distance 2, 60 degrees), unless `published` slightly off for a third of the shapes."""
    elevation = np.where(
        rng.random(count) < 0.5, rng.uniform(-np.pi / 2, np.pi / 2, count), rng.normal(0, np.pi / 5, count)
    )
    azimuth = rng.uniform(0, 2 * np.pi, count)
    radius, fov = 2.0, np.pi / 3
    if not published and rng.random() < 1 / 3:
        radius, fov = rng.uniform(1.7, 2.6), fov * rng.uniform(0.85, 1.1)
    angles = (torch.from_numpy(elevation).float(), torch.from_numpy(azimuth).float())
    return orbit_cameras(*angles, radius=float(radius), fov_y=float(fov), size=(VIEW_SIZE, VIEW_SIZE))


def shape_views(mesh: Mesh, part: np.ndarray, group: np.ndarray, cameras: Cameras, smooth: bool = False) -> np.ndarray:
    """Views of one labelled mesh, (cameras, 224, 224, 5) uint8 as described at CHANNELS.

    part, group: (F,) int labels from 0; at most 255 parts. smooth: with vertex normals instead of face normals.
    """
    raster = Rasterizer(mesh, backend="embree")(cameras)
    normals, face = camera_normals(mesh, cameras, raster, smooth), raster.face_ids.clamp_min(0).numpy()
    views = np.zeros((len(cameras), VIEW_SIZE, VIEW_SIZE, CHANNELS), np.uint8)
    views[..., :3] = (normals * 127).round().to(torch.int8).numpy().view(np.uint8)
    for channel, labels in ((3, part), (4, group)):
        views[..., channel] = np.where(raster.covered.numpy(), np.clip(labels + 1, 1, 255)[face], 0)
    return views


def synthetic_views(
    seed: int, count: int, rng: np.random.Generator, families: tuple[str, ...] | None = None, published: bool = False
) -> np.ndarray:
    """`shape_views` of the shape of a seed from random cameras; one in five is smooth, unless `published`."""
    shape = random_shape(seed, families)
    cameras = random_cameras(count, rng, published)
    smooth = not published and rng.random() < 0.2
    return shape_views(Mesh(shape.vertices, shape.faces), shape.part, shape.group, cameras, smooth)


def camera_normals(mesh: Mesh, cameras: Cameras, raster: Rasterization, smooth: bool) -> Tensor:
    """Unit normals (B, H, W, 3) float32 in the frame `utils.rendering.shading` lights, 0 on background."""
    if smooth:
        normals = F.normalize(interpolate(mesh, raster, torch.from_numpy(mesh.vertex_normals).float()), dim=-1)
    else:
        normals = torch.from_numpy(mesh.face_normals)[raster.face_ids.clamp_min(0)]
    _, directions = cameras.rays()
    normals = torch.where((normals * directions).sum(-1, keepdim=True) > 0, -normals, normals)
    normals = torch.einsum("bhwi,bji->bhwj", normals, cameras.world_to_camera[:, :3, :3])
    return normals * torch.tensor([1.0, -1.0, -1.0]) * raster.covered[..., None]


# ---- images and clicks -----------------------------------------------------------------------------------------------


@dataclass
class Batch:
    """B views, those of one shape next to each other, with P clicks on each.

    images (B, S, S, 3) uint8; normals (B, 3, 224, 224) float; part, group (B, 224, 224) uint8, ids shared by the views
    of a shape; points (B, P, 2) float xy of 224 pixels, by index; part_id, group_id (B, P) at the clicks
    """

    images: Tensor
    normals: Tensor
    part: Tensor
    group: Tensor
    points: Tensor
    part_id: Tensor
    group_id: Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(**{name: value.to(device, non_blocking=True) for name, value in vars(self).items()})

    def clicked(self) -> tuple[Tensor, Tensor]:
        """The groups and the parts that were clicked, (B, P, 224, 224) bool each."""
        both = ((self.group, self.group_id), (self.part, self.part_id))
        group, part = (labels[:, None] == ids[..., None, None] for labels, ids in both)
        return group, part


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
    """(H, W, 3) image in [0, 1]: mostly as the pipeline renders, else with other lights, colours, background, noise."""
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
