"""The prior decoder: interactive attention and diffusion on a mesh's nodes, trained once for all meshes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, linear, softplus

from models.attention import InteractiveAttention
from models.prior.inputs import CLICK_CHANNELS, EMBEDDING, SPREAD, STATIC_CHANNELS, VANISHED, ClickBatch, NodeTensors


@dataclass(frozen=True)
class PriorConfig:
    """Architecture: channels of the field, width of every layer, graph layers before and after the clicks come in."""

    field: int = 64
    width: int = 72
    static_layers: int = 2
    click_layers: int = 4
    hops: int = 4


class GraphLayer(nn.Module):
    """A residual layer that mixes each node with its neighbours, those `hops` away on its side of creases, and the
    whole surface, by diffusion for a learned time per channel (as DiffusionNet does, on modes that stop at creases).
    """

    def __init__(self, width: int, hops: int) -> None:
        super().__init__()
        self.hops = hops
        self.norm = nn.LayerNorm(width)
        self.log_time = nn.Parameter(torch.linspace(-7.0, 0.0, width))
        self.mix = nn.Linear(4 * width, width)
        self.out = nn.Linear(width, width)

    def forward(self, hidden: Tensor, nodes: NodeTensors) -> Tensor:
        """(N, B, W) -> (N, B, W): nodes come first, so that sparse products need no copy."""
        values = self.norm(hidden)
        with torch.autocast(values.device.type, enabled=False):  # sparse products are not offered in bfloat16
            flat = values.float().flatten(1)
            near = far = nodes.concave(flat)
            for _ in range(self.hops - 1):
                far = nodes.concave(far)
            # bounded: what is smaller becomes subnormal numbers, with which processors are 30 times slower
            decay = torch.exp(-(nodes.rates[:, None] * self.log_time.exp()).clamp(max=VANISHED))
            spread = (nodes.modes.T @ (nodes.area[:, None] * flat)).view(-1, *values.shape[1:]) * decay[:, None]
        # one product a neighbourhood: the concatenation would be copied
        own, once, often, everywhere = self.mix.weight.split(values.shape[-1], dim=1)
        mixed = linear(values, own, self.mix.bias)
        mixed += linear(near.view_as(values), once)
        mixed += linear(far.view_as(values), often)
        mixed += (nodes.modes @ linear(spread, everywhere).float().flatten(1)).view_as(values)  # modes are few
        return hidden + self.out(gelu(mixed))


def _layers(config: PriorConfig, count: int) -> nn.ModuleList:
    return nn.ModuleList(GraphLayer(config.width, config.hops) for _ in range(count))


class PriorNetwork(nn.Module):
    """Nodes and clicks -> three nested answers and how good each is expected to be.

    `encode` depends on the mesh alone and is computed once; `forward` answers B sets of clicks.
    """

    def __init__(self, config: PriorConfig = PriorConfig()) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.static = nn.Linear(config.field + STATIC_CHANNELS + EMBEDDING, width)
        self.static_layers = _layers(config, config.static_layers)
        self.static_norm = nn.LayerNorm(width)
        self.attention = InteractiveAttention(width)
        self.clicked = nn.Linear(2 * width + CLICK_CHANNELS, width)
        self.click_layers = _layers(config, config.click_layers)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 3)
        self.quality = nn.Sequential(nn.Linear(3 * width + 4, width), nn.GELU(), nn.Linear(width, 1))
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if name.endswith(".out.bias"):
                    parameter.zero_()
                elif name.endswith(".out.weight"):
                    parameter.mul_(0.3)
            self.head.bias.copy_(torch.tensor([0.0, 0.5, 0.5]))

    def encode(self, nodes: NodeTensors) -> Tensor:
        """(N, W): what a node is, before any click."""
        read = [nodes.features, nodes.static, nodes.embedding / SPREAD]
        hidden = self.static(torch.cat(read, dim=1))[:, None]
        for layer in self.static_layers:
            hidden = layer(hidden, nodes)
        return self.static_norm(hidden[:, 0])

    def forward(self, nodes: NodeTensors, encoded: Tensor, clicks: ClickBatch) -> tuple[Tensor, Tensor]:
        """Logits (B, 3, N), ascending along axis 1 (finer, default, coarser), and quality logits (B, 3)."""
        attended = self.attention(encoded, encoded[clicks.nodes], clicks.positive, clicks.present)
        of_mesh, of_clicks = self.clicked.weight.tensor_split([self.config.width], dim=1)
        asked = linear(torch.cat([attended, clicks.channels], dim=-1), of_clicks)
        hidden = (asked + linear(encoded, of_mesh, self.clicked.bias)).transpose(0, 1).contiguous()
        for layer in self.click_layers:
            hidden = layer(hidden, nodes)
        hidden = self.norm(hidden).transpose(0, 1)
        middle, down, up = self.head(hidden).unbind(dim=-1)
        logits = torch.stack([middle - softplus(down), middle, middle + softplus(up)], dim=1)
        return logits, self._quality(hidden.detach(), logits.detach(), nodes.area, clicks.present.sum(dim=1))

    def _quality(self, hidden: Tensor, logits: Tensor, area: Tensor, clicks: Tensor) -> Tensor:
        """(B, 3) from means over the selection, over its surroundings and over what is uncertain."""
        probability = logits.float().sigmoid()
        inside = probability * area
        unsure = (probability * (1 - probability)) * area
        pooled = [
            torch.einsum("bkn,bnw->bkw", weight / weight.sum(dim=-1, keepdim=True).clamp(min=1e-6), hidden.float())
            for weight in (inside, (1 - probability) * area, unsure)
        ]
        share = inside.sum(dim=-1, keepdim=True)
        doubt = unsure.sum(dim=-1, keepdim=True) / share.clamp(min=1e-4)
        hard = (inside * (probability > 0.5)).sum(dim=-1, keepdim=True) / share.clamp(min=1e-4)
        count = clicks.float().add(1).log()[:, None, None].expand_as(share)
        return self.quality(torch.cat([*pooled, share.clamp(min=1e-4).log(), doubt.clamp(max=4), hard, count], dim=-1))[
            ..., 0
        ]
