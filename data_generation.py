"""Click supervision stage: prompt the teacher with clicks on sampled vertices in many views (paper Sec. 3.3)."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from SAM_repo.teacher import load_teacher
from utils.device import choose_device
from utils.errors import UserError, run_cli
from utils.geometry.mesh import load_mesh
from utils.options import TEACHERS, add_mesh_options, add_render_options, add_teacher_options, flag, positive_int
from utils.rendering.rasterize import Rasterizer
from utils.rendering.view_pool import ViewPool, ViewSettings, build_view_pool, open_view_pool
from utils.supervision.store import KINDS, SupervisionSet
from utils.supervision.writer import ClickSettings, SecondClickSettings, write_supervision
from utils.teacher import Teacher

VIEWS_DRAWN_PER_VIEW_WANTED = 3  # a vertex shows in about a third of the views around the object


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add_mesh_options(parser)
    group = parser.add_argument_group("what to do and where")
    group.add_argument("--name", help="of the mesh, in the default folders; default: the file's name")
    group.add_argument("--decoder_data_dir", type=Path, help="where the samples go; default: data/NAME/decoder_data")
    group.add_argument(
        "--encoder_data_dir",
        type=Path,
        help="take the views and embeddings that encoder.py left here, with their --radius, --background and "
        "teacher; default: draw and embed views of its own",
    )
    group.add_argument("--single_click", type=flag, default=True, metavar="0|1", help="one positive click")
    group.add_argument(
        "--second_positive", type=flag, default=False, metavar="0|1", help="a second click that includes"
    )
    group.add_argument(
        "--second_negative", type=flag, default=False, metavar="0|1", help="a second click that excludes"
    )
    group.add_argument("--overwrite", type=flag, default=False, metavar="0|1", help="start over instead of resuming")
    group.add_argument(
        "--preview", type=flag, default=False, metavar="0|1", help="draw 24 random samples as preview.png"
    )
    group = parser.add_argument_group("clicks")
    group.add_argument("--percentage", type=float, default=0.03, help="share of the vertices that are clicked, 0 to 1")
    group.add_argument("--max_clicks", type=int, default=0, help="click at most so many vertices; 0: no limit")
    group.add_argument("--n_views", type=positive_int, default=100, help="views of each clicked vertex, at most")
    group.add_argument(
        "--min_facing",
        type=float,
        default=0.0,
        help="click a vertex only in views its normal meets with at least this cosine; 0: wherever it is seen",
    )
    group.add_argument(
        "--pool_views",
        type=positive_int,
        help=f"views drawn without --encoder_data_dir; default: {VIEWS_DRAWN_PER_VIEW_WANTED} x --n_views",
    )
    group = parser.add_argument_group("second clicks")
    group.add_argument(
        "--max_pairs", type=positive_int, default=5, help="of either sign, tried for each vertex and view"
    )
    group.add_argument(
        "--refinements", type=positive_int, default=6, help="prompts of each, starting from the last mask"
    )
    group.add_argument("--min_score", type=float, default=0.4, help="of a single mask to get a second click")
    group.add_argument("--pair_views", type=int, default=0, help="views of each vertex that get second clicks; 0: all")
    group.add_argument(
        "--share_pairs",
        type=flag,
        default=False,
        metavar="0|1",
        help="draw --max_pairs second clicks of either sign for each vertex once and try each in up to "
        "--pair_views views, instead of new ones in every view",
    )
    add_render_options(parser)
    add_teacher_options(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    kinds = tuple(
        kind for kind, wanted in zip(KINDS, (args.single_click, args.second_positive, args.second_negative)) if wanted
    )
    _check(args, kinds)
    started = time.perf_counter()
    directory = args.decoder_data_dir or Path("data") / (args.name or args.obj_path.stem) / "decoder_data"
    clicks = ClickSettings(args.percentage, args.max_clicks, args.n_views, args.min_facing, args.render_res, args.seed)
    second = SecondClickSettings(
        max_pairs=args.max_pairs,
        refinements=args.refinements,
        min_score=args.min_score,
        pair_views=args.pair_views,
        share_pairs=args.share_pairs,
    )
    device = choose_device(args.device)
    mesh = load_mesh(args.obj_path)
    if not args.single_click:  # second clicks start from single masks: refuse before anything is written
        SupervisionSet.open(directory, mesh, kinds=("single",))
    rasterizer = Rasterizer(mesh, args.renderer, device)
    if args.encoder_data_dir:
        pool = open_view_pool(args.encoder_data_dir, mesh)
        teacher = load_teacher(_teacher_of(pool) if args.SAM == "auto" else args.SAM, device=device)
    else:
        pool, teacher = _own_pool(directory, rasterizer, args, device)
    samples = write_supervision(directory, rasterizer, pool, teacher, clicks, second, kinds, args.overwrite)
    print(_summary(samples, time.perf_counter() - started))
    if args.preview:
        from utils.supervision.preview import save_preview

        save_preview(
            directory / "preview.png", samples, rasterizer, pool.settings, torch.Generator().manual_seed(args.seed)
        )
        print(f"preview: {directory / 'preview.png'}")
    return 0


def _check(args: argparse.Namespace, kinds: tuple[str, ...]) -> None:
    """UserError for options that make no sense, before anything is written."""
    if not kinds:
        raise UserError(
            "nothing to do: give at least one of --single_click 1, --second_positive 1, --second_negative 1"
        )
    if not 0 < args.percentage <= 1:
        raise UserError(f"--percentage {args.percentage:g} is not a share of the vertices: give 0.03 for 3 %")
    if not 0 <= args.min_facing < 1:
        raise UserError(f"--min_facing {args.min_facing:g} is not a cosine: give at least 0 and less than 1")
    for name in ("max_clicks", "pair_views"):
        if getattr(args, name) < 0:
            raise UserError(f"--{name} must be 0 (no limit) or more")


def _own_pool(
    directory: Path, rasterizer: Rasterizer, args: argparse.Namespace, device: torch.device
) -> tuple[ViewPool, Teacher]:
    """Views drawn as published for the decoder: uniform in elevation and azimuth."""
    count = args.pool_views or VIEWS_DRAWN_PER_VIEW_WANTED * args.n_views
    settings = ViewSettings(
        "uniform", count, args.radius, args.render_res, background=tuple(args.background), seed=args.seed
    )
    teacher = load_teacher(args.SAM, device=device)
    afresh = args.overwrite and args.single_click
    return build_view_pool(directory / "views", rasterizer, teacher, settings, overwrite=afresh), teacher


def _teacher_of(pool: ViewPool) -> str:
    """The --SAM that embedded the pool."""
    model = pool.teacher_name.split("-")[0]
    return model if model in TEACHERS else "auto"


def _summary(samples: SupervisionSet, seconds: float) -> str:
    counts = ", ".join(
        f"{int((samples.kind == KINDS.index(kind)).sum())} {name}"
        for kind, name in (
            ("single", "single clicks"),
            ("positive", "with a second positive"),
            ("negative", "with a second negative"),
        )
    )
    return (
        f"click supervision: {samples.directory} ({counts}; {len(samples.vertices[:, 0].unique())} vertices, "
        f"{len(samples.by_view())} views, {seconds:.1f} s)"
    )


if __name__ == "__main__":
    run_cli(main)
