"""Parts that match a chosen one (legs, spokes, buttons), by shape and by what the network reads there."""

from __future__ import annotations

import numpy as np

from models.prior.nodes import NodeGraph

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
# How far descriptors of two parts may lie apart, in the order of `descriptors`, to count 1. Chosen on shapes of
# `utils.shapes` whose repeats are known; docs/parts.md says how good it is on others.
SCALES = {"area": 0.25, "extents": 0.2, "distances": 0.15, "thickness": 0.2, "field": 0.4}
SAME = 0.85  # parts whose median of these is below may match ...
FIRM = 0.7  # ... and do below this, or if no more than `WORSE` times as far as the best match
WORSE = 2.0
SIZES = 1.6  # ratio of areas beyond which nothing matches
MEMBERS = 96  # nodes of a part that distances are taken between, at most
NEAR = 1e-4


def matches(graph: NodeGraph, field: np.ndarray, inside: np.ndarray, chosen: np.ndarray) -> list[int]:
    """The rows of `inside` (M, N) bool that match `chosen` (N,) bool, the best first, none sharing a node with another.

    field (N, C) float: what is read at the nodes, of deviation 1.
    """
    ratio = np.abs(np.log(np.maximum(inside @ graph.area, NEAR**2) / (graph.area[chosen].sum())))
    rows = np.flatnonzero((ratio < np.log(SIZES)) & ~inside[:, chosen].any(axis=1))
    differs = unlikeness(descriptors(graph, field, inside[rows]), descriptors(graph, field, chosen[None]))
    limit = min(SAME, max(FIRM, WORSE * differs.min(initial=np.inf)))
    found, taken = [], np.zeros(len(chosen), dtype=bool)
    for place in np.argsort(differs, kind="stable"):
        if differs[place] < limit and not taken[inside[rows[place]]].any():
            found.append(int(rows[place]))
            taken |= inside[rows[place]]
    return found


def descriptors(graph: NodeGraph, field: np.ndarray, inside: np.ndarray) -> dict[str, np.ndarray]:
    """Of M sets of nodes, (M, N) bool, what does not change when a part is moved, turned or mirrored; (M, D) each.

    area       logarithm of the area
    extents    logarithm of the deviations along the principal axes
    distances  logarithm of quantiles of the distances between two points of the part
    thickness  logarithm of quantiles of the depth of the solid
    field      (M, C) mean of `field` (N, C)
    """
    weight = inside * graph.area
    area = weight.sum(axis=1)
    share = weight / area[:, None]
    position = graph.position.astype(np.float64)
    mean = share @ position
    second = np.einsum("mn,ni,nj->mij", share, position, position) - mean[:, :, None] * mean[:, None, :]
    # A node is a disc of its own area, so that a part of one node has a size too.
    second += np.eye(3) * (share @ graph.area)[:, None, None] / 4
    extents = 0.5 * np.log(np.maximum(np.linalg.eigvalsh(second), NEAR**2))
    distances = np.zeros((len(inside), len(QUANTILES)))
    thickness = np.zeros((len(inside), len(QUANTILES)))
    for row in range(len(inside)):
        member = np.flatnonzero(inside[row])
        some = member[:: -(-len(member) // MEMBERS)]
        apart = np.linalg.norm(position[some][:, None] - position[some][None], axis=2).ravel()
        distances[row] = _quantiles(
            apart + 0.05 * np.sqrt(area[row]), np.outer(share[row, some], share[row, some]).ravel()
        )
        thickness[row] = _quantiles(graph.thickness[member, 0] + 0.01, share[row, member])
    return {
        "area": np.log(area)[:, None],
        "extents": extents,
        "distances": np.log(distances),
        "thickness": np.log(thickness),
        "field": share @ field,
    }


def _quantiles(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return np.interp(np.multiply(QUANTILES, reached[-1]), reached - weights[order] / 2, values[order])


def unlikeness(found: dict[str, np.ndarray], chosen: dict[str, np.ndarray]) -> np.ndarray:
    """(M,) how much each of M parts differs from the one `chosen`; below `SAME` they match.

    The median over the descriptors: one or two may mislead, as the depth of a leg that ends open.
    """
    apart = [np.sqrt(((found[name] - chosen[name]) ** 2).mean(axis=1)) / scale for name, scale in SCALES.items()]
    return np.median(apart, axis=0)
