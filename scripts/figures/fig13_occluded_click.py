"""Fig. 13: what is selected where the click cannot be seen, against the SAM baseline."""

from __future__ import annotations

import numpy as np

from models.figures.figure import AGREES, DIFFERS, PARTLY, Figure, Measure, Outcome
from models.figures.show import best_angles, click, faces_panel, vertices_panel
from models.figures.sides import hidden_from
from models.figures.subjects import Subject
from models.figures.workshop import Workshop
from utils.output.panels import Sheet
from utils.progress import track

LEAST_SHOWN = 0.1  # of a part's area that a view must show
SHOWN = {"camel": "hump", "goat": "body", "alien": "head"}


def make(shop: Workshop) -> Outcome:
    subjects = shop.subjects(FIGURE.name)
    tracked = track(subjects, "occluded clicks", shop.on_progress, len(subjects))
    found = [shop.measured("occluded", "both", [s], lambda s=s: _measure(shop, s)) for s in tracked]
    measures = [
        Measure.mean(
            "ours: share of the part selected, in views that do not see the click", [own["ours"] for own in found]
        ),
        Measure.mean("SAM baseline: the same", [own["sam"] for own in found]),
        Measure.mean("ours: selected there outside of the part and its group", [own["ours_beyond"] for own in found]),
        Measure.mean("SAM baseline: the same", [own["sam_beyond"] for own in found]),
    ]
    ours, sam = measures[0].ours or 0.0, measures[1].ours or 0.0
    verdict = AGREES if ours > 0.75 and ours > sam + 0.1 else PARTLY if ours > sam else DIFFERS
    why = (
        f"In views that do not see the click, ours covers {ours:.0%} of the part, the SAM baseline {sam:.0%}; the "
        f"baseline reaches there from "
        "the side, through views that see both the click and some of what these views show."
    )
    rows = [("", row) for subject in subjects[:3] for row in [_panels(shop, subject)]]
    looks = (
        "As in Fig. 13: left the click, then the answer from a side from which the click is hidden; the camel's hump "
        "is the paper's example."
    )
    return Outcome(
        measures, verdict, why, Sheet(rows, "The click is on the other side", 230), looks, [s.name for s in subjects]
    )


def _measure(shop: Workshop, subject: Subject) -> dict[str, list[float]]:
    baseline, segmenter, areas = shop.baseline(subject), shop.segmenter(subject), subject.areas
    result: dict[str, list[float]] = {"ours": [], "sam": [], "ours_beyond": [], "sam_beyond": []}
    for wish in subject.wishes:
        face = subject.innermost(wish.part)
        one, positive = np.array([face]), np.array([True])
        answers = {
            "ours": segmenter.face_probability(one, positive) > 0.5,
            "sam": baseline.face_probability(one, positive) > 0.5,
        }
        shares: dict[str, list[float]] = {key: [] for key in result}
        for view in hidden_from(baseline, face)[1]:
            shown = np.zeros(len(areas), dtype=bool)
            shown[baseline.faces_of[view][0]] = True
            inside, outside = shown & wish.part, shown & ~wish.group
            if areas[inside].sum() < LEAST_SHOWN * areas[wish.part].sum():
                continue
            for name, selected in answers.items():
                shares[name].append(float(areas[selected & inside].sum() / areas[inside].sum()))
                shares[f"{name}_beyond"].append(
                    float(areas[selected & outside].sum() / max(float(areas[outside].sum()), 1e-12))
                )
        for key, values in shares.items():
            if values:
                result[key].append(float(np.mean(values)))
    return result


def _panels(shop: Workshop, subject: Subject) -> list:
    names = {wish.name for wish in subject.wishes}
    wish = subject.wish(SHOWN[subject.name]) if SHOWN.get(subject.name) in names else subject.wishes[0]
    side = wish.part & (subject.mesh.face_normals[:, 2] * subject.mesh.winding > 0.3)  # a click on one side of it
    face = subject.innermost(side if side.any() else wish.part)
    one, positive, clicks = np.array([face]), np.array([True]), click(subject, [face])
    ours = shop.segmenter(subject).probability(clicks)
    front, back = best_angles(subject, clicks, ours)[0], subject.pictures.hidden_angle(clicks, ours)
    sam = shop.baseline(subject).face_probability(one, positive)
    return [
        vertices_panel(subject, np.zeros_like(ours), clicks, f"{subject.name}: {wish.name}, the click", front, 230),
        vertices_panel(subject, ours, clicks, "iSeg (ours), the click is hidden", back, 230),
        faces_panel(subject, sam, clicks, "SAM baseline, the click is hidden", back, 230),
    ]


FIGURE = Figure(
    "fig13_occluded_click",
    ("13",),
    "an occluded click",
    "with the click on one side of a camel's hump, iSeg selects the whole hump as seen from the other side, the SAM "
    "baseline only "
    "part of it.",
    6,
    make,
)
