"""Gaussian Fourier features of a position."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class FourierFeatures(nn.Module):
    """x -> [x, sin(2 pi x B), cos(2 pi x B)] with B of Gaussian entries, columns sorted by norm (paper, appendix D).

    (V, 3) -> (V, 3 + 2 * frequencies). B is a buffer, so that a saved encoder reloads exactly.
    """

    def __init__(self, frequencies: int = 256, sigma: float = 5.0, generator: torch.Generator | None = None) -> None:
        super().__init__()
        matrix = torch.randn(3, frequencies, generator=generator) * sigma
        self.register_buffer("frequencies", matrix[:, matrix.norm(dim=0).argsort()])

    @property
    def out_features(self) -> int:
        return 3 + 2 * self.frequencies.shape[1]

    def forward(self, positions: Tensor) -> Tensor:
        phase = 2 * math.pi * positions @ self.frequencies
        return torch.cat([positions, phase.sin(), phase.cos()], dim=-1)
