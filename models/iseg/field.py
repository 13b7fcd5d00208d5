"""The mesh feature field (MFF): an MLP from vertex positions to the teacher's embedding space (paper Sec. 3.1)."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from models.iseg.fourier import FourierFeatures


@dataclass(frozen=True)
class FieldConfig:
    """Architecture of the field; the defaults are the published ones.

    depth hidden layers of `width` after the first; n_classes output channels; sigma of the Fourier features;
    positional_encoding off feeds the bare position. output_scale multiplies the tanh: 1 as published; larger for
    a teacher whose embedding leaves [-1, 1].
    """

    depth: int = 4
    width: int = 256
    n_classes: int = 256
    positional_encoding: bool = True
    sigma: float = 5.0
    output_scale: float = 1.0


class FeatureField(nn.Module):
    """Normalised positions (V, 3) -> features (V, n_classes).

    Fourier features, Linear + ReLU + LayerNorm (1 + depth times), Linear, tanh.
    """

    def __init__(self, config: FieldConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.encoding = FourierFeatures(256, config.sigma, generator) if config.positional_encoding else nn.Identity()
        width = self.encoding.out_features if config.positional_encoding else 3
        layers: list[nn.Module] = []
        for _ in range(config.depth + 1):
            layers += [nn.Linear(width, config.width), nn.ReLU(), nn.LayerNorm(config.width)]
            width = config.width
        layers.append(nn.Linear(width, config.n_classes))
        self.mlp = nn.Sequential(*layers)
        for layer in self.mlp:
            if isinstance(layer, nn.Linear):  # PyTorch's own initialisation, drawn from the given generator
                bound = layer.in_features**-0.5
                nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
                nn.init.uniform_(layer.bias, -bound, bound, generator=generator)

    def forward(self, positions: Tensor) -> Tensor:
        return self.decode(self.encoding(positions))

    def decode(self, encoded: Tensor) -> Tensor:
        """The field from already encoded positions, which do not change during training."""
        return torch.tanh(self.mlp(encoded)) * self.config.output_scale

    def config_dict(self) -> dict:
        """Plain values for a checkpoint."""
        return asdict(self.config)
