"""How well a teacher segments one view of a mesh from one click: rows of measurements, and the table they sum up to.

Works on any `utils.teacher.Teacher`. A shape gives a few views; in each, parts get one click at a random visible pixel.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from SAM_repo.evaluation.image_baselines import BASELINES, ViewImage
from SAM_repo.evaluation.measure import SMALL_AREA
from SAM_repo.training.losses import corrective_clicks
from SAM_repo.training.views import VIEW_SIZE, draw_clicks, random_cameras
from utils.geometry.mesh import Mesh
from utils.rendering.rasterize import Rasterizer
from utils.rendering.shading import shade, to_uint8
from utils.teacher import Teacher

MIN_PIXELS = 12  # a part with fewer visible pixels is not clicked
SIZES = (0, 200, SMALL_AREA, 2000, VIEW_SIZE**2)
AREA_POWER = (
    0.35  # between every visible part alike (0) and every visible pixel alike (1); see `vit_t_data.draw_clicks`
)
AFFINITY_CELLS = 128  # of a view
MASKS = ("mask0", "mask1", "mask2")


@dataclass(frozen=True, eq=False)
class ShapeViews:
    """B views of one shape as the pipeline renders them.

    images  (B, 224, 224, 3) uint8;  depth (B, 224, 224) float32, inf on background
    labels  (L, B, 224, 224) int64, -1 on background. Labels 0 name what is clicked and what mask 0 is measured against; the others are
            other annotators of the same mesh, or finer and coarser levels of a synthetic shape
    """

    images: Tensor
    depth: np.ndarray
    labels: np.ndarray


def render_labelled(mesh: Mesh, labels: np.ndarray, views: int, rng: np.random.Generator) -> ShapeViews:
    """Views from random cameras of the pipeline. labels: (L, F) int per face."""
    cameras = random_cameras(views, rng, published=True)
    raster = Rasterizer(mesh, backend="embree")(cameras)
    images = to_uint8(shade(mesh, cameras, raster))
    seen = raster.face_ids.clamp_min(0).numpy()
    covered = raster.covered.numpy()
    return ShapeViews(
        images, raster.depth.numpy(), np.stack([np.where(covered, of_face[seen], -1) for of_face in labels])
    )


def clicks_on_every_part(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(C, 2) int xy: one click on each label of (H, W) that shows at least `MIN_PIXELS`, at any of its pixels."""
    clicks = []
    for value in np.unique(labels[labels >= 0]):
        rows, columns = np.nonzero(labels == value)
        if len(rows) >= MIN_PIXELS:
            pick = rng.integers(len(rows))
            clicks.append((columns[pick], rows[pick]))
    return np.array(clicks, dtype=np.int64).reshape(-1, 2)


def clicks_on_some_parts(labels: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 2) int xy drawn as in the training, for shapes of very many parts; none where no part shows."""
    if (labels >= 0).sum() < MIN_PIXELS:
        return np.zeros((0, 2), dtype=np.int64)
    return draw_clicks((labels + 1).clip(0, 255), count, rng, minimum=MIN_PIXELS)


def iou(first: np.ndarray, second: np.ndarray) -> float:
    """Of two masks (H, W) bool; 0 if both are empty."""
    union = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / union if union else 0.0


# ---- clicks --------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Answers:
    """What a teacher says to P clicks on one view, and to corrective clicks.

    masks (P, 3, H, W) bool and scores (P, 3) after one click; more: mask 0, (P, H, W) bool, after two and after three
    corrections: for the second and the third click xy (P, 2) float and label (P,)
    """

    masks: np.ndarray
    scores: np.ndarray
    more: list[np.ndarray]
    corrections: list[tuple[np.ndarray, np.ndarray]]


def ask(
    teacher: Teacher,
    embedding: Tensor,
    clicks: np.ndarray,
    truth: np.ndarray,
    generator: torch.Generator,
    corrections: int = 2,
) -> Answers:
    """Prompt one embedding with clicks (P, 2) xy, then correct mask 0 towards truth (P, H, W) bool, showing the teacher mask 0's logits.

    A corrective click lies in the larger of the missed and the wrongly included area, at random but rather inside it.
    """
    size = truth.shape[1:]
    points = torch.from_numpy(clicks).float()[:, None] + 0.5
    labels = torch.ones(len(clicks), 1)
    answer = teacher.segment(embedding, points, labels, size)
    masks, scores = answer.masks().cpu().numpy(), answer.scores.float().cpu().numpy()
    more, made = [], []
    current = torch.from_numpy(masks[:, 0]).float() - 0.5
    for _ in range(corrections):
        xy, label = corrective_clicks(current, torch.from_numpy(truth).float(), generator)
        made.append((xy.numpy(), label.numpy()))
        points = torch.cat([points, xy[:, None] + 0.5], 1)
        labels = torch.cat([labels, label[:, None].float()], 1)
        answer = teacher.segment(embedding, points, labels, size, answer.logits[:, :1])
        mask = answer.masks(0).cpu()
        more.append(mask.numpy())
        current = mask.float() - 0.5
    return Answers(masks, scores, more, made)


def click_rows(teacher: Teacher, views: ShapeViews, clicks: list[np.ndarray], seed: int, baselines: bool) -> list[dict]:
    """A row for each click: plain numbers and lists, for JSON.

    ious: of the three masks with each of the L labellings at the click, (3, L); scores (3,); second, third: IoU of mask 0 after corrections;
    area: pixels of the part; sizes: of the masks (3,); inside: |1 in 0| / |1|, |0 in 2| / |0|; others: IoU of the other labellings' part at
    the click with the clicked part; baselines: name -> IoU for each of its parameters.
    """
    embeddings = teacher.embed(views.images)
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for view, of_view in enumerate(clicks):
        if not len(of_view):
            continue
        labels = views.labels[:, view]
        truth = np.stack([labels == labels[:, y, x][:, None, None] for x, y in of_view])  # (P, L, H, W)
        answers = ask(teacher, embeddings[view], of_view, truth[:, 0], generator)
        picture = ViewImage(views.images[view].numpy(), views.depth[view])
        for index, (x, y) in enumerate(of_view.tolist()):
            masks, part = answers.masks[index], truth[index, 0]
            row = {
                "view": view,
                "x": x,
                "y": y,
                "area": int(part.sum()),
                "scores": answers.scores[index].tolist(),
                "ious": [[iou(mask, other) for other in truth[index]] for mask in masks],
                "second": iou(answers.more[0][index], part),
                "third": iou(answers.more[1][index], part),
                "sizes": [int(mask.sum()) for mask in masks],
                "areas": [int(other.sum()) for other in truth[index]],
                "inside": [_share(masks[1], masks[0]), _share(masks[0], masks[2])],
                "others": [iou(part, other) for other in truth[index, 1:]],
            }
            if baselines:
                row["baselines"] = {
                    name: [iou(method(picture, x, y, value), part) for value in values]
                    for name, (method, values) in BASELINES.items()
                }
            rows.append(row)
    return rows


def _share(part: np.ndarray, whole: np.ndarray) -> float:
    """Which share of `part` lies in `whole`; 1 if there is no part."""
    return np.count_nonzero(part & whole) / max(np.count_nonzero(part), 1) if part.any() else 1.0


# ---- embedding as a feature field ----------------------------------------------------------------------------------------------


def affinity(teacher: Teacher, views: ShapeViews, rng: np.random.Generator) -> dict[str, list[float]] | None:
    """How well the cosine similarity of two cells of the embedding tells whether they show the same part.

    Returns for pairs within a view and pairs across two views [area under the ROC curve, mean similarity of the same part minus of others],
    the same with nearness in the image in place of similarity for pairs within a view, or None where a view shows no two parts.
    """
    features = teacher.embed(views.images).float().cpu()
    _, _, height, width = features.shape
    rows = ((torch.arange(height) + 0.5) * (VIEW_SIZE / height)).long()
    columns = ((torch.arange(width) + 0.5) * (VIEW_SIZE / width)).long()
    labels = views.labels[0][:, rows[:, None], columns[None]].reshape(len(features), -1)
    cells = []
    for view, of_view in enumerate(labels):
        covered = np.flatnonzero(of_view >= 0)
        chosen = rng.choice(covered, min(AFFINITY_CELLS, len(covered)), replace=False)
        vectors = torch.nn.functional.normalize(features[view].flatten(1)[:, chosen].T, dim=1)
        cells.append((vectors, of_view[chosen], np.stack([chosen // width, chosen % width], 1)))
    within, across, near = ([], []), ([], []), ([], [])
    for first, (a, label_a, place_a) in enumerate(cells):
        for second, (b, label_b, place_b) in enumerate(cells[first:], first):
            similarity, same = (a @ b.T).numpy(), label_a[:, None] == label_b[None]
            if first == second:
                pairs = np.triu_indices(len(a), 1)
                distance = np.linalg.norm(place_a[:, None] - place_b[None], axis=2)
                _extend(within, similarity[pairs], same[pairs])
                _extend(near, -distance[pairs], same[pairs])
            else:
                _extend(across, similarity.ravel(), same.ravel())
    results = {
        name: auc_and_margin(np.concatenate(values or [np.zeros(0)]), np.concatenate(same or [np.zeros(0, bool)]))
        for name, (values, same) in (("within", within), ("across", across), ("nearness_within", near))
    }
    return None if any(value is None for value in results.values()) else results


def _extend(pairs: tuple[list, list], values: np.ndarray, same: np.ndarray) -> None:
    pairs[0].append(values)
    pairs[1].append(same)


def auc_and_margin(values: np.ndarray, same: np.ndarray) -> list[float] | None:
    """Area under the ROC curve of `values` (N,) as a sign of `same` (N,) bool, ties counted half, and the difference of the means."""
    positive, negative = int(same.sum()), int((~same).sum())
    if not positive or not negative:
        return None
    ranks = rankdata(values)
    area = (ranks[same].sum() - positive * (positive + 1) / 2) / (positive * negative)
    return [float(area), float(values[same].mean() - values[~same].mean())]


# ---- summary -------------------------------------------------------------------------------------------------------------------


def one_click_values(row: dict) -> dict[str, float]:
    """The columns of the table for one click."""
    ious = [of_mask[0] for of_mask in row["ious"]]
    return {**dict(zip(MASKS, ious)), "best": ious[int(np.argmax(row["scores"]))], "oracle": max(ious)}


@dataclass(frozen=True, eq=False)
class Rows:
    """The clicks of several meshes. groups: the rows of each mesh; weights: of each row, alike."""

    groups: list[list[dict]]
    weights: list[np.ndarray]

    @classmethod
    def as_clicked(cls, groups: list[list[dict]]) -> Rows:
        """Every view counts the same, and in it a part by its visible area to the power `AREA_POWER`, as the training draws clicks."""
        return cls(groups, [_view_shares(rows) for rows in groups])

    @classmethod
    def all_alike(cls, groups: list[list[dict]]) -> Rows:
        """Every part that shows in a view counts the same, however small."""
        return cls(groups, [np.ones(len(rows)) for rows in groups])

    def mean(
        self, value: Callable[[dict], float | None], seed: int | None = None
    ) -> tuple[float | None, list[float] | None]:
        """Mean of value(row) over the rows where it is not None, and with a seed its 95 % interval when meshes are resampled (1,000 draws)."""
        values = [
            np.array([np.nan if (v := value(row)) is None else v for row in rows], dtype=float) for rows in self.groups
        ]
        sums = np.array([np.nansum(v * w) for v, w in zip(values, self.weights)])
        totals = np.array([w[~np.isnan(v)].sum() for v, w in zip(values, self.weights)])
        sums, totals = sums[totals > 0], totals[totals > 0]
        if not len(sums):
            return None, None
        if seed is None:
            return float(sums.sum() / totals.sum()), None
        picks = np.random.default_rng(seed).integers(0, len(sums), (1000, len(sums)))
        means = sums[picks].sum(1) / totals[picks].sum(1)
        return float(sums.sum() / totals.sum()), [float(np.quantile(means, q)) for q in (0.025, 0.975)]

    def where(self, keep: Callable[[dict], bool]) -> Rows:
        """The rows that are kept, with their weights."""
        marks = [np.array([keep(row) for row in rows], dtype=bool) for rows in self.groups]
        return Rows(
            [[row for row, k in zip(rows, mark) if k] for rows, mark in zip(self.groups, marks)],
            [w[mark] for w, mark in zip(self.weights, marks)],
        )

    def __len__(self) -> int:
        return sum(map(len, self.groups))


def _view_shares(rows: list[dict]) -> np.ndarray:
    weights = np.array([row["area"] ** AREA_POWER for row in rows], dtype=float)
    views = np.array([row["view"] for row in rows])
    for view in np.unique(views):
        weights[views == view] /= weights[views == view].sum()
    return weights


def summarise(rows: Rows, seed: int = 0) -> dict:
    """Means over clicks with 95 % intervals over meshes."""
    columns: dict[str, Callable[[dict], float | None]] = {
        name: (lambda row, name=name: one_click_values(row)[name]) for name in (*MASKS, "best", "oracle")
    }
    columns |= {
        "two_clicks": lambda row: row["second"],
        "three_clicks": lambda row: row["third"],
        "small_parts": lambda row: row["ious"][0][0] if row["area"] < SMALL_AREA else None,
        "oracle_minus_mask0": lambda row: max(of_mask[0] for of_mask in row["ious"]) - row["ious"][0][0],
    }
    measured = {name: rows.mean(value, seed) for name, value in columns.items()}
    means = {name: mean for name, (mean, _) in measured.items()}
    return dict(
        clicks=len(rows),
        small_clicks=len(rows.where(lambda row: row["area"] < SMALL_AREA)),
        one_click={name: means.pop(name) for name in (*MASKS, "best", "oracle")},
        **means,
        intervals={name: interval for name, (_, interval) in measured.items()},
        by_size={
            f"{low}-{high}": brief(rows.where(lambda row: low <= row["area"] < high))
            for low, high in itertools.pairwise(SIZES)
        },
        nesting=nesting([row for group in rows.groups for row in group]),
    )


def brief(rows: Rows) -> dict:
    """The main numbers of some clicks."""
    return {
        "clicks": len(rows),
        "mask0": rows.mean(lambda row: row["ious"][0][0])[0],
        "oracle": rows.mean(lambda row: max(of_mask[0] for of_mask in row["ious"]))[0],
        "two_clicks": rows.mean(lambda row: row["second"])[0],
    }


def by_category(rows: Rows, categories: list[str]) -> dict[str, dict]:
    """The main numbers of the meshes of each category."""
    return {
        name: brief(
            Rows(*zip(*[(group, w) for group, w, of in zip(rows.groups, rows.weights, categories) if of == name]))
        )
        for name in dict.fromkeys(categories)
    }


def nesting(rows: list[dict]) -> dict[str, float]:
    """How the three masks lie in one another: mean share of mask 1 in mask 0 and of mask 0 in mask 2, how often it is at least 90 %, and
    medians of the masks' sizes over that of mask 0."""
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
    """Each baseline with the parameter that suits these very clicks best (which flatters it), its interval, and all its parameters."""
    result = {}
    for name, (_, parameters) in BASELINES.items():
        measured = [rows.mean(lambda row: row["baselines"][name][index], seed) for index in range(len(parameters))]
        best = int(np.argmax([mean for mean, _ in measured]))
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
    """Mean absolute error of the predicted IoU, of mask 0 and of all three, and mask 0's bias. targets: for each mask the labelling it shows."""
    difference = np.array(
        [[score - ious[target] for score, ious, target in zip(row["scores"], row["ious"], targets)] for row in rows]
    )
    return {
        "mask0": float(np.abs(difference[:, 0]).mean()),
        "all_masks": float(np.abs(difference).mean()),
        "mask0_bias": float(difference[:, 0].mean()),
    }


def mask_levels(rows: list[dict], levels: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Mean IoU of each mask with each level of the hierarchy at the click; over the clicks where the first two levels differ by a fifth."""
    differ = [row for row in rows if min(row["areas"][:2]) < 0.8 * max(row["areas"][:2])]
    return dict(
        clicks=len(differ),
        **{
            mask: {
                level: float(np.mean([row["ious"][m][k] for row in differ])) if differ else None
                for k, level in enumerate(levels)
            }
            for m, mask in enumerate(MASKS)
        },
    )


def mean_affinity(values: list[dict[str, list[float]] | None]) -> dict | None:
    """Over shapes; None if no shape has two parts in view."""
    kept = [value for value in values if value is not None]
    if not kept:
        return None
    return {
        name: {
            "auc": float(np.mean([value[name][0] for value in kept])),
            "margin": float(np.mean([value[name][1] for value in kept])),
        }
        for name in kept[0]
    } | {"shapes": len(kept)}
