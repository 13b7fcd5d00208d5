"""One query on the command line: its clicks, and the files that answer it. Shared by all segmenters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from utils.clicks import Clicks
from utils.errors import UserError
from utils.geometry.mesh import Mesh
from utils.geometry.textures import read_textures
from utils.options import option
from utils.output.colors import Colors
from utils.output.export import QueryPaths, probability_colors, save_colored_mesh, save_probability
from utils.output.parts import Labelling, save_glb, save_obj, save_seg
from utils.rendering.rasterize import Rasterizer

FORMATS = ("npy", "ply", "png", "glb", "obj", "seg")


@dataclass(frozen=True, kw_only=True)
class Look(Colors):
    """How an answer is shown."""

    show_spheres: bool = option(False, "spheres at the clicks in the coloured mesh", group="answer")
    show_seg: bool = option(True, "colour the mesh by probability")
    renderer: str = "auto"


@dataclass(frozen=True, kw_only=True)
class QuerySettings(Look):
    """The clicks of a query and what is written of its answer."""

    select_vertices: tuple[str, ...] = option(
        (), "clicked vertices; a minus sign excludes, also for 0: -0", group="query", metavar="ID"
    )
    positive_vertices: tuple[int, ...] = option((), "vertices to include", metavar="ID")
    negative_vertices: tuple[int, ...] = option((), "vertices to exclude", metavar="ID")
    granularity: float | None = option(None, "0 a finer part, 0.5 as expected, 1 a coarser one")
    rung: int = option(0, "steps to larger answers than the default one, below 0 to smaller ones")
    hard: bool = option(
        False, "also write the selection: as parts (.glb, .obj) and as face labels (.seg)", group="answer"
    )
    threshold: float | None = option(
        None, "probability that --hard selects from; default: Otsu's for a decoder trained on the mesh, else 0.5"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise UserError(f"--threshold {self.threshold:g} is not a probability: give a number from 0 to 1")
        if self.granularity is not None and not 0 <= self.granularity <= 1:
            raise UserError(f"--granularity {self.granularity:g} must be from 0 (finer) to 1 (coarser)")
        if self.granularity is not None and self.rung:
            raise UserError("--rung and --granularity both say how large the part is: give one of them")

    @property
    def clicks(self) -> Clicks:
        """The clicks of all three options together."""
        signed = Clicks.from_signed(self.select_vertices)
        plain = Clicks.from_lists(self.positive_vertices, self.negative_vertices)
        return Clicks(torch.cat([signed.vertices, plain.vertices]), torch.cat([signed.positive, plain.positive]))

    @property
    def formats(self) -> tuple[str, ...]:
        """What `save_answer` is to write."""
        return FORMATS if self.hard else ("npy", "ply", "png")


def save_answer(
    directory: str | Path,
    mesh: Mesh,
    clicks: Clicks,
    probability: np.ndarray,
    threshold: float,
    formats: Sequence[str],
    look: Look,
) -> list[Path]:
    """Write an answer, probability (V,), under its published names; returns the paths.

    formats: of `FORMATS`. npy: the probabilities; ply: the coloured mesh, with `look.show_spheres` also one with the
    clicks; png: rendered views; the selection above `threshold` as parts (glb, obj) and as face labels (seg).
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise UserError(f"unknown format '{unknown[0]}'; choose of {', '.join(FORMATS)}")
    paths, palette, selected = QueryPaths.of(directory, clicks), look.palette, probability > threshold
    shown = probability if look.show_seg else np.zeros_like(probability)
    written = []
    if "npy" in formats:
        save_probability(paths.probability, probability)
        written.append(paths.probability)
    if "ply" in formats:
        colors = probability_colors(shown, palette.base, palette.selected)
        save_colored_mesh(paths.colored_mesh, mesh, colors)
        written.append(paths.colored_mesh)
        if look.show_spheres:
            written.append(paths.colored_mesh_with_clicks)
            balls = (clicks, look.sphere_radius, palette.positive, palette.negative)
            save_colored_mesh(paths.colored_mesh_with_clicks, mesh, colors, *balls)
    if "png" in formats:
        from utils.output import figures  # training needs no matplotlib

        figures.save_render_views(paths.views, Rasterizer(mesh, look.renderer), shown, clicks, palette)
        written.append(paths.views)
    labelling = Labelling.of_selection(mesh, selected)
    textures = read_textures(mesh) if {"glb", "obj"} & set(formats) else None
    for name, save in (("glb", save_glb), ("obj", save_obj)):
        if name in formats:
            written += save(paths.selection(name), mesh, labelling, textures=textures)
    if "seg" in formats:
        written.append(paths.selection("seg"))
        save_seg(written[-1], mesh, labelling)
    return written
