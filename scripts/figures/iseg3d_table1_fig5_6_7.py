"""iSeg3D, Table 1 and Figs. 5, 6, 7: greedy clicks against two baselines, over clicks, and where it fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from models.figures.figure import AGREES, DIFFERS, PARTLY, Figure, Measure, Outcome
from models.figures.show import click, faces_panel
from models.figures.subjects import Subject
from models.figures.workshop import Workshop
from models.iseg3d.baselines import FpfhSegmenter, HeatmapSegmenter
from models.iseg3d.evaluation import PAPER, EvaluationSettings, Setting, evaluate
from models.open import open_segmenter
from utils.evaluation.annotator import PartRun, run_part
from utils.output.panels import Chart, Panel, Sheet
from utils.output.plots import HUES
from utils.progress import track

METHODS = {"iseg3d": "iSeg3D", "fpfh": "FPFH", "heatmap": "heatmap network"}
CLICKS = 10
SMALL = 0.02  # of the area: parts that Fig. 7 calls small
SHOWN = (("chair", "seat"), ("teapot", "handle"), ("lamp", "shade"), ("hammer", "grip"))


def make(shop: Workshop) -> Outcome:
    subjects = shop.subjects(FIGURE.name)
    results = greedy(shop, subjects)
    measures = []
    for method, name in METHODS.items():
        held, paper = results["methods"][method], PAPER[method]
        low, high = held["interval@10"]
        measures.append(
            Measure(f"{name}: mIoU after 10 clicks", held["miou@10"], paper["miou@10"], (low, high), held["parts"])
        )
        for target in (80, 85):
            what = f"{name}: clicks to {target} % (cap {held_clicks(results)})"
            measures.append(Measure(what, held[f"noc@{target}"], paper.get(f"noc@{target}"), None, held["parts"]))
    measures.append(Measure("iSeg3D: mIoU after 4 clicks (Fig. 6)", results["methods"]["iseg3d"]["curve"][3], 0.623))
    tracked = track(subjects, "small parts (Fig. 7)", shop.on_progress, len(subjects))
    sizes = [shop.measured("iseg3d_sizes", "ours", [s], lambda s=s: _by_size(shop, s)) for s in tracked]
    for what, low, high in ((f"parts under {SMALL:.0%} of the area", 0.0, SMALL), ("larger parts", SMALL, 1.0)):
        kept = [[e["iou"] for e in own if low <= e["share"] < high] for own in sizes]
        measures.append(Measure.mean(f"iSeg3D, innermost clicks: IoU after {CLICKS} on {what} (Fig. 7)", kept))
    values = {m: results["methods"][m]["miou@10"] for m in METHODS}
    ordered = values["iseg3d"] > values["heatmap"] > values["fpfh"]
    small, large = measures[-2].ours, measures[-1].ours
    fails = small is not None and large is not None and small < large
    verdict = (
        AGREES
        if ordered and fails
        else PARTLY
        if values["iseg3d"] > max(values["heatmap"], values["fpfh"])
        else DIFFERS
    )
    why = (
        f"iSeg3D {values['iseg3d']:.3f}, heatmap {values['heatmap']:.3f}, FPFH {values['fpfh']:.3f} after ten greedy "
        f"clicks (paper .837, .614, .521 on "
        "PartNet, which is not to be had here: other, coarser parts, so all end higher and the lead is smaller). "
        + (
            f"Small parts are worse ({small:.2f} against {large:.2f}), as Fig. 7 says. "
            if fails
            else "Small parts are not worse here. "
        )
        + "SGPN and Mo et al., the supervised rows of Table 1, need PartNet and were not made."
    )
    rows: list[tuple[str, list[Any]]] = [("", _row(shop, s, part)) for s, part in _chosen(subjects)]
    rows += [
        ("Fig. 6: mIoU over greedy clicks", [Chart(lambda axes: _curves(axes, results), width=2.4)]),
        ("Fig. 7: the worst after ten innermost clicks, beside what was wanted", _failures(shop, subjects, sizes)),
    ]
    looks = (
        "Fig. 5's columns: what is wanted, then each method after ten clicks in the middle of what is wrong. Dots are "
        "the clicks."
    )
    return Outcome(measures, verdict, why, Sheet(rows, "", 200), looks, [s.name for s in subjects])


def greedy(shop: Workshop, subjects: list[Subject]) -> dict[str, Any]:
    """The paper's protocol on the meshes and on held-out synthetic clouds; finished pairs are kept."""
    how = Setting(
        clicks=shop.pick(15, 10),
        candidates=shop.pick(64, 8),
        asked=shop.pick(2, 1),
        seed=shop.settings.seed,
        device=shop.settings.device,
    )
    meshes = tuple(Path(str(subject.mesh.path)) for subject in subjects)
    out = shop.settings.work / "iseg3d" / f"table1{'_quick' * shop.settings.quick}.json"
    settings = EvaluationSettings(out=out, meshes=meshes, synthetic=shop.pick(5, 0), methods=tuple(METHODS))
    return evaluate(settings, how, shop.on_progress)


def held_clicks(results: dict[str, Any]) -> int:
    """At most so many clicks were made."""
    return int(results["settings"]["clicks"])


def _instant(shop: Workshop, subject: Subject, method: str) -> Any:
    seed = shop.settings.seed
    makers = {
        "iseg3d": lambda: open_segmenter(subject.mesh, "instant", seed=seed),
        "fpfh": lambda: FpfhSegmenter(subject.mesh, seed),
        "heatmap": lambda: HeatmapSegmenter(subject.mesh, seed=seed),
    }
    return makers[method]()


def _click(shop: Workshop, subject: Subject, method: str, part: np.ndarray) -> PartRun:
    return run_part(_instant(shop, subject, method), subject.graph, subject.areas, part, CLICKS, CLICKS)


def _by_size(shop: Workshop, subject: Subject) -> list[dict[str, Any]]:
    segmenter, result = _instant(shop, subject, "iseg3d"), []
    for wish in subject.wishes:
        run = run_part(segmenter, subject.graph, subject.areas, wish.part, CLICKS, CLICKS)
        share = float(subject.areas[wish.part].sum() / subject.areas.sum())
        result.append({"part": wish.name, "share": share, "iou": run.iou[-1]})
    return result


def _chosen(subjects: list[Subject]) -> list[tuple[Subject, str]]:
    found = [(s, part) for name, part in SHOWN for s in subjects if s.name == name]
    return found[:3] or [(subjects[0], subjects[0].wishes[0].name)]


def _panel(subject: Subject, run: PartRun, label: str, angle: tuple[float, float]) -> Panel:
    signed = list(zip(run.faces, run.positive))
    clicks = click(subject, [f for f, p in signed if p], [f for f, p in signed if not p])
    assert run.selected is not None  # it was clicked
    return faces_panel(subject, run.selected, clicks, f"{label}\nIoU {run.iou[-1]:.2f}", angle, 200)


def _row(shop: Workshop, subject: Subject, part: str) -> list[Panel]:
    wish = subject.wish(part)
    one = click(subject, [subject.innermost(wish.part)])
    truth = np.zeros(subject.mesh.num_vertices)
    truth[subject.mesh.faces[wish.part]] = 1
    angle = subject.pictures.angles(one, truth)[0]
    runs = {method: _click(shop, subject, method, wish.part) for method in METHODS}
    cells = [faces_panel(subject, wish.part, click(subject), f"{subject.name}: {part}\nwanted", angle, 200)]
    return cells + [_panel(subject, run, METHODS[method], angle) for method, run in runs.items()]


def _failures(shop: Workshop, subjects: list[Subject], sizes: list[list[dict[str, Any]]]) -> list[Panel]:
    worst = sorted(((e["iou"], s.name, e["part"]) for s, own in zip(subjects, sizes) for e in own))[:3]
    cells = []
    for _, name, part in worst[: shop.pick(3, 1)]:
        subject = shop.subject(name)
        wish = subject.wish(part)
        run = _click(shop, subject, "iseg3d", wish.part)
        truth = np.zeros(subject.mesh.num_vertices)
        truth[subject.mesh.faces[wish.part]] = 1
        angle = subject.pictures.angles(click(subject, [subject.innermost(wish.part)]), truth)[0]
        cells += [
            _panel(subject, run, f"{name}: {part}", angle),
            faces_panel(subject, wish.part, click(subject), "wanted", angle, 200),
        ]
    return cells


def _curves(axes: Axes, results: dict[str, Any]) -> None:
    for color, (method, name) in zip(HUES, METHODS.items()):
        curve = results["methods"][method]["curve"]
        axes.plot(range(1, len(curve) + 1), curve, color=color, marker="o", markersize=3, label=name)
    axes.set(ylim=(0, 1))
    axes.set_xlabel("clicks", fontsize=9)
    axes.set_ylabel("mIoU", fontsize=9)
    axes.legend(frameon=False, fontsize=8, loc="lower right")


FIGURE = Figure(
    "iseg3d_table1_fig5_6_7",
    ("iseg3d:table1", "iseg3d:5", "iseg3d:6", "iseg3d:7"),
    "greedy clicks against FPFH and a heatmap network",
    "on PartNet 83.7 mIoU after ten clicks and 7.7 / 9.0 clicks to 80 / 85 %, against 52.1 (FPFH) and 61.4 "
    "(heatmap); 62.3 after four clicks; most "
    "failures are small parts.",
    4,
    make,
)
