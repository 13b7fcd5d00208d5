"""Interactive attention: from every vertex to the clicks, however many there are (paper Sec. 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class InteractiveAttention(nn.Module):
    """softmax(Q K^T / sqrt(d)) V over the clicks (Eqs. 4, 5); either kind of click has keys and values of its own.

    Five biased Linear(d, d) with the published names: `W_Q`, `W_Kp`, `W_Vp` (positive), `W_Kn`, `W_Vn` (negative).
    The order of the clicks carries no meaning. No residual.
    """

    def __init__(self, dim: int = 256) -> None:
        super().__init__()
        self.W_Q = nn.Linear(dim, dim)
        self.W_Kp = nn.Linear(dim, dim)
        self.W_Kn = nn.Linear(dim, dim)
        self.W_Vp = nn.Linear(dim, dim)
        self.W_Vn = nn.Linear(dim, dim)

    def forward(
        self, features: Tensor, click_features: Tensor, positive: Tensor, present: Tensor | None = None
    ) -> Tensor:
        """Conditioned features of N vertices.

        features        (..., N, d) of the vertices
        click_features  (..., C, d) of the clicked vertices
        positive        (..., C) bool, the kind of each click
        present         (..., C) bool, False for padding; None: all are there
        Returns (..., N, d).
        """
        return self.attend(self.W_Q(features), *self.keys_values(click_features, positive), present)

    def keys_values(self, click_features: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (..., C, d) of the clicks."""
        kind = positive[..., None]
        return (
            torch.where(kind, self.W_Kp(click_features), self.W_Kn(click_features)),
            torch.where(kind, self.W_Vp(click_features), self.W_Vn(click_features)),
        )

    def weights(self, queries: Tensor, keys: Tensor, present: Tensor | None = None) -> Tensor:
        """Softmax weights (..., N, C) of every vertex over the clicks, in float32 at least."""
        scores = (queries @ keys.transpose(-1, -2)) * keys.shape[-1] ** -0.5
        if scores.dtype in (torch.bfloat16, torch.float16):
            scores = scores.float()
        if present is not None:
            scores = scores.masked_fill(~present[..., None, :], float("-inf"))
        return scores.softmax(dim=-1)

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor, present: Tensor | None = None) -> Tensor:
        """The values (..., C, d) averaged for every vertex, (..., N, d)."""
        return self.weights(queries, keys, present).to(values) @ values
