"""What classical image segmentation makes of one click on a rendered mesh: the floor under every teacher."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter
from skimage.measure import label
from skimage.morphology import h_maxima
from skimage.segmentation import felzenszwalb, flood, watershed

# Of an occlusion, in object radii: neighbouring pixels of a surface seen at 80 degrees differ by a third of it.
DEPTH_JUMP = 0.15


class ViewImage:
    """One view: image (H, W, 3) uint8, depth (H, W), inf on background. Segmentations are made once for all clicks."""

    def __init__(self, image: np.ndarray, depth: np.ndarray) -> None:
        self.image, self.depth, self.covered = image, depth, np.isfinite(depth)
        self._segments: dict[tuple[str, float], np.ndarray] = {}

    def segments(self, name: str, parameter: float, make: Callable[[], np.ndarray]) -> np.ndarray:
        if (name, parameter) not in self._segments:
            self._segments[name, parameter] = make()
        return self._segments[name, parameter]


def occlusions(depth: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels nearer than a neighbour by more than `DEPTH_JUMP`, and background."""
    far = np.where(np.isfinite(depth), depth, depth[np.isfinite(depth)].max(initial=0) + 10)
    edge = ~np.isfinite(depth)
    edge[:, 1:] |= far[:, 1:] < far[:, :-1] - DEPTH_JUMP
    edge[:, :-1] |= far[:, :-1] < far[:, 1:] - DEPTH_JUMP
    edge[1:] |= far[1:] < far[:-1] - DEPTH_JUMP
    edge[:-1] |= far[:-1] < far[1:] - DEPTH_JUMP
    return edge


def watershed_of_distance(view: ViewImage, x: int, y: int, height: float) -> np.ndarray:
    """The click's basin of the distance to silhouettes and occlusions; bumps lower than `height` pixels are none."""

    def make() -> np.ndarray:
        inside = gaussian_filter(distance_transform_edt(~occlusions(view.depth)), 1.0)
        inside[~view.covered] = 0
        return watershed(-inside, label(h_maxima(inside, height)), mask=view.covered)

    segments = view.segments("watershed", height, make)
    return (segments == segments[y, x]) & view.covered


def felzenszwalb_segment(view: ViewImage, x: int, y: int, scale: float) -> np.ndarray:
    """The segment of the click by Felzenszwalb and Huttenlocher's graph-based segmentation of the image."""

    def make() -> np.ndarray:
        return felzenszwalb(view.image, scale=scale, sigma=0.8, min_size=30)

    segments = view.segments("felzenszwalb", scale, make)
    return (segments == segments[y, x]) & view.covered


def disc(view: ViewImage, x: int, y: int, radius: float) -> np.ndarray:
    """Object pixels within `radius` pixels of the click."""
    rows, columns = np.ogrid[: view.image.shape[0], : view.image.shape[1]]
    return ((columns - x) ** 2 + (rows - y) ** 2 <= radius**2) & view.covered


def flood_fill(view: ViewImage, x: int, y: int, tolerance: float) -> np.ndarray:
    """Connected object pixels whose brightness (0 to 1) is within `tolerance` of the click's."""
    gray = view.segments("gray", 0, lambda: np.where(view.covered, view.image.mean(2) / 255, 9.0))
    return flood(gray, (y, x), tolerance=tolerance) & view.covered


# Name -> method, and its parameters to choose from.
BASELINES: dict[str, tuple[Callable[[ViewImage, int, int, float], np.ndarray], tuple[float, ...]]] = {
    "watershed": (watershed_of_distance, (0.12, 0.25, 0.5, 1.0)),
    "felzenszwalb": (felzenszwalb_segment, (150.0, 400.0, 1000.0)),
    "disc": (disc, (18.0, 25.0, 35.0, 50.0)),
    "flood_fill": (flood_fill, (0.12, 0.25, 0.4, 0.6)),
}
