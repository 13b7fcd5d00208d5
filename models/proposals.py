"""The whole mesh in parts without a click: settings, and the one call behind `scripts/parts.py`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from models.open import open_segmenter
from utils.geometry.mesh import load_mesh
from utils.geometry.part_tree import DETAIL
from utils.options import BACKENDS, Checked, option, positive_int
from utils.output.partition import CLOSINGS, CUTS, save_partition


@dataclass(frozen=True, kw_only=True)
class ProposalSettings(Checked):
    """Which mesh, how many parts, and how their borders are written."""

    obj_path: Path = option(help="the mesh: OBJ, PLY, OFF, STL or GLB", metavar="FILE", group="mesh")
    out: Path | None = option(None, "folder for the results; default: experiments/NAME/parts", metavar="DIR")
    detail: float = option(DETAIL, "0 few parts, 1 many", group="parts", within="[0, 1]")
    parts: int | None = option(None, "exactly so many, instead of --detail", type=positive_int, metavar="N")
    cut: str = option(
        "faces",
        "borders of the GLB and the OBJ: along the triangles, or smooth across them",
        choices=CUTS,
        group="borders",
    )
    close: str = option("open", "caps: close every part where it was cut off, for printing", choices=CLOSINGS)
    device: str = option("auto", "auto, cpu or cuda", group="run")
    renderer: str = option("auto", "of the picture", choices=BACKENDS)

    @property
    def directory(self) -> Path:
        return self.out or Path("experiments") / self.obj_path.stem / "parts"


def propose(settings: ProposalSettings) -> tuple[int, list[Path]]:
    """Divide a mesh and write the parts; how many there are, and the files."""
    mesh = load_mesh(settings.obj_path)
    segmenter = open_segmenter(mesh, "prior", device=settings.device)
    partition = segmenter.parts(settings.detail, settings.parts)
    written = save_partition(
        settings.directory, mesh, partition, settings.cut, settings.close, renderer=settings.renderer
    )
    return len(partition.parts), written
