"""Answers clicks on a mesh it has never seen, with a decoder trained once on many synthetic shapes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from copy import copy
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from models.prior.borders import Borders
from models.prior.inputs import NodeTensors
from models.prior.network import PriorConfig, PriorNetwork
from models.prior.nodes import NODES, Patches, spread_out
from models.prior.views import IMAGE_SIZE, VIEWS, NodeViews
from models.prior.votes import VOTERS, Votes
from utils.clicks import Clicks
from utils.errors import UserError
from utils.files import digest, load_npz, load_torch, save_npz
from utils.geometry.mesh import Mesh
from utils.segmenter import Candidates, Segmenter
from utils.teacher import Teacher

WEIGHTS = Path(__file__).resolve().parents[1] / "weights" / "prior_vit_t.pt"
ANSWERS_VERSION = 4  # of what is made of the network's answers; counts up where measured results would change
HELD_CLICKS = 256  # of which distances and masks are kept, about 36 kB each
REFINED = "refined prior"  # kind of a checkpoint
ASKED_TOGETHER = 16  # clicks that the votes come from
HELD_ANSWERS = 64
TRUSTED = 0.8  # agreement of the votes from which on corrections of an answer are local: near the correcting click, within ...
REACH, NEAREST = (
    3.0,
    0.02,
)  # ... so many times its distance from the border that it moves, and at least this (the object has radius 1)


class PriorSegmenter(Segmenter):
    """The prior decoder made ready for one mesh.

    mesh       any triangle mesh
    teacher    the 2D model that embeds and segments its views; the weights belong to one teacher
    cache_dir  folder where the embedded views and the votes are kept between runs; None: nothing is kept
    weights    file written by `scripts/train_prior.py export`
    without    inputs to leave out, of `models.prior.inputs.INPUTS`; None: those that the weights name
    views      how many are embedded
    voters     clicks whose answers vote on what a single click means (`models.prior.votes`), VOTERS if None; 0: it is answered by itself

    Raises UserError if the weights are missing, damaged, or of another teacher.
    """

    kind = "prior"
    label = "prior decoder"
    nested = True

    def __init__(
        self,
        mesh: Mesh,
        teacher: Teacher,
        cache_dir: str | Path | None = None,
        weights: str | Path = WEIGHTS,
        without: tuple[str, ...] | None = None,
        views: int = VIEWS,
        voters: int | None = None,
    ) -> None:
        super().__init__(mesh)
        self.teacher = teacher
        self.network, held = load_prior(weights)
        self.without = tuple(held.get("left_out", ()) if without is None else without)
        check_teacher(held, teacher)
        if held.get("mesh_digest") not in (None, mesh.digest):
            raise UserError(
                f"{weights} was refined on another mesh than {mesh.path}; give that mesh, or refine the prior on this one"
            )
        self.patches = Patches(mesh)
        self.cache_dir, self.voters = cache_dir, VOTERS if voters is None else voters
        self._weights = digest(Path(weights).read_bytes())
        self.identity = digest(Path(weights).read_bytes(), teacher.name)
        if held.get("kind") == REFINED:
            self.kind, self.label = "trained", "prior decoder refined on this mesh"
            self.sources = {"checkpoint": str(weights)}
        self.views = self._cached(
            "prior_views",
            (views,),
            lambda: NodeViews.render(self.patches, teacher, views).to_arrays(),
            lambda arrays: NodeViews.from_arrays(self.patches, teacher, arrays),
        )
        features = self.views.features(held["field_components"].float(), held["field_mean"].float())
        self.nodes = NodeTensors.of(self.patches.graph, features, self.views.seen)
        self.borders = Borders(self.patches)
        self._begin()
        self.face_of_vertex = np.full(mesh.num_vertices, -1, dtype=np.int64)
        order = np.argsort(self.patches.areas)  # the largest face at a vertex is written last
        corners = self.patches.fine.faces[order]
        for corner in range(3):
            on_mesh = corners[:, corner] < mesh.num_vertices
            self.face_of_vertex[corners[on_mesh, corner]] = order[on_mesh]

    def _begin(self) -> None:
        with torch.inference_mode():
            self.encoded = self.network.encode(self.nodes, self.without)
        self._held: OrderedDict[int, tuple[np.ndarray, np.ndarray]] = OrderedDict()
        self._answers: OrderedDict[tuple, tuple[np.ndarray, np.ndarray]] = OrderedDict()
        self.votes = (
            self._cached(
                "prior_votes",
                (len(self.views.cameras), self.voters, self._weights, self.without),
                self._ask_around,
                lambda arrays: Votes(**arrays),
            )
            if self.voters
            else None
        )

    def _cached(self, name: str, settings: tuple, make: Callable[[], dict[str, np.ndarray]], restore: Callable):
        """What `restore` makes of the arrays that `make` gives, or that an earlier run with these settings kept."""
        if self.cache_dir is None:
            return restore(make())
        identity = digest(
            self.mesh.digest, self.teacher.name, NODES, IMAGE_SIZE, self.patches.node, *map(str, settings)
        )
        path = Path(self.cache_dir) / f"{name}_{identity}.npz"
        if path.is_file():
            try:
                return restore(load_npz(path, "cache of the prior decoder"))
            except (UserError, KeyError, TypeError, ValueError):
                path.unlink()  # damaged: make it again
        arrays = make()
        save_npz(path, compressed=False, **arrays)
        return restore(arrays)

    @torch.inference_mode()
    def _ask_around(self) -> dict[str, np.ndarray]:
        """The network's own answers to clicks spread over the surface: what `Votes` takes."""
        shown = np.flatnonzero(self.views.seen > 0) if self.views.seen.any() else np.arange(len(self.nodes))
        nodes = shown[spread_out(self.nodes.position.numpy()[shown], min(self.voters, len(shown)))]
        logits, quality = [], []
        for chunk in np.array_split(nodes, -(-len(nodes) // ASKED_TOGETHER)):
            distances, masks = (each.float() for each in self.clicks_on(chunk))
            clicks, sign = torch.from_numpy(chunk)[:, None], torch.ones((len(chunk), 1), dtype=torch.bool)
            channels = torch.stack(
                [
                    self.nodes.click_channels(*one, self.without)
                    for one in zip(clicks, sign, distances[:, None], masks[:, None])
                ]
            )
            answer, expected = self.network(self.nodes, self.encoded, clicks, sign, sign, channels)
            logits.append(answer.float().half().numpy())
            quality.append(expected.float().sigmoid().numpy())
        return {
            "nodes": nodes,
            "logits": np.concatenate(logits),
            "quality": np.concatenate(quality),
            "area": self.nodes.area.numpy(),
        }

    def clicks_on(self, nodes: np.ndarray) -> tuple[Tensor, Tensor]:
        """What the network needs of single clicks in the middle of C nodes: distances (C, N, 2) and masks (C, N, 4), float16."""
        distances, masks = self.patches.graph.distances_from(nodes), self._masks(self.patches.center[nodes])
        return torch.from_numpy(distances.astype(np.float16)), torch.from_numpy(masks.astype(np.float16))

    def _masks(self, faces: np.ndarray) -> np.ndarray:
        """(C, N, 4) the teacher's masks of single clicks on fine faces; zeros if they are left out."""
        return (
            np.zeros((len(faces), len(self.nodes), 4), np.float32)
            if "masks" in self.without
            else self.views.click_masks(faces)
        )

    def leaving_out(self, *inputs: str) -> PriorSegmenter:
        """The same without further inputs, for measuring what they are worth; mesh, views and borders are shared."""
        other = copy(self)
        other.without = (*self.without, *inputs)
        other._begin()
        return other

    # --- vertices --------------------------------------------------------------------------------

    def probability(self, clicks: Clicks, granularity: float | None = None) -> np.ndarray:
        """(V,) float32 probability of being selected, in the mesh's vertex order; above 0.5 is selected.

        granularity: 0 finer, 0.5 (or None) default, 1 coarser, continuous between. Raises UserError for clicks that
        cannot be asked of this mesh (`Clicks.validate`, and clicks on vertices that no face uses).
        """
        faces, positive = self._faces_of(clicks)
        logits, _ = self._node_answer(faces, positive)
        blended = blend(logits, granularity)[None]
        return self._on_vertices(self._on_fine_faces(blended, faces, positive), clicks)[0]

    def candidates(self, clicks: Clicks) -> Candidates:
        """The three nested answers; see `segment` for errors."""
        faces, positive = self._faces_of(clicks)
        logits, quality = self._node_answer(faces, positive)
        return Candidates(self._on_vertices(self._on_fine_faces(logits, faces, positive), clicks), quality)

    def _faces_of(self, clicks: Clicks) -> tuple[np.ndarray, np.ndarray]:
        clicks = clicks.validate(self.num_vertices).distinct()
        faces = self.face_of_vertex[clicks.vertices.numpy()]
        if (faces < 0).any():
            lone = int(clicks.vertices[int(np.argmin(faces))])
            raise UserError(f"vertex {lone} belongs to no face of the mesh: click another")
        return faces, clicks.positive.numpy()

    def _on_vertices(self, fine: np.ndarray, clicks: Clicks) -> np.ndarray:
        """(K, V) float32 means over the faces at each vertex, by area; clicked vertices on their side of 1/2."""
        corners, areas = self.patches.fine.faces, self.patches.areas
        total = np.bincount(corners.ravel(), np.repeat(areas, 3), self.patches.fine.num_vertices)[: self.num_vertices]
        rows = [
            np.bincount(corners.ravel(), np.repeat(areas * row, 3), self.patches.fine.num_vertices)[: self.num_vertices]
            for row in fine
        ]
        result = np.stack(rows) / np.maximum(total, 1e-12)
        result[:, clicks.positives.numpy()] = np.maximum(result[:, clicks.positives.numpy()], 0.51)
        result[:, clicks.negatives.numpy()] = np.minimum(result[:, clicks.negatives.numpy()], 0.49)
        return result.astype(np.float32)

    # --- faces -----------------------------------------------------------------------------------

    def face_probability(self, faces: np.ndarray, positive: np.ndarray, granularity: float | None = None) -> np.ndarray:
        """(F,) float32 probability for clicks on faces (C,) int64, positive (C,) bool."""
        fine, positive = self._fine_of(faces), np.asarray(positive, dtype=bool)
        logits, _ = self._node_answer(fine, positive)
        return self._on_faces(self._on_fine_faces(blend(logits, granularity)[None], fine, positive))[0]

    def face_candidates(self, faces: np.ndarray, positive: np.ndarray) -> Candidates:
        """As `candidates`, on faces: probability (3, F)."""
        fine, positive = self._fine_of(faces), np.asarray(positive, dtype=bool)
        logits, quality = self._node_answer(fine, positive)
        return Candidates(self._on_faces(self._on_fine_faces(logits, fine, positive)), quality)

    def _fine_of(self, faces: np.ndarray) -> np.ndarray:
        """For each face of the mesh the fine face nearest its middle."""
        if self.patches.fine is self.mesh:
            return np.asarray(faces, dtype=np.int64)
        middle = self.mesh.vertices[self.mesh.faces[faces]].mean(axis=1)
        result = []
        for face, point in zip(faces, (middle - self.mesh.center) / self.mesh.scale):
            pieces = np.flatnonzero(self.patches.parent == face)
            corners = self.patches.fine.vertices[self.patches.fine.faces[pieces]].mean(axis=1)
            result.append(pieces[((corners - point) ** 2).sum(axis=1).argmin()])
        return np.array(result, dtype=np.int64)

    def _on_faces(self, fine: np.ndarray) -> np.ndarray:
        parent, areas = self.patches.parent, self.patches.areas
        if self.patches.fine is self.mesh:
            return fine.astype(np.float32)
        total = np.bincount(parent, areas, self.mesh.num_faces)
        return (np.stack([np.bincount(parent, areas * row, self.mesh.num_faces) for row in fine]) / total).astype(
            np.float32
        )

    # --- what both share -------------------------------------------------------------------------

    def _node_answer(self, faces: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits (3, N) and quality (3,) float32 for clicks on fine faces, in the order in which they were made.

        Positive clicks whose selections do not touch are wishes for several parts: each such group is answered by itself, with all
        negative clicks, and the answers are put together. A positive click that corrects a selection touches it.
        """
        logits, quality = self._answer_in_order(faces, positive)
        group = self._apart(logits[1] > 0, self.patches.node[faces[positive]])
        if len(np.unique(group)) < 2:
            return logits, quality
        answers = []
        for number in np.unique(group):
            kept = ~positive
            kept[np.flatnonzero(positive)[group == number]] = True
            answers.append(self._answer_in_order(faces[kept], positive[kept]))
        return np.max([each for each, _ in answers], axis=0), np.mean([each for _, each in answers], axis=0)

    def _apart(self, selected: np.ndarray, nodes: np.ndarray) -> np.ndarray:
        """(C,) for positively clicked nodes, the connected piece of the selection (N,) bool that each lies in."""
        selected = selected.copy()
        selected[nodes] = True
        pairs = self.patches.graph.pairs
        pairs = pairs[selected[pairs].all(axis=1)]
        touching = sp.csr_matrix(
            (np.ones(len(pairs), dtype=bool), tuple(pairs.T)), shape=(len(selected), len(selected))
        )
        return connected_components(touching, directed=False)[1][nodes]

    def _answer_in_order(self, faces: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `answer_together`, but if the votes agree on what the first positive click means, each further click changes the answer to those before
        it only near itself: how far, its distance from the border that it moves says. So a small correction undoes nothing elsewhere."""
        first = int(np.flatnonzero(positive)[0])
        order = np.r_[first, np.delete(np.arange(len(faces)), first)]
        faces, positive = faces[order], positive[order]
        logits, quality = self.answer_together(faces[:1], positive[:1])
        if len(faces) == 1:
            return logits, quality
        if self.votes is None or quality[1] < TRUSTED:
            return self.answer_together(faces, positive)
        for count in range(2, len(faces) + 1):
            corrected, quality = self.answer_together(faces[:count], positive[:count])
            agrees = (logits[1] > 0) == positive[count - 1]
            if not agrees[self.patches.node[faces[count - 1]]] and agrees.any():
                self._know(faces[count - 1 : count])
                away = self._held[int(faces[count - 1])][0][:, 0].astype(np.float32)
                corrected = np.where(away <= REACH * away[agrees].min() + NEAREST, corrected, logits)
            logits = corrected
        return logits, quality

    @torch.inference_mode()
    def answer_together(self, faces: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits (3, N) and quality (3,) float32 for clicks on fine faces (C,), positive (C,) bool, all understood as one wish."""
        order = np.lexsort((faces, ~positive))
        faces, positive = faces[order], positive[order]
        key = (tuple(faces.tolist()), tuple(positive.tolist()))
        if key not in self._answers:
            self._know(faces)
            distances, masks = (
                torch.from_numpy(np.stack([self._held[int(face)][k] for face in faces])).float() for k in range(2)
            )
            nodes, sign = torch.from_numpy(self.patches.node[faces]), torch.from_numpy(positive)
            channels = self.nodes.click_channels(nodes, sign, distances, masks, self.without)
            logits, quality = self.network(
                self.nodes, self.encoded, nodes[None], sign[None], torch.ones_like(sign)[None], channels[None]
            )
            answer = logits[0].float().numpy(), quality[0].float().sigmoid().numpy()
            if len(faces) == 1 and self.votes is not None:
                self._answers[key] = self.votes.elect(int(nodes[0]), *answer)
            else:
                self._answers[key] = _settled(*answer, len(faces))
            while len(self._answers) > HELD_ANSWERS:
                self._answers.popitem(last=False)
        return self._answers[key]

    def _know(self, faces: np.ndarray) -> None:
        """Distances and the teacher's masks of clicks that are new."""
        new = np.array([face for face in dict.fromkeys(faces.tolist()) if face not in self._held], dtype=np.int64)
        if len(new):
            distances = self.patches.graph.distances_from(self.patches.node[new])
            masks = self._masks(new)
            self._held |= {
                int(face): (distances[k].astype(np.float16), masks[k].astype(np.float16)) for k, face in enumerate(new)
            }
        for face in faces.tolist():
            self._held.move_to_end(face)
        while len(self._held) > max(HELD_CLICKS, len(faces)):
            self._held.popitem(last=False)

    def _on_fine_faces(self, logits: np.ndarray, faces: np.ndarray, positive: np.ndarray) -> np.ndarray:
        """(K, E): borders drawn, then each row tidied. Of three, the outer ones are kept on their side of the default."""
        rows = [self.borders.tidy(row, faces[positive], faces[~positive]) for row in self.borders.on_faces(logits)]
        if len(rows) == 3:
            rows = [np.minimum(rows[0], rows[1]), rows[1], np.maximum(rows[1], rows[2])]
        return np.stack(rows)


def _settled(logits: np.ndarray, quality: np.ndarray, clicks: int) -> tuple[np.ndarray, np.ndarray]:
    """With several clicks, of which the later ones are corrections, the candidate that is expected to be best is the default."""
    best = int(quality.argmax())
    if clicks == 1 or best == 1:
        return logits, quality
    logits, quality = logits.copy(), quality.copy()
    logits[1], quality[1] = logits[best], quality[best]
    return logits, quality


def blend(logits: np.ndarray, granularity: float | None) -> np.ndarray:
    """(N,) between the three candidates (3, N): 0 finer, 0.5 default, 1 coarser."""
    place = 1.0 if granularity is None else 2.0 * min(max(float(granularity), 0.0), 1.0)
    low = min(int(place), 1)
    return logits[low] + (place - low) * (logits[low + 1] - logits[low])


def load_prior(path: str | Path = WEIGHTS) -> tuple[PriorNetwork, dict]:
    """The network at `path` in float32, and everything recorded with it; UserError if it cannot be used."""
    held = load_torch(path, what="prior decoder")
    try:
        network = PriorNetwork(PriorConfig(**held["config"]))
        network.load_state_dict({key: value.float() for key, value in held["weights"].items()})
        held["field_components"], held["field_mean"], held["teacher"]
    except (KeyError, TypeError, RuntimeError) as error:
        remedy = (
            "restore it with: git checkout -- models/weights"
            if Path(path) == WEIGHTS
            else "export it again: scripts/train_prior.py export"
        )
        raise UserError(f"{path} does not hold a prior decoder of this version; {remedy}") from error
    return network.eval().requires_grad_(False), held


def is_refined_prior(path: str | Path) -> bool:
    """Whether `path` is a checkpoint of the prior refined on one mesh (`decoder.py --mode train --init prior`); False if it is missing or damaged."""
    try:
        held = load_torch(path, what="decoder checkpoint")
    except UserError:
        return False  # who loads it as a decoder says what is wrong with it
    return isinstance(held, dict) and held.get("kind") == REFINED


def check_teacher(held: dict, teacher: Teacher) -> None:
    """UserError if the prior `held` reads another kind of embedding than `teacher` gives.

    The kind decides, not the digest behind it: weights of `vit_t` that differ in the mask decoder alone embed alike.
    """
    kind = held["teacher"].split("-")[0]
    if kind != teacher.name.split("-")[0]:
        raise UserError(
            f"the prior decoder was trained with the teacher {kind}, not {teacher.name}: use --SAM {kind}, "
            "or train a prior for this teacher with scripts/train_prior.py"
        )
