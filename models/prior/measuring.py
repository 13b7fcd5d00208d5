"""What has become of a training: IoU on held-out shapes, and the file of the weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.prior.annotator import Habits, TrainingShape, correct_answers, draw_set
from models.prior.checkpoint import FORMAT, WEIGHTS, load_network
from models.prior.data import (
    FIELD,
    FIRST_SEED,
    HELD_OUT_FROM,
    TRAIN_VIEWS,
    FolderSettings,
    Projection,
    Shapes,
    check_families,
)
from models.prior.losses import LossWeights, Measured, set_losses
from models.prior.network import PriorNetwork
from utils.device import choose_device
from utils.errors import UserError
from utils.files import load_torch, save_json, save_torch
from utils.options import option

MEASURED_CLICKS = 10


@torch.no_grad()
def validate(
    network: PriorNetwork,
    shapes: Sequence[TrainingShape],
    habits: Habits,
    clicks: int = 5,
    sets: int = 4,
    seed: int = 0,
) -> dict[str, float]:
    """Means over wishes on held-out shapes: IoU after each click; best of three and quality error at the first.

    The wishes have borders at the creases and begin with one click.
    """
    habits, rng = replace(habits, border_noise=0.0, elsewhere=0.0, forgotten=0.0), np.random.default_rng(seed)
    ious: list[list[float]] = [[] for _ in range(clicks)]
    firsts = []
    for shape in shapes:
        encoded = network.encode(shape.nodes)
        live = [each for each in (draw_set(shape, habits, rng) for _ in range(sets)) if each is not None]
        for click_set in live:
            click_set.nodes, click_set.positive = click_set.nodes[:1], click_set.positive[:1]
        last = np.zeros(len(live))
        for count in range(clicks):
            going = [k for k, click_set in enumerate(live) if not click_set.done]
            if going:
                asked = [live[k] for k in going]
                logits, quality = network(shape.nodes, encoded, shape.batch(asked, shape.nodes))
                _, measured = set_losses(logits, quality, asked, shape.weight, LossWeights())
                last[going] = measured.iou.cpu().numpy()
                firsts += [measured] * (count == 0)
                correct_answers(shape, asked, logits[:, 1].cpu().numpy(), habits, rng)
            ious[count] += last.tolist()
        shape.release()
    first = Measured.means(firsts)
    return {
        **{f"iou@{k + 1}": float(np.mean(values)) for k, values in enumerate(ious)},
        "oracle@1": first["oracle"],
        "quality_error": first["quality_error"],
        "held_out_sets": len(ious[0]),
    }


def load_average(folder: Path) -> tuple[PriorNetwork, dict[str, Any]]:
    """The mean of the network's weights of the run in `folder`, and its checkpoint."""
    held = load_torch(folder / "checkpoint.pt", what="checkpoint of the prior", kind=dict)
    network = load_network(held["config"], held["average"])
    return network.eval(), held


@dataclass(frozen=True, kw_only=True)
class MeasureSettings(FolderSettings):
    """What to measure on."""

    families: tuple[str, ...] | None = option(None, "shapes of these families alone", metavar="FAMILY", group="measure")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_families(self.families or ())


def measure(settings: MeasureSettings) -> dict[str, dict[str, float]]:
    """IoU after each click on the held-out shapes, clicks innermost and anywhere; also written to `measured.json`."""
    network, held = load_average(settings.folder)
    device, folder = choose_device(settings.device), settings.data_folder
    shapes = Shapes(folder, held["hold_out"], device).held_out
    if settings.families is not None:
        shapes = [shape for shape in shapes if shape.family in settings.families]
    if not shapes:
        raise UserError(
            f"{folder} holds no shapes to measure on; make some: "
            f"python scripts/train_prior.py data --folder {folder} --shards {HELD_OUT_FROM} {HELD_OUT_FROM + 8}"
        )
    rows = {}
    for name, anywhere in (("innermost clicks", 0.0), ("clicks anywhere", 1.0)):
        habits = Habits(
            group_share=held["settings"]["group_share"], union_share=held["settings"]["union_share"], anywhere=anywhere
        )
        rows[name] = validate(network.to(device), shapes, habits, MEASURED_CLICKS)
        print(f"{name:18}" + ", ".join(f"{key} {value:.3f}" for key, value in rows[name].items()), flush=True)
    save_json(settings.folder / "measured.json", {"shapes": len(shapes), "families": settings.families, "rows": rows})
    return rows


@dataclass(frozen=True, kw_only=True)
class ExportSettings(FolderSettings):
    """Where the weights go."""

    out: Path = option(WEIGHTS, "file of the exported weights", group="export")


def export(settings: ExportSettings) -> Path:
    """Write the weights of the run in half precision, with what they were trained on."""
    network, held = load_average(settings.folder)
    projection, done, out = Projection.load(settings.data_folder), held["done"], settings.out
    save_torch(
        out,
        {
            "format": FORMAT,
            "config": asdict(network.config),
            "weights": {key: value.half() for key, value in network.state_dict().items()},
            "field_mean": projection.mean.half(),
            "field_components": projection.components.float(),
            "teacher": projection.teacher,
            "training": held["settings"],
            "hold_out": held["hold_out"],
            "data": {"field": FIELD, "views": TRAIN_VIEWS, "first_seed": FIRST_SEED},
            "done": {key: done[key] for key in ("seconds", "steps", "sets", "before") if key in done},
            "log": done["log"],
        },
    )
    print(f"written: {out} ({out.stat().st_size / 1e6:.1f} MB)")
    return out
