"""Training clouds on disk, in resumable shards; the same shapes for the same numbers, on any machine."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from models.iseg3d.clouds import LabelledCloud, labelled_cloud
from models.iseg3d.pointnet2 import Level, Plan, PointNet2Config
from models.iseg3d.surface import Primitive
from utils.errors import UserError
from utils.files import digest, load_json, load_npz, save_json, save_npz

SHARD = 64  # clouds of a file
ARRAYS = ("points", "normals", "labels")  # of a file
HELD_OUT_SEED = 1_000_000_000  # training seeds are below
ATTEMPTS, NEXT_SEED = 8, 10_000_019  # at a cloud, each with a seed so far off the one before
MOST = HELD_OUT_SEED - (ATTEMPTS - 1) * NEXT_SEED - SHARD  # clouds of a training
HELD_PLANS = 8000  # about 0.3 MB each in memory; further ones are made anew each time


def shard_path(folder: Path, shard: int) -> Path:
    return folder / f"clouds_{shard:05d}.npz"


def write_clouds(folder: Path, shapes: int, repository: list[Primitive] | None = None, jobs: int = 1) -> None:
    """Make the clouds 0 ... `shapes` - 1, rounded up to whole shards, that are not in the folder yet.

    Raises UserError if the folder holds clouds of another repository.
    """
    if shapes > MOST:
        raise UserError(f"{shapes} clouds would reach into those that are held out for tests: make at most {MOST}")
    source = {
        "repository": "own primitives"
        if repository is None
        else digest(*(array for primitive in repository for array in (primitive.vertices, primitive.faces)))
    }
    record = folder / "source.json"
    # Where no cloud could be made, the record stands alone and says nothing.
    if record.is_file() and any(folder.glob("clouds_*.npz")) and load_json(record, "record of the clouds") != source:
        raise UserError(f"{folder} holds clouds of other primitives; choose another --data_dir")
    save_json(record, source)
    missing = [shard for shard in range(-(-shapes // SHARD)) if not shard_path(folder, shard).is_file()]
    with tqdm(total=len(missing) * SHARD, desc="clouds", unit="cloud", disable=None) as bar:
        if jobs == 1:
            for shard in missing:
                _write_shard(folder, shard, repository)
                bar.update(SHARD)
            return
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            for done in as_completed([pool.submit(_write_shard, folder, shard, repository) for shard in missing]):
                done.result()
                bar.update(SHARD)


def _write_shard(folder: Path, shard: int, repository: list[Primitive] | None) -> None:
    clouds = make_clouds(range(shard * SHARD, (shard + 1) * SHARD), repository)
    save_npz(
        shard_path(folder, shard),
        compressed=False,
        points=np.stack([cloud.points for cloud in clouds]),
        normals=np.stack([cloud.normals for cloud in clouds]).astype(np.float16),
        labels=np.stack([cloud.labels for cloud in clouds]).astype(np.int16),
    )


def make_clouds(seeds: range, repository: list[Primitive] | None = None) -> list[LabelledCloud]:
    """A cloud for every seed; a seed whose shape cannot be sampled gives way to one far off."""
    clouds = []
    for seed in seeds:
        for attempt in range(ATTEMPTS):
            try:
                clouds.append(labelled_cloud(seed + attempt * NEXT_SEED, repository))
                break
            except (ValueError, RuntimeError, ArithmeticError) as error:
                print(f"cloud {seed}: {error}; drawing again")
        else:
            raise UserError(
                f"no cloud can be made for seed {seed}; are the primitives of the repository surfaces with an area?"
            )
    return clouds


def held_out_clouds(count: int) -> list[LabelledCloud]:
    """Clouds that no training has seen."""
    return make_clouds(range(HELD_OUT_SEED, HELD_OUT_SEED + count))


class CloudSet:
    """The first `shapes` clouds of a folder, in memory, and the plan of each, made when it is first asked for.

    Raises UserError if the folder holds fewer.
    """

    def __init__(self, folder: Path, shapes: int, config: PointNet2Config) -> None:
        self.config = config
        arrays = []
        for shard in range(-(-shapes // SHARD)):
            path = shard_path(folder, shard)
            if not path.is_file():
                raise UserError(
                    f"{folder} holds {shard * SHARD} clouds, not {shapes}; make them first: "
                    f"python iseg3d.py --mode generate --data_dir {folder} --shapes {shapes}"
                )
            arrays.append(load_npz(path, "shard of clouds"))
            if not arrays[-1].keys() >= set(ARRAYS):
                raise UserError(f"{path} is not a shard of clouds; delete it and make it again with --mode generate")
        self.points, self.normals, self.labels = (np.concatenate([a[key] for a in arrays])[:shapes] for key in ARRAYS)
        self._plans: dict[int, Plan] = {}

    @property
    def digest(self) -> str:
        """Of what is trained on."""
        return digest(self.points, self.labels)

    def __len__(self) -> int:
        return len(self.points)

    def plan(self, index: int) -> Plan:
        if index in self._plans:
            return self._plans[index]
        plan = compact(Plan.of(torch.from_numpy(self.points[index]), self.config))
        if len(self._plans) < HELD_PLANS:
            self._plans[index] = plan
        return plan


def compact(plan: Plan) -> Plan:
    """The plan with its indices in int16, a quarter of the memory; `Plan.joined` widens them again."""
    return Plan(
        tuple(
            Level(
                level.centers.short(),
                tuple(group.short() for group in level.groups),
                level.nearest.short(),
                level.weights.half(),
            )
            for level in plan.levels
        )
    )
