"""The evaluation of the iSeg3D paper (Sec. 4): a greedy annotator on point clouds, against FPFH and a heatmap network.

PartNet is not part of this repository; the same protocol runs on human-labelled meshes of the Princeton benchmark, on
our own labelled meshes, on held-out synthetic clouds, and on PartNet's files where a person has them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from models.iseg3d.annotation import PRINTED, AnnotationSettings
from models.iseg3d.baselines import FPFH_CLICK_RADIUS, FPFH_RADIUS, HEATMAP_WEIGHTS, Heatmap, fpfh_annotator
from models.iseg3d.clouds import labelled_cloud
from models.iseg3d.dataset import held_out_clouds
from models.iseg3d.online import USUAL, OnlineEmbedding
from models.iseg3d.partnet import read_folder, read_h5
from models.iseg3d.simulation import GreedyRun, greedy_by_asking, greedy_clicks
from models.points.clouds import POINTS, Cloud, sample_cloud
from models.points.embedding import WEIGHTS, load_network
from models.points.surface import into_unit_ball
from utils.device import choose_device
from utils.errors import UserError
from utils.evaluation.annotator import bootstrap_interval, clicks_to_reach
from utils.evaluation.psb import UnusableShape, benchmark_ids, choose_ids, load_shape, parts_of
from utils.evaluation.report import markdown
from utils.files import digest, load_json, save_json
from utils.geometry.mesh import Mesh
from utils.options import SEED, Checked, option, positive_int
from utils.progress import Progress, silent, track
from utils.selection import iou
from utils.shapes.samples import load_sample

COUNTS = (1, 2, 3, 5, 10)
TARGETS = (80, 85)
LEAST_SHARE = 0.01  # of the points; what is smaller is not asked for
# Table 1 of the paper: PartNet, mean of eight categories.
PAPER: dict[str, dict[str, float]] = {
    "fpfh": {"miou@10": 0.521},
    "heatmap": {"miou@10": 0.614, "noc@80": 11.7, "noc@85": 12.7},
    "iseg3d": {"miou@10": 0.837, "noc@80": 7.7, "noc@85": 9.0},
}


@dataclass(frozen=True, kw_only=True)
class Setting(Checked):
    """How clicks are placed. Finished results are kept under its text."""

    clicks: int = option(
        15, "at most; what is not reached counts as so many (paper: 15)", group="clicks", type=positive_int
    )
    candidates: int = option(512, "points of each sign that the annotator compares", type=positive_int)
    asked: int = option(
        4, "points that it compares for the heatmap network, which answers each anew", type=positive_int
    )
    seed: int = option(0, "of the candidates and of the points on meshes", within=SEED)
    device: str = option("auto", "auto, cpu or cuda")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.clicks < COUNTS[-1]:
            raise UserError(f"--clicks {self.clicks} is below {COUNTS[-1]}, after which the IoU is reported")


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings(Checked):
    """Shapes and methods; points of a cloud, and the files that the networks are read from."""

    out: Path = option(help="the results", metavar="JSON", group="results")
    plot: bool = option(False, "draw IoU over clicks (Fig. 6) beside --out", nargs="?", const=True)
    psb_dir: Path | None = option(
        None, "Princeton benchmark: folder with off/, seg/Benchmark/ and split.json", group="shapes"
    )
    ids: tuple[int, ...] = option((), "shapes of it; default: --per_category")
    per_category: int = option(2, "so many shapes of each category", type=positive_int)
    skip_per_category: int = option(0, "after leaving out the first so many")
    meshes: tuple[Path, ...] = option((), "labelled meshes of ours, as in meshes/", metavar="OBJ")
    synthetic: int = option(0, "held-out synthetic clouds", metavar="N")
    partnet: tuple[Path, ...] = option((), "HDF5 files or folders of shapes of PartNet", metavar="PATH")
    methods: tuple[str, ...] = option(
        ("iseg3d", "fpfh", "heatmap"), "of the paper", group="methods", nargs="*", choices=tuple(PAPER)
    )
    ablation: bool = option(False, "also without each refinement (Table 3)", nargs="?", const=True)
    weights: tuple[Path, ...] = option((), "also iSeg3D with these networks (Table 2)", metavar="FILE")
    points: int = POINTS
    embedding: Path = WEIGHTS
    heatmap: Path = HEATMAP_WEIGHTS


def evaluate(settings: EvaluationSettings, setting: Setting, on_progress: Progress = silent) -> dict[str, Any]:
    """Click every method through every shape; write the results, and return them.

    Finished (shape, method) pairs are kept beside the output, so an interrupted run goes on.
    """
    shapes, chosen = list(_items(settings, setting.seed)), _methods(settings, setting)
    if not shapes or not chosen:
        raise UserError("nothing to do: name shapes (--psb_dir, --meshes, --synthetic, --partnet) and methods")
    runs: dict[str, list[dict]] = {method.name: [] for method in chosen}
    pairs = [(method, item) for method in chosen for item in shapes]
    for method, item in track(pairs, "(shape, method) pairs", on_progress, len(pairs), "pair"):
        runs[method.name].append(_measure(method, item, setting, settings.out.with_suffix(".runs")))
    told = {**_record(settings), **_record(setting)}
    results = {
        "settings": {key: value for key, value in told.items() if key not in ("out", "psb_dir", "device", "plot")},
        "shapes": [item.name for item in shapes],
        "methods": {name: summarise(shapes, entries, setting.seed) for name, entries in runs.items()},
        "paper": PAPER,
    }
    save_json(settings.out, results)
    print(table(results["methods"]))
    print(f"results: {settings.out}")
    if settings.plot:
        from utils.output.plots import save_greedy_plot

        path = settings.out.with_suffix(".png")
        save_greedy_plot(path, results)
        print(f"picture: {path}")
    return results


def _record(settings: Any) -> dict[str, Any]:
    """What was chosen on the command line, in plain values."""

    def plain(value: Any) -> Any:
        return [str(v) for v in value] if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value

    return {
        field.name: plain(getattr(settings, field.name)) for field in fields(settings) if "option" in field.metadata
    }


# --- shapes ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Item:
    """A shape to click on: its cloud, and the parts that are wanted, each (N,) bool."""

    name: str
    category: str
    cloud: Cloud
    parts: list[np.ndarray]


def large_parts(labels: np.ndarray) -> list[np.ndarray]:
    """The parts (N,) bool of labels (N,) that enough points have; negative labels are none."""
    return [labels == label for label in np.unique(labels[labels >= 0]) if (labels == label).mean() >= LEAST_SHARE]


def _items(settings: EvaluationSettings, seed: int) -> Iterator[Item]:
    """What the settings name, in order."""
    if settings.psb_dir is not None:
        yield from _psb_items(settings, settings.psb_dir, seed)
    for path in settings.meshes:
        sample = load_sample(path)
        cloud = sample_cloud(Mesh(sample.vertices, sample.faces), settings.points)
        yield Item(path.stem, "ours", cloud, large_parts(sample.part[cloud.faces]))
    synthetic = held_out_clouds(settings.synthetic, partial(labelled_cloud, count=settings.points))
    for index, labelled in enumerate(synthetic):
        yield Item(f"synthetic {index}", "synthetic", labelled, large_parts(labelled.labels))
    for path in settings.partnet:
        yield from _partnet_items(path, settings.points, seed)


def _psb_items(settings: EvaluationSettings, folder: Path, seed: int) -> Iterator[Item]:
    categories, first = benchmark_ids(folder), settings.skip_per_category
    wanted = set(choose_ids(categories, settings.ids, first + settings.per_category))
    if not settings.ids:
        wanted -= set(choose_ids(categories, (), first))
    for shape_id in (shape_id for shape_id in categories if shape_id in wanted):
        category = categories[shape_id]
        try:
            shape = load_shape(folder, shape_id, category)
            parts = parts_of(shape.reference(), shape.mesh.face_areas)
        except UnusableShape as reason:
            print(f"skipped {shape_id}: {reason}", file=sys.stderr)
            continue
        cloud = sample_cloud(shape.mesh, settings.points, seed)
        yield Item(str(shape_id), category, cloud, [part[cloud.faces] for part in parts if part[cloud.faces].any()])


def _partnet_items(path: Path, count: int, seed: int) -> Iterator[Item]:
    for shape in [read_folder(path)] if path.is_dir() else read_h5(path):
        if shape.normals is None:
            raise UserError(
                f"{path} holds no normals, which iSeg3D needs; use the dataset's ins_seg_h5 files or a shape's folder"
            )
        chosen = np.random.default_rng(seed).permutation(len(shape.points))[:count]
        points = into_unit_ball(shape.points[chosen].astype(np.float64)).astype(np.float32)
        cloud = Cloud(points, shape.normals[chosen].astype(np.float32))
        yield Item(shape.name, path.stem, cloud, large_parts(shape.labels[chosen]))


# --- methods --------------------------------------------------------------------------------------

Clicker = Callable[[np.ndarray, np.random.Generator], GreedyRun]  # a part (N,) bool, random draws -> its clicks


@dataclass(frozen=True)
class PointMethod:
    """A method on point clouds. identity: what its answers depend on, as text; prepare: get ready for one cloud."""

    name: str
    identity: str
    prepare: Callable[[Cloud], Clicker]


def _methods(settings: EvaluationSettings, setting: Setting) -> list[PointMethod]:
    """Those asked for; with `ablation` iSeg3D without each of its refinements (Table 3), with `weights` each file."""
    make = {
        "iseg3d": lambda: _embedding("iseg3d", settings.embedding, PRINTED, setting),
        "fpfh": lambda: _fpfh(setting),
        "heatmap": lambda: _heatmap(settings.heatmap, setting),
    }
    chosen = [make[name]() for name in settings.methods]
    if settings.ablation:
        for name, annotation, tuned in (
            ("neither OR nor SS", replace(PRINTED, degree=0, smooth_rounds=0), None),
            ("OR", replace(PRINTED, smooth_rounds=0), None),
            ("SS", replace(PRINTED, degree=0), None),
            ("OR, SS, OF always", PRINTED, "always"),
            ("OR, SS, OF undone unless better", PRINTED, "if better"),
        ):
            chosen.append(_embedding(name, settings.embedding, annotation, setting, tuned))
    for path in settings.weights:
        chosen.append(_embedding(f"iseg3d, {path.parent.name}/{path.stem}", path, PRINTED, setting))
    return chosen


def _embedding(
    name: str, weights: Path, annotation: AnnotationSettings, setting: Setting, tuned: str | None = None
) -> PointMethod:
    """iSeg3D, with parts left out; tuned after a negative click: never, "always", or undone unless "if better"."""
    network = load_network(weights, "embedding").to(choose_device(setting.device))

    def prepare(cloud: Cloud) -> Clicker:
        online = OnlineEmbedding(network, cloud, annotation)

        def click(part: np.ndarray, rng: np.random.Generator) -> GreedyRun:
            def learn(run: GreedyRun) -> None:
                if run.positive[-1]:
                    return
                clicks = run.of(True), run.of(False)
                before = iou(online.annotator.annotate(*clicks), part)
                changed = online.fine_tune(clicks)
                if changed and tuned == "if better" and iou(online.annotator.annotate(*clicks), part) <= before:
                    online.undo()

            after_click = learn if tuned else None
            run = greedy_clicks(online.annotator, part, setting.clicks, rng, setting.candidates, after_click)
            while online.undo():
                pass
            return run

        return click

    return PointMethod(name, digest(name, weights.read_bytes(), repr(annotation), repr(USUAL)), prepare)


def _fpfh(setting: Setting) -> PointMethod:
    def prepare(cloud: Cloud) -> Clicker:
        annotator = fpfh_annotator(cloud)
        return lambda part, rng: greedy_clicks(annotator, part, setting.clicks, rng, setting.candidates)

    return PointMethod("fpfh", f"fpfh {FPFH_RADIUS} {FPFH_CLICK_RADIUS}", prepare)


def _heatmap(weights: Path, setting: Setting) -> PointMethod:
    network = load_network(weights, "heatmap").to(choose_device(setting.device))

    def prepare(cloud: Cloud) -> Clicker:
        heatmap = Heatmap(network, cloud)

        def select(positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
            return heatmap.probability(positives, negatives) > 0.5

        return lambda part, rng: greedy_by_asking(select, part, setting.clicks, rng, setting.asked)

    return PointMethod("heatmap", f"heatmap {digest(weights.read_bytes())}", prepare)


# --- results --------------------------------------------------------------------------------------


def _measure(method: PointMethod, item: Item, setting: Setting, folder: Path) -> dict[str, Any]:
    """One method on all parts of one shape; read back if an earlier run finished it."""
    key = digest(method.identity, repr(setting), item.cloud.points, item.cloud.normals, *item.parts)
    path = folder / f"{item.name.replace(' ', '_')}_{key}.json"
    if not path.is_file():
        started = time.perf_counter()
        click = method.prepare(item.cloud)
        seconds = time.perf_counter() - started
        runs = [click(part, np.random.default_rng([setting.seed, k])) for k, part in enumerate(item.parts)]
        save_json(
            path, {"seconds": seconds, "iou": [run.iou for run in runs], "positive": [run.positive for run in runs]}
        )
    return load_json(path, "partial result")


def summarise(shapes: list[Item], runs: list[dict[str, Any]], seed: int) -> dict[str, Any]:
    """Means over parts, with a bootstrap interval over shapes, and over each category's parts."""
    groups = [run["iou"] for run in runs]
    entry = means([curve for group in groups for curve in group])
    at_ten = [[curve[9] for curve in group] for group in groups]
    entry["interval@10"] = bootstrap_interval(at_ten, np.random.default_rng(seed))
    entry["seconds"] = float(np.median([run["seconds"] for run in runs]))
    by_category: dict[str, list[list[float]]] = {}
    for item, group in zip(shapes, groups):
        by_category.setdefault(item.category, []).extend(group)
    entry["by_category"] = {category: means(curves) for category, curves in by_category.items()}
    return entry


def means(curves: list[list[float]]) -> dict[str, Any]:
    """Of the IoU after each click on each part; what is never reached counts as all clicks."""
    values = np.array(curves)
    cap = values.shape[1]
    return {
        "parts": len(curves),
        **{f"miou@{k}": float(values[:, k - 1].mean()) for k in COUNTS},
        **{f"noc@{t}": float(np.mean([clicks_to_reach(c, t / 100, cap) for c in curves])) for t in TARGETS},
        **{f"failed@{t}": float((values.max(axis=1) < t / 100).mean()) for t in TARGETS},
        "curve": values.mean(axis=0).tolist(),
    }


def table(summary: dict[str, dict[str, Any]]) -> str:
    """The results as a Markdown table, with the paper's figures on PartNet, which are of other shapes."""

    def cell(entry: dict[str, Any], column: str) -> str:
        if column not in entry:
            return "-"
        return f"{entry[column]:.3f}" if column.startswith("miou") else f"{entry[column]:.1f}"

    columns = [f"miou@{k}" for k in COUNTS] + [f"noc@{t}" for t in TARGETS]
    head = ["method", *columns, "paper, PartNet: mIoU@10, NoC@80, NoC@85"]
    rows = []
    for name, entry in summary.items():
        low, high = entry["interval@10"]
        cells = [cell(entry, c) + (f" ± {(high - low) / 2:.3f}" if c == "miou@10" else "") for c in columns]
        paper = ", ".join(cell(PAPER.get(name, {}), column) for column in ("miou@10", "noc@80", "noc@85"))
        rows.append([name, *cells, paper])
    lines = markdown([name.replace("miou", "mIoU").replace("noc", "NoC") for name in head], rows)
    parts = next(iter(summary.values()))["parts"]
    return "\n".join([*lines, "", f"{parts} parts. The paper's figures are of PartNet, other shapes than these."])
