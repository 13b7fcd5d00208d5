"""Rasterization + values on vertices or faces -> images, lit as in the paper."""

from __future__ import annotations

import torch
from torch import Tensor

from utils.geometry.mesh import Mesh
from utils.rendering.cameras import Cameras
from utils.rendering.rasterize import Rasterization

MESH_COLOR = (2 / 3, 2 / 3, 2 / 3)
BACKGROUND = (1.0, 1.0, 1.0)
PUBLISHED_LIGHTS = (1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)  # spherical harmonics: 1, x, z, y, second order


def interpolate(mesh: Mesh, raster: Rasterization, vertex_values: Tensor) -> Tensor:
    """Vertex values (V, D) at the pixels, (B, H, W, D); 0 on background. Differentiable in the values."""
    faces = torch.from_numpy(mesh.faces).to(raster.face_ids.device)
    corners = vertex_values[faces[raster.face_ids.clamp_min(0)]]
    return (corners * raster.barycentric[..., None].to(vertex_values)).sum(-2)


def spherical_harmonic_light(normals: Tensor, lights: Tensor) -> Tensor:
    """Brightness (...) of unit normals (..., 3) under second-order spherical harmonics (9,).

    Order and signs as in Kaolin's `spherical_harmonic_lighting`: 1, x, z, y, xy, yz, z^2, xz, x^2 - y^2.
    """
    x, y, z = normals.unbind(-1)
    constant, linear, mixed = 0.28209479177 * torch.ones_like(x), 0.4886025119, 1.09254843059
    second = [mixed * x * y, mixed * y * z, 0.94617469575 * z * z - 0.31539156525, 0.77254840404 * x * z]
    bands = [constant, linear * x, linear * z, linear * y, *second, 0.38627420202 * (x * x - y * y)]
    return (torch.stack(bands, -1) * lights.to(x)).sum(-1)


def shade(
    mesh: Mesh,
    cameras: Cameras,
    raster: Rasterization,
    *,
    vertex_colors: Tensor | None = None,
    face_colors: Tensor | None = None,
    base_color: tuple[float, ...] = MESH_COLOR,
    background: tuple[float, ...] = BACKGROUND,
    lights: tuple[float, ...] | Tensor = PUBLISHED_LIGHTS,
    smooth: bool = False,
) -> Tensor:
    """Colour images (B, H, W, 3) float32 in [0, 1].

    Colours: `vertex_colors` (V, 3), `face_colors` (F, 3) or one `base_color`, RGB in [0, 1]. Light comes from
    `lights` on the face normals (vertex normals if `smooth`) in the camera frame x right, y up, z towards the viewer,
    as with Kaolin. Departure: a normal that points away from the viewer is turned round, so that files wound
    inconsistently or inside out are lit the same.
    """
    device = raster.face_ids.device
    view, row, column = torch.nonzero(raster.covered, as_tuple=True)  # most pixels are background: leave them out
    seen = raster.face_ids[view, row, column]
    corners = torch.from_numpy(mesh.faces).to(device).index_select(0, seen).unbind(1)
    weights = raster.barycentric[view, row, column]

    def at_pixels(vertex_values: Tensor) -> Tensor:
        values = vertex_values.to(device).float()
        first, second, third = (values.index_select(0, corner) for corner in corners)
        return weights[:, :1] * first + weights[:, 1:2] * second + weights[:, 2:] * third

    normals = face_normals = torch.from_numpy(mesh.face_normals).to(device)[seen]
    if smooth:
        normals = torch.nn.functional.normalize(at_pixels(torch.from_numpy(mesh.vertex_normals)), dim=-1)
    if vertex_colors is not None:
        colors = at_pixels(vertex_colors)
    elif face_colors is not None:
        colors = face_colors.to(device).float()[seen]
    else:
        colors = torch.tensor(base_color, device=device)

    # The face decides, not the smooth normal: near a silhouette that may look away from a face that does not.
    from_camera = at_pixels(torch.from_numpy(mesh.normalized)) - cameras.positions.to(device)[view]
    away = (face_normals * from_camera).sum(-1, keepdim=True) > 0
    normals = torch.where(away, -normals, normals)
    rotation = cameras.world_to_camera[:, :3, :3].to(device)[view]
    in_camera = torch.einsum("pij,pj->pi", rotation, normals) * normals.new_tensor([1.0, -1.0, -1.0])
    light = spherical_harmonic_light(in_camera, torch.as_tensor(lights, dtype=torch.float32))
    image = torch.tensor(background, dtype=torch.float32, device=device).repeat(*raster.face_ids.shape, 1)
    image[view, row, column] = (colors * light[:, None]).clamp(0, 1)
    return image


def to_uint8(images: Tensor) -> Tensor:
    """Images in [0, 1] as uint8, rounded."""
    return (images * 255).round().clamp(0, 255).to(torch.uint8)
