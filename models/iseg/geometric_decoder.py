"""A decoder that also sees where the clicks are on the surface (not in the paper).

A vertex's feature says what is there, not where: on a symmetric body both arms look alike to the published decoder. This
one gets, beside the same features, the vertex's position relative to the nearest positive and negative click.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from models.iseg.click_decoder import ClickDecoder
from models.iseg.click_geometry import GEOMETRY_CHANNELS


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

    def to_dict(self) -> dict:
        """Plain values for a checkpoint."""
        return asdict(self)


class GeometricDecoder(ClickDecoder):
    """An MLP over concatenated [f_i, g_i, geometry_i]; otherwise as the published decoder, but shallower.

    The field's channels differ in scale from the geometry, so they are standardised by the mesh's own mean and deviation,
    kept as buffers.
    """

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
