"""2D mask quality of a SAM on known parts: one click, then corrective clicks, against the visible part."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from SAM_repo.fast_decoder import decode_prompts
from SAM_repo.networks import Sam
from SAM_repo.prompting import Answerer, hard_iou, prompt_rounds
from SAM_repo.views import VIEW_SIZE, make_batch, random_cameras, shape_views, synthetic_views
from SAM_repo.vit_t import normalise
from utils.device import fast_autocast
from utils.geometry.mesh import load_mesh

SMALL_AREA = 500  # pixels of 224 x 224
HELD_OUT_SEED = 2_000_000_000  # shapes from here on are never trained on


@dataclass
class ClickSet:
    """P clicks on each of B views as the pipeline renders them.

    images (B, 224, 224, 3) uint8; points (B, P, 2) xy by pixel index; masks (B, P, 224, 224) bool: what shows of the
    part (human labels) or group of parts (synthetic shapes) clicked; fine: likewise of the part.
    """

    images: Tensor
    points: Tensor
    masks: Tensor
    fine: Tensor


def held_out_set(first_seed: int, clicks: int, prompts: int = 3) -> ClickSet:
    """Clicks on synthetic shapes with seeds from `first_seed`, three in one view of each."""
    rng = np.random.default_rng(first_seed)
    seeds = range(first_seed, first_seed + clicks // prompts)
    return _click_set([synthetic_views(seed, 1, rng, published=True)[0] for seed in seeds], prompts, rng)


def labelled_mesh_set(folder: Path, clicks: int, prompts: int = 3) -> ClickSet:
    """Clicks on meshes with human part labels: `off/<n>.off`, `seg/Benchmark/<n>/<n>_<i>.seg` (Princeton format),
    first annotator."""
    meshes = sorted((folder / "off").glob("*.off"), key=lambda p: int(p.stem))
    count = clicks // prompts
    views, rng = [], np.random.default_rng(1)
    for i in range(count):
        path = meshes[(i * 7) % len(meshes)] if count < len(meshes) else meshes[i % len(meshes)]
        labels = np.loadtxt(sorted((folder / "seg" / "Benchmark" / path.stem).glob("*.seg"))[0], dtype=np.int64)
        views.append(shape_views(load_mesh(path), labels, labels, random_cameras(1, rng, published=True))[0])
    return _click_set(views, prompts, rng)


def click_sets(labelled: Path | None, clicks: int) -> dict[str, ClickSet]:
    """What a run is measured on: held-out synthetic shapes and, if given, a folder of labelled meshes."""
    sets = {"held_out": held_out_set(HELD_OUT_SEED, clicks)}
    return sets if labelled is None else {**sets, "labelled": labelled_mesh_set(labelled, clicks)}


def _click_set(views: list[np.ndarray], prompts: int, rng: np.random.Generator) -> ClickSet:
    batch = make_batch(np.stack(views), prompts, VIEW_SIZE, rng, published=True)
    return ClickSet(batch.images, batch.points, *batch.clicked())


@torch.no_grad()
def measure(sam: Sam, clicks: ClickSet, device: torch.device, batch: int = 8, seed: int = 0) -> dict[str, float]:
    """Mean IoU with `masks` at 224 x 224: of masks 0 to 2, the best of the three, the best predicted; of mask 1 with
    `fine`; of mask 0 on small parts and after two and three clicks; the error of its predicted IoU; how much of the
    part it misses and spills, as a fraction of the part's area (medians)."""
    generator = torch.Generator().manual_seed(seed)
    columns: dict[str, list[Tensor]] = defaultdict(list)
    for start in range(0, len(clicks.images), batch):
        part = ClickSet(*(column[start : start + batch].to(device) for column in vars(clicks).values()))
        with fast_autocast(device):
            answer = partial(decode_prompts, sam, sam.image_encoder(normalise(sam, part.images)))
            for name, value in _columns(answer, part, generator).items():
                columns[name].append(value.cpu())
    values = {name: torch.cat(parts) for name, parts in columns.items()}
    three, scores, small = values["ious"], values["scores"], values["area"] < SMALL_AREA
    off = scores[:, 0] - three[:, 0]
    return {
        **{f"mask{k}": float(three[:, k].mean()) for k in range(3)},
        "oracle": float(three.max(1).values.mean()),
        "best_predicted": float(three.gather(1, scores.argmax(1)[:, None]).mean()),
        "fine": float(values["fine"].mean()),
        "small": float(three[small, 0].mean()),
        "two_clicks": float(values["second"].mean()),
        "three_clicks": float(values["third"].mean()),
        "score_error": float(off.abs().mean()),
        "score_bias": float(off.mean()),
        "missed": float(values["missed"].median()),
        "spilled": float(values["spilled"].median()),
        "clicks": float(len(three)),
        "small_clicks": float(small.sum()),
    }


def _columns(answer: Answerer, clicks: ClickSet, generator: torch.Generator) -> dict[str, Tensor]:
    """Columns of `measure`, one row a click."""
    truth, fine = clicks.masks.flatten(0, 1), clicks.fine.flatten(0, 1)
    first, second, third = prompt_rounds(answer, clicks.points, truth, generator)
    three = first.masks[:, 1:]
    area, found, hit = (masks.flatten(1).sum(1) for masks in (truth, three[:, 0], three[:, 0] & truth))
    return {
        "ious": hard_iou(three, truth[:, None]),
        "fine": hard_iou(three[:, 1], fine),
        "scores": first.scores[:, 1:],
        "area": area,
        "missed": 1 - hit / area,
        "spilled": (found - hit) / area,
        "second": hard_iou(second.masks[:, 1], truth),
        "third": hard_iou(third.masks[:, 1], truth),
    }


def format_measure(result: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.3f}" for name, value in result.items())
