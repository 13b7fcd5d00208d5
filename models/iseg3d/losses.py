"""The losses of iSeg3D: of the prior learning (Eq. 1-5) and of the online fine-tuning (Eq. 9-10)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class EmbeddingLoss:
    """Weights and margins of Eq. 1-5, as printed in Sec. 4.1."""

    intra_weight: float = 1.0
    inter_weight: float = 1.0
    norm_weight: float = 1e-4
    intra_margin: float = 0.25
    inter_margin: float = 0.75

    def __call__(self, embedding: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Loss of one cloud and its terms: embedding (N, D) float32, labels (N,) int64, all numbers from 0 on."""
        count = int(labels.max()) + 1
        size = torch.bincount(labels, minlength=count).to(embedding.dtype)
        center = embedding.new_zeros(count, embedding.shape[1]).index_add(0, labels, embedding) / size[:, None]  # Eq. 1
        excess = (_norm(embedding - center[labels]) - self.intra_margin).clamp(min=0)
        intra = (torch.zeros_like(size).index_add(0, labels, excess) / size).mean()  # Eq. 2
        inter = embedding.new_zeros(())
        if count > 1:
            apart = _norm(center[:, None] - center[None])
            others = ~torch.eye(count, dtype=torch.bool, device=embedding.device)
            inter = (self.inter_margin - apart).clamp(min=0)[others].mean()  # Eq. 3
        norm = _norm(embedding).mean()  # Eq. 4
        total = self.intra_weight * intra + self.inter_weight * inter + self.norm_weight * norm  # Eq. 5
        return total, {"intra": float(intra.detach()), "inter": float(inter.detach()), "norm": float(norm.detach())}


def fine_tuning_energy(positives: Tensor, negatives: Tensor, margin: float = EmbeddingLoss.inter_margin) -> Tensor:
    """Eq. 9-10, a scalar: how much nearer than `margin` the embeddings of negative clicks (N-, D) are to that of the
    nearest positive one (N+, D), on average."""
    nearest = _norm(negatives[:, None] - positives[None]).amin(dim=1)
    return (margin - nearest).clamp(min=0).mean()


def _norm(vectors: Tensor) -> Tensor:
    """Length along the last axis, with a gradient of 0 at 0."""
    return (vectors.square().sum(dim=-1) + 1e-12).sqrt()
