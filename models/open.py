"""The one place that opens what answers clicks: command line, page, benchmark and notebooks come through here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from models.iseg.segmenter import DecoderSegmenter
from models.iseg3d import segmenter as iseg3d
from models.points.embedding import WEIGHTS as POINT_WEIGHTS
from models.prior.checkpoint import WEIGHTS, is_refined_prior
from models.prior.segmenter import PriorSegmenter
from SAM_repo.teacher import SamTeacher, load_teacher
from utils.device import choose_device
from utils.errors import UserError
from utils.geometry.mesh import Mesh
from utils.options import CHECKPOINT_NAME, SEGMENTERS
from utils.progress import Progress, Step, silent
from utils.segmenter import Segmenter


@dataclass(frozen=True)
class TrainedFiles:
    """Where a decoder trained on a mesh lies.

    checkpoint  of the decoder, or of the prior refined on the mesh, which needs no features
    features    the feature field, `pred_f.pth`
    """

    checkpoint: Path
    features: Path

    @classmethod
    def of_run(cls, directory: str | Path) -> TrainedFiles:
        """In the folder of one mesh, as the pipeline lays it out."""
        return cls(Path(directory) / "decoder" / CHECKPOINT_NAME, Path(directory) / "encoder" / "pred_f.pth")

    @property
    def there(self) -> bool:
        return self.checkpoint.is_file() and (self.features.is_file() or is_refined_prior(self.checkpoint))


def default_places(name: str) -> list[TrainedFiles]:
    """Where the stages leave the decoder of a mesh when nothing else is said."""
    return [TrainedFiles.of_run(Path("experiments") / name)]


def open_segmenter(
    mesh: Mesh,
    kind: str = "auto",
    *,
    checkpoint: str | Path | None = None,
    features: str | Path | None = None,
    places: Sequence[TrainedFiles] | None = None,
    teacher: str = "auto",
    device: str | torch.device = "auto",
    precision: str = "exact",
    cache_dir: str | Path | None = None,
    seed: int = 0,
    on_progress: Progress = silent,
) -> Segmenter:
    """Make a segmenter ready for one mesh.

    kind        "prior": the decoder trained once for all meshes, ready after seconds; "trained": the one that was
                trained on this mesh; "instant": iSeg3D, ready in a second; "auto": trained if there is one, else prior
    checkpoint  of a trained decoder (`features` then name its feature field), or weights of iSeg3D
    places      where a trained decoder may lie; default: where the stages leave it for a mesh of this name
    teacher     of the prior: "auto" is the embedded one that it was trained with
    precision   of a trained decoder: "exact", "float32", "bfloat16", or "auto", the fastest
    cache_dir   folder where the prior keeps what it made of the mesh; None: nothing is kept
    seed        of the points that iSeg3D samples; on_progress hears of the stages of getting ready

    Raises UserError if what is asked for is not there, is damaged, or belongs to another mesh. With "auto" a decoder
    that cannot be used is passed over, with a note on the terminal.
    """
    if kind not in ("auto", *SEGMENTERS):
        raise UserError(f"unknown segmenter '{kind}'; choose one of auto, {', '.join(SEGMENTERS)}")
    device = choose_device(str(device))
    if kind == "instant":
        on_progress(Step("instant answers", 0, 1))
        return iseg3d.Iseg3dSegmenter(mesh, checkpoint or POINT_WEIGHTS, device, seed=seed)

    def open_prior(weights: str | Path = WEIGHTS) -> Segmenter:
        # The prior belongs to the embedded teacher, whatever larger one there may be.
        found = _teacher("vit_t" if teacher == "auto" else teacher, device)
        return PriorSegmenter.prepare(mesh, found, cache_dir, weights, on_progress=on_progress)

    def open_trained(files: TrainedFiles) -> Segmenter:
        if is_refined_prior(files.checkpoint):
            return open_prior(files.checkpoint)
        return DecoderSegmenter.load(files.checkpoint, files.features, mesh, device, precision)

    if kind == "prior":
        return open_prior()
    if checkpoint is not None:
        return open_trained(TrainedFiles(Path(checkpoint), Path(features or default_features(checkpoint))))
    places = default_places(Path(mesh.path).stem if mesh.path else "mesh") if places is None else places
    for files in places:
        if not files.there:
            continue
        try:
            return open_trained(files)
        except UserError as error:
            if kind == "trained" and files is places[-1]:
                raise
            print(f"note: {error}", flush=True)
    return open_trained(places[-1]) if kind == "trained" else open_prior()


def default_features(checkpoint: str | Path) -> Path:
    """The feature field beside a decoder's folder."""
    return Path(checkpoint).parent.parent / "encoder" / "pred_f.pth"


def kinds_for(places: Sequence[TrainedFiles], instant: Path = POINT_WEIGHTS) -> list[str]:
    """Which `SEGMENTERS` can be opened for a mesh with trained decoders at `places`, if any; instant: the weights."""
    there = {"prior": True, "trained": any(files.there for files in places), "instant": instant.is_file()}
    return [kind for kind in SEGMENTERS if there[kind]]


@cache
def _teacher(name: str, device: torch.device) -> SamTeacher:
    """One for all meshes of a process: its weights are the larger part of getting ready."""
    return load_teacher(name, device=device)
