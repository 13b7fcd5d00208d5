"""2D mask quality of a SAM on known parts: one click, then corrective clicks, against the visible part."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from segment_anything.modeling import Sam
from torch import Tensor

from SAM_repo.fast_decoder import decode_prompts
from SAM_repo.training.losses import add_click, corrective_clicks, hard_iou
from SAM_repo.training.views import make_batch, shape_views
from SAM_repo.vit_t import normalise
from utils.device import fast_autocast
from utils.geometry.mesh import Mesh, load_mesh
from utils.shapes import random_shape

SMALL_AREA = 500  # pixels of 224 x 224
HELD_OUT_SEED = 2_000_000_000  # shapes from here on are never trained on


@dataclass
class ClickSet:
    """images (B, 224, 224, 3) uint8 as the pipeline renders them, points (B, P, 2) xy, masks (B, P, 224, 224) bool of
    what is visible of the
    part (human labels) or group of parts (synthetic shapes) clicked, fine likewise of the synthetic part (human
    labels: the same as masks)."""

    images: Tensor
    points: Tensor
    masks: Tensor
    fine: Tensor


def held_out_set(first_seed: int, clicks: int, prompts: int = 3) -> ClickSet:
    """Clicks on synthetic shapes with seeds from `first_seed`, three in one view of each."""
    views, rng = [], np.random.default_rng(first_seed)
    for seed in range(first_seed, first_seed + clicks // prompts):
        shape = random_shape(seed)
        views.append(shape_views(Mesh(shape.vertices, shape.faces), shape.part, shape.group, 1, rng, published=True)[0])
    return _click_set(np.stack(views), prompts, rng)


def labelled_mesh_set(folder: Path, clicks: int, prompts: int = 3) -> ClickSet:
    """Clicks on meshes with human part labels: `off/<n>.off`, `seg/Benchmark/<n>/<n>_<i>.seg` (Princeton format),
    first annotator."""
    meshes = sorted((folder / "off").glob("*.off"), key=lambda p: int(p.stem))
    count = clicks // prompts
    views, rng = [], np.random.default_rng(1)
    for i in range(count):
        path = meshes[(i * 7) % len(meshes)] if count < len(meshes) else meshes[i % len(meshes)]
        mesh = load_mesh(path)
        labels = np.loadtxt(sorted((folder / "seg" / "Benchmark" / path.stem).glob("*.seg"))[0], dtype=np.int64)
        views.append(shape_views(mesh, labels, labels, 1, rng, published=True)[0])
    return _click_set(np.stack(views), prompts, rng)


def _click_set(views: np.ndarray, prompts: int, rng: np.random.Generator) -> ClickSet:
    batch = make_batch(views, prompts, views.shape[1], rng, published=True)
    fine = batch.part[:, None] == batch.part_id[..., None, None]
    return ClickSet(batch.images, batch.points, batch.group[:, None] == batch.group_id[..., None, None], fine)


@torch.no_grad()
def measure(sam: Sam, clicks: ClickSet, device: torch.device, batch: int = 8, seed: int = 0) -> dict[str, float]:
    """Mean IoU with `masks` at 224 x 224: masks 0 to 2, best of three, best predicted; mask 1 with `fine`; mask 0 on
    small parts; two and three clicks; the error of
    the predicted IoU of mask 0; how much of the part is missed and how much is spilled, as a fraction of its area
    (medians)."""
    generator = torch.Generator().manual_seed(seed)
    columns: dict[str, list[Tensor]] = {}
    for start in range(0, len(clicks.images), batch):
        part = slice(start, start + batch)
        with fast_autocast(device):
            embedding = sam.image_encoder(normalise(sam, clicks.images[part].to(device)))
            for name, value in _measure_batch(
                sam,
                embedding,
                clicks.points[part].to(device),
                clicks.masks[part].to(device),
                clicks.fine[part].to(device),
                generator,
            ).items():
                columns.setdefault(name, []).append(value.cpu())
    values = {name: torch.cat(parts) for name, parts in columns.items()}
    small = values["area"] < SMALL_AREA
    three = values["ious"]
    return {
        "mask0": float(three[:, 0].mean()),
        "mask1": float(three[:, 1].mean()),
        "mask2": float(three[:, 2].mean()),
        "oracle": float(three.max(1).values.mean()),
        "best_predicted": float(three.gather(1, values["scores"].argmax(1)[:, None]).mean()),
        "fine": float(values["fine"].mean()),
        "small": float(three[small, 0].mean()),
        "two_clicks": float(values["second"].mean()),
        "three_clicks": float(values["third"].mean()),
        "score_error": float((values["scores"][:, 0] - three[:, 0]).abs().mean()),
        "score_bias": float((values["scores"][:, 0] - three[:, 0]).mean()),
        "missed": float(values["missed"].median()),
        "spilled": float(values["spilled"].median()),
        "clicks": float(len(three)),
        "small_clicks": float(small.sum()),
    }


def _measure_batch(
    sam: Sam, embedding: Tensor, points: Tensor, masks: Tensor, fine: Tensor, generator: torch.Generator
) -> dict[str, Tensor]:
    """Columns of `measure`, one row a click."""
    points, truth = points[:, :, None], masks.flatten(0, 1).float()
    labels = torch.ones(points.shape[:3], dtype=torch.long, device=points.device)
    logits, scores = decode_prompts(sam, embedding, points, labels)
    full = upsample(logits[:, :, 1:].flatten(0, 1), masks.shape[-1])
    ious = hard_iou(full, truth[:, None].expand_as(full))
    area, hit = truth.flatten(1).sum(1), ((full[:, 0] > 0) & (truth > 0)).flatten(1).sum(1)
    columns = {
        "ious": ious,
        "fine": hard_iou(full[:, 1:2], fine.flatten(0, 1)[:, None].float())[:, 0],
        "scores": scores[:, :, 1:].flatten(0, 1),
        "area": area,
        "missed": 1 - hit / area,
        "spilled": ((full[:, 0] > 0).flatten(1).sum(1) - hit) / area,
    }
    current = logits[:, :, 1:2]
    for name in ("second", "third"):
        xy, label = corrective_clicks(full[:, 0], truth, generator)
        points, labels = add_click(points, labels, xy, label)
        logits, _ = decode_prompts(sam, embedding, points, labels, current)
        current = logits[:, :, 1:2]
        full = upsample(current.flatten(0, 1), masks.shape[-1])
        columns[name] = hard_iou(full, truth[:, None])[:, 0]
    return columns


def upsample(logits: Tensor, size: int) -> Tensor:
    return torch.nn.functional.interpolate(logits.float(), size=(size, size), mode="bilinear", align_corners=False)


def format_measure(result: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.3f}" for name, value in result.items())
