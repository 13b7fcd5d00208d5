"""Parts that nobody clicked: proposed from a segmenter's tree of parts, changed and kept, one undoable step each."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from utils.errors import UserError
from utils.geometry.mesh import Mesh
from utils.geometry.part_tree import DETAIL, Part, Partition, PartTree
from utils.session.answers import Answers
from utils.session.edits import EditedShape
from utils.session.log import Logged, operation
from utils.session.selection import Selection, free_faces
from utils.session.state import NO_PART, Click, FaceSet, Proposals, State, Touch, frozen_labels, share, whole
from utils.session.surface import Surface

ALIKE_FROM = 0.5  # IoU of the selection with a node of the tree from which it is that part


class Proposing(Logged):
    """The part of a session that proposes parts. What a person kept, selected or deleted is never in a proposal."""

    mesh: Mesh
    answers: Answers
    surface: Surface
    next_part: int

    @property
    @abstractmethod
    def shape(self) -> EditedShape: ...
    @property
    @abstractmethod
    def selection(self) -> Selection: ...
    @abstractmethod
    def _select(self, state: State) -> Selection: ...

    @property
    def proposed(self) -> np.ndarray:
        """(F,) uint16: k + 1 on the faces that keeping proposal k gives to a part, else 0."""
        state = self.state
        if state.proposals is None:
            return np.zeros(self.mesh.num_faces, dtype=np.uint16)
        taken = (state.labels != NO_PART) | ~self.shape.alive | self.selection.faces
        return np.where(taken, np.uint16(0), state.proposals.labels)

    def proposed_at(self, face: int) -> int | None:
        """The place of the proposal that a click on a face is about; None while something is being selected."""
        if self.state.clicks or self.state.touches:
            return None
        label = int(self.proposed[face])
        return label - 1 if label else None

    @operation()
    def propose(self) -> State:
        """Propose parts for everything that is in no part yet."""
        return replace(self.state, proposals=self._cut(DETAIL))

    @operation(merge="detail")
    def set_detail(self, detail: float) -> State | None:
        """0 few proposals, 1 many: all are cut anew."""
        detail = share(detail, "detail")
        if self._there().detail == detail:
            return None
        return replace(self.state, proposals=self._cut(detail))

    @operation()
    def drop_proposals(self) -> State | None:
        """Propose nothing; what was kept stays."""
        return replace(self.state, proposals=None) if self.state.proposals is not None else None

    @operation()
    def keep_proposal(self, place: int) -> State:
        """Make a part of one proposal."""
        return self._keeping([self._place(place)])

    @operation()
    def keep_proposals(self) -> State:
        """Make a part of every proposal."""
        return self._keeping(range(len(self._there().parts)))

    @operation()
    def merge_proposals(self, place: int, other: int) -> State:
        """Put the second proposal into the first."""
        place, other, old = self._place(place), self._place(other), self._there()
        if place == other:
            raise UserError("choose two different proposals to merge")
        labels = np.where(old.labels == other + 1, np.uint16(place + 1), old.labels)
        labels = np.where(labels > other + 1, labels - 1, labels)
        parts = [*old.parts]
        parts[place] = (*parts[place], *parts[other])
        left = [k for k in range(len(parts)) if k != other]
        return self._with(labels, [parts[k] for k in left], [old.colors[k] for k in left])

    @operation()
    def split_proposal(self, place: int) -> State:
        """Take a proposal apart: into what it was merged from, or else where its nodes were joined last."""
        place, old, tree = self._place(place), self._there(), self._tree_of_proposals()
        inside, parts, at = self.proposed == place + 1, [old.parts[place]], 0
        while True:  # what lies in kept parts is no piece that a person sees
            parts = tree.split(parts, at)
            labels = self._whole(tree, parts)
            seen = np.unique(labels[inside])
            seen = seen[seen >= 0]
            if len(seen) > 1:
                break
            at = int(seen[0]) if len(seen) else 0
        found = np.where(old.labels == place + 1, labels, -1)
        pieces = [k for k in range(len(parts)) if (found == k).any()]
        result, color = old.labels.copy(), 0
        nodes, colors = [*old.parts], [*old.colors]
        for number, k in enumerate(pieces):
            if number == 0:
                nodes[place] = parts[k]
                continue
            while color in colors:
                color += 1
            nodes.append(parts[k])
            colors.append(color)
            result[found == k] = len(nodes)
        return self._with(result, nodes, colors)

    @operation()
    def select_proposal(self, place: int) -> State:
        """Select a proposal, so that clicks go on from it: a click in it is asked and its answer corrected by hand."""
        wanted = self.proposed == self._place(place) + 1
        state = self.state.unselected()
        state = replace(state, clicks=(Click(self.surface.innermost(wanted), True),))
        found = self._select(state).faces
        touches = [Touch("paint", FaceSet(wanted & ~found)), Touch("erase", FaceSet(found & ~wanted))]
        return replace(state, touches=tuple(touch for touch in touches if touch.faces and touch.faces.mask.any()))

    @operation()
    def select_alike(self) -> State:
        """Add to the selection every part that is like it, wherever it lies, turned or mirrored."""
        selected = self.selection.faces
        if not selected.any():
            raise UserError("nothing is selected: click on the part first that has others like it")
        tree = self.answers.part_tree
        node, match = tree.nearest(selected, self.mesh.face_areas)
        if match < ALIKE_FROM:
            raise UserError("what is selected is no part that others could be like: select a whole part first")
        free, added = free_faces(self.state, self.shape.alive), np.zeros(len(selected), dtype=bool)
        for part in tree.alike((node,)):
            added |= tree.labels([part]) == 0
        added = self.surface.whole_polygons(added) & free & ~selected
        if not added.any():
            raise UserError("nothing else on this mesh is like what is selected")
        return replace(self.state, touches=(*self.state.touches, Touch("paint", FaceSet(added))))

    # --- pieces ----------------------------------------------------------------------------------

    def _there(self) -> Proposals:
        if self.state.proposals is None:
            raise UserError("no parts are proposed: press 'Propose parts' first")
        return self.state.proposals

    def _place(self, place: int) -> int:
        """The place of a proposal that is there; UserError if there is none."""
        place = whole(place, 0, len(self._there().parts) - 1, "proposal")
        if not (self.proposed == place + 1).any():
            raise UserError("all of this proposal is kept already")
        return place

    def _tree_of_proposals(self) -> PartTree:
        """What the proposals were cut from; UserError if something else answers now."""
        if self._there().identity != self.answers.identity:
            raise UserError("another segmenter proposed these parts: press 'Propose parts' again")
        return self.answers.part_tree

    def _whole(self, tree: PartTree, parts: Sequence[Part]) -> np.ndarray:
        """(F,) place of the part that each face is in, all of a polygon alike; -1 for none."""
        labels = tree.labels(parts)
        opening = self.mesh.opens_polygon
        return labels if self.mesh.num_polygons == len(labels) else labels[opening][self.mesh.face_polygon]

    def _cut(self, detail: float) -> Proposals:
        tree = self.answers.part_tree
        partition = Partition.of(tree, tree.cut(detail))
        labels = partition.on_polygons(self.mesh)
        used, labels = np.unique(labels, return_inverse=True)
        parts, numbers = [partition.parts[place] for place in used.tolist()], tree.numbers
        colors = tuple(int(numbers[part[0]]) for part in parts)
        labels = frozen_labels(labels.reshape(-1) + 1)
        return Proposals(labels, tuple(parts), colors, detail, self.answers.identity)

    def _with(self, labels: np.ndarray, parts: Iterable[Part], colors: Iterable[int]) -> State:
        changed = replace(self._there(), labels=frozen_labels(labels), parts=tuple(parts), colors=tuple(colors))
        return replace(self.state, proposals=changed)

    def _keeping(self, places: Iterable[int]) -> State:
        """With these proposals as parts."""
        old, proposed, state, part_id = self._there(), self.proposed, self.state, self.next_part
        for place in places:
            faces = proposed == place + 1
            if faces.any():
                click = Click(self.surface.innermost(faces), True)
                state = state.with_kept(part_id, faces, (click,), color=old.colors[place])
                part_id += 1
        if state is self.state:
            raise UserError("there is no proposal left to keep")
        self.next_part = part_id
        left = self.shape.alive & (state.labels == NO_PART) & (old.labels != 0)
        return state if left.any() else replace(state, proposals=None)
