"""Answers clicks on a mesh it has never seen, with a decoder trained once on many synthetic shapes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from models.prior.answers import NodeAnswers, ask_around, blend
from models.prior.borders import Borders
from models.prior.checkpoint import REFINED, WEIGHTS, check_teacher, load_prior
from models.prior.components import Components
from models.prior.inputs import NodeTensors
from models.prior.joins import WEIGHTS as JOINS
from models.prior.judge import WEIGHTS as JUDGE
from models.prior.judge import load_judge
from models.prior.nodes import NODES, NodeGraph, Patches, cut
from models.prior.parts import PARTS_VERSION, PriorPartTree
from models.prior.points import embed_nodes
from models.prior.taught import LiftedMasks, TaughtVotes
from models.prior.tree import NodeTree, grow_tree
from models.prior.views import IMAGE_SIZE, VIEWS, NodeViews, render_views
from models.prior.votes import VOTERS, Votes
from utils.clicks import Clicks
from utils.errors import UserError
from utils.files import digest, load_npz, save_npz
from utils.geometry.mesh import Mesh
from utils.geometry.part_tree import PartTree
from utils.progress import Progress, Step, silent
from utils.segmenter import Candidates, Segmenter
from utils.selection import obey, pairwise_iou
from utils.teacher import Teacher

SAME_FACET = 0.75  # IoU on nodes from which on a rung is the facet that was clicked, and is drawn as that
SAME_SIZE = 0.03  # nested rungs whose areas differ by less are one
SPLINTER = 0.002  # share of the area below which an answer is no rung of the ladder unless it is the default
ANSWERS_VERSION = 18  # of what is made of the network's answers; counts up where measured results would change


@dataclass(frozen=True, eq=False)
class Prepared:
    """What the prior knows of a mesh before any click.

    weights   the file of the network; refined: on this mesh alone; identity: digest of it and of the teacher
    seen      (N,) float32, share of the views that show each node
    """

    patches: Patches
    answers: NodeAnswers
    seen: np.ndarray
    weights: Path
    refined: bool
    identity: str

    @cached_property
    def borders(self) -> Borders:
        return Borders(self.patches)

    @cached_property
    def face_of_vertex(self) -> np.ndarray:
        """(V,) int64, the largest fine face at each vertex of the mesh; -1 where there is none."""
        fine, count = self.patches.fine, self.patches.mesh.num_vertices
        faces = np.full(count, -1, dtype=np.int64)
        order = np.argsort(fine.area)  # the largest is written last
        corners = fine.mesh.faces[order]
        for corner in range(3):
            on_mesh = corners[:, corner] < count
            faces[corners[on_mesh, corner]] = order[on_mesh]
        return faces


def prepare(
    mesh: Mesh,
    teacher: Teacher,
    cache_dir: str | Path | None = None,
    weights: str | Path = WEIGHTS,
    *,
    views: int = VIEWS,
    voters: int = VOTERS,
    on_progress: Progress = silent,
) -> Prepared:
    """Cut a mesh into nodes, render and embed it, and ask around.

    teacher    the 2D model that embeds its views; the weights belong to one kind of teacher
    cache_dir  folder where the embedded views and the votes are kept between runs; None: nothing is kept
    weights    file written by `scripts/train_prior.py export` or by the refinement
    views      how many are embedded
    voters     clicks whose answers vote on what a single click means (`models.prior.votes`); 0: no vote

    Raises UserError if the weights or the judge are missing, damaged, of another teacher, or refined on another mesh.
    """
    weights = Path(weights)
    (network, held), judge = load_prior(weights), load_judge()
    check_teacher(held, teacher)
    if held.get("mesh_digest") not in (None, mesh.digest):
        raise UserError(
            f"{weights} was refined on another mesh than {mesh.path}; give that mesh, or refine the prior on this one"
        )
    on_progress(Step("cut the mesh", 0, 1))
    patches, file = cut(mesh), weights.read_bytes()
    on_progress(Step("look at the mesh", 0, 1))

    def kept(name: str, settings: tuple, make: Callable[[], dict], restore: Callable):
        """What `restore` makes of the arrays that `make` gives, or that an earlier run with these settings kept."""
        if cache_dir is None:
            return restore(make())
        key = digest(mesh.digest, teacher.name, NODES, IMAGE_SIZE, patches.node, *map(str, settings))
        return _kept(Path(cache_dir) / f"{name}_{key}.npz", make, restore)

    def seen_from(arrays: dict[str, np.ndarray]) -> NodeViews:
        return NodeViews(len(patches.graph), patches.graph.pairs, arrays["sight"], arrays["embeddings"])

    lifted = kept("prior_views", (views,), lambda: _arrays(render_views(patches, teacher, views)), seen_from)
    patches.fine.without_scene()
    features = lifted.features(held["field_components"].float(), held["field_mean"].float())
    tensors = NodeTensors.of(patches.graph, features, lifted.seen, embed_nodes(mesh, patches.graph))
    answers = NodeAnswers(patches.graph, network, tensors)
    on_progress(Step("ask around", 0, 1))
    if voters:
        settings = (views, voters, held["run"]["prior"] if "lifted" in held else digest(file))
        ask = partial(ask_around, answers, lifted.seen, voters, teacher.fast)
        votes = kept("prior_votes", settings, lambda: vars(ask()), lambda a: Votes(**a))
        votes = _taught(votes, held, weights, patches.graph)
        settings = (*settings, digest(file, JOINS.read_bytes()), PARTS_VERSION)
        grow = partial(grow_tree, patches.graph, tensors, votes)
        tree = kept("prior_tree", settings, lambda: vars(grow()), lambda a: NodeTree(**a))
        answers = replace(answers, votes=votes, tree=tree, judge=judge)
    identity = digest(file, JUDGE.read_bytes(), JOINS.read_bytes(), teacher.name)
    return Prepared(patches, answers, lifted.seen, weights, held.get("kind") == REFINED, identity)


Ask = Callable[[np.ndarray, np.ndarray], Candidates]  # clicked fine faces and their signs -> answers on fine faces


class PriorSegmenter(Segmenter):
    """The prior decoder, prepared for one mesh. `PriorSegmenter.prepare` takes what `prepare` does."""

    kind = "prior"
    label = "prior decoder"
    nested = True

    def __init__(self, prepared: Prepared) -> None:
        super().__init__(prepared.patches.mesh)
        self.prepared, self.patches, self.identity = prepared, prepared.patches, prepared.identity
        if prepared.refined:
            self.kind, self.label = "trained", "prior decoder refined on this mesh"
            self.sources = {"checkpoint": str(prepared.weights)}

    @classmethod
    def prepare(
        cls,
        mesh: Mesh,
        teacher: Teacher,
        cache_dir: str | Path | None = None,
        weights: str | Path = WEIGHTS,
        *,
        views: int = VIEWS,
        voters: int = VOTERS,
        on_progress: Progress = silent,
    ) -> PriorSegmenter:
        return cls(prepare(mesh, teacher, cache_dir, weights, views=views, voters=voters, on_progress=on_progress))

    # --- vertices --------------------------------------------------------------------------------

    def probability(self, clicks: Clicks, granularity: float | None = None) -> np.ndarray:
        """(V,) float32 probability of being selected, in the mesh's vertex order; above 0.5 is selected.

        granularity: 0 finer, 0.5 (or None) default, 1 coarser, continuous between. Raises UserError for clicks that
        cannot be asked of this mesh (`Clicks.validate`, and clicks on vertices that no face uses).
        """
        return self._on_vertices(clicks, granularity, every=False).probability[0]

    def candidates(self, clicks: Clicks) -> Candidates:
        """The three nested answers; see `probability` for errors."""
        return self._on_vertices(clicks)

    def ladder(self, clicks: Clicks) -> Candidates:
        """Up to six nested answers; see `probability` for errors."""
        found = self._on_vertices(clicks, ask=self._rungs)
        return found.distinct() if len(clicks) == 1 else found

    def _on_vertices(
        self, clicks: Clicks, granularity: float | None = None, every: bool = True, ask: Ask | None = None
    ) -> Candidates:
        clicks = clicks.validate(self.num_vertices).distinct()
        faces, signs = self.prepared.face_of_vertex[clicks.vertices.numpy()], clicks.positive.numpy()
        if (faces < 0).any():
            lone = int(clicks.vertices[int(np.argmin(faces))])
            raise UserError(f"vertex {lone} belongs to no face of the mesh: click another")
        fine = ask(faces, signs) if ask else self._on_fine_faces(faces, signs, granularity, every)
        result = (self._vertex_means @ fine.probability.T).T
        result = obey(result, clicks.positives.numpy(), clicks.negatives.numpy())
        return Candidates(result.astype(np.float32), fine.quality, fine.default)

    @cached_property
    def _vertex_means(self) -> sp.csr_matrix:
        """(V, E): means over the fine faces at each vertex, by area."""
        corners, size = self.patches.fine.mesh.faces, self.patches.fine.mesh.num_vertices
        member = np.repeat(np.arange(len(corners)), 3)
        return weighted_means(corners.ravel(), member, self.patches.fine.area, size)[: self.num_vertices]

    # --- faces -----------------------------------------------------------------------------------

    def face_probability(self, faces: np.ndarray, positive: np.ndarray, granularity: float | None = None) -> np.ndarray:
        """(F,) float32 probability for clicks on faces (C,) int64, positive (C,) bool."""
        return self._on_faces(faces, positive, granularity, every=False).probability[0]

    def face_candidates(self, faces: np.ndarray, positive: np.ndarray) -> Candidates:
        """As `candidates`, on faces: probability (3, F)."""
        return self._on_faces(faces, positive)

    def face_ladder(self, faces: np.ndarray, positive: np.ndarray) -> Candidates:
        """As `ladder`, on faces: probability (K, F)."""
        positive = np.asarray(positive, dtype=bool)
        found = self._means_of(self._rungs(self._fine_of(faces), positive), faces, positive)
        return found.distinct() if len(faces) == 1 else found

    def _on_faces(
        self, faces: np.ndarray, positive: np.ndarray, granularity: float | None = None, every: bool = True
    ) -> Candidates:
        positive = np.asarray(positive, dtype=bool)
        fine = self._on_fine_faces(self._fine_of(faces), positive, granularity, every)
        return self._means_of(fine, faces, positive)

    def _means_of(self, fine: Candidates, clicked: np.ndarray, positive: np.ndarray) -> Candidates:
        """On the mesh's faces; the clicked ones obey, also where most of their fine faces do not."""
        result = (self._face_means @ fine.probability.T).T.astype(np.float32)
        result = obey(result, clicked[positive], clicked[~positive])
        return Candidates(result, fine.quality, fine.default)

    def _fine_of(self, faces: np.ndarray) -> np.ndarray:
        """For each face of the mesh the fine face nearest its middle."""
        middle = self.mesh.vertices[self.mesh.faces[faces]].mean(axis=1)
        fine, result = self.patches.fine, []
        for face, point in zip(faces, (middle - self.mesh.center) / self.mesh.scale):
            pieces = np.flatnonzero(fine.parent == face)
            corners = fine.mesh.vertices[fine.mesh.faces[pieces]].mean(axis=1)
            result.append(pieces[((corners - point) ** 2).sum(axis=1).argmin()])
        return np.array(result, dtype=np.int64)

    @cached_property
    def _face_means(self) -> sp.csr_matrix:
        """(F, E): means over the fine faces of each face, by area."""
        fine = self.patches.fine
        return weighted_means(fine.parent, np.arange(len(fine)), fine.area, self.mesh.num_faces)

    # --- parts without a click -------------------------------------------------------------------

    @cached_property
    def part_tree(self) -> PartTree:
        """Nested parts of the whole mesh, from the answers to the clicks that vote."""
        answers, seen = self.prepared.answers, self.prepared.seen
        tree = answers.tree
        if tree is None:  # made ready without votes
            tree = grow_tree(self.patches.graph, answers.tensors, ask_around(answers, seen, VOTERS))
        return PriorPartTree(self.patches, self.prepared.borders, tree, self._vertex_means, answers.tensors)

    # --- what both share -------------------------------------------------------------------------

    def _on_fine_faces(
        self, faces: np.ndarray, positive: np.ndarray, granularity: float | None, every: bool
    ) -> Candidates:
        """On the E fine faces, for clicks on some of them: the three candidates, or the one at a granularity.

        Borders are drawn, then each row is tidied. Of three, the outer ones are kept on their side of the default.
        """
        answer = self.prepared.answers.answer(self.patches.node[faces], positive)
        logits = answer.logits if every else blend(answer.logits, granularity)[None]
        return self._drawn(logits, answer.shown, 1 if every else 0, faces, positive)

    def _rungs(self, faces: np.ndarray, positive: np.ndarray) -> Candidates:
        """The ladder on the E fine faces. The even piece of surface around a single click is among what that may mean;
        rungs that turn out to be the same, or of which hardly more than the clicked face is left, are left out."""
        ladder, nodes = self.prepared.answers.ladder, self.patches.node[faces]
        if len(faces) > 1:
            answer, default = ladder(nodes, positive)
            return self._drawn(answer.logits, answer.shown, default, faces, positive)
        facet, area = self._facet(int(faces[0])), self.patches.fine.area
        on_nodes = None if facet is None else self._on_nodes(facet)
        answer, default = ladder(nodes, positive, on_nodes)
        rows = self.prepared.borders.drawn(answer.logits, faces, faces[:0])
        if facet is not None and on_nodes is not None:
            alike = pairwise_iou(answer.logits > 0, on_nodes[None], self.patches.graph.area)[:, 0]
            alike[default] = 0
            if alike.max() > SAME_FACET:
                rows[int(alike.argmax())] = facet
        nested = _nested(rows, default)
        size = (nested > 0.5) @ area
        kept = (size >= SPLINTER * area.sum()) & ~np.isclose(size, size[default], rtol=SAME_SIZE)
        again, expected = np.isclose(size[1:], size[:-1], rtol=SAME_SIZE), answer.shown.copy()
        kept[1:] &= ~again
        kept[default] = True
        for place in np.flatnonzero(again)[::-1]:  # of two that are drawn alike the better one was meant
            if place != default:
                expected[place] = max(expected[place], expected[place + 1])
        return Candidates(nested[kept], expected[kept], int(kept[:default].sum()))

    def _facet(self, face: int) -> np.ndarray | None:
        """(E,) bool, the even piece of surface around a fine face; None if it is a crumb or nearly everything."""
        number = self._facets.component[face]
        return self._facets.component == number if self._facets.natural[number] else None

    @cached_property
    def _facets(self) -> Components:
        """The even pieces of the surface, told from crumbs and from everything as components are."""
        fine = self.patches.fine
        return Components(fine.facets, fine.area / fine.area.sum())

    def _on_nodes(self, selected: np.ndarray) -> np.ndarray:
        """(N,) bool, the nodes that fine faces (E,) bool are most of."""
        node, area = self.patches.node, self.patches.fine.area
        return np.bincount(node, area * selected) > 0.5 * np.bincount(node, area)

    def _drawn(
        self, logits: np.ndarray, quality: np.ndarray, default: int, faces: np.ndarray, positive: np.ndarray
    ) -> Candidates:
        """Nested answers (K, N) with borders, tidied and nested again around the default one."""
        rows = self.prepared.borders.drawn(logits, faces[positive], faces[~positive])
        return Candidates(_nested(rows, default), quality, default)


def weighted_means(group: np.ndarray, member: np.ndarray, weight: np.ndarray, groups: int) -> sp.csr_matrix:
    """(groups, M) matrix that averages values of M members by `weight` (M,): member[k] belongs to group[k]."""
    matrix = sp.csr_matrix((weight[member], (group, member)), shape=(groups, len(weight)))
    return sp.csr_matrix(sp.diags(1 / np.maximum(np.asarray(matrix.sum(axis=1)).ravel(), 1e-12)) @ matrix)


def _nested(rows: np.ndarray, default: int) -> np.ndarray:
    """Rows (K, E) that ascend from the first to the last, the default one unchanged."""
    for place in range(default - 1, -1, -1):
        rows[place] = np.minimum(rows[place], rows[place + 1])
    for place in range(default + 1, len(rows)):
        rows[place] = np.maximum(rows[place], rows[place - 1])
    return rows


def _taught(votes: Votes, held: dict[str, Any], weights: Path, graph: NodeGraph) -> Votes:
    """With the masks of a teacher, if the refinement kept such in its file; UserError if they are damaged."""
    if "lifted" not in held:
        return votes
    try:
        return TaughtVotes.joining(votes, LiftedMasks.restore(held["lifted"], graph))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{weights} does not hold a refined prior; make it again with --overwrite 1") from error


def _arrays(views: NodeViews) -> dict[str, np.ndarray]:
    """What is kept of the views."""
    return {"sight": views.sight, "embeddings": views.embeddings}


def _kept(path: Path, make: Callable[[], dict], restore: Callable):
    """What is made of the arrays at `path`, which are made where they are missing or damaged."""
    if path.is_file():
        try:
            return restore(load_npz(path, "cache of the prior decoder"))
        except (UserError, KeyError, TypeError, ValueError):
            path.unlink()  # damaged: make it again
    arrays = make()
    save_npz(path, compressed=False, **arrays)
    return restore(arrays)
