"""What each stage costs on meshes of one shape and more and more faces, and how much more for twice as many."""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.prior.fine_faces import split_faces
from models.scale_stages import STAGES
from utils.errors import UserError
from utils.evaluation.report import markdown
from utils.files import load_json, save_json
from utils.geometry.mesh import SIDES, load_mesh
from utils.options import Checked, option, positive_int

FACES = (1_000, 4_000, 16_000, 64_000, 250_000, 1_000_000, 5_000_000)
ROOT = Path(__file__).resolve().parents[1]
# What is reported: the columns of the table, each a stage, a value of its and how it is written.
COLUMNS = {
    "read": ("load", "seconds", "{:.1f}"),
    "iSeg3D ready": ("instant", "seconds", "{:.1f}"),
    "GiB iSeg3D": ("instant", "memory_gib", "{:.1f}"),
    "prior ready": ("prior", "seconds", "{:.1f}"),
    "GiB prior": ("prior", "memory_gib", "{:.1f}"),
    "click, ms": ("prior", "click_ms", "{:.0f}"),
    "first click, ms": ("prior", "first_click_ms", "{:.0f}"),
    "field, 100 steps": ("field", "per_100_steps", "{:.0f}"),
    "GiB field": ("field", "memory_gib", "{:.1f}"),
    "decoder, before its steps": ("decoder", "before_steps", "{:.0f}"),
    "decoder, 100 steps": ("decoder", "per_100_steps", "{:.0f}"),
    "its click, ms": ("decoder", "click_ms", "{:.0f}"),
    "GiB decoder": ("decoder", "memory_gib", "{:.1f}"),
    "export": ("export", "seconds", "{:.1f}"),
    "GiB export": ("export", "memory_gib", "{:.1f}"),
    "one-shot query": ("query", "seconds", "{:.1f}"),
    "GiB query": ("query", "memory_gib", "{:.1f}"),
}


@dataclass(frozen=True, kw_only=True)
class ScaleSettings(Checked):
    """Which sizes and stages."""

    scale: bool = option(False, "time the stages on one shape of more and more faces instead", group="the scale")
    scale_mesh: Path = option(Path("meshes/goat.obj"), "the shape", metavar="FILE")
    faces: tuple[int, ...] = option(FACES, "how many it is given", type=positive_int)
    scale_stages: tuple[str, ...] = option(tuple(STAGES), "what is timed", choices=tuple(STAGES), nargs="+")

    scale_plot: Path | None = option(None, "draw the seconds over the faces here", metavar="PNG")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scale and min(self.faces) < 100:
            raise UserError("--faces: a shape of fewer than 100 triangles is none; give at least 100")


def time_scale(settings: ScaleSettings, out: Path | None = None) -> dict:
    """Costs of each stage at each size, "FACES/STAGE" -> values; what `out` holds of an earlier run is kept."""
    results: dict = load_json(out, "results", dict) if out and out.is_file() else {"mesh": "", "runs": {}}
    if results["runs"] and results["mesh"] != settings.scale_mesh.stem:
        raise UserError(f"{out} holds results of {results['mesh']}; give another --out")
    results["mesh"] = settings.scale_mesh.stem
    for faces in sorted(settings.faces):
        wanted = [stage for stage in settings.scale_stages if f"{faces}/{stage}" not in results["runs"]]
        if not wanted:
            continue
        with tempfile.TemporaryDirectory(prefix="iseg-scale-") as folder:
            path = Path(folder) / f"{settings.scale_mesh.stem}_{faces}.obj"
            write_obj(path, *of_size(settings.scale_mesh, faces))
            for stage in wanted:
                results["runs"][f"{faces}/{stage}"] = run_stage(stage, path)
                print(f"{faces:,} faces, {stage}: {results['runs'][f'{faces}/{stage}']}", flush=True)
                if out:
                    save_json(out, results)
    return results


def run_stage(stage: str, path: Path) -> dict:
    """A stage in a fresh process; its last words if it fails."""
    out = path.with_suffix(".json")
    command = [sys.executable, "-m", "models.scale_stages", stage, str(path.resolve()), str(out)]
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True)
    if done.returncode:
        words = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        return {"failed": words[:200]}
    return load_json(out, "costs of a stage", dict)


def draw_scale(path: Path, results: dict) -> None:
    """Draw what takes processor time over the number of faces."""
    from utils.output.plots import save_scale_plot

    shares = {"ms": 1000.0}
    lines = {
        name.removesuffix(", ms"): {size: value / shares.get(name[-2:], 1.0) for size, value in values.items()}
        for name, values in ((column, values_of(results, column)) for column in COLUMNS)
        if "GiB" not in name
    }
    save_scale_plot(path, lines, f"{results['mesh']}, seconds of one core")


# --- meshes of one shape ------------------------------------------------------------------------


def of_size(path: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of a mesh with about `count` faces: its own halved along their longest edges, or joined."""
    mesh = load_mesh(path)
    vertices, faces = mesh.vertices, mesh.faces
    if count < len(faces):
        return _coarser(vertices, faces, count)
    while len(faces) < count:
        sides = np.sort(faces[:, SIDES].reshape(-1, 2), axis=1)
        code, place = np.unique(sides[:, 0] * np.int64(len(vertices)) + sides[:, 1], return_inverse=True)
        edge = np.stack([code // len(vertices), code % len(vertices)], axis=1)
        number = min(len(edge), (count - len(faces) + 1) // 2)  # each gives two triangles more
        length = np.linalg.norm(vertices[edge[:, 0]] - vertices[edge[:, 1]], axis=1)
        split = np.argsort(-length, kind="stable")[:number]
        middle = np.full(len(edge), -1, dtype=np.int64)
        middle[split] = len(vertices) + np.arange(number)
        vertices = np.concatenate([vertices, vertices[edge[split]].mean(axis=1)])
        faces, _ = split_faces(faces, middle[place.reshape(-1, 3)], np.arange(len(faces)))
    return vertices, faces


def _coarser(vertices: np.ndarray, faces: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices joined where they share a cell of the finest grid that leaves at most `count` faces."""
    extent = np.ptp(vertices, axis=0).max()
    for cells in np.geomspace(400, 2, 200):
        cell = np.floor((vertices - vertices.min(axis=0)) / extent * cells)
        place = np.unique(cell, axis=0, return_inverse=True)[1].reshape(-1)
        joined = place[faces]
        alone = (joined != np.roll(joined, 1, axis=1)).all(axis=1)
        if alone.sum() <= count:
            break
    total = np.bincount(place)
    means = np.stack([np.bincount(place, column) / total for column in vertices.T], axis=1)
    return means, joined[alone]


def write_obj(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    """As most programs write it: six digits, no normals."""
    with open(path, "w", encoding="utf-8") as file:
        np.savetxt(file, vertices, "v %.6f %.6f %.6f")
        np.savetxt(file, faces + 1, "f %d %d %d")


# --- report -------------------------------------------------------------------------------------


def values_of(results: dict, column: str) -> dict[int, float]:
    """Of one of `COLUMNS`: what was measured, by faces, ascending."""
    stage, name, _ = COLUMNS[column]
    held = {int(key.split("/")[0]): run for key, run in results["runs"].items() if key.endswith(f"/{stage}")}
    return {faces: held[faces][name] for faces in sorted(held) if name in held[faces]}


def per_doubling(values: dict[int, float]) -> list[float]:
    """Factor by which a cost grows with twice as many faces, between each size and the next."""
    return [
        (values[more] / values[fewer]) ** (1 / math.log2(more / fewer)) for fewer, more in itertools.pairwise(values)
    ]


def scale_report(results: dict) -> str:
    """The costs, and for each size the factor for twice as many faces since the size before."""
    sizes = sorted({int(key.split("/")[0]) for key in results["runs"]})
    columns = {column: values_of(results, column) for column in COLUMNS}
    shown = [
        [
            f"{size:,}",
            *(COLUMNS[name][2].format(found[size]) if size in found else "" for name, found in columns.items()),
        ]
        for size in sizes
    ]
    factors = [["", *[""] * len(COLUMNS)] for _ in sizes]
    for place, found in enumerate(columns.values(), start=1):
        for size, factor in zip(list(found)[1:], per_doubling(found)):
            factors[sizes.index(size)][place] = f"{factor:.2f}"
    rows = [[f"to {size:,}", *factor[1:]] for size, factor in zip(sizes, factors)][1:]
    head = ("faces", *COLUMNS)
    costs = f"{results['mesh']}: processor seconds (start and reading included, but for export) and peak memory"
    return "\n".join([costs, "", *markdown(head, shown), "", "Factor per doubling:", "", *markdown(head, rows)])
