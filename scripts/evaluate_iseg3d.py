"""The evaluation of the iSeg3D paper (Sec. 4): a greedy annotator on point clouds, against FPFH and a heatmap network.

PartNet is not part of this repository; the same protocol runs on human-labelled meshes of the Princeton benchmark, on our own
labelled meshes, on held-out synthetic clouds, and on PartNet's files where a person has them. Finished (shape, method) pairs
are kept beside the output, so an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from models.iseg3d.annotation import AnnotationSettings
from models.iseg3d.baselines import FPFH_CLICK_RADIUS, FPFH_RADIUS, HEATMAP_WEIGHTS, Heatmap, fpfh_annotator
from models.iseg3d.clouds import POINTS, Cloud, sample_cloud
from models.iseg3d.dataset import held_out_clouds
from models.iseg3d.online import FineTuning, OnlineEmbedding
from models.iseg3d.segmenter import WEIGHTS, load_network
from models.iseg3d.simulation import GreedyRun, greedy_by_asking, greedy_clicks, iou_of
from models.iseg3d.surface import into_unit_ball
from utils.device import choose_device
from utils.errors import UserError, run_cli
from utils.evaluation.annotator import bootstrap_interval
from utils.evaluation.psb import UnusableShape, benchmark_ids, load_shape, parts_of
from utils.files import digest, load_json, save_json
from utils.geometry.mesh import Mesh
from utils.options import flag, positive_int

COUNTS = (1, 2, 3, 5, 10)
TARGETS = (80, 85)
LEAST_SHARE = 0.01  # of the points; what is smaller is not asked for
# Table 1 of the paper: PartNet, mean of eight categories.
PAPER = {
    "fpfh": {"miou@10": 0.521},
    "heatmap": {"miou@10": 0.614, "noc@80": 11.7, "noc@85": 12.7},
    "iseg3d": {"miou@10": 0.837, "noc@80": 7.7, "noc@85": 9.0},
}


@dataclass(frozen=True, eq=False)
class Item:
    """A shape to click on: its cloud, and the parts that are wanted, each (N,) bool."""

    name: str
    category: str
    cloud: Cloud
    parts: list[np.ndarray]


# --- shapes ---------------------------------------------------------------------------------------


def items(args: argparse.Namespace) -> Iterator[Item]:
    """What the options name, in order."""
    if args.psb_dir is not None:
        yield from _psb_items(args)
    for path in args.meshes:
        yield _sample_item(path)
    for index, cloud in enumerate(held_out_clouds(args.synthetic)):
        labelled = Cloud(
            cloud.points, cloud.normals, np.zeros(len(cloud.points), dtype=np.int64), cloud.points.astype(np.float64)
        )
        yield Item(f"synthetic {index}", "synthetic", labelled, _parts(cloud.labels))
    for path in args.partnet:
        yield from _partnet_items(path, args.seed)


def _psb_items(args: argparse.Namespace) -> Iterator[Item]:
    categories = benchmark_ids(args.psb_dir)
    taken: dict[str, int] = {}
    unknown = [i for i in args.ids if i not in categories]
    if unknown:
        raise UserError(f"no shape {unknown[0]} in {args.psb_dir}")
    for shape_id, category in categories.items():
        place = taken[category] = taken.get(category, 0) + 1
        if (
            shape_id not in args.ids
            if args.ids
            else not args.skip_per_category < place <= args.skip_per_category + args.per_category
        ):
            continue
        try:
            shape = load_shape(args.psb_dir, shape_id, category)
            parts = parts_of(shape.reference(), shape.mesh.face_areas)
        except UnusableShape as reason:
            print(f"skipped {shape_id}: {reason}", file=sys.stderr)
            continue
        cloud = sample_cloud(shape.mesh, seed=args.seed)
        yield Item(str(shape_id), category, cloud, [part[cloud.faces] for part in parts if part[cloud.faces].any()])


def _sample_item(path: Path) -> Item:
    from utils.shapes.samples import load_sample

    shape = load_sample(path)
    cloud = sample_cloud(Mesh(shape.vertices, shape.faces))
    return Item(path.stem, "ours", cloud, _parts(shape.part[cloud.faces]))


def _partnet_items(path: Path, seed: int) -> Iterator[Item]:
    from models.iseg3d.partnet import read_folder, read_h5

    for shape in [read_folder(path)] if path.is_dir() else read_h5(path):
        if shape.normals is None:
            raise UserError(
                f"{path} holds no normals, which iSeg3D needs; use the dataset's ins_seg_h5 files or a shape's folder"
            )
        chosen = np.random.default_rng(seed).permutation(len(shape.points))[:POINTS]
        points = into_unit_ball(shape.points[chosen].astype(np.float64))
        cloud = Cloud(
            points.astype(np.float32),
            shape.normals[chosen].astype(np.float32),
            np.zeros(len(chosen), dtype=np.int64),
            points,
        )
        yield Item(shape.name, path.stem, cloud, _parts(shape.labels[chosen]))


def _parts(labels: np.ndarray) -> list[np.ndarray]:
    """Of labels (N,) those that enough points have; negative ones are none."""
    return [labels == label for label in np.unique(labels[labels >= 0]) if (labels == label).mean() >= LEAST_SHARE]


# --- methods --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Setting:
    """How clicks are placed: as many as `clicks`, each the best of `candidates` (for networks that are asked: of `asked`)."""

    clicks: int
    candidates: int
    asked: int
    seed: int
    device: str


class EmbeddingMethod:
    """iSeg3D, with parts of it left out; tuned: None, "always" after a negative click, or "if better", as a person who undoes."""

    def __init__(self, name: str, weights: Path, settings: AnnotationSettings, tuned: str | None = None) -> None:
        self.name, self.weights, self.settings, self.tuned = name, weights, settings, tuned
        self.identity = digest(
            name, weights.read_bytes() if weights.is_file() else "", repr(settings), repr(FineTuning())
        )

    def run(self, item: Item, setting: Setting) -> tuple[float, list[GreedyRun]]:
        network = load_network(self.weights, "embedding").to(choose_device(setting.device))
        started = time.perf_counter()
        online = OnlineEmbedding(network, item.cloud, self.settings)
        seconds, runs = time.perf_counter() - started, []
        for k, part in enumerate(item.parts):
            runs.append(
                greedy_clicks(
                    online.annotator,
                    part,
                    setting.clicks,
                    np.random.default_rng([setting.seed, k]),
                    setting.candidates,
                    self._learner(online, part),
                )
            )
            while online.undo():
                pass
        return seconds, runs

    def _learner(self, online: OnlineEmbedding, part: np.ndarray) -> Callable[[GreedyRun], None] | None:
        if self.tuned is None:
            return None

        def after_click(run: GreedyRun) -> None:
            if run.positive[-1]:
                return
            clicks = run.of(True), run.of(False)
            before = iou_of(online.annotator.annotate(*clicks), part)
            if (
                online.fine_tune(*clicks)
                and self.tuned == "if better"
                and iou_of(online.annotator.annotate(*clicks), part) <= before
            ):
                online.undo()

        return after_click


class FpfhMethod:
    name = "fpfh"
    identity = f"fpfh {FPFH_RADIUS} {FPFH_CLICK_RADIUS}"

    def run(self, item: Item, setting: Setting) -> tuple[float, list[GreedyRun]]:
        started = time.perf_counter()
        annotator = fpfh_annotator(item.cloud)
        seconds = time.perf_counter() - started
        return seconds, [
            greedy_clicks(annotator, part, setting.clicks, np.random.default_rng([setting.seed, k]), setting.candidates)
            for k, part in enumerate(item.parts)
        ]


class HeatmapMethod:
    name = "heatmap"

    def __init__(self) -> None:
        self.identity = f"heatmap {digest(HEATMAP_WEIGHTS.read_bytes()) if HEATMAP_WEIGHTS.is_file() else ''}"

    def run(self, item: Item, setting: Setting) -> tuple[float, list[GreedyRun]]:
        network = load_network(HEATMAP_WEIGHTS, "heatmap").to(choose_device(setting.device))
        started = time.perf_counter()
        heatmap = Heatmap(network, item.cloud)
        seconds = time.perf_counter() - started
        return seconds, [
            greedy_by_asking(
                lambda p, n: heatmap.probability(p, n) > 0.5,
                part,
                setting.clicks,
                np.random.default_rng([setting.seed, k]),
                setting.asked,
            )
            for k, part in enumerate(item.parts)
        ]


def methods(args: argparse.Namespace) -> list:
    """The methods that are asked for; with --ablation iSeg3D without each of its refinements (Table 3), with --weights each file."""
    printed = AnnotationSettings()
    chosen: list = []
    for name in args.methods:
        chosen += {
            "iseg3d": lambda: [EmbeddingMethod("iseg3d", WEIGHTS, printed)],
            "fpfh": lambda: [FpfhMethod()],
            "heatmap": lambda: [HeatmapMethod()],
        }[name]()
    if args.ablation:
        neither = replace(printed, degree=0, smooth_rounds=0)
        chosen += [
            EmbeddingMethod("neither OR nor SS", WEIGHTS, neither),
            EmbeddingMethod("OR", WEIGHTS, replace(printed, smooth_rounds=0)),
            EmbeddingMethod("SS", WEIGHTS, replace(printed, degree=0)),
            EmbeddingMethod("OR, SS, OF always", WEIGHTS, printed, "always"),
            EmbeddingMethod("OR, SS, OF undone unless better", WEIGHTS, printed, "if better"),
        ]
    return chosen + [EmbeddingMethod(f"iseg3d, {path.parent.name}/{path.stem}", path, printed) for path in args.weights]


# --- command line ---------------------------------------------------------------------------------


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="JSON", help="the results")
    group = parser.add_argument_group("shapes")
    group.add_argument(
        "--psb_dir", type=Path, help="Princeton benchmark: folder with off/, seg/Benchmark/ and split.json"
    )
    group.add_argument("--ids", type=int, nargs="+", default=[], help="shapes of it; default: --per_category")
    group.add_argument("--per_category", type=positive_int, default=2, help="so many shapes of each category")
    group.add_argument("--skip_per_category", type=int, default=0, help="after leaving out the first so many")
    group.add_argument(
        "--meshes", type=Path, nargs="+", default=[], metavar="OBJ", help="labelled meshes of ours, as in meshes/"
    )
    group.add_argument("--synthetic", type=int, default=0, metavar="N", help="held-out synthetic clouds")
    group.add_argument(
        "--partnet", type=Path, nargs="+", default=[], metavar="PATH", help="HDF5 files or folders of shapes of PartNet"
    )
    group = parser.add_argument_group("methods")
    group.add_argument("--methods", nargs="*", choices=tuple(PAPER), default=["iseg3d", "fpfh", "heatmap"])
    group.add_argument(
        "--ablation",
        type=flag,
        nargs="?",
        const=True,
        default=False,
        metavar="0|1",
        help="also without each refinement (Table 3)",
    )
    group.add_argument(
        "--weights", type=Path, nargs="+", default=[], metavar="FILE", help="also iSeg3D with these networks (Table 2)"
    )
    group = parser.add_argument_group("clicks")
    group.add_argument(
        "--clicks", type=positive_int, default=15, help="at most; what is not reached counts as so many (paper: 15)"
    )
    group.add_argument(
        "--candidates", type=positive_int, default=512, help="points of each sign that the annotator compares"
    )
    group.add_argument(
        "--asked",
        type=positive_int,
        default=4,
        help="points that it compares for the heatmap network, which answers each anew",
    )
    group.add_argument(
        "--plot",
        type=flag,
        nargs="?",
        const=True,
        default=False,
        metavar="0|1",
        help="draw IoU over clicks (Fig. 6) beside --out",
    )
    group.add_argument("--device", default="auto", help="auto, cpu or cuda")
    group.add_argument("--seed", type=int, default=0)
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    if args.clicks < COUNTS[-1]:
        raise UserError(f"--clicks {args.clicks} is below {COUNTS[-1]}, after which the IoU is reported")
    setting = Setting(args.clicks, args.candidates, args.asked, args.seed, args.device)
    shapes, chosen = list(items(args)), methods(args)
    if not shapes or not chosen:
        raise UserError("nothing to do: name shapes (--psb_dir, --meshes, --synthetic, --partnet) and methods")
    results: dict[str, list[dict]] = {method.name: [] for method in chosen}
    with tqdm(total=len(shapes) * len(chosen), desc="(shape, method) pairs", unit="pair", disable=None) as bar:
        for method in chosen:
            for item in shapes:
                results[method.name].append(measure(method, item, setting, args.out.with_suffix(".runs")))
                bar.update()
    summary = {name: summarise(shapes, runs, args.seed) for name, runs in results.items()}
    save_json(
        args.out,
        {
            "settings": {
                key: [str(v) for v in value]
                if isinstance(value, list)
                else str(value)
                if isinstance(value, Path)
                else value
                for key, value in vars(args).items()
                if key not in ("out", "psb_dir", "device", "plot")
            },
            "shapes": [item.name for item in shapes],
            "methods": summary,
            "paper": PAPER,
        },
    )
    print(table(summary))
    print(f"results: {args.out}")
    if args.plot:
        from utils.output.plots import save_greedy_plot

        path = args.out.with_suffix(".png")
        save_greedy_plot(path, load_json(args.out, "results"))
        print(f"picture: {path}")
    return 0


def measure(method, item: Item, setting: Setting, folder: Path) -> dict:
    """One method on all parts of one shape; read back if an earlier run finished it."""
    key = digest(method.identity, repr(setting), item.cloud.points, item.cloud.normals, *item.parts)
    path = folder / f"{item.name.replace(' ', '_')}_{key}.json"
    if not path.is_file():
        seconds, runs = method.run(item, setting)
        save_json(
            path, {"seconds": seconds, "iou": [run.iou for run in runs], "positive": [run.positive for run in runs]}
        )
    return load_json(path, "partial result")


def summarise(shapes: list[Item], runs: list[dict], seed: int) -> dict:
    """Means over parts, with a bootstrap interval over shapes, and over each category's parts."""
    groups = [run["iou"] for run in runs]
    curves = np.array([curve for group in groups for curve in group])
    entry = _means(curves)
    entry["interval@10"] = bootstrap_interval(
        [[curve[9] for curve in group] for group in groups], np.random.default_rng(seed)
    )
    entry["seconds"] = float(np.median([run["seconds"] for run in runs]))
    entry["by_category"] = {}
    for category in dict.fromkeys(item.category for item in shapes):
        of = [curve for item, group in zip(shapes, groups) if item.category == category for curve in group]
        entry["by_category"][category] = _means(np.array(of))
    return entry


def _means(curves: np.ndarray) -> dict:
    """Of IoU after each click, (parts, clicks)."""
    cap = curves.shape[1]
    noc = {
        f"noc@{t}": float(np.mean([np.argmax(c >= t / 100) + 1 if (c >= t / 100).any() else cap for c in curves]))
        for t in TARGETS
    }
    failed = {f"failed@{t}": float((curves.max(axis=1) < t / 100).mean()) for t in TARGETS}
    return {
        "parts": len(curves),
        **{f"miou@{k}": float(curves[:, k - 1].mean()) for k in COUNTS},
        **noc,
        **failed,
        "curve": curves.mean(axis=0).tolist(),
    }


def table(summary: dict[str, dict]) -> str:
    """The results as a Markdown table, with the paper's figures on PartNet, which are of other shapes."""
    columns = [f"miou@{k}" for k in COUNTS] + [f"noc@{t}" for t in TARGETS]
    lines = [
        "| method | "
        + " | ".join(column.replace("miou", "mIoU").replace("noc", "NoC") for column in columns)
        + " | paper, PartNet: mIoU@10, NoC@80, NoC@85 |",
        "|" + "---|" * (len(columns) + 2),
    ]
    for name, entry in summary.items():
        paper = PAPER.get(name, {})
        low, high = entry["interval@10"]
        cells = [
            f"{entry[c]:.3f}" + (f" ± {(high - low) / 2:.3f}" if c == "miou@10" else "")
            if c.startswith("miou")
            else f"{entry[c]:.1f}"
            for c in columns
        ]
        printed = (
            [
                f"{paper[c]:.3f}" if c.startswith("miou") else f"{paper[c]:.1f}" if c in paper else "-"
                for c in ("miou@10", "noc@80", "noc@85")
            ]
            if paper
            else ["-"] * 3
        )
        lines.append(f"| {name} | " + " | ".join(cells) + " | " + ", ".join(printed) + " |")
    return "\n".join(
        lines
        + [
            "",
            f"{next(iter(summary.values()))['parts']} parts. The paper's figures are of PartNet, other shapes than these.",
        ]
    )


if __name__ == "__main__":
    run_cli(main)
