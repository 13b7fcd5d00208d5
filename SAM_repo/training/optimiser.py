"""How vit_t's weights move: Muon for its hidden matrices, AdamW for the rest."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from SAM_repo.networks import Sam
from SAM_repo.training.config import TrainConfig
from SAM_repo.training.losses import AuxiliaryHeads
from utils.training import cosine


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """Roughly the nearest (semi-)orthogonal matrices (N, rows, columns), by the Newton-Schulz iteration of Muon."""
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
    """Momentum with orthogonalised updates for weight matrices (convolutions flattened), of the size of Adam's."""

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
        inner = name.startswith(("image_encoder.", "mask_decoder.transformer."))
        outer = name.startswith(("image_encoder.stem.", "image_encoder.position."))
        (hidden if inner and not outer and parameter.ndim >= 2 else rest).append(parameter)
    adam = torch.optim.AdamW([*rest, *heads.parameters()], config.lr, betas=(0.9, 0.98), weight_decay=0.0)
    return [Muon(hidden, config.lr, config.weight_decay), adam]


def learning_rate(config: TrainConfig, step: int) -> float:
    """Linear warm-up, then a cosine over the run to 1 % of the peak."""
    return config.lr * min(1.0, (step + 1) / config.warmup) * cosine(step / config.steps, floor=0.01)
