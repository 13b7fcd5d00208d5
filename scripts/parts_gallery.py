"""One picture of many meshes in parts without a click, each from the front and from behind: to be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.open import open_segmenter
from utils.errors import UserError, run_cli
from utils.geometry.mesh import load_mesh
from utils.geometry.part_tree import DETAIL
from utils.options import BACKENDS, Checked, option, parse_settings, positive_int
from utils.output.partition import NamedParts, part_color
from utils.progress import Bars, track
from utils.rendering.rasterize import Rasterizer


@dataclass(frozen=True, kw_only=True)
class SheetSettings(Checked):
    """Which meshes are drawn, and how."""

    meshes: tuple[Path, ...] = option(help="OBJ, PLY, OFF, STL or GLB files", metavar="FILE", nargs="+", group="meshes")
    detail: float = option(DETAIL, "0 few parts, 1 many", within="[0, 1]")
    cache_dir: Path | None = option(None, "where the prior keeps what it makes of a mesh", metavar="DIR")
    out: Path = option(help="the picture", metavar="PNG", group="picture")
    columns: int = option(4, "meshes beside each other", type=positive_int)
    renderer: str = option("auto", "of the pictures", choices=BACKENDS)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.out.suffix.lower() != ".png":
            raise UserError(f"--out {self.out} is not a .png")


def main(argv: list[str] | None = None) -> int:
    from utils.output.figures import save_parts_sheet  # loads matplotlib

    settings = parse_settings(SheetSettings, __doc__, argv)
    save_parts_sheet(settings.out, drawn(settings), settings.columns)
    print(f"picture: {settings.out}")
    return 0


def drawn(settings: SheetSettings) -> Iterator[tuple[str, Rasterizer, np.ndarray]]:
    """Of each mesh its name and number of parts, and the colours of its faces."""
    for path in track(settings.meshes, "meshes", Bars(), len(settings.meshes), "mesh"):
        mesh = load_mesh(path)
        partition = open_segmenter(mesh, "prior", cache_dir=settings.cache_dir).parts(settings.detail)
        named = NamedParts.of(mesh, partition)
        colors = np.array([part_color(place) for place in range(len(named.parts))], dtype=np.float32)
        count = len(named.parts)
        yield (
            f"{path.stem}: {count} part{'s' * (count != 1)}",
            Rasterizer(mesh, settings.renderer),
            colors[named.labels],
        )


if __name__ == "__main__":
    run_cli(main)
