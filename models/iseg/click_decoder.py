"""The published decoder: from a vertex's feature and its conditioned feature to the selection (paper Sec. 3.3, appendix D)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PUBLISHED_WIDTHS = (512, *(256,) * 14)


class ClickDecoder(nn.Module):
    """An MLP over concatenated [f_i, g_i] that ends in a softmax over (background, selected) (Eq. 6).

    mlp: [Linear, ReLU, LayerNorm] for each of `widths`, then Linear to 2 and Softmax. The defaults are the published 16
    linear layers; the state dict has the published names, `mlp.0.weight`, `mlp.2.weight` (LayerNorm), `mlp.3.weight`, ...
    """

    def __init__(self, inputs: int = 512, widths: tuple[int, ...] = PUBLISHED_WIDTHS) -> None:
        super().__init__()
        self.mlp = nn.ModuleList()
        for width in widths:
            self.mlp.extend([nn.Linear(inputs, width), nn.ReLU(), nn.LayerNorm(width)])
            inputs = width
        self.mlp.extend([nn.Linear(inputs, 2), nn.Softmax(dim=-1)])

    def forward(self, inputs: Tensor) -> Tensor:
        """Probabilities (..., 2) of (background, selected) from (..., inputs)."""
        return self.mlp[-1](self.logits(inputs).float())

    def logits(self, inputs: Tensor) -> Tensor:
        """What the softmax sees, (..., 2)."""
        for layer in self.mlp[:-1]:
            inputs = layer(inputs)
        return inputs


def initialize(module: nn.Module, generator: torch.Generator | None) -> None:
    """PyTorch's own initialisation of every Linear in `module`, drawn from `generator`."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            bound = layer.in_features**-0.5
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
