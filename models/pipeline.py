"""All stages for one mesh as one function: views, feature field, click supervision, decoder, queries, and a picture."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.iseg.click_stage import SupervisionSettings, make_supervision
from models.iseg.decoder_stage import TrainingSettings, train_decoder
from models.iseg.encoder_stage import EncoderSettings, distill
from models.open import TrainedFiles, open_segmenter
from models.prior.refinement import refine
from utils.clicks import Clicks
from utils.device import choose_device
from utils.files import digest
from utils.geometry.mesh import Mesh, load_mesh
from utils.geometry.sampling import farthest_point_sampling
from utils.options import BACKENDS, MeshSettings, TeacherSettings, option
from utils.output.query import QuerySettings
from utils.progress import Progress, silent
from utils.rendering.rasterize import Rasterizer, choose_backend
from utils.segmenter import Answer, answer_query
from utils.teacher import Teacher

TRAINING_VERSION = 3  # of training a decoder from nothing; counts up where the same settings give other decoders


@dataclass(frozen=True)
class Preset:
    """Settings of the stages under one name: of the views, the feature field, the clicks and the decoder."""

    views: dict[str, Any]
    field: dict[str, Any]
    clicks: dict[str, Any]
    decoder: dict[str, Any]
    needs_field: bool = True

    @property
    def digest(self) -> str:
        """Identifies the settings: results that were made with others are not to be taken for these."""
        init = {"init": f"scratch {TRAINING_VERSION}" if self.needs_field else "prior"}
        stages = (self.views, self.field, self.clicks, init | self.decoder)
        return digest(*(" ".join(f"--{key} {_text(value)}" for key, value in stage.items()) for stage in stages))


_SPHERE = {"view_sampling": "sphere", "n_views": 96}
_SINGLE = {"second_positive": False, "second_negative": False}
_PAIRS = {"second_positive": True, "second_negative": True}
PRESETS = {
    # Few views, evenly spread and shared by both stages; lifted loss; a decoder that also sees the clicks' geometry.
    "fast": Preset(
        _SPHERE,
        {"distillation": "collapsed"},
        {"percentage": 0.03, "max_clicks": 250, "n_views": 24, **_SINGLE},
        {"architecture": "geometric", "loss": "lifted", "steps": 1400},
    ),
    # The decoder shipped for all meshes, refined on this one by single clicks all over it, seen from the front.
    "refine": Preset(
        {"view_sampling": "sphere", "n_views": 36},
        {},
        {"percentage": 1.0, "max_clicks": 192, "n_views": 6, "min_facing": 0.5, **_SINGLE},
        {},
        needs_field=False,
    ),
    # As published, with views of their own for either stage.
    "paper": Preset(
        {"view_sampling": "front", "n_views": 1000},
        {"distillation": "rendered", "num_epochs": 3},
        {"percentage": 0.03, "n_views": 100, **_PAIRS},
        {"architecture": "published", "loss": "rendered", "num_epochs": 5},
    ),
}


def _text(value: Any) -> str:
    """As it is written on a command line."""
    return str(int(value)) if isinstance(value, bool) else str(value)


@dataclass(frozen=True, kw_only=True)
class PipelineSettings(TeacherSettings, MeshSettings):
    """One mesh through all stages."""

    out_dir: Path | None = option(
        None, "folder of everything that is written; default: experiments/NAME", group="what to do and where"
    )
    preset: str = option(
        "refine",
        "refine: the prior decoder, refined on this mesh; fast: the paper's optimisation from nothing, in minutes on "
        "any machine; paper: the published setting (GPU)",
        choices=tuple(PRESETS),
    )
    queries: tuple[str, ...] = option(
        (),
        'each a quoted list of vertex ids, a minus sign excludes: "5141" "5141 61" "5141 -10795"; '
        "default: three examples at spread-out vertices",
        metavar="CLICKS",
    )
    overwrite: bool = option(False, "start over instead of resuming")
    renderer: str = option("auto", "auto: kaolin with CUDA, else embree", choices=BACKENDS)

    @property
    def directory(self) -> Path:
        return self.out_dir or Path("experiments") / self.mesh_name

    @property
    def files(self) -> TrainedFiles:
        return TrainedFiles.of_run(self.directory)


@dataclass(frozen=True)
class Pipeline:
    """The stages of one mesh with a preset.

    preset   the settings themselves; teacher: in place of the one that `settings.SAM` names
    """

    settings: PipelineSettings
    preset: Preset
    teacher: Teacher | None = None

    @classmethod
    def of(cls, settings: PipelineSettings) -> Pipeline:
        return cls(settings, PRESETS[settings.preset])

    @property
    def stages(self) -> dict[str, Callable[[Progress], object]]:
        """What there is to do before clicks are answered, by its name, in order."""
        train = train_decoder if self.preset.needs_field else refine
        return {
            "views and feature field": lambda on_progress: distill(self.encoder(), on_progress, self.teacher),
            "click supervision": lambda on_progress: make_supervision(self.clicks(), on_progress, self.teacher),
            "decoder training": lambda on_progress: train(self.decoder(), on_progress),
        }

    def encoder(self, views: bool = True, training: bool = True) -> EncoderSettings:
        """Render and embed the views, train the field, or both."""
        return EncoderSettings(
            **self._common(),
            **self._rendering(),
            **self.preset.views,
            **self.preset.field,
            encoder_data_dir=self._views,
            encoder_model_dir=self.settings.files.features.parent,
            generate_random_views=views,
            start_training=training and self.preset.needs_field,
        )

    def clicks(self) -> SupervisionSettings:
        """Single clicks and, but for refining, second clicks of both signs; published: in views of their own."""
        return SupervisionSettings(
            **self._common(),
            **self._rendering(),
            **self.preset.clicks,
            decoder_data_dir=self.settings.directory / "decoder_data",
            encoder_data_dir=self._views if self.preset is not PRESETS["paper"] else None,
        )

    def decoder(self) -> TrainingSettings:
        """The training of the decoder, or the refinement of the prior."""
        return TrainingSettings(
            **self._common(),
            **self.preset.decoder,
            encoder_f_path=self.settings.files.features,
            decoder_data_dir=self.settings.directory / "decoder_data",
            save_dir=self.settings.files.checkpoint.parent,
        )

    @property
    def _views(self) -> Path:
        return self.settings.directory / "encoder_data"

    def _common(self) -> dict[str, Any]:
        names = ("obj_path", "seed", "device", "overwrite")
        return {name: getattr(self.settings, name) for name in names} | {"name": self.settings.mesh_name}

    def _rendering(self) -> dict[str, Any]:
        return {"renderer": self.settings.renderer, "SAM": self.settings.SAM}


def run_pipeline(
    settings: PipelineSettings, on_progress: Progress = silent, pipeline: Pipeline | None = None
) -> dict[str, float]:
    """Take a mesh through every stage, answer the queries and draw them; returns the seconds of each stage.

    Finished work is kept: after an interruption the same call goes on where it was. pipeline: in place of the preset's.
    Raises UserError for what a person can mend, as far as possible before the long work begins.
    """
    pipeline = pipeline or Pipeline.of(settings)
    mesh = load_mesh(settings.obj_path)
    choose_backend(settings.renderer, choose_device(settings.device))
    queries = [parse_query(text, mesh) for text in settings.queries or example_queries(mesh)]
    clock: dict[str, float] = {}
    for stage, work in pipeline.stages.items():
        _timed(clock, stage, work, on_progress)
    answers = _timed(clock, "queries", _answer, settings, mesh, queries)
    sheet = settings.directory / "contact_sheet.png"
    _timed(clock, "contact sheet", draw_sheet, sheet, mesh, answers, settings.mesh_name)
    return clock


def _timed(clock: dict[str, float], stage: str, work: Callable[..., Any], *arguments: Any) -> Any:
    print(f"\n== {stage}", flush=True)
    started = time.perf_counter()
    result = work(*arguments)
    clock[stage] = time.perf_counter() - started
    return result


def _answer(settings: PipelineSettings, mesh: Mesh, queries: list[Clicks]) -> list[Answer]:
    """Ask the trained decoder, and write what it selects beside it."""
    files, folder = settings.files, settings.files.checkpoint.parent
    started = time.perf_counter()
    segmenter = open_segmenter(
        mesh,
        "trained",
        checkpoint=files.checkpoint,
        features=files.features,
        device=settings.device,
        cache_dir=folder / "prior",
    )
    ready = time.perf_counter() - started
    answers = []
    for clicks in queries:
        signed = clicks.label().replace("v", "").split("_")
        query = QuerySettings(select_vertices=tuple(signed), hard=True, show_spheres=True)
        answers.append(answer_query(segmenter, query, folder, ready, settings.renderer))
    return answers


def parse_query(text: str, mesh: Mesh) -> Clicks:
    """The clicks of a query such as "5141 -10795"; UserError if they cannot be asked of the mesh."""
    return Clicks.from_signed(text.replace(",", " ").split()).validate(mesh.num_vertices)


def example_queries(mesh: Mesh) -> list[str]:
    """One click, two positive clicks, and a positive with a negative click, at vertices far from each other."""
    used = np.flatnonzero(mesh.referenced)
    far = used[farthest_point_sampling(mesh.normalized[used], 3)].tolist()
    first, second, third = (far * 3)[:3]
    return [f"{first}"] if len(set(far)) < 3 else [f"{first}", f"{first} {second}", f"{first} -{third}"]


def draw_sheet(path: Path, mesh: Mesh, answers: list[Answer], title: str) -> None:
    """Draw answers on one picture."""
    from utils.output.figures import QueryPicture, save_contact_sheet  # training needs no matplotlib

    pictures = [
        QueryPicture(
            answer.probability,
            answer.clicks,
            f"{int(answer.selected.sum()):,} of {mesh.num_vertices:,} vertices selected",
        )
        for answer in answers
    ]
    save_contact_sheet(path, Rasterizer(mesh, "embree"), pictures, title=title)


def written(settings: PipelineSettings) -> list[Path]:
    """The files a person will want, those that are there."""
    folder = settings.files.checkpoint.parent
    endings = ("vertex_probability", "colored_mesh", "render_views", "selection")
    answers = [path for path in sorted(folder.glob("*")) if path.name.startswith(endings)]
    paths = [settings.files.features, settings.files.checkpoint, *answers, settings.directory / "contact_sheet.png"]
    return [path for path in paths if path.is_file()]
