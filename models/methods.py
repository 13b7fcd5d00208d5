"""Everything that scripts/evaluate.py and scripts/gallery.py can measure: one line a method in `METHODS`."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from statistics import median

from models.iseg.checkpoint import load_features
from models.iseg.correcting import ANSWERS_VERSION
from models.iseg.decoder_stage import LOSSES, TrainingSettings, new_training, run_training, samples_for
from models.iseg.decoders import ARCHITECTURES
from models.iseg.segmenter import DecoderSegmenter
from models.iseg.training import DecoderTraining
from models.iseg3d.baselines import (
    CUBES_WEIGHTS,
    FPFH_CLICK_RADIUS,
    FPFH_RADIUS,
    HEATMAP_WEIGHTS,
    FpfhSegmenter,
    HeatmapSegmenter,
)
from models.open import open_segmenter
from models.pipeline import PRESETS, Pipeline, PipelineSettings, Preset
from models.points.embedding import WEIGHTS as POINT_WEIGHTS
from models.prior import segmenter as prior
from SAM_repo.teacher import SamTeacher, load_teacher
from utils.device import choose_device
from utils.errors import UserError
from utils.evaluation.baselines import component, geodesic, sam_baseline
from utils.evaluation.label_teacher import LABEL_TEACHERS, LabelTeacher
from utils.evaluation.method import FaceSegmenter, Method, Prepared, StageClock, Stopwatch
from utils.files import digest
from utils.geometry.face_graph import FaceGraph
from utils.geometry.mesh import Mesh
from utils.options import SEED, TEACHERS, Checked, option, positive_int
from utils.progress import Bars
from utils.rendering.rasterize import Rasterizer
from utils.teacher import Teacher

PROBE_STEPS = 8  # of a training, that tell how long one takes


@dataclass(frozen=True, kw_only=True)
class MethodSettings(Checked):
    """What the methods can be told."""

    radius: float = option(0.2, "of geodesic, in bounding-box diagonals", within="(0, 100]", group="methods")
    concave_radius: float = option(0.48, "of geodesic_concave", within="(0, 100]")
    crease_factor: float = option(40.0, "of geodesic_concave", within="[0, 1000000]")
    n_views: int = option(100, "of sam_baseline", type=positive_int)
    preset: str | None = option(
        None,
        "of iseg; refine: the prior, refined on each mesh; fast: from nothing; paper: the published setting (GPU); "
        "default: refine, but fast with --cpu_seconds",
        choices=tuple(PRESETS),
    )
    cpu_seconds: float | None = option(
        None,
        "iseg trains for so much processor time (all threads) instead of as its preset says",
        within="(0, 1000000]",
        metavar="S",
    )
    architecture: str = option("geometric", "of iseg with --cpu_seconds", choices=ARCHITECTURES)
    loss: str = option("lifted", "of iseg with --cpu_seconds", choices=LOSSES)
    SAM: str = option(
        "auto",
        "teacher of sam_baseline, iseg and iseg_prior; perfect and people, of iseg alone, answer in every view with "
        "the wanted part, and with a part that another annotator marked",
        choices=(*TEACHERS, *LABEL_TEACHERS),
    )
    prior_weights: Path | None = option(
        None, "of iseg_prior, written by scripts/train_prior.py export; default: the shipped ones", metavar="FILE"
    )
    work_dir: Path | None = option(
        None, "where iseg keeps what it makes of a mesh; default: beside --out, with the ending .work"
    )
    device: str = option("auto", "auto, cpu or cuda")
    annotator: int | None = option(None, "the human whose parts are wanted; default: who agrees best with the others")
    seed: int = option(0, "of all randomness", within=SEED)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prior_weights is not None and not self.prior_weights.is_file():
            raise UserError(f"no prior decoder at {self.prior_weights}")
        if self.cpu_seconds is not None and not PRESETS[self.route].needs_field:
            raise UserError(f"--cpu_seconds is of a training from nothing, which --preset {self.preset} is not")

    @property
    def route(self) -> str:
        """The preset."""
        return self.preset or ("refine" if self.cpu_seconds is None else "fast")


@cache
def _teacher(name: str, device: str) -> SamTeacher:
    if name in LABEL_TEACHERS:
        raise UserError(f"--SAM {name} is a teacher of iseg alone")
    return load_teacher(name, device=choose_device(device))


def _prior_identity(weights: Path = prior.WEIGHTS) -> str:
    """What the answers of a prior depend on."""
    return f"{prior.ANSWERS_VERSION} {digest(weights.read_bytes()) if weights.is_file() else ''}"


def _on_points(name: str, open: Callable[[Mesh], FaceSegmenter], *depends_on: object) -> Method:
    """A method that answers on points sampled on the mesh; its answers depend on these files and values."""
    held = [value.read_bytes() if isinstance(value, Path) and value.is_file() else str(value) for value in depends_on]
    return Method.opening(name, f"{name} {digest(*held)}", lambda mesh, _: open(mesh))


def iseg_prior(settings: MethodSettings, teacher: Teacher | None = None) -> Method:
    """The decoder trained once for all meshes; teacher: in place of the one that the settings name."""
    teacher = teacher or _teacher("vit_t" if settings.SAM == "auto" else settings.SAM, settings.device)
    weights = settings.prior_weights or prior.WEIGHTS
    return Method.opening(
        "iseg_prior",
        f"iseg_prior {teacher.name} {_prior_identity(weights)}",
        lambda mesh, _: prior.PriorSegmenter.prepare(mesh, teacher, weights=weights),
        choice=True,
    )


# --- the optimisation of a mesh -------------------------------------------------------------------


def iseg(settings: MethodSettings, preset: Preset | None = None, teacher: Teacher | None = None) -> Method:
    """The pipeline: views, feature field, click supervision and decoder of one mesh (scripts/pipeline.py).

    preset, teacher: in place of those that the settings name.
    """
    base = teacher or _teacher("vit_t" if settings.SAM in LABEL_TEACHERS else settings.SAM, settings.device)
    whole = _Iseg(settings, preset or PRESETS[settings.route], base)
    return Method("iseg", whole.identity, whole.prepare)


@dataclass(frozen=True)
class _Iseg:
    """Everything lies in `work_dir`/iseg_PRESET_DIGEST_TEACHER_SEED/MESH and is used again.

    The seconds of every stage are recorded there, so that they are known on a second run too.
    """

    settings: MethodSettings
    preset: Preset
    teacher: Teacher

    @property
    def teacher_name(self) -> str:
        label = self.settings.SAM in LABEL_TEACHERS
        return f"{self.settings.SAM}-{self.settings.annotator}-{self.teacher.name}" if label else self.teacher.name

    @property
    def identity(self) -> str:
        s = self.settings
        parts = ["iseg", s.route, self.preset.digest, self.teacher_name, str(s.seed)]
        parts.append(f"{ANSWERS_VERSION}" if self.preset.needs_field else _prior_identity())
        if s.cpu_seconds is not None:
            parts += [s.architecture, s.loss, f"{s.cpu_seconds:g}s"]
        return " ".join(parts)

    def pipeline(self, mesh: Mesh) -> Pipeline:
        if mesh.path is None:
            raise UserError("iseg needs a mesh that lies in a file")
        s, name = self.settings, f"{mesh.path.stem}_{mesh.digest[:8]}"
        recipe = self.preset.digest if self.preset.needs_field else digest(self.preset.digest, _prior_identity())
        folder = f"iseg_{s.route}_{recipe[:8]}_{self.teacher_name}_{s.seed}"
        named = {key: getattr(s, key) for key in ("device", "seed")}
        out_dir, teacher = (s.work_dir or Path("experiments")) / folder / name, self.teacher
        if s.SAM in LABEL_TEACHERS:
            teacher = LabelTeacher.of(s.SAM, mesh, teacher, s.annotator)
        return Pipeline(
            PipelineSettings(obj_path=mesh.path, out_dir=out_dir, name=name, preset=s.route, **named),
            self.preset,
            teacher,
        )

    def prepare(self, mesh: Mesh, graph: FaceGraph) -> Prepared:
        s, pipeline = self.settings, self.pipeline(mesh)
        clock, stages = StageClock(pipeline.settings.directory / "seconds.json"), pipeline.stages
        if s.cpu_seconds is not None:
            del stages["decoder training"]
        for name, work in stages.items():
            clock.run(name, partial(work, Bars()))
        with Stopwatch() as watch:
            if s.cpu_seconds is None:
                files = pipeline.settings.files
                segmenter = open_segmenter(
                    mesh,
                    "trained",
                    checkpoint=files.checkpoint,
                    features=files.features,
                    device=s.device,
                    precision="auto",
                )
            else:
                training = replace(pipeline.decoder(), architecture=s.architecture, loss=s.loss)
                segmenter = train_for(s.cpu_seconds, training, mesh)
        if s.cpu_seconds is None and self.preset.needs_field:
            watch = Stopwatch()  # opening a finished decoder is no work worth counting; the prior embeds its views anew
        return Prepared(
            segmenter,
            clock.total("seconds", stages, watch.seconds),
            clock.total("cpu_seconds", stages, watch.cpu_seconds),
            choice=not self.preset.needs_field,
        )


class _TimeIsOver(Exception):
    """Ends a training that has no end of its own."""


def train_for(seconds: float, settings: TrainingSettings, mesh: Mesh) -> DecoderSegmenter:
    """A decoder trained for so much processor time, all threads counted, preparation included; nothing is written."""
    device = choose_device(settings.device)
    features, _ = load_features(settings.features, mesh)
    data = samples_for(settings, mesh)
    rasterizer = Rasterizer(mesh, settings.renderer, device)

    def train(settings: TrainingSettings, after_step: Callable[[], None]) -> DecoderTraining:
        training = new_training(settings, features, device)
        with suppress(_TimeIsOver):
            run_training(training, features, mesh, data, rasterizer, settings.loop, after_step=after_step)
        return training

    started, marks = time.process_time(), []

    def stop_in_time() -> None:
        if time.process_time() > started + seconds:
            raise _TimeIsOver

    if settings.loss == "rendered":
        training = train(replace(settings, num_epochs=10**6), stop_in_time)
    else:  # its rate falls along a cosine, so the number of steps has to be known beforehand
        train(replace(settings, steps=PROBE_STEPS), lambda: marks.append(time.process_time()))
        step = median(after - before for before, after in pairwise(marks))
        left = seconds - (marks[0] - step - started)
        training = train(replace(settings, steps=max(1, int(left / step))), lambda: None)
    print(f"decoder: {settings.architecture}, {settings.loss}: {len(training.losses)} steps in {seconds:g} s")
    return DecoderSegmenter(mesh, training.network, features, "float32")


METHODS: dict[str, Callable[[MethodSettings], Method]] = {
    "geodesic": lambda s: geodesic("geodesic", s.radius),
    "geodesic_concave": lambda s: geodesic("geodesic_concave", s.concave_radius, s.crease_factor),
    "component": lambda s: component(),
    "sam_baseline": lambda s: sam_baseline(_teacher(s.SAM, s.device), s.n_views, s.seed),
    "iseg_prior": iseg_prior,
    "iseg": iseg,
    "iseg3d": lambda s: _on_points(
        "iseg3d", lambda mesh: open_segmenter(mesh, "instant", device=s.device, seed=s.seed), POINT_WEIGHTS, s.seed
    ),
    "fpfh": lambda s: _on_points(
        "fpfh", lambda mesh: FpfhSegmenter(mesh, s.seed), FPFH_RADIUS, FPFH_CLICK_RADIUS, s.seed
    ),
    "heatmap": lambda s: _on_points(
        "heatmap",
        lambda mesh: HeatmapSegmenter(mesh, device=choose_device(s.device), seed=s.seed),
        HEATMAP_WEIGHTS,
        s.seed,
    ),
    "click_channels": lambda s: _on_points(
        "click_channels",
        lambda mesh: HeatmapSegmenter(mesh, CUBES_WEIGHTS, choose_device(s.device), s.seed, "cubes"),
        CUBES_WEIGHTS,
        s.seed,
    ),
}
NAMES = tuple(METHODS)
TRAINING_FREE = ("geodesic", "geodesic_concave", "component", "sam_baseline")


@cache
def build_method(settings: MethodSettings, name: str) -> Method:
    """The method of a name; a process builds each once."""
    return METHODS[name](settings)
