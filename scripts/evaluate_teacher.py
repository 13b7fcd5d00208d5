"""How well a teacher segments parts of human-labelled meshes from one click in one view, beside classical methods and other people.

  python scripts/evaluate_teacher.py --psb_dir DIR --SAM vit_t --out teacher.json --overlays DIR

Protocol and results: docs/teacher.md. Finished meshes are kept beside the output, so an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from SAM_repo.evaluation.measure import HELD_OUT_SEED
from SAM_repo.evaluation.meshes import (
    Rows,
    ShapeViews,
    affinity,
    best_baselines,
    by_category,
    click_rows,
    clicks_on_every_part,
    clicks_on_some_parts,
    mask_levels,
    mean_affinity,
    other_people,
    render_labelled,
    score_errors,
    summarise,
)
from SAM_repo.evaluation.overlays import Overlay, overlays_of, save_sheets
from SAM_repo.teacher import SamTeacher, load_teacher
from utils.device import choose_device
from utils.errors import UserError, run_cli
from utils.evaluation.psb import UnusableShape, benchmark_ids, load_shape
from utils.files import digest, load_json, save_json
from utils.geometry.mesh import Mesh, load_mesh
from utils.options import TEACHERS, flag, positive_int
from utils.shapes import random_shape

LEVELS = ("group", "part", "whole")  # of a synthetic shape; the first is what mask 0 is trained to show
TARGETS = (0, 1, 0)  # level that each mask is trained to show
SYNTHETIC_CLICKS = 4  # in a view
UNLABELLED_CLICKS = 1  # on each of --overlay_meshes


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--psb_dir", type=Path, required=True, help="folder with off/, seg/Benchmark/ and split.json")
    parser.add_argument(
        "--SAM", choices=TEACHERS, default="auto", help="teacher; auto: the largest checkpoint present, else vit_t"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="JSON", help="the results")
    parser.add_argument("--ids", type=int, nargs="+", help="meshes; default: all of split.json")
    parser.add_argument("--views", type=positive_int, default=3, help="random views of each mesh")
    parser.add_argument(
        "--annotator", type=int, default=0, help="whose parts are clicked; the others are the human level"
    )
    parser.add_argument(
        "--held_out",
        type=int,
        default=80,
        metavar="N",
        help="synthetic shapes, never trained on, to measure on too; 0: none",
    )
    parser.add_argument("--baselines", type=flag, default=True, metavar="0|1", help="measure the classical methods too")
    parser.add_argument(
        "--random_encoder",
        type=flag,
        default=True,
        metavar="0|1",
        help="compare the embedding with an untrained encoder's",
    )
    parser.add_argument(
        "--overlays",
        type=Path,
        metavar="DIR",
        help="draw the worst clicks, random clicks, and clicks on --overlay_meshes here",
    )
    parser.add_argument(
        "--overlay_meshes",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="meshes without labels to draw one click on",
    )
    parser.add_argument("--weights_dir", type=Path, help="folder with other weights than SAM_repo/model_checkpoints")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--seed", type=int, default=0, help="of views and clicks")
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    categories = benchmark_ids(args.psb_dir)
    ids = args.ids or list(categories)
    if unknown := [i for i in ids if i not in categories]:
        raise UserError(
            f"no shape {unknown[0]} in {args.psb_dir}; there are {', '.join(map(str, list(categories)[:8]))}, ..."
        )
    unlabelled = [(path.stem, load_mesh(path)) for path in args.overlay_meshes]
    where = {} if args.weights_dir is None else {"checkpoint_dir": args.weights_dir}
    device = choose_device(args.device)
    teacher = load_teacher(args.SAM, device=device, **where)
    torch.manual_seed(args.seed)  # of the untrained encoder
    untrained = (
        load_teacher(teacher.name.rsplit("-", 1)[0], device=device, random_weights=True, **where)
        if args.random_encoder
        else None
    )
    runs = Runs(
        args.out.with_suffix(".runs"), teacher, untrained, args.views, args.annotator, args.seed, args.baselines
    )

    results, skipped = {}, {}
    for shape_id in tqdm(ids, desc="labelled meshes", unit="mesh", disable=None):
        try:
            results[shape_id] = runs.labelled(args.psb_dir, shape_id, categories[shape_id])
        except UnusableShape as reason:
            skipped[shape_id] = str(reason)
            print(f"skipped {shape_id}: {reason}", file=sys.stderr)
    measured = {shape_id: result for shape_id, result in results.items() if result["rows"]}
    if not measured:
        raise UserError(
            f"no usable shape among {len(ids)} in {args.psb_dir}: {next(iter(skipped.values()), 'no part shows')}"
        )
    report = {
        "teacher": teacher.name,
        "settings": runs.settings,
        "meshes": list(measured),
        "skipped": skipped,
        **benchmark_report(measured, [categories[i] for i in measured], args.seed),
    }
    if args.held_out:
        seeds = range(HELD_OUT_SEED, HELD_OUT_SEED + args.held_out)
        synthetic = [runs.synthetic(seed) for seed in tqdm(seeds, desc="synthetic shapes", unit="shape", disable=None)]
        families = [random_shape(seed).family for seed in seeds]
        report["held_out"] = held_out_report(synthetic, families, args.seed)
        report["embedding"]["held_out"] = embedding_report(synthetic)
    save_json(args.out, report)
    print(table(report))
    if args.overlays:
        drawn = runs.overlays(args.psb_dir, measured, categories, unlabelled)
        for path in save_sheets(args.overlays, drawn):
            print(f"drawn: {path}")
    print(f"results: {args.out}")
    return 0


class Runs:
    """Measurements of single shapes, read back where an earlier run of the same settings finished them."""

    def __init__(
        self,
        folder: Path,
        teacher: SamTeacher,
        untrained: SamTeacher | None,
        views: int,
        annotator: int,
        seed: int,
        baselines: bool = True,
    ) -> None:
        self.folder, self.teacher, self.untrained, self.annotator = folder, teacher, untrained, annotator
        self.settings = {"views": views, "annotator": annotator, "seed": seed, "random_encoder": untrained is not None}
        if not baselines:
            self.settings["baselines"] = False

    def _kept(self, name: str, key: str, make: Callable[[], dict]) -> dict:
        path = self.folder / f"{name}_{key}.json"
        if path.is_file():
            return load_json(path, "partial result")
        result = make()
        save_json(path, result)
        return result

    def labelled(self, folder: Path, shape_id: int, category: str) -> dict:
        """Rows and affinities of one mesh of the benchmark; UnusableShape if it has none."""
        shape = load_shape(folder, shape_id, category)
        shape.reference(self.annotator)
        order = [self.annotator, *(k for k in range(len(shape.segmentations)) if k != self.annotator)]
        labels = shape.segmentations[order]

        def make() -> dict:
            views, clicks = self._views(shape.mesh, labels, shape_id)
            return {
                "rows": click_rows(
                    self.teacher, views, clicks, self.settings["seed"] + shape_id, self.settings.get("baselines", True)
                ),
                **self._affinities(views, shape_id),
            }

        return self._kept(
            f"mesh_{shape_id}", digest(self.teacher.name, repr(self.settings), shape.mesh.digest, labels), make
        )

    def _views(self, mesh: Mesh, labels: np.ndarray, key: int) -> tuple[ShapeViews, list[np.ndarray]]:
        """The views of a mesh of the benchmark and the clicks in each."""
        rng = np.random.default_rng([self.settings["seed"], key])
        views = render_labelled(mesh, labels, self.settings["views"], rng)
        return views, [clicks_on_every_part(of_view, rng) for of_view in views.labels[0]]

    def synthetic(self, seed: int) -> dict:
        """Rows and affinities of one synthetic shape; its levels stand where a mesh has annotators."""

        def make() -> dict:
            shape, rng = random_shape(seed), np.random.default_rng([self.settings["seed"], seed])
            labels = np.stack([shape.group, shape.part, np.zeros_like(shape.part)])
            views = render_labelled(Mesh(shape.vertices, shape.faces), labels, self.settings["views"], rng)
            clicks = [clicks_on_some_parts(of_view, SYNTHETIC_CLICKS, rng) for of_view in views.labels[1]]
            parts = ShapeViews(views.images, views.depth, views.labels[1:2])
            return {
                "rows": click_rows(self.teacher, views, clicks, self.settings["seed"] + seed, baselines=False),
                **self._affinities(parts, seed),
            }

        return self._kept(f"shape_{seed}", digest(self.teacher.name, repr(self.settings), seed), make)

    def _affinities(self, views: ShapeViews, key: int) -> dict:
        rng = [np.random.default_rng([self.settings["seed"], key, 1]) for _ in range(2)]  # the same cells for both
        return {
            "affinity": affinity(self.teacher, views, rng[0]),
            "untrained": None if self.untrained is None else affinity(self.untrained, views, rng[1]),
        }

    def overlays(
        self,
        folder: Path,
        measured: dict[int, dict],
        categories: dict[int, str],
        unlabelled: list[tuple[str, Mesh]],
        worst: int = 10,
        drawn: int = 17,
    ) -> dict[str, list[Overlay]]:
        """Sheets: the worst clicks (one a mesh), one random click on each of `drawn` random meshes, and one on each unlabelled mesh."""
        rng = np.random.default_rng(self.settings["seed"])
        lowest = sorted(
            (min((row["ious"][0][0], k) for k, row in enumerate(result["rows"])), i) for i, result in measured.items()
        )
        wanted = [("worst", shape_id, row) for (_, row), shape_id in lowest[:worst]]
        others = [i for i in measured if i not in {shape_id for _, shape_id, _ in wanted}]
        for shape_id in rng.permutation(others)[:drawn].tolist():
            wanted.append(("random", shape_id, int(rng.integers(len(measured[shape_id]["rows"])))))
        sheets: dict[str, list[Overlay]] = {}
        for sheet, shape_id, index in wanted:
            shape, row = load_shape(folder, shape_id, categories[shape_id]), measured[shape_id]["rows"][index]
            views, _ = self._views(shape.mesh, shape.segmentations[self.annotator][None], shape_id)
            sheets.setdefault(sheet, []).extend(
                overlays_of(
                    self.teacher,
                    views,
                    row["view"],
                    np.array([[row["x"], row["y"]]]),
                    f"{categories[shape_id]} {shape_id}",
                )
            )
        for name, mesh in unlabelled:
            views = render_labelled(mesh, np.zeros((1, mesh.num_faces), dtype=np.int64), 1, rng)
            rows, columns = np.nonzero(views.labels[0, 0] >= 0)
            if len(rows):
                picks = rng.integers(0, len(rows), UNLABELLED_CLICKS)
                sheets.setdefault("unlabelled", []).extend(
                    overlays_of(
                        self.teacher, views, 0, np.stack([columns[picks], rows[picks]], 1), name, labelled=False
                    )
                )
        return sheets


def benchmark_report(measured: dict[int, dict], categories: list[str], seed: int) -> dict:
    """Everything said about the labelled meshes."""
    groups = [result["rows"] for result in measured.values()]
    rows, alike = Rows.as_clicked(groups), Rows.all_alike(groups)
    methods = best_baselines(rows, seed) if "baselines" in groups[0][0] else {}
    return {
        **summarise(rows, seed),
        "baselines": {**methods, "another_person": other_people(rows, seed)},
        "by_category": by_category(rows, categories),
        "every_part_alike": {**summarise(alike, seed), "another_person": other_people(alike, seed)},
        "predicted_iou_error": score_errors([row for group in groups for row in group]),
        "embedding": {"labelled": embedding_report(list(measured.values()))},
    }


def held_out_report(results: list[dict], families: list[str], seed: int) -> dict:
    """The same on synthetic shapes, where clicks are drawn by area already, and which level each mask shows."""
    rows = Rows.all_alike([result["rows"] for result in results])
    flat = [row for group in rows.groups for row in group]
    return {
        "shapes": len(results),
        **summarise(rows, seed),
        "by_family": by_category(rows, families),
        "levels": mask_levels(flat, LEVELS),
        "predicted_iou_error": score_errors(flat, TARGETS),
    }


def embedding_report(results: list[dict]) -> dict:
    return {
        "trained": mean_affinity([result["affinity"] for result in results]),
        "untrained": mean_affinity([result["untrained"] for result in results]),
    }


def table(report: dict) -> str:
    """The main results as Markdown tables."""
    alike = report["every_part_alike"]
    lines = [
        "",
        f"{report['teacher']}: {report['clicks']} clicks on {len(report['meshes'])} meshes",
        "",
        "| one click | IoU, parts weighted as clicked | 95 % interval | every visible part alike |",
        "|---|---|---|---|",
    ]
    more = ("two_clicks", "three_clicks", "small_parts", "oracle_minus_mask0")
    for name in (*report["one_click"], *more):
        values = [r["one_click"][name] if name in r["one_click"] else r[name] for r in (report, alike)]
        lines.append(_line(name.replace("_", " "), values[0], report["intervals"][name], values[1]))
    for name, entry in report["baselines"].items():
        if entry is not None:
            setting = f" (best of its parameters: {entry['parameter']:g})" if "parameter" in entry else ""
            other = alike["another_person"]["iou"] if name == "another_person" else None
            lines.append(_line(name.replace("_", " ") + setting, entry["iou"], entry["interval"], other))
    lines += ["", "| | clicks | mask 0 | oracle | two clicks |", "|---|---|---|---|---|"]
    for name, entry in {**{f"{size} px": e for size, e in report["by_size"].items()}, **report["by_category"]}.items():
        if entry["clicks"]:
            lines.append(
                f"| {name} | {entry['clicks']} | {entry['mask0']:.3f} | {entry['oracle']:.3f} | {entry['two_clicks']:.3f} |"
            )
    lines += ["", "| same part or not, from the embedding | within a view | across views |", "|---|---|---|"]
    for where, entry in report["embedding"].items():
        for which in ("trained", "untrained"):
            if entry[which] is not None:
                lines.append(
                    f"| {where.replace('_', ' ')}, {which} | AUC {entry[which]['within']['auc']:.3f} | AUC {entry[which]['across']['auc']:.3f} |"
                )
    error = report["predicted_iou_error"]
    lines += ["", f"predicted IoU is off by {error['mask0']:.3f} (mask 0), {error['mask0_bias']:+.3f} on average"]
    if "held_out" in report:
        held = report["held_out"]
        lines += [
            f"held-out synthetic shapes: predicted IoU off by {held['predicted_iou_error']['all_masks']:.3f}, IoU of each mask with each level:",
            "",
            "| | " + " | ".join(LEVELS) + " |",
            "|---|" + "---|" * len(LEVELS),
        ]
        for mask, levels in held["levels"].items():
            if mask != "clicks":
                lines.append(
                    f"| {mask} | "
                    + " | ".join("-" if value is None else f"{value:.3f}" for value in levels.values())
                    + " |"
                )
    return "\n".join(lines)


def _line(name: str, value: float | None, interval: list[float] | None, alike: float | None) -> str:
    if value is None:
        return f"| {name} | - | - | - |"
    return (
        f"| {name} | {value:.3f} | {interval[0]:.3f} to {interval[1]:.3f} | {'' if alike is None else f'{alike:.3f}'} |"
    )


if __name__ == "__main__":
    run_cli(main)
