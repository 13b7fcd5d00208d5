"""Pictures of what methods select beside the part that a human marked: for chosen parts, or the worst of a method.

Right: the selection's colour. Missed: a pale tone of it. Wrongly included: dark red. Parts are named ID:LABEL, the
mesh's number and the label in its .seg file, as in the list of parts of a results file (scripts/evaluate.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from models.methods import NAMES, MethodSettings, build_method
from utils.errors import UserError, run_cli
from utils.evaluation.method import Method
from utils.evaluation.psb import ShapeId, UnusableShape, benchmark_ids, load_shape, shape_id
from utils.evaluation.runs import Measurement, ProtocolSettings
from utils.files import load_json
from utils.geometry.face_clicks import FaceClicks
from utils.options import option, parse_settings, positive_int
from utils.output.plots import PartPictures, save_gallery
from utils.progress import Bars, track

PartName = tuple[ShapeId, int]


@dataclass(frozen=True, kw_only=True)
class GallerySettings(MethodSettings, ProtocolSettings):
    """What is drawn."""

    clicks: int = option(
        3, "that each method gets; --worst_of goes by the IoU after these", type=positive_int, group="picture"
    )
    out: Path = option(help="the picture", metavar="PNG")
    methods: tuple[str, ...] = option(help=f"columns; of {', '.join(NAMES)}", choices=NAMES, metavar="NAME")
    parts: tuple[str, ...] = option((), "rows", metavar="ID:LABEL")
    worst_of: str | None = option(
        None, "rows: the parts that this method does worst on, in --results", choices=NAMES, metavar="NAME"
    )
    results: Path | None = option(None, "written by scripts/evaluate.py, for --worst_of", metavar="JSON")
    count: int = option(5, "rows, with --worst_of", type=positive_int)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.out.suffix.lower() != ".png":
            raise UserError(f"--out {self.out} is not a .png")
        if bool(self.parts) == bool(self.worst_of):
            raise UserError("give either --parts or --worst_of")


def main(argv: list[str] | None = None) -> int:
    settings = parse_settings(GallerySettings, __doc__, argv)
    if settings.work_dir is None:
        settings = replace(settings, work_dir=settings.out.with_suffix(".work"))
    if settings.worst_of:
        parts = worst_parts(settings.results, settings.worst_of, settings.count, settings.clicks)
    else:
        parts = [parse_part(text) for text in settings.parts]
    categories = benchmark_ids(settings.psb_dir)
    methods = [build_method(settings, name) for name in settings.methods]
    rows: dict[PartName, PartPictures] = {}
    shapes = list(dict.fromkeys(shape for shape, _ in parts))
    for shape in track(shapes, "shapes", Bars(), len(shapes), "shape"):
        labels = [label for own, label in parts if own == shape]
        drawn = pictures(settings, shape, categories.get(shape, "all"), labels, methods)
        rows |= {(shape, label): row for label, row in drawn.items()}
    save_gallery(settings.out, [rows[part] for part in parts])
    print(f"picture: {settings.out}")
    return 0


def parse_part(text: str) -> PartName:
    """Mesh and label of "12:3"."""
    shape, _, label = text.rpartition(":")
    if not shape or not label.isdigit():
        raise UserError(
            f"'{text}' does not name a part; write the mesh's number and the label in its .seg file, as in 12:3"
        )
    return shape_id(shape), int(label)


def worst_parts(results: Path | None, method: str, count: int, clicks: int) -> list[PartName]:
    """The parts with the lowest IoU of a method after so many clicks, the worst first."""
    if results is None:
        raise UserError("--worst_of needs --results, a file written by scripts/evaluate.py")
    held = load_json(results, "results file")
    if method not in held.get("methods", {}) or "parts" not in held:
        raise UserError(
            f"{results} holds no results of {method}; it has {', '.join(held.get('methods', {})) or 'none'}"
        )
    curves = {(part["id"], part["label"]): part["iou"][method] for part in held["parts"]}
    most = len(next(iter(curves.values())))
    if clicks > most:
        raise UserError(f"--clicks {clicks} is more than the {most} of the results")
    return sorted(curves, key=lambda part: (curves[part][clicks - 1], part))[:count]


def pictures(
    protocol: ProtocolSettings, shape_id: ShapeId, category: str, labels: list[int], methods: list[Method]
) -> dict[int, PartPictures]:
    """Label -> row, for parts of one mesh."""
    try:
        shape = load_shape(protocol.psb_dir, shape_id, category)
        clicked = [Measurement(method, shape, protocol) for method in methods]
    except UnusableShape as reason:
        raise UserError(f"mesh {shape_id}: {reason}") from reason
    human, on_vertices = shape.human_level(shape.choose(protocol.annotator)), FaceClicks(shape.mesh).on_vertices
    wanted = {part.label: (index, part) for index, part in enumerate(clicked[0].parts)}
    for label in labels:
        if label not in wanted:
            there = ", ".join(map(str, wanted))
            raise UserError(f"mesh {shape_id} has no part {label} of at least 1 % of the area; it has {there}")
    rows = {}
    for label in labels:
        index, part = wanted[label]
        columns = []
        for method in clicked:
            run = method.run(index, protocol.clicks, 1.0)
            clicks = on_vertices(np.array(run.faces), np.array(run.positive))
            note = "IoU " + " ".join(f"{iou:.2f}" for iou in run.iou[: len(run.faces)])
            columns.append((method.method.name, run.selected, clicks, note))
        title = f"{category} {shape_id}, part {label}: {part.share:.0%} of the area"
        others = f", other people {human[label]:.2f}" if human else ""
        rows[label] = PartPictures(shape.mesh, title + others, part.mask, columns)
    return rows


if __name__ == "__main__":
    run_cli(main)
