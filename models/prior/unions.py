"""Wishes for two parts that do not touch: a positive click in each, on meshes with human-labelled parts."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from utils.evaluation.annotator import next_click
from utils.evaluation.method import FaceSegmenter
from utils.geometry.face_graph import FaceGraph
from utils.selection import iou

LARGEST = 0.9  # share of the area of both parts together


def apart(
    parts: list[np.ndarray], graph: FaceGraph, areas: np.ndarray, most: int, generator: np.random.Generator
) -> list[tuple[int, int]]:
    """Up to `most` random pairs of parts (F,) bool that share no edge."""
    one, other = graph.pairs.T
    found = []
    for first, second in combinations(range(len(parts)), 2):
        a, b = parts[first], parts[second]
        if not ((a[one] & b[other]) | (b[one] & a[other])).any() and areas[a | b].sum() < LARGEST * areas.sum():
            found.append((first, second))
    chosen = generator.permutation(len(found))[:most]
    return [found[k] for k in sorted(chosen)]


def click_both(
    prepared: FaceSegmenter, graph: FaceGraph, areas: np.ndarray, first: np.ndarray, second: np.ndarray, clicks: int = 5
) -> dict:
    """Click innermost in each of two parts (F,) bool at once, then correct as `utils.evaluation.annotator.run_part` does.

    Returns `iou`, after 2, 3, ... `clicks` clicks (the last value repeated where nothing is left to click), and `each`, the IoU of what the
    two clicks select one by one, put together: what a person gets who keeps each part by itself.
    """
    wanted = first | second
    faces = [next_click(graph, areas, part, None)[0] for part in (first, second)]
    positive = [True, True]
    single = [prepared.face_probability(np.array([face]), np.array([True])) > 0.5 for face in faces]
    result: list[float] = []
    while len(faces) <= clicks:
        selected = prepared.face_probability(np.array(faces), np.array(positive)) > 0.5
        result.append(iou(selected, wanted, areas))
        if np.array_equal(selected, wanted):
            break
        face, sign = next_click(graph, areas, wanted, selected)
        if face in faces:
            break
        faces.append(face)
        positive.append(sign)
    result += [result[-1]] * (clicks - 1 - len(result))
    return {"iou": result, "each": iou(single[0] | single[1], wanted, areas)}
