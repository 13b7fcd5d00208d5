"""The click supervision stage: the teacher prompted with clicks on sampled vertices in many views (Sec. 3.3)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch

from SAM_repo.teacher import load_teacher
from utils.device import choose_device
from utils.errors import UserError
from utils.geometry.mesh import load_mesh
from utils.options import TEACHERS, MeshSettings, RenderSettings, TeacherSettings, option, part_of, positive_int
from utils.progress import Progress, silent
from utils.rendering.rasterize import Rasterizer
from utils.rendering.view_pool import ViewPool, ViewSettings, build_view_pool, open_view_pool
from utils.supervision.store import KINDS, SupervisionSet
from utils.supervision.writer import ClickSettings, SecondClickSettings, write_supervision
from utils.teacher import Teacher

VIEWS_DRAWN_PER_VIEW_WANTED = 3  # a vertex shows in about a third of the views around the object


@dataclass(frozen=True, kw_only=True)
class SupervisionSettings(TeacherSettings, RenderSettings, MeshSettings, SecondClickSettings, ClickSettings):
    """Everything the click supervision stage can be told; the defaults are the published ones."""

    decoder_data_dir: Path | None = option(
        None, "where the samples go; default: data/NAME/decoder_data", group="what to do and where"
    )
    encoder_data_dir: Path | None = option(
        None,
        "take the views and embeddings that encoder.py left here, with their --radius, --background and teacher; "
        "default: draw and embed views of its own",
    )
    single_click: bool = option(True, "one positive click")
    second_positive: bool = option(False, "a second click that includes")
    second_negative: bool = option(False, "a second click that excludes")
    overwrite: bool = option(False, "start over instead of resuming")
    preview: bool = option(False, "draw 24 random samples as preview.png")
    pool_views: int | None = option(
        None,
        f"views drawn without --encoder_data_dir; default: {VIEWS_DRAWN_PER_VIEW_WANTED} x --n_views",
        type=positive_int,
        group="clicks",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.kinds:
            raise UserError(
                "nothing to do: give at least one of --single_click 1, --second_positive 1, --second_negative 1"
            )
        if not 0 < self.percentage <= 1:
            raise UserError(f"--percentage {self.percentage:g} is not a share of the vertices: give 0.03 for 3 %")
        if not 0 <= self.min_facing < 1:
            raise UserError(f"--min_facing {self.min_facing:g} is not a cosine: give at least 0 and less than 1")
        for name, value in (("max_clicks", self.max_clicks), ("pair_views", self.pair_views)):
            if value < 0:
                raise UserError(f"--{name} must be 0 (no limit) or more")

    @property
    def kinds(self) -> tuple[str, ...]:
        wanted = (self.single_click, self.second_positive, self.second_negative)
        return tuple(kind for kind, chosen in zip(KINDS, wanted) if chosen)

    @property
    def directory(self) -> Path:
        return self.decoder_data_dir or Path("data") / self.mesh_name / "decoder_data"


def make_supervision(
    settings: SupervisionSettings, on_progress: Progress = silent, teacher: Teacher | None = None
) -> SupervisionSet:
    """Run the stage: finished work is kept, interrupted work goes on; returns the samples.

    teacher: in place of the one that `settings.SAM` names. Raises UserError for what a person can mend.
    """
    started = time.perf_counter()
    device = choose_device(settings.device)
    mesh = load_mesh(settings.obj_path)
    if not settings.single_click:  # second clicks start from single masks: refuse before anything is written
        SupervisionSet.open(settings.directory, mesh, kinds=("single",))
    rasterizer = Rasterizer(mesh, settings.renderer, device)
    if settings.encoder_data_dir:
        pool = open_view_pool(settings.encoder_data_dir, mesh)
        teacher = teacher or load_teacher(_teacher_of(pool) if settings.SAM == "auto" else settings.SAM, device=device)
    else:
        teacher = teacher or load_teacher(settings.SAM, device=device)
        pool = _own_pool(settings, rasterizer, teacher, on_progress)
    samples = write_supervision(
        settings.directory,
        rasterizer,
        pool,
        teacher,
        part_of(settings, ClickSettings),
        part_of(settings, SecondClickSettings),
        settings.kinds,
        settings.overwrite,
        on_progress=on_progress,
    )
    print(_summary(samples, time.perf_counter() - started))
    if settings.preview:
        from utils.supervision.preview import save_preview  # training needs no matplotlib

        path = settings.directory / "preview.png"
        save_preview(path, samples, rasterizer, pool.settings, torch.Generator().manual_seed(settings.seed))
        print(f"preview: {path}")
    return samples


def _own_pool(
    settings: SupervisionSettings, rasterizer: Rasterizer, teacher: Teacher, on_progress: Progress
) -> ViewPool:
    """Views drawn as published for the decoder: uniform in elevation and azimuth."""
    count = settings.pool_views or VIEWS_DRAWN_PER_VIEW_WANTED * settings.n_views
    views = ViewSettings(
        "uniform", count, settings.radius, settings.render_res, background=settings.background, seed=settings.seed
    )
    afresh = settings.overwrite and settings.single_click
    directory = settings.directory / "views"
    return build_view_pool(directory, rasterizer, teacher, views, overwrite=afresh, on_progress=on_progress)


def _teacher_of(pool: ViewPool) -> str:
    """The --SAM that embedded the pool."""
    model = pool.teacher_name.split("-")[0]
    return model if model in TEACHERS else "auto"


def _summary(samples: SupervisionSet, seconds: float) -> str:
    names = ("single clicks", "with a second positive", "with a second negative")
    counts = ", ".join(f"{int((samples.kind == place).sum())} {name}" for place, name in enumerate(names))
    return (
        f"click supervision: {samples.directory} ({counts}; {len(samples.vertices[:, 0].unique())} vertices, "
        f"{len(samples.by_view())} views, {seconds:.1f} s)"
    )
