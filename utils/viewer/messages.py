"""What the page's script tells: a mesh has arrived, strokes of the brush, the cursor at rest, signs of the list of
parts, dropped files.

Anyone may have written it: whatever is no such message is ignored.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from utils.errors import UserError
from utils.session.session import Session
from utils.viewer.controls import Actions
from utils.viewer.scene import MOST_PREVIEWED, Scene
from utils.viewer.studio import MAX_UPLOAD

Pick = Callable[[Any, Any], Any]


class Messages:
    """Does what the messages of one page ask for.

    pick     the hit of a ray on the faces that are shown
    dropped  takes a file by name and content
    """

    def __init__(self, page: Actions, scene: Scene, pick: Pick, dropped: Callable[[str, bytes], object]) -> None:
        self.page, self.scene, self.pick, self._dropped = page, scene, pick, dropped
        self._pieces: list[bytes] = []

    def hear(self, message: dict[str, Any]) -> None:
        does = {
            "brush": self._paint,
            "part": self._part,
            "escape": self._escape,
            "drop": self._drop,
            "step": self._step,
            "shape": self._arrived,
        }
        kind = message.get("type")
        if kind == "hover":
            self.page.post(lambda: self._hover(message), key="hover")
        elif isinstance(kind, str) and kind in does:
            does[kind](message)

    def _arrived(self, message: dict[str, Any]) -> None:
        """The mesh is there."""
        if self.scene.shows(message.get("shape", "")):
            self.page.mesh_arrived()

    def _paint(self, message: dict[str, Any]) -> None:
        """A piece of a brush stroke: rays in the frame of the mesh."""
        page, rays = self.page, message.get("rays")
        if message.get("mode") not in ("add", "erase") or not isinstance(rays, list):
            return
        if not self.scene.shows(message.get("shape", "")):  # of a mesh that is not there any more
            return
        faces = np.zeros(page.loaded.mesh.num_faces, dtype=bool)
        for ray in rays[:64]:
            if isinstance(ray, list) and len(ray) == 6 and all(_is_number(x) for x in ray):
                hit = self.pick(ray[:3], ray[3:])
                if hit is not None:
                    faces |= page.loaded.surface.brush(hit.face, hit.point, page.view.brush_radius)
        stroke = message.get("stroke")
        if isinstance(stroke, int) and not isinstance(stroke, bool):
            page.session.paint(faces & page.session.shown, message["mode"] == "add", stroke=stroke)
        page.refresh()  # also when nothing changed: the page waits for it before it sends more

    def _hover(self, message: dict[str, Any]) -> None:
        """The cursor rests on a vertex: what would a click select?"""
        session, vertex = self.page.session, message.get("vertex")
        if not isinstance(vertex, int) or not self.scene.shows(message.get("shape", "")):
            return
        if session.mesh.num_faces > MOST_PREVIEWED or not session.answers.ready:
            return
        face = message.get("face")
        if isinstance(face, int) and 0 <= face < session.mesh.num_faces:
            place = session.proposed_at(face)
            if place is not None:
                self.scene.show_preview(session.proposed == place + 1)
                return
        try:
            positive = self.page.view.exclude == bool(message.get("flipped"))
            self.scene.show_preview(session.preview(vertex, positive) if positive or session.state.clicks else None)
        except UserError:  # what a click would say, nobody asked yet
            self.scene.show_preview(None)

    def _part(self, message: dict[str, Any]) -> None:
        """A sign in the list of parts."""
        part_id, text = message.get("part"), str(message.get("text", ""))
        if not isinstance(part_id, int):
            return
        if message.get("do") == "rung":
            self.page.choose_rung(part_id)
            return
        part = self.page.session.state.part(part_id)
        does: dict[Any, Callable[[Session], object]] = {
            "eye": lambda s: s.set_visible(part.id, not part.visible),
            "lock": lambda s: s.set_locked(part.id, not part.locked),
            "name": lambda s: s.rename_part(part.id, text or part.name),
        }
        if message.get("do") in does:
            self.page.do(does[message["do"]])
        self.page.choose_part(part.id)

    def _step(self, message: dict[str, Any]) -> None:
        """A key that goes to the next smaller or larger answer."""
        rungs = self.page.session.selection.answer
        if message.get("by") in (-1, 1):
            self.page.choose_rung((rungs.rung if rungs.rungs else 0) + message["by"])

    def _escape(self, message: dict[str, Any]) -> None:
        """Put the brush away, else take the clicks away."""
        if self.page.view.brush:
            self.page.set_brush("")
        else:
            self.page.do(lambda s: s.reset())

    def _drop(self, message: dict[str, Any]) -> None:
        """A piece of a dropped file; the last one opens it."""
        number, count = message.get("number"), message.get("count")
        try:
            piece = base64.b64decode(str(message.get("data", "")), validate=True)
        except ValueError:
            return
        if number == 0:
            self._pieces = []
        if number != len(self._pieces) or not isinstance(count, int):
            return
        self._pieces.append(piece)
        if sum(map(len, self._pieces)) > MAX_UPLOAD:
            self._pieces = []
            raise UserError(f"the file is larger than {MAX_UPLOAD >> 20} MB: open it by --obj_path")
        if len(self._pieces) == count:
            content, self._pieces = b"".join(self._pieces), []
            self._dropped(str(message.get("name", "")), content)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
