"""Calibration of vit_t's predicted IoU: only the IoU head learns, so masks and embeddings stay bit for bit what they
were.

The head reads one token of the mask decoder. Those tokens and the IoU of the masks that came with them are collected
once on fresh
synthetic shapes; fitting the head to them then takes seconds.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from segment_anything.modeling import Sam
from torch import Tensor, nn

from SAM_repo.evaluation.measure import upsample
from SAM_repo.fast_decoder import decode_prompts
from SAM_repo.training.config import ScoreConfig
from SAM_repo.training.losses import add_click, corrective_clicks, hard_iou
from SAM_repo.training.views import VIEW_SIZE, claim, make_batch, shape_views
from SAM_repo.vit_t import VitTConfig, build_vit_t, normalise
from utils.device import fast_autocast
from utils.errors import UserError
from utils.files import digest, load_torch, save_torch
from utils.geometry.mesh import Mesh
from utils.progress import Progress, silent, track
from utils.shapes import random_shape

HEAD = "mask_decoder.iou_prediction_head."
ROUNDS = 3  # a click, then corrective clicks


@dataclass
class ScoreData:
    """What the head sees and should say: tokens (N, C) float32, ious (N, 4) of the single mask and the three masks,
    clicks (N,) 1 to 3,
    shapes (N,) seeds."""

    tokens: Tensor
    ious: Tensor
    clicks: Tensor
    shapes: Tensor

    @staticmethod
    def joined(parts: list[ScoreData]) -> ScoreData:
        return ScoreData(
            *(torch.cat([getattr(part, name) for part in parts]) for name in ("tokens", "ious", "clicks", "shapes"))
        )

    def __getitem__(self, rows: Tensor) -> ScoreData:
        return ScoreData(self.tokens[rows], self.ious[rows], self.clicks[rows], self.shapes[rows])


@torch.no_grad()
def score_data(sam: Sam, seed: int, config: ScoreConfig, device: torch.device) -> ScoreData:
    """Prompts on one shape, a function of the seed: `views` x `prompts` x `ROUNDS` rows.

    Each mask is scored against what it is trained to show (`SAM_repo.training.trainer`): the single mask and masks 0
    and 2 against the
    group clicked, or with corrective clicks against what these want; mask 1 against the part clicked. At 224 x 224
    pixels.
    """
    rng, generator = np.random.default_rng([11, seed]), torch.Generator().manual_seed(seed)
    shape, published = random_shape(seed), bool(rng.random() < config.published)
    views = shape_views(
        Mesh(shape.vertices, shape.faces), shape.part, shape.group, config.views, rng, published=published
    )
    batch = make_batch(views, config.prompts, VIEW_SIZE, rng, published=published)
    truth = [
        (labels[:, None] == ids[..., None, None]).float().to(device).flatten(0, 1)
        for labels, ids in ((batch.group, batch.group_id), (batch.part, batch.part_id))
    ]
    tokens: list[Tensor] = []
    hook = sam.mask_decoder.iou_prediction_head.register_forward_pre_hook(
        lambda _, inputs: tokens.append(inputs[0].float().flatten(0, 1))
    )
    ious = []
    try:
        with fast_autocast(device):
            embedding = sam.image_encoder(normalise(sam, batch.images.to(device)))
            points = batch.points[:, :, None].to(device)
            labels = torch.ones(points.shape[:3], dtype=torch.long, device=device)
            wanted, previous = truth[0], None
            coarse = torch.rand(len(wanted), generator=generator) < config.coarse
            use_previous = torch.rand((), generator=generator).item() < config.previous
            for turn in range(ROUNDS):
                logits, _ = decode_prompts(sam, embedding, points, labels, previous)
                full = upsample(logits.flatten(0, 1), VIEW_SIZE)
                ious.append(hard_iou(full, torch.stack([wanted, wanted, truth[1], wanted], 1)).float())
                if turn == 0:
                    wanted = torch.where(coarse.to(device)[:, None, None], *truth)
                xy, label = corrective_clicks(full[:, 1], wanted, generator)
                points, labels = add_click(points, labels, xy, label)
                previous = logits[:, :, 1:2] if use_previous else None
    finally:
        hook.remove()
    rows = len(wanted)
    return ScoreData(
        torch.cat(tokens).cpu(),
        torch.cat(ious).cpu(),
        torch.arange(1, ROUNDS + 1).repeat_interleave(rows),
        torch.full((rows * ROUNDS,), seed),
    )


def fit_head(head: nn.Module, data: ScoreData, config: ScoreConfig) -> tuple[nn.Module, dict[str, float]]:
    """A copy of the head fitted to the data, and its errors on the shapes kept for validation.

    The loss is the mean absolute error: its best answer to an ambiguous click is the median of the IoUs that may come
    of it.
    """
    torch.manual_seed(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    held = data.shapes % 1000 < round(1000 * config.validation)
    if not held.any() or held.all():
        raise ValueError("the data need shapes for training and for validation")
    train, validation = data[~held], data[held]
    head = copy.deepcopy(head).float().requires_grad_(True)
    optimiser = torch.optim.AdamW(head.parameters(), config.lr, weight_decay=config.weight_decay)
    steps = config.epochs * -(-len(train.tokens) // config.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.lr, total_steps=steps, pct_start=0.1)
    weight = torch.where(train.clicks == 1, config.one_click, 1.0)[:, None]
    best, kept = float("inf"), copy.deepcopy(head.state_dict())
    for _ in range(config.epochs):
        for rows in torch.randperm(len(train.tokens), generator=generator).split(config.batch):
            loss = ((head(train.tokens[rows]) - train.ious[rows]).abs() * weight[rows]).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        error = head_errors(head, validation)["one_click"]
        if error < best:
            best, kept = error, copy.deepcopy(head.state_dict())
    head.load_state_dict(kept)
    return head.eval().requires_grad_(False), head_errors(head, validation)


@torch.no_grad()
def head_errors(head: nn.Module, data: ScoreData) -> dict[str, float]:
    """Mean absolute error of the three masks' predicted IoU after one click and after more, of mask 0 alone, and its
    bias."""
    difference = head(data.tokens).float() - data.ious
    one = data.clicks == 1
    return {
        "one_click": float(difference[one, 1:].abs().mean()),
        "more_clicks": float(difference[~one, 1:].abs().mean()),
        "mask0": float(difference[one, 1].abs().mean()),
        "mask0_bias": float(difference[one, 1].mean()),
    }


def calibrate(
    weights: Path, data: Path, config: ScoreConfig, output: Path, on_progress: Progress = silent
) -> dict[str, float]:
    """Fit the IoU head of exported weights and write them with the new head; every other tensor is written as it was
    read.

    The folder keeps one file a shape, and says in `score.json` of which weights and settings they are. Returns
    `head_errors`.
    """
    stored = _read_weights(weights)
    sam = build_vit_t(VitTConfig(**stored["model_config"]))
    sam.load_state_dict({key: value.float() for key, value in stored["weights"].items()})
    sam.requires_grad_(False)
    rest = digest(*(stored["weights"][key] for key in sorted(stored["weights"]) if not key.startswith(HEAD)))
    drawing = {name: getattr(config, name) for name in ("views", "prompts", "published", "coarse", "previous")}
    claim(data / "score.json", {"weights": rest, **drawing})
    parts, seeds = [], range(config.first_shape, config.first_shape + config.shapes)
    for seed in track(seeds, "shapes", on_progress, len(seeds), unit="shape"):
        path = data / f"{seed:010d}.pth"
        if not path.is_file():
            save_torch(path, vars(score_data(sam, seed, config, torch.device("cpu"))))
        parts.append(ScoreData(**load_torch(path, what="part of the calibration data")))
    try:
        head, errors = fit_head(sam.mask_decoder.iou_prediction_head, ScoreData.joined(parts), config)
    except ValueError as error:
        raise UserError(f"{error}; raise --shapes") from error
    fitted = {f"{HEAD}{key}": value.half() for key, value in head.state_dict().items()}
    save_torch(
        output,
        {
            **stored,
            "weights": {**stored["weights"], **fitted},
            "score_config": config.to_dict(),
            "score_errors": {name: round(value, 5) for name, value in errors.items()},
        },
    )
    return errors


def _read_weights(path: Path) -> dict[str, Any]:
    stored = load_torch(path, what="weights of vit_t")
    if not isinstance(stored, dict) or stored.get("kind") != "vit_t":
        raise UserError(
            f"{path} does not hold exported weights of vit_t; write them with: train_vit_t.py export --run DIR"
        )
    return stored
