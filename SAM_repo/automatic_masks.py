"""SAM's automatic masks from any image embedding, through the public API of `segment-anything`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from segment_anything import SamAutomaticMaskGenerator
from torch import Tensor, nn

from SAM_repo.networks import Sam


class FixedEmbedding(nn.Module):
    """An image encoder that answers every image with one given embedding (256, h, w)."""

    def __init__(self, embedding: Tensor, img_size: int) -> None:
        super().__init__()
        self.img_size = img_size
        self.embedding: Tensor
        self.register_buffer("embedding", embedding[None])

    def forward(self, images: Tensor) -> Tensor:
        return self.embedding.expand(len(images), -1, -1, -1)


def automatic_masks(
    sam: Sam,
    image: np.ndarray,
    embedding: Tensor | None = None,
    points_per_side: int = 16,
    min_score: float = 0.7,
    min_stability: float = 0.8,
) -> np.ndarray:
    """All masks (N, H, W) bool that SAM's mask generator finds in an image (H, W, 3) uint8, largest first.

    With `embedding` (256, h, w) the mask decoder reads that instead of the image's own features: this is how the
    rendered mesh feature field is looked at. min_score and min_stability are the generator's thresholds.
    """
    if embedding is not None:
        encoder: Any = FixedEmbedding(embedding, sam.image_encoder.img_size)  # any module will do
        pixels = (torch.as_tensor(values).flatten().tolist() for values in (sam.pixel_mean, sam.pixel_std))
        sam = Sam(encoder, sam.prompt_encoder, sam.mask_decoder, *pixels).to(sam.device).eval()
    generator = SamAutomaticMaskGenerator(
        sam, points_per_side=points_per_side, pred_iou_thresh=min_score, stability_score_thresh=min_stability
    )
    with torch.no_grad():
        found = sorted(generator.generate(image), key=lambda mask: -mask["area"])
    return np.stack([mask["segmentation"] for mask in found]) if found else np.zeros((0, *image.shape[:2]), dtype=bool)
