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
from utils.options import TEACHERS, MeshSettings, RenderSettings, TeacherSettings, option, positive_int
from utils.progress import Progress, silent
from utils.rendering.rasterize import Rasterizer
from utils.rendering.view_pool import ViewPool, ViewSettings, build_view_pool, open_view_pool
from utils.supervision.store import KINDS, SupervisionSet
from utils.supervision.writer import ClickSettings, SecondClickSettings, write_supervision
from utils.teacher import Teacher

VIEWS_DRAWN_PER_VIEW_WANTED = 3  # a vertex shows in about a third of the views around the object


@dataclass(frozen=True, kw_only=True)
class SupervisionSettings(TeacherSettings, RenderSettings, MeshSettings):
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
    percentage: float = option(0.03, "share of the vertices that are clicked, 0 to 1", group="clicks")
    max_clicks: int = option(0, "click at most so many vertices; 0: no limit")
    n_views: int = option(100, "views of each clicked vertex, at most", type=positive_int)
    min_facing: float = option(
        0.0, "click a vertex only in views its normal meets with at least this cosine; 0: wherever it is seen"
    )
    pool_views: int | None = option(
        None,
        f"views drawn without --encoder_data_dir; default: {VIEWS_DRAWN_PER_VIEW_WANTED} x --n_views",
        type=positive_int,
    )
    max_pairs: int = option(
        5, "of either sign, tried for each vertex and view", type=positive_int, group="second clicks"
    )
    refinements: int = option(6, "prompts of each, starting from the last mask", type=positive_int)
    min_score: float = option(0.4, "of a single mask to get a second click")
    pair_views: int = option(0, "views of each vertex that get second clicks; 0: all")
    share_pairs: bool = option(
        False,
        "draw --max_pairs second clicks of either sign for each vertex once and try each in up to --pair_views views, "
        "instead of new ones in every view",
    )

    def __post_init__(self) -> None:
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
    clicks = ClickSettings(
        settings.percentage,
        settings.max_clicks,
        settings.n_views,
        settings.min_facing,
        settings.render_res,
        settings.seed,
    )
    second = SecondClickSettings(
        max_pairs=settings.max_pairs,
        refinements=settings.refinements,
        min_score=settings.min_score,
        pair_views=settings.pair_views,
        share_pairs=settings.share_pairs,
    )
    samples = write_supervision(
        settings.directory,
        rasterizer,
        pool,
        teacher,
        clicks,
        second,
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
