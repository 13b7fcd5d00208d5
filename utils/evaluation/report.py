"""What an evaluation found: means over parts with intervals over meshes, the results file, and a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from utils.evaluation.annotator import CAP, bootstrap_interval, clicks_to_reach
from utils.evaluation.runs import COUNTS, TARGETS, Evaluation, EvaluationSettings
from utils.files import save_json

MOST_KINDS = 8  # categories that are also shown one by one
NOT_RECORDED = ("out", "psb_dir", "work_dir", "device", "jobs", "plot")  # settings that change no answer


def save_results(settings: EvaluationSettings, evaluation: Evaluation) -> dict:
    """Write the results file; returns what it holds."""
    recorded = {key: value for key, value in asdict(settings).items() if key not in NOT_RECORDED}
    recorded["identity"] = {name: next(iter(runs.values()))["identity"] for name, runs in evaluation.results.items()}
    results = {
        "settings": recorded | {"cap": CAP},
        "shapes": [shape.id for shape in evaluation.shapes],
        "skipped": evaluation.skipped,
        "left_out_parts": [
            {"id": shape.id, "label": label, "reason": reason}
            for shape in evaluation.shapes
            for label, reason in shape.left_out.items()
        ],
        **summarise(evaluation, settings.seed),
        "parts": part_list(evaluation),
    }
    save_json(settings.out, results)
    return results


def summarise(evaluation: Evaluation, seed: int) -> dict:
    """Means over parts with bootstrap intervals over meshes, overall and by category."""
    categories: dict[str, list] = {}
    for shape in evaluation.shapes:
        categories.setdefault(shape.category, []).append(shape)
    measured = next(iter(evaluation.results.values()), {})
    others = [value for run in measured.values() for value in run.get("others") or [] if value]
    summary = {
        "human_at_1": _mean(mean for mean, _ in others),
        "human_medoid_at_1": _mean(medoid for _, medoid in others),
        "human": _mean(value for shape in evaluation.shapes for value in shape.human),
        "human_by_category": {
            category: _mean(value for shape in shapes for value in shape.human)
            for category, shapes in categories.items()
        },
        "methods": {},
    }
    for name, runs in evaluation.results.items():
        curves = {shape.id: np.array(runs[shape.id]["iou"]) for shape in evaluation.shapes}
        alternatives = [values for run in runs.values() for values in run["candidates"] or []]
        summary["methods"][name] = {
            **_means(list(curves.values())),
            **_intervals(list(curves.values()), seed),
            "by_category": {
                category: _means([curves[shape.id] for shape in shapes]) for category, shapes in categories.items()
            },
            "seconds_per_mesh": _median(run["seconds"] for run in runs.values()),
            "cpu_seconds_per_mesh": _median(run["cpu_seconds"] for run in runs.values()),
            "ms_per_click": _median(run["ms_per_click"] for run in runs.values()),
            "cpu_ms_per_click": _median(run["cpu_ms_per_click"] for run in runs.values()),
            "stability": _mean(value for run in runs.values() for value in run.get("stability", [])),
        }
        if ladders := [value for run in runs.values() for value in run.get("ladder") or []]:
            best, presses = zip(*ladders)
            summary["methods"][name] |= {"ladder_at_1": _mean(best), "presses_at_1": _mean(presses)}
        if alternatives:
            summary["methods"][name] |= {
                "oracle_at_1": _mean(max(values) for values in alternatives),
                "candidates_at_1": np.mean(alternatives, axis=0).tolist(),
            }
    return summary


def _mean(values: Iterable[float]) -> float | None:
    held = list(values)
    return float(np.mean(held)) if held else None


def _median(values: Iterable[float | None]) -> float | None:
    held = [value for value in values if value is not None]
    return float(np.median(held)) if held else None


def _means(groups: list[np.ndarray]) -> dict:
    """Of the IoU after each click, (parts, CAP) for each mesh."""
    curves = np.concatenate(groups)
    reach = {t: [clicks_to_reach(curve, t / 100) for curve in curves] for t in TARGETS}
    return {
        "parts": len(curves),
        "iou_at": {str(k): float(curves[:, k - 1].mean()) for k in COUNTS},
        "noc": {str(t): float(np.mean(reach[t])) for t in TARGETS},
        "failed": {str(t): float((curves.max(axis=1) < t / 100).mean()) for t in TARGETS},
    }


def _intervals(groups: list[np.ndarray], seed: int) -> dict:
    """95 % intervals of the mean IoU after each click, and its curve."""
    clicks = range(COUNTS[-1])
    intervals = [
        bootstrap_interval([curves[:, k].tolist() for curves in groups], np.random.default_rng(seed)) for k in clicks
    ]
    mean = np.concatenate(groups).mean(axis=0)
    return {
        "interval": {str(k): intervals[k - 1] for k in COUNTS},
        "curve": {"iou": mean[: COUNTS[-1]].tolist(), "interval": intervals},
    }


def part_list(evaluation: Evaluation) -> list[dict]:
    """Every part with its IoU after each click under each method (for scripts/gallery.py)."""
    return [
        {
            "id": shape.id,
            "category": shape.category,
            "label": label,
            "share": round(shape.shares[index], 5),
            "human": round(shape.human[index], 4) if shape.human else None,
            "iou": {
                name: [round(value, 4) for value in runs[shape.id]["iou"][index]]
                for name, runs in evaluation.results.items()
            },
        }
        for shape in evaluation.shapes
        for index, label in enumerate(shape.labels)
    ]


def markdown(head: Sequence[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """The lines of a Markdown table."""
    first, *rest = ["| " + " | ".join(line) + " |" for line in (head, *rows)]
    return [first, "|" + "---|" * len(head), *rest]


def table(results: dict) -> str:
    """The results as a Markdown table, and what was not measured; +- is half the interval of IoU@1."""
    methods: dict[str, dict] = results["methods"]
    ious, nocs = [f"IoU@{k}" for k in COUNTS], [f"NoC@{t}" for t in TARGETS]
    head = ["method", *ious, *nocs, "failed@90", "s / mesh", "ms / click", "stability"]
    lines = markdown(head, ([name, *_row(entry)] for name, entry in methods.items()))
    human = "" if results["human"] is None else f" One person against another: IoU {results['human']:.3f}."
    if results["human_at_1"] is not None:
        medoid = results["human_medoid_at_1"]
        human += (
            f" The part of another person at the same first click: {results['human_at_1']:.3f}; medoid {medoid:.3f}."
        )
    lines.append(f"\n{next(iter(methods.values()))['parts']} parts.{human}")
    if 1 < len(results["human_by_category"]) <= MOST_KINDS:
        lines += ["", *by_kind(results)]
    for name, entry in methods.items():
        if "oracle_at_1" in entry:
            each = ", ".join(f"{value:.3f}" for value in entry["candidates_at_1"])
            lines.append(
                f"{name}, one click: the best of its {len(entry['candidates_at_1'])} candidates (an oracle) "
                f"{entry['oracle_at_1']:.3f}; each alone {each}."
            )
        if "ladder_at_1" in entry:
            lines.append(
                f"{name}, one click: the best rung of its ladder {entry['ladder_at_1']:.3f}, "
                f"{entry['presses_at_1']:.2f} key presses from the default."
            )
    if skipped := results["skipped"]:
        asked = len(skipped) + len(results["shapes"])
        lines.append(f"skipped {len(skipped)} of {asked} shapes: {', '.join(map(str, skipped))}")
    reasons = [entry["reason"] for entry in results["left_out_parts"]]
    for reason in dict.fromkeys(reasons):
        count = reasons.count(reason)
        lines.append(f"skipped {count} part{'s' if count > 1 else ''}: {reason}")
    return "\n".join(lines)


def by_kind(results: dict) -> list[str]:
    """The lines of a table of the IoU after some clicks in each category."""
    rows = [
        [kind, str(entry["parts"]), name, *(f"{entry['iou_at'][str(k)]:.3f}" for k in COUNTS)]
        for name, method in results["methods"].items()
        for kind, entry in method["by_category"].items()
    ]
    return markdown(["kind", "parts", "method", *(f"IoU@{k}" for k in COUNTS)], rows)


def _row(entry: dict) -> list[str]:
    low, high = entry["interval"]["1"]
    first, *rest = (f"{entry['iou_at'][str(k)]:.3f}" for k in COUNTS)
    return [
        f"{first} ± {(high - low) / 2:.3f}",
        *rest,
        *(f"{entry['noc'][str(t)]:.1f}" for t in TARGETS),
        f"{entry['failed']['90']:.0%}",
        "-" if entry["seconds_per_mesh"] is None else f"{entry['seconds_per_mesh']:.1f}",
        f"{entry['ms_per_click']:.0f}",
        "-" if entry["stability"] is None else f"{entry['stability']:.3f}",
    ]


def save_plots(path: Path, results: dict) -> list[Path]:
    """Draw the results beside their file; returns the pictures."""
    from utils.output.plots import save_category_plot, save_click_plot  # measuring needs no matplotlib

    pictures = []
    for ending, draw in (("clicks", save_click_plot), ("categories", save_category_plot)):
        pictures.append(path.with_name(f"{path.stem}_{ending}.png"))
        draw(pictures[-1], results)
    return pictures
