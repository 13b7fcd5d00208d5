"""One person's work on one mesh: every operation of the tool, with undo, and a log that repeats it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from utils.errors import UserError
from utils.geometry.mesh import Mesh
from utils.session.answers import Answer, Answers
from utils.session.edits import EditedShape, apply_edits, check_edit
from utils.session.log import operation
from utils.session.proposing import Proposing
from utils.session.selection import Selection, free_faces, overlaps
from utils.session.settings import Settable
from utils.session.state import (
    MAX_RUNG,
    NO_PART,
    Click,
    FaceSet,
    ShapeEdit,
    State,
    Touch,
    frozen_labels,
    joined,
    part_name,
    unique_name,
)
from utils.session.surface import Surface


class Session(Settable, Proposing):
    """Clicks, corrections, parts and edits on one mesh.

    Every operation returns whether it changed anything; for what cannot be done it changes nothing (UserError).
    `log` lists the operations as plain values; `replay` repeats them to the same result.
    """

    def __init__(
        self, mesh: Mesh, answers: Answers, surface: Surface | None = None, others: dict[str, Answers] | None = None
    ) -> None:
        self.mesh, self.answers = mesh, answers
        self.choice = ""  # the kind of segmenter that the person chose, "" where they did not
        self.identity = answers.identity  # of what answered last; "" before anything did
        self.surface = surface or Surface(mesh)
        super().__init__(replace(State.empty(mesh.num_faces), threshold=answers.default_threshold))
        self._entries |= {"paint": self._paint_entry, "use": self._use_entry}
        self._selection: tuple[State, Selection] | None = None
        self._shape: tuple[tuple[ShapeEdit, ...], EditedShape] | None = None
        self.next_part = 1  # id of the next part that is made
        self._others = others or {}  # that a log may change to, by their identities

    # --- what is there ---------------------------------------------------------------------------

    @property
    def shape(self) -> EditedShape:
        """The mesh after the edits."""
        edits = self.state.edits
        if self._shape is None or self._shape[0] is not edits:
            self._shape = (edits, apply_edits(self.mesh, edits))
        return self._shape[1]

    @property
    def selection(self) -> Selection:
        """What the clicks select, corrected by hand; never a face that is locked or deleted."""
        state = self.state
        if self._selection is None or self._selection[0] is not state:
            self._selection = (state, self._select(state))
        return self._selection[1]

    @property
    def shown(self) -> np.ndarray:
        """(F,) bool, the faces to draw and to click on."""
        state = self.state
        shown = self.shape.alive.copy()
        if state.only_free:
            shown &= state.labels == NO_PART
        hidden = [part.id for part in state.parts if not part.visible]
        return shown & ~np.isin(state.labels, hidden) if hidden else shown

    def _answer(self, state: State) -> Answer | None:
        if not any(click.positive for click in state.clicks):
            return None
        return self.answers.ask(state.query(), state.granularity, state.lessons, state.rung)

    def _select(self, state: State) -> Selection:
        answer, threshold, answered = self._answer(state) or Answer(), None, None
        faces = np.zeros(self.mesh.num_faces, dtype=bool)
        if answer.probability is not None:
            threshold = self.answers.threshold(answer.probability, state.threshold, state.granularity, answer.rung)
            faces = answered = self.surface.of_vertices(answer.probability > threshold)
        free, meant = self._free(state), faces
        for touch in state.touches:
            faces = self._touched(faces & free, touch)
        faces = faces & free
        overlap = overlaps(state, self.shape.alive & (faces if state.taking else meant | faces))
        return Selection(faces, answer.probability, threshold, answered, answer, overlap)

    def preview(self, vertex: int, positive: bool = True) -> np.ndarray:
        """(F,) bool, what would be selected after a click; nothing changes. UserError if it cannot be asked."""
        click = Click(self._vertex(vertex), bool(positive))
        others = tuple(old for old in self.state.clicks if old.vertex != click.vertex)
        return self._select(self._heeded(replace(self.state, clicks=(*others, click)))).faces

    def _touched(self, faces: np.ndarray, touch: Touch) -> np.ndarray:
        if touch.faces is not None:
            return faces | touch.faces.mask if touch.kind == "paint" else faces & ~touch.faces.mask
        return getattr(self.surface, touch.kind)(faces)

    def _free(self, state: State) -> np.ndarray:
        return free_faces(state, self.shape.alive)

    def part_faces(self, part_id: int) -> np.ndarray:
        """(F,) bool, the faces of a part that are not deleted."""
        self.state.part(part_id)
        return (self.state.labels == part_id) & self.shape.alive

    # --- clicks ----------------------------------------------------------------------------------

    @operation()
    def click(self, vertex: int, positive: bool = True, alone: bool = False) -> State | None:
        """Click a vertex; one clicked before takes the new sign. `alone` (single-click mode) starts over with it."""
        click = Click(self._vertex(vertex), bool(positive))
        state = self.state
        if alone:
            return replace(state.unselected(), clicks=(click,)) if state.clicks != (click,) or state.touches else None
        if click in state.clicks:
            return None
        return self._heeded(replace(state, clicks=(*(old for old in state.clicks if old.vertex != vertex), click)))

    def _heeded(self, state: State) -> State:
        """With what the last click means corrected by hand, where earlier corrections would leave it without effect."""
        click, faces = state.clicks[-1], self._select(state).faces if state.touches else None
        around = (self.mesh.faces == click.vertex).any(axis=1) & self._free(state)
        if faces is None or not around.any() or (faces[around] == click.positive).mean() >= 0.5:
            return state
        others = tuple(Click(old.vertex, False) for old in state.clicks[:-1] if old.positive != click.positive)
        asked = replace(state, clicks=(*others, Click(click.vertex, True)), touches=(), rung=0)
        for rung in range(0, -MAX_RUNG, -1):  # the click means part of what is selected, not most of it
            meant = self._select(replace(asked, rung=rung))
            if click.positive or meant.answer.rung > rung or (meant.faces & faces).sum() < faces.sum() / 2:
                break
        kind = "paint" if click.positive else "erase"
        return replace(state, touches=(*state.touches, Touch(kind, FaceSet(meant.faces | around))))

    @operation()
    def remove_click(self, vertex: int) -> State | None:
        """Take a click away."""
        left = tuple(click for click in self.state.clicks if click.vertex != vertex)
        return replace(self.state, clicks=left) if len(left) < len(self.state.clicks) else None

    @operation()
    def reset(self) -> State | None:
        """Take all clicks and corrections away; parts and edits stay."""
        if not (self.state.clicks or self.state.touches):
            return None
        return self.state.unselected()

    @operation()
    def learn(self) -> State:
        """Let the segmenter learn from the clicks that are asked now, for this session."""
        if not self.answers.learns:
            raise UserError("what answers now does not learn from clicks: choose instant answers first")
        lesson = self.state.lesson()
        if len({click.positive for click in lesson.clicks}) < 2:
            raise UserError(
                "to learn takes a click that includes and one that excludes: "
                "Ctrl-click what should not be selected first"
            )
        lessons = (*self.state.lessons, lesson)
        if not self.answers.learn(lessons):
            raise UserError(
                "there is nothing to learn: these clicks are told apart already"
                + (", or a part that you kept would change" if lesson.others else "")
            )
        return replace(self.state, lessons=lessons)

    # --- corrections by hand ---------------------------------------------------------------------

    def paint(self, faces: np.ndarray, add: bool = True, stroke: int | None = None) -> bool:
        """Brush the faces (F,) bool in (or out). Calls of one `stroke` are one step."""
        return self._paint("paint" if add else "erase", FaceSet(faces).to_text(), stroke)

    def _paint(self, kind: str, text: str, stroke: int | None) -> bool:
        faces = FaceSet.from_text(text, self.mesh.num_faces)
        mask, selected = faces.mask, self.selection.faces
        if not (mask & (~selected & self._free(self.state) if kind == "paint" else selected)).any():
            return False
        touches = self.state.touches
        last = touches[-1] if touches else None
        merge = None if stroke is None else ("stroke", stroke)
        if last is not None and last.faces is not None and last.kind == kind and self._history.merges_with(merge):
            faces, touches = FaceSet(mask | last.faces.mask), touches[:-1]
        self._history.push(replace(self.state, touches=(*touches, Touch(kind, faces))), merge)
        self.log.append({"op": "paint", "kind": kind, "faces": text, "stroke": stroke})
        return True

    @operation()
    def grow(self) -> State | None:
        """Add the ring of faces around the selection."""
        return self._touch("grow")

    @operation()
    def shrink(self) -> State | None:
        """Take the outermost ring of faces away."""
        return self._touch("shrink")

    @operation()
    def fill(self) -> State | None:
        """Select the small holes in the selection."""
        return self._touch("fill")

    @operation()
    def largest(self) -> State | None:
        """Keep only the largest connected piece of the selection."""
        return self._touch("largest")

    def _touch(self, kind: str) -> State | None:
        before = self.selection.faces
        after = self._touched(before, Touch(kind)) & self._free(self.state)
        return replace(self.state, touches=(*self.state.touches, Touch(kind))) if (before != after).any() else None

    # --- parts -----------------------------------------------------------------------------------

    @operation()
    def keep_part(self, name: str = "") -> State:
        """Make the selection a part and start the next one; what it takes from others: `Selection.overlap`."""
        kept = self.state.with_kept(self.next_part, self._something(), self.state.clicks, name)
        self.next_part += 1
        return kept.unselected()

    @operation()
    def rename_part(self, part_id: int, name: str) -> State | None:
        """Give a part another name."""
        part = self.state.part(part_id)
        others = {other.name for other in self.state.parts if other.id != part_id}
        label = unique_name(part_name(name, part.name), others)
        return self.state.with_part(replace(part, name=label)) if label != part.name else None

    @operation()
    def set_visible(self, part_id: int, visible: bool) -> State | None:
        """Show or hide a part."""
        part = self.state.part(part_id)
        return self.state.with_part(replace(part, visible=bool(visible))) if part.visible != visible else None

    @operation()
    def set_locked(self, part_id: int, locked: bool) -> State | None:
        """A locked part keeps its faces: they cannot be selected or brushed."""
        part = self.state.part(part_id)
        return self.state.with_part(replace(part, locked=bool(locked))) if part.locked != locked else None

    @operation()
    def select_part(self, part_id: int) -> State:
        """Select the faces of a part."""
        if self.state.part(part_id).locked:
            raise UserError(f"'{self.state.part(part_id).name}' is locked: unlock it to select it")
        faces = FaceSet(self.part_faces(part_id))
        return replace(self.state, clicks=(), touches=(Touch("paint", faces),), reselected=part_id)

    @operation()
    def add_to_part(self, part_id: int) -> State:
        """Give the selection to a part that is there."""
        faces, part = self._something(), self.state.part(part_id)
        if part.locked:
            raise UserError(f"'{part.name}' is locked: unlock it to add to it")
        labels = self.state.labels.copy()
        labels[faces] = part_id
        grown = self.state.with_part(replace(part, clicks=joined(part.clicks, self.state.clicks)))
        return replace(grown.unselected(), labels=frozen_labels(labels))

    @operation()
    def merge_parts(self, part_id: int, other_id: int) -> State:
        """Put all faces of the second part into the first."""
        part, other = self.state.part(part_id), self.state.part(other_id)
        if part_id == other_id:
            raise UserError("choose two different parts to merge")
        labels = np.where(self.state.labels == other_id, np.uint16(part_id), self.state.labels)
        merged = self.state.with_part(replace(part, clicks=joined(part.clicks, other.clicks)))
        return replace(merged, labels=frozen_labels(labels), parts=tuple(p for p in merged.parts if p.id != other_id))

    @operation()
    def delete_part(self, part_id: int) -> State:
        """Forget a part; its faces stay on the mesh, in no part."""
        self.state.part(part_id)
        labels = np.where(self.state.labels == part_id, np.uint16(NO_PART), self.state.labels)
        return replace(
            self.state, labels=frozen_labels(labels), parts=tuple(p for p in self.state.parts if p.id != part_id)
        )

    @operation()
    def assign_rest(self) -> State:
        """Give every face that is in no part to the nearest part along the surface; locked parts keep theirs only."""
        state = self.state
        closed = [part.id for part in state.parts if part.locked]
        growing = (state.labels != NO_PART) & ~np.isin(state.labels, closed) & self.shape.alive
        nearest = self.surface.nearest(growing, self.shape.alive & (growing | (state.labels == NO_PART)))
        labels = np.where(nearest >= 0, state.labels[nearest], state.labels)
        if (labels == state.labels).all():
            raise UserError("there is nothing to assign: keep a part first, or every face it reaches is in one")
        return replace(state, labels=frozen_labels(labels))

    # --- shape edits -----------------------------------------------------------------------------

    @operation()
    def edit(self, kind: str, amount: float = 0.0) -> State:
        """Change the shape where it is selected: "delete", "keep" (only), "shrink" to a size, "extrude" by so much."""
        faces = self.selection.faces
        step = check_edit(ShapeEdit(str(kind), FaceSet(faces), float(amount)))
        if not faces.any():
            raise UserError("nothing is selected: click on the mesh first")
        if kind == "delete" and not (self.shape.alive & ~faces).any():
            raise UserError("this would delete the whole mesh: keep at least a face")
        state = replace(self.state, edits=(*self.state.edits, step))
        return state.unselected() if kind in ("delete", "keep") else state

    # --- log -------------------------------------------------------------------------------------

    def _paint_entry(self, kind: str, faces: str, stroke: int | None = None) -> bool:
        if kind not in ("paint", "erase"):
            raise UserError("the log has a damaged 'paint' entry")
        return self._paint(kind, faces, stroke)

    def _use_entry(self, before: str, after: str) -> bool:
        if not isinstance(before, str) or after not in self._others:
            raise UserError(f"the log goes on with another segmenter ({str(after)[:20]}), which is needed to repeat it")
        self.use(self._others[after])
        return False

    @classmethod
    def reopened(
        cls,
        mesh: Mesh,
        answers: Answers,
        steps: tuple[Iterable[State], State, Iterable[State]],
        log: list[dict[str, Any]],
        next_part: int,
        surface: Surface | None = None,
        identity: str = "",
    ) -> Session:
        """A session that goes on from saved states (`History.steps`).

        identity: of the segmenter that answered when it was saved, if that is known
        """
        session = cls(mesh, answers, surface)
        past, current, future = steps
        session._history.restart(current, past, future)
        session.log = [*log, {"op": "reopened"}]
        session.next_part = next_part
        if identity:
            session.identity = identity
            session.use(answers)
        return session

    def use(self, answers: Answers) -> None:
        """Ask another segmenter from now on: what is selected by clicks changes, parts stay."""
        known = {self.identity, answers.identity} - {""}
        if len(known) == 2:
            self.log.append({"op": "use", "before": self.identity, "after": answers.identity})
        self.answers, self._selection, self.identity = answers, None, answers.identity or self.identity

    # --- checks ----------------------------------------------------------------------------------

    def _something(self) -> np.ndarray:
        """(F,) bool, what is selected; UserError where that is nothing."""
        selection = self.selection
        if not selection.faces.any() and selection.overlap:
            raise UserError("all of this belongs to kept parts: allow to take from kept parts first")
        if not selection.faces.any():
            raise UserError("nothing is selected: click on the mesh first")
        return selection.faces

    def _vertex(self, vertex: int) -> int:
        whole = isinstance(vertex, (int, np.integer)) and not isinstance(vertex, bool)
        if not whole or not 0 <= vertex < self.mesh.num_vertices:
            raise UserError(f"vertex {vertex} is not on this mesh: give ids from 0 to {self.mesh.num_vertices - 1}")
        return int(vertex)
