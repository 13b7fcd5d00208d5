"""The report on a teacher: numbers for JSON, and the tables of docs/teacher.md."""

from __future__ import annotations

from SAM_repo.evaluation.affinity import mean_affinity
from SAM_repo.evaluation.summary import (
    Rows,
    best_baselines,
    by_category,
    mask_levels,
    other_people,
    score_errors,
    summarise,
)
from utils.evaluation.report import markdown

LEVELS = ("group", "part", "whole")  # of a synthetic shape; the first is what mask 0 is trained to show
TARGETS = (0, 1, 0)  # level that each mask is trained to show
PAIRS = ("within", "across")  # of cells


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
        "predicted_iou_error": score_errors(rows.rows),
        "embedding": {"labelled": embedding_report(list(measured.values()))},
    }


def held_out_report(results: list[dict], families: list[str], seed: int) -> dict:
    """The same on synthetic shapes, where clicks are drawn by area already, and which level each mask shows."""
    rows = Rows.all_alike([result["rows"] for result in results])
    return {
        "shapes": len(results),
        **summarise(rows, seed),
        "by_family": by_category(rows, families),
        "levels": mask_levels(rows.rows, LEVELS),
        "predicted_iou_error": score_errors(rows.rows, TARGETS),
    }


def embedding_report(results: list[dict]) -> dict:
    return {
        "trained": mean_affinity([result["affinity"] for result in results]),
        "untrained": mean_affinity([result["untrained"] for result in results]),
    }


def table(report: dict) -> str:
    """The main results as Markdown tables."""
    lines = ["", f"{report['teacher']}: {report['clicks']} clicks on {len(report['meshes'])} meshes", ""]
    head = ("one click", "IoU, parts weighted as clicked", "95 % interval", "every visible part alike")
    lines += markdown(head, _main_rows(report))
    groups = {**{f"{size} px": entry for size, entry in report["by_size"].items()}, **report["by_category"]}
    brief = [
        [name, str(entry["clicks"]), *(f"{entry[key]:.3f}" for key in ("mask0", "oracle", "two_clicks"))]
        for name, entry in groups.items()
        if entry["clicks"]
    ]
    lines += ["", *markdown(("", "clicks", "mask 0", "oracle", "two clicks"), brief), ""]
    likeness = [
        [f"{where.replace('_', ' ')}, {which}", *(f"AUC {entry[which][pairs]['auc']:.3f}" for pairs in PAIRS)]
        for where, entry in report["embedding"].items()
        for which in ("trained", "untrained")
        if entry[which] is not None
    ]
    lines += markdown(("same part or not, from the embedding", "within a view", "across views"), likeness)
    error = report["predicted_iou_error"]
    lines += ["", f"predicted IoU is off by {error['mask0']:.3f} (mask 0), {error['mask0_bias']:+.3f} on average"]
    if "held_out" in report:
        error, levels = report["held_out"]["predicted_iou_error"], report["held_out"]["levels"]
        rows = [[mask, *map(_number, levels[mask].values())] for mask in levels if mask != "clicks"]
        lines.append(
            f"held-out synthetic shapes: predicted IoU off by {error['all_masks']:.3f}, "
            "IoU of each mask with each level:"
        )
        lines += ["", *markdown(("", *LEVELS), rows)]
    return "\n".join(lines)


def _main_rows(report: dict) -> list[list[str]]:
    """One row a way of answering: its IoU, the interval, and the IoU where every part counts alike."""
    alike, rows = report["every_part_alike"], []
    for name, interval in report["intervals"].items():
        value, other = (r["one_click"].get(name, r.get(name)) for r in (report, alike))
        rows.append(_main_row(name, value, interval, other))
    for name, entry in report["baselines"].items():
        if entry is not None:
            setting = f" (best of its parameters: {entry['parameter']:g})" if "parameter" in entry else ""
            other = alike["another_person"]["iou"] if name == "another_person" else None
            rows.append(_main_row(name + setting, entry["iou"], entry["interval"], other))
    return rows


def _main_row(name: str, value: float | None, interval: list[float] | None, alike: float | None) -> list[str]:
    if interval is None:
        return [name.replace("_", " "), "-", "-", "-"]
    between = " to ".join(map(_number, interval))
    return [name.replace("_", " "), _number(value), between, "" if alike is None else _number(alike)]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
