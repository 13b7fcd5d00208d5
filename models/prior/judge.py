"""The judge: which of many readings a correction means, by what is known of each (`models.prior.readings`)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, gelu

from models.prior.readings import KNOWN
from utils.errors import UserError
from utils.files import load_torch
from utils.shipped import check_shipped

KIND = "judge of the prior"
WEIGHTS = Path(__file__).resolve().parents[1] / "weights" / "judge.pt"
BOUND = 6.0  # deviations beyond which a value says no more
DROPOUT = 0.1  # in training


@dataclass(frozen=True)
class JudgeConfig:
    """Numbers known of a reading; width of both hidden layers; networks whose choices are averaged."""

    known: int = len(KNOWN)
    width: int = 48
    members: int = 4


class Judge(nn.Module):
    """What is known of R readings -> how likely each is the best, and the IoU expected of each.

    Each reading is seen beside the mean of all and beside the first, which would be answered without a judge.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: JudgeConfig = JudgeConfig()) -> None:
        super().__init__()
        self.config = config
        members, width = config.members, config.width
        self.register_buffer("mean", torch.zeros(config.known))
        self.register_buffer("deviation", torch.ones(config.known))
        sizes = (config.known, width), (3 * width, width), (width, 2)
        for name, (read, written) in zip(("first", "second", "head"), sizes):
            bound = read**-0.5
            weight, bias = torch.empty(members, read, written), torch.empty(members, 1, written)
            setattr(self, f"{name}_weight", nn.Parameter(weight.uniform_(-bound, bound)))
            setattr(self, f"{name}_bias", nn.Parameter(bias.uniform_(-bound, bound)))

    def members(self, known: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
        """Of each member M: logits (M, B, R), -inf where not allowed, and IoU expected (M, B, R).

        known (M or 1, B, R, K) float32, allowed (M or 1, B, R) bool
        """
        seen = ((known - self.mean) / self.deviation).clamp(-BOUND, BOUND)
        hidden = gelu(self._layer("first", seen))
        count = allowed.sum(dim=-1)[..., None, None].clamp(min=1)
        together = (hidden * allowed[..., None]).sum(dim=-2, keepdim=True) / count
        beside = [hidden, together.expand_as(hidden), hidden[..., :1, :].expand_as(hidden)]
        hidden = gelu(self._layer("second", dropout(torch.cat(beside, dim=-1), DROPOUT, self.training)))
        logits, expected = self._layer("head", hidden).unbind(dim=-1)
        return logits.masked_fill(~allowed, -torch.inf), expected

    def _layer(self, name: str, values: Tensor) -> Tensor:
        weight, bias = getattr(self, f"{name}_weight"), getattr(self, f"{name}_bias")
        return torch.einsum("mbrk,mkw->mbrw", values.expand(len(weight), -1, -1, -1), weight) + bias[:, None]

    def forward(self, known: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
        """Probability of being chosen and IoU expected, (B, R) each: means over the members."""
        logits, expected = self.members(known[None], allowed[None])
        return logits.softmax(dim=-1).mean(dim=0), expected.mean(dim=0)

    @torch.inference_mode()
    def choose(self, known: np.ndarray, allowed: np.ndarray) -> tuple[int, float]:
        """The row of the best of R readings and the IoU expected of it: known (R, K) float32, allowed (R,) bool."""
        probability, expected = self(torch.from_numpy(known)[None], torch.from_numpy(allowed)[None])
        row = int(probability[0].argmax())
        return row, min(max(float(expected[0, row]), 0.0), 1.0)

    def state(self) -> dict[str, object]:
        """What `load_judge` reads."""
        weights = {name: value.half() for name, value in self.state_dict().items()}
        return {"kind": KIND, "known": list(KNOWN), "config": asdict(self.config), "weights": weights}


def load_judge(path: str | Path = WEIGHTS) -> Judge:
    """The judge at `path` in float32; UserError if it cannot be used."""
    check_shipped(path)
    held = load_torch(path, what="judge of the prior", kind=dict)
    try:
        if held["kind"] != KIND or held["known"] != list(KNOWN):
            raise KeyError("other readings than today's")
        judge = Judge(JudgeConfig(**held["config"]))
        judge.load_state_dict({name: value.float() for name, value in held["weights"].items()})
    except (KeyError, TypeError, RuntimeError) as error:
        remedy = (
            "restore it with: git checkout -- models/weights"
            if Path(path) == WEIGHTS
            else "train it again: scripts/train_prior.py judge"
        )
        raise UserError(f"{path} does not hold a judge of this version; {remedy}") from error
    return judge.eval().requires_grad_(False)
