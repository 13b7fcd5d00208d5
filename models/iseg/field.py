"""The mesh feature field (MFF): an MLP from vertex positions to the teacher's embedding space (paper Sec. 3.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.iseg.decoders import initialize
from utils.options import Checked, option


class FourierFeatures(nn.Module):
    """x -> [x, sin(2 pi x B), cos(2 pi x B)] with B of Gaussian entries, columns sorted by norm (paper, appendix D).

    (V, 3) -> (V, 3 + 2 * frequencies). B is a buffer, so that a saved encoder reloads exactly.
    """

    frequencies: Tensor

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


@dataclass(frozen=True)
class FieldConfig(Checked):
    """Architecture of the field; the defaults are the published ones.

    positional_encoding  off feeds the bare position
    output_scale         multiplies the tanh: 1 as published; larger for a teacher whose embedding leaves [-1, 1]
    """

    depth: int = option(4, "hidden layers after the first", within="[0, 64]", group="field")
    width: int = option(256, "of the hidden layers", within="[1, 8192]")
    n_classes: int = option(256, "channels of the field; the teacher's embedding has 256", within="[1, 8192]")
    positional_encoding: bool = option(True, "Gaussian Fourier features")
    sigma: float = option(5.0, "of the Fourier features", within="(0, 1000]")
    output_scale: float = 1.0


class FeatureField(nn.Module):
    """Normalised positions (V, 3) -> features (V, n_classes).

    Fourier features, Linear + ReLU + LayerNorm (1 + depth times), Linear, tanh.
    """

    def __init__(self, config: FieldConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.encoding, width = nn.Identity(), 3
        if config.positional_encoding:
            self.encoding = FourierFeatures(256, config.sigma, generator)
            width = self.encoding.out_features
        layers: list[nn.Module] = []
        for _ in range(config.depth + 1):
            layers += [nn.Linear(width, config.width), nn.ReLU(), nn.LayerNorm(config.width)]
            width = config.width
        layers.append(nn.Linear(width, config.n_classes))
        self.mlp = nn.Sequential(*layers)
        initialize(self.mlp, generator)

    def forward(self, positions: Tensor) -> Tensor:
        return self.decode(self.encoding(positions))

    def decode(self, encoded: Tensor) -> Tensor:
        """The field from already encoded positions, which do not change during training."""
        return torch.tanh(self.mlp(encoded)) * self.config.output_scale
