"""Click-based segmentation measured on human-labelled meshes (Princeton Segmentation Benchmark), every method in one run.

Protocol: docs/benchmark.md. Finished (mesh, method) pairs are kept beside the output, so an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from SAM_repo.teacher import load_teacher
from utils.baselines import Geodesic, SamBaseline
from utils.errors import UserError, run_cli
from utils.evaluation import Method, bootstrap_interval, clicks_to_reach, run_part
from utils.face_graph import FaceGraph
from utils.files import digest, load_json, save_json
from utils.options import TEACHERS, choose_device, flag, positive_int
from utils.psb import LabelledShape, UnusableShape, benchmark_ids, best_match, load_shape, parts_of

METHODS = ("geodesic", "geodesic_concave", "sam_baseline")
COUNTS = (1, 2, 3, 5, 10)
TARGETS = (80, 85, 90)
CAP = 20  # clicks; a part that never gets there counts as 20 (RITM, AGILE3D)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--psb_dir", type=Path, required=True, help="folder with off/, seg/Benchmark/ and split.json")
    parser.add_argument("--out", type=Path, required=True, metavar="JSON", help="the results")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["geodesic", "geodesic_concave", "sam_baseline"])
    parser.add_argument("--ids", type=int, nargs="+", help="shapes; default: all of split.json")
    parser.add_argument("--per_category", type=positive_int, help="take the first so many shapes of each category")
    parser.add_argument("--clicks", type=positive_int, default=10, help="clicks a part gets whatever its IoU; at least 10 for IoU@10")
    parser.add_argument("--annotator", type=int, help="the human whose parts are wanted; default: who agrees best with the others")
    parser.add_argument("--jitter", type=flag, default=False, metavar="0|1", help="click at random in the region instead of innermost")
    parser.add_argument("--radius", type=float, default=0.2, help="of geodesic, in bounding-box diagonals")
    parser.add_argument("--concave_radius", type=float, default=0.48, help="of geodesic_concave")
    parser.add_argument("--crease_factor", type=float, default=40.0, help="of geodesic_concave")
    parser.add_argument("--n_views", type=positive_int, default=100, help="of sam_baseline")
    parser.add_argument("--SAM", choices=TEACHERS, default="auto", help="teacher of sam_baseline")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--stability_clicks", type=int, default=0, metavar="N",
                        help="also measure stability from N random clicks on each of the first 7 shapes (paper: 100)")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    if args.clicks > CAP:
        raise UserError(f"--clicks {args.clicks} is beyond the cap of {CAP}")
    categories = benchmark_ids(args.psb_dir)
    ids = choose_ids(categories, args.ids, args.per_category)
    methods = [build_method(name, args) for name in args.methods]
    settings = {key: str(value) if isinstance(value, Path) else value for key, value in vars(args).items()
                if key not in ("out", "methods", "ids", "per_category", "psb_dir", "device")}
    runs_dir = args.out.with_suffix(".runs")
    shapes, skipped, results = [], {}, {method.name: {} for method in methods}
    for shape_id in tqdm(ids, desc="shapes", unit="shape", disable=None):
        try:
            shape = load_shape(args.psb_dir, shape_id, categories.get(shape_id, "all"))
            reference = shape.reference(args.annotator)
        except UnusableShape as reason:
            skipped[shape_id] = str(reason)
            print(f"skipped {shape_id}: {reason}", file=sys.stderr)
            continue
        graph = FaceGraph(shape.mesh)
        shapes.append({"id": shape_id, "category": shape.category, "human": human_level(shape, reference)})
        for method in methods:
            results[method.name][shape_id] = measure(method, shape, reference, graph, settings, runs_dir, len(shapes) <= 7, args)
    if not shapes:
        raise UserError(f"no usable shape among {len(ids)} in {args.psb_dir}: {next(iter(skipped.values()), 'none asked for')}")
    summary = summarise(shapes, results, args.seed)
    save_json(args.out, {"settings": settings, "shapes": [s["id"] for s in shapes], "skipped": skipped, **summary})
    print(table(summary))
    if skipped:
        print(f"skipped {len(skipped)} of {len(ids)} shapes: {', '.join(map(str, skipped))}")
    print(f"results: {args.out}")
    return 0


def choose_ids(categories: dict[int, str], ids: list[int] | None, per_category: int | None) -> list[int]:
    """The shapes to measure, in the order of split.json."""
    if ids:
        unknown = [i for i in ids if i not in categories]
        if unknown:
            raise UserError(f"no shape {unknown[0]} in the benchmark folder; there are {', '.join(map(str, list(categories)[:8]))}, ...")
        return list(ids)
    if per_category is None:
        return list(categories)
    taken: dict[str, list[int]] = {}
    for shape_id, category in categories.items():
        taken.setdefault(category, []).append(shape_id)
    return [shape_id for group in taken.values() for shape_id in group[:per_category]]


def build_method(name: str, args: argparse.Namespace) -> Method:
    """A method by its name on the command line."""
    if name == "geodesic":
        return Geodesic(name, args.radius)
    if name == "geodesic_concave":
        return Geodesic(name, args.concave_radius, args.crease_factor)
    return SamBaseline(load_teacher(args.SAM, device=choose_device(args.device)), args.n_views, args.seed)


def measure(method: Method, shape: LabelledShape, reference: np.ndarray, graph: FaceGraph, settings: dict, runs_dir: Path,
            with_stability: bool, args: argparse.Namespace) -> dict:
    """IoU curves of all parts of one shape under one method; read back if an earlier run finished them."""
    key = digest(method.name, getattr(getattr(method, "teacher", None), "name", ""), repr(sorted(settings.items())), shape.mesh.digest, reference)
    path = runs_dir / f"{shape.shape_id}_{method.name}_{key}.json"
    if path.is_file():
        return load_json(path, "partial result")
    areas = shape.mesh.face_areas
    started = time.perf_counter()
    prepared = method.prepare(shape.mesh, graph)
    seconds = time.perf_counter() - started
    curves, clicks, spent = [], 0, 0.0
    for index, part in enumerate(parts_of(reference, areas)):
        generator = np.random.default_rng([args.seed, shape.shape_id, index]) if args.jitter else None
        started = time.perf_counter()
        run = run_part(prepared, graph, areas, part, args.clicks, CAP, TARGETS[-1] / 100, generator)
        spent += time.perf_counter() - started
        clicks += len(run.faces)
        curves.append(run.iou)
    result = {"iou": curves, "seconds": seconds, "ms_per_click": 1000 * spent / max(clicks, 1), "stability": None}
    if with_stability and args.stability_clicks:
        result["stability"] = stability(prepared, graph, areas, args.stability_clicks, np.random.default_rng([args.seed, shape.shape_id]))
    save_json(path, result)
    return result


def stability(prepared, graph: FaceGraph, areas: np.ndarray, clicks: int, generator: np.random.Generator) -> list[float]:
    """IoU between a click's selection and those of clicks on the adjacent faces, a mean per click (paper Sec. 4.3, on faces)."""
    from utils.psb import area_iou

    def selection(face: int) -> np.ndarray:
        return prepared.probabilities(np.array([face]), np.array([True])) > 0.5

    values = []
    for face in generator.choice(len(areas), size=min(clicks, len(areas)), replace=False):
        touching = graph.pairs[(graph.pairs == face).any(1)]
        neighbours = touching[touching != face]
        if len(neighbours):
            own = selection(int(face))
            values.append(float(np.mean([area_iou(own, selection(int(other)), areas) for other in neighbours])))
    return values


def human_level(shape: LabelledShape, reference: np.ndarray) -> list[float]:
    """For each part: the other annotators' best-matching part, mean IoU over them."""
    areas = shape.mesh.face_areas
    kept = [int(reference[np.flatnonzero(part)[0]]) for part in parts_of(reference, areas)]
    others = [best_match(reference, labels, areas) for labels in shape.segmentations if not np.array_equal(labels, reference)]
    return [float(np.mean([match[label] for match in others])) for label in kept] if others else []


def summarise(shapes: list[dict], results: dict[str, dict], seed: int) -> dict:
    """Means over parts with bootstrap intervals over meshes, overall and by category."""
    summary = {"human": float(np.mean([v for shape in shapes for v in shape["human"]])) if any(s["human"] for s in shapes) else None,
               "methods": {}}
    for name, runs in results.items():
        curves = {s["id"]: runs[s["id"]]["iou"] for s in shapes}
        entry = _means(list(curves.values()))
        entry["interval"] = {str(k): bootstrap_interval([[c[k - 1] for c in group] for group in curves.values() if group],
                                                        np.random.default_rng(seed)) for k in COUNTS}
        entry["by_category"] = {category: _means([curves[s["id"]] for s in shapes if s["category"] == category])
                                for category in dict.fromkeys(s["category"] for s in shapes)}
        entry["seconds_per_mesh"] = float(np.median([runs[s["id"]]["seconds"] for s in shapes]))
        entry["ms_per_click"] = float(np.median([runs[s["id"]]["ms_per_click"] for s in shapes]))
        stable = [v for s in shapes for v in (runs[s["id"]]["stability"] or [])]
        entry["stability"] = float(np.mean(stable)) if stable else None
        summary["methods"][name] = entry
    return summary


def _means(groups: list[list[list[float]]]) -> dict:
    curves = [curve for group in groups for curve in group]
    reach = {t: [clicks_to_reach(curve, t / 100, CAP) for curve in curves] for t in TARGETS}
    never = {t: [max(curve[:CAP]) < t / 100 for curve in curves] for t in TARGETS}
    return {"parts": len(curves),
            "iou_at": {str(k): float(np.mean([curve[k - 1] for curve in curves])) for k in COUNTS if all(len(c) >= k for c in curves)},
            "noc": {str(t): float(np.mean(reach[t])) for t in TARGETS},
            "failed": {str(t): float(np.mean(never[t])) for t in TARGETS}}


def table(summary: dict) -> str:
    """The results as a Markdown table."""
    lines = ["| method | " + " | ".join(f"IoU@{k}" for k in COUNTS) + " | " + " | ".join(f"NoC@{t}" for t in TARGETS)
             + " | failed@90 | s / mesh | ms / click | stability |", "|" + "---|" * (len(COUNTS) + len(TARGETS) + 5)]
    for name, entry in summary["methods"].items():
        ious = [f"{entry['iou_at'][str(k)]:.3f}" if str(k) in entry["iou_at"] else "-" for k in COUNTS]
        nocs = [f"{entry['noc'][str(t)]:.1f}" for t in TARGETS]
        stable = "-" if entry["stability"] is None else f"{entry['stability']:.2f}"
        lines.append(f"| {name} | " + " | ".join(ious + nocs) + f" | {entry['failed']['90']:.0%} | {entry['seconds_per_mesh']:.1f} | "
                     f"{entry['ms_per_click']:.0f} | {stable} |")
    if summary["human"] is not None:
        lines.append(f"\nOne person against another: IoU {summary['human']:.3f}")
    return "\n".join(lines)


if __name__ == "__main__":
    run_cli(main)
