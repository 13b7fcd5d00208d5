"""Meshes in pictures: anti-aliased views, the clicks that show in them, and views that tell the most.

Meshes are drawn by our own renderer at twice the size of the picture and averaged down, so edges are smooth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from utils.clicks import Clicks
from utils.geometry.creases import split_at_creases
from utils.geometry.mesh import Mesh
from utils.rendering.cameras import FIELD_OF_VIEW, Cameras, orbit_cameras
from utils.rendering.rasterize import Rasterizer, visible_vertices
from utils.rendering.shading import shade

GRID_ELEVATIONS = (60, 30, 0, -30, -60)  # degrees, the published grid, seen from above first
GRID_AZIMUTHS = (0, 60, 120, 180, 240, 300)
SUPERSAMPLING = 2
MOST_LOOKED_AT = 10_000  # vertices of the selection, and of the rest, when good views are chosen
# Spherical harmonics (1, x, z, y, ...) as in utils.rendering.shading. The published lights leave half of a shape black.
STUDIO_LIGHTS = (2.2, 0.4, 0.95, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0)
Dot = tuple[float, float, bool]  # a click in a picture: x, y in pixels, and whether it includes


class MeshPainter:
    """Draws one mesh with vertex colours from any cameras; the normals for shading are made once."""

    def __init__(self, rasterizer: Rasterizer) -> None:
        self.rasterizer = rasterizer
        self.mesh = rasterizer.mesh
        self._split, origin = split_at_creases(self.mesh)
        self._origin = torch.from_numpy(origin)

    def images(
        self, cameras: Cameras, colors: np.ndarray | None = None, face_colors: np.ndarray | None = None
    ) -> np.ndarray:
        """Anti-aliased images (B, H, W, 3) float32 at `cameras.size`, coloured by vertices (V, 3) or faces (F, 3)."""
        return self.draw(cameras, Clicks.from_lists(), colors, face_colors)[0]

    def draw(
        self, cameras: Cameras, clicks: Clicks, colors: np.ndarray | None = None, face_colors: np.ndarray | None = None
    ) -> tuple[np.ndarray, list[list[Dot]]]:
        """`images`, and for each view the clicks visible in it: x, y in pixels, and whether positive."""
        large = cameras.resized((SUPERSAMPLING * cameras.size[0], SUPERSAMPLING * cameras.size[1]))
        vertex_colors = None if colors is None else torch.as_tensor(colors, dtype=torch.float32)[self._origin]
        of_faces = None if face_colors is None else torch.as_tensor(face_colors, dtype=torch.float32)
        style = {"vertex_colors": vertex_colors, "face_colors": of_faces, "smooth": True, "lights": STUDIO_LIGHTS}
        pixels, _ = cameras.project(torch.from_numpy(self.mesh.normalized)[clicks.vertices])
        images, dots = [], []
        for view in range(len(cameras)):
            raster = self.rasterizer(large[view])
            # The split copy has the same triangles in the same order; only its normals differ.
            image = shade(self._split, large[view], raster, **style)
            pooled = torch.nn.functional.avg_pool2d(image.permute(0, 3, 1, 2), SUPERSAMPLING)
            images.append(pooled[0].permute(1, 2, 0).contiguous().cpu().numpy())
            seen = visible_vertices(self.mesh, large[view], raster, clicks.vertices)[0].tolist() if len(clicks) else []
            places = zip(pixels[view].tolist(), clicks.positive.tolist(), seen)
            dots.append([(x, y, positive) for (x, y), positive, shown in places if shown])
        return np.stack(images), dots

    def tiles(
        self, frame: Frame, clicks: Clicks, colors: np.ndarray | None = None, face_colors: np.ndarray | None = None
    ) -> tuple[list[np.ndarray], list[list[Dot]]]:
        """The same, cut to the tiles of a frame."""
        images, dots = self.draw(frame.cameras, clicks, colors, face_colors)
        return frame.crop(images), frame.shift(dots)


def grid_angles() -> tuple[Tensor, Tensor]:
    """Elevations and azimuths, radians, of the published grid of views, row by row."""
    elevation = [e for e in GRID_ELEVATIONS for _ in GRID_AZIMUTHS]
    azimuth = [a for _ in GRID_ELEVATIONS for a in GRID_AZIMUTHS]
    return torch.tensor(elevation, dtype=torch.float32).deg2rad(), torch.tensor(azimuth, dtype=torch.float32).deg2rad()


def telling_angles(
    rasterizer: Rasterizer, clicks: Clicks, probability: np.ndarray, count: int
) -> tuple[Tensor, Tensor]:
    """Elevations and azimuths (count,), radians, of different views that show the clicks and the selection well.

    Greedy: each view is worth the clicks it sees (most where not seen yet) and how squarely it sees them, the shares of
    the selection and of the rest that it shows, and its distance from the views chosen before.
    """
    elevation, azimuth = torch.meshgrid(
        torch.tensor([-20.0, 10.0, 25.0, 45.0]).deg2rad(), torch.arange(0, 360, 15.0).deg2rad(), indexing="ij"
    )
    elevation, azimuth = elevation.flatten(), azimuth.flatten()
    cameras = orbit_cameras(elevation, azimuth, size=(96, 96))
    mesh = rasterizer.mesh
    raster = rasterizer(cameras)
    selected = torch.from_numpy(np.asarray(probability) > 0.5)
    parts = [_some_of(torch.nonzero(part)[:, 0]) for part in (selected, ~selected) if part.any()]
    clicked, *shown_of = (
        visible_vertices(mesh, cameras, raster, vertices).cpu() for vertices in (clicks.vertices, *parts)
    )
    outward = torch.nn.functional.normalize(cameras.positions, dim=1)
    normals = torch.from_numpy(mesh.vertex_normals * np.float32(mesh.winding))[clicks.vertices]
    facing = (outward @ normals.T).clamp(0.2, 1) * clicked  # (views, clicks)
    shares = [seen.float().mean(1) for seen in shown_of]
    size = raster.covered.float().mean((1, 2)).cpu()
    merit = torch.stack(shares).sum(0) + size / size.max() - 0.3 * (elevation - 0.4).abs()

    chosen: list[int] = []
    shown = torch.zeros(len(clicks))
    for _ in range(count):
        near = torch.zeros(len(cameras))
        if chosen:
            near = (outward @ outward[chosen].T).amax(1)
        news = (facing * (1 - 0.6 * shown)).sum(1) / len(clicks)
        together = clicked.all(1).float()
        value = 3 * news + together + merit - 2 * near.clamp_min(0) ** 2 - 10.0 * (near > 0.75)
        chosen.append(int(value.argmax()))
        shown = torch.maximum(shown, facing[chosen[-1]])
    return elevation[chosen], azimuth[chosen]


def _some_of(vertices: Tensor) -> Tensor:
    """So many of them, spread, that shares of them are known to a percent."""
    return vertices[:: -(-len(vertices) // MOST_LOOKED_AT)]


@dataclass(frozen=True, eq=False)
class Frame:
    """Several views of a mesh, cut to tiles of one size and one scale that hold it, each view centred on its own.

    cameras      B views that look at the origin
    left, top    (B,) pixel of the camera image where each tile begins; tiles may reach beyond the image
    height, width   of the tiles
    """

    cameras: Cameras
    left: list[int]
    top: list[int]
    height: int
    width: int

    @classmethod
    def around(cls, mesh: Mesh, elevation: Tensor, azimuth: Tensor, area: float, margin: float = 1.05) -> Frame:
        """Tiles of about `area` pixels for views at the given angles (B,), radians."""
        points = torch.from_numpy(mesh.normalized[mesh.referenced])
        unit = 0.5 / math.tan(FIELD_OF_VIEW / 2)  # image side at focal length 1
        pixels, _ = orbit_cameras(elevation, azimuth, size=(1, 1)).project(points)
        tangents = (pixels - 0.5) / unit
        low, high = tangents.amin(1), tangents.amax(1)
        extent = (high - low).amax(0)
        extent = margin * extent.clamp_min(0.4 * float(extent.max()))
        focal = math.sqrt(area / float(extent.prod()))
        width, height = (round(focal * float(x)) for x in extent)
        reach = (focal * margin * tangents.abs().amax((0, 1))).tolist()
        across, down = (2 * math.ceil(pixels) for pixels in reach)  # only what is seen is drawn
        cameras = orbit_cameras(elevation, azimuth, fov_y=2 * math.atan(0.5 * down / focal), size=(down, across))
        centre = 0.5 * torch.tensor([across, down]) + focal * (low + high) / 2
        corner = (centre - 0.5 * torch.tensor([width, height])).round().int()
        return cls(cameras, corner[:, 0].tolist(), corner[:, 1].tolist(), height, width)

    def __getitem__(self, views: slice) -> Frame:
        index = torch.arange(len(self.cameras))[views]
        return Frame(self.cameras[index], self.left[views], self.top[views], self.height, self.width)

    def crop(self, images: np.ndarray) -> list[np.ndarray]:
        """The tiles (height, width, 3) of camera images (B, H, W, 3), white beyond their border."""
        tiles = []
        for image, left, top in zip(images, self.left, self.top):
            before = max(0, -left, -top)
            after = max(0, left + self.width - image.shape[1], top + self.height - image.shape[0])
            padded = np.pad(image, ((before, after), (before, after), (0, 0)), constant_values=1.0)
            tiles.append(padded[top + before : top + before + self.height, left + before : left + before + self.width])
        return tiles

    def shift(self, dots: list[list[Dot]]) -> list[list[Dot]]:
        """Camera image coordinates of dots in the tiles'."""
        return [
            [(x - left, y - top, positive) for x, y, positive in of_view]
            for of_view, left, top in zip(dots, self.left, self.top)
        ]
