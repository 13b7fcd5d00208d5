"""Training data of the prior: synthetic shapes with known parts, reduced to what the network reads, in shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.prior.annotator import TrainingShape
from models.prior.checkpoint import check_teacher, load_prior
from models.prior.nodes import Patches, cut
from models.prior.points import embed_nodes
from models.prior.repeats import repeats
from models.prior.views import render_views
from SAM_repo.teacher import load_teacher
from utils.device import choose_device
from utils.errors import UserError
from utils.files import load_npz, load_torch, save_npz, save_torch
from utils.geometry.mesh import Mesh
from utils.options import SEED, Checked, TeacherSettings, option
from utils.progress import Progress, silent, track
from utils.shapes import Builder, LabelledMesh, compose, random_shape
from utils.shapes.builder import attach_loose_pieces
from utils.shapes.dress import dressed, turned_up
from utils.shapes.generate import RECIPES, warp
from utils.teacher import Teacher

FIELD = 64  # components of the embedding that are kept
TRAIN_VIEWS = 18
SHARD_SHAPES = 8
FIRST_SEED = 1_000_000
PROJECTION_SEEDS = range(900_000, 900_016)
# Shards that are never trained on: the first ones, and as many of the last as somebody makes.
HELD_OUT_BELOW, HELD_OUT_FROM = 3, 10_000
# Of shapes as the generator places them, and of these with the fewest triangles (a box has twelve); the others become
# one surface, as scans and models are.
PLACED_SHARE, COARSE_SHARE, COARSE = 0.45, 0.13, 0.2
TURNED_SHARE = 0.15  # of shapes whose up is another axis
SMALLEST = 0.005  # share of the area below which a part counts as a detail of its neighbour


@dataclass(frozen=True, kw_only=True)
class FolderSettings(Checked):
    """Where the files of a prior lie."""

    folder: Path = option(help="of the checkpoint and the log, and of the shards", group="folders and run")
    data: Path | None = option(None, "folder of the shards and the projection; default: --folder")
    device: str = option("auto", "auto, cpu or cuda")
    seed: int = option(0, "of all randomness of the training", within=SEED)

    @property
    def data_folder(self) -> Path:
        return self.data or self.folder


@dataclass(frozen=True, kw_only=True)
class DataSettings(FolderSettings, TeacherSettings):
    """Shapes to make."""

    shards: tuple[int, int] = option(
        (0, 100),
        f"of {SHARD_SHAPES} shapes each; those below {HELD_OUT_BELOW} and from {HELD_OUT_FROM} are for measuring, not "
        "for training",
        metavar=("FIRST", "END"),
        group="data",
    )
    families: tuple[str, ...] | None = option(None, "shapes of these families alone", metavar="FAMILY")
    init: Path | None = option(None, "use the projection of these exported weights", metavar="FILE")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_families(self.families or ())


def check_families(names: tuple[str, ...]) -> None:
    """UserError for the first that is no family of shapes."""
    for name in names:
        if name not in RECIPES:
            raise UserError(f"no family of shapes is called {name}; there are {', '.join(sorted(RECIPES))}")


@dataclass(frozen=True, eq=False)
class Projection:
    """From the teacher's embedding to the field: mean (D,), components (D, FIELD), and the teacher's name."""

    mean: Tensor
    components: Tensor
    teacher: str

    @classmethod
    def load(cls, folder: Path) -> Projection:
        """The one that the shapes in `folder` were made with."""
        return cls(**load_torch(folder / "projection.pt", what="projection of the embedding"))


def make_data(settings: DataSettings, on_progress: Progress = silent, teacher: Teacher | None = None) -> None:
    """Make the shards that are missing; several runs with different shards may share a folder.

    teacher: in place of the one that `settings.SAM` names. Raises UserError if the folder holds shapes of another.
    """
    teacher = teacher or load_teacher(settings.SAM, device=choose_device(settings.device))
    folder = settings.data_folder
    if not (folder / "projection.pt").is_file():
        save_torch(folder / "projection.pt", vars(_first_projection(settings.init, teacher)))
    projection = Projection.load(folder)
    if projection.teacher != teacher.name:
        raise UserError(
            f"{folder} holds shapes of another teacher, {projection.teacher}; choose another folder or --SAM"
        )
    shards = range(*settings.shards)
    for shard in track(shards, "shapes", on_progress, len(shards), unit="shard"):
        write_shard(folder, shard, teacher, projection, settings.families)


def _first_projection(init: Path | None, teacher: Teacher) -> Projection:
    if init is None:
        return fit_projection(teacher, PROJECTION_SEEDS)
    _, held = load_prior(init)  # weights that training is to begin with read the embedding through their own
    check_teacher(held, teacher)
    return Projection(held["field_mean"].float(), held["field_components"].float(), teacher.name)


def labelled_shape(seed: int, families: tuple[str, ...] | None = None) -> LabelledMesh:
    """A random shape in the dress of somebody's file: of components, of few long triangles, or one closed surface;
    then whole and tidy, or as `utils.shapes.dress` has it."""
    rng = np.random.default_rng([seed, 5])
    shape = _undressed(seed, rng, families)
    if rng.random() < TURNED_SHARE:
        shape = turned_up(shape, rng)
    return dressed(shape, rng)


def _undressed(seed: int, rng: np.random.Generator, families: tuple[str, ...] | None) -> LabelledMesh:
    draw = rng.random()
    if draw < PLACED_SHARE + COARSE_SHARE:
        return random_shape(seed, families, detail=COARSE if draw < COARSE_SHARE else None)
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
    if not builder.floating:
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
    seed: int, teacher: Teacher, projection: Projection, families: tuple[str, ...] | None = None
) -> dict[str, np.ndarray]:
    """Arrays of one shape (N nodes, E pairs), as `models.prior.annotator.TrainingShape` reads them."""
    shape = labelled_shape(seed, families)
    mesh = Mesh(shape.vertices, shape.faces)
    patches = cut(mesh)
    graph = patches.graph
    views = render_views(patches, teacher, TRAIN_VIEWS, seed)
    features = views.features(projection.components, projection.mean)
    part, group = (majority(labels[patches.fine.parent], patches) for labels in (shape.part, shape.group))
    named, (same, similar) = part, repeats(shape)
    border = graph.conductance[:, 0] * graph.length[:, 0]
    part, group = without_details(part, group, graph.area, graph.pairs, border)
    above = levels_over(group, [majority(labels[patches.fine.parent], patches) for labels in shape.above], graph.area)
    halves = ("normal", "curvature", "thickness", "length", "conductance", "modes")
    return {
        "seed": np.array(seed),
        "family": np.array(shape.family),
        "position": graph.position,
        "area": graph.area,
        "rates": graph.rates,
        **{name: getattr(graph, name).astype(np.float16) for name in halves},
        "features": features.astype(np.float16),
        "seen": views.seen.astype(np.float16),
        "embedding": embed_nodes(mesh, graph).astype(np.float16),
        "pairs": graph.pairs.astype(np.int16),
        "walls": graph.walls.astype(np.int16),
        "component": graph.component.astype(np.int16),
        "part": part.astype(np.int16),
        "group": group.astype(np.int16),
        "above": above.astype(np.int16),
        "named": named.astype(np.int16),
        "same": same,
        "similar": similar,
    }


def majority(labels: np.ndarray, patches: Patches) -> np.ndarray:
    """(N,) the label (E,) of fine faces that has most of each node's area."""
    size, count = len(patches.graph), int(labels.max()) + 1
    votes = np.bincount(patches.node * count + labels, patches.fine.area, size * count)
    return votes.reshape(size, count).argmax(axis=1)


def most_of(coarse: np.ndarray, group: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Coarser labels (N,) that are unions of the groups (N,): each group has the label of most of its area."""
    votes = np.zeros((group.max() + 1, coarse.max() + 1))
    np.add.at(votes, (group, coarse), area + 1e-9)
    return votes.argmax(axis=1)[group]


def levels_over(group: np.ndarray, levels: list[np.ndarray], area: np.ndarray) -> np.ndarray:
    """(L, N) int64 levels from fine to coarse, each made a union of those below it, the first of the groups (N,)."""
    above = [group]
    for labels in levels:
        above.append(most_of(labels, above[-1], area))
    return np.array(above[1:], dtype=np.int64).reshape(len(levels), len(group))


def without_details(
    part: np.ndarray, group: np.ndarray, area: np.ndarray, pairs: np.ndarray, border: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Parts (N,) without those below `SMALLEST` of the area, and the groups (N,) that follow them; numbered from 0.

    A small part goes to the neighbour with the longest border, first of the same group. One whose group lies apart
    from it (a key among keys) goes to the smallest other part of that group, so that the group stays what it is.
    """
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
        mates = [o for o in np.flatnonzero(present) if o != label and np.bincount(group[part == o]).argmax() == home]
        if mates and not np.isin(mates, other).any():
            part[nodes_of] = mates[int(sizes[mates].argmin())]
            continue
        owner = np.array([np.bincount(group[part == o]).argmax() for o in np.unique(other)])
        score = np.bincount(other, border[crossing])[np.unique(other)] + 1e3 * (owner == home)
        part[nodes_of] = np.unique(other)[score.argmax()]
    part = np.unique(part, return_inverse=True)[1]
    group = most_of(group, part, area)
    return part, np.unique(group, return_inverse=True)[1]


def write_shard(
    folder: Path, shard: int, teacher: Teacher, projection: Projection, families: tuple[str, ...] | None = None
) -> None:
    """Make the shapes of one shard unless it is there. A shape that fails is left out."""
    path = folder / f"shapes_{shard:05d}.npz"
    if path.is_file():
        return
    examples = []
    for seed in range(FIRST_SEED + shard * SHARD_SHAPES, FIRST_SEED + (shard + 1) * SHARD_SHAPES):
        try:
            examples.append(make_example(seed, teacher, projection, families))
        except (ValueError, RuntimeError, ArithmeticError) as error:
            print(f"shape {seed} left out: {error}")
    arrays = {f"{place}/{key}": value for place, example in enumerate(examples) for key, value in example.items()}
    save_npz(path, compressed=False, **arrays)


def read_shard(path: Path) -> list[dict[str, np.ndarray]]:
    """The shapes of a shard."""
    examples: dict[int, dict[str, np.ndarray]] = {}
    for name, value in load_npz(path, "shard of shapes").items():
        place, key = name.split("/", 1)
        examples.setdefault(int(place), {})[key] = value
    return [examples[place] for place in sorted(examples)]


class Shapes:
    """The shapes that are on disk, for training and held out; `refresh` takes up shards that have come since.

    known: the numbers of the shards, in the order in which they were taken up
    """

    def __init__(self, folder: Path, hold_out: Sequence[str], device: torch.device, known: Sequence[int] = ()) -> None:
        self.folder, self.hold_out, self.device = folder, hold_out, device
        self.known: list[int] = []
        self.training: list[TrainingShape] = []
        self.held_out: list[TrainingShape] = []
        for shard in known:
            self._take(shard)
        self.refresh()

    def refresh(self) -> None:
        for shard in sorted(int(path.stem.split("_")[1]) for path in self.folder.glob("shapes_*.npz")):
            if shard not in self.known:
                self._take(shard)

    def _take(self, shard: int) -> None:
        self.known.append(shard)
        path = self.folder / f"shapes_{shard:05d}.npz"
        for example in read_shard(path):
            if "embedding" not in example:
                raise UserError(f"{path} was made by an earlier version: remove it, or choose another --data")
            shape = TrainingShape(example, self.device)
            if shard < HELD_OUT_BELOW or shard >= HELD_OUT_FROM:
                self.held_out.append(shape)
            elif shape.family not in self.hold_out:
                self.training.append(shape)


def fit_projection(teacher: Teacher, seeds: range) -> Projection:
    """From the embeddings lifted to some shapes' nodes: principal components, each scaled to deviation 1."""
    samples = []
    for seed in seeds:
        shape = labelled_shape(seed)
        samples.append(render_views(cut(Mesh(shape.vertices, shape.faces)), teacher, 10, seed).features())
    values = torch.from_numpy(np.concatenate(samples))
    mean = values.mean(dim=0)
    _, scale, basis = torch.linalg.svd(values - mean, full_matrices=False)
    scale = scale[:FIELD] / len(values) ** 0.5
    held = float((scale**2).sum() / (values - mean).pow(2).sum(1).mean())
    print(f"field: {FIELD} components hold {held:.3f} of the variance")
    return Projection(mean, basis[:FIELD].T / scale.clamp(min=1e-3), teacher.name)
