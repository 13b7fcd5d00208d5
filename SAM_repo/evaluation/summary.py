"""What rows of clicks (`SAM_repo.evaluation.clicks.click_rows`) sum up to: means, and intervals over meshes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from SAM_repo.evaluation.image_baselines import BASELINES
from SAM_repo.evaluation.measure import SMALL_AREA
from SAM_repo.views import VIEW_SIZE
from utils.evaluation.annotator import ratio_interval

SIZES = (0, 200, SMALL_AREA, 2000, VIEW_SIZE**2)
# Between every visible part alike (0) and every visible pixel alike (1), as `draw_clicks` of the training.
AREA_POWER = 0.35
MASKS = ("mask0", "mask1", "mask2")
Value = Callable[[dict], float | None]

ONE_CLICK: dict[str, Value] = {
    **{name: lambda row, k=k: row["ious"][k][0] for k, name in enumerate(MASKS)},
    "best": lambda row: row["ious"][int(np.argmax(row["scores"]))][0],
    "oracle": lambda row: max(of_mask[0] for of_mask in row["ious"]),
}
MORE: dict[str, Value] = {
    "two_clicks": lambda row: row["second"],
    "three_clicks": lambda row: row["third"],
    "small_parts": lambda row: row["ious"][0][0] if row["area"] < SMALL_AREA else None,
    "oracle_minus_mask0": lambda row: max(of_mask[0] for of_mask in row["ious"]) - row["ious"][0][0],
}


@dataclass(frozen=True, eq=False)
class Rows:
    """The clicks on several meshes. mesh (N,) int, the mesh of each; weights (N,)."""

    rows: list[dict]
    mesh: np.ndarray
    weights: np.ndarray

    @classmethod
    def as_clicked(cls, groups: list[list[dict]]) -> Rows:
        """Every view counts the same, and in it a part by its visible area to the power `AREA_POWER`."""
        rows = cls.all_alike(groups)
        weights = np.array([row["area"] ** AREA_POWER for row in rows.rows], dtype=float)
        views = np.array([(mesh, row["view"]) for mesh, row in zip(rows.mesh, rows.rows)]).reshape(-1, 2)
        _, of_view = np.unique(views, axis=0, return_inverse=True)
        return cls(rows.rows, rows.mesh, weights / np.bincount(of_view.ravel(), weights)[of_view.ravel()])

    @classmethod
    def all_alike(cls, groups: list[list[dict]]) -> Rows:
        """Every part that shows in a view counts the same, however small. groups: the rows of each mesh."""
        rows = [row for group in groups for row in group]
        return cls(rows, np.repeat(np.arange(len(groups)), [len(group) for group in groups]), np.ones(len(rows)))

    def mean(self, value: Value, seed: int | None = None) -> tuple[float | None, list[float] | None]:
        """Mean of value(row) over the rows where it is not None, and with a seed its 95 % interval over meshes."""
        values = np.array([value(row) for row in self.rows], dtype=float)  # None: nan
        used = ~np.isnan(values)
        totals = np.bincount(self.mesh[used], self.weights[used])
        sums = np.bincount(self.mesh[used], (values * self.weights)[used])[totals > 0]
        totals = totals[totals > 0]
        if not len(sums):
            return None, None
        interval = None if seed is None else list(ratio_interval(sums, totals, np.random.default_rng(seed)))
        return float(sums.sum() / totals.sum()), interval

    def where(self, keep: np.ndarray) -> Rows:
        """The rows marked in keep (N,) bool."""
        return Rows([self.rows[k] for k in np.flatnonzero(keep)], self.mesh[keep], self.weights[keep])

    def __len__(self) -> int:
        return len(self.rows)


def summarise(rows: Rows, seed: int = 0) -> dict:
    """Means over clicks with 95 % intervals over meshes."""
    measured = {name: rows.mean(value, seed) for name, value in (ONE_CLICK | MORE).items()}
    area = np.array([row["area"] for row in rows.rows])
    return {
        "clicks": len(rows),
        "small_clicks": int((area < SMALL_AREA).sum()),
        "one_click": {name: measured[name][0] for name in ONE_CLICK},
        **{name: measured[name][0] for name in MORE},
        "intervals": {name: interval for name, (_, interval) in measured.items()},
        "by_size": {
            f"{low}-{high}": brief(rows.where((low <= area) & (area < high))) for low, high in itertools.pairwise(SIZES)
        },
        "nesting": nesting(rows.rows),
    }


def brief(rows: Rows) -> dict:
    """The main numbers of some clicks."""
    values = {"mask0": ONE_CLICK["mask0"], "oracle": ONE_CLICK["oracle"], "two_clicks": MORE["two_clicks"]}
    return {"clicks": len(rows), **{name: rows.mean(value)[0] for name, value in values.items()}}


def by_category(rows: Rows, categories: list[str]) -> dict[str, dict]:
    """The main numbers of the meshes of each category; categories: of each mesh."""
    of_row = np.array(categories)[rows.mesh]
    return {name: brief(rows.where(of_row == name)) for name in dict.fromkeys(categories)}


def nesting(rows: list[dict]) -> dict[str, float]:
    """How the three masks lie in one another: mean share of mask 1 in mask 0 and of mask 0 in mask 2, how often it is
    at least 90 %, and medians of the masks' sizes over that of mask 0."""
    inside, sizes = np.array([row["inside"] for row in rows]), np.array([row["sizes"] for row in rows], dtype=float)
    relative = sizes / np.maximum(sizes[:, :1], 1)
    return {
        "share_of_1_in_0": float(inside[:, 0].mean()),
        "share_of_0_in_2": float(inside[:, 1].mean()),
        "often_1_in_0": float((inside[:, 0] >= 0.9).mean()),
        "often_0_in_2": float((inside[:, 1] >= 0.9).mean()),
        "often_both": float((inside >= 0.9).all(1).mean()),
        "size_of_1": float(np.median(relative[:, 1])),
        "size_of_2": float(np.median(relative[:, 2])),
    }


def best_baselines(rows: Rows, seed: int = 0) -> dict[str, dict]:
    """Each baseline with the parameter that suits these very clicks best (which flatters it), and all parameters."""
    result = {}
    for name, (_, parameters) in BASELINES.items():
        values = [lambda row, name=name, k=k: row["baselines"][name][k] for k in range(len(parameters))]
        measured = [rows.mean(value, seed) for value in values]
        best = int(np.argmax([np.nan if mean is None else mean for mean, _ in measured]))
        result[name] = {
            "iou": measured[best][0],
            "interval": measured[best][1],
            "parameter": parameters[best],
            "by_parameter": {str(parameter): mean for parameter, (mean, _) in zip(parameters, measured)},
        }
    return result


def other_people(rows: Rows, seed: int = 0) -> dict | None:
    """IoU of another annotator's part at the same click, mean over annotators; None where there is only one."""
    mean, interval = rows.mean(lambda row: float(np.mean(row["others"])) if row["others"] else None, seed)
    return None if mean is None else {"iou": mean, "interval": interval}


def score_errors(rows: list[dict], targets: tuple[int, int, int] = (0, 0, 0)) -> dict[str, float]:
    """Mean absolute error of the predicted IoU of mask 0 and of all three, and mask 0's bias. targets: for each mask
    the labelling that it shows."""
    ious = np.array([[of_mask[target] for of_mask, target in zip(row["ious"], targets)] for row in rows])
    off = np.array([row["scores"] for row in rows]) - ious
    return {
        "mask0": float(np.abs(off[:, 0]).mean()),
        "all_masks": float(np.abs(off).mean()),
        "mask0_bias": float(off[:, 0].mean()),
    }


def mask_levels(rows: list[dict], levels: tuple[str, ...]) -> dict[str, Any]:
    """Mean IoU of each mask with each level of the hierarchy at the click; over the clicks where the first two levels
    differ by a fifth."""
    differ = [row["ious"] for row in rows if min(row["areas"][:2]) < 0.8 * max(row["areas"][:2])]
    means = np.mean(differ, axis=0).tolist() if differ else [[None] * len(levels)] * len(MASKS)
    return {"clicks": len(differ), **{mask: dict(zip(levels, of_mask)) for mask, of_mask in zip(MASKS, means)}}
