"""Click supervision on disk: which clicks, in which view, gave which mask (paper Sec. 3.3).

A set is a folder of few files, never one file a sample:

    supervision.json        mesh digest, teacher, settings, and how many shards each kind of click has
    clicks.npz              the views, the sampled vertices, and in which views they are seen at which pixel
    single_000.npz, ...     samples of single positive clicks
    positive_000.npz, ...   samples with a second click that includes
    negative_000.npz, ...   samples with a second click that excludes

A finished shard exists and an unfinished one does not; `utils.supervision.writer` fills the folder, this module reads it.
"""

from __future__ import annotations

import zipfile
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from utils.clicks import Clicks
from utils.errors import UserError
from utils.files import load_json, save_npz
from utils.geometry.mesh import Mesh
from utils.rendering.cameras import Cameras

KINDS = ("single", "positive", "negative")
FLAG_OF_KIND = {"single": "--single_click 1", "positive": "--second_positive 1", "negative": "--second_negative 1"}
FORMAT = 1
ABSENT = -1  # the second vertex of a single click
CACHE_BYTES = 1 << 30


@dataclass(frozen=True, eq=False)
class SupervisionSet:
    """S samples: clicks on a mesh, a view that shows all of them, and the teacher's mask for them in that view.

    directory     where the shards lie
    cameras       N views, at the size (H, W) of the masks; `view` counts into them
    mesh_digest, teacher_name   whose masks of what
    settings      how the set was made, plain values
    vertices      (S, 2) int64 clicked vertices; the second is -1 for a single click
    positive      (S, 2) bool, True includes; False where absent
    view          (S,) int64
    score         (S,) float32, the teacher's own estimate of its mask's IoU
    kind          (S,) int64 into `KINDS`

    Samples are ordered by kind, then by view.
    """

    directory: Path
    cameras: Cameras
    mesh_digest: str
    teacher_name: str
    settings: dict
    vertices: Tensor
    positive: Tensor
    view: Tensor
    score: Tensor
    kind: Tensor
    _shard: np.ndarray = field(repr=False)  # (S,) which shard holds the mask ...
    _row: np.ndarray = field(repr=False)  # ... and where in it
    _paths: tuple[Path, ...] = field(repr=False)
    _cache: OrderedDict = field(default_factory=OrderedDict, repr=False)

    @staticmethod
    def open(directory: str | Path, mesh: Mesh, kinds: tuple[str, ...] | None = None) -> SupervisionSet:
        """Open a finished set, or the named kinds of it (default: all it has).

        Raises UserError if it is missing, unfinished, damaged, of another mesh, or lacks a kind.
        """
        directory = Path(directory)
        manifest = read_manifest(directory, mesh)
        kinds = tuple(kind for kind in KINDS if kind in manifest["shards"]) if kinds is None else tuple(kinds)
        for kind in kinds:
            if kind not in manifest["shards"]:
                raise UserError(
                    f"{directory} has no samples of kind '{kind}'; make them first: run data_generation.py "
                    f"again with {FLAG_OF_KIND[kind]}"
                )
        paths = tuple(shard_path(directory, kind, shard) for kind in kinds for shard in range(manifest["shards"][kind]))
        missing = sum(not path.exists() for path in paths)
        if missing:
            raise UserError(
                f"the click supervision at {directory} is unfinished ({missing} of {len(paths)} shards are missing); "
                "run data_generation.py again with the same options to finish it"
            )
        cameras = _cameras_from_arrays(directory / "clicks.npz")
        heads = [_read_arrays(path, ("vertices", "positive", "view", "score")) for path in paths]
        counts = [len(head["view"]) for head in heads]
        joined = {
            name: _join(heads, name, shape, dtype)
            for name, shape, dtype in (
                ("vertices", (0, 2), np.int64),
                ("positive", (0, 2), bool),
                ("view", (0,), np.int64),
                ("score", (0,), np.float32),
            )
        }
        kind_of_path = [KINDS.index(kind) for kind in kinds for _ in range(manifest["shards"][kind])]
        return SupervisionSet(
            directory,
            cameras,
            manifest["mesh_digest"],
            manifest["teacher"],
            manifest["settings"],
            **{name: torch.from_numpy(array) for name, array in joined.items()},
            kind=torch.from_numpy(np.repeat(np.array(kind_of_path, dtype=np.int64), counts)),
            _shard=np.repeat(np.arange(len(paths)), counts),
            _row=np.concatenate([np.arange(count) for count in counts] or [np.zeros(0, dtype=np.int64)]),
            _paths=paths,
        )

    def __len__(self) -> int:
        return len(self.view)

    @property
    def num_clicks(self) -> Tensor:
        """(S,) int64: one or two."""
        return (self.vertices != ABSENT).sum(dim=1)

    @property
    def mask_size(self) -> tuple[int, int]:
        """(H, W) of every mask."""
        return self.cameras.size

    def clicks(self, sample: int) -> Clicks:
        """The clicks of one sample, the first one first."""
        present = self.vertices[sample] != ABSENT
        return Clicks(self.vertices[sample][present], self.positive[sample][present])

    def masks(self, samples) -> Tensor:
        """Masks (n, H, W) bool of the samples, given as an int64 tensor, array or list (n,), in that order.

        Shards are read once and kept, up to `CACHE_BYTES` packed; neighbouring samples share one.
        """
        samples = np.asarray(samples, dtype=np.int64).reshape(-1)
        height, width = self.mask_size
        packed = np.empty((len(samples), (height * width + 7) // 8), dtype=np.uint8)
        for shard in np.unique(self._shard[samples]):
            mine = self._shard[samples] == shard
            packed[mine] = self._packed(int(shard))[self._row[samples[mine]]]
        return unpack_masks(packed, (height, width))

    def click_sets(self) -> list[tuple[Clicks, Tensor]]:
        """Samples grouped by what was clicked, whatever the view and the order: (clicks, sample indices (n,) int64)."""
        absent = np.int64(1) << 62
        vertices, positive = self.vertices.numpy(), self.positive.numpy()
        code = np.where(vertices == ABSENT, absent, vertices + (~positive).astype(np.int64) * (np.int64(1) << 40))
        unique, group = np.unique(np.sort(code, axis=1), axis=0, return_inverse=True)
        members = _split_by(group.reshape(-1), len(unique))
        return [
            (
                Clicks(
                    torch.from_numpy(row[row < absent] & ((1 << 40) - 1)),
                    torch.from_numpy(row[row < absent] < (1 << 40)),
                ),
                torch.from_numpy(member),
            )
            for row, member in zip(unique, members)
        ]

    def by_view(self) -> dict[int, Tensor]:
        """View -> indices (n,) int64 of its samples, ascending; views without samples are left out."""
        views, group = np.unique(self.view.numpy(), return_inverse=True)
        return {int(view): torch.from_numpy(member) for view, member in zip(views, _split_by(group, len(views)))}

    def _packed(self, shard: int) -> np.ndarray:
        if shard not in self._cache:
            self._cache[shard] = _read_arrays(self._paths[shard], ("masks",))["masks"]
            while len(self._cache) > 1 and sum(array.nbytes for array in self._cache.values()) > CACHE_BYTES:
                self._cache.popitem(last=False)
        self._cache.move_to_end(shard)
        return self._cache[shard]


def read_manifest(directory: Path, mesh: Mesh | None = None) -> dict:
    """The checked `supervision.json`; UserError if missing, damaged or (given `mesh`) of another mesh."""
    path = Path(directory) / "supervision.json"
    if not path.is_file():
        source = mesh.path if mesh is not None and mesh.path is not None else "MESH"
        raise UserError(
            f"no click supervision at {directory}; make it first: python data_generation.py --obj_path {source} "
            f"--decoder_data_dir {directory} --single_click 1"
        )
    manifest = load_json(path, "click supervision")
    fields = {"format": int, "mesh_digest": str, "teacher": str, "settings": dict, "shards": dict}
    if not isinstance(manifest, dict) or any(not isinstance(manifest.get(name), kind) for name, kind in fields.items()):
        raise UserError(f"{path} is not a readable click supervision; make it again with --overwrite 1")
    if manifest["format"] != FORMAT:
        raise UserError(
            f"{path} is in format {manifest['format']}, this program reads {FORMAT}; make it again with --overwrite 1"
        )
    if mesh is not None and manifest["mesh_digest"] != mesh.digest:
        raise UserError(
            f"the click supervision at {directory} is of another mesh than {mesh.path}; give that mesh or another folder"
        )
    return manifest


def shard_path(directory: Path, kind: str, shard: int) -> Path:
    """The file of one shard."""
    return Path(directory) / f"{kind}_{shard:03d}.npz"


def cameras_to_arrays(cameras: Cameras) -> dict[str, np.ndarray]:
    """The views as arrays of `clicks.npz`."""
    return {
        "world_to_camera": cameras.world_to_camera.cpu().numpy(),
        "fov_y": np.float64(cameras.fov_y),
        "size": np.array(cameras.size, dtype=np.int64),
    }


def _cameras_from_arrays(path: Path) -> Cameras:
    held = _read_arrays(path, ("world_to_camera", "fov_y", "size"))
    return Cameras(torch.from_numpy(held["world_to_camera"]), float(held["fov_y"]), tuple(held["size"].tolist()))


def save_shard(path: Path, vertices: Tensor, positive: Tensor, view: Tensor, score: Tensor, masks: np.ndarray) -> None:
    """Write n samples; masks (n, ceil(HW / 8)) uint8 from `pack_masks`. Equal samples make equal files."""
    save_npz(
        path,
        vertices=vertices.numpy().astype(np.int64),
        positive=positive.numpy().astype(bool),
        view=view.numpy().astype(np.int32),
        score=score.numpy().astype(np.float32),
        masks=masks,
    )


def pack_masks(masks: Tensor) -> np.ndarray:
    """(n, H, W) bool -> (n, ceil(HW / 8)) uint8, eight pixels a byte."""
    return np.packbits(masks.flatten(1).numpy(), axis=1)


def unpack_masks(packed: np.ndarray, size: tuple[int, int]) -> Tensor:
    """The inverse of `pack_masks`."""
    flat = np.unpackbits(packed, axis=1, count=size[0] * size[1])
    return torch.from_numpy(flat.view(bool).reshape(-1, *size))


def _read_arrays(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Named members of a shard; the others are not decompressed."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in names}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path} is not a readable shard of click supervision ({error}); delete it and run data_generation.py "
            "again with the same options"
        ) from error


def _join(heads: list[dict], name: str, empty_shape: tuple[int, ...], dtype) -> np.ndarray:
    return np.concatenate([np.zeros(empty_shape, dtype)] + [head[name].astype(dtype) for head in heads])


def _split_by(group: np.ndarray, count: int) -> list[np.ndarray]:
    """Indices of each group 0..count-1, ascending."""
    order = np.argsort(group, kind="stable")
    return np.split(order, np.cumsum(np.bincount(group, minlength=count))[:-1]) if count else []
