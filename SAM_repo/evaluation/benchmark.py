"""Measures a teacher on human-labelled meshes and on synthetic shapes; finished shapes are kept beside the output."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from SAM_repo.evaluation.affinity import affinity
from SAM_repo.evaluation.clicks import (
    ShapeViews,
    click_in,
    click_rows,
    clicks_on_every_part,
    clicks_on_some_parts,
    render_labelled,
)
from SAM_repo.evaluation.measure import HELD_OUT_SEED
from SAM_repo.evaluation.overlays import Overlay, overlay_of, save_sheets
from SAM_repo.evaluation.report import benchmark_report, embedding_report, held_out_report
from SAM_repo.teacher import CHECKPOINT_DIR, load_teacher
from utils.device import choose_device
from utils.errors import UserError
from utils.evaluation.psb import LabelledShape, ShapeId, UnusableShape, benchmark_ids, choose_ids, load_shape
from utils.files import digest, load_json, save_json
from utils.geometry.mesh import Mesh, load_mesh
from utils.options import SEED, TeacherSettings, option, positive_int
from utils.progress import Progress, silent, track
from utils.shapes import random_shape
from utils.teacher import Teacher

SYNTHETIC_CLICKS = 4  # in a view
WORST, RANDOM = 10, 17  # clicks that are drawn


@dataclass(frozen=True, kw_only=True)
class BenchmarkSettings(TeacherSettings):
    """What is measured, and where the results go."""

    psb_dir: Path = option(help="folder with off/, seg/Benchmark/ and split.json", group="measuring")
    out: Path = option(help="the results", metavar="JSON")
    ids: tuple[int, ...] = option((), "meshes; default: all of split.json")
    views: int = option(3, "random views of each mesh", type=positive_int)
    annotator: int = option(0, "whose parts are clicked; the others are the human level")
    held_out: int = option(80, "synthetic shapes, never trained on, to measure on too; 0: none", metavar="N")
    baselines: bool = option(True, "measure the classical methods too")
    random_encoder: bool = option(True, "compare the embedding with an untrained encoder's")
    overlays: Path | None = option(
        None, "draw the worst clicks, random clicks, and clicks on --overlay_meshes here", metavar="DIR"
    )
    overlay_meshes: tuple[Path, ...] = option((), "meshes without labels to draw one click on", metavar="FILE")
    weights_dir: Path = option(CHECKPOINT_DIR, "folder with the weights")
    device: str = option("auto", "auto, cpu or cuda")
    seed: int = option(0, "of views and clicks", within=SEED)


@dataclass(frozen=True)
class Outcome:
    """The report as it is in the file, and the pictures that were drawn."""

    report: dict[str, Any]
    drawn: list[Path]


def load_teachers(settings: BenchmarkSettings) -> tuple[Teacher, Teacher | None]:
    """The teacher that is measured, and an untrained one of its kind where its embedding is to be compared."""
    device = choose_device(settings.device)
    teacher = load_teacher(settings.SAM, settings.weights_dir, device)
    torch.manual_seed(settings.seed)
    if not settings.random_encoder:
        return teacher, None
    return teacher, load_teacher(teacher.name.rsplit("-", 1)[0], settings.weights_dir, device, random_weights=True)


def evaluate_teacher(
    settings: BenchmarkSettings,
    on_progress: Progress = silent,
    teachers: Callable[[BenchmarkSettings], tuple[Teacher, Teacher | None]] = load_teachers,
) -> Outcome:
    """Measure, write `settings.out` and draw; UserError if nothing can be measured. The report names what it skips."""
    categories = benchmark_ids(settings.psb_dir)
    ids = choose_ids(categories, settings.ids, None)
    unlabelled = [(path.stem, load_mesh(path)) for path in settings.overlay_meshes]
    runs = Runs(settings, *teachers(settings))
    results, skipped = {}, {}
    for shape_id in track(ids, "labelled meshes", on_progress, len(ids), unit="mesh"):
        try:
            results[shape_id] = runs.labelled(load_shape(settings.psb_dir, shape_id, categories[shape_id]))
        except UnusableShape as reason:
            skipped[shape_id] = str(reason)
    measured = {shape_id: result for shape_id, result in results.items() if result["rows"]}
    if not measured:
        reason = next(iter(skipped.values()), "no part shows")
        raise UserError(f"no usable shape among {len(ids)} in {settings.psb_dir}: {reason}")
    report = {
        "teacher": runs.teacher.name,
        "settings": runs.recorded,
        "meshes": list(measured),
        "skipped": skipped,
        **benchmark_report(measured, [categories[i] for i in measured], settings.seed),
    }
    if settings.held_out:
        seeds = range(HELD_OUT_SEED, HELD_OUT_SEED + settings.held_out)
        tracked = track(seeds, "synthetic shapes", on_progress, len(seeds), unit="shape")
        synthetic = [runs.synthetic(seed) for seed in tracked]
        report["held_out"] = held_out_report(synthetic, [random_shape(seed).family for seed in seeds], settings.seed)
        report["embedding"]["held_out"] = embedding_report(synthetic)
    save_json(settings.out, report)
    drawn = save_sheets(settings.overlays, runs.sheets(measured, categories, unlabelled)) if settings.overlays else []
    return Outcome(report, drawn)


class Runs:
    """Measurements of single shapes, read back where an earlier run of the same settings finished them."""

    def __init__(self, settings: BenchmarkSettings, teacher: Teacher, untrained: Teacher | None) -> None:
        self.settings, self.teacher, self.untrained = settings, teacher, untrained
        self.recorded: dict[str, Any] = {name: getattr(settings, name) for name in ("views", "annotator", "seed")}
        self.recorded["random_encoder"] = untrained is not None
        if not settings.baselines:
            self.recorded["baselines"] = False

    def labelled(self, shape: LabelledShape) -> dict:
        """Rows and affinities of one mesh of the benchmark; UnusableShape without this annotator."""
        own = shape.choose(self.settings.annotator)
        labels = shape.segmentations[[own, *(k for k in range(len(shape.segmentations)) if k != own)]]

        def make() -> dict:
            views, clicks = self._views(shape, labels)
            return self._measured(views, clicks, _number(shape.shape_id), self.settings.baselines)

        return self._kept(f"mesh_{shape.shape_id}", [shape.mesh.digest, labels], make)

    def synthetic(self, seed: int) -> dict:
        """Rows and affinities of one synthetic shape; its levels stand where a mesh has annotators."""

        def make() -> dict:
            shape, rng = random_shape(seed), np.random.default_rng([self.settings.seed, seed])
            labels = np.stack([shape.group, shape.part, np.zeros_like(shape.part)])
            views = render_labelled(Mesh(shape.vertices, shape.faces), labels, self.settings.views, rng)
            clicks = [clicks_on_some_parts(of_view, SYNTHETIC_CLICKS, rng) for of_view in views.labels[1]]
            return self._measured(views, clicks, seed, baselines=False, parts=1)

        return self._kept(f"shape_{seed}", [seed], make)

    def _kept(self, name: str, contents: list, make: Callable[[], dict]) -> dict:
        key = digest(self.teacher.name, repr(self.recorded), *contents)
        path = self.settings.out.with_suffix(".runs") / f"{name}_{key}.json"
        if not path.is_file():
            save_json(path, make())
        return load_json(path, "partial result")

    def _views(self, shape: LabelledShape, labels: np.ndarray) -> tuple[ShapeViews, list[np.ndarray]]:
        """The views of a mesh of the benchmark and the clicks in each."""
        rng = np.random.default_rng([self.settings.seed, _number(shape.shape_id)])
        views = render_labelled(shape.mesh, labels, self.settings.views, rng)
        return views, [clicks_on_every_part(of_view, rng) for of_view in views.labels[0]]

    def _measured(self, views: ShapeViews, clicks: list[np.ndarray], key: int, baselines: bool, parts: int = 0) -> dict:
        """Rows of clicks, and affinities of the cells of labels `parts`; key: what random draws start from."""
        own = ShapeViews(views.images, views.depth, views.labels[parts : parts + 1])
        found: dict[str, Any] = {"rows": click_rows(self.teacher, views, clicks, self.settings.seed + key, baselines)}
        for name, teacher in (("affinity", self.teacher), ("untrained", self.untrained)):
            rng = np.random.default_rng([self.settings.seed, key, 1])  # the same cells for both
            found[name] = None if teacher is None else affinity(teacher, own, rng)
        return found

    def sheets(
        self, measured: dict[ShapeId, dict], categories: dict[ShapeId, str], unlabelled: list[tuple[str, Mesh]]
    ) -> dict[str, list[Overlay]]:
        """The worst clicks (one a mesh), random clicks on random meshes, and one on each unlabelled mesh."""
        rng = np.random.default_rng(self.settings.seed)
        lowest = sorted(
            (min((row["ious"][0][0], k) for k, row in enumerate(result["rows"])), i) for i, result in measured.items()
        )
        wanted = [("worst", shape_id, row) for (_, row), shape_id in lowest[:WORST]]
        others = [i for i in measured if i not in {shape_id for _, shape_id, _ in wanted}]
        for shape_id in rng.permutation(np.array(others, dtype=object))[:RANDOM].tolist():
            wanted.append(("random", shape_id, int(rng.integers(len(measured[shape_id]["rows"])))))
        sheets: dict[str, list[Overlay]] = defaultdict(list)
        for sheet, shape_id, index in wanted:
            shape = load_shape(self.settings.psb_dir, shape_id, categories[shape_id])
            row, title = measured[shape_id]["rows"][index], f"{shape.category} {shape_id}"
            views, _ = self._views(shape, shape.segmentations[self.settings.annotator][None])
            click = np.array([[row["x"], row["y"]]])
            sheets[sheet].append(overlay_of(self.teacher, views, row["view"], click, title))
        for name, mesh in unlabelled:
            views = render_labelled(mesh, np.zeros((1, mesh.num_faces), dtype=np.int64), 1, rng)
            covered = views.labels[0, 0] >= 0
            if covered.any():
                click = click_in(covered, rng)
                sheets["unlabelled"].append(overlay_of(self.teacher, views, 0, click, name, labelled=False))
        return sheets


def _number(shape_id: ShapeId) -> int:
    """What random draws for a shape start from."""
    return shape_id if isinstance(shape_id, int) else int(digest(shape_id)[:8], 16)
