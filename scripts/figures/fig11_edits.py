"""Fig. 11: selections as handles for local edits: delete, keep, shorten, extrude."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from models.figures.edits import contiguity, extruded, only, shortened, without
from models.figures.figure import AGREES, DIFFERS, PARTLY, Figure, Measure, Outcome
from models.figures.show import answer_panel, click, on_vertices
from models.figures.subjects import Subject
from models.figures.workshop import Workshop
from utils.clicks import Clicks
from utils.geometry.mesh import Mesh
from utils.output.panels import MeshPictures, Panel, Sheet
from utils.progress import track


@dataclass(frozen=True)
class Edit:
    """One of the paper's: on which mesh and parts, what it is called, and what it does with a selection of faces."""

    mesh: str
    parts: tuple[str, ...]
    label: str
    apply: Callable[[Subject, np.ndarray], Mesh]
    but: tuple[str, ...] = ()  # parts that get a negative click


EDITS = (
    Edit("chair", ("middle rail",), "deleted", lambda s, selected: without(s.mesh, selected)),
    Edit("goat", ("skull", "muzzle"), "kept alone", lambda s, selected: only(s.mesh, selected)),
    Edit(
        "guitar",
        ("neck",),
        "shortened to 55 %",
        lambda s, selected: shortened(s.mesh, s.graph, selected, 0.55),
        ("head",),
    ),
    Edit("candle", ("flame",), "extruded", lambda s, selected: extruded(s.mesh, _soft(s, selected), 0.045)),
)


def _soft(subject: Subject, selected: np.ndarray) -> np.ndarray:
    """(V,) weights that fall to 0 at the border of a selection."""
    return np.clip(2 * on_vertices(subject, selected.astype(float)) - 1, 0, 1)


def make(shop: Workshop) -> Outcome:
    subjects = shop.subjects(FIGURE.name)
    tracked = track(subjects, "selections in one piece", shop.on_progress, len(subjects))
    found = [shop.measured("contiguity", "ours", [s], lambda s=s: _measure(shop, s)) for s in tracked]
    cells, moved = [], []
    for edit in EDITS:
        subject = next((s for s in subjects if s.name == edit.mesh), None)
        if subject is not None and set(edit.parts) <= {wish.name for wish in subject.wishes}:
            cells += _panels(shop, subject, edit, moved)
    if not cells:
        subject = subjects[0]
        cells = _panels(shop, subject, Edit(subject.name, (subject.wishes[-1].name,), "deleted", EDITS[0].apply), moved)
    measures = [
        Measure.mean("share of a selection's area that is one connected piece", found),
        Measure.mean("selections that are one piece (99 %)", [[float(v > 0.99) for v in own] for own in found]),
        Measure("largest movement of vertices far from an edit (share of the radius)", max(moved, default=0.0)),
    ]
    whole = measures[0].ours or 0.0
    verdict = AGREES if whole > 0.97 else PARTLY if whole > 0.85 else DIFFERS
    why = (
        f"{whole:.1%} of what one click selects is one connected piece (by construction of our borders: pieces "
        f"without a positive click are "
        "dropped), and the four edits need no more than the selection."
    )
    sheet = Sheet(
        [("", cells[start : start + 4]) for start in range(0, len(cells), 4)], "Local edits of a selection", 230
    )
    looks = (
        "The paper's four: a bar of the chair removed, the animal's head alone (a goat here, a horse there), the "
        "guitar's neck shortened, the flame "
        "enlarged. Open borders are left open. Every picture fills its panel, so the shortened guitar is drawn larger."
    )
    return Outcome(measures, verdict, why, sheet, looks, [s.name for s in subjects])


def _measure(shop: Workshop, subject: Subject) -> list[float]:
    segmenter, result = shop.segmenter(subject), []
    for wish in subject.wishes:
        selected = segmenter.face_probability(np.array([subject.innermost(wish.part)]), np.array([True])) > 0.5
        result.append(contiguity(subject.mesh, subject.graph, selected))
    return result


def _panels(shop: Workshop, subject: Subject, edit: Edit, moved: list[float]) -> list[Panel]:
    """The selection, and the mesh after the edit from the same side."""
    segmenter = shop.segmenter(subject)
    faces, without_them = ([subject.innermost(subject.wish(part).part) for part in of] for of in (edit.parts, edit.but))
    clicks = click(subject, faces, without_them)
    probability = segmenter.probability(clicks)
    selected = probability[subject.mesh.faces].mean(axis=1) > 0.5
    edited = edit.apply(subject, selected)
    angle = subject.pictures.angles(clicks, probability)[0]
    if edited.num_vertices == subject.mesh.num_vertices and edit.label == "extruded":
        away = on_vertices(subject, selected.astype(float)) == 0
        moved.append(float(np.abs(edited.vertices - subject.mesh.vertices)[away].max(initial=0.0)) / subject.mesh.scale)
    before = answer_panel(subject, segmenter, clicks, f"{subject.name}: {', '.join(edit.parts)}", angle, 230)
    weight = np.zeros(edited.num_vertices)
    if edited.num_vertices == subject.mesh.num_vertices:
        weight = probability
    after = MeshPictures(edited).picture(angle, weight, Clicks(torch.zeros(0), torch.zeros(0)), 230)
    return [before, Panel(after, edit.label)]


FIGURE = Figure(
    "fig11_edits",
    ("11",),
    "local geometric edits",
    "selections are contiguous and local, so the selected region can be deleted (a chair's bar), kept alone (a "
    "horse's head), shrunk (a guitar's "
    "neck) or extruded along the normals (a candle's flame).",
    4,
    make,
)
