"""In place of `kaolin.render.mesh` 0.18: its projection, and the rules of its kernel, written out slowly.

Pixel (row, column) lies at x = (2 column + 1 - W) / W, y = (H - 1 - 2 row) / H, y up. A face is looked at where the
pixel lies in its bounding box, lower ends included and upper ends not, and covers it where no weight is negative. Depth
is interpolated in the image; the largest z, the nearest in a frame that looks along -z, wins, the first of equal ones.
"""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch
from torch import Tensor

EPSILON = 1e-8  # Kaolin's default, against division by 0


def prepare_vertices(
    vertices: Tensor, faces: Tensor, camera_proj: Tensor, *, camera_transform: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Corners of the faces in the camera's frame (B, F, 3, 3) and in the image (B, F, 3, 2); normals are not made."""
    _on_one_device(vertices, faces, camera_proj, camera_transform)
    assert camera_transform.shape == (len(vertices), 4, 3) and camera_proj.shape == (3, 1)
    in_camera = torch.nn.functional.pad(vertices, (0, 1), value=1.0) @ camera_transform
    projected = in_camera * camera_proj.view(-1, 1, 3)
    in_image = projected[:, :, :2] / projected[:, :, 2:3]
    return in_camera[:, faces], in_image[:, faces], in_camera[:, faces][:, :, 0]


def rasterize(
    height: int,
    width: int,
    face_vertices_z: Tensor,
    face_vertices_image: Tensor,
    face_features: Tensor,
    backend: str = "cuda",
) -> tuple[Tensor, Tensor]:
    """Features, which are left out here, and the face (B, H, W) int64 that each pixel shows, -1 for none."""
    _on_one_device(face_vertices_z, face_vertices_image, face_features)
    assert backend == "cuda" and face_vertices_z.is_contiguous() and face_vertices_image.is_contiguous()
    assert face_features.shape[:3] == face_vertices_z.shape == face_vertices_image.shape[:3]
    x = (2 * torch.arange(width, device=face_vertices_z.device) + 1 - width) / width
    y = (height - 1 - 2 * torch.arange(height, device=face_vertices_z.device)) / height
    y, x = torch.meshgrid(y, x, indexing="ij")
    views = [_faces(corners, depth, x, y) for corners, depth in zip(face_vertices_image, face_vertices_z)]
    return torch.zeros((len(views), height, width, 1), device=x.device), torch.stack(views)


def _faces(corners: Tensor, depth: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """(H, W) int64 of one view; corners (F, 3, 2), depth (F, 3)."""
    nearest, found = torch.full_like(x, -torch.inf), torch.full(x.shape, -1, dtype=torch.int64, device=x.device)
    low, high = corners.amin(1), corners.amax(1)
    for face in range(len(corners)):
        inside = (x >= low[face, 0]) & (x < high[face, 0]) & (y >= low[face, 1]) & (y < high[face, 1])
        (ax, ay), (bx, by), (cx, cy) = ((px - x, py - y) for px, py in corners[face])
        weights = torch.stack([bx * cy - by * cx, cx * ay - cy * ax, ax * by - ay * bx])
        total = weights.sum(0)
        weights = weights / (total + torch.copysign(torch.full_like(total, EPSILON), total))
        z = (weights * depth[face][:, None, None]).sum(0)
        shown = inside & (weights >= 0).all(0) & (z > nearest)
        nearest, found = torch.where(shown, z, nearest), torch.where(shown, face, found)
    return found


def _on_one_device(*tensors: Tensor) -> None:
    assert len({tensor.device for tensor in tensors}) == 1, "tensors on several devices"


def install(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Make `import kaolin.render.mesh` find this file, and let any device ask for that renderer."""
    for name in ("kaolin", "kaolin.render"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "kaolin.render.mesh", sys.modules[__name__])
    monkeypatch.setattr("utils.rendering.rasterize.choose_backend", lambda backend, device: backend)
    return sys.modules[__name__]
