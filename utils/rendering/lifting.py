"""Rendering as linear algebra: R (pixels x vertices), its transpose, the distillation loss as a quadratic.

Cameras and geometry are fixed while networks train, so rendering vertex values is a sparse matrix R_t per view t with
three barycentric weights a row; its gradient is R_t^T. No differentiable rasteriser is needed.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from utils.geometry.mesh import Mesh
from utils.rendering.rasterize import Rasterization


@dataclass(frozen=True, eq=False)
class PixelWeights:
    """The rows of R for P pixels.

    vertex_ids    (P, 3) int64
    weights       (P, 3) float32, rows sum to 1
    num_vertices  columns of R
    """

    vertex_ids: Tensor
    weights: Tensor
    num_vertices: int

    def __len__(self) -> int:
        return len(self.vertex_ids)

    def apply(self, values: Tensor) -> Tensor:
        """R v: vertex values (V, D) at the pixels, (P, D). Differentiable."""
        return (values[self.vertex_ids] * self.weights[..., None].to(values)).sum(1)

    def transpose(self, pixel_values: Tensor) -> Tensor:
        """R^T y: pixel values (P, D) gathered on the vertices, (V, D)."""
        spread = pixel_values[:, None] * self.weights[..., None].to(pixel_values)
        result = pixel_values.new_zeros((self.num_vertices, pixel_values.shape[1]))
        return result.index_add_(0, self.vertex_ids.reshape(-1), spread.flatten(0, 1))

    def gather_matrix(self, place: Tensor, count: int) -> Tensor:
        """R^T with vertex v gathered at `place[v]`: sparse (count, P)."""
        pixels = torch.arange(len(self), device=self.vertex_ids.device).repeat_interleave(3)
        entries = torch.stack([place[self.vertex_ids.reshape(-1)], pixels])
        shape = (count, len(self))
        return torch.sparse_coo_tensor(entries, self.weights.reshape(-1), shape, check_invariants=False).coalesce()


def pixel_weights(mesh: Mesh, raster: Rasterization) -> tuple[PixelWeights, Tensor]:
    """R for the covered pixels of one view, in row-major order, and the mask of these pixels (H, W) bool."""
    if len(raster) != 1:
        raise ValueError(f"pixel_weights takes one view, got {len(raster)}")
    covered = raster.covered[0]
    faces = torch.from_numpy(mesh.faces).to(covered.device)
    return PixelWeights(faces[raster.face_ids[0][covered]], raster.barycentric[0][covered], mesh.num_vertices), covered


class DistillationQuadratic:
    """The encoder's loss over all views (paper Eq. 3) as one quadratic of the field F (V, D).

    sum_t (1 / P_t) ||R_t F - T_t||^2 / D  =  (<F, A F> - 2 <F, B> + c) / D,   averaged over the T views,
    A = sum_t R_t^T R_t / P_t on the mesh's own adjacency, B = sum_t R_t^T T_t / P_t, c = sum_t ||T_t||^2 / P_t,
    where P_t counts the object pixels of view t. A is kept as one 3 x 3 block a face until `finish`.

    place (V,) int64: vertices with the same number have the same value, and F, A and B one row for each number.
    """

    def __init__(
        self, mesh: Mesh, channels: int = 256, device: str | torch.device = "cpu", place: Tensor | None = None
    ) -> None:
        place = torch.arange(mesh.num_vertices) if place is None else place
        self.faces = place[torch.from_numpy(mesh.faces)].to(device)
        self.face_blocks = torch.zeros((mesh.num_faces, 9), dtype=torch.float64, device=device)
        self.b = torch.zeros((int(place.max()) + 1, channels), dtype=torch.float32, device=device)
        self.c = 0.0
        self.views = 0
        self.mesh = mesh

    def add_view(self, raster: Rasterization, target: Tensor) -> None:
        """Add one view: its rasterisation at the embedding's resolution and the embedding (h, w, D)."""
        weights, covered = pixel_weights(self.mesh, raster)
        if len(weights) == 0:
            return
        target = target.to(self.b)[covered]
        faces = raster.face_ids[0][covered]
        weights = PixelWeights(self.faces[faces], weights.weights, len(self.b))
        blocks = (weights.weights[:, :, None] * weights.weights[:, None, :]).reshape(-1, 9).double() / len(weights)
        self.face_blocks.index_add_(0, faces, blocks)
        self.b += weights.transpose(target) / len(weights)
        self.c += float(target.double().square().sum() / len(weights))
        self.views += 1

    def finish(self) -> CollapsedLoss:
        """Assemble A, B, c, divided by the number of views."""
        if self.views == 0:
            raise ValueError("no view shows the object")
        used = self.face_blocks.any(-1)
        corners, size = self.faces[used], len(self.b)
        entries = torch.stack([corners.repeat_interleave(3, dim=1).reshape(-1), corners.repeat(1, 3).reshape(-1)])
        values = (self.face_blocks[used] / self.views).float().reshape(-1)
        a = torch.sparse_coo_tensor(entries, values, (size, size), check_invariants=False).coalesce()
        with quiet_sparse():
            return CollapsedLoss(a.to_sparse_csr(), self.b / self.views, self.c / self.views)


@contextmanager
def quiet_sparse() -> Iterator[None]:
    """Without PyTorch's notice that its sparse CSR tensors are new."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")
        yield


@dataclass(frozen=True, eq=False)
class CollapsedLoss:
    """A (V, V) sparse CSR, B (V, D) and c of the collapsed distillation loss."""

    a: Tensor
    b: Tensor
    c: float

    def __call__(self, field: Tensor) -> Tensor:
        """Mean squared error per channel and object pixel, averaged over views; scalar, differentiable in (V, D)."""
        return _Quadratic.apply(field, self.a, self.b, self.c)


class _Quadratic(torch.autograd.Function):
    """<F, A F> - 2 <F, B> + c with its gradient 2 (A F - B), A symmetric, so that A F is computed once."""

    @staticmethod
    def forward(ctx, field: Tensor, a: Tensor, b: Tensor, c: float) -> Tensor:  # type: ignore[override]
        product = a @ field.detach().float()
        ctx.save_for_backward(product, b)
        ctx.channels, ctx.dtype = field.shape[1], field.dtype
        return ((field.float() * (product - 2 * b)).sum() + c) / field.shape[1]

    @staticmethod
    def backward(ctx, gradient: Tensor):  # type: ignore[override]
        product, b = ctx.saved_tensors
        return (gradient * 2 / ctx.channels * (product - b)).to(ctx.dtype), None, None, None
