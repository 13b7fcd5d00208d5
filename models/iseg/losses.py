"""The decoder's loss, rendered as published (paper Eq. 7) and lifted to the vertices."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from utils.rendering.lifting import PixelWeights

SMALLEST = 1e-6  # of a rendered probability inside the logarithm


def lifted_loss(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """-sum(w1 log p + w0 log(1 - p)), averaged over the B click sets; scalar.

    logits (B, N, 2) of (background, selected); target (B, N) = w1 / (w0 + w1); weight (B, N) = w0 + w1, to be
    normalised by the caller. An upper bound of `rendered_loss` of the same views.
    """
    log_p = log_softmax(logits.float(), dim=-1)
    return -(weight * (target * log_p[..., 1] + (1 - target) * log_p[..., 0])).sum(dim=1).mean()


def dice_loss(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """1 - 2 |A and B| / (|A| + |B|) of what is selected and wanted, mean over the B click sets; scalar.

    As `lifted_loss`, but a small selection counts as much as a large one.
    """
    selected = logits.float().softmax(dim=-1)[..., 1]
    both = (weight * selected * target).sum(dim=1)
    return (1 - 2 * both / (weight * (selected + target)).sum(dim=1).clamp(min=1e-9)).mean()


def rendered_loss(logits: Tensor, weights: PixelWeights, mask: Tensor) -> Tensor:
    """Binary cross-entropy of the rendered probabilities R p with a mask, mean over the object's pixels (Eq. 7).

    logits (V, 2) of all vertices of the mesh; weights: R of one view, P pixels; mask (P,) bool.
    """
    image = weights.apply(logits.float().softmax(dim=-1)).clamp(min=SMALLEST)
    return -torch.where(mask, image[:, 1], image[:, 0]).log().mean()


def sample_rows(target: Tensor, weight: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw rows so that few of them estimate the lifted loss well.

    target, weight (B, M) as in `lifted_loss`, each set's weights summing to 1. Returns rows (B, count) int64 and their
    weights (B, count), with which the loss is unbiased: half of the rows are drawn by weight, half by weight inside the
    selection, which is often a small part of the surface.
    """
    inside = weight * target
    mixture = 0.5 * weight + 0.5 * inside / inside.sum(dim=1, keepdim=True).clamp(min=1e-12)
    rows = torch.multinomial(mixture.cpu(), count, replacement=True, generator=generator).to(weight.device)
    drawn = mixture / mixture.sum(dim=1, keepdim=True)
    return rows, weight.gather(1, rows) / (count * drawn.gather(1, rows))
