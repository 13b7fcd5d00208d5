"""Prompting with clicks on known parts: the first click, then corrective clicks that see the mask before.

The one protocol of every measurement here, and of the calibration of predicted IoUs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

# (points (B, P, K, 2) xy by pixel index, labels (B, P, K), previous (B, P, 1, h, w) or None) -> logits (B, P, M, h, w),
# scores (B, P, M); the last three of the M are masks 0 to 2. `decode_prompts` on one embedding is such a function.
Answerer = Callable[[Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor]]
MASK0 = -3  # of the M


@dataclass(frozen=True, eq=False)
class Round:
    """What was asked and answered: points (B, P, K, 2) xy by pixel index, labels (B, P, K) 1 include, 0 exclude;
    masks (B * P, M, H, W) bool and scores (B * P, M), of `Answerer`."""

    points: Tensor
    labels: Tensor
    masks: Tensor
    scores: Tensor


def prompt_rounds(
    answer: Answerer, points: Tensor, wanted: Tensor, generator: torch.Generator, rounds: int = 3, shown: bool = True
) -> Iterator[Round]:
    """One click, then clicks that correct mask 0 towards what is wanted.

    points (B, P, 2) xy by pixel index; wanted (B * P, H, W), above 1/2 inside; shown: each round after the first is
    given the logits of mask 0 of the one before.
    """
    points = points[:, :, None]
    labels = torch.ones(points.shape[:3], dtype=torch.long, device=points.device)
    previous = None
    for number in range(rounds):
        logits, scores = answer(points, labels, previous)
        size = (wanted.shape[-2], wanted.shape[-1])
        full = F.interpolate(logits.flatten(0, 1).float(), size, mode="bilinear", align_corners=False) > 0
        yield Round(points, labels, full, scores.flatten(0, 1))
        if number + 1 < rounds:
            points, labels = add_correction(points, labels, full[:, MASK0], wanted, generator)
            previous = logits[:, :, MASK0, None] if shown else None


def add_correction(
    points: Tensor, labels: Tensor, masks: Tensor, wanted: Tensor, generator: torch.Generator, cell: int = 1
) -> tuple[Tensor, Tensor]:
    """Clicks (B, P, K, 2) and labels (B, P, K) with one corrective click more; masks, wanted: (B * P, h, w), each cell
    `cell` pixels of the image wide."""
    xy, label = corrective_clicks(masks, wanted, generator)
    xy = ((xy + 0.5) * cell - 0.5).view(*points.shape[:2], 1, 2)
    return torch.cat([points, xy], 2), torch.cat([labels, label.view(*points.shape[:2], 1)], 2)


def corrective_clicks(masks: Tensor, wanted: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A click in the larger of the missed and the wrongly included area, rather inside it than at its rim.

    masks: (N, h, w) bool or logits; wanted: (N, h, w), above 1/2 inside. Returns xy (N, 2) by index of the cell, and
    labels (N,), 1 for a missed area; a perfect mask gets a click inside.
    """
    predicted, true = masks > 0, wanted > 0.5
    missed, spilled = true & ~predicted, predicted & ~true
    positive = missed.flatten(1).sum(1) >= spilled.flatten(1).sum(1)
    region = torch.where(positive[:, None, None], missed, spilled).float()
    perfect = region.flatten(1).sum(1) == 0
    region = torch.where(perfect[:, None, None], wanted + 1e-6, region)
    depth = F.avg_pool2d(F.avg_pool2d(region[:, None], 3, 1, 1), 3, 1, 1)[:, 0]
    weight = (region * depth**3).flatten(1).cpu() + 1e-12
    index = torch.multinomial(weight, 1, generator=generator)[:, 0].to(masks.device)
    width = masks.shape[-1]
    return torch.stack([index % width, index // width], dim=1).float(), (positive | perfect).long()


def hard_iou(masks: Tensor, wanted: Tensor) -> Tensor:
    """IoU (...) of masks (bool or logits) with what is wanted (above 1/2 inside), both (..., h, w)."""
    predicted, true = (masks > 0).flatten(-2), (wanted > 0.5).flatten(-2)
    return (predicted & true).sum(-1) / (predicted | true).sum(-1).clamp_min(1)
