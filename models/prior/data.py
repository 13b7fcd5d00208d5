"""Training data of the prior: synthetic shapes with known parts, reduced to what the network reads, in resumable shards."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from scipy.sparse.csgraph import dijkstra

from models.prior.nodes import Patches
from models.prior.views import NodeViews
from utils.files import load_npz, save_npz
from utils.geometry.mesh import Mesh
from utils.shapes import Builder, LabelledMesh, compose, random_shape
from utils.shapes.builder import attach_loose_pieces
from utils.shapes.generate import RECIPES, warp
from utils.teacher import Teacher

FIELD = 64  # components of the embedding that are kept
TRAIN_VIEWS = 18
TRAIN_PROMPTED = 5
TRAIN_CLICKS = 16
SHARD_SHAPES = 8
PLACED_SHARE = (
    0.35  # shapes taken as the generator places them; the others become one surface, as scanned and modelled meshes are
)
SMALLEST = 0.012  # share of the area below which a part counts as a detail of its neighbour
PLACES = re.compile(
    r"\b(left|right|front|hind|rear|back|middle|mid|[a-z]|-?[0-9.]+)\b"
)  # words of a name that say which of several alike parts


def labelled_shape(seed: int, families: tuple[str, ...] | None = None) -> LabelledMesh:
    """A random shape, most often fused into one closed surface."""
    rng = np.random.default_rng([seed, 5])
    if rng.random() < PLACED_SHARE:
        return random_shape(seed, families)
    for _ in range(6):
        try:
            return _fused(rng, families or tuple(RECIPES))
        except ValueError:  # thinner than the grid: draw again
            continue
    return random_shape(seed, families)


def _fused(rng: np.random.Generator, families: tuple[str, ...]) -> LabelledMesh:
    weights = np.array([RECIPES[name][2] for name in families])
    family = families[rng.choice(len(families), p=weights / weights.sum())]
    recipe, smooth_share, _ = RECIPES[family]
    softness = rng.choice([0.15, 0.5, 0.9, 1.3]) if rng.random() < smooth_share else rng.choice([0.0, 0.05, 0.1])
    builder = Builder(rng, smooth=True, softness=float(softness), detail=1.0)
    recipe(builder)
    attach_loose_pieces(builder.pieces)
    for piece in builder.pieces:
        piece.cluster = 0
    coarse = int(np.exp(rng.uniform(np.log(1500), np.log(9000)))) if rng.random() < 0.5 else None
    shape = compose(
        builder, int(np.exp(rng.uniform(np.log(55), np.log(110)))), family, max_cells=500_000, coarse_vertices=coarse
    )
    warp(shape, rng)
    if len(shape.faces) < 200 or not np.isfinite(shape.vertices).all():
        raise ValueError("too little is left")
    return shape


def make_example(
    seed: int,
    teacher: Teacher,
    projection: tuple[torch.Tensor, torch.Tensor] | None,
    families: tuple[str, ...] | None = None,
    prompted: int = 0,
) -> dict[str, np.ndarray]:
    """Arrays of one shape (N nodes, E pairs, C clicks); `projection` is (mean (D,), components (D, FIELD)).

    prompted: views that the teacher is asked for masks in, for TRAIN_CLICKS clicks (half the time a shape takes); 0: no clicks are
    prompted, C = 0. part_kind, group_kind: for each label a number that alike parts share, as the legs of a chair do.
    """
    shape = labelled_shape(seed, families)
    patches = Patches(Mesh(shape.vertices, shape.faces))
    graph = patches.graph
    views = NodeViews.render(patches, teacher, TRAIN_VIEWS, seed)
    features = views.features() if projection is None else views.features(projection[1], projection[0])
    part, group = first = tuple(majority(labels[patches.parent], patches) for labels in (shape.part, shape.group))
    part, group = without_details(
        part, group, graph.area * (views.seen > 0), graph.pairs, graph.conductance[:, 0] * graph.length[:, 0]
    )
    kinds = [
        kinds_of(new, old, names, graph.area)
        for new, old, names in zip((part, group), first, (shape.names["part"], shape.names["group"]))
    ]
    clicks = (
        choose_clicks(part, views.seen > 0, patches, np.random.default_rng([seed, 6]))
        if prompted
        else np.zeros(0, dtype=np.int64)
    )
    masks = views.click_masks(patches.center[clicks], prompted) if prompted else np.zeros((0, len(graph), 4))
    return {
        "seed": np.array(seed),
        "family": np.array(shape.family),
        "position": graph.position,
        "normal": graph.normal.astype(np.float16),
        "area": graph.area,
        "curvature": graph.curvature.astype(np.float16),
        "thickness": graph.thickness.astype(np.float16),
        "pairs": graph.pairs.astype(np.int16),
        "length": graph.length.astype(np.float16),
        "conductance": graph.conductance.astype(np.float16),
        "modes": graph.modes.astype(np.float16),
        "rates": graph.rates,
        "features": features.astype(np.float16),
        "seen": views.seen.astype(np.float16),
        "part": part.astype(np.int16),
        "group": group.astype(np.int16),
        "part_kind": kinds[0].astype(np.int16),
        "group_kind": kinds[1].astype(np.int16),
        "clicks": clicks.astype(np.int16),
        "masks": np.round(masks * 255).astype(np.uint8),
    }


def kinds_of(labels: np.ndarray, named: np.ndarray, names: list[str], area: np.ndarray) -> np.ndarray:
    """(L,) for each of `labels` (N,) a number of what it is, the same for parts whose names differ only in which of several they are.

    named (N,): labels that index `names`; a label is called by the name that has most of its area.
    """
    votes = np.zeros((int(labels.max()) + 1, len(names)))
    np.add.at(votes, (labels, named), area)
    plain = [" ".join(PLACES.sub(" ", name).split()) or name for name in names]
    return np.unique(np.array(plain)[votes.argmax(axis=1)], return_inverse=True)[1]


def majority(labels: np.ndarray, patches: Patches) -> np.ndarray:
    """(N,) the label (E,) of fine faces that has most of each node's area."""
    size, count = len(patches.graph), int(labels.max()) + 1
    votes = np.bincount(patches.node * count + labels, patches.areas, size * count)
    return votes.reshape(size, count).argmax(axis=1)


def without_details(
    part: np.ndarray, group: np.ndarray, area: np.ndarray, pairs: np.ndarray, border: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Parts (N,) with those below `SMALLEST` of the area given to the neighbour with the longest border, first of the same
    group, and the groups (N,) that follow them; numbered from 0."""
    part, total = part.copy(), area.sum()
    for _ in range(200):
        sizes = np.bincount(part, area)
        present = np.bincount(part) > 0
        small = np.flatnonzero(present & (sizes < SMALLEST * total))
        if len(small) == 0:
            break
        label = small[sizes[small].argmin()]
        ends = part[pairs]
        crossing = (ends == label).any(axis=1) & (ends[:, 0] != ends[:, 1])
        if not crossing.any():
            sizes[label] = np.inf
            if len(small) == 1:
                break
            part[part == label] = part[np.flatnonzero(part != label)[0]]
            continue
        other = ends[crossing].sum(axis=1) - label
        nodes_of = np.flatnonzero(part == label)
        home = np.bincount(group[nodes_of]).argmax()
        owner = np.array([np.bincount(group[part == o]).argmax() for o in np.unique(other)])
        score = np.bincount(other, border[crossing])[np.unique(other)] + 1e3 * (owner == home)
        part[nodes_of] = np.unique(other)[score.argmax()]
    part = np.unique(part, return_inverse=True)[1]
    votes = np.zeros((part.max() + 1, group.max() + 1))
    np.add.at(votes, (part, group), area + 1e-9)
    group = votes.argmax(axis=1)[part]
    return part, np.unique(group, return_inverse=True)[1]


def depth_inside(region: np.ndarray, graph) -> np.ndarray:
    """(N,) distance of the nodes of `region` (N,) bool to its border, 0 outside; all 1 if there is no outside."""
    ends = region[graph.pairs]
    crossing = ends[:, 0] != ends[:, 1]
    border = np.unique(graph.pairs[crossing][~ends[crossing]])
    if len(border) == 0:
        return region.astype(np.float64)
    depth = np.minimum(dijkstra(graph.distance_graphs[0], indices=border, min_only=True), 8.0)
    return np.where(region, depth, 0.0)


def choose_clicks(part: np.ndarray, seen: np.ndarray, patches: Patches, rng: np.random.Generator) -> np.ndarray:
    """(C,) distinct nodes: the middles of up to nine parts, drawn by the root of their area, then any visible ones by area."""
    area = patches.graph.area * seen
    labels = np.unique(part[seen])
    weight = np.sqrt([area[part == label].sum() for label in labels]) + 1e-9
    chosen: list[int] = []
    for label in rng.choice(labels, size=min(9, len(labels)), replace=False, p=weight / weight.sum()):
        chosen.append(int(depth_inside((part == label), patches.graph).__mul__(seen).argmax()))
    rest = area.astype(np.float64).copy()
    rest[chosen] = 0
    count = min(TRAIN_CLICKS - len(chosen), int((rest > 0).sum()))
    chosen += rng.choice(len(rest), size=count, replace=False, p=rest / rest.sum()).tolist()
    return np.array(list(dict.fromkeys(chosen)), dtype=np.int64)


def shard_path(folder: Path, shard: int) -> Path:
    return folder / f"shapes_{shard:05d}.npz"


def write_shard(
    folder: Path, shard: int, teacher: Teacher, projection, first_seed: int, families=None, prompted: int = 0
) -> int:
    """Make the shapes of one shard unless it is there; returns how many it holds. A shape that fails is left out."""
    path = shard_path(folder, shard)
    if path.is_file():
        return 0
    arrays, held = {}, 0
    for seed in range(first_seed + shard * SHARD_SHAPES, first_seed + (shard + 1) * SHARD_SHAPES):
        try:
            example = make_example(seed, teacher, projection, families, prompted)
        except (ValueError, RuntimeError, ArithmeticError) as error:
            print(f"shape {seed} left out: {error}")
            continue
        arrays |= {f"{held}/{key}": value for key, value in example.items()}
        held += 1
    save_npz(path, compressed=False, **arrays)
    return held


def read_shard(path: Path) -> list[dict[str, np.ndarray]]:
    """The shapes of a shard."""
    arrays = load_npz(path, "shard of shapes")
    count = 1 + max((int(name.split("/")[0]) for name in arrays), default=-1)
    return [
        {name.split("/", 1)[1]: value for name, value in arrays.items() if name.startswith(f"{k}/")}
        for k in range(count)
    ]


def fit_projection(teacher: Teacher, seeds: range) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean (D,) and components (D, FIELD) of the embeddings lifted to some shapes' nodes, each component scaled to deviation 1."""
    samples = []
    for seed in seeds:
        shape = labelled_shape(seed)
        patches = Patches(Mesh(shape.vertices, shape.faces))
        samples.append(NodeViews.render(patches, teacher, 10, seed).features())
    values = torch.from_numpy(np.concatenate(samples))
    mean = values.mean(dim=0)
    _, scale, basis = torch.linalg.svd(values - mean, full_matrices=False)
    scale = scale[:FIELD] / len(values) ** 0.5
    print(
        f"field: {FIELD} components hold {float((scale**2).sum() / (values - mean).pow(2).sum(1).mean()):.3f} of the variance"
    )
    return mean, basis[:FIELD].T / scale.clamp(min=1e-3)
