"""A simulated person who goes on clicking from a proposal, in a session as the page has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from utils.evaluation.annotator import next_click
from utils.geometry.face_graph import FaceGraph
from utils.selection import iou
from utils.session.session import Session


def clicks_from_proposals(
    begin: Callable[[], Session], graph: FaceGraph, wanted: Sequence[np.ndarray], target: float, cap: int
) -> list[int]:
    """For each wanted part (F,) bool: clicks until its IoU is `target`, from the proposal that fits it best; at most
    `cap`. Choosing that proposal is the first of them.

    begin  a session in which parts are proposed and nothing else was done
    """
    return [_clicks(begin(), graph, part, target, cap) for part in wanted]


def _clicks(session: Session, graph: FaceGraph, part: np.ndarray, target: float, cap: int) -> int:
    areas, faces = session.mesh.face_areas, session.mesh.faces
    labels = session.proposed
    fits = [iou(labels == k, part, areas) for k in range(1, int(labels.max(initial=0)) + 1)]
    if not fits:
        return cap
    session.select_proposal(int(np.argmax(fits)))
    for clicks in range(1, cap):
        selected = session.selection.faces
        if iou(selected, part, areas) >= target:
            return clicks
        face, positive = next_click(graph, areas, part, selected)
        region = part & ~selected if positive else selected & ~part
        corner = max(faces[face].tolist(), key=lambda vertex: areas[region & (faces == vertex).any(axis=1)].sum())
        if not session.click(corner, positive):  # it is there already, and not obeyed
            return cap
    return cap
