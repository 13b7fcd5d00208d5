"""Pictures of what methods select beside the part that a human marked: for chosen parts, or the worst of a method.

Right: the selection's colour. Missed: a pale tone of it. Wrongly included: dark red. Parts are named ID:LABEL, the mesh's
number and the label in its .seg file, as in the list of parts of a results file (scripts/evaluate.py).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

from scripts.evaluate import METHODS, Protocol, add_method_options, method_options
from utils.errors import UserError, run_cli
from utils.evaluation.annotator import OnFaces, run_part
from utils.evaluation.psb import UnusableShape, benchmark_ids, load_shape, wanted_parts
from utils.files import load_json
from utils.geometry.face_graph import FaceGraph
from utils.options import flag, positive_int
from utils.output.plots import PartPictures, save_gallery


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--psb_dir", type=Path, required=True, help="folder with off/, seg/Benchmark/ and split.json")
    parser.add_argument("--out", type=Path, required=True, metavar="PNG", help="the picture")
    parser.add_argument(
        "--methods", nargs="+", choices=METHODS, required=True, metavar="NAME", help=f"columns; of {', '.join(METHODS)}"
    )
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--parts", nargs="+", metavar="ID:LABEL", help="rows")
    chosen.add_argument(
        "--worst_of",
        choices=METHODS,
        metavar="NAME",
        help="rows: the parts that this method does worst on, in --results",
    )
    parser.add_argument("--results", type=Path, metavar="JSON", help="written by scripts/evaluate.py, for --worst_of")
    parser.add_argument("--count", type=positive_int, default=5, help="rows, with --worst_of")
    parser.add_argument(
        "--clicks",
        type=positive_int,
        default=3,
        help="clicks that each method gets; --worst_of goes by the IoU after these",
    )
    parser.add_argument(
        "--annotator", type=int, help="the human whose parts are wanted; default: who agrees best with the others"
    )
    parser.add_argument(
        "--jitter", type=flag, nargs="?", const=True, default=False, metavar="0|1", help="as in scripts/evaluate.py"
    )
    add_method_options(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    if args.out.suffix.lower() != ".png":
        raise UserError(f"--out {args.out} is not a .png")
    parts = (
        [parse_part(text) for text in args.parts]
        if args.parts
        else worst_parts(args.results, args.worst_of, args.count, args.clicks)
    )
    categories, options = benchmark_ids(args.psb_dir), method_options(args)
    protocol = Protocol(args.clicks, args.annotator, args.jitter, args.seed)
    methods = [METHODS[name](options) for name in args.methods]
    rows: dict[tuple[int, int], PartPictures] = {}
    for shape_id in tqdm(dict.fromkeys(shape for shape, _ in parts), desc="shapes", unit="shape", disable=None):
        labels = [label for shape, label in parts if shape == shape_id]
        rows |= {
            (shape_id, row_label): row
            for row_label, row in pictures(
                args.psb_dir, shape_id, categories.get(shape_id, "all"), labels, methods, protocol
            ).items()
        }
    save_gallery(args.out, [rows[part] for part in parts])
    print(f"picture: {args.out}")
    return 0


def parse_part(text: str) -> tuple[int, int]:
    """Mesh and label of "12:3"."""
    shape, _, label = text.partition(":")
    try:
        return int(shape), int(label)
    except ValueError:
        raise UserError(
            f"'{text}' does not name a part; write the mesh's number and the label in its .seg file, as in 12:3"
        ) from None


def worst_parts(results: Path | None, method: str, count: int, clicks: int) -> list[tuple[int, int]]:
    """The parts with the lowest IoU of a method after so many clicks, the worst first."""
    if results is None:
        raise UserError("--worst_of needs --results, a file written by scripts/evaluate.py")
    held = load_json(results, "results file")
    if method not in held.get("methods", {}) or "parts" not in held:
        raise UserError(
            f"{results} holds no results of {method}; it has {', '.join(held.get('methods', {})) or 'none'}"
        )
    curves = {(part["id"], part["label"]): part["iou"][method] for part in held["parts"]}
    if clicks > len(next(iter(curves.values()))):
        raise UserError(f"--clicks {clicks} is more than the {len(next(iter(curves.values())))} of the results")
    return sorted(curves, key=lambda part: (curves[part][clicks - 1], part))[:count]


def pictures(
    folder: Path, shape_id: int, category: str, labels: list[int], methods: list, protocol: Protocol
) -> dict[int, PartPictures]:
    """Label -> row, for parts of one mesh."""
    try:
        shape = load_shape(folder, shape_id, category)
        reference = shape.reference(protocol.annotator)
    except UnusableShape as reason:
        raise UserError(f"mesh {shape_id}: {reason}") from reason
    graph, areas = FaceGraph(shape.mesh), shape.mesh.face_areas
    wanted = {part.label: (index, part) for index, part in enumerate(wanted_parts(reference, areas)[0])}
    unknown = [label for label in labels if label not in wanted]
    if unknown:
        raise UserError(
            f"mesh {shape_id} has no part {unknown[0]} of at least 1 % of the area; it has {', '.join(map(str, wanted))}"
        )
    human = shape.human_level(shape.choose(protocol.annotator))
    on_vertices = OnFaces(shape.mesh, lambda clicks: None)
    columns: dict[int, list] = {label: [] for label in labels}
    for method in methods:
        prepared = method.prepare(shape.mesh, graph)
        for label in labels:
            index, part = wanted[label]
            generator = np.random.default_rng([protocol.seed, shape_id, index]) if protocol.jitter else None
            run = run_part(prepared, graph, areas, part.mask, protocol.clicks, protocol.clicks, 1.0, generator)
            clicks = on_vertices.clicks(np.array(run.faces), np.array(run.positive))
            columns[label].append(
                (
                    method.name,
                    run.selected,
                    clicks,
                    "IoU " + " ".join(f"{iou:.2f}" for iou in run.iou[: len(run.faces)]),
                )
            )
    return {
        label: PartPictures(
            shape.mesh,
            f"{category} {shape_id}, part {label}: {wanted[label][1].share:.0%} of the area"
            + (f", other people {human[label]:.2f}" if human else ""),
            wanted[label][1].mask,
            columns[label],
        )
        for label in labels
    }


if __name__ == "__main__":
    run_cli(main)
