"""Training clouds on disk, in resumable shards; the same shapes for the same numbers, on any machine."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from models.iseg3d.abc import read_repository
from models.iseg3d.clouds import LabelledCloud, labelled_cloud
from models.points.clouds import POINTS
from models.points.pointnet2 import Plan, PointNet2Config
from models.points.surface import Primitive
from utils.errors import UserError
from utils.files import Recent, digest, load_json, load_npz, save_json, save_npz
from utils.options import Checked, option, positive_int
from utils.progress import Progress, silent, track

SHARD = 64  # clouds of a file
ARRAYS = ("points", "normals", "labels")  # of a file
HELD_OUT_SEED = 1_000_000_000  # training seeds are below
ATTEMPTS, NEXT_SEED = 8, 10_000_019  # at a cloud, each with a seed so far off the one before
MOST = HELD_OUT_SEED - (ATTEMPTS - 1) * NEXT_SEED - SHARD  # clouds of a training
HELD_PLANS = 8000  # about 0.3 MB each in memory; further ones are made anew


@dataclass(frozen=True, kw_only=True)
class CloudSettings(Checked):
    """The training clouds: where they lie, and how many."""

    data_dir: Path = option(Path("data/iseg3d"), "of the training clouds", group="generate and train")
    shapes: int = option(40_000, "clouds to make, or to train on", type=positive_int)


@dataclass(frozen=True, kw_only=True)
class GenerateSettings(CloudSettings):
    """How clouds are made; points of each, and clouds of a shard."""

    abc_dir: Path | None = option(
        None, "reshuffle the surfaces of these ABC models (obj/ and feat/) instead of our own primitives"
    )
    jobs: int = option(1, "processes that make clouds", type=positive_int)
    points: int = POINTS
    shard: int = SHARD


def generate(settings: GenerateSettings, on_progress: Progress = silent) -> None:
    """Make the training clouds that are not there yet."""
    repository = None
    if settings.abc_dir is not None:
        models = read_repository(settings.abc_dir)
        repository = models.patches
        print(f"generate: {models.summary()}")
        if not repository:
            raise UserError(f"{settings.abc_dir} holds no usable ABC model; it needs obj/ and feat/ as downloaded")
    write_clouds(settings, repository, on_progress)
    print(f"generate: {settings.shapes} clouds in {settings.data_dir}")


def shard_path(folder: Path, shard: int) -> Path:
    return folder / f"clouds_{shard:05d}.npz"


def write_clouds(
    settings: GenerateSettings, repository: list[Primitive] | None = None, on_progress: Progress = silent
) -> None:
    """Make the clouds 0 ... `shapes` - 1, rounded up to whole shards, that are not in the folder yet.

    Raises UserError if the folder holds clouds of another repository.
    """
    folder, shapes = settings.data_dir, settings.shapes
    if shapes > MOST:
        raise UserError(f"{shapes} clouds would reach into those that are held out for tests: make at most {MOST}")
    name = "own primitives"
    if repository is not None:
        name = digest(*(array for primitive in repository for array in (primitive.vertices, primitive.faces)))
    source, record = {"repository": name}, folder / "source.json"
    # Where no cloud could be made, the record stands alone and says nothing.
    if record.is_file() and any(folder.glob("clouds_*.npz")) and load_json(record, "record of the clouds") != source:
        raise UserError(f"{folder} holds clouds of other primitives; choose another --data_dir")
    save_json(record, source)
    missing = [shard for shard in range(-(-shapes // settings.shard)) if not shard_path(folder, shard).is_file()]
    write = partial(_write_shard, settings, repository)
    if settings.jobs == 1:
        for shard in track(missing, "clouds", on_progress, len(missing), "shard"):
            write(shard)
        return
    with ProcessPoolExecutor(settings.jobs, mp_context=get_context("spawn")) as pool:
        written = as_completed([pool.submit(write, shard) for shard in missing])
        for done in track(written, "clouds", on_progress, len(missing), "shard"):
            done.result()


def _write_shard(settings: GenerateSettings, repository: list[Primitive] | None, shard: int) -> None:
    seeds = range(shard * settings.shard, (shard + 1) * settings.shard)
    clouds = make_clouds(seeds, partial(labelled_cloud, repository=repository, count=settings.points))
    save_npz(
        shard_path(settings.data_dir, shard),
        compressed=False,
        points=np.stack([cloud.points for cloud in clouds]),
        normals=np.stack([cloud.normals for cloud in clouds]).astype(np.float16),
        labels=np.stack([cloud.labels for cloud in clouds]).astype(np.int16),
    )


def make_clouds(seeds: range, make: Callable[[int], LabelledCloud] = labelled_cloud) -> list[LabelledCloud]:
    """A cloud for every seed; a seed whose shape cannot be sampled gives way to one far off."""
    clouds = []
    for seed in seeds:
        for attempt in range(ATTEMPTS):
            try:
                clouds.append(make(seed + attempt * NEXT_SEED))
                break
            except (ValueError, RuntimeError, ArithmeticError) as error:
                print(f"cloud {seed}: {error}; drawing again")
        else:
            raise UserError(
                f"no cloud can be made for seed {seed}; are the primitives of the repository surfaces with an area?"
            )
    return clouds


def held_out_clouds(count: int, make: Callable[[int], LabelledCloud] = labelled_cloud) -> list[LabelledCloud]:
    """Clouds that no training has seen."""
    return make_clouds(range(HELD_OUT_SEED, HELD_OUT_SEED + count), make)


class CloudSet:
    """The first `shapes` clouds of a folder, in memory, and the plan of each, made when it is first asked for.

    points (S, N, 3) float32, normals (S, N, 3) float16, labels (S, N) int16. UserError if the folder holds fewer.
    """

    def __init__(self, folder: Path, shapes: int, config: PointNet2Config) -> None:
        self.config = config
        arrays: list[dict[str, np.ndarray]] = []
        held = 0
        while held < shapes:
            path = shard_path(folder, len(arrays))
            if not path.is_file():
                raise UserError(
                    f"{folder} holds {held} clouds, not {shapes}; make them first: "
                    f"python iseg3d.py --mode generate --data_dir {folder} --shapes {shapes}"
                )
            arrays.append(load_npz(path, "shard of clouds"))
            if not arrays[-1].keys() >= set(ARRAYS):
                raise UserError(f"{path} is not a shard of clouds; delete it and make it again with --mode generate")
            held += len(arrays[-1]["points"])
        self.points, self.normals, self.labels = (np.concatenate([a[key] for a in arrays])[:shapes] for key in ARRAYS)
        self._plans: Recent[Plan] = Recent(HELD_PLANS)

    @property
    def digest(self) -> str:
        """Of what is trained on."""
        return digest(self.points, self.labels)

    def __len__(self) -> int:
        return len(self.points)

    def plan(self, index: int) -> Plan:
        """The compact plan of one cloud."""
        return self._plans.get(index, lambda: Plan.of(torch.from_numpy(self.points[index]), self.config).compact())
