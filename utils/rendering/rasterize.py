"""What each camera sees of a mesh: one rasterisation per view serves colours, features, masks and visibility."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from utils.errors import UserError
from utils.geometry.mesh import Mesh
from utils.options import BACKENDS
from utils.rendering.cameras import Cameras, one_as_slice
from utils.rendering.rays import ray_scene

NEAREST = 0.05  # depth up to which what is before a camera may be anywhere in its image
SIDES_OF_A_BOX = list(itertools.product((False, True), repeat=3))
DEPTH_TOLERANCE = 0.01  # about one pixel's footprint at 224 x 224 and distance 2


@dataclass(frozen=True, eq=False)
class Rasterization:
    """What B views see. Row 0 is the image top.

    face_ids     (B, H, W) int64 into mesh.faces; -1 = background
    barycentric  (B, H, W, 3) float32 perspective-correct weights of the face's vertices; 0 on background
    depth        (B, H, W) float32 distance along the viewing direction, normalised units; inf on background
    """

    face_ids: Tensor
    barycentric: Tensor
    depth: Tensor

    @property
    def covered(self) -> Tensor:
        """(B, H, W) bool, object pixels."""
        return self.face_ids >= 0

    def __len__(self) -> int:
        return len(self.face_ids)

    def __getitem__(self, index: int | slice | Tensor) -> Rasterization:
        index = one_as_slice(index)
        return Rasterization(self.face_ids[index], self.barycentric[index], self.depth[index])


def choose_backend(backend: str, device: str | torch.device) -> str:
    """Resolve "auto": Kaolin where CUDA and Kaolin are, else Embree. UserError if a named backend cannot run."""
    if backend not in BACKENDS:
        raise UserError(f"unknown renderer '{backend}'; choose one of {', '.join(BACKENDS)}")
    cuda = torch.device(device).type == "cuda" and torch.cuda.is_available()
    kaolin = cuda and find_spec("kaolin") is not None and find_spec("kaolin.render") is not None
    if backend == "auto":
        return "kaolin" if kaolin else "embree"
    if backend == "kaolin" and not kaolin:
        raise UserError(
            "the kaolin renderer needs --device cuda, an NVIDIA GPU and Kaolin 0.18 "
            "(install_environment.sh sets it up); use --renderer embree on this machine"
        )
    return backend


class Rasterizer:
    """Rasterises one mesh from any cameras; the backend's scene is built once.

    backend: "embree" (ray casting on the CPU), "kaolin" (CUDA) or "auto". Results lie on `device`.
    """

    def __init__(
        self, mesh: Mesh, backend: str = "auto", device: str | torch.device = "cpu", scene: Any = None
    ) -> None:
        """scene: of `utils.rendering.rays`, of this mesh, where there is one already."""
        self.backend = choose_backend(backend, device)
        self.device = torch.device(device)
        self.mesh = mesh
        self.vertices = torch.from_numpy(mesh.normalized).to(self.device)
        self.faces = torch.from_numpy(mesh.faces).to(self.device)
        used = mesh.normalized[mesh.referenced]
        self._box = (used.min(axis=0), used.max(axis=0)) if len(used) else None
        self._scene = (scene or ray_scene(mesh.normalized, mesh.faces)) if self.backend == "embree" else None

    def __call__(self, cameras: Cameras) -> Rasterization:
        """Rasterise B views at `cameras.size`."""
        cameras = cameras.to(self.device)
        window = self._window(cameras)
        rays = cameras.rays(*window)
        found = self._kaolin_faces(cameras) if self._scene is None else self._embree_faces(rays, self._scene)
        return _with_barycentric(found, self.vertices, self.faces, cameras, rays, window)

    def _window(self, cameras: Cameras) -> tuple[slice, slice]:
        """Rows and columns of the images outside of which no camera sees the mesh."""
        height, width = cameras.size
        everything = slice(0, height), slice(0, width)
        if self._scene is None or self._box is None:
            return everything
        low, high = (torch.from_numpy(each).to(self.device) for each in self._box)
        corners = torch.stack([torch.where(torch.tensor(side), low, high) for side in SIDES_OF_A_BOX])
        pixels, depth = cameras.project(corners)
        if bool((depth < NEAREST).any()):
            return everything
        (left, top), (right, bottom) = pixels.amin((0, 1)).tolist(), pixels.amax((0, 1)).tolist()
        window = _between(top, bottom, height), _between(left, right, width)
        return everything if any(side.start == side.stop for side in window) else window

    def _embree_faces(self, through: tuple[Tensor, Tensor], scene: Any) -> Tensor:
        origins, directions = (x.cpu().numpy() for x in through)
        shape = directions.shape[:3]
        rays = np.ascontiguousarray(directions.reshape(-1, 3), dtype=np.float32)
        starts = np.repeat(origins.astype(np.float32), shape[1] * shape[2], axis=0)
        hits = scene.run(starts, rays, query="INTERSECT")
        return torch.from_numpy(np.asarray(hits, dtype=np.int64).reshape(shape)).to(self.device)

    def _kaolin_faces(self, cameras: Cameras) -> Tensor:
        from kaolin.render.mesh import prepare_vertices, rasterize  # pyright: ignore[reportMissingImports]

        height, width = cameras.size
        # Kaolin's camera frame is x right, y up, z backward, and its projection maps the image to [-1, 1], y up.
        flip = torch.tensor([1.0, -1.0, -1.0], device=self.device)
        transform = (flip[:, None] * cameras.world_to_camera[:, :3, :]).transpose(1, 2).contiguous()
        scale = 2 * cameras.focal
        projection = torch.tensor([[scale / width], [scale / height], [-1.0]], device=self.device)
        vertices = self.vertices[None].expand(len(cameras), -1, -1)
        in_camera, in_image, _ = prepare_vertices(vertices, self.faces, projection, camera_transform=transform)
        unused = torch.zeros((*in_camera.shape[:3], 1), device=self.device)
        depth = in_camera[..., 2].contiguous()
        _, face_ids = rasterize(height, width, depth, in_image.contiguous(), unused, backend="cuda")
        return face_ids.long()


def _between(first: float, last: float, size: int) -> slice:
    """The pixels of a side that a stretch touches, and one more at either end."""
    return slice(min(max(math.floor(first) - 1, 0), size), min(max(math.ceil(last) + 1, 0), size))


def _with_barycentric(
    found: Tensor,
    vertices: Tensor,
    faces: Tensor,
    cameras: Cameras,
    rays: tuple[Tensor, Tensor],
    window: tuple[slice, slice],
) -> Rasterization:
    """Barycentric weights and depth of the pixel rays on the faces that a backend found (Moeller-Trumbore, float64).

    One computation for both backends, so that they can differ only in which face they see. Rays and faces, (B, h, w),
    are those of a window of the images, beside which there is nothing.
    """
    origins, directions = rays
    view, row, column = torch.nonzero(found >= 0, as_tuple=True)
    seen = found[view, row, column]
    corner = vertices[faces[seen]].double()
    origin, direction = origins[view].double(), directions[view, row, column].double()
    side1, side2 = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    normal = torch.linalg.cross(side1, side2)
    to_corner = corner[:, 0] - origin
    determinant = _dot(direction, normal)
    safe = torch.where(determinant.abs() < 1e-300, torch.ones_like(determinant), determinant)
    across = torch.linalg.cross(direction, to_corner)
    weight1 = -_dot(across, side2) / safe
    weight2 = _dot(across, side1) / safe
    weights = torch.stack([1 - weight1 - weight2, weight1, weight2], -1).clamp(0, 1)
    total = _dot(weights, torch.ones_like(weights))[:, None]
    weights = torch.where(total > 0, weights / total.clamp_min(1e-12), torch.full_like(weights, 1 / 3))
    hit = weights[:, :1] * corner[:, 0] + weights[:, 1:2] * corner[:, 1] + weights[:, 2:] * corner[:, 2]
    to_camera = cameras.world_to_camera.double()
    depth_values = _dot(to_camera[view, 2, :3], hit) + to_camera[view, 2, 3]

    shape = len(cameras), *cameras.size
    face_ids = torch.full(shape, -1, device=found.device)
    barycentric = torch.zeros((*shape, 3), device=found.device)
    depth = torch.full(shape, float("inf"), device=found.device)
    pixel = view, row + window[0].start, column + window[1].start
    face_ids[pixel], barycentric[pixel], depth[pixel] = seen, weights.float(), depth_values.float()
    return Rasterization(face_ids, barycentric, depth)


def _dot(first: Tensor, second: Tensor) -> Tensor:
    """(P,) of (P, 3) each; a sum over three numbers takes longer."""
    x, y, z = (first * second).unbind(-1)
    return x + y + z


def visible_vertices(mesh: Mesh, cameras: Cameras, raster: Rasterization, vertices: Tensor | None = None) -> Tensor:
    """(B, K) bool: which vertices each view shows, hence may be clicked in it.

    vertices: (K,) int64 of those that are asked about; None: all.

    A vertex counts if the face seen at its pixel is one of its own, or if the plane of that face, followed to the
    vertex' exact place in the image, is not nearer than the vertex by more than `DEPTH_TOLERANCE` and some adjacent
    face looks at the camera. (The authors paint each vertex red and look for red pixels instead.)
    """
    device = raster.face_ids.device
    asked = np.arange(mesh.num_vertices) if vertices is None else vertices.cpu().numpy()
    distinct, place = np.unique(asked, return_inverse=True)
    sight = _Sight.of(mesh, distinct, device)
    cameras = cameras.to(device)
    views = [sight.shown(cameras[view], raster[view]) for view in range(len(cameras))]  # one by one: memory
    return (
        torch.stack(views)[:, torch.from_numpy(place)]
        if views
        else torch.zeros((0, len(asked)), dtype=torch.bool, device=device)
    )


@dataclass(frozen=True, eq=False)
class _Sight:
    """What says whether some vertices are seen; all on one device.

    asked           (K,) int64 vertices, distinct; points (V, 3) and faces (F, 3) of the mesh
    corners         (C,) int64: places in `asked`, one for each corner of a face that is at one of them
    normals, anchor (C, 3) float32, of the face of each such corner: outward, and a point of it
    """

    asked: Tensor
    points: Tensor
    faces: Tensor
    corners: Tensor
    normals: Tensor
    anchor: Tensor

    @classmethod
    def of(cls, mesh: Mesh, asked: np.ndarray, device: torch.device) -> _Sight:
        place = np.full(mesh.num_vertices, -1)
        place[asked] = np.arange(len(asked))
        corner = place[mesh.faces]
        face, side = np.nonzero(corner >= 0)
        normals = mesh.face_normals[face] * np.float32(mesh.winding)
        anchor = mesh.normalized[mesh.faces[face, 0]]
        arrays = asked, mesh.normalized, mesh.faces, corner[face, side], normals, anchor
        return cls(*(torch.from_numpy(values).to(device) for values in arrays))

    def shown(self, camera: Cameras, raster: Rasterization) -> Tensor:
        """(K,) bool for one view."""
        vertices = self.points[self.asked]
        pixels, depth = (values[0] for values in camera.project(vertices))
        height, width = camera.size
        column, row = pixels[:, 0].floor().long(), pixels[:, 1].floor().long()
        inside = (depth > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
        pixel = 0, row.clamp(0, height - 1), column.clamp(0, width - 1)
        seen, pixel_depth = raster.face_ids[pixel], raster.depth[pixel]
        corner_ids = self.faces[seen.clamp_min(0)]
        own_face = (corner_ids == self.asked[:, None]).any(-1)

        first, second, third = self.points[corner_ids].unbind(-2)
        normal = torch.linalg.cross(second - first, third - first)
        origin = camera.positions
        slope = ((vertices - origin) * normal).sum(-1)  # the ray reaches the vertex at parameter 1
        reach = ((first - origin) * normal).sum(-1) / torch.where(slope.abs() < 1e-12, 1.0, slope)
        # At a crease the extended plane can cut in front of the vertex, and seen edge-on it can run far behind it:
        # the pixel's own depth bounds it on both sides.
        plane_depth = torch.maximum((reach * depth).nan_to_num(0.0), pixel_depth)
        plane_depth = torch.minimum(plane_depth, pixel_depth + 3 * DEPTH_TOLERANCE)
        in_front = plane_depth >= depth - DEPTH_TOLERANCE
        return inside & (seen >= 0) & (own_face | (in_front & self.some_face_looks(origin)))

    def some_face_looks(self, origin: Tensor) -> Tensor:
        """(K,) bool: does any face at the vertex look at the camera? Inside-out files are turned first."""
        looks = ((origin - self.anchor) * self.normals).sum(-1) > 0
        result = torch.zeros(len(self.asked), dtype=torch.bool, device=origin.device)
        result[self.corners[looks]] = True
        return result
