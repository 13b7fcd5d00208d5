"""Click-based segmentation measured on human-labelled meshes (Princeton Segmentation Benchmark), every method in one run.

Protocol: docs/benchmark.md. Finished (mesh, method) pairs are kept beside the output, so an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from models.presets import PRESETS, Run, preset_digest
from tqdm import tqdm

from SAM_repo.teacher import load_teacher
from utils.device import choose_device
from utils.errors import UserError, run_cli
from utils.evaluation.annotator import (
    Method,
    OnFaces,
    PreparedMethod,
    bootstrap_interval,
    clicks_to_reach,
    run_part,
    stability,
)
from utils.evaluation.baselines import Geodesic, SamBaseline
from utils.evaluation.psb import UnusableShape, area_iou, benchmark_ids, load_shape, wanted_parts
from utils.files import digest, load_json, save_json
from utils.geometry.face_graph import FaceGraph
from utils.geometry.mesh import Mesh
from utils.options import TEACHERS, flag, positive_int

if TYPE_CHECKING:
    from models.iseg3d.segmenter import PointSegmenter

COUNTS = (1, 2, 3, 5, 10)
TARGETS = (80, 85, 90)
CAP = 20  # clicks; a part that never gets there counts as 20 (RITM, AGILE3D)
STABILITY_SHAPES = 7  # as in the paper


# --- methods --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MethodOptions:
    """What the methods can be told; see the command line's help for each.

    work_dir  folder of what methods make of a mesh and keep
    """

    radius: float = 0.2
    concave_radius: float = 0.48
    crease_factor: float = 40.0
    n_views: int = 100
    preset: str = "fast"
    sam: str = "auto"
    device: str = "auto"
    seed: int = 0
    work_dir: Path = Path("experiments")

    def teacher(self):
        return load_teacher(self.sam, device=choose_device(self.device))


class Iseg:
    """The pipeline: views, feature field, click supervision and decoder of one mesh (scripts/pipeline.py), then its segmenter.

    Clicked faces become vertices as `OnFaces` says (preset refine: they are answered as they are). Everything lies in `work_dir`/iseg_PRESET_TEACHER_SEED/MESH and is
    used again; the seconds of every stage are recorded there, so that they are known on a second run too.
    """

    name = "iseg"

    def __init__(self, options: MethodOptions) -> None:
        self.options, teacher = options, options.teacher()
        settings = preset_digest(options.preset)
        self.identity = f"iseg {options.preset} {settings} {teacher.name} {options.seed}" + (
            f" {_prior_identity()}" if options.preset == "refine" else ""
        )
        self.folder = options.work_dir / f"iseg_{options.preset}_{settings[:8]}_{teacher.name}_{options.seed}"

    def prepare(self, mesh: Mesh, graph: FaceGraph) -> PreparedMethod:
        import data_generation
        import decoder
        import encoder
        from models.iseg.segmenter import DecoderSegmenter

        o = self.options
        name = f"{mesh.path.stem}_{mesh.digest[:8]}"
        run = Run(mesh.path, self.folder / name, name, o.preset, o.sam, o.device, seed=o.seed)
        clock = StageClock(run.directory / "seconds.json")
        clock.run("views and feature field", lambda: encoder.main(run.encoder_arguments()))
        clock.run("click supervision", lambda: data_generation.main(run.click_arguments()))
        clock.run("decoder training", lambda: decoder.main(run.decoder_arguments()))
        if not run.needs_field:
            return _PreparedPrior(
                mesh, load_teacher("vit_t", device=choose_device(o.device)), run.decoder / run.checkpoint_name, clock
            )
        segmenter = DecoderSegmenter.load(
            run.decoder / run.checkpoint_name, run.features, mesh, choose_device(o.device), "auto"
        )
        return _PreparedIseg(mesh, segmenter, clock)


class _PreparedIseg(OnFaces):
    def __init__(self, mesh: Mesh, segmenter, clock: StageClock) -> None:
        super().__init__(mesh, lambda clicks: segmenter.probability(clicks))
        self.seconds, self.cpu_seconds = clock.total("seconds"), clock.total("cpu_seconds")


class StageClock:
    """Times stages that resume by themselves, and remembers on disk what each took.

    A stage that was interrupted and finished later has an unknown time (None): what it took before is not known.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stages: dict[str, dict] = load_json(path, "record of times") if path.is_file() else {}

    def run(self, stage: str, work: Callable[[], int | None]) -> None:
        """Do the work; it is called also if it finished before, to check what is there."""
        held = self.stages.get(stage)
        if held is None:
            save_json(self.path, self.stages | {stage: {"done": False}})
        wall, processor = time.perf_counter(), time.process_time()
        if work():
            raise UserError(f"{stage} did not finish; see above")
        if held is None or not held["done"]:
            whole = held is None
            self.stages[stage] = {
                "done": True,
                "seconds": time.perf_counter() - wall if whole else None,
                "cpu_seconds": time.process_time() - processor if whole else None,
            }
            save_json(self.path, self.stages)

    def total(self, key: str) -> float | None:
        values = [stage[key] for stage in self.stages.values()]
        return None if None in values else float(sum(values))


class IsegPrior:
    """The decoder trained once on many synthetic shapes (`models.prior.segmenter`), which answers clicks on faces itself."""

    name = "iseg_prior"

    def __init__(self, options: MethodOptions) -> None:
        self.teacher = options.teacher()
        self.identity = f"iseg_prior {self.teacher.name} {_prior_identity()}"

    def prepare(self, mesh: Mesh, graph: FaceGraph) -> _PreparedPrior:
        return _PreparedPrior(mesh, self.teacher)


def _prior_identity() -> str:
    """What the answers of the shipped prior depend on."""
    from models.prior.segmenter import ANSWERS_VERSION, WEIGHTS

    return f"{ANSWERS_VERSION} {digest(WEIGHTS.read_bytes()) if WEIGHTS.is_file() else ''}"


class _PreparedPrior:
    """The shipped prior, or with `weights` a refined one; `clock` then knows what refining it took besides."""

    def __init__(self, mesh: Mesh, teacher, weights: Path | None = None, clock: StageClock | None = None) -> None:
        from models.prior.segmenter import WEIGHTS, PriorSegmenter

        wall, processor = time.perf_counter(), time.process_time()
        self.segmenter = PriorSegmenter(mesh, teacher, weights=weights or WEIGHTS)
        if clock is not None:
            ready = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - processor}
            totals = {key: clock.total(key) for key in ready}
            self.seconds, self.cpu_seconds = (
                None if totals[key] is None else totals[key] + ready[key] for key in ready
            )

    def probabilities(self, faces: np.ndarray, positive: np.ndarray) -> np.ndarray:
        return self.segmenter.face_probability(faces, positive)

    def candidates(self, faces: np.ndarray, positive: np.ndarray) -> np.ndarray:
        """(3, F): finer, default, coarser."""
        return self.segmenter.face_candidates(faces, positive).probability


class OnPoints:
    """A method that answers clicks on faces through points sampled on the mesh (`models.iseg3d.segmenter.PointSegmenter`).

    build: mesh -> the segmenter; depends_on: files and values that its answers depend on.
    """

    def __init__(self, name: str, build: Callable[[Mesh], PointSegmenter], *depends_on: object) -> None:
        self.name, self.build = name, build
        held = [
            value.read_bytes() if isinstance(value, Path) and value.is_file() else str(value) for value in depends_on
        ]
        self.identity = f"{name} {digest(*held)}"

    def prepare(self, mesh: Mesh, graph: FaceGraph) -> _PreparedOnPoints:
        return _PreparedOnPoints(self.build(mesh))


class _PreparedOnPoints:
    def __init__(self, segmenter: PointSegmenter) -> None:
        self.segmenter = segmenter

    def probabilities(self, faces: np.ndarray, positive: np.ndarray) -> np.ndarray:
        return self.segmenter.face_probability(faces, positive)


def _iseg3d(options: MethodOptions) -> Method:
    from models.iseg3d.segmenter import WEIGHTS, Iseg3dSegmenter

    return OnPoints(
        "iseg3d",
        lambda mesh: Iseg3dSegmenter(mesh, device=choose_device(options.device), seed=options.seed),
        WEIGHTS,
        options.seed,
    )


def _fpfh(options: MethodOptions) -> Method:
    from models.iseg3d.baselines import FPFH_CLICK_RADIUS, FPFH_RADIUS, FpfhSegmenter

    return OnPoints(
        "fpfh", lambda mesh: FpfhSegmenter(mesh, options.seed), FPFH_RADIUS, FPFH_CLICK_RADIUS, options.seed
    )


def _heatmap(options: MethodOptions) -> Method:
    from models.iseg3d.baselines import HEATMAP_WEIGHTS, HeatmapSegmenter

    return OnPoints(
        "heatmap",
        lambda mesh: HeatmapSegmenter(mesh, device=choose_device(options.device), seed=options.seed),
        HEATMAP_WEIGHTS,
        options.seed,
    )


# A method is a line here: something with `name`, `identity` and `prepare` (utils.evaluation.annotator.Method).
METHODS: dict[str, Callable[[MethodOptions], Method]] = {
    "geodesic": lambda o: Geodesic("geodesic", o.radius),
    "geodesic_concave": lambda o: Geodesic("geodesic_concave", o.concave_radius, o.crease_factor),
    "sam_baseline": lambda o: SamBaseline(o.teacher(), o.n_views, o.seed),
    "iseg_prior": IsegPrior,
    "iseg": Iseg,
    "iseg3d": _iseg3d,
    "fpfh": _fpfh,
    "heatmap": _heatmap,
}
TRAINING_FREE = ("geodesic", "geodesic_concave", "sam_baseline")


def add_method_options(parser: argparse.ArgumentParser) -> None:
    """The options of `MethodOptions`."""
    defaults = MethodOptions()
    group = parser.add_argument_group("methods")
    group.add_argument("--radius", type=float, default=defaults.radius, help="of geodesic, in bounding-box diagonals")
    group.add_argument("--concave_radius", type=float, default=defaults.concave_radius, help="of geodesic_concave")
    group.add_argument("--crease_factor", type=float, default=defaults.crease_factor, help="of geodesic_concave")
    group.add_argument("--n_views", type=positive_int, default=defaults.n_views, help="of sam_baseline")
    group.add_argument(
        "--preset",
        choices=PRESETS,
        default=defaults.preset,
        help="of iseg; refine: the prior, refined on each mesh; paper: the published setting (GPU)",
    )
    group.add_argument("--SAM", choices=TEACHERS, default="auto", help="teacher of sam_baseline, iseg and iseg_prior")
    group.add_argument(
        "--work_dir",
        type=Path,
        help="where iseg keeps what it makes of a mesh; default: beside --out, with the ending .work",
    )
    group.add_argument("--device", default="auto", help="auto, cpu or cuda")
    group.add_argument("--seed", type=int, default=0)


def method_options(args: argparse.Namespace) -> MethodOptions:
    return MethodOptions(
        args.radius,
        args.concave_radius,
        args.crease_factor,
        args.n_views,
        args.preset,
        args.SAM,
        args.device,
        args.seed,
        args.work_dir or args.out.with_suffix(".work"),
    )


# --- command line ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Protocol:
    """The simulated annotator; see docs/benchmark.md."""

    clicks: int = 10
    annotator: int | None = None
    jitter: bool = False
    seed: int = 0


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--psb_dir", type=Path, required=True, help="folder with off/, seg/Benchmark/ and split.json")
    parser.add_argument("--out", type=Path, required=True, metavar="JSON", help="the results")
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=METHODS,
        default=list(TRAINING_FREE),
        metavar="NAME",
        help=f"of {', '.join(METHODS)}",
    )
    parser.add_argument("--ids", type=int, nargs="+", help="shapes; default: all of split.json")
    parser.add_argument("--per_category", type=positive_int, help="take the first so many shapes of each category")
    parser.add_argument("--clicks", type=positive_int, default=10, help="clicks a part gets whatever its IoU, 10 to 20")
    parser.add_argument(
        "--annotator", type=int, help="the human whose parts are wanted; default: who agrees best with the others"
    )
    parser.add_argument(
        "--jitter",
        type=flag,
        nargs="?",
        const=True,
        default=False,
        metavar="0|1",
        help="click at random in the region instead of innermost",
    )
    parser.add_argument(
        "--stability_clicks",
        type=int,
        default=0,
        metavar="N",
        help=f"also measure stability from N random clicks on each of {STABILITY_SHAPES} shapes (paper: 100)",
    )
    parser.add_argument(
        "--plot", type=flag, nargs="?", const=True, default=False, metavar="0|1", help="draw the results beside --out"
    )
    parser.add_argument(
        "--jobs", type=positive_int, default=1, help="processes, one thread each; 1: all threads in this one"
    )
    add_method_options(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    if not COUNTS[-1] <= args.clicks <= CAP:
        raise UserError(
            f"--clicks {args.clicks} is outside {COUNTS[-1]} to {CAP}: IoU@{COUNTS[-1]} needs the first, the cap is the second"
        )
    options, protocol = method_options(args), Protocol(args.clicks, args.annotator, args.jitter, args.seed)
    categories = benchmark_ids(args.psb_dir)
    shapes, skipped = describe(
        args.psb_dir, choose_ids(categories, args.ids, args.per_category), categories, args.annotator
    )
    names = list(dict.fromkeys(args.methods))
    stable = stability_ids(shapes) if args.stability_clicks else []
    tasks = [
        Task(args.psb_dir, shape["id"], name, args.stability_clicks if shape["id"] in stable else 0)
        for name in names
        for shape in shapes
    ]
    results: dict[str, dict[int, dict]] = {name: {} for name in names}
    bar = tqdm(total=len(tasks), desc="(mesh, method) pairs", unit="pair", disable=None)
    for task, result in run_tasks(tasks, options, protocol, args.out.with_suffix(".runs"), args.jobs):
        results[task.method][task.shape_id] = result
        bar.update()
    bar.close()

    summary = summarise(shapes, results, args.seed)
    settings = {
        key: str(value) if isinstance(value, Path) else value
        for key, value in vars(args).items()
        if key not in ("out", "psb_dir", "work_dir", "device", "jobs", "plot")
    }
    settings |= {"identity": {name: next(iter(results[name].values()))["identity"] for name in names}, "cap": CAP}
    left_out = [
        {"id": shape["id"], "label": label, "reason": reason}
        for shape in shapes
        for label, reason in shape["left_out"].items()
    ]
    save_json(
        args.out,
        {
            "settings": settings,
            "shapes": [shape["id"] for shape in shapes],
            "skipped": skipped,
            "left_out_parts": left_out,
            **summary,
            "parts": part_list(shapes, results),
        },
    )
    print(table(summary))
    for line in leftovers(skipped, left_out, len(shapes) + len(skipped)):
        print(line)
    print(f"results: {args.out}")
    if args.plot:
        from utils.output.plots import save_category_plot, save_click_plot

        for ending, draw in (("clicks", save_click_plot), ("categories", save_category_plot)):
            path = args.out.with_name(f"{args.out.stem}_{ending}.png")
            draw(path, load_json(args.out, "results"))
            print(f"picture: {path}")
    return 0


def choose_ids(categories: dict[int, str], ids: list[int] | None, per_category: int | None) -> list[int]:
    """The shapes to measure, in the order of split.json."""
    if ids:
        unknown = [i for i in ids if i not in categories]
        if unknown:
            raise UserError(
                f"no shape {unknown[0]} in the benchmark folder; there are {', '.join(map(str, list(categories)[:8]))}, ..."
            )
        return list(dict.fromkeys(ids))
    taken: dict[str, list[int]] = {}
    for shape_id, category in categories.items():
        taken.setdefault(category, []).append(shape_id)
    return [shape_id for group in taken.values() for shape_id in group[:per_category]]


def describe(
    folder: Path, ids: list[int], categories: dict[int, str], annotator: int | None
) -> tuple[list[dict], dict[int, str]]:
    """What is wanted of every usable shape, and why each of the others is skipped (said at once)."""
    shapes, skipped = [], {}
    for shape_id in tqdm(ids, desc="read shapes", unit="shape", disable=None):
        try:
            shape = load_shape(folder, shape_id, categories.get(shape_id, "all"))
            chosen = shape.choose(annotator)
            parts, left_out = wanted_parts(shape.segmentations[chosen], shape.mesh.face_areas)
            if not parts:
                raise UnusableShape("no part of it is large enough")
        except UnusableShape as reason:
            skipped[shape_id] = str(reason)
            print(f"skipped {shape_id}: {reason}", file=sys.stderr)
            continue
        for label, reason in left_out.items():
            if reason != "under 1% of the area":
                print(f"skipped part {label} of {shape_id}: {reason}", file=sys.stderr)
        human = shape.human_level(chosen)
        shapes.append(
            {
                "id": shape_id,
                "category": shape.category,
                "annotator": chosen,
                "left_out": left_out,
                "labels": [part.label for part in parts],
                "shares": [part.share for part in parts],
                "human": [human[part.label] for part in parts if human],
            }
        )
    if not shapes:
        raise UserError(
            f"no usable shape among {len(ids)} in {folder}: {next(iter(skipped.values()), 'none asked for')}"
        )
    return shapes, skipped


def stability_ids(shapes: list[dict]) -> list[int]:
    """Seven shapes: the first of each of seven categories evenly spread over all, or as many as there are."""
    by_category: dict[str, list[int]] = {}
    for shape in shapes:
        by_category.setdefault(shape["category"], []).append(shape["id"])
    groups = list(by_category.values())
    if len(groups) >= STABILITY_SHAPES:
        return [groups[k * len(groups) // STABILITY_SHAPES][0] for k in range(STABILITY_SHAPES)]
    turns = [group[k] for k in range(max(map(len, groups))) for group in groups if k < len(group)]
    return turns[:STABILITY_SHAPES]


# --- measuring ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """One method on one shape, with the stability of so many random clicks."""

    folder: Path
    shape_id: int
    method: str
    stability_clicks: int


_built: dict[tuple, Method] = {}  # a process builds each method once


def run_tasks(
    tasks: list[Task], options: MethodOptions, protocol: Protocol, runs_dir: Path, jobs: int
) -> Iterator[tuple[Task, dict]]:
    """Each task with its result, in this process or in several."""
    if jobs == 1:
        yield from ((task, measure(task, options, protocol, runs_dir)) for task in tasks)
        return
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _single_thread) as pool:
        running = {pool.submit(measure, task, options, protocol, runs_dir): task for task in tasks}
        try:
            for done in as_completed(running):
                yield running[done], done.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _single_thread() -> None:
    torch.set_num_threads(1)


def measure(task: Task, options: MethodOptions, protocol: Protocol, runs_dir: Path) -> dict:
    """One method clicked through all parts of one shape; read back if an earlier run finished it."""
    if (task.method, options) not in _built:
        _built[task.method, options] = METHODS[task.method](options)
    method = _built[task.method, options]
    shape = load_shape(task.folder, task.shape_id, "")
    reference = shape.reference(protocol.annotator)
    prepared: list[PreparedMethod] = []

    def ready() -> PreparedMethod:
        if not prepared:
            prepared.append(method.prepare(shape.mesh, graph))
        return prepared[0]

    def kept(kind: str, key: tuple, work: Callable[[], dict]) -> dict:
        path = (
            runs_dir / f"{task.shape_id}_{task.method}_{kind}_{digest(method.identity, *key, shape.mesh.digest)}.json"
        )
        if not path.is_file():
            save_json(path, work())
        return load_json(path, "partial result")

    graph, areas = FaceGraph(shape.mesh), shape.mesh.face_areas
    result = kept(
        "clicks",
        (protocol.clicks, protocol.jitter, protocol.seed, CAP, reference),
        lambda: {"identity": method.identity} | click_all(ready, graph, areas, reference, task.shape_id, protocol),
    )
    random = np.random.default_rng([protocol.seed, task.shape_id])
    if task.stability_clicks:
        result |= kept(
            "stability",
            (task.stability_clicks, protocol.seed),
            lambda: {"stability": stability(ready(), graph, areas, task.stability_clicks, random)},
        )
    return result


def click_all(
    ready: Callable[[], PreparedMethod],
    graph: FaceGraph,
    areas: np.ndarray,
    reference: np.ndarray,
    shape_id: int,
    protocol: Protocol,
) -> dict:
    """Get a method ready and click it through all parts of one shape."""
    wall, processor = time.perf_counter(), time.process_time()
    prepared = ready()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    parts, _ = wanted_parts(reference, areas)
    runs = []
    for index, part in enumerate(parts):
        generator = np.random.default_rng([protocol.seed, shape_id, index]) if protocol.jitter else None
        runs.append(run_part(prepared, graph, areas, part.mask, protocol.clicks, CAP, TARGETS[-1] / 100, generator))
    clicks = sum(len(run.faces) for run in runs)
    return {
        "seconds": getattr(prepared, "seconds", wall),
        "cpu_seconds": getattr(prepared, "cpu_seconds", processor),
        "ms_per_click": 1000 * sum(run.seconds for run in runs) / clicks,
        "cpu_ms_per_click": 1000 * sum(run.cpu_seconds for run in runs) / clicks,
        "iou": [run.iou for run in runs],
        "faces": [run.faces for run in runs],
        "positive": [run.positive for run in runs],
        "candidates": _candidates(prepared, [run.faces[0] for run in runs], [part.mask for part in parts], areas),
    }


def _candidates(
    prepared: PreparedMethod, faces: list[int], parts: list[np.ndarray], areas: np.ndarray
) -> list[list[float]] | None:
    """The IoU of each alternative that the method offers to each part's first click, if it offers any."""
    if not hasattr(prepared, "candidates"):
        return None
    return [
        [
            area_iou(alternative > 0.5, part, areas)
            for alternative in prepared.candidates(np.array([face]), np.array([True]))
        ]
        for face, part in zip(faces, parts)
    ]


# --- results --------------------------------------------------------------------------------------


def summarise(shapes: list[dict], results: dict[str, dict[int, dict]], seed: int) -> dict:
    """Means over parts with bootstrap intervals over meshes, overall and by category."""
    human = [value for shape in shapes for value in shape["human"]]
    categories = list(dict.fromkeys(shape["category"] for shape in shapes))
    summary = {
        "human": float(np.mean(human)) if human else None,
        "human_by_category": {
            category: _mean([v for s in shapes if s["category"] == category for v in s["human"]])
            for category in categories
        },
        "methods": {},
    }
    for name, runs in results.items():
        curves = {shape["id"]: runs[shape["id"]]["iou"] for shape in shapes}
        entry = _means(list(curves.values()))
        intervals = [
            bootstrap_interval(
                [[curve[k] for curve in group] for group in curves.values()], np.random.default_rng(seed)
            )
            for k in range(COUNTS[-1])
        ]
        entry["interval"] = {k: intervals[int(k) - 1] for k in entry["iou_at"]}
        entry["curve"] = {
            "iou": [
                float(np.mean([curve[k] for group in curves.values() for curve in group])) for k in range(COUNTS[-1])
            ],
            "interval": intervals,
        }
        entry["by_category"] = {
            category: _means([curves[s["id"]] for s in shapes if s["category"] == category]) for category in categories
        }
        for key in ("seconds", "cpu_seconds", "ms_per_click", "cpu_ms_per_click"):
            values = [run[key] for run in runs.values() if run[key] is not None]
            entry[{"seconds": "seconds_per_mesh", "cpu_seconds": "cpu_seconds_per_mesh"}.get(key, key)] = (
                float(np.median(values)) if values else None
            )
        entry["stability"] = _mean([v for run in runs.values() for v in run.get("stability", [])])
        alternatives = [values for run in runs.values() for values in run["candidates"] or []]
        if alternatives:
            entry["oracle_at_1"] = _mean([max(values) for values in alternatives])
            entry["candidates_at_1"] = np.mean(alternatives, axis=0).tolist()
        summary["methods"][name] = entry
    return summary


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _means(groups: list[list[list[float]]]) -> dict:
    curves = [curve for group in groups for curve in group]
    reach = {t: [clicks_to_reach(curve, t / 100, CAP) for curve in curves] for t in TARGETS}
    never = {t: [max(curve[:CAP]) < t / 100 for curve in curves] for t in TARGETS}
    return {
        "parts": len(curves),
        "iou_at": {str(k): float(np.mean([curve[k - 1] for curve in curves])) for k in COUNTS},
        "noc": {str(t): float(np.mean(reach[t])) for t in TARGETS},
        "failed": {str(t): float(np.mean(never[t])) for t in TARGETS},
    }


def part_list(shapes: list[dict], results: dict[str, dict[int, dict]]) -> list[dict]:
    """Every part with its IoU after each click under each method (for scripts/gallery.py)."""
    return [
        {
            "id": shape["id"],
            "category": shape["category"],
            "label": label,
            "share": round(shape["shares"][index], 5),
            "human": round(shape["human"][index], 4) if shape["human"] else None,
            "iou": {
                name: [round(value, 4) for value in runs[shape["id"]]["iou"][index]] for name, runs in results.items()
            },
        }
        for shape in shapes
        for index, label in enumerate(shape["labels"])
    ]


def table(summary: dict) -> str:
    """The results as a Markdown table; +- is half the interval of IoU@1."""
    lines = [
        "| method | "
        + " | ".join(f"IoU@{k}" for k in COUNTS)
        + " | "
        + " | ".join(f"NoC@{t}" for t in TARGETS)
        + " | failed@90 | s / mesh | ms / click | stability |",
        "|" + "---|" * (len(COUNTS) + len(TARGETS) + 5),
    ]
    for name, entry in summary["methods"].items():
        low, high = entry["interval"]["1"]
        ious = [f"{entry['iou_at'][str(k)]:.3f}" + (f" ± {(high - low) / 2:.3f}" if k == 1 else "") for k in COUNTS]
        nocs = [f"{entry['noc'][str(t)]:.1f}" for t in TARGETS]
        stable = "-" if entry["stability"] is None else f"{entry['stability']:.3f}"
        seconds = "-" if entry["seconds_per_mesh"] is None else f"{entry['seconds_per_mesh']:.1f}"
        lines.append(
            f"| {name} | "
            + " | ".join(ious + nocs)
            + f" | {entry['failed']['90']:.0%} | {seconds} | {entry['ms_per_click']:.0f} | {stable} |"
        )
    parts = next(iter(summary["methods"].values()))["parts"]
    lines.append(
        f"\n{parts} parts."
        + ("" if summary["human"] is None else f" One person against another: IoU {summary['human']:.3f}.")
    )
    for name, entry in summary["methods"].items():
        if "oracle_at_1" in entry:
            each = ", ".join(f"{value:.3f}" for value in entry["candidates_at_1"])
            lines.append(
                f"{name}, one click: the best of its {len(entry['candidates_at_1'])} candidates (an oracle) {entry['oracle_at_1']:.3f}; "
                f"each alone {each}."
            )
    return "\n".join(lines)


def leftovers(skipped: dict[int, str], left_out: list[dict], asked: int) -> list[str]:
    """Lines that count what was not measured."""
    lines = [f"skipped {len(skipped)} of {asked} shapes: {', '.join(map(str, skipped))}"] if skipped else []
    for reason in dict.fromkeys(entry["reason"] for entry in left_out):
        count = sum(entry["reason"] == reason for entry in left_out)
        lines.append(f"skipped {count} part{'s' if count > 1 else ''}: {reason}")
    return lines


if __name__ == "__main__":
    run_cli(main)
