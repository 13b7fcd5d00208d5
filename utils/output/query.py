"""One query on the command line: its clicks, and the files that answer it. Shared by the segmenters."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from utils.clicks import Clicks
from utils.errors import UserError
from utils.geometry.mesh import Mesh
from utils.options import flag
from utils.output.export import (
    BASE_COLOR,
    NEGATIVE_COLOR,
    POSITIVE_COLOR,
    SELECTION_COLOR,
    SPHERE_RADIUS,
    QueryPaths,
    probability_colors,
    save_colored_mesh,
    save_parts,
    save_probability,
)
from utils.rendering.rasterize import Rasterizer
from utils.selection import otsu_threshold


def add_click_options(parser: argparse.ArgumentParser) -> None:
    """--select_vertices, --positive_vertices, --negative_vertices."""
    group = parser.add_argument_group("query")
    group.add_argument(
        "--select_vertices",
        nargs="+",
        default=[],
        metavar="ID",
        help="clicked vertices; a minus sign excludes, also for 0: -0",
    )
    group.add_argument("--positive_vertices", nargs="+", type=int, default=[], metavar="ID", help="vertices to include")
    group.add_argument("--negative_vertices", nargs="+", type=int, default=[], metavar="ID", help="vertices to exclude")


def add_answer_options(parser: argparse.ArgumentParser, threshold: str = "Otsu's, but 0.5 for the prior") -> None:
    """What is written of an answer: --hard, --threshold, --show_spheres, --sphere_radius, --show_seg and the colours.

    threshold: the default in words
    """
    group = parser.add_argument_group("answer")
    group.add_argument(
        "--hard",
        type=flag,
        default=False,
        metavar="0|1",
        help="also write the selection: as parts (.glb, .obj) and as face labels (.seg)",
    )
    group.add_argument("--threshold", type=float, help=f"probability that --hard selects from; default: {threshold}")
    group.add_argument(
        "--show_spheres", type=flag, default=False, metavar="0|1", help="spheres at the clicks in the coloured mesh"
    )
    group.add_argument("--sphere_radius", type=float, default=SPHERE_RADIUS, help="normalised; the object has radius 1")
    group.add_argument("--show_seg", type=flag, default=True, metavar="0|1", help="colour the mesh by probability")
    for name, color in (
        ("base_color", BASE_COLOR),
        ("seg_color", SELECTION_COLOR),
        ("pos_color", POSITIVE_COLOR),
        ("neg_color", NEGATIVE_COLOR),
    ):
        group.add_argument(f"--{name}", type=float, nargs=3, default=color, metavar=("R", "G", "B"), help="0 to 1")


def check_answer_options(args: argparse.Namespace) -> None:
    """UserError for options of `add_answer_options`, or a --granularity, that make no sense."""
    if args.threshold is not None and not 0 <= args.threshold <= 1:
        raise UserError(f"--threshold {args.threshold:g} is not a probability: give a number from 0 to 1")
    if args.granularity is not None and not 0 <= args.granularity <= 1:
        raise UserError(f"--granularity {args.granularity:g} must be from 0 (finer) to 1 (coarser)")
    if not args.sphere_radius > 0:
        raise UserError(f"--sphere_radius {args.sphere_radius:g} must be above 0")


def clicks_of(args: argparse.Namespace) -> Clicks:
    """The clicks of all three options together."""
    signed = Clicks.from_signed(args.select_vertices)
    plain = Clicks.from_lists(args.positive_vertices, args.negative_vertices)
    return Clicks(torch.cat([signed.vertices, plain.vertices]), torch.cat([signed.positive, plain.positive]))


def write_answer(
    args: argparse.Namespace, mesh: Mesh, clicks: Clicks, probability: np.ndarray, threshold: float | None = None
) -> list[Path]:
    """Write the published files of a query into `args.save_dir`, with --hard also the selection; returns their paths.

    probability (V,); threshold: of --hard where no --threshold is given, None for Otsu's; `args` has what `add_answer_options` gives, and `renderer`.
    """
    from utils.output.figures import Palette, save_render_views  # training needs no matplotlib

    paths = QueryPaths.of(args.save_dir, clicks)
    palette = Palette(tuple(args.base_color), tuple(args.seg_color), tuple(args.pos_color), tuple(args.neg_color))
    shown = probability if args.show_seg else np.zeros_like(probability)
    colors = probability_colors(shown, palette.base, palette.selected)
    save_probability(paths.probability, probability)
    save_colored_mesh(paths.colored_mesh, mesh, colors)
    written = [paths.probability, paths.colored_mesh]
    if args.show_spheres:
        save_colored_mesh(
            paths.colored_mesh_with_clicks, mesh, colors, clicks, args.sphere_radius, palette.positive, palette.negative
        )
        written.append(paths.colored_mesh_with_clicks)
    save_render_views(paths.views, Rasterizer(mesh, args.renderer), shown, clicks, palette)
    written.append(paths.views)
    if args.hard:
        threshold = (
            args.threshold
            if args.threshold is not None
            else otsu_threshold(probability)
            if threshold is None
            else threshold
        )
        written += save_parts(paths, mesh, probability > threshold)
        print(
            f"selection: {int((probability > threshold).sum())} of {mesh.num_vertices} vertices above {threshold:.3f}"
        )
    return written
