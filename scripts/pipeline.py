"""All stages for one mesh with one command: views, feature field, click supervision, decoder, queries, and a picture.

Finished work is kept: after an interruption the same command goes on where it was.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import data_generation
import decoder
import encoder
from models.presets import PRESETS, Run
from utils.clicks import Clicks
from utils.device import choose_device
from utils.errors import UserError, run_cli
from utils.geometry.mesh import Mesh, load_mesh
from utils.geometry.sampling import farthest_point_sampling
from utils.options import BACKENDS, add_mesh_options, add_teacher_options, flag
from utils.output.export import QueryPaths
from utils.rendering.rasterize import Rasterizer, choose_backend
from utils.selection import CALIBRATED_THRESHOLD, otsu_threshold


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add_mesh_options(parser)
    group = parser.add_argument_group("what to do and where")
    group.add_argument("--name", help="of the mesh; default: the file's name")
    group.add_argument("--out_dir", type=Path, help="folder of everything that is written; default: experiments/NAME")
    group.add_argument(
        "--preset",
        choices=PRESETS,
        default="fast",
        help="fast: the paper's optimisation in minutes on any machine; refine: the prior decoder, refined on this mesh; "
        "paper: the published setting (GPU)",
    )
    group.add_argument(
        "--queries",
        nargs="+",
        metavar="CLICKS",
        help='each a quoted list of vertex ids, a minus sign excludes: "5141" "5141 61" "5141 -10795"; '
        "default: three examples at spread-out vertices",
    )
    group.add_argument("--overwrite", type=flag, default=False, metavar="0|1", help="start over instead of resuming")
    group.add_argument("--renderer", choices=BACKENDS, default="auto", help="auto: kaolin with CUDA, else embree")
    add_teacher_options(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    mesh = load_mesh(args.obj_path)
    name = args.name or args.obj_path.stem
    choose_backend(args.renderer, choose_device(args.device))
    # Everything a person can get wrong is refused before the long work begins.
    queries = [parse_query(text, mesh) for text in args.queries or example_queries(mesh)]
    run = Run(
        args.obj_path,
        args.out_dir or Path("experiments") / name,
        name,
        args.preset,
        args.SAM,
        args.device,
        args.renderer,
        args.seed,
        args.overwrite,
    )

    seconds: dict[str, float] = {}
    timed(seconds, "views and feature field", encoder.main, run.encoder_arguments())
    timed(seconds, "click supervision", data_generation.main, run.click_arguments())
    timed(seconds, "decoder training", decoder.main, run.decoder_arguments())
    for tokens, _ in queries:
        timed(seconds, "queries", decoder.main, run.query_arguments(tokens))
    sheet = run.directory / "contact_sheet.png"
    timed(
        seconds,
        "contact sheet",
        draw_sheet,
        sheet,
        mesh,
        [clicks for _, clicks in queries],
        run.decoder,
        name,
        None if run.needs_field else CALIBRATED_THRESHOLD,
    )

    print("\nstage                        seconds")
    for stage, value in seconds.items():
        print(f"{stage:<28} {value:7.1f}")
    print(f"{'together':<28} {sum(seconds.values()):7.1f}")
    print("\nwritten:")
    for path in written(run, [clicks for _, clicks in queries], sheet):
        print(f"  {path}")
    return 0


def parse_query(text: str, mesh: Mesh) -> tuple[list[str], Clicks]:
    """The tokens of a query such as "5141 -10795", and its clicks checked against the mesh."""
    tokens = text.replace(",", " ").split()
    return tokens, Clicks.from_signed(tokens).validate(mesh.num_vertices)


def example_queries(mesh: Mesh) -> list[str]:
    """One click, two positive clicks, and a positive with a negative click, at vertices far from each other."""
    used = np.flatnonzero(mesh.referenced)
    far = used[farthest_point_sampling(mesh.normalized[used], 3)].tolist()
    first, second, third = (far * 3)[:3]
    return [f"{first}"] if len(set(far)) < 3 else [f"{first}", f"{first} {second}", f"{first} -{third}"]


def timed(seconds: dict[str, float], stage: str, work: Callable, *arguments) -> None:
    """Run a stage and add the seconds it took to `seconds`."""
    if stage not in seconds:
        print(f"\n== {stage}", flush=True)
    started = time.perf_counter()
    if work(*arguments):
        raise UserError(f"{stage} did not finish; see above")
    seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - started


def draw_sheet(
    path: Path, mesh: Mesh, queries: list[Clicks], directory: Path, name: str, threshold: float | None = None
) -> None:
    """Draw the results of the queries that lie in `directory` on one picture; threshold: of the counts, None for Otsu's."""
    from utils.output.figures import QueryPicture, save_contact_sheet

    pictures = []
    for clicks in queries:
        probability = np.load(QueryPaths.of(directory, clicks).probability, allow_pickle=False)
        selected = int((probability > (otsu_threshold(probability) if threshold is None else threshold)).sum())
        pictures.append(QueryPicture(probability, clicks, f"{selected:,} of {len(probability):,} vertices selected"))
    save_contact_sheet(path, Rasterizer(mesh, "embree"), pictures, title=name)


def written(run: Run, queries: list[Clicks], sheet: Path) -> list[Path]:
    """The files a person will want, those that are there."""
    paths = [run.features, run.decoder / run.checkpoint_name]
    for clicks in queries:
        files = QueryPaths.of(run.decoder, clicks)
        paths += [
            files.probability,
            files.colored_mesh,
            files.colored_mesh_with_clicks,
            files.views,
            *(files.selection(ending) for ending in ("glb", "obj", "seg")),
        ]
    return [path for path in [*paths, sheet] if path.is_file()]


if __name__ == "__main__":
    run_cli(main)
