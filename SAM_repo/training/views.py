"""What every step of vit_t's training sees, made when it is wanted or kept in a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from SAM_repo.training.config import TrainConfig
from SAM_repo.views import Batch, make_batch, synthetic_views
from utils.errors import UserError
from utils.files import load_json, save_json, save_npy
from utils.progress import Progress, silent, track
from utils.shapes import FAMILIES

FRESH_SEEDS = 1_000_000_000  # shapes of training have seeds below
Families = tuple[str, ...] | None  # None: all


def views_of_seed(seed: int, count: int, families: Families = None) -> np.ndarray:
    """Views (count, 224, 224, 5) of the shape of a seed, from random cameras that the seed fixes too."""
    return synthetic_views(seed, count, np.random.default_rng([7, seed]), families)


class TrainingViews(Dataset):
    """The batch of every training step: a function of (seed, step) alone, however the views are stored or loaded.

    Step s draws `config.small_shapes` shapes at `small_size` pixels before the fraction `small_until` of the run, else
    `large_shapes` at `large_size`. Shapes come from a pool of `config.shapes` seeds whose views are kept in `directory`
    and made where they are missing; with `config.shapes` 0 every step has new ones, and nothing is kept.
    """

    def __init__(
        self,
        config: TrainConfig,
        large_size: int,
        directory: Path | None,
        rank: int = 0,
        make: Callable[[int, int, Families], np.ndarray] = views_of_seed,
    ) -> None:
        if config.shapes and directory is None:
            raise ValueError("a pool of shapes needs a folder")
        self.config, self.large_size, self.directory, self.rank, self.make = config, large_size, directory, rank, make
        self.families = families_without(config.left_out())

    def __len__(self) -> int:
        return self.config.steps

    def __getitem__(self, step: int) -> Batch:
        config = self.config
        small = step < config.small_until * config.steps
        # The first process draws from (seed, step) whether or not there are others.
        rng = np.random.default_rng([config.seed, step, self.rank] if self.rank else [config.seed, step])
        count, views = config.small_shapes if small else config.large_shapes, []
        if config.shapes:
            seeds = rng.choice(config.shapes, count, replace=config.shapes < count)
        else:
            seeds = rng.integers(0, FRESH_SEEDS, count)
        for seed in seeds.tolist():
            if config.shapes and self.directory is not None:
                stored = stored_views(self.directory, seed, config.stored_views, self.families, self.make)
                chosen = rng.choice(len(stored), config.views, replace=len(stored) < config.views)
            else:
                stored, chosen = self.make(seed, config.views, self.families), range(config.views)
            views += [mirror(stored[i]) if rng.random() < 0.5 else np.array(stored[i]) for i in chosen]
        return make_batch(np.stack(views), config.prompts, config.small_size if small else self.large_size, rng)


def mirror(view: np.ndarray) -> np.ndarray:
    """The view of the mirrored shape: columns reversed, x of the normals negated."""
    view = np.array(view[:, ::-1])
    view[..., 0] = (-view[..., 0].view(np.int8)).view(np.uint8)
    return view


def families_without(left_out: tuple[str, ...]) -> Families:
    """The families that are left, None for all of them. ValueError if one is not known or none is left."""
    unknown = sorted(set(left_out) - set(FAMILIES))
    if unknown:
        raise ValueError(f"unknown shape families {', '.join(unknown)}; known: {', '.join(FAMILIES)}")
    if len(set(left_out)) == len(FAMILIES):
        raise ValueError("no shape family is left")
    return tuple(name for name in FAMILIES if name not in left_out) if left_out else None


def stored_views(
    directory: Path,
    seed: int,
    count: int,
    families: Families = None,
    make: Callable[[int, int, Families], np.ndarray] = views_of_seed,
) -> np.ndarray:
    """The views of a seed from its file in the folder, which is written where it is missing."""
    path = directory / f"{seed:010d}.npy"
    if not path.exists():
        save_npy(path, make(seed, count, families))
    try:
        return np.load(path, mmap_mode="r")
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"{path} is not a readable file of views: {error}; delete it, and it is made again") from error


def write_views(
    directory: Path, shapes: int, views: int, leave_out: tuple[str, ...], on_progress: Progress = silent
) -> None:
    """Make the files that a training with this pool of shapes reads; those that exist are kept."""
    try:
        families = families_without(leave_out)
    except ValueError as error:
        raise UserError(str(error)) from error
    claim_views(directory, views, leave_out)
    for seed in track(range(shapes), "shapes", on_progress, shapes, unit="shape"):
        stored_views(directory, seed, views, families)


def claim_views(directory: Path, views: int, leave_out: tuple[str, ...]) -> None:
    """Say in a folder which views it holds; UserError if it holds others."""
    contents = {"views": views, "leave_out": sorted(leave_out), "families": list(FAMILIES)}
    claim(directory / "views.json", contents)


def claim(manifest: Path, contents: dict[str, Any]) -> None:
    """Say in a file what its folder holds; UserError if it holds something else."""
    if not manifest.is_file():
        save_json(manifest, contents)
    elif load_json(manifest, "description of a folder") != contents:
        raise UserError(
            f"{manifest.parent} was made with other weights or settings (see {manifest.name}); "
            "choose another --data or delete it"
        )
