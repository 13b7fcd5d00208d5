"""Partitions of labelled meshes measured against people, and what a person still has to do; docs/parts.md.

Finished (mesh, method) pairs are kept under everything that they depend on, so an interrupted evaluation goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np

from utils.evaluation.annotator import CAP, clicks_to_reach, run_part
from utils.evaluation.method import Stopwatch
from utils.evaluation.partition import MEASURES, PartitionErrors, People, average
from utils.evaluation.proposal_person import clicks_from_proposals
from utils.evaluation.psb import LabelledShape, ShapeId, UnusableShape, benchmark_ids, choose_ids, load_shape, parts_of
from utils.evaluation.report import markdown
from utils.evaluation.runs import EvaluationSettings, run_calls
from utils.files import digest, load_json, save_json
from utils.geometry.face_graph import FaceGraph
from utils.geometry.mesh import Mesh
from utils.geometry.part_tree import PartTree
from utils.progress import Progress, silent, track
from utils.segmenter import Segmenter
from utils.session.answers import Answers
from utils.session.session import Session
from utils.session.surface import Surface

PEOPLE = "people"
FITS = 0.8  # IoU from which a node of the tree counts as a person's part
DONE = 0.85  # IoU from which a part counts as selected
MERGES = 4  # proposals that a person merges at most before clicking instead
VERSION = 2  # of the measures and the simulated person


@dataclass(frozen=True)
class Partitioner:
    """Divides a mesh into parts.

    identity  everything that its parts depend on, as text
    divide    (F,) labels of a mesh, where so many parts (the number that most people made) may be asked for
    open      instead: the segmenter whose proposals are measured
    """

    name: str
    identity: str
    divide: Callable[[Mesh, FaceGraph, int], np.ndarray] | None = None
    open: Callable[[Mesh], Segmenter] | None = None


BuildPartitioner = Callable[[str], Partitioner]


def usual_count(segmentations: np.ndarray) -> int:
    """The number of parts that most people made, of (A, F) labels."""
    counts = [len(np.unique(labels)) for labels in segmentations]
    return int(np.bincount(counts).argmax())


def evaluate_partitions(
    settings: EvaluationSettings, names: Sequence[str], build: BuildPartitioner, on_progress: Progress = silent
) -> dict:
    """Measure partitioners on the shapes that the settings name; writes and returns the results."""
    categories = benchmark_ids(settings.psb_dir)
    ids = choose_ids(categories, settings.ids, settings.per_category)
    pairs = [(name, shape) for shape in ids for name in (PEOPLE, *names)]
    calls = [partial(_measure, settings, build, *pair) for pair in pairs]
    found: dict[str, dict[ShapeId, dict]] = {name: {} for name in (PEOPLE, *names)}
    skipped: dict[ShapeId, str] = {}
    for index, result in track(
        run_calls(calls, settings.jobs), "(mesh, method) pairs", on_progress, len(pairs), "pair"
    ):
        name, shape = pairs[index]
        if "skipped" in result:
            skipped[shape] = result["skipped"]
        else:
            found[name][shape] = result
    results = {
        "task": "parts",
        "shapes": {shape: categories[shape] for shape in ids if shape not in skipped},
        "skipped": skipped,
        "methods": {name: _summary(runs, categories) for name, runs in found.items()},
        "meshes": found,
    }
    save_json(settings.out, results)
    return results


def _measure(settings: EvaluationSettings, build: BuildPartitioner, name: str, shape_id: ShapeId) -> dict:
    """One partitioner on one shape, read back if an earlier run finished it."""
    try:
        shape = load_shape(settings.psb_dir, shape_id, "")
    except UnusableShape as reason:
        return {"skipped": str(reason)}
    method = Partitioner(PEOPLE, PEOPLE) if name == PEOPLE else build(name)
    identity = digest(method.identity, VERSION, shape.mesh.digest, shape.segmentations)
    path = settings.out.with_suffix(".runs") / f"{shape_id}_{name}_parts_{identity}.json"
    if not path.is_file():
        save_json(path, measure_partition(method, shape))
    return load_json(path, "partial result")


def measure_partition(method: Partitioner, shape: LabelledShape) -> dict:
    """The errors of a partition, how many parts it has, and how long it took; of a segmenter also what its tree holds
    of the parts of the person who agrees best with the others, and how many clicks it saves."""
    people = People(shape.mesh, shape.segmentations)
    count = usual_count(shape.segmentations)
    if method.name == PEOPLE:
        between = people.each_other()
        return {"errors": None if between is None else asdict(between), "parts": count, "seconds": None}
    graph, watch, segmenter, tree = FaceGraph(shape.mesh), Stopwatch(), None, None
    if method.open:
        segmenter = method.open(shape.mesh)
        with watch:
            partition = segmenter.parts()
        labels, tree = partition.labels, partition.tree
    else:
        assert method.divide is not None
        with watch:
            labels = method.divide(shape.mesh, graph, count)
    errors = asdict(people.against(labels))
    result = {"errors": errors, "parts": len(np.unique(labels)), "seconds": watch.seconds}
    if segmenter and tree:
        wanted = parts_of(shape.reference(), shape.mesh.face_areas)
        result["node_iou"] = best_nodes(tree, wanted, shape.mesh.face_areas)
        clicked = [run_part(segmenter, graph, shape.mesh.face_areas, part, 1, target=DONE).iou for part in wanted]
        alone = [clicks_to_reach(curve, DONE) for curve in clicked]
        answers, surface = Answers(segmenter), Surface(shape.mesh)

        def proposed() -> Session:
            session = Session(shape.mesh, answers, surface)
            session.propose()
            return session

        going_on = clicks_from_proposals(proposed, graph, wanted, DONE, CAP)
        otherwise = np.minimum(alone, going_on).tolist()
        result["clicks"] = {
            "alone": alone,
            "from_proposal": going_on,
            "proposed": actions(tree, wanted, shape.mesh.face_areas, otherwise),
        }
    return result


# --- what the tree holds of a person's parts ------------------------------------------------------------


def best_nodes(tree: PartTree, wanted: Sequence[np.ndarray], areas: np.ndarray) -> list[float]:
    """IoU of each wanted part (F,) bool with the node of the tree that fits it best."""
    inside = np.stack([tree.labels([(node,)]) == 0 for node in range(2 * tree.num_leaves - 1)])
    return _ious(inside, wanted, areas).max(axis=0).tolist()


def _ious(inside: np.ndarray, wanted: Sequence[np.ndarray], areas: np.ndarray) -> np.ndarray:
    """(M, P) of sets of faces (M, F) bool with wanted parts."""
    members, parts = inside.astype(np.float64) * areas, np.stack(list(wanted)).astype(np.float64)
    both = members @ parts.T
    return both / np.maximum(members.sum(axis=1)[:, None] + parts @ areas - both, 1e-12)


def actions(tree: PartTree, wanted: Sequence[np.ndarray], areas: np.ndarray, alone: Sequence[int]) -> list[int]:
    """For each wanted part the fewest clicks that a simulated person needs after keeping all proposals at once.

    None if a proposal fits (IoU of at least `DONE`); one for each of several proposals that fit when merged; one for
    each split on the way to a node below a proposal that fits; otherwise as many as `alone`, of clicks only.
    """
    parts = tree.cut()
    proposed = tree.labels(parts)[None] == np.arange(len(parts))[:, None]
    costs = [list(alone), np.where(_ious(proposed, wanted, areas).max(axis=0) >= DONE, 0, CAP).tolist()]
    for node, splits in [found for (top,) in parts for found in _descendants(tree, top)]:
        fit = _ious((tree.labels([(node,)]) == 0)[None], wanted, areas)[0]
        costs.append(np.where(fit >= DONE, splits, CAP).tolist())
    merged = []
    for part in wanted:
        mine = np.flatnonzero((proposed & part) @ areas > 0.5 * (proposed @ areas))
        fits = _ious(proposed[mine].any(axis=0)[None], [part], areas)[0, 0] >= DONE
        merged.append(len(mine) if fits and 1 < len(mine) <= MERGES else CAP)
    return np.min([*costs, merged], axis=0).tolist()


def _descendants(tree: PartTree, top: int, deepest: int = 3) -> list[tuple[int, int]]:
    """The nodes below one with the number of splits that lead there, at most so many."""
    found, level = [], [top]
    for depth in range(1, deepest + 1):
        level = [child for node in level for child in tree.children_of(node)]
        found += [(node, depth) for node in level]
    return found


# --- what was found ---------------------------------------------------------------------------------------


def _summary(runs: dict[ShapeId, dict], categories: dict[ShapeId, str]) -> dict:
    """Means over meshes, overall and by category."""

    def means(chosen: list[dict]) -> dict:
        errors = [PartitionErrors(**run["errors"]) for run in chosen if run["errors"]]
        nodes = [iou for run in chosen for iou in run.get("node_iou", [])]
        clicks = [run["clicks"] for run in chosen if "clicks" in run]
        seconds = [run["seconds"] for run in chosen if run["seconds"] is not None]
        result = {
            "errors": asdict(average(errors)) if errors else dict.fromkeys(MEASURES),
            "parts": float(np.mean([run["parts"] for run in chosen])),
            "seconds": float(np.median(seconds)) if seconds else None,
            "uncut": sum(each.cut_discrepancy is None for each in errors),
        }
        if nodes:
            result["recall"] = float((np.array(nodes) >= FITS).mean())
            result["clicks_alone"] = float(np.mean([sum(each["alone"]) for each in clicks]))
            result["clicks_proposed"] = float(np.mean([1 + sum(each["proposed"]) for each in clicks]))
        return result

    groups: dict[str, list[dict]] = {}
    for shape, run in runs.items():
        groups.setdefault(categories[shape], []).append(run)
    return means(list(runs.values())) | {"by_category": {name: means(group) for name, group in groups.items()}}


SHOWN = {
    "rand_index": "Rand index error",
    "hamming": "Hamming",
    "global_consistency": "GCE",
    "local_consistency": "LCE",
    "cut_discrepancy": "cut discrepancy",
}


def partition_table(results: dict) -> str:
    """The results as Markdown: overall, and the Rand index error by category."""

    def number(value: float | None, digits: int = 3) -> str:
        return "-" if value is None else f"{value:.{digits}f}"

    methods: dict[str, dict] = results["methods"]
    rows = [
        [name, *(number(entry["errors"][measure]) for measure in SHOWN), number(entry["parts"], 1)]
        + [number(entry["seconds"], 2)]
        for name, entry in methods.items()
    ]
    lines = markdown(["", *SHOWN.values(), "parts", "s"], rows)
    for name, entry in methods.items():
        if entry["uncut"]:
            lines.append(f"{name}: {entry['uncut']} meshes without any cut have no cut discrepancy.")
        if "recall" in entry:
            alone, proposed = entry["clicks_alone"], entry["clicks_proposed"]
            lines.append(
                f"{name}: {entry['recall']:.3f} of a person's parts are a node of the tree (IoU {FITS}); clicks for a "
                f"whole mesh {proposed:.1f} with proposals, {alone:.1f} without ({1 - proposed / alone:.0%} fewer)."
            )
    categories = dict.fromkeys(results["shapes"].values())
    lines += [
        "",
        *markdown(
            ["Rand index error", *methods],
            (
                [
                    category,
                    *(number(entry["by_category"][category]["errors"]["rand_index"]) for entry in methods.values()),
                ]
                for category in categories
            ),
        ),
    ]
    if skipped := results["skipped"]:
        lines.append(f"skipped {len(skipped)} shapes: {', '.join(map(str, skipped))}")
    return "\n".join(lines)
