"""Pinhole cameras that orbit the object, and the ways views are drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from utils.errors import UserError

FIELD_OF_VIEW = math.pi / 3  # vertical, radians (published)
ORBIT_RADIUS = 2.0  # the object lies in the unit ball (published)


@dataclass(frozen=True, eq=False)
class Cameras:
    """B pinhole cameras of one field of view and image size.

    Camera frame: x right, y down, z forward. Pixel coordinates are (x, y) with centres at +0.5; row 0 is the image top.

    world_to_camera  (B, 4, 4) float32, rigid
    fov_y            vertical field of view, radians
    size             (height, width) in pixels
    """

    world_to_camera: Tensor
    fov_y: float
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.world_to_camera)

    def __getitem__(self, index: int | slice | Tensor) -> Cameras:
        return replace(self, world_to_camera=self.world_to_camera[one_as_slice(index)])

    def to(self, device: str | torch.device) -> Cameras:
        return replace(self, world_to_camera=self.world_to_camera.to(device))

    @property
    def focal(self) -> float:
        """Focal length in pixels, the same along both axes."""
        return 0.5 * self.size[0] / math.tan(0.5 * self.fov_y)

    @property
    def positions(self) -> Tensor:
        """(B, 3) camera centres in world coordinates."""
        rotation, translation = self.world_to_camera[:, :3, :3], self.world_to_camera[:, :3, 3]
        return -(rotation.transpose(1, 2) @ translation[:, :, None])[..., 0]

    def resized(self, size: tuple[int, int]) -> Cameras:
        """The same views at another image size."""
        return replace(self, size=(int(size[0]), int(size[1])))

    def project(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Project world points (V, 3) to pixels (B, V, 2), xy, and depths (B, V) along the viewing direction."""
        points = points.to(self.world_to_camera)
        camera_points = points @ self.world_to_camera[:, :3, :3].transpose(1, 2) + self.world_to_camera[:, None, :3, 3]
        depth = camera_points[..., 2]
        centre = camera_points.new_tensor([0.5 * self.size[1], 0.5 * self.size[0]])
        return centre + self.focal * camera_points[..., :2] / depth[..., None], depth

    def rays(self, rows: slice = slice(None), columns: slice = slice(None)) -> tuple[Tensor, Tensor]:
        """World-space rays through the pixel centres: origins (B, 3), unit directions (B, H, W, 3), maybe of some rows
        and columns alone."""
        height, width = self.size
        like = {"dtype": self.world_to_camera.dtype, "device": self.world_to_camera.device}
        y = (torch.arange(height, **like)[rows] + 0.5 - 0.5 * height) / self.focal
        x = (torch.arange(width, **like)[columns] + 0.5 - 0.5 * width) / self.focal
        y, x = torch.meshgrid(y, x, indexing="ij")
        directions = torch.nn.functional.normalize(torch.stack([x, y, torch.ones_like(x)], -1), dim=-1)
        return self.positions, torch.einsum("hwc,bcd->bhwd", directions, self.world_to_camera[:, :3, :3])

    def to_dict(self) -> dict:
        """Plain values for a file; `from_dict` restores them exactly."""
        return {"world_to_camera": self.world_to_camera.clone(), "fov_y": self.fov_y, "size": list(self.size)}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Cameras:
        """The inverse of `to_dict`; tensors may have become arrays."""
        height, width = values["size"]
        return Cameras(torch.as_tensor(values["world_to_camera"]), float(values["fov_y"]), (int(height), int(width)))

    @staticmethod
    def from_file(values: Any, path: Path, remedy: str) -> Cameras:
        """`from_dict` of what the file at `path` holds; UserError, ending in `remedy`, if that is no set of cameras."""
        try:
            cameras = Cameras.from_dict(values)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"{path} does not hold cameras; {remedy}") from error
        pose, angle = cameras.world_to_camera, cameras.fov_y
        shaped = pose.dim() == 3 and pose.shape[1:] == (4, 4) and pose.is_floating_point() and min(cameras.size) > 0
        if not shaped or not 0 < angle < math.pi or not bool(torch.isfinite(pose).all()):
            raise UserError(f"{path} does not hold cameras; {remedy}")
        return cameras


def one_as_slice(index: int | slice | Tensor) -> slice | Tensor:
    """So that one view of several is a batch of one."""
    return slice(index, index + 1 or None) if isinstance(index, int) else index


def orbit_cameras(
    elevation: Tensor,
    azimuth: Tensor,
    radius: float = ORBIT_RADIUS,
    fov_y: float = FIELD_OF_VIEW,
    size: tuple[int, int] = (224, 224),
) -> Cameras:
    """Cameras that look at the origin from r (cos e cos a, sin e, cos e sin a), with +y up in the image.

    elevation, azimuth: (B,) radians. Exactly at a pole, where +y gives no up, it is the limit from `azimuth`'s side.
    """
    elevation, azimuth = elevation.double(), azimuth.double()
    outward = torch.stack([elevation.cos() * azimuth.cos(), elevation.sin(), elevation.cos() * azimuth.sin()], -1)
    # The derivative of the position by the elevation is "up" seen from the camera and exists at the poles too.
    up = torch.stack([-elevation.sin() * azimuth.cos(), elevation.cos(), -elevation.sin() * azimuth.sin()], -1)
    up = torch.where(elevation.cos()[:, None] < 0, -up, up)
    forward, down = -outward, -up
    right = torch.linalg.cross(down, forward)
    rotation = torch.stack([right, down, forward], dim=1)
    matrix = torch.eye(4, dtype=torch.float64).repeat(len(rotation), 1, 1)
    matrix[:, :3, :3] = rotation
    matrix[:, 2, 3] = radius
    return Cameras(matrix.float(), float(fov_y), (int(size[0]), int(size[1])))


def sample_front_angles(count: int, std: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The published encoder views: elevation ~ N(0, (pi/std)^2), azimuth ~ N(0, (2 pi/std)^2); std = 4 published."""
    elevation = torch.randn(count, generator=generator) * (math.pi / std)
    azimuth = torch.randn(count, generator=generator) * (2 * math.pi / std)
    return elevation, azimuth


def sample_uniform_angles(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The published decoder views: elevation uniform in [-pi/2, pi/2], azimuth uniform in [0, 2 pi]."""
    elevation = (torch.rand(count, generator=generator) - 0.5) * math.pi
    azimuth = torch.rand(count, generator=generator) * 2 * math.pi
    return elevation, azimuth


def sample_sphere_angles(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Evenly spread directions: a Fibonacci lattice on the sphere, turned about +y by one random angle.

    The order is shuffled, so that any prefix is spread over the sphere as well.
    """
    index = torch.arange(count, dtype=torch.float64)
    elevation = torch.asin(1 - (2 * index + 1) / max(count, 1))
    azimuth = index * math.pi * (3 - math.sqrt(5)) + torch.rand(1, generator=generator).double() * 2 * math.pi
    order = torch.randperm(count, generator=generator)
    return elevation[order], (azimuth % (2 * math.pi))[order]
