"""Attention and decoder together: the network that is trained for a mesh, in either architecture."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.attention import InteractiveAttention
from models.iseg.click_decoder import ClickDecoder, initialize
from models.iseg.geometric_decoder import GeometricConfig, GeometricDecoder
from utils.errors import UserError

ARCHITECTURES = ("published", "geometric")


class ClickNetwork(nn.Module):
    """From vertex and click features to the logits of (background, selected).

    attention, decoder   the two published parts, saved under their own keys
    architecture         one of `ARCHITECTURES`
    """

    def __init__(self, architecture: str, attention: InteractiveAttention, decoder: ClickDecoder) -> None:
        super().__init__()
        self.architecture, self.attention, self.decoder = architecture, attention, decoder

    @property
    def uses_geometry(self) -> bool:
        return self.architecture == "geometric"

    def config(self) -> dict:
        """Plain values that `build_network` makes the same network from."""
        return self.decoder.config.to_dict() if self.uses_geometry else {}

    def forward(
        self,
        features: Tensor,
        click_features: Tensor,
        positive: Tensor,
        present: Tensor | None = None,
        geometry: Tensor | None = None,
    ) -> Tensor:
        """Logits (..., N, 2) of N vertices for C clicks.

        features (..., N, 256), click_features (..., C, 256) of the clicked vertices, positive (..., C) bool,
        present (..., C) bool or None if all are; geometry (..., N, GEOMETRY_CHANNELS) for the geometric architecture.
        """
        if self.uses_geometry:
            features, click_features = self.decoder.standardized(features), self.decoder.standardized(click_features)
        conditioned = self.attention(features, click_features, positive, present)
        parts = [features, conditioned] + ([geometry] if self.uses_geometry else [])
        return self.decoder.logits(torch.cat([part.to(conditioned.dtype) for part in parts], dim=-1))


def build_network(
    architecture: str, config: dict | None = None, generator: torch.Generator | None = None
) -> ClickNetwork:
    """A network initialised from `generator`; UserError for an unknown architecture or configuration."""
    if architecture == "published":
        decoder: ClickDecoder = ClickDecoder()
    elif architecture == "geometric":
        try:
            decoder = GeometricDecoder(GeometricConfig(**(config or {})))
        except TypeError as error:
            raise UserError(
                f"the decoder's configuration {config} is not one this program knows; train the decoder again"
            ) from error
    else:
        raise UserError(
            f"unknown decoder architecture '{architecture}'; this program knows {' and '.join(ARCHITECTURES)}"
        )
    network = ClickNetwork(architecture, InteractiveAttention(), decoder)
    initialize(network, generator)
    return network
