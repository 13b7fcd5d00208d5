"""What an answer of the prior costs: the three nested answers to a wish, and what was expected of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as bce

from models.prior.annotator import ClickSet


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """Of the outer answers against what they should be, of the best of three against the wish, of the expected IoU."""

    nested_weight: float = 0.25
    best_weight: float = 0.5
    quality_weight: float = 0.2


@dataclass(frozen=True, eq=False)
class Measured:
    """Of B answers, each (B,): IoU of the default one, of the best of three, and how far off the expected IoU is."""

    iou: Tensor
    oracle: Tensor
    quality_error: Tensor

    @classmethod
    def means(cls, measured: Sequence[Measured]) -> dict[str, float]:
        """The mean of each value over all answers; nan if there are none."""
        values = {field.name: [getattr(each, field.name) for each in measured] for field in fields(cls)}
        return {name: float(torch.cat(each).mean()) if each else float("nan") for name, each in values.items()}


def set_losses(
    logits: Tensor, quality: Tensor, sets: Sequence[ClickSet], weight: Tensor, weights: LossWeights
) -> tuple[Tensor, Measured]:
    """Mean loss of B sets, and what is worth logging; logits (B, 3, N), quality (B, 3), weight (N,) of the nodes."""

    def stacked(masks: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(masks)).to(logits.device).float()

    wanted = stacked([each.target for each in sets])[:, None]
    smaller, larger = stacked([each.smaller for each in sets]), stacked([each.larger for each in sets])
    losses = segmentation_loss(logits, wanted.expand_as(logits), weight)
    nested = segmentation_loss(logits[:, 0], smaller, weight) + segmentation_loss(logits[:, 2], larger, weight)
    with torch.no_grad():
        iou = hard_iou(logits, wanted, weight)
    off = quality.sigmoid() - iou
    loss = losses[:, 1] + weights.best_weight * losses.amin(dim=1) + weights.nested_weight * nested
    loss = loss + weights.quality_weight * off.square().mean(dim=1)
    return loss.mean(), Measured(iou[:, 1], iou.amax(dim=1), off.detach().abs().mean(dim=1))


def segmentation_loss(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """(...) cross-entropy with both sides weighing nearly alike, and 1 - soft IoU; targets (..., N) in {0, 1}."""
    inside = (weight * target).sum(dim=-1, keepdim=True).clamp(1e-4, 1 - 1e-4)
    # the square root between plain and fully balanced: a few wrong nodes beside a small part matter, not equally
    balance = torch.where(target > 0.5, inside.rsqrt(), (1 - inside).rsqrt())
    balance = weight * balance
    cross = (bce(logits, target, reduction="none") * balance).sum(dim=-1) / balance.sum(dim=-1)
    probability = logits.sigmoid()
    both = (weight * probability * target).sum(dim=-1)
    either = (weight * (probability + target - probability * target)).sum(dim=-1)
    return cross + (1 - both / either.clamp(min=1e-5))


def hard_iou(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """(...) area-weighted IoU of what is above 0 with targets (..., N)."""
    selected = (logits > 0).float()
    both = (weight * selected * target).sum(dim=-1)
    return both / (weight * (selected + target - selected * target)).sum(dim=-1).clamp(min=1e-9)
