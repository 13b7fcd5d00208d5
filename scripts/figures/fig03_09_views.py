"""Figs. 3 and 9: how far the teacher contradicts itself between views, and our answer rendered into the same views."""

from __future__ import annotations

import numpy as np
import torch

from models.figures.figure import AGREES, DIFFERS, PARTLY, Figure, Measure, Outcome
from models.figures.show import click
from models.figures.sides import agreement, rendered_masks, teacher_masks
from models.figures.subjects import Subject
from models.figures.workshop import Workshop
from utils.output.colors import PALETTE
from utils.output.panels import Panel, Sheet, with_spheres
from utils.progress import track
from utils.rendering.shading import shade

NEAR = 35.0  # degrees between views that are called similar
VIEWS = 16  # of a click that are compared


def make(shop: Workshop) -> Outcome:
    subjects = shop.subjects(FIGURE.name)
    tracked = track(subjects, "masks of views", shop.on_progress, len(subjects))
    found = [shop.measured("views", "both", [s], lambda s=s: _measure(shop, s)) for s in tracked]
    names = {
        "teacher_near": f"teacher, mean IoU of its masks in views less than {NEAR:.0f} degrees apart",
        "ours_near": "ours, rendered into the same",
        "teacher": "teacher, between any two views of a click",
        "ours": "ours, rendered into the same",
    }
    measures = [Measure.mean(what, [own[key] for own in found]) for key, what in names.items()]
    teacher, ours = measures[0].ours or 0.0, measures[1].ours or 0.0
    verdict = AGREES if teacher < 0.9 and ours > 0.95 else PARTLY if ours > teacher else DIFFERS
    why = (
        f"The teacher's masks of one click agree with IoU {teacher:.2f} between similar views and "
        f"{measures[2].ours or 0:.2f} between any two; "
        f"our one answer, rendered and read back from pixels, {ours:.2f}: consistent by construction, the rest is "
        f"pixels at borders."
    )
    rows = []
    for subject in subjects[:2]:
        rows += _rows(shop, subject)
    looks = (
        "Upper rows the teacher's masks (vit_t here, ViT-H in the paper), lower rows ours in the same views, as in "
        "Fig. 9."
    )
    return Outcome(
        measures,
        verdict,
        why,
        Sheet(rows, "Masks of one click in several views", 200),
        looks,
        [s.name for s in subjects],
    )


def _clicks(subject: Subject, count: int) -> list[int]:
    """Faces innermost in parts of all sizes."""
    wishes = sorted(subject.wishes, key=lambda wish: -float(subject.areas[wish.part].sum()))
    chosen = np.linspace(0, len(wishes) - 1, min(count, len(wishes))).round().astype(int)
    return [subject.innermost(wishes[k].part) for k in chosen]


def _measure(shop: Workshop, subject: Subject) -> dict[str, list[float]]:
    baseline, segmenter = shop.baseline(subject), shop.segmenter(subject)
    cameras = baseline.cameras.positions.numpy()
    result: dict[str, list[float]] = {"teacher": [], "teacher_near": [], "ours": [], "ours_near": []}
    for face in _clicks(subject, shop.pick(6, 2)):
        masks = teacher_masks(baseline, face)[:VIEWS]
        probability = segmenter.probability(click(subject, [face]))
        own = rendered_masks(baseline, subject.pictures.rasterizer, probability, [mask.view for mask in masks])
        for name, of in (("teacher", masks), ("ours", own)):
            every, near = agreement(of, subject, cameras, NEAR)
            if every:
                result[name].append(float(np.mean(every)))
            if near:
                result[f"{name}_near"].append(float(np.mean(near)))
    return result


def _rows(shop: Workshop, subject: Subject) -> list[tuple[str, list[Panel]]]:
    """Four views of a click that lie near each other: the teacher's pixels, ours below."""
    baseline, segmenter = shop.baseline(subject), shop.segmenter(subject)
    cameras = baseline.cameras.positions.numpy()

    def consistency(face: int) -> float:
        near = agreement(teacher_masks(baseline, face)[:VIEWS], subject, cameras, NEAR)[1]
        return float(np.mean(near)) if len(near) > 4 else 2.0

    face = min(_clicks(subject, 6), key=consistency)  # shown is where the teacher contradicts itself most
    masks = teacher_masks(baseline, face)
    if len(masks) < 2:
        return []
    ways = torch.nn.functional.normalize(baseline.cameras.positions, dim=1)
    views = [mask.view for mask in masks]
    # The views around the one that looks at the click most squarely.
    outward = torch.from_numpy(subject.mesh.face_normals[face] * np.float32(subject.mesh.winding))
    middle = max(views, key=lambda view: float(ways[view] @ outward))
    views = sorted(views, key=lambda view: -float(ways[view] @ ways[middle]))[:13:3]
    pixels, _ = baseline.seen(np.array([face]))
    probability = torch.from_numpy(segmenter.probability(click(subject, [face])))[:, None]
    cells: list[list[Panel]] = [[], []]
    for view in views:
        camera = baseline.cameras[view].resized((400, 400))
        raster = subject.pictures.rasterizer(camera)
        point = torch.tensor([[float(v) for v in pixels[view, 0]]])
        mask = baseline.teacher.segment_each(
            baseline.embeddings[[view]].float(),
            point[None],
            torch.ones((1, 1), dtype=torch.int64),
            baseline.cameras.size,
        ).masks(0)[0]
        large = torch.nn.functional.interpolate(mask[None, None].float(), size=(400, 400), mode="bilinear")[0, 0] > 0.5
        grey = shade(
            subject.mesh,
            camera,
            raster,
            base_color=PALETTE.base,
            lights=(2.2, 0.4, 0.95, 0.5, 0, 0, 0, 0, 0),
            smooth=True,
        )[0]
        colors = probability * torch.tensor(PALETTE.selected) + (1 - probability) * torch.tensor(PALETTE.base)
        ours = shade(
            subject.mesh, camera, raster, vertex_colors=colors, lights=(2.2, 0.4, 0.95, 0.5, 0, 0, 0, 0, 0), smooth=True
        )[0]
        blue = grey.clone()
        light = grey.mean(-1, keepdim=True) / float(np.mean(PALETTE.base))
        painted = large & raster.covered[0]
        blue[painted] = (light * torch.tensor(PALETTE.selected))[painted].clamp(0, 1)
        dot = [
            (
                float(point[0, 0]) * 400 / baseline.cameras.size[1],
                float(point[0, 1]) * 400 / baseline.cameras.size[0],
                True,
            )
        ]
        for row, image in zip(cells, (blue, ours)):
            row.append(Panel(_cropped(with_spheres(image.numpy(), dot, PALETTE, 9)), ""))
    return [(f"{subject.name}: the teacher in {len(views)} views", cells[0]), ("ours in the same views", cells[1])]


def _cropped(image: np.ndarray, side: int = 200) -> np.ndarray:
    """The middle half, where the object is."""
    border = (image.shape[0] - 300) // 2
    inner = torch.from_numpy(image[border : border + 300, border : border + 300]).permute(2, 0, 1)[None]
    return torch.nn.functional.interpolate(inner, size=(side, side), mode="area")[0].permute(1, 2, 0).numpy()


FIGURE = Figure(
    "fig03_09_views",
    ("3", "9"),
    "consistency between views",
    "SAM's masks of one click differ substantially, even between similar views; the answer of iSeg is one 3D "
    "selection, consistent in "
    "every view.",
    5,
    make,
)
