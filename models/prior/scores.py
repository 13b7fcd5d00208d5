"""Small networks that say how likely something is, by numbers known of it: joins of pieces, parts that match."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, dropout, gelu

from utils.errors import UserError
from utils.files import load_torch
from utils.progress import Progress, Step, silent
from utils.shipped import check_shipped
from utils.training import check_loss, cosine, set_rate

BOUND = 6.0  # deviations beyond which a value says no more
DROPOUT = 0.1  # in training
RATE, DECAY, BATCH = 2e-3, 1e-2, 1024
LEAST_DEVIATION = 0.02


@dataclass(frozen=True)
class ScoresConfig:
    """Numbers read and likelihoods written; width of both hidden layers; networks whose likelihoods are averaged."""

    read: int
    written: int = 1
    width: int = 64
    members: int = 4


class Scores(nn.Module):
    """Numbers known of each of R things -> likelihoods, (R, read) float32 -> (R, written) in [0, 1]."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: ScoresConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(config.read))
        self.register_buffer("deviation", torch.ones(config.read))
        sizes = (config.read, config.width), (config.width, config.width), (config.width, config.written)
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for read, written in sizes:
            bound = read**-0.5
            self.weights.append(nn.Parameter(torch.empty(config.members, read, written).uniform_(-bound, bound)))
            self.biases.append(nn.Parameter(torch.zeros(config.members, 1, written)))

    def members(self, known: Tensor) -> Tensor:
        """Logits (M, R, written) of each of the M networks, for known (R, read), or each its own, (M, R, read)."""
        hidden = ((known - self.mean) / self.deviation).clamp(-BOUND, BOUND)
        hidden = hidden.expand(self.config.members, *hidden.shape[-2:])
        for weight, bias in list(zip(self.weights, self.biases))[:-1]:
            hidden = dropout(gelu(torch.baddbmm(bias, hidden, weight)), DROPOUT, self.training)
        return torch.baddbmm(self.biases[-1], hidden, self.weights[-1])

    @torch.inference_mode()
    def __call__(self, known: np.ndarray) -> np.ndarray:  # type: ignore[override]
        return self.members(torch.from_numpy(known)).sigmoid().mean(dim=0).numpy()

    def state(self, kind: str, known: Sequence[str]) -> dict[str, object]:
        """What `load_scores` reads."""
        weights = {name: value.half() for name, value in self.state_dict().items()}
        return {"kind": kind, "known": list(known), "config": asdict(self.config), "weights": weights}


def load_scores(path: str | Path, kind: str, known: Sequence[str]) -> Scores:
    """The networks at `path` in float32; UserError if they are not of this kind or read other numbers."""
    check_shipped(path)
    held = load_torch(path, what=kind, kind=dict)
    try:
        if held["kind"] != kind or held["known"] != list(known):
            raise KeyError("other numbers than today's")
        scores = Scores(ScoresConfig(**held["config"]))
        scores.load_state_dict({name: value.float() for name, value in held["weights"].items()})
    except (KeyError, TypeError, RuntimeError) as error:
        raise UserError(
            f"{path} does not hold {kind} of this version; restore it with: git checkout -- models/weights, "
            "or train it again: scripts/train_prior.py proposals"
        ) from error
    return scores.eval().requires_grad_(False)


def fit_scores(
    config: ScoresConfig,
    known: np.ndarray,
    wanted: np.ndarray,
    weight: np.ndarray,
    epochs: int,
    seed: int = 0,
    on_progress: Progress = silent,
) -> Scores:
    """Networks trained by cross-entropy: known (S, read), wanted (S, written) likelihoods, weight (S,) of each."""
    torch.manual_seed(seed)
    scores = Scores(config)
    known_of, wanted_of = (torch.from_numpy(np.asarray(values, dtype=np.float32)) for values in (known, wanted))
    weight_of = torch.from_numpy(np.asarray(weight / np.mean(weight), dtype=np.float32))
    scores.mean.copy_(known_of.mean(dim=0))
    scores.deviation.copy_(known_of.std(dim=0, correction=0).clamp(min=LEAST_DEVIATION))
    optimizer = torch.optim.AdamW(scores.parameters(), RATE, weight_decay=DECAY)
    batch, done = min(BATCH, len(known_of)), 0
    steps = epochs * (len(known_of) // batch)
    for epoch in range(epochs):
        orders = torch.stack([torch.randperm(len(known_of)) for _ in range(config.members)])
        for start in range(0, len(known_of) - batch + 1, batch):
            rows = orders[:, start : start + batch]
            set_rate(optimizer, RATE * cosine(done / steps))
            done += 1
            missed = binary_cross_entropy_with_logits(scores.members(known_of[rows]), wanted_of[rows], reduction="none")
            loss = (missed * weight_of[rows][..., None]).mean(dim=(1, 2)).sum()
            check_loss(loss.detach())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        on_progress(Step("train", epoch + 1, epochs, "epoch", f"loss {float(loss.detach()):.3f}"))
    return scores.eval().requires_grad_(False)
