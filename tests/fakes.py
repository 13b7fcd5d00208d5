"""A teacher without weights, for tests that need embeddings and masks but not a good model."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from SAM_repo.vit_t import VitTConfig
from utils.teacher import Teacher, TeacherMasks

EMBEDDING_DIM = 256
NARROW = {"stem_width": 16, "mid_width": 16, "dim": 32, "head_dim": 16, "embed_dim": 32, "mask_in_chans": 8}
SHALLOW = {"stem_blocks": 1, "mid_blocks": 1, "depth": 1, "fuse_blocks": 1, "decoder_heads": 2, "decoder_mlp": 32}
TINY_SAM = VitTConfig(image_size=112, **NARROW, **SHALLOW)  # a real SAM, only very small


class FakeTeacher(Teacher):
    """Deterministic, milliseconds a call, roughly sensible.

    Embedding: colour, position and coverage of each of side x side cells, then fixed random waves of those up to 256
    channels. Mask k of a prompt: the object's cells of about the clicked colour within `RADII[k]` of a positive click
    and nearer to it than to any negative click. So masks 0, 1, 2 are nested, a further positive click grows them and a
    negative click shrinks them.
    """

    RADII = (0.12, 0.25, 0.5)  # of the image's side
    SCORES = (0.9, 0.8, 0.7)
    COLOR_TOLERANCE = 0.2
    name = "fake-00000000"

    def __init__(self, image_size: int = 112, side: int = 14) -> None:
        self.image_size = image_size
        self.embedding_shape = (EMBEDDING_DIM, side, side)
        self.embed_calls = 0
        self.segment_calls = 0
        generator = torch.Generator().manual_seed(0)
        self._waves = 3 * torch.randn(EMBEDDING_DIM - 6, 6, generator=generator)

    def embed(self, images: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 -> (B, 256, side, side) float32 in [-1, 1]."""
        assert images.dtype == torch.uint8 and images.dim() == 4 and images.shape[-1] == 3
        self.embed_calls += 1
        _, height, width = self.embedding_shape
        colors = images.permute(0, 3, 1, 2).float() / 255
        covered = (colors.min(1, keepdim=True).values < 0.999).float()
        cells = adaptive_avg_pool2d(torch.cat([colors, covered], 1), (height, width))
        y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
        place = torch.stack([x, y]).expand(len(images), -1, -1, -1)
        basis = torch.cat([cells, place], 1)
        return torch.cat([basis, torch.einsum("cd,bdhw->bchw", self._waves, basis).sin()], 1)

    def segment(
        self,
        embedding: Tensor,
        points: Tensor,
        labels: Tensor,
        image_size: tuple[int, int],
        previous: Tensor | None = None,
    ) -> TeacherMasks:
        """Masks (see the class) for P prompts of K clicks; `previous` is only checked."""
        _, height, width = self.embedding_shape
        low = (4 * height, 4 * width)
        count = len(points)
        assert embedding.shape == self.embedding_shape and points.shape == (*labels.shape, 2)
        assert previous is None or previous.shape == (count, 1, *low)
        self.segment_calls += 1

        cells = interpolate(embedding[None, :4].float(), size=low, mode="nearest")[0]
        unit = points.float() / torch.tensor([image_size[1], image_size[0]])
        column = (unit[..., 0] * low[1]).long().clamp(0, low[1] - 1)
        row = (unit[..., 1] * low[0]).long().clamp(0, low[0] - 1)
        clicked = cells[:3, row, column].permute(1, 2, 0)  # (P, K, 3)
        alike = (cells[:3] - clicked[..., None, None]).abs().amax(2) < self.COLOR_TOLERANCE

        y, x = torch.meshgrid(
            (torch.arange(low[0]) + 0.5) / low[0], (torch.arange(low[1]) + 0.5) / low[1], indexing="ij"
        )
        distance = torch.hypot(x - unit[..., 0, None, None], y - unit[..., 1, None, None])  # (P, K, 4h, 4w)
        absent = torch.full_like(distance, float("inf"))
        include = torch.where((labels == 1)[..., None, None] & alike, distance, absent).amin(1)
        exclude = torch.where((labels == 0)[..., None, None], distance, absent).amin(1)

        wanted = (include < exclude) & (cells[3] > 0.5)
        masks = torch.stack([wanted & (include < radius) for radius in self.RADII], 1)
        return TeacherMasks(masks.float() * 16 - 8, torch.tensor(self.SCORES).expand(count, -1).clone(), image_size)
