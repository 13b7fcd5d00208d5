"""iSeg3D, Fig. 4: a part made by positive and negative clicks, one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.figures.figure import AGREES, DIFFERS, PARTLY, Figure, Measure, Outcome
from models.figures.show import click, faces_panel
from models.figures.subjects import Subject
from models.figures.workshop import Workshop
from models.open import open_segmenter
from utils.evaluation.annotator import next_click
from utils.output.panels import Panel, Sheet
from utils.progress import track
from utils.selection import iou

CLICKS = 5


def make(shop: Workshop) -> Outcome:
    subjects = shop.subjects(FIGURE.name)
    tracked = track(subjects, "clicks one by one", shop.on_progress, len(subjects))
    found = [shop.measured("iterative", "ours", [s], lambda s=s: _measure(shop, s)) for s in tracked]
    steps = [[step for each in own for step in each["steps"]] for own in found]
    measures = [
        Measure.mean(
            "positive clicks that enlarge the selection",
            [[float(s["after"] > s["before"]) for s in own if s["positive"]] for own in steps],
        ),
        Measure.mean(
            "negative clicks that reduce it",
            [[float(s["after"] < s["before"]) for s in own if not s["positive"]] for own in steps],
        ),
        Measure.mean("IoU after the first click", [[e["iou"][0] for e in own] for own in found]),
        Measure.mean(f"IoU after {CLICKS}", [[e["iou"][-1] for e in own] for own in found]),
    ]
    grows, shrinks, first, last = (measure.ours or 0.0 for measure in measures)
    verdict = AGREES if min(grows, shrinks) > 0.9 and last > first else PARTLY if last > first else DIFFERS
    why = (
        f"Positive clicks enlarge the selection in {grows:.0%} of the cases, negative ones reduce it in {shrinks:.0%} "
        f"(Eq. 6-8), and five clicks in the middle of "
        f"what is wrong raise IoU from {first:.2f} to {last:.2f}."
    )
    rows = [
        (f"{s.name}: {each['part']}", _panels(shop, s, each))
        for s, own in zip(subjects, found)
        for each in own
        if each["shown"]
    ][:3]
    return Outcome(
        measures, verdict, why, Sheet(rows, "One click after the other", 200), "", [s.name for s in subjects]
    )


def _measure(shop: Workshop, subject: Subject) -> list[dict[str, Any]]:
    segmenter, areas, result = open_segmenter(subject.mesh, "instant", seed=shop.settings.seed), subject.areas, []
    for wish in subject.wishes[: shop.pick(8, 2)]:
        faces: list[int] = []
        positive: list[bool] = []
        selected, ious, steps = np.zeros(len(areas), dtype=bool), [], []
        for _ in range(CLICKS):
            if np.array_equal(selected, wish.part):
                break
            face, sign = next_click(subject.graph, areas, wish.part, selected if faces else None)
            if face in faces:
                break
            faces, positive = [*faces, face], [*positive, sign]
            before = float(areas[selected].sum())
            selected = segmenter.face_probability(np.array(faces), np.array(positive)) > 0.5
            ious.append(iou(selected, wish.part, areas))
            if len(faces) > 1:
                steps.append({"positive": sign, "before": before, "after": float(areas[selected].sum())})
        result.append(
            {"part": wish.name, "faces": faces, "positive": positive, "iou": ious, "steps": steps, "shown": False}
        )
    both = [each for each in result if False in each["positive"] and len(each["faces"]) >= 3] or result
    max(both, key=lambda each: each["iou"][-1] - each["iou"][0])["shown"] = True
    return result


def _panels(shop: Workshop, subject: Subject, each: dict[str, Any]) -> list[Panel]:
    segmenter = open_segmenter(subject.mesh, "instant", seed=shop.settings.seed)
    cells, angle = [], None
    for count in range(len(each["faces"]), 0, -1):
        faces, positive = np.array(each["faces"][:count]), np.array(each["positive"][:count])
        selected = segmenter.face_probability(faces, positive) > 0.5
        clicks = click(subject, faces[positive].tolist(), faces[~positive].tolist())
        if angle is None:
            angle = subject.pictures.angles(clicks, _vertices(subject, selected))[0]
        sign = "positive" if positive[-1] else "negative"
        cells.append(
            faces_panel(
                subject, selected, clicks, f"click {count}, {sign}\nIoU {each['iou'][count - 1]:.2f}", angle, 200
            )
        )
    return cells[::-1]


def _vertices(subject: Subject, selected: np.ndarray) -> np.ndarray:
    values = np.zeros(subject.mesh.num_vertices)
    values[subject.mesh.faces[selected]] = 1
    return values


FIGURE = Figure(
    "iseg3d_fig4_iterative",
    ("iseg3d:4",),
    "positive and negative clicks, one after the other",
    "positive clicks annotate the primitives near them, negative clicks take over-segmentation back.",
    1,
    make,
)
