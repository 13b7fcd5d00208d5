"""What the clicks before a correction say of its readings (`models.prior.readings`).

A person who wants a selection clicks in the middle of the larger side of what is missing and what is too much. So what
was selected when each earlier click was made, and where it was, tell for and against a reading.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from utils.selection import pairwise_iou

REMEMBERED = 5  # corrections that are looked back at
MOST, TINY = 3.0, 1e-6  # ratios beyond `MOST` say no more
# Of a node, regions (R, N) bool, the areas of their nodes (R, N) and their own (R,): the distance (R,) from the node to
# the nearest one outside each region, and the mean one to those inside.
Around = Callable[[int, np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
Earlier = tuple[np.ndarray, int, bool]  # what was selected (N,) bool, the node clicked, whether it is to be included
EARLIER = tuple(
    f"earlier clicks, {name}"
    for name in ("other way", "other way, most", "middle", "middle, least", "gap", "back", "number")
)


def of_earlier_clicks(
    selected: np.ndarray, earlier: Sequence[Earlier], area: np.ndarray, around: Around
) -> dict[str, np.ndarray | float]:
    """What is known of readings (R, N) bool by `EARLIER`, an (R,) or a number each.

    other way  what a click did not ask for, in areas of what it asked for; most: of the click for which it is most
    middle     distance of a click from the border of what it asked for, in mean distances of that from it; gap: in
               radii (roots of the area); least: of the click for which it is least
    back       IoU with the selection there was, of the click for which it is highest
    number     of clicks, in `REMEMBERED`
    area (N,), summing to 1
    """
    earlier = earlier[-REMEMBERED:]
    if not earlier:
        return dict(zip(EARLIER, (0.0, 0.0, 1.0, 1.0, 0.5, 0.0, 0.0)))
    other_way, middle, gaps = [], [], []
    for then, node, positive in earlier:
        more, less = selected & ~then, then & ~selected
        region, other = (more, less) if positive else (less, more)
        weighted = region * area
        size = weighted.sum(axis=1)
        gap, mean = around(node, region, weighted, size)
        other_way.append(np.minimum((other @ area) / np.maximum(size, TINY), MOST))
        middle.append(np.minimum(gap / np.maximum(mean, 1e-3), 2))
        gaps.append(np.minimum(gap / np.sqrt(np.maximum(size, 1e-4)), MOST))
    back = pairwise_iou(selected, np.stack([then for then, _, _ in earlier]), area).max(axis=1)
    other, middle, gap = np.stack(other_way), np.stack(middle), np.stack(gaps)
    numbers = (other.mean(axis=0), other.max(axis=0), middle.mean(axis=0), middle.min(axis=0), gap.mean(axis=0))
    return dict(zip(EARLIER, (*numbers, back, len(earlier) / REMEMBERED)))
