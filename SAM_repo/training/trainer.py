"""Losses, clicks and optimiser with which vit_t is trained; `scripts/train_vit_t.py` is the door."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from segment_anything.modeling import Sam
from torch import Tensor, nn

from SAM_repo.training.views import Batch, soft_masks
from SAM_repo.vit_t import VitTConfig, decode_prompts


@dataclass(frozen=True)
class TrainConfig:
    """Everything that shapes a run besides the model's sizes; with a seed it fixes every step."""

    steps: int = 4000
    seed: int = 0
    shapes: int = 4000  # in the pool that steps draw from; 0: new ones in every step
    stored_views: int = 8  # of each shape of the pool
    leave_out: str = ""  # shape families never shown, separated by commas
    small_size: int = 112  # images start at this side ...
    small_until: float = 0.5  # ... until this fraction of the run
    small_shapes: int = 12
    large_shapes: int = 6
    views: int = 2  # of one shape, in one batch
    prompts: int = 6  # of one image
    corrected: int = 3  # of them prompted a second time
    lr: float = 1.5e-3
    warmup: int = 100
    weight_decay: float = 0.03
    balance_until: float = 0.2  # fraction of the run in which both classes of a mask weigh the same
    ema: float = 0.998
    sync_every: int = 4  # steps between averagings of the weights of several processes

    def to_dict(self) -> dict[str, float | str]:
        return asdict(self)

    def left_out(self) -> tuple[str, ...]:
        return tuple(name.strip() for name in self.leave_out.split(",") if name.strip())


# ---- model with training-only heads --------------------------------------------------------------------------------------------


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

    embedding (B, C, h, w), part (B, H, W) with ids shared by `views` consecutive images. Cosine similarities become logits; the two
    classes weigh the same.
    """
    count, channels, height, width = embedding.shape
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
    valid = ((labels > 0)[:, :, None] & (labels > 0)[:, None, :]).float() * (
        1 - torch.eye(views * samples, device=labels.device)
    )
    loss = F.binary_cross_entropy_with_logits(logits, same, reduction="none")
    positive, negative = valid * same, valid * (1 - same)
    return (loss * positive).sum() / positive.sum().clamp_min(1) + (loss * negative).sum() / negative.sum().clamp_min(1)


# ---- masks ---------------------------------------------------------------------------------------------------------------------


def mask_loss(logits: Tensor, target: Tensor, balance: float, spill: Tensor) -> tuple[Tensor, Tensor]:
    """Loss and IoU of masks: logits and soft targets (N, M, h, w), -> (N, M) each.

    Cross-entropy relative to the target's area (a small part counts as much as a large one) plus a Tversky loss.
    balance: 1 gives both classes the same weight (early: otherwise all masks are empty), 0 leaves every pixel its own weight (later: the
    former makes masks too large). spill: (M,) in (0, 1), weight of pixels wrongly inside against those wrongly outside; 0.5 is the Dice loss.
    """
    x, t = logits.flatten(2), target.flatten(2)
    softplus, probability = F.softplus(x), torch.sigmoid(x)
    area, pixels = t.sum(-1), x.shape[-1]
    all_negative, t_softplus, t_x, inside = (
        softplus.sum(-1),
        (t * softplus).sum(-1),
        (t * x).sum(-1),
        (t * probability).sum(-1),
    )
    missed = t_softplus - t_x  # sum of -t log p
    spilled = all_negative - t_softplus  # sum of -(1 - t) log(1 - p)
    plain = (2 * (1 - spill) * missed + 2 * spill * spilled) / (area + 0.003 * pixels)
    equal = missed / area.clamp_min(1) + spilled / (pixels - area).clamp_min(1)
    false_in, false_out = probability.sum(-1) - inside, area - inside
    tversky = 1 - (inside + 1) / (inside + spill * false_in + (1 - spill) * false_out + 1)
    with torch.no_grad():
        iou = hard_iou(logits, target)
    return balance * equal + (1 - balance) * 0.5 * plain + tversky, iou


def hard_iou(logits: Tensor, target: Tensor) -> Tensor:
    """IoU (N, M) of logits > 0 with target > 0.5, both (N, M, h, w)."""
    predicted, true = (logits > 0).flatten(2), (target > 0.5).flatten(2)
    return (predicted & true).sum(-1) / (predicted | true).sum(-1).clamp_min(1)


# Single mask (used with several clicks); mask 0: the limb or other group of parts that a person would name first, which is the level of
# human labels; mask 1: the part of it that was clicked; mask 2: a second, more generous guess at the group.
MASK_WEIGHT = (0.15, 1.0, 0.5, 0.35)
SPILL = (0.5, 0.45, 0.5, 0.25)


def prompt_loss(logits: Tensor, scores: Tensor, target: Tensor, balance: float) -> tuple[Tensor, Tensor, Tensor]:
    """Loss of the four masks of N prompts and of their predicted IoU. logits (N, 4, h, w), scores (N, 4), target (N, 4, h, w)."""
    loss, iou = mask_loss(logits, target, balance, logits.new_tensor(SPILL))
    score = F.mse_loss(scores, iou)
    weight = logits.new_tensor(MASK_WEIGHT).repeat(len(loss), 1)
    # The second guess learns most where the first fails, so that the two differ.
    weight[:, 3] *= (1.25 * (1 - iou[:, 1])).clamp(0.1, 1)
    return (loss * weight).sum(1).mean(), score, iou


def corrective_clicks(logits: Tensor, target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A click in the larger of the missed and the wrongly included area, rather inside it than at its rim.

    logits, target: (N, h, w). Returns xy (N, 2) in mask cells and labels (N,), 1 for a missed area; a perfect mask gets a click inside.
    """
    predicted, true = logits > 0, target > 0.5
    missed, spilled = true & ~predicted, predicted & ~true
    positive = missed.flatten(1).sum(1) >= spilled.flatten(1).sum(1)
    region = torch.where(positive[:, None, None], missed, spilled).float()
    perfect = region.flatten(1).sum(1) == 0
    region = torch.where(perfect[:, None, None], target + 1e-6, region)
    depth = F.avg_pool2d(F.avg_pool2d(region[:, None], 3, 1, 1), 3, 1, 1)[:, 0]
    weight = (region * depth**3).flatten(1).cpu() + 1e-12
    index = torch.multinomial(weight, 1, generator=generator)[:, 0].to(logits.device)
    width = logits.shape[-1]
    return torch.stack([index % width, index // width], dim=1).float(), (positive | perfect).long()


@dataclass
class StepResult:
    loss: Tensor
    parts: dict[str, float]


def training_loss(
    sam: Sam, heads: AuxiliaryHeads, batch: Batch, config: TrainConfig, balance: float, generator: torch.Generator
) -> StepResult:
    """Two rounds of prompts on one batch: a click, then a corrective click on some of the prompts.

    Two thirds of the second rounds aim at the group, the others at the part; most see the first round's mask; sometimes a third click follows.
    """
    size = batch.images.shape[1]
    mask_size = size // 2
    scale = size / batch.part.shape[-1]
    embedding = sam.image_encoder(normalise(sam, batch.images))
    auxiliary = auxiliary_loss(heads, embedding, batch)
    affinity = affinity_loss(heads, embedding, batch.part, config.views, generator)

    points = ((batch.points + 0.5) * scale - 0.5)[:, :, None]
    labels = torch.ones(points.shape[:3], dtype=torch.long, device=points.device)
    part = soft_masks(batch.part, batch.part_id, mask_size)
    group = soft_masks(batch.group, batch.group_id, mask_size)
    logits, scores = decode_prompts(sam, embedding, points, labels)
    target = torch.stack([group, group, part, group], dim=2)
    first, first_score, first_iou = prompt_loss(
        logits.flatten(0, 1), scores.flatten(0, 1), target.flatten(0, 1), balance
    )

    chosen = slice(0, config.corrected)
    points, labels, part, group = points[:, chosen], labels[:, chosen], part[:, chosen], group[:, chosen]
    coarse = torch.rand(part.shape[:2], generator=generator).to(part.device) < 0.65
    wanted = torch.where(coarse[..., None, None], group, part)
    current = logits[:, chosen, 1].detach()
    use_previous = torch.rand((), generator=generator).item() < 0.7
    third = torch.rand((), generator=generator).item() < 0.2
    for last in [False, True] if third else [True]:
        xy, label = corrective_clicks(current.flatten(0, 1), wanted.flatten(0, 1), generator)
        xy = (xy + 0.5) * (size / mask_size) - 0.5
        points = torch.cat([points, xy.view(*points.shape[:2], 1, 2)], dim=2)
        labels = torch.cat([labels, label.view(*labels.shape[:2], 1)], dim=2)
        previous = current[:, :, None] if use_previous else None
        with torch.set_grad_enabled(last):
            logits, scores = decode_prompts(sam, embedding, points, labels, previous)
        current = logits[:, :, 1].detach()
    target = torch.stack([wanted, wanted, part, wanted], dim=2)
    second, second_score, second_iou = prompt_loss(
        logits.flatten(0, 1), scores.flatten(0, 1), target.flatten(0, 1), balance
    )

    loss = first + 0.5 * second + first_score + 0.5 * second_score + 0.3 * affinity + 0.3 * auxiliary
    values = {
        "loss": loss,
        "first": first,
        "second": second,
        "score": first_score,
        "affinity": affinity,
        "auxiliary": auxiliary,
        "iou0": first_iou[:, 1].mean(),
        "iou1": first_iou[:, 2].mean(),
        "iou2": first_iou[:, 3].mean(),
        "iou0_second": second_iou[:, 1].mean(),
    }
    return StepResult(loss, {k: float(v.detach()) for k, v in values.items()})


def normalise(sam: Sam, images: Tensor) -> Tensor:
    """uint8 (B, S, S, 3) -> float (B, 3, S, S) as `Sam.preprocess` gives it."""
    return (images.permute(0, 3, 1, 2).float() - sam.pixel_mean) / sam.pixel_std


# ---- optimiser -----------------------------------------------------------------------------------------------------------------


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """Nearest (semi-)orthogonal matrices, roughly, by the Newton-Schulz iteration of Muon. (N, rows, columns) to the same shape."""
    x = matrices.bfloat16()
    transposed = x.shape[-2] > x.shape[-1]
    if transposed:
        x = x.transpose(-1, -2)
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.transpose(-1, -2)
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return (x.transpose(-1, -2) if transposed else x).float()


class Muon(torch.optim.Optimizer):
    """Momentum with orthogonalised updates for weight matrices (convolutions flattened), scaled to the size of Adam's updates."""

    def __init__(self, params: list[nn.Parameter], lr: float, weight_decay: float, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
                momentum.lerp_(p.grad, 1 - group["momentum"])
                update = p.grad.lerp(momentum, group["momentum"]).flatten(1)
                update = orthogonalise(update[None])[0] * (0.2 * math.sqrt(max(update.shape)))
                p.mul_(1 - group["lr"] * group["weight_decay"]).add_(update.view_as(p), alpha=-group["lr"])


def build_optimisers(sam: Sam, heads: AuxiliaryHeads, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """Muon for the hidden weight matrices, AdamW for everything else."""
    hidden, rest = [], []
    for name, parameter in sam.named_parameters():
        inner = name.startswith(("image_encoder.", "mask_decoder.transformer.")) and not name.startswith(
            ("image_encoder.stem.", "image_encoder.position.")
        )
        (hidden if inner and parameter.ndim >= 2 else rest).append(parameter)
    rest += list(heads.parameters())
    return [
        Muon(hidden, config.lr, config.weight_decay),
        torch.optim.AdamW(rest, config.lr, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def learning_rate(config: TrainConfig, step: int, fraction: float) -> float:
    """Linear warm-up, then a cosine over the run to 1 % of the peak."""
    warm = min(1.0, (step + 1) / config.warmup)
    return config.lr * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(fraction, 1.0))))
