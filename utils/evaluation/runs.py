"""Methods clicked through the parts of labelled meshes, in one or several processes; docs/benchmark.md is the protocol.

Finished (mesh, method) pairs are kept under everything that they depend on, so an interrupted evaluation goes on.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch

from utils.errors import UserError
from utils.evaluation.annotator import CAP, PartRun, run_part, stability
from utils.evaluation.method import Method, Prepared
from utils.evaluation.psb import (
    LabelledShape,
    ShapeId,
    UnusableShape,
    benchmark_ids,
    choose_ids,
    load_shape,
    shape_id,
    wanted_parts,
)
from utils.files import digest, load_json, save_json
from utils.geometry.face_graph import FaceGraph
from utils.options import SEED, Checked, option, positive_int
from utils.progress import Progress, silent, track
from utils.selection import iou

COUNTS = (1, 2, 3, 5, 10)
TARGETS = (80, 85, 90)
STABILITY_SHAPES = 7  # as in the paper
Build = Callable[[str], Method]  # the method of a name; several processes each build their own


@dataclass(frozen=True, kw_only=True)
class ProtocolSettings(Checked):
    """The labelled meshes and the simulated annotator."""

    psb_dir: Path = option(
        help="folder with off/, seg/Benchmark/ and split.json, or one of .obj files with .seg files beside them",
        group="meshes and annotator",
    )
    clicks: int = option(10, "clicks a part gets whatever its IoU, 10 to 20", type=positive_int)
    annotator: int | None = option(None, "the human whose parts are wanted; default: who agrees best with the others")
    jitter: bool = option(False, "click at random in the region instead of innermost", nargs="?", const=True)
    seed: int = option(0, "of all randomness", within=SEED)


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings(ProtocolSettings):
    """Which meshes are measured, and where the results go."""

    ids: tuple[ShapeId, ...] | None = option(None, "shapes; default: all of split.json", type=shape_id, nargs="+")
    per_category: int | None = option(None, "take the first so many shapes of each category", type=positive_int)
    stability_clicks: int = option(
        0, f"also measure stability from N random clicks on each of {STABILITY_SHAPES} shapes (paper: 100)", metavar="N"
    )
    out: Path = option(help="the results", metavar="JSON", group="results")
    plot: bool = option(False, "draw the results beside --out", nargs="?", const=True)
    jobs: int = option(1, "processes, one thread each; 1: all threads in this one", type=positive_int)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not COUNTS[-1] <= self.clicks <= CAP:
            raise UserError(
                f"--clicks {self.clicks} is outside {COUNTS[-1]} to {CAP}: IoU@{COUNTS[-1]} needs the first, the cap "
                "is the second"
            )


@dataclass(frozen=True)
class WantedShape:
    """What is wanted of a shape.

    left_out              label -> why that part is not wanted
    labels, shares, human of each wanted part: label, share of the area, and the IoU of other people (empty: no others)
    """

    id: ShapeId
    category: str
    left_out: dict[int, str]
    labels: list[int]
    shares: list[float]
    human: list[float]

    @classmethod
    def of(cls, shape: LabelledShape, annotator: int | None) -> WantedShape:
        """UnusableShape if nothing is."""
        chosen = shape.choose(annotator)
        parts, left_out = wanted_parts(shape.segmentations[chosen], shape.mesh.face_areas)
        if not parts:
            raise UnusableShape("no part of it is large enough")
        labels, human = [part.label for part in parts], shape.human_level(chosen)
        levels = [human[label] for label in labels] if human else []
        shares = [part.share for part in parts]
        return cls(shape.shape_id, shape.category, left_out, labels, shares, levels)


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    skipped  shape -> why it could not be used
    results  method -> shape -> what `Measurement` says
    """

    shapes: list[WantedShape]
    skipped: dict[ShapeId, str]
    results: dict[str, dict[ShapeId, dict]]


def evaluate(
    settings: EvaluationSettings, methods: Sequence[str], build: Build, on_progress: Progress = silent
) -> Evaluation:
    """Measure methods on the shapes that the settings name; UserError if none can be used.

    `build` gets pickled where there are several processes.
    """
    categories = benchmark_ids(settings.psb_dir)
    ids = choose_ids(categories, settings.ids, settings.per_category)
    shapes, skipped = describe(settings, {shape: categories[shape] for shape in ids}, on_progress)
    stable = stability_ids(shapes)
    results: dict[str, dict[ShapeId, dict]] = {name: {} for name in methods}
    pairs = [(name, shape.id) for name in results for shape in shapes]
    calls = [
        partial(measure, settings, build, *pair, settings.stability_clicks if pair[1] in stable else 0)
        for pair in pairs
    ]
    measured = run_calls(calls, settings.jobs)
    for index, result in track(measured, "(mesh, method) pairs", on_progress, len(pairs), "pair"):
        name, shape = pairs[index]
        results[name][shape] = result
    return Evaluation(shapes, skipped, results)


def describe(
    protocol: ProtocolSettings, categories: dict[ShapeId, str], on_progress: Progress = silent
) -> tuple[list[WantedShape], dict[ShapeId, str]]:
    """What is wanted of every usable shape, and why each of the others is skipped (said at once)."""
    shapes, skipped = [], {}
    for shape, category in track(categories.items(), "read shapes", on_progress, len(categories), "shape"):
        try:
            wanted = WantedShape.of(load_shape(protocol.psb_dir, shape, category), protocol.annotator)
        except UnusableShape as reason:
            skipped[shape] = str(reason)
            print(f"skipped {shape}: {reason}", file=sys.stderr)
            continue
        for label, reason in wanted.left_out.items():
            if reason != "under 1% of the area":
                print(f"skipped part {label} of {shape}: {reason}", file=sys.stderr)
        shapes.append(wanted)
    if not shapes:
        why = next(iter(skipped.values()), "none asked for")
        raise UserError(f"no usable shape among {len(categories)} in {protocol.psb_dir}: {why}")
    return shapes, skipped


def stability_ids(shapes: list[WantedShape]) -> list[ShapeId]:
    """Seven shapes: the first of each of seven categories evenly spread over all, or as many as there are."""
    by_category: dict[str, list[ShapeId]] = {}
    for shape in shapes:
        by_category.setdefault(shape.category, []).append(shape.id)
    groups = list(by_category.values())
    if len(groups) >= STABILITY_SHAPES:
        return [groups[k * len(groups) // STABILITY_SHAPES][0] for k in range(STABILITY_SHAPES)]
    turns = [group[k] for k in range(max(map(len, groups))) for group in groups if k < len(group)]
    return turns[:STABILITY_SHAPES]


# --- measuring ------------------------------------------------------------------------------------


def run_calls(calls: Sequence[Callable[[], dict]], jobs: int) -> Iterator[tuple[int, dict]]:
    """The index of each call with what it returns, in this process or in several."""
    if jobs == 1:
        yield from ((index, call()) for index, call in enumerate(calls))
        return
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        running = {pool.submit(call): index for index, call in enumerate(calls)}
        try:
            for done in as_completed(running):
                yield running[done], done.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def measure(settings: EvaluationSettings, build: Build, name: str, shape_id: ShapeId, stability_clicks: int) -> dict:
    """One method clicked through all parts of one shape, with the stability of so many random clicks.

    It is read back if an earlier run finished it.
    """
    method, shape = build(name), load_shape(settings.psb_dir, shape_id, "")
    work = Measurement(method, shape, settings)

    def kept(kind: str, make: Callable[[], dict], *depends_on: int | bool | np.ndarray) -> dict:
        identity = digest(method.identity, *depends_on, shape.mesh.digest)
        path = settings.out.with_suffix(".runs") / f"{shape_id}_{name}_{kind}_{identity}.json"
        if not path.is_file():
            save_json(path, make())
        return load_json(path, "partial result")

    result = kept("clicks", work.clicks, settings.clicks, settings.jitter, settings.seed, CAP, work.reference)
    if stability_clicks:
        result |= kept("stability", partial(work.stability, stability_clicks), stability_clicks, settings.seed)
    return result


class Measurement:
    """One method on one shape; it is made ready when first asked."""

    def __init__(self, method: Method, shape: LabelledShape, protocol: ProtocolSettings) -> None:
        self.method, self.shape, self.protocol = method, shape, protocol
        self.graph, self.areas = FaceGraph(shape.mesh), shape.mesh.face_areas
        self.chosen = shape.choose(protocol.annotator)
        self.reference = shape.segmentations[self.chosen]
        self.parts, _ = wanted_parts(self.reference, self.areas)

    @cached_property
    def prepared(self) -> Prepared:
        return self.method.prepare(self.shape.mesh, self.graph)

    def clicks(self) -> dict:
        """Every part selected: times, and of each part the clicks, the IoU after each, that of candidates and of rungs
        of the ladder with the presses to the best one, and what other people answer to the first click."""
        prepared = self.prepared
        runs = [self.run(index, CAP, TARGETS[-1] / 100) for index in range(len(self.parts))]
        count = sum(len(run.faces) for run in runs)
        return {
            "identity": self.method.identity,
            "seconds": prepared.seconds,
            "cpu_seconds": prepared.cpu_seconds,
            "ms_per_click": 1000 * sum(run.watch.seconds for run in runs) / count,
            "cpu_ms_per_click": 1000 * sum(run.watch.cpu_seconds for run in runs) / count,
            "iou": [run.iou for run in runs],
            "faces": [run.faces for run in runs],
            "positive": [run.positive for run in runs],
            "candidates": [self._candidates(run.faces[0], part.mask) for run, part in zip(runs, self.parts)]
            if prepared.choice
            else None,
            "ladder": [self._ladder(run.faces[0], part.mask) for run, part in zip(runs, self.parts)]
            if prepared.choice
            else None,
            "others": [self.shape.others_at(self.chosen, run.faces[0]) for run in runs],
        }

    def run(self, index: int, cap: int, target: float) -> PartRun:
        """The part of this index selected; see `run_part`."""
        protocol, seed = self.protocol, [self.protocol.seed, self.shape.number, index]
        generator = np.random.default_rng(seed) if protocol.jitter else None
        scene = self.prepared.segmenter, self.graph, self.areas
        return run_part(*scene, self.parts[index].mask, protocol.clicks, cap, target, generator)

    def _candidates(self, face: int, part: np.ndarray) -> list[float]:
        """The IoU of each alternative that is offered to one click."""
        offered = self.prepared.segmenter.face_candidates(np.array([face]), np.array([True])).probability
        return [iou(alternative > 0.5, part, self.areas) for alternative in offered]

    def _ladder(self, face: int, part: np.ndarray) -> tuple[float, int]:
        """The IoU of the best rung for one click, and how far it is from the default."""
        rungs = self.prepared.segmenter.face_ladder(np.array([face]), np.array([True]))
        values = [iou(rung > 0.5, part, self.areas) for rung in rungs.probability]
        best = int(np.argmax(values))
        return values[best], abs(best - (len(values) // 2 if rungs.default is None else rungs.default))

    def stability(self, clicks: int) -> dict:
        """A value for each of so many random clicks."""
        generator = np.random.default_rng([self.protocol.seed, self.shape.number])
        return {"stability": stability(self.prepared.segmenter, self.graph, self.areas, clicks, generator)}
