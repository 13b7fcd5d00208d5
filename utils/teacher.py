"""What the pipeline asks of a promptable 2D segmentation model."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class TeacherMasks:
    """Three masks for each of P prompts.

    logits      (P, 3, 4h, 4w) float32 at low resolution; above 0 is inside. May be fed back as `previous`
    scores      (P, 3) float32, predicted IoU
    image_size  (H, W) of the prompted image, pixels
    """

    logits: Tensor
    scores: Tensor
    image_size: tuple[int, int]

    def masks(self, index: int | None = None) -> Tensor:
        """(P, 3, H, W) bool at the image's resolution, or (P, H, W) of one of the three."""
        logits = self.logits if index is None else self.logits[:, index : index + 1]
        full = (
            torch.nn.functional.interpolate(logits.float(), self.image_size, mode="bilinear", align_corners=False) > 0
        )
        return full if index is None else full[:, 0]


class Teacher(Protocol):
    """A promptable segmentation model: embed an image once, prompt it often. Subclasses inherit two methods.

    name             model type and the first 8 digits of the weights' SHA-256, recorded in every output
    image_size       side in pixels of the square image that the encoder sees
    embedding_shape  (D, h, w)
    fast             whether matrix products may be in bfloat16 where the device is faster in it
    """

    name: str
    fast: bool = False
    image_size: int
    embedding_shape: tuple[int, int, int]

    @abstractmethod
    def embed(self, images: Tensor) -> Tensor:
        """Images (B, H, W, 3) uint8 RGB -> embeddings (B, D, h, w) float32."""
        ...

    @abstractmethod
    def segment(
        self,
        embedding: Tensor,
        points: Tensor,
        labels: Tensor,
        image_size: tuple[int, int],
        previous: Tensor | None = None,
    ) -> TeacherMasks:
        """Prompt one embedding (D, h, w) with P click sets.

        points    (P, K, 2) float, xy pixels of the original image
        labels    (P, K): 1 include, 0 exclude, -1 padding
        previous  (P, 1, 4h, 4w) low-resolution logits of an earlier answer, or None
        """
        ...

    def in_view(self, camera: Any) -> Teacher:
        """Whom to prompt with the embedding of one view, of this camera (`Cameras` of one): most need not know it."""
        return self

    def segment_each(
        self, embeddings: Tensor, points: Tensor, labels: Tensor, image_size: tuple[int, int]
    ) -> TeacherMasks:
        """Prompt each of B embeddings (B, D, h, w) with one click set of its own: points (B, K, 2), labels (B, K)."""
        answers = [
            self.segment(embedding, own[None], signs[None], image_size)
            for embedding, own, signs in zip(embeddings, points, labels)
        ]
        logits, scores = (torch.cat(parts) for parts in zip(*[(answer.logits, answer.scores) for answer in answers]))
        return TeacherMasks(logits, scores, image_size)
