"""What vit_t is trained for: masks after one click and after corrections, their predicted IoU, and the embedding."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from SAM_repo.fast_decoder import decode_prompts
from SAM_repo.networks import Sam
from SAM_repo.prompting import add_correction, hard_iou
from SAM_repo.training.config import TrainConfig
from SAM_repo.views import Batch
from SAM_repo.vit_t import VitTConfig, normalise

# ---- model with training-only heads ----------------------------------------------------------------------------------


class AuxiliaryHeads(nn.Module):
    """Linear read-outs of the embedding that only training uses: part boundaries, normals, and likeness of parts."""

    def __init__(self, config: VitTConfig) -> None:
        super().__init__()
        self.boundary = nn.Linear(config.embed_dim, 16)
        self.normal = nn.Linear(config.embed_dim, 3 * 4)
        self.likeness = nn.Parameter(torch.tensor([math.log(10.0), 0.5]))  # log of the slope, similarity at even odds

    def forward(self, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """embedding (B, C, h, w) -> boundary logits (B, 4h, 4w), normals (B, 3, 2h, 2w)."""
        cells = embedding.permute(0, 2, 3, 1)
        boundary = F.pixel_shuffle(self.boundary(cells).permute(0, 3, 1, 2).float(), 4)[:, 0]
        return boundary, F.pixel_shuffle(self.normal(cells).permute(0, 3, 1, 2).float(), 2)


def part_boundaries(part: Tensor, size: int) -> Tensor:
    """(B, H, W) labels -> (B, size, size) float, 1 where a cell holds pixels of two parts or touches such a pixel."""
    edge = torch.zeros(part.shape, dtype=torch.float32, device=part.device)
    across, down = (part[:, :, 1:] != part[:, :, :-1]).float(), (part[:, 1:] != part[:, :-1]).float()
    edge[:, :, 1:] += across
    edge[:, :, :-1] += across
    edge[:, 1:] += down
    edge[:, :-1] += down
    return F.max_pool2d((edge > 0).float()[:, None], part.shape[-1] // size)[:, 0]


def auxiliary_loss(heads: AuxiliaryHeads, embedding: Tensor, batch: Batch) -> Tensor:
    """Boundaries (balanced BCE) and normals (cosine) that a linear read-out of the embedding must give."""
    boundary, normal = heads(embedding)
    target = part_boundaries(batch.part, boundary.shape[-1])
    loss = F.binary_cross_entropy_with_logits(boundary, target, pos_weight=torch.tensor(3.0, device=target.device))
    normals = F.avg_pool2d(batch.normals, batch.normals.shape[-1] // normal.shape[-1])
    weight = normals.norm(dim=1)
    cosine = 1 - F.cosine_similarity(normal, normals, dim=1, eps=1e-4)
    return loss + 0.5 * (cosine * weight).sum() / weight.sum().clamp_min(1)


def affinity_loss(
    heads: AuxiliaryHeads, embedding: Tensor, part: Tensor, views: int, generator: torch.Generator, samples: int = 96
) -> Tensor:
    """Same part close, other parts far, within a view and across the views of one shape.

    embedding (B, C, h, w), part (B, H, W) with ids shared by `views` consecutive images. Cosine similarities become
    logits; the two classes weigh the same.
    """
    count, channels, _, width = embedding.shape
    step = part.shape[-1] // width
    labels = part[:, step // 2 :: step, step // 2 :: step].reshape(count, -1).long()
    picks = torch.multinomial((labels > 0).float().cpu() + 1e-6, samples, generator=generator).to(labels.device)
    labels = labels.gather(1, picks).view(-1, views * samples)
    features = embedding.flatten(2).gather(2, picks[:, None].expand(-1, channels, -1)).transpose(1, 2)
    features = F.normalize(features.float(), dim=-1).reshape(-1, views * samples, channels)
    with torch.autocast(embedding.device.type, enabled=False):
        similarity = features @ features.transpose(1, 2)
    logits = heads.likeness[0].exp() * (similarity - heads.likeness[1])
    same = (labels[:, :, None] == labels[:, None, :]).float()
    others = 1 - torch.eye(views * samples, device=labels.device)
    valid = ((labels > 0)[:, :, None] & (labels > 0)[:, None, :]).float() * others
    loss = F.binary_cross_entropy_with_logits(logits, same, reduction="none")
    positive, negative = valid * same, valid * (1 - same)
    return (loss * positive).sum() / positive.sum().clamp_min(1) + (loss * negative).sum() / negative.sum().clamp_min(1)


# ---- masks -----------------------------------------------------------------------------------------------------------


def mask_loss(logits: Tensor, target: Tensor, balance: float, spill: Tensor) -> tuple[Tensor, Tensor]:
    """Loss and IoU of masks: logits and soft targets (N, M, h, w), -> (N, M) each.

    Cross-entropy relative to the target's area (a small part counts as much as a large one) plus a Tversky loss.
    balance: 1 gives both classes the same weight (early: otherwise all masks are empty), 0 leaves every pixel its own
    weight (later: the former makes masks too large). spill: (M,) in (0, 1), weight of pixels wrongly inside against
    those wrongly outside; 0.5 is the Dice loss.
    """
    x, t = logits.flatten(2), target.flatten(2)
    softplus, probability = F.softplus(x), torch.sigmoid(x)
    area, pixels = t.sum(-1), x.shape[-1]
    t_softplus, inside = (t * softplus).sum(-1), (t * probability).sum(-1)
    missed = t_softplus - (t * x).sum(-1)  # sum of -t log p
    spilled = softplus.sum(-1) - t_softplus  # sum of -(1 - t) log(1 - p)
    plain = (2 * (1 - spill) * missed + 2 * spill * spilled) / (area + 0.003 * pixels)
    equal = missed / area.clamp_min(1) + spilled / (pixels - area).clamp_min(1)
    false_in, false_out = probability.sum(-1) - inside, area - inside
    tversky = 1 - (inside + 1) / (inside + spill * false_in + (1 - spill) * false_out + 1)
    with torch.no_grad():
        iou = hard_iou(logits, target)
    return balance * equal + (1 - balance) * 0.5 * plain + tversky, iou


# Single mask (used with several clicks); mask 0: the limb or other group of parts that a person would name first, which
# is the level of human labels; mask 1: the part of it that was clicked; mask 2: a second, more generous guess at the
# group.
MASK_WEIGHT = (0.15, 1.0, 0.5, 0.35)
SPILL = (0.5, 0.45, 0.5, 0.25)


@dataclass(frozen=True)
class RoundLoss:
    """Losses of one round of prompts: of the masks, of their predicted IoU, and the IoU (N, 4) of the masks."""

    masks: Tensor
    score: Tensor
    iou: Tensor


def judge(answer: tuple[Tensor, Tensor], group: Tensor, part: Tensor, balance: float) -> RoundLoss:
    """Losses of an answer of `decode_prompts`; group, part: soft masks (B, P, h, w) that masks 0 and 2, and mask 1,
    should show."""
    target = torch.stack([group, group, part, group], dim=2).flatten(0, 1)
    logits, scores = (x.flatten(0, 1) for x in answer)
    loss, iou = mask_loss(logits, target, balance, logits.new_tensor(SPILL))
    weight = logits.new_tensor(MASK_WEIGHT).repeat(len(loss), 1)
    # The second guess learns most where the first fails, so that the two differ.
    weight[:, 3] *= (1.25 * (1 - iou[:, 1])).clamp(0.1, 1)
    return RoundLoss((loss * weight).sum(1).mean(), F.mse_loss(scores, iou), iou)


def soft_masks(labels: Tensor, ids: Tensor, size: int) -> Tensor:
    """Masks labels == id, averaged down from 2 x 2 samples: labels (B, 224, 224), ids (B, P) -> (B, P, size, size)."""
    step = labels.shape[-1] // (2 * size)
    labels = labels[:, step // 2 :: step, step // 2 :: step] if step > 1 else labels
    masks = (labels[:, None] == ids[:, :, None, None].to(labels.dtype)).float()
    return F.avg_pool2d(masks, 2)


@dataclass(frozen=True)
class StepResult:
    loss: Tensor
    parts: dict[str, float]


def training_loss(
    sam: Sam, heads: AuxiliaryHeads, batch: Batch, config: TrainConfig, balance: float, generator: torch.Generator
) -> StepResult:
    """Two rounds of prompts on one batch: a click, then corrective clicks on some of the prompts."""
    size = batch.images.shape[1]
    embedding = sam.image_encoder(normalise(sam, batch.images))
    auxiliary = auxiliary_loss(heads, embedding, batch)
    affinity = affinity_loss(heads, embedding, batch.part, config.views, generator)
    points = ((batch.points + 0.5) * (size / batch.part.shape[-1]) - 0.5)[:, :, None]
    labels = torch.ones(points.shape[:3], dtype=torch.long, device=points.device)
    part = soft_masks(batch.part, batch.part_id, size // 2)
    group = soft_masks(batch.group, batch.group_id, size // 2)
    answer = decode_prompts(sam, embedding, points, labels)
    first = judge(answer, group, part, balance)
    clicks = tuple(x[:, : config.corrected] for x in (points, labels, group, part, answer[0][:, :, 1].detach()))
    second = corrected_round(sam, embedding, clicks, config, balance, generator)
    loss = first.masks + first.score + config.second_weight * (second.masks + second.score)
    loss = loss + config.affinity_weight * affinity + config.auxiliary_weight * auxiliary
    values = {
        "loss": loss,
        "first": first.masks,
        "second": second.masks,
        "score": first.score,
        "affinity": affinity,
        "auxiliary": auxiliary,
        **{f"iou{k}": first.iou[:, 1 + k].mean() for k in range(3)},
        "iou0_second": second.iou[:, 1].mean(),
    }
    return StepResult(loss, {k: float(v.detach()) for k, v in values.items()})


def corrected_round(
    sam: Sam,
    embedding: Tensor,
    clicks: tuple[Tensor, ...],
    config: TrainConfig,
    balance: float,
    generator: torch.Generator,
) -> RoundLoss:
    """The second round: one or two clicks into the error of the masks before; gradients flow through the last alone.

    clicks: points (B, P, 1, 2), labels (B, P, 1), soft group and part (B, P, h, w), and logits (B, P, h, w) of the
    first round, whose cells are 2 x 2 pixels of the image.
    """
    points, labels, group, part, current = clicks
    aims_at_group = torch.rand(part.shape[:2], generator=generator).to(part.device) < config.wanted_group
    wanted = torch.where(aims_at_group[..., None, None], group, part)
    shown = torch.rand((), generator=generator).item() < config.shown_mask
    third = torch.rand((), generator=generator).item() < config.third_click
    for is_last in (False, True) if third else (True,):
        points, labels = add_correction(points, labels, current.flatten(0, 1), wanted.flatten(0, 1), generator, cell=2)
        with torch.set_grad_enabled(is_last):
            answer = decode_prompts(sam, embedding, points, labels, current[:, :, None] if shown else None)
        current = answer[0][:, :, 1]
    return judge(answer, wanted, part, balance)
