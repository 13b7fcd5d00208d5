"""Calibration of vit_t's predicted IoU: only the IoU head learns, so masks and embeddings stay bit for bit the same.

The head reads one token of the mask decoder. Those tokens and the IoU of the masks that came with them are collected
once on fresh synthetic shapes; fitting the head to them then takes seconds.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from SAM_repo.fast_decoder import decode_prompts
from SAM_repo.networks import Sam
from SAM_repo.prompting import hard_iou, prompt_rounds
from SAM_repo.training.config import ScoreConfig
from SAM_repo.training.views import claim
from SAM_repo.views import VIEW_SIZE, make_batch, synthetic_views
from SAM_repo.vit_t import normalise, restore_vit_t
from utils.device import fast_autocast
from utils.errors import UserError
from utils.files import digest, load_torch, save_torch
from utils.progress import Progress, silent, track

HEAD = "mask_decoder.iou_prediction_head."
ROUNDS = 3  # a click, then corrective clicks


@dataclass
class ScoreData:
    """What the head sees and should say: tokens (N, C) float32, ious (N, 4) of the single mask and the three masks,
    clicks (N,) 1 to 3, shapes (N,) seeds."""

    tokens: Tensor
    ious: Tensor
    clicks: Tensor
    shapes: Tensor

    @staticmethod
    def joined(parts: list[ScoreData]) -> ScoreData:
        return ScoreData(*map(torch.cat, zip(*(vars(part).values() for part in parts))))

    def __getitem__(self, rows: Tensor) -> ScoreData:
        return ScoreData(*(column[rows] for column in vars(self).values()))


@torch.no_grad()
def score_data(sam: Sam, seed: int, config: ScoreConfig, device: torch.device) -> ScoreData:
    """Prompts on one shape, a function of the seed: `views` x `prompts` x `ROUNDS` rows.

    Each mask is scored against what it is trained to show (`SAM_repo.training.losses`): the single mask and masks 0
    and 2 against the group clicked, or with corrective clicks against what these want; mask 1 against the part clicked.
    """
    rng, generator = np.random.default_rng([11, seed]), torch.Generator().manual_seed(seed)
    published = bool(rng.random() < config.published)
    views = synthetic_views(seed, config.views, rng, published=published)
    batch = make_batch(views, config.prompts, VIEW_SIZE, rng, published).to(device)
    group, part = (masks.flatten(0, 1) for masks in batch.clicked())
    tokens: list[Tensor] = []
    hook = sam.mask_decoder.iou_prediction_head.register_forward_pre_hook(
        lambda _, inputs: tokens.append(inputs[0].float().flatten(0, 1))
    )
    ious = []
    try:
        with fast_autocast(device):
            answer = partial(decode_prompts, sam, sam.image_encoder(normalise(sam, batch.images)))
            coarse = (torch.rand(len(part), generator=generator) < config.coarse).to(device)
            shown = torch.rand((), generator=generator).item() < config.previous
            corrected = torch.where(coarse[:, None, None], group, part)
            for turn in prompt_rounds(answer, batch.points, corrected, generator, ROUNDS, shown):
                wanted = corrected if ious else group
                ious.append(hard_iou(turn.masks, torch.stack([wanted, wanted, part, wanted], 1)))
    finally:
        hook.remove()
    clicks = torch.arange(1, ROUNDS + 1).repeat_interleave(len(part))
    return ScoreData(torch.cat(tokens).cpu(), torch.cat(ious).cpu(), clicks, torch.full_like(clicks, seed))


def fit_head(head: nn.Module, data: ScoreData, config: ScoreConfig) -> tuple[nn.Module, dict[str, float]]:
    """A copy of the head fitted to the data, and its errors on the shapes kept for validation.

    The loss is the mean absolute error: its best answer to an ambiguous click is the median of the IoUs that may come.
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
    """Mean absolute error of the predicted IoU of the three masks after one click and after more, and of mask 0 alone
    with its bias."""
    difference = head(data.tokens).float() - data.ious
    one = data.clicks == 1
    return {
        "one_click": float(difference[one, 1:].abs().mean()),
        "more_clicks": float(difference[~one, 1:].abs().mean()),
        "mask0": float(difference[one, 1].abs().mean()),
        "mask0_bias": float(difference[one, 1].mean()),
    }


def calibrate(
    weights: Path,
    data: Path,
    config: ScoreConfig,
    output: Path,
    on_progress: Progress = silent,
    collect: Callable[[Sam, int, ScoreConfig, torch.device], ScoreData] = score_data,
) -> dict[str, float]:
    """Fit the IoU head of exported weights and write them with the new head; every other tensor is as it was read.

    The folder `data` keeps one file a shape, and says in `score.json` of which weights and settings they are.
    Returns `head_errors`.
    """
    stored = load_torch(weights, what="weights of vit_t")
    if not isinstance(stored, dict) or stored.get("kind") != "vit_t":
        raise UserError(
            f"{weights} does not hold exported weights of vit_t; write them with: train_vit_t.py export --run DIR"
        )
    sam = restore_vit_t(stored["model_config"], stored["weights"]).requires_grad_(False)
    rest = digest(*(stored["weights"][key] for key in sorted(stored["weights"]) if not key.startswith(HEAD)))
    drawing = {name: getattr(config, name) for name in ("views", "prompts", "published", "coarse", "previous")}
    claim(data / "score.json", {"weights": rest, **drawing})
    parts, seeds = [], range(config.first_shape, config.first_shape + config.shapes)
    for seed in track(seeds, "shapes", on_progress, len(seeds), unit="shape"):
        path = data / f"{seed:010d}.pth"
        if not path.is_file():
            save_torch(path, vars(collect(sam, seed, config, torch.device("cpu"))))
        parts.append(ScoreData(**load_torch(path, what="part of the calibration data")))
    try:
        head, errors = fit_head(sam.mask_decoder.iou_prediction_head, ScoreData.joined(parts), config)
    except ValueError as error:
        raise UserError(f"{error}; raise --shapes") from error
    fitted = {f"{HEAD}{key}": value.half() for key, value in head.state_dict().items()}
    report = {"score_config": asdict(config), "score_errors": {name: round(v, 5) for name, v in errors.items()}}
    save_torch(output, {**stored, "weights": {**stored["weights"], **fitted}, **report})
    return errors
