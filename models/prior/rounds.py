"""What is learned from the prior's answers on shapes with known parts: a file for each shard, made in rounds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.prior.annotator import TrainingShape
from models.prior.data import HELD_OUT_BELOW, HELD_OUT_FROM, FolderSettings, read_shard
from utils.errors import UserError
from utils.options import option, positive_int
from utils.progress import Progress, track

HELD_OUT = 6  # one shard in so many is held out
Drawn = tuple[TrainingShape, np.random.Generator]  # a shape and its own source of chance


@dataclass(frozen=True, kw_only=True)
class RoundSettings(FolderSettings):
    """Which shards are looked at, and for which round."""

    shards: tuple[int, int] = option((HELD_OUT_BELOW, HELD_OUT_FROM), "of the shapes", metavar=("FIRST", "END"))
    round: int = option(1, "names the files, so that rounds are kept apart", type=positive_int)


def each_shard(settings: RoundSettings, name: str, on_progress: Progress) -> Iterator[tuple[Path, Iterator[Drawn]]]:
    """Of those of the shards without a file NAME_ROUND_SHARD.npz in the folder: that file, to be written, and the
    shapes. Several runs with different shards may share a folder."""
    known = {int(path.stem.split("_")[1]): path for path in sorted(settings.data_folder.glob("shapes_*.npz"))}
    chosen = [shard for shard in range(*settings.shards) if shard in known]
    for shard in track(chosen, name, on_progress, len(chosen), unit="shard"):
        path = settings.folder / f"{name}_{settings.round}_{shard:05d}.npz"
        if not path.is_file():
            yield path, _shapes(known[shard], [settings.seed, settings.round, shard])


def _shapes(path: Path, seed: Sequence[int]) -> Iterator[Drawn]:
    for place, example in enumerate(read_shard(path)):
        shape = TrainingShape(example)
        yield shape, np.random.default_rng([*seed, place])
        shape.release()


def learned_and_held_out(folder: Path, name: str) -> tuple[list[Path], list[Path]]:
    """The files of all rounds, those of every `HELD_OUT`th shard apart; UserError if there are too few."""
    paths = sorted(folder.glob(f"{name}_*.npz"), key=lambda path: path.name.split("_")[::-1])
    shards = sorted({_shard(path) for path in paths})
    kept = set(shards[::HELD_OUT])
    if len(kept) == len(shards):
        raise UserError(
            f"{folder} holds too few {name}; make some first: python scripts/train_prior.py {name} --folder {folder}"
        )
    return [path for path in paths if _shard(path) not in kept], [path for path in paths if _shard(path) in kept]


def _shard(path: Path) -> str:
    return path.stem.split("_")[-1]
