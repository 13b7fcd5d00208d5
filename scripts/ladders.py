"""What single clicks on meshes may mean: a row a click, its nested answers from small to large.

Under each: the share of the surface, the match expected of it (0 to 1), and which is the default.

Clicks are at the innermost vertices of the largest proposed parts, where a person who wants the part would click.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.open import open_segmenter
from utils.clicks import Clicks
from utils.errors import run_cli
from utils.geometry.mesh import load_mesh
from utils.geometry.part_tree import PartTree
from utils.options import Checked, option, parse_settings, positive_int
from utils.output.export import probability_colors
from utils.output.panels import MeshPictures, Panel, Sheet, save_sheet
from utils.segmenter import Segmenter

Row = tuple[str, list[Panel]]


@dataclass(frozen=True, kw_only=True)
class LadderSettings(Checked):
    """Which meshes, and how the sheet looks."""

    obj_path: tuple[Path, ...] = option(help="the meshes: OBJ, PLY, OFF, STL or GLB", metavar="FILE", nargs="+")
    out: Path = option(help="the sheet; .png, .jpg or .pdf", metavar="FILE")
    clicks: int = option(3, "for each mesh", type=positive_int)
    side: int = option(200, "of a picture, pixels", type=positive_int)
    device: str = option("auto", "auto, cpu or cuda")


def innermost_clicks(tree: PartTree, count: int) -> list[int]:
    """Vertices in the middle of the largest parts of the default partition, the largest first."""
    parts = [tree.info(part[0]) for part in tree.cut()]
    return [info.vertex for info in sorted(parts, key=lambda info: -info.area)[:count]]


def ladder_row(segmenter: Segmenter, pictures: MeshPictures, vertex: int, side: int) -> list[Panel]:
    """A picture for each answer to one click: what share of the area it selects, and what match is expected."""
    mesh, clicks = segmenter.mesh, Clicks.from_lists([vertex])
    face = int(np.flatnonzero((mesh.faces == vertex).any(axis=1))[0])
    ladder = segmenter.face_ladder(np.array([face]), np.array([True]))
    selected = np.bincount(mesh.faces[ladder.probability[ladder.middle] > 0.5].ravel(), minlength=mesh.num_vertices) > 0
    angle = pictures.angles(clicks, selected)[0]
    palette, panels = pictures.palette, []
    for place, probability in enumerate(ladder.probability):
        colors = probability_colors(probability, palette.base, palette.selected)
        share = mesh.face_areas[probability > 0.5].sum() / mesh.face_areas.sum()
        words = f"{share:.1%}"
        if ladder.quality is not None:
            words += f" ({ladder.quality[place]:.2f})"
        if place == ladder.middle:
            words += "\ndefault"
        panels.append(Panel(pictures.face_picture(angle, colors, side, clicks), words))
    return panels


def rows_of(path: Path, settings: LadderSettings) -> list[Row]:
    mesh = load_mesh(path)
    segmenter = open_segmenter(mesh, "prior", device=settings.device)
    pictures = MeshPictures(mesh)
    clicked = innermost_clicks(segmenter.parts().tree, settings.clicks)
    return [
        (f"{path.name}, vertex {vertex}", ladder_row(segmenter, pictures, vertex, settings.side)) for vertex in clicked
    ]


def main(argv: list[str] | None = None) -> int:
    settings = parse_settings(LadderSettings, __doc__, argv)
    rows = [row for path in settings.obj_path for row in rows_of(path, settings)]
    save_sheet([settings.out], Sheet(rows, side=settings.side))
    print(f"written: {settings.out}")
    return 0


if __name__ == "__main__":
    run_cli(main)
