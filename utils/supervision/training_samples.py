"""Which samples of the click supervision a training uses, and a record of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from utils.errors import UserError
from utils.files import digest
from utils.geometry.mesh import Mesh
from utils.options import option
from utils.supervision.store import SupervisionSet


@dataclass(frozen=True, kw_only=True)
class SampleSettings:
    """The part of the click supervision to train on."""

    decoder_data_dir: Path | None = option(
        None, "click supervision; default: data/NAME/decoder_data", group="samples to train on"
    )
    use_positive_click: bool = option(True, "train on second positive clicks")
    use_negative_click: bool = option(True, "train on second negative clicks")
    views_per_vert: int = option(100, "views of each click set to train on, 0 = all")
    data_percentage: float = option(1.0, "share of the samples to train on, 0 to 1")

    def __post_init__(self) -> None:
        if not 0 < self.data_percentage <= 1:
            raise UserError(f"--data_percentage {self.data_percentage:g} is not a share of the samples: give 1 for all")
        if self.views_per_vert < 0:
            raise UserError("--views_per_vert must be 0 (all) or more")


@dataclass(frozen=True, eq=False)
class TrainingSamples:
    """What a training reads.

    samples  the whole set; chosen (n,) int64 those to train on
    record   plain values that identify what was chosen, for a checkpoint
    """

    samples: SupervisionSet
    chosen: Tensor
    record: dict[str, Any]


def open_samples(settings: SampleSettings, directory: Path, mesh: Mesh, seed: int) -> TrainingSamples:
    """The samples in `directory` that the settings ask for; UserError if there are none or they are of another mesh."""
    kinds = ["single"]
    kinds += ["positive"] * settings.use_positive_click + ["negative"] * settings.use_negative_click
    samples = SupervisionSet.open(directory, mesh, tuple(kinds))
    if len(samples) == 0:
        raise UserError(f"{directory} holds no samples; run data_generation.py with more --n_views or --percentage")
    generator = torch.Generator().manual_seed(seed)
    chosen = choose_samples(samples, settings.views_per_vert, settings.data_percentage, generator)
    record = {
        "kinds": kinds,
        "views_per_vert": settings.views_per_vert,
        "data_percentage": settings.data_percentage,
        "seed": seed,
        # What was clicked, seen and scored; masks of equal scores are taken for equal.
        "samples": digest(samples.vertices, samples.positive, samples.view, samples.score),
    }
    return TrainingSamples(samples, chosen, record)


def choose_samples(samples: SupervisionSet, views_per_vertex: int, share: float, generator: torch.Generator) -> Tensor:
    """(n,) int64 ascending: up to `views_per_vertex` views (0 = all) of each click set, a random `share` of them."""
    kept = torch.ones(len(samples), dtype=torch.bool)
    if views_per_vertex:
        for _, members in samples.click_sets():
            kept[members[torch.randperm(len(members), generator=generator)[views_per_vertex:]]] = False
    chosen = kept.nonzero()[:, 0]
    if share < 1:
        count = max(1, round(share * len(chosen)))
        chosen = chosen[torch.randperm(len(chosen), generator=generator)[:count]].sort().values
    return chosen


def kind_chances(kind: Tensor, shares: tuple[float, float, float]) -> Tensor:
    """(K,) float on the CPU: how often each click set is drawn; `shares` are split evenly within their kinds."""
    kind = kind.cpu()
    count = kind.bincount(minlength=len(shares)).clamp(min=1)
    return (torch.tensor(shares) / count)[kind].clamp(min=1e-12)
