"""Click supervision on disk: which clicks, in which view, gave which mask (paper Sec. 3.3).

A set is a folder of few files, never one file a sample:

    supervision.json        mesh digest, teacher, settings, and how many shards each kind of click has
    clicks.npz              the views, the sampled vertices, and in which views they are seen at which pixel
    single_000.npz, ...     samples of single positive clicks
    positive_000.npz, ...   samples with a second click that includes
    negative_000.npz, ...   samples with a second click that excludes

A finished shard exists and an unfinished one does not; `utils.supervision.writer` fills the folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from utils.clicks import Clicks
from utils.errors import UserError
from utils.files import Recent, load_json, load_npz, save_json, save_npz, whole
from utils.geometry.mesh import Mesh
from utils.progress import Progress, Step, silent
from utils.rendering.cameras import Cameras

KINDS = ("single", "positive", "negative")
FLAG_OF_KIND = {"single": "--single_click 1", "positive": "--second_positive 1", "negative": "--second_negative 1"}
FORMAT = 1
REMEDY = "run data_generation.py again with the same options, which makes it again"
MOST_SHARDS = 1_000_000
ABSENT = -1  # the second vertex of a single click
SHARD_SAMPLES = 4096  # prompts a shard answers at most, unless one view has more; a shard holds whole views
SHARDS_HELD = 32  # some 25 MB each at 224 x 224


@dataclass(frozen=True, eq=False)
class Samples:
    """The n samples of one view on their way into a shard; fields as in `SupervisionSet`, in the file's types.

    masks  (n, ceil(HW / 8)) uint8, eight pixels a byte
    """

    vertices: np.ndarray
    positive: np.ndarray
    view: np.ndarray
    score: np.ndarray
    masks: np.ndarray

    @classmethod
    def of(cls, vertices: Tensor, positive: Tensor, view: int, score: Tensor, masks: Tensor) -> Samples:
        """Of masks (n, H, W) bool."""
        views = np.full(len(masks), view, dtype=np.int32)
        return cls(vertices.numpy(), positive.numpy(), views, score.float().numpy(), pack_masks(masks))

    @classmethod
    def joined(cls, parts: Iterable[Samples], size: tuple[int, int]) -> Samples:
        """All parts, maybe none; masks of `size` (H, W)."""
        none = torch.zeros((0, 2), dtype=torch.int64)
        empty = cls.of(none, none.bool(), 0, torch.zeros(0), torch.zeros((0, *size), dtype=torch.bool))
        return cls(*(np.concatenate(arrays) for arrays in zip(*(vars(part).values() for part in (empty, *parts)))))


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
    _starts: np.ndarray = field(repr=False)  # the first sample of each shard
    _paths: tuple[Path, ...] = field(repr=False)
    _recent: Recent[np.ndarray] = field(default_factory=lambda: Recent[np.ndarray](SHARDS_HELD), repr=False)

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
        place = directory / "clicks.npz"
        views = load_npz(place, "list of clicked vertices", ("world_to_camera", "fov_y", "size"), REMEDY)
        cameras = Cameras.from_file(views, place, REMEDY)
        heads = [_read_head(path, mesh.num_vertices, len(cameras)) for path in paths]
        counts = [len(head["view"]) for head in heads]
        kind_of_path = [KINDS.index(kind) for kind in kinds for _ in range(manifest["shards"][kind])]

        def joined(name: str, dtype: type, *width: int) -> Tensor:
            parts = [np.zeros((0, *width), dtype), *(head[name].astype(dtype) for head in heads)]
            return torch.from_numpy(np.concatenate(parts))

        return SupervisionSet(
            directory,
            cameras,
            manifest["mesh_digest"],
            manifest["teacher"],
            manifest["settings"],
            joined("vertices", np.int64, 2),
            joined("positive", bool, 2),
            joined("view", np.int64),
            joined("score", np.float32),
            torch.from_numpy(np.repeat(np.array(kind_of_path, dtype=np.int64), counts)),
            np.cumsum([0, *counts[:-1]]),
            paths,
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

    def masks(self, samples: Tensor | np.ndarray | Sequence[int]) -> Tensor:
        """Masks (n, H, W) bool of the samples, given as an int64 tensor, array or list (n,), in that order.

        The shards read last are kept; neighbouring samples share one.
        """
        samples = np.asarray(samples, dtype=np.int64).reshape(-1)
        height, width = self.mask_size
        packed = np.empty((len(samples), (height * width + 7) // 8), dtype=np.uint8)
        shards = np.searchsorted(self._starts, samples, side="right") - 1
        for shard in np.unique(shards).tolist():
            held = self._recent.get(shard, lambda path=self._paths[shard]: _read_masks(path, packed.shape[1]))
            if len(held) <= int((samples[shards == shard] - self._starts[shard]).max()):
                raise UserError(f"{self._paths[shard]} has fewer masks than samples; {REMEDY}")
            packed[shards == shard] = held[samples[shards == shard] - self._starts[shard]]
        return unpack_masks(packed, (height, width))

    def click_sets(self) -> list[tuple[Clicks, Tensor]]:
        """Samples grouped by what was clicked, whatever the view and the order: (clicks, sample indices (n,) int64)."""
        absent = np.int64(1) << 62
        vertices, positive = self.vertices.numpy(), self.positive.numpy()
        code = np.where(vertices == ABSENT, absent, vertices + (~positive).astype(np.int64) * (np.int64(1) << 40))
        unique, group = np.unique(np.sort(code, axis=1), axis=0, return_inverse=True)
        members = _split_by(group.reshape(-1), len(unique))
        return [(self.clicks(int(of_set[0])).canonical(), of_set) for of_set in members]

    def by_view(self) -> dict[int, Tensor]:
        """View -> indices (n,) int64 of its samples, ascending; views without samples are left out."""
        views, group = np.unique(self.view.numpy(), return_inverse=True)
        return dict(zip(views.tolist(), _split_by(group, len(views))))


def read_manifest(directory: Path, mesh: Mesh | None = None) -> dict:
    """The checked `supervision.json`; UserError if missing, damaged or (given `mesh`) of another mesh."""
    path = Path(directory) / "supervision.json"
    if not path.is_file():
        source = mesh.path if mesh is not None and mesh.path is not None else "MESH"
        raise UserError(
            f"no click supervision at {directory}; make it first: python data_generation.py --obj_path {source} "
            f"--decoder_data_dir {directory} --single_click 1"
        )
    manifest = load_json(path, "click supervision", dict)
    expected = {"format": int, "mesh_digest": str, "teacher": str, "settings": dict, "shards": dict}
    counts = manifest["shards"].values() if isinstance(manifest.get("shards"), dict) else ()
    odd = any(not isinstance(count, int) or not 0 <= count < MOST_SHARDS for count in counts)
    if odd or any(not isinstance(manifest.get(name), kind) for name, kind in expected.items()):
        raise UserError(f"{path} is not a readable click supervision; make it again with --overwrite 1")
    if manifest["format"] != FORMAT:
        raise UserError(
            f"{path} is in format {manifest['format']}, this program reads {FORMAT}; make it again with --overwrite 1"
        )
    if mesh is not None and manifest["mesh_digest"] != mesh.digest:
        raise UserError(
            f"the click supervision at {directory} is of another mesh than {mesh.path}; "
            "give that mesh or another folder"
        )
    return manifest


def shard_path(directory: Path, kind: str, shard: int) -> Path:
    """The file of one shard."""
    return Path(directory) / f"{kind}_{shard:03d}.npz"


def cameras_to_arrays(cameras: Cameras) -> dict[str, np.ndarray]:
    """The views as arrays of `clicks.npz`; `Cameras.from_dict` reads them."""
    return {name: np.asarray(value) for name, value in cameras.to_dict().items()}


def write_shards(
    directory: Path,
    kinds: tuple[str, ...],
    counts: Tensor,
    samples_of: Callable[[int, Sequence[str]], Iterable[tuple[str, Samples]]],
    size: tuple[int, int],
    stage: str,
    shard_samples: int = SHARD_SAMPLES,
    on_progress: Progress = silent,
) -> None:
    """Write the shards of some kinds that are not there yet.

    counts      (N,) int64, prompts that each view takes: shards are cut by them, whatever comes of the prompts
    samples_of  (view, kinds) -> the samples of the view, each with its kind
    size        (H, W) of the masks; stage: what `on_progress` hears
    """
    spans = _spans(counts, shard_samples)
    _announce(directory, kinds, len(spans))
    done, total = 0, int(counts.sum())
    for shard, span in enumerate(spans):
        paths = {kind: shard_path(directory, kind, shard) for kind in kinds}
        missing = [kind for kind, path in paths.items() if not whole(lambda path=path: _check(path))]
        parts: dict[str, list[Samples]] = {kind: [] for kind in missing}
        for view in span:
            on_progress(Step(stage, done, total, "click"))
            for kind, samples in samples_of(view, missing) if missing else ():
                parts[kind].append(samples)
            done += int(counts[view])
        for kind in missing:
            save_shard(shard_path(directory, kind, shard), Samples.joined(parts[kind], size))
    on_progress(Step(stage, done, total, "click"))


def save_shard(path: Path, samples: Samples) -> None:
    """Write samples; equal ones make equal files."""
    save_npz(path, **vars(samples))


def _spans(counts: Tensor, most: int) -> list[range]:
    """Consecutive views cut into shards of at most `most` prompts, or one view."""
    spans, start, held = [], 0, 0
    for view, count in enumerate(counts.tolist()):
        if held and held + count > most:
            spans.append(range(start, view))
            start, held = view, 0
        held += count
    return [*spans, range(start, len(counts))]


def _announce(directory: Path, kinds: tuple[str, ...], shards: int) -> None:
    """Write down how many shards the kinds will have: from then on, a missing one means unfinished."""
    manifest = read_manifest(directory)
    wanted = {**manifest["shards"], **dict.fromkeys(kinds, shards)}
    if wanted != manifest["shards"]:
        save_json(directory / "supervision.json", {**manifest, "shards": wanted}, seal=True)


def pack_masks(masks: Tensor) -> np.ndarray:
    """(n, H, W) bool -> (n, ceil(HW / 8)) uint8, eight pixels a byte."""
    return np.packbits(masks.flatten(1).numpy(), axis=1)


def unpack_masks(packed: np.ndarray, size: tuple[int, int]) -> Tensor:
    """The inverse of `pack_masks`."""
    flat = np.unpackbits(packed, axis=1, count=size[0] * size[1])
    return torch.from_numpy(flat.view(bool).reshape(-1, *size))


def _read_shard(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    return load_npz(path, "shard of click supervision", names, REMEDY)


def _check(path: Path) -> None:
    """UserError if a shard is missing or damaged."""
    held = _read_shard(path, [entry.name for entry in fields(Samples)])
    if len({len(array) for array in held.values()}) != 1:
        raise UserError(f"{path} has lists of different lengths; {REMEDY}")


def _read_head(path: Path, vertices: int, views: int) -> dict[str, np.ndarray]:
    """What a shard says of its samples, without the masks; UserError for what a mesh or a set of views has not."""
    head = _read_shard(path, ("vertices", "positive", "view", "score"))
    ids, view, count = head["vertices"], head["view"], len(head["view"])
    shaped = ids.shape == (count, 2) == head["positive"].shape and view.shape == head["score"].shape == (count,)
    whole_numbers = ids.dtype.kind in "iu" and view.dtype.kind in "iu" and np.isfinite(head["score"]).all()
    if not shaped or not whole_numbers:
        raise UserError(f"{path} is not a shard of click supervision; {REMEDY}")
    if count and not (ids[:, 0].min() >= 0 and ids.min() >= ABSENT and ids.max() < vertices):
        raise UserError(f"{path} has clicks on vertices that the mesh has not; {REMEDY}")
    if count and not 0 <= view.min() <= view.max() < views:
        raise UserError(f"{path} has clicks in views that there are not; {REMEDY}")
    return head


def _read_masks(path: Path, width: int) -> np.ndarray:
    """(n, width) uint8, packed."""
    masks = _read_shard(path, ("masks",))["masks"]
    if masks.ndim != 2 or masks.shape[1] != width or masks.dtype != np.uint8:
        raise UserError(f"{path} has masks of another size than the views; {REMEDY}")
    return masks


def _split_by(group: np.ndarray, count: int) -> list[Tensor]:
    """Indices of each group 0..count-1, ascending."""
    order = np.argsort(group, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(group, minlength=count))[:-1]) if count else []
    return [torch.from_numpy(part) for part in parts]
