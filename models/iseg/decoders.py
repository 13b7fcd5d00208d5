"""Attention and decoder: the network that is trained for a mesh, as published and in one that sees geometry.

A vertex's feature says what is there, not where: on a symmetric body both arms look alike to the published decoder. The
geometric one (not in the paper) gets, beside the same features, the vertex's position relative to the nearest clicks.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from models.attention import InteractiveAttention
from models.iseg.click_geometry import GEOMETRY_CHANNELS
from utils.errors import UserError

ARCHITECTURES = ("published", "geometric")
PUBLISHED_WIDTHS = (512, *(256,) * 14)


class ClickDecoder(nn.Module):
    """An MLP over concatenated [f_i, g_i] that ends in a softmax over (background, selected) (Eq. 6, appendix D).

    mlp: [Linear, ReLU, LayerNorm] for each of `widths`, then Linear to 2 and Softmax. The defaults are the published
    16 linear layers, and the names of the state dict the published ones: `mlp.0.weight`, `mlp.2.weight`, ...
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

    def standardized(self, features: Tensor) -> Tensor:
        """What the decoder reads of features (..., 256): as they are."""
        return features


@dataclass(frozen=True)
class GeometricConfig:
    """Architecture of the geometric decoder.

    features  channels of the field; geometry: channels of `models.iseg.click_geometry`
    width     of every hidden layer; depth: how many there are
    """

    features: int = 256
    geometry: int = GEOMETRY_CHANNELS
    width: int = 256
    depth: int = 4


class GeometricDecoder(ClickDecoder):
    """An MLP over concatenated [f_i, g_i, geometry_i]; otherwise as the published decoder, but shallower.

    The field's channels differ in scale from the geometry, so they are standardised by the mesh's own mean and
    deviation, kept as buffers.
    """

    feature_mean: Tensor
    feature_scale: Tensor

    def __init__(self, config: GeometricConfig = GeometricConfig()) -> None:
        super().__init__(2 * config.features + config.geometry, (config.width,) * config.depth)
        self.config = config
        self.register_buffer("feature_mean", torch.zeros(config.features))
        self.register_buffer("feature_scale", torch.ones(config.features))

    def standardize(self, features: Tensor) -> None:
        """Take the mean and deviation of the channels from a mesh's field (V, features)."""
        self.feature_mean.copy_(features.mean(dim=0))
        self.feature_scale.copy_(features.std(dim=0, correction=0).clamp(min=1e-3))

    def standardized(self, features: Tensor) -> Tensor:
        """Features (..., features) with each channel brought to mean 0 and deviation 1 on the mesh."""
        return (features - self.feature_mean) / self.feature_scale


class ClickNetwork(nn.Module):
    """From vertex and click features to the logits of (background, selected).

    attention, decoder   the two published parts, saved under their own keys
    """

    def __init__(self, attention: InteractiveAttention, decoder: ClickDecoder) -> None:
        super().__init__()
        self.attention, self.decoder = attention, decoder

    @property
    def uses_geometry(self) -> bool:
        return isinstance(self.decoder, GeometricDecoder)

    @property
    def architecture(self) -> str:
        return "geometric" if self.uses_geometry else "published"

    def config(self) -> dict[str, Any]:
        """Plain values that `build_network` makes the same network from."""
        return asdict(self.decoder.config) if isinstance(self.decoder, GeometricDecoder) else {}

    def forward(
        self,
        features: Tensor,
        click_features: Tensor,
        positive: Tensor,
        present: Tensor | None = None,
        geometry: Tensor | None = None,
    ) -> Tensor:
        """Logits (..., N, 2) of N vertices for C clicks.

        features (..., N, 256), click_features (..., C, 256) of the clicked vertices, positive (..., C) bool, present
        (..., C) bool or None if all are; geometry (..., N, GEOMETRY_CHANNELS) for the geometric architecture.
        """
        features, click_features = self.decoder.standardized(features), self.decoder.standardized(click_features)
        conditioned = self.attention(features, click_features, positive, present)
        parts = [features, conditioned] + ([geometry] if geometry is not None and self.uses_geometry else [])
        return self.decoder.logits(torch.cat([part.to(conditioned.dtype) for part in parts], dim=-1))


def build_network(
    architecture: str, config: dict[str, Any] | None = None, generator: torch.Generator | None = None
) -> ClickNetwork:
    """A network initialised from `generator`; UserError for an unknown architecture or configuration."""
    if architecture not in ARCHITECTURES:
        raise UserError(
            f"unknown decoder architecture '{architecture}'; this program knows {' and '.join(ARCHITECTURES)}"
        )
    decoder = ClickDecoder()
    if architecture == "geometric":
        try:
            decoder = GeometricDecoder(GeometricConfig(**(config or {})))
        except (TypeError, ValueError, AttributeError, AssertionError) as error:
            raise UserError(
                f"the decoder's configuration {config} is not one this program knows; train the decoder again"
            ) from error
    network = ClickNetwork(InteractiveAttention(), decoder)
    initialize(network, generator)
    return network


def initialize(module: nn.Module, generator: torch.Generator | None) -> None:
    """PyTorch's own initialisation of every Linear in `module`, drawn from `generator`."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            bound = layer.in_features**-0.5
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
